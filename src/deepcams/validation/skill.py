"""Networks against each baseline: differences with intervals, as a table and in words.

What is said is what the interval allows: "below" or "above" only where it excludes zero.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.validation.bootstrap import BLOCK, FEWEST_DAYS, LEVEL, Days, difference, resample

MAIN_BASELINES = {"temporal": "linear", "spatial": "bicubic+closure", "joint": "linear+bicubic+closure"}
# Degrees. In time networks run on the coarse grid; the paper's Table 2 is at 0.25°. In space the result is 0.25°.
STEPS_OF_USE = {"temporal": 0.75, "spatial": 0.25, "joint": 0.25}
SCORE_NAMES = {"rmse": "RMSE", "mae": "MAE"}
BETTER, WORSE, ALIKE, UNJUDGED = "better", "worse", "alike", "unjudged"
# What a row compares: the configured network, or a further one, with a baseline; either on input that another operator
# than the configured one has degraded; a pair of networks that takes time first with itself taking space first.
CONFIGURED, FURTHER, OPERATOR, ORDER = "configured", "further", "operator", "order"
REFERENCE = "bicubic"  # what networks must not fall behind under any operator


@dataclass(frozen=True)
class Skill:
    """One row of a skill table: a score of a network's method beside that of a baseline.

    step : degrees.   configured : the network's method; the configured one where `kind` says so.   metric : "rmse" or
    "mae".   value, baseline_value : ug m-3, over all pairs.   difference_percent : 100 (value / baseline_value - 1),
    below zero where the network is better, with its interval low_percent … high_percent of 95 %, NaN if there are too
    few days.   days : that were scored.   degradation : the operator that made the input, in space; else "".
    kind : CONFIGURED, FURTHER, OPERATOR or ORDER.
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
    degradation: str = ""
    kind: str = CONFIGURED

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
    """Every network against every baseline, for each step and operator in the order of `days`, the configured first.

    days : rows of step, day, method, configured, n, squared_error, absolute_error, and where there are several
    degradation, baseline (bool; by default all that is not configured is one) and group (of a pair's two orders).
    A configured method that is itself a baseline is compared with the others. Raises DeepcamsError if methods were not
    scored on the same nodes of the same days.
    """
    if days.empty:
        return []
    days = days.assign(
        degradation=days.get("degradation", ""),
        baseline=days["baseline"] if "baseline" in days else ~days["configured"],
        group=days["group"] if "group" in days else days["method"],
    )
    found, own = [], {}
    for (step, operator), part in days.groupby(["step", "degradation"], sort=False):
        own.setdefault(step, operator)
        resampled = {name: resample(rows.sort_values("day")) for name, rows in part.groupby("method", sort=False)}
        methods = part.drop_duplicates("method").set_index("method")
        baselines = list(methods.index[methods["baseline"]])
        chosen = list(methods.index[methods["configured"]])
        pairs = [(CONFIGURED, network, baseline) for network in chosen for baseline in baselines]
        for network in methods.index[~methods["baseline"] & ~methods["configured"]]:
            pairs += [(FURTHER, network, baseline) for baseline in baselines]
        if stage == "joint":
            networks = methods[methods.groupby("group")["baseline"].transform("all").eq(False)]
            pairs += [(ORDER, *names) for names in networks.groupby("group").groups.values() if len(names) == 2]
        for kind, network, baseline in pairs:
            if network == baseline:
                continue
            place = {"stage": stage, "step": float(step), "degradation": operator}
            place["kind"] = kind if operator == own[step] else OPERATOR
            found += _rows(network, baseline, resampled, place)
    return found


