"""HTTP as a polite guest: bounded tries, distance between requests, the server's own wish to wait, whole files only."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import requests

from deepcams.credentials import hide
from deepcams.errors import DeepcamsError
from deepcams.sources.checks import kind_of, parsed
from deepcams.sources.services.session import Session, pieces_of
from deepcams.sources.services.words import asked_wait, fault, is_html, said, seconds, shown, times
from deepcams.version import VERSION

PASSING = (408, 425, 429, 500, 502, 503, 504)  # may be gone at the next try; other refusals stay
_CUT = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
_HEAD = 512  # bytes that tell what a file is
_log = logging.getLogger(__name__)
T = TypeVar("T")


class ServiceError(DeepcamsError):
    """A service did not give what was asked for. status : of its answer, None where there was none."""

    def __init__(self, message: str, status: int | None = None):
        super().__init__(hide(message))
        self.status = status


class NotThere(ServiceError):
    """The service says that it does not have it (404)."""


class LoginNeeded(ServiceError):
    """The service gave a page for people where data was expected."""


class Later(ServiceError):
    """The service asks to be left alone for longer than patience lasts."""


@dataclass(frozen=True)
class Manner:
    """How a service is treated.

    tries : of a request, the first included.  wait : seconds before the second try, doubled for each further one up to
    `longest`.  timeout : seconds without a byte after which a try has failed.  spacing : seconds between the starts of
    any two requests.  patience : seconds that a server may ask to wait, and that one answer may take.
    """

    tries: int = 5
    wait: float = 5.0
    longest: float = 120.0
    timeout: float = 60.0
    spacing: float = 0.0
    patience: float = 3600.0


def manner_of(services: dict, *, patience: float = 3600.0, **changes: float) -> Manner:
    """How the configuration's section `services` wants services treated; `patience` at the most, and other changes."""
    usual = {name: services[name] for name in ("tries", "wait", "timeout")}
    return Manner(**usual | {"patience": min(patience, services["patience"])} | changes)


