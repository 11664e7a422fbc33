"""Measurements of stations from any files: this workflow's tables, OpenAQ's files, and plain tables of anybody."""

import csv
import logging
import os
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import EARTH
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
_APART = 1.0  # km; further apart, places of one id are different stations
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
    end of its averaging period, which is an hour where nothing else is said; but a date alone is the whole day. A cell
    that is blank says nothing, as if its column were not there. Where plain tables, or providers in one, use the same
    id at places more than some 1 km apart, it gets the provider or the name of the file in front, as in "north:1".
    utc_offset : hours by which times that do not say their zone are ahead of UTC.
    Returns the tidy table (`stations.COLUMNS`, types as `read_table` gives them) by station and time. Raises
    DeepcamsError for files that cannot be read, rows of more cells than the header or of too few, times without a zone
    (unless `utc_offset` is given), gases without units, and where there is no measurement at all.
    """
    if utc_offset is not None and not abs(utc_offset) <= 15:
        raise DeepcamsError(f"A clock is not {utc_offset} h ahead of UTC; give the offset in hours, from -12 to 14.")
    collector, tables = Collector(), []
    plain: dict[Path, pd.DataFrame] = {}
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
            table = _plain(file, max(",;\t", key=head.count), pollutant, utc_offset)
            if cells == COLUMNS:  # the workflow's own, unpacked
                tables.append(table)
            else:
                plain[file] = table
    described = {place: read_locations(place) if place else {} for place in {place for place, _ in archive}}
    for (place, location), rows in archive.items():
        part = location_part(location, rows, described[place].get(location, {})) | {"parameter": pollutant.name}
        collector.add(part | {"averaging_hours": np.nan_to_num(part["averaging_hours"], nan=1.0)})
    tables = [collector.table(), *tables]
    tables = [table for table in (*tables, *_with_unique_ids(plain, tables)) if len(table)]
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


def _with_unique_ids(plain: dict[Path, pd.DataFrame], others: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Plain tables with the ids changed that stand for different stations; `others`, whose ids are unique, keep theirs.

    Rows of one id, file and provider are one station. Those of an id are the same one if their median places, or a
    chain of them, are at most `_APART` from each other. The order of the files makes no difference.
    """
    if not plain:
        return []
    common = os.path.commonpath([file.absolute().parent for file in plain])
    paths = [file.absolute().relative_to(common).as_posix() for file in plain]
    ids = {station for table in plain.values() for station in table["station"].unique()}
    others = [table[table["station"].isin(ids)] for table in others]
    parts = []
    for path, table in zip([""] * len(others) + paths, [*others, *plain.values()], strict=True):
        possible = (table["latitude"].abs() <= 90) & (table["longitude"].abs() <= 360)
        rows = table.loc[possible, ["station", "provider", "latitude", "longitude"]]
        part = rows.groupby(["station", "provider"], as_index=False).median()
        stem = Path(path.removesuffix(".gz")).stem
        parts.append(part.assign(path=path, stem=stem, full=path + " " + part["provider"]))
    groups = pd.concat(parts, ignore_index=True)
    groups = groups[groups.duplicated("station", keep=False)]
    if groups.empty:
        return list(plain.values())
    groups = groups.assign(place=_places(groups))
    groups = groups[groups.groupby("station")["place"].transform("nunique") > 1]
    groups = groups[~groups["place"].isin(groups.loc[groups["path"] == "", "place"])]
    first = groups.groupby("place")[["provider", "stem", "full"]].transform("min")  # "" if one of them is
    prefix = first["full"].str.strip()
    for label in ("stem", "provider"):
        tells = groups.assign(label=first[label], named=first[label] != "").groupby("station")
        tells = tells["named"].transform("all") & (
            tells["label"].transform("nunique") == tells["place"].transform("nunique")
        )
        prefix = prefix.mask(tells, first[label])
    groups = groups.assign(unique=prefix + ":" + groups["station"])
    if len(groups):
        _log.warning(
            "Ids that stand for stations more than %g km apart, which now begin with their provider or file: %s.",
            _APART, some(sorted(groups["unique"].unique())),
        )  # fmt: skip
    tables = []
    for path, table in zip(paths, plain.values(), strict=True):
        changed = groups.loc[groups["path"] == path, ["station", "provider", "unique"]]
        unique = table[["station", "provider"]].merge(changed, how="left")["unique"]
        tables.append(table.assign(station=unique.fillna(table["station"]).astype("str")))
    return tables


