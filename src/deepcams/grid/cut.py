"""Cutting a box and some nodes around it out of fields, so that a network need not run on all of them."""

import numpy as np

from deepcams.grid.nodes import Grid, locate


class Cut:
    """A box with `halo` nodes around it, as far as there are any in `grid`; round the globe if that is periodic.

    Where it reaches a pole of a periodic grid it is the whole circle, because what surrounds a pole is all around it.
    rows (slice), columns (indices) : of `grid`.   grid : of what is cut out.
    Raises DeepcamsError if the box is not part of the grid.
    """

    def __init__(self, box: Grid, grid: Grid, halo: int):
        inside, columns = locate(box, grid)
        height, width = grid.shape
        self.rows = slice(max(0, inside.start - halo), min(height, inside.stop + halo))
        at_pole = (grid.has_north_pole and self.rows.start == 0) or (grid.has_south_pole and self.rows.stop == height)
        if grid.is_periodic and (at_pole or len(columns) + 2 * halo >= width):
            self.columns, longitude = np.arange(width), grid.longitude
        elif grid.is_periodic:
            count = len(columns) + 2 * halo
            self.columns = np.arange(columns[0] - halo, columns[0] - halo + count) % width
            longitude = box.longitude[0] + grid.step * np.arange(-halo, count - halo)
        else:
            self.columns = np.arange(max(0, columns[0] - halo), min(width, columns[-1] + 1 + halo))
            longitude = grid.longitude[self.columns]
        self.grid = Grid(grid.latitude[self.rows], longitude, grid.step)

    def of(self, field: np.ndarray) -> np.ndarray:
        """The part of a field (…, H, W) on the grid: (…, h, w)."""
        return np.ascontiguousarray(field[..., self.rows, :][..., self.columns])
