"""Geometry of the two grids: shared nodes, date line, poles, regions, axes of files."""

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import (
    Grid,
    Region,
    coarse_globe,
    coarse_grid,
    fine_globe,
    from_axes,
    locate,
    refine,
    region_problems,
    row_weights,
)

ASIA = Region(north=45.0, west=60.0, south=-9.0, east=150.0)
PACIFIC = Region(north=15.0, west=165.0, south=-15.0, east=202.5)  # across the date line


def test_globes_have_the_published_nodes():
    coarse, fine = coarse_globe(), fine_globe()
    assert coarse.shape == (241, 480)
    assert fine.shape == (721, 1440)
    assert (coarse.latitude[0], coarse.latitude[1], coarse.latitude[-1]) == (90.0, 89.25, -90.0)
    assert (fine.longitude[0], fine.longitude[1], fine.longitude[-1]) == (-180.0, -179.75, 179.75)
    assert coarse.is_global
    assert fine.is_global


def test_every_third_fine_node_is_a_coarse_node():
    coarse, fine = coarse_globe(), fine_globe()
    np.testing.assert_array_equal(fine.latitude[::3], coarse.latitude)
    np.testing.assert_array_equal(fine.longitude[::3], coarse.longitude)


def test_refining_the_coarse_globe_gives_the_fine_globe():
    fine = refine(coarse_globe())
    np.testing.assert_array_equal(fine.latitude, fine_globe().latitude)
    np.testing.assert_array_equal(fine.longitude, fine_globe().longitude)
    assert fine.step == 0.25


@pytest.mark.parametrize("region", [ASIA, PACIFIC, Region(90.0, -180.0, 60.0, 178.5)])
def test_a_region_refines_to_three_n_minus_two_nodes_inside_the_globe(region):
    coarse = coarse_grid(region)
    fine = refine(coarse)
    n, m = coarse.shape
    assert fine.shape == (3 * (n - 1) + 1, 3 * (m - 1) + 1)
    assert (fine.latitude[0], fine.latitude[-1]) == (region.north, region.south)
    assert (fine.longitude[0], fine.longitude[-1]) == (region.west, region.east)
    rows, columns = locate(fine, fine_globe())
    np.testing.assert_array_equal(fine_globe().latitude[rows], fine.latitude)
    np.testing.assert_array_equal((fine_globe().longitude[columns] - fine.longitude) % 360, 0)


def test_longitudes_across_the_date_line_rise():
    grid = coarse_grid(PACIFIC)
    assert (np.diff(grid.longitude) == 0.75).all()
    assert grid.longitude[-1] == 202.5
    _, columns = locate(grid, coarse_globe())
    assert columns[0] == 460
    assert columns[-1] == 30  # 202.5° is -157.5°


def test_a_halo_widens_and_locate_cuts_it_off():
    wide = coarse_grid(ASIA, halo=5)
    assert wide.shape == tuple(n + 10 for n in coarse_grid(ASIA).shape)
    rows, columns = locate(coarse_grid(ASIA), wide)
    assert (rows.start, columns[0]) == (5, 5)
    assert not wide.is_periodic


def test_a_halo_stops_at_the_pole():
    wide = coarse_grid(Region(89.25, 0.0, 60.0, 30.0), halo=4)
    assert wide.latitude[0] == 90.0
    assert wide.latitude[-1] == 57.0


def test_a_halo_crosses_the_date_line_westwards():
    wide = coarse_grid(Region(30.0, -180.0, 0.0, -150.0), halo=2)
    assert wide.longitude[0] == -181.5
    rows, columns = locate(coarse_grid(Region(30.0, -180.0, 0.0, -150.0)), wide)
    assert (rows.start, columns[0]) == (2, 2)
    assert locate(wide, coarse_globe())[1][0] == 478


def test_a_box_that_meets_itself_becomes_the_circle():
    region = Region(60.0, -90.0, 30.0, 260.0 + 0.25)  # 468 columns
    assert coarse_grid(region).shape[1] == 468
    assert not coarse_grid(region, halo=5).is_periodic
    circle = coarse_grid(region, halo=6)
    assert circle.is_periodic
    assert circle.longitude[0] == -180.0
    _, columns = locate(coarse_grid(region), circle)
    assert len(set(columns.tolist())) == 468
    assert columns[0] == 120


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (Region(45.1, 60.0, 0.0, 90.0), "north 45.1 is not on a 0.75° node (the nearest is 45)"),
        (Region(0.0, 60.0, 45.0, 90.0), "south 45.0 must be below north 0.0"),
        (Region(45.0, 90.0, 0.0, 60.0), "east 60.0 above it"),
        (Region(45.0, -180.0, 0.0, 180.0), "by less than 360"),
        (Region(45.0, 180.0, 0.0, 210.0), "west 180.0 must be in"),
        (Region(float("nan"), 60.0, 0.0, 90.0), "north nan is not a number"),
    ],
)
def test_unusable_regions_are_explained(region, words):
    assert any(words in problem for problem in region_problems(region))
    with pytest.raises(DeepcamsError, match="The region is not usable"):
        coarse_grid(region)


