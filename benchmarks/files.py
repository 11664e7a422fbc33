"""(b) Writing beside netCDF4-python, and (c) assembly beside `cp`."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from unittest import mock

import netCDF4
import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks import rules
from benchmarks.fields import BITS, Inputs, product_of
from benchmarks.periods import MONTH, Days
from benchmarks.timing import Row, by_turns, in_process, median, ratios
from deepcams.calendar import Month
from deepcams.files import chunks
from deepcams.files.rounding import round_mantissa
from deepcams.grid.nodes import fine_globe
from deepcams.product.months import ProductWriter

FRAME = 4 * np.prod(fine_globe().shape)  # bytes of a fine field
YEAR = [Month(2018, month) for month in range(1, 13)]
DAYS = 3  # different ones of the month that is written
SMOOTH = (2, 9, 9)  # hours and nodes, of the made-up year's fields: it is then as large as a real one
SPARE = 5e9  # bytes that stay free


def writing(inputs: Inputs, folder: Path, quick: bool) -> Iterator[Row]:
    """A month of product fields, or two days: rounded and compressed. The peer gets rounded values."""
    month = Days(MONTH, 2) if quick else MONTH
    hours, product = month.hours(), product_of(month)
    paths = {name: folder / f"{name}.nc" for name in ("ours", "peer")}
    encoding = product.encoding
    days = [inputs.fine_day(day) for day in range(DAYS)]
    rounded = [round_mantissa(day.copy(), BITS) for day in days]

    def ours() -> None:
        with ProductWriter(paths["ours"], hours, product) as writer:
            for day in range(month.days):
                writer.write(24 * day, days[day % DAYS])

    def peer() -> None:
        with netCDF4.Dataset(paths["peer"], "w") as file:
            for name, size in zip(("time", "latitude", "longitude"), (len(hours), *fine_globe().shape), strict=True):
                file.createDimension(name, size)
            options = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": encoding.chunk(fine_globe())}
            field = file.createVariable("pm25", "f4", ("time", "latitude", "longitude"), **options)
            for day in range(month.days):
                field[24 * day : 24 * day + 24] = rounded[day % DAYS]

    took = by_turns(ours, peer, 1 if quick else 2)
    size, theirs = (path.stat().st_size for path in paths.values())
    with netCDF4.Dataset(paths["ours"]) as one, netCDF4.Dataset(paths["peer"]) as other:
        if not np.array_equal(one["pm25"][-24:], other["pm25"][-24:]):
            raise RuntimeError("The two files do not hold the same values")
    for path in paths.values():
        path.unlink()
    rates = [len(hours) * FRAME / 1e6 / median(each) for each in took]
    yield Row(
        f"{'two days' if quick else 'a month'} of global fine fields written",
        f"{rates[0]:.0f} MB/s",
        f"netCDF4-python, zlib 4, {rates[1]:.0f} MB/s",
        ratios(*took),
        "≥ 8",
        f"{100 * (size / theirs - 1):+.1f} % bytes (asked ≤ 10 %), {size / len(hours) / 1e6:.2f} MB an hour",
        {"ours_s": took[0], "peer_s": took[1], "bytes": size, "peer_bytes": theirs},
    )


def assembly(inputs: Inputs, folder: Path, quick: bool) -> Iterator[Row]:
    """A year joined from months of its size, beside copying them; both until they are on the disk."""
    count = 1 if quick else months_with_room(folder)
    months = [Days(month, 2) for month in YEAR[:2]] if quick else YEAR[:count]
    out, copies = folder / "year.nc", folder / "copies"
    paths = [str(path) for path in made_months(folder, months)]

    def copy() -> None:
        copies.mkdir()
        subprocess.run(["cp", *paths, str(copies)], check=True)
        for path in copies.iterdir():
            with open(path, "rb") as stream:
                os.fsync(stream.fileno())

    def tidy() -> None:
        out.unlink(missing_ok=True)
        shutil.rmtree(copies, ignore_errors=True)

    order = {"parts": paths, "out": str(out), "contiguous": not quick, "sidecar": False}
    os.sync()
    took = by_turns(lambda: rules.assemble_year(**order), copy, 1 if quick else 3, tidy)
    memory = in_process(rules.assemble_year, **order)["peak_mb"]
    size = out.stat().st_size
    hours = 24 * sum(month.days for month in months)
    tidy()
    yield Row(
        f"{len(months)} months joined, {hours} hours, {size / 1e9:.1f} GB" + ("" if count == 12 else " (not a year)"),
        f"{size / 1e6 / median(took[0]):.0f} MB/s",
        f"cp, {size / 1e6 / median(took[1]):.0f} MB/s",
        ratios(*took),
        "≥ 0.6",
        f"both synced to the disk; peak memory {memory:.0f} MB (asked < 500)",
        {"ours_s": took[0], "peer_s": took[1], "bytes": size, "peak_mb": memory},
    )


def made_months(folder: Path, months: list) -> Iterator[Path]:
    """Months of the product, of rounded random fields; a few chunks are compressed once and used again and again."""
    rng, product = np.random.default_rng(0), product_of(MONTH)
    shape = product.encoding.chunk(fine_globe())
    compressed = []
    for _ in range(60):
        base = gaussian_filter(rng.standard_normal(shape), SMOOTH)
        values = 8 * np.exp(0.5 * base / base.std())
        compressed.append(chunks.encode_chunk(values.astype(np.float32), shape, BITS, product.encoding.level))
    ready = cycle(compressed)
    nothing = np.zeros((24, *fine_globe().shape), dtype=np.float32)
    for month in months:
        path = folder / f"{month}.nc"
        with (
            mock.patch.object(chunks, "encode_chunk", side_effect=ready),
            ProductWriter(path, month.hours(), product) as writer,
        ):
            for day in range(month.days):
                writer.write(24 * day, nothing)
        yield path


def months_with_room(folder: Path) -> int:
    """How many months of a year fit twice on the disk."""
    free = shutil.disk_usage(folder).free - SPARE
    return int(np.clip(free // (2 * 0.8e9), 2, 12))
