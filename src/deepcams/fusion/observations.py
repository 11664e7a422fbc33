"""Station measurements as means of local days or of hours, at the nodes of a grid.

What belongs to a time step. A measurement of the air's composition is stamped with the end of its averaging hour and
belongs to the hour, and the day, that its middle lies in: the one stamped 00:00 to the day before. Weather is observed
at an instant: in means of days it belongs to the day that its stamp lies in (00:00 to the day that begins there), in
hours to the one that ends at it. A local day is that of the station's nautical zone: its longitude, brought into
-180 … 180, over 15° and rounded, in hours ahead of UTC. So across the date line, where the zones are -12 and +12 h,
neighbouring stations have the same clock and dates that differ by one: each day is that of the station's own date. The
meridian of 180° itself is counted as -180°. Legal times and summer times are not looked at.

What belongs to a cell. A station belongs to the nearest node, as in `validation.axes.nodes`: on the edge between two
cells to the southern or eastern one, on the outer edge of a region to the outermost node, and round the globe the last
half step before 180° to the first column. The nodes of a pole's row are one point; their first column stands for it.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import zone_hours
from deepcams.errors import DeepcamsError
from deepcams.fusion.cells import Cells
from deepcams.grid.nodes import Grid, describe
from deepcams.sources.openaq_files import file_lines
from deepcams.validation.axes import nodes, positions
from deepcams.validation.counts import loss, total
from deepcams.validation.quality import as_utc
from deepcams.validation.quality_series import period_end

TEXTS = ("name", "country", "city")
COLUMNS = ["station", *TEXTS, "latitude", "longitude", "row", "column"]
_STATION, _CITY = ("station", "code", "id"), ("city", "area")  # columns of plain tables
_NO_TIME = np.iinfo(np.int64).min  # NaT as a number
_HOUR, _DAY = 3600, 86400  # s
_POLE = 90.0 - 1e-9


@dataclass(frozen=True, eq=False)
class Observations:
    """Means at stations, one after the other in time.

    times : (T,) datetime64[s], rising: 00:00 of the day's date, or the end of the hour.
    stations : S rows `COLUMNS`, by station, row and column: texts ("" where unknown), degrees as they were given, and
    the station's node. A station that moved to another cell has one row for each.
    values : (T, S) float32, NaN where there is none; every station has at least one.
    """

    times: np.ndarray
    stations: pd.DataFrame
    values: np.ndarray


def daily(
    table: pd.DataFrame,
    grid: Grid,
    days: np.ndarray,
    *,
    column: str = "value",
    minimum_hours: int = 19,
    day: str = "local",
    instants: bool = False,
    may_be_empty: bool = False,
) -> tuple[Observations, pd.DataFrame]:
    """Means of days at the stations in the cells of a grid; each hour weighs the same, however often it was measured.

    table : rows station, latitude, longitude (degrees), time (UTC) and `column`, as `control_quality` or
    `sources.isd` gives them; name, country and city as they come. It must reach some 12 hours beyond `days` at either
    end, where their local days begin and end.  days : (T,) datetime64[D], rising.
    minimum_hours : distinct hours with a value that a day needs ("more than 18", Lyu et al. 2022).
    day : "local", of the station's nautical zone, or "utc".  instants : times are not ends of hours, but instants.
    Returns the observations (unit of `column`), and how many rows each reason left out: rows step, country, number. All
    rows less those left out are the means. Of a station's rows of one time the lowest value counts, as in the
    quality control. The order of the rows makes no difference.
    Raises DeepcamsError, with the counts, where no day has a mean (unless it `may_be_empty`), and for columns missing.
    """
    if day not in ("local", "utc"):
        raise DeepcamsError(f"A day is not {day!r}: choose local or utc.")
    if not 1 <= minimum_hours <= 24:
        raise DeepcamsError(f"A day does not have {minimum_hours} hours; choose from 1 to 24.")
    days = _steps(days, "datetime64[D]")
    rows, series, losses = _rows(table, grid, column)
    time = rows["time"].to_numpy()
    end = (time // _HOUR + 1) * _HOUR if instants else period_end(time, 1.0, 1.0)
    if day == "local":
        end = end + _HOUR * zone_hours(series["longitude"].to_numpy())[rows["series"].to_numpy()]
    rows["hour"] = (end - 1) // _HOUR % 24
    rows = _usable(_at_steps(rows, (end - 1) // _DAY, days.astype(np.int64), losses), losses)
    found = _means(rows, days.astype("datetime64[s]"), series, (24, minimum_hours), "day", losses)
    return _checked(found, losses, grid, f"days from {days[0]} to {days[-1]}", column, len(table), may_be_empty)


def hourly(
    table: pd.DataFrame,
    grid: Grid,
    hours: np.ndarray,
    *,
    column: str = "value",
    instants: bool = False,
    may_be_empty: bool = False,
) -> tuple[Observations, pd.DataFrame]:
    """As `daily`, but for hours: `hours` (T,) datetime64[s], rising, are the full hours at which they end (UTC)."""
    hours = _steps(hours, "datetime64[s]")
    if (hours.astype(np.int64) % _HOUR).any():
        raise DeepcamsError("Hours of observations end at full hours of UTC; give them as hh:00.")
    rows, series, losses = _rows(table, grid, column)
    end = period_end(rows["time"].to_numpy(), 0.0 if instants else 1.0, 1.0)
    rows["hour"] = 0
    rows = _usable(_at_steps(rows, end, hours.astype(np.int64), losses), losses)
    found = _means(rows, hours, series, (1, 1), "hour", losses)
    return _checked(found, losses, grid, f"hours from {hours[0]} to {hours[-1]}", column, len(table), may_be_empty)


def cells_at(observations: Observations, step: int, keep: np.ndarray | None = None) -> Cells:
    """Means over the stations of each cell at one time step, by row and column; of the stations `keep` (S,) bool."""
    value = observations.values[step].astype(np.float64)
    use = np.isfinite(value) if keep is None else np.isfinite(value) & keep
    cell, which = np.unique(cell_keys(observations.stations)[use], return_inverse=True)
    mean = np.bincount(which, value[use], len(cell)) / np.bincount(which, minlength=len(cell))
    return Cells(cell >> 32, cell & 0xFFFFFFFF, mean)


def cell_keys(stations: pd.DataFrame) -> np.ndarray:
    """A number for the cell of each station, rising with row and column: (S,) int64."""
    return (stations["row"].to_numpy(np.int64) << 32) | stations["column"].to_numpy(np.int64)


def join(parts: Sequence[Observations]) -> Observations:
    """Observations of several months, say, on one grid. Raises DeepcamsError unless their times go on rising."""
    times = np.concatenate([part.times for part in parts])
    _steps(times, "datetime64[s]")
    every = pd.concat([part.stations for part in parts], ignore_index=True)
    key = ["station", "row", "column"]
    stations = every.drop_duplicates(key, keep="last").sort_values(key, ignore_index=True)
    of = pd.MultiIndex.from_frame(stations[key])
    values = np.full((len(times), len(stations)), np.nan, np.float32)
    begin = 0
    for part in parts:
        at = of.get_indexer(pd.MultiIndex.from_frame(part.stations[key]))
        values[begin : begin + len(part.times), at] = part.values
        begin += len(part.times)
    return Observations(times, stations, values)


class _Losses:
    """What was left out so far: tables of step, country, number."""

    def __init__(self, country: np.ndarray) -> None:
        self._country = country  # of each place
        self.parts: list[pd.DataFrame] = []

    def add(self, step: str, place: np.ndarray) -> None:
        """Rows left out, by the places that they are from: (n,) int."""
        self.parts.append(loss(step, pd.DataFrame({"country": self._country[place]})))


def with_cities(table: pd.DataFrame, paths: Iterable[str | Path]) -> pd.DataFrame:
    """The table with a column city, which `read_stations` does not keep: of the plain tables of stations at `paths`.

    They have a header, a column station, code or id, and one city or area. A station that they do not name, or that got
    another id because several files used it, has "". Raises DeepcamsError for a file without these columns.
    """
    city: dict[str, str] = {}
    for path in paths:
        lines = file_lines(Path(path))
        header = next(lines, "").lstrip("\ufeff")
        names = [cell.strip().strip('"').lower() for cell in re.split("[,;\t]", header)]
        station, named = (next((n for n in choice if n in names), None) for choice in (_STATION, _CITY))
        if station is None or named is None:
            raise DeepcamsError(
                f"{path} lacks a column of {' or '.join(_STATION)} or of {' or '.join(_CITY)}: it does not tell the "
                "cities of stations. Name a file that does, or leave cities to the distances of stations."
            )
        at = names.index(station), names.index(named)
        try:
            for cells in csv.reader(lines, delimiter=max(",;\t", key=header.count)):
                if len(cells) > max(at) and cells[at[1]].strip():
                    city.setdefault(cells[at[0]].strip(), cells[at[1]].strip())
        except csv.Error as error:
            raise DeepcamsError(f"{path} is no whole table of stations ({error}). Check it.") from error
    return table.assign(city=table["station"].map(city).fillna("").astype("str"))


def _steps(steps: np.ndarray, kind: str) -> np.ndarray:
    steps = np.asarray(steps).astype(kind)
    if not steps.size or not (np.diff(steps.astype(np.int64)) > 0).all():
        raise DeepcamsError("Observations need at least one time step, and steps that rise; put them in order.")
    return steps


def _rows(table: pd.DataFrame, grid: Grid, column: str) -> tuple[pd.DataFrame, pd.DataFrame, _Losses]:
    """The rows in the region in numbers: station, place, series, time (int64 s), value, averaged (bool: over an hour).
    The series, `COLUMNS`: a station in a cell. And what was left out so far."""
    missing = [name for name in ("station", "latitude", "longitude", "time", column) if name not in table]
    if missing:
        raise DeepcamsError(f"The table of observations lacks the columns {', '.join(missing)}; make it anew.")
    place, places = _places(table)
    possible = (places["latitude"].abs() <= 90.0) & (places["longitude"].abs() <= 360.0)  # not so for NaN
    row, east = positions(grid, *_coordinates(places.where(possible), grid))
    inside = np.isfinite(row) & np.isfinite(east)
    losses = _Losses(places["country"].to_numpy(dtype=object))
    losses.add("impossible coordinates", place[~possible.to_numpy()[place]])
    losses.add("outside the region", place[(possible.to_numpy() & ~inside)[place]])
    weight = np.bincount(place, minlength=len(places))[inside]
    number, series = _series(places[inside], grid, weight)
    series_of = np.full(len(places), -1)
    series_of[inside] = number
    rows = pd.DataFrame(
        {
            "station": pd.factorize(places["station"])[0][place],
            "place": place,
            "series": series_of[place],
            "time": as_utc(table["time"]).to_numpy().astype(np.int64),
            "value": pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64),
            "averaged": _is_hour(table),
        }
    )
    rows = rows[inside[place]]
    return _without(rows, "time not readable", rows["time"].to_numpy() == _NO_TIME, losses), series, losses


def _places(table: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Number of the place of each row (N,), and the places: station, texts, latitude and longitude, sorted by these but
    for the texts. A place is a station's; of its texts the last in the alphabet counts, so that none is empty if one
    is not."""
    keys = {"station": table["station"].astype("str")}
    keys |= {name: pd.to_numeric(table[name], errors="coerce").astype("float64") for name in ("latitude", "longitude")}
    keys = pd.DataFrame(keys)
    place = keys.groupby(list(keys), dropna=False).ngroup().to_numpy(np.int64)
    first = np.zeros(place.max(initial=-1) + 1, np.int64)
    first[place[::-1]] = np.arange(len(place))[::-1]
    places = keys.iloc[first].reset_index(drop=True)
    for name in TEXTS:
        text = np.full(len(places), "", dtype=object)
        if name in table and len(table):
            code, spelt = pd.factorize(table[name], sort=True)  # -1 for none
            last = np.full(len(places), -1)
            np.maximum.at(last, place, code)
            text = np.append(np.asarray(spelt, dtype=object), "")[last]
        places[name] = pd.array(text, dtype="str")
    return place, places


