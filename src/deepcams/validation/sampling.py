"""Means of fields over the times of measurements, at their places; see `deepcams.validation.collocation`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from deepcams.calendar import HOUR, INTERPOLATED, MISSING
from deepcams.errors import DeepcamsError
from deepcams.validation.axes import nodes
from deepcams.validation.cf_time import LONGEST_GAP
from deepcams.validation.fields import FieldFile, require_same_origin


def means_at(
    file: FieldFile,
    neighbours: Sequence[FieldFile],
    start: np.ndarray,
    end: np.ndarray,
    first: pd.DataFrame,
    method: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The field's means between `start` and `end` (n,) at places: (n, places) float64, NaN if missing.

    Returns also their status (n,) int8 and whether all frames that they need are there (n,) bool. Closes the
    neighbours.
    """
    try:
        require_same_origin(file, *neighbours)
        if file.bounds is None and len(end) and (end - start).max() > HOUR:
            return _over_hours(file, neighbours, start, end, first, method)
        if file.bounds is None:
            hours = _needed_hours(end, file.times)
            frames, status = _at_hours(file, neighbours, hours, first, method)
            index, weights = _stencil(end, hours)
        else:
            frames, status, bounds = _of_intervals(file, neighbours, start, end, first, method)
            index, weights = _overlaps(start, end, bounds)
    finally:
        for other in neighbours:
            other.close()
    total = np.zeros((len(end), len(first)))
    for k in range(index.shape[1]):
        used = weights[:, k] > 0
        total[used] += weights[used, k, None] * frames[index[used, k]]
    flags = np.where(weights > 0, status[index], MISSING)
    return total, flags.min(axis=1, initial=MISSING), ((weights == 0) | (flags != MISSING)).all(axis=1)


