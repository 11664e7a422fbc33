"""`deepcams fuse`: stations in, fields out, and how far each node is from the nearest station."""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import DAY, HALF_HOUR, HOUR, zone_hours
from deepcams.cli.options import add_pollutant, add_precision, add_region, check_output, must_exist, region
from deepcams.errors import DeepcamsError
from deepcams.fusion.folds import stations_out
from deepcams.fusion.gather import Gathered, GatherSettings, background_grid, gather
from deepcams.fusion.month import fuse, network_of
from deepcams.fusion.month_scores import SCHEMES, cross_validate_month, methods_of
from deepcams.fusion.observations import Observations, with_cities
from deepcams.fusion.year_scores import read_cross_validation, scored
from deepcams.grid.nodes import COARSE_STEP, Grid, Region, coarse_grid, describe, refine
from deepcams.models.fusion_frames import FusionFrames
from deepcams.pollutants import POLLUTANTS
from deepcams.sources.station_files import ENDINGS, read_stations
from deepcams.validation.counts import total
from deepcams.validation.quality import KEPT, READ, QualitySettings

HELP = """\
Make fields of station measurements with a fusion network (Lyu et al. 2022), on the 0.25° grid.

STATIONS     files or folders: tables of the workflow, OpenAQ's archive or real-time fetches, or any CSV table with
             columns for latitude, longitude, time and value
--model      a model file of the rule train_fusion; its settings say what background it needs
--background hourly product files (a network for "product") or the climatology.npz beside the model file (one for
             "climatology")
--weather    tables of weather stations of the workflow (results/raw/weather), for humidity and wind

OUT.nc gets daily (or hourly) means and distance_to_station (km): where that is large, no station had a say."""

MARGIN = 4.0  # degrees around the stations, which is as far as they reach
WIDE = 300.0  # degrees; a wider box goes round the globe
LONGEST = 400 * DAY  # from the first measurement to the last, without --first and --last
AVERAGED = "averaged into"  # how the counts name rows that others stand for, and that are not lost


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("stations", metavar="STATIONS", nargs="+", help="measurements")
    parser.add_argument("--out", metavar="OUT.nc", required=True, help="the fields")
    parser.add_argument("--model", metavar="MODEL", required=True, help="model file of a fusion network")
    parser.add_argument("--background", metavar="FILE", nargs="+", default=[], help="what the network starts from")
    parser.add_argument("--weather", metavar="TABLE", nargs="+", default=[], help="weather stations of the workflow")
    parser.add_argument("--step", choices=("daily", "hourly"), default="daily", help="of the fields (default: daily)")
    parser.add_argument("--day", choices=("local", "utc"), help="what a day is (default: local)")
    parser.add_argument("--min-hours", type=int, metavar="N", help="hours that a day needs (default: 19)")
    parser.add_argument("--first", metavar="DATE", help="first day (default: the first with a station)")
    parser.add_argument("--last", metavar="DATE", help="last day, included (default: the last with a station)")
    add_region(parser, "box of the fields (default: the background's, else that of the stations)")
    add_pollutant(parser)
    add_precision(parser)
    parser.add_argument(
        "--utc-offset", type=float, metavar="HOURS", help="of measurements whose times do not say their zone"
    )
    parser.add_argument("--reference-grade-only", action="store_true", help="leave out low-cost sensors")
    parser.add_argument(
        "--cities", metavar="TABLE", nargs="+", default=[], help="CSV tables that say the city (or area) of stations"
    )
    parser.add_argument(
        "--cross-validate", metavar="TABLE.csv.gz", help="leave stations, then cities, out by turns; print the scores"
    )
    parser.add_argument("--folds", type=int, default=10, metavar="N", help="of the cross-validation (default: 10)")


