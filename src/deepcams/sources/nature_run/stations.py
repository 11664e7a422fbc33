"""Synthetic stations of the nature run, with the faults of real ones, in the layout of OpenAQ's public archive.

A station sees its cell's hourly mean, times a factor of its own (how representative it is), plus noise; its file has
gaps, codes for "no value" (-999, 985), stuck runs, repeated rows and times with the local offset. Everything depends on
the seed, the station and the day alone, never on the month or on which days were simulated.
"""

import gzip
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcams.files.atomic import write_text
from deepcams.geography import load as geography
from deepcams.grid.nodes import FINE_STEP, Grid

HEADER = "location_id,sensors_id,location,datetime,lat,lon,parameter,units,value"
FIRST_ID = 9_000_001  # far above OpenAQ's own numbers
PROVIDERS = ("AirNow", "EEA", "CPCB", "caaqm", "StateAir_Synthetic", "AirGradient")


@dataclass(frozen=True)
class Station:
    """A synthetic station; `row` and `column` are the fine node it stands for."""

    number: int
    name: str
    country: str
    country_name: str
    latitude: float
    longitude: float
    timezone: str
    offset_minutes: int
    provider: str
    reference_grade: bool
    factor: float  # representativeness: station over cell mean
    row: int
    column: int

    @property
    def folder(self) -> str:
        """Its folder in the archive."""
        return f"records/csv.gz/locationid={self.number}"


def make_stations(seed: int, count: int, grid: Grid) -> list[Station]:
    """Place `count` stations on the land of `grid` (fine nodes): near cities, the larger the more, or among people.

    One in twelve repeats another one under a second provider; one in six is a low-cost sensor.
    """
    generator = np.random.default_rng([seed, 404])
    land = geography.land_mask(grid)
    people = geography.population(grid).astype(np.float64) ** 0.6 * land
    weight = (people if people.sum() > 0 else np.ones(grid.shape)).ravel()
    weight = weight / weight.sum()
    cities = [c for c in geography.cities() if _inside(c.latitude, c.longitude, grid)]
    stations: list[Station] = []
    for n in range(count):
        number = FIRST_ID + n
        if n % 12 == 11:
            twin = stations[-1 - int(generator.integers(min(5, len(stations))))]
            stations.append(_changed(twin, number, "StateAir_Synthetic"))
            continue
        if cities and generator.random() < 0.6:
            odds = np.array([c.weight for c in cities]) ** 0.5
            city = cities[generator.choice(len(cities), p=odds / odds.sum())]
            lat = float(np.clip(city.latitude + 0.25 * generator.standard_normal(), *_limits(grid.latitude)))
            lon = _into(city.longitude, grid) + 0.25 * generator.standard_normal()
            lon = float(np.clip(lon, *_limits(grid.longitude)))
        else:
            i, j = divmod(int(generator.choice(weight.size, p=weight)), grid.shape[1])
            lat = float(np.clip(grid.latitude[i] + 0.12 * (2 * generator.random() - 1), *_limits(grid.latitude)))
            lon = float(np.clip(grid.longitude[j] + 0.12 * (2 * generator.random() - 1), *_limits(grid.longitude)))
        stations.append(_station(number, lat, lon, grid, generator))
    return stations


def _station(number: int, lat: float, lon: float, grid: Grid, generator: np.random.Generator) -> Station:
    lat = round(lat, 4)
    row = min(round((grid.latitude[0] - lat) / FINE_STEP), grid.shape[0] - 1)
    column = min(round((lon - grid.longitude[0]) / FINE_STEP), grid.shape[1] - 1)
    lon = round((lon + 180) % 360 - 180, 4)
    country = geography.country_of(lat, lon)
    near = [c for c in geography.cities() if country and c.country == country.code] or list(geography.cities())
    city = min(near, key=lambda c: (c.latitude - lat) ** 2 + ((c.longitude - lon + 180) % 360 - 180) ** 2)
    low_cost = generator.random() < 1 / 6
    return Station(
        number,
        f"SYNTHETIC {city.name} {number - FIRST_ID + 1}",
        country.code if country else city.country,
        country.name if country else city.country,
        lat,
        lon,
        city.timezone,
        city.utc_offset_minutes,
        "AirGradient" if low_cost else PROVIDERS[int(generator.integers(4))],
        not low_cost,
        float(np.exp((0.3 if low_cost else 0.18) * generator.standard_normal())),
        row,
        column,
    )


