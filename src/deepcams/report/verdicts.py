"""Plain statements on whether the product is better than what is had without it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepcams.report.folder import Validation
from deepcams.report.quantity import text_unit
from deepcams.report.tables import concentration_digits, number
from deepcams.validation.skill import ALIKE, BETTER, CONFIGURED, SCORE_NAMES, UNJUDGED, WORSE, Skill

HEADLINES = {"rmse": "RMSE", "r": "R"}  # what the product is judged by at stations


GOOD, BAD, NEUTRAL = "good", "bad", "neutral"
SAYS = {
    BETTER: "is better than {}",
    WORSE: "is worse than {}",
    ALIKE: "cannot be told apart from {}",
    UNJUDGED: "is not judged against {}",
}
SHORT = {BETTER: "better", WORSE: "worse", ALIKE: "cannot be told apart", UNJUDGED: "not judged"}


@dataclass(frozen=True)
class Verdict:
    """One finding in words. kind : `GOOD` if all scores are better, `BAD` if one is worse, else `NEUTRAL`."""

    kind: str
    text: str


def judge(found: Mapping[str, str], other: str, days: float) -> tuple[str, str]:
    """The kind of a finding, and in words what is found of each score: "is better than CAMS in RMSE, worse in R".

    found : score → verdict.  days : from how many; said where no score is judged.
    """
    scores = {verdict: [name for name, said in found.items() if said == verdict] for verdict in SAYS}
    scores = {verdict: names for verdict, names in scores.items() if names}
    kind = BAD if WORSE in scores else GOOD if list(scores) == [BETTER] else NEUTRAL
    first, *others = scores
    words = SAYS[first].format(other)
    if others:
        closed = "," if "," in other else ""  # of an apposition: the best baseline, linear, in RMSE
        parts = [f"{words}{closed} in {' and '.join(scores[first])}"]
        return kind, ", ".join(parts + [f"{SHORT[verdict]} in {' and '.join(scores[verdict])}" for verdict in others])
    return kind, f"{words}, from {days:.0f} day(s) only" if first == UNJUDGED else words


def station_verdicts(validation: Validation) -> list[Verdict]:
    """Product against the reference at stations, of hourly and of daily values, as their paired intervals allow.

    "Better" is said only of scores whose interval of the difference lies on the better side of zero, and "worse" as
    loudly. None without a reference.
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
        found_of = {HEADLINES[row["metric"]]: row["verdict"] for row in rows}
        kind, words = judge(found_of, other, rows[0]["days"])
        digits = concentration_digits(row["product"] for row in rows if row["metric"] == "rmse")
        numbers = "; ".join(_paired(row, digits) for row in rows)
        found.append(Verdict(kind, f"At stations, {resolution}, {who} {words}: {numbers}."))
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
    """RMSE of the product and of the best simpler method, weighted by area, as they are: no test was made of them.

    None where the truth is not known.
    """
    errors = {row["method"]: row["rmse_area"] for row in summary["truth"]
              if row["hours"] == "all" and row["rmse_area"] is not None}  # fmt: skip
    own = errors.pop("product", None)
    if own is None or not errors:
        return None
    best = min(errors, key=errors.__getitem__)
    change = f" ({signed(100 * (own / errors[best] - 1), 1)} %; no test made)" if errors[best] else ""
    return Verdict(NEUTRAL, f"Against the known truth: RMSE of the product {own:.3f}, of {best} {errors[best]:.3f} "
                            f"{text_unit()}{change}.")  # fmt: skip


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
    verdicts = {SCORE_NAMES[row.metric]: row.verdict for row in against}
    kind, words = judge(verdicts, f"the best baseline, {best}", against[0].days)
    numbers = "; ".join(_difference(row) for row in against)
    return Verdict(kind, f"{title}: {against[0].configured} {words}: {numbers}.")


def _difference(row: Skill) -> str:
    text = f"{SCORE_NAMES[row.metric]} {row.value:.3f} against {row.baseline_value:.3f} {text_unit()}"
    if row.verdict == UNJUDGED:
        return f"{text} ({row.difference_text} %, no interval)"
    return f"{text} ({row.difference_text} %, interval {row.interval_text} %)"
