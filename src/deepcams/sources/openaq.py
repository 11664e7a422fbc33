"""OpenAQ measurements of a pollutant as one tidy table a month, from copies of its archive or of its older real-time
fetches, or from what a retrieval has made of either.

Nothing is corrected or left out here: sentinels, duplicates and impossible places stay, for quality control to count;
values and units are as delivered. A record belongs to the UTC month of its stamp, which is the end of its averaging
period: the value stamped with a month's first 00:00 is a mean over the last hour of the month before, and is compared
with fields of both. In the archive, the file of local day D holds (D 00:00, D+1 00:00].
"""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.link import link
from deepcams.grid.nodes import Region
from deepcams.pollutants import PM25, Pollutant
from deepcams.sources.checks import parsed
from deepcams.sources.openaq_files import Row, day_file, file_lines, local_days, measurements, month_file, records
from deepcams.sources.stations import COLUMNS, Collector, in_month, is_synthetic
from deepcams.sources.stations import read_table as read_table
from deepcams.sources.stations import write_table as write_table

LATEST_FETCH = timedelta(days=3)  # after the local day of a measurement
_log = logging.getLogger(__name__)


def retrieve_month(
    source: str, month: Month, *, path: str | Path, region: Region | None = None, pollutant: Pollutant = PM25
) -> pd.DataFrame:
    """All measurements whose averaging period ends in `month`, of stations in `region` (None: everywhere).

    source : local or nature_run.  path : a folder laid out like the archive (locations.json and records/csv.gz/), or
    one of real-time fetches (*.ndjson, *.ndjson.gz), or one with this workflow's own tables (2018-01.csv.gz).
    Returns the table: station, name, country, parameter (the pollutant's name), units, provider (str), latitude,
    longitude, averaging_hours, value (float64), time (datetime64[s] UTC, end of the period), reference_grade (boolean
    or missing); ordered by station and time, equal ones as delivered; it has no row, and the log a warning, if there
    are measurements of the month and none is in the region, or a retrieval found none there. Raises DeepcamsError for
    broken files, another pollutant's table and a month without any measurement anywhere.
    """
    if source not in ("local", "nature_run"):
        raise DeepcamsError(f"openaq.source {source!r} is not a kind of local files: they are local or nature_run.")
    root = Path(path)
    if not root.is_dir():
        raise DeepcamsError(f"{root} is not a folder. Put the copy of OpenAQ's archive there, or correct openaq.path.")
    if (own := _own_table(root, month)).is_file():
        whole = _read_own(own, month, pollutant)
        table, anything = _within(whole, region), len(whole) > 0
    elif found := _records(root):
        table = read_archive(root, month, region, pollutant)
        anything = len(table) > 0 or (
            region is not None and (_is_fetched(found, month) or has_measurement(found, month, pollutant))
        )
    else:
        table = read_realtime(root, month, region, pollutant)
        anything = len(table) > 0 or (region is not None and len(read_realtime(root, month, None, pollutant)) > 0)
    if not anything:
        raise DeepcamsError(
            f"There is not one {pollutant.label} measurement of {month} below {root}. Fetch that month (and the days "
            "around it, since files are of local days), or change openaq.first and openaq.last."
        )
    if table.empty:
        _log.warning(
            "OpenAQ %s: there is no %s measurement in the region; it has no station to compare with.",
            month, pollutant.label,
        )  # fmt: skip
    is_synthetic(table)
    return table


def link_month(
    month: Month, path: str | Path, out: str | Path, region: Region | None = None, pollutant: Pollutant = PM25
) -> bool:
    """Make `out` a link to this workflow's own table of the month in the folder `path`, if it can serve as it is.

    Returns False, and makes nothing, if there is none or it holds stations outside `region`. Raises DeepcamsError if it
    is broken, or of another month or pollutant.
    """
    own = _own_table(Path(path), month)
    if not own.is_file():
        return False
    table = _read_own(own, month, pollutant)
    if table.empty or len(_within(table, region)) < len(table):
        return False
    link(own, out)
    return True


