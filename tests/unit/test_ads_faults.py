"""Everything that goes wrong at the Atmosphere Data Store: a bounded number of tries, then success or one sentence.

After each failure nothing has a final name, the key is nowhere, and a rerun at a service that works again succeeds.
"""

import errno
import json
import logging
import re
import socket
import zipfile
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid
from deepcams.pollutants import PM25
from deepcams.sources.services.ads import canonical_request, fetch_month
from tests.standins.ads import KEY, Ads, problem, reply
from tests.standins.eac4 import BOX, asked_times, concentrations, delivery, netcdf, zipped
from tests.standins.server import Answer

MONTH = Month(2019, 12)
TIMES = asked_times(MONTH)
TRIES = 3
GOOD = delivery(MONTH)
HTML = Answer(200, b"<!DOCTYPE html><html><body>Please log in</body></html>", {"Content-Type": "text/html"})


def services(server, **changes):
    return {"tries": TRIES, "wait": 0.002, "timeout": 5.0, "patience": 20.0, "ads": {"url": server.api}} | changes


@pytest.fixture
def ads(monkeypatch):
    monkeypatch.setenv("ADSAPI_KEY", KEY)
    with Ads({str(MONTH): GOOD}) as server:
        yield server


def fetched(ads, folder, **changes):
    path = Path(fetch_month(MONTH, PM25, folder, services(ads, **changes)).format(year="2019", month="12"))
    assert path.read_bytes() == ads.files[str(MONTH)]


def refused(server, folder, words, posts, again, **changes):
    """The month fails with `words` after `posts` submissions; the rerun succeeds with `again` further ones."""
    with pytest.raises(DeepcamsError) as caught:
        fetch_month(MONTH, PM25, folder, services(server, **changes))
    text = str(caught.value)
    assert re.search(words, text), text
    assert "\n" not in text and "Traceback" not in text and len(text) < 900
    assert secrets_in(caught.value) == []
    assert len(server.posts) == posts
    assert [path.name for path in folder.iterdir() if path.name != "request.json"] == []
    server.faults.clear()
    server.ends.clear()
    server.expired.clear()
    server.files, server.licences = {str(MONTH): GOOD}, ["licence-to-use-copernicus-products"]
    fetched(server, folder)
    assert len(server.posts) == posts + again


def secrets_in(error):
    """Where the key stands in an exception and all that led to it."""
    found, seen = [], set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found += [repr(error)] if KEY in repr(error) + str(error) + repr(error.args) else []
        error = error.__cause__ or error.__context__
    return found


