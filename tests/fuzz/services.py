"""Answers of services, over HTTP on loopback where a whole client is asked, else as bytes."""

import json
import os
import shutil
import struct
from functools import cache
from pathlib import Path

import numpy as np

from deepcams.calendar import Month
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.pollutants import PM25
from deepcams.sources.services import ads, openaq_api
from deepcams.sources.services.http import Again, ServiceError
from deepcams.sources.services.opendap import _frames, _look
from tests.fuzz.bombs import texts
from tests.fuzz.mutations import damaged, in_json
from tests.fuzz.reader import Reader
from tests.standins.ads import KEY, Ads
from tests.standins.eac4 import delivery
from tests.standins.server import Answer, Server
from tests.unit.test_openaq_api import station

GRID = refine(coarse_grid(Region(30.0, 90.0, 28.5, 91.5)))
_MONTH = Month(2019, 12)
_QUICK = {"tries": 1, "wait": 0.001, "timeout": 5.0, "patience": 4.0}
_PLACES = ("/processes/[^/]+$", "/execution$", "/jobs/[^/]+$", "/results$")


def _api(_) -> list[bytes]:
    return [json.dumps({"meta": {"found": 2}, "results": [station(1), station(2)]}).encode()]


def _read_api(path: Path, _) -> None:
    """Every answer of OpenAQ's API is the hostile one, the stations' list and their sensors alike."""
    content = path.read_bytes()
    server = _running(os.getpid(), "api")
    server.answer = lambda request: Answer(200, content, {"Content-Type": "application/json"})
    openaq_api.fetch_locations(PM25, None, "key", _QUICK | {"api": {"url": f"{server.url}/v3"}})


def _ads(_) -> list[bytes]:
    return [json.dumps({"place": place, "case": None}).encode() for place in range(len(_PLACES))]


def in_answer(content: bytes, random: np.random.Generator, _) -> bytes:
    """Which answer of the service will be hostile, and the number that says how."""
    return json.dumps(json.loads(content) | {"case": int(random.integers(2**32))}).encode()


def _read_ads(path: Path, _) -> None:
    """One of the answers in a request's life is hostile; everything else is as it should be."""
    os.environ["ADSAPI_KEY"] = KEY
    chosen = json.loads(path.read_bytes())
    server = _running(os.getpid(), "ads")

    def hostile(answer: Answer) -> Answer:
        random = np.random.default_rng(chosen["case"])
        way = in_json if random.random() < 0.7 else damaged
        return Answer(answer.status, way(answer.body, random, [answer.body]), answer.headers)

    server.faults.clear()
    if chosen["case"] is not None:
        server.fail(_PLACES[chosen["place"]], hostile, times=1)
    shutil.rmtree(path.parent / "ads", ignore_errors=True)
    ads.fetch_month(_MONTH, PM25, path.parent / "ads", _QUICK | {"ads": {"url": server.api}})


@cache
def _running(process: int, name: str) -> Server:
    """A server of this process: threads do not survive a fork."""
    server = Ads({str(_MONTH): delivery(_MONTH)}) if name == "ads" else Server(lambda request: Answer(404))
    return server.__enter__()


class _Guest:
    """Stands for a server: the answers by the end of what is asked for."""

    def __init__(self, answers: list[bytes]):
        self._answers = answers

    def read(self, url: str, understand):
        kinds = (".dds" in url, ".das" in url, "?time" in url, True)
        try:
            return understand(self._answers[kinds.index(True)])
        except Again as error:
            raise ServiceError(f"{url}: the server {error}.") from error


_NAME = PM25.geoscf_v1[0]


def _dap(_) -> list[bytes]:
    """The description, the attributes, the axes and a day of a data set."""
    shape = (24, *GRID.shape)
    axes = {"time": np.arange(24) / 24 + 736696 + 0.5 / 24, "lat": GRID.latitude[::-1], "lon": GRID.longitude}
    declared = "".join(f"    Float64 {name}[{name} = {len(values)}];\n" for name, values in axes.items())
    field = f"    Float32 {_NAME}[time = {shape[0]}][lat = {shape[1]}][lon = {shape[2]}];\n"
    about = (
        'Attributes {\n    time {\n        String units "days since 1-1-1 00:00:0.0";\n    }\n'
        f'    {_NAME} {{\n        Float32 _FillValue 1.0e15;\n        String units "ug m-3";\n    }}\n}}\n'
    )
    sent = b"".join(struct.pack(">II", len(v), len(v)) + v.astype(">f8").tobytes() for v in axes.values())
    values = 5 + np.arange(np.prod(shape)).reshape(shape) / 1000
    day = struct.pack(">II", values.size, values.size) + values.astype(">f4").tobytes()
    return [
        f"Dataset {{\n{declared}{field}}} x;\n".encode(),
        about.encode(),
        f"Dataset {{\n{declared}}} x;\n\nData:\n".encode() + sent,
        f"Dataset {{\n{field}}} x;\n\nData:\n".encode() + day,
    ]


def _read_dap(path: Path, which: int) -> None:
    answers = _dap(path)
    answers[which] = path.read_bytes()
    guest = _Guest(answers)
    there = _look(guest, "http://server/x", (_NAME,), PM25, GRID)
    _frames(guest, "http://server/x", there, PM25, there.times)


READERS = {
    "OpenAQ, API": Reader(_api, _read_api, (damaged, in_json, in_json), texts, told=("OpenAQ", "127.0.0.1")),
    "Atmosphere Data Store": Reader(_ads, _read_ads, (in_answer,), told=("Atmosphere Data Store", "127.0.0.1")),
    "OPeNDAP": Reader(_dap, _read_dap, bombs=texts, told=("http://server/x",)),
}
