"""What the archive's bucket can do wrong: each ends in the right month or in one sentence, never in half a file."""

import errno
import gzip
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.pollutants import PM25
from deepcams.sources.openaq import retrieve_month
from deepcams.sources.services.archive import fetch_month
from deepcams.sources.services.http import LoginNeeded, NotThere, ServiceError
from tests.standins.openaq import SLOW_DOWN, Buckets, day_file, day_key, s3_error
from tests.standins.server import Answer, Server

MONTH = Month(2018, 2)
DAYS = [f"2018-02-{day:02d}" for day in range(8, 12)]
ONE = "location-5-20180210"
TRIES = 3


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAQ_API_KEY", raising=False)


@pytest.fixture
def server():
    objects = {day_key(number, day): day_file(number, day) for number in (5, 6) for day in DAYS}
    with Server(Buckets(objects).answer) as bucket:
        yield bucket


def services(url: str, **changes) -> dict:
    archive = {"url": url, "connections": 8}
    return {"tries": TRIES, "wait": 0.01, "timeout": 5.0, "patience": 60, "archive": archive} | changes


def changed(**changes):
    return lambda answer: Answer(**(vars(answer) | changes))


def leftovers(folder: Path) -> list[str]:
    """Everything that is not a whole file of a station."""
    wrong = []
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                assert path.name.endswith("2018-02.csv.gz") and gzip.decompress(path.read_bytes())
            except Exception:
                wrong.append(str(path))
    return wrong


def is_one_sentence_or_two(error: DeepcamsError) -> bool:
    text = str(error)
    return "\n" not in text and "Debug" not in text and "Error(" not in text and len(text) < 500 and text.endswith(".")


NOT_FOR_LONG = {
    "408": s3_error(408, "RequestTimeout", "Too slow"),
    "429 with Retry-After": Answer(429, b"slow", {"Retry-After": "0"}),
    "429": Answer(429, b"slow"),
    "500": s3_error(500, "InternalError", "We encountered an internal error."),
    "502": Answer(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"}),
    "503 SlowDown": SLOW_DOWN,
    "504": Answer(504),
    "cut": changed(cut=20),
    "cut at once": changed(cut=0),
    "too short": changed(length=40),
    "too long": changed(length=4000),
    "other bytes": lambda answer: Answer(**(vars(answer) | {"body": answer.body[:-9] + b"X" + answer.body[-8:]})),
    "no length": changed(length=0),
    "nothing in time": changed(delay=0.7),
}


@pytest.mark.parametrize("fault", NOT_FOR_LONG)
def test_a_fault_that_passes_is_got_over(server, tmp_path, fault):
    server.fail(ONE, NOT_FOR_LONG[fault], times=TRIES - 1)
    fetch_month(MONTH, PM25, None, tmp_path, services(server.url, timeout=0.3 if "time" in fault else 5.0))
    assert len(server.asked(ONE)) == TRIES and leftovers(tmp_path) == []
    assert len(retrieve_month("local", MONTH, path=tmp_path)) == 2 * 4 * 24


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("408", "answered 408: Too slow, 3 times in a row"),
        ("429", "answered 429, 3 times"),
        ("500", "answered 500: We encountered an internal error, 3 times"),
        ("502", "answered 502, 3 times"),
        ("503 SlowDown", "answered 503: Please reduce your request rate, 3 times"),
        ("cut", "cut the connection, 3 times"),
        ("too short", "sent other bytes than its checksum is of, 3 times"),
        ("too long", "cut the connection, 3 times"),
        ("other bytes", "sent other bytes than its checksum is of, 3 times"),
        ("no length", "makes no sense"),
        ("nothing in time", "did not answer within 0.3 s, 3 times"),
    ],
)
def test_a_fault_that_stays_ends_in_a_sentence_and_the_rerun_fetches_the_rest(server, tmp_path, fault, words):
    server.fail(ONE, NOT_FOR_LONG[fault])
    with pytest.raises(ServiceError, match=words) as caught:
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url, timeout=0.3 if "time" in fault else 5.0))
    assert is_one_sentence_or_two(caught.value) and ONE in str(caught.value)
    assert len(server.asked(ONE)) == TRIES and leftovers(tmp_path) == []
    assert not list(tmp_path.rglob("location-5-*"))
    server.faults.clear()
    fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert len(retrieve_month("local", MONTH, path=tmp_path)) == 2 * 4 * 24


