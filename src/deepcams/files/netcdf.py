"""Fields over (time, latitude, longitude) as NetCDF-4: written in compressed chunks, read lazily, joined by chunk copy.

One encoding for all files of the workflow, so that days join into months and months into years without decoding:
float32, deflate + shuffle, 24 frames per chunk, optionally BitRound-ed mantissas. Same inputs give the same bytes.
"""

import errno
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError, damaged
from deepcams.files import chunks, copying, joining, layout
from deepcams.files.atomic import atomic_path
from deepcams.files.layout import DIMENSIONS, Extra, Layout
from deepcams.files.rounding import quantization_attributes, quantization_container
from deepcams.grid.nodes import Grid, from_axes

_CONVENTIONS = "CF-1.11"


@dataclass(frozen=True)
class Encoding:
    """How a field's numbers are stored.

    mantissa_bits : bits of the mantissa that are kept (7: at most 0.39 % off); None keeps every value exactly.
    level : igzip's 0 … 3.  Chunks are cut to the grid's size, never to the number of frames.
    """

    mantissa_bits: int | None = None
    level: int = 1
    time_chunk: int = 24
    latitude_chunk: int = 103
    longitude_chunk: int = 120

    def chunk(self, grid: Grid) -> tuple[int, int, int]:
        """Chunk shape on `grid`."""
        rows, columns = grid.shape
        return self.time_chunk, min(self.latitude_chunk, rows), min(self.longitude_chunk, columns)


class FieldWriter:
    """Write one field frame by frame; a context manager that leaves either the whole, checked file or none.

    times : (T,) datetime64, ascending.  grid : its nodes are the axes.  attributes : of the variable (units,
    cell_methods …); a `synthetic` sentence among them becomes a global attribute.  extra : small variables beside it.
    coordinate_attributes : additions per axis, for instance {"latitude": {"bounds": "latitude_bounds"}}.
    What is known only after the last frame goes into `late_attributes`, global attributes written when the block ends.
    Raises DeepcamsError when the disk is full or the folder cannot be written, ValueError on wrong use.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        times: np.ndarray,
        grid: Grid,
        encoding: Encoding,
        variable: str = "pm25",
        attributes: dict[str, object],
        global_attributes: dict[str, object] | None = None,
        extra: Sequence[Extra] = (),
        coordinate_attributes: dict[str, dict[str, object]] | None = None,
        threads: int = 2,
    ):
        times = np.asarray(times).astype("datetime64[s]")
        if times.ndim != 1 or len(times) == 0 or np.isnat(times).any() or (np.diff(times) <= np.timedelta64(0)).any():
            raise ValueError(f"{path}: times must be a non-empty, strictly ascending axis")
        attributes = dict(attributes)
        everywhere = {"Conventions": _CONVENTIONS, **(global_attributes or {})}
        if "synthetic" in attributes:
            everywhere["synthetic"] = attributes.pop("synthetic")
        extra = list(extra)
        if encoding.mantissa_bits is not None:
            attributes.update(quantization_attributes(encoding.mantissa_bits))
            extra.append(Extra("quantization", (), np.int32(0), quantization_container()))
        additions = coordinate_attributes or {}
        self.path = Path(path)
        self.late_attributes: dict[str, object] = {}
        self._encoding = encoding
        self.layout = Layout(
            variable=variable,
            times=times,
            latitude=np.asarray(grid.latitude, dtype=np.float64),
            longitude=np.asarray(grid.longitude, dtype=np.float64),
            chunk=encoding.chunk(grid),
            level=encoding.level,
            attributes=attributes,
            coordinate_attributes={
                name: {**layout.COORDINATE_ATTRIBUTES[name], **additions.get(name, {})} for name in DIMENSIONS
            },
            extra=tuple(extra),
            global_attributes=everywhere,
        )
        self._threads = threads

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W) of the whole field."""
        return self.layout.shape

    def __enter__(self) -> "FieldWriter":
        self._stack = ExitStack()
        try:
            self._temporary = self._stack.enter_context(atomic_path(self.path))
            self._pool = self._stack.enter_context(ThreadPoolExecutor(self._threads))
            self._file = _Target(self._temporary, self.layout)
            self._stack.callback(self._file.abandon)
        except BaseException as error:
            if not self._stack.__exit__(type(error), error, error.__traceback__):
                raise
        return self

    def write(self, start: int, values: np.ndarray) -> None:
        """Write frames `start` … `start + n - 1`.

        values : (n, H, W) float32, NaN where missing; `start` is a multiple of the time chunk and so is n, except
        at the end of the file. The array may be reused as soon as the call returns. Raises ValueError otherwise.
        """
        total, rows, columns = self.shape
        step = self._encoding.time_chunk
        values = np.asarray(values, dtype=np.float32)
        stop = start + len(values)
        if values.ndim != 3 or values.shape[1:] != (rows, columns) or not 0 <= start < stop <= total:
            raise ValueError(f"{self.path}: frames {start}+{values.shape} do not fit into {self.shape}")
        if start % step or (stop % step and stop != total):
            raise ValueError(f"{self.path}: frames {start} … {stop} do not begin and end on chunks of {step} frames")
        encoding = self._encoding
        try:
            chunks.write_chunks(
                self._file.field, self._pool, start, values, self.layout.chunk, encoding.mantissa_bits, encoding.level
            )
        except RuntimeError as error:
            raise _system_error(self._temporary, error) from error

    def __exit__(self, kind, error, trace) -> bool | None:
        try:
            if kind is None:
                self._file.close()
                if self.late_attributes:
                    layout.amend(self._temporary, self.late_attributes)
                check_whole(self._temporary, self.layout, self.path)
        except BaseException as failure:
            if not self._stack.__exit__(type(failure), failure, failure.__traceback__):
                raise
            return None
        return self._stack.__exit__(kind, error, trace)


