"""The report's figures of fields: means, a sequence of hours, a zoom. Each takes data and returns a figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from deepcams.grid.nodes import Grid
from deepcams.report.maps import Frame, draw_field, frame_of, prepare
from deepcams.report.quantity import label as name
from deepcams.report.quantity import unit
from deepcams.report.style import (
    CONCENTRATION,
    DIFFERENCE,
    concentration_scale,
    decade_ticks,
    difference_scale,
    new_figure,
    styled,
)

ACROSS = 4  # hours beside each other in a sequence


@styled
def mean_maps(product: np.ndarray, grid: Grid, cams: np.ndarray, cams_grid: Grid) -> Figure:
    """Mean of CAMS, mean of the product, and their difference (CAMS bilinear on the fine nodes).

    product : (H, W) and cams : (h, w), µg m-3, on their grids (Xiao et al. 2022, Fig. 8).
    """
    frame = frame_of(grid)
    norm = concentration_scale(product, cams)
    difference = product - bilinear(cams, cams_grid, grid)
    limits = difference_scale(difference)
    panels = (
        ("CAMS, 0.75°", cams, cams_grid, norm, CONCENTRATION),
        ("Product, 0.25°", product, grid, norm, CONCENTRATION),
        ("Product minus CAMS (bilinear)", difference, grid, limits, DIFFERENCE),
    )
    if frame.globe:
        figure = new_figure(8.2, 11.6)
        places = figure.subplots(3, 1)
    else:
        figure, places = _row(3, frame)
    for axes, (title, field, of, scale, cmap) in zip(places, panels, strict=True):
        image = draw_field(axes, field, of, scale, cmap, frame)
        axes.set_title(title)
        colour_bar(figure, image, axes, scale, horizontal=not frame.globe)
    return figure


@styled
def sequence(
    times: np.ndarray, coarse: Sequence[np.ndarray | None], coarse_grid: Grid, product: np.ndarray, grid: Grid
) -> Figure:
    """CAMS, 3-hourly, above the hourly product (Xiao et al. 2022, Fig. 5).

    times : (T,) datetime64 UTC.  coarse : T fields (h, w), None where CAMS has none.  product : (T, H, W). µg m-3.
    """
    frame = frame_of(grid)
    count = len(times)
    norm = concentration_scale(product, *[field for field in coarse if field is not None])
    across = min(count, ACROSS)
    blocks = -(-count // ACROSS)
    height = blocks * (2 * 2.75 / min(max(frame.aspect, 0.75), 2.2) + 0.5)
    figure = new_figure(3.0 * across + 0.7, height)
    places = figure.subplots(2 * blocks, across, squeeze=False)
    for axes in places.ravel()[2 * across * (blocks - 1) :]:
        axes.set_visible(False)
    image: ScalarMappable | None = None
    for k, time in enumerate(times):
        block, column = divmod(k, ACROSS)
        upper, lower = places[2 * block, column], places[2 * block + 1, column]
        upper.set_visible(True)
        lower.set_visible(True)
        if coarse[k] is None:
            prepare(upper, frame)
            upper.text(0.5, 0.5, "no analysis", ha="center", va="center", color="#5b6773", transform=upper.transAxes,
                       zorder=6, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 3})  # fmt: skip
        else:
            draw_field(upper, coarse[k], coarse_grid, norm, CONCENTRATION, frame, width=500)
        upper.set_title(f"{utc(time)}", fontsize=9)
        image = draw_field(lower, product[k], grid, norm, CONCENTRATION, frame, width=700)
        for axes in (upper, lower):
            thin_ticks(axes, column == 0, axes is lower)
    for axes, label in zip(places[:, 0], ("CAMS, 0.75°", "Product, 0.25°") * blocks, strict=True):
        axes.annotate(label, (0, 0.5), (-34, 0), xycoords="axes fraction", textcoords="offset points", rotation=90,
                      ha="center", va="center", fontweight="bold", fontsize=10)  # fmt: skip
    colour_bar(figure, image, list(places.ravel()), norm)
    return figure


@styled
def zoom(
    time: np.datetime64,
    coarse: np.ndarray,
    coarse_grid: Grid,
    product: np.ndarray,
    grid: Grid,
    truth: np.ndarray | None = None,
) -> Figure:
    """A box of CAMS and of the product; with a known truth also that and the product's error (their Fig. 3, 4).

    coarse : (h, w); product, truth : (H, W), µg m-3. The map shows the product's grid.
    """
    frame = frame_of(grid)
    fields = [coarse, product] if truth is None else [coarse, product, truth]
    norm = concentration_scale(*fields)
    panels = [("CAMS, 0.75°", coarse, coarse_grid), ("Product, 0.25°", product, grid)]
    if truth is None:
        last = ("Product minus CAMS (bilinear)", product - bilinear(coarse, coarse_grid, grid), grid)
    else:
        panels.append(("Truth, 0.25°", truth, grid))
        last = ("Product minus truth", product - truth, grid)
    figure, places = _row(len(panels) + 1, frame)
    for axes, (title, field, of) in zip(places, panels, strict=False):
        image = draw_field(axes, field, of, norm, CONCENTRATION, frame)
        axes.set_title(title)
        colour_bar(figure, image, axes, norm, horizontal=True)
    limits = difference_scale(last[1])
    errors = draw_field(places[-1], last[1], last[2], limits, DIFFERENCE, frame)
    places[-1].set_title(last[0])
    colour_bar(figure, errors, places[-1], limits, horizontal=True)
    places[0].annotate(utc(time), (0, 1), (0, 22), xycoords="axes fraction", textcoords="offset points")
    return figure


def bilinear(field: np.ndarray, grid: Grid, onto: Grid) -> np.ndarray:
    """A field (h, w) linearly interpolated to the nodes of another grid (H, W); NaN outside."""
    rows, columns = grid.shape
    row = (grid.latitude[0] - onto.latitude) / grid.step
    column = ((onto.longitude - grid.longitude[0] + 1e-9) % 360.0 - 1e-9) / grid.step
    limit = columns if grid.is_periodic else columns - 1 + 1e-6
    i, j = np.floor(row + 1e-9).astype(int).clip(0, rows - 1), np.floor(column + 1e-9).astype(int).clip(0)
    i2 = np.minimum(i + 1, rows - 1)
    a, b = (row - i).clip(0, 1)[:, None], (column - j).clip(0, 1)[None]
    j, j2 = (np.mod(k, columns) if grid.is_periodic else np.minimum(k, columns - 1) for k in (j, j + 1))
    above = (1 - b) * field[i][:, j] + b * field[i][:, j2]
    below = (1 - b) * field[i2][:, j] + b * field[i2][:, j2]
    inside = ((row > -1e-6) & (row < rows - 1 + 1e-6))[:, None] & (column < limit)[None]
    return np.where(inside, (1 - a) * above + a * below, np.nan)


def colour_bar(
    figure: Figure | SubFigure,
    image: ScalarMappable,
    axes: Axes | list[Axes],
    norm: Normalize,
    *,
    horizontal: bool = False,
    label: str = "difference",
) -> None:
    """A colour bar with the unit, plain numbers, and pointed ends, since extremes lie outside the scale."""
    place = {"orientation": "horizontal", "shrink": 0.75, "aspect": 32, "pad": 0.03} if horizontal else {
        "shrink": 0.7, "aspect": 26, "pad": 0.02
    }  # fmt: skip
    is_log = norm.vmin > 0
    bar = figure.colorbar(image, ax=axes, extend="both", **place)
    bar.set_label(f"{name() if is_log else label} ({unit()})")
    bar.outline.set_linewidth(0.5)
    if is_log:
        axis = bar.ax.xaxis if horizontal else bar.ax.yaxis
        axis.set_major_locator(FixedLocator(decade_ticks(norm)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())


def _row(count: int, frame: Frame) -> tuple[Figure, np.ndarray]:
    """Panels side by side, or two by two where there are four."""
    aspect = min(max(frame.aspect, 0.6), 2.4)
    down, across = (2, 2) if count == 4 else (1, count)
    width = 10.0 / across
    figure = new_figure(10.0, down * ((width - 0.5) / aspect + 1.15))
    return figure, np.atleast_1d(figure.subplots(down, across)).ravel()


def thin_ticks(axes: Axes, left: bool, bottom: bool) -> None:
    """Leave the labels of degrees to the panels at the left and at the bottom."""
    if not left:
        axes.tick_params(labelleft=False)
    if not bottom:
        axes.tick_params(labelbottom=False)


def utc(time: np.datetime64) -> str:
    """A time to the minute, as text."""
    return f"{str(time.astype('datetime64[m]')).replace('T', ' ')} UTC"
