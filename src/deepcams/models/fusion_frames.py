"""Run a fusion network on a whole field: scaling, edges, device, and back to concentrations on the nodes.

A circle goes on round the globe and over its poles before the network sees it, as far as the network draws on. Beyond
other edges no station is known, as beyond the edges of the patches that it was trained on.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from deepcams.grid.nodes import Grid
from deepcams.grid.pad import level_poles, pad, pole_rows
from deepcams.models.fusion import SCALES, within_reach
from deepcams.models.precision import device, numbers, precise

Spread = tuple[np.ndarray, np.ndarray]  # values and validity (0 or 1), (H, W) each


class FusionFrames:
    """A network that makes fields of observations."""

    def __init__(self, module: nn.Module, precision: str = "float32"):
        self.place = device()
        self.module = module.eval().to(self.place, memory_format=torch.channels_last)
        self.variables, self.static, self.background = module.variables, module.static, module.background
        self.halo = module.halo
        self.reach = module.points.reach
        self.precision = precise(precision, module)

    def estimate(
        self,
        observed: Spread,
        others: Mapping[str, Spread],
        static: Sequence[np.ndarray],
        grid: Grid,
        background: np.ndarray | None = None,
    ) -> np.ndarray:
        """The field of one time step: (H, W) float32, ug m-3, not negative.

        observed : concentrations of the cells with stations (ug m-3), and where they are.   others : in the same way,
        by the names of `variables`, in their units (1, m s-1); one that is not there has no observation anywhere.
        static : the fields that `static` names, scaled.   background : ug m-3, if the network has one; NaN in it
        gives NaN, and stations there do not count.
        Without any observation of the pollutant the field is NaN everywhere, never invented, or the background, which
        it is to the last bit wherever no station is within `reach` nodes.
        Raises ValueError if a background is given and not wanted, or lacking.
        """
        if (background is not None) != (self.background != "none"):
            raise ValueError(
                f"the network's background is {self.background}: {'one' if background is not None else 'none'} is given"
            )
        missing = np.zeros(grid.shape, bool) if background is None else ~np.isfinite(background)
        values, valid = self._stacked(observed, others, missing)
        if not valid[0].any():
            return np.full(grid.shape, np.nan, np.float32) if background is None else background.astype(np.float32)
        fields = [values, valid, np.asarray(static, np.float32).reshape(-1, *grid.shape)]
        if background is not None:
            fields.append(np.where(missing, 0, background)[None].astype(np.float32))
        sizes = np.cumsum([len(field) for field in fields])[:-1]
        rows, columns = self._halo(grid)
        wide = _beyond(np.concatenate(fields), grid, rows, columns)
        inputs = [torch.from_numpy(part)[None].to(self.place) for part in np.split(wide, sizes)]
        transform = self.module.transform
        inputs[0][:, :1] = transform.forward(inputs[0][:, :1])
        if background is not None:
            inputs[3] = transform.forward(inputs[3])
        with torch.inference_mode(), numbers(self.precision, self.place):
            found = transform.inverse(self.module(*inputs).float())[0, 0].cpu().numpy()
        inside = slice(rows, rows + grid.shape[0]), slice(columns, columns + grid.shape[1])
        field = np.ascontiguousarray(found[inside])
        field[missing] = np.nan
        level_poles(field, grid)
        if background is not None:
            touched = (within_reach(inputs[1][:, :1])[0, 0] > 0).cpu().numpy()[inside]
            for row in pole_rows(grid):  # one point: all nodes of the row, or none
                touched[row] = touched[row].any()
            field[~touched] = background[~touched]
        return field

    def _stacked(
        self, observed: Spread, others: Mapping[str, Spread], missing: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scaled values and validity of all variables: (V, H, W) float32 each."""
        none = np.zeros(missing.shape, np.float32)
        pairs = [observed, *(others.get(name, (none, none)) for name in self.variables)]
        scales = [1.0, *(SCALES[name] for name in self.variables)]
        values = np.stack(
            [np.asarray(field, np.float32) / np.float32(s) for (field, _), s in zip(pairs, scales, strict=True)]
        )
        valid = np.stack([np.asarray(valid, np.float32) for _, valid in pairs])
        valid[:, missing] = 0
        return np.where(valid > 0, values, 0), valid

    def _halo(self, grid: Grid) -> tuple[int, int]:
        """Rows and columns to go on by: multiples of what poolings need, and no more than there are."""
        if not grid.is_periodic:
            return 0, 0
        height, width = grid.shape
        multiple = self.module.field.multiple
        return tuple(min(self.halo, room // multiple * multiple) for room in (height - 1, width))


def _beyond(fields: np.ndarray, grid: Grid, rows: int, columns: int) -> np.ndarray:
    """Fields (C, H, W) on round the circle and over its poles, and 0 beyond other edges."""
    if not grid.is_periodic:
        return np.pad(fields, ((0, 0), (rows, rows), (columns, columns)))
    wide = pad(fields, grid, (rows, columns))
    if not grid.has_north_pole:
        wide[:, :rows] = 0
    if not grid.has_south_pole:
        wide[:, wide.shape[1] - rows :] = 0
    return wide
