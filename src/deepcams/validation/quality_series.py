"""Quality control of a station's values in their order: averaging of short periods, stuck runs, outliers.

All functions take rows as `quality.control_quality` has them, ordered by station and time: `station` (int), `time`
(int64 seconds UTC, end of the averaging period), `averaging_hours`, `value` (in the product's units), `delivered` (as
it was measured) and `factor` (value over delivered). period : hours, the averaging period that is asked for.
"""

import numpy as np
import pandas as pd

_DECIMALS = 4  # the finest that values are looked at for
_FEW_STEPS = 10
_PATIENCE = 10
_FLOOR = 0.5
_FEWEST = 10
_LONGEST = 3  # hours
_TO_SIGMA = 1.4826  # of a normal distribution: its standard deviation over its median absolute deviation
_EPSILON = 1e-9


def period_end(time: np.ndarray, hours: np.ndarray, period: float) -> np.ndarray:
    """End of the period in which the middle of each measurement lies; (N,) int64 seconds. Hours end at full hours."""
    step = round(3600 * period)
    return -(-(time - np.round(1800 * hours).astype(np.int64)) // step) * step


def too_little(rows: pd.DataFrame, period: float, coverage: float) -> np.ndarray:
    """Which rows are of shorter measurements that together cover less than a share of their period: (N,) bool."""
    short, group, covered = _parts(rows, period)
    bad = np.zeros(len(rows), bool)
    bad[short] = (np.bincount(group, covered) < coverage * period - _EPSILON)[group]
    return bad


def averaged(rows: pd.DataFrame, period: float) -> pd.DataFrame:
    """The rows with those of shorter measurements averaged, by the time that each covers; the last one stands for all.

    None of them may be in a period that was measured as a whole.
    """
    short, group, covered = _parts(rows, period)
    if not short.size:
        return rows
    kept = np.ones(len(rows), bool)
    kept[short[:-1]] = group[1:] != group[:-1]
    last = short[kept[short]]
    value, time, hours = (rows[name].to_numpy(copy=True) for name in ("value", "time", "averaging_hours"))
    time[last] = period_end(time[last], hours[last], period)
    value[last] = np.bincount(group, covered * value[short]) / np.bincount(group, covered)
    hours[last] = period
    rows = rows.assign(value=value, time=time, averaging_hours=hours, delivered=value / rows["factor"].to_numpy())[kept]
    return rows.iloc[np.lexsort((rows["time"].to_numpy(), rows["station"].to_numpy()))]


def is_stuck(rows: pd.DataFrame, hours: int, period: float) -> np.ndarray:
    """Which rows are in a run of the same value over at least `hours` consecutive periods: (N,) bool.

    Values of less than ten steps of what a station's numbers are rounded to must last ten times as long: clean air in
    whole µg/m³ often stays the same for half a day. (A log-normal process of median 2, logarithmic standard deviation
    0.6 and hourly autocorrelation 0.95, rounded to integers: 31 % of the hours are in runs of 9 and more, 0.02 % in
    runs of 90. Of median 15, values of ten and more: 0.00 % are in runs of 9; 0.01 % with an autocorrelation of 0.98.)
    """
    station, time, delivered = (rows[name].to_numpy() for name in ("station", "time", "delivered"))
    same = (station[1:] == station[:-1]) & (delivered[1:] == delivered[:-1]) & (np.diff(time) == round(3600 * period))
    run = np.concatenate([[0], np.cumsum(~same)])
    few = np.abs(delivered) < _FEW_STEPS * _rounded_to(station, delivered)[station]
    return np.bincount(run)[run] >= np.where(few, _PATIENCE * hours, hours)


def is_outlier(rows: pd.DataFrame, limit: float, days: float, period: float) -> np.ndarray:
    """Which rows are in an excursion that is far out and short: (N,) bool.

    Far out: the square root of the value is more than `limit` times the scaled median absolute deviation of roots from
    the median root, over a window of about `days` days of the calendar month; the deviation is at least 0.5 (µg/m³)^½
    or (nmol/mol)^½, for constant stations. (The raw values are skewed, so that any smoke is far out; of logarithms
    nothing is: ten deviations are a factor of hundreds.) Windows of less than ten values are not judged.
    Short: the values before and after it, which are not far out, leave it room for 3 hours (or one period) at most;
    excursions less than 3 hours apart are one. So fires and dust stay, and the ends of a series.
    What is found is taken out and the rest judged again, until nothing is found. The limit of ten deviations in 15 days
    is that of Hassani et al. (2025).
    """
    station, time = (rows[name].to_numpy() for name in ("station", "time"))
    value = rows["value"].to_numpy()
    root = np.sign(value) * np.sqrt(np.abs(value))
    window = _window(time, days)
    out = np.zeros(len(rows), bool)
    todo = np.arange(len(rows))
    while todo.size:
        far = _far_out(root[todo], station[todo], window[todo], limit)
        found = todo[_in_short_excursion(far, station[todo], time[todo], period)]
        out[found] = True
        again = np.zeros(station[-1] + 1, bool)
        again[station[found]] = True
        todo = np.flatnonzero(again[station] & ~out)
    return out


def _parts(rows: pd.DataFrame, period: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measurements shorter than the period: their rows (M,), by station, period and time, the number of the station's
    period that each is in (M,), and how many hours of it each adds to what those before it cover (M,)."""
    station, time, hours = (rows[name].to_numpy() for name in ("station", "time", "averaging_hours"))
    short = np.flatnonzero(hours < period)
    end = period_end(time[short], hours[short], period)
    order = np.lexsort((time[short], end, station[short]))
    short, end = short[order], end[order]
    new = np.ones(short.size, bool)
    new[1:] = (station[short][1:] != station[short][:-1]) | (end[1:] != end[:-1])
    since = np.diff(time[short], prepend=0) / 3600
    return short, np.cumsum(new) - 1, np.where(new, hours[short], np.minimum(hours[short], since))


def _rounded_to(station: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What the values of each station are rounded to, by its number: 1, 0.1 … 0.0001."""
    result = np.full(station[-1] + 1, 10.0**-_DECIMALS)
    for decimals in reversed(range(_DECIMALS)):
        scaled = values * 10**decimals
        odd = np.abs(scaled - np.rint(scaled)) > 1e-6 * np.maximum(1.0, np.abs(scaled))
        result[np.bincount(station, odd) == 0] = 10.0**-decimals
    return result


def _window(time: np.ndarray, days: float) -> np.ndarray:
    """Number of the window of each time (N,): a month is cut into as many as fit best, the last takes what is over."""
    stamp = time.astype("datetime64[s]")
    month = stamp.astype("datetime64[M]")
    first, following = month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
    number = np.maximum(np.rint((following - first).astype(np.int64) / days), 1)
    day = (stamp.astype("datetime64[D]") - first).astype(np.int64)
    return 64 * month.astype(np.int64) + np.minimum(day // days, number - 1).astype(np.int64)


def _far_out(root: np.ndarray, station: np.ndarray, window: np.ndarray, limit: float) -> np.ndarray:
    """1 where a value is far above its window's median, -1 where far below, else 0."""
    new = np.ones(root.size, bool)
    new[1:] = (station[1:] != station[:-1]) | (window[1:] != window[:-1])
    group = np.cumsum(new) - 1
    away = root - _medians(root, group)[group]
    spread = np.maximum(_TO_SIGMA * _medians(np.abs(away), group), _FLOOR)
    judged = np.bincount(group) >= _FEWEST
    return np.where((np.abs(away) > limit * spread[group]) & judged[group], np.sign(away), 0)


def _medians(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Median of each group; groups are numbered 0, 1, … in the order of the rows."""
    inside = values[np.lexsort((values, group))]
    count = np.bincount(group)
    start = np.cumsum(count) - count
    return (inside[start + (count - 1) // 2] + inside[start + count // 2]) / 2


def _in_short_excursion(far: np.ndarray, station: np.ndarray, time: np.ndarray, period: float) -> np.ndarray:
    step = round(3600 * period)
    longest = max(3600 * _LONGEST, step)
    at = np.flatnonzero(far)
    new = np.ones(at.size, bool)
    before = at[:-1]
    new[1:] = (
        (station[at[1:]] != station[before]) | (far[at[1:]] != far[before]) | (time[at[1:]] - time[before] > longest)
    )
    first, last = at[new], at[np.append(new[1:], True)] if at.size else at
    left, right = np.maximum(first - 1, 0), np.minimum(last + 1, station.size - 1)
    inside = (left < first) & (right > last) & (station[left] == station[first]) & (station[right] == station[last])
    short = inside & (time[right] - time[left] - step <= longest)
    result = np.zeros(station.size, bool)
    result[at] = short[np.cumsum(new) - 1] if at.size else False
    return result
