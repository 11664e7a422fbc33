"""NOAA's weather stations: the format, the humidity, the list of stations, and the server's faults."""

import gzip
import math

import numpy as np
import pandas as pd
import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region
from deepcams.sources.isd import COLUMNS, read_table, relative_humidity, retrieve_month, write_table
from deepcams.sources.services.http import LoginNeeded, ServiceError
from deepcams.sources.services.isd_lite import fetch_month
from tests.standins.isd import Noaa, history, line, station, year_file
from tests.standins.server import Answer, Server

MONTH = Month(2018, 2)
FILE = "isd-lite/2018/724940-23234-2018.gz"
YEAR = year_file(
    line("2018 01 31 23", 50, 40, 10, 10),
    line("2018 02 01 00", 121, 83, 290, 46),
    line("2018 02 01 01", -56, -9999, 0, 0),
    line("2018 02 28 23", 200, 201, 360, 5),
    line("2018 03 01 00", 50, 40, 10, 10),
)
FILES = {"isd-history.csv": history(station()).encode(), FILE: YEAR}


def services(url: str, **changes) -> dict:
    noaa = {"url": f"{url}/pub/data/noaa", "connections": 4, "spacing": 0.0}
    return {"tries": 3, "wait": 0.01, "timeout": 5.0, "patience": 60, "isd_lite": noaa} | changes


def put(root, files) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def test_a_month_from_the_server_is_that_of_a_local_copy(tmp_path):
    put(tmp_path / "copy", FILES)
    with Server(Noaa(FILES).answer) as server:
        root = fetch_month(MONTH, None, tmp_path / "fetched", services(server.url))
        assert len(server.requests) == 2
        fetch_month(MONTH, None, root, services(server.url))
        assert len(server.requests) == 2
    table, local = (retrieve_month("local", MONTH, path=path) for path in (root, tmp_path / "copy"))
    pd.testing.assert_frame_equal(table, local, check_exact=True)
    assert list(table.columns) == COLUMNS and len(table) == 3 and table.time.dtype == "datetime64[s]"
    first = table.iloc[0]
    assert (first.station, first["name"], first.country) == ("724940-23234", "SAN FRANCISCO", "US")
    assert (first.latitude, first.longitude, first.elevation) == (37.62, -122.365, 2.4)
    assert table.time.tolist() == [pd.Timestamp(t) for t in ("2018-02-01T00", "2018-02-01T01", "2018-02-28T23")]
    assert table.temperature.tolist() == [12.1, -5.6, 20.0] and table.wind_direction.tolist() == [290, 0, 360]
    np.testing.assert_array_equal(table.dew_point, [8.3, np.nan, 20.1])
    np.testing.assert_array_equal(table.wind_speed, [4.6, 0.0, 0.5])
    assert np.isnan(table.relative_humidity[1]) and table.relative_humidity[2] == 1.0
    assert len(gzip.decompress((root / FILE).read_bytes()).splitlines()) == 3
    write_table(table, tmp_path / "2018-02.csv.gz")
    text = gzip.decompress((tmp_path / "2018-02.csv.gz").read_bytes()).decode().splitlines()
    assert len(text) == 4 and ",2018-02-01T00:00:00Z,12.1,8.3,0.77" in text[1]


def test_a_table_comes_back_with_its_types(tmp_path):
    put(tmp_path, FILES | {"isd-history.csv": history(station(ctry="NA")).encode()})
    table = retrieve_month("local", MONTH, path=tmp_path)
    assert table.country.tolist() == ["NA"] * 3
    write_table(table, tmp_path / "2018-02.csv.gz")
    pd.testing.assert_frame_equal(read_table(tmp_path / "2018-02.csv.gz"), table, check_exact=True, check_dtype=False)
    write_table(table[:0], tmp_path / "none.csv.gz")
    none = read_table(tmp_path / "none.csv.gz")
    assert none.empty and none.time.dtype == "datetime64[s]" and none.wind_speed.dtype == "float64"


def test_what_is_no_table_of_weather_is_refused(tmp_path):
    put(tmp_path, FILES)
    whole, cut = tmp_path / "whole.csv.gz", tmp_path / "cut.csv.gz"
    write_table(retrieve_month("local", MONTH, path=tmp_path), whole)
    cut.write_bytes(whole.read_bytes()[:-20])
    (tmp_path / "plain.csv.gz").write_bytes(gzip.decompress(whole.read_bytes()))
    for name, text in (("words", b"station\nx\n"), ("time", gzip.decompress(whole.read_bytes()).replace(b"T0", b"x"))):
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(text))
    for name in ("cut", "plain", "words", "time"):
        with pytest.raises(DeepcamsError, match=f"{name}.csv.gz is no whole table of weather"):
            read_table(tmp_path / f"{name}.csv.gz")


