"""A pollutant's field in a file as a service delivers it: found, checked and decoded frame by frame.

The netCDF library is used directly: a month of GEOS-CF is 744 files, and xarray takes ten times as long to open one.
"""

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cftime
import netCDF4
import numpy as np

from deepcams.errors import DeepcamsError, damaged
from deepcams.grid.nodes import Grid, from_axes
from deepcams.pollutants import PM25, POLLUTANTS, Pollutant
from deepcams.sources import grib
from deepcams.sources.checks import kind_of, magic, refuse_kind, some, unit_factor

_LATITUDES, _LONGITUDES = ("latitude", "lat"), ("longitude", "lon")
_FILL_ATTRIBUTES = ("_FillValue", "missing_value", "fmissing_value")
# GMAO's fill value is 1e15 and OPeNDAP servers lose the attribute; no concentration comes near, in any unit.
_FILL = 1e14
_LONGEST = 1 << 20  # steps of an axis; a damaged file may state any number, and memory for them would be asked for
_LARGEST = 2 << 30  # bytes of what an archive is unpacked to in memory; a year of EAC4 needs a third of it


@dataclass(frozen=True, eq=False)
class Field:
    """An open variable whose axes are understood.

    times : (T,) datetime64[s] in the file's order, to the minute.  grid : in the workflow's order.  factor : to the
    pollutant's units.
    """

    where: str
    variable: netCDF4.Variable
    times: np.ndarray
    grid: Grid
    units: str
    factor: float
    synthetic: str | None
    flip: bool
    shift: int
    time_axis: int | None
    is_transposed: bool

    def frame(self, index: int) -> np.ndarray:
        """Frame `index` as (H, W) float32, in the pollutant's units, north to south, missing values NaN."""
        key = tuple(
            slice(None) if name in _LATITUDES + _LONGITUDES else index if axis == self.time_axis else 0
            for axis, name in enumerate(self.variable.dimensions)
        )
        try:
            raw = np.asarray(self.variable[key])
            values = self._decode(raw)
        except Exception as error:  # a damaged file can fail in any way
            raise _damaged(self.where, error) from error
        if self.is_transposed:
            values = values.T
        if self.flip:
            values = values[::-1]
        return np.ascontiguousarray(np.roll(values, self.shift, axis=-1) if self.shift else values)

    def _decode(self, raw: np.ndarray) -> np.ndarray:
        attributes = self.variable.ncattrs()
        scale = float(self.variable.getncattr("scale_factor")) if "scale_factor" in attributes else 1.0
        offset = float(self.variable.getncattr("add_offset")) if "add_offset" in attributes else 0.0
        missing = np.zeros(raw.shape, dtype=bool)
        for name in _FILL_ATTRIBUTES:
            if name in attributes:
                missing |= raw == self.variable.getncattr(name)
        if raw.dtype.kind != "f":
            if "_FillValue" not in attributes:
                missing |= raw == netCDF4.default_fillvals[raw.dtype.str[1:]]
        else:
            missing |= ~(np.abs(raw) < _FILL)
        values = raw
        if (scale, offset, self.factor) != (1.0, 0.0, 1.0):
            values = (raw.astype(np.float64) * scale + offset) * self.factor
        return np.where(missing, np.nan, values).astype(np.float32)


@contextmanager
def open_field(
    path: str | Path, names: tuple[str, ...], step: float, source: str, pollutant: Pollutant = PM25
) -> Iterator[Field]:
    """Open the variable `names` (spellings of one name) of a delivered file: NetCDF, GRIB, or a zip archive around one.

    step : the grid that is expected, degrees.  source : its name in messages.
    Raises DeepcamsError, naming the file, if it is something else, truncated, lacks the variable, or has axes or units
    that are not understood.
    """
    with _opened(path, names, pollutant) as (dataset, where):
        try:
            field = _understand(dataset, where, names, step, source, pollutant)
        except DeepcamsError:
            raise
        except Exception as error:  # a damaged file can fail in any way
            raise _damaged(where, error) from error
        yield field


@contextmanager
def _opened(path: str | Path, names: tuple[str, ...], pollutant: Pollutant) -> Iterator[tuple[netCDF4.Dataset, str]]:
    kind, content, where = magic(path), None, str(path)
    if kind == "zip":
        content, where = _unpack(path, names, pollutant)
    elif kind == "grib":
        content = grib.to_netcdf(Path(path).read_bytes(), where, names, pollutant)
    elif kind not in ("hdf5", "netcdf3"):
        raise refuse_kind(kind, where)
    if (kind if content is None else kind_of(content[:512])) == "netcdf3":
        _require_whole_netcdf3(path if content is None else io.BytesIO(content), where)
    with _dataset(path, content, where) as dataset:
        yield dataset, where


