"""A year's validation: station scores, field checks, scores against the truth, as one JSON file and CSV tables."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import HALF_HOUR, HOUR
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.inference.spatial import SpatialNetwork
from deepcams.inference.temporal import TemporalNetwork
from deepcams.progress import progress
from deepcams.validation.collocation import read_pairs
from deepcams.validation.fields import FieldFile
from deepcams.validation.gridded import check_fields, score_against_truth
from deepcams.validation.station_metrics import SCORES, SHIFT, add_sums, pair_sums, scores

MODELS = ("product", "cams")
# Bins of the density scatter: 20 a decade, from 0.1 to 3162 µg m-3; smaller values are counted in the first.
BIN_EDGES = np.round(10 ** np.arange(-1, 3.5001, 0.05), 6)


@dataclass(frozen=True)
class SummarySettings:
    """daily_hours : a day's mean needs at least so many pairs.  station_pairs : a station's scores need so many."""

    daily_hours: int = 19  # "more than 18 valid hours" (Lyu et al. 2022)
    station_pairs: int = 24


@dataclass(frozen=True)
class StationTables:
    """What the pairs of a year come to; all but `series` have one row per group and model."""

    overall: pd.DataFrame
    stations: pd.DataFrame
    diurnal: pd.DataFrame
    scatter: pd.DataFrame
    series: pd.DataFrame


def summarise_stations(paths: Sequence[str | Path], settings: SummarySettings) -> StationTables:
    """Score the year's pairs month by month; one month's table is in memory at a time.

    overall : selection (all hours; analysis …; cells; daily means; YYYY-MM; median of stations), field, scores.
    stations : per station and field, with place and country.  diurnal : mean observed and modelled concentration by
    local solar hour.  scatter : counts by bin of observed and modelled value (`BIN_EDGES`), where not zero.
    series : hourly pairs of the station with most of them (the first by name among equals).
    """
    total: dict[tuple[str, str], pd.DataFrame | None] = {}
    station_sums: dict[str, pd.DataFrame | None] = dict.fromkeys(MODELS)
    hour_sums: dict[str, pd.DataFrame | None] = dict.fromkeys(MODELS)
    bins = {model: np.zeros((len(BIN_EDGES) - 1,) * 2, dtype=np.int64) for model in MODELS}
    places: list[pd.DataFrame] = []
    for path in progress(paths, "Scoring stations", "months"):
        pairs = read_pairs(path)
        if pairs.empty:
            continue
        places.append(pairs.groupby("station")[["name", "country", "latitude", "longitude"]].last())
        for selection, table in _selections(pairs, settings):
            for model in MODELS:
                sums = pair_sums(table["observed"], table[model])
                total[selection, model] = add_sums(total.get((selection, model)), sums)
        hour = local_solar_hour(pairs["time"].to_numpy(), pairs["longitude"].to_numpy())
        for model in MODELS:
            o, m = pairs["observed"].to_numpy(), pairs[model].to_numpy()
            station_sums[model] = add_sums(station_sums[model], pair_sums(o, m, pairs["station"]))
            hour_sums[model] = add_sums(hour_sums[model], pair_sums(o, m, hour))
            low, high = BIN_EDGES[0], np.nextafter(BIN_EDGES[-1], 0)
            bins[model] += np.histogram2d(o.clip(low, high), m.clip(low, high), bins=BIN_EDGES)[0].astype(np.int64)
    if not places:
        empty = pd.DataFrame()
        return StationTables(empty, empty, empty, empty, empty)
    place = pd.concat(places).groupby(level=0).last()
    stations = pd.concat(
        [place.join(scores(sums)).assign(field=model) for model, sums in station_sums.items()]
    ).rename_axis("station")
    overall = [_named(scores(sums), selection=selection, field=model) for (selection, model), sums in total.items()]
    enough = stations[stations["n"] >= settings.station_pairs]
    for model in MODELS:
        of_model = enough.loc[enough["field"] == model, list(SCORES)]
        if len(of_model):
            median = of_model.median().to_frame().T.assign(n=len(of_model))
            overall.append(_named(median, selection="median of stations", field=model))
    diurnal = pd.concat([_means(sums).assign(field=model) for model, sums in hour_sums.items()])
    richest = stations.loc[stations["field"] == MODELS[0], "n"].sort_index().idxmax()
    series = pd.concat([(p := read_pairs(path))[p["station"] == richest] for path in paths], ignore_index=True)
    return StationTables(
        overall=pd.concat(overall, ignore_index=True).loc[:, ["selection", "field", *SCORES]],
        stations=stations.reset_index().sort_values(["station", "field"], ignore_index=True),
        diurnal=diurnal.rename_axis("hour").reset_index(),
        scatter=pd.concat([_sparse(counts, model) for model, counts in bins.items()], ignore_index=True),
        series=series.sort_values("time", ignore_index=True),
    )


def local_solar_hour(stamps: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Local mean solar hour 0 … 23 of the middle of the hour that ends at `stamps`: (n,) int."""
    middle = stamps.astype("datetime64[s]") - HALF_HOUR
    utc = (middle - middle.astype("datetime64[D]")) / HOUR
    return np.floor((utc + np.asarray(longitude) / 15.0) % 24.0).astype(int) % 24


