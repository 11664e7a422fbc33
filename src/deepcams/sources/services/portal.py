"""GEOS-CF from NASA's portal over HTTPS: whole files, an hour each, checked and reduced as soon as they are there.

The portal states no limits; public practice is a handful of connections. Transfers fail silently now and then, so a
file that is not what it should be is fetched again a few times before it counts as wrong.
"""

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from deepcams.calendar import Month
from deepcams.credentials import EARTHDATA_TOKEN, earthdata_token
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import explained
from deepcams.grid.nodes import Grid
from deepcams.pollutants import Pollutant
from deepcams.progress import progress
from deepcams.sources.checks import time_text
from deepcams.sources.geoscf import read_hour
from deepcams.sources.geoscf_names import portal_paths, variable_names
from deepcams.sources.services.hours import NETCDF, Hour, Wanted, first_sentence, summary, write_hour
from deepcams.sources.services.http import Guest, NotThere, ServiceError, manner_of

NAME = "NASA's portal"
REMEDY = (
    f"If the portal asks for a login, make a token at https://urs.earthdata.nasa.gov and put it into the environment "
    f"variable {EARTHDATA_TOKEN}."
)
FETCHES = 3  # of a file that arrives whole and is wrong
MOST_CONNECTIONS = 4
_ENOUGH = 48  # hours without a single file tell that the address or the period is wrong
_log = logging.getLogger(__name__)


def fetch_month(
    month: Month,
    collection: str,
    pollutant: Pollutant,
    grid: Grid | None,
    folder: str | Path,
    services: dict,
    max_missing: float,
) -> Path:
    """Fetch the hours of a month that `folder` does not hold yet; returns the root for the reader of local files.

    grid : the fine box to keep; None keeps the globe.  services : the configuration's section.  max_missing : the
    fraction of hours that the portal may lack.
    Raises ServiceError and its kinds, and DeepcamsError if the disk is full.
    """
    names = variable_names(collection, pollutant)

    def read(path: Path) -> Hour:
        frame, there, synthetic = read_hour(path, names, pollutant, grid)
        return Hour({names[0]: (frame, pollutant.units)}, there, synthetic)

    return fetch_hours(month, collection, read, folder, services, max_missing)


def fetch_hours(
    month: Month,
    collection: str,
    read: Callable[[Path], Hour],
    folder: str | Path,
    services: dict,
    max_missing: float,
) -> Path:
    """As `fetch_month`, of whatever `read` keeps of a file; it raises DeepcamsError for one that is wrong."""
    folder, settings = Path(folder), services["portal"]
    wanted = Wanted(month, collection, folder, max_missing)
    connections = max(1, min(MOST_CONNECTIONS, settings["connections"]))
    manner = manner_of(services, spacing=settings["spacing"])
    incoming = folder / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)  # of a job that was killed
    places = []
    with Guest(NAME, manner, token=earthdata_token(), remedy=REMEDY, connections=connections) as guest:
        order = _Order(guest, settings["url"].rstrip("/"), collection, read, folder, incoming)
        pool = ThreadPoolExecutor(connections)
        try:
            incoming.mkdir(parents=True, exist_ok=True)
            jobs = {pool.submit(order.fetch, time): time for time in wanted.times}
            total = wanted.done + len(jobs)
            for job in progress(as_completed(jobs), f"fetch GEOS-CF {month}", "hours", total, done=wanted.done):
                place = job.result()
                if place:
                    places.append(place)
                else:
                    wanted.lacks(jobs[job])
                    _require_any(wanted, len(places), settings["url"])
        except OSError as error:
            raise explained(error, folder) from error
        finally:
            guest.stop()
            pool.shutdown(cancel_futures=True)
            shutil.rmtree(incoming, ignore_errors=True)
    _log.info("GEOS-CF %s: hours fetched from %s; there before: %d", month, summary(places), wanted.done)
    wanted.finish(NAME)
    return folder


class _Order:
    """What all hours of a month have in common."""

    def __init__(self, guest: Guest, url: str, collection: str, read: Callable, folder: Path, incoming: Path):
        self.guest, self.url, self.collection, self.read = guest, url, collection, read
        self.folder, self.incoming = folder, incoming

    def fetch(self, time: np.datetime64) -> str | None:
        """Bring one hour into the folder; returns the path that had it, None if none has."""
        problem = None
        for place in portal_paths(time, self.collection):
            address, temporary = f"{self.url}/{place}", self.incoming / Path(place).name
            for number in range(FETCHES):
                try:
                    self.guest.fetch(address, temporary)
                    with NETCDF:
                        hour = self.read(temporary)
                except NotThere:
                    break
                except OSError as error:
                    raise explained(error, temporary) from error
                except ServiceError:
                    raise
                except DeepcamsError as error:
                    problem = first_sentence(error).replace(str(temporary), address)
                    _log.warning("%s (fetched %d of at most %d times)", problem, number + 1, FETCHES)
                    if number + 1 < FETCHES:
                        self.guest.sleep(self.guest.manner.wait)
                    continue
                finally:
                    temporary.unlink(missing_ok=True)
                write_hour(self.folder / place, time, hour)
                return place
        if problem:
            raise ServiceError(
                f"{problem}. It was so each of {FETCHES} times it was fetched, and {NAME} has no better file for "
                f"{time_text(time)}. Run the same command again later; it goes on where it stopped."
            )
        return None


def _require_any(wanted: Wanted, fetched: int, url: str) -> None:
    """Stop where nothing is found at all: asking for every hour of a month would take half an hour."""
    if len(wanted.missing) >= _ENOUGH and not fetched and not wanted.done:
        example = f"{url}/{portal_paths(wanted.times[0], wanted.collection)[0]}"
        raise NotThere(
            f"{NAME} has none of the first {_ENOUGH} hours of GEOS-CF {wanted.month} that it was asked for, for "
            f"instance {example}. Check services.portal.url, geoscf.collection and the months.",
            404,
        )
