"""Training material of station fusion: means of days of a model, one folder a month with an array for each variable.

A local day is that of each longitude's nautical time zone, as for stations. It reaches up to 12 hours into the months
before and after, so that a month's first and last day are left out where the month's own hours are not enough.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcams.calendar import DAY, HALF_HOUR, HOUR, zone_hours
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import read_field, read_layout
from deepcams.grid.nodes import Grid, from_axes, locate
from deepcams.progress import progress
from deepcams.training.shards import Frames, grid_entry, grid_of, new_array

LEAST_HOURS = 19  # "more than 18" (Lyu et al. 2022)
HELD_OUT = 0.1  # of each month's days, the last ones
_BLOCK = 24  # hours read at a time


@dataclass(frozen=True, eq=False)
class Days:
    """A month of daily means.

    fields : by the name of the variable, the pollutant first: (T, H, W) float32, ug m-3, 1 or m s-1; NaN where missing.
    dates : (T,) datetime64[D].   about : what else the index says: source, checksums …
    """

    fields: dict[str, Frames | np.ndarray]
    dates: np.ndarray
    grid: Grid
    about: dict

    @property
    def pollutant(self) -> str:
        """The name of the variable that is estimated."""
        return next(iter(self.fields))


def write_days(
    fields: str | Path, meteorology: str | Path | None, index: str | Path, *, variables: Sequence[str], day: str
) -> None:
    """Average a canonical month of GEOS-CF over days, and write it as the folder whose index is `index`.

    fields : hourly concentrations.   meteorology : the month's file of `deepcams.sources.meteorology`, on the same
    nodes; None if there are no `variables`, which are taken from it.   day : "local" or "utc".
    Raises DeepcamsError if the two files are of different areas or hours, or no day is whole.
    """
    index = Path(index)
    field = read_field(fields)
    grid = from_axes(field.latitude.values, field.longitude.values)[0]
    times = field.time.values.astype("datetime64[s]")
    starts = _starts(times)
    # The next month's first hour, which closes intervals elsewhere, makes no day here.
    starts = starts[starts < (starts[0].astype("datetime64[M]") + 1).astype("datetime64[s]")]
    field = field[: len(starts)]
    zones = zone_hours(grid.longitude) if day == "local" else np.zeros(grid.shape[1], dtype=np.int64)
    dates = _whole_dates(starts, zones)
    if not len(dates):
        raise DeepcamsError(f"{fields} holds no whole day: {len(times)} hours. Retrieve the whole month.")
    sources = {str(field.name): (field, None)}
    for name in variables:
        sources[name] = _weather(meteorology, name, starts, grid, fields)
    with ExitStack() as stack:
        arrays = {}
        for name in sources:
            temporary = stack.enter_context(atomic_path(index.parent / f"{name}.npy"))
            arrays[name] = new_array(temporary, (len(dates), *grid.shape))
        for name, (source, inside) in sources.items():
            told = f"average {name} of {Path(fields).stem}"
            for number, mean in daily_means(_blocks(source, inside), starts, zones, dates, told):
                arrays[name][number] = mean
            arrays[name].flush()
        arrays.clear()
    about = {key: field.attrs[key] for key in ("cell_methods", "synthetic") if key in field.attrs}
    whole = read_layout(fields).global_attributes
    about |= {key: whole[key] for key in ("collection", "geoscf_version") if key in whole}
    entry = {
        **about,
        "pollutant": str(field.name),
        "source": Path(fields).name,
        "day": day,
        "variables": list(sources),
        "dates": [str(date) for date in dates],
        "grid": grid_entry(grid),
        "sha256": {name: sha256(index.parent / f"{name}.npy") for name in sources},
    }
    write_text(index, json.dumps(entry, indent=1) + "\n")


def read_days(folder: str | Path) -> Days:
    """Open a month without reading its fields. Raises DeepcamsError naming the folder if it is not whole."""
    folder = Path(folder)
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        fields = {name: Frames(folder / f"{name}.npy") for name in index["variables"]}
        grid, dates = grid_of(index["grid"]), np.array(index["dates"], dtype="datetime64[D]")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeepcamsError(f"The days in {folder} are damaged ({error}). Delete the folder and run again.") from error
    for name, array in fields.items():
        if array.shape != (len(dates), *grid.shape):
            raise DeepcamsError(
                f"The days in {folder} are damaged: {name}.npy has shape {array.shape} where "
                f"{(len(dates), *grid.shape)} is expected. Delete the folder and run again."
            )
    return Days(fields, dates, grid, {k: v for k, v in index.items() if k not in ("dates", "grid", "variables")})


def split(month: Days) -> int:
    """Days of a month that are learnt from; the last ones are held out, unless the index says otherwise."""
    if not month.about.get("held_out", True):
        return len(month.dates)
    return len(month.dates) - max(1, round(HELD_OUT * len(month.dates)))


def daily_means(
    blocks: Iterator[np.ndarray], starts: np.ndarray, zones: np.ndarray, dates: np.ndarray, label: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Means of the days `dates` (T,): pairs of number and (H, W) float32, NaN where fewer than 19 hours are valid.

    blocks : the hourly fields (n, H, W), one after the other.   starts : (hours,) datetime64[s], when each begins.
    zones : (W,), hours that each column's clock is ahead of UTC. Two or three days are in memory at a time.
    """
    open_days: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    columns = {int(zone): np.flatnonzero(zones == zone) for zone in np.unique(zones)}
    hours = ((start, frame) for start, frame in zip(starts, _each(blocks), strict=True))
    for start, frame in progress(hours, label, "hours", total=len(starts)):
        valid = np.isfinite(frame)
        for zone, where in columns.items():
            number = int(np.searchsorted(dates, (start + zone * HOUR).astype("datetime64[D]")))
            if number == len(dates) or dates[number] != (start + zone * HOUR).astype("datetime64[D]"):
                continue
            if number not in open_days:
                open_days[number] = np.zeros(frame.shape, np.float64), np.zeros(frame.shape, np.int16)
            total, count = open_days[number]
            total[:, where] += np.where(valid[:, where], frame[:, where], 0)
            count[:, where] += valid[:, where]
        over = start + HOUR + int(zones.min()) * HOUR
        for number in [number for number in open_days if dates[number] + DAY <= over]:
            yield number, _mean(*open_days.pop(number))
    for number, sums in open_days.items():
        yield number, _mean(*sums)


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.where(count >= LEAST_HOURS, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _whole_dates(starts: np.ndarray, zones: np.ndarray) -> np.ndarray:
    """The dates that have at least 19 of the hours in every zone: (T,) datetime64[D]."""
    enough = []
    for zone in np.unique(zones):
        dates, hours = np.unique((starts + int(zone) * HOUR).astype("datetime64[D]"), return_counts=True)
        enough.append(set(dates[hours >= LEAST_HOURS]))
    return np.array(sorted(set.intersection(*enough)), dtype="datetime64[D]")


def _starts(times: np.ndarray) -> np.ndarray:
    """When the hours begin whose means are stamped with their middle; an instant stands for the hour after it."""
    return times - HALF_HOUR if (times.astype("datetime64[h]") != times).all() else times


def _weather(path: str | Path | None, name: str, starts: np.ndarray, grid: Grid, beside: str | Path) -> tuple:
    """A variable of the month's meteorology, cut to the same hours, and where in it the nodes of `grid` are."""
    if path is None:
        raise DeepcamsError(f"{name} needs the meteorology of the month beside {beside}; none is given.")
    source = read_field(path, name)
    there = from_axes(source.latitude.values, source.longitude.values)[0]
    own = _starts(source.time.values.astype("datetime64[s]"))
    if not np.array_equal(own[: len(starts)], starts):
        raise DeepcamsError(f"{path} does not hold the same hours as {beside}. Make both again with the same months.")
    return source[: len(starts)], locate(grid, there)


def _blocks(source, inside: tuple | None) -> Iterator[np.ndarray]:
    for start in range(0, source.sizes["time"], _BLOCK):
        block = source[start : start + _BLOCK].values
        yield block if inside is None else block[:, inside[0]][:, :, inside[1]]


def _each(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for block in blocks:
        yield from block
