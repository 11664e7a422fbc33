"""Blocks of fine nodes around coarse ones: what a coarse value is the mean of.

The block of coarse node (i, j) holds the fine nodes 3i-1 … 3i+1, 3j-1 … 3j+1, longitude wrapping; every fine node lies
in exactly one block. Weights are the areas of the fine nodes' cells. The block of a pole is the polar cap: the pole's
row and the ring next to it at all longitudes, one value. At the edges of a box that is not the full circle, blocks are
incomplete and a mean is over the nodes that are there (so it is at a pole's row of such a box, column by column).
"""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import COARSE_STEP, FACTOR, Grid, describe, refine, row_weights
from deepcams.grid.pad import level_poles

BAND = 81  # rows of coarse nodes worked on at a time: a dozen such arrays of the globe stay in a core's cache


def block_mean(fine: np.ndarray, grid_coarse: Grid, dtype: type | None = None) -> np.ndarray:
    """Area-weighted mean of every block.

    fine : (…, Hf, Wf) float on refine(grid_coarse).  Returns (…, H, W) of its (or the given) dtype, summed in float64.
    NaN in a block makes its mean NaN. Raises DeepcamsError if the shape is not that of the fine grid.
    """
    grid_fine = refine(grid_coarse)
    if fine.shape[-2:] != grid_fine.shape:
        raise DeepcamsError(f"A field of {fine.shape[-2]} × {fine.shape[-1]} nodes is not on {describe(grid_fine)}.")
    means = np.empty((*fine.shape[:-2], *grid_coarse.shape), dtype=dtype or fine.dtype)
    shares = row_shares(grid_coarse)
    for frame in np.ndindex(fine.shape[:-2]):
        for band, rows, _ in bands(grid_coarse):
            nodes = gather(fine[frame], grid_coarse, rows)
            means[frame][rows] = mean_of_nodes(nodes, shares[:, rows], band)
    return means


def spread(coarse: np.ndarray, grid_coarse: Grid) -> np.ndarray:
    """Give every fine node the value of its block: (…, H, W) → (…, Hf, Wf), same dtype.

    On a full circle a polar cap gets the mean of the pole's row. block_mean(spread(x)) is x if those rows are constant.
    Raises DeepcamsError if the shape is not that of the grid.
    """
    if coarse.shape[-2:] != grid_coarse.shape:
        raise DeepcamsError(
            f"A field of {coarse.shape[-2]} × {coarse.shape[-1]} nodes is not on {describe(grid_coarse)}."
        )
    level = level_poles(coarse.copy(), grid_coarse)
    height, width = refine(grid_coarse).shape
    wide = np.empty((*coarse.shape[:-1], width), dtype=coarse.dtype)
    for _, blocks, nodes in _columns(grid_coarse):
        wide[..., nodes] = level[..., blocks]
    fine = np.empty((*coarse.shape[:-2], height, width), dtype=coarse.dtype)
    for _, blocks, nodes in _rows(grid_coarse.shape[0]):
        fine[..., nodes, :] = wide[..., blocks, :]
    return fine


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


def bands(grid_coarse: Grid, halo: int = 0) -> Iterator[tuple[Grid, slice, slice]]:
    """Bands of rows of the coarse grid: grid and rows of a band with `halo` rows to both sides, and its own rows."""
    height = grid_coarse.shape[0]
    for start in range(0, height, BAND):
        stop = min(start + BAND, height)
        rows = slice(max(start - halo, 0), min(stop + halo, height))
        yield Grid(grid_coarse.latitude[rows], grid_coarse.longitude, grid_coarse.step), rows, slice(start, stop)


def places(grid_coarse: Grid, rows: slice, origin: int) -> dict[tuple[int, int], list[tuple]]:
    """Where the nodes at place (r, c), 0 … 2 each, of their block are: of block (i, j) it is (3i + r - 1, 3j + c - 1).

    For the blocks of `rows`, in pieces: (rows, columns) of the blocks, rows counted from `origin`, and (rows, columns)
    of the nodes. Blocks at an edge that have no such node are in none.
    """
    found = {}
    for (r, i, y), (c, j, x) in product(_rows(grid_coarse.shape[0], rows, origin), _columns(grid_coarse)):
        found.setdefault((r, c), []).append(((i, j), (y, x)))
    return found


def gather(fine: np.ndarray, grid_coarse: Grid, rows: slice) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Take a fine field (Hf, Wf) apart: place by place the nodes of the blocks of `rows`, (rows, W), 0 for absent ones.

    Arithmetic on nodes side by side is several times faster than on every third one.
    """
    for place, pieces in places(grid_coarse, rows, rows.start).items():
        nodes = np.zeros((rows.stop - rows.start, grid_coarse.shape[1]), dtype=fine.dtype)
        for blocks, where in pieces:
            nodes[blocks] = fine[where]
        yield place, nodes


def scatter(nodes: np.ndarray, pieces: list[tuple], fine: np.ndarray) -> None:
    """Put the nodes at one of the `places` into a fine field (Hf, Wf)."""
    for blocks, where in pieces:
        fine[where] = nodes[blocks]


def row_shares(grid_coarse: Grid) -> np.ndarray:
    """Share of the block's area of a node in each of its rows: (3, H, 1) or, if edges are open, (3, H, W) float64."""
    rows = np.pad(row_weights(refine(grid_coarse)), 1).reshape(-1, FACTOR).T[..., None]
    columns = FACTOR
    if not grid_coarse.is_periodic:
        columns = np.full(grid_coarse.shape[1], FACTOR)
        columns[[0, -1]] = FACTOR - 1
    return rows / rows.sum(axis=0) / columns


def mean_of_nodes(
    nodes: Iterable[tuple[tuple[int, int], np.ndarray]], shares: np.ndarray, grid_coarse: Grid
) -> np.ndarray:
    """Block means (H, W) from the nodes as `gather` gives them and `row_shares` (3, H, …), in the shares' dtype."""
    sums = np.zeros((FACTOR, *grid_coarse.shape), dtype=shares.dtype)
    for (r, _), values in nodes:
        sums[r] += values
    sums *= shares
    mean = sums[0]
    mean += sums[1]
    mean += sums[2]
    return level_poles(mean, grid_coarse)


def _circle(step: float) -> int:
    return round(360 / step)


def _rows(height: int, rows: slice = slice(None), origin: int = 0) -> list[tuple[int, slice, slice]]:
    """For each row of a block: the blocks among `rows` that have it, counted from `origin`, and where it is."""
    start, stop, _ = rows.indices(height)
    found = []
    for r in range(FACTOR):
        first, last = max(start, 1 if r == 0 else 0), min(stop, height - 1 if r == 2 else height) - 1
        nodes = slice(FACTOR * first + r - 1, FACTOR * last + r, FACTOR)
        found.append((r, slice(first - origin, last + 1 - origin), nodes))
    return found


def _columns(grid_coarse: Grid) -> list[tuple[int, slice, slice]]:
    """The same for all columns. On the full circle the last node is beside the first."""
    width = grid_coarse.shape[1]
    if not grid_coarse.is_periodic:
        return _rows(width)
    return [(0, slice(0, 1), slice(-1, None)), *_rows(width)[:2], (2, slice(None), slice(1, None, FACTOR))]
