"""Blocks of fine nodes: means by area, polar caps, edges of boxes, and back."""

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid import blocks
from deepcams.grid.blocks import (
    bands,
    block_mean,
    coarse_around,
    coarse_within,
    coarsen,
    gather,
    places,
    scatter,
    spread,
)
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, fine_globe, refine, row_weights

GLOBE = coarse_globe()
BOX = coarse_grid(Region(30.0, 0.0, 15.0, 30.0))


@pytest.fixture(scope="module")
def fine():
    return np.random.default_rng(0).lognormal(1, 1, (721, 1440))


def test_a_block_is_the_nine_nodes_around_its_coarse_node(fine):
    means = block_mean(fine, GLOBE)
    weights = row_weights(fine_globe())
    for i, j in ((1, 0), (1, 479), (100, 0), (100, 217), (239, 479)):
        rows, columns = range(3 * i - 1, 3 * i + 2), [(3 * j + d) % 1440 for d in (-1, 0, 1)]
        total = sum(weights[r] * fine[r, c] for r in rows for c in columns)
        assert means[i, j] == pytest.approx(total / (3 * sum(weights[r] for r in rows)), rel=1e-12)


def test_a_pole_is_its_cap(fine):
    means = block_mean(fine, GLOBE)
    weights = row_weights(fine_globe())
    for row, inner, outer in ((0, 0, 1), (-1, -1, -2)):
        cap = (weights[inner] * fine[inner].mean() + weights[outer] * fine[outer].mean()) / (
            weights[inner] + weights[outer]
        )
        np.testing.assert_allclose(means[row], cap, rtol=1e-12)
        assert np.ptp(means[row]) == 0


def test_blocks_cover_the_sphere_once(fine):
    """The total over the coarse cells' own blocks is the total over the fine ones."""
    fine_weights = row_weights(fine_globe())
    block_weights = np.array([fine_weights[max(0, 3 * i - 1) : 3 * i + 2].sum() * 3 for i in range(241)])
    total = (block_mean(fine, GLOBE) * block_weights[:, None]).sum()
    assert total == pytest.approx((fine * fine_weights[:, None]).sum(), rel=1e-12)


@pytest.mark.parametrize("k", [1, 100, 479])
def test_rolling_is_exact_in_single_precision(fine, k):
    single = fine.astype(np.float32)
    rolled = block_mean(np.roll(single, 3 * k, -1), GLOBE)
    np.testing.assert_array_equal(rolled, np.roll(block_mean(single, GLOBE), k, -1))
    coarse = rolled.copy()
    np.testing.assert_array_equal(spread(np.roll(coarse, k, -1), GLOBE), np.roll(spread(coarse, GLOBE), 3 * k, -1))


def test_spread_is_the_inverse(fine):
    means = block_mean(fine, GLOBE)
    np.testing.assert_allclose(block_mean(spread(means, GLOBE), GLOBE), means, rtol=1e-14)
    wide = spread(means, GLOBE)
    assert wide.shape == (721, 1440)
    assert wide[299, 1439] == wide[301, 1] == means[100, 0]
    assert wide[298, 2] == means[99, 1]


def test_a_box_agrees_with_the_globe_inside_and_averages_what_it_has_at_its_edges(fine):
    rows, columns = slice(240, 301), slice(720, 841)  # 30 … 15°N, 0 … 30°E
    part = fine[rows, columns]
    means = block_mean(part, BOX)
    np.testing.assert_allclose(means[1:-1, 1:-1], block_mean(fine, GLOBE)[81:100, 241:280], rtol=1e-13)
    weights = row_weights(refine(BOX))[:2, None]
    np.testing.assert_allclose(means[0, 0], (part[:2, :2] * weights).sum() / (2 * weights.sum()), rtol=1e-12)
    np.testing.assert_allclose(block_mean(spread(means, BOX), BOX), means, rtol=1e-13)


def test_missing_values_stay_missing_and_stay_put(fine):
    holed = fine.copy()
    holed[300, 600] = np.nan
    means = block_mean(holed, GLOBE)
    assert np.argwhere(np.isnan(means)).tolist() == [[100, 200]]
    assert np.isnan(spread(means, GLOBE)).sum() == 9
    holed[1, 5] = np.nan  # in the northern cap
    assert np.isnan(block_mean(holed, GLOBE)[0]).all()


