"""Files of fused fields: the field, how far the nearest station is, and how many there are; written, joined, checked.

Chunks are those of the product in space (103 × 120 nodes). In time, daily files have 8 days a chunk: of a year of the
globe, a map then decodes 84 chunks (33 MB) and the series of a place 46 (18 MB), where chunks of one day would make the
one fast and the other slow. Hourly files have the product's 24 hours. No chunk of days suits all months, so a year is
decoded and encoded anew, block by block; what was rounded once, rounding does not change.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.files import chunks, joining
from deepcams.files.atomic import atomic_path
from deepcams.files.layout import COORDINATE_ATTRIBUTES, DIMENSIONS, Extra, Layout, from_hours
from deepcams.files.netcdf import Encoding, check_whole
from deepcams.files.rounding import quantization_attributes, quantization_container
from deepcams.fusion import fused_attributes, fused_layout
from deepcams.fusion.fused_attributes import DAILY, DISTANCE, OBSERVATIONS, STATIONS, STEPS, TIME_BOUNDS, Fusion
from deepcams.grid.nodes import EARTH, Grid
from deepcams.pollutants import PM25, Pollutant
from deepcams.product.attributes import Provenance, authorship
from deepcams.product.months import PRODUCT_ENCODING
from deepcams.product.verify import REQUIRED_FIELD, REQUIRED_GLOBAL

DAILY_ENCODING = replace(PRODUCT_ENCODING, time_chunk=8)
FARTHEST = np.pi * EARTH * (1 + 2**-7)  # km: half around the Earth, rounded
AGAIN = "Delete it and run the step that makes it again."

Values = tuple[np.ndarray, np.ndarray]


def write_fused(
    out: str | Path,
    times: np.ndarray,
    grid: Grid,
    values_of: Callable[[slice], Values],
    *,
    stations: np.ndarray,
    fusion: Fusion,
    provenance: Provenance,
    pollutant: Pollutant = PM25,
    encoding: Encoding | None = None,
    threads: int = 2,
) -> None:
    """Write fused fields to one file, atomically, a time chunk at a time: memory is bounded by that.

    times : (T,) datetime64, 00:00 of each day's date or the end of each hour, as `Observations` has them; the file has
    12:00 and the middle of the hour, with bounds.
    values_of : gives for a slice of the times, asked for in order, the fields and the distances to the nearest cell
    with a value (km): (n, H, W) float32 each, NaN where missing.
    stations : (T,) whole numbers of cells with a value at each time.  encoding : None for `encoding_of` the step.
    A time without a station has no distance; its field is NaN, or the background where innovations are fused.
    Raises DeepcamsError for values that cannot be (`check_values`), ValueError for shapes that do not fit.
    """
    encoding = encoding or encoding_of(fusion.step)
    limits = fused_attributes.bounds(times, fusion.step)
    middles = fused_attributes.middles(limits, fusion.step)
    stations = np.asarray(stations)
    if stations.shape != middles.shape or stations.dtype.kind not in "iu" or (stations < 0).any():
        raise ValueError(f"{out}: stations must be {len(middles)} counts, one of each time")
    extra = fused_attributes.small_variables(limits, stations, grid, pollutant)
    of_field = fused_attributes.field_attributes(pollutant, fusion)
    if encoding.mantissa_bits is not None:
        of_field |= quantization_attributes(encoding.mantissa_bits)
        extra.append(Extra("quantization", (), np.int32(0), quantization_container()))
    additions = fused_attributes.coordinate_attributes(fusion)
    about = Layout(
        variable=pollutant.name,
        times=middles,
        latitude=np.asarray(grid.latitude, dtype=np.float64),
        longitude=np.asarray(grid.longitude, dtype=np.float64),
        chunk=encoding.chunk(grid),
        level=encoding.level,
        attributes=of_field,
        coordinate_attributes={name: COORDINATE_ATTRIBUTES[name] | additions[name] for name in DIMENSIONS},
        extra=tuple(extra),
        global_attributes=fused_attributes.global_attributes(middles, grid, provenance, fusion, pollutant)
        | ({"synthetic": provenance.synthetic} if provenance.synthetic else {}),
    )
    _write(Path(out), about, values_of, encoding.mantissa_bits, threads)


def encoding_of(step: str) -> Encoding:
    """How fields of a step are stored by default."""
    return DAILY_ENCODING if step == DAILY else PRODUCT_ENCODING


def read_fused(path: str | Path, start: int = 0, stop: int | None = None, *, threads: int = 2) -> Values:
    """Fields and distances (km) of the times `start` … `stop - 1`: (n, H, W) float32 each, NaN where missing.

    Raises DeepcamsError if the file is no fused one or a chunk is missing or damaged.
    """
    about, _ = fused_layout.read(path)
    stop = len(about.times) if stop is None else min(stop, len(about.times))
    try:
        with h5py.File(path, "r", locking="best-effort") as file, ThreadPoolExecutor(threads) as pool:
            field, distance = (chunks.read_chunks(file[name], pool, start, stop) for name in (about.variable, DISTANCE))
    except (OSError, RuntimeError, ValueError) as error:
        raise DeepcamsError(f"{path} is damaged: a chunk cannot be decoded ({error}). {AGAIN}") from error
    return field, distance


def assemble_fused_year(
    months: Sequence[str | Path],
    out: str | Path,
    *,
    contiguous: bool = True,
    author: Mapping[str, str | None] | None = None,
    threads: int = 2,
) -> None:
    """Join fused files, in order of time, into `out`, a time chunk at a time; numbers stay as they are.

    contiguous : False if the configured months leave gaps; times never overlap either way.  author : who made it, and
    when, as the configuration has it.  Raises DeepcamsError, naming the files, if they differ in grid, encoding,
    attributes, networks, settings or the way they were fused, overlap, are out of order, or mix synthetic and real.
    """
    paths = [Path(path) for path in months]
    if not paths:
        raise DeepcamsError(f"There is nothing to join into {out}: the list of files is empty.")
    layouts = [fused_layout.read(path)[0] for path in paths]
    for index in range(1, len(paths)):
        joining.check_pair(paths[0], layouts[0], paths[index], layouts[index])
        joining.check_order(paths[index - 1], layouts[index - 1], paths[index], layouts[index])
    if contiguous:
        step = fused_attributes.read_fusion(paths[0], layouts[0].global_attributes).step
        joining.check_contiguous(paths, layouts, STEPS[step])
    merged = fused_attributes.merge_global_attributes(paths, layouts) | authorship(author or {})
    ends = np.cumsum([len(layout.times) for layout in layouts])

    def values_of(part: slice) -> Values:
        found = [read_fused(path, start, stop, threads=threads) for path, start, stop in _places(paths, ends, part)]
        field, distance = (np.concatenate(values) for values in zip(*found, strict=True))
        return field, distance

    bits = layouts[0].attributes.get("quantization_nsb")
    _write(Path(out), joining.join(layouts, merged), values_of, None if bits is None else int(bits), threads)


def verify_fused(path: str | Path, *, contiguous: bool = True) -> None:
    """Raise DeepcamsError unless a fused file is whole and sane.

    Checked: it opens, every chunk of both fields is there and can be decoded, times are strictly daily or hourly
    (`contiguous`=False: gaps are allowed) and in the middle of their bounds, attributes and small variables are
    complete, `check_values` passes, and not everything is missing. Reads one time chunk at a time.
    """
    path = Path(path)
    about, of_distance = fused_layout.read(path)
    _check_both(path, about, path)
    fusion = fused_attributes.read_fusion(path, about.global_attributes)
    limits = from_hours(fused_layout.small(about, TIME_BOUNDS))
    steps, step = np.diff(about.times), STEPS[fusion.step]
    regular = not (steps != step if contiguous else steps < step).any()
    within = (limits[:, 1] - limits[:, 0] == step).all() and np.array_equal(
        fused_attributes.middles(limits, fusion.step), about.times
    )
    if not (regular and within):
        raise DeepcamsError(f"{path} is not strictly {fusion.step}, or its times do not fit their bounds. {AGAIN}")
    absent = [name for name in REQUIRED_GLOBAL if name not in about.global_attributes]
    absent += [f"{about.variable}:{name}" for name in REQUIRED_FIELD if name not in about.attributes]
    absent += [f"{DISTANCE}:{name}" for name in ("long_name", "units") if name not in of_distance]
    if absent:
        raise DeepcamsError(f"{path} lacks {', '.join(absent)}. {AGAIN}")
    anything = False
    for part in _blocks(about):
        field, distance = read_fused(path, part.start, part.stop)
        check_values(f"{path}, from {about.times[part.start]}", field, distance, _stations(about)[part], fusion)
        anything = anything or bool(np.isfinite(field).any())
    if not anything:
        raise DeepcamsError(f"{path} holds no value at all. Check its inputs.")


def check_values(where: str, field: np.ndarray, distance: np.ndarray, stations: np.ndarray, fusion: Fusion) -> None:
    """Raise DeepcamsError for what cannot be fused fields.

    field, distance : (n, H, W) float32.  stations : (n,) whole numbers. No field is negative or infinite; a time has
    distances everywhere if there is a station, nowhere if not; and of observations alone, nothing without a station.
    """
    alone = stations == 0
    if (field < 0).any():
        raise DeepcamsError(f"{where}: negative concentrations, down to {np.nanmin(field):g}. {AGAIN}")
    if np.isinf(field).any():
        raise DeepcamsError(f"{where}: infinite concentrations. {AGAIN}")
    if (distance < 0).any() or (distance > FARTHEST).any():
        raise DeepcamsError(f"{where}: distances beyond 0 … {FARTHEST:.0f} km. {AGAIN}")
    if np.isnan(distance[~alone]).any() or not np.isnan(distance[alone]).all():
        raise DeepcamsError(f"{where}: distances to stations do not fit the numbers of stations. {AGAIN}")
    if fusion.form == OBSERVATIONS and not np.isnan(field[alone]).all():
        raise DeepcamsError(f"{where}: a field of observations alone has values where there was no station. {AGAIN}")


def _write(out: Path, about: Layout, values_of: Callable[[slice], Values], bits: int | None, threads: int) -> None:
    """Write a whole file; `values_of` is asked for one time chunk after the other."""
    fusion = fused_attributes.read_fusion(out, about.global_attributes)
    stations = _stations(about)
    of_distance = fused_attributes.distance_attributes() | ({} if bits is None else quantization_attributes(bits))
    with atomic_path(out) as temporary:
        fused_layout.create(temporary, about, of_distance)
        try:
            with h5py.File(temporary, "r+", locking="best-effort") as file, ThreadPoolExecutor(threads) as pool:
                targets = [file[name] for name in (about.variable, DISTANCE)]
                for target in targets:
                    target.resize(about.shape)
                for part in _blocks(about):
                    values = values_of(part)
                    wanted = (part.stop - part.start, *about.shape[1:])
                    if any(item.shape != wanted or item.dtype != np.float32 for item in values):
                        found = [(item.shape, str(item.dtype)) for item in values]
                        raise ValueError(f"{out}: {wanted} float32 was expected twice, not {found}")
                    check_values(f"{out}, from {about.times[part.start]}", *values, stations[part], fusion)
                    for target, item in zip(targets, values, strict=True):
                        chunks.write_chunks(target, pool, part.start, item, about.chunk, bits, about.level)
        except RuntimeError as error:  # the library hides the system's error number
            raise DeepcamsError(f"{out} could not be written ({error}). Check the disk's free space.") from error
        _check_both(temporary, about, out)


def _check_both(path: Path, about: Layout, name: Path) -> None:
    """Raise DeepcamsError unless both fields have all their chunks."""
    for variable in (about.variable, DISTANCE):
        check_whole(path, replace(about, variable=variable), name)


def _blocks(about: Layout) -> Iterator[slice]:
    """The time chunks of a file."""
    count, step = len(about.times), about.chunk[0]
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _places(paths: Sequence[Path], ends: np.ndarray, part: slice) -> list[tuple[Path, int, int]]:
    """Which times of which files a part of all times is; ends : of each file, counted from the first time of all."""
    begins = np.concatenate([[0], ends[:-1]])
    return [
        (path, max(part.start, int(begin)) - int(begin), min(part.stop, int(end)) - int(begin))
        for path, begin, end in zip(paths, begins, ends, strict=True)
        if begin < part.stop and part.start < end
    ]


def _stations(about: Layout) -> np.ndarray:
    return fused_layout.small(about, STATIONS)
