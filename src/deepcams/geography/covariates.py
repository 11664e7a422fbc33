"""Fields that do not change with time, scaled as networks see them."""

from collections.abc import Sequence

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.geography import load
from deepcams.grid.nodes import Grid

# Numbers of about one, whatever the quantity's own units.
COVARIATES = {
    "elevation": lambda grid: load.elevation(grid) / 1000,  # km
    "land": load.land_mask,
    "population": lambda grid: np.log1p(load.population(grid)) / 5,  # inhabitants per km²
}


def covariates(names: Sequence[str], grid: Grid) -> np.ndarray:
    """Covariates on the nodes of `grid`, in the order of `names`: (S, H, W) float32. DeepcamsError for other names."""
    unknown = [name for name in names if name not in COVARIATES]
    if unknown:
        raise DeepcamsError(f"There is no field {', '.join(unknown)}; choose out of {', '.join(COVARIATES)}.")
    fields = [np.asarray(COVARIATES[name](grid), dtype=np.float32) for name in names]
    return np.stack(fields) if fields else np.empty((0, *grid.shape), np.float32)
