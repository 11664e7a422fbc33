"""NOAA's server of weather stations (ISD-lite): the list of stations and a file of each station and year, by HTTPS."""

import gzip
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.grid.nodes import Region
from deepcams.progress import progress
from deepcams.sources.isd import HISTORY, LITE, Station, active_stations, month_lines
from deepcams.sources.services.http import Again, Guest, NotThere, manner_of

_SERVICE = "NOAA's server of weather stations"
_log = logging.getLogger(__name__)


def fetch_month(month: Month, region: Region | None, folder: str | Path, services: dict) -> Path:
    """Bring a month's weather at the stations in `region` (None: everywhere) into `folder`, for isd.retrieve_month.

    Files are of a year, so the other months' lines are fetched too; they are left out at once.
    services : the section of the configuration.  Returns the folder. What is in it already is not fetched again; a
    station that the list has and the server has not is remembered by a file without lines.
    Raises ServiceError if the service does not give what it should, DeepcamsError for a file that is something else
    and, without a region, for a month that has nothing.
    """
    folder, settings = Path(folder), services["isd_lite"]
    manner = manner_of(services, spacing=settings["spacing"])
    connections, address = settings["connections"], settings["url"].rstrip("/")
    with Guest(_SERVICE, manner, connections=connections) as guest:
        history = folder / HISTORY
        if not history.is_file():
            text = guest.text(f"{address}/{HISTORY}")
            active_stations(text, month, region, f"{address}/{HISTORY}")  # is it one at all?
            write_text(history, text)
        stations = active_stations(history.read_text(encoding="utf-8"), month, region, str(history))
        todo = [station for station in stations if not (folder / station.file(month.year)).is_file()]

        def fetch(station: Station) -> bool:
            file = station.file(month.year)
            return _fetch(guest, f"{address}/{file}", folder / file, month)

        with ThreadPoolExecutor(connections) as pool:
            try:
                done = pool.map(fetch, todo)
                label, count = f"ISD-lite {month}", len(stations)
                absent = sum(not it for it in progress(done, label, "stations", total=count, done=count - len(todo)))
            finally:
                guest.stop()
                pool.shutdown(wait=True, cancel_futures=True)
    if region is None and not any((folder / it.file(month.year)).stat().st_size > len(_packed(b"")) for it in stations):
        shutil.rmtree(folder / LITE, ignore_errors=True)  # so that a rerun asks again
        history.unlink()
        raise DeepcamsError(
            f"{_SERVICE} has not one observation of {month}. Ask for another month; the newest days come to it some "
            "days later."
        )
    if absent:
        _log.info("ISD-lite %s: the server has no file of %d stations that its list has.", month, absent)
    return folder


def _fetch(guest: Guest, url: str, path: Path, month: Month) -> bool:
    """Write the month's lines of a station; none if the server has no such file (then False is returned)."""
    with atomic_path(path) as temporary:

        def attempt() -> bytes:
            guest.fetch(url, temporary)
            try:
                return month_lines(temporary.read_bytes(), month, url)
            except DeepcamsError as error:
                raise Again(f"sent a damaged file ({error})") from error

        try:
            lines, found = guest.tried(url, attempt), True
        except NotThere:
            lines, found = b"", False
        temporary.write_bytes(_packed(lines))
    return found


def _packed(lines: bytes) -> bytes:
    return gzip.compress(lines, compresslevel=4, mtime=0)
