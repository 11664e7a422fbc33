"""Distances of nodes to the nearest observation, against all distances one by one."""

import numpy as np
import pytest

from deepcams.fusion.cells import Cells
from deepcams.fusion.distance import distance_to_station
from deepcams.grid.nodes import EARTH, Grid, Region, coarse_globe, coarse_grid, fine_globe, refine

DATE_LINE = refine(coarse_grid(Region(21.0, 170.25, 12.0, 190.5)))
ARCTIC = refine(coarse_grid(Region(90.0, 0.0, 75.0, 30.0)))
TWO = Grid(np.array([1.0, 0.0]), np.array([-180.0, 0.0]), 180.0)


def cells(*places, value=1.0):
    row, column = np.array(places, np.int64).reshape(-1, 2).T
    return Cells(row, column, np.full(len(row), value))


def angle(latitude, longitude, other_latitude, other_longitude):
    """Between directions on the sphere, by their vectors: accurate for all angles."""

    def vector(north, east):
        north, east = np.radians(north), np.radians(east)
        return np.stack(
            np.broadcast_arrays(np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)), -1
        )

    a, b = vector(latitude, longitude), vector(other_latitude, other_longitude)
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1))


def one_by_one(grid, found):
    distances = [
        EARTH * angle(grid.latitude[:, None], grid.longitude[None], grid.latitude[row], grid.longitude[column])
        for row, column in zip(found.row, found.column, strict=True)
    ]
    return np.min(distances, axis=0)


@pytest.mark.parametrize("grid", [coarse_globe(), DATE_LINE, ARCTIC], ids=["globe", "date line", "pole"])
@pytest.mark.parametrize("number", [2, 40])
def test_distances_are_the_least_of_all(grid, number):
    rng = np.random.default_rng(number)
    places = np.column_stack([rng.integers(0, size, number) for size in grid.shape])
    found = distance_to_station(grid, cells(*np.unique(places, axis=0)))
    assert found.shape == grid.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, one_by_one(grid, cells(*places)), rtol=2e-6, atol=1e-6)
    assert (found[tuple(places.T)] == 0).all()


def test_the_globe_has_no_edge_at_the_date_line():
    found = distance_to_station(fine_globe(), cells((360, 0)))
    assert found[360, [1, 1439]] == pytest.approx(EARTH * np.radians(0.25), rel=1e-6)
    assert np.allclose(found[:, 1:], found[:, :0:-1], rtol=1e-6)


@pytest.mark.parametrize("columns", [(2, 200, 470), (0, 479), (100, 110), (300, 470)])
def test_of_the_cells_in_a_row_the_nearest_either_way_round_counts(columns):
    found = cells(*((100, column) for column in columns))
    np.testing.assert_allclose(distance_to_station(coarse_globe(), found), one_by_one(coarse_globe(), found), rtol=2e-6)


def test_a_pole_is_one_place_and_all_meridians_lead_there():
    found = distance_to_station(fine_globe(), cells((0, 0)))
    assert np.abs(found[0]).max() < 1e-6
    assert np.allclose(found, EARTH * np.radians(90 - fine_globe().latitude)[:, None], rtol=1e-6, atol=4.0)
    assert np.ptp(found, axis=1).max() < 1e-2
    near_pole = distance_to_station(fine_globe(), cells((4, 0)))
    assert near_pole[4, 720] == pytest.approx(2 * EARTH * np.radians(1.0), rel=1e-6), "across the pole"
    assert np.ptp(near_pole[0]) < 1e-3


def test_a_cell_on_the_other_side_of_the_earth_is_half_its_girth_away():
    assert distance_to_station(TWO, cells((1, 0)))[1, 1] == pytest.approx(np.pi * EARTH, abs=4.0)


@pytest.mark.parametrize("found", [cells(), cells((3, 3), value=np.nan)], ids=["none", "no value"])
def test_without_any_value_no_distance_is_known(found):
    distance = distance_to_station(DATE_LINE, found)
    assert np.isnan(distance).all() and distance.shape == DATE_LINE.shape and distance.dtype == np.float32


def test_cells_without_a_value_do_not_count():
    two = cells((3, 3), (20, 20))
    known = Cells(two.row, two.column, np.array([np.nan, 0.0]))
    assert np.array_equal(distance_to_station(DATE_LINE, known), distance_to_station(DATE_LINE, cells((20, 20))))
