"""GEOS-CF near the surface, hour by hour, from files named and laid out like NASA's portal (Keller et al. 2021,
doi:10.1029/2020MS002413; files: GMAO Office Note 17).

Hourly means (`tavg`) are stamped at the middle of their hour, hh:30; instants (`inst`) at hh:00.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FINE_STEP, Grid, describe, locate
from deepcams.pollutants import PM25, Pollutant
from deepcams.sources.checks import check_magnitude, is_constant, require_same_origin, some, time_text, typical
from deepcams.sources.delivered import Field, open_field
from deepcams.sources.geoscf_names import (
    HOURLY_MEANS,
    INSTANTS,
    TREES,
    V1,
    V2,
    local_roots,
    month_times,
    portal_path,
    portal_paths,
    variable_names,
    version_of,
)

_STAMP = re.compile(r"\.(\d{4})(\d{2})(\d{2})_(\d{2})(\d{2})z\.")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Frames:
    """An open file of one hour or several.

    times : (T,) datetime64[s], ascending.  grid : of the frames.
    attributes : units, cell_methods, geoscf_version where it can be told, `synthetic` if it is.
    frames : yields the T fields once, (H, W) float32, in the pollutant's units, missing values NaN; one is in memory
    at a time.
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
    pollutant: Pollutant
    max_missing: float
    times: np.ndarray
    paths: list[Path | None]
    missing: list[np.datetime64] = field(default_factory=list)

    @property
    def first(self) -> Path:
        """A file that is there."""
        return next(path for path in self.paths if path is not None)


@contextmanager
def open_geoscf(path: str | Path, grid: Grid | None = None, pollutant: Pollutant = PM25) -> Iterator[Frames]:
    """Open a file in the portal's layout, of one hour or several, global or a box, to read it frame by frame.

    grid : the fine box to cut out; None keeps what the file holds.
    Raises DeepcamsError, naming the file, for everything that is not the pollutant on the 0.25° nodes at the name's
    hour; what is wrong with a frame is raised when it is asked for.
    """
    names = (*pollutant.geoscf_v1, *pollutant.geoscf_v2)
    with open_field(path, names, FINE_STEP, "GEOS-CF", pollutant) as source:
        _check_name(Path(path), source)
        method = _cell_methods(Path(path), source)
        order = np.argsort(source.times)
        frames = (_checked_frame(source, int(index), pollutant) for index in order)
        if grid is not None:
            rows, columns = _locate(grid, source.grid, source.where)
            frames = (np.ascontiguousarray(frame[rows][:, columns]) for frame in frames)
        attributes = _attributes(pollutant, method, source.synthetic)
        version = _version(Path(path), source.variable.name, pollutant)
        if version:
            attributes["geoscf_version"] = version
        yield Frames(source.times[order], grid or source.grid, attributes, frames)


def read_geoscf(path: str | Path, grid: Grid | None = None, pollutant: Pollutant = PM25) -> xr.DataArray:
    """Read a whole file as DataArray (time, latitude, longitude) float32, named and in units as `pollutant` says, in
    time order.

    Arguments and errors are those of `open_geoscf`.
    """
    with open_geoscf(path, grid, pollutant) as file:
        values = np.empty((len(file.times), *file.grid.shape), dtype=np.float32)
        for index, frame in enumerate(file.frames):
            values[index] = frame
        return xr.DataArray(
            values,
            coords={"time": file.times, "latitude": file.grid.latitude, "longitude": file.grid.longitude},
            dims=("time", "latitude", "longitude"),
            name=pollutant.name,
            attrs=file.attributes,
        )


def survey_month(
    root: str | Path, month: Month, collection: str, max_missing: float, pollutant: Pollutant = PM25
) -> MonthFiles:
    """Look for a month's files below `root` without opening any.

    root : a folder laid out like the portal from any level above Y2018 on; nature_run/portal is one.
    Raises DeepcamsError if more than the fraction `max_missing` of the month's hours is not there.
    """
    root = Path(root)
    times = month_times(month, collection)
    prefixes = _prefixes(root, version_of(collection))
    paths = [_find(time, collection, prefixes) for time in times]
    if paths[-1] is None:
        times, paths = times[:-1], paths[:-1]
    files = MonthFiles(month, collection, pollutant, max_missing, times, paths)
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
    with _open_hour(files.first, variable_names(files.collection, files.pollutant), files.pollutant) as source:
        return _attributes(files.pollutant, _cell_methods(files.first, source), source.synthetic)


def month_grid(files: MonthFiles) -> Grid:
    """The grid of the month's first file."""
    with _open_hour(files.first, variable_names(files.collection, files.pollutant), files.pollutant) as source:
        return source.grid


