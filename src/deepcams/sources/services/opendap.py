"""GEOS-CF from NASA's GrADS data server over OPeNDAP: boxes of a small region, a day of hours a call.

The server crashes when it is asked too much too quickly, so calls are `spacing` seconds apart and wait for `pause`
seconds after a failure. What it sends is not trusted: fill values lose their attribute, units are not given at all, and
failures arrive as zeros.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from deepcams.calendar import Month
from deepcams.config.source_conditions import MOST_OPENDAP_NODES
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FINE_STEP, Grid, describe, from_axes, locate
from deepcams.pollutants import Pollutant
from deepcams.progress import progress
from deepcams.sources.checks import check_magnitude, is_constant, kind_of, time_text, typical, unit_factor
from deepcams.sources.delivered import decode_times
from deepcams.sources.geoscf_names import V2, portal_path, variable_names, version_of
from deepcams.sources.services import dap
from deepcams.sources.services.hours import Hour, Wanted, first_sentence, write_hour
from deepcams.sources.services.http import Again, Guest, ServiceError, manner_of

NAME = "NASA's OPeNDAP server"
_NAME_LENGTH = 15  # characters that a GrADS server leaves of a variable's name
_FILL = 1e14  # what is above is GMAO's fill value, 1e15
T = TypeVar("T")


def fetch_month(
    month: Month,
    collection: str,
    pollutant: Pollutant,
    grid: Grid | None,
    folder: str | Path,
    services: dict,
    max_missing: float,
) -> Path:
    """Fetch the hours of a month that `folder` does not hold yet; returns the root for the reader of local files.

    grid : the fine box, at most 400,000 nodes.  services : the configuration's section.  max_missing : the fraction of
    hours that the server may lack.
    Raises ServiceError after the last try, and DeepcamsError for a box that is too large or a full disk.
    """
    if grid is None or grid.shape[0] * grid.shape[1] > MOST_OPENDAP_NODES:
        size = "the whole globe" if grid is None else describe(grid)
        raise DeepcamsError(
            f"{size} is too much for {NAME}, which is for boxes of at most {MOST_OPENDAP_NODES:,} nodes. Set "
            "geoscf.source: portal, or choose a smaller region."
        )
    folder, settings = Path(folder), services["opendap"]
    wanted = Wanted(month, collection, folder, max_missing)
    days = np.unique(wanted.times.astype("datetime64[D]"))
    jobs = [wanted.times[wanted.times.astype("datetime64[D]") == day] for day in days]
    names = variable_names(collection, pollutant)
    tree = "v2/ana" if version_of(collection) == V2 else "assim"
    url = f"{settings['url'].rstrip('/')}/{tree}/{collection}"
    pause = settings["pause"]
    manner = manner_of(services, wait=pause, longest=pause, spacing=settings["spacing"])
    try:
        with Guest(NAME, manner, connections=1) as guest:
            there = _look(guest, url, names, pollutant, grid) if jobs else None
            for times in progress(jobs, f"fetch GEOS-CF {month}", "hours", size=len, done=wanted.done):
                for time, frame in zip(times, _frames(guest, url, there, pollutant, times), strict=True):
                    if frame is None:
                        wanted.lacks(time)
                        continue
                    hour = Hour({names[0]: (frame, pollutant.units)}, grid, there.synthetic)
                    write_hour(folder / portal_path(time, collection), time, hour)
    except ServiceError as error:
        raise type(error)(f"{error} Or set geoscf.source: portal.", error.status) from error
    wanted.finish(NAME)
    return folder


@dataclass(frozen=True, eq=False)
class _There:
    """What the data set holds: its variable and dimensions, (T,) times, and the box's rows and runs of columns in the
    order of the server's axes.
    """

    variable: str
    dimensions: tuple[str, ...]
    times: np.ndarray
    rows: slice
    runs: list[slice]
    flip: bool
    units: str
    factor: float
    fills: list[float]
    synthetic: str | None


def _look(guest: Guest, url: str, names: tuple[str, ...], pollutant: Pollutant, grid: Grid) -> _There:
    declared = dict(
        reversed(guest.read(f"{url}.dds", _understood(lambda content: dap.arrays(content.decode("ascii")))))
    )
    about = guest.read(f"{url}.das", _understood(lambda content: dap.attributes(content.decode("utf-8", "replace"))))
    axes = guest.read(f"{url}.dods?time,lat,lon", _understood(dap.values))
    spellings = [*names, *(name.lower()[:_NAME_LENGTH] for name in names)]
    variable = next((name for name in spellings if name in declared), None)
    if variable is None:
        raise ServiceError(f"{NAME} has no variable {names[0]} at {url}, only {', '.join(declared)}.")
    try:
        there, flip, shift = from_axes(axes["lat"], axes["lon"])
        if there.step != FINE_STEP:
            raise DeepcamsError(f"The grid has a step of {there.step:g}° where {FINE_STEP:g}° is expected.")
        rows, columns = locate(grid, there)
        # GrADS servers leave units out: those of the collection are taken, and the magnitude has to agree.
        own = about.get(variable, {})
        units = own.get("units") or ("mol mol-1" if pollutant.is_gas else "ug m-3")
        factor = unit_factor(units, variable, pollutant)
        time = about.get("time", {})
        times = decode_times(axes["time"], time.get("units"), time.get("calendar", "standard"), "time")
        if (np.diff(times) <= np.timedelta64(0)).any():
            raise DeepcamsError("The times are out of order.")
    except DeepcamsError as error:
        raise ServiceError(f"{NAME} gives what cannot be used: {first_sentence(error)} ({url}).") from error
    if flip:
        rows = slice(len(axes["lat"]) - rows.stop, len(axes["lat"]) - rows.start)
    columns = (columns - shift) % len(axes["lon"])
    cuts = np.flatnonzero(np.diff(columns) != 1) + 1
    return _There(
        variable=variable,
        dimensions=declared[variable].dimensions,
        times=times,
        rows=rows,
        runs=[slice(int(run[0]), int(run[-1]) + 1) for run in np.split(columns, cuts)],
        flip=flip,
        units=units,
        factor=factor,
        fills=[float(own[name]) for name in ("_FillValue", "missing_value") if name in own],
        synthetic=about.get("NC_GLOBAL", {}).get("synthetic"),
    )


def _frames(guest: Guest, url: str, there: _There, pollutant: Pollutant, times: np.ndarray) -> list[np.ndarray | None]:
    """Frames (H, W) float32, pollutant's units, at the times (n,) of a day; None where there is nothing."""
    places = np.searchsorted(there.times, times)
    places[places == len(there.times)] = 0
    known = there.times[places] == times
    if not known.any():
        return [None] * len(times)
    first, last = int(places[known].min()), int(places[known].max())

    def frames(run: slice) -> Callable[[bytes], list[np.ndarray | None]]:
        def understand(content: bytes) -> list[np.ndarray | None]:
            block = dap.values(content)[there.variable]
            expected = (last + 1 - first, there.rows.stop - there.rows.start, run.stop - run.start)
            if block.size != np.prod(expected):
                raise ValueError(f"it holds {block.shape} values in place of {expected}")
            block = block.reshape(expected)
            return [_frame(block[place - first], there, pollutant, there.times[place]) for place in places[known]]

        return understand

    pieces = [guest.read(_box(url, there, first, last, run), _understood(frames(run))) for run in there.runs]
    whole = []
    for parts in zip(*pieces, strict=True):
        if all(part is None for part in parts):
            whole.append(None)
            continue
        frame = np.concatenate([np.full(_shape(there, run), np.nan, np.float32) if part is None else part
                                for part, run in zip(parts, there.runs, strict=True)], axis=-1)  # fmt: skip
        whole.append(np.ascontiguousarray(frame[::-1] if there.flip else frame))
    found = iter(whole)
    return [next(found) if is_known else None for is_known in known]


