"""Make shards: fine fields beside their degraded companions."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from deepcams.degrade.operators import degrade
from deepcams.files.netcdf import read_field, read_layout
from deepcams.grid.blocks import coarse_within
from deepcams.grid.nodes import Grid, from_axes, refine
from deepcams.progress import progress
from deepcams.training.shards import ShardWriter

FRAMES = 24  # at a time


def write_shard(fields: str | Path, index: str | Path, degradation: dict) -> None:
    """Degrade the frames of a canonical GEOS-CF month and write both as the shard whose index is `index`.

    degradation : operator and sigma (fine cells, for `gaussian`). A missing hour is NaN in both arrays.
    """
    field = read_field(fields)
    times = field.time.values.astype("datetime64[s]")
    about = {key: field.attrs[key] for key in ("cell_methods", "synthetic") if key in field.attrs}
    whole = read_layout(fields).global_attributes
    about |= {key: whole[key] for key in ("collection", "geoscf_version") if key in whole}
    about |= {"pollutant": str(field.name)}
    about |= {"source": Path(fields).name}
    grid = from_axes(field.latitude.values, field.longitude.values)[0]
    frames = (frame for start in range(0, len(times), FRAMES) for frame in field[start : start + FRAMES].values)
    write_frames(frames, times, grid, index, degradation, about)


def write_frames(
    frames: Iterable[np.ndarray],
    times: np.ndarray,
    grid: Grid,
    index: str | Path,
    degradation: dict,
    about: dict,
) -> None:
    """Degrade frames (H, W), ug m-3, at `times` (T,) on the 0.25° `grid`, and write them as a shard.

    Nodes beyond the outermost coarse ones are left out. about : what else the index says: source, cell_methods …
    """
    coarse_grid, rows, columns = coarse_within(grid)
    fine_grid = refine(coarse_grid)
    operator, sigma = degradation["operator"], degradation["sigma"]
    parameters = {"sigma": sigma} if operator == "gaussian" else {}
    frames = iter(frames)
    with ShardWriter(
        Path(index).parent, times, fine_grid, coarse_grid, {"operator": operator, "sigma": sigma, **about}
    ) as shard:
        for start in progress(range(0, len(times), FRAMES), f"degrade {about['source']}", "days"):
            fine = np.stack([frame[rows, columns] for frame in islice(frames, FRAMES)])
            shard.write(start, fine, degrade(fine, fine_grid, operator, **parameters))
