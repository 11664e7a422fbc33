"""Drawing the figures of a year's fusion with stations from its files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepcams.errors import DeepcamsError
from deepcams.fusion import fused_layout
from deepcams.fusion.fused_attributes import STATIONS
from deepcams.fusion.product import read_fused
from deepcams.grid.nodes import from_axes
from deepcams.models.checkpoint import read
from deepcams.report import fusion_figures
from deepcams.report.fusion_section import read_summary, read_table, with_schemes
from deepcams.report.quantity import label
from deepcams.report.style import save_png
from deepcams.validation.station_summary import SEASONS, season_of

FIGURES = ("fusion_day", "fusion_seasons", "fusion_cross_validation", "fusion_classes", "fusion_kernels")
PLACE = ["station", "latitude", "longitude"]
ENOUGH = 0.5  # of a season's days: a mean of fewer is of other weather than the field's


def plot_fusion(
    outputs: Mapping[str, str | Path],
    *,
    product: str | Path,
    tables: Sequence[str | Path],
    scores: str | Path,
    model: str | Path,
    dpi: int = 150,
) -> None:
    """Draw a year's figures of fusion as PNG files.

    outputs : some or all of `FIGURES` → path.  product : the year's fused daily means.  tables : months of its
    cross-validation (`fusion.month_scores`), which tell what every station measured.  scores : the folder of the
    year's scores (`fusion.year_scores`).  model : of the network that fused.  dpi : resolution.
    Raises DeepcamsError for an unknown figure, or if a file cannot be read.
    """
    unknown = set(outputs) - set(FIGURES)
    if unknown:
        raise DeepcamsError(f"There is no figure {', '.join(sorted(unknown))}; choose from {', '.join(FIGURES)}.")
    drawers: dict[str, Callable[[], Figure]] = {
        "fusion_day": lambda: _day(product, station_days(tables)),
        "fusion_seasons": lambda: _seasons(product, station_days(tables)),
        "fusion_cross_validation": lambda: _cross_validation(Path(scores)),
        "fusion_classes": lambda: _classes(Path(scores)),
        "fusion_kernels": lambda: fusion_figures.kernels(kernels_of(model)),
    }
    for name, path in outputs.items():
        save_png(drawers[name](), path, dpi)


def station_days(tables: Sequence[str | Path]) -> pd.DataFrame:
    """What stations measured: rows `PLACE`, time (datetime64[s], 00:00 of the date), observed, each once.

    Every scheme of a cross-validation holds all stations and days. Raises DeepcamsError if a table cannot be read.
    """
    columns = ["scheme", "time", *PLACE, "observed"]
    parts = []
    for path in tables:
        try:
            table = pd.read_csv(path, usecols=columns, dtype=dict.fromkeys(columns[:3], str), keep_default_na=False)
        except (OSError, EOFError, ValueError) as error:
            raise DeepcamsError(f"{path} is no table of a cross-validation ({error}). Run the fusion again.") from error
        table = table[table["scheme"] == table["scheme"].iloc[0]] if len(table) else table
        parts.append(table.assign(time=table["time"].to_numpy(dtype=object).astype("datetime64[s]")))
    return pd.concat(parts, ignore_index=True).drop(columns="scheme")


def season_means(product: str | Path) -> dict[str, np.ndarray]:
    """Means over the days of each season that a fused file has: name → (H, W) float32, NaN where there is none.

    One time chunk is in memory, and a sum for each season.
    """
    about, _ = fused_layout.read(product)
    season = season_of(about.times.astype("datetime64[D]"))
    shape = about.shape[1:]
    sums = {place: np.zeros(shape) for place in np.unique(season)}
    counts = {place: np.zeros(shape, np.int32) for place in sums}
    for start in range(0, len(season), about.chunk[0]):
        fields, _ = read_fused(product, start, start + about.chunk[0])
        for field, place in zip(fields, season[start:], strict=False):
            there = np.isfinite(field)
            sums[place][there] += field[there]
            counts[place] += there
    return {
        SEASONS[place]: np.where(counts[place] > 0, total / np.maximum(counts[place], 1), np.nan).astype(np.float32)
        for place, total in sums.items()
    }


def station_means(days: pd.DataFrame) -> pd.DataFrame:
    """Means of stations by season: rows latitude, longitude and a column a season, NaN for too few days.

    days : of `station_days`.
    """
    season = np.array(SEASONS, dtype=object)[season_of(days["time"].to_numpy("datetime64[D]"))]
    there = days["time"].groupby(season).nunique()
    groups = days.assign(season=season).groupby([*PLACE, "season"])["observed"]
    found = groups.agg(["mean", "size"]).reset_index()
    found = found[found["size"] >= ENOUGH * found["season"].map(there)]
    wide = found.pivot(index=PLACE, columns="season", values="mean").reindex(columns=SEASONS)
    return wide.reset_index().rename_axis(columns=None)


def kernels_of(model: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The kernels of a model file by variable, as `models.pointconv.PointConv` applies them, but without torch.

    Name in words → (21, 21) and (11, 11). Raises DeepcamsError if it is no model of a fusion network.
    """
    found = read(model, "fusion")
    stored = [found.weights[f"points.weights.{place}"][:, 0].astype(np.float64) for place in range(2)]
    wide, narrow = stored if found.settings["reading"] == "as_printed" else map(np.exp, stored)
    names = [label(), *(name.replace("_", " ") for name in found.settings["variables"])]
    return {name: (wide[place], narrow[place]) for place, name in enumerate(names)}


def _day(product: str | Path, days: pd.DataFrame) -> Figure:
    """The day with most stations."""
    about, _ = fused_layout.read(product)
    number = int(np.argmax(fused_layout.small(about, STATIONS)))
    time = about.times[number]
    field, distance = (values[0] for values in read_fused(product, number, number + 1))
    shown = days[days["time"].to_numpy("datetime64[D]") == time.astype("datetime64[D]")]
    grid = from_axes(about.latitude, about.longitude)[0]
    return fusion_figures.day_map(time, field, distance, grid, shown.rename(columns={"observed": "value"}))


def _seasons(product: str | Path, days: pd.DataFrame) -> Figure:
    about, _ = fused_layout.read(product)
    return fusion_figures.seasonal_maps(season_means(product), about.latitude, about.longitude, station_means(days))


def _cross_validation(folder: Path) -> Figure:
    summary = read_summary(folder / "summary.json")
    table = with_schemes(read_table(folder / "scores.csv"), summary)
    tables = dict(iter(table.groupby("scheme", sort=False))) if len(table) else {}
    return fusion_figures.cross_validation(tables, own=summary["method"])


def _classes(folder: Path) -> Figure:
    """Of the first scheme; the page's table has all of them."""
    summary = read_summary(folder / "summary.json")
    table = with_schemes(read_table(folder / "classes.csv"), summary)
    return fusion_figures.class_scores(table[table["scheme"] == table["scheme"].iloc[0]] if len(table) else table)
