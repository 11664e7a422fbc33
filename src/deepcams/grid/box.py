"""Which part of a field to show: the box with the most structure."""

import numpy as np

from deepcams.grid.nodes import Grid


def busiest_box(field: np.ndarray, grid: Grid, rows: int = 80, columns: int = 110) -> tuple[slice, slice, Grid]:
    """The box of `rows` × `columns` nodes with the most structure, for a zoom.

    field : (H, W) on `grid`. Structure is the mean absolute step of log(1 + field) between neighbours, so that plumes
    and fronts count, not the level alone. Returns its rows, its columns and its grid; boxes start on coarse nodes.
    """
    height, width = grid.shape
    rows, columns = min(rows, height), min(columns, width)
    rows, columns = (rows - 1) // 3 * 3 + 1, (columns - 1) // 3 * 3 + 1
    level = np.log1p(np.nan_to_num(np.maximum(field, 0), nan=0.0))
    steps = np.zeros((height + 1, width + 1))
    east, south = np.abs(np.diff(level, axis=1)), np.abs(np.diff(level, axis=0))
    steps[1:, 1:-1] += east
    steps[1:-1, 1:] += south
    # Rows near the poles have narrow cells: they count by their width.
    steps[1:] *= np.cos(np.radians(grid.latitude)).clip(0)[:, None]
    summed = steps.cumsum(axis=0).cumsum(axis=1)
    box = summed[rows:, columns:] - summed[:-rows, columns:] - summed[rows:, :-columns] + summed[:-rows, :-columns]
    box = box[::3, ::3]
    top, left = (3 * int(k) for k in np.unravel_index(int(box.argmax()), box.shape))
    chosen = slice(top, top + rows), slice(left, left + columns)
    return *chosen, Grid(grid.latitude[chosen[0]], grid.longitude[chosen[1]], grid.step)
