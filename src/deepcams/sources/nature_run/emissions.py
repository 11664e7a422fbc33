"""What the nature run emits: people, fires, deserts, the sea and forests; and how the day shapes it.

Rates are in ug m-3 per hour of a mixed layer of reference depth. Random patterns are drawn on the globe and then cut,
so that a region has the same sources as the globe.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from deepcams.geography import load as geography
from deepcams.grid.nodes import FINE_STEP, Grid, fine_globe

# Deserts: south, north, west, east, strength.
DESERTS = (
    (15, 30, -16, 33, 1.0),
    (13, 18, 12, 24, 1.6),
    (16, 32, 38, 55, 0.55),
    (37, 41, 77, 90, 1.2),
    (38, 46, 94, 112, 0.7),
    (26, 34, 55, 66, 0.6),
    (24, 30, 67, 74, 0.45),
    (38, 45, 54, 64, 0.45),
    (-30, -21, 122, 140, 0.3),
    (-27, -20, 13, 17, 0.35),
    (-50, -40, -71, -66, 0.25),
    (-27, -20, -70, -67, 0.3),
    (29, 36, -116, -106, 0.2),
)
# Where it burns: latitude, longitude, radius (degrees), peak (month, 1.0 = early January), share.
FIRES = (
    (9, 20, 7, 1.3, 3.2),
    (9, -6, 6, 1.3, 1.8),
    (-10, 23, 8, 8.3, 4.0),
    (-10, -57, 7, 9.3, 2.0),
    (7, -69, 3.5, 3.2, 1.4),
    (20, 100, 4, 3.7, 2.0),
    (17, -92, 4, 4.6, 1.0),
    (-2, 110, 6, 9.7, 1.0),
    (-15, 132, 6, 10.0, 1.2),
    (-35, 147, 4, 1.2, 0.6),
    (58, 110, 14, 7.4, 1.4),
    (55, -112, 9, 7.7, 0.8),
    (41, -120, 4, 8.9, 0.7),
    (49, 38, 8, 4.4, 0.7),
    (30, 75.5, 1.8, 10.9, 0.7),
    (40, -7, 2.5, 8.6, 0.25),
    (33, -86, 4, 3.2, 0.5),
    (48, 128, 4, 4.2, 0.5),
    (-28, -58, 5, 8.9, 0.7),
)
PER_PERSON = {"CN": 1.1, "IN": 1.0, "PK": 1.1, "BD": 1.0, "NP": 1.1, "MN": 2.5, "KP": 1.1, "VN": 0.7, "ID": 0.5}
PER_PERSON |= dict.fromkeys(("NG", "GH", "ET", "CD", "EG", "SD", "KE", "UG", "TZ"), 0.55)
PER_PERSON |= dict.fromkeys(("US", "CA", "AU", "NZ", "JP", "GB", "FR", "DE", "ES", "IT", "NL", "BE", "CH", "SE"), 0.35)
PER_PERSON |= dict.fromkeys(("NO", "FI", "DK", "IE", "PT", "AT", "KR", "TW"), 0.4)
PER_PERSON |= dict.fromkeys(("PL", "UA", "RU", "TR", "RO", "BG", "RS", "BA", "MK", "CZ", "HU", "KZ", "UZ"), 0.75)
OTHERS_PER_PERSON = 0.55
FIRES_PER_DAY = 170
LONGEST_FIRE = 6  # days


@dataclass(frozen=True)
class Sources:
    """Static maps on a grid, all (H, W) float32: emission rates and factors of the weather-driven ones."""

    people: np.ndarray  # ug m-3 h-1, daily mean
    forest: np.ndarray  # ug m-3 h-1, daily mean
    dust: np.ndarray  # erodibility
    sea: np.ndarray  # share of open water
    breath: np.ndarray  # strength of the diurnal cycle of mixing, 0 … 1
    relief: np.ndarray  # how much basins gather and ridges lose, about 1


def sources(seed: int, grid: Grid) -> Sources:
    """Static maps of the sources on a box of fine nodes."""
    rows = np.round((90 - grid.latitude) / FINE_STEP).astype(int)
    columns = np.round((grid.longitude + 180) / FINE_STEP).astype(int) % 1440
    return Sources(*(np.ascontiguousarray(field[rows[:, None], columns[None]]) for field in _global_sources(seed)))


@lru_cache(maxsize=2)
def _global_sources(seed: int) -> tuple[np.ndarray, ...]:
    globe = fine_globe()
    lat = globe.latitude[:, None]
    generator = np.random.default_rng([seed, 202])
    solid = geography.land_mask(globe)
    land = ndimage.gaussian_filter(solid.astype(np.float32), 0.6, mode=("nearest", "wrap"))
    people = geography.population(globe)
    factor = np.array([PER_PERSON.get(c.code, OTHERS_PER_PERSON) for c in geography.country_table()], np.float32)
    # Few people, little smoke: mostly proportional, less so in the crowd, where the electricity comes from elsewhere.
    people = 0.030 * factor[geography.country_index(globe)] * people**0.78
    patches = noise(generator, 1.2) + 0.8 * noise(generator, 6.0)
    people = people * np.exp(0.5 * noise(generator, 0.8))
    dust = deserts(globe)
    arid = np.clip(dust, 0, 1)
    dust = dust * solid * np.exp(1.1 * patches - 0.7)
    warmth = np.exp(-((lat / 38) ** 4))
    forest = (0.10 * warmth + 0.035 * np.exp(-(((np.abs(lat) - 50) / 14) ** 2))) * (1 - 0.85 * arid) * land
    forest = forest * np.exp(0.5 * patches - 0.2)
    ice = 1 / (1 + np.exp(-(np.abs(lat) - 68) / 2.0))
    sea = (1 - land) * (1 - 0.9 * ice)
    breath = land * np.cos(np.radians(lat)) * (0.75 + 0.25 * np.tanh(noise(generator, 3.0)))
    relief = np.exp(land * (0.09 * noise(generator, 1.1) + 0.05 * noise(generator, 0.6)))
    maps = (people, forest, dust, sea, breath, relief)
    fields = [np.asarray(f * np.ones(globe.shape), np.float32) for f in maps]
    for field in fields:  # one value at each pole
        field[0], field[-1] = field[0].mean(), field[-1].mean()
    return tuple(fields)


def deserts(grid: Grid) -> np.ndarray:
    """How strong a desert there is, 0 in most places, 1 in the Sahara: (H, W) float32."""
    lat, lon = grid.latitude[:, None], ((grid.longitude + 180) % 360 - 180)[None]
    out = np.zeros(grid.shape, np.float32)
    for south, north, west, east, strength in DESERTS:
        inside = np.minimum(np.minimum(lat - south, north - lat), np.minimum(lon - west, east - lon))
        out += strength / (1 + np.exp(-inside.clip(-20, 20) / 0.8))
    return out


def noise(generator: np.random.Generator, width: float) -> np.ndarray:
    """Smooth noise of unit variance on the fine globe, `width` in nodes: (721, 1440) float32."""
    field = generator.standard_normal((721, 1440), dtype=np.float32)
    field = ndimage.gaussian_filter(field, width, mode=("nearest", "wrap"))
    return field / field.std()


def diurnal_people(local_hour: np.ndarray) -> np.ndarray:
    """Traffic, cooking and heating through the local solar day; mean 1."""
    morning = np.exp(-(((local_hour - 8.0) / 1.8) ** 2))
    evening = np.exp(-(((local_hour - 19.0) / 2.4) ** 2))
    night = 0.5 * (1 + np.cos(2 * np.pi * (local_hour - 3.0) / 24))
    return (1.05 + 0.95 * morning + 0.6 * evening - 0.62 * night).astype(np.float32)


def diurnal_fire(local_hour: np.ndarray) -> np.ndarray:
    """Fires burn in the afternoon and smoulder at night; mean about 1."""
    return (0.25 + 2.6 * np.exp(-(((local_hour - 15.0) / 3.5) ** 2))).astype(np.float32)


def diurnal_dust(local_hour: np.ndarray) -> np.ndarray:
    """Dust rises when the morning's mixing brings the night's jet down to the ground; mean about 1."""
    return (0.6 + 1.3 * np.exp(-(((local_hour - 11.0) / 4.0) ** 2))).astype(np.float32)


def diurnal_mixing(local_hour: np.ndarray) -> np.ndarray:
    """Excess of the surface concentration over that of the mean depth: high at night, low in the afternoon.

    The layer grows quickly between 7 and 11 and collapses around sunset.
    """
    growth = 0.5 * (1 + np.tanh((local_hour - 9.0) / 1.3))
    collapse = 0.5 * (1 + np.tanh((local_hour - 18.0) / 1.3))
    return (0.70 - 1.30 * (growth - collapse)).astype(np.float32)


@dataclass(frozen=True)
class Fire:
    """One fire: place (degrees), first hour and hours it lasts (since the epoch), rate at its height, and radius."""

    latitude: float
    longitude: float
    start: float
    duration: float
    rate: float
    radius: float  # degrees


@lru_cache(maxsize=32)
def fires_of_day(seed: int, day: int) -> tuple[Fire, ...]:
    """Fires that break out on a day (days since 2000-01-01), anywhere on land."""
    generator = np.random.default_rng([seed, 303, day + 100_000])
    month = (day % 365.2425) / 30.44 + 1
    weights = np.array([s * np.exp(1.8 * (np.cos(2 * np.pi * (month - peak) / 12) - 1)) for *_, peak, s in FIRES])
    count = generator.poisson(FIRES_PER_DAY * (0.35 + 0.65 * weights.sum() / 8))
    mask = _burnable()
    fires = []
    for which in generator.choice(len(FIRES), count, p=weights / weights.sum()):
        lat, lon, radius, _, _ = FIRES[which]
        a = lat + radius * generator.standard_normal()
        b = (lon + radius * generator.standard_normal() / np.cos(np.radians(lat)) + 180) % 360 - 180
        start = 24.0 * day + 24 * generator.random()
        duration = min(24.0 * LONGEST_FIRE, 8 + generator.exponential(30))
        rate = min(5.0 * np.exp(1.35 * generator.standard_normal()), 90.0)
        size = 0.16 + 0.16 * generator.random()
        if abs(a) < 72 and mask[round((90 - a) * 4), round((b + 180) * 4) % 1440]:
            fires.append(Fire(a, b, start, duration, rate, size))
    return tuple(fires)


@lru_cache(maxsize=1)
def _burnable() -> np.ndarray:
    return geography.land_mask(fine_globe())


def fire_emission(seed: int, hours: float, grid: Grid) -> np.ndarray:
    """Emission of all fires burning at a time (hours since 2000-01-01): (H, W) float32, ug m-3 h-1."""
    out = np.zeros(grid.shape, np.float32)
    day = int(np.floor(hours / 24))
    for past in range(LONGEST_FIRE + 2):
        for fire in _fires_near(seed, day - past, *_frame(grid)):
            age = hours - fire.start
            if 0 <= age < fire.duration:
                _burn(out, fire, age, hours, grid)
    return out


def _frame(grid: Grid) -> tuple[float, float, float, float]:
    """South, north, west and width of what a grid's fires can lie in, in degrees."""
    width = 360.0 if grid.is_periodic else float(grid.longitude[-1] - grid.longitude[0]) + 8
    return float(grid.latitude[-1]) - 1, float(grid.latitude[0]) + 1, float(grid.longitude[0]) - 4, width


