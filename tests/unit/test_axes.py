"""Places between nodes of any axes."""

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid, fine_globe, refine, row_weights
from deepcams.validation.axes import Axes, axes_of, nodes, positions, regular_nodes, row_areas

GAUSS = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(32)[0]))


@pytest.mark.parametrize("west", [0.0, -180.0, -179.75, 100.0])
def test_a_globe_is_turned_to_begin_at_the_date_line_and_fields_with_it(west):
    longitude = west + np.arange(0, 360, 2.5)
    axes, flip, shift = axes_of(np.linspace(-90, 90, 73), longitude, "f.nc")
    assert flip and axes.is_periodic and -180 <= axes.longitude[0] < -177.5 and (np.diff(axes.longitude) > 0).all()
    turned = np.roll(longitude, shift)
    assert np.allclose((turned - axes.longitude) % 360, 0, atol=1e-9) or np.allclose(
        (turned - axes.longitude + 180) % 360 - 180, 0, atol=1e-9
    )


def test_a_box_across_the_date_line_goes_on_rising():
    axes, flip, shift = axes_of(np.array([10.0, 9.0, 8.0]), np.array([178.0, 179.0, -180.0, -179.0]), "f.nc")
    assert not flip and shift == 0 and not axes.is_periodic
    assert axes.longitude.tolist() == [178, 179, 180, 181]
    row, column = positions(axes, np.array([9.0, 9.0, 8.5]), np.array([-179.5, 177.4, 540.0]))
    assert column == pytest.approx([2.5, np.nan, 2.0], nan_ok=True) and row == pytest.approx([1.0, 1.0, 1.5])


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [([1.0], [1.0, 2.0]), ([1.0, 3.0, 2.0], [1.0, 2.0]), ([1.0, 2.0], [2.0, 1.0]), ([100.0, 2.0], [1.0, 2.0]),
     ([[1.0, 2.0], [1.0, 2.0]], [1.0, 2.0])],
    ids=["one node", "zigzag", "westwards", "off the Earth", "curvilinear"],
)  # fmt: skip
def test_axes_that_are_none_are_refused(latitude, longitude):
    with pytest.raises(DeepcamsError, match=r"^f\.nc: latitude"):
        axes_of(np.array(latitude), np.array(longitude), "f.nc")


def test_positions_on_gaussian_latitudes_are_linear_between_nodes():
    axes = Axes(GAUSS[::-1], np.arange(-180, 180, 5.625))
    middle = (axes.latitude[3] + axes.latitude[4]) / 2
    row, column = positions(axes, np.array([middle, 90.0, -90.0]), np.array([-180.0, 179.9, -177.1875]))
    assert row == pytest.approx([3.5, -0.5, 31.5]) and column == pytest.approx([0.0, -0.1 / 5.625, 0.5])


def test_the_last_half_cell_before_the_date_line_belongs_to_the_first_node():
    axes = axes_of(np.linspace(90, -90, 19), np.arange(0, 360, 10.0), "f.nc")[0]
    assert axes.longitude[0] == -180
    _, column, weights = nodes(axes, np.array([5.0, 5.0]), np.array([176.0, 174.0]), "nearest")
    assert column[:, 0].tolist() == [0, 35] and (weights == 1).all()
    _, columns, weights = nodes(axes, np.array([5.0]), np.array([176.0]), "bilinear")
    assert columns[0].tolist() == [35, 0, 35, 0] and weights.sum() == pytest.approx(1)


def test_areas_are_those_of_the_workflow_s_grids_and_sum_to_the_sphere():
    for grid in (fine_globe(), refine(coarse_grid(Region(60.0, 0.0, 57.0, 3.75)))):
        assert row_areas(grid) == pytest.approx(row_weights(grid), rel=1e-9)
    assert row_areas(Axes(GAUSS[::-1], np.arange(0.0, 360.0, 10.0))).sum() == pytest.approx(2.0)


def test_fields_for_maps_are_those_of_the_nearest_nodes():
    axes = axes_of(np.arange(40.0, 44.1, 0.5), np.arange(5.0, 9.1, 0.625), "f.nc")[0]
    grid, rows, columns = regular_nodes(axes)
    assert grid.step == 0.5 and grid.latitude[[0, -1]].tolist() == [44.0, 40.0] and grid.longitude[0] == 5.0
    assert np.abs(axes.latitude[rows] - grid.latitude).max() < 1e-9
    assert np.abs(axes.longitude[columns] - grid.longitude).max() <= 0.3125 + 1e-9
    own, rows, columns = regular_nodes(Axes(fine_globe().latitude, fine_globe().longitude))
    assert own.is_global and rows.tolist() == list(range(721)) and columns.tolist() == list(range(1440))
    gauss = regular_nodes(Axes(GAUSS[::-1], np.arange(-180, 180, 5.625)))[0]
    assert gauss.is_periodic
