"""The figures of the networks' differences from the baselines, with intervals: of all months, and month by month."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepcams.report.style import CAMS, OTHER, PRODUCT, message, new_figure, plain, styled
from deepcams.validation.skill import (
    ALIKE,
    BETTER,
    CONFIGURED,
    FURTHER,
    MAIN_BASELINES,
    OPERATOR,
    ORDER,
    REFERENCE,
    SCORE_NAMES,
    STEPS_OF_USE,
    UNJUDGED,
    WORSE,
    Skill,
    compare,
)

STAGES = {"temporal": "In time", "spatial": "In space", "joint": "In time, then in space"}
MARKS = {
    BETTER: (PRODUCT, "o", "lower error"),
    WORSE: (CAMS, "D", "higher error"),
    ALIKE: ("#55606b", "s", "cannot be told apart"),
    UNJUDGED: (OTHER, "x", "too few days for an interval"),
}
MOST = 50.0  # per cent: what lies beyond would press all else together


@styled
def differences(rows: Sequence[Skill]) -> Figure:
    """RMSE and MAE of the configured networks against every baseline, per cent, with intervals.

    rows : of all stages; shown are those at each stage's resolution of use. A row of the figure for each baseline; then
    one for each further network against the main baseline, for each further operator, and for the pair's order. What
    is worse by more than `MOST` is a number at the edge.
    """
    groups: dict[str, dict[str, dict[str, Skill]]] = {}
    for heading, name, row in _places([row for row in rows if row.step == STEPS_OF_USE[row.stage]]):
        groups.setdefault(heading, {}).setdefault(name, {})[row.metric] = row
    if not groups:
        return message("The configured networks were compared with no baseline.")
    shown = [row for group in groups.values() for of_metric in group.values() for row in of_metric.values()]
    lines = sum(len(group) + 1.25 for group in groups.values())
    figure = new_figure(9.6, 0.27 * lines + 1.15)
    panels = figure.subplots(1, len(SCORE_NAMES), sharey=True)
    places, names, headings, height = [], [], {}, 0.0
    for heading, group in groups.items():
        headings[height] = plain(heading)
        height -= 1.0
        for baseline, of_metric in group.items():
            for axes, metric in zip(panels, SCORE_NAMES, strict=True):
                if metric in of_metric:
                    _draw(axes, of_metric[metric], height)
            places.append(height)
            names.append(plain(baseline))
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


def _places(rows: Sequence[Skill]) -> list[tuple[str, str, Skill]]:
    """The rows to show, each with a heading and a name, the headings of a stage together."""
    places = []
    for stage, where in STAGES.items():
        main = MAIN_BASELINES[stage]
        of_kind = {
            kind: [row for row in rows if (row.stage, row.kind) == (stage, kind)]
            for kind in (CONFIGURED, FURTHER, OPERATOR, ORDER)
        }
        own = {row.configured for row in of_kind[CONFIGURED]}
        for row in of_kind[CONFIGURED]:
            places.append((f"{where} ({row.step:g}°): {row.configured} against", row.baseline, row))
        for row in of_kind[FURTHER]:
            if row.baseline == main:
                places.append((f"{where} ({row.step:g}°): further networks against {main}", row.configured, row))
        for row in of_kind[OPERATOR]:
            if row.baseline == REFERENCE and row.configured in own:
                places.append((f"{where}: {row.configured} against {REFERENCE}, input by", row.degradation, row))
        for row in of_kind[ORDER]:
            places.append((f"{where}, against first in space, then in time", row.configured, row))
    return places


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
    low, middle, high = np.minimum((row.low_percent, row.difference_percent, row.high_percent), MOST)
    if row.verdict != UNJUDGED:
        axes.hlines(height, low, high, color=colour, linewidth=2.2, zorder=3)
        axes.vlines((low, high), height - 0.17, height + 0.17, color=colour, linewidth=1.2)
    axes.plot(middle, height, marker if row.difference_percent <= MOST else ">", color=colour, markersize=4, zorder=4)
    below = row.difference_percent < 0
    ends = [end for end in (low, middle, high) if not np.isnan(end)]
    axes.annotate(row.difference_text, (min(ends) if below else max(ends), height),
                  xytext=(-5 if below else 5, 0), textcoords="offset points", ha="right" if below else "left",
                  va="center", fontsize=7.5, zorder=5,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85})  # fmt: skip


def _limits(rows: Sequence[Skill], room: float = 0.17) -> tuple[float, float]:
    """All intervals up to `MOST`, zero, and room for the numbers beside them."""
    values = np.array([[row.difference_percent, row.low_percent, row.high_percent] for row in rows])
    finite = np.append(values[np.isfinite(values)], 0.0).clip(max=MOST)
    low, high = finite.min(), finite.max()
    span = max(high - low, 1.0)
    return low - room * span, high + (room if high > 0 else 0.05) * span


def compare_by_month(stage: str, days: pd.DataFrame) -> dict[str, list[Skill]]:
    """The configured method against the stage's main baseline in each month, at the resolution of use.

    days : daily sums as `deepcams.validation.skill.compare` takes them. Returns month ("2020-01") → rows; of input
    made by the configured operator. Nothing if either method is missing.
    """
    main = MAIN_BASELINES[stage]
    days = days[(days["step"] == STEPS_OF_USE[stage]) & (days["configured"] | (days["method"] == main))]
    rows = {str(month): compare(stage, of_month) for month, of_month in days.groupby(days["day"].str[:7])}
    return {month: [row for row in of_month if row.kind == CONFIGURED] for month, of_month in rows.items()}


@styled
def months(stages: Mapping[str, Mapping[str, Sequence[Skill]]]) -> Figure:
    """RMSE and MAE of the configured networks against each stage's main baseline, month by month, per cent.

    stages : stage → month ("2020-01") → rows, as `compare_by_month` finds them. A row of panels for each stage.
    """
    stages = {stage: of_month for stage, of_month in stages.items() if any(of_month.values())}
    if not stages:
        return message("The configured networks were compared with no baseline.")
    names = sorted({month for of_month in stages.values() for month in of_month})
    figure = new_figure(9.6, 1.9 * len(stages) + 0.75)
    panels = figure.subplots(len(stages), len(SCORE_NAMES), sharey="row", squeeze=False)
    for number, (stage, of_month) in enumerate(stages.items()):
        line = panels[number]
        shown = [row for rows in of_month.values() for row in rows]
        for axes, (metric, name) in zip(line, SCORE_NAMES.items(), strict=True):
            for place, month in enumerate(names):
                for row in of_month.get(month, ()):
                    if row.metric == metric and not np.isnan(row.difference_percent):
                        _draw_month(axes, row, place, 0.007 * len(names))
            axes.axhline(0.0, color="#27303a", linewidth=0.9, zorder=1)
            axes.set_title(f"{STAGES[stage]}: {name}")
            axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 6 else 0,
                            ha="right" if len(names) > 6 else "center")  # fmt: skip
            axes.set(xlim=(-0.5, len(names) - 0.5), ylim=_limits(shown, room=0.08))
            axes.tick_params(axis="x", length=0, labelbottom=number == len(stages) - 1)
            axes.grid(axis="y")
            axes.set_axisbelow(True)
        line[0].set_ylabel(f"against\n{plain(shown[0].baseline)} (%)", fontsize=8)
    _legend(figure, [row for of_month in stages.values() for rows in of_month.values() for row in rows])
    return figure


def _draw_month(axes: Axes, row: Skill, place: int, cap: float) -> None:
    colour, marker, _ = MARKS[row.verdict]
    low, middle, high = np.minimum((row.low_percent, row.difference_percent, row.high_percent), MOST)
    if row.verdict != UNJUDGED:
        axes.vlines(place, low, high, color=colour, linewidth=2.2, zorder=3)
        axes.hlines((low, high), place - cap, place + cap, color=colour, linewidth=1.2)
    axes.plot(place, middle, marker if row.difference_percent <= MOST else "^", color=colour, markersize=4, zorder=4)


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
