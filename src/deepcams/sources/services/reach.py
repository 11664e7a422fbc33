"""Can a run begin? Each service that a configuration uses is tried once, all at the same time, with little patience."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from deepcams.calendar import Month
from deepcams.credentials import (
    ADS_PAGE,
    ADS_URL,
    EARTHDATA_TOKEN,
    OPENAQ_KEY,
    ads_account,
    earthdata_token,
    hide,
    openaq_key,
)
from deepcams.errors import DeepcamsError
from deepcams.pollutants import POLLUTANTS, Pollutant
from deepcams.sources.access import access_problem
from deepcams.sources.services.ads_desk import DATASET, KEY_HEADER, licence_page, usable_account
from deepcams.sources.services.estimate import geoscf_months, period
from deepcams.sources.services.http import PASSING
from deepcams.sources.services.session import Session

OK, NOTE, MISSING = "ok", "note", "MISSING"
_TIMEOUT = (5.0, 10.0)  # seconds to connect, and without a byte
_KEYS = (401, 403)  # answers that a key, or one's absence, is the reason of


@dataclass(frozen=True)
class Finding:
    """One line of the examination. state : OK, NOTE (a run can start all the same) or MISSING.  remedy : what to do."""

    state: str
    name: str
    words: str
    remedy: str = ""


def examine(config: dict, offline: bool = False) -> list[Finding]:
    """What is there and what is missing for a run: services, keys, licences, records, local files.

    config : whole and valid.  offline : look at keys and files only. No finding holds a key.
    """
    checks: list[Callable[[], list[Finding]]] = []
    for name in ("cams", "geoscf", "openaq"):
        source, path = config[name]["source"], config[name]["path"]
        if source == "local":
            checks.append(lambda name=name, path=path: _local(name, path))
        elif source in _SERVICES:
            checks.append(lambda source=source: _SERVICES[source](config, offline))
    with ThreadPoolExecutor(max(1, len(checks))) as pool:
        return [finding for findings in pool.map(lambda check: check(), checks) for finding in findings]


def _local(name: str, path: str) -> list[Finding]:
    problem = access_problem(name, "local", path)
    if problem:
        return [Finding(MISSING, f"{name} files", path, problem)]
    return [Finding(OK, f"{name} files", path)]


def _ads(config: dict, offline: bool) -> list[Finding]:
    pollutant, months = POLLUTANTS[config["pollutant"]], period(config["cams"])
    configured = config["services"]["ads"]["url"]
    account, problem = None, ""
    found = ads_account(configured)
    try:
        account = usable_account(configured)
    except DeepcamsError as error:
        problem = str(error)
    url = (found.url if found else configured or ADS_URL).rstrip("/")
    if "@" in url:  # it is not shown, and not asked
        return [Finding(MISSING, "Atmosphere Data Store", "its address holds a user name or a password", problem)]
    where = Finding(MISSING, "  key", found.found_in if found else "none found", problem)
    if account:
        where = Finding(OK, "  key", f"found in {account.found_in}")
    if offline:
        return [_untried("Atmosphere Data Store", url), where]
    try:
        _, seconds = _get(f"{url}/catalogue/v1/messages")
    except DeepcamsError as error:
        return [_failed("Atmosphere Data Store", url, error), where]
    findings = [_answers("Atmosphere Data Store", url, seconds), where]
    if account:
        findings[1:] = _ads_account(url, account.key, account.found_in)
    return [*findings, _ads_record(url, pollutant, months[0], months[-1])]


def _ads_account(url: str, key: str, found_in: str) -> list[Finding]:
    """Is the key accepted, and are the licences of the data set?"""
    try:
        answer, _ = _get(f"{url}/profiles/v1/account/licences", {KEY_HEADER: key})
        accepted = {str(item["id"]) for item in answer.json().get("licences", [])}
    except (DeepcamsError, ValueError, KeyError, TypeError, AttributeError) as error:
        status = getattr(error, "status", None)
        if status in _KEYS:
            remedy = f"The key in {found_in} is not accepted. Copy your token from {ADS_PAGE}."
            return [Finding(MISSING, "  key", f"{found_in}: refused ({status})", remedy)]
        return [Finding(NOTE, "  key", f"found in {found_in}; whether it is accepted could not be asked")]
    key_there = Finding(OK, "  key", f"found in {found_in}, accepted")
    page = licence_page(url).partition("#")[0]
    try:
        answer, _ = _get(f"{url}/catalogue/v1/collections/{DATASET}")
        needed = [str(link["href"]) for link in answer.json()["links"] if link.get("rel") == "license"]
    except (DeepcamsError, ValueError, KeyError, TypeError, AttributeError) as error:
        if getattr(error, "status", None) == 404:
            remedy = f"{url} does not know {DATASET}: let services.ads.url be the address of {ADS_URL}, or null."
            return [key_there, Finding(MISSING, "  data set", f"{DATASET} is not there", remedy)]
        needed = []
    if not needed:
        return [key_there, Finding(NOTE, "  licence", f"not told which is needed; see {page}")]
    # A licence's document is named by the licence, which the account lists.
    lacking = [href for href in needed if not any(name in href for name in accepted)]
    if lacking and accepted:
        return [key_there, Finding(NOTE, "  licence", f"others are accepted; whether this one is, see {page}")]
    if lacking:
        remedy = f"Accept the licence at the end of {page}"
        return [key_there, Finding(MISSING, "  licence", "not accepted by this account", remedy)]
    return [key_there, Finding(OK, "  licence", "accepted")]


def _ads_record(url: str, pollutant: Pollutant, first: Month, last: Month) -> Finding:
    """Does the service's record hold the configured months?"""
    wanted = pollutant.request["variable"][0]
    try:
        answer, _ = _get(f"{url}/catalogue/v1/collections/{DATASET}/constraints.json")
        spans = [
            text.split("/")
            for entry in answer.json()
            if wanted in entry.get("variable", [])
            for text in entry.get("date", [])
        ]
        begin, end = min(span[0] for span in spans), max(span[-1] for span in spans)
    except (DeepcamsError, ValueError, KeyError, TypeError, AttributeError):
        return Finding(NOTE, "  record", "its end could not be asked")
    words = f"{begin} to {end}; configured: {first} to {last}"
    # The last month may lack only the next day, and the workflow knows that.
    if f"{first}-01" < begin or f"{last}-{last.days:02d}" > end:
        return Finding(MISSING, "  record", words, "Let cams.first and cams.last stay within the service's record.")
    return Finding(OK, "  record", words)


