"""The tables of the simulation experiment: jobs' scores joined, and in the layout of the paper's Tables 2 and 3."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.pollutants import PM25, Pollutant
from deepcams.validation.published import CAVEATS, TABLES, printed_beside

BASELINES = "baselines"  # folder of their scores
SCORES = {"r": "R", "rmse": "RMSE", "mae": "MAE"}
FORMATS = {"r": "{:.4f}", "rmse": "{:.2f}", "mae": "{:.3f}"}
PRINTED_FORMATS = FORMATS | {"mae": "{:.2f}"}
STEP_OF_PAPER = 0.25
HEADINGS = {
    ("temporal", 0.75): "At 0.75°, the resolution of use",
    ("temporal", 0.25): "At 0.25°, as in Table 2 of Xiao et al. (2022)",
    ("spatial", 0.25): "As in Table 3 of Xiao et al. (2022)",
    ("joint", 0.25): "Time and space together, which the paper has not scored",
}
# What stands beside the configured network first: the paper's baseline, which in time has its weights the wrong way
# round, the right one, and the one that is hardest to beat.
SIDE_BY_SIDE = {
    "temporal": ("linear_as_printed", "linear"),
    "spatial": ("bicubic", "bicubic+closure"),
    "joint": ("linear_as_printed+bicubic", "linear+bicubic", "linear+bicubic+closure"),
}


def join(paths: Sequence[str | Path], configured: str) -> pd.DataFrame:
    """Scores or daily sums of all jobs of a stage: their rows, month by month, with three more columns.

    paths : …/{name}/{month}.csv as `evaluate_month` writes them, the baselines' first; all months of a name in order.
    configured : the name whose method the configuration would apply to CAMS; of a pair it is the first, time first.
    group : the name.  baseline : whether a method is one; a configured interpolation is, and its own row stands for it.
    configured : whether it is the configured method.
    """
    parts = []
    for path in map(Path, paths):
        part = pd.read_csv(path, dtype={"day": str, "month": str, "method": str})
        name = path.parent.name
        part["group"] = name
        part["configured"] = (name == configured) & (part["method"] == part["method"].iloc[:1].squeeze())
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["baseline"] = table["method"].isin(set(table.loc[table["group"] == BASELINES, "method"]))
    keys = [name for name in ("month", "day", "step", "degradation", "method") if name in table]
    table = table.drop_duplicates(keys, keep="last")
    order = {name: {value: k for k, value in enumerate(dict.fromkeys(table[name]))} for name in keys if name != "day"}
    places = pd.DataFrame({name: table[name].map(order[name]) if name in order else table[name] for name in keys})
    return table.loc[places.sort_values(keys, kind="stable").index].reset_index(drop=True)


def read_days(csv: str | Path) -> pd.DataFrame:
    """The joined daily sums of a stage, as they were written."""
    return pd.read_csv(csv, dtype={"day": str, "method": str, "degradation": str, "configured": bool})


def write_tables(
    stage: str,
    table: pd.DataFrame,
    csv: str | Path,
    layout: str | Path,
    markdown: str | Path,
    notes: Mapping[tuple[float, str], str] | None = None,
    pollutant: Pollutant = PM25,
) -> None:
    """Write every row of the joined scores into `csv`, and the paper's tables into `layout` (CSV) and `markdown`.

    notes : (step, degradation) → text that goes below that table's; degradation is "" but in space.
    layout : rows of step and month, with the average last; columns such as "rmse linear", and "rmse DeepCAMS, printed".
    Raises DeepcamsError if there are no scores.
    """
    if table.empty:
        raise DeepcamsError("There are no scores to put into a table; the test period of the simulation is empty.")
    with atomic_path(csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    degraded = table["degradation"] if "degradation" in table else pd.Series("", index=table.index)
    configured = configured_method(csv)
    own = table[table["configured"] & (degraded == degraded.iloc[0]) & (table["step"] == table["step"].iloc[0])]
    number = int(own["frames"].sum())
    parts = [
        f"Averages over frames ({number} in all); RMSE and MAE in {pollutant.units_label}. Configured: {configured}.\n"
    ]
    sheets = []
    for step in dict.fromkeys(table["step"]):
        operators = list(dict.fromkeys(degraded[table["step"] == step]))
        own = table[(table["step"] == step) & (degraded == operators[0])]
        sheet = _side_by_side(stage, step, own, configured, pollutant is PM25)
        sheets.append(sheet.reset_index().assign(step=step))
        parts.append(f"## {HEADINGS.get((stage, step), f'At {step:g}°')}\n")
        parts.append(_markdown(sheet))
        if any(name.endswith(", printed") for name in sheet):
            parts.append(_caveat(stage))
        parts.append("### All methods\n")
        parts += [_markdown(_of_score(own, score)) for score in SCORES]
        parts.append((notes or {}).get((step, operators[0]), ""))
        if len(operators) > 1:
            parts.append("### Under other degradations\n")
            parts.append(
                f"Coarse fields not made by {operators[0]} but in other ways, four a day; averages over months.\n"
            )
            parts.append(_markdown(_by_operator(table[table["step"] == step], operators)))
            parts += [text for operator in operators[1:] if (text := (notes or {}).get((step, operator)))]
    with atomic_path(layout) as temporary:
        sheet = pd.concat(sheets, ignore_index=True)
        sheet[["step", "month", *(name for name in sheet if name not in ("step", "month"))]].to_csv(
            temporary, index=False, float_format="%.6g"
        )
    write_text(markdown, "\n".join(part for part in parts if part))


def configured_method(csv: str | Path) -> str:
    """Which of the methods in a table is the configured one."""
    table = pd.read_csv(csv)
    return table.loc[table["configured"], "method"].iloc[0]


def _side_by_side(stage: str, step: float, table: pd.DataFrame, configured: str, of_paper: bool) -> pd.DataFrame:
    """Months down and their average; score by score baselines, the configured network, and what the paper prints."""
    names = [name for name in SIDE_BY_SIDE[stage] if name in set(table["method"])]
    names += [configured] if configured not in names else []
    months = list(dict.fromkeys(table["month"]))
    printed = printed_beside(stage, months) if step == STEP_OF_PAPER and of_paper else None
    columns = {}
    for score in SCORES:
        ours = _of_score(table, score)[[f"{score} {name}" for name in names]]
        columns |= dict(ours.items())
        if printed is not None:
            theirs = printed.pivot(index="month", columns="method", values=score).reindex(ours.index)
            columns |= {f"{score} {name}, printed": theirs[name] for name in dict.fromkeys(printed["method"])}
    return pd.DataFrame(columns)


def _of_score(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """One score of all methods: months down, with their average last."""
    wide = table.pivot(index="month", columns="method", values=f"{score}_mean_of_frames")
    wide = wide.loc[list(dict.fromkeys(table["month"])), list(dict.fromkeys(table["method"]))]
    wide.loc["average"] = wide.mean()
    return wide.rename(columns=lambda name: f"{score} {name}").rename_axis(columns=None)


def _by_operator(table: pd.DataFrame, operators: Sequence[str]) -> pd.DataFrame:
    """Methods down; operator by operator RMSE and MAE, averaged over months."""
    columns = {}
    for operator in operators:
        part = table[table["degradation"] == operator]
        for score in ("rmse", "mae"):
            means = part.groupby("method", sort=False)[f"{score}_mean_of_frames"].mean()
            columns[f"{score} {operator}"] = means
    return pd.DataFrame(columns).rename_axis("method")


def _markdown(table: pd.DataFrame) -> str:
    head = [
        table.index.name,
        *(f"{SCORES[score]} {rest}" for score, _, rest in (name.partition(" ") for name in table)),
    ]
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * len(table.columns)}|"]
    for label, values in table.iterrows():
        cells = [_cell(name, value) for name, value in values.items()]
        lines.append(f"| {' | '.join([str(label), *cells])} |")
    return "\n".join(lines) + "\n"


def _cell(name: str, value: float) -> str:
    forms = PRINTED_FORMATS if name.endswith(", printed") else FORMATS
    return "–" if pd.isna(value) else forms[name.partition(" ")[0]].format(value)


def _caveat(stage: str) -> str:
    return (
        f"Printed: Table {TABLES[stage]} of Xiao et al. (2022), for the same calendar months of 2020 of GEOS-CF; other "
        f"data than ours unless the test period is those. {CAVEATS[stage]}\n"
    )
