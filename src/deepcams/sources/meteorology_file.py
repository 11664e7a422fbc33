"""A month of humidity and wind as one file: its form, a check of it, and a box of it as another one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import netCDF4
import numpy as np

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError, damaged
from deepcams.files import layout
from deepcams.files.atomic import atomic_path
from deepcams.files.chunks import write_chunks
from deepcams.files.netcdf import Encoding
from deepcams.grid.nodes import Grid, describe, from_axes, locate
from deepcams.sources.checks import some

FIELDS = {
    "relative_humidity": {
        "standard_name": "relative_humidity",
        "long_name": "relative humidity near the surface",
        "units": "1",
        "cell_methods": "time: mean (interval: 1 hour)",
    },
    "wind_speed": {
        "standard_name": "wind_speed",
        "long_name": "speed of the hourly mean wind at 10 m",
        "units": "m s-1",
        "cell_methods": "time: mean (interval: 1 hour)",
    },
}


class MonthWriter:
    """Write a month's file; a context manager that leaves the whole file or none.

    times : (T,) datetime64[s].  attributes : of the whole file.  origin : whose fields they are, for their long names.
    mantissa_bits : that are kept; None: all.  Raises DeepcamsError if the disk is full.
    """

    def __init__(
        self,
        path: str | Path,
        times: np.ndarray,
        grid: Grid,
        attributes: dict,
        origin: str,
        mantissa_bits: int | None = None,
    ):
        self.path, self.times, self._grid, self._bits = Path(path), times, grid, mantissa_bits
        self._attributes, self._origin = attributes, origin
        self._chunk = Encoding().chunk(grid)

    def __enter__(self) -> "MonthWriter":
        with ExitStack() as stack, self._explained():
            temporary = stack.enter_context(atomic_path(self.path))
            self._create(temporary)
            self._pool = stack.enter_context(ThreadPoolExecutor(1))
            self._file = stack.enter_context(h5py.File(temporary, "r+", locking="best-effort"))
            self._stack = stack.pop_all()
        return self

    def write(self, start: int, fields: dict[str, np.ndarray]) -> None:
        """Write hours from `start` on, a multiple of 24, and as many or up to the end: each field (n, H, W) float32."""
        with self._explained():
            for name, values in fields.items():
                write_chunks(self._file[name], self._pool, start, values, self._chunk, self._bits, Encoding().level)

    def __exit__(self, *error) -> bool | None:
        with self._explained():
            return self._stack.__exit__(*error)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # the libraries hide what the system said
            raise DeepcamsError(
                f"{self.path} could not be written ({error}). Check whether the disk is full."
            ) from error

    def _create(self, path: Path) -> None:
        axes = {"time": layout.to_hours(self.times), "latitude": self._grid.latitude, "longitude": self._grid.longitude}
        with netCDF4.Dataset(path, "w") as dataset:
            dataset.setncatts(self._attributes)
            for name, values in axes.items():
                dataset.createDimension(name, len(values))
                variable = dataset.createVariable(name, "f8", (name,))
                variable.setncatts(layout.COORDINATE_ATTRIBUTES[name])
                variable[:] = values
            encoding = {"zlib": True, "complevel": 1, "chunksizes": self._chunk, "fill_value": np.float32(np.nan)}
            for name, about in FIELDS.items():
                variable = dataset.createVariable(name, "f4", layout.DIMENSIONS, **encoding)
                variable.setncatts(about | {"long_name": f"{about['long_name']}, {self._origin}"})


def require_month(file: Path, month: Month, grid: Grid | None) -> None:
    """Raise DeepcamsError unless the file is a month in this form, on `grid`."""
    latitude, longitude = _axes(file, month)
    if grid is not None and not (np.array_equal(latitude, grid.latitude) and np.array_equal(longitude, grid.longitude)):
        raise _wrong(file, f"is of another area than {describe(grid)}")


def cut_month(file: Path, month: Month, out: str | Path, grid: Grid | None) -> None:
    """Write the part of a month's file that is on `grid` (None: all of it) to `out`, a day in memory at a time.

    Raises DeepcamsError if the file is no month in this form, does not hold the grid's nodes, or cannot be written.
    """
    try:
        _cut(file, month, out, grid)
    except (DeepcamsError, OSError):
        raise
    except Exception as error:  # as below
        raise _damaged(file, error) from error


def _cut(file: Path, month: Month, out: str | Path, grid: Grid | None) -> None:
    axes = _axes(file, month)
    try:
        whole, _, _ = from_axes(*axes)
    except DeepcamsError as error:
        raise DeepcamsError(f"{file}: {error} Delete it and fetch the month again.") from error
    grid = grid or whole
    rows, columns = locate(grid, whole)
    with netCDF4.Dataset(file) as source:
        attributes = {name: source.getncattr(name) for name in source.ncattrs()}
        origin = source["wind_speed"].long_name.rpartition(", ")[2]
        times = layout.from_hours(source["time"][:].filled())
        with MonthWriter(out, times, grid, attributes, origin) as target:
            for start in range(0, len(times), 24):
                day = {name: source[name][start : start + 24, rows].filled(np.nan) for name in FIELDS}
                target.write(start, {name: values[:, :, columns] for name, values in day.items()})


def _axes(file: Path, month: Month) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes of a file that holds the month's hours. Raises DeepcamsError for any other file."""
    expected = month.mid_hours()
    try:
        with netCDF4.Dataset(file) as dataset:
            lacking = [name for name in FIELDS if name not in dataset.variables]
            times = layout.from_hours(dataset["time"][:].filled()) if not lacking else expected
            latitude, longitude = (dataset[name][:].filled() for name in ("latitude", "longitude"))
    except Exception as error:  # a damaged file can fail in any way
        raise _damaged(file, error) from error
    if lacking:
        raise _wrong(file, f"holds no {some(lacking)}")
    if not np.array_equal(times[: len(expected)], expected) or len(times) > len(expected) + 1:
        raise _wrong(file, f"does not hold the hours of {month}")
    return latitude, longitude


def _damaged(file: Path, error: Exception) -> DeepcamsError:
    return damaged(error, f"{file} is no month of meteorology ({error}). Delete it and make it again.")


def _wrong(file: Path, what: str) -> DeepcamsError:
    return DeepcamsError(f"{file} {what}. Make it again with these settings, or move it away.")
