"""(k) Validation: three years of 6,656 stations against global hourly fields, on two cores."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from benchmarks.timing import Row, in_process, peak_mb, seconds
from deepcams.calendar import Month, months_between
from deepcams.files.netcdf import Encoding, FieldWriter
from deepcams.geography.load import land_mask
from deepcams.grid.nodes import Grid, coarse_globe, fine_globe
from deepcams.sources.stations import COLUMNS, read_table, write_table
from deepcams.validation.collocation import CollocationSettings, collocate_month
from deepcams.validation.fields import FieldFile

if TYPE_CHECKING:
    from benchmarks.fields import Inputs

STATIONS = 6656
HOURS = 8714  # of each station in three years: 58 million in all
FIRST, LAST = Month(2017, 1), Month(2019, 12)
PEER_STATIONS = 200


def validation(inputs: "Inputs", folder: Path, quick: bool) -> Iterator[Row]:
    """Quality control, collocation and scores of three years; the way it is done with xarray and pandas beside it."""
    months = months_between(FIRST, Month(2017, 2) if quick else LAST)
    _write_fields(folder)
    _write_stations(folder, hours=HOURS // 36)
    jobs = [(str(folder), str(month)) for month in months]

    def pair_all() -> None:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            found.extend(pool.map(pair_month, jobs))

    found: list[dict] = []
    paired = seconds(pair_all)
    years = sorted({month.year for month in months})
    scored = [in_process(score_year, folder=str(folder), year=year) for year in years]
    took = paired + sum(item["result"]["seconds"] for item in scored)
    pairs = sum(item["pairs"] for item in found)
    peak = max(2 * max(item["peak_mb"] for item in found), *(item["peak_mb"] for item in scored))
    peer = in_process(pair_with_xarray, folder=str(folder))["result"]
    ours, theirs = sum(item["seconds"] for item in found) / pairs, peer["seconds"] / peer["pairs"]
    slowest = max(item["result"]["seconds"] for item in scored)
    yield Row(
        f"{pairs / 1e6:.1f} million station-hours of {STATIONS:,} stations: quality control, collocation, scores",
        f"{took / 60:.1f} min, peak {peak / 1000:.1f} GB",
        f"xarray and pandas, station by station, pairing alone: {theirs * 1e6:.0f} s a million",
        [theirs / ours],
        "minutes, < 4 GB",
        f"{len(months)} months, two at a time: {paired:.0f} s ({1e6 * ours:.1f} s of a core a million); scores, tests "
        f"and tables of a year: {slowest:.0f} s",
        {"seconds": took, "pairing": paired, "pairs": pairs, "peak_mb": peak, "peer": peer},
    )


def pair_month(job: tuple[str, str]) -> dict:
    """Pair one month, as the rule collocate_stations does; in a process of its own."""
    folder, month = Path(job[0]), Month.parse(job[1])
    os.environ["OMP_NUM_THREADS"] = "1"
    shift = month.start - FIRST.start
    out = folder / "pairs" / f"{month}.nc", folder / "pairs" / f"{month}_counts.csv.gz"
    took = seconds(lambda: _collocate(folder, shift, out))
    from deepcams.validation.pairs import read_pairs

    return {"seconds": took, "pairs": len(read_pairs(out[0])), "peak_mb": peak_mb()}


def score_year(folder: str, year: int) -> dict:
    """Scores of a year's pairs, as the rule validate_year makes them; in a process of its own."""
    from deepcams.validation.pairs import join, read_pairs
    from deepcams.validation.station_summary import SummarySettings, click_series, station_tables

    def score() -> None:
        pairs = join(read_pairs(path) for path in sorted((Path(folder) / "pairs").glob(f"{year}-??.nc")))
        station_tables(pairs, SummarySettings())
        click_series(pairs, daily_hours=19)

    return {"seconds": seconds(score)}


