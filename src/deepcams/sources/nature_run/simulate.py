"""The nature run: a seeded, physical field of surface PM2.5 at 0.25°, stepped in minutes, on the globe or a box.

The state is the concentration q a layer of mean depth would have. Each step moves it along the winds
(semi-Lagrangian, bicubic with a little bilinear for diffusion; Staniforth and Côté 1991), adds emissions and removes
deposition and rain. At the surface one sees more of it by night and less in the afternoon, when the layer is deep:

    field = floor + q (1 + breath · mixing(local solar hour)) · relief

Winds, rain and fires are refreshed on the hour and depend on absolute time and the seed alone, so a run continued from
a restart is the run itself.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from scipy import ndimage

from deepcams.calendar import HALF_HOUR
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.grid.nodes import FACTOR, Grid, Region, coarse_grid, refine
from deepcams.sources.nature_run import emissions
from deepcams.sources.nature_run.winds import Weather, hours_since_epoch, season, washout

FLOOR = 0.22  # ug m-3, the clean air that is always there
EARTH = 6.371e6  # m
BILINEAR = 0.34  # share of bilinear sampling: torch's cubic (a = -3/4) alone amplifies waves, a third of this damps
VENTING = 1 / 34.0  # per hour: dry deposition and loss to the free troposphere
PAD = 3  # nodes around the field for bicubic sampling
RIM = 4  # nodes over which an open edge takes the inflow


def domain(region: Region | None, margin_degrees: float) -> tuple[Grid, Grid]:
    """The box of the run, `region` widened by at least `margin_degrees`, or the globe: (coarse, fine) grids."""
    coarse = coarse_grid(region, halo=int(np.ceil(margin_degrees / 0.75 - 1e-9)) if region else 0)
    return coarse, refine(coarse)


class Air(NamedTuple):
    """The weather of an hour on the fine nodes, float32."""

    wind: torch.Tensor  # (3, H, W) m/s, Cartesian, tangent to the sphere
    rain: torch.Tensor  # (H, W) per hour, what it washes out
    moisture: torch.Tensor  # (H, W), see Weather.moisture


class NatureRun:
    """The state of a nature run and how it advances.

    grid : the fine grid.  time : datetime64[s].  step_minutes : length of a step; 60 must be a multiple.
    """

    def __init__(
        self,
        seed: int,
        time: np.datetime64,
        region: Region | None = None,
        margin_degrees: float = 6.0,
        step_minutes: int = 15,
    ):
        if not 1 <= step_minutes <= 60 or 60 % step_minutes:
            raise DeepcamsError(
                f"The nature run cannot step by {step_minutes} minutes: use a divisor of 60, for instance 15."
            )
        self.seed = int(seed)
        self.time = np.datetime64(time, "s")
        self.step_minutes = step_minutes
        self.coarse, self.grid = domain(region, margin_degrees)
        self.weather = Weather(self.seed, self.coarse)
        maps = emissions.sources(self.seed, self.grid)
        self.maps = {name: torch.from_numpy(getattr(maps, name)) for name in maps.__dataclass_fields__}
        self.haze = torch.from_numpy(_haze(self.grid))
        self._geometry()
        self.inflow = torch.from_numpy(_climatology(self.seed, self.grid))
        self.state = self.inflow.clone()
        self._hour: np.datetime64 | None = None
        self._air: tuple[np.datetime64, Air] | None = None

    def field(self) -> np.ndarray:
        """Surface PM2.5 now: (H, W) float32, ug m-3, north to south."""
        mixing = torch.from_numpy(emissions.diurnal_mixing(self._local_hour(self.time)))
        out = torch.addcmul(self.state, self.state, self.maps["breath"] * mixing).mul_(self.maps["relief"]).add_(FLOOR)
        self._poles(out)
        return out.numpy()

    def advance(self) -> None:
        """One step forward."""
        self._refresh()
        hours = self.step_minutes / 60
        padded = self._padded(self.state)
        smooth = functional.grid_sample(padded, self.departure, "bilinear", "border", align_corners=True)[0, 0]
        sharp = functional.grid_sample(padded, self.departure, "bicubic", "border", align_corners=True)[0, 0]
        moved = torch.lerp(sharp, smooth, BILINEAR)
        # No new extremes far beyond the neighbours': stays positive, and no ringing around fires.
        torch.maximum(moved, 0.8 * smooth, out=moved)
        torch.minimum(moved, 1.25 * smooth, out=moved)
        day = torch.from_numpy(emissions.diurnal_people(self._local_hour(self.time)))
        moved.addcmul_(self.people, day, value=hours).add_(self.weather_emission, alpha=hours)
        moved.mul_(self.survival)
        if self.rim is not None:
            moved.lerp_(self.inflow, self.rim)
        self._poles(moved)
        self.state = moved
        self.time = self.time + np.timedelta64(self.step_minutes, "m")

    def air(self, hour: np.datetime64) -> Air:
        """The weather of the hour that begins at `hour`, whatever the state's time; the last one is kept."""
        hour = hour.astype("datetime64[h]")
        if self._air is None or self._air[0] != hour:
            middle = hour.astype("datetime64[s]") + HALF_HOUR
            wind = self._fine(self.weather.wind(middle).permute(2, 0, 1))
            moisture = self.weather.moisture(middle)
            rain, moisture = (self._fine(field[None])[0] for field in (washout(moisture), moisture))
            self._air = hour, Air(wind, rain, moisture)
        return self._air[1]

    def run_until(self, time: np.datetime64) -> None:
        """Step until `time`, which must be a whole number of steps ahead."""
        while self.time < time:
            self.advance()

    def save(self, path: Path) -> None:
        """Write the state to an npz file, atomically."""
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez(
                stream,
                state=self.state.numpy(),
                time=self.time.astype("int64"),
                seed=self.seed,
                latitude=self.grid.latitude,
                longitude=self.grid.longitude,
                step_minutes=self.step_minutes,
                synthetic=synthetic_label(self.seed),
            )

    def load(self, path: Path) -> None:
        """Take up the state of a restart file. Raises DeepcamsError if it is not one of this very run."""
        try:
            with np.load(path) as archive:
                stored = {name: archive[name] for name in archive.files}
            same = (
                int(stored["seed"]) == self.seed
                and int(stored["step_minutes"]) == self.step_minutes
                and np.array_equal(stored["latitude"], self.grid.latitude)
                and np.array_equal(stored["longitude"], self.grid.longitude)
            )
        except (OSError, ValueError, KeyError) as error:
            raise DeepcamsError(f"{path} is not a restart of the nature run: {error}. Make it anew.") from error
        if not same:
            raise DeepcamsError(
                f"{path} belongs to another nature run (seed, region, margin or time step differ): delete the folder "
                "nature_run of these results and run again."
            )
        self.state = torch.from_numpy(stored["state"])
        self.time = np.datetime64(int(stored["time"]), "s")
        self._hour = None

    def _refresh(self) -> None:
        """Winds, rain, fires and gusts of the current hour."""
        hour = self.time.astype("datetime64[h]")
        if hour == self._hour:
            return
        self._hour = hour
        middle = hour.astype("datetime64[s]") + HALF_HOUR
        wind, rain, _ = self.air(hour)
        self.departure = self._departure(wind)
        speed = (wind[0] ** 2 + wind[1] ** 2 + wind[2] ** 2).sqrt()  # linalg.vector_norm is ten times slower here
        hours = hours_since_epoch(middle)
        gust = (speed - 5.0).clamp_min(0)
        emission = self.maps["sea"] * (0.012 + 0.0011 * speed * speed)
        lift = torch.from_numpy(emissions.diurnal_dust(self._local_hour(middle)))
        emission += self.maps["dust"] * lift * (0.14 * gust * gust.sqrt())
        emission += self.maps["forest"]
        emission += self.haze
        emission += torch.from_numpy(emissions.fire_emission(self.seed, hours, self.grid))
        self.weather_emission = emission
        self.survival = torch.exp(-(VENTING + rain) * (self.step_minutes / 60))
        # Heating: people emit more where and when it is cold.
        heating = 1 - 0.25 * season(hours) * np.tanh(self.grid.latitude / 20)
        self.people = self.maps["people"] * torch.from_numpy(heating.astype(np.float32))[:, None]

    def _geometry(self) -> None:
        lat = torch.from_numpy(np.radians(self.grid.latitude))[:, None]
        lon = torch.from_numpy(np.radians(self.grid.longitude))[None]
        up = torch.sin(lat).expand(self.grid.shape)
        self.place = torch.stack([torch.cos(lat) * torch.cos(lon), torch.cos(lat) * torch.sin(lon), up]).float()
        self.middle_longitude = float(self.grid.longitude[0] + self.grid.longitude[-1]) / 2
        rows, columns = self.grid.shape
        self.rim = None
        if not self.grid.is_global:
            i = torch.arange(rows)[:, None]
            j = torch.arange(columns)[None]
            far = torch.full((rows, columns), float(rows))
            if not self.grid.has_north_pole:
                far = torch.minimum(far, i.expand(rows, columns).float())
            if not self.grid.has_south_pole:
                far = torch.minimum(far, (rows - 1 - i).expand(rows, columns).float())
            if not self.grid.is_periodic:
                far = torch.minimum(far, torch.minimum(j, columns - 1 - j).expand(rows, columns).float())
            self.rim = (1 - far / RIM).clamp_min(0)

    def _departure(self, wind: torch.Tensor) -> torch.Tensor:
        """Where the air of each node was a step ago, in grid_sample's coordinates of the padded field."""
        away = self.place - wind * (self.step_minutes * 60 / EARTH)
        x, y, z = away
        lat = torch.rad2deg(torch.atan2(z, torch.hypot(x, y)))
        turn = np.radians(self.middle_longitude)  # measured from the middle, so that no box is cut at the date line
        cosine, sine = float(np.cos(turn)), float(np.sin(turn))
        lon = torch.rad2deg(torch.atan2(y * cosine - x * sine, x * cosine + y * sine))
        rows, columns = self.grid.shape
        row = (float(self.grid.latitude[0]) - lat) / self.grid.step + PAD
        column = lon / self.grid.step + (columns - 1) / 2 + PAD
        height, width = rows + 2 * PAD, columns + 2 * PAD
        return torch.stack([column * (2 / (width - 1)) - 1, row * (2 / (height - 1)) - 1], -1)[None]

    def _padded(self, state: torch.Tensor) -> torch.Tensor:
        """The field with its neighbours: around the globe, over the poles (half a turn away), or its open edge."""
        if self.grid.is_periodic:
            half = state.shape[1] // 2
            top = state[1 : PAD + 1].flip(0).roll(half, 1) if self.grid.has_north_pole else state[:1].expand(PAD, -1)
            low = state[-PAD - 1 : -1].flip(0).roll(half, 1) if self.grid.has_south_pole else state[-1:].expand(PAD, -1)
            state = torch.cat([top, state, low])
            return torch.cat([state[:, -PAD:], state, state[:, :PAD]], 1)[None, None]
        return functional.pad(state[None, None], (PAD,) * 4, mode="replicate")

    def _fine(self, coarse: torch.Tensor) -> torch.Tensor:
        """Linear interpolation of (C, h, w) from the coarse to the fine nodes."""
        if self.grid.is_periodic:
            coarse = torch.cat([coarse, coarse[..., :1]], -1)
        size = (FACTOR * (coarse.shape[-2] - 1) + 1, FACTOR * (coarse.shape[-1] - 1) + 1)
        fine = functional.interpolate(coarse[None], size, mode="bilinear", align_corners=True)[0]
        return fine[..., : self.grid.shape[1]]

    def _local_hour(self, time: np.datetime64) -> np.ndarray:
        return (hours_since_epoch(time) + self.grid.longitude / 15) % 24

    def _poles(self, field: torch.Tensor) -> None:
        if self.grid.has_north_pole:
            field[0] = field[1].mean()
        if self.grid.has_south_pole:
            field[-1] = field[-2].mean()


