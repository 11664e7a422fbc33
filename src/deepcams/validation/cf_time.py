"""What the time axis of any CF file says: instants, or means over which intervals (CF-1.11, 7.1, 7.3 and 4.4)."""

import re

import numpy as np
import xarray as xr

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError

STAMPS = ("begin", "middle", "end")
LONG = 20 * HOUR  # means over at least this long are those of days
LONGEST = 25 * HOUR  # a day when the clocks are put back
LONGEST_GAP = 3 * HOUR  # instants further apart are not bridged
MINUTE = np.timedelta64(60, "s")


def read_times(axis: xr.DataArray, where: str) -> np.ndarray:
    """Time stamps to the minute (files of float32 days are seconds off): (T,) datetime64[s], rising.

    Raises DeepcamsError naming `where` for times of other calendars, missing, or not in order.
    """
    if axis.dtype.kind != "M":
        raise DeepcamsError(
            f"{where}: its times cannot be read as dates of the Gregorian calendar (units "
            f"{axis.attrs.get('units', axis.encoding.get('units', 'not given'))!r}). Set CF units such as "
            "'hours since 2018-01-01' and calendar standard."
        )
    times = _to_minutes(axis.values)
    if not len(times) or np.isnat(times).any() or (np.diff(times) <= np.timedelta64(0)).any():
        raise DeepcamsError(f"{where}: its times are missing or do not rise steadily. Sort them, for instance by cdo.")
    return times


def intervals(
    data: xr.Dataset, name: str, field: xr.DataArray, times: np.ndarray, stamps: str | None, where: str
) -> np.ndarray | None:
    """The intervals (T, 2) of time means, datetime64[s]; None for instants.

    data : holds the axis `name`.  stamps : where in its interval a mean is stamped, of `STAMPS`; None: the file tells.
    Fields are means if their cell_methods say so, if their times have bounds (and cell_methods do not say "point"), if
    they are a day apart, or if `stamps` is given.
    Raises DeepcamsError where that cannot be told, or cannot be compared with hours: means that overlap or are longer
    than a day, instants off the full hour or more than three hours apart.
    """
    methods = str(field.attrs.get("cell_methods", ""))
    said = re.search(r"\btime: *(mean|point)", methods)
    bounds = data[name].attrs.get("bounds") or data[name].encoding.get("bounds")
    has_bounds = bounds in data and data[bounds].dtype.kind == "M"
    step = np.median(np.diff(times)).astype("timedelta64[s]") if len(times) > 1 else None
    is_point = said is not None and said.group(1) == "point"
    is_mean = said is not None and not is_point
    if stamps is None and not is_mean and (is_point or not (has_bounds or (step is not None and step >= LONG))):
        _check_instants(times, step, where)
        return None
    if stamps is None and has_bounds:
        return _checked(np.sort(_to_minutes(data[bounds].values), axis=1), where)
    if step is None:
        raise DeepcamsError(f"{where}: one time mean without bounds does not tell its interval. Add time bounds.")
    if stamps is None:
        raise DeepcamsError(
            f"{where}: its fields are means over {step / HOUR:g} h, and the file has no time bounds that tell which "
            "hours. Say where the stamps stand in the interval: begin, middle or end."
        )
    offset = {"begin": 0 * step, "middle": step // 2, "end": step}[stamps]
    return _checked(np.stack([times - offset, times - offset + step], axis=1), where)


def _to_minutes(times: np.ndarray) -> np.ndarray:
    seconds = times.astype("datetime64[s]")
    if times.dtype != seconds.dtype:  # to the nearest second first, then to the minute
        seconds = (times + np.timedelta64(500, "ms").astype("timedelta64[ns]")).astype("datetime64[s]")
    return (seconds + MINUTE // 2).astype("datetime64[m]").astype("datetime64[s]")


def _check_instants(times: np.ndarray, step: np.timedelta64 | None, where: str) -> None:
    if not np.all((times - times.astype("datetime64[h]")) == np.timedelta64(0, "s")):
        raise DeepcamsError(
            f"{where}: its fields are stamped off the full hour ({times[0]}), as hourly means are, but the file does "
            "not say that they are means. If so, say where the stamps stand in the interval: begin, middle or end."
        )
    if step is not None and step > LONGEST_GAP:
        raise DeepcamsError(
            f"{where}: its fields are instants {step / HOUR:g} h apart; what lies between is told for 3 h at most. "
            "Name a file with more fields, or of means."
        )


def _checked(found: np.ndarray, where: str) -> np.ndarray:
    """The intervals, if measurements can be averaged over them."""
    begins, ends = found.T
    if not (np.all(ends > begins) and np.all(begins[1:] >= ends[:-1])):
        raise DeepcamsError(
            f"{where}: the intervals of its time means are empty, overlap or do not follow one another. Running means "
            "cannot be compared with hours."
        )
    longest = (ends - begins).max()
    if longest > LONGEST:
        raise DeepcamsError(
            f"{where}: its fields are means over up to {longest / HOUR:g} h; means of hours or days can be compared."
        )
    return found
