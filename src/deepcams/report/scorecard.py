"""Verdicts at a glance: the scorecard of product against CAMS, and how exceedances of thresholds are met."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from deepcams.report.quantity import unit
from deepcams.report.style import COLOURS, INK, NAMES, capital, message, new_figure, plain, styled, thousands, written
from deepcams.validation.station_summary import SEASONS

RESOLUTIONS = ("hourly", "daily", "monthly")
METRICS = ("rmse", "mae", "bias", "r")
LIMIT = 20.0  # per cent, where the colours end
LEAST = 10  # exceedances that were observed, for a share of them


@styled
def scorecard(differences: pd.DataFrame, names: Mapping[str, str] = NAMES) -> Figure:
    """Product against CAMS by group, metric and resolution: blue is better, a dot where the interval excludes zero.

    differences : rows of resolution, by, group, metric, product, cams, difference, low, high. In the cells: the change
    of RMSE and MAE in per cent of those of CAMS, of |MB| in the unit, of R as it is. Colours: these per cent; of |MB|
    the change in per cent of CAMS's RMSE; of R in hundredths.
    """
    columns = [
        (resolution, metric)
        for resolution in RESOLUTIONS
        for metric in METRICS
        if ((differences["resolution"] == resolution) & (differences["metric"] == metric)).any()
    ]
    groups = _groups(differences)
    if not columns:
        return message("There is nothing to compare the product with at stations.")
    table = differences.set_index(["resolution", "by", "group", "metric"])
    rmse = differences[differences["metric"] == "rmse"].set_index(["resolution", "by", "group"])["cams"]
    figure = new_figure(1.9 + 0.74 * len(columns), 0.36 * len(groups) + 1.75)
    axes = figure.subplots()
    colours = np.full((len(groups), len(columns)), np.nan)
    for i, (by, group) in enumerate(groups):
        for j, (resolution, metric) in enumerate(columns):
            key = (resolution, by, group, metric)
            if key not in table.index:
                continue
            row = table.loc[key]
            text, colours[i, j] = _cell(metric, row, rmse.get(key[:3], np.nan))
            is_dark = abs(colours[i, j]) > 0.55 * LIMIT
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if is_dark else INK)
            if row["low"] > 0 or row["high"] < 0:
                axes.plot(j + 0.41, i - 0.33, "o", color="white" if is_dark else INK, markersize=3.2)
    image = axes.imshow(colours, cmap="RdBu", norm=Normalize(-LIMIT, LIMIT), aspect="auto", zorder=0)
    axes.set_facecolor("#f1f3f5")
    axes.set_xticks(range(len(columns)), [_heading(metric) for _, metric in columns], fontsize=8)
    axes.set_yticks(range(len(groups)), [plain(_named(*group)) for group in groups], fontsize=8.5)
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    _lines(axes, columns, groups)
    bar = figure.colorbar(image, ax=axes, extend="both", orientation="horizontal", shrink=0.6, aspect=40, pad=0.03)
    bar.set_ticks([-LIMIT, -LIMIT / 2, 0, LIMIT / 2, LIMIT], labels=["20 % worse", "10 %", "0", "10 %", "20 % better"])
    text = f"{capital(names['product'])} against {plain(names.get('cams', 'CAMS'))}; dot: 95 % interval excludes zero"
    bar.set_label(text + "\n(colour of |MB|: % of RMSE; of R: hundredths)", fontsize=8)
    bar.outline.set_linewidth(0.5)
    return figure


def _groups(differences: pd.DataFrame) -> list[tuple[str, str]]:
    """The groups in the order of the rows: all, stations, continents, seasons, as far as they are there.

    A continent or a season that has all pairs, and so the same scores, is left out.
    """
    found = {key: part.set_index(["resolution", "metric"])[["product", "cams"]].sort_index()
             for key, part in differences.groupby(["by", "group"])}  # fmt: skip
    whole = found.get(("all", ""))
    found = {key: part for key, part in found.items() if key[0] in ("all", "stations") or not part.equals(whole)}
    order = [key for key in found if key[0] == "all"] + [key for key in found if key[0] == "stations"]
    order += sorted(key for key in found if key[0] == "continent")
    return order + [("season", season) for season in SEASONS if ("season", season) in found]


def _named(by: str, group: str) -> str:
    return {"all": "All stations", "stations": "Median station"}.get(by, group)


def _heading(metric: str) -> str:
    return {"rmse": "RMSE\n(%)", "mae": "MAE\n(%)", "bias": f"|MB|\n({unit()})", "r": "R\n(1)"}[metric]


def _cell(metric: str, row: pd.Series, rmse: float) -> tuple[str, float]:
    """A cell's text, and its colour: positive where the product is better."""
    difference, cams = float(row["difference"]), float(row["cams"])
    if not np.isfinite(difference):
        return "–", np.nan
    if metric == "r":
        return written(difference, 3, sign=True), 100 * difference
    if metric == "bias":
        return written(difference, 2, sign=True), -100 * difference / rmse if rmse > 0 else 0.0
    percent = 100 * difference / cams if cams > 0 else np.nan
    return written(percent, 1, sign=True), -percent


