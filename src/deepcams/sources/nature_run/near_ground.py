"""Humidity, wind and temperature near the ground, of the nature run's own weather; nothing of it acts on its PM2.5.

Air is moist where it rains or may soon, over the sea and by night, and dry over deserts and in the afternoon. Wind is
slowed down by the ground, less over the sea and by day. It is warm near the equator, in summer, in the afternoon and
low down.
"""

from typing import NamedTuple

import numpy as np
import torch

from deepcams.calendar import HALF_HOUR
from deepcams.sources.nature_run import emissions
from deepcams.sources.nature_run.simulate import Air, NatureRun
from deepcams.sources.nature_run.winds import hours_since_epoch, season

DRIEST = 0.15
USUAL = -1.3  # moisture of the air, see Weather.moisture
WARMEST = 15.0  # local solar hour
LAPSE = 0.006  # K/m


class NearGround(NamedTuple):
    """An hour's means on the fine nodes, float32."""

    hour: np.datetime64  # when it begins
    relative_humidity: np.ndarray  # (H, W), 0.15 … 1
    wind_speed: np.ndarray  # (H, W) m/s
    air: Air


class Ground:
    """What the ground makes of a run's weather: static maps, and the weather of an hour."""

    def __init__(self, run: NatureRun):
        self.run = run
        grid = run.grid
        self._sea, self._breath = run.maps["sea"], run.maps["breath"]
        self._desert = torch.from_numpy(emissions.deserts(grid)).clamp_(0, 1)
        self._dampness = 0.55 + 0.9 * self._sea - 1.9 * self._desert - 0.9 * USUAL
        self._shelter = 0.42 + 0.38 * self._sea

    def at(self, hour: np.datetime64) -> NearGround:
        """Means over the hour that begins at `hour`, any one; the run's state does not matter."""
        air = self.run.air(hour)
        breath = self._breath * torch.from_numpy(self._warmth(hour))
        humidity = torch.sigmoid_((self._dampness + 0.9 * air.moisture).sub_(breath, alpha=1.3))
        humidity.mul_(1 - DRIEST).add_(DRIEST)
        speed = (air.wind[0] ** 2 + air.wind[1] ** 2 + air.wind[2] ** 2).sqrt_()  # vector_norm is ten times slower here
        speed.mul_(self._shelter).mul_(breath.mul_(0.25).add_(1))
        return NearGround(hour, humidity.numpy(), speed.numpy(), air)

    def temperature(self, near: NearGround, rows: np.ndarray, columns: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Temperature of that hour at nodes, `height` (N,) m above the sea: (N,) float64, degree Celsius."""
        sea, breath, desert, moisture = (
            field.numpy()[rows, columns] for field in (self._sea, self._breath, self._desert, near.air.moisture)
        )
        sine = np.sin(np.radians(self.run.grid.latitude[rows]))
        climate = 28 - 48 * np.abs(sine) ** 2.5 - LAPSE * height
        summer = 20 * sine * (1 - 0.6 * sea) * season(_middle(near.hour))
        day = breath * (4 + 3 * desert) * self._warmth(near.hour)[columns]
        return climate + summer + day - 1.5 * (moisture - USUAL)

    def _warmth(self, hour: np.datetime64) -> np.ndarray:
        """1 at the warmest hour of each longitude's own clock, -1 half a day later: (W,) float32."""
        local = _middle(hour) + self.run.grid.longitude / 15
        return np.cos(2 * np.pi * (local - WARMEST) / 24).astype(np.float32)


def _middle(hour: np.datetime64) -> float:
    return hours_since_epoch(hour.astype("datetime64[s]") + HALF_HOUR)
