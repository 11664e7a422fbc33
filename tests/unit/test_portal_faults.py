"""What can go wrong between NASA's portal and the disk, each as its own case.

Every fault ends in the right data after a bounded number of requests, or in one clear sentence; nothing half-made has
a final name, and a rerun asks only for what is missing.
"""

import errno
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid
from deepcams.pollutants import PM25
from deepcams.sources.geoscf import read_hour, read_month, survey_month
from deepcams.sources.geoscf_names import HOURLY_MEANS, portal_path, portal_paths
from deepcams.sources.services import hours as module
from deepcams.sources.services import http
from deepcams.sources.services.http import LoginNeeded, NotThere, ServiceError
from deepcams.sources.services.portal import FETCHES, fetch_month
from tests.standins.portal import Portal, services
from tests.standins.server import Answer
from tests.unit.test_geoscf import BOX, HOURS, MONTH, concentrations, hour, write, write_month
from tests.unit.test_portal import begun

NAMES = ("PM25_RH35_GCC",)
WANTED = 30  # the hour that the faults happen to
LOGIN = b"<!DOCTYPE html><html><title>Earthdata Login</title></html>"
HTML = {"Content-Type": "text/html"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_month(tmp_path_factory.mktemp("portal"), count=HOURS + 1)


@pytest.fixture
def parts(whole, tmp_path):
    """A folder that lacks one hour."""
    begun(whole, tmp_path / "parts", (WANTED,))
    return tmp_path / "parts"


@pytest.fixture
def portal(whole):
    with Portal(whole) as server:
        yield server


def fetch(portal, parts, max_missing=0.0, **changes):
    return fetch_month(MONTH, HOURLY_MEANS, PM25, None, parts, services(portal.root, **changes), max_missing)


def require_right(parts, number=WANTED, expected=None):
    """The hour is there, whole and right, and nothing else is."""
    paths = [parts / path for path in portal_paths(hour(number), HOURLY_MEANS)]
    found = [path for path in paths if path.exists()]
    assert len(found) == 1
    expected = concentrations(number=number % 24) if expected is None else expected
    np.testing.assert_array_equal(read_hour(found[0], NAMES, PM25)[0], expected)
    require_tidy(parts)


def require_tidy(parts):
    """Every file has a final name; those of data are as many as read well."""
    assert not (parts / "incoming").exists()
    assert {path.suffix for path in parts.rglob("*") if path.is_file()} <= {".nc4", ".json"}
    assert not [path for path in parts.rglob(".*") if path.is_file()]


def require_words(error, *words):
    """A message for people: one line, no trace of Python or of temporary files."""
    text = str(error)
    assert len(text) < 600 and "\n" not in text and "incoming" not in text and "Error(" not in text
    for word in words:
        assert word in text, text


def data(answer, **changes):
    return Answer(**{"status": 200, "body": answer.body, "headers": answer.headers, "ranges": True, **changes})


def flipped(answer):
    """One bit of the compressed field is another one."""
    if answer.status != 200:
        return answer
    body = bytearray(answer.body)
    with h5py.File(io.BytesIO(answer.body)) as file:
        place = file[NAMES[0]].id.get_chunk_info(0)
    body[place.byte_offset + place.size // 2] ^= 0x10
    return data(answer, body=bytes(body))


PASSING = {
    "408": lambda a: Answer(408),
    "429 without Retry-After": lambda a: Answer(429),
    "429 with Retry-After": lambda a: Answer(429, headers={"Retry-After": "0"}),
    "500": lambda a: Answer(500, b"<html>oops</html>", HTML),
    "502": lambda a: Answer(502),
    "503": lambda a: Answer(503),
    "504": lambda a: Answer(504),
    "timed out": lambda a: data(a, delay=1.0),
    "cut": lambda a: data(a, cut=len(a.body) // 2),
    "cut at once": lambda a: data(a, cut=0),
    "cut without ranges": lambda a: data(a, cut=len(a.body) // 2, ranges=False),
    "longer than it says": lambda a: data(a, length=len(a.body) - 100),
    "shorter than it says": lambda a: data(a, length=len(a.body) + 100),
    "right length, wrong bytes": flipped,
    "truncated, length agrees": lambda a: data(a, body=a.body[: len(a.body) // 2]),
    "empty": lambda a: data(a, body=b""),
    "text": lambda a: data(a, body=b'{"error": "busy"}'),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_one_more_request(portal, parts, fault):
    portal.fail("0630z", PASSING[fault], times=1)
    fetch(portal, parts, timeout=0.5)
    # All the bytes came of what is shorter than it says: that there are no more is known after asking for them.
    assert len(portal.requests) == (3 if fault == "shorter than it says" else 2)
    require_right(parts)


def test_a_cut_transfer_is_continued_and_not_begun_again(portal, parts):
    """Of a file of a usual size; HDF5 does not mind what comes after its end."""
    portal.fail("0630z", lambda a: data(a, body=a.body + bytes(800_000), cut=600_000), times=1)
    portal.fail("0630z", lambda a: data(a, body=a.body + bytes(800_000)))
    fetch(portal, parts)
    assert portal.requests[1].headers["Range"] == "bytes=600000-"
    require_right(parts)


def test_the_wait_that_the_portal_asks_for_is_kept(portal, parts):
    portal.fail("0630z", Answer(429, headers={"Retry-After": "0.4"}), times=1)
    fetch(portal, parts)
    first, second = (request.time for request in portal.requests)
    assert second - first >= 0.4


def test_a_wait_beyond_patience_ends_the_job_in_words(portal, parts):
    portal.fail("0630z", Answer(429, headers={"Retry-After": "4000"}), times=1)
    with pytest.raises(ServiceError, match="asks to wait 4000 s") as caught:
        fetch(portal, parts)
    require_words(caught.value, "goes on where it stopped")
    require_tidy(parts)


LASTING = {
    "401": (Answer(401), ServiceError, 1, ("401", "EARTHDATA_TOKEN")),
    "403": (Answer(403), ServiceError, 1, ("403", "urs.earthdata.nasa.gov")),
    "410": (Answer(410), ServiceError, 1, ("410", "retired")),
    "408": (Answer(408), ServiceError, 3, ("408", "3 times")),
    "429": (Answer(429), ServiceError, 3, ("429", "3 times")),
    "500": (Answer(500), ServiceError, 3, ("500", "Try again later")),
    "503": (Answer(503, b"maintenance", {"Content-Type": "text/plain"}), ServiceError, 3, ("503", "maintenance")),
    "timed out": (lambda a: data(a, delay=0.7), ServiceError, 3, ("did not answer within 0.2 s",)),
    "cut": (PASSING["cut without ranges"], ServiceError, 3, ("cut the connection", "3 times")),
    "wrong length": (PASSING["shorter than it says"], ServiceError, 3, ("3 times",)),
    "HTML for data": (Answer(200, LOGIN, HTML), LoginNeeded, 1, ("login needed", "EARTHDATA_TOKEN")),
    "HTML called data": (Answer(200, LOGIN), LoginNeeded, 1, ("login needed",)),
    "wrong bytes": (flipped, ServiceError, FETCHES, ("damaged", f"each of {FETCHES} times")),
}


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_stays_is_told_after_bounded_tries_and_a_rerun_mends_it(portal, parts, fault):
    answer, kind, requests, words = LASTING[fault]
    portal.fail("0630z", answer)
    before = {path: path.stat().st_mtime_ns for path in parts.rglob("*.nc4")}
    with pytest.raises(kind) as caught:
        fetch(portal, parts, timeout=0.2 if fault == "timed out" else 5.0)
    require_words(caught.value, *words)
    assert len(portal.asked("/ana/")) == requests
    assert {path: path.stat().st_mtime_ns for path in parts.rglob("*.nc4")} == before
    require_tidy(parts)
    portal.faults.clear()
    portal.requests.clear()
    fetch(portal, parts)
    assert portal.hours() == ["20180202_0630"]
    require_right(parts)


def test_a_redirect_to_a_login_page_is_login_needed(portal, parts):
    portal.fail("0630z", Answer(302, headers={"Location": "/oauth/login"}))
    portal.fail("/oauth/login", Answer(200, LOGIN, HTML))
    with pytest.raises(LoginNeeded, match="login needed") as caught:
        fetch(portal, parts)
    require_words(caught.value, "EARTHDATA_TOKEN")
    assert len(portal.requests) == 2


def test_redirects_without_end_are_told(portal, parts):
    portal.fail("0630z", lambda a: Answer(302, headers={"Location": portal.requests[0].path}))
    with pytest.raises(ServiceError, match="Check the address") as caught:
        fetch(portal, parts)
    require_words(caught.value)


def test_nobody_listens(parts):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/datashare/gmao"
    with pytest.raises(ServiceError, match="refused the connection, 3 times") as caught:
        fetch_month(MONTH, HOURLY_MEANS, PM25, None, parts, services(url), 0.0)
    require_words(caught.value, "0630z")
    require_tidy(parts)


def bad(folder, **options):
    """A file of the wanted hour that is wrong as `options` say."""
    options = {"times": hour(WANTED), "values": concentrations(), **options}
    return write(folder / "bad.nc4", options.pop("times"), options.pop("values"), **options).read_bytes()


COARSE = Grid(30 - 0.75 * np.arange(5), 90 + 0.75 * np.arange(7), 0.75)
WRONG = {
    "variable": ({"name": "PM25_RH35_GOCART"}, "holds no variable PM25_RH35_GCC; it holds PM25_RH35_GOCART"),
    "version": ({"name": "PM25_RH35"}, "holds no variable PM25_RH35_GCC"),
    "no units": ({"units": None}, "has no `units` attribute"),
    "other units": ({"units": "mol mol-1"}, "is in units of 'mol mol-1'"),
    "units and numbers disagree": ({"values": concentrations() * 1e-9}, "the units cannot be 'ug m-3'"),
    "grid": ({"grid": COARSE, "values": concentrations(COARSE)}, "a step of 0.75° where 0.25°"),
    "time": ({"times": hour(WANTED + 1)}, "the file's name says 2018-02-02 06:30"),
    "duplicated hour": (
        {"times": np.array([hour(WANTED)] * 2), "values": np.stack([concentrations()] * 2)},
        "is there more than once",
    ),
    "several hours": (
        {"times": hour(WANTED) + np.arange(2) * HOUR, "values": np.stack([concentrations()] * 2)},
        "holds 2 hours where its name says one",
    ),
    "all zero": ({"values": np.zeros(BOX.shape)}, "has the same value everywhere"),
    "constant": ({"values": np.full(BOX.shape, 7.0)}, "has the same value everywhere"),
    "zero but for packing noise": ({"values": concentrations() * 1e-12}, "the units cannot be"),
}


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("lasts", [False, True])
def test_a_file_that_is_not_what_it_should_be_is_fetched_again(portal, parts, tmp_path, fault, lasts):
    options, words = WRONG[fault]
    portal.fail("0630z", Answer(200, bad(tmp_path / "bad", **options)), times=FETCHES if lasts else 1)
    if not lasts:
        fetch(portal, parts)
        assert len(portal.requests) == 2
        require_right(parts)
        return
    with pytest.raises(ServiceError) as caught:
        fetch(portal, parts)
    require_words(caught.value, words, portal.root, f"each of {FETCHES} times", "2018-02-02 06:30")
    assert len(portal.asked("/ana/")) == FETCHES and len(portal.asked("/das/")) == 1
    assert not (parts / portal_path(hour(WANTED), HOURLY_MEANS)).exists()
    require_tidy(parts)
    fetch(portal, parts)
    require_right(parts)


def test_the_other_tree_helps_where_the_first_one_is_damaged(whole, parts, tmp_path):
    portal_folder = tmp_path / "portal"
    good = portal_folder / portal_path(hour(WANTED), HOURLY_MEANS, "das")
    good.parent.mkdir(parents=True)
    good.write_bytes((whole / portal_path(hour(WANTED), HOURLY_MEANS)).read_bytes())
    wrong = portal_folder / portal_path(hour(WANTED), HOURLY_MEANS)
    write(wrong, hour(WANTED), np.zeros(BOX.shape))
    with Portal(portal_folder) as portal:
        fetch(portal, parts)
        assert len(portal.requests) == FETCHES + 1
    require_right(parts)


def test_fill_values_without_their_attribute_become_gaps(portal, parts, tmp_path):
    values = concentrations()
    values[2:4, 5:7] = 1e15
    portal.fail("0630z", Answer(200, bad(tmp_path / "bad", values=values, fill=None)))
    fetch(portal, parts)
    require_right(parts, expected=np.where(values > 1e14, np.nan, values))


def test_an_hour_of_nothing_but_fill_values_counts_as_missing(portal, parts, tmp_path):
    portal.fail("0630z", Answer(200, bad(tmp_path / "bad", values=np.full(BOX.shape, 1e15))))
    root = fetch(portal, parts)
    files = survey_month(root, MONTH, HOURLY_MEANS, 1 / HOURS)
    list(read_month(files))
    assert files.missing == [hour(WANTED)]


@pytest.mark.parametrize("allowed", [0.0, 3 / HOURS])
def test_hours_that_nobody_has(whole, tmp_path, allowed):
    begun(whole, tmp_path / "parts", range(40, 46))
    with Portal(whole) as portal:
        portal.fail("20180202_(16|17|18)30z", Answer(404))
        if allowed:
            fetch(portal, tmp_path / "parts", allowed)
        else:
            with pytest.raises(NotThere) as caught:
                fetch(portal, tmp_path / "parts", allowed)
            require_words(caught.value, "lacks 3 of 672 hours", "2018-02-02 17:30", "only these hours are asked for")
        require_tidy(tmp_path / "parts")
        for number in (43, 44, 45):  # the others were fetched all the same
            require_right(tmp_path / "parts", number)
        assert len(portal.requests) == 3 * 2 + 3
        portal.requests.clear()
        portal.faults.clear()
        fetch(portal, tmp_path / "parts")
        assert len(portal.requests) == 3


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_disk_is_full_while_a_file_arrives(portal, parts, monkeypatch):
    class Full:
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda *_: None  # noqa: E731
        write = no_space

    monkeypatch.setattr(http, "open", lambda *_: Full(), raising=False)
    with pytest.raises(DeepcamsError, match="The disk is full") as caught:
        fetch(portal, parts)
    assert "free some space" in str(caught.value) and len(portal.requests) == 1
    require_tidy(parts)
    monkeypatch.undo()
    fetch(portal, parts)
    require_right(parts)


@pytest.mark.parametrize("place", ["flush", "write"])
def test_the_disk_is_full_while_an_hour_is_kept(portal, parts, monkeypatch, place):
    if place == "flush":
        monkeypatch.setattr("deepcams.files.atomic.flush", no_space)
    else:
        monkeypatch.setattr(module, "open", no_space, raising=False)
    with pytest.raises(DeepcamsError, match="The disk is full") as caught:
        fetch(portal, parts)
    require_words(caught.value, "free some space")
    assert len(portal.requests) == 1  # fetching again would not help
    require_tidy(parts)
    monkeypatch.undo()
    fetch(portal, parts)
    require_right(parts)


KILLED = """
import sys
from deepcams.calendar import Month
from deepcams.pollutants import PM25
from deepcams.sources.services.portal import fetch_month
from tests.standins.portal import services
fetch_month(Month(2018, 2), {collection!r}, PM25, None, {parts!r}, services({root!r}), 0.0)
"""


def test_a_job_that_is_killed_leaves_whole_hours_and_a_rerun_the_rest(whole, tmp_path):
    parts = tmp_path / "parts"
    stamps = begun(whole, parts, range(60))
    with Portal(whole) as portal:
        portal.fail("", lambda answer: data(answer, delay=0.03))
        code = KILLED.format(collection=HOURLY_MEANS, parts=str(parts), root=portal.root)
        root = Path(__file__).parents[2]
        with subprocess.Popen([sys.executable, "-c", code], cwd=root, stderr=subprocess.DEVNULL) as job:
            deadline = time.monotonic() + 60
            while len(portal.requests) < 25 and time.monotonic() < deadline:
                time.sleep(0.005)
            job.send_signal(signal.SIGKILL)
        assert job.returncode == -signal.SIGKILL
        there = {s for s in stamps if (parts / portal_path(_time(s), HOURLY_MEANS)).exists()}
        assert 5 <= len(there) < 60
        for stamp in there:  # whatever has a final name is whole
            read_hour(parts / portal_path(_time(stamp), HOURLY_MEANS), NAMES, PM25)
        portal.faults.clear()
        portal.requests.clear()
        fetch(portal, parts)
        assert set(portal.hours()) == set(stamps) - there and len(portal.requests) == len(stamps) - len(there)
    frames = [frame for _, frame in read_month(survey_month(parts, MONTH, HOURLY_MEANS, 0.0))]
    for number in range(60):
        np.testing.assert_array_equal(frames[number], concentrations(number=number % 24))
    assert not (parts / "incoming").exists()


def _time(stamp):
    return np.datetime64(f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:]}:00", "s")


def test_after_the_first_hour_that_fails_no_more_are_asked_for(whole, tmp_path):
    """Nobody wants to wait for 600 hours of tries when the service is down."""
    begun(whole, tmp_path / "parts", range(200))
    with Portal(whole) as portal:
        portal.fail("", Answer(503))
        with pytest.raises(ServiceError, match="503"):
            fetch(portal, tmp_path / "parts")
        assert len(portal.requests) <= 4 * 3 + 12
    require_tidy(tmp_path / "parts")
    assert os.listdir(tmp_path / "parts")  # what was there stays


def test_a_refusal_does_not_wait_for_the_pauses_of_other_hours(whole, tmp_path):
    """Three threads are in pauses of most of a minute when the fourth is refused for good."""
    begun(whole, tmp_path / "parts", range(4))
    with Portal(whole) as portal:
        portal.fail("0330z", Answer(401, delay=0.5))
        portal.fail("", Answer(503))
        ended = []

        def run():
            with pytest.raises(ServiceError, match="401"):
                fetch(portal, tmp_path / "parts", wait=50.0)
            ended.append(True)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(20)
        assert ended
    require_tidy(tmp_path / "parts")
