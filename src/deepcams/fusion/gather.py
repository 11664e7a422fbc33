"""Everything that the fields of some time steps are made of: stations, weather and background on one grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import DAY, HOUR, Month
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import read_field
from deepcams.fusion.background import of_climatology, of_product
from deepcams.fusion.observations import Observations, daily, hourly
from deepcams.grid.nodes import Grid, from_axes
from deepcams.sources.isd import read_table as read_weather
from deepcams.sources.stations import is_synthetic, read_table
from deepcams.training.climatology import read_climatology
from deepcams.validation.counts import loss, sum_counts, total
from deepcams.validation.quality import KEPT, READ, QualitySettings, control_quality

# A day of weather needs no more: in much of the world it is observed every three hours.
WEATHER_HOURS = 8
SERIES = 16 * DAY  # around the times, by which measurements are judged; outliers take 15


@dataclass(frozen=True)
class GatherSettings:
    """How measurements become values of time steps.

    step : "daily" or "hourly".   day : "local" or "utc".   min_hours : valid hours that a station's day needs.
    """

    step: str = "daily"
    day: str = "local"
    min_hours: int = 19
    quality: QualitySettings = field(default_factory=QualitySettings)


@dataclass(frozen=True, eq=False)
class Gathered:
    """The inputs of fusion.

    times : (T,) datetime64[s], 00:00 of the days' dates, or the ends of hours.   observed : of the pollutant.
    others : by the name of the variable.   synthetic : whether the stations are a nature run's, None if there is
    none at all.
    counts : rows step, country, number: measurements that are not used, and why.
    """

    times: np.ndarray
    grid: Grid
    observed: Observations
    others: Mapping[str, Observations]
    synthetic: bool | None
    counts: pd.DataFrame


def times_of(month: Month, step: str) -> np.ndarray:
    """The time steps of a month: (T,) datetime64[s], 00:00 of its days' dates, or the ends of its hours (UTC)."""
    return np.arange(month.start, month.end, DAY) if step == "daily" else month.hours() + HOUR


def read_tables(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Months of the workflow's table of stations as one."""
    return pd.concat([read_table(path) for path in paths], ignore_index=True)


def gather(
    stations: pd.DataFrame,
    weather: Sequence[str | Path],
    variables: Sequence[str],
    grid: Grid,
    times: np.ndarray,
    settings: GatherSettings,
    *,
    may_be_empty: bool = False,
) -> Gathered:
    """Control the quality of measurements, and average them over time steps.

    stations : rows of `sources.stations.COLUMNS`, and a column `city` if it is known.   weather : files of
    `sources.isd`; `variables`, out of their columns, are taken from them, and are unobserved if there is no file.
    Both reach beyond the times as far as local days do. What lies further away serves the quality control, which judges
    series: 16 days of it, or all where stations need a share of each month.
    Raises DeepcamsError where no time step has a value of any station, with the counts of what was left out; unless it
    `may_be_empty`.
    """
    synthetic = is_synthetic(stations) if len(stations) else None
    near = stations
    if not settings.quality.station_coverage:
        near = stations[_near(stations["time"], np.array([times[0] - SERIES, times[-1] + SERIES]))]
    if not _near(near["time"], times).any() and not may_be_empty:
        raise DeepcamsError(
            f"No station has a measurement from {_edge(times[0])} to {_edge(times[-1])}. Check the stations' files and "
            "their period."
        )
    controlled, counts = control_quality(near, settings.quality)
    away = ~_near(controlled["time"], times)
    further = loss("another time", controlled[away])
    controlled = controlled[~away].reset_index(drop=True)
    if controlled.empty and not may_be_empty:
        reasons = {step: number for step, number in total(counts).items() if number and step not in (READ, KEPT)}
        raise DeepcamsError(
            f"The quality control leaves none of {len(near):,} measurements: "
            f"{', '.join(f'{number:,} {step}' for step, number in reasons.items())}. Check the stations' files."
        )
    if "city" in near.columns and "city" not in controlled.columns:
        controlled["city"] = controlled["station"].map(near.drop_duplicates("station").set_index("station")["city"])
    observed, losses = _averaged(controlled, grid, times, settings, may_be_empty=may_be_empty)
    others = {}
    if weather and variables:
        table = pd.concat([read_weather(path) for path in weather], ignore_index=True)
        table = table[_near(table["time"], times)]
        for name in variables:
            rows = table[np.isfinite(table[name])]
            others[name], _ = _averaged(rows, grid, times, settings, column=name, may_be_empty=True)
    return Gathered(times, grid, observed, others, synthetic, sum_counts([counts, further, losses]))


def backgrounds(
    kind: str, gathered_times: np.ndarray, grid: Grid, paths: Sequence[str | Path], settings: GatherSettings
) -> np.ndarray | None:
    """Background fields (T, H, W), ug m-3; None for the kind "none".

    kind : "product" with months of the product as `paths`, or "climatology" with the one file of it.
    """
    if kind == "none":
        return None
    if kind == "climatology":
        within = gathered_times - HOUR if settings.step == "hourly" else gathered_times  # an hour ends at its time
        return of_climatology(read_climatology(paths[0], grid), within)
    return of_product(paths, grid, gathered_times, settings.step, settings.day, settings.quality.pollutant)


def background_grid(kind: str, path: str | Path) -> Grid:
    """The nodes of a file that is a background of `kind`. Raises DeepcamsError if it is none."""
    if kind == "product":
        field = read_field(path)
        return from_axes(field.latitude.values, field.longitude.values)[0]
    try:
        with np.load(path) as archive:
            return from_axes(archive["latitude"], archive["longitude"])[0]
    except (OSError, ValueError, KeyError, EOFError, IndexError, TypeError) as error:
        raise DeepcamsError(f"{path} is no climatology ({error}). Name the climatology.npz of the network.") from error


def _averaged(
    table: pd.DataFrame,
    grid: Grid,
    times: np.ndarray,
    settings: GatherSettings,
    column: str = "value",
    *,
    may_be_empty: bool,
) -> tuple[Observations, pd.DataFrame]:
    """Weather is of instants, concentrations are of hours."""
    is_weather = column != "value"
    how = {"column": column, "instants": is_weather, "may_be_empty": may_be_empty}
    if settings.step == "hourly":
        return hourly(table, grid, times, **how)
    hours = min(settings.min_hours, WEATHER_HOURS) if is_weather else settings.min_hours
    return daily(table, grid, times.astype("datetime64[D]"), minimum_hours=hours, day=settings.day, **how)


def _near(stamps: pd.Series, times: np.ndarray) -> np.ndarray:
    """What can belong to the times: local days begin and end up to 12 hours from those of UTC."""
    values = stamps.to_numpy("datetime64[s]")
    return (values >= times[0] - DAY) & (values <= times[-1] + 2 * DAY + HOUR)


def _edge(time: np.datetime64) -> str:
    return str(time.astype("datetime64[h]"))
