"""The simulation experiment month by month, and its tables in the layout of the paper's Tables 2 and 3."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.grid.nodes import Region
from deepcams.models.checkpoint import built, read
from deepcams.progress import progress
from deepcams.training.shards import read_shard
from deepcams.validation.scores import Method, baselines, daily_rows, rows, score

SCORES = ("r", "rmse", "mae")
DAY_COLUMNS = ("day", "method", "n", "squared_error", "absolute_error")
HEADINGS = {0.75: "At 0.75°, the resolution of use", 0.25: "At 0.25°, as in Table 2 of Xiao et al. (2022)"}


def evaluate_month(
    stage: str,
    index: str | Path,
    models: dict[str, str | Path],
    out: str | Path,
    *,
    days: str | Path | None = None,
    region: Region | None = None,
    closure: str = "none",
) -> None:
    """Score the configured networks beside the baselines on a month's shard and write one CSV row a method.

    stage : "temporal", "spatial" or "joint".  models : model files by stage.  region : what is scored of the shard,
    which has a halo around it; None: all.  closure : of the configured chain.  days : where to write the daily sums,
    CSV rows of step, day (UTC), method, configured, n, squared_error, absolute_error.
    In space and jointly fields are made from the shard's degraded ones and scored at 0.25°. In time they are
    interpolated and scored twice: at 0.75° on the degraded fields, where networks are trained and used, and at 0.25°,
    as the paper does; the column `step` tells them apart, 0.75° comes first. The column `configured` marks what the
    configuration would do to CAMS. r, rmse and mae are over all pairs of the month; those ending in `_mean_of_frames`
    average the frames' scores, as the paper's tables do.
    """
    shard = read_shard(Path(index).parent)
    month = Path(index).parent.name
    networks = {name: read(path, name) for name, path in models.items()}
    label = "+".join(found.network for found in networks.values())
    closed = stage != "temporal" and closure != "none"
    method = Method(
        f"{label}+closure" if closed else label,
        **{name: built(found) for name, found in networks.items()},
        closure=None if stage == "temporal" else closure,
    )
    others = [other for other in baselines(stage) if other.name != method.name]
    # In space the next month's first hour would count twice; in time it closes the last interval.
    frames = shard.own if stage == "spatial" else len(shard.times)
    degraded = {"operator": shard.operator, "parameters": shard.parameters, "coarse": shard.coarse[:frames]}
    scores, sums = [], []
    for options in (degraded, {}) if stage == "temporal" else (degraded,):
        result = score(
            stage,
            progress(shard.fine[:frames], f"score {stage} {month}", "hours"),
            shard.fine_grid,
            methods=[*others, method],
            region=(region.north, region.west, region.south, region.east) if region else None,
            times=shard.times[:frames],
            **options,
        )
        scores.append(_marked(rows(result), result["step"], method.name))
        sums.append(_marked(daily_rows(result), result["step"], method.name))
    table = pd.concat(scores, ignore_index=True)
    table.insert(0, "month", month)
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    if days is not None:
        with atomic_path(days) as temporary:
            pd.concat(sums, ignore_index=True).to_csv(temporary, index=False, float_format="%.12g")


def _marked(entries: list[dict], step: float, configured: str) -> pd.DataFrame:
    """Rows as a table with the columns step and configured. Without rows (nothing but missing values) those of days."""
    table = pd.DataFrame(entries, columns=None if entries else DAY_COLUMNS)
    table.insert(0, "step", float(step))
    table.insert(list(table).index("method") + 1, "configured", table["method"] == configured)
    return table


def write_tables(
    months: Sequence[str | Path],
    csv: str | Path,
    markdown: str | Path,
    notes: Mapping[float, str] | None = None,
) -> None:
    """Join the months' scores: every row into `csv`, and into `markdown` a row a month and their average.

    notes : step → text that goes below the step's table.  Where there are several steps each has a heading.
    """
    table = pd.concat([pd.read_csv(path) for path in months], ignore_index=True)
    if table.empty:
        raise DeepcamsError("There are no scores to put into a table; the test period of the simulation is empty.")
    with atomic_path(csv) as temporary:
        table.to_csv(temporary, index=False)
    steps = list(dict.fromkeys(table["step"]))
    parts = [f"Averages over frames; RMSE and MAE in µg m⁻³. Configured: {configured_method(csv)}.\n"]
    for step in steps:
        parts += [f"## {HEADINGS.get(step, f'At {step:g}°')}\n"] if len(steps) > 1 else []
        parts.append(_markdown(table[table["step"] == step]))
        note = (notes or {}).get(step)
        parts += [note] if note else []
    write_text(markdown, "\n".join(parts))


def configured_method(csv: str | Path) -> str:
    """Which of the methods in a table is the configured one."""
    table = pd.read_csv(csv)
    return table.loc[table["configured"], "method"].iloc[0]


def _markdown(table: pd.DataFrame) -> str:
    methods = list(dict.fromkeys(table["method"]))
    columns = [f"{name} {method}" for name in ("R", "RMSE", "MAE") for method in methods]
    lines = [
        "| month | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    values = {
        name: table.pivot(index="month", columns="method", values=f"{name}_mean_of_frames")[methods] for name in SCORES
    }
    for month in values["r"].index:
        lines.append(_row(month, [values[name].loc[month] for name in SCORES]))
    lines.append(_row("average", [values[name].mean() for name in SCORES]))
    return "\n".join(lines) + "\n"


def _row(label: str, parts: list[pd.Series]) -> str:
    formats = ("{:.4f}", "{:.2f}", "{:.3f}")
    cells = [form.format(value) for form, part in zip(formats, parts, strict=True) for value in part]
    return f"| {label} | " + " | ".join(cells) + " |"
