"""A stand-in for osv.dev: knows the advisories that a test plants."""

import json
from contextlib import AbstractContextManager

from tests.standins.server import Answer, Request, Server


class Advisories(AbstractContextManager):
    """Answers queries as OSV does. planted : (package, version) → identifier of its advisory."""

    def __init__(self, planted: dict[tuple[str, str], str]):
        self.planted = planted
        self.asked: list[tuple[str, str]] = []
        self.server = Server(self._answer)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)

    @property
    def url(self) -> str:
        return f"{self.server.url}/v1/query"

    def _answer(self, request: Request) -> Answer:
        query = json.loads(request.body)
        assert (request.method, request.path, query["package"]["ecosystem"]) == ("POST", "/v1/query", "PyPI")
        package = (query["package"]["name"], query["version"])
        self.asked.append(package)
        found = {}
        if package in self.planted:
            affected = {"package": query["package"], "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "99"}]}]}
            found["vulns"] = [{"id": self.planted[package], "summary": "Planted.", "affected": [affected]}]
        return Answer(body=json.dumps(found).encode())
