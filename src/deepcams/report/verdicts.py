"""Plain statements on whether the product is better than what is had without it."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepcams.report.quantity import text_unit
from deepcams.validation.skill import ALIKE, BETTER, CONFIGURED, SCORE_NAMES, UNJUDGED, Skill


@dataclass(frozen=True)
class Verdict:
    """One finding in words."""

    better: bool
    text: str


def station_verdict(summary: dict) -> Verdict | None:
    """Product against CAMS at stations, all hours; None without stations."""
    rows = {row["field"]: row for row in summary["stations"]["scores"] if row["selection"] == "all hours"}
    if not {"product", "cams"} <= set(rows):
        return None
    product, cams = rows["product"], rows["cams"]
    lower = product["rmse"] < cams["rmse"]
    higher = product["r"] is not None and cams["r"] is not None and product["r"] > cams["r"]
    numbers = f"RMSE {product['rmse']:.2f} against {cams['rmse']:.2f} {text_unit()}"
    if product["r"] is not None and cams["r"] is not None:
        numbers += f", R {product['r']:.3f} against {cams['r']:.3f}"
    if lower and higher:
        return Verdict(True, f"At stations the product is better than CAMS: {numbers}.")
    if lower or higher:
        what = "RMSE only, not in R" if lower else "R only, not in RMSE"
        return Verdict(False, f"At stations the product is better than CAMS in {what}: {numbers}.")
    return Verdict(False, f"At stations the product is not better than CAMS: {numbers}.")


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
    numbers = f"RMSE {own:.3f} against {others[best]:.3f} {text_unit()} ({100 * (own / others[best] - 1):+.1f} %)"
    if own < others[best]:
        return Verdict(True, f"{where}: {who} is better than the best simpler method, {best}: {numbers}.")
    return Verdict(False, f"{where}: {who} is not better than the best simpler method, {best}: {numbers}.")