def daily_means(pairs: pd.DataFrame, hours: int) -> pd.DataFrame:
    """Means of observed and modelled values over UTC days that have at least `hours` pairs, per station.

    A measurement belongs to the day in which its hour lies: the one stamped 00:00 to the day before.
    """
    day = (pairs["time"] - pd.Timedelta(seconds=1)).dt.floor("D").rename("day")
    grouped = pairs.groupby(["station", day])[["observed", *MODELS]]
    return grouped.mean()[grouped.size() >= hours]


def validate_year(
    output: str | Path,
    tables: dict[str, str | Path],
    mean_path: str | Path,
    *,
    year: int,
    product_paths: Sequence[str | Path],
    coarse_paths: Sequence[str | Path],
    pair_paths: Sequence[str | Path],
    count_paths: Sequence[str | Path],
    settings: SummarySettings,
    truth_paths: Sequence[str | Path] = (),
    baselines: dict[str, tuple[TemporalNetwork, SpatialNetwork]] | None = None,
) -> dict[str, object]:
    """Validate a year, from files to files.

    output : the JSON summary.  tables : paths of the CSV tables "stations", "diurnal", "scatter", "series".
    mean_path : NumPy archive of the mean product and CAMS fields with their axes, for maps.
    product_paths : the year's file, or the months'.  coarse_paths : months of CAMS (0.75°).  pair_paths, count_paths :
    as written by `collocate_month`.  truth_paths, baselines : see `score_against_truth`; empty for real data.
    Returns the summary. Raises DeepcamsError on mixed origins, unreadable files or disagreeing grids.
    """
    if len(pair_paths) != len(count_paths):
        raise DeepcamsError("Each month needs both its pairs and its counts.")
    station_tables = summarise_stations(pair_paths, settings)
    checks, mean, grid = check_fields(product_paths)
    cams_checks, cams_mean, cams_grid = check_fields(coarse_paths)
    with FieldFile(product_paths[0]) as product:
        attributes, synthetic = product.attributes, product.synthetic
        first, last = product.times[0], product.times[-1]
    if len(product_paths) > 1:
        with FieldFile(product_paths[-1]) as product:
            last = product.times[-1]
    truth = score_against_truth(product_paths, truth_paths, coarse_paths, baselines or {}) if truth_paths else []
    counts: dict[str, int] = {}
    for path in count_paths:
        for step, number in json.loads(Path(path).read_text(encoding="utf-8")).items():
            counts[step] = counts.get(step, 0) + number
    summary = {
        "year": year,
        "synthetic": synthetic,
        "first_hour": str(first),
        "last_hour": str(last),
        "grid": {
            "rows": grid.shape[0],
            "columns": grid.shape[1],
            "north": float(grid.latitude[0]),
            "south": float(grid.latitude[-1]),
            "west": float(grid.longitude[0]),
            "east": float(grid.longitude[-1]),
        },
        "stations": {
            "number": int(station_tables.stations["station"].nunique()) if len(station_tables.stations) else 0,
            "settings": {"daily_hours": settings.daily_hours, "station_pairs": settings.station_pairs},
            "scores": station_tables.overall.to_dict("records"),
            "counts": counts,
        },
        "truth": truth,
        "fields": {"product": checks, "cams": cams_checks},
        "attributes": {name: _plain(value) for name, value in sorted(attributes.items())},
    }
    for name, path in tables.items():
        with atomic_path(path) as temporary:
            getattr(station_tables, name).to_csv(
                temporary, index=False, float_format="%.6g", date_format="%Y-%m-%dT%H:%M:%SZ"
            )
    with atomic_path(mean_path) as temporary, open(temporary, "wb") as stream:
        np.savez(
            stream,
            product=mean.astype(np.float32),
            latitude=grid.latitude,
            longitude=grid.longitude,
            cams=cams_mean.astype(np.float32),
            cams_latitude=cams_grid.latitude,
            cams_longitude=cams_grid.longitude,
        )
    write_text(output, json.dumps(_without_nan(summary), indent=1, ensure_ascii=False) + "\n")
    return summary


def _selections(pairs: pd.DataFrame, settings: SummarySettings) -> list[tuple[str, pd.DataFrame]]:
    per_cell = pairs.groupby(["cell", "time"])[["observed", *MODELS]].mean()
    selections = [("all hours", pairs)]
    selections += [(f"{status} hours", part) for status, part in pairs.groupby("status")]
    selections += [("cell means", per_cell), ("daily means", daily_means(pairs, settings.daily_hours))]
    month = (pairs["time"] - pd.Timedelta(seconds=1)).dt.strftime("%Y-%m").mode().iloc[0]
    return [(name, part) for name, part in [*selections, (month, pairs)] if len(part)]


def _named(table: pd.DataFrame, **names: str) -> pd.DataFrame:
    return table.reset_index(drop=True).assign(**names)


def _means(sums: pd.DataFrame) -> pd.DataFrame:
    observed = sums["o"] / sums["n"] + SHIFT
    return pd.DataFrame({"n": sums["n"].astype(int), "observed": observed, "modelled": sums["m"] / sums["n"] + SHIFT})


def _sparse(counts: np.ndarray, model: str) -> pd.DataFrame:
    observed, modelled = np.nonzero(counts)
    return pd.DataFrame(
        {"field": model, "observed_bin": observed, "modelled_bin": modelled, "count": counts[observed, modelled]}
    )


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _without_nan(value: object) -> object:
    """JSON knows no NaN: undefined scores become null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    value = _plain(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