def _coordinates(places: pd.DataFrame, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude; at a pole itself any longitude is right, so that of the first node."""
    latitude, longitude = places["latitude"].to_numpy(), places["longitude"].to_numpy()
    return latitude, np.where(np.abs(latitude) >= _POLE, grid.longitude[0], longitude)


def _series(places: pd.DataFrame, grid: Grid, weight: np.ndarray) -> tuple[np.ndarray, pd.DataFrame]:
    """Number of the series of each place, and the series by station, row and column, at its place of most rows."""
    row, column, _ = nodes(grid, *_coordinates(places, grid), "nearest")
    at_pole = np.abs(grid.latitude[row[:, 0]]) >= _POLE
    places = places.assign(row=row[:, 0], column=np.where(at_pole, 0, column[:, 0]), weight=weight)
    key = ["station", "row", "column"]
    number = places.groupby(key).ngroup().to_numpy(np.int64)
    ranked = places.sort_values([*key, "weight", "latitude", "longitude"], ascending=[True] * 3 + [False] + [True] * 2)
    return number, ranked.drop_duplicates(key)[COLUMNS].reset_index(drop=True)


def _is_hour(table: pd.DataFrame) -> np.ndarray:
    if "averaging_hours" not in table:
        return np.ones(len(table), bool)
    hours = pd.to_numeric(table["averaging_hours"], errors="coerce").to_numpy(np.float64)
    return np.abs(hours - 1.0) <= 0.01


def _at_steps(rows: pd.DataFrame, key: np.ndarray, steps: np.ndarray, losses: _Losses) -> pd.DataFrame:
    """The rows of the time steps, with the number of theirs."""
    step = np.searchsorted(steps, key).clip(max=len(steps) - 1)
    return _without(rows.assign(step=step), "another time", steps[step] != key, losses)


def _usable(rows: pd.DataFrame, losses: _Losses) -> pd.DataFrame:
    """The rows of hours that have a value, one for each station and time."""
    rows = _without(rows, "other averaging period", ~rows["averaged"].to_numpy(), losses)
    rows = _without(rows, "no value", ~np.isfinite(rows["value"].to_numpy()), losses)
    shared = np.flatnonzero(rows.duplicated(["station", "time"], keep=False))
    station, time, value, place = (rows[name].to_numpy()[shared] for name in ("station", "time", "value", "place"))
    order = np.lexsort((place, value, time, station))
    again = np.zeros(len(rows), bool)
    again[shared[order[1:]]] = (np.diff(station[order]) == 0) & (np.diff(time[order]) == 0)
    return _without(rows, "same station and time again", again, losses)


def _means(
    rows: pd.DataFrame,
    times: np.ndarray,
    series: pd.DataFrame,
    hours: tuple[int, int],
    noun: str,
    losses: _Losses,
) -> Observations:
    """Means of hours, and of these over the steps of each series. hours : of a step, and how many of them it needs."""
    every, minimum = hours
    size = len(series) * len(times)
    slot = rows["series"].to_numpy() * len(times) + rows["step"].to_numpy()
    hour = slot * every + rows["hour"].to_numpy()
    number = np.bincount(hour, minlength=size * every).reshape(size, every)
    total_of_hours = np.bincount(hour, rows["value"].to_numpy(), size * every).reshape(size, every)
    measured = (number > 0).sum(axis=1)
    values = (total_of_hours / np.maximum(number, 1)).sum(axis=1) / np.maximum(measured, 1)
    whole = measured >= minimum
    values[~whole] = np.nan
    if minimum > 1:
        few = ~whole[slot]
        rows, slot = _without(rows, f"{noun} with fewer than {minimum} hours", few, losses), slot[~few]
    _without(rows, f"averaged into {noun}s", pd.Series(slot).duplicated().to_numpy(), losses)
    values = values.reshape(len(series), len(times)).T
    known = np.isfinite(values).any(axis=0)
    return Observations(times, series[known].reset_index(drop=True), values[:, known].astype(np.float32))


def _without(rows: pd.DataFrame, step: str, bad: np.ndarray, losses: _Losses) -> pd.DataFrame:
    losses.add(step, rows["place"].to_numpy()[bad])
    return rows[~bad] if bad.any() else rows


def _checked(
    found: Observations, losses: _Losses, grid: Grid, steps: str, column: str, read: int, may_be_empty: bool
) -> tuple[Observations, pd.DataFrame]:
    counts = pd.concat(losses.parts, ignore_index=True)
    if found.stations.empty and not may_be_empty:
        reasons = ", ".join(f"{step}: {number:,}" for step, number in total(counts).items() if number)
        raise DeepcamsError(
            f"Not one of the {len(found.times)} {steps} has an observation ({column}) on {describe(grid)}: of {read:,} "
            f"measurements none is left ({reasons or 'there was none'}). Check the stations' files and their times, "
            "the region, and how many hours a day needs."
        )
    return found, counts
