"""CAMS EAC4 from the Atmosphere Data Store, by its own client: one request a month, resumed where a job was killed.

The client does not look at checksums and leaves partial files; so the result is fetched and checked here.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepcams.calendar import DAY, Month
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.pollutants import Pollutant
from deepcams.progress import progress
from deepcams.sources.cams import month_path, read_cams, require_frames
from deepcams.sources.services.ads_desk import COST, DATASET, LICENCE, SERVICE, STATE, THE_SERVICE, Desk, open_desk
from deepcams.sources.services.http import PASSING, Later, Manner, NotThere, ServiceError

TIMES = [f"{hour:02d}:00" for hour in range(0, 24, 3)]
_WAITING = ("accepted", "running")
_FIRST_POLL, _LONGEST_POLL = 1.0, 60.0  # seconds
_BUSY = 120  # waits; how long a request is left that the service's own limits turned away
# Server's words (its code and public reports): no data for the request; a limit that passes.
_NO_DATA = re.compile(r"no data|nodata|valid combination", re.IGNORECASE)
_BUSY_WORDS = re.compile(r"daily requests|temporarily limited|queued requests", re.IGNORECASE)
_NOT_OURS = (400, 403, 404, 422)  # answers to a request's number that another account, or nobody, knows
_log = logging.getLogger(__name__)


def fetch_month(
    month: Month,
    pollutant: Pollutant,
    folder: str | Path,
    services: dict,
    *,
    ends_record: bool = False,
) -> str:
    """Fetch a month and the next day's 00 UTC into `folder`, checked; a file that is there already is kept.

    folder : of this month and pollutant alone; it also keeps the request's id, by which a new process goes on with what
    a killed one had asked for.  services : the configuration's section.  ends_record : whether the month may be the
    service's last one, where there is no next day.
    Returns the pattern of paths that `cams.retrieve_month` takes. Raises ServiceError, or DeepcamsError for the disk.
    """
    pattern = str(Path(folder) / "{year}-{month}.nc")
    file = month_path(pattern, month)
    order = _Order(month, pollutant, file, ends_record)
    if not _is_there(order):
        with open_desk(Path(folder), services) as desk:
            _obtain(desk, order)
    return pattern


def canonical_request(month: Month, pollutant: Pollutant, with_next: bool = True) -> dict[str, object]:
    """The one form in which a month is asked for: equal requests of other people share the service's cache.

    with_next : with the next day, of which 00 UTC is needed.
    """
    last = month.end if with_next else month.end - DAY
    request = {
        **pollutant.request,
        "date": [f"{month.start.astype('datetime64[D]')}/{last.astype('datetime64[D]')}"],
        "time": TIMES,
        "data_format": "netcdf_zip",
    }
    return dict(sorted(request.items()))


@dataclass(frozen=True)
class _Order:
    month: Month
    pollutant: Pollutant
    file: Path
    ends_record: bool

    @property
    def name(self) -> str:
        return f"CAMS {self.month} ({self.pollutant.name})"

    def check(self, path: Path) -> None:
        """Raise _Wrong unless `path` holds the month; the reader of local files does all the looking."""
        try:
            array = read_cams(path, first=self.month.start, last=self.month.end, pollutant=self.pollutant)
            require_frames(array, self.month.analyses(with_next=not self.ends_record), str(path))
        except DeepcamsError as error:
            raise _Wrong(str(error).replace(str(path), f"What {THE_SERVICE} sent for {self.name}")) from None


class _NoData(Exception):
    """The service has nothing for a request."""


class _Lost(Exception):
    """A request will bring nothing; another one may.  busy : the service's own limits turned it away."""

    def __init__(self, words: str, busy: bool = False):
        super().__init__(words)
        self.busy = busy


class _Damaged(Exception):
    """What came is not what the service says it is; another transfer may be."""


class _Wrong(Exception):
    """What came is what the service has, and not what was asked for."""


def _is_there(order: _Order) -> bool:
    """Whether the file is there. One that is not enough any more, as that of a month that ended the record, is removed
    together with the request that brought it."""
    if not order.file.is_file():
        return False
    try:
        order.check(order.file)
    except _Wrong:
        order.file.unlink()
        order.file.with_name(STATE).unlink(missing_ok=True)
        return False
    return True


def _obtain(desk: Desk, order: _Order) -> None:
    alone = canonical_request(order.month, order.pollutant, with_next=False)
    request = canonical_request(order.month, order.pollutant)
    if order.ends_record and desk.kept().get("request") == alone:
        request = alone
    lost = []
    while True:
        try:
            remote = _resumed(desk, request) or _submitted(desk, request)
            _wait(desk, order, remote)
            _download(desk, order, remote)
            return
        except _NoData as error:
            desk.forget()
            if not order.ends_record or request == alone:
                words = f"{SERVICE} has no {order.name}: {error} Check cams.first and cams.last; EAC4 ends months ago."
                raise ServiceError(words, 400) from None
            request = alone
        except _Lost as error:
            desk.forget()
            lost += [error] if not error.busy else []
            pause = _pause(desk.guest.manner, len(lost), error.busy)
            if len(lost) == desk.guest.manner.tries or pause > desk.guest.left():
                raise ServiceError(
                    f"{SERVICE} did not make {order.name}: {error} Requests given up: {len(lost) + error.busy}. Try "
                    "again later with the same command.",
                ) from None
            desk.guest.sleep(pause)


