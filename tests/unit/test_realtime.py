"""Fetching OpenAQ's bucket of before the archive, with the real client; the real day from moto."""

import gzip
import json

import pandas as pd
import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.pollutants import PM25, POLLUTANTS
from deepcams.sources.openaq import retrieve_month
from deepcams.sources.services.http import LoginNeeded, ServiceError
from deepcams.sources.services.realtime import fetch_month
from tests.standins.openaq import FETCHES, SLOW_DOWN, Buckets, moto
from tests.standins.server import Answer, Server
from tests.unit.test_openaq import RECORD

MONTH = Month(2018, 2)


def services(url: str) -> dict:
    return {"tries": 3, "wait": 0.01, "timeout": 5.0, "patience": 60, "archive": {"url": url, "connections": 8}}


def fetch(*records: dict, packed: bool = True) -> bytes:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    return gzip.compress(text, mtime=0) if packed else text


def at(stamp: str, value: float = 5.0, **changes) -> dict:
    return RECORD | {"date": {"utc": stamp}, "value": value} | changes


OBJECTS = {
    f"{FETCHES}/realtime-gzipped/2018-02-06/1517900000.ndjson.gz": fetch(
        at("2018-02-06T09:00:00Z", 2), at("2018-02-06T09:00:00Z", parameter="o3", unit="ppm")
    ),
    f"{FETCHES}/realtime-gzipped/2018-02-06/1517890000.ndjson.gz": fetch(at("2018-02-06T09:00:00Z", 1)),
    f"{FETCHES}/realtime/2018-02-06/1517890000.ndjson": fetch(at("2018-02-06T09:00:00Z", 1), packed=False),
    f"{FETCHES}/realtime/2018-02-06/1517880000.ndjson": fetch(at("2018-02-06T09:00:00Z", 0), packed=False),
    f"{FETCHES}/realtime/2018-02-07/1517980000.ndjson": fetch(at("2018-02-07T00:00:00Z", 3), packed=False),
    f"{FETCHES}/realtime/2018-02-07/index.html": b"<html>",
    f"{FETCHES}/realtime-gzipped/2018-03-03/1520080000.ndjson.gz": fetch(at("2018-02-28T23:00:00Z", 4)),
    f"{FETCHES}/realtime-gzipped/2018-03-09/1520600000.ndjson.gz": b"not looked at",
}


def test_a_month_of_fetches_in_their_order_and_each_once(tmp_path):
    """A fetch that is there packed and unpacked is taken once; late fetches of after the month belong to it."""
    with Server(Buckets(OBJECTS).answer) as server:
        root = fetch_month(MONTH, PM25, tmp_path / "pm25", services(server.url))
        listings = [r for r in server.requests if "list-type" in r.query]
        assert len(listings) == 2 + 4 and len(server.requests) - len(listings) == 5
        again = len(server.requests)
        fetch_month(MONTH, PM25, root, services(server.url))
        assert len(server.requests) == again + 2
        ozone = fetch_month(MONTH, POLLUTANTS["o3"], tmp_path / "o3", services(server.url))
    table = retrieve_month("local", MONTH, path=root)
    assert table.value.tolist() == [0, 1, 2, 3, 4] and set(table.units) == {"µg/m³"}
    gas = retrieve_month("local", MONTH, path=ozone, pollutant=POLLUTANTS["o3"])
    assert gas.units.tolist() == ["ppm"] and len(gas) == 1


@pytest.mark.real
def test_the_real_day_from_moto(tmp_path, real_samples):
    """Stations, countries and records counted anew, with nothing but gzip and json."""
    files = sorted((real_samples / "openaq_realtime_20180206").glob("*.ndjson.gz"))
    objects = {f"{FETCHES}/realtime-gzipped/2018-02-06/{file.name}": file.read_bytes() for file in files}
    with moto(objects) as url:
        root = fetch_month(MONTH, PM25, tmp_path, services(url))
    table = retrieve_month("local", MONTH, path=root)
    counted = []
    for file in files:
        for line in gzip.decompress(file.read_bytes()).decode().splitlines():
            record = json.loads(line)
            if record["parameter"] == "pm25" and record["date"]["utc"].startswith("2018-02"):
                counted.append((record["country"], record["city"], record["location"], record["value"]))
    assert len(table) == len(counted) == 16346
    assert table.station.nunique() == len({it[:3] for it in counted}) and table.station.nunique() > 1700
    assert set(table.country) == {it[0] for it in counted} and table.country.nunique() == 43
    assert sorted(table.value) == sorted(it[3] for it in counted)
    local = retrieve_month("local", MONTH, path=real_samples / "openaq_realtime_20180206")
    pd.testing.assert_frame_equal(table, local, check_exact=True)


