"""Observations of one time step in the cells of a grid."""

from typing import NamedTuple

import numpy as np

from deepcams.grid.nodes import Grid


class Cells(NamedTuple):
    """The cells of a grid that hold observations, none of them twice.

    row, column : (n,) int64, of the node whose cell it is.  value : (n,) float64, mean of the cell's stations.
    """

    row: np.ndarray
    column: np.ndarray
    value: np.ndarray


def places(grid: Grid, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude (degrees) of nodes: (n,) float64 each."""
    return grid.latitude[row], grid.longitude[column]


def spread(cells: Cells, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """As fields: values (0 where there is none) and validity (0 or 1), (H, W) float32 each."""
    values, valid = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    values[cells.row, cells.column] = cells.value
    valid[cells.row, cells.column] = 1
    return values, valid