def test_frames_are_independent_and_types_kept(fine):
    frames = np.stack([fine, 2 * fine]).astype(np.float32)
    means = block_mean(frames, GLOBE)
    assert means.dtype == np.float32
    np.testing.assert_array_equal(means[0], block_mean(frames[0], GLOBE))
    assert spread(means, GLOBE).dtype == np.float32


def test_means_of_single_precision_can_be_had_in_double(fine):
    single = fine.astype(np.float32)
    means = block_mean(single, GLOBE, np.float64)
    assert means.dtype == np.float64
    np.testing.assert_array_equal(means, block_mean(single.astype(float), GLOBE))


@pytest.mark.parametrize("band", [1, 50, 500])
def test_bands_leave_no_trace(fine, band, monkeypatch):
    expected = block_mean(fine, GLOBE)
    monkeypatch.setattr(blocks, "BAND", band)
    np.testing.assert_array_equal(block_mean(fine, GLOBE), expected)


@pytest.mark.parametrize("grid", [GLOBE, BOX], ids=["globe", "box"])
def test_every_node_has_one_place_in_the_block_it_lies_in(grid):
    height, width = refine(grid).shape
    numbers = np.arange(float(height * width)).reshape(height, width)
    back = np.full_like(numbers, -1.0)
    for band, rows, kept in bands(grid, 2):
        nodes = dict(gather(numbers, grid, rows))
        assert nodes[1, 1].shape == band.shape
        for place, pieces in places(grid, kept, rows.start).items():
            scatter(nodes[place], pieces, back)
    np.testing.assert_array_equal(back, numbers)
    nodes = dict(gather(numbers, grid, slice(3, 6)))
    assert nodes[0, 2][1, 2] == numbers[3 * 4 - 1, 3 * 2 + 1]
    assert nodes[2, 0][0, 0] == (numbers[3 * 3 + 1, -1] if grid.is_periodic else 0)


def test_wrong_shapes_are_refused():
    with pytest.raises(DeepcamsError, match="is not on"):
        block_mean(np.zeros((723, 1440)), GLOBE)
    with pytest.raises(DeepcamsError, match="is not on"):
        spread(np.zeros((240, 480)), GLOBE)


def test_coarsen_inverts_refine():
    for grid in (GLOBE, BOX):
        back = coarsen(refine(grid))
        np.testing.assert_array_equal(back.latitude, grid.latitude)
        np.testing.assert_array_equal(back.longitude, grid.longitude)
    with pytest.raises(DeepcamsError, match="begin and end"):
        coarsen(Grid(refine(BOX).latitude[1:], refine(BOX).longitude, 0.25))
    with pytest.raises(DeepcamsError, match=r"0\.25° grid is expected"):
        coarsen(BOX)


@pytest.mark.parametrize(("west", "width"), [(-180.0, 720), (-179.75, 100), (10.25, 61), (179.5, 30), (-180.0, 1439)])
def test_coarse_nodes_within_and_around_a_fine_box(west, width):
    fine = Grid(30.25 - 0.25 * np.arange(40), west + 0.25 * np.arange(width), 0.25)
    inner, rows, columns = coarse_within(fine)
    np.testing.assert_array_equal(refine(inner).latitude, fine.latitude[rows])
    np.testing.assert_array_equal(refine(inner).longitude, fine.longitude[columns])
    assert (inner.longitude * 4 % 3 == 0).all()
    if width == 1439:
        with pytest.raises(DeepcamsError, match="not quite, a full circle"):
            coarse_around(fine)
        return
    outer, ((north, south), (left, right)) = coarse_around(fine)
    wide = refine(outer)
    assert max(north, south, left, right) <= 2
    assert wide.shape == (40 + north + south, width + left + right)
    np.testing.assert_array_equal(wide.latitude[north : north + 40], fine.latitude)
    np.testing.assert_array_equal(wide.longitude[left : left + width], fine.longitude)
    assert (outer.latitude * 4 % 3 == 0).all()
    assert (outer.longitude * 4 % 3 == 0).all()


def test_coarse_nodes_around_the_globe_are_the_coarse_globe():
    grid, widening = coarse_around(fine_globe())
    assert grid.is_global
    assert widening == ((0, 0), (0, 0))
