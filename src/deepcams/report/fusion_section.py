"""The report's section on the fusion with stations: what was fused, how well, against what, and by which kernels."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.report.fusion_figures import class_name
from deepcams.report.headline import statements
from deepcams.report.quantity import label, text_unit
from deepcams.report.shell import picture
from deepcams.report.tables import (
    Column,
    capitalised,
    concentration_digits,
    country_name,
    data_table,
    key_values,
    listed,
    number,
    score_table,
)
from deepcams.report.verdicts import BAD, GOOD, NEUTRAL, SAYS, Verdict, signed
from deepcams.validation.bootstrap import LEVEL
from deepcams.validation.skill import ALIKE, BETTER, UNJUDGED, WORSE

TEXTS = frozenset(("scheme", "method", "class", "season", "months", "verdict", "of", "step", "country"))
SCORES = {"r2": ("R²", ""), "rmse": ("RMSE", "unit"), "mae": ("MAE", "unit"), "nme": ("NME", "%"),
          "bias": ("bias", "unit")}  # fmt: skip
GROUPS = {"class": "observed concentration", "season": "season", "months": "months"}
FLIPPED = {BETTER: WORSE, WORSE: BETTER}
REFERENCE = "reference"  # in place of a verdict, in the tables of scores
KINDS = {BETTER: GOOD, WORSE: BAD, ALIKE: NEUTRAL, UNJUDGED: NEUTRAL}
OF = {"pooled": "all values", "mean of steps": "mean of the times"}
CAPTIONS = {
    "fusion_day": "One fused field with the values of the stations it was made from, and how far the nearest of them "
    "is. Far from stations the field is what the method makes of little.",
    "fusion_seasons": "Means of the seasons, on one logarithmic scale; dots are stations that measured on half of the "
    "days or more.",
    "fusion_cross_validation": "Scores at stations that were left out, with intervals of "
    f"{100 * LEVEL:.0f} %; each method made its estimates from the same other stations.",
    "fusion_classes": "The same by what was observed: methods that smooth are high where the air is clean and low "
    "where it is not.",
    "fusion_kernels": "The two kernels of each variable, as shares of their largest weight, and against distance along "
    "a meridian: dots are weights, lines means of rings one node wide; dotted: half.",
}
WORDS = (
    "R²: Pearson’s correlation, squared; NME: mean absolute error over the observed mean; bias: estimate minus "
    "observation. Intervals: stations resampled by boxes of 5°, because neighbours see the same air. "
    "“Better” only where the whole interval of the difference of RMSE from {}’s lies below zero."
)


def fusion_section(folder: str | Path | None, figures: Mapping[str, str | Path] | None = None) -> str:
    """HTML of the section; "" without a folder, so that the page leaves the section out.

    folder : with the files of a fusion, of which all but the first may be missing:
      summary.json : `method`, the name of the fusion's own method; `facts`, name → text or number, what was fused;
        `schemes`, scheme → words ("stations": "stations left out"); `notes`, sentences on the methods.
      scores.csv : `fusion.fusion_scores.score_table` with a first column scheme.
      classes.csv, seasons.csv, months.csv : by_class, by_season and by_months with a first column scheme.
      reproduction.csv : `fusion.evaluation.reproduce`.
      counts.csv : step, country, number; what became no value of a day, and why.
    figures : name (see `CAPTIONS`) → PNG; what is missing is left out.
    Raises DeepcamsError if a file cannot be read.
    """
    if folder is None:
        return ""
    folder = Path(folder)
    summary = read_summary(folder / "summary.json")
    tables = {path.stem: read_table(path) for path in sorted(folder.glob("*.csv"))}
    found = {name: picture(path, CAPTIONS.get(name, ""), name) for name, path in (figures or {}).items()}
    scores = with_schemes(tables.get("scores", pd.DataFrame()), summary)
    parts = [statements(verdicts(scores, summary["method"])), key_values(summary.get("facts", {}).items())]
    parts += [found.get(name, "") for name in ("fusion_day", "fusion_seasons")]
    if len(scores):
        reference = next(iter(scores.loc[scores["verdict"] == REFERENCE, "method"]), "the reference")
        notes = " ".join([WORDS.format(reference), *summary.get("notes", ())])
        parts += ["<h3>Cross-validation</h3>", found.get("fusion_cross_validation", ""), _scores(scores),
                  f'<p class="note">{escape(notes)}</p>']  # fmt: skip
    parts += _groups(tables, summary, found.get("fusion_classes", ""))
    parts.append(_reproduction(tables.get("reproduction", pd.DataFrame())))
    if "fusion_kernels" in found:
        parts += ["<h3>Kernels</h3>", found["fusion_kernels"]]
    parts.append(_counts(tables.get("counts", pd.DataFrame())))
    return "".join(parts)


def verdicts(scores: pd.DataFrame, own: str) -> list[Verdict]:
    """The fusion's own method against the reference, or if it is the reference against each other method, by RMSE.

    scores : rows of scheme, method, rmse, rmse_difference with its interval, verdict.  One statement for each scheme
    and other method; what is worse is said as loudly as what is better.
    """
    found = []
    for scheme, rows in scores.groupby("scheme", sort=False) if len(scores) else ():
        of = rows.set_index("method")
        if own not in of.index or REFERENCE not in set(of["verdict"]):
            continue
        reference = of.index[of["verdict"] == REFERENCE][0]
        digits = concentration_digits([of.loc[own, "rmse"]])
        for other in [reference] if own != reference else [name for name in of.index if name != own]:
            sign, row = (1, of.loc[own]) if own != reference else (-1, of.loc[other])
            said = row["verdict"] if sign == 1 else FLIPPED.get(row["verdict"], row["verdict"])
            if said not in SAYS or not np.isfinite(of.loc[other, "rmse"]):
                continue
            change, *ends = (sign * row[f"rmse_difference{end}"] for end in ("", "_low", "_high"))
            interval = " … ".join(number(end, digits) for end in sorted(ends))
            text = f"{signed(change, digits)}, " + ("no interval" if said == UNJUDGED else f"interval {interval}")
            found.append(Verdict(KINDS[said], (
                f"{capitalised(scheme)}: {own} {SAYS[said].format(other)}: RMSE {number(of.loc[own, 'rmse'], digits)} "
                f"against {number(of.loc[other, 'rmse'], digits)} {text_unit()} ({text})."
            )))  # fmt: skip
    return found


def read_table(path: Path) -> pd.DataFrame:
    """A CSV table: `TEXTS` as text, all else as float64, NaN where a field is empty."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (ValueError, OSError) as error:
        raise DeepcamsError(f"{path} is not a table that can be read ({error}). Run the fusion again.") from error
    numbers = [name for name in table if name not in TEXTS]
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
    return table


