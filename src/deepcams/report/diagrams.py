"""Diagrams that show several scores as one point: Taylor's, and FAIRMODE's target."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from deepcams.report.objective import indicator
from deepcams.report.style import (
    COLOURS,
    FAINT,
    GREY,
    INK,
    MARKERS,
    NAMES,
    OBSERVED,
    capital,
    message,
    new_figure,
    plain,
    styled,
    thousands,
    written,
)

CORRELATIONS = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99)
LEAST = 30  # pairs of a point
WIDEST = 3.0  # of the target's axes: what lies beyond is counted


def taylor_point(r: float, sd_ratio: float) -> tuple[float, float]:
    """Where a field stands in a Taylor diagram: `sd_ratio` from the origin, at the angle whose cosine is `r`."""
    return sd_ratio * r, sd_ratio * float(np.sqrt(max(1 - r * r, 0.0)))


@styled
def taylor(scores: pd.DataFrame, names: Mapping[str, str] = NAMES) -> Figure:
    """Taylor's (2001) diagram, normalised by the observed deviation: continents at the left, seasons at the right.

    scores : rows of by ("all", "continent", "season"), group, field, n, r, sd_observed, sd_modelled, of one resolution.
    A marker stands for a group, a colour for a field; the star is all pairs, and a group that has all of them is not
    shown again. The distance from "observed" is the centred root mean square error.
    """
    scores = scores[(scores["n"] >= LEAST) & scores["r"].notna() & (scores["sd_observed"] > 0)]
    scores = scores[scores["field"].isin(list(names))]
    whole = scores[scores["by"] == "all"]
    parts = scores[scores["n"] < whole["n"].max()] if len(whole) else scores
    shown = {by: parts[parts["by"] == by] for by in ("continent", "season") if (parts["by"] == by).any()}
    if scores.empty or not (len(shown) or len(whole)):
        return message("Too few pairs for a Taylor diagram.")
    ratio = scores["sd_modelled"] / scores["sd_observed"]
    radius = float(np.clip(np.ceil(1.08 * ratio.max() * 4) / 4, 1.5, 4.0))
    left = -radius if (scores["r"] < -0.02).any() else 0.0
    panels = list(shown) or ["all"]
    each = 4.7 if left == 0 else 6.6
    figure = new_figure(each * len(panels) + 0.2, 5.5 if left == 0 else 4.9)
    for axes, by in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _polar_axes(axes, radius, left)
        groups = {"": "*"}
        of = shown.get(by, scores.iloc[:0])
        groups |= dict(zip(dict.fromkeys(of["group"]), MARKERS, strict=False))
        for _, row in pd.concat([of, whole]).iterrows():
            marker = groups.get(row["group"])
            if marker is None:
                continue
            x, y = taylor_point(row["r"], row["sd_modelled"] / row["sd_observed"])
            axes.plot(x, y, marker, color=COLOURS[row["field"]], markersize=11 if marker == "*" else 7,
                      markeredgecolor="white", markeredgewidth=0.6, zorder=6, clip_on=False)  # fmt: skip
        axes.plot(1, 0, "o", color=OBSERVED, markersize=7, zorder=7, clip_on=False)
        marks = [Line2D([], [], color=OBSERVED, marker="o", linewidth=0, label="observed")]
        marks += [Line2D([], [], color=COLOURS[name], marker="s", linewidth=0, label=plain(text))
                  for name, text in names.items() if (scores["field"] == name).any()]  # fmt: skip
        marks += [Line2D([], [], color=GREY, marker=marker, linewidth=0, label=plain(group or "all"),
                         markersize=9 if marker == "*" else 6) for group, marker in groups.items()]  # fmt: skip
        axes.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, columnspacing=1.2,
                    handletextpad=0.3)  # fmt: skip
        axes.set_title({"continent": "Continents", "season": "Seasons"}.get(by, ""), pad=18)
    return figure


def _polar_axes(axes: Axes, radius: float, left: float) -> None:
    angle = np.linspace(0, np.pi if left else np.pi / 2, 181)
    for size in np.arange(0.5, radius + 0.01, 0.5):
        is_edge = abs(size - radius) < 1e-9
        axes.plot(size * np.cos(angle), size * np.sin(angle), color=INK if size == 1 or is_edge else FAINT,
                  linewidth=0.8, linestyle="--" if size == 1 and not is_edge else "-", zorder=1)  # fmt: skip
    axes.plot(radius * np.cos(angle), radius * np.sin(angle), color=INK, linewidth=0.8, zorder=2, clip_on=False)
    for r in sorted({0.0, *CORRELATIONS, *(-np.array(CORRELATIONS[:-2]) if left else ())}):
        x, y = taylor_point(r, radius)
        axes.plot((0, x), (0, y), color=FAINT, linewidth=0.7, zorder=1)
        if r or left:
            x, y = taylor_point(r, 1.03 * radius)
            axes.text(x, y, f"{r:g}".replace("-", "−"), ha="right" if r < 0 else "left" if r else "center",
                      va="bottom" if abs(r) < 0.97 else "center", fontsize=8)  # fmt: skip
    x, y = taylor_point(np.cos(np.pi / 4), 1.13 * radius)
    axes.text(x, y, "correlation R (1)", ha="center", va="center", rotation=-45)
    around = np.linspace(0, np.pi, 181)
    for error in (0.5, 1.0, 1.5):
        x, y = 1 + error * np.cos(around), error * np.sin(around)
        inside = (np.hypot(x, y) <= radius) & (x >= left)
        axes.plot(np.where(inside, x, np.nan), np.where(inside, y, np.nan), color="#009E73", linewidth=0.8,
                  linestyle=":", zorder=1)  # fmt: skip
        # Above the observed point, a little to its left, where points are few.
        x, y = 1 + error * np.cos(1.9), error * np.sin(1.9)
        if np.hypot(x, y) < 0.97 * radius and x > left:
            axes.text(x, y, f"{error:g}", color="#007a59", fontsize=8, ha="center", va="center", zorder=3,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
    axes.set(xlim=(left, radius), ylim=(0, radius), aspect="equal")
    ticks = np.arange(np.ceil(left * 2) / 2, radius + 0.01, 0.5)
    axes.set_xticks(ticks, [f"{abs(tick):g}" for tick in ticks])
    axes.set_xlabel("standard deviation / observed (1);\ngreen: centred RMSE / observed deviation (1)")
    if left:
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
    else:
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_ylabel("standard deviation / observed (1)")


def target_points(stations: pd.DataFrame) -> pd.DataFrame:
    """Where stations stand in FAIRMODE's target diagram: x, y, and mqi, their distance from its middle.

    stations : rows of rmse, mqi, mb, crmse, r, sd_modelled, sd_observed. β RMSU = rmse / mqi is the unit of both axes:
    y = mb / (β RMSU), |x| = crmse / (β RMSU). x is negative where the correlation's share of crmse exceeds that of the
    deviations, |σm - σo| < σo √(2 (1 - R)) (Janssen and Thunis 2022, Guidance v3.3, Eq. 12 and section 4).
    """
    rows = stations[(stations["rmse"] > 0) & (stations["mqi"] > 0)]
    per_unit = rows["mqi"] / rows["rmse"]
    by_deviation = (rows["sd_modelled"] - rows["sd_observed"]).abs()
    # An undefined correlation, of a constant, explains nothing.
    by_correlation = rows["sd_observed"] * np.sqrt(2 * (1 - rows["r"].fillna(0.0)).clip(lower=0))
    sign = np.where(by_deviation < by_correlation, -1.0, 1.0)
    return pd.DataFrame({"x": sign * rows["crmse"] * per_unit, "y": rows["mb"] * per_unit, "mqi": rows["mqi"]})


@styled
def target(stations: pd.DataFrame, names: Mapping[str, str] = NAMES) -> Figure:
    """FAIRMODE's target diagram: bias against centred error of each station, in units of what measurements allow.

    stations : rows of field and what `target_points` needs, of daily means. Inside the outer circle a station's
    indicator (MQI) is at most 1: the error is at most β times the uncertainty of its measurements.
    """
    points = {name: target_points(stations[stations["field"] == name]) for name in ("cams", "product") if name in names}
    points = {name: of_field for name, of_field in points.items() if len(of_field)}
    if not points:
        return message("No station has the days, or FAIRMODE no uncertainty of this pollutant, for a target diagram.")
    most = np.concatenate([of_field["mqi"] for of_field in points.values()])
    limit = float(np.clip(np.ceil(4 * np.quantile(most, 0.98) + 0.4) / 4, 1.5, WIDEST))
    figure = new_figure(4.7 * len(points) + 0.3, 5.1)
    panels = figure.subplots(1, len(points), squeeze=False, sharey=True)[0]
    for axes, (name, of_field) in zip(panels, points.items(), strict=True):
        axes.add_patch(Circle((0, 0), 1, facecolor="#e7f3ee", edgecolor=INK, linewidth=1, zorder=1))
        axes.add_patch(Circle((0, 0), 0.5, facecolor="#cfe8dd", edgecolor=GREY, linewidth=0.8, zorder=1))
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=2)
        axes.axvline(0, color=GREY, linewidth=0.6, zorder=2)
        inside = (of_field["x"].abs() <= limit) & (of_field["y"].abs() <= limit)
        shown = of_field[inside]
        axes.scatter(shown["x"], shown["y"], s=float(np.clip(2500 / len(of_field), 4, 26)), color=COLOURS[name],
                     alpha=0.75 if len(of_field) < 500 else 0.4, linewidths=0, zorder=4, rasterized=True)  # fmt: skip
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        axes.set_xticks(np.arange(-np.floor(limit), limit + 0.01, 1.0))
        axes.set_yticks(np.arange(-np.floor(limit), limit + 0.01, 1.0))
        axes.set_xlabel("centred RMSE / (β RMSU) (1)\n← by correlation  |  by deviation →")
        axes.set_title(f"{capital(names[name])}, daily means", pad=41)
        mqi = indicator(of_field["mqi"].to_numpy())
        met = f"{thousands((of_field['mqi'] <= 1).sum())} of {thousands(len(of_field))} stations at most 1"
        lines = [f"MQI, 90th percentile: {written(mqi, 2)}", met]
        lines.append(f"{thousands((~inside).sum())} beyond the axes")
        axes.annotate("\n".join(lines), (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
                      va="bottom", fontsize=8.5)  # fmt: skip
        for size, text in ((1.0, "MQI = 1"), (0.5, "0.5")):
            axes.text(0, -size, text, ha="center", va="center", fontsize=8, zorder=5,
                      bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1})  # fmt: skip
    panels[0].set_ylabel("mean bias / (β RMSU) (1)")
    return figure
