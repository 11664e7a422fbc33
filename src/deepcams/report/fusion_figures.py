"""The figures of the fusion with stations: kernels, seasons, a day, cross-validation. Each takes data, none a file."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from deepcams.grid.nodes import EARTH, FINE_STEP, Grid
from deepcams.report.figures import utc
from deepcams.report.maps import Frame, colour_bar, draw_field, frame_of, panels, thin_ticks
from deepcams.report.quantity import label, unit
from deepcams.report.style import (
    CAMS,
    CONCENTRATION,
    DIFFERENCE,
    GREY,
    INK,
    MARKERS,
    OTHER,
    PRODUCT,
    TRUTH,
    capital,
    concentration_scale,
    message,
    new_figure,
    plain,
    styled,
    thousands,
    written,
)

SCORES = {"rmse": "RMSE", "r2": "R²", "bias": "mean bias"}  # of cross-validation, and of classes
WITHOUT_UNIT = ("r2", "nme")
FAR = "YlGnBu"  # of distances, which are no concentrations
METHODS = (PRODUCT, CAMS, TRUTH, "#CC79A7", "#56B4E9", "#E69F00", INK, OTHER)  # Okabe and Ito's, the first one's first
DEGREE = np.radians(EARTH)  # km, along a meridian


@styled
def kernels(found: Mapping[str, tuple[np.ndarray, np.ndarray]], step: float = FINE_STEP) -> Figure:
    """The two kernels of each variable as maps, and their weights against distance (Lyu et al. 2022, Fig. 3).

    found : name → first and second kernel, (n, n) each of odd n, rows north to south.  step : degrees between nodes.
    Weights are shown as shares of the kernel's largest; lines are means of rings one node wide; half of the largest is
    dotted. Distances are those along a meridian.
    """
    if not found:
        return message("The network has no kernels to show.")
    shares = {name: [kernel / (np.abs(kernel).max() or 1.0) for kernel in pair] for name, pair in found.items()}
    lowest = min(kernel.min() for pair in shares.values() for kernel in pair)
    # A few weights below zero are no second sign to show.
    signed = lowest < -0.05
    norm, cmap = (Normalize(-1, 1), DIFFERENCE) if signed else (Normalize(0, 1), CONCENTRATION)
    figure = new_figure(9.6, 0.7 + 2.75 * len(shares))
    places = figure.subplots(len(shares), 3, squeeze=False, width_ratios=(1, 1, 1.25))
    for row, (name, pair) in zip(places, shares.items(), strict=True):
        for axes, kernel, which in zip(row, pair, ("first", "second"), strict=False):
            half = len(kernel) / 2 * step
            image = axes.imshow(kernel, extent=(-half, half, -half, half), norm=norm, cmap=cmap)
            axes.set_title(capital(f"{name}: {which} kernel" if which == "first" else f"{which} kernel"), fontsize=9)
            axes.set_xlabel("east (°)")
            axes.set_ylabel("north (°)")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
                axis.set_major_formatter(FuncFormatter(_minus))
        _profiles(row[2], pair, step, lowest)
    places[0, 2].legend(loc="upper right")
    bar = figure.colorbar(image, ax=list(places[:, :2].ravel()), orientation="horizontal", shrink=0.6, aspect=40,
                          pad=0.03, extend="neither" if signed or lowest >= 0 else "min")  # fmt: skip
    bar.set_label("weight (share of the kernel’s largest)")
    bar.outline.set_linewidth(0.5)
    return figure


def _profiles(axes: Axes, pair: Sequence[np.ndarray], step: float, lowest: float) -> None:
    """Weights of both kernels against distance, and the means of rings; `lowest`: of all kernels."""
    for kernel, colour, which in zip(pair, (PRODUCT, CAMS), ("first", "second"), strict=True):
        distance, mean = rings(kernel)
        offset = np.arange(len(kernel)) - len(kernel) // 2
        every = np.hypot(offset[:, None], offset)
        axes.plot(every.ravel() * step * DEGREE, kernel.ravel(), ".", color=colour, markersize=3, alpha=0.45,
                  markeredgewidth=0, zorder=2)  # fmt: skip
        axes.plot(distance * step * DEGREE, mean, color=colour, zorder=3,
                  label=f"{which}, {len(kernel)} × {len(kernel)}")  # fmt: skip
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
    axes.set_xlim(left=0)
    axes.set_ylim(min(lowest, 0.0) - 0.05, 1.05)
    axes.yaxis.set_major_formatter(FuncFormatter(_minus))
    axes.set_xlabel(f"distance (km; 1 node: {step * DEGREE:.1f} km)")
    axes.set_ylabel("weight (share of largest)")


def rings(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean weight of rings one node wide around the middle of an (n, n) kernel: distances in nodes, means.

    Rings go as far as the middle of an edge; corners are left out, where there are few directions.
    """
    half = len(kernel) // 2
    offset = np.arange(len(kernel)) - half
    ring = np.rint(np.hypot(offset[:, None], offset)).astype(int)
    inside = ring <= half
    number = np.bincount(ring[inside])
    return np.arange(half + 1), np.bincount(ring[inside], weights=kernel[inside]) / number


