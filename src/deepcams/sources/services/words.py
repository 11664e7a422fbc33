"""What services say, and what happened on the way to them, in words for people."""

import email.utils
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests

from deepcams.sources.checks import parsed
from deepcams.sources.services.session import TooSlow

_LONGEST_WORDS = 300  # characters of a server's own words that are shown


def is_html(response: requests.Response) -> bool:
    """Whether the server calls its answer a page."""
    return response.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml"))


def said(response: requests.Response) -> str:
    """What a server says about its refusal, as ": words"; empty where it is a page or nothing."""
    if is_html(response):
        return ""
    content = response.content[:20_000].decode("utf-8", "replace").strip()
    try:
        document = parsed(content)
    except ValueError:
        document = content if "<" not in content else ""
    if isinstance(document, dict):
        named = [document.get(name) for name in ("title", "detail", "message", "error")]
        document = "; ".join(str(item) for item in named if item)
    text = " ".join(str(document).split())[:_LONGEST_WORDS]
    return f": {text.rstrip('.')}" if text else ""


def fault(error: Exception, timeout: float) -> str:
    """Why nothing whole came, as words that follow the service's name."""
    if isinstance(error, TooSlow):
        return str(error)
    if isinstance(error, requests.exceptions.Timeout):
        return f"did not answer within {timeout:g} s"
    text = str(error)
    if "refused" in text:
        return "refused the connection"
    if "resolve" in text or "Name or service" in text:
        return "was not found by its name (is this machine on the internet?)"
    if isinstance(error, requests.exceptions.SSLError):
        return f"has a certificate that is not accepted ({text[-120:]})"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "aborted" in text or "reset" in text:
        return "cut the connection"
    return f"could not be reached ({type(error).__name__})"


def asked_wait(response: requests.Response) -> float | None:
    """Seconds that the server wants to be left alone: Retry-After (RFC 9110, both forms) or OpenAQ's reset."""
    text = response.headers.get("Retry-After") or response.headers.get("x-ratelimit-reset")
    found = seconds(text)
    if found is None and text:
        try:
            until = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return found


def seconds(text: str | None) -> float | None:
    """A header's number of seconds, not below 0; None for anything else."""
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None


def shown(url: str) -> str:
    """An address without user names, passwords and queries."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def times(number: int) -> str:
    """How often in a row."""
    return "once" if number == 1 else f"{number} times in a row"