@pytest.mark.parametrize("what", ["object", "listing", "list of stations"])
@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "400"), (401, "401"), (403, "403: Access Denied"), (410, "410"), (422, "422"), (301, "301"), (416, "416")],
)
def test_a_refusal_stops_at_once(server, tmp_path, status, words, what):
    answer = Answer(status) if status not in (403,) else s3_error(403, "AccessDenied", "Access Denied")
    pattern = ONE if what == "object" else "^/openaq-data-archive$"
    server.fail(pattern, answer, skip=1 if what == "listing" else 0)
    with pytest.raises(ServiceError, match=words) as caught:
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert is_one_sentence_or_two(caught.value) and "services.archive.url" in str(caught.value)
    assert caught.value.status == status and leftovers(tmp_path) == []
    assert len(server.asked(ONE)) <= 1 and len([r for r in server.requests if "list-type" in r.query]) <= 3


def test_a_bucket_that_is_not_there(server, tmp_path):
    server.fail("", s3_error(404, "NoSuchBucket", "The specified bucket does not exist"))
    with pytest.raises(NotThere, match="404: The specified bucket does not exist") as caught:
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert is_one_sentence_or_two(caught.value) and len(server.requests) == 1


def test_a_file_that_vanished_after_the_listing_is_a_missing_day(server, tmp_path, caplog):
    server.fail(ONE, s3_error(404, "NoSuchKey", "The specified key does not exist."))
    with caplog.at_level(logging.INFO):
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert len(retrieve_month("local", MONTH, path=tmp_path)) == 7 * 24
    assert f"{2 * 30 - 7} day files of these are not there" in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_a_service_that_cannot_be_reached(tmp_path, url):
    with pytest.raises(ServiceError, match=r"could not be reached .*3 times in a row") as caught:
        fetch_month(MONTH, PM25, None, tmp_path, services(url, timeout=1.0))
    assert is_one_sentence_or_two(caught.value) and list(tmp_path.iterdir()) == []


def test_a_page_of_html_for_data_stops_at_once(server, tmp_path):
    server.fail("csv", Answer(200, b"<!doctype html><html>Log in</html>", {"Content-Type": "text/html"}))
    with pytest.raises(LoginNeeded, match="a page of HTML") as caught:
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert is_one_sentence_or_two(caught.value) and leftovers(tmp_path) == []


def test_a_page_of_html_for_everything_is_no_empty_archive(server, tmp_path):
    server.fail("", Answer(200, b"<html><body>Log in</body></html>", {"Content-Type": "text/html"}))
    with pytest.raises(DeepcamsError, match="lists no station at all") as caught:
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert is_one_sentence_or_two(caught.value)


def test_listings_that_are_pages_of_html_are_no_missing_months(server, tmp_path):
    """obstore takes the page for an empty listing; the days around the month are asked for by name and tell it."""
    page = Answer(200, b"<html><body>Log in</body></html>", {"Content-Type": "text/html"})
    server.fail("", page, skip=1)
    with pytest.raises(LoginNeeded, match="a page of HTML"):
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (day_file(5, DAYS[0])[:-20], "is truncated or damaged"),
        (day_file(5, DAYS[0])[:60] + b"XXXX" + day_file(5, DAYS[0])[64:], "is truncated or damaged"),
        (b"", "is empty"),
        (day_file(5, DAYS[0], header=[*"abcdefgh", "value"]), "line 1: there is no column 'datetime'"),
    ],
    ids=["cut", "damaged", "empty", "other columns"],
)
def test_a_file_that_is_broken_in_the_archive_is_named(tmp_path, content, words):
    """Its checksum is right: it was stored like this, and asking again would not help."""
    objects = {day_key(5, day): day_file(5, day) for day in DAYS} | {day_key(5, "2018-02-10"): content}
    with Server(Buckets(objects).answer) as server:
        with pytest.raises(DeepcamsError, match=words) as caught:
            fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
        assert len(server.asked(ONE)) == 1
    assert ONE in str(caught.value) and leftovers(tmp_path) == []


