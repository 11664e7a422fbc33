"""Synthetic weather stations of the nature run, in the layout of NOAA's ISD-lite: isd-history.csv, isd-lite/{year}/.

A station sees its cell's weather with a small error of its own. Some report every third hour only; days, hours and
single values are missing. Everything depends on the seed, the station and the day alone. Each month has a folder of its
own, so that months may be made and made again without regard to one another: its year's files hold that month alone.
"""

import gzip
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcams.calendar import Month
from deepcams.files.atomic import write_text
from deepcams.geography import load as geography
from deepcams.grid.nodes import Grid
from deepcams.sources.nature_run.near_ground import Ground, NearGround

HEADER = ("USAF", "WBAN", "STATION NAME", "CTRY", "STATE", "ICAO", "LAT", "LON", "ELEV(M)", "BEGIN", "END")
WBAN = "99999"  # NOAA's for "none"
FEWEST = 10
MISSING = -9999
CALM = 0.5  # m/s, below which wind has no direction


@dataclass(frozen=True)
class WeatherStation:
    """A synthetic weather station; `row` and `column` are the fine node it stands for."""

    number: int  # 1, 2, …
    latitude: float
    longitude: float
    elevation: float  # m
    row: int
    column: int
    every: int  # hours between its reports
    bias: float  # of its relative humidity

    @property
    def usaf(self) -> str:
        """Its number in NOAA's list: letters are for stations without one of the WMO."""
        return f"Z{self.number:05d}"


def make_weather_stations(seed: int, count: int, grid: Grid) -> list[WeatherStation]:
    """Place `count` stations on the land of `grid` (fine nodes), more where people live; anywhere if it has no land."""
    generator = np.random.default_rng([seed, 505])
    land = geography.land_mask(grid)
    weight = land * (0.3 + geography.population(grid).astype(np.float64) ** 0.3) if land.any() else np.ones(grid.shape)
    weight = weight * np.cos(np.radians(grid.latitude)).clip(1e-6)[:, None]
    height = geography.elevation(grid)
    nodes = generator.choice(
        weight.size, count, replace=count > np.count_nonzero(weight), p=(weight / weight.sum()).ravel()
    )
    stations = []
    for number, node in enumerate(nodes, start=1):
        row, column = divmod(int(node), grid.shape[1])
        shift = 0.1 * (2 * generator.random(2) - 1)
        latitude = np.clip(grid.latitude[row] + shift[0], grid.latitude[-1], grid.latitude[0])
        longitude = np.clip(grid.longitude[column] + shift[1], grid.longitude[0], grid.longitude[-1])
        stations.append(
            WeatherStation(
                number,
                round(float(latitude), 3),
                round(float((longitude + 180) % 360 - 180), 3),
                float(height[row, column]),
                row,
                column,
                3 if generator.random() < 1 / 4 else 1,
                float(0.02 * generator.standard_normal()),
            )
        )
    return stations


