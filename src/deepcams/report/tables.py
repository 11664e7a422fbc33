"""Tables of the report as HTML. Every text that comes from data is escaped."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.validation.bootstrap import LEVEL
from deepcams.validation.skill import ALIKE, BETTER, SCORE_NAMES, UNJUDGED, WORSE, Skill, read_skill

SKILL_WORDS = {
    BETTER: "better",
    WORSE: "not better",
    ALIKE: "cannot be told apart",
    UNJUDGED: "too few days for an interval",
}
METRICS = (("r", "R", 4, True), ("rmse", "RMSE", 2, False), ("mae", "MAE", 3, False))


@dataclass(frozen=True)
class Evaluation:
    """Scores of a network on a test year, in the layout of Xiao et al. (2022), Tables 2 and 3.

    path : CSV with the columns month, method, r, rmse, mae.  network : which of the methods is the network.
    step : the rows to take, by their column `step` (degrees); None: all.  skill : CSV of its differences from the
    baselines (`deepcams.validation.skill`); None if they are not known.  judged : whether the summary says how it did.
    """

    title: str
    path: Path | str
    network: str
    step: float | None = None
    skill: Path | str | None = None
    judged: bool = True


def read_evaluation(evaluation: Evaluation) -> pd.DataFrame:
    """The scores of an evaluation: month, method, r, rmse, mae.

    Raises DeepcamsError if columns are missing or there is nothing at its step.
    """
    table = pd.read_csv(evaluation.path, dtype={"month": str, "method": str}, keep_default_na=False,
                        na_values={key: [""] for key in ("r", "rmse", "mae")})  # fmt: skip
    missing = {"month", "method", "r", "rmse", "mae", *(() if evaluation.step is None else ("step",))} - set(table)
    if missing:
        raise DeepcamsError(f"{evaluation.path} lacks the columns {', '.join(sorted(missing))}.")
    if evaluation.step is not None:
        table = table[table["step"] == evaluation.step]
        if table.empty:
            raise DeepcamsError(f"{evaluation.path} has no scores at {evaluation.step:g}°.")
    return table


def read_differences(evaluation: Evaluation) -> list[Skill]:
    """The differences of an evaluation's network from the baselines, at its step; none if they are not known."""
    rows = [] if evaluation.skill is None else read_skill(evaluation.skill)
    return [row for row in rows if evaluation.step is None or row.step == evaluation.step]


def evaluation_table(table: pd.DataFrame, network: str) -> str:
    """Months down, scores by method across, the network last, averages below, the best of each in bold."""
    methods = [name for name in dict.fromkeys(table["method"]) if name != network]
    methods += [network] if (table["method"] == network).any() else []
    wide = table.pivot_table(index="month", columns="method", values=["r", "rmse", "mae"], aggfunc="first")
    months = [str(month) for month in wide.index]
    head = "".join(f'<th colspan="{len(methods)}" scope="colgroup">{label}{_unit(key)}</th>'
                   for key, label, *_ in METRICS)  # fmt: skip
    second = "".join(f'<th scope="col">{escape(name)}</th>' for _ in METRICS for name in methods)
    body = []
    for label, values in [*zip(months, (wide.loc[m] for m in wide.index), strict=True), ("Average", wide.mean())]:
        cells = []
        for key, _, digits, high in METRICS:
            numbers = [float(values.get((key, name), math.nan)) for name in methods]
            cells += _best_marked(numbers, digits, high)
        css = ' class="total"' if label == "Average" else ""
        body.append(f'<tr{css}><th scope="row">{escape(label)}</th>{"".join(cells)}</tr>')
    return _wrap(
        f'<thead><tr><th rowspan="2" scope="col">Month</th>{head}</tr><tr>{second}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody>"
    )


def difference_table(rows: Sequence[Skill]) -> str:
    """A row for each baseline and score: both values, their difference with its interval, what that allows to say."""
    head = ("Baseline", "Score", "Configured (µg/m³)", "Baseline (µg/m³)", "Difference",
            f"Interval of {100 * LEVEL:.0f}\u202f%", "Verdict")  # fmt: skip
    body = []
    for row in rows:
        cells = (
            SCORE_NAMES[row.metric],
            number(row.value, 3),
            number(row.baseline_value, 3),
            f"{row.difference_text}\u202f%",
            "–" if row.verdict == UNJUDGED else f"{row.interval_text}\u202f%",
            SKILL_WORDS[row.verdict],
        )
        values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        body.append(f'<tr><th scope="row">{escape(row.baseline)}</th>{values}</tr>')
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return _wrap(f"<thead><tr>{columns}</tr></thead><tbody>{''.join(body)}</tbody>")


def score_table(rows: Iterable[dict], columns: Sequence[tuple[str, str, int]], label: str = "method") -> str:
    """Rows of scores. columns : (key, heading, digits); digits -1 for counts, -2 for per cent."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for _, heading, _ in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(str(row[label]))}</th>'
        + "".join(f"<td>{number(row.get(key), digits)}</td>" for key, _, digits in columns)
        + "</tr>"
        for row in rows
    )
    return _wrap(f'<thead><tr><th scope="col"></th>{head}</tr></thead><tbody>{body}</tbody>')


def key_values(items: Iterable[tuple[str, object]]) -> str:
    """Two columns: name and value."""
    body = "".join(
        f'<tr><th scope="row">{escape(str(key))}</th><td class="text">{escape(_text(value))}</td></tr>'
        for key, value in items
    )
    return _wrap(f"<tbody>{body}</tbody>")


def number(value: object, digits: int) -> str:
    """A score as text, a dash where it is undefined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if digits == -1:
        return f"{int(value):,}".replace(",", "\u202f")
    if digits == -2:
        return f"{100 * float(value):.1f}\u202f%".replace("-", "−")
    return f"{float(value):.{digits}f}".replace("-", "−")


def _best_marked(numbers: list[float], digits: int, high: bool) -> list[str]:
    finite = [value for value in numbers if not math.isnan(value)]
    best = (max(finite) if high else min(finite)) if finite else math.nan
    return [
        f"<td><b>{number(value, digits)}</b></td>" if value == best else f"<td>{number(value, digits)}</td>"
        for value in numbers
    ]


def _wrap(table: str) -> str:
    return f'<div class="scroll" tabindex="0"><table>{table}</table></div>'


def _unit(key: str) -> str:
    return "" if key == "r" else " (µg/m³)"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
