"""A year's validation: station scores, field checks, scores against the truth, as one folder of tables."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.inference.spatial import SpatialNetwork
from deepcams.inference.temporal import TemporalNetwork
from deepcams.validation.axes import regular_nodes
from deepcams.validation.collocation import Opener
from deepcams.validation.counts import read_counts, total
from deepcams.validation.fields import FieldFile
from deepcams.validation.gridded import FieldReport, check_fields, score_against_truth
from deepcams.validation.pairs import join, read_pairs
from deepcams.validation.station_summary import SummarySettings, bin_edges, click_series, station_tables

NAMES = {"product": "product", "cams": "CAMS"}
TABLES = ("scores", "stations", "exceedances", "differences", "diurnal", "scatter", "series")
FIELD_TABLES = ("spectra", "beat")
# What a year's folder holds.
FILES = ("summary.json", *[f"{name}.csv" for name in (*TABLES, *FIELD_TABLES, "counts")], "means.npz", "clicks.npz")


def validate_year(
    folder: str | Path,
    *,
    title: str,
    year: int | None = None,
    product_paths: Sequence[str | Path],
    coarse_paths: Sequence[str | Path] = (),
    pair_paths: Sequence[str | Path],
    count_paths: Sequence[str | Path],
    settings: SummarySettings,
    names: Mapping[str, str] = NAMES,
    truth_paths: Sequence[str | Path] = (),
    baselines: dict[str, tuple[TemporalNetwork, SpatialNetwork]] | None = None,
    details: Mapping[str, object] | None = None,
    opened: Opener = FieldFile,
) -> dict[str, object]:
    """Validate a year, or any period, from files to the files `FILES` in `folder` (docs/validation.md).

    title : of the report.  product_paths : the year's file, or the months'.  coarse_paths : months of CAMS (0.75°), or
    of another reference; none where there is none.  pair_paths, count_paths : as written by `collocate_month`.
    names : labels of the fields.  truth_paths, baselines : see `score_against_truth`; empty for real data.
    details : settings to be shown, added to the summary's.  opened : how files become fields.
    Returns the summary. Raises DeepcamsError on mixed origins, unreadable files or disagreeing grids.
    """
    if len(pair_paths) != len(count_paths):
        raise DeepcamsError("Each month needs both its pairs and its counts.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    whole = check_fields(product_paths, opened, "product")
    reports = {"product": whole}
    if coarse_paths:  # of a region it has a halo, which is no part of the product
        reports["cams"] = check_fields(coarse_paths, opened, "CAMS", within=whole.axes)
    truth = score_against_truth(product_paths, truth_paths, coarse_paths, baselines or {}) if truth_paths else []
    diagnostics = dict(reports)
    if truth_paths:
        diagnostics["truth"] = check_fields(truth_paths, opened, "truth", within=whole.axes)
    coarse_step = reports["cams"].axes.steps[0] if coarse_paths else None

    tables = _station_part(folder, pair_paths, settings, daily=whole.is_daily)
    counts = read_counts(count_paths)
    write_table(folder / "counts.csv", counts)
    write_table(folder / "spectra.csv", _joined(diagnostics, "spectrum"))
    write_table(folder / "beat.csv", _joined(diagnostics, "hours"))
    _write_means(folder / "means.npz", reports)
    present = [name for name in ("product", "cams") if name in reports]
    rows, columns = whole.axes.shape
    tests = tables["tests"].set_index("resolution").to_dict("index") if len(tables["tests"]) else {}
    summary = {
        "year": year,
        "title": title,
        "synthetic": whole.synthetic,
        "pollutant": settings.pollutant.name,
        "first_hour": str(whole.first),
        "last_hour": str(whole.last),
        "daily": whole.is_daily,
        "names": {name: names[name] for name in present},
        "steps": {name: reports[name].axes.steps[0] for name in present},
        "grid": {
            "rows": rows,
            "columns": columns,
            "north": float(whole.axes.latitude[0]),
            "south": float(whole.axes.latitude[-1]),
            "west": float(whole.axes.longitude[0]),
            "east": float(whole.axes.longitude[-1]),
        },
        "stations": {
            "number": int(tables["stations"]["station"].nunique()) if len(tables["stations"]) else 0,
            "pairs": total(counts).get("pairs", 0),
            "settings": {
                "daily_hours": settings.daily_hours,
                "monthly_days": settings.monthly_days,
                "station_pairs": settings.station_pairs,
                "station_days": settings.station_days,
                **(details or {}),
            },
            "tests": tests,
        },
        "bin_edges": bin_edges(settings.pollutant).tolist(),
        "truth": truth,
        "fields": {name: report.checks for name, report in reports.items()},
        "beat": {name: report.beat for name, report in diagnostics.items() if report.beat},
        "spectra": {
            "product": {"effective_resolution": whole.effective_resolution(coarse_step, diagnostics.get("truth"))}
        },
        "attributes": {name: _plain(value) for name, value in sorted(whole.attributes.items())},
    }
    write_text(folder / "summary.json", json.dumps(_without_nan(summary), indent=1, ensure_ascii=False) + "\n")
    return summary


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, atomically: numbers to six digits, times as in ISO 8601, undefined values empty."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\n")


def _station_part(
    folder: Path, pair_paths: Sequence[str | Path], settings: SummarySettings, *, daily: bool
) -> dict[str, pd.DataFrame]:
    """Write the tables of stations; the pairs of the whole year are in memory only in here."""
    if pair_paths:
        pairs = join(read_pairs(path) for path in pair_paths)
        tables = station_tables(pairs, settings, daily=daily)
        clicks = click_series(pairs, daily_hours=settings.daily_hours)
    else:
        tables = {name: pd.DataFrame() for name in (*TABLES, "tests")}
        clicks = {"row": np.zeros(0, np.int32), "time": np.zeros(0, "datetime64[s]")}
    for name in TABLES:
        write_table(folder / f"{name}.csv", tables[name])
    with atomic_path(folder / "clicks.npz") as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **clicks)
    return tables


def _joined(reports: Mapping[str, FieldReport], attribute: str) -> pd.DataFrame:
    """The tables of all fields under each other, with the field's name in the first column."""
    parts = [(name, getattr(report, attribute)) for name, report in reports.items()]
    parts = [table.assign(field=name) for name, table in parts if len(table)]
    if not parts:
        return pd.DataFrame()
    joined = pd.concat(parts, ignore_index=True)
    return joined[["field", *[column for column in joined if column != "field"]]]


def _write_means(path: Path, reports: Mapping[str, FieldReport]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for name, report in reports.items():
        grid, rows, columns = regular_nodes(report.axes)  # for maps
        prefix = "" if name == "product" else f"{name}_"
        arrays[name] = report.mean.astype(np.float32)[rows][:, columns]
        arrays[f"{prefix}latitude"], arrays[f"{prefix}longitude"] = grid.latitude, grid.longitude
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **arrays)


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
