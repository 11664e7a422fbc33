"""OpenAQ's archive, the anonymous bucket openaq-data-archive: a month of one pollutant from millions of small files.

A station has a file for each local day. They are fetched many at once, and of each station one file stays: the rows of
the pollutant of the month and of the local days around it. A rerun fetches the stations that are not done.
"""

import asyncio
import csv
import gzip
import io
import json
import logging
import shutil
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from deepcams.calendar import Month
from deepcams.credentials import OPENAQ_KEY, hide, openaq_key
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.grid.nodes import Region
from deepcams.pollutants import Pollutant
from deepcams.progress import progress
from deepcams.sources.openaq import has_measurement, is_elsewhere, is_possible, places_inside, read_locations
from deepcams.sources.openaq_files import (
    HEADER,
    Skipped,
    content_lines,
    day_file,
    local_days,
    measurements,
    month_file,
)
from deepcams.sources.services import openaq_api
from deepcams.sources.services.bucket import Bucket, run, together
from deepcams.sources.services.http import NotThere

BUCKET, RECORDS = "openaq-data-archive", "records/csv.gz"
_SERVICE = "OpenAQ's archive"
_PREFIX = "locationid="
_MARGIN = timedelta(days=3)  # by which the metadata's first and last stamp of a station may be off
_log = logging.getLogger(__name__)


def fetch_month(month: Month, pollutant: Pollutant, region: Region | None, folder: str | Path, services: dict) -> Path:
    """Bring what OpenAQ measured of `pollutant` in `month` into `folder`, for openaq.retrieve_month("local").

    With a key for OpenAQ's API, the list of stations is fetched first (locations.json), and only those are asked for
    that can have measured. Without one all stations of the archive are, and their providers and grades stay unknown.
    services : the section of the configuration.  Returns the folder. What is in it already is not fetched again.
    Lines that are broken there are left out and told. Raises ServiceError if the service does not give what it should,
    DeepcamsError for files that are broken there and, without a region, for a month that has nothing.
    """
    folder = Path(folder)
    metadata, records = _metadata(pollutant, region, folder, services), folder / RECORDS
    run(_fetch(month, pollutant, region, folder, services, metadata))
    records.mkdir(parents=True, exist_ok=True)  # also where the region has no station: the reader knows it by that
    if region is None and not has_measurement(records, month, pollutant):
        shutil.rmtree(records)  # so that a rerun asks again
        (folder / "locations.json").unlink(missing_ok=True)
        raise DeepcamsError(
            f"{_SERVICE} has not one {pollutant.label} measurement of {month}. Change openaq.first and openaq.last; "
            "the newest days come to the archive some days later."
        )
    return folder


def _metadata(pollutant: Pollutant, region: Region | None, folder: Path, services: dict) -> dict[str, dict] | None:
    """Stations by number, as the API knows them; None without a key."""
    file, key = folder / "locations.json", openaq_key()
    if not file.is_file():
        if key is None:
            _log.warning(
                "No key for OpenAQ's API (%s): providers, grades and countries of the stations stay empty, averaging "
                "periods are taken from the distance of stamps, and every station of the archive is asked for. A key "
                "is free: https://explore.openaq.org/register.",
                OPENAQ_KEY,
            )
            return None
        found = openaq_api.fetch_locations(pollutant, region, key, services)
        write_text(file, hide(json.dumps({"results": found}, ensure_ascii=False, indent=0)) + "\n")
    return read_locations(file)


