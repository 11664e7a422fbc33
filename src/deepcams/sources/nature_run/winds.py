"""The weather of the nature run: winds, and rain, as functions of place, absolute time and the seed alone.

Eddies are sums of random plane waves in three dimensions seen on the sphere: isotropic, smooth over the poles,
periodic by construction, and independent of the grid, so that a region has the same weather as the globe. Each wave
turns about the Earth's axis with the drift of its kind (storms eastward, tropical waves westward) and changes phase at
its own rate. A streamfunction ψ gives the wind r × ∇ψ, free of divergence. To it come the mean zonal winds, the
subtropical highs and the monsoons, and a weak convergence of the trades on the ITCZ, the one divergent part.
"""

from dataclasses import dataclass

import numpy as np
import torch

from deepcams.grid.nodes import Grid

EPOCH = np.datetime64("2000-01-01T00:00:00", "s")
CHUNK = 8192  # nodes at a time, so that the waves of a chunk stay in the cache

# Standing gyres: latitude, longitude, radius (rad), wind speed in m/s around 1 January and around 1 July; positive is
# anticyclonic in the north (clockwise), cyclonic in the south.
GYRES = (
    (33, -145, 0.40, 3, 7),
    (32, -38, 0.38, 4, 6),
    (-29, -100, 0.40, -6, -4),
    (-27, -10, 0.35, -6, -5),
    (-31, 80, 0.40, -5, -6),
    (48, 98, 0.40, 6, -2),
    (26, 72, 0.32, 2, -8),
    (62, -35, 0.28, -5, -2),
    (52, 178, 0.30, -5, -1),
)


@dataclass(frozen=True)
class Band:
    """Random waves of one kind: how many, wavelengths (as total wavenumbers), wind (m/s), drift, and time scale."""

    count: int
    shortest: float
    longest: float
    speed: float
    drift: float  # degrees of longitude a day
    lifetime: float  # hours
    where: str  # "storms", "tropics", "everywhere"


BANDS = (
    Band(48, 16.0, 5.0, 9.5, 9.0, 60.0, "storms"),
    Band(28, 13.0, 5.0, 3.5, -6.0, 70.0, "tropics"),
    Band(64, 75.0, 18.0, 3.3, 2.0, 20.0, "everywhere"),
)
RAIN = Band(72, 60.0, 7.0, 1.0, 5.0, 24.0, "everywhere")


def hours_since_epoch(time: np.datetime64) -> float:
    """Hours from 2000-01-01 to `time`."""
    return float((time - EPOCH) / np.timedelta64(1, "s")) / 3600.0


def season(hours: float) -> float:
    """1 around 15 July, -1 in mid-January."""
    return float(-np.cos(2 * np.pi * (hours / 24.0 / 365.2425 - 14 / 365.0)))


class Weather:
    """Winds and rain on the nodes of a grid (coarse: the caller interpolates them to the fine one)."""

    def __init__(self, seed: int, grid: Grid):
        self.grid = grid
        lat = torch.from_numpy(np.radians(grid.latitude))[:, None].expand(grid.shape)
        lon = torch.from_numpy(np.radians(grid.longitude))[None].expand(grid.shape)
        place = torch.stack([torch.cos(lat) * torch.cos(lon), torch.cos(lat) * torch.sin(lon), torch.sin(lat)], -1)
        self.place = place.reshape(-1, 3).float().contiguous()
        generator = np.random.default_rng([seed, 101])
        self.bands = [(band, _waves(band, generator)) for band in BANDS]
        self.rain_waves = _waves(RAIN, generator)

    def wind(self, time: np.datetime64) -> torch.Tensor:
        """Wind as Cartesian vectors tangent to the sphere, m/s: (H, W, 3) float32."""
        hours = hours_since_epoch(time)
        summer = season(hours)
        z = self.place[:, 2]
        gradient = torch.zeros_like(self.place)
        for band, waves in self.bands:
            amplitude, slope = _envelope(band.where, z, summer)
            value, steep = _field(self.place, waves, band, hours, with_gradient=True)
            gradient += amplitude[:, None] * steep
            gradient[:, 2] += slope * value
        for lat, lon, radius, january, july in GYRES:
            speed = january + (july - january) * (1 + summer) / 2
            centre = _unit(lat, lon)
            bump = torch.exp((self.place @ centre - 1) / radius**2)
            gradient += (speed / radius * np.e**0.5) * bump[:, None] * centre  # wind peaks at `radius`
        east, north = _axes(self.place)
        wind = torch.linalg.cross(gradient, self.place)
        latitude = torch.asin(z.clamp(-1, 1))
        itcz = np.radians(3 + 7 * summer)
        wind += _zonal_wind(latitude, itcz)[:, None] * east
        wind += _trades(latitude, itcz)[:, None] * north
        return wind.reshape(*self.grid.shape, 3)

    def moisture(self, time: np.datetime64) -> torch.Tensor:
        """How moist the air is: (H, W) float32, -1.3 ± 1 in most places, above nought where it rains."""
        hours = hours_since_epoch(time)
        value, _ = _field(self.place, self.rain_waves, RAIN, hours, with_gradient=False)
        latitude = torch.asin(self.place[:, 2].clamp(-1, 1))
        itcz = np.radians(3 + 7 * season(hours))
        wet = 0.9 * torch.exp(-(((latitude - itcz) / 0.14) ** 2)) + 0.75 * torch.exp(
            -(((latitude.abs() - 0.92) / 0.3) ** 2)
        )
        return (value - 1.8 + wet).reshape(self.grid.shape)

    def rain(self, time: np.datetime64) -> torch.Tensor:
        """Washout rate, per hour: (H, W) float32, nought in most places at any time."""
        return washout(self.moisture(time))