def _portal(config: dict, offline: bool) -> list[Finding]:
    url = config["services"]["portal"]["url"]
    token = earthdata_token()
    if offline:
        return [_untried("NASA's portal", url)]
    month, collection = geoscf_months(config)[0], config["geoscf"]["collection"]
    day = f"Y{month.year}/M{month.month:02d}/D01"
    version = "v2" if "_glo_" in collection else "v1"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        _, seconds = _get(f"{url}/geos-cf/{version}/ana/{day}/", headers)
    except DeepcamsError as error:
        if getattr(error, "status", None) == 404:
            return [Finding(NOTE, "NASA's portal", f"answers, without the folder of {month}-01: {url}")]
        remedy = f"Put a token of NASA Earthdata into the environment variable {EARTHDATA_TOKEN}."
        return [_failed("NASA's portal", url, error, remedy)]
    return [_answers("NASA's portal", url, seconds)]


def _opendap(config: dict, offline: bool) -> list[Finding]:
    url, collection = config["services"]["opendap"]["url"], config["geoscf"]["collection"]
    folder = "v2/ana" if "_glo_" in collection else "assim"
    return _plain("NASA's OPeNDAP", url, f"{url}/{folder}/{collection}.dds", offline)


def _archive(config: dict, offline: bool) -> list[Finding]:
    services = config["services"]
    url = services["archive"]["url"]
    found = _plain("OpenAQ's archive", url, f"{url}/openaq-data-archive?list-type=2&max-keys=1", offline)
    key, api = openaq_key(), services["api"]["url"]
    if key is None:
        words = f"no key in {OPENAQ_KEY}: providers and grades stay empty"
        problem = access_problem("openaq", "archive", graded=config["validation"]["reference_grade_only"])
        return [*found, Finding(MISSING if problem else NOTE, "OpenAQ's API", words, problem or "")]
    if offline:
        return [*found, Finding(OK, "OpenAQ's API", f"key found in the environment variable {OPENAQ_KEY}")]
    try:
        _get(f"{api}/locations?limit=1&page=1", {"X-API-Key": key})
    except DeepcamsError as error:
        remedy = f"The key in {OPENAQ_KEY} is not accepted; take another, or none."
        return [*found, _failed("OpenAQ's API", api, error, remedy)]
    return [*found, Finding(OK, "OpenAQ's API", f"{api}, key of {OPENAQ_KEY} accepted")]


def _realtime(config: dict, offline: bool) -> list[Finding]:
    url = config["services"]["archive"]["url"]
    return _plain("OpenAQ's fetches", url, f"{url}/openaq-fetches?list-type=2&max-keys=1", offline)


_SERVICES = {"ads": _ads, "portal": _portal, "opendap": _opendap, "archive": _archive, "realtime": _realtime}


def _plain(name: str, url: str, address: str, offline: bool) -> list[Finding]:
    if offline:
        return [_untried(name, url)]
    try:
        _, seconds = _get(address)
    except DeepcamsError as error:
        return [_failed(name, url, error)]
    return [_answers(name, url, seconds)]


def _failed(name: str, url: str, error: DeepcamsError, key_remedy: str = "") -> Finding:
    """What an error of `_get` means. key_remedy : what to do where a key or a login is refused."""
    status = getattr(error, "status", None)
    if status in PASSING:
        return Finding(NOTE, name, f"answered {status}, try again later: {url}")
    return Finding(MISSING, name, url, f"{error} {key_remedy}" if status in _KEYS else str(error))


def _answers(name: str, url: str, seconds: float) -> Finding:
    return Finding(OK, name, f"{url} answers in {seconds:.1f} s")


def _untried(name: str, url: str) -> Finding:
    return Finding(NOTE, name, f"{url}, not tried")


class _Refused(DeepcamsError):
    """The service is there, and says no."""

    def __init__(self, words: str, status: int):
        super().__init__(words)
        self.status = status


def _get(url: str, headers: dict[str, str] | None = None) -> tuple[requests.Response, float]:
    """An answer and the seconds it took. Raises _Refused, or DeepcamsError if there is no answer."""
    host, began, fault = urlsplit(url).netloc, time.monotonic(), ""
    try:
        with Session(private=tuple(headers or ()), patience=3 * _TIMEOUT[1]) as session:
            response = session.get(url, headers=headers, timeout=_TIMEOUT)
    except requests.exceptions.Timeout:
        fault = f"did not answer within {_TIMEOUT[1]:g} s"
    except requests.exceptions.RequestException as error:
        fault = "refused the connection" if "refused" in str(error) else "cannot be reached"
    if fault:
        raise DeepcamsError(f"{host} {fault}. Check the address and this machine's way to the internet.")
    if "urs.earthdata" in urlsplit(response.url).netloc:
        raise _Refused(f"{host} wants a login.", 401)
    if response.status_code >= 400:
        raise _Refused(hide(f"{host} answered {response.status_code}."), response.status_code)
    return response, time.monotonic() - began
