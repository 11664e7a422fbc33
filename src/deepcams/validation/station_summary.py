"""What the pairs of a year come to: scores by groups, tests, cycles, and the numbers behind the figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepcams.calendar import DAY, STATUS_MEANINGS
from deepcams.grid.nodes import EARTH
from deepcams.pollutants import PM25, Pollutant
from deepcams.validation.exceedance import exceedances
from deepcams.validation.pair_scores import SCORES, scores
from deepcams.validation.paired_tests import (
    DIFFERENCE_COLUMNS,
    boxes,
    paired_differences,
    paired_medians,
    station_tests,
)
from deepcams.validation.pairs import Pairs, cell_means, daily_means, days_of, local_solar_hour, monthly_means

SEASONS = ("DJF", "MAM", "JJA", "SON")
BINS_PER_DECADE = 20
APART = 1000.0  # km: the second place of the series is at least so far from the first
NEAR = 500.0  # km: a station stands for a place that was asked for
CLICK_VALUES = 440_000  # station-times whose series a page can carry
RANKED = ("all", "continent", "country")  # groups that get a rank correlation, which is slow
TESTED = ("all", "continent", "season")  # groups whose differences get an interval
DIFFERENCES = ["resolution", "by", *DIFFERENCE_COLUMNS]


@dataclass(frozen=True)
class SummarySettings:
    """What a mean and a station's score need, and which places are shown.

    daily_hours, monthly_days : pairs that a day's mean, days that a month's needs.  station_pairs, station_days : a
    station's scores count for medians, tests and maps from so many on.  thresholds : whose exceedances are counted, in
    the product's units; None: the pollutant's.  places : (latitude, longitude) of the two series; None: the stations
    with most pairs.
    """

    daily_hours: int = 19  # "more than 18 valid hours" (Lyu et al. 2022)
    monthly_days: int = 20
    station_pairs: int = 24
    station_days: int = 5
    thresholds: tuple[float, ...] | None = None
    places: tuple[tuple[float, float], ...] | None = None
    pollutant: Pollutant = PM25

    def least(self, resolution: str) -> int:
        """How many pairs a station needs at a resolution."""
        return {"hourly": self.station_pairs, "daily": self.station_days}.get(resolution, 1)


def station_tables(pairs: Pairs, settings: SummarySettings, *, daily: bool = False) -> dict[str, pd.DataFrame]:
    """Tables of a year's pairs, by name; docs/validation.md describes their columns.

    pairs : hourly ones, or those of days if `daily`.  Returns "scores", "stations", "exceedances", "differences",
    "diurnal", "scatter", "series" and "tests"; empty tables if there are no pairs.
    """
    resolutions = {"daily": pairs} if daily else {"hourly": pairs, "daily": daily_means(pairs, settings.daily_hours)}
    resolutions["monthly"] = monthly_means(resolutions["daily"], settings.monthly_days)
    resolutions = {name: part for name, part in resolutions.items() if len(part)}
    if not resolutions:
        return {name: pd.DataFrame() for name in _EMPTY}
    per_station = {
        name: {field: _of_stations(part, field, settings) for field in part.modelled}
        for name, part in resolutions.items()
        if name != "monthly"
    }
    return {
        "scores": pd.concat([*_group_scores(resolutions), *_medians(per_station, settings)], ignore_index=True).loc[
            :, ["resolution", "by", "group", "stations", "field", *SCORES]
        ],
        "stations": _station_rows(pairs.stations, per_station),
        "exceedances": pd.concat(
            [
                exceedances(part.observed, part.modelled[field], _thresholds(settings, name)).assign(
                    resolution=name, field=field
                )
                for name, part in resolutions.items()
                if name != "monthly"
                for field in part.modelled
            ],
            ignore_index=True,
        ),
        "differences": _differences(resolutions, per_station, settings),
        "diurnal": pd.DataFrame() if daily else _diurnal(pairs),
        "scatter": _scatter(pairs, bin_edges(settings.pollutant)),
        "series": _series(pairs, per_station[next(iter(per_station))], settings),
        "tests": _tests(resolutions, per_station, settings),
    }


_EMPTY = ("scores", "stations", "exceedances", "differences", "diurnal", "scatter", "series", "tests")


def bin_edges(pollutant: Pollutant) -> np.ndarray:
    """Edges of the density scatter's bins, 20 a decade, from 0.1 to 3162 µg m-3 for PM2.5."""
    first = np.floor(np.log10(max(10 * pollutant.lowest, 0.01)))
    last = np.ceil(2 * np.log10(pollutant.ceiling)) / 2
    return np.round(10 ** np.arange(first, last + 1e-9, 1 / BINS_PER_DECADE), 6)