def test_usable_regions_have_no_problems():
    assert region_problems(ASIA) == region_problems(PACIFIC) == []
    assert region_problems(Region(90.0, -180.0, -90.0, 179.25)) == []


@pytest.mark.parametrize("grid", [coarse_globe(), fine_globe()])
def test_row_weights_are_the_sphere_and_symmetric(grid):
    weights = row_weights(grid)
    assert weights.sum() == pytest.approx(2.0, abs=1e-12)  # ∫ cos φ dφ
    np.testing.assert_allclose(weights, weights[::-1], rtol=1e-12)
    half = np.radians(grid.step / 2)
    assert weights[0] == pytest.approx(1 - np.cos(half), rel=1e-9)  # a cap of half a step
    inner = slice(1, -1)
    np.testing.assert_allclose(weights[inner], 2 * np.sin(half) * np.cos(np.radians(grid.latitude[inner])), rtol=1e-9)


def test_locate_refuses_what_is_not_covered():
    asia = coarse_grid(ASIA)
    with pytest.raises(DeepcamsError, match="does not cover"):
        locate(coarse_grid(ASIA, halo=1), asia)
    with pytest.raises(DeepcamsError, match="does not cover"):
        locate(coarse_grid(Region(45.0, 60.0, -9.0, 150.75)), asia)
    with pytest.raises(DeepcamsError, match="not among"):
        locate(refine(asia), asia)
    shifted = Grid(asia.latitude, asia.longitude + 0.25, 0.75)
    with pytest.raises(DeepcamsError, match="not among"):
        locate(shifted, coarse_globe())


def test_ads_axes_are_recognised_and_rolled():
    latitude, longitude = np.linspace(90, -90, 241), np.arange(480) * 0.75
    grid, flip, shift = from_axes(latitude, longitude)
    assert not flip
    rolled = np.roll((longitude + 180) % 360 - 180, shift)
    np.testing.assert_array_equal(rolled, grid.longitude)
    np.testing.assert_array_equal(grid.longitude, coarse_globe().longitude)


def test_portal_axes_are_recognised_and_flipped():
    latitude = np.linspace(-90, 90, 721).astype(np.float32)
    longitude = (np.arange(1440) * 0.25 - 180).astype(np.float32) + np.float32(1e-5)
    grid, flip, shift = from_axes(latitude, longitude)
    assert flip
    assert shift == 0
    np.testing.assert_array_equal(grid.latitude, fine_globe().latitude)
    np.testing.assert_array_equal(grid.longitude, fine_globe().longitude)


def test_a_box_across_the_date_line_is_recognised_in_both_conventions():
    expected = coarse_grid(PACIFIC)
    for longitude in (expected.longitude, (expected.longitude + 180) % 360 - 180):
        grid, flip, shift = from_axes(expected.latitude, longitude)
        assert (flip, shift) == (False, 0)
        np.testing.assert_array_equal(grid.longitude, expected.longitude)


def test_a_box_of_0_to_360_longitudes_in_the_west_gets_negative_ones():
    grid, _, _ = from_axes(np.arange(30, 0, -0.75), np.arange(240, 300, 0.75))
    assert grid.longitude[0] == -120.0


@pytest.mark.parametrize(
    ("latitude", "longitude", "words"),
    [
        (np.arange(90, -91, -0.5), np.arange(0, 360, 0.5), "latitude step of 0.5"),
        (np.arange(90, -91, -0.75), np.arange(0, 361, 0.75), "not the nodes"),
        (np.arange(90, -91, -0.75), np.arange(0, 360, 1.0), "not the nodes"),
        (np.arange(89.875, -90, -0.25), np.arange(0, 360, 0.25), "not the nodes"),
        (np.arange(90.75, -91, -0.75), np.arange(0, 360, 0.75), "not the nodes"),
        (np.array([90.0]), np.arange(0, 360, 0.75), "at least two"),
        (np.array([90.0, 89.25, np.nan, 87.75]), np.arange(0, 360, 0.75), "missing values"),
    ],
)
def test_other_axes_are_refused(latitude, longitude, words):
    with pytest.raises(DeepcamsError, match=words):
        from_axes(latitude, longitude)
