"""Pairing station measurements with fields.

A measurement is the mean over the hour that ends at its time stamp t. The product's fields are instants at hh:00, taken
as linear in between, so the hour's mean of the field is a weighted sum of at most three of them: with t a fraction f
of an hour after the last full hour h,

    (1-f)²/2 · F(h-1) + [1 - (1-f)²/2 - f²/2] · F(h) + f²/2 · F(h+1),

which is the mean of F(h-1) and F(h) at full hours, and serves countries whose clocks are off by half an hour too.
Fields that are themselves means over intervals count by how much of the hour each covers; with fields of a day,
measurements are averaged over the field's day first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import HOUR, MISSING
from deepcams.errors import DeepcamsError
from deepcams.geography.load import continent_of
from deepcams.sources.stations import is_synthetic, read_table, write_csv
from deepcams.validation.axes import nodes, positions
from deepcams.validation.fields import FieldFile, require_same_origin
from deepcams.validation.pairs import FIELDS, PLACES, TEXTS, Pairs, write_pairs
from deepcams.validation.quality import QualitySettings, control_quality

LONGEST_GAP = np.timedelta64(3, "h")  # CAMS frames further apart are not bridged
LONG = 20 * HOUR  # means over at least this long are those of days
METHODS = ("nearest", "bilinear")
Opener = Callable[[str | Path], FieldFile]


@dataclass(frozen=True)
class CollocationSettings:
    """How measurements and fields are paired.

    method : how a station's place is read from a field, "nearest" (node) or "bilinear" (four nodes).
    daily_hours : with fields of a day, measurements that its mean needs ("more than 18", Lyu et al. 2022).
    """

    method: str = "nearest"
    daily_hours: int = 19
    quality: QualitySettings = field(default_factory=QualitySettings)


def collocate(
    product_path: str | Path,
    coarse_path: str | Path | None,
    stations: pd.DataFrame,
    settings: CollocationSettings,
    product_neighbours: Sequence[str | Path] = (),
    coarse_neighbours: Sequence[str | Path] = (),
    opened: Opener = FieldFile,
) -> tuple[Pairs, pd.DataFrame]:
    """Pair measurements that passed the quality control with the product and, if there is one, with a reference.

    product_path : fields of any grid: instants, or means over hours or days.  coarse_path : CAMS, 0.75° instants,
    hourly or 3-hourly (what lies between two frames at most 3 h apart is linear in time), or None.
    stations : as `control_quality` returns it.  opened : how files become fields.
    product_neighbours, coarse_neighbours : the files of the months before and after, for hours that reach across the
    month's ends; where they are not given, such hours are counted and left out.
    Returns the pairs, and how many measurements each reason left out: rows step, country, number. Rows without
    product or without reference are left out, so both are scored on the same pairs. The status of a pair is that of
    the better known of the hour's fields: an analysis where one of them is.
    Raises DeepcamsError if real and synthetic data are mixed or an averaging period does not fit.
    """
    if settings.method not in METHODS:
        raise DeepcamsError(f"The collocation method is {settings.method!r}; choose nearest or bilinear.")
    files = [opened(product_path)]
    try:
        if coarse_path is not None:
            files.append(opened(coarse_path))
        _require_same_kind(files, stations)
        inside = np.logical_and.reduce([_inside(file, stations) for file in files])
        losses = [_loss("outside the product's region", stations[~inside])]
        table, dropped = _over_intervals(stations[inside].reset_index(drop=True), files[0], settings)
        losses += dropped
        place, first = _places(table)
        stamps, at = np.unique(table["time"].to_numpy("datetime64[s]"), return_inverse=True)
        start = stamps - (_length(files[0]) if len(table) else HOUR)
        neighbours = (product_neighbours, coarse_neighbours)
        means = [
            _means(file, [opened(path) for path in others], start, stamps, first, settings.method)
            for file, others in zip(files, neighbours, strict=False)
        ]
        row, column, _ = nodes(files[0].axes, *_coordinates(first), "nearest")
        cells = (row * files[0].axes.shape[1] + column)[:, 0]
    finally:
        for file in files:
            file.close()
    values = {name: mean[at, place] for name, (mean, _, _) in zip(FIELDS, means, strict=False)}
    _, status, whole = means[0]
    known = whole[at]
    losses.append(_loss("no field for part of the time", table[~known]))
    finite = np.logical_and.reduce([np.isfinite(column) for column in values.values()])
    losses.append(_loss("missing value in a field", table[known & ~finite]))
    keep = known & finite
    losses.append(_loss("pairs", table[keep]))
    pairs = _pairs(table[keep], place[keep], cells, {n: v[keep] for n, v in values.items()}, status[at][keep])
    return pairs, pd.concat(losses, ignore_index=True)


def collocate_month(
    product_path: str | Path,
    coarse_path: str | Path | None,
    stations_path: str | Path,
    pairs_path: str | Path,
    counts_path: str | Path,
    settings: CollocationSettings,
    product_neighbours: Sequence[str | Path] = (),
    coarse_neighbours: Sequence[str | Path] = (),
) -> pd.DataFrame:
    """Quality control and collocation of one month, from files to files.

    stations_path : the month's tidy table (CSV, gzip).  Writes the pairs (NetCDF) to `pairs_path` and the number of
    measurements that each step removed, by country, to `counts_path` (CSV), and returns the latter.
    """
    stations = read_table(stations_path)
    attributes = {"source": f"stations paired by {settings.method} node"}
    if len(stations) and is_synthetic(stations):
        attributes["synthetic"] = "These data are synthetic (nature run); they are no measurements."
    clean, counts = control_quality(stations, settings.quality)
    pairs, losses = collocate(product_path, coarse_path, clean, settings, product_neighbours, coarse_neighbours)
    counts = pd.concat([counts, losses], ignore_index=True)
    write_pairs(pairs_path, pairs, attributes)
    write_counts(counts_path, counts)
    return counts


def write_counts(path: str | Path, counts: pd.DataFrame) -> None:
    """Write counts (step, country, number) as CSV."""
    write_csv([counts], path)


def read_counts(paths: Sequence[str | Path]) -> pd.DataFrame:
    """The sum of several months' counts, steps in their order."""
    types = {"step": str, "country": str, "number": "int64"}
    parts = [pd.read_csv(path, dtype=types, keep_default_na=False) for path in paths]  # "NA" is Namibia
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(types)).astype(types)
    order = {step: k for k, step in enumerate(dict.fromkeys(table["step"]))}
    summed = table.groupby(["step", "country"], as_index=False)["number"].sum()
    return summed.sort_values(["step", "country"], key=lambda c: c.map(order) if c.name == "step" else c).reset_index(
        drop=True
    )


