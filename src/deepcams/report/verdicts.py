"""Plain statements on whether the product is better than what is had without it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deepcams.report.folder import Validation
from deepcams.report.quantity import text_unit
from deepcams.report.tables import concentration_digits, number
from deepcams.validation.skill import ALIKE, BETTER, CONFIGURED, SCORE_NAMES, UNJUDGED, WORSE, Skill

HEADLINES = {"rmse": "RMSE", "r": "R"}  # what the product is judged by at stations


@dataclass(frozen=True)
class Verdict:
    """One finding in words."""

    better: bool
    text: str


def station_verdicts(validation: Validation) -> list[Verdict]:
    """Product against the reference at stations, of hourly and of daily values, as their paired intervals allow.

    "Better" is said only of scores whose interval of the difference lies on the better side of zero. None without a
    reference.
    """
    table = validation.differences
    if table.empty:
        return []
    who, other = subject(validation.names["product"]), validation.names["cams"]
    found = []
    for resolution in dict.fromkeys(table["resolution"]):
        rows = table[(table["resolution"] == resolution) & (table["by"] == "all") & table["metric"].isin(HEADLINES)]
        if rows.empty:
            continue
        rows = sorted(rows.to_dict("records"), key=lambda row: list(HEADLINES).index(row["metric"]))
        better = [HEADLINES[row["metric"]] for row in rows if row["verdict"] == BETTER]
        worse = [HEADLINES[row["metric"]] for row in rows if row["verdict"] == WORSE]
        if len(better) == len(rows):
            words = f"is better than {other}"
        elif better:
            words = f"is better than {other} in {' and '.join(better)} only"
        elif worse:
            words = f"is worse than {other} in {' and '.join(worse)}"
        elif {row["verdict"] for row in rows} == {ALIKE}:
            words = f"cannot be told apart from {other}"
        else:
            words = f"is not judged against {other}, from {rows[0]['days']:.0f} day(s) only"
        digits = concentration_digits(row["product"] for row in rows if row["metric"] == "rmse")
        numbers = "; ".join(_paired(row, digits) for row in rows)
        found.append(Verdict(len(better) == len(rows), f"At stations, {resolution}, {who} {words}: {numbers}."))
    return found


def subject(name: str) -> str:
    """A field's label within a sentence: "the product", or its own name."""
    return "the product" if name == "product" else name


def _paired(row: dict, digits: int) -> str:
    places, unit = (3, "") if row["metric"] == "r" else (digits, f" {text_unit()}")
    text = f"{HEADLINES[row['metric']]} {number(row['product'], places)} against {number(row['cams'], places)}{unit}"
    if row["verdict"] == UNJUDGED:
        return f"{text} (no interval)"
    low, high = (number(row[key], places) for key in ("low", "high"))
    return f"{text} ({signed(row['difference'], places)}, interval {low} … {high})"


def signed(value: float, digits: int) -> str:
    """A difference with its sign."""
    return "–" if not math.isfinite(value) else f"{value:+.{digits}f}".replace("-", "−")


def truth_verdict(summary: dict) -> Verdict | None:
    """Product against the best simpler method, by RMSE weighted by area; None where the truth is not known."""
    rows = {row["method"]: row for row in summary["truth"] if row["hours"] == "all" and row["rmse_area"] is not None}
    product = rows.pop("product", None)
    if product is None or not rows:
        return None
    return _compare("Against the known truth", "the product", product["rmse_area"],
                    {name: row["rmse_area"] for name, row in rows.items()})  # fmt: skip


def evaluation_verdict(title: str, rows: Sequence[Skill]) -> Verdict | None:
    """The configured network against the best baseline, by RMSE; None if it was compared with none.

    "Better" is said only of scores whose interval of the difference lies below zero.
    """
    rows = [row for row in rows if row.kind == CONFIGURED]
    errors = {row.baseline: row.baseline_value for row in rows if row.metric == "rmse"}
    if not errors:
        return None
    best = min(errors, key=errors.__getitem__)
    against = [row for row in rows if row.baseline == best]
    better = [SCORE_NAMES[row.metric] for row in against if row.verdict == BETTER]
    found = {row.verdict for row in against}
    if len(better) == len(against):
        words = f"is better than the best baseline, {best}"
    elif better:
        words = f"is better than the best baseline, {best}, in {' and '.join(better)} only"
    elif found == {ALIKE}:
        words = f"cannot be told apart from the best baseline, {best}"
    elif UNJUDGED in found:
        words = f"is not judged against the best baseline, {best}, from {against[0].days} day(s) only"
    else:
        words = f"is not better than the best baseline, {best}"
    numbers = "; ".join(_difference(row) for row in against)
    return Verdict(len(better) == len(against), f"{title}: {against[0].configured} {words}: {numbers}.")


def _difference(row: Skill) -> str:
    text = f"{SCORE_NAMES[row.metric]} {row.value:.3f} against {row.baseline_value:.3f} {text_unit()}"
    if row.verdict == UNJUDGED:
        return f"{text} ({row.difference_text} %, no interval)"
    return f"{text} ({row.difference_text} %, interval {row.interval_text} %)"


def _compare(where: str, who: str, own: float, others: dict[str, float]) -> Verdict:
    best = min(others, key=others.__getitem__)
    numbers = f"RMSE {own:.3f} against {others[best]:.3f} {text_unit()} ({signed(100 * (own / others[best] - 1), 1)} %)"
    if own < others[best]:
        return Verdict(True, f"{where}: {who} is better than the best simpler method, {best}: {numbers}.")
    return Verdict(False, f"{where}: {who} is not better than the best simpler method, {best}: {numbers}.")