class Guest:
    """A session with one service, shared by threads; a context manager.

    service : its name in messages.  token : sent as a bearer token, like `headers` to this service's host only.
    remedy : a sentence for a refusal (401, 403), what the user can do.  deadline : on the clock time.monotonic; nothing
    is waited for beyond it.  The attribute `passing` holds the answers after which it is asked again.
    """

    def __init__(
        self,
        service: str,
        manner: Manner,
        *,
        headers: dict[str, str] | None = None,
        token: str | None = None,
        remedy: str = "",
        connections: int = 4,
        deadline: float = math.inf,
    ):
        self.service, self.manner, self.remedy, self.deadline = service, manner, remedy, deadline
        self.passing = PASSING
        self._session = Session(token, tuple(headers or ()), manner.patience)
        self._session.headers.update({"User-Agent": f"deepcams/{VERSION}", "Accept-Encoding": "identity"})
        self._session.headers.update(headers or {})
        adapter = requests.adapters.HTTPAdapter(pool_connections=connections, pool_maxsize=connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._pace = _Pace(manner.spacing)
        self._over = threading.Event()

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def stop(self) -> None:
        """End all waiting and asking, in every thread, with a ServiceError there."""
        self._over.set()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises ServiceError as soon as another thread calls `stop`."""
        if self._over.wait(max(0.0, seconds)):
            raise ServiceError("The fetching was ended by another error.")

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def json(self, url: str, **parameters: object) -> object:
        """The JSON document at `url`. Raises ServiceError after the last try, or at once for a refusal that stays."""
        return self.tried(url, lambda: self._document(url, parameters))

    def text(self, url: str) -> str:
        """The text at `url`, as UTF-8. Raises as `json` does."""

        return self.read(url, lambda content: content.decode("utf-8", "replace"))

    def read(self, url: str, understand: Callable[[bytes], T]) -> T:
        """What `understand` makes of all bytes at `url`; it may raise Again. Raises as `json` does."""

        def read() -> T:
            with self._answer(url) as response:
                return understand(response.content)

        return self.tried(url, read)

    def fetch(self, url: str, path: str | Path) -> None:
        """Write what is at `url` to `path`, all of it: a cut transfer is continued where the server can do that.

        `path` is a temporary name of the caller's; on failure it may hold a part. Raises ServiceError: NotThere for a
        404, LoginNeeded for a page of HTML, and otherwise after the last try.
        """
        path = Path(path)
        path.unlink(missing_ok=True)
        state = _Transfer()
        self.tried(url, lambda: self._transfer(url, path, state))

    def _document(self, url: str, parameters: dict[str, object]) -> object:
        with self._answer(url, params=parameters) as response:
            content = response.content
            if response.headers.get("x-ratelimit-remaining") == "0":
                self._pace.pause(seconds(response.headers.get("x-ratelimit-reset")) or 0.0)
        try:
            return parsed(content)
        except ValueError as error:
            if kind_of(content[:_HEAD]) == "html":
                raise self._login_needed(url) from error
            raise Again(f"sent an answer that is no JSON ({error})") from error

    def _transfer(self, url: str, path: Path, state: "_Transfer") -> None:
        there = path.stat().st_size if path.exists() else 0
        headers = {}
        if there and state.can_continue:
            headers = {"Range": f"bytes={there}-", **({"If-Range": state.tag} if state.tag else {})}
        with self._answer(url, headers=headers, stream=True) as response:
            if response.status_code == 416:  # the range begins at or past the end: the file is another one now
                state.can_continue = False
                raise Again("no longer has the file that was begun", 416)
            continues = bool(headers) and response.status_code == 206
            if continues and not _begins_at(response, there):
                state.can_continue = False
                raise Again("continued a transfer at another place than it was asked to")
            if not continues:
                there = 0
                state.begin(response)
            pieces, head = pieces_of(response, min(self.manner.patience, self.left())), b""
            while len(head) < _HEAD and (piece := next(pieces, b"")):
                head += piece
            if not there and (kind_of(head[:_HEAD]) == "html" or is_html(response)):
                raise self._login_needed(url)
            with open(path, "ab" if there else "wb") as stream:
                for piece in chain([head], pieces):
                    stream.write(piece)
                    self.sleep(0)  # ends here after stop()
        size = path.stat().st_size
        if state.length is not None and size != state.length:
            state.can_continue = False  # it was not cut: continuing would bring no more
            raise Again(f"ended the transfer after {size} of {state.length} bytes")

    @contextmanager
    def _answer(self, url: str, **options: object) -> Iterator[requests.Response]:
        asked = self._pace.asked()
        if asked > self.manner.patience:
            raise self._later(url, asked, 429)
        self.sleep(self._pace.turn())
        timeout = (min(30.0, self.manner.timeout), self.manner.timeout)
        with self._session.get(url, timeout=timeout, **options) as response:
            if urlsplit(response.url).netloc == "urs.earthdata.nasa.gov":
                raise self._login_needed(url)
            if response.status_code in self.passing:
                words = f"answered {response.status_code}{said(response)}"
                raise Again(words, response.status_code, asked_wait(response))
            if response.status_code >= 400 and not (response.status_code == 416 and options.get("headers")):
                raise self._refused(url, response)
            yield response

    def tried(self, url: str, attempt: Callable[[], T]) -> T:
        """What `attempt()` returns; after `Again` or a cut connection it is called again, in bounded tries.

        For clients with requests of their own; `url` is for messages. Raises ServiceError after the last try.
        """
        last, address = None, shown(url)
        for number in range(self.manner.tries):
            try:
                return attempt()
            except _CUT as error:
                last = Again(fault(error, self.manner.timeout))
            except requests.exceptions.RequestException as error:
                raise ServiceError(f"{address} cannot be asked for: {error}. Check the address.") from error
            except Again as error:
                last = error
            if number + 1 == self.manner.tries:
                break
            pause = min(self.manner.wait * 2**number, self.manner.longest)
            if last.pause is not None:
                if last.pause > min(self.manner.patience, max(0.0, self.left())):
                    raise self._later(url, last.pause, last.status)
                pause = max(pause, last.pause)
                self._pace.pause(last.pause)  # it means everybody here
            if pause > self.left():
                break
            _log.info("%s", hide(f"{self.service} {last} ({address}); try {number + 2} in {pause:.3g} s"))
            self.sleep(pause)
        raise ServiceError(
            f"{self.service} {last}, {times(number + 1)} ({address}). Try again later with the same command; it goes "
            "on where it stopped.",
            last.status,
        )

    def _later(self, url: str, pause: float, status: int | None) -> Later:
        return Later(
            f"{self.service} asks to wait {pause:.0f} s before {shown(url)} is asked for again. Run the same command "
            "then; it goes on where it stopped.",
            status,
        )

    def _refused(self, url: str, response: requests.Response) -> ServiceError:
        status = response.status_code
        text = f"{self.service} answered {status}{said(response)} to {shown(url)}."
        if status == 404:
            return NotThere(f"{text} Check the address and the period.", status)
        if status in (401, 403) and self.remedy:
            return ServiceError(f"{text} {self.remedy}", status)
        advice = {
            401: "Check the key or token.",
            403: "Check the key or token, and wait a while if too much was asked for.",
            410: "This address is retired for good; a newer version of deepcams may know its successor.",
        }
        return ServiceError(f"{text} {advice.get(status, 'Asking again would not help; check the settings.')}", status)

    def _login_needed(self, url: str) -> LoginNeeded:
        return LoginNeeded(
            f"{self.service} gave a page of HTML in place of {shown(url)}: login needed, or the address is another "
            f"now. {self.remedy or 'Open the address in a browser to see what it asks for.'}"
        )


class Again(Exception):
    """What a try failed of, as words that follow the service's name; another may succeed, after `pause` seconds."""

    def __init__(self, words: str, status: int | None = None, pause: float | None = None):
        super().__init__(words)
        self.status, self.pause = status, pause


@dataclass
class _Transfer:
    """What is known of a file that is being fetched, from one try to the next."""

    length: int | None = None
    can_continue: bool = False
    tag: str | None = None

    def begin(self, response: requests.Response) -> None:
        length = response.headers.get("Content-Length")
        self.length = int(length) if length and length.isdigit() else None
        tag = response.headers.get("ETag")
        self.tag = tag if tag and not tag.startswith("W/") else None
        self.can_continue = response.headers.get("Accept-Ranges") == "bytes"


@dataclass
class _Pace:
    """Keeps the requests of all threads `spacing` seconds apart."""

    spacing: float
    _next: float = 0.0  # the earliest start of the next request
    _asked: float = 0.0  # until when the server wants to be left alone
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self) -> float:
        """Take the next turn; returns the seconds to wait for it."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next, self._asked)
            self._next = begin + self.spacing
            return begin - now

    def pause(self, seconds: float) -> None:
        with self._lock:
            self._asked = max(self._asked, time.monotonic() + seconds)

    def asked(self) -> float:
        """Seconds that the server still wants to be left alone."""
        return self._asked - time.monotonic()


def _begins_at(response: requests.Response, place: int) -> bool:
    return response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0].strip() == str(place)