def synthetic_label(seed: int) -> str:
    """What every file of the nature run says about itself."""
    return f"nature run of deepcams, seed {seed}; not an observation nor a product of CAMS or NASA"


def _haze(grid: Grid) -> np.ndarray:
    """What sinks from above, more in the Arctic: (H, 1) float32, ug m-3 h-1."""
    lat = grid.latitude[:, None]
    return (0.006 + 0.045 / (1 + np.exp(-(lat - 58) / 5)) + 0.02 * np.exp(-(((lat - 35) / 25) ** 2))).astype(np.float32)


def _climatology(seed: int, grid: Grid) -> np.ndarray:
    """A plausible mean state, the sources spread out by the mean winds: start and inflow of the run, (H, W) float32."""
    maps = emissions.sources(seed, grid)
    source = maps.people + maps.forest + maps.dust * 0.35 + maps.sea * 0.06 + _haze(grid)
    mode = ("nearest", "wrap" if grid.is_periodic else "nearest")
    near = ndimage.gaussian_filter(source, 3.0, mode=mode)
    far = ndimage.gaussian_filter(source, (10.0, 22.0), mode=mode)
    state = (6.0 * near + 14.0 * far + 0.25).astype(np.float32)
    for row, is_pole in ((0, grid.has_north_pole), (-1, grid.has_south_pole)):
        if is_pole:
            state[row] = state[row].mean()
    return state
