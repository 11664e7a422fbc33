"""The configured networks against each baseline: differences with intervals, as a table and in words.

What is said is what the interval allows: "below" or "above" only where it excludes zero.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.validation.bootstrap import BLOCK, FEWEST_DAYS, LEVEL, paired_difference

MAIN_BASELINES = {"temporal": "linear", "spatial": "bicubic+closure", "joint": "linear+bicubic+closure"}
# Degrees. In time networks run on the coarse grid; the paper's Table 2 is at 0.25°. In space the result is 0.25°.
STEPS_OF_USE = {"temporal": 0.75, "spatial": 0.25, "joint": 0.25}
SCORE_NAMES = {"rmse": "RMSE", "mae": "MAE"}
BETTER, WORSE, ALIKE, UNJUDGED = "better", "worse", "alike", "unjudged"


@dataclass(frozen=True)
class Skill:
    """One row of a skill table: a score of the configured method beside that of a baseline.

    step : degrees.   metric : "rmse" or "mae".   value, baseline_value : ug m-3, over all pairs.
    difference_percent : 100 (value / baseline_value - 1), below zero where the configured method is better, with its
    interval low_percent … high_percent of 95 %, NaN if there are too few days.   days : that were scored.
    """

    stage: str
    step: float
    configured: str
    baseline: str
    metric: str
    value: float
    baseline_value: float
    difference_percent: float
    low_percent: float
    high_percent: float
    days: int

    @property
    def verdict(self) -> str:
        """BETTER or WORSE if the interval excludes zero, ALIKE if it does not, UNJUDGED without one."""
        if math.isnan(self.low_percent) or math.isnan(self.high_percent):
            return UNJUDGED
        return BETTER if self.high_percent < 0 else WORSE if self.low_percent > 0 else ALIKE

    @property
    def difference_text(self) -> str:
        """The difference for print, without the sign for per cent; a dash if undefined."""
        return "–" if math.isnan(self.difference_percent) else _signed(self.difference_percent, self.digits)

    @property
    def interval_text(self) -> str:
        """The interval for print, without the sign for per cent; a dash if there is none."""
        if self.verdict == UNJUDGED:
            return "–"
        return f"{_signed(self.low_percent, self.digits)} … {_signed(self.high_percent, self.digits)}"

    @property
    def digits(self) -> int:
        """Digits to show: one, but two where a bound would round to zero and belie the verdict."""
        bounds = [abs(bound) for bound in (self.low_percent, self.high_percent) if not math.isnan(bound)]
        return 2 if bounds and min(bounds) < 0.05 else 1


def compare(stage: str, days: pd.DataFrame) -> list[Skill]:
    """The configured method against all others, for each step in the order of `days`.

    days : rows of step, day, method, configured, n, squared_error, absolute_error, as `evaluate_month` writes them.
    A configured method that is itself a baseline is compared with the others only.
    Raises DeepcamsError if methods were not scored on the same days.
    """
    found = []
    for step in dict.fromkeys(days["step"]):
        at_step = days[days["step"] == step]
        configured = at_step.loc[at_step["configured"], "method"].iloc[0]
        own = _of_method(at_step, configured)
        for baseline in (name for name in dict.fromkeys(at_step["method"]) if name != configured):
            try:
                differences = paired_difference(own, _of_method(at_step, baseline))
            except ValueError as error:
                raise DeepcamsError(
                    f"{configured} and {baseline} ({stage}) cannot be compared: {error}. "
                    "Delete the evaluation's monthly files and run again."
                ) from error
            found += [
                Skill(
                    stage=stage,
                    step=float(step),
                    configured=configured,
                    baseline=baseline,
                    metric=metric,
                    value=difference.value,
                    baseline_value=difference.reference,
                    difference_percent=100 * difference.relative,
                    low_percent=100 * difference.low,
                    high_percent=100 * difference.high,
                    days=difference.days,
                )
                for metric, difference in differences.items()
            ]
    return found


def compare_months(stage: str, months: Sequence[str | Path]) -> list[Skill]:
    """`compare` on the daily sums of months: CSV files of `evaluate_month`."""
    tables = [pd.read_csv(path, dtype={"method": str, "day": str, "configured": bool}) for path in months]
    return compare(stage, pd.concat(tables, ignore_index=True)) if tables else []


def write_skill(rows: Sequence[Skill], csv: str | Path) -> None:
    """Write a skill table; its columns are the fields of `Skill`. Without rows there is only the heading."""
    table = pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(Skill)])
    with atomic_path(csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def read_skill(csv: str | Path) -> list[Skill]:
    """The rows of a skill table. Raises DeepcamsError naming the file if columns are missing."""
    texts = ("stage", "configured", "baseline", "metric")
    names = [field.name for field in fields(Skill)]
    table = pd.read_csv(csv, dtype=dict.fromkeys(texts, str), keep_default_na=False,
                        na_values={name: [""] for name in names if name not in texts})  # fmt: skip
    missing = [name for name in names if name not in table]
    if missing:
        raise DeepcamsError(f"{csv} lacks the columns {', '.join(missing)}; delete it and run the workflow again.")
    return [Skill(**row) for row in table[names].to_dict("records")]


def main_rows(rows: Sequence[Skill]) -> list[Skill]:
    """The rows at the stage's resolution of use."""
    return [row for row in rows if row.step == STEPS_OF_USE[row.stage]]