def read_archive(
    root: str | Path, month: Month, region: Region | None = None, pollutant: Pollutant = PM25
) -> pd.DataFrame:
    """The month from a copy of the archive (bucket openaq-data-archive), which may be empty; see `retrieve_month`.

    A station's folder has its files of local days, or the one into which a retrieval has put what matters of them.
    The files carry no averaging period; it is taken from what the metadata's sensors have observed so far (the time
    that their values cover, by the number of values) or else is the usual distance between a sensor's stamps. Days
    without a file are counted in the log and in `attrs["missing_day_files"]`: stations come and go.
    """
    root = Path(root)
    found = _records(root)
    if found is None:
        raise DeepcamsError(f"{root} holds no records/csv.gz/locationid=…; it is no copy of OpenAQ's archive.")
    locations = read_locations(root / "locations.json")
    collector, missing = Collector(), 0
    for folder in sorted(found.glob("locationid=*")):
        location = folder.name.partition("=")[2]
        metadata = locations.get(location, {})
        if region is not None and is_elsewhere(metadata, region):
            continue
        files, absent = _files(folder, location, month)
        missing += absent
        rows = [row for file in files for row in measurements(file_lines(file), pollutant.name, str(file))]
        if rows:
            collector.add(location_part(location, rows, metadata, month) | {"parameter": pollutant.name})
    table = _within(collector.table(), region)
    table.attrs["missing_day_files"] = missing
    if missing:
        _log.info("OpenAQ %s: %d day files of stations that have others are not there.", month, missing)
    return table


def read_realtime(
    path: str | Path, month: Month | None = None, region: Region | None = None, pollutant: Pollutant = PM25
) -> pd.DataFrame:
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
    collector = Collector()
    for file in files:
        if month is None or _may_hold(file, month):
            columns: dict[str, list] = {name: [] for name in COLUMNS}
            for _, entry in records(file_lines(file), pollutant.name, str(file)):
                if month is None or in_month(np.int64(entry["time"]), month):
                    for name, item in entry.items():
                        columns[name].append(item)
            collector.add(columns)
    return _within(collector.table(), region)


def is_elsewhere(metadata: dict, region: Region) -> bool:
    """Whether a station's files need not be read, because the metadata say that it stands outside the region."""
    place = metadata.get("coordinates") or {}
    if metadata.get("isMobile") or place.get("latitude") is None or place.get("longitude") is None:
        return False
    latitude, longitude = float(place["latitude"]), float(place["longitude"])
    return is_possible(latitude, longitude) and not places_inside(latitude, longitude, region)


def is_possible(latitude: float, longitude: float) -> bool:
    """Whether a place can be right: it is on Earth, and not one coordinate given for both, like 0°N 0°E."""
    return abs(latitude) <= 90.0 and -180.0 <= longitude <= 360.0 and latitude != longitude


def places_inside(latitude: np.ndarray, longitude: np.ndarray, region: Region) -> np.ndarray:
    """Which places lie in the region's box, edges included; not those without coordinates."""
    east = (longitude - region.west) % 360.0 <= region.east - region.west
    return (latitude >= region.south) & (latitude <= region.north) & east


def _own_table(root: Path, month: Month) -> Path:
    return root / f"{month}.csv.gz"


def _read_own(file: Path, month: Month, pollutant: Pollutant) -> pd.DataFrame:
    table = read_table(file)
    others = sorted(set(table["parameter"]) - {pollutant.name})
    if others:
        raise DeepcamsError(
            f"{file} holds {', '.join(others)} and not {pollutant.name}. Let openaq.path be the folder of "
            f"{pollutant.name}, or correct the pollutant."
        )
    if not in_month(table["time"].to_numpy().astype("int64"), month).all():
        raise DeepcamsError(f"{file} holds measurements of other months than {month}. Rename it, or make it again.")
    is_synthetic(table)
    return table


def _records(root: Path) -> Path | None:
    candidates = (root / "records" / "csv.gz", root / "csv.gz", root)
    found = next((folder for folder in candidates if any(folder.glob("locationid=*"))), None)
    return candidates[0] if found is None and candidates[0].is_dir() else found


def _is_fetched(found: Path, month: Month) -> bool:
    """Whether a retrieval filled the folder: with a file for each station of the region, if there is one at all."""
    stations = list(found.glob("locationid=*"))
    return not stations or any((it / month_file(it.name.partition("=")[2], month)).is_file() for it in stations)


def has_measurement(found: Path, month: Month, pollutant: Pollutant) -> bool:
    """Whether any station of the archive measured the pollutant in the month; stops at the first."""
    for folder in sorted(found.glob("locationid=*")):
        for file in _files(folder, folder.name.partition("=")[2], month)[0]:
            rows = measurements(file_lines(file), pollutant.name, str(file))
            if in_month(np.array([row.time for row in rows], np.int64), month).any():
                return True
    return False


