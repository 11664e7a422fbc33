"""The report's figures of series, of the day's course, and of scores. Each takes tables of the validation."""

from collections.abc import Mapping, Sequence

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from deepcams.report.quantity import label, unit
from deepcams.report.style import COLOURS, GREY, NAMES, PRODUCT, message, new_figure, plain, styled, thousands

LONG = 40  # days: from there on, daily means are what is read
LEAST = 30  # pairs that a group has in each hour of the day, to be shown
NO_PAIRS = "No station has measurements that could be compared."


@styled
def series(table: pd.DataFrame, names: Mapping[str, str] = NAMES) -> Figure:
    """Observed and modelled concentrations at a few places (Xiao et al. 2022, Fig. 7), a panel for each.

    table : rows of place, time, observed and the fields in `names`, hourly. Of more than `LONG` days the daily means
    are drawn over the hours.
    """
    fields = ["observed", *(name for name in ("cams", "product") if name in names and name in table)]
    labels = {"observed": "observed", **names}
    places = list(dict.fromkeys(table["place"]))
    if not places:
        return message(NO_PAIRS)
    first, last = table["time"].min(), table["time"].max()
    days = (last - first).days
    is_long = days > LONG
    figure = new_figure(9.6, 2.55 * len(places) + 0.55)
    panels = figure.subplots(len(places), 1, squeeze=False, sharex=True).ravel()
    for axes, place in zip(panels, places, strict=True):
        # Gaps stay gaps: the axis has every hour or day.
        hourly = table[table["place"] == place].set_index("time")[fields].astype(float).resample("h").mean()
        daily = hourly.resample("D").mean()
        for order, name in enumerate(fields):
            if is_long:
                axes.plot(hourly.index, hourly[name], color=COLOURS[name], linewidth=0.5, alpha=0.22, zorder=2)
                axes.plot(daily.index + pd.Timedelta(hours=12), daily[name], color=COLOURS[name], linewidth=1.5,
                          label=labels[name], zorder=4 + order)  # fmt: skip
            else:
                axes.plot(hourly.index, hourly[name], color=COLOURS[name], linewidth=1.4 if days <= 10 else 0.9,
                          label=labels[name], zorder=4 + order)  # fmt: skip
        axes.set_title(plain(place))
        axes.set_ylabel(f"{label()} ({unit()})")
        axes.grid(axis="y")
        axes.yaxis.set_major_locator(MaxNLocator(5))
        _upper_limit(axes, hourly, daily if is_long else hourly)
    # An axis that ends at midnight would be named after the month that begins there.
    panels[0].set_xlim(first, last - pd.Timedelta(seconds=1) if last > first else first + pd.Timedelta(hours=1))
    locator = mdates.AutoDateLocator(maxticks=9)
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    panels[-1].set_xlabel("time (UTC)" + ("; bold: daily means, faint: hours" if is_long else ""))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def _upper_limit(axes: Axes, hourly: pd.DataFrame, bold: pd.DataFrame) -> None:
    """Room for all that is bold and nearly all hours; single peaks would press the rest to the ground."""
    highest = float(np.nanmax(hourly.to_numpy(), initial=0.0))
    top = max(1.08 * float(np.nanmax(bold.to_numpy(), initial=0.0)), float(np.nanquantile(hourly.to_numpy(), 0.998)))
    if highest > 1.05 * top:
        axes.text(0.995, 0.97, f"single hours up to {highest:.0f} {unit()}", transform=axes.transAxes, ha="right",
                  va="top", fontsize=8, color=GREY, zorder=9,
                  bbox={"facecolor": "#ffffffcc", "edgecolor": "none", "pad": 1})  # fmt: skip
    axes.set_ylim(0, max(top, 1e-6) if highest > 1.05 * top else max(1.05 * highest, 1e-6))


@styled
def diurnal(table: pd.DataFrame, names: Mapping[str, str] = NAMES) -> Figure:
    """Mean concentration by local solar hour: a panel for all, and for each continent with enough pairs.

    table : rows of group ("all" first), hour (0 … 23), n, observed and the fields in `names`, means.
    """
    fields = ["observed", *(name for name in ("cams", "product") if name in names and name in table)]
    labels = {"observed": "observed", **names}
    parts = {str(group): part.set_index("hour").reindex(np.arange(24)) for group, part in table.groupby("group")}
    groups = [group for group in parts if group == "all" or parts[group]["n"].fillna(0).min() >= LEAST]
    groups.sort(key=lambda group: (group != "all", group))
    if len(parts) == 2 and "all" in groups:
        groups = ["all"]  # the one continent is all there is
    if not groups:
        return message(NO_PAIRS)
    across = min(len(groups), 2 if len(groups) in (2, 4) else 3)
    down = -(-len(groups) // across)
    figure = new_figure(5.6 if len(groups) == 1 else 9.6, 2.35 * down + 0.75 + (0.6 if down == 1 else 0))
    panels = figure.subplots(down, across, squeeze=False)
    for number, axes in enumerate(panels.ravel()):
        if number >= len(groups):
            axes.set_visible(False)
            continue
        part = parts[groups[number]]
        for name in fields:
            axes.plot(np.arange(24) + 0.5, part[name].astype(float), color=COLOURS[name], marker="o", markersize=3,
                      label=labels[name])  # fmt: skip
        axes.set_xlim(0, 24)
        axes.set_ylim(0, 1.08 * max(float(np.nanmax(part[fields].to_numpy(float), initial=0.0)), 1e-6))
        axes.xaxis.set_major_locator(MultipleLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="y")
        name = "All stations" if groups[number] == "all" else plain(groups[number])
        axes.set_title(f"{name}, N = {thousands(part['n'].sum())}", fontsize=9)
        if number % across == 0:
            axes.set_ylabel(f"mean {label()} ({unit()})")
        if number + across >= len(groups):
            axes.set_xlabel("local solar time (h)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


@styled
def score_bars(rows: Sequence[dict[str, object]], highlight: str = "product") -> Figure:
    """RMSE, MAE and R of several methods, the best one of each marked in bold.

    rows : dictionaries with method, rmse, mae, r; missing scores are None or NaN.
    """
    if not rows:
        return message("There are no scores for this year.")
    names = [str(row["method"]) for row in rows]
    figure = new_figure(9.6, 0.34 * len(rows) + 1.15)
    panels = figure.subplots(1, 3, sharey=True)
    places = np.arange(len(rows))[::-1]
    for axes, (key, title) in zip(
        panels, (("rmse", f"RMSE ({unit()})"), ("mae", f"MAE ({unit()})"), ("r", "R")), strict=True
    ):
        values = np.array([np.nan if row.get(key) is None else float(row[key]) for row in rows])
        colours = [PRODUCT if name == highlight else "#c3cad1" for name in names]
        axes.barh(places, np.nan_to_num(values), color=colours, height=0.66)
        finite = values[np.isfinite(values)]
        best = (finite.max() if key == "r" else finite.min()) if len(finite) else np.nan
        span = max(finite.max(initial=0.0), 1e-6)
        for place, value in zip(places, values, strict=True):
            text = "–" if np.isnan(value) else f"{value:.4f}" if key == "r" else f"{value:#.3g}"
            axes.text(max(np.nan_to_num(value), 0) + 0.02 * span, place, text, va="center", fontsize=8,
                      fontweight="bold" if value == best else "normal")  # fmt: skip
        axes.set_xlim(min(0.0, finite.min(initial=0.0)), 1.28 * span)
        axes.set_title(title)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
    panels[0].set_yticks(places, [plain(name) for name in names])
    return figure