def read_hour(
    path: Path,
    names: tuple[str, ...],
    pollutant: Pollutant,
    grid: Grid | None = None,
    check: Callable[[np.ndarray, Field, str, Pollutant], None] | None = None,
) -> tuple[np.ndarray, Grid, str | None]:
    """The frame of a file of one hour: (H, W) float32 in the pollutant's units, its grid, and what `synthetic` says.

    names : spellings of the variable.  grid : the fine box to cut out.  check : of the whole frame, in place of the
    one for a pollutant's magnitude.
    Raises DeepcamsError for damaged, wrong or constant files.
    """
    with _open_hour(path, names, pollutant) as source:
        frame = _checked_frame(source, 0, pollutant, check)
        if grid is None:
            return frame, source.grid, source.synthetic
        rows, columns = _locate(grid, source.grid, source.where)
        return np.ascontiguousarray(frame[rows][:, columns]), grid, source.synthetic


@contextmanager
def _open_hour(path: Path, names: tuple[str, ...], pollutant: Pollutant) -> Iterator[Field]:
    with open_field(path, names, FINE_STEP, "GEOS-CF", pollutant) as source:
        _check_name(path, source)
        if len(source.times) != 1:
            raise DeepcamsError(f"{path} holds {len(source.times)} hours where its name says one. Fetch it again.")
        yield source


def read_month(files: MonthFiles, grid: Grid | None = None) -> Iterator[tuple[np.datetime64, np.ndarray]]:
    """Yield (time, frame) hour by hour, one frame in memory at a time; (H, W) float32, pollutant's units.

    grid : the fine box to cut out; None keeps that of the first file.  A missing hour is a frame of NaN.
    Raises DeepcamsError for damaged, wrong or constant files, and when hours that hold nothing bring the missing
    ones above the fraction allowed.
    """
    grid, names = grid or month_grid(files), variable_names(files.collection, files.pollutant)
    origin: tuple[str, dict[str, object]] | None = None
    for time, path in zip(files.times, files.paths, strict=True):
        if path is None:
            yield time, np.full(grid.shape, np.nan, dtype=np.float32)
            continue
        frame, _, synthetic = read_hour(path, names, files.pollutant, grid)
        attributes = {"synthetic": synthetic}
        origin = origin or (str(path), attributes)
        require_same_origin({origin[0]: origin[1], str(path): attributes})
        if np.isnan(frame).all() and time < files.month.end:
            files.missing.append(time)
            files.missing.sort()
            _check_missing(files, path.parent)
            _log.warning("%s holds nothing but missing values; its hour counts as missing.", path)
        yield time, frame


def _prefixes(root: Path, version: str) -> list[Path]:
    """The folders below `root` that may hold Y2018, Y2019 …"""
    prefixes = [root / base / tree for base in local_roots(version) for tree in TREES] + [root]
    return [prefix for prefix in prefixes if prefix.is_dir()]


def _find(time: np.datetime64, collection: str, prefixes: list[Path]) -> Path | None:
    # Below a tree both of version 1 look alike, and version 2 has one.
    below = dict.fromkeys(path.split("/", 3)[3] for path in portal_paths(time, collection))
    return next((prefix / path for prefix in prefixes for path in below if (prefix / path).is_file()), None)


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


def _checked_frame(source: Field, index: int, pollutant: Pollutant, check: Callable | None = None) -> np.ndarray:
    frame = source.frame(index)
    where = f"{source.where} at {time_text(source.times[index])}"
    if is_constant(frame):
        raise DeepcamsError(
            f"{where} has the same value everywhere; such frames come from failed transfers. Delete the file and "
            "fetch it again."
        )
    (check or _check_typical)(frame, source, where, pollutant)
    return frame


def _check_typical(frame: np.ndarray, source: Field, where: str, pollutant: Pollutant) -> None:
    check_magnitude(np.array([typical(frame, pollutant)]), source.units, where, pollutant)


def _locate(grid: Grid, there: Grid, where: str) -> tuple[slice, np.ndarray]:
    try:
        return locate(grid, there)
    except DeepcamsError as error:
        raise DeepcamsError(f"{where} does not cover {describe(grid)}: {error} Fetch the whole area.") from error


def _version(path: Path, variable: str, pollutant: Pollutant) -> str | None:
    """The version a file is of, by its variable or its name; None where neither tells."""
    for version, own, other, start in (
        (V1, pollutant.geoscf_v1, pollutant.geoscf_v2, "GEOS-CF.v01."),
        (V2, pollutant.geoscf_v2, pollutant.geoscf_v1, "GEOS.cf."),
    ):
        if (variable in own and variable not in other) or path.name.startswith(start):
            return version
    return None


def _attributes(pollutant: Pollutant, method: str, synthetic: str | None) -> dict[str, str]:
    name = pollutant.long_name
    if not pollutant.is_gas:
        name = f"{pollutant.label} near the surface at 35 % relative humidity"
    attributes = {
        "standard_name": pollutant.standard_name,
        "long_name": f"{name}, GEOS-CF",
        "units": pollutant.units,
        "cell_methods": method,
    }
    if synthetic:
        attributes["synthetic"] = synthetic
    return attributes
