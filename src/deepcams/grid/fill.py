"""Stand-ins for missing values, for the sake of what must see a whole field."""

import numpy as np
from scipy.ndimage import distance_transform_edt

from deepcams.grid.nodes import Grid
from deepcams.grid.pad import pad


def filled(frame: np.ndarray, grid: Grid) -> np.ndarray:
    """A frame (H, W) with each missing value replaced by its nearest valid neighbour; zeros if there is none at all."""
    missing = ~np.isfinite(frame)
    if not missing.any():
        return frame
    if missing.all():
        return np.zeros_like(frame)
    columns = frame.shape[1]
    around = columns // 2 if grid.is_periodic else 0  # a neighbour may lie across the date line
    wide = pad(frame, grid, (0, around))
    nearest = distance_transform_edt(~np.isfinite(wide), return_distances=False, return_indices=True)
    return wide[tuple(nearest)][:, around : around + columns]
