"""The figure of the networks' differences from the baselines, with intervals."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepcams.report.station_figures import message
from deepcams.report.style import CAMS, OTHER, PRODUCT, new_figure, styled
from deepcams.validation.skill import ALIKE, BETTER, SCORE_NAMES, UNJUDGED, WORSE, Skill, main_rows

STAGES = {"temporal": "In time", "spatial": "In space", "joint": "In time, then in space"}
MARKS = {
    BETTER: (PRODUCT, "o", "lower error"),
    WORSE: (CAMS, "D", "higher error"),
    ALIKE: ("#55606b", "s", "cannot be told apart"),
    UNJUDGED: (OTHER, "x", "too few days for an interval"),
}


@styled
def differences(rows: Sequence[Skill]) -> Figure:
    """RMSE and MAE of the configured networks against every baseline, per cent, with intervals.

    rows : of all stages; shown are those at each stage's resolution of use. A row of the figure for each baseline.
    """
    shown = main_rows(rows)
    if not shown:
        return message("The configured networks were compared with no baseline.")
    groups = {}
    for row in shown:
        groups.setdefault((row.stage, row.step, row.configured), {}).setdefault(row.baseline, {})[row.metric] = row
    lines = sum(len(group) + 1.25 for group in groups.values())
    figure = new_figure(9.6, 0.27 * lines + 1.15)
    panels = figure.subplots(1, len(SCORE_NAMES), sharey=True)
    places, names, headings, height = [], [], {}, 0.0
    for (stage, step, configured), group in groups.items():
        headings[height] = _plain(f"{STAGES[stage]} ({step:g}°): {configured} against")
        height -= 1.0
        for baseline, of_metric in group.items():
            for axes, metric in zip(panels, SCORE_NAMES, strict=True):
                if metric in of_metric:
                    _draw(axes, of_metric[metric], height)
            places.append(height)
            names.append(_plain(baseline))
            height -= 1.0
        height -= 0.25
    for axes, name in zip(panels, SCORE_NAMES.values(), strict=True):
        axes.axvline(0.0, color="#27303a", linewidth=0.9, zorder=1)
        axes.set_title(name)
        axes.set_xlabel("difference from the baseline (%)")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(*_limits(shown))
        axes.set_ylim(height + 0.6, 0.6)
    panels[0].set_yticks(places, names)
    _head(panels[0], headings)
    _legend(figure, shown)
    return figure


def _head(axes: Axes, headings: dict[float, str]) -> None:
    """Write headings, height → text, from where the names begin; they may run into the panel, whose row is empty."""
    width = max(label.get_window_extent().width for label in axes.get_yticklabels()) * 72 / axes.figure.dpi
    for height, text in headings.items():
        axes.annotate(text, (0, height), xycoords=("axes fraction", "data"), xytext=(2 - width, 0),
                      textcoords="offset points", va="center", fontweight="bold", fontsize=8.5, zorder=6,
                      annotation_clip=False, in_layout=False,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})  # fmt: skip


def _draw(axes: Axes, row: Skill, height: float) -> None:
    colour, marker, _ = MARKS[row.verdict]
    if np.isnan(row.difference_percent):
        axes.text(0, height, "undefined", va="center", fontsize=7.5, color=OTHER)
        return
    if row.verdict != UNJUDGED:
        axes.hlines(height, row.low_percent, row.high_percent, color=colour, linewidth=2.2, zorder=3)
        axes.vlines((row.low_percent, row.high_percent), height - 0.17, height + 0.17, color=colour, linewidth=1.2)
    axes.plot(row.difference_percent, height, marker, color=colour, markersize=4, zorder=4)
    below = row.difference_percent < 0
    ends = [end for end in (row.difference_percent, row.low_percent, row.high_percent) if not np.isnan(end)]
    axes.annotate(row.difference_text, (min(ends) if below else max(ends), height),
                  xytext=(-5 if below else 5, 0), textcoords="offset points", ha="right" if below else "left",
                  va="center", fontsize=7.5, zorder=5,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85})  # fmt: skip


def _limits(rows: Sequence[Skill]) -> tuple[float, float]:
    """All intervals, zero, and room for the numbers beside them."""
    values = np.array([[row.difference_percent, row.low_percent, row.high_percent] for row in rows])
    finite = np.append(values[np.isfinite(values)], 0.0)
    low, high = finite.min(), finite.max()
    span = max(high - low, 1.0)
    return low - 0.17 * span, high + (0.17 if high > 0 else 0.05) * span


def _legend(figure: Figure, rows: Sequence[Skill]) -> None:
    found = {row.verdict for row in rows}
    handles = [
        Line2D(
            [], [], color=colour, marker=marker, markersize=4, linewidth=0 if verdict == UNJUDGED else 2.2, label=text
        )
        for verdict, (colour, marker, text) in MARKS.items()
        if verdict in found
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))


def _plain(text: str) -> str:
    """Text as it is: a dollar sign would start mathematics."""
    return text.replace("$", r"\$")
