"""The report's figures of stations and scores. Each takes tables of the validation and returns a figure."""

from collections.abc import Sequence

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from deepcams.report.figures import colour_bar
from deepcams.report.maps import Frame, prepare
from deepcams.report.quantity import label, unit
from deepcams.report.style import (
    CAMS,
    COLOURS,
    DIFFERENCE,
    LABELS,
    OBSERVED,
    OTHER,
    PRODUCT,
    difference_scale,
    new_figure,
    plain,
    styled,
)


@styled
def message(text: str) -> Figure:
    """A figure that only says why there is nothing to see."""
    figure = new_figure(8.0, 1.6)
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#5b6773", fontsize=11)
    return figure


@styled
def scatter(counts: dict[str, np.ndarray], edges: np.ndarray, scores: dict[str, dict[str, float]]) -> Figure:
    """Density of pairs on log axes, CAMS beside the product (Xiao et al. 2022, Fig. 6).

    counts : "cams" and "product" → (bins, bins) numbers of pairs by observed and modelled bin.  edges : µg m-3.
    scores : the same keys → n, r, rmse, bias, fac2 for the legend.
    """
    figure = new_figure(9.6, 4.7)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    highest = max(2, *(int(count.max(initial=0)) for count in counts.values()))
    used = np.flatnonzero(sum(count.sum(axis=0) + count.sum(axis=1) for count in counts.values()))
    low, high = (edges[used[0]], edges[used[-1] + 1]) if len(used) else (1.0, 100.0)
    for axes, name in zip(panels, ("cams", "product"), strict=True):
        line = np.array([low, high])
        for factor, style in ((1.0, "-"), (0.5, ":"), (2.0, ":")):
            axes.plot(line, factor * line, style, color="#55606b", linewidth=0.9, zorder=3)
        shown = np.ma.masked_equal(counts[name].T, 0)
        mesh = axes.pcolormesh(edges, edges, shown, norm=LogNorm(1, highest), cmap="viridis", rasterized=True)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set_title("CAMS" if name == "cams" else "Product")
        axes.set_xlabel(f"observed {label()} ({unit()})")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        score = scores[name]
        text = "\n".join(
            (f"N = {int(score['n']):,}", f"R = {_show(score['r'])}", f"RMSE = {_show(score['rmse'], 1)} {unit()}",
             f"bias = {_show(score['bias'], 1, sign=True)} {unit()}", f"within a factor 2: {_percent(score['fac2'])}")
        )  # fmt: skip
        axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=8,
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 3})  # fmt: skip
    panels[0].set_ylabel(f"modelled {label()} ({unit()})")
    bar = figure.colorbar(mesh, ax=list(panels), shrink=0.85, pad=0.015, aspect=28)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    bar.set_label("pairs of one hour")
    bar.outline.set_linewidth(0.5)
    return figure


