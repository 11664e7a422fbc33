"""Fetching a month of OpenAQ's archive with the real client, from moto and from a bucket on loopback."""

import gzip
import json
import logging

import numpy as np
import pandas as pd
import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, Region
from deepcams.pollutants import PM25, POLLUTANTS
from deepcams.sources.nature_run.stations import make_stations, write_day, write_locations
from deepcams.sources.openaq import link_month, retrieve_month, write_table
from deepcams.sources.services.archive import fetch_month
from tests.standins.openaq import ARCHIVE, Api, Buckets, day_file, day_key, files_below, moto, nature_run
from tests.standins.server import Server

MONTH = Month(2018, 2)
DAYS = [f"2018-01-{day:02d}" for day in (30, 31)] + [f"2018-02-{day:02d}" for day in range(1, 29)] + ["2018-03-01"]
KEY = "a" * 60 + "0123"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAQ_API_KEY", raising=False)


def services(bucket: str, api: str = "http://127.0.0.1:9/v3", **changes) -> dict:
    return {
        "tries": 3,
        "wait": 0.01,
        "timeout": 5.0,
        "patience": 60,
        "archive": {"url": bucket, "connections": 16},
        "api": {"url": api},
    } | changes


def location(number: int, **changes) -> dict:
    sensors = [
        {
            "id": 10 * number,
            "name": "pm25 µg/m³",
            "parameter": {"id": 2, "name": "pm25", "units": "µg/m³"},
            # Of values of half an hour; the expected interval is an hour for them, too.
            "coverage": {
                "expectedCount": 1, "expectedInterval": "01:00:00", "observedCount": 66563,
                "observedInterval": "33281:30:00",
            },
        },
        {"id": 10 * number + 1, "name": "o3 ppm", "parameter": {"id": 10, "name": "o3", "units": "ppm"}},
    ]  # fmt: skip
    return {
        "id": number,
        "name": f"Place {number}",
        "timezone": "Asia/Kolkata",
        "country": {"id": 9, "code": "IN", "name": "India"},
        "provider": {"id": 168, "name": "CPCB"},
        "isMobile": False,
        "isMonitor": True,
        "sensors": sensors,
        "coordinates": {"latitude": 28.67, "longitude": 77.13},
        "datetimeFirst": {"utc": "2017-01-01T00:00:00Z"},
        "datetimeLast": {"utc": "2021-01-01T00:00:00Z"},
    } | changes


def archive(*numbers: int, days=DAYS, **changes) -> dict[str, bytes]:
    return {day_key(number, day): day_file(number, day, **changes) for number in numbers for day in days}


def put(objects: dict[str, bytes], root) -> None:
    """The same files as a local copy."""
    for name, content in objects.items():
        path = root / name.partition("/")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def fetched(folder, settings, pollutant=PM25, region=None, month=MONTH) -> pd.DataFrame:
    root = fetch_month(month, pollutant, region, folder, settings)
    return retrieve_month("local", month, path=root, region=region, pollutant=pollutant)


def test_a_month_from_moto_is_that_of_a_local_copy(tmp_path, monkeypatch):
    """Stations of three time zones, one that begins on the day after the month, and one of other months only."""
    objects = archive(5, days=["2018-02-01", "2018-02-10", "2018-02-28"])
    objects |= archive(52, offset="+05:30") | archive(17, offset="-07:00", parameter="o3")
    objects |= archive(8, days=["2018-03-01"], offset="+12:00") | archive(9, days=["2017-02-10", "2018-03-02"])
    put(objects, tmp_path / "copy")
    stations = [location(number) for number in (5, 8, 9, 17, 52)]
    (tmp_path / "copy" / "locations.json").write_text(json.dumps({"results": stations}))
    local = retrieve_month("local", MONTH, path=tmp_path / "copy")
    assert set(local.station) == {"5", "52", "8"} and (local.averaging_hours == 0.5).all()
    with moto(objects) as url, Server(Api(stations, KEY).answer) as api:
        monkeypatch.setenv("OPENAQ_API_KEY", KEY)
        table = fetched(tmp_path / "with", services(url, f"{api.url}/v3"))
        monkeypatch.delenv("OPENAQ_API_KEY")
        bare = fetched(tmp_path / "without", services(url))
    pd.testing.assert_frame_equal(table, local, check_exact=True)
    same = ["station", "latitude", "longitude", "time", "value", "units"]
    pd.testing.assert_frame_equal(bare[same], local[same], check_exact=True)
    assert set(bare.provider) == {""} and bare.reference_grade.isna().all() and bare.name[0] == "Station-5"
    ozone = retrieve_month("local", MONTH, path=tmp_path / "copy", pollutant=POLLUTANTS["o3"])
    assert set(ozone.station) == {"17"}