def _dataset(path: str | Path, content: bytes | None, where: str) -> netCDF4.Dataset:
    try:
        dataset = netCDF4.Dataset(str(path)) if content is None else netCDF4.Dataset("memory", memory=content)
    except Exception as error:  # as above
        raise _damaged(where, error) from error
    dataset.set_auto_maskandscale(False)
    return dataset


def _unpack(path: str | Path, names: tuple[str, ...], pollutant: Pollutant) -> tuple[bytes, str]:
    """The member of a zip archive that holds the variable, as NetCDF: its bytes and how to call it."""
    contents = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if not item.is_dir()]
            # Reading a member stops at the size that the archive states, so this bounds what is read.
            size = sum(item.file_size for item in members)
            if size > _LARGEST:
                raise DeepcamsError(
                    f"{path} is a zip archive of {size / 1e9:.1f} GB, more than is unpacked in memory "
                    f"({_LARGEST / 1e9:.1f} GB). Unpack it, one month to a file."
                )
            for item in members:
                contents[item.filename] = archive.read(item)
    except DeepcamsError:
        raise
    except Exception as error:  # as above
        raise damaged(
            error,
            f"{path} is a zip archive that is truncated or damaged ({error}). Delete it and fetch the data again.",
        ) from error
    found = []
    for name, content in sorted(contents.items()):
        where, kind = f"{path} ({name} in it)", kind_of(content[:512])
        if kind in ("hdf5", "netcdf3"):
            with _dataset(path, content, where) as dataset:
                if any(wanted in dataset.variables for wanted in names):
                    found.append((content, where))
        elif kind == "grib" and grib.holds(content, where, names):
            found.append((grib.to_netcdf(content, where, names, pollutant), where))
    if len(found) != 1:
        raise DeepcamsError(
            f"{path} is a zip archive with {len(found) or 'no'} files that hold {names[0]}, where one is expected; in "
            f"it: {some(sorted(contents)) or 'nothing'}. Unpack it and point the configuration to the right file."
        )
    return found[0]


def _require_whole_netcdf3(file: str | Path | io.BytesIO, where: str) -> None:
    """The netCDF library reads zeros past the end of a truncated netCDF-3 file; SciPy does not."""
    from scipy.io import netcdf_file

    try:
        netcdf_file(file, "r", mmap=False).close()
    except Exception as error:  # many kinds, one for each place where the file may end
        raise _damaged(where, error) from error


def _understand(
    dataset: netCDF4.Dataset, where: str, names: tuple[str, ...], step: float, source: str, pollutant: Pollutant
) -> Field:
    variable = next((dataset.variables[name] for name in names if name in dataset.variables), None)
    if variable is None:
        fields = [name for name, item in dataset.variables.items() if item.ndim >= 2] or list(dataset.variables)
        raise DeepcamsError(
            f"{where} holds no variable {names[0]}; it holds {some(fields) or 'nothing'}. "
            f"Fetch {pollutant.label} ({source}){_meant(fields, pollutant)}."
        )
    if max(variable.shape, default=0) > _LONGEST:
        raise DeepcamsError(
            f"{where} is damaged: {variable.name} has the shape {variable.shape}. Delete it and fetch the data again."
        )
    _cache_chunks(variable)
    where = f"{where}: {variable.name}"
    dimensions = variable.dimensions
    latitude, longitude = (_axis(dataset, variable, options, where) for options in (_LATITUDES, _LONGITUDES))
    time = _time_variable(dataset, variable, where)
    time_axis = dimensions.index(time.dimensions[0]) if time.ndim else None
    others = [
        name
        for axis, name in enumerate(dimensions)
        if axis != time_axis and name not in (latitude.name, longitude.name) and variable.shape[axis] != 1
    ]
    if others:
        raise DeepcamsError(
            f"{where} also varies along {', '.join(others)}, where one value per time and place is expected. "
            "Select the surface field before using the file."
        )
    axes = [np.asarray(axis[:], dtype=np.float64) for axis in (latitude, longitude)]
    if not all(np.isfinite(axis).all() for axis in axes):
        raise DeepcamsError(f"{where}: latitude or longitude has missing values. Fetch the file again.")
    try:
        grid, flip, shift = from_axes(*axes)
        if grid.step != step:
            raise DeepcamsError(f"The grid has a step of {grid.step:g}° where {step:g}° ({source}) is expected.")
    except DeepcamsError as error:
        raise DeepcamsError(f"{where}: {error} Fetch the data on the original {step:g}° grid of {source}.") from error
    units = variable.getncattr("units") if "units" in variable.ncattrs() else None
    return Field(
        where=where,
        variable=variable,
        times=_times(time, where),
        grid=grid,
        units=str(units),
        factor=unit_factor(units, where, pollutant),
        synthetic=str(dataset.getncattr("synthetic")) if "synthetic" in dataset.ncattrs() else None,
        flip=flip,
        shift=shift,
        time_axis=time_axis,
        is_transposed=dimensions.index(longitude.name) < dimensions.index(latitude.name),
    )