@pytest.mark.parametrize(
    "fault",
    [SLOW_DOWN, Answer(500), lambda answer: Answer(**(vars(answer) | {"cut": 30}))],
)
def test_a_fault_that_passes_and_one_that_stays(tmp_path, fault):
    with Server(Buckets(OBJECTS).answer) as server:
        server.fail("1517900000", fault, times=2)
        fetch_month(MONTH, PM25, tmp_path / "passes", services(server.url))
        server.fail("1517980000", fault)
        with pytest.raises(ServiceError, match="1517980000"):
            fetch_month(MONTH, PM25, tmp_path / "stays", services(server.url))
        names = {path.name for path in (tmp_path / "stays").rglob("*") if path.is_file()}
        assert max(names) == "2018-02-06.ndjson.gz" and all(name[0] != "." for name in names)
        server.faults.clear()
        before = len(server.asked("15178"))
        fetch_month(MONTH, PM25, tmp_path / "stays", services(server.url))
        assert len(server.asked("15178")) == before  # of the day that was done
    one, other = (retrieve_month("local", MONTH, path=tmp_path / name) for name in ("passes", "stays"))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (fetch(at("2018-02-06T09:00:00Z"))[:-5], "truncated or damaged"),
        (b"<!doctype html><html></html>", "page of HTML"),
        (b"", "is empty"),
    ],
    ids=["cut", "html", "empty"],
)
def test_a_broken_fetch_is_named(tmp_path, content, words):
    with Server(Buckets(OBJECTS | {f"{FETCHES}/realtime/2018-02-08/9.ndjson.gz": content}).answer) as server:
        with pytest.raises(DeepcamsError, match=words) as caught:
            fetch_month(MONTH, PM25, tmp_path, services(server.url))
        assert "realtime/2018-02-08/9.ndjson.gz" in str(caught.value)
        assert isinstance(caught.value, LoginNeeded) == ("HTML" in words)
    assert not (tmp_path / "realtime-gzipped" / "2018-02-08" / "2018-02-08.ndjson.gz").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"parameter": "pm25", "val', "JSONDecodeError"),
        (json.dumps(at("never")), "'never' is no time"),
        (json.dumps(at("2018-02-08T01:00:00Z", "much")), "could not convert"),
        (
            json.dumps(at("2018-02-08T01:00:00Z", unit=None) | {"location": "x", "coordinates": "here"}),
            "AttributeError",
        ),
    ],
)
def test_broken_records_are_left_out_and_told(tmp_path, caplog, line, words):
    """A rerun would meet them again."""
    name = "realtime/2018-02-08/9.ndjson"
    content = fetch(at("2018-02-08T00:00:00Z", 8), packed=False) + f"{line}\n".encode()
    with Server(Buckets(OBJECTS | {f"{FETCHES}/{name}": content}).answer) as server:
        fetch_month(MONTH, PM25, tmp_path, services(server.url))
    assert retrieve_month("local", MONTH, path=tmp_path).value.tolist() == [0, 1, 2, 3, 8, 4]
    told = [text for record in caplog.records if "broken at" in (text := record.getMessage())]
    assert len(told) == 1 and "2018-02: lines that are broken at the service and were left out: 1." in told[0]
    assert f"{name}, line 2" in told[0] and words in told[0]


def test_a_month_of_nothing_is_asked_for_again(tmp_path):
    other = {name: content for name, content in OBJECTS.items() if "2018-02-06" in name}
    with Server(Buckets(other).answer) as server:
        for _ in range(2):
            with pytest.raises(DeepcamsError, match=r"holds no PM10"):
                fetch_month(MONTH, POLLUTANTS["pm10"], tmp_path, services(server.url))
        assert len(server.asked("1517900000")) == 2 and not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_bucket_without_the_month(tmp_path):
    with Server(Buckets(OBJECTS).answer) as server:
        with pytest.raises(DeepcamsError, match=r"holds no PM2\.5 in and after 2021-02.*openaq\.source: archive"):
            fetch_month(Month(2021, 2), PM25, tmp_path, services(server.url))
        server.fail("", Answer(200, b"<html><body>Log in</body></html>"))
        with pytest.raises(DeepcamsError, match="lists no day at all"):
            fetch_month(MONTH, PM25, tmp_path / "html", services(server.url))
        assert not (tmp_path / "html").exists()
        server.faults.clear()
        server.fail("", Answer(403, b"<Error><Message>Access Denied</Message></Error>"))
        with pytest.raises(ServiceError, match="403: Access Denied"):
            fetch_month(MONTH, PM25, tmp_path / "closed", services(server.url))
