"""GEOS-CF PM2.5, hour by hour, from files named and laid out like NASA's portal (Keller et al. 2021,
doi:10.1029/2020MS002413; files: GMAO Office Note 17).

Hourly means (`tavg`) are stamped at the middle of their hour, hh:30; instants (`inst`) at hh:00.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from deepcams.calendar import HOUR, Month
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FINE_STEP, Grid, describe, locate
from deepcams.sources.checks import check_magnitude, is_constant, require_same_origin, some, time_text, typical
from deepcams.sources.delivered import Field, open_field

VARIABLES = ("PM25_RH35_GCC", "pm25_rh35_gcc")
HOURLY_MEANS = "aqc_tavg_1hr_g1440x721_v1"
INSTANTS = "htf_inst_15mn_g1440x721_x1"
COLLECTIONS = (HOURLY_MEANS, INSTANTS)
TREES = ("ana", "das")  # both hold the same analyses; where one lacks an hour, the other may have it

# How much of the portal's path a copy may have kept.
_ROOTS = ("geos-cf/v1", "datashare/gmao/geos-cf/v1", "gmao/geos-cf/v1", "v1", "")
_STAMP = re.compile(r"\.(\d{4})(\d{2})(\d{2})_(\d{2})(\d{2})z\.")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Frames:
    """An open file of one hour or several.

    times : (T,) datetime64[s], ascending.  grid : of the frames.
    attributes : units, cell_methods, `synthetic` if it is.
    frames : yields the T fields once, (H, W) float32, ug m-3, missing values NaN; one is in memory at a time.
    """

    times: np.ndarray
    grid: Grid
    attributes: dict[str, str]
    frames: Iterator[np.ndarray]


@dataclass(eq=False)
class MonthFiles:
    """Where the hours of a month lie.

    times : (24n,) or (24n + 1,) datetime64[s].  paths : one for each, None where the hour is missing.
    missing : the month's missing hours so far; reading adds those whose frame turns out to hold nothing.
    """

    month: Month
    collection: str
    max_missing: float
    times: np.ndarray
    paths: list[Path | None]
    missing: list[np.datetime64] = field(default_factory=list)

    @property
    def first(self) -> Path:
        """A file that is there."""
        return next(path for path in self.paths if path is not None)


def portal_path(time: np.datetime64, collection: str, tree: str = "ana") -> str:
    """Path of one hour's file below the portal's `…/gmao/` (https://portal.nccs.nasa.gov/datashare/gmao/)."""
    year, month, day = str(time.astype("datetime64[D]")).split("-")
    clock = str(time.astype("datetime64[m]")).partition("T")[2].replace(":", "")
    name = f"GEOS-CF.v01.rpl.{collection}.{year}{month}{day}_{clock}z.nc4"
    return f"geos-cf/v1/{tree}/Y{year}/M{month}/D{day}/{name}"


def month_times(month: Month, collection: str) -> np.ndarray:
    """Stamps of a month's frames and of the next day's first one: (24n + 1,) datetime64[s]."""
    if collection not in COLLECTIONS:
        raise DeepcamsError(f"geoscf.collection {collection!r} is not known; choose one of {', '.join(COLLECTIONS)}.")
    own = month.mid_hours() if collection == HOURLY_MEANS else month.hours()
    return np.append(own, own[-1] + HOUR)


@contextmanager
def open_geoscf(path: str | Path, grid: Grid | None = None) -> Iterator[Frames]:
    """Open a file in the portal's layout, of one hour or several, global or a box, to read it frame by frame.

    grid : the fine box to cut out; None keeps what the file holds.
    Raises DeepcamsError, naming the file, for everything that is not PM2.5 on the 0.25° nodes at the name's hour; what
    is wrong with a frame is raised when it is asked for.
    """
    with open_field(path, VARIABLES, FINE_STEP, "GEOS-CF") as source:
        _check_name(Path(path), source)
        method = _cell_methods(Path(path), source)
        order = np.argsort(source.times)
        frames = (_checked_frame(source, int(index)) for index in order)
        if grid is not None:
            rows, columns = _locate(grid, source.grid, source.where)
            frames = (np.ascontiguousarray(frame[rows][:, columns]) for frame in frames)
        yield Frames(source.times[order], grid or source.grid, _attributes(method, source.synthetic), frames)


def read_geoscf(path: str | Path, grid: Grid | None = None) -> xr.DataArray:
    """Read a whole file as DataArray "pm25" (time, latitude, longitude) float32, ug m-3, in time order.

    Arguments and errors are those of `open_geoscf`.
    """
    with open_geoscf(path, grid) as file:
        values = np.empty((len(file.times), *file.grid.shape), dtype=np.float32)
        for index, frame in enumerate(file.frames):
            values[index] = frame
        return xr.DataArray(
            values,
            coords={"time": file.times, "latitude": file.grid.latitude, "longitude": file.grid.longitude},
            dims=("time", "latitude", "longitude"),
            name="pm25",
            attrs=file.attributes,
        )


def survey_month(root: str | Path, month: Month, collection: str, max_missing: float) -> MonthFiles:
    """Look for a month's files below `root` without opening any.

    root : a folder laid out like the portal from any level above Y2018 on; nature_run/portal is one.
    Raises DeepcamsError if more than the fraction `max_missing` of the month's hours is not there.
    """
    root = Path(root)
    times = month_times(month, collection)
    prefixes = _prefixes(root)
    paths = [_find(time, collection, prefixes) for time in times]
    if paths[-1] is None:
        times, paths = times[:-1], paths[:-1]
    files = MonthFiles(month, collection, max_missing, times, paths)
    files.missing += [time for time, path in zip(times, paths, strict=True) if path is None and time < month.end]
    if all(path is None for path in paths[: 24 * month.days]):
        raise DeepcamsError(
            f"There are no GEOS-CF files of {month} below {root}, for instance "
            f"{root / portal_path(times[0], collection)}. Put them there, or correct geoscf.path and geoscf.collection."
        )
    _check_missing(files, root)
    if files.missing:
        _log.warning("%s", _missing_text(files))
    return files


def month_attributes(files: MonthFiles) -> dict[str, str]:
    """Attributes of the month's field (units, cell_methods, `synthetic` if it is), from its first file."""
    with open_field(files.first, VARIABLES, FINE_STEP, "GEOS-CF") as source:
        return _attributes(_cell_methods(files.first, source), source.synthetic)


def month_grid(files: MonthFiles) -> Grid:
    """The grid of the month's first file."""
    with open_field(files.first, VARIABLES, FINE_STEP, "GEOS-CF") as source:
        return source.grid


def read_month(files: MonthFiles, grid: Grid | None = None) -> Iterator[tuple[np.datetime64, np.ndarray]]:
    """Yield (time, frame) hour by hour, one frame in memory at a time; (H, W) float32, ug m-3.

    grid : the fine box to cut out; None keeps that of the first file.  A missing hour is a frame of NaN.
    Raises DeepcamsError for damaged, wrong or constant files, and when hours that hold nothing bring the missing
    ones above the fraction allowed.
    """
    grid = grid or month_grid(files)
    origin: tuple[str, dict[str, object]] | None = None
    for time, path in zip(files.times, files.paths, strict=True):
        if path is None:
            yield time, np.full(grid.shape, np.nan, dtype=np.float32)
            continue
        with open_field(path, VARIABLES, FINE_STEP, "GEOS-CF") as source:
            _check_name(path, source)
            if len(source.times) != 1:
                raise DeepcamsError(f"{path} holds {len(source.times)} hours where its name says one. Fetch it again.")
            attributes = {"synthetic": source.synthetic}
            origin = origin or (str(path), attributes)
            require_same_origin({origin[0]: origin[1], str(path): attributes})
            rows, columns = _locate(grid, source.grid, source.where)
            frame = np.ascontiguousarray(_checked_frame(source, 0)[rows][:, columns])
        if np.isnan(frame).all() and time < files.month.end:
            files.missing.append(time)
            files.missing.sort()
            _check_missing(files, path.parent)
            _log.warning("%s holds nothing but missing values; its hour counts as missing.", path)
        yield time, frame


def _prefixes(root: Path) -> list[Path]:
    """The folders below `root` that may hold Y2018, Y2019 …"""
    prefixes = [root / base / tree for base in _ROOTS for tree in TREES] + [root]
    return [prefix for prefix in prefixes if prefix.is_dir()]


def _find(time: np.datetime64, collection: str, prefixes: list[Path]) -> Path | None:
    below = portal_path(time, collection).partition("/ana/")[2]
    return next((prefix / below for prefix in prefixes if (prefix / below).is_file()), None)


def _check_missing(files: MonthFiles, root: Path) -> None:
    if len(files.missing) > files.max_missing * 24 * files.month.days:
        raise DeepcamsError(
            f"{_missing_text(files)} That is more than geoscf.max_missing ({files.max_missing:g}) allows. Fetch them "
            f"to {root}, or raise geoscf.max_missing."
        )


def _missing_text(files: MonthFiles) -> str:
    hours = some([time_text(time) for time in files.missing])
    return f"GEOS-CF {files.month}: {len(files.missing)} of {24 * files.month.days} hours are missing: {hours}."


def _check_name(path: Path, source: Field) -> None:
    unique, counts = np.unique(source.times, return_counts=True)
    if (counts > 1).any():
        repeated = some([time_text(time) for time in unique[counts > 1]])
        raise DeepcamsError(f"{source.where}: {repeated} is there more than once. Fetch the file again.")
    stamp = _STAMP.search(path.name)
    if stamp is None:
        return
    year, month, day, hour, minute = stamp.groups()
    named = np.datetime64(f"{year}-{month}-{day}T{hour}:{minute}:00", "s")
    if named not in source.times:
        raise DeepcamsError(
            f"{source.where} is of {some([time_text(time) for time in unique])}, but the file's name says "
            f"{time_text(named)}. Delete the file and fetch it again."
        )


def _cell_methods(path: Path, source: Field) -> str:
    minutes = np.unique((source.times - source.times.astype("datetime64[h]")) / np.timedelta64(60, "s"))
    if np.array_equal(minutes, [30]) and "_inst_" not in path.name:
        return "time: mean (interval: 1 hour)"
    if np.array_equal(minutes, [0]) or "_inst_" in path.name:
        return "time: point"
    raise DeepcamsError(
        f"{source.where} has times {some([time_text(time) for time in source.times])}, which are neither means (hh:30) "
        f"nor instants (hh:00). Use the collection {HOURLY_MEANS} or {INSTANTS}."
    )


def _checked_frame(source: Field, index: int) -> np.ndarray:
    frame = source.frame(index)
    where = f"{source.where} at {time_text(source.times[index])}"
    if is_constant(frame):
        raise DeepcamsError(
            f"{where} has the same value everywhere; such frames come from failed transfers. Delete the file and "
            "fetch it again."
        )
    check_magnitude(np.array([typical(frame)]), source.units, where)
    return frame


def _locate(grid: Grid, there: Grid, where: str) -> tuple[slice, np.ndarray]:
    try:
        return locate(grid, there)
    except DeepcamsError as error:
        raise DeepcamsError(f"{where} does not cover {describe(grid)}: {error} Fetch the whole area.") from error


def _attributes(method: str, synthetic: str | None) -> dict[str, str]:
    attributes = {
        "standard_name": "mass_concentration_of_pm2p5_ambient_aerosol_particles_in_air",
        "long_name": "PM2.5 near the surface at 35 % relative humidity, GEOS-CF",
        "units": "ug m-3",
        "cell_methods": method,
    }
    if synthetic:
        attributes["synthetic"] = synthetic
    return attributes