def _cache_chunks(variable: netCDF4.Variable) -> None:
    """Room for all chunks of a frame: files in memory get a cache of 1 MB, and a month was decoded 100 times over."""
    shape, chunk = variable.shape, variable.chunking()
    if chunk in (None, "contiguous") or len(shape) < 2:
        return
    frame = [-(-size // part) for size, part in zip(shape, chunk, strict=True)][-2:]
    size = math.prod(frame) * math.prod(chunk) * variable.dtype.itemsize
    if variable.get_var_chunk_cache()[0] < size <= _LARGEST:
        variable.set_var_chunk_cache(size=size + (1 << 20), nelems=1009)


def _meant(fields: list[str], wanted: Pollutant) -> str:
    """A hint at the pollutant that a file is of, where it is another one."""
    for other in POLLUTANTS.values():
        if other != wanted and set(fields) & {*other.cams, *other.geoscf_v1, *other.geoscf_v2}:
            return f", or say that it is {other.label} (pollutant {other.name})"
    return ""


def _axis(dataset: netCDF4.Dataset, variable: netCDF4.Variable, options: tuple[str, ...], where: str):
    for name in options:
        if name in variable.dimensions and name in dataset.variables and dataset.variables[name].ndim == 1:
            return dataset.variables[name]
    raise DeepcamsError(
        f"{where} has dimensions {variable.dimensions} and no axis {options[0]} that a regular grid would have. "
        "Fetch the data on their original latitude-longitude grid."
    )


def _time_variable(dataset: netCDF4.Dataset, variable: netCDF4.Variable, where: str) -> netCDF4.Variable:
    """The time that the field is valid at: `valid_time` if there is one, since `time` may be a forecast's start."""
    candidates = [
        item
        for name, item in dataset.variables.items()
        if (name in ("valid_time", "time") or getattr(item, "standard_name", "") == "time")
        and (item.ndim == 0 or (item.ndim == 1 and item.dimensions[0] in variable.dimensions and item.shape[0]))
    ]
    if not candidates:
        raise DeepcamsError(f"{where} has no time axis, or an empty one. Fetch the file again.")
    return max(candidates, key=lambda item: (item.name == "valid_time", item.ndim, item.name == "time"))


def _times(time: netCDF4.Variable, where: str) -> np.ndarray:
    units = time.getncattr("units") if "units" in time.ncattrs() else None
    return decode_times(time[...], units, getattr(time, "calendar", "standard"), where)


def decode_times(values: np.ndarray, units: str | None, calendar: str, where: str) -> np.ndarray:
    """(T,) datetime64[s], rounded to the minute: GrADS servers count days since year 1 in floating point.

    Raises DeepcamsError, which names `where`, for what is not understood.
    """
    values = np.atleast_1d(np.asarray(values))
    try:
        if units is None:
            raise ValueError("it has no units")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError("it has missing values")
        dates = cftime.num2date(values, units, calendar)
        stamps = np.array([date.isoformat() for date in np.atleast_1d(dates)], dtype="datetime64[ms]")
    except (AttributeError, ValueError, OverflowError, KeyError) as error:
        raise DeepcamsError(f"{where}: the time axis is not understood: {error}. Fetch the file again.") from error
    return (stamps + np.timedelta64(30, "s")).astype("datetime64[m]").astype("datetime64[s]")


def _damaged(where: str, error: Exception) -> DeepcamsError:
    return damaged(error, f"{where} is truncated or damaged ({error}). Delete it and fetch the data again.")