@lru_cache(maxsize=32)
def _fires_near(seed: int, day: int, south: float, north: float, west: float, width: float) -> tuple[Fire, ...]:
    """Fires of a day that a grid can see."""
    return tuple(
        fire
        for fire in fires_of_day(seed, day)
        if south <= fire.latitude <= north and (fire.longitude - west) % 360 <= width
    )


def _burn(out: np.ndarray, fire: Fire, age: float, hours: float, grid: Grid) -> None:
    rows, columns = grid.shape
    i = round((grid.latitude[0] - fire.latitude) / FINE_STEP)
    j = round(((fire.longitude - grid.longitude[0]) % 360) / FINE_STEP)
    reach = 3
    wide = int(np.ceil(reach / np.cos(np.radians(min(abs(fire.latitude), 72)))))
    ii = np.arange(i - reach, i + reach + 1)
    jj = np.arange(j - wide, j + wide + 1)
    ii = ii[(ii >= 0) & (ii < rows)]
    jj = jj % 1440 if grid.is_periodic else jj[(jj >= 0) & (jj < columns)]
    if not len(ii) or not len(jj):
        return
    north = grid.latitude[ii] - fire.latitude
    east = ((grid.longitude[jj] - fire.longitude + 180) % 360 - 180) * np.cos(np.radians(fire.latitude))
    rise = min(1.0, age / 3) * min(1.0, (fire.duration - age) / 6)
    strength = fire.rate * rise * float(diurnal_fire(np.array((hours + fire.longitude / 15) % 24)))
    shape = np.exp(-(north[:, None] ** 2 + east[None] ** 2) / (2 * fire.radius**2))
    out[ii[:, None], jj[None]] += (strength * shape).astype(np.float32)