def test_the_nature_runs_stations_come_through_moto_and_the_api(tmp_path, monkeypatch):
    grid = Grid(np.arange(60, 44.9, -0.25), np.arange(0, 15.1, 0.25), 0.25)
    stations = make_stations(1, 4, grid)
    write_locations(tmp_path / "run" / "locations.json", stations, "SYNTHETIC")
    for station in stations:
        for day in np.arange("2019-11-29", "2019-12-04", dtype="datetime64[D]"):
            write_day(tmp_path / "run", station, day, np.full(24, 20.0), 1)
    month = Month(2019, 12)
    monkeypatch.setenv("OPENAQ_API_KEY", KEY)
    with nature_run(tmp_path / "run", KEY) as (bucket, api):
        table = fetched(tmp_path / "out", services(bucket, api), month=month)
    objects = {f"{ARCHIVE}/{name}": content for name, content in files_below(tmp_path / "run", "records").items()}
    monkeypatch.delenv("OPENAQ_API_KEY")
    with moto(objects) as url:
        again = fetched(tmp_path / "again", services(url), month=month)
    local = retrieve_month("nature_run", month, path=tmp_path / "run")
    pd.testing.assert_frame_equal(table, local, check_exact=True)
    assert len(again) == len(local) > 100 and again.value.tolist() == local.value.tolist()


def test_a_station_costs_a_listing_and_its_files(tmp_path):
    objects = archive(5, 6, days=DAYS[1:4]) | archive(7, days=["2019-06-01"])
    with Server(Buckets(objects).answer) as server:
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
        assert len(server.asked("list-type")) == 0  # of paths alone
        listings = [r for r in server.requests if "list-type" in r.query]
        assert len(listings) == 1 + 3 and len(server.requests) - len(listings) == 2 * (3 + 1) + 2
        assert server.most_at_once <= 16
        before = len(server.requests)
        fetch_month(MONTH, PM25, None, tmp_path, services(server.url))
        assert len(server.requests) == before + 1  # the list of stations alone


def test_no_more_requests_at_once_than_configured(tmp_path):
    with Server(Buckets(archive(*range(1, 7), days=DAYS[1:9])).answer) as server:
        server.fail("", lambda answer: answer.__class__(**(vars(answer) | {"delay": 0.01})))
        settings = services(server.url) | {"archive": {"url": server.url, "connections": 3}}
        fetch_month(MONTH, PM25, None, tmp_path, settings)
        assert server.most_at_once == 3


def test_stations_that_did_not_measure_then_are_not_asked_for(tmp_path, monkeypatch):
    stations = [
        location(1),
        location(2, datetimeFirst={"utc": "2018-03-05T00:00:00Z"}),
        location(3, datetimeLast={"utc": "2018-01-20T00:00:00Z"}),
        location(4, datetimeFirst=None, datetimeLast=None),
        location(5, coordinates={"latitude": -30.0, "longitude": 77.0}),
        location(6, sensors=location(6)["sensors"][1:]),
    ]
    monkeypatch.setenv("OPENAQ_API_KEY", KEY)
    box = Region(30.0, 75.0, 27.0, 78.0)
    with Server(Buckets(archive(*range(1, 7))).answer) as bucket, Server(Api(stations, KEY).answer) as api:
        table = fetched(tmp_path, services(bucket.url, f"{api.url}/v3"), region=box)
        asked = {r.path.split("locationid%3D")[1].split("/")[0] for r in bucket.asked("locationid")}
    assert asked == {"1", "4"} and set(table.station) == {"1", "4"}


