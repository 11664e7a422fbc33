"""OpenAQ's API v3 with its quirks, and its faults; a key that is found nowhere."""

import io
import logging

import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region
from deepcams.pollutants import PM25, POLLUTANTS
from deepcams.sources.openaq import read_locations, retrieve_month
from deepcams.sources.services.archive import fetch_month
from deepcams.sources.services.http import LoginNeeded, ServiceError
from deepcams.sources.services.openaq_api import fetch_locations
from tests.standins.openaq import Api, Buckets, day_file, day_key
from tests.standins.server import Answer, Server

KEY = "0123456789abcdef" * 4
# As the service gives it for hourly values; "expectedInterval" is the same for daily ones.
COVERAGE = {
    "expectedCount": 1, "expectedInterval": "01:00:00", "observedCount": 66563, "observedInterval": "66563:00:00",
    "percentComplete": 6656300.0,
}  # fmt: skip
TRIES = 3


def services(url: str, **changes) -> dict:
    return {"tries": TRIES, "wait": 0.01, "timeout": 5.0, "patience": 60, "api": {"url": f"{url}/v3"}} | changes


def station(number: int, latitude=50.0, longitude=10.0, parameter=2, **changes) -> dict:
    return {
        "id": number,
        "name": f"Place {number}",
        "country": {"id": 50, "code": "DE", "name": "Germany"},
        "provider": {"id": 70, "name": "EEA"},
        "isMobile": False,
        "isMonitor": True,
        "coordinates": {"latitude": latitude, "longitude": longitude},
        "sensors": [
            {"id": 7 * number, "parameter": {"id": parameter}, "coverage": COVERAGE},
            {"id": 7 * number + 1, "parameter": {"id": 19}, "coverage": COVERAGE},
        ],
    } | changes


def pages(server: Server) -> list[tuple[int, int]]:
    asked = [r for r in server.requests if r.path.endswith("/locations")]
    return [(int(r.query["limit"][0]), int(r.query["page"][0])) for r in asked]


@pytest.mark.parametrize(("count", "expected"), [(0, 1), (999, 1), (1000, 2), (2300, 3)])
def test_pages_are_asked_for_until_one_is_not_full(count, expected):
    """`found` is the text ">1000" on a full page."""
    api = Api([station(number) for number in range(count, 0, -1)], KEY)
    with Server(api.answer) as server:
        found = fetch_locations(PM25, None, KEY, services(server.url))
        assert pages(server) == [(1000, page + 1) for page in range(expected)]
    assert [it["id"] for it in found] == list(range(1, count + 1))


def test_only_stations_of_the_pollutant_and_its_sensors():
    """Ozone has three numbers, one for each of its units."""
    numbers = {1: 2, 2: 3, 3: 10, 4: 5, 5: 32}
    stations = [station(number, parameter=parameter) for number, parameter in numbers.items()]
    with Server(Api(stations, KEY).answer) as server:
        found = fetch_locations(POLLUTANTS["o3"], None, KEY, services(server.url))
    assert [it["id"] for it in found] == [2, 3, 5]
    observed = {"observedInterval": "66563:00:00", "observedCount": 66563}
    assert found[0]["sensors"] == [{"id": 14, "coverage": observed}]
    assert (found[0]["provider"]["name"], found[0]["isMonitor"]) == ("EEA", True)


@pytest.mark.parametrize("count", [100, 101])
def test_averaging_periods_are_asked_for_where_stations_are_few(count):
    with Server(Api([station(number) for number in range(1, count + 1)], KEY).answer) as server:
        found = fetch_locations(PM25, None, KEY, services(server.url))
        assert len(server.asked("sensors")) == (count if count == 100 else 0)
    assert found[5]["sensors"][0]["coverage"]["observedCount"] == (66563 if count == 100 else None)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("pm25", {2}), ("pm10", {1}), ("o3", {3, 10, 32}), ("no2", {5, 7, 15}), ("co", {4, 8, 102}), ("so2", {6, 9, 101})],
)
def test_a_gas_is_asked_for_in_all_its_units(name, numbers):
    """In µg/m³, ppm and ppb, each a parameter of its own (/v3/parameters)."""
    with Server(Api([], KEY).answer) as server:
        fetch_locations(POLLUTANTS[name], None, KEY, services(server.url))
        assert {int(number) for number in server.requests[0].query["parameters_id"][0].split(",")} == numbers


