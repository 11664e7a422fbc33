"""The Atmosphere Data Store's own client, asked for one try at a time: tries, patience and words are ours.

Left to itself the client (cdsapi 0.7) repeats failed requests for hours without a word and never gives up on a queue.
"""

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import requests

from deepcams.credentials import ADS_PAGE, AdsAccount, ads_account, hide
from deepcams.sources.checks import parsed
from deepcams.sources.services.http import PASSING, Again, Guest, NotThere, ServiceError, manner_of
from deepcams.sources.services.session import Session
from deepcams.sources.services.words import asked_wait

DATASET = "cams-global-reanalysis-eac4"
KEY_HEADER = "PRIVATE-TOKEN"
SERVICE, THE_SERVICE = "The Atmosphere Data Store", "the Atmosphere Data Store"
# Server's words for refusals that stay (its code and public reports).
LICENCE = re.compile(r"licen[cs]e", re.IGNORECASE)
COST = re.compile(r"cost limit|too large|too many fields", re.IGNORECASE)
STATE = "request.json"
_LONGEST_WORDS = 400  # characters
_ANSWER = 10  # time-outs; how long one of the service's short answers may take
_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Desk:
    """An open account.

    client : of the service.  guest : counts tries, transfers files and knows the deadline.  state : file of the
    request's id.
    """

    account: AdsAccount
    client: object
    guest: Guest
    state: Path

    def ask(self, call: Callable[[], T]) -> T:
        """What `call()` returns, one try of the client, in bounded tries. Raises ServiceError."""
        return self.guest.tried(self.account.url, partial(_attempt, call, self.account))

    def kept(self) -> dict:
        """The request that an earlier job has made: request and id; empty if there is none."""
        try:
            kept = parsed(self.state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) and {"id", "request"} <= kept.keys() else {}

    def forget(self) -> None:
        """Have the next attempt, or the next job, make a new request."""
        self.state.unlink(missing_ok=True)


@contextmanager
def open_desk(folder: Path, services: dict) -> Iterator[Desk]:
    """An account at the service, for one month whose folder is `folder`. Raises ServiceError if there is no key."""
    account = usable_account(services["ads"]["url"])
    manner = manner_of(services, patience=services["patience"])
    deadline = time.monotonic() + manner.patience
    session = Session(private=(KEY_HEADER,), patience=min(manner.patience, _ANSWER * manner.timeout))
    with Guest(SERVICE, manner, connections=1, deadline=deadline) as guest, session:
        yield Desk(account, _client(account, session, manner.timeout), guest, folder / STATE)


def usable_account(url: str | None) -> AdsAccount:
    """The account to use; `url` as configured.

    Raises ServiceError if there is no key, or none of today's form, and for an address that holds a password.
    """
    account = ads_account(url)
    if account is None:
        raise ServiceError(
            f"No key for {THE_SERVICE} was found. Copy your personal access token from {ADS_PAGE} into the environment "
            "variable ADSAPI_KEY or into ~/.cdsapirc."
        )
    if ":" in account.key or not account.key.isascii() or not account.key.isprintable() or " " in account.key:
        raise ServiceError(
            f"The key found in {account.found_in} is not a personal access token, which is a word without a colon (the "
            f"form UID:KEY is of the service that was closed in 2024). Copy the token from {ADS_PAGE}."
        )
    if "@" in account.url:  # it would be shown, and written into logs
        raise ServiceError(
            f"The address of {THE_SERVICE} that goes with the key found in {account.found_in} holds a user name or a "
            "password. Take it out of services.ads.url, ADSAPI_URL, CDSAPI_URL or ~/.cdsapirc: the key is enough."
        )
    return account


def _client(account: AdsAccount, session: requests.Session, timeout: float) -> object:
    """The service's client, for one try at a time and with nothing to say.

    What it would write goes to this module's log without keys; replies, which may repeat what was sent, go nowhere.
    """
    import cdsapi  # takes a third of a second

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a failure to fetch the service's news, with the server's words
        return cdsapi.Client(
            url=account.url.rstrip("/"),
            key=account.key,
            quiet=True,
            progress=False,
            verify=True,
            timeout=timeout,
            delete=False,
            retry_max=1,
            sleep_max=1,
            wait_until_complete=False,
            info_callback=_tell,
            warning_callback=_tell,
            error_callback=_tell,
            debug_callback=_keep_quiet,
            session=session,
        )


def _tell(words: object, *_: object, **__: object) -> None:
    _log.info("%s", hide(str(words)))


def _keep_quiet(*_: object, **__: object) -> None:
    pass


def _attempt(call: Callable[[], T], account: AdsAccount) -> T:
    """`call()`; what the client raises becomes Again or ServiceError, without the client's own words in the chain."""
    from ecmwf.datastores.processing import LinkError, ProcessingFailedError

    try:
        return call()
    except requests.HTTPError as error:
        response, odd = error.response, type(error).__name__
    except ProcessingFailedError as error:
        response, odd, failed = None, None, str(error)
    except requests.exceptions.JSONDecodeError:
        response, odd = None, "no JSON"
    except (LinkError, LookupError, TypeError, ValueError, AttributeError, AssertionError, RecursionError) as error:
        response, odd = None, type(error).__name__
    if response is not None:
        raise _judged(response, account)
    if odd is None:
        raise ServiceError(f"{SERVICE}: {_short(failed)}", 400)
    raise Again(f"sent an answer that is not understood ({odd}), perhaps a page of HTML in place of its own words")


def _judged(response: requests.Response, account: AdsAccount) -> Exception:
    """What to raise for a refusal: Again where it may pass, else ServiceError with the server's words and advice."""
    status, words = response.status_code, _words(response)
    if status in PASSING:
        return Again(f"answered {status}{f' ({words})' if words else ''}", status, asked_wait(response))
    text = f"{SERVICE} answered {status}{f': {words}' if words else ''}."
    if status == 401:
        advice = f"It does not accept the key found in {account.found_in}; copy your token from {ADS_PAGE}."
    elif status == 403 and LICENCE.search(words):
        link = re.search(r"https?://[^\s\"'<>]+", words)
        page = link.group().rstrip(".,;") if link else licence_page(account.url)
        advice = f"Open {page} with your account, accept the licence at the end of the page, and run the same command."
    elif status == 403 and COST.search(words):
        advice = "It allows smaller requests now than one month; please report this."
    elif status == 403:
        advice = f"Check your account at {ADS_PAGE}, and wait a while if too much was asked for."
    elif status == 404:
        return NotThere(f"{text} Check the address, {account.url}.", status)
    else:
        advice = "Asking again would not help; check the period and services.ads.url."
    return ServiceError(f"{text} {advice}", status)


def licence_page(url: str) -> str:
    """Where a person accepts the licences of the data set; `url` is that of the API."""
    return f"{url.removesuffix('/api')}/datasets/{DATASET}?tab=download#manage-licences"


def _words(response: requests.Response) -> str:
    """What the service says about a refusal: title, detail and the job's own words, in one line without keys."""
    try:
        document = response.json()
        said = [str(document[name]) for name in ("title", "detail", "traceback") if document.get(name)]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ""
    return _short("; ".join(said))


def _short(text: str) -> str:
    return " ".join(hide(text).split())[:_LONGEST_WORDS].rstrip(". ")