def test_without_a_key_the_first_and_the_last_file_tell_that_a_station_is_elsewhere(tmp_path, caplog):
    objects = archive(1) | archive(2, lat=-33.9, lon=151.2) | archive(3, lat="", lon="")
    moving = [day_file(4, day, lat=28.0 + n / 100) for n, day in enumerate(DAYS)]
    objects |= {day_key(4, day): content for day, content in zip(DAYS, moving, strict=True)}
    with caplog.at_level(logging.WARNING), Server(Buckets(objects).answer) as server:
        table = fetched(tmp_path, services(server.url), region=Region(30.0, 75.0, 27.0, 78.0))
        asked = [r.path.split("locationid%3D")[1].split("/")[0] for r in server.asked("locationid")]
    assert set(table.station) == {"1", "4"}
    assert {number: asked.count(number) for number in "1234"} == {"1": 30, "2": 4, "3": 30, "4": 30}
    assert "No key for OpenAQ's API (OPENAQ_API_KEY)" in caplog.text


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("place", [(0.0, 0.0), (77.13, 77.13), (95.0, 10.0), (-33.9, 151.2)])
def test_without_a_key_the_wrong_place_of_one_day_does_not_lose_the_month(tmp_path, place, first):
    """At its beginning or at its end: nowhere, both coordinates alike, off the Earth, or another city."""
    objects = archive(1, days=DAYS[2:30])
    day = DAYS[2] if first else DAYS[29]
    objects[day_key(1, day)] = day_file(1, day, lat=place[0], lon=place[1])
    with Server(Buckets(objects).answer) as server:
        table = fetched(tmp_path, services(server.url), region=Region(30.0, 75.0, 27.0, 78.0))
    assert len(table) == 27 * 24


@pytest.mark.parametrize("place", [(0.0, 0.0), (77.13, 77.13)])
def test_an_impossible_place_in_the_metadata_tells_nothing(tmp_path, monkeypatch, place):
    """A list of before, in which the place was wrong; the files have it right."""
    monkeypatch.setenv("OPENAQ_API_KEY", KEY)
    there = location(1, coordinates=dict(zip(("latitude", "longitude"), place, strict=True)))
    (tmp_path / "locations.json").write_text(json.dumps([there]))
    with Server(Buckets(archive(1, days=DAYS[3:5])).answer) as server:
        table = fetched(tmp_path, services(server.url), region=Region(30.0, 75.0, 27.0, 78.0))
    assert len(table) == 48


@pytest.mark.parametrize(
    "stations",
    [[], [location(1)], [location(1, datetimeLast={"utc": "2017-01-20T00:00:00Z"})]],
    ids=["no station", "a station without files", "a station of before"],
)
def test_with_a_key_a_region_without_measurements_is_a_warning_and_an_empty_table(
    tmp_path, monkeypatch, caplog, stations
):
    monkeypatch.setenv("OPENAQ_API_KEY", KEY)
    elsewhere = archive(7, lat=-33.9, lon=151.2)
    with Server(Buckets(elsewhere).answer) as bucket, Server(Api(stations, KEY).answer) as api:
        table = fetched(tmp_path, services(bucket.url, f"{api.url}/v3"), region=Region(30.0, 75.0, 27.0, 78.0))
    assert table.empty and "there is no PM2.5 measurement in the region" in caplog.text


@pytest.mark.parametrize("with_key", [True, False])
def test_a_month_of_nothing_is_asked_for_again(tmp_path, monkeypatch, with_key):
    """It was too early: only the month before is there. Later the same folder must not say so still."""
    objects, stations = archive(5, days=["2018-01-30", "2018-01-31"]), [location(5)]
    if with_key:
        monkeypatch.setenv("OPENAQ_API_KEY", KEY)
    with Server(Buckets(objects).answer) as bucket, Server(Api(stations, KEY).answer) as api:
        settings = services(bucket.url, f"{api.url}/v3")
        with pytest.raises(DeepcamsError, match=r"has not one PM2\.5 measurement of 2018-02"):
            fetch_month(MONTH, PM25, None, tmp_path, settings)
        assert not any(path.is_file() for path in tmp_path.rglob("*"))
        objects |= archive(5, 6)
        stations.append(location(6))
        assert len(fetched(tmp_path, settings)) == 2 * 28 * 24