def _lines(axes: Axes, columns: Sequence[tuple[str, str]], groups: Sequence[tuple[str, str]]) -> None:
    """White lines between cells, wider ones between kinds; the resolutions above their columns."""
    for j in range(1, len(columns)):
        apart = columns[j][0] != columns[j - 1][0]
        axes.axvline(j - 0.5, color="white", linewidth=5 if apart else 1, zorder=2)
    for i in range(1, len(groups)):
        apart = groups[i][0] != groups[i - 1][0]
        axes.axhline(i - 0.5, color="white", linewidth=5 if apart else 1, zorder=2)
    for resolution in dict.fromkeys(resolution for resolution, _ in columns):
        places = [j for j, column in enumerate(columns) if column[0] == resolution]
        axes.annotate(capital(resolution), ((places[0] + places[-1]) / 2, 1), (0, 31), ha="center", va="bottom",
                      xycoords=("data", "axes fraction"), textcoords="offset points", fontweight="bold")  # fmt: skip
    for spine in axes.spines.values():
        spine.set_visible(False)


@styled
def exceedances(table: pd.DataFrame, names: Mapping[str, str] = NAMES) -> Figure:
    """Share of the observed exceedances that a field meets, and of its own that are false, by threshold.

    table : rows of resolution, threshold, field, hits, misses, false_alarms, hit_rate, false_alarm_ratio. Thresholds
    that were observed fewer than `LEAST` times are left out.
    """
    table = table[table["hits"] + table["misses"] >= LEAST]
    resolutions = [name for name in RESOLUTIONS if (table["resolution"] == name).any()]
    fields = [name for name in ("cams", "product") if name in names and (table["field"] == name).any()]
    if not resolutions or not fields:
        return message("No threshold was exceeded often enough to judge by.")
    figure = new_figure(0.6 + 4.6 * len(resolutions), 5.2)
    panels = figure.subplots(2, len(resolutions), squeeze=False, sharey=True)
    for column, resolution in enumerate(resolutions):
        part = table[table["resolution"] == resolution]
        thresholds = sorted(part["threshold"].unique())
        observed = part.assign(observed=part["hits"] + part["misses"]).groupby("threshold")["observed"].max()
        width = 0.76 / len(fields)
        for axes, key in zip(panels[:, column], ("hit_rate", "false_alarm_ratio"), strict=True):
            for k, name in enumerate(fields):
                values = part[part["field"] == name].set_index("threshold")[key].reindex(thresholds)
                at = np.arange(len(thresholds)) + (k - (len(fields) - 1) / 2) * width
                axes.bar(at, 100 * values.fillna(0), width * 0.94, color=COLOURS[name], label=plain(names[name]))
                for x, value in zip(at, values, strict=True):
                    axes.text(x, 100 * np.nan_to_num(value) + 1, "–" if np.isnan(value) else f"{100 * value:.0f}",
                              ha="center", va="bottom", fontsize=8)  # fmt: skip
            labels = [f"{threshold:g}\nN = {thousands(observed[threshold])}" for threshold in thresholds]
            axes.set_xticks(range(len(thresholds)), labels, fontsize=8)
            axes.set_ylim(0, 108)
            axes.set_xlim(-0.6, max(len(thresholds), 3) - 0.4)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            axes.tick_params(axis="x", length=0)
        panels[0, column].set_title(capital(resolution))
        panels[0, column].tick_params(labelbottom=False)
        panels[1, column].set_xlabel(f"threshold ({unit()}), and observed exceedances")
    panels[0, 0].set_ylabel("hit rate (%)")
    panels[1, 0].set_ylabel("false alarm ratio (%)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure
