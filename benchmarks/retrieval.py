"""(j) Fetching: many small objects from a bucket that takes its time, beside plain `requests`, one after another."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from benchmarks.timing import ROOT, Row, in_process, seconds
from deepcams.calendar import Month
from tests.standins.openaq import day_key

if TYPE_CHECKING:  # it brings torch, which would count as memory of the process that fetches
    from benchmarks.fields import Inputs

MONTH = Month(2018, 2)
DAYS = ["2018-01-31", *(f"{MONTH}-{day:02d}" for day in range(1, 29)), "2018-03-01"]
LATENCY = 0.05  # seconds before a request is answered
CONNECTIONS = 64  # as configured by default
ONE_BY_ONE = 500  # objects for the peer


def retrieval(inputs: "Inputs", folder: Path, quick: bool) -> Iterator[Row]:
    """A month of 667 stations, 20,010 objects, and a tenth of it: is the memory bounded?"""
    stations = (20, 67) if quick else (67, 667)
    with slow_bucket(max(stations)) as url:
        found = {}
        for count in stations:
            order = {"folder": str(folder / f"{count}"), "url": url, "count": count}
            found[count] = in_process(fetch, **order)
        session, keys = requests.Session(), [day_key(number, day) for number in range(1, 51) for day in DAYS]
        keys = keys[: 50 if quick else ONE_BY_ONE]
        peer = len(keys) / seconds(lambda: [session.get(f"{url}/{key}").raise_for_status() for key in keys])
        session.close()
    few, many = (found[count] for count in stations)
    objects = stations[1] * len(DAYS)
    ours = objects / many["result"]["seconds"]
    yield Row(
        f"{objects} small objects fetched, {1000 * LATENCY:.0f} ms a request",
        f"{ours:.0f} objects/s",
        f"requests, one after another, {peer:.1f} objects/s ({len(keys)} of them)",
        [ours / peer],
        "≥ 10",
        f"{CONNECTIONS} connections, with listings, checks, reduction and writing; peak memory "
        f"{many['peak_mb']:.0f} MB (of a tenth of the objects: {few['peak_mb']:.0f} MB)",
        {"seconds": many["result"]["seconds"], "peak_mb": [few["peak_mb"], many["peak_mb"]], "peer_per_s": peer},
    )


def fetch(folder: str, url: str, count: int) -> dict:
    """Fetch the month of the first `count` stations; in a process of its own."""
    from deepcams.pollutants import PM25
    from deepcams.sources.services import archive, openaq_api

    stations = [{"id": number} for number in range(1, count + 1)]
    openaq_api.fetch_locations = lambda *_: stations
    archive.openaq_key = lambda: "a key"
    services = {"tries": 5, "wait": 1.0, "timeout": 60.0, "archive": {"url": url, "connections": CONNECTIONS}}
    took = seconds(lambda: archive.fetch_month(MONTH, PM25, None, folder, services))
    return {"seconds": took}


@contextmanager
def slow_bucket(stations: int) -> Iterator[str]:
    """The stand-in in a process of its own; yields its address."""
    command = [sys.executable, "-m", "tests.standins.openaq", str(stations), ",".join(DAYS), str(LATENCY)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
