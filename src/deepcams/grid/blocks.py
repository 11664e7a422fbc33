"""Blocks of fine nodes around coarse ones: what a coarse value is the mean of.

The block of coarse node (i, j) holds the fine nodes 3i-1 … 3i+1, 3j-1 … 3j+1, longitude wrapping; every fine node lies
in exactly one block. Weights are the areas of the fine nodes' cells. The block of a pole is the polar cap: the pole's
row and the ring next to it at all longitudes, one value. At the edges of a box that is not the full circle, blocks are
incomplete and a mean is over the nodes that are there (so it is at a pole's row of such a box, column by column).
"""

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import COARSE_STEP, FACTOR, Grid, describe, refine, row_weights
from deepcams.grid.pad import row_mean


def block_mean(fine: np.ndarray, grid_coarse: Grid) -> np.ndarray:
    """Area-weighted mean of every block.

    fine : (…, Hf, Wf) float on refine(grid_coarse).  Returns (…, H, W) of the same dtype, summed in float64.
    NaN in a block makes its mean NaN. Raises DeepcamsError if the shape is not that of the fine grid.
    """
    grid_fine = refine(grid_coarse)
    if fine.shape[-2:] != grid_fine.shape:
        raise DeepcamsError(f"A field of {fine.shape[-2]} × {fine.shape[-1]} nodes is not on {describe(grid_fine)}.")
    columns = _column_means(fine, grid_coarse.is_periodic)
    weights = row_weights(grid_fine)[:, None]
    height, width = grid_coarse.shape
    means = np.empty((*fine.shape[:-2], height, width))
    # A pole's row is row 0 or the last; row i takes fine rows 3i-1, 3i, 3i+1 as far as they exist.
    first, middle, last = columns[..., 2:-2:FACTOR, :], columns[..., 3:-1:FACTOR, :], columns[..., 4::FACTOR, :]
    w_first, w_middle, w_last = weights[2:-2:FACTOR], weights[3:-1:FACTOR], weights[4::FACTOR]
    means[..., 1:-1, :] = (first * w_first + middle * w_middle + last * w_last) / (w_first + w_middle + w_last)
    for row, inner, outer in ((0, 0, 1), (-1, -1, -2)):
        two = (columns[..., inner, :] * weights[inner] + columns[..., outer, :] * weights[outer]) / (
            weights[inner] + weights[outer]
        )
        means[..., row, :] = row_mean(two) if _is_cap(grid_coarse, row) else two
    return means.astype(fine.dtype, copy=False)


def spread(coarse: np.ndarray, grid_coarse: Grid) -> np.ndarray:
    """Give every fine node the value of its block: (…, H, W) → (…, Hf, Wf), same dtype.

    On a full circle a polar cap gets the mean of the pole's row. block_mean(spread(x)) is x if those rows are constant.
    Raises DeepcamsError if the shape is not that of the grid.
    """
    if coarse.shape[-2:] != grid_coarse.shape:
        raise DeepcamsError(
            f"A field of {coarse.shape[-2]} × {coarse.shape[-1]} nodes is not on {describe(grid_coarse)}."
        )
    values = np.repeat(coarse, FACTOR, axis=-1)
    values = np.roll(values, -1, axis=-1) if grid_coarse.is_periodic else values[..., 1:-1]
    for row in (0, -1):
        if _is_cap(grid_coarse, row):
            values[..., row, :] = row_mean(coarse[..., row, :])
    return np.repeat(values, FACTOR, axis=-2)[..., 1:-1, :]


def coarsen(grid_fine: Grid) -> Grid:
    """The coarse grid whose refinement is `grid_fine`. Raises DeepcamsError if there is none."""
    grid_coarse, rows, columns = coarse_within(grid_fine)
    if (rows.stop - rows.start, columns.stop - columns.start) != grid_fine.shape:
        raise DeepcamsError(f"{describe(grid_fine)} does not begin and end on nodes of the 0.75° grid.")
    return grid_coarse


