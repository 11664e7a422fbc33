"""From 0.75° to 0.25°: a network refines whole frames, closure gives them back their coarse means."""

from typing import Protocol

import numpy as np

from deepcams.grid.cut import Cut
from deepcams.grid.fill import filled
from deepcams.grid.nodes import Grid, locate, refine
from deepcams.inference.closure import HALO, close


class SpatialNetwork(Protocol):
    """What a network for space offers."""

    halo: int  # coarse nodes it needs around a region
    context: int  # and those that it makes use of where they are there
    precision: str  # "float32" or "bfloat16": what it computes with
    concurrent: bool  # whether threads are better spent on several frames than on one

    def compile(self) -> None:
        """Prepare for a long run of frames, if that pays."""

    def refine(self, frames: np.ndarray, grid: Grid) -> np.ndarray:
        """Fields on `refine(grid)` from frames (B, H, W) on `grid`: (B, 3(H-1)+1, 3W or 3(W-1)+1)."""


def refine_frames(coarse: np.ndarray, grid: Grid, region: Grid, network: SpatialNetwork, closure: str) -> np.ndarray:
    """Refine coarse fields and cut off the halo.

    coarse : (B, H, W) float32 on `grid`, which is `region` (coarse nodes) and as much halo as there is; of that, what
    is beyond the reach of network and closure is not computed.
    Returns (B, h, w) float32 on `refine(region)`, never negative. Values below zero in the input, an artefact of the
    packing that the service applies, count as zero. A missing coarse value makes its own 3×3 fine nodes missing, no
    more and no less: for its neighbours' sake the nearest valid value stands in while the network runs.
    """
    missing = ~np.isfinite(coarse)
    values = np.where(missing, np.nan, np.maximum(coarse, 0)).astype(np.float32)
    if missing.any():
        values = np.stack([filled(frame, grid) for frame in values])
    near = Cut(region, grid, network.context + HALO[closure])
    values, missing = near.of(values), near.of(missing)
    fine = close(network.refine(values, near.grid), np.where(missing, np.nan, values), near.grid, closure)
    rows, columns = locate(refine(region), refine(near.grid))
    return np.ascontiguousarray(fine[:, rows][:, :, columns], dtype=np.float32)
