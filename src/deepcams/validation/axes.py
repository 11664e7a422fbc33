"""Where places lie between the nodes of a field: any axes of latitude and longitude, regular or not."""

from dataclasses import dataclass

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid


@dataclass(frozen=True, eq=False)
class Axes:
    """Nodes of a field in the order of the workflow.

    latitude : (H,) float64, falling.  longitude : (W,) float64, rising, past 180 where a box crosses the date line.
    """

    latitude: np.ndarray
    longitude: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.latitude), len(self.longitude)

    @property
    def is_periodic(self) -> bool:
        """Whether the last column is the western neighbour of the first."""
        width = self.longitude[-1] - self.longitude[0]
        return abs(360.0 - width - width / (len(self.longitude) - 1)) < 1e-3

    @property
    def steps(self) -> tuple[float, float]:
        """Mean distance of rows and of columns, degrees."""
        return (
            float((self.latitude[0] - self.latitude[-1]) / (len(self.latitude) - 1)),
            float((self.longitude[-1] - self.longitude[0]) / (len(self.longitude) - 1)),
        )


def axes_of(latitude: np.ndarray, longitude: np.ndarray, where: str) -> tuple[Axes, bool, int]:
    """The axes of a file in the order of the workflow.

    Returns them, whether rows must be flipped, and by how many columns fields must be rolled (`np.roll`) so that a
    field that goes round the globe starts at or just after -180°.
    Raises DeepcamsError naming `where` if the axes are not one-dimensional, monotonic and on the Earth.
    """
    latitude, longitude = (np.asarray(axis, dtype=np.float64) for axis in (latitude, longitude))
    if {latitude.ndim, longitude.ndim} != {1} or min(latitude.size, longitude.size) < 2:
        raise DeepcamsError(f"{where}: latitude and longitude must be axes of at least two nodes each.")
    flip = bool(latitude[0] < latitude[-1])
    latitude = latitude[::-1] if flip else latitude
    longitude = np.unwrap(longitude, period=360.0)
    if not (np.all(np.diff(latitude) < 0) and np.all(np.diff(longitude) > 0) and np.abs(latitude).max() <= 90.0 + 1e-6):
        raise DeepcamsError(
            f"{where}: latitudes must rise or fall steadily within -90 … 90 and longitudes rise. Curvilinear grids "
            "must be brought to latitude and longitude first, for instance by `cdo remapbil`."
        )
    axes = Axes(latitude, longitude - 360.0 * np.floor((longitude[0] + 180.0) / 360.0 + 1e-9))
    if not axes.is_periodic:
        return axes, flip, 0
    first = int(np.argmin(np.round((longitude + 180.0) % 360.0, 9)))
    longitude = np.roll(longitude, -first)
    longitude = np.unwrap((longitude + 180.0 + 1e-9) % 360.0 - 180.0 - 1e-9, period=360.0)
    return Axes(latitude, longitude), flip, -first


def positions(axes: Axes, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of places (n,) in steps of nodes, within half a step of the outermost ones; NaN outside these.

    Round a periodic axis columns go from -0.5 to W - 0.5.
    """
    rows, columns = axes.shape
    row = np.interp(-latitude, -_row_edges(axes), _indices_with_edges(rows), left=np.nan, right=np.nan)
    nodes = _with_edges(axes.longitude)
    if axes.is_periodic:  # the edge between the last node and the first one seen again
        half = (axes.longitude[0] + 360.0 - axes.longitude[-1]) / 2
        nodes[0], nodes[-1] = axes.longitude[0] - half, axes.longitude[-1] + half
    turned = (longitude - nodes[0]) % 360.0 + nodes[0]
    column = np.interp(turned, nodes, _indices_with_edges(columns), left=np.nan, right=np.nan)
    return row, column


def nodes(
    axes: Axes, latitude: np.ndarray, longitude: np.ndarray, method: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and weights of the nodes that make up the value at each place.

    latitude, longitude : (P,) degrees, inside the axes (see `positions`).  method : "nearest" or "bilinear".
    Returns (P, 1) or (P, 4) arrays; weights sum to 1.
    """
    row, column = positions(axes, latitude, longitude)
    rows, columns = axes.shape
    if method == "nearest":
        i, j = np.floor(row + 0.5).astype(int).clip(0, rows - 1), np.floor(column + 0.5).astype(int)
        j = j % columns if axes.is_periodic else j.clip(0, columns - 1)
        return i[:, None], j[:, None], np.ones((len(row), 1))
    row = row.clip(0, rows - 1)
    if not axes.is_periodic:
        column = column.clip(0, columns - 1)
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    down, right = row - top, column - left
    bottom = np.minimum(top + 1, rows - 1)
    beyond = (left + 1) % columns if axes.is_periodic else np.minimum(left + 1, columns - 1)
    left = left % columns
    weights = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
    return (
        np.stack([top, top, bottom, bottom], axis=1),
        np.stack([left, beyond, left, beyond], axis=1),
        np.stack(weights, axis=1),
    )


def regular_nodes(axes: Axes) -> tuple[Grid, np.ndarray, np.ndarray]:
    """A grid of one step over any axes, for maps, and the row and column of these nearest to each of its nodes.

    Axes that are such a grid already keep their nodes.
    """
    step = min(axes.steps)
    latitude = axes.latitude[0] - step * np.arange(round((axes.latitude[0] - axes.latitude[-1]) / step) + 1)
    width = 360.0 - step if axes.is_periodic else axes.longitude[-1] - axes.longitude[0]
    longitude = axes.longitude[0] + step * np.arange(round(width / step) + 1)
    inside = latitude.clip(axes.latitude[-1], axes.latitude[0])
    rows = nodes(axes, inside, np.full(len(latitude), axes.longitude[0]), "nearest")[0][:, 0]
    columns = nodes(axes, np.full(len(longitude), axes.latitude[0]), longitude, "nearest")[1][:, 0]
    return Grid(latitude, longitude, step), rows, columns


def row_areas(axes: Axes) -> np.ndarray:
    """Weight of one cell of each row, proportional to its area: (H,) float64; cells end half-way between nodes."""
    outer = _row_edges(axes)
    edges = np.concatenate([outer[:1], (axes.latitude[:-1] + axes.latitude[1:]) / 2, outer[-1:]])
    return -np.diff(np.sin(np.radians(edges.clip(-90, 90))))


def _row_edges(axes: Axes) -> np.ndarray:
    """Rows between the outer edges of the first and the last one; these are the poles if less than a step away."""
    edges = _with_edges(axes.latitude)
    if axes.latitude[0] + axes.steps[0] > 90.0:
        edges[0] = max(edges[0], 90.0)
    if axes.latitude[-1] - axes.steps[0] < -90.0:
        edges[-1] = min(edges[-1], -90.0)
    return edges


def _with_edges(nodes: np.ndarray) -> np.ndarray:
    """Nodes, and before and after them the outer edges of the first and the last cell."""
    first, last = nodes[0] - (nodes[1] - nodes[0]) / 2, nodes[-1] + (nodes[-1] - nodes[-2]) / 2
    return np.concatenate([[first], nodes, [last]])


def _indices_with_edges(count: int) -> np.ndarray:
    return np.concatenate([[-0.5], np.arange(count), [count - 0.5]])