def _rows(network: str, baseline: str, days: dict[str, Days], place: dict) -> list[Skill]:
    one, other = days[network], days[baseline]
    try:
        differences = difference(one, other)
        if not np.array_equal(one.pairs, other.pairs):
            raise ValueError("the two methods were not scored on the same nodes")
    except ValueError as error:
        raise DeepcamsError(
            f"{network} and {baseline} ({place['stage']}) cannot be compared: {error}. "
            "Delete the evaluation's monthly files and run again."
        ) from error
    return [
        Skill(
            configured=network,
            baseline=baseline,
            metric=metric,
            value=found.value,
            baseline_value=found.reference,
            difference_percent=100 * found.relative,
            low_percent=100 * found.low,
            high_percent=100 * found.high,
            days=found.days,
            **place,
        )
        for metric, found in differences.items()
    ]


def write_skill(rows: Sequence[Skill], csv: str | Path) -> None:
    """Write a skill table; its columns are the fields of `Skill`. Without rows there is only the heading."""
    table = pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(Skill)])
    with atomic_path(csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def read_skill(csv: str | Path) -> list[Skill]:
    """The rows of a skill table. Raises DeepcamsError naming the file if columns are missing."""
    texts = ("stage", "configured", "baseline", "metric", "degradation", "kind")
    names = [field.name for field in fields(Skill)]
    table = pd.read_csv(csv, dtype=dict.fromkeys(texts, str), keep_default_na=False,
                        na_values={name: [""] for name in names if name not in texts})  # fmt: skip
    missing = [name for name in names if name not in table]
    if missing:
        raise DeepcamsError(f"{csv} lacks the columns {', '.join(missing)}; delete it and run the workflow again.")
    return [Skill(**row) for row in table[names].to_dict("records")]


def main_rows(rows: Sequence[Skill]) -> list[Skill]:
    """The rows of the configured network at the stage's resolution of use, on input of the configured operator."""
    return [row for row in rows if row.kind == CONFIGURED and row.step == STEPS_OF_USE[row.stage]]


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


def notes(rows: Sequence[Skill]) -> dict[tuple[float, str], str]:
    """Markdown for each table, by step and degradation: the configured network in sentences, further ones in lines."""
    found = {}
    for place in dict.fromkeys((row.step, row.degradation) for row in rows):
        here = [row for row in rows if (row.step, row.degradation) == place]
        parts = [
            _list(
                f"### {here[0].configured} against the baselines\n\nOver all pairs of {here[0].days} days, with "
                f"intervals of {100 * LEVEL:.0f} % (both on the same days, resampled in blocks of {BLOCK} days):",
                [sentence(row) for row in here if row.kind == CONFIGURED],
            ),
            _list("### Further networks against the baselines", _in_lines(here, FURTHER)),
            _list("### Time first against space first", _in_lines(here, ORDER)),
            _list(
                f"Input degraded by {place[1]}:",
                _in_lines([row for row in here if row.baseline in (REFERENCE, MAIN_BASELINES[row.stage])], OPERATOR),
            ),
        ]
        found[place] = "\n".join(part for part in parts if part)
    return found


def _list(heading: str, lines: Sequence[str]) -> str:
    return "\n".join([heading, "", *(f"- {line}" for line in lines), ""]) if lines else ""


def _in_lines(rows: Sequence[Skill], kind: str) -> list[str]:
    """A line for each pair of methods: both scores, with their intervals."""
    pairs: dict[tuple[str, str], list[Skill]] = {}
    for row in rows:
        if row.kind == kind:
            pairs.setdefault((row.configured, row.baseline), []).append(row)
    return [
        f"{network} against {baseline}: "
        + ", ".join(
            f"{SCORE_NAMES[row.metric]} {row.difference_text} %"
            + ("" if row.verdict == UNJUDGED else f" ({row.interval_text})")
            for row in of_pair
        )
        for (network, baseline), of_pair in pairs.items()
    ]


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


def _with_interval(row: Skill) -> str:
    digits = row.digits
    text = f"{row.difference_percent:+.{digits}f} %"
    if row.verdict == UNJUDGED:
        return text
    return f"{text} ({row.low_percent:+.{digits}f} to {row.high_percent:+.{digits}f})"
