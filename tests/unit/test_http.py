"""How services are asked: bounded tries, distance between requests, whole files, nothing to the wrong host."""

import gzip
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from deepcams.credentials import HIDDEN, hide
from deepcams.sources.services import session
from deepcams.sources.services.http import Guest, LoginNeeded, Manner, NotThere, ServiceError
from tests.standins.server import Answer, Server

QUICK = Manner(tries=3, wait=0.01, timeout=5.0)
CONTENT = os.urandom(700_000)


@pytest.fixture
def server():
    with Server(lambda request: Answer(body=CONTENT, ranges=True)) as running:
        yield running


@pytest.fixture
def guest():
    with Guest("The service", QUICK) as running:
        yield running


def test_a_cut_transfer_is_continued_where_it_stopped(server, guest, tmp_path):
    server.fail("file", lambda answer: Answer(body=answer.body, ranges=True, cut=400_000), times=1)
    guest.fetch(f"{server.url}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    first, second = server.asked("file")
    assert "Range" not in first.headers and int(second.headers["Range"].removeprefix("bytes=").rstrip("-")) > 0


def test_a_cut_transfer_begins_anew_where_the_server_cannot_continue(guest, tmp_path):
    with Server(lambda request: Answer(body=CONTENT)) as server:
        server.fail("file", Answer(body=CONTENT, cut=400_000), times=1)
        guest.fetch(f"{server.url}/file", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == CONTENT
        assert all("Range" not in request.headers for request in server.requests)


def test_a_file_that_changed_between_two_tries_is_fetched_whole(server, guest, tmp_path):
    """If-Range: a server whose file is another one by then answers with all of it."""
    server.fail(
        "file", lambda answer: Answer(body=answer.body, ranges=True, cut=400_000, headers={"ETag": '"1"'}), times=1
    )
    newer = os.urandom(900_000)
    server.fail("file", Answer(body=newer, headers={"ETag": '"2"'}), times=1)
    guest.fetch(f"{server.url}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == newer
    assert server.asked("file")[1].headers["If-Range"] == '"1"'


def test_a_transfer_that_is_always_cut_ends_after_the_last_try(server, guest, tmp_path):
    server.fail("file", lambda answer: Answer(body=answer.body, cut=1000))
    with pytest.raises(ServiceError, match="3 times in a row"):
        guest.fetch(f"{server.url}/file", tmp_path / "file")
    assert len(server.asked("file")) == 3


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(server, guest, tmp_path, status):
    server.fail("file", Answer(status, b'{"detail": "busy"}'), times=2)
    guest.fetch(f"{server.url}/file", tmp_path / "file")
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 422])
def test_what_stays_is_asked_once_and_told_in_the_services_words(server, guest, status):
    server.fail("document", Answer(status, b'{"title": "No", "detail": "not like this."}'))
    with pytest.raises(ServiceError, match=f"answered {status}: No; not like this to http") as caught:
        guest.json(f"{server.url}/document")
    assert caught.value.status == status and len(server.requests) == 1
    assert isinstance(caught.value, NotThere) == (status == 404)


def test_the_server_says_how_long_to_wait_in_seconds_or_by_a_date(server):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    for header, least in (
        ({"Retry-After": "0.2"}, 0.2),
        ({"Retry-After": soon}, 0.01),
        ({"x-ratelimit-reset": "0.2"}, 0.2),
    ):
        server.requests.clear()
        server.fail("file", Answer(429, headers=header), times=1)
        with Guest("The service", QUICK) as patient:
            patient.text(f"{server.url}/file")
        first, second = (request.time for request in server.requests)
        assert second - first >= least


@pytest.mark.parametrize("asked", ["0", "Mon, 01 Jan 2018 00:00:00 GMT"])
def test_a_server_that_asks_for_no_wait_is_left_alone_all_the_same(server, asked):
    server.fail("file", Answer(503, headers={"Retry-After": asked}))
    with Guest("The service", Manner(tries=3, wait=0.1)) as guest, pytest.raises(ServiceError, match="503"):
        guest.text(f"{server.url}/file")
    times = [request.time for request in server.requests]
    assert len(times) == 3 and times[1] - times[0] > 0.09 and times[2] - times[1] > 0.19


def test_a_wait_of_hours_is_left_to_the_person(server):
    server.fail("file", Answer(503, headers={"Retry-After": "7200"}))
    with Guest("The service", Manner(patience=60)) as guest, pytest.raises(ServiceError, match="asks to wait 7200 s"):
        guest.text(f"{server.url}/file")
    assert len(server.requests) == 1


def test_threads_keep_their_distance_together(server):
    with Guest("The service", Manner(spacing=0.1), connections=4) as guest, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: guest.text(f"{server.url}/{number}"), range(6)))
    times = sorted(request.time for request in server.requests)
    assert times[-1] - times[0] > 0.4  # five distances of 0.1 s, less what a busy machine shifts


