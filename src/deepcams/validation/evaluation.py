"""The simulation experiment month by month, and its tables in the layout of the paper's Tables 2 and 3."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.grid.nodes import Region
from deepcams.models.catalogue import build
from deepcams.models.checkpoint import read
from deepcams.progress import progress
from deepcams.training.shards import read_shard
from deepcams.validation.scores import Method, baselines, rows, score

SCORES = ("r", "rmse", "mae")


def evaluate_month(
    stage: str,
    index: str | Path,
    models: dict[str, str | Path],
    out: str | Path,
    *,
    region: Region | None = None,
    closure: str = "none",
) -> None:
    """Score the configured networks beside the baselines on a month's shard and write one CSV row a method.

    stage : "temporal", "spatial" or "joint".  models : model files by stage.  region : what is scored of the shard,
    which has a halo around it; None: all.  closure : of the configured chain.
    In time fields are interpolated and scored at 0.25°, as the paper does; in space and jointly from the shard's
    degraded fields. The column `configured` marks what the configuration would do to CAMS. r, rmse and mae are over all
    pairs of the month; those ending in `_mean_of_frames` average the frames' scores, as the paper's tables do.
    """
    shard = read_shard(Path(index).parent)
    networks = {name: read(path, name) for name, path in models.items()}
    label = "+".join(found.network for found in networks.values())
    closed = stage != "temporal" and closure != "none"
    method = Method(
        f"{label}+closure" if closed else label,
        **{name: build(name, found.network, found.weights) for name, found in networks.items()},
        closure=None if stage == "temporal" else closure,
    )
    others = [other for other in baselines(stage) if other.name != method.name]
    # In space the next month's first hour would count twice; in time it closes the last interval.
    frames = shard.own if stage == "spatial" else len(shard.times)
    result = score(
        stage,
        progress(shard.fine[:frames], f"score {stage} {Path(index).parent.name}", "hours"),
        shard.fine_grid,
        methods=[*others, method],
        operator=None if stage == "temporal" else shard.operator,
        parameters={} if stage == "temporal" else shard.parameters,
        coarse=None if stage == "temporal" else shard.coarse[:frames],
        region=(region.north, region.west, region.south, region.east) if region else None,
    )
    table = pd.DataFrame(rows(result))
    table.insert(0, "month", Path(index).parent.name)
    table.insert(2, "configured", table["method"] == method.name)
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def write_tables(months: Sequence[str | Path], csv: str | Path, markdown: str | Path) -> None:
    """Join the months' scores: every row into `csv`, and into `markdown` a row a month and their average."""
    table = pd.concat([pd.read_csv(path) for path in months], ignore_index=True)
    if table.empty:
        raise DeepcamsError("There are no scores to put into a table; the test period of the simulation is empty.")
    with atomic_path(csv) as temporary:
        table.to_csv(temporary, index=False)
    write_text(markdown, _markdown(table, configured_method(csv)))


def configured_method(csv: str | Path) -> str:
    """Which of the methods in a table is the configured one."""
    table = pd.read_csv(csv)
    return table.loc[table["configured"], "method"].iloc[0]


def _markdown(table: pd.DataFrame, configured: str) -> str:
    methods = list(dict.fromkeys(table["method"]))
    columns = [f"{name} {method}" for name in ("R", "RMSE", "MAE") for method in methods]
    lines = [
        f"Averages over frames; RMSE and MAE in µg m⁻³. Configured: {configured}.",
        "",
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
