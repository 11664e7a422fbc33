"""Ordinary kriging of observations on the sphere, with a variogram fitted to the values of each call.

The variogram is exponential with a nugget, γ(h) = nugget + sill (1 - exp(-h / reach)) for h > 0 on great-circle
distances h; exp(-h / reach) of such distances is a covariance on the sphere for every reach (Gneiting 2013, Bernoulli
19, 1327). The nugget is taken as error of the observations: an estimate at a station is not its value, unless there is
no nugget. All observations count for every target, so that fields have no seams: one Cholesky factor of (n, n) per
call, and targets in parts of bounded memory.

PyKrige 1.7.3 gives the same numbers for the same variogram, and as small errors with its own fits. It takes five to ten
times as long and by default holds the distances of all targets and all observations at once: 15 GiB for the globe and
2,000 stations.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize_scalar, nnls
from scipy.spatial.distance import cdist, pdist, squareform

from deepcams.grid.nodes import EARTH

LAGS = 18  # the first up to 1/25 of the farthest, each next one wider by the same factor
NEAREST = 1 / 25
FARTHEST = 1000.0  # km, of pairs that the variogram is fitted to; half the network's extent where that is less
FEWEST_PAIRS = 10  # of a lag, to count
FEWEST_LAGS = 5  # to fit three parameters
MOST_FITTED = 2500  # observations whose pairs make the variogram: 3 million pairs
SEED = 1
REACHES = 40  # first guesses of the reach, from 1/50 to `longest` times the farthest lag
LONGEST = 5.0
# Of the values' variance, or as a distance, where there are too few pairs to fit.
ASSUMED_NUGGET = 0.1
ASSUMED_REACH = 300.0  # km
JITTER = 1e-9  # of the sill, so that near neighbours without a nugget still have a Cholesky factor
PART_CELLS = 1 << 23  # distances at once: 64 MiB


class Variogram(NamedTuple):
    """nugget, sill (without the nugget): squares of the values' unit.  reach : km, e-folding distance."""

    nugget: float
    sill: float
    reach: float


def ordinary_kriging(
    latitude: np.ndarray,
    longitude: np.ndarray,
    value: np.ndarray,
    at_latitude: np.ndarray,
    at_longitude: np.ndarray,
    *,
    variogram: Variogram | None = None,
) -> np.ndarray:
    """Best linear unbiased estimates where the mean is constant and unknown.

    latitude, longitude : (n,) degrees of the observations; those of one place count as their mean, with a nugget as
    much smaller as they are many.  value : (n,) of any unit.  at_latitude, at_longitude : (m,) degrees of the targets.
    variogram : None fits one.

    Returns (m,) float64 in the unit of `value`; of a single place, or of values that are all alike, that value
    everywhere; NaN where there is no observation at all. Memory: some 3 (n, n) float64.
    Raises ValueError if shapes differ, or a place or value is not finite.
    """
    return _kriging(latitude, longitude, value, at_latitude, at_longitude, variogram, with_excess=False)[0]


def log_kriging(
    latitude: np.ndarray,
    longitude: np.ndarray,
    value: np.ndarray,
    at_latitude: np.ndarray,
    at_longitude: np.ndarray,
    *,
    variogram: Variogram | None = None,
) -> np.ndarray:
    """Ordinary kriging of y = log(1 + value), for values of a skewed distribution; estimates are means, not medians.

    As `ordinary_kriging`; value : (n,) concentrations, all above -1 of their unit.  variogram : of y.
    Brought back by exp(y + k) - 1 with k = (variance of the field - variance of the estimate) / 2, so that the mean
    over all places is that of a lognormal field (Cressie 1993, Statistics for Spatial Data, 3.2.40). The field's
    variance includes the nugget: the mean is that of what stations measure. It takes (n, n) operations a target:
    n = 2,000 observations and a million targets take minutes.
    """
    value = np.asarray(value, np.float64)
    if (value <= -1).any():
        raise ValueError(f"the least value, {value.min()}, has no log(1 + value)")
    estimate, excess = _kriging(
        latitude, longitude, np.log1p(value), at_latitude, at_longitude, variogram, with_excess=True
    )
    return np.expm1(estimate + excess / 2)