def read_summary(path: Path) -> dict:
    """What a fusion says of itself. Raises DeepcamsError if it cannot be read, or does not name its method."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        summary["method"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeepcamsError(f"{path} cannot be read ({error}). Run the fusion again.") from error
    return summary


def with_schemes(table: pd.DataFrame, summary: Mapping) -> pd.DataFrame:
    """A table with its schemes in words; methods without any estimate left out."""
    if table.empty:
        return table
    names = summary.get("schemes", {})
    table = table[table["rmse"].notna()]
    return table.assign(scheme=[names.get(scheme, scheme) for scheme in table["scheme"]])


def _scores(table: pd.DataFrame) -> str:
    """All scores with their intervals, to choose the scheme from."""
    columns, values = _score_columns(table, intervals=True)
    return data_table(
        "fusion-scores",
        [Column("left out", hidden=True), Column("Method"), Column("N", "", 0), Column("stations", "", 0), *columns,
         Column("verdict")],
        [listed(table["scheme"]), listed(table["method"]), listed(table["n"], 12), listed(table["stations"]), *values,
         listed(table["verdict"])],
        [("Held out", 0, [(name, name) for name in dict.fromkeys(table["scheme"])])],
        "fusion_scores",
    )  # fmt: skip


def _score_columns(table: pd.DataFrame, intervals: bool) -> tuple[list[Column], list[list[object]]]:
    """Columns of the scores, their values; `intervals`: with both ends of each, shown on request."""
    digits = concentration_digits(table["rmse"])
    columns, values = [], []
    for score, (heading, kind) in SCORES.items():
        places = {"unit": digits, "%": 1}.get(kind, 3)
        ends = ("", "_low", "_high") if intervals else ("",)
        for end in [end for end in ends if score + end in table]:
            columns.append(Column(heading, text_unit() if kind == "unit" else kind, places,
                                  sub=end.removeprefix("_"), extra=bool(end)))  # fmt: skip
            values.append(listed(table[score + end] * (100 if kind == "%" else 1)))
    return columns, values


def _groups(tables: Mapping[str, pd.DataFrame], summary: Mapping, figure: str) -> list[str]:
    """Scores by observed concentration, season and months in one table, and the figure of the first."""
    parts = []
    for name, column in (("classes", "class"), ("seasons", "season"), ("months", "months")):
        table = with_schemes(tables.get(name, pd.DataFrame()), summary)
        if len(table):
            words = table[column].map(class_name) if column == "class" else table[column]
            parts.append(table.assign(by=GROUPS[column], group=words))
    if not parts:
        return []
    table = pd.concat(parts, ignore_index=True)
    columns, values = _score_columns(table, intervals=False)
    text = data_table(
        "fusion-groups",
        [Column("left out", hidden=True), Column("by", hidden=True), Column("Group"), Column("Method"),
         Column("N", "", 0), *columns, Column("verdict")],
        [listed(table["scheme"]), listed(table["by"]), listed(table["group"]), listed(table["method"]),
         listed(table["n"], 12), *values, listed(table["verdict"])],
        [("Held out", 0, [(name, name) for name in dict.fromkeys(table["scheme"])]),
         ("Show", 1, [(name, f"by {name}") for name in dict.fromkeys(table["by"])])],
        "fusion_groups",
    )  # fmt: skip
    note = (
        f'<p class="note">Classes are of observed {escape(label())} in {text_unit()}. Within a class R² is low for '
        "every method, because little varies there; and any method with errors is high in the lowest class and low in "
        "the highest, because classes are chosen by the observation.</p>"
    )
    heading = " and ".join(dict.fromkeys(table["by"]))
    return [f"<h3>By {heading}</h3>", figure, text, note if "classes" in tables else ""]


def _reproduction(table: pd.DataFrame) -> str:
    """How well a model's fields were estimated from their values at stations."""
    if table.empty:
        return ""
    digits = concentration_digits(table["rmse"])
    columns = [("n", "N", -1), ("r2", "R²", 3), ("rmse", f"RMSE ({text_unit()})", digits), ("nme", "NME", -2)]
    parts = []
    for of, words in OF.items():
        rows = [row for row in table[table["of"] == of].to_dict("records") if np.isfinite(row["rmse"])]
        if rows:
            parts.append(f"<h4>{capitalised(words)}</h4>{score_table(rows, columns)}")
    return (
        "<h3>Fields of a model from their own values at stations</h3>"
        '<p class="note">A field that is known everywhere is estimated from what it has in the cells of the stations, '
        "and compared at other nodes as well: places without stations count here.</p>" + "".join(parts)
    )


def _counts(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    totals = table.groupby("step", sort=False)["number"].sum()
    wide = table.pivot_table(index="country", columns="step", values="number", aggfunc="sum", sort=False, fill_value=0)
    wide = wide[list(totals.index)]
    wide = wide.sort_values(wide.columns[0], ascending=False, kind="stable")
    by_country = data_table(
        "fusion-counts",
        [Column("Country"), *(Column(step, "", 0) for step in wide)],
        [[country_name(code) for code in wide.index], *(listed(wide[step], 12) for step in wide)],
        file="fusion_counts",
    )
    return (
        "<h3>What was fused, and what was left out</h3>"
        + key_values((step, number(count, -1)) for step, count in totals.items())
        + f"<details><summary>By country</summary>{by_country}</details>"
    )
