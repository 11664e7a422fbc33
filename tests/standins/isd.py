"""NOAA's server of weather stations on loopback: isd-history.csv and isd-lite/{year}/."""

import gzip

from tests.standins.server import Answer, Request

HISTORY = '"USAF","WBAN","STATION NAME","CTRY","STATE","ICAO","LAT","LON","ELEV(M)","BEGIN","END"'


def station(usaf="724940", wban="23234", name="SAN FRANCISCO", lat="+37.620", lon="-122.365", **changes) -> str:
    """A line of the list of stations."""
    row = {
        "ctry": "US",
        "state": "CA",
        "icao": "KSFO",
        "elev": "+0002.4",
        "begin": "19730101",
        "end": "20200101",
    } | changes
    cells = [usaf, wban, name, row["ctry"], row["state"], row["icao"], lat, lon, row["elev"], row["begin"], row["end"]]
    return ",".join(f'"{cell}"' for cell in cells)


def history(*stations: str) -> str:
    return "\n".join([HISTORY, *stations]) + "\n"


def line(stamp: str, temperature=-9999, dew_point=-9999, direction=-9999, speed=-9999) -> str:
    """A line of a year's file. stamp : "2018 01 01 00"; integers as there, tenths."""
    values = (temperature, dew_point, -9999, direction, speed, -9999, -9999, -9999)
    return stamp + "".join(f"{value:6d}" for value in values)


def year_file(*lines: str) -> bytes:
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


class Noaa:
    """files : path below the address → content. `answer` is for Server."""

    def __init__(self, files: dict[str, bytes]):
        self.files = files

    def answer(self, request: Request) -> Answer:
        content = self.files.get(request.path.removeprefix("/pub/data/noaa/"))
        if content is None:
            return Answer(404, b"<!DOCTYPE HTML><html><h1>Not Found</h1></html>", {"Content-Type": "text/html"})
        return Answer(200, content, ranges=True)