async def _fetch(
    month: Month, pollutant: Pollutant, region: Region | None, folder: Path, services: dict, metadata: dict | None
) -> None:
    bucket = Bucket(BUCKET, _SERVICE, services)
    if metadata is None:
        names = [name.removeprefix(_PREFIX) for name in await bucket.folders(RECORDS) if name.startswith(_PREFIX)]
        if not names:
            raise DeepcamsError(
                f"{_SERVICE} lists no station at all at {bucket.address}. Check services.archive.url, and whether the "
                "service has moved."
            )
    else:
        names = [
            number
            for number, station in metadata.items()
            if _measured_in(station, month) and not (region is not None and is_elsewhere(station, region))
        ]
    job = _Job(bucket, month, pollutant, folder, region if metadata is None else None)
    todo = [number for number in sorted(names, key=lambda name: (len(name), name)) if not job.file(number).is_file()]
    # Enough stations at once to keep all connections busy, also where they have no files.
    places = asyncio.Semaphore(max(1, bucket.connections // 2))
    label = f"OpenAQ {pollutant.label} {month}"
    async with asyncio.TaskGroup() as group:
        for number in progress(todo, label, "stations", total=len(names), done=len(names) - len(todo)):
            await places.acquire()
            group.create_task(job.fetch(number)).add_done_callback(lambda _: places.release())
    job.skipped.tell(label)
    _log.info(
        "%s: %d stations asked for, %d of them with files; %d day files of these are not there.",
        label, len(todo), job.stations, job.missing,
    )  # fmt: skip


class _Job:
    """What the stations of a month have in common. region : to leave out stations by, where nothing else tells it."""

    def __init__(self, bucket: Bucket, month: Month, pollutant: Pollutant, folder: Path, region: Region | None):
        self.bucket, self.month, self.parameter, self.folder = bucket, month, pollutant.name, folder
        self.region, self.days = region, local_days(month)
        self.stations = self.missing = 0
        self.skipped = Skipped()

    def file(self, location: str) -> Path:
        """Where a station's rows go."""
        return self.folder / RECORDS / f"{_PREFIX}{location}" / month_file(location, self.month)

    async def fetch(self, location: str) -> None:
        """All of one station. One request lists the month; the two days around it are asked for by their names."""
        inside = {Path(day_file(location, day)).name: day for day in self.days[1:-1]}
        before, listed, after = await together(
            (
                self._day(location, self.days[0]),
                self.bucket.names(f"{RECORDS}/{_PREFIX}{location}/{Path(day_file(location, self.days[1])).parent}"),
                self._day(location, self.days[-1]),
            )
        )
        days = sorted(inside[name] for name in listed if name in inside)
        ends = [] if self.region is None else sorted({*days[:1], *days[-1:]})
        found = dict(zip(ends, await together(self._day(location, day) for day in ends), strict=True))
        outside = self.region is not None and _stands_outside(list(found.values()), (before, after), self.region)
        rest = [] if outside else [day for day in days if day not in found]
        found |= zip(rest, await together(self._day(location, day) for day in rest), strict=True)
        parts = [part for part in (before, *(found[day] for day in sorted(found)), after) if part is not None]
        self.stations += bool(parts)
        self.missing += len(self.days) - len(parts) if parts and days and not outside else 0
        await asyncio.to_thread(_write, self.file(location), [part.text for part in parts])

    async def _day(self, location: str, day: date) -> "_Day | None":
        """Rows of the pollutant of a local day; None if there is no such file."""
        key = f"{RECORDS}/{_PREFIX}{location}/{day_file(location, day)}"
        try:
            content = await self.bucket.content(key)
        except NotThere:
            return None
        name = f"{self.bucket.address}/{key}"
        rows = list(measurements(content_lines(content, name), self.parameter, name, self.skipped))
        places = {(row.latitude, row.longitude) for row in rows if is_possible(row.latitude, row.longitude)}
        return _Day(_table(row.cells for row in rows), places)


class _Day(NamedTuple):
    """What is kept of a file while its station's others come: its rows as text, and where they can be of."""

    text: bytes
    places: set[tuple[float, float]]


def _table(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _write(path: Path, texts: list[bytes]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(b"".join([_table([HEADER]), *texts]), compresslevel=4, mtime=0))


def _stands_outside(ends: list[_Day | None], others: Iterable[_Day | None], region: Region) -> bool:
    """Whether a station is outside: all its places so far are one, and its first and last day (`ends`) tell it.

    The days between need not be fetched then. One day may have a wrong place, so that alone tells nothing.
    """
    if not all(day is not None and day.places for day in ends):
        return False
    places = set().union(*(day.places for day in (*ends, *others) if day is not None))
    return len(places) == 1 and not places_inside(*places.pop(), region)


def _measured_in(station: dict, month: Month) -> bool:
    """Whether a station can have measured in the month, by the first and the last stamp that the API tells of it."""
    start = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    end = start + timedelta(days=month.days)
    first, last = (_stamp(station.get(name)) for name in ("datetimeFirst", "datetimeLast"))
    return not (first is not None and first > end + _MARGIN) and not (last is not None and last < start - _MARGIN)


def _stamp(item: object) -> datetime | None:
    try:
        return datetime.fromisoformat(item["utc"]).astimezone(UTC)
    except (TypeError, KeyError, ValueError):
        return None
