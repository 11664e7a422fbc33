"""Texts of services and of anybody: tables of stations, records, lists, weather."""

import gzip
import json
from pathlib import Path

import pandas as pd

from deepcams.calendar import Month
from deepcams.fusion.observations import with_cities
from deepcams.sources import isd, openaq, stations
from deepcams.sources.station_files import read_stations
from tests.fuzz.bombs import texts
from tests.fuzz.mutations import damaged, in_gzip, in_json
from tests.fuzz.reader import Reader
from tests.standins.isd import history, line, station, year_file
from tests.standins.openaq import day_file
from tests.unit.test_openaq import metadata

MONTH = Month(2018, 2)


def _table(folder: Path) -> list[bytes]:
    (folder / "day.csv.gz").write_bytes(day_file(5, "2018-02-10"))
    stations.write_table(read_stations([folder / "day.csv.gz"]), folder / "table.csv.gz")
    return [(folder / "table.csv.gz").read_bytes()]


_PLAIN = (
    "station;city;lat;lon;time;PM2.5 (µg/m³)\nA1;Köln;50.9;6.9;2018-02-01T01:00:00Z;12.5\n"
    'A1;Köln;50.9;6.9;2018-02-01T02:00:00Z;13\n"B ""2""";;51;7;2018-02-01T01:00:00+01:00;\n'
)


def _plain(_) -> list[bytes]:
    return [_PLAIN.encode(), gzip.compress(_PLAIN.encode())]


def _fetches(folder: Path) -> list[bytes]:
    record = {
        "date": {"utc": "2018-02-06T01:00:00.000Z", "local": "2018-02-06T02:00:00+01:00"}, "parameter": "pm25",
        "value": 12.5, "unit": "µg/m³", "averagingPeriod": {"value": 1, "unit": "hours"}, "location": "Here",
        "city": "There", "country": "DE", "coordinates": {"latitude": 50.0, "longitude": 7.0}, "sourceName": "x",
        "sourceType": "government", "mobile": False,
    }  # fmt: skip
    return [json.dumps(record).encode() + b"\n"]


def _archive(folder: Path) -> list[bytes]:
    return [day_file(5, "2018-02-10"), json.dumps({"results": [metadata(5)]}).encode()]


def _read_archive(path: Path, day: bytes | None = None, locations: bytes | None = None) -> None:
    """A copy of the archive with a hostile day, or a hostile list of locations."""
    good = _archive(path)
    file = path.parent / "archive/records/csv.gz/locationid=5/year=2018/month=02/location-5-20180210.csv.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(good[0] if day is None else day)
    (path.parent / "archive/locations.json").write_bytes(good[1] if locations is None else locations)
    openaq.retrieve_month("local", MONTH, path=path.parent / "archive")


def _weather_stations(folder: Path) -> list[bytes]:
    stamps = [f"2018 02 01 {hour:02d}" for hour in range(24)]
    return [year_file(*(line(stamp, 121, 83, 290, 46) for stamp in stamps)), history(station(), station("1")).encode()]


def _read_weather(path: Path, year: bytes | None = None, places: bytes | None = None) -> None:
    """A copy of NOAA's server with a hostile station, or a hostile list of stations."""
    good = _weather_stations(path)
    file = path.parent / "noaa/isd-lite/2018/724940-23234-2018.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(good[0] if year is None else year)
    (path.parent / "noaa/isd-history.csv").write_bytes(good[1] if places is None else places)
    isd.retrieve_month("local", MONTH, path=path.parent / "noaa")


def _weather_table(folder: Path) -> list[bytes]:
    _read_weather(folder / "file")
    isd.write_table(isd.retrieve_month("local", MONTH, path=folder / "noaa"), folder / "weather.csv.gz")
    return [(folder / "weather.csv.gz").read_bytes()]


def _read_cities(path: Path, _) -> None:
    with_cities(pd.DataFrame({"station": ["A1"]}), [path])


def _any(path: Path, _) -> None:
    read_stations([path])


def _day(path: Path, _) -> None:
    _read_archive(path, day=path.read_bytes())


def _locations(path: Path, _) -> None:
    _read_archive(path, locations=path.read_bytes())


def _year(path: Path, _) -> None:
    _read_weather(path, year=path.read_bytes())


def _places(path: Path, _) -> None:
    _read_weather(path, places=path.read_bytes())


GZIP, JSON = (damaged, in_gzip, in_gzip), (damaged, in_json, in_json)
READERS = {
    "stations, own table": Reader(_table, lambda path, _: stations.read_table(path), GZIP, texts),
    "stations, plain table": Reader(_plain, _any, bombs=texts, packed=True),
    "stations, any file": Reader(lambda it: _table(it) + _fetches(it) + _archive(it)[:1], _any, bombs=texts),
    "stations, cities": Reader(_plain, _read_cities, bombs=texts, packed=True),
    "OpenAQ, archive": Reader(
        lambda it: _archive(it)[:1],
        _day,
        GZIP,
        texts,
        told=(
            "location-5-20180210.csv.gz",
            "within/archive.",
        ),
        packed=True,
    ),
    "OpenAQ, locations": Reader(lambda it: _archive(it)[1:], _locations, JSON, texts, told=("locations.json",)),
    "OpenAQ, fetches": Reader(_fetches, _any, JSON, texts, packed=True),
    "ISD-lite, year": Reader(
        lambda it: _weather_stations(it)[:1], _year, GZIP, texts, told=("724940-23234-2018.gz",), packed=True
    ),
    "ISD-lite, stations": Reader(lambda it: _weather_stations(it)[1:], _places, bombs=texts, told=("isd-history.csv",)),
    "ISD-lite, own table": Reader(_weather_table, lambda path, _: isd.read_table(path), GZIP, texts),
}
