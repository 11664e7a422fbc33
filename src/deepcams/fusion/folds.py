"""Folds of cross-validation: stations, or whole cities, that are held out together."""

import logging

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from deepcams.errors import DeepcamsError
from deepcams.fusion.observations import Observations, cell_keys
from deepcams.grid.nodes import EARTH

NEAR = 50.0  # km
_log = logging.getLogger(__name__)


def stations_out(observations: Observations, folds: int = 10, seed: int = 1) -> np.ndarray:
    """Fold of each station, drawn by chance: (S,) int64, 0 … folds - 1, whose sizes differ by one at most.

    The same stations have the same folds, in whatever order they come; a station with several rows, which has moved, is
    in one fold. Raises DeepcamsError if there are fewer stations than folds.
    """
    which, ids = pd.factorize(observations.stations["station"], sort=True)
    return _dealt(np.ones(len(ids)), folds, seed, "stations")[which]


def cities_out(observations: Observations, folds: int = 10, seed: int = 1) -> np.ndarray:
    """Fold of each station: (S,) int64, 0 … folds - 1; all stations of a city are in one, and sizes are balanced.

    Cities are those of `cities`: the largest are dealt first, each to the fold that has the fewest stations, and chance
    decides among cities of one size. Raises DeepcamsError if there are fewer cities than folds.
    """
    city = cities(observations.stations)
    return _dealt(np.bincount(city), folds, seed, "cities")[city]


def cities(stations: pd.DataFrame, near: float = NEAR) -> np.ndarray:
    """Number of each station's city: (S,) int64, whatever the order of the stations, in that of their ids.

    stations : as in `Observations`. Stations of one name of city in one country are one city. Those without a name are
    put together by complete linkage: no two of a city are more than `near` km apart, or chains of towns would make one
    city of half a country. One of them that is at most `near` km from a named station belongs to its city.
    """
    north, east = (np.radians(stations[name].to_numpy(np.float64)) for name in ("latitude", "longitude"))
    sphere = EARTH * np.column_stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])
    chord = 2 * EARTH * np.sin(near / EARTH / 2)
    label = pd.factorize(stations["country"] + "\n" + stations["city"], sort=True)[0].astype(np.int64)
    unnamed = np.flatnonzero((stations["city"] == "").to_numpy())
    named = np.setdiff1d(np.arange(len(label)), unnamed)
    label[unnamed] = -1
    if len(named) and len(unnamed):
        distance, nearest = KDTree(sphere[named]).query(sphere[unnamed])
        label[unnamed[distance <= chord]] = label[named[nearest[distance <= chord]]]
    rest = np.flatnonzero(label < 0)
    label[rest] = label.max(initial=0) + 1 + _compact(sphere[rest], chord)
    ids = pd.factorize(stations["station"])[0]
    one, other = np.concatenate([_to_first(label), _to_first(ids)]).T  # a station that moved is in one city
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(ids),) * 2)
    return _numbered(connected_components(graph, directed=False)[1], stations)


def _compact(places: np.ndarray, widest: float) -> np.ndarray:
    """Groups of places (n, 3) no two of which are further apart than `widest`: (n,) int64.

    By complete linkage, within each chain of places that are so near to one another: the distances of all pairs on
    Earth would be too many.
    """
    group = np.zeros(len(places), np.int64)
    pairs = KDTree(places).query_pairs(widest, output_type="ndarray") if len(places) else np.empty((0, 2), int)
    graph = coo_array((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(len(places),) * 2)
    count, chain = connected_components(graph, directed=False)
    number = 0
    for members in np.split(np.argsort(chain, kind="stable"), np.cumsum(np.bincount(chain, minlength=count))[:-1]):
        within = fcluster(linkage(places[members], "complete"), widest, "distance") if len(members) > 1 else np.ones(1)
        group[members] = number + within.astype(np.int64) - 1
        number += int(within.max(initial=0))
    return group


def known(observations: Observations, fold_of: np.ndarray, fold: int) -> np.ndarray:
    """Stations that may be used to estimate those of a fold: (S,) bool.

    Not those of the fold, nor those of other folds in a cell with one of it: gridding makes one value of them.
    """
    cell = cell_keys(observations.stations)
    return ~np.isin(cell, cell[fold_of == fold])


def _to_first(group: np.ndarray) -> np.ndarray:
    """Pairs of each member of a group and its first one: (S, 2)."""
    first = np.unique(group, return_index=True)[1]
    return np.column_stack([np.arange(len(group)), first[pd.factorize(group, sort=True)[0]]])


def _numbered(group: np.ndarray, stations: pd.DataFrame) -> np.ndarray:
    """Groups numbered in the order of the least id in each."""
    order = np.argsort(stations["station"].to_numpy(dtype=object), kind="stable")
    number, _ = pd.factorize(group[order])
    result = np.empty(len(group), np.int64)
    result[order] = number
    return result


def _dealt(sizes: np.ndarray, folds: int, seed: int, noun: str) -> np.ndarray:
    """Fold of each unit, the largest first, each to the smallest fold so far."""
    if not 2 <= folds <= len(sizes):
        raise DeepcamsError(
            f"{len(sizes)} {noun} cannot be held out in {folds} folds. Choose at least 2 folds, no more than there are "
            f"{noun}, or observations of a larger region."
        )
    if sizes.max() > sizes.sum() / folds + 1:
        _log.warning(
            "One of the %s holds %d of %d stations, more than a fold of %d should have: the folds are uneven.",
            noun, sizes.max(), sizes.sum(), folds,
        )  # fmt: skip
    chance = np.random.default_rng(seed)
    order = np.lexsort((chance.permutation(len(sizes)), -sizes))
    filled, fold_of = np.zeros(folds), np.empty(len(sizes), np.int64)
    for unit in order:
        fold_of[unit] = np.argmin(filled)
        filled[fold_of[unit]] += sizes[unit]
    return fold_of