def test_old_columns_are_read_and_nothing_is_corrected(tmp_path):
    header = ["location_id", "sensor_id", "location", "datetime", "lat", "lon", "parameter", "unit", "value"]
    values = [-999.0, -999.0, 0.0, 985.0, "", 1 / 3]
    objects = {day_key(5, "2018-02-10"): day_file(5, "2018-02-10", values=values, header=header, units="ppm")}
    double = gzip.decompress(day_file(5, "2018-02-11", values=[7.0])).decode().splitlines()
    objects[day_key(5, "2018-02-11")] = gzip.compress("\r\n".join([*double, double[1]]).encode())
    objects |= {day_key(5, "2018-02-12"): day_file(5, "2018-02-12", parameter="pm10")}
    with Server(Buckets(objects).answer) as server:
        table = fetched(tmp_path, services(server.url))
    np.testing.assert_array_equal(table.value, [-999, -999, 0, 985, np.nan, 1 / 3, 7, 7])
    assert table.units.tolist() == ["ppm"] * 6 + ["µg/m³"] * 2
    one = tmp_path / "records" / "csv.gz" / "locationid=5" / "location-5-2018-02.csv.gz"
    text = gzip.decompress(one.read_bytes()).decode()
    assert text.startswith("location_id,sensors_id,") and "pm10" not in text and len(text.splitlines()) == 9


def test_gases_are_read_by_their_names_in_their_own_units(tmp_path):
    ozone, objects = POLLUTANTS["o3"], archive(5, days=DAYS[2:5])
    for day in DAYS[2:5]:
        objects[day_key(6, day)] = day_file(6, day, parameter="o3", units="ppm", values=[0.031, 0.029])
    with Server(Buckets(objects).answer) as server:
        table = fetched(tmp_path, services(server.url), ozone)
    assert set(table.units) == {"ppm"} and table.value.tolist() == [0.031, 0.029] * 3 and len(table) == 6


def test_a_month_without_the_pollutant_is_an_error(tmp_path):
    with (
        Server(Buckets(archive(5, parameter="pm10")).answer) as server,
        pytest.raises(DeepcamsError, match=r"one PM2\.5"),
    ):
        fetched(tmp_path, services(server.url))


def test_more_stations_than_a_listing_holds(tmp_path):
    """25 pages of prefixes in reality; here 1,001 stations, so two."""
    objects = archive(*range(1, 1002), days=["2017-06-01"]) | archive(1001, days=DAYS[:4])
    from deepcams.sources.services.bucket import Bucket, run

    async def names() -> list[str]:
        return await Bucket(ARCHIVE, "it", services(server.url)).folders("records/csv.gz")

    with Server(Buckets(objects).answer) as server:
        assert len(set(run(names()))) == 1001 and len(server.requests) == 2


def test_the_workflows_own_table_is_linked(tmp_path):
    with Server(Buckets(archive(5)).answer) as server:
        table = fetched(tmp_path / "fetched", services(server.url))
    own = tmp_path / "own" / "2018-02.csv.gz"
    write_table(table, own)
    out = tmp_path / "out" / "2018-02.csv.gz"
    assert not link_month(Month(2018, 3), own.parent, out)
    assert not link_month(MONTH, own.parent, out, Region(60.0, 0.0, 45.0, 15.0)) and not out.exists()
    assert link_month(MONTH, own.parent, out, Region(30.0, 75.0, 27.0, 78.0)) and out.is_symlink()
    pd.testing.assert_frame_equal(retrieve_month("local", MONTH, path=own.parent), table)
    own.rename(own.with_name("2018-03.csv.gz"))
    with pytest.raises(DeepcamsError, match="of other months than 2018-03"):
        link_month(Month(2018, 3), own.parent, out)
    own.write_bytes(b"no table")
    with pytest.raises(DeepcamsError, match="no whole table"):
        link_month(MONTH, own.parent, out)