@styled
def seasonal_maps(
    means: Mapping[str, np.ndarray], latitude: np.ndarray, longitude: np.ndarray, stations: pd.DataFrame
) -> Figure:
    """The mean field of each season with its stations as dots, all on one scale of colours (Lyu et al. 2022, Fig. 9).

    means : season → (H, W) in the report's unit, NaN where missing.  latitude : (H,), longitude : (W,), degrees.
    stations : latitude, longitude, and for each season a column with the station's mean, NaN where it has none.
    """
    if not means:
        return message("There is no season to show.")
    grid = Grid(np.asarray(latitude), np.asarray(longitude), float(abs(latitude[1] - latitude[0])))
    frame = frame_of(grid)
    norm = concentration_scale(*means.values())
    if frame.globe and len(means) == 4:
        figure = new_figure(10.0, 6.0)
        places = figure.subplots(2, 2).ravel()
    else:
        figure, places = panels(len(means), frame)
    for number, (axes, (season, field)) in enumerate(zip(places, means.items(), strict=True)):
        image = draw_field(axes, field, grid, norm, CONCENTRATION, frame)
        shown = stations[season].notna()
        _dots(axes, stations[shown], season, frame, norm)
        axes.set_title(f"{plain(season)}, {_stations(int(shown.sum()))}")
        if len(places) == 4 and not frame.globe:
            thin_ticks(axes, left=number % 2 == 0, bottom=number >= 2)
    colour_bar(figure, image, list(places), norm, horizontal=True)
    return figure


@styled
def day_map(
    time: np.datetime64,
    field: np.ndarray,
    distance: np.ndarray,
    grid: Grid,
    stations: pd.DataFrame,
    *,
    daily: bool = True,
) -> Figure:
    """One fused field with the stations it was made from, and how far the nearest of them is.

    time : of the file, 12:00 of the day or the middle of the hour.  field (report's unit), distance (km) : (H, W), NaN
    where missing.  stations : latitude, longitude, value, of this time.
    """
    frame = frame_of(grid)
    figure, places = panels(2, frame)
    norm = concentration_scale(field)
    image = draw_field(places[0], field, grid, norm, CONCENTRATION, frame)
    _dots(places[0], stations, "value", frame, norm)
    when = str(time.astype("datetime64[D]")) if daily else utc(time)
    places[0].set_title(f"Fused, {when}")
    colour_bar(figure, image, places[0], norm, horizontal=not frame.globe)
    far = distance_scale(distance)
    image = draw_field(places[1], distance, grid, far, FAR, frame)
    x, y = frame.project(stations["longitude"], stations["latitude"])
    size = float(np.clip(60 / np.sqrt(max(len(stations), 1)), 2, 8))
    places[1].plot(x, y, ".", color=INK, markersize=size, markeredgewidth=0, zorder=6)
    places[1].set_title(f"Distance, {_stations(len(stations))}")
    _distance_bar(figure, image, places[1], far, horizontal=not frame.globe)
    return figure