class WeatherRecords:
    """What the weather stations hear of each hour of a month, and their files of it.

    An instant at the full hour is between the means of the hours before and after it.
    """

    def __init__(
        self,
        root: Path,
        month: Month,
        stations: list[WeatherStation],
        nodes: tuple[np.ndarray, np.ndarray],
        ground: Ground,
    ):
        """nodes : rows and columns of the stations in the grid of the run on whose `ground` they stand."""
        self.root, self.month, self.stations, self._nodes, self._ground = root, month, stations, nodes, ground
        self._seed, grid = ground.run.seed, ground.run.grid
        self._heights = np.array([station.elevation for station in stations])
        latitude, longitude = np.radians(grid.latitude[nodes[0]]), np.radians(grid.longitude[nodes[1]])
        zero = np.zeros_like(latitude)
        self._east = np.stack([-np.sin(longitude), np.cos(longitude), zero])
        self._north = np.stack(
            [-np.sin(latitude) * np.cos(longitude), -np.sin(latitude) * np.sin(longitude), np.cos(latitude)]
        )
        self._heard: list[np.ndarray] = []

    def add(self, near: NearGround) -> None:
        """The next hour; the first one is the last of the month before."""
        at = self._nodes
        humidity, speed = near.relative_humidity[at], near.wind_speed[at]
        wind = near.air.wind.numpy()[:, *at]
        east, north = (np.sum(wind * axis, axis=0) for axis in (self._east, self._north))
        temperature = self._ground.temperature(near, *at, self._heights)
        self._heard.append(np.stack([temperature, humidity, speed, east, north]))

    def write(self, label: str) -> list[Path]:
        """Write the list and all files of the month below `root`; returns their paths."""
        heard = np.stack(self._heard)
        hours = self.month.hours()
        instants = (heard[: len(hours)] + heard[1 : len(hours) + 1]) / 2  # (hours, 5, stations)
        first, last = (str(day).replace("-", "") for day in (np.datetime64("2000-01-01"), hours[-1].astype("M8[D]")))
        rows = [
            (s.usaf, WBAN, f"SYNTHETIC WEATHER {s.number} ({label.split(';')[0]})", "", "", "",
             f"{s.latitude:+07.3f}", f"{s.longitude:+08.3f}", f"{s.elevation:+07.1f}", first, last)
            for s in self.stations
        ]  # fmt: skip
        lines = [",".join(f'"{cell}"' for cell in row) for row in (HEADER, *rows)]
        history = self.root / "isd-history.csv"
        write_text(history, "\n".join(lines) + "\n")
        return [history, *(self._write(n, station, hours, instants[..., n]) for n, station in enumerate(self.stations))]

    def _write(self, index: int, station: WeatherStation, hours: np.ndarray, values: np.ndarray) -> Path:
        days = np.split(np.arange(len(hours)), np.arange(24, len(hours), 24))
        text = "".join(self._day(station, hours[day], values[day]) for day in days)
        name = f"{station.usaf}-{WBAN}-{self.month.year:04d}.gz"
        path = self.root / "isd-lite" / f"{self.month.year:04d}" / name
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=4) as stream:
            stream.write(text.encode())
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        temporary.write_bytes(packed.getvalue())
        os.replace(temporary, path)  # the caller flushes all files of the month at once
        return path

    def _day(self, station: WeatherStation, hours: np.ndarray, values: np.ndarray) -> str:
        """The lines of a day (UTC). values : (24, 5), as `add` keeps them."""
        generator = np.random.default_rng([self._seed, 606, station.number, int(hours[0].astype("M8[D]").astype(int))])
        noise = generator.standard_normal((24, 4))
        draw = generator.random(3)
        start, length = int(generator.integers(24)), int(generator.integers(2, 10))
        gone = generator.random((24, 2)) < 0.01
        if draw[0] < 0.02:
            return ""
        temperature = np.round(10 * (values[:, 0] + 0.3 * noise[:, 0]))
        humidity = np.clip(values[:, 1] + station.bias + 0.01 * noise[:, 1], 0.08, 1.0)
        dew_point = np.minimum(np.round(10 * dew_point_of(temperature / 10, humidity)), temperature)
        speed = np.maximum(values[:, 2] * np.exp(0.15 * noise[:, 2]), 0.0)
        direction = np.degrees(np.arctan2(-values[:, 3], -values[:, 4])) + 8 * noise[:, 3]
        direction = np.where(speed < CALM, 0, 10 * np.rint((direction % 360) / 10))
        direction[(direction == 0) & (speed >= CALM)] = 360
        speed = np.where(speed < CALM, 0, np.round(10 * speed))
        dew_point[gone[:, 0]] = MISSING
        direction[gone[:, 1]] = speed[gone[:, 1]] = MISSING
        keep = np.arange(24) % station.every == 0
        if draw[1] < 0.10:
            keep[start : start + length] = False
        lines = []
        for n in np.flatnonzero(keep):
            stamp = str(hours[n]).replace("-", " ").replace("T", " ")[:13]
            columns = (temperature[n], dew_point[n], MISSING, direction[n], speed[n], MISSING, MISSING, MISSING)
            lines.append(stamp + "".join(f"{int(value):6d}" for value in columns) + "\n")
        return "".join(lines)


def dew_point_of(temperature: np.ndarray, humidity: np.ndarray) -> np.ndarray:
    """Dew point, degree Celsius, of air at a temperature: the Magnus form of sources.isd, solved for it."""
    exponent = np.log(humidity) + 17.625 * temperature / (temperature + 243.04)
    return 243.04 * exponent / (17.625 - exponent)
