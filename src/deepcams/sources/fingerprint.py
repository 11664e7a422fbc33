"""What the user's own files contain, told cheaply enough to ask at every planning of the workflow."""

import hashlib
import json
from pathlib import Path

import numpy as np

from deepcams.calendar import DAY, Month
from deepcams.files.atomic import write_text
from deepcams.files.checksum import sha256

CACHE = Path(".snakemake") / "deepcams_fingerprints.json"


def fingerprint(source: str, path: str, month: str) -> str | None:
    """Digest of the files behind a month: 16 hexadecimal digits, or None where there are none.

    A CAMS month is one file (and the next, for the frame at 00 UTC), told by its content; a content that was read once
    is remembered with the file's size and time stamp. GEOS-CF and OpenAQ are hundreds of files a month, told by
    their names and sizes, because reading a terabyte before every run is not an option.
    """
    if source == "cams":
        return _cams(path, Month.parse(month))
    root, wanted = Path(path), Month.parse(month)
    # Files around the month count where they are read: the next month's first hour, local days on either side.
    days = np.arange(wanted.start - DAY, wanted.end + DAY, DAY).astype("datetime64[D]")
    if source == "geoscf":
        patterns = [f"**/Y{year}/M{number}/D{day}/*.nc4" for year, number, day in (_parts(d) for d in days[1:])]
    else:
        patterns = ["locations.json", "*.ndjson*", "*/*.ndjson*"]
        patterns += [f"**/year={y}/month={m}/*-{y}{m}{d}.csv.gz" for y, m, d in (_parts(d) for d in days)]
    files = sorted({found for pattern in patterns for found in root.glob(pattern)})
    listing = [f"{found.relative_to(root)} {found.stat().st_size}" for found in files]
    return _short("\n".join(listing)) if listing else None


def _parts(day: np.datetime64) -> list[str]:
    return str(day).split("-")


def _cams(pattern: str, month: Month) -> str | None:
    files = [Path(pattern.format(year=f"{m.year:04d}", month=f"{m.month:02d}")) for m in (month, month.next())]
    digests = [_remembered(path) for path in files if path.is_file()]
    return _short("\n".join(digests)) if digests else None


def _remembered(path: Path) -> str:
    """SHA-256 of a file, computed again only when its size or time stamp is another."""
    state = path.stat()
    key, stamp = str(path.resolve()), [state.st_size, state.st_mtime_ns]
    try:
        cache = json.loads(CACHE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        cache = {}
    if cache.get(key, [None, None])[0] != stamp:
        cache[key] = [stamp, sha256(path)]
        write_text(CACHE, json.dumps(cache))
    return cache[key][1]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
