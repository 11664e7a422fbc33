"""Pairing station measurements with the hourly fields.

A measurement is the mean over the hour that ends at its time stamp t. The fields are instants at hh:00, taken as
linear in between, so the hour's mean of the field is a weighted sum of at most three of them: with t a fraction f of
an hour after the last full hour h,

    (1-f)²/2 · F(h-1) + [1 - (1-f)²/2 - f²/2] · F(h) + f²/2 · F(h+1),

which is the mean of F(h-1) and F(h) at full hours, and serves countries whose clocks are off by half an hour too.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import HOUR, MISSING, STATUS_MEANINGS
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.grid.nodes import Grid
from deepcams.sources.stations import is_synthetic, read_table
from deepcams.validation.fields import FieldFile, require_same_origin
from deepcams.validation.quality import QualitySettings, control_quality

LONGEST_GAP = np.timedelta64(3, "h")  # CAMS frames further apart are not bridged
COLUMNS = (
    "station", "name", "country", "latitude", "longitude", "time", "cell", "observed", "product", "cams", "status"
)  # fmt: skip


@dataclass(frozen=True)
class CollocationSettings:
    """How a station's place is read from a field: `method` is "nearest" (node) or "bilinear" (four nodes)."""

    method: str = "nearest"
    quality: QualitySettings = field(default_factory=QualitySettings)