def _kriging(
    latitude: np.ndarray,
    longitude: np.ndarray,
    value: np.ndarray,
    at_latitude: np.ndarray,
    at_longitude: np.ndarray,
    variogram: Variogram | None,
    *,
    with_excess: bool,
) -> tuple[np.ndarray, np.ndarray | float]:
    """Estimates, and by how much the variance of values exceeds theirs (0 unless asked for): (m,) float64 each."""
    latitude, longitude, value = check(latitude, longitude, value)
    at_latitude, at_longitude = np.asarray(at_latitude, np.float64), np.asarray(at_longitude, np.float64)
    if not len(value):
        return np.full(at_latitude.shape, np.nan), 0.0
    points, value, number = distinct(latitude, longitude, value)
    distance = distances(points)
    variogram = fit_variogram(distance, value) if variogram is None else variogram
    if len(value) == 1 or variogram.sill <= 0:
        # Nothing but error about a mean: the mean, places counting by their observations.
        return np.full(at_latitude.shape, np.average(value, weights=number)), variogram.nugget * (1 - 1 / number.sum())
    factor = covariance_factor(distance, number, variogram)
    # About one of the values, so that a constant comes back exactly.
    origin = value[0]
    ones = cho_solve((factor, True), np.ones(len(value)))
    weighted = cho_solve((factor, True), value - origin)
    mean = weighted.sum() / ones.sum()
    weighted -= mean * ones
    estimate = np.empty(at_latitude.shape)
    excess = np.zeros(at_latitude.shape)
    for part, covariance in covariances(points, variogram, at_latitude, at_longitude):
        estimate[part] = origin + mean + covariance @ weighted
        if with_excess:
            # λ'Kλ of the weights λ = K⁻¹(c + 1 (1 - 1'K⁻¹c) / 1'K⁻¹1).
            shared = covariance @ ones
            known = np.square(solve_triangular(factor, covariance.T, lower=True)).sum(axis=0)
            excess[part] = variogram.nugget + variogram.sill - known - (1 - shared**2) / ones.sum()
    return estimate, np.maximum(excess, 0.0)


def fit_variogram(
    distance: np.ndarray, value: np.ndarray, mean: float | None = None, longest: float = LONGEST
) -> Variogram:
    """An exponential variogram with a nugget, by weighted least squares over lags.

    distance : (n, n) km.  value : (n,).  mean : the values', if it is known.  longest : reach, in farthest lags; one of
    several is a variogram that hardly bends.
    Lags of growing width up to 1,000 km, or to half the largest distance if that is less, where at least 10 pairs are;
    weights N / h², by which short distances, which decide the estimates, count most (as R's gstat weighs; Pebesma 2004,
    Comput. Geosci. 30, 683). Nugget and sill are not negative. Of more than 2,500 observations, a random 2,500. Fewer
    than 5 lags, or no difference within them: a nugget of a tenth of the variance and a reach of 300 km. All values
    alike, and the mean not known to be another: no nugget and no sill.
    """
    if len(value) > MOST_FITTED:
        chosen = np.random.default_rng(SEED).choice(len(value), MOST_FITTED, replace=False)
        distance, value = distance[np.ix_(chosen, chosen)], value[chosen]
    value = value - (value[0] if mean is None else mean)
    variance = float(value.var() if mean is None else np.mean(value**2))
    if variance == 0:
        return Variogram(0.0, 0.0, ASSUMED_REACH)
    lag, gamma, pairs = lag_means(distance, pdist(value[:, None], "sqeuclidean") / 2)
    if len(lag) < FEWEST_LAGS or not gamma.any():
        return Variogram(ASSUMED_NUGGET * variance, (1 - ASSUMED_NUGGET) * variance, ASSUMED_REACH)
    return fit_curve(lag, gamma, pairs, longest)


