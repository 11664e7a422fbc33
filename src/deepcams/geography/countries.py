"""Countries of many places at once, to the 0.25° of the embedded geography."""

from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from deepcams.geography.load import country_index, country_table, places
from deepcams.grid.nodes import EARTH, fine_globe


def countries_at(latitude: np.ndarray, longitude: np.ndarray, reach: float = 50.0) -> np.ndarray:
    """Codes of the countries that are nearest to places, and at most `reach` km away.

    latitude, longitude : (N,) degrees, finite.  Returns (N,) str, "" on the high sea and where land has no code.
    """
    distance, nearest = _all_land().query(_on_sphere(latitude, longitude))
    return np.where(distance <= _chord(reach), _land()[1][nearest], "")


def outside_country(
    country: np.ndarray, latitude: np.ndarray, longitude: np.ndarray, reach: float = 200.0
) -> np.ndarray:
    """Which places are more than `reach` km from the country that they are said to be in, and lie in another one.

    country : (N,) str, codes of two letters.  latitude, longitude : (N,) degrees, finite.  Returns (N,) bool.
    To be sure, False as well for a country that is not known, on the high sea (the grid lacks small islands), within
    the reach of land without a code, and in territories of the country's state or in that state.
    """
    points, codes = _land()
    where = _on_sphere(latitude, longitude)
    found = _all_land().query(where)[0] <= _chord(reach)
    for code in np.unique(country):
        rows = np.flatnonzero(found & (country == code))
        own = np.isin(codes, sorted(_family(code)))
        if code not in places() or not own.any():
            found[rows] = False
        elif rows.size:
            found[rows] = cKDTree(points[own | (codes == "")]).query(where[rows])[0] > _chord(reach)
    return found


def _family(code: str) -> set[str]:
    """A country, the state it belongs to, and all else that does."""
    state = places()[code].state or code if code in places() else code
    return {state, code} | {other for other, place in places().items() if place.state == state}


@cache
def _land() -> tuple[np.ndarray, np.ndarray]:
    """Nodes of all countries, and points of those without one: (M, 3) on the unit sphere, (M,) codes."""
    grid = fine_globe()
    index = country_index(grid)
    row, column = np.nonzero(index)
    codes = np.array([country.code for country in country_table()])
    small = {code: place.point for code, place in places().items() if place.point}
    latitude = np.append(grid.latitude[row], [point[0] for point in small.values()])
    longitude = np.append(grid.longitude[column], [point[1] for point in small.values()])
    return _on_sphere(latitude, longitude), np.append(codes[index[row, column]], list(small))


@cache
def _all_land() -> cKDTree:
    return cKDTree(_land()[0])


def _on_sphere(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    latitude, longitude = np.radians(np.asarray(latitude, np.float64)), np.radians(np.asarray(longitude, np.float64))
    across = np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=-1)


def _chord(kilometres: float) -> float:
    """Length in the unit sphere of a distance on the Earth."""
    return 2 * np.sin(min(kilometres / EARTH, np.pi) / 2)
