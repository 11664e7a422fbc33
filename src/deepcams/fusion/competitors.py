"""The standard competitors of a fusion network, as methods for `deepcams.fusion.evaluation`."""

from collections.abc import Callable

import numpy as np

from deepcams.fusion.cells import Cells, places
from deepcams.fusion.inverse_distance import inverse_distance
from deepcams.fusion.kriging import log_kriging, ordinary_kriging
from deepcams.fusion.optimal_interpolation import optimal_interpolation
from deepcams.grid.nodes import Grid

# (cells that are known, (rows, columns) of m targets, time step) → (m,) float64 estimates; NaN where there is none.
Method = Callable[[Cells, tuple[np.ndarray, np.ndarray], int], np.ndarray]


def competitors(
    grid: Grid, background: Callable[[int], np.ndarray] | None = None
) -> tuple[dict[str, Method], list[str]]:
    """Methods by name, and notes: sentences on what they are that names do not tell.

    background : time step → field (H, W) of the observations' unit on the grid, such as CAMS; NaN where it has none.
    Names: inverse distance, ordinary kriging, log kriging, optimal interpolation; and with a background: residual
    kriging, which lets the background have a bias, and the background itself. Estimates below zero are zero: none of
    these methods knows that concentrations are not negative.
    """

    def of_values(estimate: Callable[..., np.ndarray]) -> Method:
        def method(known: Cells, at: tuple[np.ndarray, np.ndarray], step: int) -> np.ndarray:
            found = estimate(*places(grid, known.row, known.column), known.value, *places(grid, *at))
            return np.maximum(found, 0.0)

        return method

    def of_innovations(estimate: Callable[..., np.ndarray]) -> Method:
        def method(known: Cells, at: tuple[np.ndarray, np.ndarray], step: int) -> np.ndarray:
            field = background(step)
            innovation = known.value - field[known.row, known.column]
            use = np.isfinite(innovation)
            here = places(grid, known.row[use], known.column[use])
            return np.maximum(field[at] + estimate(*here, innovation[use], *places(grid, *at)), 0.0)

        return method

    methods = {
        "inverse distance": of_values(inverse_distance),
        "ordinary kriging": of_values(ordinary_kriging),
        "log kriging": of_values(lambda *sample: log_kriging(*sample[:2], np.maximum(sample[2], 0), *sample[3:])),
    }
    notes = ["Estimates of the competitors below zero are taken as zero."]
    if background is None:
        methods["optimal interpolation"] = of_values(about_mean(optimal_interpolation))
        notes.append(
            "There is no background: optimal interpolation starts from the mean of the known cells of each time step."
        )
        return methods, notes
    methods["optimal interpolation"] = of_innovations(optimal_interpolation)
    methods["residual kriging"] = of_innovations(ordinary_kriging)
    methods["background"] = lambda known, at, step: np.asarray(background(step)[at], np.float64)
    return methods, notes


def fold_mean(known: Cells, at: tuple[np.ndarray, np.ndarray], step: int) -> np.ndarray:
    """The mean of the known cells everywhere: the poorest method, and a background where there is none; NaN of none."""
    return np.full(len(at[0]), known.value.mean() if len(known.value) else np.nan)


def about_mean(increments: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The method of increments with the mean of the values as its background; NaN where there is no value."""

    def estimate(
        latitude: np.ndarray,
        longitude: np.ndarray,
        value: np.ndarray,
        at_latitude: np.ndarray,
        at_longitude: np.ndarray,
    ) -> np.ndarray:
        if not len(value):
            return np.full(len(at_latitude), np.nan)
        mean = value.mean()
        return mean + increments(latitude, longitude, value - mean, at_latitude, at_longitude)

    return estimate