def lag_means(distance: np.ndarray, of_pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean distance (km), mean of a quantity, and number of pairs, of every lag with enough pairs: (L,) each.

    distance : (n, n) km.  of_pairs : (n (n - 1) / 2,) in the order of `scipy.spatial.distance.pdist`.
    """
    apart = squareform(distance, checks=False)
    farthest = min(FARTHEST, apart.max(initial=0.0) / 2)
    edges = np.geomspace(NEAREST * farthest, farthest, LAGS) if farthest > 0 else np.empty(0)
    lag = np.searchsorted(edges, apart)  # the last one, which is none, holds all that is too far
    pairs, sum_apart, total = (np.bincount(lag, w, LAGS + 1)[: len(edges)] for w in (None, apart, of_pairs))
    enough = pairs >= FEWEST_PAIRS
    pairs = pairs[enough]
    return sum_apart[enough] / pairs, total[enough] / pairs, pairs


def fit_curve(lag: np.ndarray, gamma: np.ndarray, pairs: np.ndarray, longest: float = LONGEST) -> Variogram:
    """The exponential variogram with a nugget nearest to lag means: the reach by search, the rest by least squares."""
    weight = np.sqrt(pairs) / lag

    def given(log_reach: float) -> tuple[float, np.ndarray]:
        terms = np.stack([np.ones_like(lag), 1 - np.exp(-lag / np.exp(log_reach))], axis=1)
        parameters, misfit = nnls(terms * weight[:, None], gamma * weight)
        return misfit, parameters

    reaches = np.log(np.geomspace(lag[-1] / 50, longest * lag[-1], REACHES))
    best = int(np.argmin([given(reach)[0] for reach in reaches]))
    between = reaches[max(best - 1, 0)], reaches[min(best + 1, REACHES - 1)]
    found = minimize_scalar(lambda reach: given(reach)[0], bounds=between, method="bounded", options={"xatol": 1e-3})
    log_reach = float(found.x)
    nugget, sill = given(log_reach)[1]
    return Variogram(float(nugget), float(sill), float(np.exp(log_reach)))


def covariance_factor(distance: np.ndarray, number: np.ndarray, variogram: Variogram) -> np.ndarray:
    """The lower Cholesky factor (n, n) of the covariance of places with `number` (n,) observations each."""
    covariance = distance * (-1 / variogram.reach)
    np.exp(covariance, out=covariance)
    covariance *= variogram.sill
    covariance[np.diag_indices(len(number))] += variogram.nugget / number + JITTER * variogram.sill
    return cholesky(covariance, lower=True, overwrite_a=True)


def covariances(
    points: np.ndarray, variogram: Variogram, at_latitude: np.ndarray, at_longitude: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield covariances (targets of a part, n) of targets with observations at `points`, by parts of the targets."""
    size = max(1, PART_CELLS // len(points))
    for start in range(0, len(at_latitude), size):
        part = slice(start, start + size)
        covariance = great_circle(cdist(unit_vectors(at_latitude[part], at_longitude[part]), points))
        covariance *= -1 / variogram.reach
        np.exp(covariance, out=covariance)
        covariance *= variogram.sill
        yield part, covariance


def check(latitude: np.ndarray, longitude: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three as float64. Raises ValueError if they are not series of one length, all finite."""
    found = tuple(np.asarray(array, np.float64) for array in (latitude, longitude, value))
    if len({array.shape for array in found}) != 1 or found[0].ndim != 1:
        raise ValueError(f"latitude, longitude and value {[a.shape for a in found]} are not series of one length")
    if not all(np.isfinite(array).all() for array in found):
        raise ValueError("an observation has a place or a value that is not finite")
    return found


def distinct(
    latitude: np.ndarray, longitude: np.ndarray, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each place once: unit vectors (k, 3), mean of its values (k,) and how many it has (k,)."""
    points = unit_vectors(latitude, longitude)
    # 1e-9 of the radius is 6 mm: longitudes 180 and -180, and all longitudes of a pole, are one place.
    _, first, place = np.unique(np.round(points, 9) + 0.0, axis=0, return_index=True, return_inverse=True)
    number = np.bincount(place)
    base = value[first]
    return points[first], base + np.bincount(place, value - base[place]) / number, number


def unit_vectors(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Places as vectors of length 1 from the Earth's centre: (n, 3). Date line and poles are nothing special."""
    latitude, longitude = np.radians(latitude), np.radians(longitude)
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
    )


def great_circle(chord: np.ndarray) -> np.ndarray:
    """Great-circle distances (km) from chords of the unit sphere, which are overwritten."""
    chord *= 0.5
    np.minimum(chord, 1.0, out=chord)
    np.arcsin(chord, out=chord)
    chord *= 2 * EARTH
    return chord


def distances(points: np.ndarray) -> np.ndarray:
    """Great-circle distances between places given as unit vectors (n, 3): (n, n) km."""
    return great_circle(cdist(points, points))