STATES = {
    "408": Answer(408, b""),
    "429": Answer(429, b""),
    "429 with Retry-After": Answer(429, b"", {"Retry-After": "0.05"}),
    "500": Answer(500, b"<html>Internal Server Error</html>", {"Content-Type": "text/html"}),
    "502": Answer(502, b""),
    "503": Answer(503, b"", {"Retry-After": "0"}),
    "504": Answer(504, b""),
    "cut": lambda answer: Answer(200, answer.body, answer.headers, cut=10),
    "HTML in place of JSON": HTML,
    "JSON of another kind": reply({"something": "else"}),
    "JSON that is a list": reply([]),
}
PLACES = {
    "process": ("/processes/[^/]+$", "GET"),
    "submission": ("/execution$", "POST"),
    "state": ("/jobs/[^/]+$", "GET"),
    "results": ("/results$", "GET"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("state", STATES)
def test_what_passes_is_asked_again(ads, tmp_path, state, place):
    if place == "process" and state.startswith("JSON of"):
        pytest.skip("nothing of the process's description is read")
    pattern, method = PLACES[place]
    ads.fail(pattern, STATES[state], times=TRIES - 1, method=method)
    fetched(ads, tmp_path)
    assert len(ads.posts) <= TRIES


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("state", STATES)
def test_what_does_not_pass_ends_after_the_tries(ads, tmp_path, state, place):
    if place == "process" and state.startswith("JSON of"):
        pytest.skip("nothing of the process's description is read")
    pattern, method = PLACES[place]
    ads.fail(pattern, STATES[state], method=method)
    changes = {"patience": 1.0} if place == "state" else {}  # so long the queue is waited for
    words = {"cut": "cut the connection|ended", "HTML in": "not understood.*HTML", "JSON": "not understood"}
    expected = next((text for name, text in words.items() if state.startswith(name)), f"answered {state[:3]}")
    posts = {"process": 0, "submission": TRIES}.get(place, 1)
    # What is known by its number is gone on with.
    words = f"Atmosphere Data Store.*({expected}).*3 times in a row"
    if place == "state":
        words = f"Atmosphere Data Store.*(({expected}).*(once|times in a row)|asks to wait)"
    refused(ads, tmp_path, words, posts, 1 if posts != 1 else 0, **changes)


@pytest.mark.parametrize("state", STATES)
def test_the_queue_is_waited_for_while_the_service_is_away(ads, tmp_path, state):
    """Far more failures than tries, and the same request in the end."""
    ads.fail(PLACES["state"][0], STATES[state], times=5 * TRIES, method="GET", skip=1)
    fetched(ads, tmp_path)
    assert len(ads.posts) == 1 and len(ads.asked("/jobs/")) > 5 * TRIES


def test_a_long_wait_that_is_asked_for_while_the_queue_is_waited_for_is_told(ads, tmp_path):
    ads.fail("/jobs/", Answer(503, b"", {"Retry-After": "7200"}))
    with pytest.raises(DeepcamsError, match="asks to wait 7200 s"):
        fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.asked("/jobs/")) == 1


def test_pauses_that_the_service_asks_for_do_not_go_beyond_patience(ads, tmp_path):
    """Each of them is shorter than patience; together they would not be."""
    ads.fail("/processes/", Answer(503, b"", {"Retry-After": "1"}))
    refused(ads, tmp_path, "asks to wait 1 s", 0, 1, patience=1.8, tries=30)


def test_an_answer_that_drips_is_no_answer(ads, tmp_path):
    ads.fail("/processes/", lambda answer: Answer(200, answer.body, answer.headers, drip=0.05))
    refused(ads, tmp_path, "has not sent all of its answer after 1 s, 3 times in a row", 0, 1, timeout=0.1)


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_request_that_is_another_accounts_is_asked_for_anew(ads, tmp_path, status):
    kept = {"id": "theirs", "request": canonical_request(MONTH, PM25)}
    (tmp_path / "request.json").write_text(json.dumps(kept))
    ads.fail("/jobs/theirs", problem(status, "no", "not yours"))
    fetched(ads, tmp_path)
    assert len(ads.posts) == 1 and json.loads((tmp_path / "request.json").read_text())["id"] != "theirs"


def test_a_kept_request_is_not_given_up_for_a_key_that_is_refused(ads, tmp_path):
    kept = json.dumps({"id": "theirs", "request": canonical_request(MONTH, PM25)})
    (tmp_path / "request.json").write_text(kept)
    ads.fail("/jobs/theirs", problem(401, "authentication failed", "no"))
    with pytest.raises(DeepcamsError, match="does not accept the key"):
        fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert (tmp_path / "request.json").read_text() == kept and ads.posts == []


def test_nobody_listens(ads, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    refused(
        ads, tmp_path, "refused the connection, 3 times in a row", 0, 1, ads={"url": f"http://127.0.0.1:{port}/api"}
    )


def test_nobody_answers(ads, tmp_path):
    ads.fail("/processes/", Answer(200, b" ", delay=1.0))
    refused(ads, tmp_path, "did not answer within 0.1 s, 3 times", 0, 1, timeout=0.1)


def test_a_wait_longer_than_patience_is_told(ads, tmp_path):
    ads.fail("/processes/", Answer(503, b"", {"Retry-After": "7200"}))
    refused(ads, tmp_path, "asks to wait 7200 s", 0, 1)


ECHO = f"you sent PRIVATE-TOKEN: {KEY}"


@pytest.mark.parametrize(
    ("pattern", "answer", "words", "posts"),
    [
        ("/processes/", problem(401, "authentication failed", f"operation not allowed; {ECHO}"),
         r"401: authentication failed; operation not allowed.*key found in the environment variable ADSAPI_KEY", 0),
        ("/execution$", problem(403, "required licences not accepted", "Not all the required licences have been "
         f"accepted; please visit https://ads.example/datasets/x?tab=download#manage-licences to accept. {ECHO}"),
         r"Open https://ads\.example/datasets/x\?tab=download#manage-licences with your account", 1),
        ("/execution$", problem(403, "required licences not accepted", "Accept them."),
         r"Open http://127\.0\.0\.1:\d+/datasets/cams-global-reanalysis-eac4\?tab=download#manage-licences", 1),
        ("/execution$", problem(403, "cost limits exceeded", f"Your request is too large. {ECHO}"),
         r"cost limits exceeded.*smaller requests", 1),
        ("/execution$", problem(403, "permission denied", ECHO), r"403: permission denied.*wait a while", 1),
        ("/execution$", problem(400, "invalid request", f"Request has not produced a valid combination. {ECHO}"),
         r"has no CAMS 2019-12 \(pm25\).*valid combination", 1),
        ("/processes/", problem(404, "process not found", f"dataset not found {ECHO}"),
         r"404: process not found.*Check the address", 0),
        ("/execution$", problem(405, "Method Not Allowed", ECHO), r"405.*would not help", 1),
        ("/execution$", problem(410, "Gone", ECHO), r"410", 1),
        ("/execution$", problem(422, "Unprocessable", ECHO), r"422", 1),
    ],
)  # fmt: skip
def test_refusals_that_stay_are_not_repeated(ads, tmp_path, pattern, answer, words, posts):
    ads.fail(pattern, answer)
    refused(ads, tmp_path, words, posts, 1)


def test_the_services_own_licence_words(ads, tmp_path):
    ads.licences = []
    refused(ads, tmp_path, r"Open http://127\.0\.0\.1:\d+/datasets/cams\S+#manage-licences with your account", 1, 1)


def test_the_services_own_words_for_a_wrong_key(ads, tmp_path, monkeypatch):
    monkeypatch.setenv("ADSAPI_KEY", "another-key-altogether")
    with pytest.raises(DeepcamsError, match="401: authentication failed; operation not allowed"):
        fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("state", ["failed", "rejected"])
def test_a_job_that_fails_is_asked_for_anew_and_not_for_ever(ads, tmp_path, state):
    ends = [(state, f"MarsSystemError: tape is stuck. {ECHO}")]
    ads.ends = ends * (TRIES - 1)
    fetched(ads, tmp_path / "a")
    assert len(ads.posts) == TRIES
    ads.jobs.clear()
    ads.requests.clear()
    ads.ends = ends * 50
    words = f"did not make CAMS 2019-12.*The job has (been )?{state}; MarsSystemError: tape is stuck.*given up: 3"
    (tmp_path / "b").mkdir()
    refused(ads, tmp_path / "b", words, TRIES, 1)


def test_a_dismissed_job_is_asked_for_anew(ads, tmp_path):
    ads.ends = [("dismissed", "")]
    fetched(ads, tmp_path / "a")
    assert len(ads.posts) == 2
    ads.requests.clear()
    ads.ends = [("dismissed", "")] * 50
    (tmp_path / "b").mkdir()
    refused(ads, tmp_path / "b", "was dismissed", TRIES, 1)


def test_the_limit_of_a_day_is_waited_for_within_patience(ads, tmp_path):
    ads.ends = [("failed", "Maximum number of daily requests reached")] * (TRIES + 2)
    fetched(ads, tmp_path / "a")
    assert len(ads.posts) == TRIES + 3
    ads.requests.clear()
    ads.ends = [("rejected", "Number of queued requests is temporarily limited")] * 50
    (tmp_path / "b").mkdir()
    refused(ads, tmp_path / "b", "temporarily limited", 1, 1, wait=0.1, patience=5.0)


def test_a_job_without_data_is_not_repeated(ads, tmp_path):
    ads.ends = [("failed", "MARS returned no data, please check your selection. MarsNoDataError")] * 50
    refused(ads, tmp_path, "has no CAMS 2019-12.*MARS returned no data", 1, 1)


def test_a_job_that_the_service_loses(ads, tmp_path):
    ads.fail("/jobs/0", problem(404, "job not found", "gone"), times=1)
    fetched(ads, tmp_path)
    assert len(ads.posts) == 2


@pytest.mark.parametrize("how", ["results", "403", "404", "410"])
def test_an_expired_result_is_asked_for_anew(ads, tmp_path, how):
    fault = None if how == "results" else Answer(int(how), b"<Error/>", {"Content-Type": "application/xml"})

    def arrange(times):
        if fault:
            ads.fail("/store/", fault, times=times, method="GET")
        else:
            ads.fail("/results$", problem(404, "results expired", "results expired"), times=times)

    arrange(1)
    fetched(ads, tmp_path / "a")
    assert len(ads.posts) == 2
    ads.requests.clear()
    arrange(100)
    (tmp_path / "b").mkdir()
    refused(ads, tmp_path / "b", "has expired", TRIES, 1)


def wrong_bytes(answer):
    middle = len(answer.body) // 2
    body = answer.body[:middle] + bytes([answer.body[middle] ^ 1]) + answer.body[middle + 1 :]
    return Answer(200, body, answer.headers, ranges=True)


def other_bytes(numbers):
    """Each time other bytes that can be read: the archive's last ones say how long a comment follows."""

    def changed(answer):
        return Answer(200, answer.body[:-1] + bytes([next(numbers)]), answer.headers, ranges=True)

    return changed


TRANSFERS = {
    "cut": (lambda answer: Answer(200, answer.body, answer.headers, cut=1000, ranges=True), "cut the connection|ended"),
    "cut without ranges": (
        lambda answer: Answer(200, answer.body, answer.headers, cut=1000),
        "cut the connection|ended",
    ),
    "cut without a length": (
        lambda answer: Answer(200, answer.body[:1000], answer.headers, length=0),
        "1000 bytes came, where",
    ),
    "shorter than announced": (lambda answer: Answer(200, answer.body[:-7], answer.headers), "bytes came, where"),
    "longer than announced": (lambda answer: Answer(200, answer.body + b"x", answer.headers), "bytes came, where"),
    "wrong Content-Length": (lambda answer: Answer(200, answer.body, length=len(answer.body) + 9), "cut|ended"),
    "wrong bytes": (wrong_bytes, "zip archive that is truncated or damaged"),
    "wrong bytes, others each time": (other_bytes(count(1)), "as announced, but their MD5 is"),
    "nothing": (Answer(200, b""), "0 bytes came"),
    "503": (Answer(503, b""), "answered 503"),
    "429": (Answer(429, b"", {"Retry-After": "0.01"}), "answered 429"),
}


@pytest.mark.parametrize("fault", TRANSFERS)
def test_a_transfer_that_fails_once_is_made_again(ads, tmp_path, fault):
    ads.fail("/store/", TRANSFERS[fault][0], times=1, method="GET")
    fetched(ads, tmp_path)
    assert len(ads.asked("/store/", "GET")) == 2 and len(ads.posts) == 1


@pytest.mark.parametrize("fault", TRANSFERS)
def test_a_transfer_that_always_fails_leaves_nothing(ads, tmp_path, fault):
    answer, words = TRANSFERS[fault]
    ads.fail("/store/", answer, method="GET")
    bytes_differ = "bytes came" in words or "MD5" in words or "damaged" in words
    refused(ads, tmp_path, words, 1, 1 if bytes_differ else 0)


def test_the_number_of_transfers_is_bounded(ads, tmp_path):
    ads.fail("/store/", other_bytes(count(1)), method="GET")
    with pytest.raises(DeepcamsError, match="3 times and never whole"):
        fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.asked("/store/")) == TRIES


def test_wrong_bytes_that_are_the_same_twice_are_told_by_their_content(ads, tmp_path):
    ads.fail("/store/", wrong_bytes, method="GET")
    with pytest.raises(DeepcamsError, match="truncated or damaged"):
        fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert len(ads.asked("/store/")) == 2


def test_html_in_place_of_data(ads, tmp_path):
    ads.fail("/store/", HTML, method="GET")
    refused(ads, tmp_path, "page of HTML in place of", 1, 0)


VALUES = concentrations(TIMES)
ZEROS = VALUES.copy()
ZEROS[5] = 0.0
FINER = Grid(30 - 0.5 * np.arange(7), 90 + 0.5 * np.arange(9), 0.5)
DOUBLE = np.sort(np.append(TIMES, TIMES[9]))


def broken_zip():
    content = bytearray(GOOD)
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


CONTENTS = {
    "corrupt zip": (broken_zip(), "zip archive that is truncated or damaged"),
    "truncated zip": (GOOD[:-2000], "zip archive that is truncated or damaged"),
    "truncated NetCDF": (zipped(netcdf(TIMES, VALUES)[:8_000]), "truncated or damaged"),
    "empty archive": (zipped(b"nothing", "readme.txt"), r"holds? no|no files that hold"),
    "HTML in the archive": (zipped(HTML.body), "no files that hold pm2p5"),
    "HTML with its MD5": (HTML.body, "page of HTML"),
    "wrong variable": (delivery(MONTH, name="pm10"), "pm2p5"),
    "wrong units": (delivery(MONTH, units="mol mol-1"), "'mol mol-1'"),
    "wrong magnitude": (delivery(MONTH, scale=1.0), "units cannot be"),
    "wrong grid": (zipped(netcdf(TIMES, concentrations(TIMES, FINER.shape), grid=FINER)), "0.75°"),
    "wrong times": (zipped(netcdf(TIMES + np.timedelta64(1, "h"), VALUES)), "no analysis time"),
    "wrong month": (zipped(netcdf(TIMES + np.timedelta64(90, "D"), VALUES)), "lacks 249 of 249"),
    "all-zero field": (zipped(netcdf(TIMES, ZEROS)), "same value everywhere at 2019-12-01 15:00"),
    "missing values only": (zipped(netcdf(TIMES, np.full(VALUES.shape, np.nan))), "nothing but missing"),
    "missing frame": (zipped(netcdf(np.delete(TIMES, 7), np.delete(VALUES, 7, 0))), "lacks 1 of 249.*2019-12-01 21:00"),
    "missing last frame": (zipped(netcdf(TIMES[:248], VALUES[:248])), "lacks 1 of 249 analyses: 2020-01-01 00:00"),
    "duplicated frame": (zipped(netcdf(DOUBLE, concentrations(DOUBLE))), "2019-12-02 03:00 is there more than once"),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_content_that_is_wrong_is_not_kept(ads, tmp_path, content):
    ads.files, words = {str(MONTH): CONTENTS[content][0]}, CONTENTS[content][1]
    with pytest.raises(DeepcamsError) as caught:
        fetch_month(MONTH, PM25, tmp_path, services(ads))
    text = str(caught.value)
    assert ".part" not in text and ("CAMS 2019-12 (pm25)" in text or "HTML" in text), text
    if "HTML with" not in content:  # an HTML page is told before anything is known of its bytes
        assert not (tmp_path / "request.json").exists()
        again = 1
    else:
        ads.store.clear()
        ads.jobs.clear()
        again = 1
    assert len(ads.asked("/store/")) == 1
    ads.requests.clear()
    ads.files = {str(MONTH): CONTENTS[content][0]}
    refused(ads, tmp_path, words, 1, again if "HTML with" not in content else 0)


def test_grid_of_the_stand_in_is_a_box():
    assert BOX.shape == (7, 9)  # so that these tests are quick; nothing is asked of the size


def test_a_full_disk_is_told_and_the_transfer_not_repeated(ads, tmp_path, monkeypatch):
    def full(self, url, path):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("deepcams.sources.services.http.Guest.fetch", full)
        with pytest.raises(DeepcamsError, match="disk is full"):
            fetch_month(MONTH, PM25, tmp_path, services(ads))
    assert [path.name for path in tmp_path.iterdir()] == ["request.json"]
    fetched(ads, tmp_path)
    assert len(ads.posts) == 1


def test_the_key_is_nowhere(ads, tmp_path, monkeypatch, caplog, capfd):
    """A server that repeats the key wherever it can; all loggers open; the month succeeds in the end, or fails."""
    caplog.set_level(logging.DEBUG)
    for name in ("", "urllib3", "ecmwf.datastores", "multiurl", "cdsapi", "ecmwf.datastores.legacy_client"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    ads.fail("/messages$", reply({"messages": [{"severity": "info", "content": ECHO}]}), times=1)
    ads.fail("/execution$", problem(429, "rate limit exceeded", ECHO), times=1)
    ads.fail("/jobs/", problem(503, "unavailable", ECHO), times=1)
    ads.fail("/store/", problem(502, "bad gateway", ECHO), times=1)
    ads.ends = [("failed", ECHO), ("dismissed", ECHO)]
    fetched(ads, tmp_path)
    ads.fail("/processes/", problem(401, "authentication failed", ECHO))
    with pytest.raises(DeepcamsError, match="you sent PRIVATE-TOKEN: <hidden>") as caught:
        fetch_month(MONTH, PM25, tmp_path / "again", services(ads))
    assert secrets_in(caught.value) == []
    output = capfd.readouterr()
    assert KEY not in output.out + output.err + caplog.text
    assert "<hidden>" in caplog.text  # so something was said, without the key
    for path in tmp_path.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert KEY.encode() not in content and KEY not in path.name


def test_refusals_of_the_news_are_no_warning_and_no_obstacle(ads, tmp_path):
    ads.fail("/messages$", HTML)
    fetched(ads, tmp_path)
    assert json.loads((tmp_path / "request.json").read_text())["id"] in ads.jobs
    with zipfile.ZipFile(tmp_path / "2019-12.nc") as archive:
        assert archive.testzip() is None