def collocate(
    product_path: str | Path,
    coarse_path: str | Path,
    stations: pd.DataFrame,
    settings: CollocationSettings,
    product_neighbours: Sequence[str | Path] = (),
    coarse_neighbours: Sequence[str | Path] = (),
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pair measurements that passed the quality control with the product and with CAMS.

    product_path : hourly 0.25° instants.  coarse_path : 0.75° instants, hourly or 3-hourly; what lies between two
    frames at most 3 h apart is linear in time.  stations : as `control_quality` returns it.
    product_neighbours, coarse_neighbours : the files of the months before and after, for hours that reach across the
    month's ends; where they are not given (or do not exist), such hours are counted and left out.
    Returns rows (columns `COLUMNS`; `cell` is the flat index of the nearest product node, `status` that of the better
    known of the hour's fields: "analysis" where one of them is an analysis) sorted by station and time, and
    {reason: rows left out}. Rows without product or without CAMS are left out, so both are scored on the same pairs.
    Raises DeepcamsError if real and synthetic data are mixed or an averaging period is not one hour.
    """
    if settings.method not in ("nearest", "bilinear"):
        raise DeepcamsError(f"The collocation method is {settings.method!r}; choose nearest or bilinear.")
    if not stations["averaging_hours"].sub(1.0).abs().le(0.01).all():
        raise DeepcamsError("Hourly fields are compared with hourly measurements; keep averaging_hours at 1.")
    with FieldFile(product_path) as product, FieldFile(coarse_path) as coarse:
        synthetic = require_same_origin(product, coarse)
        if len(stations) and (synthetic is not None) != is_synthetic(stations):
            raise DeepcamsError(
                f"{product.path} is {'synthetic' if synthetic else 'real'} and the station measurements are "
                f"{'real' if synthetic else 'synthetic'}: they cannot be compared. Use both of one run."
            )
        inside = _inside(product.grid, stations) & _inside(coarse.grid, stations)
        counts = {"outside the product's region": int((~inside).sum())}
        table = stations[inside].reset_index(drop=True)
        place, first = _places(table)
        hours = _needed_hours(table["time"].to_numpy(), product.times)
        fields = _at_stations(product, product_neighbours, hours, first, settings.method)
        cams = _at_stations(coarse, coarse_neighbours, hours, first, settings.method)
        status = _statuses(product, product_neighbours, hours)
        cells = _nearest_cell(product.grid, first)

    index, weights = _stencil(table["time"].to_numpy(), hours)
    has_fields = np.all((weights == 0) | (status[index] != MISSING), axis=1)
    table = table.assign(
        cell=cells[place],
        observed=table["value"],
        product=_hour_mean(fields, index, weights, place),
        cams=_hour_mean(cams, index, weights, place),
        status=np.where(weights > 0, status[index], MISSING).min(axis=1),
    )
    counts["no field at one end of the hour"] = int((~has_fields).sum())
    complete = has_fields & np.isfinite(table["product"]) & np.isfinite(table["cams"])
    counts["missing value in a field"] = int((has_fields & ~complete).sum())
    table = table[complete]
    table = table.assign(status=np.array(STATUS_MEANINGS.split())[table["status"]])
    counts["pairs"] = len(table)
    return table.loc[:, list(COLUMNS)].sort_values(["station", "time"], kind="stable", ignore_index=True), counts


def collocate_month(
    product_path: str | Path,
    coarse_path: str | Path,
    stations_path: str | Path,
    table_path: str | Path,
    counts_path: str | Path,
    settings: CollocationSettings,
    product_neighbours: Sequence[str | Path] = (),
    coarse_neighbours: Sequence[str | Path] = (),
) -> dict[str, int]:
    """Quality control and collocation of one month, from files to files.

    stations_path : the month's tidy table (CSV, gzip).  Writes the pairs to `table_path` (CSV, gzip if so named) and
    the number of rows that each step removed to `counts_path` (JSON), and returns the latter.
    """
    stations = read_table(stations_path)
    clean, counts = control_quality(stations, settings.quality)
    pairs, dropped = collocate(product_path, coarse_path, clean, settings, product_neighbours, coarse_neighbours)
    counts.update(dropped)
    write_pairs(table_path, pairs)
    write_text(counts_path, json.dumps(counts, indent=1, ensure_ascii=False) + "\n")
    return counts


def write_pairs(path: str | Path, pairs: pd.DataFrame) -> None:
    """Write a table of pairs as CSV, the same bytes for the same pairs."""
    options = {"index": False, "float_format": "%.7g", "date_format": "%Y-%m-%dT%H:%M:%SZ", "lineterminator": "\n"}
    with atomic_path(path) as temporary, open(temporary, "wb") as raw:
        if not str(path).endswith(".gz"):
            pairs.to_csv(raw, **options)
            return
        # Neither the time nor the temporary name may enter the header.
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=4) as stream:
            pairs.to_csv(stream, **options)


def read_pairs(path: str | Path) -> pd.DataFrame:
    """Read what `write_pairs` wrote: `time` datetime64[s] UTC, values float64, texts as categories."""
    # "NA" is Namibia.
    texts = ("station", "name", "country", "status")
    table = pd.read_csv(path, dtype=dict.fromkeys(texts, "string"), keep_default_na=False)
    table["time"] = pd.to_datetime(table["time"], utc=True, format="ISO8601").dt.tz_localize(None)
    table["time"] = table["time"].astype("datetime64[s]")
    return table


def _fractions(grid: Grid, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of places, in steps; columns from half a step west of the first node on."""
    row = (grid.latitude[0] - latitude) / grid.step
    column = ((longitude - grid.longitude[0] + grid.step / 2) % 360.0) / grid.step - 0.5
    return row, column


def _inside(grid: Grid, table: pd.DataFrame) -> np.ndarray:
    """Whether places belong to a cell of the grid; a cell reaches half a step around its node."""
    row, column = _fractions(grid, table["latitude"].to_numpy(), table["longitude"].to_numpy())
    rows, columns = grid.shape
    return (row >= -0.5) & (row <= rows - 0.5) & (column <= columns - 0.5)


def _places(table: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Number of each row's place, and one row per place; a station that moved has several places."""
    keys = ["latitude", "longitude"]
    first = table.loc[:, keys].drop_duplicates(ignore_index=True)
    place = pd.MultiIndex.from_frame(first).get_indexer(pd.MultiIndex.from_frame(table.loc[:, keys]))
    return place, first


def _nodes(grid: Grid, first: pd.DataFrame, method: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and weights of the nodes that make up the value at each place: (places, 1 or 4) each."""
    row, column = _fractions(grid, first["latitude"].to_numpy(), first["longitude"].to_numpy())
    rows, columns = grid.shape
    if method == "nearest":
        rows_, columns_ = np.floor(row + 0.5).astype(int), np.floor(column + 0.5).astype(int)
        columns_ = columns_ % columns if grid.is_periodic else columns_.clip(0, columns - 1)
        return rows_.clip(0, rows - 1)[:, None], columns_[:, None], np.ones((len(first), 1))
    row = row.clip(0, rows - 1)
    if not grid.is_periodic:
        column = column.clip(0, columns - 1)
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    down, right = row - top, column - left
    bottom = np.minimum(top + 1, rows - 1)
    beyond = (left + 1) % columns if grid.is_periodic else np.minimum(left + 1, columns - 1)
    left = left % columns
    weights = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
    return (
        np.stack([top, top, bottom, bottom], axis=1),
        np.stack([left, beyond, left, beyond], axis=1),
        np.stack(weights, axis=1),
    )


def _nearest_cell(grid: Grid, first: pd.DataFrame) -> np.ndarray:
    rows, columns, _ = _nodes(grid, first, "nearest")
    return (rows * grid.shape[1] + columns)[:, 0]


def _needed_hours(stamps: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Consecutive hours from the one before the first stamp to the one after the last, within reach of the file."""
    if not len(stamps):
        return times[:1]
    full = stamps.astype("datetime64[h]").astype("datetime64[s]")
    first, last = max(full.min(), times[0]) - HOUR, min(full.max(), times[-1]) + HOUR
    return np.arange(first, max(first, last) + HOUR, HOUR)


def _stencil(stamps: np.ndarray, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices into `hours` plus one missing hour at the end, and weights, of each stamp's fields: (n, 3) each."""
    full = stamps.astype("datetime64[h]").astype("datetime64[s]")
    f = (stamps - full) / HOUR
    before, after = (1 - f) ** 2 / 2, f**2 / 2
    weights = np.stack([before, 1 - before - after, after], axis=1)
    index = ((full - hours[0]) / HOUR).astype(int)[:, None] + np.array([-1, 0, 1])
    index[(index < 0) | (index >= len(hours))] = len(hours)
    return index, weights


def _hour_mean(values: np.ndarray, index: np.ndarray, weights: np.ndarray, place: np.ndarray) -> np.ndarray:
    total = np.zeros(len(index))
    for k in range(3):
        used = weights[:, k] > 0
        total[used] += weights[used, k] * values[index[used, k], place[used]]
    return total


def _at_stations(
    file: FieldFile, neighbours: Sequence[str | Path], hours: np.ndarray, first: pd.DataFrame, method: str
) -> np.ndarray:
    """Values of a file, and of its neighbours, at hours and places: (hours + 1, places) float64, NaN if missing.

    The last row is the missing hour that `_stencil` points to. An hour between two frames is linear in time.
    """
    rows, columns, weights = _nodes(file.grid, first, method)
    times, values = _sample(file, hours, rows, columns, weights)
    for path in neighbours:
        with FieldFile(path) as other:
            require_same_origin(file, other)
            more_times, more_values = _sample(other, hours, *_nodes(other.grid, first, method))
        new = ~np.isin(more_times, times)
        times, values = np.concatenate([times, more_times[new]]), np.concatenate([values, more_values[new]])
    order = np.argsort(times)
    times, values = times[order], values[order]
    result = np.full((len(hours) + 1, len(first)), np.nan)
    if len(times) < 2:
        for time, frame in zip(times, values, strict=True):
            result[:-1][hours == time] = frame
        return result
    after = np.searchsorted(times, hours).clip(1, len(times) - 1)
    gap = times[after] - times[after - 1]
    share = ((hours - times[after - 1]) / gap)[:, None]
    # At a frame its neighbour must not count, even if that is missing.
    between = (1 - share) * values[after - 1] + share * values[after]
    at_hour = np.select([share == 0, share == 1], [values[after - 1], values[after]], between)
    usable = (share == 0) | (share == 1) | ((share > 0) & (share < 1) & (gap <= LONGEST_GAP)[:, None])
    result[:-1] = np.where(usable, at_hour, np.nan)
    return result


def _sample(
    file: FieldFile, hours: np.ndarray, rows: np.ndarray, columns: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Times, and values at places (T, places), of the frames that hours may need; a day is in memory at a time."""
    start, stop = np.searchsorted(file.times, [hours[0] - LONGEST_GAP, hours[-1] + LONGEST_GAP + HOUR])
    values = np.empty((stop - start, len(rows)))
    for first, frames in file.slabs(start, stop):
        values[first - start : first - start + len(frames)] = _weighted(frames, rows, columns, weights)
    return file.times[start:stop], values


def _weighted(frames: np.ndarray, rows: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros((len(frames), len(rows)))
    for k in range(rows.shape[1]):
        used = weights[:, k] > 0  # a missing node without weight does not matter
        total[:, used] += weights[used, k] * frames[:, rows[used, k], columns[used, k]]
    return total


def _statuses(product: FieldFile, neighbours: Sequence[str | Path], hours: np.ndarray) -> np.ndarray:
    """Flags of the hours and, last, of the missing hour: (hours + 1,) int8."""
    status = np.full(len(hours) + 1, MISSING, dtype=np.int8)
    for path in neighbours:
        with FieldFile(path) as other:
            frame = other.find(hours)
            status[:-1][frame >= 0] = other.status()[frame[frame >= 0]]
    frame = product.find(hours)
    status[:-1][frame >= 0] = product.status()[frame[frame >= 0]]
    return status