def sentence(row: Skill) -> str:
    """One row in words, for a text: "RMSE of N is 12.3 % (11.0 … 13.5 %) below linear."."""
    name = SCORE_NAMES[row.metric]
    digits = row.digits
    side = "below" if row.difference_percent < 0 else "above"
    if row.verdict == UNJUDGED:
        return (
            f"{name} of {row.configured} is {abs(row.difference_percent):.{digits}f} % {side} {row.baseline}; "
            f"{row.days} {'day is' if row.days == 1 else 'days are'} too few for an interval (at least "
            f"{FEWEST_DAYS}), so this is no verdict."
        )
    if row.verdict == ALIKE:
        return (
            f"{name} of {row.configured} cannot be told apart from {row.baseline}: "
            f"{row.difference_text} % ({row.interval_text} %)."
        )
    low, high = sorted((abs(row.low_percent), abs(row.high_percent)))
    return (
        f"{name} of {row.configured} is {abs(row.difference_percent):.{digits}f} % "
        f"({low:.{digits}f} … {high:.{digits}f} %) {side} {row.baseline}."
    )


def markdown_section(rows: Sequence[Skill]) -> str:
    """The rows of one step as a list of sentences, with what the numbers are; empty without rows."""
    if not rows:
        return ""
    lines = [
        f"Differences over all pairs of {rows[0].days} days, with intervals of {100 * LEVEL:.0f} % "
        f"(both methods on the same days, resampled in blocks of {BLOCK} days):",
        "",
        *(f"- {sentence(row)}" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def lines_to_tell(rows: Sequence[Skill]) -> list[str]:
    """For the terminal: a line for each stage, the configured method against the stage's main baseline.

    A stage whose configured method is the main baseline itself has nothing to say.
    """
    lines = []
    for stage, baseline in MAIN_BASELINES.items():
        against = [row for row in main_rows(rows) if row.stage == stage and row.baseline == baseline]
        if not against:
            continue
        parts = [f"{SCORE_NAMES[row.metric]} {_with_interval(row)}" for row in against]
        line = f"{stage}: {against[0].configured} against {baseline}: {', '.join(parts)}"
        lacking = [SCORE_NAMES[row.metric] for row in against if row.verdict in (ALIKE, WORSE)]
        if any(row.verdict == UNJUDGED for row in against):
            line += f": NOT JUDGED, {against[0].days} day(s) are too few for intervals"
        elif lacking:
            line += ": NOT BETTER" + (f" in {lacking[0]}" if len(lacking) < len(against) else "")
        lines.append(line)
    return lines


def _signed(value: float, digits: int) -> str:
    """A number with its sign, minus as in print."""
    return f"{value:+.{digits}f}".replace("-", "−")


def _of_method(days: pd.DataFrame, method: str) -> pd.DataFrame:
    return days[days["method"] == method].sort_values("day")


def _with_interval(row: Skill) -> str:
    digits = row.digits
    text = f"{row.difference_percent:+.{digits}f} %"
    if row.verdict == UNJUDGED:
        return text
    return f"{text} ({row.low_percent:+.{digits}f} to {row.high_percent:+.{digits}f})"
