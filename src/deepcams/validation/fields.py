"""Reading fields slab by slab: the workflow's own, or those of any CF file."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from deepcams.calendar import ANALYSIS, MISSING, STATUS_MEANINGS, hour_status
from deepcams.errors import DeepcamsError, damaged
from deepcams.files import chunks
from deepcams.grid.nodes import Grid, from_axes
from deepcams.pollutants import Pollutant
from deepcams.sources.checks import magic, refuse_kind, some, unit_factor
from deepcams.validation.axes import Axes, axes_of
from deepcams.validation.cf_time import intervals, read_times

SLAB = 24  # frames read at once: one day, the time chunk of the workflow's files
# What CF and habit call the coordinates; the standard name counts first.
_NAMES = {
    "time": ("time", "valid_time", "date", "datetime"),
    "latitude": ("latitude", "lat", "y"),
    "longitude": ("longitude", "lon", "x"),
}


class FieldFile:
    """A file of fields over time, latitude and longitude, read north to south; a context manager.

    variable : which; None: the one with the pollutant's standard name, or the file's one field.
    pollutant : None for the workflow's own files, whose units and times are known. Otherwise the units are converted to
    the pollutant's, and stamps are understood by CF (cell_methods and bounds).
    stamps : where in its interval a time mean is stamped ("begin", "middle", "end"), for files that do not say so.

    is_own : whether it is the workflow's.  times : (T,) datetime64[s].  bounds : (T, 2) datetime64[s], the intervals of
    time means; None for instants.
    axes : Axes.  attributes : the file's global attributes.
    synthetic : the sentence that marks data of the nature run, None for real data.
    Raises DeepcamsError if the file cannot be read, holds no such field, or says too little about it.
    """

    def __init__(
        self,
        path: str | Path,
        variable: str | None = None,
        *,
        pollutant: Pollutant | None = None,
        stamps: str | None = None,
    ):
        self.path = Path(path)
        self._data = _opened(self.path, own=pollutant is None)
        try:
            self._describe(variable, pollutant, stamps)
            self._chunked = None
            if self._data[self.variable].dims == self._field.dims and magic(self.path) == "hdf5":
                self._chunked = _Chunked.of(self.path, self.variable, self._field)
        except BaseException as error:
            self._data.close()
            if isinstance(error, DeepcamsError) or not isinstance(error, Exception):
                raise
            raise self._damaged(error) from error  # a damaged file can fail in any way
        self._day: tuple[int, np.ndarray] | None = None

    def _damaged(self, error: Exception) -> DeepcamsError:
        return damaged(error, f"{self.path} is damaged or misshapen ({error}). Delete it and fetch or make it again.")

    def _describe(self, variable: str | None, pollutant: Pollutant | None, stamps: str | None) -> None:
        names = {axis: _coordinate(self._data, axis, self.path) for axis in _NAMES}
        self._field = _field(self._data, variable, pollutant, names, self.path)
        self._factor = 1.0
        where = f"{self.path}, variable {self._field.name}"
        if pollutant is not None:
            self._factor = unit_factor(self._field.attrs.get("units"), where, pollutant)
        self.is_own = pollutant is None
        self.times = read_times(self._data[names["time"]], where)
        self.bounds = None
        if not self.is_own:
            self.bounds = intervals(self._data, names["time"], self._field, self.times, stamps, where)
        latitude, longitude = (self._data[names[axis]].values for axis in ("latitude", "longitude"))
        self.axes, self._flip, self._shift = axes_of(latitude, longitude, str(self.path))
        self.attributes = dict(self._data.attrs)
        self.synthetic = self.attributes.get("synthetic")

    @cached_property  # networks recognise a grid that they have seen
    def grid(self) -> Grid:
        """The axes as one of the workflow's two grids. Raises DeepcamsError for any other."""
        return from_axes(self.axes.latitude, self.axes.longitude)[0]

    @property
    def variable(self) -> str:
        """Name of the field in the file."""
        return str(self._field.name)

    def __enter__(self) -> "FieldFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._data.close()
        if self._chunked is not None:
            self._chunked.close()

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames `start` … `stop` - 1: (n, H, W) float32, missing values NaN."""
        stop = min(stop, len(self.times))
        try:
            if self._chunked is not None:
                values = self._chunked.read(start, stop)
            else:
                values = self._field.isel({self._field.dims[0]: slice(start, stop)}).values
                values = values.astype(np.float32, copy=False)
        except DeepcamsError:
            raise
        except Exception as error:  # as above
            raise self._damaged(error) from error
        if self._factor != 1.0:
            values = values * np.float32(self._factor)
        if self._flip:
            values = values[:, ::-1]
        return np.roll(values, self._shift, axis=-1) if self._shift else values

    def frame(self, index: int) -> np.ndarray:
        """One frame (H, W) float32. Its day is kept, so going through the hours decodes every chunk once."""
        start = int(index) // SLAB * SLAB
        if self._day is None or self._day[0] != start:
            self._day = None  # frees the last day before the next one is read
            self._day = start, self.read(start, start + SLAB)
        return self._day[1][int(index) - start]

    def slabs(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index of the first frame, frames) by the day; no slab reaches over a chunk border."""
        stop = len(self.times) if stop is None else stop
        while start < stop:
            end = min(stop, (start // SLAB + 1) * SLAB)
            yield start, self.read(start, end)
            start = end

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """Index of the frame at each wanted instant, -1 where there is none: (n,) int64."""
        position = np.searchsorted(self.times, wanted)
        position[position == len(self.times)] = 0
        return np.where(self.times[position] == wanted, position, -1)

    def status(self) -> np.ndarray:
        """How each frame came about: (T,) int8, flags of `deepcams.calendar`; from `time_status` if the file has it.

        Other files than the workflow's know no such difference: all analyses.
        """
        if "time_status" in self._data:
            meanings = str(self._data["time_status"].attrs.get("flag_meanings", STATUS_MEANINGS))
            if meanings != STATUS_MEANINGS:
                raise DeepcamsError(f"{self.path}: time_status has the meanings {meanings!r}, not {STATUS_MEANINGS!r}.")
            # A fill value would turn the flags into floats; whatever is no flag counts as missing.
            values = self._data["time_status"].values
            return np.where(np.isfinite(values), values, MISSING).astype(np.int8)
        if self.is_own:
            return hour_status(self.times, self.times[0], self.times[-1])
        return np.full(len(self.times), ANALYSIS, dtype=np.int8)


class _Chunked:
    """The chunks of a field that are compressed as the workflow's are: decoded by igzip, twice as fast and more.

    HDF5's own deflate would take half of the time of a collocation.
    """

    def __init__(self, file: h5py.File, variable: str):
        self._file, self._dataset, self._pool = file, file[variable], ThreadPoolExecutor(2)

    @classmethod
    def of(cls, path: Path, variable: str, field: xr.DataArray) -> "_Chunked | None":
        """The field's chunks; None if they are stored otherwise, or hold anything but plain numbers in their order."""
        file = h5py.File(path, "r")
        data = file[variable]
        made = data.id.get_create_plist()
        filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
        plain = not {"scale_factor", "add_offset"} & set(field.encoding)
        fills = [data.attrs[name] for name in ("_FillValue", "missing_value") if name in data.attrs]
        whole = data.ndim == 3 and data.shape == field.shape and data.chunks is not None
        if (
            whole
            and plain
            and all(np.isnan(np.asarray(fill, dtype=np.float64)).all() for fill in fills)
            and data.dtype == np.dtype("<f4")
            and filters == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE]
            and data.id.get_num_chunks() == chunks.count(data.shape, data.chunks)
        ):
            return cls(file, variable)
        file.close()
        return None

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames as they lie in the file: (n, H, W) float32. Raises DeepcamsError if a chunk is damaged."""
        try:
            return chunks.read_chunks(self._dataset, self._pool, start, stop)
        except ValueError as error:
            raise DeepcamsError(f"{self._file.filename} is damaged: {error}. Delete it and make it anew.") from error

    def close(self) -> None:
        self._pool.shutdown()
        self._file.close()


def require_same_origin(*files: FieldFile) -> str | None:
    """The common `synthetic` mark of files; raise DeepcamsError if real and synthetic ones are mixed."""
    marks = {file.synthetic is not None for file in files}
    if len(marks) > 1:
        names = ", ".join(f"{file.path} ({'synthetic' if file.synthetic is not None else 'real'})" for file in files)
        raise DeepcamsError(f"Real and synthetic fields cannot be compared: {names}. Use files of one run.")
    return files[0].synthetic


def same_nodes(one: Axes | Grid, other: Axes | Grid) -> bool:
    """Whether two grids have the same nodes."""
    return one.shape == other.shape and bool(
        np.allclose(one.latitude, other.latitude) and np.allclose(one.longitude, other.longitude)
    )


def _opened(path: Path, own: bool) -> xr.Dataset:
    advice = "Delete it and run the workflow again to make it anew." if own else "Fetch or make it again."
    kind = magic(path)
    if kind not in ("hdf5", "netcdf3"):
        raise refuse_kind(kind, str(path))
    engine = "h5netcdf" if kind == "hdf5" else "netcdf4"
    try:
        return xr.open_dataset(path, engine=engine, decode_timedelta=False)
    except Exception as error:  # as above
        raise damaged(error, f"{path} cannot be read as NetCDF ({error}). {advice}") from error


def _coordinate(data: xr.Dataset, axis: str, path: Path) -> str:
    """The one-dimensional variable that is an axis: by standard_name, then by name."""
    lines = [str(name) for name, item in data.variables.items() if item.ndim == 1]
    for name in lines:
        if data[name].attrs.get("standard_name") == axis and data[name].dims == (name,):
            return name
    for name in _NAMES[axis]:
        # A projection has x and y, too.
        if name in lines and (len(name) > 1 or str(data[name].attrs.get("units", "")).startswith("degree")):
            return name
    found = some(sorted(map(str, data.variables)), 12)
    raise DeepcamsError(f"{path} has no axis of {axis}; its variables are {found}.")


def _field(
    data: xr.Dataset, variable: str | None, pollutant: Pollutant | None, names: dict[str, str], path: Path
) -> xr.DataArray:
    """The field, with dimensions of length one (a level) dropped and time, latitude, longitude in this order."""
    dims = tuple(data[names[axis]].dims[0] for axis in _NAMES)
    fields = {}
    for name, item in data.data_vars.items():
        flat = item.squeeze([dim for dim in item.dims if dim not in dims and item.sizes[dim] == 1], drop=True)
        if set(flat.dims) == set(dims) and flat.dtype.kind in "fiu":
            fields[str(name)] = flat.transpose(*dims)
    if variable is None and pollutant is not None:
        named = [name for name, item in fields.items() if item.attrs.get("standard_name") == pollutant.standard_name]
        variable = named[0] if len(named) == 1 else None
    if variable is None and len(fields) == 1:
        variable = next(iter(fields))
    if variable not in fields:
        if not fields:
            wanted = f"no variable {variable or 'of one field'}"
        else:
            wanted = f"no variable {variable}" if variable else "several fields"
        has = f"; it has {some(sorted(fields), 12)}" if fields else ""
        say = " Name one of them." if fields else ""
        raise DeepcamsError(f"{path} has {wanted}(time, latitude, longitude){has}.{say}")
    return fields[variable]