def distance_scale(distance: np.ndarray) -> Normalize:
    """From 0 to the 99th percentile of distances (km), rounded upwards to whole hundreds."""
    finite = distance[np.isfinite(distance)]
    return Normalize(0, 100 * max(1.0, np.ceil(float(np.percentile(finite, 99)) / 100)) if len(finite) else 100.0)


@styled
def cross_validation(
    tables: Mapping[str, pd.DataFrame], scores: Sequence[str] = ("rmse", "r2"), own: str | None = None
) -> Figure:
    """Scores of the methods side by side with their intervals, a row of panels for each scheme (Lyu et al., Fig. 6).

    tables : scheme ("stations left out") → `fusion.fusion_scores.score_table`: rows of method, n, the `scores`, and for
    each of them {score}_low and {score}_high, NaN where it has no interval. Methods without any estimate are left out.
    own : the method to be told from the others; None: the first.
    """
    tables = {scheme: kept for scheme, table in tables.items() if len(kept := table[np.isfinite(table[scores[0]])])}
    if not tables:
        return message("No station was held out, so that nothing was cross-validated.")
    lines = [len(table) for table in tables.values()]
    figure = new_figure(9.6, 0.9 + sum(0.31 * count + 0.75 for count in lines))
    places = figure.subplots(len(tables), len(scores), squeeze=False, sharex="col",
                             height_ratios=[0.31 * count + 0.45 for count in lines])  # fmt: skip
    for number, (scheme, table) in enumerate(tables.items()):
        row, is_last = places[number], number == len(tables) - 1
        chosen = own or table["method"].iloc[0]
        at = -np.arange(len(table))
        for axes, score in zip(row, scores, strict=True):
            low, high = _interval(table, score)
            for y, (name, value), left, right in zip(at, table[["method", score]].to_numpy(), low, high, strict=True):
                colour, marker = (PRODUCT, "o") if name == chosen else ("#55606b", "s")
                axes.hlines(y, left, right, color=colour, linewidth=2.2, zorder=3)
                axes.plot(value, y, marker, color=colour, markersize=4.5, zorder=4)
                axes.annotate(written(value, 3 if score in WITHOUT_UNIT else 2), (np.nanmax([value, right]), y), (6, 0),
                              textcoords="offset points", va="center", fontsize=8, zorder=5)  # fmt: skip
            axes.set_xlabel(_with_unit(score) if is_last else "")
            axes.set_ylim(at[-1] - 0.6, 0.6)
            axes.margins(x=0.22)
            axes.grid(axis="x")
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0, labelleft=axes is row[0])
            axes.tick_params(axis="x", labelbottom=is_last)
            axes.spines["left"].set_visible(False)
            axes.set_yticks(at, [plain(name) for name in table["method"]])
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(FuncFormatter(_minus))
        row[0].set_title(f"{capital(scheme)}, {thousands(table['n'].max())} values")
    return figure


