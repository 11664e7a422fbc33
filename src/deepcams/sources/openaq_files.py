"""Text files of OpenAQ, line by line: the archive's tables and the real-time fetches' records.

A broken line of a local file is an error that names it. One that a service holds would be met by every rerun, so what
fetches it leaves it out, and tells how many there were (`Skipped`).
"""

import csv
import gzip
import io
import logging
import zlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from isal import igzip_lib

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.sources.checks import kind_of, magic, parsed, refuse_kind, some, unpacked

HEADER = ("location_id", "sensors_id", "location", "datetime", "lat", "lon", "parameter", "units", "value")
_ALTERNATIVES = {"sensors_id": "sensor_id", "units": "unit"}  # what older files of the archive say
_NEEDED = ("datetime", "parameter", "units", "value")
_DAY = timedelta(days=1)
_HOURS = {"hours": 1.0, "hour": 1.0, "minutes": 1 / 60, "minute": 1 / 60, "days": 24.0, "day": 24.0}
_LONGEST_LINE = 1 << 20  # characters; what has no line ends is no text, and would fill the memory
_BROKEN = (OSError, EOFError, zlib.error, igzip_lib.error, ValueError)
_log = logging.getLogger(__name__)


class Row(NamedTuple):
    """A measurement of the archive. time : seconds since 1970 UTC.  cells : as they were, in the order of HEADER."""

    time: int
    value: float
    latitude: float
    longitude: float
    units: str
    name: str
    sensor: str
    cells: list[str]


class Skipped:
    """Counts the lines that are left out because they are broken at the service."""

    def __init__(self):
        self.lines, self.example = 0, ""

    def add(self, lines: int, where: str, error: Exception) -> None:
        """Count a record of so many lines."""
        self.lines += lines
        self.example = self.example or f"{where}: {error}"

    def tell(self, label: str) -> None:
        """Warn, if there were any."""
        if self.lines:
            _log.warning(
                "%s: lines that are broken at the service and were left out: %d. The first: %s.",
                label, self.lines, self.example,
            )  # fmt: skip


def local_days(month: Month) -> list[date]:
    """Local days that reach into the UTC month: from the day before to the day after (UTC-12 … UTC+14)."""
    first = date(month.year, month.month, 1) - _DAY
    return [first + i * _DAY for i in range(month.days + 2)]


def day_file(location: str, day: date) -> str:
    """The file of a local day, within the folder of its location."""
    return f"year={day.year:04d}/month={day.month:02d}/location-{location}-{day:%Y%m%d}.csv.gz"


def month_file(location: str, month: Month) -> str:
    """The file into which a retrieval puts the days around a month, within the folder of their location."""
    return f"location-{location}-{month}.csv.gz"


def file_lines(file: Path) -> Iterator[str]:
    """Lines of a text file with their ends, gzip or not, told by its first bytes; broken files are refused by name."""
    kind = magic(file)
    if kind in ("html", "empty"):
        raise refuse_kind(kind, str(file))
    number = 0
    try:
        opener = gzip.open if kind == "gzip" else open
        with opener(file, "rt", encoding="utf-8", newline="") as stream:
            while line := stream.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise ValueError("a line without an end")
                number += 1
                yield line
    except _BROKEN as error:
        raise _damaged(str(file), number, error) from error


def content_lines(content: bytes, name: str) -> Iterator[str]:
    """Lines of what a file at a service holds, with their ends, gzip or not; for small ones.

    What is no UTF-8 is replaced by U+FFFD.  name : in messages.  Raises DeepcamsError unless all of it is whole.
    """
    kind = kind_of(content[:512])
    if kind in ("html", "empty"):
        raise refuse_kind(kind, name)
    try:
        text = (unpacked(content) if kind == "gzip" else content).decode("utf-8", "replace")
    except _BROKEN as error:
        raise _damaged(name, 0, error) from error
    return io.StringIO(text, newline="")


