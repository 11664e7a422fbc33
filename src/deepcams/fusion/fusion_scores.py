"""Scores of cross-validated methods of fusion, with intervals from stations that are resampled by boxes.

Neighbouring stations see the same air: all that a box of 5° has measured is drawn together. Methods are compared on the
very same pairs.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from deepcams.validation.bootstrap import SEED, expanded_interval, resampled_sums
from deepcams.validation.pair_scores import group_sums, scores
from deepcams.validation.paired_tests import FEWEST_BOXES, boxes
from deepcams.validation.skill import ALIKE, BETTER, UNJUDGED, WORSE
from deepcams.validation.station_summary import SEASONS, season_of

METRICS = ("r2", "rmse", "mae", "nme", "bias")
COUNTS = ("n", "missing", "left_out", "stations", "boxes")
DIFFERENCE = "rmse_difference"
REFERENCE = "reference"  # in place of a verdict
CLASSES = (0.0, 15.0, 35.0, 75.0, 115.0, 150.0, math.inf)  # ug m-3, of what was observed; each with its upper edge
OTHER_MONTHS = "other months"
SAMPLES = 2000


def score_table(
    table: pd.DataFrame, methods: Sequence[str], reference: str, *, samples: int = SAMPLES, seed: int = SEED
) -> pd.DataFrame:
    """Scores of methods at held-out stations, and whether they are better than one of them.

    table : as `deepcams.fusion.evaluation.cross_validate` returns it.  reference : one of `methods`.

    Pairs count where every method has an estimate, but a method that has none at all leaves the others theirs.
    Returns a row for each method: method; n (pairs that count); missing (pairs that this method lacks); left_out
    (pairs that do not count, because any method lacks them); stations and boxes of those that count; r2 (squared
    Pearson), rmse, mae, nme (Σ|p - o| / Σo), bias (mean p - o) as `validation.pair_scores` defines them, each with
    `_low` and `_high` of 95 %; rmse_difference (to the reference's), with its interval; verdict (better | worse |
    alike; unjudged without an interval; "reference"). Fewer than 10 boxes are not resampled: NaN. Boxes are taken as
    independent; that all of them share the weather of the same days is not in the intervals.
    Raises ValueError if the reference is not among the methods or a method not in the table.
    """
    lacking = [name for name in (*methods, "observed") if name not in table]
    if reference not in methods or lacking:
        raise ValueError(f"the reference {reference!r} or columns are not there: {', '.join(lacking) or reference}")
    has = {name: np.isfinite(table[name].to_numpy(np.float64)) for name in methods}
    measured = np.isfinite(table["observed"].to_numpy(np.float64))
    counts_for = measured.copy()
    for present in has.values():
        if (present & measured).any():
            counts_for &= present
    pairs = table[counts_for]
    names, box = np.unique(boxes(pairs["latitude"], pairs["longitude"]), return_inverse=True)
    resampled = {
        name: _resampled(pairs, name, box, len(names), samples, seed) if has[name].any() else None for name in methods
    }
    whole = {name: _whole(pairs, name) for name in methods}
    rows = []
    for name in methods:
        row = {
            "method": name,
            "n": int(whole[name]["n"]),
            "missing": int((~has[name]).sum()),
            "left_out": int((~counts_for).sum()),
            "stations": pairs["station"].nunique(),
            "boxes": len(names),
        }
        for metric in METRICS:
            row |= _with_interval(metric, whole[name][metric], resampled[name], len(names))
        difference = None
        if name != reference and resampled[name] and resampled[reference]:
            difference = {DIFFERENCE: resampled[name]["rmse"] - resampled[reference]["rmse"]}
        row |= _with_interval(DIFFERENCE, whole[name]["rmse"] - whole[reference]["rmse"], difference, len(names))
        row["verdict"] = REFERENCE if name == reference else _verdict(row)
        rows.append(row)
    return pd.DataFrame(rows)


def by_class(table: pd.DataFrame, methods: Sequence[str], reference: str, **settings: int) -> pd.DataFrame:
    """`score_table` for each class of observed concentration, ug m-3, in the column `class`: 0-15 (with 15) … >150.

    Values below zero are in the lowest class. A class without pairs has n = 0 and NaN.
    """
    index = np.searchsorted(CLASSES[1:-1], table["observed"].to_numpy(np.float64), side="left")
    labels = [f"{low:g}-{high:g}" for low, high in pairwise(CLASSES[:-1])]
    return _by("class", [*labels, f">{CLASSES[-2]:g}"], index, table, methods, reference, settings)


def by_season(table: pd.DataFrame, methods: Sequence[str], reference: str, **settings: int) -> pd.DataFrame:
    """`score_table` for DJF, MAM, JJA and SON of the time stamps, whatever the hemisphere, in the column `season`."""
    index = season_of(table["time"].to_numpy("datetime64[D]"))
    return _by("season", list(SEASONS), index, table, methods, reference, settings)


def by_months(
    table: pd.DataFrame,
    methods: Sequence[str],
    reference: str,
    spans: Mapping[str, Sequence[str]],
    **settings: int,
) -> pd.DataFrame:
    """`score_table` for spans of months against all other months, in the column `months`.

    spans : name → months, such as {"February-April 2020": ["2020-02", "2020-03", "2020-04"]}; a month in two spans
    counts in the first. The last name is "other months".
    """
    month = table["time"].to_numpy("datetime64[M]")
    index = np.full(len(table), len(spans))
    for place, months in reversed(list(enumerate(spans.values()))):
        index[np.isin(month, np.array(months, "datetime64[M]"))] = place
    return _by("months", [*spans, OTHER_MONTHS], index, table, methods, reference, settings)


def _by(
    name: str,
    labels: Sequence[str],
    index: np.ndarray,
    table: pd.DataFrame,
    methods: Sequence[str],
    reference: str,
    settings: Mapping[str, int],
) -> pd.DataFrame:
    parts = []
    for place, label in enumerate(labels):
        part = score_table(table[index == place], methods, reference, **settings)
        part.insert(0, name, label)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _whole(pairs: pd.DataFrame, method: str) -> dict[str, float]:
    found = scores(pairs["observed"].to_numpy(), pairs[method].to_numpy(), ranks=False).iloc[0]
    return {"n": found["n"], "r2": found["r"] ** 2, "bias": found["mb"]} | found[["rmse", "mae", "nme"]].to_dict()


def _resampled(
    pairs: pd.DataFrame, method: str, box: np.ndarray, count: int, samples: int, seed: int
) -> dict[str, np.ndarray] | None:
    """Scores of boxes drawn again and again: metric → (samples,); None for too few boxes.

    The draws are the same for every method with as many boxes.
    """
    if count < FEWEST_BOXES:
        return None
    observed, estimate = pairs["observed"].to_numpy(np.float64), pairs[method].to_numpy(np.float64)
    middle = observed.mean()  # so that squares of a small spread on a large mean keep their digits

    def terms(o: np.ndarray, p: np.ndarray, _: np.ndarray) -> dict[str, np.ndarray]:
        o, p = o - middle, p - middle
        error = p - o
        found = {"n": np.ones_like(o), "o": o, "p": p, "oo": o * o, "pp": p * p, "op": o * p}
        return found | {"absolute": np.abs(error), "squared": error * error}

    sums = group_sums(terms, (observed, estimate), box, count)
    again = resampled_sums(np.stack(list(sums.values())), block=1, samples=samples, seed=seed)
    drawn = dict(zip(sums, again, strict=True))
    n, o, p = drawn["n"], drawn["o"], drawn["p"]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread_o, spread_p = drawn["oo"] - o * o / n, drawn["pp"] - p * p / n
        varies = (spread_o > 1e-12 * drawn["oo"]) & (spread_p > 1e-12 * drawn["pp"])
        product = drawn["op"] - o * p / n
        total = o + n * middle
        return {
            "r2": np.where(varies, product**2 / np.where(varies, spread_o * spread_p, 1.0), np.nan),
            "rmse": np.sqrt(drawn["squared"] / n),
            "mae": drawn["absolute"] / n,
            "nme": np.where(total != 0, drawn["absolute"] / total, np.nan),
            "bias": (p - o) / n,
        }


def _with_interval(name: str, value: float, drawn: Mapping[str, np.ndarray] | None, draws: int) -> dict[str, float]:
    low, high = (math.nan, math.nan) if drawn is None else expanded_interval(drawn[name], draws)
    return {name: float(value), f"{name}_low": low, f"{name}_high": high}


def _verdict(row: Mapping[str, float]) -> str:
    low, high = row[f"{DIFFERENCE}_low"], row[f"{DIFFERENCE}_high"]
    if math.isnan(low) or math.isnan(high):
        return UNJUDGED
    return BETTER if high < 0 else WORSE if low > 0 else ALIKE