def test_one_threads_retry_after_holds_all_of_them(server):
    server.fail("first", Answer(503, headers={"Retry-After": "0.5"}), times=1)
    with Guest("The service", QUICK) as guest:
        begun = threading.Thread(target=lambda: guest.text(f"{server.url}/first"))
        begun.start()
        while not server.requests:
            pass
        threading.Event().wait(0.2)
        guest.text(f"{server.url}/other")
        begun.join()
    refused, other = server.asked("first")[0].time, server.asked("other")[0].time
    assert other - refused > 0.3


def test_a_page_of_html_is_no_file(server, guest, tmp_path):
    for answer in (Answer(body=b"<!DOCTYPE html><p>Log in"), Answer(body=b"x", headers={"Content-Type": "text/html"})):
        server.fail("file", answer, times=1)
        with pytest.raises(LoginNeeded, match="login needed"):
            guest.fetch(f"{server.url}/file", tmp_path / "file")
    server.fail("document", Answer(body=b"<html>Log in</html>"))
    with pytest.raises(LoginNeeded):
        guest.json(f"{server.url}/document")


def test_keys_and_tokens_stay_with_their_host_and_netrc_is_left_alone(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text(
        "machine 127.0.0.1 login me password of-netrc\nmachine localhost login me password x\n"
    )
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Server(lambda request: Answer(body=b"{}")) as other:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        server.fail("moved", Answer(302, headers={"Location": f"{elsewhere}/there"}))
        with Guest("The service", QUICK, token="the-token", headers={"X-API-Key": "the-key"}) as guest:
            assert guest.json(f"{server.url}/moved") == {}
        (there,) = other.requests
    (here,) = server.requests
    assert (here.headers["Authorization"], here.headers["X-API-Key"]) == ("Bearer the-token", "the-key")
    assert "Authorization" not in there.headers and "X-API-Key" not in there.headers


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/x", "refused the connection"),
        ("http://no-such-host.invalid/x", "was not found by its name"),
    ],
)
def test_why_nothing_came_is_told_in_words(guest, url, words):
    with pytest.raises(ServiceError, match=words) as caught:
        guest.text(url)
    assert "Traceback" not in str(caught.value) and "urllib3" not in str(caught.value)


def test_silence_is_a_time_out(server):
    server.fail("file", lambda answer: Answer(body=b"x", delay=1.0))
    expected = pytest.raises(ServiceError, match=r"did not answer within 0\.2 s, 2 times in a row")
    with Guest("The service", Manner(tries=2, wait=0.01, timeout=0.2)) as hasty, expected:
        hasty.text(f"{server.url}/file")


def test_a_secret_that_a_server_repeats_is_hidden(server, guest, monkeypatch):
    monkeypatch.setenv("OPENAQ_API_KEY", "planted-secret-word")
    server.fail("document", Answer(403, b'{"message": "planted-secret-word is not known here"}'))
    with pytest.raises(ServiceError, match=HIDDEN) as caught:
        guest.json(f"{server.url}/document")
    assert "planted-secret-word" not in str(caught.value)
    assert hide("a planted-secret-word.") == f"a {HIDDEN}."


def test_addresses_are_shown_without_what_is_private(server, guest):
    server.fail("x", Answer(404))
    with pytest.raises(NotThere) as caught:
        guest.text(f"{server.url.replace('//', '//me:password@')}/x?key=word")
    assert "password" not in str(caught.value) and "word" not in str(caught.value)