@pytest.mark.parametrize(
    ("region", "boxes"),
    [
        (Region(60.0, -10.5, 45.0, 15.0), ["-10.5,45,15,60"]),
        (Region(-9.0, 177.0, -21.0, 183.0), ["177,-21,180,-9", "-180,-21,-177,-9"]),
        (Region(90.0, -180.0, -90.0, 179.25), ["-180,-90,180,90"]),
        (Region(30.0, 190.0, 10.0, 200.0), ["-170,10,-160,30"]),
    ],
)
def test_boxes(region, boxes):
    places = [(50.0, 10.0), (-15.0, 178.0), (-15.0, -178.0), (20.0, -165.0)]
    stations = [station(n, *place) for n, place in enumerate(places, 1)]
    with Server(Api(stations, KEY).answer) as server:
        found = fetch_locations(PM25, region, KEY, services(server.url))
        assert [r.query["bbox"][0] for r in server.requests if "bbox" in r.query] == boxes
    inside = {1: {1}, 2: {2, 3}, 3: {1, 2, 3, 4}, 4: {4}}
    number = [Region(60.0, -10.5, 45.0, 15.0), Region(-9.0, 177.0, -21.0, 183.0), Region(90.0, -180.0, -90.0, 179.25)]
    expected = inside[number.index(region) + 1 if region in number else 4]
    assert {it["id"] for it in found} == expected


def test_a_408_halves_the_page_and_loses_nothing():
    api = Api([station(number) for number in range(1, 1651)], KEY)
    with Server(api.answer) as server:
        server.fail("locations$", Answer(408, b'{"detail": "Connection timed out"}'), times=1, skip=1)
        found = fetch_locations(PM25, None, KEY, services(server.url))
        assert pages(server) == [(1000, 1), (1000, 2), (500, 3), (500, 4)]
    assert [it["id"] for it in found] == list(range(1, 1651))


def test_a_408_that_stays_is_told_after_the_smallest_page():
    words = (
        b'{"detail": "Connection timed out: Try to provide more specific query parameters or a smaller time frame."}'
    )
    with Server(Api([station(1)], KEY).answer) as server:
        server.fail("locations$", Answer(408, words))
        with pytest.raises(ServiceError, match=r"answered 408: Connection timed out.*3 times in a row"):
            fetch_locations(PM25, None, KEY, services(server.url))
        assert [limit for limit, _ in pages(server)] == [1000, 500, 250, *[125] * TRIES]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(401, b'{"message": "Unauthorized. A valid API key must be provided."}'), "401: Unauthorized.*API_KEY"),
        (Answer(403, b'{"message": "Forbidden. violation of rate limit policy"}'), "403: Forbidden.*OPENAQ_API_KEY"),
        (Answer(404, b'{"detail": "Not Found"}'), "404: Not Found"),
        (Answer(410, b'{"message": "Gone. Version 1 and Version 2 API endpoints are retired"}'), "410: Gone.*for good"),
        (Answer(422, b"\"[{'loc': ('query', 'limit')}]\""), "422: .*Asking again would not help"),
        (Answer(200, b'{"nothing": 1}'), "something else than a list of results"),
        (Answer(200, b'{"results": [{"name": "x"}]}'), "something else than a list of results"),
        (Answer(200, b"<!doctype html><html></html>"), "page of HTML"),
    ],
)
def test_what_does_not_go_away_is_asked_once(answer, words):
    with Server(Api([station(1)], KEY).answer) as server:
        server.fail("", answer)
        with pytest.raises(DeepcamsError, match=words) as caught:
            fetch_locations(PM25, None, KEY, services(server.url))
        assert len(server.requests) == 1 and "\n" not in str(caught.value)
        assert isinstance(caught.value, LoginNeeded) == ("HTML" in words)


