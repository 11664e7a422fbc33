"""Backgrounds of station fusion on the time steps of its fields."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from deepcams.calendar import DAY, HOUR, zone_hours
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import read_field
from deepcams.grid.nodes import Grid, from_axes, locate
from deepcams.pollutants import PM25, Pollutant
from deepcams.training.climatology import of_season
from deepcams.training.days import daily_means

_BLOCK = 24  # hours read at a time


def of_climatology(means: Mapping[int, np.ndarray], times: np.ndarray) -> np.ndarray:
    """The mean field of each time's season: (T, H, W) float32, ug m-3.

    means : by calendar month.
    """
    return np.stack([of_season(means, time) for time in times])


def of_product(
    paths: Sequence[str | Path], grid: Grid, times: np.ndarray, step: str, day: str, pollutant: Pollutant = PM25
) -> np.ndarray:
    """Means of the product's hourly instants over time steps: (T, H, W) float32, ug m-3, NaN where hours are lacking.

    paths : months in order of time, which may begin before and end after.   times : (T,) datetime64[s], 00:00 of the
    days' dates, or the ends of hours.   step : "daily" or "hourly".   day : "local" or "utc".
    An hour's mean is that of the instants at its ends; days need 19 hours.
    """
    result = np.full((len(times), *grid.shape), np.nan, np.float32)
    before, after = (HOUR, HOUR) if step == "hourly" else (2 * DAY, 3 * DAY)
    starts, blocks = _hours(paths, grid, times[0] - before, times[-1] + after, pollutant)
    if step == "hourly":
        place = {time: number for number, time in enumerate(times)}
        for start, mean in zip(starts, blocks, strict=True):
            if start + HOUR in place:
                result[place[start + HOUR]] = mean
        return result
    zones = zone_hours(grid.longitude) if day == "local" else np.zeros(grid.shape[1], dtype=np.int64)
    frames = (mean[None] for mean in blocks)
    for number, mean in daily_means(frames, starts, zones, times.astype("datetime64[D]"), "average the background"):
        result[number] = mean
    return result


def _hours(
    paths: Sequence[str | Path], grid: Grid, first: np.datetime64, last: np.datetime64, pollutant: Pollutant
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """When the hours between consecutive instants begin, from `first` to `last`, and their means (H, W)."""
    fields = [read_field(path) for path in paths]
    for path, field in zip(paths, fields, strict=True):
        there = from_axes(field.latitude.values, field.longitude.values)[0]
        stated = field.name, field.attrs.get("units")
        if stated != (pollutant.name, pollutant.units):
            raise DeepcamsError(
                f"{path} holds {stated[0]} in {stated[1]!r}; the background is the product's {pollutant.name} in "
                f"{pollutant.units!r}."
            )
        if (field.time.values.astype("datetime64[h]") != field.time.values).any():
            raise DeepcamsError(f"{path} is not of full hours; a background has instants at hh:00, as the product has.")
        try:
            locate(grid, there)
        except DeepcamsError as error:
            raise DeepcamsError(f"{path}: {error} Choose a smaller region, or another background.") from error
    all_times = [field.time.values.astype("datetime64[s]") for field in fields]
    instants = np.concatenate(all_times)
    if (np.diff(instants) <= np.timedelta64(0, "s")).any():
        raise DeepcamsError(f"The background's files are out of order or overlap: {', '.join(map(str, paths))}.")
    wanted = (instants[:-1] >= first) & (instants[:-1] <= last) & (np.diff(instants) == HOUR)

    def means() -> Iterator[np.ndarray]:
        before, number = None, 0
        for field, times in zip(fields, all_times, strict=True):
            rows, columns = locate(grid, from_axes(field.latitude.values, field.longitude.values)[0])
            for start in range(0, len(times), _BLOCK):
                used = (times[start : start + _BLOCK] >= first) & (times[start : start + _BLOCK] <= last + HOUR)
                frames = field[start : start + _BLOCK].values[:, rows][:, :, columns] if used.any() else None
                for offset in range(len(used)):
                    frame = None if frames is None else frames[offset]
                    if number and wanted[number - 1]:
                        yield (before + frame) / 2
                    before, number = frame, number + 1

    return instants[:-1][wanted], means()