@pytest.mark.parametrize("how", ["fetch", "text", "json", "refusal"])
@pytest.mark.parametrize("length", [None, 0])
def test_an_answer_that_drips_is_not_waited_for_without_end(server, tmp_path, how, length):
    """A byte now and then: no time-out ends that."""
    server.fail("file", Answer(404 if how == "refusal" else 200, b" " * 100_000, drip=0.01, length=length))
    actions = {"fetch": lambda: guest.fetch(f"{server.url}/file", tmp_path / "file")}
    with Guest("The service", Manner(tries=2, wait=0.01, timeout=5.0, patience=0.3)) as guest:
        action = actions.get(how) or (lambda: getattr(guest, "text" if how == "refusal" else how)(f"{server.url}/file"))
        words = "has not sent all of its answer after 0.3 s, 2 times in a row"
        assert words in ended(action)
    assert len(server.requests) == 2


def ended(action):
    """The words of the ServiceError in which `action` ends within half a minute."""
    words = []

    def watched():
        try:
            action()
        except ServiceError as error:
            words.append(str(error))

    thread = threading.Thread(target=watched, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    return words[0]


def test_a_page_that_drips_is_still_known_as_one(server, guest, tmp_path):
    server.fail("file", Answer(body=b"<!DOCTYPE html><p>Log in", drip=0.001))
    with pytest.raises(LoginNeeded):
        guest.fetch(f"{server.url}/file", tmp_path / "file")


def test_an_answer_beyond_all_measure_is_not_held_in_memory(server, guest, monkeypatch):
    monkeypatch.setattr(session, "_MOST", 100_000)
    with pytest.raises(ServiceError, match="the answer is larger than"):
        guest.text(f"{server.url}/file")
    assert len(server.requests) == 1


def test_what_comes_with_a_redirection_is_not_waited_for(server, guest):
    server.fail("moved", Answer(302, b" " * 100_000, {"Location": "/file"}, drip=0.01))
    assert ended(lambda: refuse(guest.read(f"{server.url}/moved", bytes) == CONTENT)) == "True"


def refuse(found):
    raise ServiceError(str(found))


def test_a_packed_answer_is_unpacked(server, guest):
    server.fail("file", Answer(body=gzip.compress(b"words" * 9999), headers={"Content-Encoding": "gzip"}))
    assert guest.text(f"{server.url}/file") == "words" * 9999


@pytest.mark.parametrize("how", ["a pause between two tries", "a pause for everybody", "a turn", "a transfer"])
def test_who_is_told_to_stop_does_not_wait(server, tmp_path, how):
    """As after Ctrl-C: the other threads' waits are of minutes."""
    manner = Manner(wait=100.0, spacing=100.0 if how == "a turn" else 0.0)
    if "pause" in how:
        server.fail("", Answer(503, headers={"Retry-After": "100"} if "everybody" in how else {}))
    if how == "a transfer":
        server.fail("", Answer(body=CONTENT, drip=0.01))
    with Guest("The service", manner) as guest:

        def ask():
            for _ in range(2):
                guest.fetch(f"{server.url}/file", tmp_path / "file")

        timer = threading.Timer(0.3, guest.stop)
        timer.start()
        assert "ended by another error" in ended(ask)
        timer.join()
    assert len(server.requests) == 1


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "3"}])
def test_nothing_is_waited_for_beyond_the_deadline(server, headers):
    server.fail("file", Answer(503, headers=headers))
    deadline = time.monotonic() + 2.0
    with Guest("The service", Manner(wait=3.0, patience=60), deadline=deadline) as guest:
        words = ended(lambda: guest.text(f"{server.url}/file"))
    assert ("asks to wait 3 s" if headers else "answered 503, once") in words and len(server.requests) == 1


def test_an_allowance_that_is_used_up_for_hours_is_told(server):
    """The answer that says so is good; the next one is not waited for."""
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7200"}
    server.fail("document", Answer(body=b"{}", headers=spent))
    with Guest("The service", Manner(patience=60)) as guest:
        assert guest.json(f"{server.url}/document") == {}
        words = ended(lambda: guest.json(f"{server.url}/document"))
    assert "asks to wait 7200 s" in words and len(server.requests) == 1


def test_a_file_that_grew_shorter_is_begun_anew(server, guest, tmp_path):
    """The rest that is asked for lies past its end by then (416)."""
    server.fail("file", lambda answer: Answer(body=answer.body, ranges=True, cut=400_000), times=1)
    server.fail("file", Answer(416), times=1)
    guest.fetch(f"{server.url}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert "Range" in server.requests[1].headers and "Range" not in server.requests[2].headers
