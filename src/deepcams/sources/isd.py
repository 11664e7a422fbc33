"""Weather stations from NOAA's Integrated Surface Database, "lite": hourly temperature, dew point and wind, one table.

The text format (isd-lite-format.pdf): fixed width, UTC, -9999 for missing, temperatures and wind speed times ten.
Relative humidity is that of the two temperatures over water, by the Magnus form of Alduchov & Eskridge (1996,
J. Appl. Meteorol. 35, 601–609, their eq. 21): e_s(t) = 6.1094 hPa · exp(17.625 t / (t + 243.04 °C)).
"""

import csv
import logging
import zlib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from isal import igzip_lib

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region
from deepcams.sources.checks import kind_of, refuse_kind, some, unpacked
from deepcams.sources.openaq import places_inside
from deepcams.sources.stations import times_as_text, write_csv

HISTORY, LITE = "isd-history.csv", "isd-lite"
COLUMNS = [
    "station", "name", "country", "latitude", "longitude", "elevation", "time", "temperature", "dew_point",
    "relative_humidity", "wind_speed", "wind_direction",
]  # fmt: skip
_NEEDED = ("USAF", "WBAN", "STATION NAME", "CTRY", "LAT", "LON", "ELEV(M)", "BEGIN", "END")
_LINE = 61  # characters, without the end of the line
_FIELDS = {  # first and last column, tenths or not
    "temperature": (13, 19, 0.1),
    "dew_point": (19, 25, 0.1),
    "wind_direction": (31, 37, 1.0),
    "wind_speed": (37, 43, 0.1),
}
_MISSING = -9999
_PART = 50_000  # rows that are turned into text at a time
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Station:
    """A line of isd-history.csv. country : FIPS code.  elevation : m, NaN where it is not known."""

    usaf: str
    wban: str
    name: str
    country: str
    latitude: float
    longitude: float
    elevation: float

    @property
    def number(self) -> str:
        """USAF and WBAN number, which together name a station."""
        return f"{self.usaf}-{self.wban}"

    def file(self, year: int) -> str:
        """Its file of a year, below the service's address and in a copy of it."""
        return f"{LITE}/{year}/{self.number}-{year}.gz"


def retrieve_month(source: str, month: Month, *, path: str | Path, region: Region | None = None) -> pd.DataFrame:
    """Weather of a month at the stations in `region` (None: everywhere).

    source : local or nature_run.  path : a folder laid out like NOAA's server, with isd-history.csv and
    isd-lite/{year}/; the nature run's holds one such folder a month (2018-01), whose files are of that month alone.
    Returns the table: station, name, country (str; FIPS), latitude, longitude (degrees), elevation (m), time
    (datetime64[s] UTC), temperature, dew_point (degree Celsius), relative_humidity (1, at most 1), wind_speed (m s-1),
    wind_direction (degree, 0 for calm), float64 with NaN for missing; ordered by station and time; without a row, and
    with a warning, where the region has none. Raises DeepcamsError for broken files and for a month without any.
    """
    if source not in ("local", "nature_run"):
        raise DeepcamsError(
            f"weather_stations.source {source!r} is not a kind of local files: these are local and nature_run."
        )
    root = Path(path) / str(month) if source == "nature_run" else Path(path)
    try:
        text = (root / HISTORY).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeepcamsError(
            f"{root / HISTORY} cannot be read ({error}). Put NOAA's list of stations there, or correct "
            "weather_stations.path."
        ) from error
    kinds = dict.fromkeys(("station", "name", "country"), object) | {"time": "datetime64[s]"}
    parts = {name: [np.empty(0, kinds.get(name, "float64"))] for name in COLUMNS}
    absent, stations = 0, active_stations(text, month, region, str(root / HISTORY))
    for station in stations:
        file = root / station.file(month.year)
        if not file.is_file():
            absent += 1
            continue
        times, values = parse(month_lines(file.read_bytes(), month, str(file)), str(file))
        for name in ("number", "name", "country"):
            column = np.empty(len(times), dtype=object)
            column[:] = getattr(station, name)
            parts["station" if name == "number" else name].append(column)
        for name in ("latitude", "longitude", "elevation"):
            parts[name].append(np.full(len(times), getattr(station, name)))
        parts["time"].append(times)
        for name, column in values.items():
            parts[name].append(column)
    table = pd.DataFrame({name: np.concatenate(parts.pop(name)) for name in COLUMNS}, copy=False)
    if table.empty and (region is None or 0 < len(stations) == absent):
        raise DeepcamsError(
            f"There is not one observation of {month} below {root}. Fetch isd-lite/{month.year}/ of the stations that "
            f"{HISTORY} lists, or change weather_stations.path."
        )
    if table.empty:
        _log.warning("ISD-lite %s: there is no observation in the region.", month)
    if absent:
        _log.info("ISD-lite %s: %d stations of the list have no file of the year.", month, absent)
    return table


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table as csv.gz, atomically; the same table gives the same bytes."""
    starts = range(0, max(len(table), 1), _PART)
    parts = (table.iloc[at : at + _PART] for at in starts)
    write_csv((part.assign(time=times_as_text(part["time"])) for part in parts), path)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read what `write_table` wrote, types included. Raises DeepcamsError if the file is damaged or another one."""
    numbers = [*COLUMNS[COLUMNS.index("time") + 1 :], "latitude", "longitude", "elevation"]
    types = dict.fromkeys(("station", "name", "country", "time"), str) | dict.fromkeys(numbers, "float64")
    try:
        table = pd.read_csv(
            path, compression="gzip", dtype=types, keep_default_na=False, na_values={name: [""] for name in numbers}
        )  # NA is Netherlands Antilles
        if list(table.columns) != COLUMNS:
            raise _refused(path, f"its columns are {some(list(table.columns))}")
        times = table["time"].str.removesuffix("Z").to_numpy(dtype=object).astype("datetime64[s]")
    except (OSError, EOFError, zlib.error, ValueError) as error:  # ParserError: ValueError
        raise _refused(path, str(error)) from error
    return table.assign(time=times)