def _changed(twin: Station, number: int, provider: str) -> Station:
    fields = {
        **twin.__dict__,
        "number": number,
        "provider": provider,
        "name": f"SYNTHETIC Embassy {number - FIRST_ID + 1}",
    }
    return Station(**fields)


def write_locations(path: Path, stations: list[Station], label: str) -> None:
    """Write the list of stations as the API's /v3/locations gives it."""
    results = [
        {
            "id": s.number,
            "name": s.name,
            "locality": None,
            "timezone": s.timezone,
            "country": {"id": None, "code": s.country, "name": s.country_name},
            "owner": {"id": 1, "name": "SYNTHETIC"},
            "provider": {"id": 1, "name": s.provider},
            "isMobile": False,
            "isMonitor": s.reference_grade,
            "instruments": [],
            "sensors": [
                {
                    "id": 10 * s.number + 1,
                    "name": "pm25 µg/m³",
                    "parameter": {"id": 2, "name": "pm25", "units": "µg/m³", "displayName": "PM2.5"},
                }
            ],
            "coordinates": {"latitude": s.latitude, "longitude": s.longitude},
            "licenses": None,
            "bounds": [s.longitude, s.latitude, s.longitude, s.latitude],
            "distance": None,
            "datetimeFirst": None,
            "datetimeLast": None,
        }
        for s in stations
    ]
    meta = {"name": "openaq-api", "website": "/", "page": 1, "limit": 1000, "found": len(results), "synthetic": label}
    write_text(path, json.dumps({"meta": meta, "results": results}, ensure_ascii=False, indent=1) + "\n")


def write_day(root: Path, station: Station, day: np.datetime64, means: np.ndarray, seed: int) -> Path | None:
    """Write a station's file of one local day; None if that day is missing altogether.

    day : datetime64[D], local.  means : (24,) ug m-3, the cell's means over the hours that end at 01:00 … 24:00 local.
    """
    generator = np.random.default_rng([seed, station.number, int(day.astype(int)) + 100_000])
    values = means * station.factor
    values = values * np.exp((0.10 if station.reference_grade else 0.22) * generator.standard_normal(24))
    values = np.maximum(values + 0.8 * generator.standard_normal(24), 0.0).round(1)
    keep = np.ones(24, bool)
    draw = generator.random(7)
    start, length = int(generator.integers(24)), int(generator.integers(2, 10))
    if draw[0] < 0.03:
        return None
    if draw[1] < 0.15:
        keep[start : start + length] = False
    if draw[2] < 0.05:
        values[(start + 5) % 24 : (start + 5) % 24 + length] = -999
    if draw[3] < 0.04:
        values[(start + 11) % 24] = 985
    if draw[4] < 0.03:
        first = int(generator.integers(0, 14))
        values[first : first + 9] = values[first]
    if draw[5] < 0.02:
        values[(start + 17) % 24] = -1
    rows = [n for n in range(24) if keep[n]]
    if draw[6] < 0.04:
        rows += rows[:3]  # sent twice
    sign = "+" if station.offset_minutes >= 0 else "-"
    offset = f"{sign}{abs(station.offset_minutes) // 60:02d}:{abs(station.offset_minutes) % 60:02d}"
    lines = [",".join(f'"{name}"' for name in HEADER.split(","))]
    stamps = (day.astype("datetime64[s]") + np.arange(1, 25) * np.timedelta64(1, "h")).astype(str)
    sensor, place = 10 * station.number + 1, f"{station.name}-{station.number}"
    tail = f'{station.latitude},{station.longitude},"pm25","µg/m³"'
    lines += [f'{station.number},{sensor},"{place}","{stamps[n]}{offset}",{tail},{values[n]:g}' for n in rows]
    year, month, number = str(day)[:4], str(day)[5:7], str(day).replace("-", "")
    path = root / station.folder / f"year={year}" / f"month={month}" / f"location-{station.number}-{number}.csv.gz"
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=4) as stream:
        stream.write(("\r\n".join(lines) + "\r\n").encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_bytes(packed.getvalue())
    os.replace(temporary, path)  # the caller flushes all files of the month at once
    return path


def _limits(axis: np.ndarray) -> tuple[float, float]:
    return float(axis.min()), float(axis.max())


def _into(lon: float, grid: Grid) -> float:
    """A longitude on the turn of the grid."""
    return float(grid.longitude[0] + (lon - grid.longitude[0]) % 360)


def _inside(lat: float, lon: float, grid: Grid) -> bool:
    return grid.latitude[-1] <= lat <= grid.latitude[0] and _into(lon, grid) <= grid.longitude[-1]
