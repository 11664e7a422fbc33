"""How far each node of a grid is from the nearest observation."""

import numpy as np

from deepcams.fusion.cells import Cells
from deepcams.grid.nodes import EARTH, Grid


def distance_to_station(grid: Grid, cells: Cells) -> np.ndarray:
    """Great-circle distance of each node to the node of the nearest cell with a value, km: (H, W) float32.

    Cells whose value is NaN do not count. All NaN if there is none. Relative error below 1e-6 (within 100 km of the
    antipode of the only cell 4 km).

    The haversine of the angle, sin²(Δφ/2) + cos φ · cos φ' · sin²(Δλ/2), is least for the least Δλ among the cells of
    one row φ', so that rows are looked at and not cells: a quarter of the time of a k-d tree, which would have to be
    searched from every node.
    """
    known = np.isfinite(cells.value)
    if not known.any():
        return np.full(grid.shape, np.nan, np.float32)
    row, column = cells.row[known], cells.column[known]
    sources = np.unique(row)
    north, north_there = np.radians(grid.latitude), np.radians(grid.latitude[sources])
    turn = np.stack([_turn(grid.longitude, np.unique(column[row == source])) for source in sources])
    across = (np.sin(np.radians(turn) / 2) ** 2).astype(np.float32)
    along = (np.sin((north[:, None] - north_there) / 2) ** 2).astype(np.float32)
    width = (np.cos(north)[:, None] * np.cos(north_there)).clip(0).astype(np.float32)
    haversine = np.empty(grid.shape, np.float32)
    work = np.empty_like(across)
    for here in range(len(north)):
        np.multiply(across, width[here][:, None], out=work)
        work += along[here][:, None]
        work.min(axis=0, out=haversine[here])
    angle = 2 * np.arcsin(np.sqrt(haversine.astype(np.float64).clip(0, 1)))
    return (EARTH * angle).astype(np.float32)


def _turn(longitude: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Degrees from each longitude (W,), rising, to the nearest of some columns (n,), rising, either way round."""
    there = longitude[columns]
    there = np.concatenate([there[-1:] - 360.0, there, there[:1] + 360.0])
    after = np.searchsorted(there, longitude, side="right")
    return np.minimum(longitude - there[after - 1], there[after] - longitude)