def run(options: argparse.Namespace) -> None:
    """Fuse, write and say what became of the measurements."""
    _check_outputs(options)
    model = must_exist(options.model)
    network = network_of(model)
    paths = [must_exist(path) for path in options.background]
    weather = [must_exist(path) for path in options.weather]
    cities = [must_exist(path) for path in options.cities]
    box = region(options.region)
    pollutant = POLLUTANTS[options.pollutant]
    quality = QualitySettings(reference_grade_only=options.reference_grade_only, pollutant=pollutant)
    settings = _settings(options, quality)
    _check_background(model, network, paths)
    if weather and not network.variables:
        raise DeepcamsError(f"{model} makes no use of weather. Leave --weather out.")
    first, last = _date(options.first, "--first"), _date(options.last, "--last")
    table = read_stations(options.stations, pollutant, options.utc_offset)
    if cities:
        table = with_cities(table, cities)
    times = _times(table, settings, first, last)
    grid = _grid(table, box, network.background, paths)
    gathered = gather(table, weather, network.variables, grid, times, settings)
    gathered = _with_stations(gathered, first is None, last is None)
    if options.cross_validate:
        stations_out(gathered.observed, options.folds)  # whether there are enough, before anything is written
    sources = [*map(Path, options.stations), *weather]
    fuse(options.out, gathered, model, paths, settings, sources=sources, precision=options.precision)
    _tell(options.out, gathered, len(table), settings)
    if network.variables and not weather:
        print(f"{' and '.join(network.variables)}: no observation, as there is no --weather")
    if options.cross_validate:
        kind = network.background
        methods, notes = methods_of(gathered, {kind: model}, {kind: paths} if paths else {}, settings)
        cross_validate_month(options.cross_validate, gathered, methods, options.folds)
        scores = scored(read_cross_validation([options.cross_validate]))
        shown = ["scheme", "method", "n", "r2", "rmse", "rmse_low", "rmse_high", "nme", "bias", "verdict"]
        print("\n" + scores[shown].round(3).to_string(index=False))
        absent = [scheme for scheme in SCHEMES if scheme not in set(scores["scheme"])]
        print("\n".join([*notes, *(f"There are fewer {scheme} than folds." for scheme in absent)]))


def _check_outputs(options: argparse.Namespace) -> None:
    """Raise DeepcamsError unless outputs can be written, and are neither inputs nor one file."""
    inputs = [options.model, *options.background, *options.weather, *options.cities, *_files(options.stations)]
    outputs = [options.out, *([options.cross_validate] if options.cross_validate else [])]
    for out in outputs:
        for source in [path for path in inputs if Path(path).exists()] or [options.model]:
            check_output(out, source)
    if len(outputs) == 2 and Path(outputs[0]).resolve() == Path(outputs[1]).resolve():
        raise DeepcamsError(f"--out and --cross-validate are both {options.out}. Give them different names.")


def _files(stations: Sequence[str]) -> Iterator[Path]:
    for path in map(Path, stations):
        yield from (file for file in path.rglob("*") if file.name.endswith(ENDINGS)) if path.is_dir() else [path]


def _settings(options: argparse.Namespace, quality: QualitySettings) -> GatherSettings:
    """How measurements are averaged. Raises DeepcamsError for options about days where there are none."""
    if options.step == "hourly":
        useless = [name for name, value in (("--day", options.day), ("--min-hours", options.min_hours)) if value]
        if useless:
            raise DeepcamsError(f"{' and '.join(useless)}: hours are of UTC. Leave that out, or choose --step daily.")
    hours = GatherSettings.min_hours if options.min_hours is None else options.min_hours
    if not 1 <= hours <= 24:
        raise DeepcamsError(f"--min-hours {hours}: a day needs from 1 to 24 hours.")
    return GatherSettings(options.step, options.day or GatherSettings.day, hours, quality)


def _check_background(model: Path, network: FusionFrames, paths: Sequence[Path]) -> None:
    """Raise DeepcamsError unless there is the background that the network wants; `fuse` looks at what is in it."""
    needed = {
        "none": "no background",
        "product": "hourly files of the product as --background",
        "climatology": "one climatology.npz as --background",
    }[network.background]
    wrong = {"none": bool(paths), "product": not paths, "climatology": len(paths) != 1}[network.background]
    if wrong:
        given = ", ".join(map(str, paths)) or "none"
        raise DeepcamsError(f"{model} needs {needed}; given: {given}.")


def _times(
    table: pd.DataFrame, settings: GatherSettings, first: np.datetime64 | None, last: np.datetime64 | None
) -> np.ndarray:
    """The time steps of the days from `first` to `last`, or all that can have a measurement."""
    if first is not None and last is not None and last < first:
        raise DeepcamsError(f"The last day, {_day(last)}, is before the first, {_day(first)}.")
    stamps = table["time"].to_numpy("datetime64[s]")
    known = ~np.isnat(stamps) & np.isfinite(table["longitude"].to_numpy())
    if not known.any():
        raise DeepcamsError("No measurement has a time that can be read, and a place. Check the stations' files.")
    stamps, hourly = stamps[known], settings.step == "hourly"
    if settings.day == "local" and not hourly:
        stamps = stamps + zone_hours(table["longitude"].to_numpy()[known]) * HOUR
    # A stamp is the end of its hour: 00:00 belongs to the day before.
    begin, end = stamps.min() - HALF_HOUR, stamps.max() - np.timedelta64(1, "s")
    begin = _day(begin) if first is None else first
    end = _day(end) if last is None else last
    if end < begin:
        raise DeepcamsError(
            f"The measurements are from {_day(stamps.min() - HALF_HOUR)} to {_day(stamps.max())}: none is from "
            f"{_day(begin)} to {_day(end)}. Check --first and --last."
        )
    if end - begin >= LONGEST and (first is None or last is None):
        raise DeepcamsError(
            f"The measurements are from {_day(begin)} to {_day(end)}. Name what is wanted of so long a time with "
            "--first and --last."
        )
    if hourly:
        return np.arange(begin + HOUR, end + DAY + HOUR, HOUR).astype("datetime64[s]")
    return np.arange(begin, end + DAY, DAY).astype("datetime64[s]")


