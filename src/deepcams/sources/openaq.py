"""OpenAQ measurements of PM2.5 as one tidy table a month, from copies of its archive or of its older real-time fetches.

Nothing is corrected or left out here: sentinels, duplicates and impossible places stay, for quality control to count.
A record belongs to the UTC month of its stamp, which is the end of its averaging period: the value stamped with a
month's first 00:00 is a mean over the last hour of the month before, and is compared with fields of both. In the
archive, the file of local day D holds (D 00:00, D+1 00:00].
"""

import csv
import gzip
import json
import logging
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region
from deepcams.sources.access import access_problem
from deepcams.sources.checks import magic, refuse_kind, some
from deepcams.sources.stations import COLUMNS, finished, in_month, is_synthetic
from deepcams.sources.stations import read_table as read_table
from deepcams.sources.stations import write_table as write_table

_PARAMETER = "pm25"
_ALTERNATIVES = {"sensors_id": "sensor_id", "units": "unit"}  # what older files of the archive say
_DAY = timedelta(days=1)
_BROKEN = (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error)
_HOURS = {"hours": 1.0, "hour": 1.0, "minutes": 1 / 60, "minute": 1 / 60, "days": 24.0, "day": 24.0}
_log = logging.getLogger(__name__)


class _Row(NamedTuple):
    """One measurement; `time` in seconds since 1970 UTC."""

    time: int
    value: float
    latitude: float
    longitude: float
    units: str
    name: str
    sensor: str


def retrieve_month(source: str, month: Month, *, path: str | Path, region: Region | None = None) -> pd.DataFrame:
    """All PM2.5 measurements whose averaging period ends in `month`, of stations in `region` (None: everywhere).

    source : local or nature_run.  path : a folder laid out like the archive (locations.json and records/csv.gz/), or
    one of real-time fetches (*.ndjson, *.ndjson.gz).
    Returns the table: station, name, country, units, provider (str), latitude, longitude, averaging_hours, value
    (float64), time (datetime64[s] UTC, end of the period), reference_grade (boolean or missing); ordered by station
    and time, equal ones as delivered; it has no row, and the log a warning, if there are measurements of the month and
    none is in the region. Raises DeepcamsError for broken files and for a month without any measurement anywhere.
    """
    if source not in ("local", "nature_run"):
        raise DeepcamsError(access_problem("openaq", source) or f"openaq.source {source!r} is not known.")
    root = Path(path)
    if not root.is_dir():
        raise DeepcamsError(f"{root} is not a folder. Put the copy of OpenAQ's archive there, or correct openaq.path.")
    records = _records(root)
    table = read_archive(root, month, region) if records else read_realtime(root, month, region)
    if table.empty:
        elsewhere = region is not None and (
            _has_measurement(records, month) if records else len(read_realtime(root, month)) > 0
        )
        if not elsewhere:
            raise DeepcamsError(
                f"There is not one PM2.5 measurement of {month} below {root}. Fetch that month (and the days around "
                "it, since files are of local days), or change openaq.first and openaq.last."
            )
        _log.warning(
            "OpenAQ %s: there is no PM2.5 measurement in the region; it has no station to compare with.", month
        )
    is_synthetic(table)
    return table


def read_archive(root: str | Path, month: Month, region: Region | None = None) -> pd.DataFrame:
    """The month from a copy of the archive (bucket openaq-data-archive), which may be empty; see `retrieve_month`.

    The files carry no averaging period; it is taken from the metadata's sensors (`coverage.expectedInterval`) or
    else is the usual distance between a sensor's stamps. Days without a file are counted in the log and in
    `attrs["missing_day_files"]`: stations come and go.
    """
    root = Path(root)
    records = _records(root)
    if records is None:
        raise DeepcamsError(f"{root} holds no records/csv.gz/locationid=…; it is no copy of OpenAQ's archive.")
    locations = _read_locations(root / "locations.json")
    days = _local_days(month)
    parts, missing = [], 0
    for folder in sorted(records.glob("locationid=*")):
        location = folder.name.partition("=")[2]
        if region is not None and _is_elsewhere(locations.get(location, {}), region):
            continue
        files = [folder / _day_file(location, day) for day in days]
        there = [file for file in files if file.is_file()]
        missing += len(files) - len(there) if there else 0
        rows = [row for file in there for row in _read_day(file)]
        if rows:
            parts.append(_location_table(location, rows, locations.get(location, {}), month))
    table = _within(finished(parts), region)
    table.attrs["missing_day_files"] = missing
    if missing:
        _log.info("OpenAQ %s: %d day files of stations that have others are not there.", month, missing)
    return table


