"""Measurements of stations from any files: this workflow's tables, OpenAQ's files, and plain tables of anybody."""

import logging
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.pollutants import PM25, Pollutant
from deepcams.sources.checks import kind_of, magic, refuse_kind, some
from deepcams.sources.openaq import location_part, read_locations
from deepcams.sources.openaq_files import Row, file_lines, measurements, records
from deepcams.sources.stations import COLUMNS, NUMBERS, TEXTS, Collector, is_synthetic, read_table

ENDINGS = (".csv", ".csv.gz", ".ndjson", ".ndjson.gz")
_ARCHIVE = {"location_id", "datetime", "parameter", "value"}  # columns that OpenAQ's archive has together
_NAMES = {
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "long", "lng"),
    "time": ("datetimeutc", "timeutc", "dateutc", "utc", "datetime", "timestamp", "time", "date"),
    "value": ("value", "concentration"),
    "station": ("station", "stationid", "stationcode", "siteid", "sitecode", "locationid", "code", "id", "site"),
    "name": ("name", "stationname", "sitename", "locationname", "location"),
    "country": ("country", "countryiso", "countrycode"),
    "units": ("units", "unit"),
    "averaging_hours": ("averaginghours",),
    "provider": ("provider", "network", "source"),
    "reference_grade": ("referencegrade", "ismonitor"),
    "parameter": ("parameter", "pollutant"),
}
_NEEDED = {"latitude": "latitude, lat", "longitude": "longitude, lon", "time": "time, date, datetime"}
_ZONE = re.compile(r"[T\s]\d{1,2}.*(?:Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-?\d{2}-?\d{2}$")
_log = logging.getLogger(__name__)


def read_stations(
    paths: Iterable[str | Path], pollutant: Pollutant = PM25, utc_offset: float | None = None
) -> pd.DataFrame:
    """All measurements of a pollutant in any mix of files; nothing is corrected or left out.

    paths : files, or folders with such files anywhere below (*.csv, *.csv.gz, *.ndjson, *.ndjson.gz). What a file is,
    its first line tells:
    a table of this workflow; a file of OpenAQ's archive, whose stations are described in the locations.json of its
    archive, if that is there; real-time fetches of OpenAQ, a record a line; or any table with columns (their order,
    case and punctuation do not matter; separated by comma, semicolon or tab) latitude (lat), longitude (lon), time
    (date, datetime, datetime_utc … or date and time) and value (or the pollutant, as in PM2.5 or pm25), and as they
    come: station (code, id), name, country, units, averaging_hours, provider, reference_grade, parameter. A time is the
    end of its averaging period, which is an hour where nothing else is said; but a date alone is the whole day.
    utc_offset : hours by which times that do not say their zone are ahead of UTC.
    Returns the tidy table (`stations.COLUMNS`, types as `read_table` gives them) by station and time. Raises
    DeepcamsError for files that cannot be read, times without a zone (unless `utc_offset` is given), gases without
    units, and where there is no measurement at all.
    """
    if utc_offset is not None and not abs(utc_offset) <= 15:
        raise DeepcamsError(f"A clock is not {utc_offset} h ahead of UTC; give the offset in hours, from -12 to 14.")
    collector, tables = Collector(), []
    archive: dict[tuple[Path | None, str], list[Row]] = defaultdict(list)
    files = _files(paths)
    for file in files:
        head = _first_line(file)
        cells = [cell.strip().strip('"') for cell in re.split("[,;\t]", head)]
        if head.startswith("{"):
            _add_fetch(collector, file, pollutant)
        elif cells == COLUMNS and magic(file) == "gzip":
            table = read_table(file)
            tables.append(table[table["parameter"] == pollutant.name])
        elif set(cells) >= _ARCHIVE:
            for row in measurements(file_lines(file), pollutant.name, str(file)):
                archive[_description(file), row.cells[0]].append(row)
        else:
            tables.append(_plain(file, max(",;\t", key=head.count), pollutant, utc_offset))
    described = {place: read_locations(place) if place else {} for place in {place for place, _ in archive}}
    for (place, location), rows in archive.items():
        part = location_part(location, rows, described[place].get(location, {})) | {"parameter": pollutant.name}
        collector.add(part | {"averaging_hours": np.nan_to_num(part["averaging_hours"], nan=1.0)})
    tables = [table for table in (collector.table(), *tables) if len(table)]
    if not tables:
        raise DeepcamsError(
            f"There is not one {pollutant.label} measurement in {some([str(file) for file in files], 3)}. Name other "
            "files, or another pollutant."
        )
    table = pd.concat(tables, ignore_index=True)[COLUMNS]
    is_synthetic(table)
    _log.info("%d measurements of %s in %d files.", len(table), pollutant.label, len(files))
    return table.sort_values(["station", "time"], kind="stable", ignore_index=True)


