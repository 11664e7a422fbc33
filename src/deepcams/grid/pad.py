"""Continuing a field beyond its edges: round the globe, over the pole, or by repeating the edge."""

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, describe


def pad(field: np.ndarray, grid: Grid, halo: int | tuple[int, int]) -> np.ndarray:
    """Widen a field by `halo` nodes on every side.

    field : (…, H, W) on `grid`, any dtype.   halo : nodes, or (rows, columns).
    Returns (…, H + 2 rows, W + 2 columns) of the same dtype.

    * Longitude: wraps where the grid is periodic, else the edge column is repeated.
    * Latitude: where the grid is periodic and ends at a pole, goes on over the pole. The grids are node-centred, so
      the pole is a row of its own: the row beyond it is row 1, rolled by 180°, then row 2, and so on. Any other edge
      row is repeated (also a pole's row of a box that is not the full circle: the opposite meridian is not there).

    Raises DeepcamsError if the shapes disagree or the halo reaches past the other end of the grid.
    """
    rows, columns = (halo, halo) if isinstance(halo, int) else halo
    height, width = grid.shape
    if field.shape[-2:] != (height, width):
        raise DeepcamsError(f"A field of {field.shape[-2]} × {field.shape[-1]} nodes is not on {describe(grid)}.")
    if rows >= height or columns > width:
        raise DeepcamsError(f"{describe(grid)} is too small for a halo of {rows} rows and {columns} columns.")
    north = _over_pole(field[..., 1 : rows + 1, :]) if grid.is_periodic and grid.has_north_pole else None
    south = (
        _over_pole(field[..., height - rows - 1 : height - 1, :]) if grid.is_periodic and grid.has_south_pole else None
    )
    if north is None:
        north = np.repeat(field[..., :1, :], rows, axis=-2)
    if south is None:
        south = np.repeat(field[..., -1:, :], rows, axis=-2)
    tall = np.concatenate([north, field, south], axis=-2) if rows else field
    if not columns:
        return tall
    if grid.is_periodic:
        west, east = tall[..., width - columns :], tall[..., :columns]
    else:
        west, east = np.repeat(tall[..., :1], columns, axis=-1), np.repeat(tall[..., -1:], columns, axis=-1)
    return np.concatenate([west, tall, east], axis=-1)


def row_mean(rows: np.ndarray) -> np.ndarray:
    """Mean along the last axis, kept as an axis of length 1, that no rolling can change by a single bit.

    A constant row gives exactly its value. Sums of floating-point numbers depend on their order; sorting removes that.
    NaN anywhere gives NaN.
    """
    if (rows == rows[..., :1]).all():  # as most poles are, and sorting takes its time
        return rows[..., :1] + 0.0  # of zeros of both signs, the positive one
    ordered = np.sort(rows, axis=-1).astype(np.float64)
    base = ordered[..., :1]
    return (base + np.mean(ordered - base, axis=-1, keepdims=True)).astype(rows.dtype)


def level_poles(field: np.ndarray, grid: Grid) -> np.ndarray:
    """Give the rows that are a pole one value, their mean, in place; returns `field`. A pole is a single point.

    Only where the grid is the full circle: of part of a circle the mean would depend on the part.
    """
    for row in pole_rows(grid):
        field[..., row, :] = row_mean(field[..., row, :])
    return field


def pole_rows(grid: Grid) -> list[int]:
    """Those of the rows 0 and -1 that are a pole, if the grid is the full circle."""
    poles = ((0, grid.has_north_pole), (-1, grid.has_south_pole))
    return [row for row, is_pole in poles if is_pole and grid.is_periodic]


def _over_pole(rows: np.ndarray) -> np.ndarray:
    return np.roll(rows[..., ::-1, :], rows.shape[-1] // 2, axis=-1)