def click_series(pairs: Pairs, *, daily_hours: int) -> dict[str, np.ndarray]:
    """Series of stations for the page: hourly for at most 31 days, else daily means.

    Returns arrays: row (S,) of `pairs.stations`, time (T,), observed and each field (S, T) float32, NaN where there is
    none. With more stations than a page can carry, the richest of each box of 2° come first.
    """
    is_long = len(pairs) and pairs.time.max() - pairs.time.min() > 31 * DAY
    part = daily_means(pairs, daily_hours) if is_long else pairs
    time = np.unique(part.time)
    count = np.bincount(part.index, minlength=len(part.stations))
    boxes = np.floor(part.stations[["latitude", "longitude"]].to_numpy() / 2.0)
    order = np.argsort(-count, kind="stable")
    box = pd.DataFrame(boxes[order])
    rank = box.groupby([0, 1]).cumcount().to_numpy()
    order = order[np.argsort(rank, kind="stable")]
    order = order[count[order] > 0][: max(1, CLICK_VALUES // max(len(time), 1))]
    row_of = np.full(len(part.stations), -1)
    row_of[order] = np.arange(len(order))
    row, column = row_of[part.index], np.searchsorted(time, part.time)
    found: dict[str, np.ndarray] = {"row": order.astype(np.int32), "time": time}
    for name, values in {"observed": part.observed, **part.modelled}.items():
        grid = np.full((len(order), len(time)), np.nan, dtype=np.float32)
        grid[row[row >= 0], column[row >= 0]] = values[row >= 0]
        found[name] = grid
    return found


def pooled(rows: pd.DataFrame) -> pd.Series:
    """Scores over all pairs of several groups from the groups' own; NaN where they do not tell (rho, mqi, ioa).

    rows : `SCORES` columns. Means, variances and the covariance add up exactly (Chan, Golub and LeVeque 1983); fge and
    fac2 do if all pairs count for them, or else nearly.
    """
    rows = rows[rows["n"] > 0]
    n = rows["n"].to_numpy(np.float64)
    total = n.sum()
    found = pd.Series(np.nan, index=list(SCORES))
    found["n"] = int(total)
    if not total:
        return found

    def mean(column: np.ndarray | pd.Series) -> float:
        values = np.asarray(column, dtype=np.float64)
        known = np.isfinite(values)
        return float(np.average(values[known], weights=n[known])) if known.any() else np.nan

    o, m = mean(rows["mean_observed"]), mean(rows["mean_modelled"])
    between_o, between_m = rows["mean_observed"] - o, rows["mean_modelled"] - m
    variance_o = mean(rows["sd_observed"] ** 2 + between_o**2)
    variance_m = mean(rows["sd_modelled"] ** 2 + between_m**2)
    inside = (rows["r"] * rows["sd_observed"] * rows["sd_modelled"]).fillna(0.0)
    covariance = mean(inside + between_o * between_m)
    rmse, spread = np.sqrt(mean(rows["rmse"] ** 2)), np.sqrt(variance_o * variance_m)
    found[["mean_observed", "mean_modelled"]] = o, m
    found[["sd_observed", "sd_modelled"]] = np.sqrt([variance_o, variance_m])
    found["r"] = covariance / spread if spread > 0 else np.nan
    found[["rmse", "mae", "mb"]] = rmse, mean(rows["mae"]), m - o
    found["crmse"] = np.sqrt(max(rmse**2 - (m - o) ** 2, 0.0))
    if o > 0:
        found[["nmb", "nme"]] = (m - o) / o, found["mae"] / o
    found[["fge", "fac2"]] = mean(rows["fge"]), mean(rows["fac2"])
    if spread > 0 and o != 0:
        terms = (found["r"] - 1, np.sqrt(variance_m / variance_o) - 1, m / o - 1)
        found["kge"] = 1 - np.sqrt(sum(term**2 for term in terms))
    return found


def season_of(days: np.ndarray) -> np.ndarray:
    """Index in `SEASONS` of days (n,) datetime64[D]: (n,) int8."""
    month = days.astype("datetime64[M]").astype(int) % 12  # 0: January
    return ((month + 1) % 12 // 3).astype(np.int8)


def distance(latitude: np.ndarray, longitude: np.ndarray, place: tuple[float, float]) -> np.ndarray:
    """Great-circle distance of places (n,) from one, km."""
    a, b = np.radians(latitude), np.radians(place[0])
    turn = np.radians(np.asarray(longitude) - place[1])
    inner = np.sin((a - b) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(turn / 2) ** 2
    return 2 * EARTH * np.arcsin(np.sqrt(inner.clip(0, 1)))


def _thresholds(settings: SummarySettings, resolution: str) -> tuple[float, ...]:
    return settings.pollutant.thresholds[resolution] if settings.thresholds is None else settings.thresholds


def _groups(pairs: Pairs, resolution: str) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Ways to group pairs: by what, the groups' names, and the group of each pair (n,)."""
    yield "all", [""], np.zeros(len(pairs), dtype=np.int8)
    for by in ("continent", "country"):
        codes, names = pd.factorize(pairs.stations[by], sort=True)
        yield by, [str(name) for name in names], codes.astype(np.int16)[pairs.index]
    days = days_of(pairs)
    yield "season", list(SEASONS), season_of(days)
    months, codes = np.unique(_months(pairs, days), return_inverse=True)
    yield "month", [str(month) for month in months], codes.astype(np.int16)
    if resolution == "hourly":
        if len(np.unique(pairs.status)) > 1:
            yield "hours", STATUS_MEANINGS.split(), pairs.status
        yield "solar hour", [f"{hour:02d}" for hour in range(24)], local_solar_hour(pairs)


def _months(pairs: Pairs, days: np.ndarray) -> np.ndarray:
    """The month of each pair's day; of the first stamp of a record, whose hour lies in the month before, its own."""
    month, own = days.astype("datetime64[M]"), pairs.time.astype("datetime64[M]")
    return np.where(np.isin(month, month[month == own]), month, own)


def _group_scores(resolutions: dict[str, Pairs]) -> Iterator[pd.DataFrame]:
    for resolution, pairs in resolutions.items():
        for by, names, codes in _groups(pairs, resolution):
            yield _scored(pairs, codes, names, ranks=by in RANKED).assign(resolution=resolution, by=by)
        cells = cell_means(pairs)
        if len(cells) < len(pairs):
            yield _scored(cells, np.zeros(len(cells), dtype=np.int8), [""]).assign(resolution=resolution, by="cells")


def _scored(pairs: Pairs, codes: np.ndarray, names: list[str], *, ranks: bool = True) -> pd.DataFrame:
    """Scores by group and field; groups without pairs are left out."""
    seen = np.zeros((len(names), len(pairs.stations)), dtype=bool)
    seen[codes, pairs.index] = True
    parts = []
    for field, modelled in pairs.modelled.items():
        table = scores(pairs.observed, modelled, codes, len(names), ranks=ranks)
        table = table.assign(group=names, stations=seen.sum(axis=1), field=field)
        parts.append(table[table["n"] > 0])
    return pd.concat(parts, ignore_index=True)


def _of_stations(pairs: Pairs, field: str, settings: SummarySettings) -> pd.DataFrame:
    return scores(
        pairs.observed, pairs.modelled[field], pairs.index, len(pairs.stations), fairmode=settings.pollutant.fairmode
    )


def _medians(per_station: dict[str, dict[str, pd.DataFrame]], settings: SummarySettings) -> Iterator[pd.DataFrame]:
    for resolution, tables in per_station.items():
        for field, table in tables.items():
            enough = table[table["n"] >= settings.least(resolution)]
            if len(enough):
                yield (
                    enough[list(SCORES)]
                    .median()
                    .to_frame()
                    .T.assign(resolution=resolution, by="stations", group="median", stations=len(enough), field=field)
                    .astype({"n": "int64"})
                )


def _station_rows(stations: pd.DataFrame, per_station: dict[str, dict[str, pd.DataFrame]]) -> pd.DataFrame:
    places = stations.drop(columns="cell")
    parts = [
        places.join(table[table["n"] > 0], how="inner").assign(resolution=resolution, field=field)
        for resolution, tables in per_station.items()
        for field, table in tables.items()
    ]
    table = pd.concat(parts).rename_axis("row").reset_index()
    table = table.sort_values(["row", "resolution", "field"], kind="stable", ignore_index=True)
    return table.loc[:, [*places.columns, "resolution", "field", *SCORES]]


def _differences(
    resolutions: dict[str, Pairs], per_station: dict[str, dict[str, pd.DataFrame]], settings: SummarySettings
) -> pd.DataFrame:
    """Product minus CAMS with intervals: pooled over pairs by group, and of the stations' medians."""
    parts = []
    for resolution, pairs in resolutions.items():
        if resolution == "monthly" or "cams" not in pairs.modelled:
            continue
        days = days_of(pairs).astype(np.int64)
        for by, names, codes in _groups(pairs, "daily"):
            if by in TESTED:
                found = paired_differences(days, pairs.observed, *pairs.modelled.values(), codes, len(names))
                found = found.assign(resolution=resolution, by=by, group=np.repeat(names, len(found) // len(names)))
                parts.append(found[found["days"] > 0])
        product, cams = per_station[resolution].values()
        enough = ((product["n"] >= settings.least(resolution)) & (cams["n"] >= settings.least(resolution))).to_numpy()
        if enough.any():
            places = pairs.stations[enough]
            found = paired_medians(product[enough], cams[enough], boxes(places["latitude"], places["longitude"]))
            parts.append(found.assign(resolution=resolution, by="stations", group="median"))
    return pd.concat(parts, ignore_index=True).loc[:, DIFFERENCES] if parts else pd.DataFrame()


def _tests(
    resolutions: dict[str, Pairs], per_station: dict[str, dict[str, pd.DataFrame]], settings: SummarySettings
) -> pd.DataFrame:
    """By resolution: stations tested, and where the product's squared errors are significantly smaller or larger."""
    rows = []
    for resolution, tables in per_station.items():
        pairs = resolutions[resolution]
        if "cams" not in pairs.modelled:
            continue
        enough = (tables["product"]["n"] >= settings.least(resolution)).to_numpy()
        chosen = pairs.chosen(enough[pairs.index])
        if len(chosen):
            days = days_of(chosen).astype(np.int64)
            found, _ = station_tests(chosen.index, days, chosen.observed, *chosen.modelled.values())
            rows.append({"resolution": resolution, **found})
    return pd.DataFrame(rows)


def _diurnal(pairs: Pairs) -> pd.DataFrame:
    """Mean observed and modelled values by local solar hour, over all stations and by continent."""
    hour = local_solar_hour(pairs).astype(np.int64)
    codes, names = pd.factorize(pairs.stations["continent"], sort=True)
    columns = {"observed": pairs.observed, **pairs.modelled}
    parts = []
    for group, offset in (("all", None), *[(str(name), k) for k, name in enumerate(names) if name]):
        chosen = slice(None) if offset is None else codes[pairs.index] == offset
        of_hour = hour[chosen]
        n = np.bincount(of_hour, minlength=24)
        with np.errstate(invalid="ignore"):
            means = {k: np.bincount(of_hour, weights=v[chosen], minlength=24) / n for k, v in columns.items()}
        table = pd.DataFrame({"group": group, "hour": np.arange(24), "n": n, **means})
        parts.append(table[n > 0])
    return pd.concat(parts, ignore_index=True)


def _scatter(pairs: Pairs, edges: np.ndarray) -> pd.DataFrame:
    """Numbers of pairs by bin of observed and modelled value, where not zero."""
    bins = len(edges) - 1

    def bin_of(values: np.ndarray) -> np.ndarray:
        return (np.searchsorted(edges.astype(np.float32), values, side="right") - 1).clip(0, bins - 1)

    observed, parts = bin_of(pairs.observed), []
    for field, modelled in pairs.modelled.items():
        count = np.bincount(observed * bins + bin_of(modelled), minlength=bins * bins).reshape(bins, bins)
        o, m = np.nonzero(count)
        parts.append(pd.DataFrame({"field": field, "observed_bin": o, "modelled_bin": m, "count": count[o, m]}))
    return pd.concat(parts, ignore_index=True)


def _series(pairs: Pairs, tables: dict[str, pd.DataFrame], settings: SummarySettings) -> pd.DataFrame:
    """The pairs of two stations: nearest to the places asked for, or with most pairs and far from each other."""
    count = tables["product"]["n"].to_numpy()
    parts = []
    for row in _two_stations(pairs.stations, count, settings):
        part = pairs.chosen(np.flatnonzero(pairs.index == row))
        station = pairs.stations.iloc[row]
        columns = {"time": part.time, "observed": part.observed, **part.modelled}
        table = pd.DataFrame({"place": _place(station), "station": station["station"], **columns})
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _two_stations(stations: pd.DataFrame, count: np.ndarray, settings: SummarySettings) -> Sequence[int]:
    latitude, longitude = stations["latitude"].to_numpy(), stations["longitude"].to_numpy()
    chosen: list[int] = []
    for place in settings.places or ():
        near = (distance(latitude, longitude, place) <= NEAR) & (count >= 0.5 * count.max())
        if near.any():
            chosen.append(int(np.argmax(np.where(near, count, -1))))
    chosen = list(dict.fromkeys(chosen))[:2]
    if not chosen:
        chosen.append(int(count.argmax()))
    if len(chosen) == 1 and len(stations) > 1:
        first = stations.iloc[chosen[0]]
        far = distance(latitude, longitude, (first["latitude"], first["longitude"]))
        others = far >= APART if (far >= APART).any() else far > 0
        if others.any():
            chosen.append(int(np.argmax(np.where(others, count, -1))))
    return chosen


def _place(station: pd.Series) -> str:
    latitude, longitude = station["latitude"], station["longitude"]
    place = f"{abs(latitude):.1f}°{'N' if latitude >= 0 else 'S'} {abs(longitude):.1f}°{'E' if longitude >= 0 else 'W'}"
    return f"{station['name'] or station['station']} ({place})"