def active_stations(history: str, month: Month, region: Region | None, name: str) -> list[Station]:
    """Stations of isd-history.csv that reported in the month and have a place, in the region; ordered by number.

    history : the list itself, `name` what to call it.  Raises DeepcamsError if it is another kind of file.
    """
    reader = csv.DictReader(history.splitlines())
    try:
        if not set(_NEEDED) <= set(reader.fieldnames or ()):
            raise DeepcamsError(f"{name} is not NOAA's list of stations. Fetch it again.")
        rows = list(reader)
    except csv.Error as error:
        raise DeepcamsError(f"{name} is no whole list of stations ({error}). Fetch it again.") from error
    first, last = date(month.year, month.month, 1), date(month.year, month.month, month.days)
    stations, without_place = {}, 0
    for row in rows:
        begin, end = _day(row["BEGIN"]), _day(row["END"])
        if begin is None or end is None or begin > last or end < first:
            continue
        latitude, longitude = _place(row)
        if np.isnan(latitude):
            without_place += 1
            continue
        if region is None or places_inside(latitude, longitude, region):
            elevation = _number(row["ELEV(M)"])
            station = Station(
                row["USAF"], row["WBAN"], row["STATION NAME"].strip(), row["CTRY"].strip(), latitude, longitude,
                np.nan if elevation <= -999 else elevation,
            )  # fmt: skip
            stations[station.number] = station
    if without_place:
        _log.info("ISD-lite %s: %d stations without a valid place are left out.", month, without_place)
    return [stations[number] for number in sorted(stations)]


def month_lines(content: bytes, month: Month, name: str) -> bytes:
    """The lines of one month in a year's file. Raises DeepcamsError if the file is damaged or something else."""
    kind = kind_of(content[:512])
    if kind in ("html", "empty"):
        raise refuse_kind(kind, name)
    try:
        text = unpacked(content)
    except (OSError, EOFError, zlib.error, igzip_lib.error, ValueError) as error:
        raise DeepcamsError(f"{name} is truncated or damaged ({error}). Delete it and fetch it again.") from error
    lines, start = text.splitlines(), f"{month.year} {month.month:02d} ".encode()
    for number, line in enumerate(lines, 1):
        if len(line) != _LINE or not line[:4].isdigit():
            raise DeepcamsError(f"{name}, line {number}: not a line of ISD-lite ({line[:20]!r} …). Fetch it again.")
    return b"".join(line + b"\n" for line in lines if line.startswith(start))


def parse(lines: bytes, name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Lines of ISD-lite → times (N,) datetime64[s] and the weather's columns, (N,) float64 each, in time's order."""
    table = np.frombuffer(lines, dtype=np.uint8).reshape(-1, _LINE + 1)
    try:
        year, month, day, hour = (_integers(table, *ends) for ends in ((0, 4), (5, 7), (8, 10), (11, 13)))
        raw = {field: _integers(table, first, last) for field, (first, last, _) in _FIELDS.items()}
    except ValueError as error:
        raise DeepcamsError(f"{name} holds something else than numbers ({error}). Fetch it again.") from error
    months = (12 * (year - 1970) + month - 1).astype("datetime64[M]")
    times = months.astype("datetime64[D]") + (day - 1) + hour.astype("timedelta64[h]")
    order = np.argsort(times, kind="stable")
    values = {
        field: np.where(raw[field] == _MISSING, np.nan, np.round(raw[field] * scale, 1))[order]
        for field, (_, _, scale) in _FIELDS.items()
    }
    values["relative_humidity"] = relative_humidity(values["temperature"], values["dew_point"])
    return times[order].astype("datetime64[s]"), values


def relative_humidity(temperature: np.ndarray, dew_point: np.ndarray) -> np.ndarray:
    """Relative humidity (1), four digits, from degree Celsius; 1 where rounding puts the dew point above."""
    ratio = _vapour_pressure(dew_point) / _vapour_pressure(temperature)
    return np.round(np.minimum(ratio, 1.0), 4)


def _vapour_pressure(celsius: np.ndarray) -> np.ndarray:
    return 6.1094 * np.exp(17.625 * celsius / (celsius + 243.04))


def _integers(table: np.ndarray, first: int, last: int) -> np.ndarray:
    return np.ascontiguousarray(table[:, first:last]).view(f"S{last - first}").ravel().astype("int64")


def _day(text: str | None) -> date | None:
    try:
        return datetime.strptime(text or "", "%Y%m%d").date()
    except ValueError:
        return None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return np.nan


def _place(row: dict[str, str]) -> tuple[float, float]:
    """Latitude and longitude, NaN where they are missing, impossible or the list's way to say that they are (0, 0)."""
    latitude, longitude = _number(row["LAT"]), _number(row["LON"])
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or (latitude == 0 and longitude == 0):
        return np.nan, np.nan
    return latitude, longitude


def _refused(path: str | Path, reason: str) -> DeepcamsError:
    return DeepcamsError(f"{path} is no whole table of weather: {reason}. Delete it and run the workflow again.")
