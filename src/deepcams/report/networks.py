"""The report's tables of the simulation experiment: Tables 2 and 3 of the paper, all methods, and what is better."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.report.quantity import is_of_paper, text_unit
from deepcams.report.tables import breakable, number, wrap
from deepcams.validation.bootstrap import BLOCK, LEVEL
from deepcams.validation.published import CAVEATS, printed_beside
from deepcams.validation.skill import (
    ALIKE,
    BETTER,
    CONFIGURED,
    MAIN_BASELINES,
    ORDER,
    REFERENCE,
    SCORE_NAMES,
    UNJUDGED,
    WORSE,
    Skill,
    read_skill,
)
from deepcams.validation.tables import SIDE_BY_SIDE

SKILL_WORDS = {
    BETTER: "better",
    WORSE: "not better",
    ALIKE: "cannot be told apart",
    UNJUDGED: "too few days for an interval",
}
METRICS = (("r", "R", 4, True), ("rmse", "RMSE", 2, False), ("mae", "MAE", 3, False))
PRINTED_DIGITS = {"r": 4, "rmse": 2, "mae": 2}


@dataclass(frozen=True)
class Evaluation:
    """Scores of a network on a test year, in the layout of Xiao et al. (2022), Tables 2 and 3.

    path : CSV with the columns month, method, r, rmse, mae, or these averaged over frames as the paper does, ending in
    `_mean_of_frames`; in space also degradation, the operator that made the input, the configured one first.
    network : which of the methods is the network.  step : the rows to take by their column `step`, degrees; None: all.
    skill : CSV of its differences from the others (`deepcams.validation.skill`); None if not known.  judged : whether
    the summary says how it did.  stage : "temporal", "spatial" or "joint", whose chosen methods stand before the fold;
    "": all of them.  printed : whether what the paper prints of the stage stands beside them.
    """

    title: str
    path: Path | str
    network: str
    step: float | None = None
    skill: Path | str | None = None
    judged: bool = True
    stage: str = ""
    printed: bool = False


def read_evaluation(evaluation: Evaluation) -> pd.DataFrame:
    """The scores of an evaluation: month, method, degradation ("" if there is but one), r, rmse, mae.

    Scores are averages over frames where the file has them. Raises DeepcamsError if columns are missing or there is
    nothing at its step.
    """
    table = pd.read_csv(evaluation.path, dtype={"month": str, "method": str, "degradation": str}, keep_default_na=False)
    keys = [key for key, *_ in METRICS]
    averaged = {f"{key}_mean_of_frames": key for key in keys}
    if set(averaged) <= set(table):
        table = table.drop(columns=keys, errors="ignore").rename(columns=averaged)
    missing = {"month", "method", *keys, *(() if evaluation.step is None else ("step",))} - set(table)
    if missing:
        raise DeepcamsError(f"{evaluation.path} lacks the columns {', '.join(sorted(missing))}.")
    table[keys] = table[keys].apply(pd.to_numeric, errors="coerce")
    if evaluation.step is not None:
        table = table[table["step"] == evaluation.step]
        if table.empty:
            raise DeepcamsError(f"{evaluation.path} has no scores at {evaluation.step:g}°.")
    return table if "degradation" in table else table.assign(degradation="")


def read_differences(evaluation: Evaluation) -> list[Skill]:
    """The differences of an evaluation's network from the baselines, at its step; none if they are not known."""
    rows = [] if evaluation.skill is None else read_skill(evaluation.skill)
    return [row for row in rows if evaluation.step is None or row.step == evaluation.step]


