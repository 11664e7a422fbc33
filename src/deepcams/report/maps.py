"""Maps with coastlines: Equal Earth for the globe, plate carrée in true proportions for a region. Works offline."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from deepcams.geography.load import coastlines
from deepcams.grid.nodes import Grid
from deepcams.report.quantity import label as name
from deepcams.report.quantity import unit
from deepcams.report.style import decade_ticks, new_figure

COAST = "#3b4754"
MISSING = "#e8ebee"
# Šavrič, Patterson & Jenny (2019), Int. J. Geogr. Inf. Sci. 33, 454-465.
_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
_ROOT3 = np.sqrt(3.0)


def equal_earth(longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Plane coordinates of places (degrees) on a unit sphere, centred on the prime meridian."""
    theta = np.arcsin(_ROOT3 / 2 * np.sin(np.radians(latitude)))
    squared = theta**2
    x = 2 * _ROOT3 * np.radians(longitude) * np.cos(theta) / (3 * _slope(squared))
    return x, theta * (_A1 + _A2 * squared + squared**3 * (_A3 + _A4 * squared))


def inverse_equal_earth(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude (degrees) of plane coordinates; NaN outside the map."""
    theta = y / _A1
    for _ in range(12):  # Newton; converges in fewer steps everywhere on the map
        squared = theta**2
        error = theta * (_A1 + _A2 * squared + squared**3 * (_A3 + _A4 * squared)) - y
        theta = theta - error / _slope(squared)
    sine = 2 / _ROOT3 * np.sin(theta)
    longitude = np.degrees(3 * x * _slope(theta**2) / (2 * _ROOT3 * np.cos(theta)))
    outside = (np.abs(sine) > 1 + 1e-9) | (np.abs(longitude) > 180 + 1e-9)
    latitude = np.degrees(np.arcsin(sine.clip(-1, 1)))
    return np.where(outside, np.nan, longitude), np.where(outside, np.nan, latitude)


def _slope(squared: np.ndarray) -> np.ndarray:
    return _A1 + 3 * _A2 * squared + squared**3 * (7 * _A3 + 9 * _A4 * squared)


FLATTEST = 0.3  # of a degree of longitude to one of latitude on paper: near a pole a box stays legible


@dataclass(frozen=True)
class Frame:
    """What part of the Earth a map shows. `globe`: all of it, in Equal Earth; else the box, in plate carrée.

    Longitudes of a box go on rising across the date line.
    """

    globe: bool
    north: float = 90.0
    west: float = -180.0
    south: float = -90.0
    east: float = 180.0

    @property
    def aspect(self) -> float:
        """Width over height on paper."""
        if self.globe:
            return 2.05
        middle = np.cos(np.radians((self.north + self.south) / 2))
        return float((self.east - self.west) * max(middle, FLATTEST) / (self.north - self.south))

    def project(self, longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates on the map of places in degrees."""
        longitude, latitude = np.asarray(longitude, float), np.asarray(latitude, float)
        if self.globe:
            return equal_earth((longitude + 180.0) % 360.0 - 180.0, latitude)
        return (longitude - self.west) % 360.0 + self.west, latitude


def frame_of(grid: Grid) -> Frame:
    """The map that shows a grid: the globe for a global one, else its box."""
    if grid.is_periodic and grid.latitude[0] - grid.latitude[-1] > 120:
        return Frame(globe=True)
    half = grid.step / 2
    north, south = min(90.0, grid.latitude[0] + half), max(-90.0, grid.latitude[-1] - half)
    return Frame(False, north, grid.longitude[0] - half, south, grid.longitude[-1] + half)


def cut(field: np.ndarray, grid: Grid, frame: Frame) -> tuple[np.ndarray, Grid]:
    """The part of a field (H, W) that a map shows, with the nodes just outside it, its longitudes those of the map."""
    if frame.globe:
        return field, grid
    rows = np.flatnonzero((grid.latitude < frame.north + grid.step) & (grid.latitude > frame.south - grid.step))
    west = frame.west - grid.step
    turned = (grid.longitude - west) % 360.0 + west
    columns = np.argsort(turned, kind="stable")
    columns = columns[turned[columns] < frame.east + grid.step]
    inside = Grid(grid.latitude[rows], turned[columns], grid.step)
    return field[rows][:, columns], inside


def draw_field(
    axes: Axes,
    field: np.ndarray,
    grid: Grid,
    norm: Normalize,
    cmap: str | Colormap,
    frame: Frame | None = None,
    width: int = 1100,
) -> AxesImage:
    """Draw a field (H, W) with coastlines; `width`: pixels of a global map. Returns the image, for a colour bar."""
    frame = frame or frame_of(grid)
    values, extent = raster(field, grid, norm, frame, width)
    image = axes.imshow(values, extent=extent, norm=norm, cmap=cmap, zorder=1, aspect="auto", interpolation="nearest")
    if frame.globe:
        image.set_clip_path(_outline(axes, "none"))
    prepare(axes, frame)
    return image


def raster(
    field: np.ndarray, grid: Grid, norm: Normalize, frame: Frame, width: int = 1100
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """What `draw_field` shows: values in rows of pixels, and their extent (left, right, bottom, top) on the map."""
    if frame.globe:
        right, top = _half_axes()
        values = sample(field, grid, *_pixels(width))
        extent = (-right, right, -top, top)
    else:
        half = grid.step / 2
        values = field
        extent = (
            grid.longitude[0] - half, grid.longitude[-1] + half, grid.latitude[-1] - half, grid.latitude[0] + half
        )  # fmt: skip
    if isinstance(norm, LogNorm):
        values = np.where(values <= 0, norm.vmin / 2, values)  # zero is a value: the lowest colour, not that of missing
    return values, extent


@lru_cache(maxsize=4)
def _pixels(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of the pixels of a global map, NaN beside it."""
    right, top = _half_axes()
    height = round(width * top / right)
    x = (np.arange(width) + 0.5) / width * 2 * right - right
    y = top - (np.arange(height) + 0.5) / height * 2 * top
    return inverse_equal_earth(*np.meshgrid(x, y))


def prepare(axes: Axes, frame: Frame) -> None:
    """Set up axes as a map: extent, proportions, outline or ticks, coastlines."""
    axes.add_collection(LineCollection(coasts(frame), colors=COAST, linewidths=0.45, zorder=3, capstyle="round"))
    if frame.globe:
        right, top = _half_axes()
        axes.set_axis_off()
        axes.set_xlim(-right * 1.005, right * 1.005)
        axes.set_ylim(-top * 1.01, top * 1.01)
        axes.set_aspect("equal")
        axes.add_patch(_outline(axes, MISSING, zorder=0))
        axes.add_patch(_outline(axes, "none", zorder=4))
        return
    axes.set_facecolor(MISSING)
    axes.set_xlim(frame.west, frame.east)
    axes.set_ylim(frame.south, frame.north)
    axes.set_aspect(1 / max(float(np.cos(np.radians((frame.north + frame.south) / 2))), FLATTEST))
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _degrees((value + 180) % 360 - 180, "E", "W")))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _degrees(value, "N", "S")))
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)


def panels(count: int, frame: Frame) -> tuple[Figure, np.ndarray]:
    """A figure for maps of one frame: of the globe below each other, of a box side by side, four two by two."""
    if frame.globe:
        figure = new_figure(8.2, 0.2 + 3.85 * count)
        return figure, figure.subplots(count, 1, squeeze=False).ravel()
    aspect = min(max(frame.aspect, 0.6), 2.4)
    down, across = (2, 2) if count == 4 else (1, count)
    whole = 10.0 if count > 1 else 6.0
    figure = new_figure(whole, down * ((whole / across - 0.5) / aspect + 1.15))
    return figure, figure.subplots(down, across, squeeze=False).ravel()


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
    is_log = isinstance(norm, LogNorm)
    bar = figure.colorbar(image, ax=axes, extend="both", **place)
    bar.set_label(f"{name() if is_log else label} ({unit()})")
    bar.outline.set_linewidth(0.5)
    axis = bar.ax.xaxis if horizontal else bar.ax.yaxis
    axis.set_major_locator(FixedLocator(decade_ticks(norm) if is_log else np.linspace(norm.vmin, norm.vmax, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def thin_ticks(axes: Axes, left: bool, bottom: bool) -> None:
    """Leave the labels of degrees to the panels at the left and at the bottom."""
    if not left:
        axes.tick_params(labelleft=False)
    if not bottom:
        axes.tick_params(labelbottom=False)


def sample(field: np.ndarray, grid: Grid, longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Value of the nearest node at places; NaN where a place is NaN or outside the grid."""
    rows, columns = grid.shape
    with np.errstate(invalid="ignore"):
        row = np.floor((grid.latitude[0] - latitude) / grid.step + 0.5)
        column = np.floor(((longitude - grid.longitude[0] + grid.step / 2) % 360.0) / grid.step)
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        i, j = np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)
    return np.where(inside, field[i, j], np.nan)


def _half_axes() -> tuple[float, float]:
    x, y = equal_earth(np.array([180.0, 0.0]), np.array([0.0, 90.0]))
    return float(x[0]), float(y[1])


@lru_cache(maxsize=8)  # a figure's panels mostly show the same part of the Earth
def coasts(frame: Frame) -> list[np.ndarray]:
    """Coastlines in a map's coordinates: list of (N, 2); of a box also what is cut by its edge, uncut."""
    if frame.globe:
        return [np.column_stack(equal_earth(line[:, 0], line[:, 1])) for line in coastlines()]
    lines = []
    for line in coastlines():
        for turn in (-360.0, 0.0, 360.0):
            x, y = line[:, 0] + turn, line[:, 1]
            if x.max() >= frame.west and x.min() <= frame.east and y.max() >= frame.south and y.min() <= frame.north:
                lines.append(np.column_stack([x, y]))
    return lines


def _outline(axes: Axes, colour: str, zorder: float = 0) -> PathPatch:
    latitude = np.linspace(-90, 90, 181)
    sides = [equal_earth(np.full(181, 180.0), latitude), equal_earth(np.full(181, -180.0), latitude[::-1])]
    vertices = np.concatenate([np.column_stack(side) for side in sides])
    path = Path(np.concatenate([vertices, vertices[:1]]), closed=True)
    return PathPatch(
        path, facecolor=colour, edgecolor="#7b8794", linewidth=0.7, zorder=zorder, transform=axes.transData
    )


def _degrees(value: float, positive: str, negative: str) -> str:
    if abs(value) < 1e-9:
        return "0°"
    if abs(abs(value) - 180) < 1e-9 and positive == "E":
        return "180°"
    return f"{abs(value):g}°{positive if value > 0 else negative}"
