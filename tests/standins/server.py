"""A small HTTP server on loopback that can misbehave on request; the stand-ins of the services are built on it."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    time: float


@dataclass
class Answer:
    """What is sent. cut : close the connection after so many bytes of the body.  length : a Content-Length that is
    sent instead of the body's own; 0 none at all.  delay : seconds before anything is sent.  drip : seconds before each
    byte of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    length: int | None = None
    delay: float = 0.0
    drip: float = 0.0
    ranges: bool = False


@dataclass
class Fault:
    """An answer in place of the right one: for paths that match, the first `times` of them, after `skip` good ones.

    answer : what is sent, or what makes it out of the right answer.
    """

    pattern: str
    answer: Answer | Callable[[Answer], Answer]
    times: float = float("inf")
    skip: int = 0
    method: str | None = None


class Server:
    """Serves `answer(request)`; keeps all requests, in their order; a context manager."""

    def __init__(self, answer: Callable[[Request], Answer]):
        self.answer = answer
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Listening(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def asked(self, pattern: str = "", method: str | None = None) -> list[Request]:
        """The requests so far whose path and query match."""
        return [r for r in self.requests if re.search(pattern, r.path) and method in (None, r.method)]

    def fail(self, pattern: str, answer: Answer | Callable[[Answer], Answer], times: float = float("inf"), **options):
        self.faults.append(Fault(pattern, answer, times, **options))

    def _respond(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fault = self._due(request)
        try:
            if fault and not callable(fault.answer):
                answer = fault.answer
            else:
                answer = self.answer(request)
                if fault:
                    answer = fault.answer(answer)
            time.sleep(answer.delay)
            return answer
        finally:
            with self._lock:
                self._at_once -= 1

    def _due(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if not re.search(fault.pattern, request.path) or fault.method not in (None, request.method):
                continue
            if fault.skip:
                fault.skip -= 1
            elif fault.times > 0:
                fault.times -= 1
                return fault
        return None


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass  # clients that are killed in the middle of a transfer belong to the tests


def _handler(server: Server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits 40 ms for the client's acknowledgement

        def log_message(self, *_):
            pass

        def _serve(self):
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(
                self.command,
                parts.path,
                parse_qs(parts.query, keep_blank_values=True),
                dict(self.headers),
                body,
                time.monotonic(),
            )
            answer = server._respond(request)
            content, status, headers = answer.body, answer.status, dict(answer.headers)
            if answer.ranges:
                headers["Accept-Ranges"] = "bytes"
                wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                if wanted and status == 200:
                    start = int(wanted.group(1))
                    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    content, status = content[start:], 206
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            length = len(content) if answer.length is None else answer.length
            if length or not content:
                self.send_header("Content-Length", str(length))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if answer.drip:
                self._drip(content, answer.drip)
            elif self.command != "HEAD":
                self.wfile.write(content if answer.cut is None else content[: answer.cut])
            if answer.cut is not None or (answer.length is not None and answer.length != len(content)):
                self.close_connection = True

        def _drip(self, content, seconds):
            self.close_connection = True
            for byte in content:
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    return  # the client has had enough
                time.sleep(seconds)

        do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = _serve

    return Handler