PASSING = {
    "429 with x-ratelimit-reset": Answer(429, b'{"detail": "Too many requests"}', {"x-ratelimit-reset": "0"}),
    "429 with Retry-After": Answer(429, b'{"detail": "Too many requests"}', {"Retry-After": "0"}),
    "429": Answer(429, b'{"detail": "Too many requests"}'),
    "500": Answer(500, b'{"detail": "Internal Server Error"}'),
    "502": Answer(502),
    "503": Answer(503),
    "cut": Answer(200, b'{"results": []}', cut=4),
    "no JSON": Answer(200, b'{"results": ['),
    "late": Answer(200, b'{"results": []}', delay=0.6),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_asked_again(fault):
    timeout = 0.3 if fault == "late" else 5.0
    with Server(Api([station(1)], KEY).answer) as server:
        server.fail("locations$", PASSING[fault], times=TRIES - 1)
        found = fetch_locations(PM25, None, KEY, services(server.url, timeout=timeout))
        assert len(found) == 1 and len(pages(server)) == TRIES
        server.fail("locations$", PASSING[fault])
        with pytest.raises(ServiceError, match="3 times in a row"):
            fetch_locations(PM25, None, KEY, services(server.url, timeout=timeout))
        assert len(pages(server)) == 2 * TRIES


def test_a_service_that_refuses_the_connection():
    with pytest.raises(ServiceError, match="refused the connection, 3 times in a row"):
        fetch_locations(PM25, None, KEY, services("http://127.0.0.1:1"))


def test_a_wait_that_the_service_asks_for_is_kept():
    """Its budget is used up after two requests: the third comes after the reset, without a 429 in between."""
    with Server(Api([station(number) for number in range(1, 4)], KEY, rate=2, reset=0.3).answer) as server:
        fetch_locations(PM25, None, KEY, services(server.url))
        times = [r.time for r in server.requests]
    assert times[2] - times[1] > 0.25


def test_a_planted_key_is_found_nowhere(tmp_path, monkeypatch, caplog):
    """Not in files, logs or messages, even where the service repeats it."""
    monkeypatch.setenv("OPENAQ_API_KEY", KEY)
    month, stations = Month(2018, 2), [station(1, name=f"Place of {KEY}")]
    buckets = Buckets({day_key(1, "2018-02-10"): day_file(1, "2018-02-10")})
    with (
        caplog.at_level(logging.DEBUG),
        Server(Api(stations, KEY, echo=True).answer) as api,
        Server(buckets.answer) as bucket,
    ):
        settings = services(api.url) | {"archive": {"url": bucket.url, "connections": 4}}
        api.fail("sensors", Answer(500, f'{{"detail": "your key {KEY} made an error"}}'.encode()), times=1)
        root = fetch_month(month, PM25, None, tmp_path, settings)
        assert {r.headers.get("X-API-Key") for r in api.requests} == {KEY}
        assert not any(KEY in str(r.headers) for r in bucket.requests)
        api.fail("", Answer(401, f'{{"message": "Invalid credentials {KEY}"}}'.encode()))
        (tmp_path / "locations.json").rename(tmp_path / "before.json")
        with pytest.raises(ServiceError) as caught:
            fetch_month(month, PM25, None, tmp_path, settings)
        (tmp_path / "before.json").rename(tmp_path / "locations.json")
    assert KEY not in str(caught.value) and "<hidden>" in str(caught.value)
    assert "<hidden>" in caplog.text and KEY not in caplog.text
    table = retrieve_month("local", month, path=root)
    assert table["name"][0] == "Place of <hidden>" and table.averaging_hours[0] == 1.0
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in written


def test_stations_are_asked_for_once_a_job(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAQ_API_KEY", KEY)
    with Server(Api([station(1)], KEY).answer) as api, Server(Buckets({}).answer) as bucket:
        bucket.fail("", Answer(403, b"<Error><Message>Access Denied</Message></Error>"))
        settings = services(api.url) | {"archive": {"url": bucket.url, "connections": 4}}
        for _ in range(2):
            with pytest.raises(ServiceError, match="403: Access Denied"):
                fetch_month(Month(2018, 2), PM25, None, tmp_path, settings)
        assert len(pages(api)) == 1 and list(read_locations(tmp_path / "locations.json")) == ["1"]


def test_progress_is_told_on_standard_error(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    with Server(Api([station(1)], KEY).answer) as server:
        fetch_locations(PM25, None, KEY, services(server.url))
    assert "OpenAQ averaging periods" in out.getvalue()


def test_all_requests_keep_the_pause_that_one_was_told_of():
    """The allowance is used up by the list of stations; their sensors are asked for when it is there again."""
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0.4"}
    with Server(Api([station(1)], KEY).answer) as server:
        server.fail("/locations$", lambda answer: Answer(200, answer.body, spent))
        fetch_locations(PM25, None, KEY, services(server.url))
        first, second = (request.time for request in server.requests)
        assert second - first >= 0.39


def test_an_allowance_that_is_used_up_for_longer_than_patience_is_told():
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "90"}
    with Server(Api([station(1)], KEY).answer) as server:
        server.fail("/locations$", lambda answer: Answer(200, answer.body, spent))
        with pytest.raises(ServiceError, match="asks to wait 90 s"):
            fetch_locations(PM25, None, KEY, services(server.url))
        assert len(server.requests) == 1