def coarse_within(grid_fine: Grid) -> tuple[Grid, slice, slice]:
    """The largest coarse grid inside `grid_fine`, and the rows and columns of `grid_fine` that are its refinement.

    Raises DeepcamsError if the grid is not a 0.25° one or holds fewer than two coarse nodes in a direction.
    """
    step = grid_fine.step * FACTOR
    if abs(step - COARSE_STEP) > 1e-9:
        raise DeepcamsError(f"A 0.25° grid is expected here, not {describe(grid_fine)}.")
    top = round((90.0 - grid_fine.latitude[0]) / grid_fine.step)
    left = round((grid_fine.longitude[0] + 180.0) / grid_fine.step)
    skip_rows, skip_columns = -top % FACTOR, -left % FACTOR
    height, width = grid_fine.shape
    rows = (height - skip_rows - 1) // FACTOR + 1
    row_slice = slice(skip_rows, skip_rows + FACTOR * (rows - 1) + 1)
    if grid_fine.is_periodic:
        if skip_columns:
            raise DeepcamsError(f"{describe(grid_fine)} does not begin on a node of the 0.75° grid.")
        columns, column_slice = width // FACTOR, slice(0, width)
    else:
        columns = min(
            (width - skip_columns - 1) // FACTOR + 1, _circle(step) - 1
        )  # as many are a circle, which it is not
        column_slice = slice(skip_columns, skip_columns + FACTOR * (columns - 1) + 1)
    if rows < 2 or columns < 2:
        raise DeepcamsError(f"{describe(grid_fine)} holds too few nodes of the 0.75° grid; at least 2 × 2 are needed.")
    latitude = grid_fine.latitude[row_slice][::FACTOR]
    longitude = grid_fine.longitude[column_slice][::FACTOR]
    return Grid(latitude, longitude, step), row_slice, column_slice


def coarse_around(grid_fine: Grid) -> tuple[Grid, tuple[tuple[int, int], tuple[int, int]]]:
    """The smallest coarse grid that covers `grid_fine`, and how many fine nodes that adds: (rows), (columns).

    Its refinement is `grid_fine`, widened by (north, south) rows and (west, east) columns, 0 … 2 each.
    Raises DeepcamsError if the grid is not a 0.25° one, or so wide that the widened one would meet itself.
    """
    step = grid_fine.step * FACTOR
    if abs(step - COARSE_STEP) > 1e-9:
        raise DeepcamsError(f"A 0.25° grid is expected here, not {describe(grid_fine)}.")
    height, width = grid_fine.shape
    north = round((90.0 - grid_fine.latitude[0]) / grid_fine.step) % FACTOR
    west = round((grid_fine.longitude[0] + 180.0) / grid_fine.step) % FACTOR
    south = -(height + north - 1) % FACTOR
    east = -(width + west - 1) % FACTOR
    if grid_fine.is_periodic:
        if west:
            raise DeepcamsError(f"{describe(grid_fine)} does not begin on a node of the 0.75° grid.")
        east, columns = 0, width // FACTOR
    else:
        columns = (west + width + east - 1) // FACTOR + 1
        if columns >= _circle(step):
            raise DeepcamsError(
                f"{describe(grid_fine)} is nearly, but not quite, a full circle. Give the circle or less."
            )
    rows = (north + height + south - 1) // FACTOR + 1
    latitude = grid_fine.latitude[0] + north * grid_fine.step - step * np.arange(rows)
    longitude = grid_fine.longitude[0] - west * grid_fine.step + step * np.arange(columns)
    return Grid(latitude, longitude, step), ((north, south), (west, east))


def _circle(step: float) -> int:
    return round(360 / step)


def _is_cap(grid: Grid, row: int) -> bool:
    return grid.is_periodic and (grid.has_north_pole if row == 0 else grid.has_south_pole)


def _column_means(fine: np.ndarray, is_periodic: bool) -> np.ndarray:
    """Means over the columns 3j-1, 3j, 3j+1 that exist: (…, Hf, Wf) → (…, Hf, W) float64."""
    if is_periodic:
        before = np.roll(fine[..., 2::FACTOR], 1, axis=-1).astype(np.float64)
        return (before + fine[..., 0::FACTOR] + fine[..., 1::FACTOR]) / 3.0
    means = fine[..., 0::FACTOR].astype(np.float64)
    means[..., :-1] += fine[..., 1::FACTOR]
    means[..., 1:] += fine[..., 2::FACTOR]
    means[..., 1:-1] /= 3.0
    means[..., [0, -1]] /= 2.0
    return means