def _box(url: str, there: _There, first: int, last: int, run: slice) -> str:
    parts = {"time": slice(first, last + 1), "lat": there.rows, "lon": run}
    wanted = (parts.get(name, slice(0, 1)) for name in there.dimensions)
    return f"{url}.dods?{there.variable}.{there.variable}" + "".join(f"[{p.start}:{p.stop - 1}]" for p in wanted)


def _shape(there: _There, run: slice) -> tuple[int, int]:
    return there.rows.stop - there.rows.start, run.stop - run.start


def _frame(raw: np.ndarray, there: _There, pollutant: Pollutant, time: np.datetime64) -> np.ndarray | None:
    """Values as they were sent, in the pollutant's units and NaN where missing; None if all are."""
    missing = ~(np.abs(raw) < _FILL)
    for fill in there.fills:
        missing |= raw == np.float32(fill)
    if missing.all():
        return None
    frame = np.where(missing, np.nan, raw.astype(np.float64) * there.factor).astype(np.float32)
    where = f"{there.variable} at {time_text(time)}"
    if is_constant(frame):
        raise ValueError(f"{where} has the same value everywhere")
    check_magnitude(np.array([typical(frame, pollutant)]), there.units, where, pollutant)
    return frame


def _understood(understand: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """`understand`, with what it cannot use as a reason to ask again."""

    def attempt(content: bytes) -> T:
        if kind_of(content[:512]) == "html":  # its way to tell of a fault
            raise Again("sent a page of HTML in place of data")
        try:
            return understand(content)
        except (ValueError, KeyError, DeepcamsError) as error:
            raise Again(f"gives what cannot be used: {first_sentence(error)}") from error

    return attempt
