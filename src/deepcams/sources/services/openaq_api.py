"""OpenAQ's API v3: what is known of the stations that measure a pollutant. Only metadata; the archive has the values.

Its ways: pages of at most 1000; `meta.found` may be a text (">1000"), so a page that is not full is the last one; 408
means that the database took too long, and smaller pages are asked for; 410 and 422 do not go away; 429 says when to
come back (60 requests a minute, 2000 an hour).
"""

import copy
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region
from deepcams.pollutants import Pollutant
from deepcams.progress import progress
from deepcams.sources.services.http import PASSING, Guest, ServiceError, manner_of

KEY_HEADER = "X-API-Key"
_SERVICE = "OpenAQ's API"
_REMEDY = "Check the key in OPENAQ_API_KEY, or unset it to go without: then providers and grades stay empty."
_LARGEST, _SMALLEST = 1000, 125  # entries of a page; each half of a size begins where pages of the larger one end
_FEW = 100  # stations of which the averaging periods are asked for, one request each
_KEPT = (
    "id", "name", "timezone", "country", "provider", "isMobile", "isMonitor", "coordinates", "datetimeFirst",
    "datetimeLast",
)  # fmt: skip
_OBSERVED = ("observedInterval", "observedCount")  # their ratio is the averaging period
T = TypeVar("T")
_log = logging.getLogger(__name__)


def fetch_locations(pollutant: Pollutant, region: Region | None, key: str, services: dict) -> list[dict]:
    """Metadata of all stations that measure a pollutant, in a region (None: everywhere), ordered by their number.

    Each has what the reader of the archive needs: names, country, provider, grade, coordinates, first and last stamp,
    and the sensors of this pollutant. The list does not tell averaging periods; they are asked for station by
    station where these are few, and are otherwise taken from the distance of stamps.
    Raises ServiceError if the service refuses or does not answer, DeepcamsError if its answer is something else.
    """
    manner = manner_of(services)
    address = services["api"]["url"].rstrip("/")
    with Guest(_SERVICE, manner, headers={KEY_HEADER: key}, remedy=_REMEDY) as guest:
        hasty = copy.copy(guest)  # with one session and one pace
        hasty.passing = tuple(status for status in PASSING if status != 408)
        found = {}
        for box in _boxes(region):
            query = {"parameters_id": ",".join(map(str, pollutant.openaq_ids)), **box}
            for entry in _pages(hasty, guest, f"{address}/locations", query):
                station = _understood(_station, entry, pollutant)
                found[station["id"]] = station
        stations = [found[number] for number in sorted(found)]
        _log.info("%s knows %d stations that measure %s.", _SERVICE, len(stations), pollutant.label)
        if len(stations) <= _FEW:
            for station in progress(stations, "OpenAQ averaging periods", "stations"):
                answer = guest.json(f"{address}/locations/{station['id']}/sensors")
                station["sensors"] = _understood(_sensors, _results(answer), pollutant)
    return stations


def _pages(hasty: Guest, guest: Guest, url: str, query: dict) -> Iterator[dict]:
    """All entries. `hasty` gives up at once when the service runs out of time, so that less can be asked for."""
    limit, done = _LARGEST, 0
    while True:
        try:
            asked_by = guest if limit == _SMALLEST else hasty
            entries = _results(asked_by.json(url, limit=limit, page=done // limit + 1, **query))
        except ServiceError as error:
            if error.status != 408 or limit == _SMALLEST:
                raise
            limit //= 2
            _log.info("%s ran out of time; pages of %d are asked for.", _SERVICE, limit)
            continue
        yield from entries
        done += len(entries)
        if len(entries) < limit:
            return


def _results(answer: object) -> list[dict]:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("id"), int) for entry in results
    ):
        raise _other_answer()
    return results


def _understood(make: Callable[[object, Pollutant], T], entry: object, pollutant: Pollutant) -> T:
    """`make(entry, pollutant)`. Raises DeepcamsError if parts of the entry are of other kinds than they should be."""
    try:
        return make(entry, pollutant)
    except (AttributeError, TypeError) as error:
        raise _other_answer() from error


def _other_answer() -> DeepcamsError:
    return DeepcamsError(
        f"{_SERVICE} sent something else than a list of results. Check services.api.url; a newer version of "
        "deepcams may know what has changed."
    )


def _station(entry: dict, pollutant: Pollutant) -> dict:
    kept = {name: entry.get(name) for name in _KEPT}
    return kept | {"sensors": _sensors(entry.get("sensors") or [], pollutant)}


def _sensors(entries: list[dict], pollutant: Pollutant) -> list[dict]:
    return [
        {"id": entry.get("id"), "coverage": {name: (entry.get("coverage") or {}).get(name) for name in _OBSERVED}}
        for entry in entries
        if (entry.get("parameter") or {}).get("id") in pollutant.openaq_ids
    ]


def _boxes(region: Region | None) -> Iterator[dict]:
    """Queries for a region: two where it crosses the date line, since longitudes end at 180° here."""
    if region is None:
        yield {}
        return
    south, north = max(region.south, -90.0), min(region.north, 90.0)
    west, east = region.west, region.east
    if east - west >= 360 - 0.75:
        pairs = [(-180.0, 180.0)]
    else:
        shift = ((west + 180) % 360 - 180) - west
        west, east = west + shift, east + shift
        pairs = [(west, east)] if east <= 180 else [(west, 180.0), (-180.0, east - 360)]
    for first, last in pairs:
        yield {"bbox": f"{first:g},{south:g},{last:g},{north:g}"}