def washout(moisture: torch.Tensor) -> torch.Tensor:
    """What rain takes away, per hour, where the air is that moist: same shape."""
    return 0.15 * torch.sigmoid(5 * moisture)


def _waves(band: Band, generator: np.random.Generator) -> dict[str, np.ndarray]:
    direction = generator.standard_normal((band.count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    number = band.longest * (band.shortest / band.longest) ** generator.random(band.count)
    return {
        "vector": direction * number[:, None],
        # the part of the vector that lies in the sphere's surface is √(2/3) of it in the mean
        "amplitude": np.sqrt(2 / band.count) * band.speed / number * np.sqrt(1.5),
        "phase": 2 * np.pi * generator.random(band.count),
        "rate": generator.standard_normal(band.count) / band.lifetime,
    }


def _field(place: torch.Tensor, waves: dict, band: Band, hours: float, with_gradient: bool):
    angle = np.radians(band.drift * hours / 24.0)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    vector = waves["vector"] @ turn.T
    phase = (waves["phase"] + waves["rate"] * hours) % (2 * np.pi)  # in double precision: the hours are many
    amplitude = waves["amplitude"] if with_gradient else np.full(band.count, np.sqrt(2 / band.count))
    matrix = torch.from_numpy(vector).float()
    offset = torch.from_numpy(phase).float()
    weight = torch.from_numpy(amplitude).float()
    values, gradients = [], []
    for part in place.split(CHUNK):
        argument = torch.addmm(offset, part, matrix.T)
        values.append(torch.cos(argument) @ weight)
        if with_gradient:
            gradients.append(-torch.sin(argument) @ (matrix * weight[:, None]))
    return torch.cat(values), torch.cat(gradients) if with_gradient else None


def _envelope(where: str, z: torch.Tensor, summer: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Strength of a band and its derivative by z = sin(latitude); the winter hemisphere is stormier."""
    if where == "everywhere":
        return torch.ones_like(z), torch.zeros_like(z)
    bump = torch.exp(-((z / 0.42) ** 4))
    slope = bump * -4 * z**3 / 0.42**4
    if where == "tropics":
        return bump, slope
    tilt = 1 - 0.18 * summer * z
    return (1 - bump) * tilt, -slope * tilt - (1 - bump) * 0.18 * summer


def _zonal_wind(latitude: torch.Tensor, itcz: float) -> torch.Tensor:
    shifted = latitude - 0.4 * itcz
    trades = -6.5 * torch.exp(-(((shifted.abs() - 0.24) / 0.22) ** 2)) - 1.5 * torch.exp(-((shifted / 0.12) ** 2))
    westerlies = 8.0 * torch.exp(-(((shifted.abs() - 0.80) / 0.24) ** 2))
    polar = -2.0 * torch.exp(-(((shifted.abs() - 1.25) / 0.15) ** 2))
    return (trades + westerlies + polar) * torch.cos(latitude)


def _trades(latitude: torch.Tensor, itcz: float) -> torch.Tensor:
    distance = latitude - itcz
    return -3.0 * torch.tanh(distance / 0.08) * torch.exp(-((distance / 0.38) ** 2))


def _axes(place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors to the east and to the north; nought at the poles, where they have no direction."""
    flat = torch.stack([-place[:, 1], place[:, 0], torch.zeros_like(place[:, 0])], -1)
    length = torch.linalg.norm(flat, dim=1, keepdim=True)
    east = torch.where(length > 1e-5, flat / length.clamp_min(1e-5), torch.zeros_like(flat))
    return east, torch.linalg.cross(place, east)


def _unit(lat: float, lon: float) -> torch.Tensor:
    a, b = np.radians(lat), np.radians(lon)
    return torch.tensor([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)], dtype=torch.float32)
