"""The hourly product of a month: written day by day, each day a whole file, so that a killed job loses one day at most.

The 0.25° product and the hourly 0.75° intermediate are the same kind of file on different grids and encodings.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import is_abandoned, owner
from deepcams.files.hold import held, remove_unless_held
from deepcams.files.netcdf import Encoding, FieldWriter, check_whole, concatenate, read_layout
from deepcams.grid.nodes import Grid
from deepcams.pollutants import PM25, Pollutant
from deepcams.product import attributes
from deepcams.progress import progress

PRODUCT_ENCODING = Encoding(mantissa_bits=7)
_OWNED = "of-"  # begins the key of days that belong to one process


@dataclass(frozen=True, eq=False)
class Product:
    """What all files of one product share.

    record : the first and the last analysis of the whole record (datetime64); hours outside it are flagged missing.
    encoding : how the numbers are stored; `Encoding()` keeps them exactly.
    """

    grid: Grid
    record: tuple[np.datetime64, np.datetime64]
    provenance: attributes.Provenance
    encoding: Encoding = PRODUCT_ENCODING
    pollutant: Pollutant = PM25


class ProductWriter(FieldWriter):
    """A FieldWriter that knows the product's attributes and small variables."""

    def __init__(self, path: str | Path, times: np.ndarray, product: Product, threads: int = 2):
        times = np.asarray(times).astype("datetime64[s]")
        super().__init__(
            path,
            times=times,
            grid=product.grid,
            encoding=product.encoding,
            variable=product.pollutant.name,
            attributes=attributes.variable_attributes(product.pollutant),
            global_attributes=attributes.global_attributes(
                times, product.grid, product.provenance, pollutant=product.pollutant
            ),
            extra=attributes.small_variables(times, product.grid, product.record, product.pollutant),
            coordinate_attributes=attributes.coordinate_attributes(),
            threads=threads,
        )

    def add_statistics(self, statistics: Mapping[str, float]) -> None:
        """State `closure_…` figures in the file; the largest wins if called again. ValueError for other names."""
        wrong = [name for name in statistics if not name.startswith("closure_")]
        if wrong:
            raise ValueError(f"statistics must be named closure_…, not {wrong}")
        merged = attributes.merge_statistics([self.late_attributes, statistics])
        self.late_attributes.update({name: np.float64(value) for name, value in merged.items()})


def days_of(hours: np.ndarray) -> list[np.ndarray]:
    """Split hourly instants into calendar days: a list of (24,) arrays, the last of them maybe shorter."""
    dates = hours.astype("datetime64[D]")
    return [hours[dates == date] for date in np.unique(dates)]


def write_by_days(
    out: str | Path,
    key: str | None,
    days: Sequence[np.ndarray],
    compute: Callable[[np.ndarray], tuple[np.ndarray, Mapping[str, float]]],
    product: Product,
    *,
    label: str | None = None,
    threads: int = 2,
) -> None:
    """Write `out` day by day and go on where a killed run stopped.

    key : a digest of everything the numbers depend on; finished days of another key are thrown away. None keeps no day
    for another run: the days are this process's own and are removed however it ends.
    days : the hours of each day, (24,) datetime64 each (the last may be shorter).
    compute : gives a day's values (24, H, W) float32 and its `closure_…` statistics, which become the file's maxima.
    Finished days stand in `.{out name}.days-{key}` beside `out`, which is removed once `out` is whole; joining them
    copies compressed chunks. A day is compressed while the next one is computed; `compute` may reuse nothing that it
    returned. Where another process is at work on the same days, as may be a job that its run has lost sight of, this
    one makes days of its own; no process touches what another one works on.
    Raises whatever `compute` raises, and DeepcamsError as FieldWriter and concatenate do.
    """
    out = Path(out)
    own = out.parent / f".{out.name}.days-{_OWNED}{owner()}"
    shared = out.parent / f".{out.name}.days-{key}" if key else own
    with held(shared) as ours, nullcontext() if ours else held(own):
        folder = shared if ours else own
        _remove_other_days(out, {shared.name, own.name}, with_keys=key is not None)
        try:
            _write_days(out, folder, days, compute, product, label, threads)
        except BaseException:
            if folder == own:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        if not ours:  # a lock may outlive its machine, and nobody will ask for these days again
            remove_unless_held(shared)


def _remove_other_days(out: Path, kept: set[str], *, with_keys: bool) -> None:
    """Remove days for `out` that nobody will use: those of dead processes and, `with_keys`, of other keys."""
    prefix = f".{out.name}.days-"
    for name in os.listdir(out.parent) if out.parent.is_dir() else ():
        if not name.startswith(prefix) or name in kept:
            continue
        key = name.removeprefix(prefix)
        if is_abandoned(key.removeprefix(_OWNED)) if key.startswith(_OWNED) else with_keys:
            remove_unless_held(out.parent / name)


def _write_days(
    out: Path,
    folder: Path,
    days: Sequence[np.ndarray],
    compute: Callable[[np.ndarray], tuple[np.ndarray, Mapping[str, float]]],
    product: Product,
    label: str | None,
    threads: int,
) -> None:
    """Write what is missing of `days` into `folder`, and join them into `out`."""
    paths = [folder / f"{hours[0].astype('datetime64[D]')}.nc" for hours in days]
    pending: tuple[ProductWriter, Future] | None = None
    with ThreadPoolExecutor(1) as background:
        try:
            writers = [ProductWriter(path, hours, product, threads) for path, hours in zip(paths, days, strict=True)]
            missing = [writer for writer in writers if not _is_finished(writer)]
            done = sum(map(len, days)) - sum(map(_hours, missing))
            for writer in progress(missing, label or out.name, "hours", size=_hours, done=done):
                hours = writer.layout.times
                values, statistics = compute(hours)
                writer.add_statistics(statistics)
                if pending is not None:
                    ready, pending = pending, None
                    _finish(*ready)
                # Only the compression runs beside `compute`: the netCDF library is not safe in two threads.
                writer.__enter__()
                pending = writer, background.submit(writer.write, 0, values)
        finally:
            if pending is not None:
                _finish(*pending)
    join_files(paths, out)


def join_files(
    paths: Sequence[str | Path], out: str | Path, *, contiguous: bool = True, stated: Mapping[str, str] | None = None
) -> None:
    """Join product files along time by chunk copy, with their provenance merged.

    contiguous : the hours must follow each other without a gap.  stated : further global attributes.
    Raises DeepcamsError as `concatenate` and `merge_global_attributes` do.
    """
    if not paths:
        raise DeepcamsError(f"There is nothing to join into {out}: the list of files is empty.")
    merged = attributes.merge_layouts(paths, [read_layout(path) for path in paths])
    concatenate(paths, out, merged | (stated or {}), contiguous=contiguous, step=HOUR)


def _finish(writer: ProductWriter, written: Future) -> None:
    """Wait for a day's chunks and put its file into place, or remove it if writing failed."""
    try:
        written.result()
    except BaseException as error:
        if not writer.__exit__(type(error), error, error.__traceback__):
            raise
    else:
        writer.__exit__(None, None, None)


def _hours(writer: ProductWriter) -> int:
    return writer.shape[0]


def _is_finished(writer: ProductWriter) -> bool:
    """Whether a former run left this day whole."""
    if not writer.path.exists():
        return False
    try:
        read_layout(writer.path, writer.layout.variable)
        check_whole(writer.path, writer.layout)
    except DeepcamsError:
        writer.path.unlink()
        return False
    return True