def _require_same_kind(files: Sequence[FieldFile], stations: pd.DataFrame) -> None:
    """Raise DeepcamsError if real and synthetic data are mixed."""
    synthetic = require_same_origin(*files)
    if len(stations) and (synthetic is not None) != is_synthetic(stations):
        raise DeepcamsError(
            f"{files[0].path} is {'synthetic' if synthetic else 'real'} and the station measurements are "
            f"{'real' if synthetic else 'synthetic'}: they cannot be compared. Use both of one run."
        )


def _loss(step: str, table: pd.DataFrame) -> pd.DataFrame:
    """Rows step, country, number; one row with 0 where nothing was left out."""
    found = table["country"].astype("str").value_counts().sort_index()
    if found.empty:
        found = pd.Series({"": 0})
    return pd.DataFrame({"step": step, "country": found.index.astype("str"), "number": found.to_numpy("int64")})


def _coordinates(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return table["latitude"].to_numpy(np.float64), table["longitude"].to_numpy(np.float64)


def _inside(file: FieldFile, table: pd.DataFrame) -> np.ndarray:
    """Whether places belong to a cell of the field; a cell reaches half a step around its node."""
    row, column = positions(file.axes, *_coordinates(table))
    return np.isfinite(row) & np.isfinite(column)


def _length(file: FieldFile) -> np.timedelta64:
    """What a measurement is compared over: an hour, or the day that the fields are means of."""
    if file.bounds is None:
        return HOUR
    longest = (file.bounds[:, 1] - file.bounds[:, 0]).max()
    return longest if longest >= LONG else HOUR


def _over_intervals(
    table: pd.DataFrame, product: FieldFile, settings: CollocationSettings
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Measurements as they are for hourly fields, averaged over the fields' days for daily ones; and what is lost."""
    hours = table["averaging_hours"].to_numpy(np.float64)
    length = _length(product)
    if length < LONG:
        if not np.all(np.abs(hours - 1.0) <= 0.01):
            raise DeepcamsError("Hourly fields are compared with hourly measurements; keep averaging_hours at 1.")
        return table, []
    time = table["time"].to_numpy("datetime64[s]")
    begins, ends = product.bounds.T
    k = np.searchsorted(ends, time, side="left").clip(0, len(ends) - 1)
    within = (time > begins[k]) & (time <= ends[k])
    is_daily = np.abs(hours - length / HOUR) <= 0.01
    usable = np.where(is_daily, time == ends[k], within & (np.abs(hours - 1.0) <= 0.01))
    losses = [_loss("not within the time of a field", table[~usable])]
    part = table[usable].assign(interval=k[usable], covered=np.where(is_daily, length / HOUR, 1.0)[usable])
    keys = ["station", "latitude", "longitude", "interval"]
    grouped = part.groupby(keys, sort=True)
    enough = grouped["covered"].transform("sum") >= settings.daily_hours
    losses.append(_loss(f"day with fewer than {settings.daily_hours} hours", part[~enough]))
    part = part[enough]
    means = part.groupby(keys).agg(name=("name", "last"), country=("country", "last"), value=("value", "mean"))
    means = means.reset_index()
    losses.append(_loss("averaged into days", part[part.duplicated(keys)]))
    return means.assign(time=ends[means["interval"].to_numpy()]), losses


def _places(table: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Number of each row's place, and one row per place; a station that moved has several places."""
    keys = ["latitude", "longitude"]
    first = table.loc[:, keys].drop_duplicates(ignore_index=True)
    place = pd.MultiIndex.from_frame(first).get_indexer(pd.MultiIndex.from_frame(table.loc[:, keys]))
    return place, first


def _pairs(
    table: pd.DataFrame, place: np.ndarray, cells: np.ndarray, values: dict[str, np.ndarray], status: np.ndarray
) -> Pairs:
    """Pairs sorted by station and time."""
    codes, ids = pd.factorize(table["station"], sort=True)
    order = np.lexsort((table["time"].to_numpy("datetime64[s]"), place, codes))
    key = codes[order].astype(np.int64) * (len(cells) + 1) + place[order]
    starts = np.r_[True, np.diff(key) != 0] if len(key) else np.zeros(0, dtype=bool)
    index = (np.cumsum(starts) - 1).astype(np.int32)
    last = np.flatnonzero(np.r_[starts[1:], True]) if len(key) else np.zeros(0, dtype=int)
    rows = table.iloc[order[last]]
    stations = pd.DataFrame(
        {
            "station": np.asarray(ids, dtype=object)[codes[order[last]]],
            "name": rows["name"].to_numpy(object),
            "country": rows["country"].to_numpy(object),
            "continent": [continent_of(str(code)) for code in rows["country"]],
            "latitude": rows["latitude"].to_numpy(np.float64),
            "longitude": rows["longitude"].to_numpy(np.float64),
            "cell": cells[place[order[last]]],
        }
    )
    return Pairs(
        stations.loc[:, list(PLACES)].astype(dict.fromkeys(TEXTS, "str")),
        index,
        table["time"].to_numpy("datetime64[s]")[order],
        table["value"].to_numpy(np.float32)[order],
        {name: column[order].astype(np.float32) for name, column in values.items()},
        status[order],
    )


def _means(
    file: FieldFile,
    neighbours: Sequence[FieldFile],
    start: np.ndarray,
    end: np.ndarray,
    first: pd.DataFrame,
    method: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The field's means between `start` and `end` (n,) at places: (n, places) float64, NaN if missing.

    Returns also their status (n,) int8 and whether all frames that they need are there (n,) bool. Closes the
    neighbours.
    """
    try:
        require_same_origin(file, *neighbours)
        if file.bounds is None:
            hours = _needed_hours(end, file.times)
            frames, status = _at_hours(file, neighbours, hours, first, method)
            index, weights = _stencil(end, hours)
        else:
            frames, status, bounds = _of_intervals(file, neighbours, start, end, first, method)
            index, weights = _overlaps(start, end, bounds)
    finally:
        for other in neighbours:
            other.close()
    total = np.zeros((len(end), len(first)))
    for k in range(index.shape[1]):
        used = weights[:, k] > 0
        total[used] += weights[used, k, None] * frames[index[used, k]]
    flags = np.where(weights > 0, status[index], MISSING)
    return total, flags.min(axis=1, initial=MISSING), ((weights == 0) | (flags != MISSING)).all(axis=1)


def _needed_hours(stamps: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Consecutive hours from the one before the first stamp to the one after the last, within reach of the file."""
    if not len(stamps):
        return times[:1]
    full = stamps.astype("datetime64[h]").astype("datetime64[s]")
    first, last = max(full.min() - HOUR, times[0] - LONGEST_GAP), min(full.max() + HOUR, times[-1] + LONGEST_GAP)
    return np.arange(first, max(first, last) + HOUR, HOUR)


def _stencil(stamps: np.ndarray, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of `hours` make up the mean over the hour before each stamp, and their weights: (n, 3) each.

    Hours that are not among `hours` get the index of the missing hour, the one after the last.
    """
    full = stamps.astype("datetime64[h]").astype("datetime64[s]")
    fraction = (stamps - full) / HOUR
    before, after = (1 - fraction) ** 2 / 2, fraction**2 / 2
    weights = np.stack([before, 1 - before - after, after], axis=1)
    index = ((full - hours[0]) / HOUR).astype(int)[:, None] + np.array([-1, 0, 1])
    return np.where((index >= 0) & (index < len(hours)), index, len(hours)), weights


def _overlaps(start: np.ndarray, end: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which intervals (T, 2) cover each time from `start` to `end`, and their shares; the index T is "missing"."""
    count = len(bounds)
    shortest = (bounds[:, 1] - bounds[:, 0]).min() if count else HOUR
    longest = (end - start).max() if len(end) else HOUR
    first = np.searchsorted(bounds[:, 1], start, side="right")
    index = first[:, None] + np.arange(int(np.ceil(longest / shortest)) + 1)
    inside = index < count
    edges = bounds[np.where(inside, index, 0)]
    shared = np.minimum(edges[..., 1], end[:, None]) - np.maximum(edges[..., 0], start[:, None])
    weights = np.where(inside, np.maximum(shared / (end - start)[:, None], 0.0), 0.0)
    index = np.where(inside, index, count)
    # What no interval covers is a share of the missing one.
    gap = 1.0 - weights.sum(axis=1)
    return np.c_[index, np.full(len(end), count)], np.c_[weights, np.where(gap > 1e-9, gap, 0.0)]


def _of_intervals(
    file: FieldFile,
    neighbours: Sequence[FieldFile],
    start: np.ndarray,
    end: np.ndarray,
    first: pd.DataFrame,
    method: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (T + 1, places), the last row missing, status (T + 1,) and intervals (T, 2) that the times may need."""
    values, bounds, status = [], [], []
    for one in (file, *neighbours):
        if one.bounds is None:
            raise DeepcamsError(f"{one.path} holds instants and {file.path} means over time; use files of one kind.")
        begins, ends = one.bounds.T
        found = np.flatnonzero((ends > start.min(initial=ends[-1])) & (begins < end.max(initial=begins[0])))
        a, b = (found[0], found[-1] + 1) if len(found) else (0, 0)
        values.append(_sample(one, a, b, first, method))
        bounds.append(one.bounds[a:b])
        status.append(one.status()[a:b])
    joined = np.concatenate(bounds)
    order = np.unique(joined[:, 1], return_index=True)[1]
    frames = np.concatenate(values)[order]
    missing = np.full((1, len(first)), np.nan)
    return np.concatenate([frames, missing]), np.append(np.concatenate(status)[order], np.int8(MISSING)), joined[order]


def _at_hours(
    file: FieldFile, neighbours: Sequence[FieldFile], hours: np.ndarray, first: pd.DataFrame, method: str
) -> tuple[np.ndarray, np.ndarray]:
    """Values of a file, and of its neighbours, at hours and places: (hours + 1, places) float64, NaN if missing.

    The last row is the missing hour that `_stencil` points to. An hour between two frames is linear in time. Returns
    the hours' status (hours + 1,) int8 too.
    """
    times, values = np.zeros(0, "datetime64[s]"), np.zeros((0, len(first)))
    status = np.full(len(hours) + 1, MISSING, dtype=np.int8)
    for one in (file, *neighbours):
        a, b = np.searchsorted(one.times, [hours[0] - LONGEST_GAP, hours[-1] + LONGEST_GAP + HOUR])
        new = ~np.isin(one.times[a:b], times)
        times = np.concatenate([times, one.times[a:b][new]])
        values = np.concatenate([values, _sample(one, a, b, first, method)[new]])
        frame = one.find(hours)
        known = (frame >= 0) & (status[:-1] == MISSING)
        status[:-1][known] = one.status()[frame[known]]
    order = np.argsort(times)
    times, values = times[order], values[order]
    result = np.full((len(hours) + 1, len(first)), np.nan)
    if len(times) < 2:
        for time, frame in zip(times, values, strict=True):
            result[:-1][hours == time] = frame
        return result, status
    after = np.searchsorted(times, hours).clip(1, len(times) - 1)
    gap = times[after] - times[after - 1]
    share = ((hours - times[after - 1]) / gap)[:, None]
    # At a frame its neighbour must not count, even if that is missing.
    between = (1 - share) * values[after - 1] + share * values[after]
    at_hour = np.select([share == 0, share == 1], [values[after - 1], values[after]], between)
    usable = (share == 0) | (share == 1) | ((share > 0) & (share < 1) & (gap <= LONGEST_GAP)[:, None])
    result[:-1] = np.where(usable, at_hour, np.nan)
    return result, status


def _sample(file: FieldFile, start: int, stop: int, first: pd.DataFrame, method: str) -> np.ndarray:
    """Values at places of frames `start` … `stop` - 1: (n, places) float64; a day is in memory at a time."""
    rows, columns, weights = nodes(file.axes, *_coordinates(first), method)
    values = np.zeros((stop - start, len(first)))
    for at, frames in file.slabs(start, stop):
        for k in range(rows.shape[1]):
            used = weights[:, k] > 0  # a missing node without weight does not matter
            part = weights[used, k] * frames[:, rows[used, k], columns[used, k]]
            values[at - start : at - start + len(frames), used] += part
    return values