def read_realtime(path: str | Path, month: Month | None = None, region: Region | None = None) -> pd.DataFrame:
    """Real-time fetches of before the archive: one JSON record a line, in *.ndjson or *.ndjson.gz below `path`.

    month : keep what ends in it; None keeps everything.  A station is its country, city and name, since they had
    no numbers then; government stations count as reference grade. The same record is often in several fetches, and
    is kept as often.
    """
    root = Path(path)
    files = sorted({*root.rglob("*.ndjson"), *root.rglob("*.ndjson.gz")})
    if not files:
        raise DeepcamsError(
            f"{root} holds neither records/csv.gz/locationid=… nor *.ndjson(.gz) files. Put a copy of OpenAQ's archive "
            "there, or correct openaq.path."
        )
    columns: dict[str, list] = {name: [] for name in COLUMNS}
    for file in files:
        if month is None or _may_hold(file, month):
            for number, line in _lines(file):
                if not line.endswith("}"):
                    raise _wrong(file, number, "the line is not a whole JSON record")
                if f'"{_PARAMETER}"' in line:
                    _append_record(columns, line, file, number)
    columns["time"] = np.array(columns["time"], dtype="int64")
    table = pd.DataFrame(columns, columns=COLUMNS)
    if month is not None:
        table = table[in_month(columns["time"], month)]
    return _within(finished([table]), region)


def _records(root: Path) -> Path | None:
    candidates = (root / "records" / "csv.gz", root / "csv.gz", root)
    return next((folder for folder in candidates if any(folder.glob("locationid=*"))), None)


def _inside(latitude: np.ndarray, longitude: np.ndarray, region: Region) -> np.ndarray:
    """Which places lie in the region's box, edges included; not those without coordinates."""
    east = (longitude - region.west) % 360.0 <= region.east - region.west
    return (latitude >= region.south) & (latitude <= region.north) & east


def _has_measurement(records: Path, month: Month) -> bool:
    """Whether any station of the archive measured PM2.5 in the month; stops at the first."""
    for folder in sorted(records.glob("locationid=*")):
        for day in _local_days(month):
            file = folder / _day_file(folder.name.partition("=")[2], day)
            if file.is_file() and in_month(np.array([row.time for row in _read_day(file)], np.int64), month).any():
                return True
    return False


def _is_elsewhere(metadata: dict, region: Region) -> bool:
    """Whether a station's files need not be read, because the metadata say that it stands outside the region."""
    place = metadata.get("coordinates") or {}
    if metadata.get("isMobile") or place.get("latitude") is None or place.get("longitude") is None:
        return False
    return not _inside(np.float64(place["latitude"]), np.float64(place["longitude"]), region)


def _within(table: pd.DataFrame, region: Region | None) -> pd.DataFrame:
    if region is None:
        return table
    keep = _inside(table["latitude"].to_numpy(), table["longitude"].to_numpy(), region)
    if not keep.all():
        _log.info("OpenAQ: %d of %d measurements are outside the region and left out.", (~keep).sum(), len(keep))
    return table[keep].reset_index(drop=True)


def _local_days(month: Month) -> list[date]:
    """Local days that reach into the UTC month: from the day before to the day after (UTC-12 … UTC+14)."""
    first = date(month.year, month.month, 1) - _DAY
    return [first + i * _DAY for i in range(month.days + 2)]


