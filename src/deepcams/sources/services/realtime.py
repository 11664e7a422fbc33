"""OpenAQ's bucket of before the archive, openaq-fetches: everything as it was fetched at the time, with its faults.

Each fetch is an object of some megabytes in a folder named by its day, gzip (realtime-gzipped/) or not (realtime/). Of
a day one file stays: the records of the pollutant, fetch after fetch. A rerun fetches the days that are not done.
"""

import gzip
import shutil
from datetime import date, timedelta
from pathlib import Path

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.pollutants import Pollutant
from deepcams.progress import progress
from deepcams.sources.openaq import LATEST_FETCH
from deepcams.sources.openaq_files import Skipped, content_lines, local_days, records
from deepcams.sources.services.bucket import Bucket, run, together

BUCKET = "openaq-fetches"
_SERVICE = "OpenAQ's bucket of real-time fetches"
_LAYOUTS = ("realtime-gzipped", "realtime")  # a fetch that is in both is taken from the first


def fetch_month(month: Month, pollutant: Pollutant, folder: str | Path, services: dict) -> Path:
    """Bring what was fetched in and soon after `month` of `pollutant` into `folder`, for openaq.retrieve_month.

    services : the section of the configuration.  Returns the folder. What is in it already is not fetched again.
    Records that are broken there are left out and told. Raises ServiceError if the service does not give what it
    should, DeepcamsError if a fetch is broken there as a whole and if there is none of the pollutant at all.
    """
    folder = Path(folder)
    first, *_, last = local_days(month)
    days = [first + timedelta(days=n) for n in range((last - first + LATEST_FETCH).days + 1)]
    run(_fetch(month, pollutant, folder, services, days))
    if not any(_file(folder, day).stat().st_size > len(_packed([])) for day in days):
        shutil.rmtree(folder / _LAYOUTS[0])  # so that a rerun asks again
        raise DeepcamsError(
            f"{_SERVICE} holds no {pollutant.label} in and after {month}. It ends where the archive begins: set "
            "openaq.source: archive, or change openaq.first and openaq.last."
        )
    return folder


async def _fetch(month: Month, pollutant: Pollutant, folder: Path, services: dict, days: list[date]) -> None:
    bucket = Bucket(BUCKET, _SERVICE, services)
    there = [set(await bucket.folders(layout)) for layout in _LAYOUTS]
    if not any(there):
        raise DeepcamsError(
            f"{_SERVICE} lists no day at all at {bucket.address}. Check services.archive.url, and whether the service "
            "has moved."
        )
    todo = [day for day in days if not _file(folder, day).is_file()]
    label, skipped = f"OpenAQ fetches {month}", Skipped()
    for day in progress(todo, label, "days", total=len(days), done=len(days) - len(todo)):
        keys = {}
        for layout, days_there in zip(_LAYOUTS, there, strict=True):
            for name in await bucket.names(f"{layout}/{day}") if str(day) in days_there else []:
                if name.endswith((".ndjson", ".ndjson.gz")):
                    keys.setdefault(name.partition(".")[0], f"{layout}/{day}/{name}")
        parts = await together(_object(bucket, keys[fetch], pollutant, skipped) for fetch in sorted(keys))
        with atomic_path(_file(folder, day)) as temporary:
            # Parts of a gzip file may follow one another; so a day is never unpacked as a whole.
            temporary.write_bytes(b"".join(parts) or _packed([]))
    skipped.tell(label)


async def _object(bucket: Bucket, key: str, pollutant: Pollutant, skipped: Skipped) -> bytes:
    name = f"{bucket.address}/{key}"
    lines = content_lines(await bucket.content(key), name)
    found = [line for line, _ in records(lines, pollutant.name, name, skipped)]
    return _packed(found) if found else b""


def _packed(lines: list[str]) -> bytes:
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), compresslevel=4, mtime=0)


def _file(folder: Path, day: date) -> Path:
    return folder / _LAYOUTS[0] / f"{day}" / f"{day}.ndjson.gz"
