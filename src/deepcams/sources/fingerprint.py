"""What the user's own files contain, told cheaply enough to ask at every planning of the workflow."""

import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path

import numpy as np

from deepcams.calendar import DAY, Month
from deepcams.files.atomic import write_text
from deepcams.files.checksum import sha256
from deepcams.sources.checks import parsed
from deepcams.sources.geoscf_names import TREES, V1, V2, local_roots

CACHE = Path(".snakemake") / "deepcams_fingerprints.json"


def fingerprint(source: str, path: str, month: str) -> str | None:
    """Digest of the files behind a month: 16 hexadecimal digits, or None where there are none.

    A CAMS month is one file (and the next, for the frame at 00 UTC), told by its content; a content that was read once
    is remembered with the file's size and time stamp. GEOS-CF, OpenAQ and weather stations are hundreds of files a
    month, told by their names and sizes, because reading a terabyte before every run is not an option.
    """
    if source == "cams":
        return _cams(path, Month.parse(month))
    listings = {"geoscf": _geoscf, "meteorology": _geoscf, "openaq": _openaq, "weather_stations": _weather}
    listing = listings[source](Path(path), Month.parse(month))
    return _short("\n".join(sorted(listing))) if listing else None


def _geoscf(root: Path, month: Month) -> list[str]:
    """Names and sizes of the month's files and of those of the next day's first hour, wherever they are read from; or
    of the one file that an earlier run made of them.
    """
    bases = dict.fromkeys(base for version in (V1, V2) for base in local_roots(version))
    trees = [root / base / tree for base in bases for tree in TREES] + [root]
    days = np.arange(month.start, month.end + DAY, DAY).astype("datetime64[D]")
    whole = root / f"{month}.nc"
    found = [f"{whole} {whole.stat().st_size}"] if whole.is_file() else []
    for tree in (tree for tree in trees if tree.is_dir()):
        for year, number, day in (str(date).split("-") for date in days):
            folder = f"{tree}/Y{year}/M{number}/D{day}"
            # The last of the days is the next month's first.
            stamp = f".{year}{number}{day}_" + ("00" if day == "01" and f"{year}-{number}" != str(month) else "")
            found += [f"{folder}/{name} {size}" for name, size in _sizes(folder, ".nc4") if stamp in name]
    return _below(root, found)


def _weather(root: Path, month: Month) -> list[str]:
    """Names and sizes of the stations' files of the year, and of their list."""
    places, inside = root / "isd-history.csv", f"{root}/isd-lite/{month.year:04d}"
    found = [f"{inside}/{name} {size}" for name, size in _sizes(inside, ".gz")]
    if found and places.is_file():
        found.append(f"{places} {places.stat().st_size}")
    return _below(root, found)


def _openaq(root: Path, month: Month) -> list[str]:
    """Names and sizes of the stations' files of the month and of the local days around it; or of the fetches."""
    stations = _stations(root)
    if not stations:
        return [entry for day, entry in _fetches(root) if day is None or _may_hold(day, month)]
    around = [str(edge.astype("datetime64[D]")).split("-") for edge in (month.start - DAY, month.end)]
    found = []
    for folder, station in stations:
        inside = f"{folder}/year={month.year:04d}/month={month.month:02d}"
        found += [f"{inside}/{name} {size}" for name, size in _sizes(inside, ".csv.gz")]
        for year, number, day in around:
            file = f"{folder}/year={year}/month={number}/location-{station}-{year}{number}{day}.csv.gz"
            try:
                found.append(f"{file} {os.stat(file).st_size}")
            except OSError:
                continue  # stations come and go
    places = root / "locations.json"
    if found and places.is_file():
        found.append(f"{places} {places.stat().st_size}")
    return _below(root, found)


@cache
def _stations(root: Path) -> list[tuple[str, str]]:
    """Folders and numbers of the stations in a copy of the archive; looked for once, planning asks for every month."""
    for records in (root / "records" / "csv.gz", root / "csv.gz", root):
        if records.is_dir():
            names = sorted(entry.name for entry in os.scandir(records) if entry.name.startswith("locationid="))
            if names:
                return [(f"{records}/{name}", name.partition("=")[2]) for name in names]
    return []


@cache
def _fetches(root: Path) -> list[tuple[np.datetime64 | None, str]]:
    """Real-time fetches: the day that the folder is named by, if it is, and name and size."""
    found = []
    for path in sorted({*root.rglob("*.ndjson"), *root.rglob("*.ndjson.gz")}):
        named = re.fullmatch(r"\d{4}-\d{2}-\d{2}", path.parent.name)
        try:
            day = np.datetime64(named.group(), "D") if named else None
        except ValueError:
            day = None
        found.append((day, f"{path.relative_to(root)} {path.stat().st_size}"))
    return found


def _may_hold(day: np.datetime64, month: Month) -> bool:
    """Whether a fetch of that day is read for the month: from the day before it on, and up to days afterwards."""
    return month.start - DAY <= day <= month.end + 3 * DAY


def _sizes(folder: str, suffix: str) -> list[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.stat().st_size) for entry in entries if entry.name.endswith(suffix)]
    except OSError:
        return []


def _below(root: Path, entries: list[str]) -> list[str]:
    """Entries without the folder's own name: a folder that was moved holds the same."""
    return [entry.removeprefix(f"{root}/") for entry in entries]


def _cams(pattern: str, month: Month) -> str | None:
    files = [Path(pattern.format(year=f"{m.year:04d}", month=f"{m.month:02d}")) for m in (month, month.next())]
    digests = [_remembered(path) for path in files if path.is_file()]
    return _short("\n".join(digests)) if digests else None


def _remembered(path: Path) -> str:
    """SHA-256 of a file, computed again only when its size or time stamp is another."""
    state = path.stat()
    key, stamp = str(path.resolve()), [state.st_size, state.st_mtime_ns]
    try:
        cache = parsed(CACHE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        cache = {}
    if not isinstance(cache, dict):
        cache = {}
    kept = cache.get(key)
    if not (isinstance(kept, list) and len(kept) == 2 and kept[0] == stamp and isinstance(kept[1], str)):
        cache[key] = [stamp, sha256(path)]
        write_text(CACHE, json.dumps(cache))
    return cache[key][1]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
