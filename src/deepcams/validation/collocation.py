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

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError
from deepcams.geography.load import continent_of
from deepcams.sources.stations import is_synthetic, read_table
from deepcams.validation.axes import nodes, positions
from deepcams.validation.cf_time import LONG
from deepcams.validation.counts import loss, write_counts
from deepcams.validation.fields import FieldFile, require_same_origin
from deepcams.validation.pairs import FIELDS, PLACES, TEXTS, Pairs, write_pairs
from deepcams.validation.quality import QualitySettings, control_quality
from deepcams.validation.sampling import coordinates, means_at

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
        losses = [loss("outside the product's region", stations[~inside])]
        table, dropped = _over_intervals(stations[inside].reset_index(drop=True), files[0], settings)
        losses += dropped
        place, first = _places(table)
        stamps, row, at = np.unique(table["time"].to_numpy("datetime64[s]"), return_index=True, return_inverse=True)
        start = table["start"].to_numpy("datetime64[s]")[row]
        neighbours = (product_neighbours, coarse_neighbours)
        means = [
            means_at(file, [opened(path) for path in others], start, stamps, first, settings.method)
            for file, others in zip(files, neighbours, strict=False)
        ]
        row, column, _ = nodes(files[0].axes, *coordinates(first), "nearest")
        cells = (row * files[0].axes.shape[1] + column)[:, 0]
    finally:
        for file in files:
            file.close()
    values = {name: mean[at, place] for name, (mean, _, _) in zip(FIELDS, means, strict=False)}
    _, status, whole = means[0]
    known = whole[at]
    losses.append(loss("no field for part of the time", table[~known]))
    finite = np.logical_and.reduce([np.isfinite(column) for column in values.values()])
    losses.append(loss("missing value in a field", table[known & ~finite]))
    keep = known & finite
    losses.append(loss("pairs", table[keep]))
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
    with FieldFile(product_path) as product:
        attributes = {"synthetic": product.synthetic} if product.synthetic else {}
    clean, counts = control_quality(stations, settings.quality)
    pairs, losses = collocate(product_path, coarse_path, clean, settings, product_neighbours, coarse_neighbours)
    counts = pd.concat([counts, losses], ignore_index=True)
    write_pairs(pairs_path, pairs, attributes, settings.quality.pollutant)
    write_counts(counts_path, counts)
    return counts


def _require_same_kind(files: Sequence[FieldFile], stations: pd.DataFrame) -> None:
    """Raise DeepcamsError if real and synthetic data are mixed."""
    synthetic = require_same_origin(*files)
    if len(stations) and (synthetic is not None) != is_synthetic(stations):
        raise DeepcamsError(
            f"{files[0].path} is {'synthetic' if synthetic else 'real'} and the station measurements are "
            f"{'real' if synthetic else 'synthetic'}: they cannot be compared. Use both of one run."
        )


def _inside(file: FieldFile, table: pd.DataFrame) -> np.ndarray:
    """Whether places belong to a cell of the field; a cell reaches half a step around its node."""
    row, column = positions(file.axes, *coordinates(table))
    return np.isfinite(row) & np.isfinite(column)


def is_daily(file: FieldFile) -> bool:
    """Whether the fields are means over days."""
    return file.bounds is not None and bool((file.bounds[:, 1] - file.bounds[:, 0]).max() >= LONG)


def _over_intervals(
    table: pd.DataFrame, product: FieldFile, settings: CollocationSettings
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Measurements as they are for hourly fields, averaged over the fields' days for daily ones; and what is lost.

    A column `start` is added, where the time begins that a row is compared over.
    """
    hours = table["averaging_hours"].to_numpy(np.float64)
    time = table["time"].to_numpy("datetime64[s]")
    is_hour = np.abs(hours - 1.0) <= 0.01
    if not is_daily(product):
        if not is_hour.all():
            raise DeepcamsError("Hourly fields are compared with hourly measurements; keep averaging_hours at 1.")
        return table.assign(start=time - HOUR), []
    begins, ends = product.bounds.T
    k = np.searchsorted(ends, time, side="left").clip(0, len(ends) - 1)
    is_day = (np.abs(hours - (ends[k] - begins[k]) / HOUR) <= 0.01) & (time == ends[k])
    usable = is_day | (is_hour & (time > begins[k]) & (time <= ends[k]))
    losses = [loss("not within the time of a field", table[~usable])]
    number = (time - begins[k]) // HOUR - ((time - begins[k]) % HOUR == 0)  # of the hour within the day
    part = table.assign(interval=k, hour=number, is_day=is_day)[usable]
    keys = ["station", "latitude", "longitude", "interval"]
    # Distinct hours count: some stations report the last hour every quarter of one.
    measured = part[~part["is_day"]].groupby(keys)["hour"].nunique().rename("measured")
    part = part.join(measured, on=keys)
    whole = part["measured"].fillna(0) >= settings.daily_hours
    losses.append(loss("day that is known by its hours", part[part["is_day"] & whole]))
    losses.append(loss(f"day with fewer than {settings.daily_hours} hours", part[~part["is_day"] & ~whole]))
    part = part[part["is_day"] != whole]
    means = part.groupby(keys).agg(name=("name", "last"), country=("country", "last"), value=("value", "mean"))
    means = means.reset_index()
    losses.append(loss("averaged into days", part[part.duplicated(keys)]))
    of = means["interval"].to_numpy()
    return means.assign(time=ends[of], start=begins[of]), losses


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
