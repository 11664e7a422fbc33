"""The report's figures of fields at one time: means and a zoom. Each takes data and returns a figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from deepcams.grid.nodes import Grid
from deepcams.report.maps import colour_bar, draw_field, frame_of, panels
from deepcams.report.style import (
    CONCENTRATION,
    DIFFERENCE,
    NAMES,
    capital,
    concentration_scale,
    difference_scale,
    styled,
)

Field = tuple[np.ndarray, Grid]


@styled
def mean_maps(product: Field, cams: Field | None = None, names: Mapping[str, str] = NAMES) -> Figure:
    """Mean of CAMS, of the product, and the difference, CAMS bilinear on the fine nodes (Xiao et al. 2022, Fig. 8).

    product, cams : (H, W) in the report's unit, and its grid. Without CAMS: the mean of the product.
    """
    names = {**NAMES, **names}
    shown, difference = _compared(product, cams, names)
    return _maps(shown, difference, product[1])


@styled
def zoom(
    time: np.datetime64,
    product: Field,
    cams: Field | None = None,
    truth: np.ndarray | None = None,
    names: Mapping[str, str] = NAMES,
) -> Figure:
    """A box of CAMS and of the product; with a known truth also that and the product's error (their Fig. 3, 4).

    product, cams : (H, W) in the report's unit, and its grid.  truth : on the product's grid. The maps show that grid.
    """
    names = {**NAMES, **names}
    shown, difference = _compared(product, cams, names)
    if truth is not None:
        shown.append(_panel("truth", truth, product[1]))
        difference = f"{capital(names['product'])} minus truth", product[0] - truth
    figure = _maps(shown, difference, product[1])
    figure.axes[0].annotate(utc(time), (0, 1), (0, 22), xycoords="axes fraction", textcoords="offset points")
    return figure


Panel = tuple[str, np.ndarray, Grid]


def _panel(name: str, field: np.ndarray, grid: Grid) -> Panel:
    return with_step(name, grid), field, grid


def with_step(name: str, grid: Grid) -> str:
    """A field's name as a title, with its resolution: CAMS, 0.75°."""
    return f"{capital(name)}, {grid.step:.3g}°"


def _compared(product: Field, cams: Field | None, names: Mapping[str, str]):
    """Panels of CAMS, if there is any, and of the product; and their difference, else None."""
    if cams is None:
        return [_panel(names["product"], *product)], None
    return [_panel(names["cams"], *cams), _panel(names["product"], *product)], _against(product, cams, names)


def _against(product: Field, cams: Field, names: Mapping[str, str]) -> tuple[str, np.ndarray]:
    text = f"{capital(names['product'])} minus {names['cams']}"
    return f"{text} (bilinear)", product[0] - bilinear(*cams, product[1])


def _maps(shown: Sequence[Panel], difference: tuple[str, np.ndarray] | None, grid: Grid) -> Figure:
    """Maps of fields on one scale, and last that of a difference on `grid`, whose part of the Earth all show."""
    frame = frame_of(grid)
    norm = concentration_scale(*[field for _, field, _ in shown])
    figure, places = panels(len(shown) + (difference is not None), frame)
    for axes, (title, field, of) in zip(places, shown, strict=False):
        image = draw_field(axes, field, of, norm, CONCENTRATION, frame)
        axes.set_title(title)
        colour_bar(figure, image, axes, norm, horizontal=not frame.globe)
    if difference is not None:
        limits = difference_scale(difference[1])
        image = draw_field(places[-1], difference[1], grid, limits, DIFFERENCE, frame)
        places[-1].set_title(difference[0])
        colour_bar(figure, image, places[-1], limits, horizontal=not frame.globe)
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


def utc(time: np.datetime64) -> str:
    """A time to the minute, as text."""
    return f"{str(time.astype('datetime64[m]')).replace('T', ' ')} UTC"