def networks_section(tables: Sequence[tuple[Evaluation, pd.DataFrame, list[Skill]]], pictures: dict[str, str]) -> str:
    """The section on networks: figures, and for each evaluation its tables and its differences from the baselines.

    tables : an evaluation with what `read_evaluation` and `read_differences` say of it.  pictures : HTML by name.
    """
    parts = []
    if tables:
        parts.append(
            f'<p class="note">Scores by month are averages over frames, as in the paper. RMSE, MAE: {text_unit()}.</p>'
        )
    if any(rows for *_, rows in tables):
        parts.append(pictures.get("differences", ""))
        # Of a single month that figure would say the same again.
        if len({month for _, table, _ in tables for month in table["month"]}) > 1:
            parts.append(pictures.get("months", ""))
    for evaluation, table, rows in tables:
        parts.append(f"<h3>{escape(evaluation.title)}</h3>")
        parts += _scores(evaluation, table)
        parts += _differences(rows)
    zooms = [pictures[name] for name in ("evaluation_temporal_zoom", "evaluation_spatial_zoom") if name in pictures]
    return "".join([*parts, *(["<h3>Where they differ</h3>"] if zooms else []), *zooms])


def _scores(evaluation: Evaluation, table: pd.DataFrame) -> list[str]:
    """Tables of scores: the paper's methods, all methods folded, and every operator."""
    network = evaluation.network
    operators = list(dict.fromkeys(table["degradation"]))
    own = table[table["degradation"] == operators[0]]
    methods = [name for name in dict.fromkeys(own["method"]) if name != network]
    shown = [name for name in SIDE_BY_SIDE.get(evaluation.stage, methods) if name in methods] or methods
    printed = (
        printed_beside(evaluation.stage, sorted(set(own["month"]))) if evaluation.printed and is_of_paper() else None
    )
    parts = [evaluation_table(own, [*shown, network], printed)]
    if printed is not None:
        parts.append(
            '<p class="note">Printed: by Xiao et al. (2022) for the same months of 2020, from GEOS-CF. Those are other '
            "data than ours: the figures show the size of things and are no contest. "
            f"{escape(CAVEATS[evaluation.stage])}</p>"
        )
    if len(shown) < len(methods):
        parts.append(
            _folded(f"All {len(methods) + 1} methods, month by month", evaluation_table(own, [*methods, network]))
        )
    if len(operators) > 1:
        parts.append(
            '<h4>Under other operators</h4><p class="note">Coarse fields made in other ways than by '
            f"{escape(operators[0])}, every sixth hour; averages over months; %: RMSE against {REFERENCE}.</p>"
            + operator_table(table, [*methods, network])
        )
    return parts


def evaluation_table(table: pd.DataFrame, methods: Sequence[str], printed: pd.DataFrame | None = None) -> str:
    """Months down, scores by method across, averages below, the best of each in bold; printed ones last, as they are.

    table : month, method, r, rmse, mae.  printed : the same from the paper for the same months and "average".
    """
    wide = table.pivot_table(index="month", columns="method", values=[key for key, *_ in METRICS], aggfunc="first")
    names = [] if printed is None else list(dict.fromkeys(printed["method"]))
    theirs = None if printed is None else printed.set_index(["month", "method"])
    methods = [name for name in methods if (table["method"] == name).any()]
    head = "".join(f'<th colspan="{len(methods) + len(names)}" scope="colgroup">{label}{_unit(key)}</th>'
                   for key, label, *_ in METRICS)  # fmt: skip
    second = "".join(f'<th scope="col">{breakable(name)}</th>' for name in methods)
    second += "".join(f'<th scope="col" class="other">{escape(name)}, printed</th>' for name in names)
    body = []
    for label in [*wide.index, "Average"]:
        ours = wide.mean() if label == "Average" else wide.loc[label]
        cells = []
        for key, _, digits, high in METRICS:
            cells += _best_marked([float(ours.get((key, name), math.nan)) for name in methods], digits, high)
            for name in names:
                value = float(theirs.loc[(str(label).lower(), name), key])
                cells.append(f'<td class="other">{number(value, PRINTED_DIGITS[key])}</td>')
        css = ' class="total"' if label == "Average" else ""
        body.append(f'<tr{css}><th scope="row">{escape(str(label))}</th>{"".join(cells)}</tr>')
    return wrap(
        f'<thead><tr><th rowspan="2" scope="col">Month</th>{head}</tr><tr>{second * len(METRICS)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody>",
        "scores",
    )