def _day(time: np.datetime64) -> np.datetime64:
    return time.astype("datetime64[D]")


def _date(text: str | None, name: str) -> np.datetime64 | None:
    if text is None:
        return None
    try:
        return np.datetime64(date.fromisoformat(text), "s")
    except ValueError as error:
        raise DeepcamsError(f"{name} {text!r} is no date; write it as 2018-02-06.") from error


def _with_stations(gathered: Gathered, from_first: bool, to_last: bool) -> Gathered:
    """Without the time steps before the first and after the last that has a station."""
    there = np.flatnonzero(np.isfinite(gathered.observed.values).any(axis=1))
    begin, end = there[0] if from_first else 0, there[-1] + 1 if to_last else len(gathered.times)

    def cut(observed: Observations) -> Observations:
        return Observations(observed.times[begin:end], observed.stations, observed.values[begin:end])

    return replace(
        gathered,
        times=gathered.times[begin:end],
        observed=cut(gathered.observed),
        others={name: cut(observed) for name, observed in gathered.others.items()},
    )


def _tell(out: str, gathered: Gathered, read: int, settings: GatherSettings) -> None:
    """What was made of which measurements, and how many were not used, by reason."""
    there = np.isfinite(gathered.observed.values).any(axis=1)
    noun = "days" if settings.step == "daily" else "hours"
    empty = "" if there.all() else f" ({(~there).sum()} without any station)"
    first, last = (
        str(time.astype("datetime64[D]" if noun == "days" else "datetime64[m]"))
        for time in (gathered.times[0], gathered.times[-1])
    )
    print(f"{out}: {len(there)} {noun}{empty}, {first} … {last}, {describe(gathered.grid)}")
    told = total(gathered.counts)
    left_out = {step: number for step, number in told.items() if step not in (READ, KEPT) and AVERAGED not in step}
    left_out["another time"] = left_out.get("another time", 0) + read - told[READ]  # further away was not looked at
    reasons = ", ".join(f"{number:,} {step}" for step, number in left_out.items() if number)
    used = read - sum(left_out.values())
    print(f"{len(gathered.observed.stations):,} stations; {used:,} of {read:,} measurements used")
    if reasons:
        print(f"not used: {reasons}")


def _grid(
    table: pd.DataFrame, box: tuple[float, float, float, float] | None, background: str, paths: Sequence[Path]
) -> Grid:
    """The fine nodes of the fields."""
    if box is not None:
        return _on_nodes(*box)
    if background != "none":
        return background_grid(background, paths[0])
    places = table[["latitude", "longitude"]].drop_duplicates()
    # As in the quality control: one number given for both is no place.
    possible = places[
        (places["latitude"].abs() <= 90)
        & places["longitude"].between(-180, 360)
        & (places["latitude"] != places["longitude"])
    ]
    if possible.empty:
        raise DeepcamsError("No station has possible coordinates. Check the columns of latitude and longitude.")
    west, east = _arc(possible["longitude"].to_numpy(np.float64))
    if east - west + 2 * MARGIN > WIDE:
        west, east = -180.0, 180.0
    latitude = possible["latitude"]
    return _on_nodes(latitude.max() + MARGIN, west - MARGIN, latitude.min() - MARGIN, east + MARGIN)


def _arc(longitude: np.ndarray) -> tuple[float, float]:
    """West and east of the shortest arc that holds all longitudes; east may go on past 180."""
    there = np.unique((longitude + 180) % 360 - 180)
    gaps = np.diff(np.append(there, there[0] + 360))
    widest = int(np.argmax(gaps))
    west = float(there[(widest + 1) % len(there)])
    return west, west + 360 - float(gaps[widest])


def _on_nodes(north: float, west: float, south: float, east: float) -> Grid:
    """The fine nodes of the box, widened to nodes of the coarse grid; round the globe where it meets itself."""
    north, east = (math.ceil(value / COARSE_STEP - 1e-9) * COARSE_STEP for value in (north, east))
    south, west = (math.floor(value / COARSE_STEP + 1e-9) * COARSE_STEP for value in (south, west))
    around = math.floor((west + 180) / 360) * 360  # how far the west is from -180 … 180
    west, east = west - around, east - around
    if east - west > 360 - COARSE_STEP:
        west, east = -180.0, 180.0 - COARSE_STEP
    return refine(coarse_grid(Region(min(north, 90.0), west, max(south, -90.0), east)))