def _files(folder: Path, location: str, month: Month) -> tuple[list[Path], int]:
    """A station's files of the month in the order of their days, and how many days have none where others do."""
    fetched = folder / month_file(location, month)
    if fetched.is_file():
        return [fetched], 0
    days = [folder / day_file(location, day) for day in local_days(month)]
    there = [file for file in days if file.is_file()]
    return there, len(days) - len(there) if there else 0


def _within(table: pd.DataFrame, region: Region | None) -> pd.DataFrame:
    if region is None:
        return table
    keep = places_inside(table["latitude"].to_numpy(), table["longitude"].to_numpy(), region)
    if not keep.all():
        _log.info("OpenAQ: %d of %d measurements are outside the region and left out.", (~keep).sum(), len(keep))
    return table[keep].reset_index(drop=True)


def read_locations(file: Path) -> dict[str, dict]:
    """Metadata of the stations by location number; empty where there is no such file."""
    if not file.is_file():
        _log.warning("%s is not there: names, countries, providers and grades of the stations stay empty.", file)
        return {}
    try:
        content = parsed(file.read_text(encoding="utf-8"))
        results = content["results"] if isinstance(content, dict) else content
        return {str(location["id"]): location for location in results}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeepcamsError(
            f"{file} is not a list of locations as the API's /v3/locations gives it ({type(error).__name__}: {error}). "
            "Fetch it again."
        ) from error


def location_part(location: str, rows: list[Row], metadata: dict, month: Month | None = None) -> dict[str, object]:
    """A station's measurements in the month (None: all of them), as a Collector takes them."""
    times = np.array([row.time for row in rows], dtype="int64")
    sensors = np.array([row.sensor for row in rows], dtype=object)
    hours = np.full(len(rows), np.nan)
    for sensor in sorted(set(sensors)):
        known = _observed_hours(metadata, sensor)
        hours[sensors == sensor] = _usual_step(times[sensors == sensor]) if np.isnan(known) else known
    place = metadata.get("coordinates") or {}
    grade = metadata.get("isMonitor")
    spellings = {row.units: row.units for row in rows}  # one object for all of a spelling
    keep = slice(None) if month is None else in_month(times, month)
    return {
        "station": location,
        "name": str(metadata.get("name") or rows[0].name),
        "country": str((metadata.get("country") or {}).get("code") or ""),
        "latitude": _filled([row.latitude for row in rows], place.get("latitude"))[keep],
        "longitude": _filled([row.longitude for row in rows], place.get("longitude"))[keep],
        "time": times[keep],
        "averaging_hours": hours[keep],
        "value": np.array([row.value for row in rows])[keep],
        "units": np.array([spellings[row.units] for row in rows], dtype=object)[keep],
        "provider": str((metadata.get("provider") or {}).get("name") or ""),
        "reference_grade": None if grade is None else bool(grade),
    }


def _observed_hours(metadata: dict, sensor: str) -> float:
    """Averaging period of a sensor: its `coverage.observedInterval` ("66563:00:00") by its `observedCount`, else NaN.

    `expectedInterval` is another thing: "01:00:00" for daily values, too (openaq-db, calculate_coverage).
    """
    for item in metadata.get("sensors") or []:
        if str(item.get("id")) == sensor:
            coverage = item.get("coverage") or {}
            parts, count = str(coverage.get("observedInterval", "")).split(":"), coverage.get("observedCount")
            if len(parts) == 3 and all(part.isdigit() for part in parts) and count:
                return (int(parts[0]) + int(parts[1]) / 60 + int(parts[2]) / 3600) / float(count)
    return np.nan


def _usual_step(times: np.ndarray) -> float:
    """Median distance between stamps in hours, NaN for a single one."""
    steps = np.diff(np.unique(times))
    return float(np.median(steps)) / 3600 if steps.size else np.nan


def _filled(values: list[float], default: float | None) -> np.ndarray:
    values = np.array(values, dtype=np.float64)
    return values if default is None else np.where(np.isnan(values), default, values)


def _may_hold(file: Path, month: Month) -> bool:
    """Whether fetches in a folder named by a day (2018-02-06) can hold the month; they come up to days afterwards."""
    try:
        day = datetime.strptime(file.parent.name, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        return True
    days = local_days(month)
    return days[0] <= day <= days[-1] + LATEST_FETCH