@styled
def series(pairs: pd.DataFrame) -> Figure:
    """Observed, CAMS and product at one station: hours, or daily means if they span more than 40 days.

    pairs : rows of one station with name, country, latitude, longitude, time, observed, cams, product.
    """
    first = pairs.iloc[0]
    table = pairs.set_index("time")[["observed", "cams", "product"]].astype(float)
    days = (table.index[-1] - table.index[0]).days
    # Gaps stay gaps: the axis has every hour or day.
    table = table.resample("D" if days > 40 else "h").mean()
    figure = new_figure(9.6, 3.3)
    axes = figure.subplots()
    for name, width, order in (("observed", 1.3, 2), ("cams", 1.2, 3), ("product", 1.4, 4)):
        axes.plot(table.index, table[name], color=COLOURS[name], label=LABELS[name], linewidth=width, zorder=order)
    axes.set_ylabel(f"{label()} ({unit()})" + (", daily mean" if days > 40 else ", hourly"))
    axes.set_xlim(table.index[0], table.index[-1] if len(table) > 1 else table.index[0] + pd.Timedelta(hours=1))
    axes.set_ylim(bottom=0)
    locator = mdates.AutoDateLocator(maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes.grid(axis="y")
    axes.legend(ncols=3, loc="upper right", bbox_to_anchor=(1, 1.13))
    place = f"{abs(first['latitude']):.2f}°{'N' if first['latitude'] >= 0 else 'S'}, "
    place += f"{abs(first['longitude']):.2f}°{'E' if first['longitude'] >= 0 else 'W'}"
    title = ", ".join(str(part) for part in (first["name"], first["country"]) if str(part))
    axes.set_title(f"{plain(title)} ({place})")
    axes.set_xlabel("time (UTC)")
    return figure


@styled
def diurnal(table: pd.DataFrame) -> Figure:
    """Mean concentration by local solar hour: observed, CAMS, product.

    table : rows of hour (0 … 23), field ("product", "cams"), n, observed, modelled (µg m-3).
    """
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    by_field = {name: part.set_index("hour") for name, part in table.groupby("field")}
    hours = np.arange(24)
    observed = by_field["product"]["observed"].reindex(hours)
    axes.plot(hours + 0.5, observed, color=OBSERVED, marker="o", markersize=3.5, label="observed")
    for name, colour in (("cams", CAMS), ("product", PRODUCT)):
        axes.plot(hours + 0.5, by_field[name]["modelled"].reindex(hours), color=colour, marker="o", markersize=3.5,
                  label=LABELS[name])  # fmt: skip
    axes.set(xlim=(0, 24), xlabel="local solar time (h)", ylabel=f"mean {label()} ({unit()})")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MultipleLocator(3))
    axes.grid(axis="y")
    axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.01, 1.0))
    return figure


@styled
def score_bars(rows: Sequence[dict[str, object]], highlight: str = "product") -> Figure:
    """RMSE, MAE and R of several methods, the best one of each marked in bold.

    rows : dictionaries with method, rmse, mae, r; missing scores are None or NaN.
    """
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


@styled
def station_map(stations: pd.DataFrame, frame: Frame, least_pairs: int = 24) -> Figure:
    """Stations on a map: left the product's bias, right where its RMSE is below or above that of CAMS.

    stations : rows of station, latitude, longitude, field, n, rmse, bias.  least_pairs : stations with fewer are grey.
    """
    wide = stations.pivot(index="station", columns="field", values=["rmse", "bias", "n"])
    place = stations.groupby("station")[["latitude", "longitude"]].first()
    x, y = frame.project(place["longitude"].to_numpy(), place["latitude"].to_numpy())
    enough = wide["n", "product"].to_numpy() >= least_pairs
    change = (wide["rmse", "product"] - wide["rmse", "cams"]).to_numpy(float)
    bias = wide["bias", "product"].to_numpy(float)
    side_by_side = frame.aspect < 1.3
    height = 5.0 if side_by_side else 2 * (8.2 / frame.aspect) + 0.8
    figure = new_figure(10.0 if side_by_side else 9.2, min(height, 10.5))
    panels = figure.subplots(*((1, 2) if side_by_side else (2, 1)))
    size = float(np.clip(4000 / max(len(place), 1), 5, 42))
    for axes, values, title, words in (
        (panels[0], bias, "Bias of the product", "product − observed"),
        (panels[1], change, "Change of RMSE (blue: better than CAMS)", "RMSE, product − CAMS"),
    ):
        prepare(axes, frame)
        norm = difference_scale(values[enough])
        axes.scatter(x[~enough], y[~enough], s=size * 0.7, color=OTHER, linewidths=0, zorder=5)
        dots = axes.scatter(x[enough], y[enough], s=size, c=values[enough], cmap=DIFFERENCE, norm=norm, zorder=6,
                            edgecolors="#27303a", linewidths=0.35)  # fmt: skip
        axes.set_title(title)
        colour_bar(figure, dots, axes, norm, label=words)
    return figure


def _show(value: float | None, digits: int = 3, sign: bool = False) -> str:
    if value is None or np.isnan(value):
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def _percent(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{100 * value:.0f} %"
