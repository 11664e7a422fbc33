"""Inverse-distance weighting of observations, with distances on the sphere: the simplest competitor of fusion."""

import numpy as np
from scipy.spatial import cKDTree

from deepcams.fusion.kriging import check, distinct, unit_vectors

PART = 1 << 17  # targets at once
TOUCHING = 1e-9  # of the Earth's radius, 6 mm: nearer than this a target is at the observation


def inverse_distance(
    latitude: np.ndarray,
    longitude: np.ndarray,
    value: np.ndarray,
    at_latitude: np.ndarray,
    at_longitude: np.ndarray,
    *,
    power: float = 2.0,
    neighbours: int = 12,
) -> np.ndarray:
    """Means of the nearest observations, weighted by 1 / great-circle distance^power (Shepard 1968).

    latitude, longitude : (n,) degrees of the observations; those of one place are averaged first.  value : (n,) of any
    unit.  at_latitude, at_longitude : (m,) degrees of the targets.  neighbours : how many observations count at most.
    Returns (m,) float64 in the unit of `value`: the observed value where a target is at an observation; NaN where
    there is no observation at all. Raises ValueError if shapes differ, or a place or value is not finite.
    """
    latitude, longitude, value = check(latitude, longitude, value)
    at_latitude, at_longitude = np.asarray(at_latitude, np.float64), np.asarray(at_longitude, np.float64)
    if not len(value):
        return np.full(at_latitude.shape, np.nan)
    points, value, _ = distinct(latitude, longitude, value)
    tree = cKDTree(points)
    count = min(neighbours, len(value))
    found = np.empty(at_latitude.shape)
    for start in range(0, len(found), PART):
        part = slice(start, start + PART)
        chord, index = tree.query(unit_vectors(at_latitude[part], at_longitude[part]), k=count)
        chord, index = chord.reshape(-1, count), index.reshape(-1, count)  # a flat answer for one neighbour
        weight = np.maximum(2 * np.arcsin(np.clip(chord / 2, 0, 1)), TOUCHING) ** -power
        found[part] = (weight * value[index]).sum(axis=1) / weight.sum(axis=1)
        there = chord[:, 0] < TOUCHING
        found[part][there] = value[index[there, 0]]
    return found