def operator_table(table: pd.DataFrame, methods: Sequence[str]) -> str:
    """Methods down, operators across: RMSE and MAE averaged over months, and RMSE against `REFERENCE` in per cent."""
    means = table.groupby(["degradation", "method"])[["rmse", "mae"]].mean()
    operators = list(dict.fromkeys(table["degradation"]))
    columns = []
    for operator in operators:
        here = means.loc[operator].reindex(list(methods))
        reference = here["rmse"].get(REFERENCE, math.nan)
        columns += [_best_marked(list(here[key]), 3, high=False) for key in ("rmse", "mae")]
        columns.append([f"<td>{_per_cent(value / reference)}</td>" for value in here["rmse"]])
    head = "".join(f'<th colspan="3" scope="colgroup">{escape(operator)}</th>' for operator in operators)
    second = "".join(f'<th scope="col">{name}</th>' for name in (f"RMSE{_unit()}", f"MAE{_unit()}", "%")) * len(
        operators
    )
    body = "".join(
        f'<tr><th scope="row">{breakable(name)}</th>{"".join(cells)}</tr>'
        for name, *cells in zip(methods, *columns, strict=True)
    )
    return wrap(
        f'<thead><tr><th rowspan="2" scope="col">Method</th>{head}</tr><tr>{second}</tr></thead><tbody>{body}</tbody>',
        "scores",
    )


def _differences(rows: Sequence[Skill]) -> list[str]:
    """The configured network against the main baseline; folded against all, and what else was compared."""
    own = [row for row in rows if row.kind == CONFIGURED]
    if not own:
        return []
    main = MAIN_BASELINES[own[0].stage]
    against_main = [row for row in own if row.baseline == main]
    others = [
        row for row in rows if row.kind == ORDER or (row.kind != CONFIGURED and row.baseline in (main, REFERENCE))
    ]
    parts = [
        f'<p class="note">{escape(own[0].configured)} against {"the main" if against_main else "each"} baseline, over '
        f"all pairs of {own[0].days} days. Intervals: both methods on the same days, resampled in blocks of {BLOCK} "
        "days. “Better” only where the whole interval lies below zero.</p>",
        difference_table(against_main or own),
    ]
    if against_main and len(own) > len(against_main):
        parts.append(_folded("Against every baseline", difference_table(own)))
    if others:
        parts.append(_folded("Other networks, operators and orders", difference_table(others)))
    return parts


def difference_table(rows: Sequence[Skill]) -> str:
    """A row for each baseline and score: both values, their difference with its interval, what that allows to say.

    The network and the operator that made the input are named where there are several.
    """
    named = (
        ("Network", lambda row: row.configured, len({row.configured for row in rows}) > 1),
        ("Input by", lambda row: row.degradation, len({row.degradation for row in rows}) > 1),
    )
    shown = [(name, of) for name, of, several in named if several]
    head = ("Baseline", *(name for name, _ in shown), "Score", f"Network{_unit()}", f"Baseline{_unit()}", "Difference",
            f"Interval of {100 * LEVEL:.0f}\u202f%", "Verdict")  # fmt: skip
    body = []
    for row in rows:
        cells = (
            *(of(row) for _, of in shown),
            SCORE_NAMES[row.metric],
            number(row.value, 3),
            number(row.baseline_value, 3),
            f"{row.difference_text}\u202f%",
            "–" if row.verdict == UNJUDGED else f"{row.interval_text}\u202f%",
            SKILL_WORDS[row.verdict],
        )
        values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        body.append(f'<tr><th scope="row">{breakable(row.baseline)}</th>{values}</tr>')
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return wrap(f"<thead><tr>{columns}</tr></thead><tbody>{''.join(body)}</tbody>", "methods")


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _best_marked(numbers: list[float], digits: int, high: bool) -> list[str]:
    finite = [value for value in numbers if not math.isnan(value)]
    best = (max(finite) if high else min(finite)) if finite else math.nan
    return [
        f"<td><b>{number(value, digits)}</b></td>" if value == best else f"<td>{number(value, digits)}</td>"
        for value in numbers
    ]


def _per_cent(ratio: float) -> str:
    return "–" if math.isnan(ratio) else f"{100 * (ratio - 1):+.1f}".replace("-", "−")


def _unit(key: str = "") -> str:
    return "" if key == "r" else f" ({text_unit()})"
