"""Densities of pairs, modelled against observed, of a year and of years together (Xiao et al. 2022, Fig. 6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from deepcams.report.quantity import is_of_paper, label, unit
from deepcams.report.style import GREY, NAMES, capital, decade_ticks, message, new_figure, styled, thousands, written
from deepcams.validation.station_summary import pooled

# R as printed in their Fig. 6.
PRINTED = {"2017": {"cams": "0.61", "product": "0.60"}, "2017–2019": {"cams": "0.593", "product": "0.597"}}
NO_PAIRS = "No station has measurements that could be compared."


@dataclass(frozen=True, eq=False)
class Density:
    """The pairs of a period.

    title : of the period ("2017"); "" where it goes without saying.  counts : field → (bins, bins) numbers of pairs by
    bin of the observed and of the modelled value.  scores : field → the scores of `deepcams.validation.pair_scores`.
    """

    title: str
    counts: Mapping[str, np.ndarray]
    scores: Mapping[str, Mapping[str, float]]


def density(title: str, table: pd.DataFrame, scores: pd.DataFrame, bins: int) -> Density:
    """From the tables of a validation: scatter.csv, and the rows of scores.csv of all hourly pairs."""
    counts = {}
    for name, part in table.groupby("field", sort=False):
        counts[str(name)] = np.zeros((bins, bins), dtype=np.int64)
        counts[str(name)][part["observed_bin"].astype(int), part["modelled_bin"].astype(int)] = part["count"]
    return Density(title, counts, scores.set_index("field").to_dict("index"))


def together(years: Sequence[Density]) -> Density:
    """Pairs of several years as one: sums of the counts, and scores over all pairs from those of the years."""
    names = [name for name in years[0].counts if all(name in year.counts for year in years)]
    return Density(
        f"{years[0].title}–{years[-1].title}",
        {name: np.sum([year.counts[name] for year in years], axis=0) for name in names},
        {name: pooled(pd.DataFrame([year.scores[name] for year in years])).to_dict() for name in names},
    )


@styled
def scatter(rows: Sequence[Density], edges: np.ndarray, names: Mapping[str, str] = NAMES) -> Figure:
    """Density of pairs on log axes, CAMS beside the product, a row of panels for each period.

    edges : of the bins, in the report's unit.
    """
    fields = [name for name in ("cams", "product") if name in names and any(name in row.counts for row in rows)]
    counts = [row.counts[name] for row in rows for name in fields if name in row.counts]
    used = np.flatnonzero(sum(count.sum(axis=0) + count.sum(axis=1) for count in counts)) if counts else []
    if not len(used):
        return message(NO_PAIRS)
    # Two decades at least, so that the scores have a free corner.
    limits = min(edges[used[0]], edges[used[-1] + 1] / 100), edges[used[-1] + 1]
    norm = LogNorm(1, max(10, *(int(count.max()) for count in counts)))
    each = 4.0
    figure = new_figure(each * len(fields) + 1.3, (each - 0.1) * len(rows) + 0.5)
    places = figure.subplots(len(rows), len(fields), squeeze=False, sharex=True, sharey=True)
    for row, line in zip(rows, places, strict=True):
        for axes, name in zip(line, fields, strict=True):
            _panel(axes, row, name, edges, limits, norm)
            axes.set_title(", ".join(part for part in (capital(names[name]), row.title) if part))
        line[0].set_ylabel(f"modelled {label()} ({unit()})")
    for axes in places[-1]:
        axes.set_xlabel(f"observed {label()} ({unit()})")
    bar = figure.colorbar(ScalarMappable(norm, "viridis"), ax=places, shrink=min(0.85, 2.6 / len(rows)), pad=0.02,
                          aspect=28 if len(rows) == 1 else 60)  # fmt: skip
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: thousands(value)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label("pairs of one hour in a bin")
    bar.outline.set_linewidth(0.5)
    return figure


def _panel(axes: Axes, row: Density, name: str, edges: np.ndarray, limits: tuple[float, float], norm: LogNorm) -> None:
    line = np.array(limits)
    for factor, style in ((1.0, "-"), (0.5, ":"), (2.0, ":")):
        axes.plot(line, factor * line, style, color="#55606b", linewidth=0.9, zorder=3)
    if name in row.counts:
        axes.pcolormesh(edges, edges, np.ma.masked_equal(row.counts[name].T, 0), norm=norm, cmap="viridis",
                        rasterized=True)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    ticks = [tick for tick in decade_ticks(LogNorm(*limits)) if f"{tick:g}".strip("0.")[0] == "1"]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(ticks if len(ticks) > 1 else decade_ticks(LogNorm(*limits))))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    score = row.scores.get(name, {})
    lines = [
        f"N = {thousands(score.get('n', 0))}",
        f"R = {written(score.get('r'))}",
        f"RMSE = {written(score.get('rmse'), 1)} {unit()}",
        f"MB = {written(score.get('mb'), 1, sign=True)} {unit()}",
        f"FAC2 = {written(score.get('fac2'), 2)}",
    ]
    axes.text(0.04, 0.96, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=8.5, zorder=5,
              bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 3})  # fmt: skip
    printed = PRINTED.get(row.title, {}).get(name) if is_of_paper() else None
    if printed:
        axes.text(0.97, 0.03, f"Xiao et al. (2022) print R = {printed}", transform=axes.transAxes, ha="right",
                  va="bottom", fontsize=8, color=GREY, zorder=5,
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2})  # fmt: skip