def pair_with_xarray(folder: str) -> dict:
    """What one writes first: for every station the nearest cell's series, joined with its measurements."""
    table = read_table(Path(folder) / "stations.csv.gz")
    names = table["station"].unique()[:PEER_STATIONS]
    table = table[table["station"].isin(names)]
    joined = []

    def pair() -> None:
        with xr.open_dataset(Path(folder) / "product.nc", engine="h5netcdf") as data:
            for _, part in table.groupby("station"):
                place = part.iloc[0]
                cell = data["pm25"].sel(latitude=place["latitude"], longitude=place["longitude"], method="nearest")
                series = cell.to_series().rolling(2).mean()
                joined.append(part.set_index("time")[["value"]].join(series, how="inner").dropna())

    return {"seconds": seconds(pair), "pairs": sum(map(len, joined))}


def _collocate(folder: Path, shift: np.timedelta64, out: tuple[Path, Path]) -> None:
    """`collocate_month` with the one month of fields and stations there is, put into another month."""
    from deepcams.validation import collocation

    class Shifted(FieldFile):
        def __init__(self, path, *args, **options):
            super().__init__(path, *args, **options)
            self.times = self.times + shift

    def shifted_table(path):
        table = read_table(path)
        return table.assign(time=table["time"] + shift)

    read, collocate = collocation.read_table, collocation.collocate
    collocation.read_table = shifted_table
    collocation.collocate = lambda *args: collocate(*args, opened=Shifted)
    try:
        collocate_month(
            folder / "product.nc", folder / "cams.nc", folder / "stations.csv.gz", *out, CollocationSettings()
        )
    finally:
        collocation.read_table, collocation.collocate = read, collocate


def _write_fields(folder: Path) -> None:
    """A global month of product and CAMS, of smooth fields: 3 GB when they are unpacked."""
    rng, hours = np.random.default_rng(0), FIRST.hours()
    for name, grid, times in (("product", fine_globe(), hours), ("cams", coarse_globe(), FIRST.analyses())):
        day = np.exp(_smooth(rng, grid) + 0.3 * np.stack([_smooth(rng, grid) for _ in range(24)])).astype(np.float32)
        writer = FieldWriter(
            folder / f"{name}.nc",
            times=times,
            grid=grid,
            encoding=Encoding(mantissa_bits=7),
            attributes={"units": "ug m-3"},
        )
        with writer:
            for start in range(0, len(times), 24):
                writer.write(start, day[: len(times) - start])


def _smooth(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    from scipy.ndimage import zoom

    rows, columns = grid.shape
    small = rng.normal(2.5, 0.8, (31, 60))
    return zoom(small, (rows / 31, columns / 60), order=1, grid_mode=True, mode="grid-wrap")


def _write_stations(folder: Path, hours: int) -> None:
    """The month's table of all stations; each reports for `hours` hours on end."""
    rng = np.random.default_rng(1)
    land = np.argwhere(land_mask(fine_globe())[120:560])
    places = land[rng.choice(len(land), STATIONS, replace=False)] + np.array([120, 0])
    starts = rng.integers(1, len(FIRST.hours()) - hours, STATIONS)
    count = STATIONS * hours
    station = np.repeat(np.arange(STATIONS), hours)
    time = FIRST.start + (starts[station] + np.tile(np.arange(hours), STATIONS)) * np.timedelta64(3600, "s")
    table = pd.DataFrame(
        {
            "station": pd.array([f"{number:05d}" for number in range(STATIONS)], dtype="str").take(station),
            "name": "Station",
            "country": "",
            "latitude": 90 - places[station, 0] * 0.25 + 0.05,
            "longitude": -180 + places[station, 1] * 0.25 + 0.05,
            "time": time,
            "averaging_hours": 1.0,
            "parameter": "pm25",
            "value": np.round(rng.lognormal(2.5, 0.8, count), 1),
            "units": "ug/m3",
            "provider": "bench",
            "reference_grade": pd.array([True] * count, dtype="boolean"),
        }
    )
    write_table(table.loc[:, COLUMNS], folder / "stations.csv.gz")
