"""Interpolation along motion: where things are between two frames, at edges and poles, and with values missing."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, refine
from deepcams.models.optical_flow import optical_flow
from deepcams.models.temporal_interpolation import linear

THIRDS = (1 / 3, 2 / 3)
BOX = coarse_grid(Region(45.0, 0.0, 15.0, 60.0))  # 41 × 81 nodes
FLOW = optical_flow()


def blob(grid, row, column, radius=4.0, height=80.0):
    """Concentrations around a place given in nodes; columns go round a globe."""
    rows, columns = np.indices(grid.shape)
    across = np.abs(columns - column)
    if grid.is_periodic:
        across = np.minimum(across % grid.shape[1], -across % grid.shape[1])
    distance2 = (rows - row) ** 2 + across**2
    return (2 + height * np.exp(-0.5 * distance2 / radius**2)).astype(np.float32)


def peak(field):
    return np.unravel_index(field.argmax(), field.shape)


def error(found, truth):
    return float(np.sqrt(np.mean((found.astype(float) - truth) ** 2)))


@pytest.mark.parametrize("grid", [BOX, refine(BOX)], ids=["0.75", "0.25"])
@pytest.mark.parametrize(("down", "right"), [(0.0, 6.0), (-4.5, -3.0), (5.0, 0.0)])
def test_what_moves_is_found_on_its_way_and_linear_leaves_two_halves(grid, down, right):
    row, column = grid.shape[0] / 2, grid.shape[1] / 2
    first, last = blob(grid, row, column), blob(grid, row + down, column + right)
    for found, halves, t in zip(
        FLOW.between(first, last, THIRDS, grid), linear().between(first, last, THIRDS), THIRDS, strict=True
    ):
        truth = blob(grid, row + t * down, column + t * right)
        assert error(found, truth) < 0.2 * error(halves, truth)
        np.testing.assert_allclose(peak(found), peak(truth), atol=1)


def test_motion_goes_on_across_the_date_line():
    grid = coarse_globe()
    first, last = blob(grid, 120, 477.0), blob(grid, 120, 483.0)
    for found, t in zip(FLOW.between(first, last, THIRDS, grid), THIRDS, strict=True):
        truth = blob(grid, 120, 477 + 6 * t)
        assert error(found, truth) < 0.2 * error((1 - t) * first + t * last, truth)
        np.testing.assert_allclose(peak(found), peak(truth), atol=1)


def test_a_globe_that_is_rolled_gives_the_result_rolled():
    grid = coarse_globe()
    first, last = (
        blob(grid, 100, place, 12) + blob(grid, 60, place + 240, 6) + blob(grid, 150, place + 150, 9)
        for place in (470.0, 474.0)
    )
    found = FLOW.between(first, last, THIRDS, grid)
    added = error(found[0], linear().between(first, last, THIRDS)[0])
    for shift in (240, 77):
        rolled = FLOW.between(np.roll(first, shift, -1), np.roll(last, shift, -1), THIRDS, grid)
        assert error(np.roll(rolled, -shift, -1), found) < 0.05 * added


def test_a_pole_is_one_point():
    grid = coarse_globe()
    first, last = (blob(grid, 2, 100.0) + blob(grid, 238, column) for column in (300.0, 320.0))
    first[[0, -1]], last[[0, -1]] = 50, 60
    found = FLOW.between(first, last, THIRDS, grid)
    assert np.ptp(found[:, [0, -1]], axis=-1).max() == 0


@pytest.mark.parametrize("grid", [BOX, coarse_globe()], ids=["box", "globe"])
def test_at_the_ends_the_frames_themselves_come_back(grid):
    first, last = np.random.default_rng(0).gamma(2, 10, (2, *grid.shape)).astype(np.float32)
    first[3, 5] = np.nan
    found = FLOW.between(first, last, (0.0, 1.0), grid)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], first)
    np.testing.assert_array_equal(found[1], np.where(np.isnan(first), np.nan, last))


def test_missing_in_either_frame_is_missing_between_and_nowhere_else():
    first, last = blob(BOX, 20, 40), blob(BOX, 20, 44)
    whole = FLOW.between(first, last, THIRDS, BOX)
    first[30, 10], last[10, 70] = np.nan, np.nan
    found = FLOW.between(first, last, THIRDS, BOX)
    missing = np.isnan(first + last)
    assert (np.isnan(found) == missing).all()
    np.testing.assert_allclose(found[:, ~missing], whole[:, ~missing], atol=0.5)


def test_nothing_leaves_the_range_of_the_frames():
    first, last = np.zeros((2, *BOX.shape), dtype=np.float32)
    first[15:25, 30:40], last[15:25, 33:43] = 100, 100  # cliffs, beside which splines swing
    found = FLOW.between(first, last, THIRDS, BOX)
    assert found.min() == 0 and found.max() == 100


def test_what_stands_still_stays():
    field = np.random.default_rng(1).gamma(2, 10, BOX.shape).astype(np.float32)
    np.testing.assert_allclose(FLOW.between(field, field, THIRDS, BOX), [field, field], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(2, 2), (3, 200), (150, 2)])
def test_small_boxes_will_do(shape):
    grid = Grid(60 - 0.25 * np.arange(shape[0]), 0.25 * np.arange(shape[1]), 0.25)
    first, last = np.random.default_rng(2).gamma(2, 10, (2, *shape)).astype(np.float32)
    assert np.isfinite(FLOW.between(first, last, THIRDS, grid)).all()


def test_the_number_of_threads_changes_nothing_and_is_left_alone():
    grid = refine(BOX)
    first, last = np.random.default_rng(3).gamma(2, 10, (2, *grid.shape)).astype(np.float32)
    before, found = cv2.getNumThreads(), []
    try:
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            found.append(FLOW.between(first, last, THIRDS, grid))
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(*found)


def test_opencv_is_imported_only_to_find_motion():
    code = "import sys, deepcams.validation.scores as s; s.baselines('temporal'); print('cv2' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
