"""The coarse (0.75°) and fine (0.25°) grids: nodes, regions, cell areas. Every other module asks here.

Both grids are node-centred and share nodes: fine row 3i and column 3j *is* coarse row i and column j. Files of the
workflow run north to south and from -180° eastwards; longitudes of a region that crosses the date line go on
rising past 180°.
"""

from dataclasses import dataclass

import numpy as np

from deepcams.errors import DeepcamsError

FACTOR = 3  # fine nodes per coarse interval, in each direction
COARSE_STEP = 0.75  # degrees
FINE_STEP = 0.25  # degrees
EARTH = 6371.0  # km, radius


@dataclass(frozen=True)
class Region:
    """A box of coarse nodes, edges included, in degrees; `east` is above `west`, past 180° where it must be."""

    north: float
    west: float
    south: float
    east: float


@dataclass(frozen=True, eq=False)
class Grid:
    """Nodes of a regular grid.

    latitude : (H,) float64, degrees north, descending.  longitude : (W,) float64, degrees east, ascending.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    step: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.latitude), len(self.longitude)

    @property
    def steps(self) -> tuple[float, float]:
        """Distance of rows and of columns, degrees."""
        return self.step, self.step

    @property
    def is_periodic(self) -> bool:
        """Whether the last column is the western neighbour of the first."""
        return len(self.longitude) == round(360 / self.step)

    @property
    def has_north_pole(self) -> bool:
        """Whether the first row is the pole."""
        return self.latitude[0] == 90.0

    @property
    def has_south_pole(self) -> bool:
        """Whether the last row is the pole."""
        return self.latitude[-1] == -90.0

    @property
    def is_global(self) -> bool:
        """Whether it covers the sphere."""
        return self.is_periodic and self.has_north_pole and self.has_south_pole


def coarse_globe() -> Grid:
    """The grid of CAMS EAC4: 241 × 480 nodes, 90 … -90, -180 … 179.25."""
    return _globe(COARSE_STEP)


def fine_globe() -> Grid:
    """The grid of GEOS-CF and of the product: 721 × 1440 nodes, 90 … -90, -180 … 179.75."""
    return _globe(FINE_STEP)


def coarse_grid(region: Region | None = None, halo: int = 0) -> Grid:
    """Coarse nodes of `region` (None: the globe), widened by `halo` nodes on every side as far as the globe goes.

    A box that would meet itself around the globe becomes the whole, periodic circle, starting at -180°; so does one
    whose halo reaches a pole, because what surrounds a pole is all around it.
    Raises DeepcamsError if the box does not lie on coarse nodes.
    """
    globe = coarse_globe()
    if region is None:
        return globe
    check_region(region)
    north = min(90.0, region.north + halo * COARSE_STEP)
    south = max(-90.0, region.south - halo * COARSE_STEP)
    west = region.west - halo * COARSE_STEP
    columns = round((region.east - region.west) / COARSE_STEP) + 1 + 2 * halo
    latitude = _axis(north, round((north - south) / COARSE_STEP) + 1, -COARSE_STEP)
    if columns >= globe.shape[1] or (halo and (north == 90.0 or south == -90.0)):
        return Grid(latitude, globe.longitude, COARSE_STEP)
    return Grid(latitude, _axis(west, columns, COARSE_STEP), COARSE_STEP)


def refine(coarse: Grid) -> Grid:
    """The fine grid of a coarse one: 3(n-1)+1 rows; 3(m-1)+1 columns, or 3m where the grid is periodic."""
    rows, columns = coarse.shape
    fine_columns = FACTOR * columns if coarse.is_periodic else FACTOR * (columns - 1) + 1
    step = coarse.step / FACTOR
    return Grid(
        _axis(coarse.latitude[0], FACTOR * (rows - 1) + 1, -step),
        _axis(coarse.longitude[0], fine_columns, step),
        step,
    )


def check_region(region: Region) -> None:
    """Raise DeepcamsError unless the box lies on coarse nodes and is right way round."""
    problems = region_problems(region)
    if problems:
        raise DeepcamsError("The region is not usable: " + "; ".join(problems) + ".")


def region_problems(region: Region) -> list[str]:
    """What is wrong with a box, in words; empty if nothing is."""
    problems = []
    for name, origin in (("north", 90.0), ("south", 90.0), ("west", -180.0), ("east", -180.0)):
        value = getattr(region, name)
        if not np.isfinite(value):
            problems.append(f"{name} {value} is not a number of degrees")
            continue
        nearest = origin + round((value - origin) / COARSE_STEP) * COARSE_STEP
        if abs(value - nearest) > 1e-9:
            problems.append(f"{name} {value} is not on a 0.75° node (the nearest is {nearest:g})")
    if not -90 <= region.south < region.north <= 90:
        problems.append(f"south {region.south} must be below north {region.north}, both within -90 … 90")
    if not (-180 <= region.west < 180 and region.west < region.east <= region.west + 360 - COARSE_STEP):
        problems.append(
            f"west {region.west} must be in -180 … 179.25 and east {region.east} above it by less than 360 "
            "(across the date line east goes on past 180)"
        )
    return problems


def row_weights(grid: Grid) -> np.ndarray:
    """Area of one cell of each row as a share of the sphere times the number of columns: (H,) float64.

    A row's cell reaches half a step to either side and ends at the pole: weight ∝ sin(φ+δ/2) - sin(φ-δ/2).
    """
    half = grid.step / 2
    upper = np.sin(np.radians(np.minimum(grid.latitude + half, 90.0)))
    lower = np.sin(np.radians(np.maximum(grid.latitude - half, -90.0)))
    return upper - lower


def locate(inner: Grid, outer: Grid) -> tuple[slice, np.ndarray]:
    """Rows (a slice) and columns (an index array, wrapping) of `outer` that are the nodes of `inner`.

    Raises DeepcamsError if `outer` does not hold every node of `inner`.
    """
    top = _index((outer.latitude[0] - inner.latitude[0]) / outer.step)
    left = _index(((inner.longitude[0] - outer.longitude[0]) % 360.0) / outer.step)
    if top is None or left is None or abs(inner.step - outer.step) > 1e-9:
        raise DeepcamsError(f"The nodes of {describe(inner)} are not among those of {describe(outer)}.")
    rows, columns = inner.shape
    indices = left + np.arange(columns)
    if outer.is_periodic:
        indices = indices % outer.shape[1]
    if top < 0 or top + rows > outer.shape[0] or indices[-1] >= outer.shape[1]:
        raise DeepcamsError(f"{describe(outer)} does not cover {describe(inner)}.")
    return slice(top, top + rows), indices


def from_axes(latitude: np.ndarray, longitude: np.ndarray) -> tuple[Grid, bool, int]:
    """Recognise the axes of an input file as a box of one of the two grids.

    latitude : (H,) degrees, either direction.  longitude : (W,) degrees, ascending, in 0 … 360 or -180 … 180.
    Returns the grid in the workflow's order, whether rows must be flipped, and by how many columns a field must
    be rolled (`np.roll(field, shift, axis=-1)`) to start at the grid's first longitude.
    Raises DeepcamsError if the axes are not regular, or not on the nodes of the 0.75° or the 0.25° grid.
    """
    latitude = np.asarray(latitude, dtype=np.float64)
    longitude = np.asarray(longitude, dtype=np.float64)
    if latitude.ndim != 1 or longitude.ndim != 1 or len(latitude) < 2 or len(longitude) < 2:
        raise DeepcamsError("Latitude and longitude must be one-dimensional axes of at least two nodes.")
    flip = latitude[0] < latitude[-1]
    if flip:
        latitude = latitude[::-1]
    step = next((s for s in (COARSE_STEP, FINE_STEP) if abs(latitude[0] - latitude[1] - s) < 1e-3), None)
    if step is None:
        raise DeepcamsError(
            f"The grid has a latitude step of {abs(latitude[0] - latitude[1]):g}° where 0.75° (CAMS EAC4) or "
            "0.25° (GEOS-CF) is expected."
        )
    if not (np.isfinite(latitude).all() and np.isfinite(longitude).all()):
        raise DeepcamsError("Latitude or longitude of the file has missing values.")
    longitude = np.unwrap(longitude, period=360.0)
    tidy_latitude = np.round(latitude / step) * step
    tidy_longitude = np.round(longitude / step) * step
    wrong = (
        np.abs(latitude - tidy_latitude).max() > 1e-3
        or np.abs(longitude - tidy_longitude).max() > 1e-3
        or np.abs(np.diff(tidy_latitude) + step).max() > 1e-9
        or np.abs(np.diff(tidy_longitude) - step).max() > 1e-9
        or np.abs(tidy_latitude).max() > 90.0
        or len(longitude) > round(360 / step)
    )
    if wrong:
        raise DeepcamsError(
            f"Latitude {latitude[0]:g} … {latitude[-1]:g} ({len(latitude)} nodes) and longitude {longitude[0]:g} … "
            f"{longitude[-1]:g} ({len(longitude)} nodes) are not the nodes of a regular {step}° grid."
        )
    if len(longitude) == round(360 / step):
        shift = round((tidy_longitude[0] + 180.0) / step)
        return Grid(tidy_latitude, _axis(-180.0, len(longitude), step), step), bool(flip), shift
    start = (tidy_longitude[0] + 180.0) % 360.0 - 180.0
    return Grid(tidy_latitude, _axis(start, len(longitude), step), step), bool(flip), 0


def describe(grid: Grid) -> str:
    """A grid in words, for messages."""
    rows, columns = grid.shape
    return (
        f"a {grid.step:g}° grid of {rows} × {columns} nodes ({grid.latitude[0]:g} … {grid.latitude[-1]:g}°N, "
        f"{grid.longitude[0]:g} … {grid.longitude[-1]:g}°E)"
    )


def _globe(step: float) -> Grid:
    return Grid(_axis(90.0, round(180 / step) + 1, -step), _axis(-180.0, round(360 / step), step), step)


def _axis(start: float, count: int, step: float) -> np.ndarray:
    return start + step * np.arange(count)  # exact: starts and steps are multiples of 1/4


def _index(value: float) -> int | None:
    return round(value) if abs(value - round(value)) < 1e-6 else None
