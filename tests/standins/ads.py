"""A stand-in for the Atmosphere Data Store: the protocol that its own client speaks, on loopback."""

import hashlib
import json
import re
import uuid
from pathlib import Path

from tests.standins.server import Answer, Request, Server

DATASET = "cams-global-reanalysis-eac4"
KEY = "11111111-planted-secret-99999999"
STAMP = "2026-11-20T13:18:36.602"
PROBLEM = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"


class Ads(Server):
    """Serves months from files; keeps jobs and what was asked for.

    files : pattern of paths with {year} and {month}, or {"2018-01": bytes, …}.  polls : states of a job before it is
    successful.  licences : those that the account has accepted; without one, requests are refused.
    checksums : True, as the service tells them of what is stored in one piece; "parts": in several; False: not at all.
    ends : how the next jobs end, as (state, the server's words).  expired : jobs whose results are gone.
    """

    def __init__(self, files, *, key=KEY, polls=("accepted", "running"), record_end="2099-12-31", checksums=True):
        super().__init__(self._answered)
        self.files, self.key, self.polls, self.record_end, self.checksums = files, key, polls, record_end, checksums
        self.licences = ["licence-to-use-copernicus-products"]
        self.jobs: dict[str, dict] = {}
        self.store: dict[str, bytes] = {}
        self.ends: list[tuple[str, str]] = []  # of the next jobs: state and the server's words
        self.expired: set[str] = set()

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    @property
    def posts(self) -> list[dict]:
        """The bodies of all requests that were submitted."""
        return [json.loads(r.body)["inputs"] for r in self.asked("/execution$", "POST")]

    def _answered(self, request: Request) -> Answer:
        path = request.path
        if path.startswith("/store/"):
            return self._object(path)
        token = next((value for name, value in request.headers.items() if name.lower() == "private-token"), None)
        if path == "/api/catalogue/v1/messages":
            return reply(
                {"messages": [{"id": "m1", "date": STAMP, "severity": "info", "content": "News", "live": True}]}
            )
        if path == f"/api/catalogue/v1/collections/{DATASET}/constraints.json":
            variables = ["particulate_matter_2.5um", "particulate_matter_10um"]
            return reply([{"variable": variables, "date": [f"2003-01-01/{self.record_end}"], "time": ["00:00"]}])
        if path == f"/api/catalogue/v1/collections/{DATASET}":
            licence = "licence-to-use-copernicus-products"
            href = f"{self.url}/licences/{licence}/{licence}_b4b9451f54cf.pdf"
            return reply({"id": DATASET, "links": [{"rel": "license", "href": href, "title": "Copernicus"}]})
        if token is None:
            return problem(401, "permission denied", "authentication required")
        if token != self.key:
            return problem(401, "authentication failed", "operation not allowed")
        if path == "/api/profiles/v1/account/verification/pat":
            return reply({"id": 1, "email": "someone@example.org"})
        if path == "/api/profiles/v1/account/licences":
            return reply({"licences": [{"id": name, "revision": 1} for name in self.licences]})
        found = re.fullmatch(r"/api/retrieve/v1/processes/([^/]+)(/execution)?", path)
        if found:
            return self._process(request, found.group(1), bool(found.group(2)))
        found = re.fullmatch(r"/api/retrieve/v1/jobs/([^/]+)(/results)?", path)
        if found:
            return self._job(request, found.group(1), bool(found.group(2)))
        return problem(404, "Not Found", "Not Found")

    def _process(self, request: Request, dataset: str, executes: bool) -> Answer:
        base = f"{self.api}/retrieve/v1/processes/{dataset}"
        if dataset != DATASET:
            return problem(404, "process not found", f"dataset {dataset} not found", f"{PROBLEM}/no-such-process")
        if not executes:
            links = [{"href": base, "rel": "self"}, {"href": f"{base}/execution", "rel": "execute"}]
            return reply({"title": "EAC4", "id": dataset, "version": "1.0.0", "inputs": {}, "links": links})
        if request.method != "POST":
            return problem(405, "Method Not Allowed", "")
        if not self.licences:
            return problem(
                403,
                "required licences not accepted",
                "Not all the required licences have been accepted; please visit "
                f"{self.url}/datasets/{DATASET}?tab=download#manage-licences to accept the required licence(s).",
            )
        inputs = json.loads(request.body)["inputs"]
        wrong = self._wrong(inputs)
        if wrong:
            return problem(400, "invalid request", wrong)
        number = str(uuid.UUID(int=len(self.jobs) + 1))
        state, words = self.ends.pop(0) if self.ends else ("successful", "")
        self.jobs[number] = {"inputs": inputs, "states": [*self.polls, state], "words": words}
        return reply(self._status(number, "accepted", monitor=f"{base}/execution"), 201)

    def _wrong(self, inputs: dict) -> str:
        """What is wrong with a request; the form is exact, as only equal requests share the service's cache."""
        times = [f"{hour:02d}:00" for hour in range(0, 24, 3)]
        if list(inputs) != sorted(inputs) or inputs.get("time") != times or inputs.get("data_format") != "netcdf_zip":
            return "Request is not in its canonical form."
        if not set(inputs) <= {"data_format", "date", "model_level", "time", "variable"}:
            return f"Unexpected keys: {sorted(inputs)}"
        (dates,) = inputs["date"]
        first, last = dates.split("/")
        if last > self.record_end:
            return "Request has not produced a valid combination of values, please check your selection."
        return "" if first.endswith("-01") else "Requests here begin with a month."

    def _status(self, number: str, state: str, monitor: str | None = None) -> dict:
        job = f"{self.api}/retrieve/v1/jobs/{number}"
        links = [{"href": job, "rel": "self"}]
        if monitor:
            links = [{"href": monitor, "rel": "self"}, {"href": job, "rel": "monitor", "title": "job status info"}]
        if state in ("successful", "failed", "rejected"):
            links.append({"href": f"{job}/results", "rel": "results"})
        log = [[STAMP, "The job has started"]] if state != "accepted" else []
        return {
            "processID": DATASET,
            "type": "process",
            "jobID": number,
            "status": state,
            "created": STAMP,
            "updated": STAMP,
            "metadata": {"origin": "api", "datasetMetadata": {"messages": []}, "log": log},
            "links": links,
        }

    def _job(self, request: Request, number: str, results: bool) -> Answer:
        job = self.jobs.get(number)
        if job is None:
            return problem(404, "job not found", f"job {number} not found", f"{PROBLEM}/no-such-job")
        if request.method == "DELETE":
            del self.jobs[number]
            return reply(self._status(number, "dismissed"))
        if not results:
            asks = "log" in request.query
            state = job["states"].pop(0) if asks and len(job["states"]) > 1 else job["states"][0]
            return reply(self._status(number, state))
        state = job["states"][0]
        if state in ("failed", "rejected"):
            return problem(
                400,
                f"The job has {'failed' if state == 'failed' else 'been rejected'}",
                None,
                "job results failed",
                traceback=job["words"],
            )
        if state != "successful":
            return problem(404, "job results not ready", f"job {number} results not yet finished")
        if number in self.expired:
            return problem(404, "results expired", f"results of job {number} expired")
        return self._results(number, job["inputs"])

    def _results(self, number: str, inputs: dict) -> Answer:
        content = self.content(inputs["date"][0][:7])
        self.store[f"{number}.zip"] = content
        asset = {
            "type": "application/zip",
            "href": f"/store/{number}.zip",
            "file:size": len(content),
            "file:local_path": f"s3://cci2-prod-cache/{number}.zip",
        }
        if self.checksums:
            digest = hashlib.md5(content)
            if self.checksums == "parts":  # the MD5 of the parts' MD5s
                digest = hashlib.md5(digest.digest())
            asset["file:checksum"] = f"{int(digest.hexdigest(), 16):x}"  # as the service's own code writes it
        return reply({"asset": {"value": asset}})

    def content(self, month: str) -> bytes:
        """The file of a month, "2018-01"."""
        if isinstance(self.files, dict):
            return self.files[month]
        year, number = month.split("-")
        return Path(str(self.files).format(year=year, month=number)).read_bytes()

    def _object(self, path: str) -> Answer:
        name = path.removeprefix("/store/")
        if name not in self.store:
            return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>", {"Content-Type": "application/xml"})
        return Answer(200, self.store[name], {"Content-Type": "application/zip"}, ranges=True)


def reply(document: object, status: int = 200) -> Answer:
    """A JSON document."""
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def problem(status: int, title: str, detail: str | None, kind: str | None = None, **more: object) -> Answer:
    """A refusal as the service words it."""
    body = {"type": kind or title, "title": title, "status": status, "instance": "http://x", "trace_id": "t"}
    if detail is not None:
        body["detail"] = detail
    answer = reply({**body, **more}, status)
    answer.headers["Content-Type"] = "application/problem+json"
    return answer