def _places(groups: pd.DataFrame) -> np.ndarray:
    """Number of the place of each row (N,): the same for rows of one station that are near each other."""
    code = pd.factorize(groups["station"])[0]
    nodes = np.column_stack([code, np.rint(1e4 * groups[["latitude", "longitude"]])])  # to 10 m
    nodes, which = np.unique(nodes, axis=0, return_inverse=True)
    north, east = np.radians(nodes[:, 1:] / 1e4).T
    around = np.column_stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])
    # The fourth dimension keeps different ids apart.
    near = KDTree(np.column_stack([EARTH * around, 10 * _APART * nodes[:, 0]])).query_pairs(
        _APART, output_type="ndarray"
    )
    graph = coo_array((np.ones(len(near), bool), (near[:, 0], near[:, 1])), shape=(len(nodes), len(nodes)))
    return connected_components(graph, directed=False)[1][which.ravel()]


def _plain(file: Path, separator: str, pollutant: Pollutant, utc_offset: float | None) -> pd.DataFrame:
    """Any table with columns of usual names, as the tidy table."""
    spellings = _spellings(pollutant)
    roles = _check_rows(file, separator, pollutant, spellings)
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
    given = {role: text[column].str.strip() for role, column in roles.items()}
    if "parameter" in given:
        keep, blank = given["parameter"].map(_simple).isin(spellings), given["parameter"] == ""
        if (keep | blank).all():
            keep |= blank
        elif not keep.any():
            others = some(sorted(set(given["parameter"])))
            _log.warning("%s holds no %s, but %s.", file, pollutant.label, others)
        elif blank.any():
            _log.warning("%s: rows left out that do not tell their pollutant: %d.", file, blank.sum())
        given = {role: column[keep].reset_index(drop=True) for role, column in given.items()}
    nothing = pd.Series("", index=given["time"].index)
    columns: dict[str, object] = {name: given.get(name, nothing) for name in TEXTS}
    for name in NUMBERS:
        columns[name] = _numbers(file, roles.get(name), given.get(name))
    combined = given["time"]
    if (_simple(roles["time"]), "date") == ("time", _simple(roles.get("date", ""))):
        combined = given["date"] + "T" + given["time"]
    columns["time"], whole_day = _times(file, roles["time"], combined, utc_offset)
    hours = np.where(whole_day, 24.0, 1.0)
    if "averaging_hours" in given:
        hours = np.where(given["averaging_hours"] == "", hours, columns["averaging_hours"])
    columns["averaging_hours"] = hours
    columns["units"] = _units(file, roles["value"], columns["units"], columns["value"], pollutant)
    blank = columns["station"] == ""
    if blank.any():
        places = [columns[name].map("{:.4f}".format).astype("str") for name in ("latitude", "longitude")]
        columns["station"] = columns["station"].mask(blank, places[0] + " " + places[1])
    columns["name"] = columns["name"].mask(columns["name"] == "", columns["station"])
    columns["country"] = columns["country"].where(columns["country"].str.fullmatch("[A-Za-z]{2}"), "").str.upper()
    columns["reference_grade"] = (
        given.get("reference_grade", nothing).str.lower().map({"true": True, "1": True, "false": False, "0": False})
    )
    columns["parameter"] = pollutant.name
    table = pd.DataFrame({name: columns[name] for name in COLUMNS})
    return table.astype({**dict.fromkeys(TEXTS, "str"), "reference_grade": "boolean"})


def _check_rows(file: Path, separator: str, pollutant: Pollutant, spellings: set[str]) -> dict[str, str]:
    """Which column is what. Raises DeepcamsError for a row with cells that have no column, or without those needed.

    pandas would cut such rows, or fill them, without a word.
    """
    reader, begin = csv.reader(file_lines(file), delimiter=separator), 1
    try:
        header = next(reader)
        header[0] = header[0].removeprefix("\ufeff")
        roles = _roles(file, header, pollutant, spellings)
        columns, needed = len(header), 1 + max(header.index(roles[role]) for role in (*_NEEDED, "value"))
        begin = reader.line_num + 1
        for cells in reader:
            if not needed <= len(cells) <= columns and "".join(cells).strip():
                raise DeepcamsError(
                    f"{file}, line {begin}: {len(cells)} cells where the header has {columns}"
                    + (f" and {needed} are needed. Is the row cut short? " if len(cells) < needed else ". ")
                    + f"Put texts that hold the separator {separator!r} between quotation marks, and end the row as "
                    "the header ends."
                )
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DeepcamsError(
            f"{file}, line {begin}: {error}. Is a quotation mark open that should be closed? Check it."
        ) from error
    return roles


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


def _units(file: Path, column: str, given: pd.Series, values: pd.Series, pollutant: Pollutant) -> pd.Series:
    """Units of all rows; where none are given those in brackets behind the values' name, or the usual ones."""
    blank = given == ""
    bracket = re.search(r"[(\[](.+?)[)\]]", column)
    if bracket is None and pollutant.is_gas:
        if (blank & values.notna()).any():
            raise DeepcamsError(
                f"{file} does not tell the units of {pollutant.label}, or not in all rows. Fill a column units (ppb, "
                "ppm, µg/m³ or mg/m³)."
            )
        return given
    return given.mask(blank, "µg/m³" if bracket is None else bracket[1])
