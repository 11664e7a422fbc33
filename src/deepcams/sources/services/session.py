"""A session of requests that keeps secrets at their host, and waits for no answer for ever."""

import time
from collections.abc import Iterator

import requests
import urllib3

_BLOCK = 1 << 18  # bytes
_MOST = 512 << 20  # bytes of an answer that is held in memory


class TooSlow(requests.exceptions.ReadTimeout):
    """Bytes come, one now and then: no time-out ends that."""


class Session(requests.Session):
    """Sends tokens and the headers named `private` to the service alone, not to where it redirects.

    requests itself does so for Authorization, but then looks into ~/.netrc, which is nobody's business here.
    patience : seconds until an answer that is not streamed has to be whole; else TooSlow is raised.
    """

    def __init__(self, token: str | None = None, private: tuple[str, ...] = (), patience: float = 3600.0):
        super().__init__()
        self.auth = _Bearer(token)
        self.patience = patience
        self._private = ("Authorization", *private)
        self.hooks["response"].append(self._read)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Called for every redirection."""
        if self.should_strip_auth(response.request.url, prepared_request.url):
            for name in self._private:
                prepared_request.headers.pop(name, None)

    def _read(self, response: requests.Response, stream: bool = False, **_: object) -> None:
        """Called for every answer before requests reads it, which would wait as long as bytes come."""
        if stream and response.status_code < 300:
            return
        content = bytearray()
        if response.is_redirect:
            response.raw.close()  # nobody reads what comes with it
        try:
            for piece in pieces_of(response, self.patience) if not response.is_redirect else ():
                content += piece
                if len(content) > _MOST:
                    raise requests.exceptions.RequestException(f"the answer is larger than {_MOST >> 20} MiB")
        except requests.exceptions.RequestException:
            response.close()
            raise
        response._content, response._content_consumed = bytes(content), True  # where requests itself keeps them


def pieces_of(response: requests.Response, seconds: float) -> Iterator[bytes]:
    """The bytes of an answer as they come. Raises TooSlow after `seconds`, and requests' own errors for cut ones."""
    until = time.monotonic() + seconds
    try:
        while piece := response.raw.read1(_BLOCK, decode_content=True):
            yield piece
            if time.monotonic() > until:
                raise TooSlow(f"has not sent all of its answer after {seconds:.3g} s")
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout(error) from error
    except urllib3.exceptions.SSLError as error:
        raise requests.exceptions.SSLError(error) from error
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except urllib3.exceptions.ProtocolError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str | None):
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request