def _pause(manner: Manner, failures: int, busy: bool) -> float:
    return manner.wait * _BUSY if busy else min(manner.wait * 2 ** (failures - 1), manner.longest)


def _resumed(desk: Desk, request: dict) -> object | None:
    kept = desk.kept()
    if kept.get("request") != request:
        return None
    try:
        return desk.ask(lambda: desk.client.client.get_remote(str(kept["id"])))
    except ServiceError as error:
        if error.status in _NOT_OURS:
            desk.forget()
            return None
        raise


def _submitted(desk: Desk, request: dict) -> object:
    try:
        remote = desk.ask(lambda: desk.client.retrieve(DATASET, request))
    except ServiceError as error:
        if error.status == 400:
            raise _NoData(str(error)) from None
        raise
    write_text(desk.state, json.dumps({"id": remote.request_id, "request": request}, indent=1))
    return remote


def _wait(desk: Desk, order: _Order, remote: object) -> None:
    """Return when the result is ready. Raises _NoData, _Lost, and ServiceError when patience is at its end."""
    status = "accepted"
    try:
        for state in progress(_states(desk, order, remote), f"{order.name}, request {remote.request_id}", "polls"):
            status = state
    except NotThere:
        raise _Lost(f"it does not know request {remote.request_id} any more.") from None
    if status == "successful":
        return
    if status not in ("failed", "rejected"):
        raise _Lost(f"request {remote.request_id} was {status}.")
    words = f"the request was {status}."
    try:
        desk.ask(lambda: remote.results_ready)  # asks for the reason, and raises it
    except ServiceError as error:
        words = str(error)
    if _NO_DATA.search(words):
        raise _NoData(words)
    if LICENCE.search(words) or COST.search(words):
        raise ServiceError(words)
    raise _Lost(words, busy=bool(_BUSY_WORDS.search(words)))


def _states(desk: Desk, order: _Order, remote: object) -> Iterator[str]:
    guest, status = desk.guest, "accepted"
    pause = min(_FIRST_POLL, guest.manner.wait)
    longest = min(_LONGEST_POLL, 12 * guest.manner.wait)
    while True:
        try:
            status = desk.ask(lambda: remote.status)
        except Later:
            raise
        except ServiceError as error:
            # The queue goes on while the service cannot be asked: what passes is waited for as the result is.
            if error.status not in (None, *PASSING) or guest.left() <= min(pause, longest):
                raise
            _log.info("%s The request is kept, and asked for again.", error)
        yield status
        if status not in _WAITING:
            return
        if guest.left() <= 0:
            raise ServiceError(
                f"{SERVICE} has had the request for {order.name} for longer than services.patience "
                f"({guest.manner.patience:g} s), and it is still {status}. Run the same command again: it goes on "
                f"waiting for request {remote.request_id}."
            )
        guest.sleep(min(pause, guest.left()))
        pause = min(1.5 * pause, longest)


def _download(desk: Desk, order: _Order, remote: object) -> None:
    """Bring the result under the order's name: the right size, the right MD5, and what the reader accepts.

    The service tells no MD5 of the content for what was stored in several parts; bytes that come the same twice, and
    that the reader accepts, are what it has.
    """
    last, came = None, set()
    for number in range(desk.guest.manner.tries):
        if number:
            desk.guest.sleep(_pause(desk.guest.manner, number, False))
        try:
            href, size, md5 = desk.ask(lambda: _asset(remote))
            with atomic_path(order.file) as temporary:
                desk.guest.fetch(href, temporary)
                found = _digest(temporary, size)
                if md5 not in (None, found) and found not in came:
                    came.add(found)
                    raise _Damaged(f"{size} bytes came, as announced, but their MD5 is {found} and not {md5}.")
                order.check(temporary)
            if md5 not in (None, found):
                _log.warning(
                    "%s announced the MD5 %s for %s and sent bytes of %s twice; their size and content are right.",
                    SERVICE, md5, order.name, found,
                )  # fmt: skip
            return
        except _Damaged as error:
            last = error
        except _Wrong as error:
            last = error
            if md5:  # these are the bytes that the service means; another transfer would bring the same
                break
        except ServiceError as error:
            if error.status in (403, 404, 410):  # results are kept for some days
                raise _Lost(f"the result of request {remote.request_id} has expired.") from None
            raise
    desk.forget()
    if isinstance(last, _Wrong):
        raise ServiceError(str(last))
    raise ServiceError(
        f"{SERVICE} sent {order.name} {desk.guest.manner.tries} times and never whole: {last} Try again later with the "
        "same command."
    )


def _asset(remote: object) -> tuple[str, int | None, str | None]:
    """Address, size in bytes and MD5 of a result, the latter two as far as they are told."""
    results = remote.get_results()
    size, md5 = results.asset.get("file:size"), results.asset.get("file:checksum")
    # The service writes the number without the zeros that it begins with.
    return results.location, None if size is None else int(size), str(md5).lower().zfill(32) if md5 else None


def _digest(path: Path, size: int | None) -> str:
    """The MD5 of a file. Raises _Damaged if it has not the announced size."""
    if size is not None and path.stat().st_size != size:
        raise _Damaged(f"{path.stat().st_size} bytes came, where {size} are announced.")
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