def _day_file(location: str, day: date) -> str:
    return f"year={day.year:04d}/month={day.month:02d}/location-{location}-{day:%Y%m%d}.csv.gz"


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, gzip or not, told by its first bytes; broken files are refused by name."""
    kind = magic(file)
    if kind in ("html", "empty"):
        raise refuse_kind(kind, str(file))
    number = 0
    try:
        opener = gzip.open if kind == "gzip" else open
        with opener(file, "rt", encoding="utf-8", newline="") as stream:
            for number, line in enumerate(stream, 1):
                stripped = line.rstrip("\r\n")
                if stripped:
                    yield number, stripped
    except _BROKEN as error:
        raise DeepcamsError(
            f"{file} is truncated or damaged after line {number} ({error}). Delete it and fetch it again."
        ) from error


def _read_day(file: Path) -> list[_Row]:
    lines = _lines(file)
    header = next(csv.reader([line for _, line in [next(lines, (0, ""))]]), [])
    where = {name: _column(header, name, file) for name in ("datetime", "parameter", "units", "value")}
    optional = {name: _column(header, name, None) for name in ("sensors_id", "location", "lat", "lon")}
    rows = []
    for number, line in lines:
        if _PARAMETER not in line:
            continue  # most lines are of other pollutants; parsing them takes most of the time
        cells = next(csv.reader([line]))
        if len(cells) != len(header):
            raise _wrong(file, number, f"{len(cells)} columns where the header has {len(header)}")
        if cells[where["parameter"]] != _PARAMETER:
            continue
        texts = {name: "" if index is None else cells[index] for name, index in optional.items()}
        rows.append(
            _Row(
                time=_seconds(cells[where["datetime"]], file, number),
                value=_number(cells[where["value"]], "value", file, number),
                latitude=_number(texts["lat"], "lat", file, number),
                longitude=_number(texts["lon"], "lon", file, number),
                units=cells[where["units"]],
                name=texts["location"],
                sensor=texts["sensors_id"],
            )
        )
    return rows


def _column(header: list[str], name: str, file: Path | None) -> int | None:
    for option in (name, _ALTERNATIVES.get(name)):
        if option in header:
            return header.index(option)
    if file is None:
        return None
    raise DeepcamsError(
        f"{file}, line 1: there is no column {name!r}, only {some(header, 12) or 'nothing'}. Fetch it again."
    )


def _seconds(text: str, file: Path, number: int) -> int:
    try:
        stamp = datetime.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise _wrong(file, number, f"{text!r} is no time") from error
    if stamp.tzinfo is None:
        raise _wrong(file, number, f"the time {text!r} has no offset from UTC")
    return round(stamp.timestamp())


def _number(text: str, column: str, file: Path, number: int) -> float:
    if text.strip() == "":
        return np.nan
    try:
        return float(text)
    except ValueError as error:
        raise _wrong(file, number, f"{column} {text!r} is no number") from error


def _wrong(file: Path, number: int, reason: str) -> DeepcamsError:
    return DeepcamsError(f"{file}, line {number}: {reason}. Fetch the file again, or remove that line.")


def _read_locations(file: Path) -> dict[str, dict]:
    """Metadata of the stations by location number; empty where there is no such file."""
    if not file.is_file():
        _log.warning("%s is not there: names, countries, providers and grades of the stations stay empty.", file)
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        results = content["results"] if isinstance(content, dict) else content
        return {str(location["id"]): location for location in results}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeepcamsError(
            f"{file} is not a list of locations as the API's /v3/locations gives it ({type(error).__name__}: {error}). "
            "Fetch it again."
        ) from error


def _location_table(location: str, rows: list[_Row], metadata: dict, month: Month) -> pd.DataFrame:
    times = np.array([row.time for row in rows], dtype="int64")
    sensors = np.array([row.sensor for row in rows], dtype=object)
    hours = np.full(len(rows), np.nan)
    for sensor in sorted(set(sensors)):
        known = _expected_hours(metadata, sensor)
        hours[sensors == sensor] = _usual_step(times[sensors == sensor]) if np.isnan(known) else known
    place = metadata.get("coordinates") or {}
    grade = metadata.get("isMonitor")
    table = pd.DataFrame(
        {
            "station": location,
            "name": metadata.get("name") or rows[0].name,
            "country": (metadata.get("country") or {}).get("code") or "",
            "latitude": _filled([row.latitude for row in rows], place.get("latitude")),
            "longitude": _filled([row.longitude for row in rows], place.get("longitude")),
            "time": times,
            "averaging_hours": hours,
            "value": [row.value for row in rows],
            "units": [row.units for row in rows],
            "provider": (metadata.get("provider") or {}).get("name") or "",
            "reference_grade": None if grade is None else bool(grade),
        },
        columns=COLUMNS,
    )
    return table[in_month(times, month)]


def _expected_hours(metadata: dict, sensor: str) -> float:
    """Averaging period of a sensor from its `coverage.expectedInterval` ("01:00:00"), NaN where it is not told."""
    for item in metadata.get("sensors") or []:
        if str(item.get("id")) == sensor:
            parts = str((item.get("coverage") or {}).get("expectedInterval", "")).split(":")
            if len(parts) == 3 and all(part.isdigit() for part in parts):
                return int(parts[0]) + int(parts[1]) / 60 + int(parts[2]) / 3600
    return np.nan


def _usual_step(times: np.ndarray) -> float:
    """Median distance between stamps in hours, NaN for a single one."""
    steps = np.diff(np.unique(times))
    return float(np.median(steps)) / 3600 if steps.size else np.nan


def _filled(values: list[float], default: float | None) -> np.ndarray:
    values = np.array(values, dtype=np.float64)
    return values if default is None else np.where(np.isnan(values), default, values)


def _append_record(columns: dict[str, list], line: str, file: Path, number: int) -> None:
    try:
        record = json.loads(line)
        if record["parameter"] != _PARAMETER:
            return
        place = record.get("coordinates") or {}
        period = record.get("averagingPeriod") or {}
        value = float("nan") if record["value"] is None else float(record["value"])
        entry = {
            "station": "/".join(str(record.get(name) or "") for name in ("country", "city", "location")),
            "name": str(record["location"]),
            "country": str(record.get("country") or ""),
            "latitude": float(place.get("latitude", "nan")),
            "longitude": float(place.get("longitude", "nan")),
            "time": _seconds(record["date"]["utc"], file, number),
            "averaging_hours": float(period.get("value", "nan")) * _HOURS.get(period.get("unit", "hours"), np.nan),
            "value": value,
            "units": str(record["unit"]),
            "provider": str(record.get("sourceName") or ""),
            "reference_grade": record["sourceType"] == "government" if "sourceType" in record else None,
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _wrong(file, number, f"not a record of OpenAQ ({type(error).__name__}: {error})") from error
    for name, item in entry.items():
        columns[name].append(item)


def _may_hold(file: Path, month: Month) -> bool:
    """Whether fetches in a folder named by a day (2018-02-06) can hold the month; they come up to days afterwards."""
    try:
        day = datetime.strptime(file.parent.name, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        return True
    days = _local_days(month)
    return days[0] <= day <= days[-1] + 3 * _DAY