def _files(paths: Iterable[str | Path]) -> list[Path]:
    found: list[Path] = []
    for path in map(Path, paths):
        below = [path]
        if path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.name.endswith(ENDINGS) and file.is_file())
            if not below:
                raise DeepcamsError(f"Below {path} there is no file *{', *'.join(ENDINGS)}. Name the stations' files.")
        found += below
    return list(dict.fromkeys(found))


def _first_line(file: Path) -> str:
    """The first line of a file of text, without its end. Raises DeepcamsError for what cannot be a table."""
    kind = magic(file)
    if kind in ("zip", "hdf5", "netcdf3", "grib"):
        what = {"zip": "a ZIP archive (or a spreadsheet)", "grib": "a GRIB file"}.get(kind, "a NetCDF file")
        raise DeepcamsError(f"{file} is {what}, no table of stations. Unpack it, or save it as CSV.")
    try:
        head = next(file_lines(file), "")
    except DeepcamsError as error:
        if isinstance(error.__cause__, UnicodeDecodeError):
            raise DeepcamsError(f"{file} is no text in UTF-8. Save it as CSV in UTF-8.") from error
        raise
    if kind_of(head.encode()) in ("html", "empty") or not head.strip("\ufeff \r\n"):
        raise refuse_kind("html" if head.strip() else "empty", str(file))
    if "\0" in head:
        raise DeepcamsError(f"{file} is no text. Save it as CSV in UTF-8.")
    return head.strip("\ufeff\r\n")


def _description(file: Path) -> Path | None:
    """The locations.json of the archive that a file lies in: …/records/csv.gz/locationid=1/year=2018/month=01/."""
    places = (parent / "locations.json" for parent in list(file.resolve().parents)[:6])
    return next((place for place in places if place.is_file()), None)


def _add_fetch(collector: Collector, file: Path, pollutant: Pollutant) -> None:
    columns: dict[str, list] = {name: [] for name in COLUMNS}
    for _, entry in records(file_lines(file), pollutant.name, str(file)):
        for name, item in entry.items():
            columns[name].append(item)
    collector.add(columns)


def _plain(file: Path, separator: str, pollutant: Pollutant, utc_offset: float | None) -> pd.DataFrame:
    """Any table with columns of usual names, as the tidy table."""
    try:
        text = pd.read_csv(
            file,
            sep=separator,
            dtype=str,
            keep_default_na=False,  # NA is Namibia
            index_col=False,
            encoding="utf-8-sig",
            compression="gzip" if magic(file) == "gzip" else None,
        )
    except (OSError, EOFError, zlib.error, ValueError) as error:  # UnicodeDecodeError, ParserError: ValueError
        reason = " ".join(str(error).split())
        raise DeepcamsError(f"{file} cannot be read as a table: {reason}. Check it, or fetch it again.") from error
    spellings = _spellings(pollutant)
    roles = _roles(file, list(text.columns), pollutant, spellings)
    given = {role: text[column].str.strip() for role, column in roles.items()}
    if "parameter" in given:
        keep = given["parameter"].map(_simple).isin(spellings)
        if not keep.any():
            others = some(sorted(set(given["parameter"])))
            _log.warning("%s holds no %s, but %s.", file, pollutant.label, others or "nothing")
        given = {role: column[keep].reset_index(drop=True) for role, column in given.items()}
    nothing = pd.Series("", index=given["time"].index)
    columns: dict[str, object] = {name: given.get(name, nothing) for name in TEXTS}
    for name in NUMBERS:
        columns[name] = _numbers(file, roles.get(name), given.get(name))
    combined = given["time"]
    if (_simple(roles["time"]), "date") == ("time", _simple(roles.get("date", ""))):
        combined = given["date"] + "T" + given["time"]
    columns["time"], whole_day = _times(file, roles["time"], combined, utc_offset)
    if "averaging_hours" not in given:
        columns["averaging_hours"] = np.where(whole_day, 24.0, 1.0)
    if "units" not in given:
        columns["units"] = _units(file, roles["value"], pollutant)
    if "station" not in given:
        places = [columns[name].map("{:.4f}".format).astype("str") for name in ("latitude", "longitude")]
        columns["station"] = places[0] + " " + places[1]
    columns["name"] = given.get("name", columns["station"])
    columns["country"] = columns["country"].where(columns["country"].str.fullmatch("[A-Za-z]{2}"), "").str.upper()
    columns["reference_grade"] = (
        given.get("reference_grade", nothing).str.lower().map({"true": True, "1": True, "false": False, "0": False})
    )
    columns["parameter"] = pollutant.name
    table = pd.DataFrame({name: columns[name] for name in COLUMNS})
    return table.astype({**dict.fromkeys(TEXTS, "str"), "reference_grade": "boolean"})


