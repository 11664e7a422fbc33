"""The page of all years: a picture of each, its scores, and how they went on."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid
from deepcams.report.folder import Validation, read_table
from deepcams.report.headline import statements
from deepcams.report.maps import draw_field, frame_of
from deepcams.report.quantity import label, text_unit
from deepcams.report.shell import picture
from deepcams.report.slider import bar_uri
from deepcams.report.style import CONCENTRATION, STYLE, concentration_scale, new_figure
from deepcams.report.tables import Column, concentration_digits, data_table, listed, number, score_columns
from deepcams.report.verdicts import station_verdicts, truth_verdict

ALL = "all years"
WIDTH, HEIGHT = 520.0, 190.0  # of a chart, in its own units


def years_sections(
    years: Sequence[Validation], scatter: str | Path | None, record: str | Path | None, links: Mapping[int, str]
) -> list[tuple[str, str, str]]:
    """Sections of the page: name, heading, HTML."""
    table = _record(years, record)
    names = next((year.names for year in years if "cams" in year.names), years[0].names if years else {})
    findings = "".join(
        f'<h3><a href="{escape(_link(year, links))}">{escape(year.title)}</a></h3>' + found
        for year in years
        if (found := statements([*station_verdicts(year), truth_verdict(year.summary)]))
    )
    figure = (
        picture(scatter, "Hourly pairs of each year and of all together, as densities.", "scatter") if scatter else ""
    )
    return [
        ("years", "Years", _cards(years, links)),
        ("scores", "Scores", _charts(table, names) + _table(table, names)),
        ("densities", "Densities", figure),
        ("findings", "Findings", findings),
    ]


def _record(years: Sequence[Validation], record: str | Path | None) -> pd.DataFrame:
    """Scores by year, all pairs: columns of scores.csv, `group` the year."""
    if record is not None:
        return read_table(record)
    parts = [
        year.scores[year.scores["by"] == "all"].assign(by="year", group=year.title)
        for year in years
        if not year.scores.empty
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _link(year: Validation, links: Mapping[int, str]) -> str:
    return links.get(year.summary.get("year"), f"{year.title}.html")


def _cards(years: Sequence[Validation], links: Mapping[int, str]) -> str:
    """All years, their maps on one scale of colours, with its bar."""
    means = {year.title: _mean(year) for year in years}
    known = [field for field, _ in filter(None, means.values())]
    norm, bar = None, ""
    if known:
        norm = concentration_scale(*known)
        with matplotlib.rc_context(STYLE):
            source = bar_uri(norm)
        bar = f'<img class="colour-bar" alt="Colours: mean {escape(label())} in {text_unit()}" src="{source}">'
    cards = "".join(_card(year, links, _thumbnail(year.title, means[year.title], norm)) for year in years)
    return f'<div class="years">{cards}</div>{bar}'


def _card(year: Validation, links: Mapping[int, str], thumbnail: str) -> str:
    """A year with its mean map, its period and its headline scores, linked to its report."""
    words = [" to ".join(hour[:10] for hour in year.period)]
    resolution = next((name for name in ("hourly", "daily") if year.score(name, "product")), None)
    if resolution:
        scores = year.score(resolution, "product")
        digits = concentration_digits([scores["rmse"]])
        words.append(f"{resolution}: R {number(scores['r'], 3)} · RMSE {number(scores['rmse'], digits)} {text_unit()}")
    words.append(f"{number(year.summary['stations']['number'], -1)} stations")
    mark = "<i>synthetic</i>" if year.summary.get("synthetic") else ""
    return (
        f'<a class="year" href="{escape(_link(year, links))}">{thumbnail}<b>{escape(year.title)}</b> {mark}'
        f"<span>{'<br>'.join(words)}</span></a>"
    )


def _mean(year: Validation) -> tuple[np.ndarray, Grid] | None:
    """The mean of the product; None where it is not kept."""
    path = year.folder / "means.npz"
    if not path.exists():
        return None
    try:
        with np.load(path) as archive:
            field, latitude, longitude = (archive[name] for name in ("product", "latitude", "longitude"))
    except (OSError, ValueError, KeyError) as error:
        raise DeepcamsError(f"{path} cannot be read ({error}). Run the validation again.") from error
    return field, Grid(latitude, longitude, float(abs(latitude[1] - latitude[0])))


def _thumbnail(title: str, mean: tuple[np.ndarray, Grid] | None, norm: LogNorm | None) -> str:
    """A mean as a small map."""
    if mean is None:
        return ""
    field, grid = mean
    frame = frame_of(grid)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(2.6, 2.6 / frame.aspect)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        draw_field(axes, field, grid, norm, CONCENTRATION, frame, 360)
        axes.set_axis_off()
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=120, metadata={"Software": None}, transparent=True)
    content = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="Mean of {escape(title)}" src="data:image/png;base64,{content}">'


def _table(table: pd.DataFrame, names: Mapping[str, str]) -> str:
    if table.empty:
        return "<p>No station measurement could be compared in any year.</p>"
    base, columns, values = score_columns(table, ["resolution", "group", "stations"], dict(names))
    return data_table(
        "years",
        [Column("averaging", hidden=True), Column("Year"), Column("stations", "", 0), *columns],
        [listed(base["resolution"]), listed(base["group"]), listed(base["stations"]), *values],
        [("Values", 0, [(name, name) for name in dict.fromkeys(base["resolution"])])],
        "scores_by_year",
    )


def _charts(table: pd.DataFrame, names: Mapping[str, str]) -> str:
    """R and RMSE by year as lines, of the finest averaging."""
    if table.empty:
        return ""
    rows = table[(table["resolution"] == table["resolution"].iloc[0]) & (table["group"] != ALL)]
    years = sorted(set(rows["group"]))
    if len(years) < 2:
        return ""
    key = "".join(f'<span class="key {escape(field)}">{escape(name)}</span>' for field, name in names.items())
    charts = "".join(
        _chart(rows, years, names, *item) for item in (("r", "R", 3), ("rmse", f"RMSE ({text_unit()})", 2))
    )
    words = escape(str(rows["resolution"].iloc[0]))
    return f'<p class="note">By year, {words} values: {key}</p><div class="charts">{charts}</div>'


def round_ticks(low: float, high: float) -> tuple[list[float], int]:
    """Two to five round numbers between two, and the digits after the point that they need."""
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 5, 10]).tick_values(low, high)
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    return [float(tick) for tick in ticks if low <= tick <= high], digits


def _chart(
    rows: pd.DataFrame, years: Sequence[str], names: Mapping[str, str], score: str, heading: str, digits: int
) -> str:
    values = {
        field: rows[rows["field"] == field].drop_duplicates("group").set_index("group")[score].reindex(years).to_numpy()
        for field in names
    }
    every = np.concatenate(list(values.values()))
    if not np.isfinite(every).any():
        return ""
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    pad = max(0.15 * (high - low), 0.02 * abs(high), 1e-6)
    low, high = low - pad, high + pad
    ticks, places = round_ticks(low, high)
    left, right, top, bottom = 52.0, WIDTH - 16, 26.0, HEIGHT - 26

    def x(k: int) -> float:
        return left + (right - left) * (k + 0.5) / len(years)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    parts = [f'<text x="{left}" y="14" class="head">{escape(heading)}</text>']
    for value in ticks:
        parts.append(f'<path d="M{left} {y(value):.1f}H{right}"/><text x="{left - 6}" y="{y(value) + 4:.1f}" '
                     f'text-anchor="end">{number(value, places)}</text>')  # fmt: skip
    every_nth = math.ceil(len(years) / 9)
    parts += [f'<text x="{x(k):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(year)}</text>'
              for k, year in enumerate(years) if k % every_nth == 0]  # fmt: skip
    for field, line in values.items():
        points = [(x(k), y(float(value)), value) for k, value in enumerate(line) if np.isfinite(value)]
        parts.append(
            f'<polyline class="{escape(field)}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b, _ in points)}"/>'
        )
        parts += [f'<circle class="{escape(field)}" cx="{a:.1f}" cy="{b:.1f}" r="3.5"><title>{number(float(v), digits)}'
                  "</title></circle>" for a, b, v in points]  # fmt: skip
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(heading)} by year">'
        f"{''.join(parts)}</svg>"
    )