BROKEN_LINES = {
    "stamp": (lambda text: text.replace("T03:00:00+00:00", "T25:00:00+00:00"), 1, "T25:00:00.* is no time"),
    "stamp without offset": (lambda text: text.replace("T03:00:00+00:00", "T03:00:00"), 1, "has no offset"),
    "value": (lambda text: text.replace(",3\r\n", ",three\r\n"), 1, "value 'three' is no number"),
    "place": (lambda text: text.replace(",28.67,", ",north,"), 24, "lat 'north' is no number"),
    "cut": (lambda text: text[:-10], 1, "columns where the header has 9"),
    "an open quotation mark": (lambda text: text.replace('µg/m³"', "µg/m³", 1), 2, "columns where the header has 9"),
    "a cell without end": (
        lambda text: text.replace(",3\r\n", ',3,"' + 140_000 * "x" + "\r\n"), 1, "field larger than field limit",
    ),
    "a name of two lines": (lambda text: text.replace("Station-5", "Station\n-5"), 0, ""),
    "no UTF-8 in the units": (lambda text: text.replace("µ", "\udcb5"), 0, ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN_LINES)
def test_broken_lines_in_the_archive_are_left_out_and_told(tmp_path, caplog, fault):
    """Asking again would not help, and a rerun would meet them again."""
    change, count, words = BROKEN_LINES[fault]
    text = change(gzip.decompress(day_file(5, DAYS[0])).decode())
    objects = {day_key(5, day): day_file(5, day) for day in DAYS[1:]}
    objects[day_key(5, DAYS[0])] = gzip.compress(text.encode(errors="surrogateescape"))
    with Server(Buckets(objects).answer) as server:
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    told = [record.getMessage() for record in caplog.records if "broken at the service" in record.getMessage()]
    assert len(told) == (count > 0)
    if count:
        assert re.search(
            rf"2018-02: lines .*left out: {count}\. .*location-5-20180208.csv.gz, line \d+: .*{words}", told[0]
        )
    table = retrieve_month("local", MONTH, path=tmp_path)
    assert len(table) == 4 * 24 - count and table.value.notna().all()
    assert table.time.is_unique and (fault != "a name of two lines" or "\n" in table["name"][0])


def test_a_full_disk(server, tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DeepcamsError, match="The disk is full") as caught:
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert is_one_sentence_or_two(caught.value) and leftovers(tmp_path) == []
    monkeypatch.undo()
    fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert len(retrieve_month("local", MONTH, path=tmp_path)) == 2 * 4 * 24


def test_a_killed_job_is_continued(tmp_path):
    """SIGKILL in the middle: the rerun asks only for stations that were not done, and leaves nothing else behind."""
    objects = {day_key(number, day): day_file(number, day) for number in range(1, 41) for day in DAYS}
    with Server(Buckets(objects).answer) as server:
        server.fail("locationid", changed(delay=0.05))
        settings = services(server.url) | {"archive": {"url": server.url, "connections": 4}}
        code = f"""
            from pathlib import Path
            from deepcams.calendar import Month
            from deepcams.pollutants import PM25
            from deepcams.sources.services.archive import fetch_month
            fetch_month(Month(2018, 2), PM25, None, Path({str(tmp_path)!r}), {settings!r})
        """
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while len(list(tmp_path.rglob("*.csv.gz"))) < 6 and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        done = {path.parent.name.partition("=")[2] for path in tmp_path.rglob("location-*") if path.name[0] != "."}
        assert 6 <= len(done) < 40
        time.sleep(0.2)  # the requests that were under way are answered
        before = len(server.requests)
        fetch_month(MONTH, PM25, None, tmp_path, settings)
        again = {
            r.path.split("locationid%3D")[1].split("/")[0] for r in server.requests[before:] if "locationid" in r.path
        }
    assert again == {str(number) for number in range(1, 41)} - done
    assert leftovers(tmp_path) == [] and len(retrieve_month("local", MONTH, path=tmp_path)) == 40 * 4 * 24


def test_slow_down_means_everybody_here(server, tmp_path):
    """With one connection, the next request of anybody comes after the wait."""
    server.fail("locationid", SLOW_DOWN, times=1)
    settings = services(server.url, wait=0.3) | {"archive": {"url": server.url, "connections": 1}}
    fetch_month(MONTH, PM25, None, tmp_path, settings)
    refused = next(n for n, r in enumerate(server.requests) if "locationid" in r.path)
    assert server.requests[refused + 1].time - server.requests[refused].time > 0.25


def test_waiting_is_told_in_the_log(server, tmp_path, caplog):
    server.fail(ONE, SLOW_DOWN, times=1)
    with caplog.at_level(logging.INFO):
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
    assert "answered 503: Please reduce your request rate" in caplog.text and "try 2 in 0.01 s" in caplog.text
