"""Stand-ins for missing values."""

import numpy as np
import pytest

from deepcams.grid.fill import filled
from deepcams.grid.nodes import Grid

GLOBE = Grid(90 - 7.5 * np.arange(25), -180 + 7.5 * np.arange(48), 7.5)
BOX = Grid(60 - 0.75 * np.arange(12), 0.75 * np.arange(20), 0.75)


def holed(grid, share=0.4, seed=0):
    random = np.random.default_rng(seed)
    frame = random.random(grid.shape).astype(np.float32)
    return np.where(random.random(grid.shape) < share, np.float32(np.nan), frame)


def distances(frame, grid):
    """Of every node to every valid one, in nodes; round the globe the shorter way: (H, W, valid)."""
    rows, columns = np.nonzero(np.isfinite(frame))
    y, x = np.indices(frame.shape)
    across = np.abs(x[..., None] - columns)
    if grid.is_periodic:
        across = np.minimum(across, frame.shape[1] - across)
    return np.hypot(y[..., None] - rows, across), frame[rows, columns]


@pytest.mark.parametrize("grid", [GLOBE, BOX], ids=["globe", "box"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.97])
def test_a_missing_value_becomes_one_of_its_nearest_valid_neighbours(grid, share):
    frame = holed(grid, share)
    found = filled(frame, grid)
    far, values = distances(frame, grid)
    nearest = far <= far.min(axis=-1, keepdims=True) + 1e-9
    assert ((found[..., None] == values) & nearest).any(axis=-1).all()
    assert found.dtype == np.float32


def test_valid_values_stay_and_nothing_is_changed_in_place():
    frame = holed(GLOBE)
    before = frame.copy()
    found = filled(frame, GLOBE)
    np.testing.assert_array_equal(found[np.isfinite(frame)], frame[np.isfinite(frame)])
    np.testing.assert_array_equal(frame, before)


def test_the_nearest_neighbour_may_lie_across_the_date_line():
    frame = np.ones(GLOBE.shape, np.float32)
    frame[10:15, -4:] = np.nan
    frame[:, 0] = 7
    assert filled(frame, GLOBE)[12, -1] == 7
    assert filled(frame, GLOBE)[12, -4] == 1


def test_a_box_does_not_reach_round_the_globe():
    frame = np.ones(BOX.shape, np.float32)
    frame[:, -4:] = np.nan
    frame[:, 0] = 7
    np.testing.assert_array_equal(filled(frame, BOX)[:, 1:], 1)


def test_infinite_values_count_as_missing():
    frame = np.ones(BOX.shape, np.float32)
    frame[3, 3], frame[5, 5] = np.inf, -np.inf
    np.testing.assert_array_equal(filled(frame, BOX), np.ones(BOX.shape))


def test_a_whole_frame_comes_back_itself_and_an_empty_one_as_zeros():
    whole = holed(BOX, 0)
    assert filled(whole, BOX) is whole
    np.testing.assert_array_equal(filled(np.full(BOX.shape, np.nan), BOX), np.zeros(BOX.shape))