def write_field(
    path: str | Path,
    field: xr.DataArray,
    encoding: Encoding,
    global_attributes: dict[str, object] | None = None,
    extra: Sequence[Extra] = (),
) -> None:
    """Write a DataArray (time, latitude, longitude) whose axes are already in the workflow's order.

    Its name becomes the variable's (default pm25); its attributes go with it, `synthetic` as a global attribute.
    Values are read and written one day at a time, so a lazy array need not fit into memory.
    Raises DeepcamsError if the axes are not nodes of the 0.75° or 0.25° grid, north to south.
    """
    field = field.transpose(*DIMENSIONS)
    grid, flipped, shift = from_axes(field.latitude.values, field.longitude.values)
    if flipped or shift or not np.array_equal(grid.longitude, field.longitude.values):
        raise DeepcamsError(f"{path}: the field must run north to south and from -180° (or a region's west) eastwards.")
    writer = FieldWriter(
        path,
        times=field.time.values,
        grid=grid,
        encoding=encoding,
        variable=str(field.name or "pm25"),
        attributes=field.attrs,
        global_attributes=global_attributes,
        extra=extra,
    )
    step = encoding.time_chunk
    with writer:
        for start in range(0, len(field.time), step):
            writer.write(start, field[start : start + step].values)


def read_field(path: str | Path, variable: str | None = None) -> xr.DataArray:
    """Open a variable lazily: nothing but metadata is read before values are asked for; None: the file's one field.

    Returns a DataArray with times as datetime64[s] and the file's `synthetic` sentence among its attributes.
    Raises DeepcamsError naming the file when it is missing, damaged, no NetCDF, or without `variable`.
    """
    path = Path(path)
    engine = _engine(path)
    try:
        dataset = xr.open_dataset(
            path, engine=engine, decode_times=xr.coders.CFDatetimeCoder(time_unit="s"), decode_timedelta=False
        )
    except Exception as error:  # a damaged file can fail in any way
        raise _damaged(path, error) from error
    fields = [str(name) for name, item in dataset.data_vars.items() if item.dims == DIMENSIONS]
    if variable is None and len(fields) == 1:
        variable = fields[0]
    if variable not in dataset.variables:
        names = ", ".join(sorted(str(name) for name in dataset.data_vars)) or "none"
        dataset.close()
        raise DeepcamsError(
            f"{path} has no variable {variable or 'of one field'!r} (it has: {names}). Delete it and make it again."
        )
    field = dataset[variable]
    if "synthetic" in dataset.attrs:
        field.attrs["synthetic"] = dataset.attrs["synthetic"]
    return field


def read_frames(path: str | Path, start: int = 0, stop: int | None = None, *, threads: int = 2) -> np.ndarray:
    """Frames `start` … `stop - 1` of a file of this module: (n, H, W) float32, NaN where missing.

    Several times faster than `read_field`, because chunks are decoded by igzip in threads; for reading everything.
    Raises DeepcamsError if the file is not one of this module or a chunk is missing or damaged.
    """
    path = Path(path)
    part = read_layout(path)
    stop = len(part.times) if stop is None else min(stop, len(part.times))
    if not 0 <= start < stop:
        raise ValueError(f"{path}: frames {start} … {stop} of {len(part.times)}")
    try:
        with h5py.File(path, "r", locking="best-effort") as file, ThreadPoolExecutor(threads) as pool:
            return chunks.read_chunks(file[part.variable], pool, start, stop)
    except Exception as error:  # as above
        raise damaged(
            error,
            f"{path} is damaged: a chunk cannot be decoded ({error}). Delete it and run the step that makes it again.",
        ) from error


def read_layout(path: str | Path, variable: str | None = None) -> Layout:
    """Axes, attributes and small variables of a file of this module; DeepcamsError if it is not one."""
    path = Path(path)
    _engine(path)
    try:
        return layout.read(path, variable)
    except KeyError as error:
        raise DeepcamsError(f"{path} is not a field file of this workflow: {error.args[0]}.") from error
    except Exception as error:  # as above
        raise _damaged(path, error) from error