@styled
def class_scores(table: pd.DataFrame, scores: Sequence[str] = ("rmse", "bias"), by: str = "class") -> Figure:
    """Scores by observed concentration, methods side by side, a panel below the other for each score.

    table : as `fusion.fusion_scores.by_class` returns it: rows of class, method, n, the `scores`, and {score}_low and
    {score}_high; classes without values are left out.  by : the column of the groups, for other groups than classes.
    """
    table = table[table["n"] > 0]
    if table.empty:
        return message("No station was held out, so that nothing was cross-validated.")
    groups, methods = list(dict.fromkeys(table[by])), list(dict.fromkeys(table["method"]))
    figure = new_figure(9.6, 0.9 + 2.2 * len(scores))
    places = figure.subplots(len(scores), 1, squeeze=False, sharex=True).ravel()
    width = 0.8 / len(methods)
    for axes, score in zip(places, scores, strict=True):
        for k, method in enumerate(methods):
            rows = table[table["method"] == method].set_index(by).reindex(groups)
            at = np.arange(len(groups)) + (k - (len(methods) - 1) / 2) * width
            colour, marker = METHODS[k % len(METHODS)], MARKERS[k % len(MARKERS)]
            low, high = _interval(rows, score)
            axes.vlines(at, low, high, color=colour, linewidth=1.8, zorder=3)
            axes.plot(at, rows[score], marker, color=colour, markersize=4.5, label=plain(method), zorder=4)
        for edge in np.arange(len(groups) - 1) + 0.5:
            axes.axvline(edge, color=OTHER, linewidth=0.5, zorder=1)
        if score == "bias":
            axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
        else:
            axes.set_ylim(bottom=0)
        axes.set_ylabel(_with_unit(score))
        axes.yaxis.set_major_formatter(FuncFormatter(_minus))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.tick_params(axis="x", length=0)
    number = table.groupby(by)["n"].max()
    labels = [f"{class_name(name) if by == 'class' else plain(name)}\nN = {thousands(number[name])}" for name in groups]
    places[-1].set_xticks(range(len(groups)), labels)
    places[-1].set_xlim(-0.5, len(groups) - 0.5)
    what = f"observed {label()} ({unit()}), and" if by == "class" else f"{by}, and"
    places[-1].set_xlabel(f"{what} number of values (N)")
    figure.legend(*places[0].get_legend_handles_labels(), loc="outside upper right", ncols=min(len(methods), 5))
    return figure


def class_name(name: str) -> str:
    """A class of concentrations as figures and tables have it: 15–35, above 150."""
    return name.replace(">", "above ").replace("-", "–")


def _interval(table: pd.DataFrame, score: str) -> tuple[np.ndarray, np.ndarray]:
    """Ends of a score's interval, NaN where there is none."""
    nothing = np.full(len(table), np.nan)
    low, high = (table[name].to_numpy(float) if (name := f"{score}_{end}") in table else nothing
                 for end in ("low", "high"))  # fmt: skip
    return low, high


def _with_unit(score: str) -> str:
    """A score's name on an axis."""
    return f"{SCORES.get(score, score.upper())} ({'1' if score in WITHOUT_UNIT else unit()})"


def _dots(axes: Axes, stations: pd.DataFrame, column: str, frame: Frame, norm: Normalize) -> None:
    """Stations as dots in the colours of the field; what stands out is drawn last."""
    rows = stations.sort_values(column, kind="stable")
    x, y = frame.project(rows["longitude"], rows["latitude"])
    size = float(np.clip(6000 / max(len(rows), 1), 7, 42))
    axes.scatter(x, y, s=size, c=rows[column].clip(lower=norm.vmin), cmap=CONCENTRATION, norm=norm, zorder=6,
                 edgecolors="white", linewidths=0.7 if size > 20 else 0.3)  # fmt: skip


def _distance_bar(figure: Figure, image: ScalarMappable, axes: Axes, norm: Normalize, *, horizontal: bool) -> None:
    """A colour bar of kilometres, of the size of those of concentrations."""
    place = {"orientation": "horizontal", "shrink": 0.75, "aspect": 32, "pad": 0.03} if horizontal else {
        "shrink": 0.7, "aspect": 26, "pad": 0.02
    }  # fmt: skip
    bar = figure.colorbar(image, ax=axes, extend="max", **place)
    bar.set_label("to the nearest station (km)")
    bar.outline.set_linewidth(0.5)
    (bar.ax.xaxis if horizontal else bar.ax.yaxis).set_major_locator(MaxNLocator(5))


def _stations(number: int) -> str:
    return thousands(number) + (" station" if number == 1 else " stations")


def _minus(value: float, _: int) -> str:
    return f"{value:g}".replace("-", "−")