def test_relative_humidity():
    """The formula once more, in plain words; and values of the tables of the WMO (Goff-Gratch), to half a percent."""

    def pressure(t):
        return 6.1094 * math.exp(17.625 * t / (243.04 + t))

    pairs = [(12.1, 8.3), (-20.0, -25.0), (40.0, 0.0)]
    expected = [round(pressure(d) / pressure(t), 4) for t, d in pairs]
    assert relative_humidity(*np.array(pairs).T).tolist() == expected
    saturation = {0.0: 6.1078, 10.0: 12.272, 20.0: 23.373, 30.0: 42.430}  # hPa, Smithsonian tables
    for celsius, hectopascal in saturation.items():
        ratio = relative_humidity(np.array([30.0]), np.array([celsius]))[0]
        assert ratio == pytest.approx(hectopascal / saturation[30.0], abs=0.002)


def test_stations_are_chosen_by_time_place_and_region(tmp_path):
    lines = [
        station(),
        station("000001", begin="20180228", end="20180228"),
        station("000002", begin="20180301"),
        station("000003", end="20180131"),
        station("000004", lat="+00.000", lon="+000.000"),
        station("000005", lat="", lon=""),
        station("000006", lat="+99.000"),
        station("000007", begin="", end=""),
        station("000008", lat="-45.000", elev="-0999.0"),
        station("A00001", lat="+37.000", lon="-121.000", name='"QUOTED, ""NAME"'.strip('"')),
    ]
    with Server(Noaa({"isd-history.csv": history(*lines).encode(), FILE: YEAR}).answer) as server:
        fetch_month(MONTH, None, tmp_path / "all", services(server.url))
        asked = {r.path.rpartition("/")[2][:6] for r in server.requests} - {"isd-hi"}
        assert asked == {"724940", "000001", "000008", "A00001"}
        before = len(server.requests)
        fetch_month(MONTH, Region(39.0, -123.0, 36.0, -120.0), tmp_path / "box", services(server.url))
        asked = {r.path.rpartition("/")[2][:6] for r in server.requests[before:]} - {"isd-hi"}
        assert asked == {"724940", "000001", "A00001"}
    assert retrieve_month("local", MONTH, path=tmp_path / "all").station.unique().tolist() == ["724940-23234"]


def test_a_station_without_a_file_is_remembered(tmp_path):
    files = FILES | {"isd-history.csv": history(station(), station("000001")).encode()}
    with Server(Noaa(files).answer) as server:
        for _ in range(2):
            fetch_month(MONTH, None, tmp_path, services(server.url))
        assert len(server.asked("000001")) == 1
    assert retrieve_month("local", MONTH, path=tmp_path).station.nunique() == 1


@pytest.mark.parametrize("year", [None, year_file(line("2018 03 01 00"))], ids=["no file", "other months"])
def test_a_month_of_nothing_is_asked_for_again(tmp_path, year):
    files = {name: content for name, content in FILES.items() if name != FILE} | ({FILE: year} if year else {})
    with Server(Noaa(files).answer) as server:
        with pytest.raises(DeepcamsError, match="has not one observation of 2018-02"):
            fetch_month(MONTH, None, tmp_path, services(server.url))
        assert not any(path.is_file() for path in tmp_path.rglob("*"))
        files[FILE] = YEAR
        fetch_month(MONTH, None, tmp_path, services(server.url))
    assert len(retrieve_month("local", MONTH, path=tmp_path)) == 3


@pytest.mark.parametrize(
    ("files", "region"),
    [
        ({}, Region(39.0, -123.0, 36.0, -120.0)),
        ({FILE: year_file(line("2018 03 01 00"))}, Region(39.0, -123.0, 36.0, -120.0)),
        ({FILE: YEAR}, Region(-30.0, -30.0, -45.0, 0.0)),
    ],
    ids=["no file", "other months", "no station"],
)
def test_a_region_without_observations_is_a_warning_and_an_empty_table(tmp_path, caplog, files, region):
    with Server(Noaa({"isd-history.csv": FILES["isd-history.csv"]} | files).answer) as server:
        fetch_month(MONTH, region, tmp_path, services(server.url))
    table = retrieve_month("local", MONTH, path=tmp_path, region=region)
    assert table.empty and "there is no observation in the region" in caplog.text
    assert table.time.dtype == "datetime64[s]" and table.elevation.dtype == "float64"
    write_table(table, tmp_path / "2018-02.csv.gz")
    assert gzip.decompress((tmp_path / "2018-02.csv.gz").read_bytes()).decode() == ",".join(COLUMNS) + "\n"


