"""A month of the nature run as a local mirror of the services, with its truth and the state it ended in."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from deepcams.calendar import DAY, HALF_HOUR, HOUR, Month, is_analysis
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import write_text
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding, FieldWriter
from deepcams.grid.nodes import Grid, Region, coarse_grid, locate, refine
from deepcams.progress import progress
from deepcams.sources.nature_run.delivery import Portal, spectral_sample, write_ads
from deepcams.sources.nature_run.near_ground import Ground
from deepcams.sources.nature_run.simulate import NatureRun, synthetic_label
from deepcams.sources.nature_run.stations import Station, make_stations, write_day, write_locations
from deepcams.sources.nature_run.weather_files import MeteorologyWriter
from deepcams.sources.nature_run.weather_stations import FEWEST, WeatherRecords, make_weather_stations


def write_month(
    month: Month,
    root: str | Path,
    *,
    region: Region | None,
    seed: int,
    time_step_minutes: int,
    spin_up_days: int,
    margin_degrees: float,
    stations: int,
    restart_in: str | Path | None = None,
) -> None:
    """Simulate `month` and write everything the services would have of it below `root`.

    GEOS-CF hourly means and instants (with the next month's first), one CAMS file, OpenAQ's day files, the truth
    (hourly instants with the next month's first), humidity and wind (hourly means with the next month's first), half as
    many weather stations in a folder of this month, the restart, and a manifest per service. `restart_in` is the
    previous month's restart: the run goes on from there exactly; without it, it starts at least a day (`spin_up_days`)
    early. The run goes on for a day after the month, so that every local day that begins in the month is whole.
    Raises DeepcamsError if the restart is of another run or time.
    """
    root = Path(root)
    label = synthetic_label(seed)
    lead = 0 if restart_in else max(spin_up_days, 1)
    run = NatureRun(seed, month.start - lead * DAY, region, margin_degrees, time_step_minutes)
    if restart_in:
        run.load(Path(restart_in))
        if run.time != month.start:
            raise DeepcamsError(f"{restart_in} ends at {run.time}, but {month} needs the state of {month.start}.")
    inner = refine(coarse_grid(region))
    rows, columns = locate(inner, run.grid)
    places = make_stations(seed, stations, inner)
    node = (np.array([rows.start + s.row for s in places]), columns[[s.column for s in places]])
    write_locations(root / "openaq" / "locations.json", places, label)

    ground = Ground(run)
    weather_places = make_weather_stations(seed, max(stations // 2, FEWEST), inner)
    weather_node = (np.array([rows.start + s.row for s in weather_places]), columns[[s.column for s in weather_places]])
    weather = WeatherRecords(root / "weather" / str(month), month, weather_places, weather_node, ground)
    weather.add(ground.at(month.start - HOUR))

    first = run.time if restart_in else month.start - DAY
    hours = np.arange(run.time, month.end + DAY, HOUR)
    heard = np.zeros((int((month.end + DAY - first) / HOUR), len(places)))
    analyses: list[np.ndarray] = []
    portal = Portal(root, run.grid, label)
    files: list[Path] = []
    with (
        _truth(root / "truth" / f"{month}.nc", month, run.grid, label) as truth,
        MeteorologyWriter(root / "meteorology" / f"{month}.nc", month, run.grid, label) as meteorology,
    ):
        block: list[np.ndarray] = []
        for hour in progress(hours, f"Nature run {month}", "hour"):
            if hour == month.end:
                run.save(root / "restart" / f"{month}.npz")
            instant, mean = hourly(run)
            if hour >= first:
                heard[int((hour - first) / HOUR)] = mean[node]
            if not month.start <= hour <= month.end:
                continue
            files.append(portal.write(hour, instant, mean=False))
            files.append(portal.write(hour + HALF_HOUR, mean, mean=True))
            if is_analysis(np.array([hour]))[0]:
                analyses.append(spectral_sample(instant, run.grid, run.coarse))
            near_ground = ground.at(hour)
            meteorology.add(near_ground)
            weather.add(near_ground)
            block.append(instant)
            if len(block) == 24 or hour == month.end:
                truth.write(int((hour - month.start) / HOUR) + 1 - len(block), np.stack(block))
                block = []
    write_ads(root / "ads" / f"{month}.nc", month.analyses(), np.stack(analyses), run.coarse, label)
    records = _write_records(root / "openaq", places, heard, first, month.end, seed)
    weather_files = weather.write(label)
    os.sync()  # once for thousands of small files; the manifests, which vouch for them, come after
    _manifest(root, f"ads-{month}", [root / "ads" / f"{month}.nc"])
    _manifest(root, f"portal-{month}", files)
    _manifest(root, f"openaq-{month}", [root / "openaq" / "locations.json", *records])
    _manifest(root, f"meteorology-{month}", [root / "meteorology" / f"{month}.nc"])
    _manifest(root, f"weather-{month}", weather_files)


def hourly(run: NatureRun) -> tuple[np.ndarray, np.ndarray]:
    """Advance a run by an hour: its field at the beginning, and the mean over the hour (trapezoidal over the steps)."""
    start = run.field()
    steps = 60 // run.step_minutes
    total = start * np.float32(0.5)
    for n in range(steps):
        run.advance()
        total += run.field() * np.float32(1 if n < steps - 1 else 0.5)
    return start, total / np.float32(steps)


def _truth(path: Path, month: Month, grid: Grid, label: str) -> FieldWriter:
    return FieldWriter(
        path,
        times=np.append(month.hours(), month.end),
        grid=grid,
        encoding=Encoding(),
        attributes={
            "long_name": "SYNTHETIC surface PM2.5",
            "units": "ug m-3",
            "cell_methods": "time: point",
            "synthetic": label,
        },
        global_attributes={"title": "SYNTHETIC: the truth of the nature run", "source": f"SYNTHETIC: {label}"},
    )


def _write_records(
    root: Path, places: list[Station], heard: np.ndarray, first: np.datetime64, end: np.datetime64, seed: int
) -> list[Path]:
    """Day files of all local days that begin from `first` to `end`. heard : (hours from `first`, stations)."""
    paths = []
    for index, station in enumerate(progress(places, "Stations", "station")):
        # Stations report full hours of their own clock; half-hour zones take the UTC hour their hour mostly is.
        shift = np.timedelta64(round(station.offset_minutes / 60 - 0.01), "h")
        day = (first + shift).astype("datetime64[D]")
        while (start := day.astype("datetime64[s]") - shift) < end:
            if start >= first:
                begin = int((start - first) / HOUR)
                path = write_day(root, station, day, heard[begin : begin + 24, index], seed)
                paths += [path] if path else []
            day = day + np.timedelta64(1, "D")
    return paths


def _manifest(root: Path, name: str, paths: Iterable[Path]) -> None:
    """List files with their SHA-256, relative to `root`, as sha256sum does."""
    lines = [f"{sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in sorted(paths)]
    write_text(root / f"{name}.sha256", "".join(lines))