def measurements(lines: Iterable[str], parameter: str, name: str, skipped: Skipped | None = None) -> Iterator[Row]:
    """The rows of one parameter in a table of the archive; cells are empty where the file has no such column.

    name : of the file, in messages.  skipped : where broken rows are counted.  Raises DeepcamsError for a file without
    the columns that are needed and, without `skipped`, for a broken row.
    """
    reader = csv.reader(lines)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise DeepcamsError(f"{name}, line 1: {error}. It is no table; fetch it again.") from error
    where = [_column(header, column, name) for column in HEADER]
    at = where[HEADER.index("parameter")]
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader, None)
            if cells is None:
                return
            if len(cells) != len(header):
                if not any(parameter in cell for cell in cells):
                    continue  # of another pollutant, or an empty line
                raise ValueError(f"{len(cells)} columns where the header has {len(header)}")
            if cells[at] != parameter:
                continue
            row = _row(["" if index is None else cells[index] for index in where])
        except (ValueError, csv.Error) as error:  # the latter where a quotation mark that stays open takes in too much
            _refuse(name, begin, error, skipped, reader.line_num + 1 - begin)
        else:
            yield row


def records(
    lines: Iterable[str], parameter: str, name: str, skipped: Skipped | None = None
) -> Iterator[tuple[str, dict[str, object]]]:
    """The records of one parameter in a real-time fetch: the line without its end, and what `stations.COLUMNS` are.

    name, skipped : as in `measurements`.  Raises DeepcamsError for a broken record, without `skipped`.
    """
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if f'"{parameter}"' not in line and (not line or line.endswith("}")):
            continue
        try:
            entry = _entry(line, parameter)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            reason = ValueError(f"not a record of OpenAQ ({type(error).__name__}: {error})")
            _refuse(name, number, reason, skipped)
        else:
            if entry is not None:
                yield line, entry


def _row(cells: list[str]) -> Row:
    _, sensor, location, stamp, latitude, longitude, _, units, value = cells
    return Row(
        time=_seconds(stamp),
        value=_number(value),
        latitude=_number(latitude, "lat"),
        longitude=_number(longitude, "lon"),
        units=units,
        name=location,
        sensor=sensor,
        cells=cells,
    )


def _entry(line: str, parameter: str) -> dict[str, object] | None:
    """A record of a real-time fetch as a row of the table of stations; None if it is of another parameter."""
    record = parsed(line)
    if record["parameter"] != parameter:
        return None
    place = record.get("coordinates") or {}
    period = record.get("averagingPeriod") or {}
    return {
        "station": "/".join(str(record.get(name) or "") for name in ("country", "city", "location")),
        "name": str(record["location"]),
        "country": str(record.get("country") or ""),
        "latitude": float(place.get("latitude", "nan")),
        "longitude": float(place.get("longitude", "nan")),
        "time": _seconds(record["date"]["utc"]),
        "averaging_hours": float(period.get("value", "nan")) * _HOURS.get(period.get("unit", "hours"), np.nan),
        "parameter": parameter,
        "value": float("nan") if record["value"] is None else float(record["value"]),
        "units": str(record["unit"]),
        "provider": str(record.get("sourceName") or ""),
        "reference_grade": record["sourceType"] == "government" if "sourceType" in record else None,
    }


def _seconds(text: str) -> int:
    """A stamp with its offset as seconds since 1970 UTC. Raises ValueError for anything else."""
    try:
        stamp = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise ValueError(f"{text!r} is no time") from None
    if stamp.tzinfo is None:
        raise ValueError(f"the time {text!r} has no offset from UTC")
    return round(stamp.timestamp())


def _number(text: str, column: str = "value") -> float:
    """A number, NaN for an empty cell. Raises ValueError for anything else."""
    if text.strip() == "":
        return np.nan
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{column} {text!r} is no number") from None


def _refuse(name: str, number: int, error: Exception, skipped: Skipped | None, lines: int = 1) -> None:
    where = f"{name}, line {number}"
    if skipped is None:
        raise DeepcamsError(f"{where}: {error}. Fetch the file again, or remove that line.") from error
    skipped.add(lines, where, error)


def _column(header: list[str], column: str, name: str) -> int | None:
    for option in (column, _ALTERNATIVES.get(column)):
        if option in header:
            return header.index(option)
    if column not in _NEEDED:
        return None
    raise DeepcamsError(
        f"{name}, line 1: there is no column {column!r}, only {some(header, 12) or 'nothing'}. Fetch it again."
    )


def _damaged(name: str, number: int, error: Exception) -> DeepcamsError:
    return DeepcamsError(f"{name} is truncated or damaged after line {number} ({error}). Delete it and fetch it again.")
