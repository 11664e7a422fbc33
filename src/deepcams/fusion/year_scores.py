"""Scores of a year's cross-validation of station fusion: the tables that the report shows."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.fusion.evaluation import COLUMNS, MEAN, STEP
from deepcams.fusion.fusion_scores import by_class, by_months, by_season, score_table
from deepcams.validation.counts import read_counts

SCHEMES = {"stations": "stations left out", "cities": "cities left out"}
# What others are judged against: fusing must be better than not to fuse, and without a background than kriging.
REFERENCES = ("background", "ordinary kriging")
BELOW_ZERO = "Estimates of the competitors below zero are taken as zero."
TWICE = (
    "Days are local, so each month looks at the measurements of its neighbours' nearest days as well: the counts of "
    "what was not used have those twice."
)
NO_ERROR = (
    "The reanalysis of a synthetic run is its own truth made coarse, without an error of its own: measurements, which "
    "have errors, can hardly improve on it."
)
# When roads and factories stood still; Lyu et al. (2022) ask whether the network does worse then.
LOCKDOWN = {"February to April 2020": ["2020-02", "2020-03", "2020-04"]}
TABLES: dict[str, Callable[[pd.DataFrame, list[str]], pd.DataFrame]] = {
    "scores": lambda table, methods: score_table(table, methods, reference(methods)),
    "classes": lambda table, methods: by_class(table, methods, reference(methods)),
    "seasons": lambda table, methods: by_season(table, methods, reference(methods)),
    "months": lambda table, methods: _by_lockdown(table, methods),
}


def score_year(
    folder: str | Path,
    tables: Sequence[str | Path],
    reproduced: Sequence[str | Path],
    counts: Sequence[str | Path],
    facts: Mapping[str, object],
    *,
    synthetic: bool = False,
) -> None:
    """Write scores.csv, classes.csv, seasons.csv and months.csv, of both schemes, reproduction.csv, counts.csv and
    summary.json.

    tables, reproduced : months of `month_scores`.   counts : of the measurements that were not used, by month.
    facts : what the report says of how it was made.   synthetic : whether all of it is a nature run's.
    Raises DeepcamsError without any month of stations.
    """
    folder = Path(folder)
    if not tables:
        raise DeepcamsError(f"{folder}: no month of the year has stations. Check openaq.first and openaq.last.")
    whole = read_cross_validation(tables)
    methods, schemes = _methods(whole), _schemes(whole)
    if not schemes:
        raise DeepcamsError(
            f"{folder}: in no month of the year are there as many stations as folds, so none was left out. Lower "
            "fusion.folds, enlarge the region, or set fusion.produce to false."
        )
    for name in TABLES:
        _write(folder / f"{name}.csv", scored(whole, name))
    _write(folder / "reproduction.csv", reproduction([pd.read_csv(path) for path in reproduced]))
    _write(folder / "counts.csv", read_counts(counts))
    notes = [BELOW_ZERO, TWICE] + ([NO_ERROR] if synthetic and "background" in methods else [])
    notes += [f"There are fewer {name} than folds." for name in SCHEMES if name not in schemes]
    summary = {
        "method": methods[0],
        "facts": {"days": int(whole["time"].nunique()), "stations": int(whole["station"].nunique()), **facts},
        "schemes": {scheme: SCHEMES[scheme] for scheme in schemes},
        "notes": notes,
    }
    write_text(folder / "summary.json", json.dumps(summary, indent=1) + "\n")


def read_cross_validation(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Months of `month_scores.cross_validate_month` as one table."""
    texts = {"station": str, "city": str, "country": str, "scheme": str}
    tables = [pd.read_csv(path, dtype=texts, keep_default_na=False, na_values={}) for path in paths]
    whole = pd.concat(tables, ignore_index=True)
    whole["time"] = whole["time"].to_numpy(dtype=object).astype("datetime64[s]")
    for name in whole.columns.difference([*texts, "time"]):
        whole[name] = pd.to_numeric(whole[name], errors="coerce")
    return whole


def scored(whole: pd.DataFrame, name: str = "scores") -> pd.DataFrame:
    """One of `TABLES` of all schemes that `read_cross_validation` gave, the scheme in the first column."""
    parts = []
    for scheme in _schemes(whole):
        part = TABLES[name](whole[whole["scheme"] == scheme].reset_index(drop=True), _methods(whole))
        part.insert(0, "scheme", scheme)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def reproduction(months: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Months of `evaluation.reproduce` as one: the means of their days' scores, by method, as Lyu et al. state them.

    Rows of, as there, method, n (pairs of all days), days, r2, rmse, nme. Days that a method has no score of count for
    none, so that all are judged by the same.
    """
    if not months:
        return pd.DataFrame(columns=["of", "method", "n", "days", "r2", "rmse", "nme"])
    whole = pd.concat([month.assign(month=number) for number, month in enumerate(months)], ignore_index=True)
    steps = whole[whole["of"] == STEP]
    scored_by_all = steps["rmse"].notna().groupby([steps["month"], steps["step"]]).transform("all")
    days = steps[scored_by_all].groupby("method", sort=False)
    found = days.agg(n=("n", "sum"), days=("n", "size"), r2=("r2", "mean"), rmse=("rmse", "mean"), nme=("nme", "mean"))
    found = found.reset_index()
    found.insert(0, "of", MEAN)
    return found


def _by_lockdown(table: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """No rows where none of its months is there: other months alone are what `scores` tells."""
    found = by_months(table, methods, reference(methods), LOCKDOWN)
    months = [month for span in LOCKDOWN.values() for month in span]
    return (
        found
        if np.isin(table["time"].to_numpy("datetime64[M]"), np.array(months, "datetime64[M]")).any()
        else found[:0]
    )


def reference(methods: Sequence[str]) -> str:
    """The first of `REFERENCES` that is there."""
    return next(name for name in REFERENCES if name in methods)


def _methods(whole: pd.DataFrame) -> list[str]:
    return [name for name in whole.columns if name not in (*COLUMNS, "scheme")]


def _schemes(whole: pd.DataFrame) -> list[str]:
    return [scheme for scheme in SCHEMES if (whole["scheme"] == scheme).any()]


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