def _roles(file: Path, columns: list[str], pollutant: Pollutant, spellings: set[str]) -> dict[str, str]:
    """Which column is what."""
    known = {}
    for column in reversed(columns):
        known[_simple(column)] = column
    roles = {role: next((known[name] for name in names if name in known), None) for role, names in _NAMES.items()}
    roles["value"] = roles["value"] or next((known[name] for name in known if name in spellings), None)
    roles["date"] = known.get("date")
    lacking = [f"{role} ({names})" for role, names in _NEEDED.items() if roles[role] is None]
    if roles["value"] is None:
        lacking.append(f"values (value, {pollutant.name})")
    if lacking:
        raise DeepcamsError(
            f"{file} lacks a column of {' and one of '.join(lacking)}. Its columns are: {some(columns, 15)}. Rename "
            "those that hold it, or add them."
        )
    return {role: column for role, column in roles.items() if column is not None}


def _spellings(pollutant: Pollutant) -> set[str]:
    """How the pollutant may be called in a table, simplified."""
    return {
        _simple(name) for name in (pollutant.name, pollutant.label, *pollutant.cams, *pollutant.request["variable"])
    }


def _simple(name: str) -> str:
    """A name without case, punctuation and what is in brackets: "PM2.5 (µg/m³)" and "pm2_5" are both pm25."""
    name = re.sub(r"[(\[].*", "", unicodedata.normalize("NFKC", name)).lower()
    return re.sub("[^a-z0-9]", "", name)


def _numbers(file: Path, column: str | None, texts: pd.Series | None) -> pd.Series | None:
    if texts is None:
        return None
    numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
    if numbers.isna().all() and (texts != "").any():
        raise DeepcamsError(
            f"{file}: there is not one number in column {column!r}, but {texts[texts != ''].iloc[0]!r}. Write numbers "
            "with a point, as in 12.5, or rename the column that holds them."
        )
    return numbers


def _times(file: Path, column: str, texts: pd.Series, utc_offset: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the averaging periods, (N,) datetime64[s] UTC, NaT for what is no time; and which are whole days."""
    code, spelt = pd.factorize(texts)
    spelt = pd.Series(spelt, dtype=str)
    zoned = spelt.map(lambda text: bool(_ZONE.search(text))).to_numpy(bool)
    day = spelt.map(lambda text: bool(_DAY.match(text))).to_numpy(bool)
    iso = spelt.str.replace(r"\s*(?:UTC|GMT)$", "Z", regex=True, case=False)
    stamps = pd.to_datetime(iso, utc=True, format="ISO8601", errors="coerce").dt.tz_localize(None)
    stamps = stamps.to_numpy().astype("datetime64[s]")
    if np.isnat(stamps).all() and len(spelt):
        raise DeepcamsError(
            f"{file}: there is not one time in column {column!r}, but {spelt.iloc[0]!r}. Write times as "
            "2018-01-31T13:00:00Z, or rename the column that holds them."
        )
    naive = ~zoned & ~np.isnat(stamps)
    if _simple(column).endswith("utc"):
        utc_offset = 0.0
    if utc_offset is None and naive.any():
        raise DeepcamsError(
            f"{file}: times in column {column!r} such as {spelt[naive].iloc[0]!r} do not say how far they are ahead of "
            "UTC. Say it by --utc-offset (8 for Beijing, 0 for UTC), or write it behind them, as in "
            "2018-01-31T13:00:00+08:00."
        )
    stamps[naive] -= np.timedelta64(round(3600 * (utc_offset or 0.0)), "s")
    stamps[day] += np.timedelta64(24, "h")
    return stamps[code], day[code]


def _units(file: Path, column: str, pollutant: Pollutant) -> str:
    """Units of a table without a column of them: those in brackets behind the values' name, or the usual ones."""
    bracket = re.search(r"[(\[](.+?)[)\]]", column)
    if bracket is None and pollutant.is_gas:
        raise DeepcamsError(
            f"{file} does not tell the units of {pollutant.label}. Add a column units (ppb, ppm, µg/m³ or mg/m³)."
        )
    return "µg/m³" if bracket is None else bracket[1]