def _over_hours(
    file: FieldFile,
    neighbours: Sequence[FieldFile],
    start: np.ndarray,
    end: np.ndarray,
    first: pd.DataFrame,
    method: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `means_at`, of instants over several hours: the mean of the hours' means."""
    count = ((end - start) // HOUR).astype(int)
    owner = np.repeat(np.arange(len(end)), count)
    ends = np.concatenate([e - HOUR * np.arange(n)[::-1] for e, n in zip(end, count, strict=True)])
    hours, at = np.unique(ends, return_inverse=True)
    means, status, whole = means_at(file, neighbours, hours - HOUR, hours, first, method)
    starts = np.flatnonzero(np.r_[True, np.diff(owner) != 0])
    return (
        np.add.reduceat(means[at], starts, axis=0) / count[:, None],
        np.minimum.reduceat(status[at], starts),
        np.logical_and.reduceat(whole[at], starts),
    )


def _needed_hours(stamps: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Consecutive hours from the one before the first stamp to the one after the last, within reach of the file."""
    if not len(stamps):
        return times[:1]
    full = stamps.astype("datetime64[h]").astype("datetime64[s]")
    first, last = max(full.min() - HOUR, times[0] - LONGEST_GAP), min(full.max() + HOUR, times[-1] + LONGEST_GAP)
    return np.arange(first, max(first, last) + HOUR, HOUR)


def _stencil(stamps: np.ndarray, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of `hours` make up the mean over the hour before each stamp, and their weights: (n, 3) each.

    Hours that are not among `hours` get the index of the missing hour, the one after the last.
    """
    full = stamps.astype("datetime64[h]").astype("datetime64[s]")
    fraction = (stamps - full) / HOUR
    before, after = (1 - fraction) ** 2 / 2, fraction**2 / 2
    weights = np.stack([before, 1 - before - after, after], axis=1)
    index = ((full - hours[0]) / HOUR).astype(int)[:, None] + np.array([-1, 0, 1])
    return np.where((index >= 0) & (index < len(hours)), index, len(hours)), weights


def _overlaps(start: np.ndarray, end: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which intervals (T, 2) cover each time from `start` to `end`, and their shares; the index T is "missing"."""
    count = len(bounds)
    shortest = (bounds[:, 1] - bounds[:, 0]).min() if count else HOUR
    longest = (end - start).max() if len(end) else HOUR
    first = np.searchsorted(bounds[:, 1], start, side="right")
    index = first[:, None] + np.arange(int(np.ceil(longest / shortest)) + 1)
    inside = index < count
    edges = bounds[np.where(inside, index, 0)]
    shared = np.minimum(edges[..., 1], end[:, None]) - np.maximum(edges[..., 0], start[:, None])
    weights = np.where(inside, np.maximum(shared / (end - start)[:, None], 0.0), 0.0)
    index = np.where(inside, index, count)
    # What no interval covers is a share of the missing one.
    gap = 1.0 - weights.sum(axis=1)
    return np.c_[index, np.full(len(end), count)], np.c_[weights, np.where(gap > 1e-9, gap, 0.0)]


def _of_intervals(
    file: FieldFile,
    neighbours: Sequence[FieldFile],
    start: np.ndarray,
    end: np.ndarray,
    first: pd.DataFrame,
    method: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (T + 1, places), the last row missing, status (T + 1,) and intervals (T, 2) that the times may need."""
    values, bounds, status = [], [], []
    for one in (file, *neighbours):
        if one.bounds is None:
            raise DeepcamsError(f"{one.path} holds instants and {file.path} means over time; use files of one kind.")
        begins, ends = one.bounds.T
        found = np.flatnonzero((ends > start.min(initial=ends[-1])) & (begins < end.max(initial=begins[0])))
        a, b = (found[0], found[-1] + 1) if len(found) else (0, 0)
        values.append(_sample(one, a, b, first, method))
        bounds.append(one.bounds[a:b])
        status.append(one.status()[a:b])
    joined = np.concatenate(bounds)
    order = np.unique(joined[:, 1], return_index=True)[1]
    frames = np.concatenate(values)[order]
    missing = np.full((1, len(first)), np.nan)
    return np.concatenate([frames, missing]), np.append(np.concatenate(status)[order], np.int8(MISSING)), joined[order]


def _at_hours(
    file: FieldFile, neighbours: Sequence[FieldFile], hours: np.ndarray, first: pd.DataFrame, method: str
) -> tuple[np.ndarray, np.ndarray]:
    """Values of a file, and of its neighbours, at hours and places: (hours + 1, places) float64, NaN if missing.

    The last row is the missing hour that `_stencil` points to. An hour between two frames is linear in time. Returns
    the hours' status (hours + 1,) int8 too.
    """
    times, values = np.zeros(0, "datetime64[s]"), np.zeros((0, len(first)))
    status = np.full(len(hours) + 1, MISSING, dtype=np.int8)
    for one in (file, *neighbours):
        a, b = np.searchsorted(one.times, [hours[0] - LONGEST_GAP, hours[-1] + LONGEST_GAP + HOUR])
        new = ~np.isin(one.times[a:b], times)
        times = np.concatenate([times, one.times[a:b][new]])
        values = np.concatenate([values, _sample(one, a, b, first, method)[new]])
        frame = one.find(hours)
        known = (frame >= 0) & (status[:-1] == MISSING)
        status[:-1][known] = one.status()[frame[known]]
    order = np.argsort(times)
    times, values = times[order], values[order]
    result = np.full((len(hours) + 1, len(first)), np.nan)
    if len(times) < 2:
        for time, frame in zip(times, values, strict=True):
            result[:-1][hours == time] = frame
        return result, status
    after = np.searchsorted(times, hours).clip(1, len(times) - 1)
    gap = times[after] - times[after - 1]
    share = ((hours - times[after - 1]) / gap)[:, None]
    # At a frame its neighbour must not count, even if that is missing.
    between = (1 - share) * values[after - 1] + share * values[after]
    at_hour = np.select([share == 0, share == 1], [values[after - 1], values[after]], between)
    usable = (share == 0) | (share == 1) | ((share > 0) & (share < 1) & (gap <= LONGEST_GAP)[:, None])
    result[:-1] = np.where(usable, at_hour, np.nan)
    if not file.is_own:  # the workflow's product has every hour, or says that it is missing
        status[:-1][usable[:, 0] & (status[:-1] == MISSING)] = INTERPOLATED
    return result, status


def _sample(file: FieldFile, start: int, stop: int, first: pd.DataFrame, method: str) -> np.ndarray:
    """Values at places of frames `start` … `stop` - 1: (n, places) float64; a day is in memory at a time."""
    rows, columns, weights = nodes(file.axes, *coordinates(first), method)
    values = np.zeros((stop - start, len(first)))
    for at, frames in file.slabs(start, stop):
        for k in range(rows.shape[1]):
            used = weights[:, k] > 0  # a missing node without weight does not matter
            part = weights[used, k] * frames[:, rows[used, k], columns[used, k]]
            values[at - start : at - start + len(frames), used] += part
    return values


def coordinates(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude (n,) of a table's rows, float64."""
    return table["latitude"].to_numpy(np.float64), table["longitude"].to_numpy(np.float64)
