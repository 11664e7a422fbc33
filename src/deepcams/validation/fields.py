"""Reading the workflow's fields slab by slab, on whichever of the two grids they are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from deepcams.calendar import MISSING, STATUS_MEANINGS, hour_status
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, from_axes

SLAB = 24  # frames read at once: one day, the time chunk of the workflow's files


class FieldFile:
    """A file of fields (time, latitude, longitude), north to south; a context manager.

    variable : which; None: the file's one field.  times : (T,) datetime64[s].  grid : Grid.  attributes : the file's
    global attributes.
    synthetic : the sentence that marks data of the nature run, None for real data.
    Raises DeepcamsError if the file cannot be opened, lacks the variable or is on another grid.
    """

    def __init__(self, path: str | Path, variable: str | None = None):
        self.path = Path(path)
        try:
            self._data = xr.open_dataset(self.path, engine="h5netcdf", decode_timedelta=False)
        except (OSError, ValueError) as error:
            raise DeepcamsError(
                f"{self.path} cannot be read as NetCDF ({error}). Delete it and run the workflow again to make it anew."
            ) from error
        fields = [
            str(name) for name, item in self._data.data_vars.items() if item.dims == ("time", "latitude", "longitude")
        ]
        if variable is None and len(fields) == 1:
            variable = fields[0]
        if variable not in fields:
            self._data.close()
            raise DeepcamsError(f"{self.path} has no variable {variable or 'of one field'}(time, latitude, longitude).")
        self._field = self._data[variable]
        self.times = self._data["time"].values.astype("datetime64[s]")
        self.grid, self._flip, self._shift = from_axes(self._data["latitude"].values, self._data["longitude"].values)
        self.attributes = dict(self._data.attrs)
        self.synthetic = self.attributes.get("synthetic")
        self._day: tuple[int, np.ndarray] | None = None

    def __enter__(self) -> "FieldFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames `start` … `stop` - 1: (n, H, W) float32, missing values NaN."""
        values = self._field.isel(time=slice(start, stop)).values.astype(np.float32, copy=False)
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
        """How each frame came about: (T,) int8, flags of `deepcams.calendar`; from `time_status` if the file has it."""
        if "time_status" in self._data:
            meanings = str(self._data["time_status"].attrs.get("flag_meanings", STATUS_MEANINGS))
            if meanings != STATUS_MEANINGS:
                raise DeepcamsError(f"{self.path}: time_status has the meanings {meanings!r}, not {STATUS_MEANINGS!r}.")
            # A fill value would turn the flags into floats; whatever is no flag counts as missing.
            values = self._data["time_status"].values
            return np.where(np.isfinite(values), values, MISSING).astype(np.int8)
        return hour_status(self.times, self.times[0], self.times[-1])


def require_same_origin(*files: FieldFile) -> str | None:
    """The common `synthetic` mark of files; raise DeepcamsError if real and synthetic ones are mixed."""
    marks = {file.synthetic is not None for file in files}
    if len(marks) > 1:
        names = ", ".join(f"{file.path} ({'synthetic' if file.synthetic is not None else 'real'})" for file in files)
        raise DeepcamsError(f"Real and synthetic fields cannot be compared: {names}. Use files of one run.")
    return files[0].synthetic


def same_nodes(one: Grid, other: Grid) -> bool:
    """Whether two grids have the same nodes."""
    return one.shape == other.shape and bool(
        np.allclose(one.latitude, other.latitude) and np.allclose(one.longitude, other.longitude)
    )
