"""Land, heights, coasts, countries, people and cities on the nodes of the grids: small, embedded, open.

The data are Natural Earth's (public domain; 1:50m land and countries, 1:110m population and cities) and, for heights,
Terrain Tiles' (open, to be attributed), put on the 0.25° nodes by tools/make_geography.py. How people spread inside a
country is invented there. See SOURCES.md beside this file.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FINE_STEP, Grid


@dataclass(frozen=True)
class City:
    """A city: `weight` is its rough number of inhabitants in millions, `utc_offset_minutes` its standard time."""

    name: str
    country: str  # ISO 3166, two letters
    latitude: float
    longitude: float
    weight: float
    timezone: str
    utc_offset_minutes: int


@dataclass(frozen=True)
class Country:
    """A country of Natural Earth: its two-letter ISO 3166 code ("" where there is none) and its name."""

    code: str
    name: str


@dataclass(frozen=True)
class Place:
    """What is known of a country's code alone: its continent, the `state` it belongs to or is at times listed under
    ("" for none), and where it is (latitude, longitude) if it is too small for a node of the fine grid."""

    continent: str
    state: str
    point: tuple[float, float] | None


def land_mask(grid: Grid) -> np.ndarray:
    """Which nodes of `grid` are land (lakes included): (H, W) bool."""
    return _on(_unpacked(), grid)


def elevation(grid: Grid) -> np.ndarray:
    """Mean height of the land around the nodes of `grid`, m above the sea, 0 over the sea: (H, W) float32.

    In steps of 10 m, good to some tens of metres where the land is flat. Greenland is without its ice, as is the coast
    of Antarctica.
    """
    return 10 * _on(_heights(), grid).astype(np.float32)


def population(grid: Grid) -> np.ndarray:
    """Population-like density on the nodes of `grid`, inhabitants per km²: (H, W) float32.

    Country totals are real, the pattern inside countries is only plausible: for emissions of the nature run and for
    weighting, not for exposure studies.
    """
    levels = _on(_data()["population"], grid).astype(np.float32)
    return np.where(levels > 0, 0.1 * np.float32(1.3) ** (levels - 1), 0.0).astype(np.float32)


def coastlines() -> list[np.ndarray]:
    """Coastlines of the world: list of (N, 2) float32 arrays of longitude (-180 … 180) and latitude in degrees.

    No line runs along the edges of the map (180° or the South Pole).
    """
    data = _data()
    points = data["coast_points"].astype(np.float32) / 100
    offsets = data["coast_offsets"]
    return [points[a:b] for a, b in pairwise(offsets)]


@cache
def cities() -> tuple[City, ...]:
    """Capitals and large cities of the world, the largest first."""
    text = (files("deepcams.geography") / "cities.csv").read_text(encoding="utf-8")
    return tuple(
        City(
            row["name"],
            row["country"],
            float(row["latitude"]),
            float(row["longitude"]),
            float(row["millions"]),
            row["timezone"],
            int(row["utc_offset_minutes"]),
        )
        for row in csv.DictReader(text.splitlines())
    )


@cache
def places() -> dict[str, Place]:
    """All countries of ISO 3166-1, and Kosovo (XK), by their two letters."""
    text = (files("deepcams.geography") / "continents.csv").read_text(encoding="utf-8")
    return {
        row["code"]: Place(
            row["continent"],
            row["state"],
            (float(row["latitude"]), float(row["longitude"])) if row["latitude"] else None,
        )
        for row in csv.DictReader(text.splitlines())
    }


def continent_of(code: str) -> str:
    """Continent of a country by its two letters: Africa, Antarctica, Asia, Europe, North America, Oceania or South
    America; "" where the code is unknown. Countries on two continents are on one: RU in Europe, TR and KZ in Asia.
    """
    place = places().get(code)
    return "" if place is None else place.continent


def country_of(latitude: float, longitude: float, reach: int = 4) -> Country | None:
    """The country of a point, or of the nearest land within `reach` fine nodes (25 km each); None on the high sea.

    Raises DeepcamsError if the latitude is outside -90 … 90.
    """
    if not -90 <= latitude <= 90:
        raise DeepcamsError(f"Latitude {latitude} is outside -90 … 90.")
    field = _data()["country"]
    row, column = round((90 - latitude) / FINE_STEP), round((longitude + 180) / FINE_STEP)
    rows = np.arange(max(row - reach, 0), min(row + reach, 720) + 1)
    columns = np.arange(column - reach, column + reach + 1)
    box = field[rows[:, None], columns[None] % 1440]
    distance = (rows[:, None] - row) ** 2 + ((columns[None] - column) * np.cos(np.radians(latitude))) ** 2
    distance = np.where(box > 0, distance, np.inf)
    nearest = int(distance.argmin())
    if not np.isfinite(distance.flat[nearest]):
        return None
    index = box.flat[nearest]
    return Country(str(_data()["country_codes"][index]), str(_data()["country_names"][index]))


def country_index(grid: Grid) -> np.ndarray:
    """Number of the country of each node of `grid`, 0 for none: (H, W) uint8; see `country_table`."""
    return _on(_data()["country"], grid)


def country_table() -> list[Country]:
    """Countries in the order of `country_index`; the first one stands for "none"."""
    data = _data()
    pairs = zip(data["country_codes"], data["country_names"], strict=True)
    return [Country(str(code), str(name)) for code, name in pairs]


def _on(field: np.ndarray, grid: Grid) -> np.ndarray:
    rows = np.round((90.0 - grid.latitude) / FINE_STEP).astype(int)
    columns = np.round((grid.longitude + 180.0) / FINE_STEP).astype(int) % 1440
    if rows.min() < 0 or rows.max() > 720 or np.abs(90.0 - rows * FINE_STEP - grid.latitude).max() > 1e-6:
        raise DeepcamsError("Geography is known on nodes of the 0.25° and 0.75° grids only.")
    return field[rows[:, None], columns[None]]


@cache
def _data() -> dict[str, np.ndarray]:
    with (files("deepcams.geography") / "geography.npz").open("rb") as stream, np.load(stream) as archive:
        return {name: archive[name] for name in archive.files}


@cache
def _heights() -> np.ndarray:
    with (files("deepcams.geography") / "elevation.npz").open("rb") as stream, np.load(stream) as archive:
        return archive["tens"]


@cache
def _unpacked() -> np.ndarray:
    return np.unpackbits(_data()["land"])[: 721 * 1440].reshape(721, 1440).astype(bool)