def test_a_copy_without_the_year_is_an_error(tmp_path):
    put(tmp_path, {"isd-history.csv": FILES["isd-history.csv"]})
    with pytest.raises(DeepcamsError, match="not one observation of 2018-02"):
        retrieve_month("local", MONTH, path=tmp_path, region=Region(39.0, -123.0, 36.0, -120.0))


def changed(**changes):
    return lambda answer: Answer(**(vars(answer) | changes))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Answer(500), "answered 500, 3 times"),
        (Answer(503, headers={"Retry-After": "0"}), "answered 503, 3 times"),
        (Answer(429), "answered 429, 3 times"),
        (changed(cut=30, ranges=False), "cut the connection|of 1?[0-9]+ bytes"),
        (changed(body=YEAR[:-12], ranges=False), "sent a damaged file .*truncated or damaged.*3 times"),
        (
            changed(body=gzip.compress(b"no data\n", mtime=0)),
            "sent a damaged file .*line 1: not a line of ISD-lite.*3 times",
        ),
        (changed(delay=0.6), "did not answer within 0.3 s, 3 times"),
    ],
)
def test_faults_that_pass_and_that_stay(tmp_path, fault, words):
    timeout = 0.3 if "0.3" in words else 5.0
    with Server(Noaa(FILES).answer) as server:
        server.fail("724940", fault, times=2)
        fetch_month(MONTH, None, tmp_path / "passes", services(server.url, timeout=timeout))
        server.faults.clear()
        server.fail("724940", fault)
        with pytest.raises(ServiceError, match=words) as caught:
            fetch_month(MONTH, None, tmp_path / "stays", services(server.url, timeout=timeout))
        assert "\n" not in str(caught.value)
        assert [path.name for path in (tmp_path / "stays").rglob("*") if path.is_file()] == ["isd-history.csv"]
        server.faults.clear()
        fetch_month(MONTH, None, tmp_path / "stays", services(server.url))
    for name in ("passes", "stays"):
        assert len(retrieve_month("local", MONTH, path=tmp_path / name)) == 3


@pytest.mark.parametrize(
    ("pattern", "fault", "words"),
    [
        ("history", Answer(200, b"a,b\n1,2\n"), "is not NOAA's list of stations"),
        ("history", Answer(200, b"<!doctype html><html></html>"), "is not NOAA's list of stations|page of HTML"),
        ("history", Answer(404), "404"),
        ("724940", Answer(403), "403"),
        ("724940", Answer(200, b"<!doctype html><html></html>"), "page of HTML"),
    ],
)
def test_refusals_are_asked_once(tmp_path, pattern, fault, words):
    with Server(Noaa(FILES).answer) as server:
        server.fail(pattern, fault)
        with pytest.raises(DeepcamsError, match=words) as caught:
            fetch_month(MONTH, None, tmp_path, services(server.url))
        assert len(server.asked(pattern)) == 1
        assert not (tmp_path / FILE).exists() and (pattern == "724940" or not list(tmp_path.iterdir()))
        if pattern == "724940" and fault.status == 200:
            assert isinstance(caught.value, LoginNeeded)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "isd-history.csv cannot be read"),
        (FILES | {FILE: YEAR[:-9]}, "2018.gz is truncated or damaged"),
        (FILES | {FILE: b""}, "2018.gz is empty"),
        (FILES | {FILE: year_file(line("2018 02 01 00").replace("-9999", "-99x9", 1))}, "something else than numbers"),
        (FILES | {FILE: year_file(line("2018 02 01 00") + " ")}, "line 1: not a line of ISD-lite"),
        (FILES | {FILE: year_file(line("2018 03 01 00"))}, "not one observation of 2018-02"),
    ],
)
def test_broken_local_files_are_named(tmp_path, files, words):
    put(tmp_path, files)
    with pytest.raises(DeepcamsError, match=words):
        retrieve_month("local", MONTH, path=tmp_path)
    with pytest.raises(DeepcamsError, match="not a kind of local files"):
        retrieve_month("isd_lite", MONTH, path=tmp_path)


def test_requests_keep_their_distance(tmp_path):
    lines = [station(f"00000{n}") for n in range(1, 4)]
    files = {"isd-history.csv": history(*lines).encode()} | {
        f"isd-lite/2018/00000{n}-23234-2018.gz": YEAR for n in (1, 2, 3)
    }
    with Server(Noaa(files).answer) as server:
        settings = services(server.url)
        settings["isd_lite"]["spacing"] = 0.1
        fetch_month(MONTH, None, tmp_path, settings)
        steps = np.diff(sorted(r.time for r in server.requests))
    assert len(steps) == 3 and steps.min() > 0.08
