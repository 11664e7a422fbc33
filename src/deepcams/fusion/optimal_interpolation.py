"""Optimal interpolation: increments of a background field from observation - background.

Increments are best linear estimates of a field of zero mean (simple kriging). The covariance is exponential, fitted to
the innovations of each call as `deepcams.fusion.kriging` fits a variogram: what neighbouring innovations share is error
of the background, the nugget is error of the observations, representativeness included (Gandin 1963; Daley 1991,
Atmospheric Data Analysis, 4.3). It reaches no farther than the farthest lag, 1,000 km, so that far from every
observation the increment is zero and the background stays.
"""

import numpy as np
from scipy.linalg import cho_solve

from deepcams.fusion.kriging import (
    Variogram,
    check,
    covariance_factor,
    covariances,
    distances,
    distinct,
    fit_variogram,
)


def optimal_interpolation(
    latitude: np.ndarray,
    longitude: np.ndarray,
    innovation: np.ndarray,
    at_latitude: np.ndarray,
    at_longitude: np.ndarray,
    *,
    variogram: Variogram | None = None,
) -> np.ndarray:
    """Increments to add to the background at the targets.

    latitude, longitude : (n,) degrees of the observations; those of one place count as their mean, with a nugget as
    much smaller as they are many.  innovation : (n,) observation - background, of any unit.  at_latitude, at_longitude
    : (m,) degrees of the targets.  variogram : of the innovations; None fits one.

    Returns (m,) float64 in the unit of `innovation`; zero everywhere without observations, or where what is fitted is
    all nugget. Memory: some 3 (n, n) float64. Raises ValueError if shapes differ, or a place or value is not finite.
    """
    latitude, longitude, innovation = check(latitude, longitude, innovation)
    at_latitude, at_longitude = np.asarray(at_latitude, np.float64), np.asarray(at_longitude, np.float64)
    increment = np.zeros(at_latitude.shape)
    if not innovation.any():
        return increment
    points, innovation, number = distinct(latitude, longitude, innovation)
    distance = distances(points)
    variogram = fit_variogram(distance, innovation, mean=0.0, longest=1.0) if variogram is None else variogram
    if variogram.sill <= 0:
        return increment
    weights = cho_solve((covariance_factor(distance, number, variogram), True), innovation)
    for part, covariance in covariances(points, variogram, at_latitude, at_longitude):
        increment[part] = covariance @ weights
    return increment