def concatenate(
    paths: Sequence[str | Path],
    out: str | Path,
    global_attributes: dict[str, object] | None = None,
    *,
    contiguous: bool = False,
    step: np.timedelta64 = HOUR,
) -> None:
    """Join files along time by copying their compressed chunks, and read back what was written; memory is bounded.

    global_attributes : of the new file (None: those of the first one); a `synthetic` sentence is carried over.
    contiguous : require frames exactly `step` apart throughout.
    Variables along time are joined, all others must agree.
    Raises DeepcamsError naming the files that differ in grid, encoding or attributes, overlap or are out of order,
    mix synthetic with real data, lack chunks, or end inside a chunk without being the last.
    """
    paths = [Path(path) for path in paths]
    parts = [read_layout(path) for path in paths]
    joining.check_all(paths, parts, out, step if contiguous else None)
    first = parts[0]
    everywhere = dict(first.global_attributes if global_attributes is None else global_attributes)
    everywhere.setdefault("Conventions", _CONVENTIONS)
    if "synthetic" in first.global_attributes:
        everywhere.setdefault("synthetic", first.global_attributes["synthetic"])
    joined = joining.join(parts, everywhere)
    with atomic_path(out) as temporary:
        target = _Target(temporary, joined)
        try:
            start, sums = 0, {}
            for path, part in zip(paths, parts, strict=True):
                with h5py.File(path, "r", locking="best-effort") as source:
                    try:
                        sums |= copying.copy_chunks(source[part.variable], target.field, start)
                    except EOFError as error:
                        raise _damaged(path, error) from error
                    except KeyError as error:
                        raise DeepcamsError(
                            f"{path} lacks the chunk at (frame, row, column) {error.args[0]}: it was not written to "
                            "its end. Delete it and make it again."
                        ) from error
                start += len(part.times)
            target.close()
        finally:
            target.abandon()
        check_whole(temporary, joined, Path(out))
        try:
            copying.check_copied(temporary, joined.variable, sums)
        except (EOFError, ValueError) as error:
            raise DeepcamsError(
                f"{out} was not written as its parts are: {error}. Nothing was left behind; check disk and memory of "
                "this machine, and run the same command again."
            ) from error


def check_whole(path: Path, expected: Layout, name: Path | None = None) -> None:
    """Raise DeepcamsError unless the file opens, has the expected times and grid, and all its chunks.

    name : what to call the file in messages, where `path` is a temporary one.
    """
    name = name or path
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            field = file[expected.variable]
            hours = file["time"][...]
            found = field.id.get_num_chunks()
            whole = (
                field.shape == expected.shape
                and field.chunks == expected.chunk
                and np.array_equal(hours, layout.to_hours(expected.times))
                and np.array_equal(file["latitude"][...], expected.latitude)
                and np.array_equal(file["longitude"][...], expected.longitude)
            )
    except Exception as error:  # as above
        raise _damaged(name, error) from error
    wanted = chunks.count(expected.shape, expected.chunk)
    if not whole or found != wanted:
        raise DeepcamsError(
            f"{name} is not whole: {found} of {wanted} chunks of a {expected.shape} field. Delete it and make it again."
        )


class _Target:
    """A skeleton opened for direct chunk writes."""

    def __init__(self, path: Path, skeleton: Layout):
        try:
            layout.create(path, skeleton)
        except (OSError, RuntimeError, ValueError) as error:  # the netCDF library hides the system's error number
            found = _system_error(path, error)
            if isinstance(found, RuntimeError | ValueError):  # names, sizes or attributes of a part, say
                raise DeepcamsError(
                    f"A file like its parts cannot be written in {path.parent} ({error}). If the parts are damaged, "
                    "delete them and make them again."
                ) from error
            raise found from error
        self.path = path
        self._file = h5py.File(path, "r+", locking="best-effort")
        self.field = self._file[skeleton.variable]
        self.field.resize(skeleton.shape)

    def close(self) -> None:
        try:
            self._file.close()
        except RuntimeError as error:
            raise _system_error(self.path, error) from error

    def abandon(self) -> None:
        """Close whatever is left open after a failure; the first error is the one to tell."""
        with suppress(OSError, RuntimeError):
            self._file.close()


def _system_error(path: Path, error: Exception) -> Exception:
    """The operating system's error behind a library's own, as far as it can still be told."""
    if shutil.disk_usage(path.parent).free < 1 << 20:
        return OSError(errno.ENOSPC, "No space left on device", str(path))
    return error


def _engine(path: Path) -> str:
    """xarray's engine for a file, by its first bytes; DeepcamsError if it is no NetCDF file at all."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise DeepcamsError(f"{path} cannot be read: {error.strerror}. Run the step that makes it first.") from error
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5netcdf"
    if head.startswith(b"CDF"):
        return "netcdf4"
    if not head:
        what = "is empty"
    elif head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        what = "is a web page, not data (a login or error page of the service was saved in its place)"
    else:
        what = "is not a NetCDF file"
    raise DeepcamsError(f"{path} {what}. Delete it and run the step that makes it again.")


def _damaged(path: Path, error: Exception) -> DeepcamsError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return damaged(
        error,
        f"{path} cannot be opened as NetCDF; it is damaged or was cut short ({reason}). "
        "Delete it and run the step that makes it again.",
    )
