"""Closure: block means given back, never negative, missing stays missing, no blocks to be seen."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid import blocks
from deepcams.grid.blocks import block_mean, spread
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid, fine_globe, refine
from deepcams.grid.pad import level_poles, pad
from deepcams.grid.resample import upsample
from deepcams.inference.closure import HALO, close, closure_error

GLOBE = coarse_globe()
BOX = coarse_grid(Region(30.0, 0.0, 15.0, 30.0))


@pytest.fixture(scope="module")
def coarse():
    """Like the reanalysis: skewed, one cell in eight at or below zero, level poles."""
    rng = np.random.default_rng(0)
    field = rng.lognormal(1, 1.5, (241, 480)).astype(np.float32)
    field[rng.random(field.shape) < 0.125] = 0.0
    field[rng.random(field.shape) < 0.02] = -0.3
    field[0], field[-1] = 0.7, 0.0
    return field


def by_definition(fine, coarse, grid):
    """What `close` does, step by step on the whole fine field and in double precision."""
    result = level_poles(np.maximum(fine.astype(float), 0), refine(grid))
    target = np.maximum(coarse.astype(float), 0)
    around = pad(target, grid, 1)
    height, width = grid.shape
    base = 0.5 * np.fmin.reduce([around[i : i + height, j : j + width] for i in range(3) for j in range(3)])
    target = target - base
    result = np.maximum(result - spread(base, grid), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(3):
            ratio = np.clip(target / block_mean(result, grid), 0.25, 4)
            result *= upsample(np.where(np.isnan(ratio), 1, ratio), grid, "bilinear")
        means = block_mean(result, grid)
        empty = means <= 1e-6 * target
        result *= spread(np.where(empty, 0, target / means), grid)
    return result + spread(base + np.where(empty, target, 0), grid)


@pytest.mark.parametrize(
    "grid",
    [
        GLOBE,
        BOX,
        coarse_grid(Region(90.0, 0.0, 60.0, 30.0), 4),  # round a pole
        coarse_grid(Region(90.0, 0.0, 60.0, 30.0)),
        coarse_grid(Region(-60.0, 170.25, -90.0, 190.5)),
        coarse_grid(Region(1.5, 0.0, 0.0, 0.75)),
    ],
    ids=["globe", "box", "cap", "north", "south", "tiny"],
)
def test_it_is_the_definition(grid, coarse):
    rng = np.random.default_rng(1)
    height, width = grid.shape
    target = coarse[100 : 100 + height, :width].copy() if height < 241 else coarse.copy()
    target[0] += rng.uniform(size=width)  # not one value at a pole
    fine = np.repeat(np.repeat(target, 3, axis=0), 3, axis=1)[: refine(grid).shape[0], : refine(grid).shape[1]]
    fine = (fine * rng.lognormal(0, 0.3, fine.shape) - 0.5).astype(np.float32)
    if height > 10:
        target[5, 7] = target[-1, 3] = target[1, 0] = np.nan
        target[12, 10:14] = 50.0
        fine[33:40, 27:45] = -1.0
        fine[25, 20] = np.nan
        fine[1, 9] = np.nan
    expected = by_definition(fine, target, grid)
    closed = close(fine, target, grid)
    assert closed.dtype == np.float32
    np.testing.assert_allclose(closed, expected, rtol=2e-6)
    np.testing.assert_allclose(close(fine.astype(float), target, grid), expected, rtol=1e-12)


@pytest.mark.parametrize("band", [1, 7, 240, 500])
def test_bands_leave_no_trace(band, coarse, monkeypatch):
    target = coarse.copy()
    target[30, 40:50] = np.nan
    fine = upsample(coarse, GLOBE)
    expected = close(fine, target, GLOBE)
    monkeypatch.setattr(blocks, "BAND", band)
    np.testing.assert_array_equal(close(fine, target, GLOBE), expected)


def test_threads_do_not_disturb_each_other(coarse):
    frames = [np.roll(coarse, k, -1) for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        closed = list(pool.map(lambda frame: close(upsample(frame, GLOBE), frame, GLOBE), frames))
    for k, field in enumerate(closed):
        np.testing.assert_array_equal(field, np.roll(closed[0], 3 * k, -1))


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos3", "nearest"])
def test_block_means_are_the_coarse_field_without_its_negatives(kernel, coarse):
    fine = close(upsample(coarse, GLOBE, kernel), coarse, GLOBE)
    assert fine.dtype == np.float32
    assert fine.min() >= 0
    assert closure_error(fine, coarse, GLOBE) < 5e-7
    np.testing.assert_allclose(block_mean(fine.astype(float), GLOBE), np.maximum(coarse, 0), rtol=5e-7)
    assert np.ptp(fine[0]) == np.ptp(fine[-1]) == 0


def test_double_precision_closes_to_double_precision(coarse):
    fine = close(upsample(coarse.astype(float), GLOBE), coarse, GLOBE)
    assert closure_error(fine, coarse, GLOBE) < 1e-14


def test_what_already_closes_is_left_alone(coarse):
    truth = np.random.default_rng(1).uniform(10, 20, (721, 1440))  # no node below half of the mean of a block nearby
    truth[[0, -1]] = truth[[0, -1], :1]
    np.testing.assert_allclose(close(truth, block_mean(truth, GLOBE), GLOBE), truth, rtol=1e-12)


def test_none_only_cuts_off_below_zero(coarse):
    raw = upsample(coarse, GLOBE)
    assert raw.min() < 0
    np.testing.assert_array_equal(close(raw, coarse, GLOBE, "none"), np.maximum(raw, 0))


def test_empty_blocks_under_a_value_are_filled(coarse):
    fine = upsample(coarse, GLOBE)
    fine[299:302, 599:602] = -1.0
    target = coarse.copy()
    target[100, 200] = 12.0
    closed = close(fine, target, GLOBE)
    np.testing.assert_allclose(closed[299:302, 599:602], 12.0, rtol=1e-6)
    assert closure_error(closed, target, GLOBE) < 5e-7
    assert closure_error(close(np.zeros_like(fine), target, GLOBE), target, GLOBE) < 5e-7


def test_zero_blocks_become_zero(coarse):
    closed = close(np.full((721, 1440), np.float32(3.0)), coarse, GLOBE)
    assert (closed[spread(coarse, GLOBE) <= 0] == 0).all()
    assert (close(closed, np.zeros_like(coarse), GLOBE) == 0).all()


@pytest.mark.parametrize("method", ["none", "block_mean"])
def test_a_missing_coarse_value_is_a_missing_block_and_no_more(method, coarse):
    target = coarse.copy()
    target[100, 200] = target[5, 0] = np.nan
    closed = close(upsample(coarse, GLOBE), target, GLOBE, method)
    expected = np.zeros((721, 1440), bool)
    expected[299:302, 599:602] = True
    expected[14:17, [1439, 0, 1]] = True
    np.testing.assert_array_equal(np.isnan(closed), expected)
    if method == "block_mean":
        assert closure_error(closed, target, GLOBE) < 5e-7


def test_missing_and_empty_blocks_do_not_disturb_their_neighbours():
    coarse = np.full((241, 480), 5.0)
    fine = np.full((721, 1440), 5.0)
    coarse[100, 200] = np.nan
    coarse[50, 100], fine[149:152, 299:302] = 0.0, 0.0
    closed = close(fine, coarse, GLOBE)
    fine[299:302, 599:602] = np.nan
    np.testing.assert_allclose(closed, fine, rtol=1e-12)


def test_a_missing_fine_value_never_becomes_a_number(coarse):
    fine = upsample(coarse, GLOBE)
    fine[300, 600] = np.nan
    closed = close(fine, coarse, GLOBE)
    assert np.isnan(closed[300, 600])
    assert np.isnan(closed).sum() == 9
    assert closure_error(closed, coarse, GLOBE) == np.inf


def test_all_missing():
    nothing = np.full((241, 480), np.float32(np.nan))
    closed = close(np.ones((721, 1440), np.float32), nothing, GLOBE)
    assert np.isnan(closed).all()
    assert closure_error(closed, nothing, GLOBE) == 0.0


def test_closure_error_is_relative_above_the_floor_and_absolute_below():
    coarse = np.full((241, 480), 10.0)
    fine = np.full((721, 1440), 10.0)
    fine[299:302, 599:602] = 11.0
    assert closure_error(fine, coarse, GLOBE) == pytest.approx(0.1)
    assert closure_error(np.full((721, 1440), 1e-3), np.full((241, 480), -5.0), GLOBE) == pytest.approx(0.1)


@pytest.mark.parametrize("k", [1, 240])
def test_rolling_is_exact(k, coarse):
    fine = upsample(coarse, GLOBE)
    rolled = close(np.roll(fine, 3 * k, -1), np.roll(coarse, k, -1), GLOBE)
    np.testing.assert_array_equal(rolled, np.roll(close(fine, coarse, GLOBE), 3 * k, -1))


def test_a_box_equals_the_globe_inside_its_halo(coarse):
    fine = upsample(coarse, GLOBE)
    whole = close(fine, coarse, GLOBE)[240:301, 720:841]
    part = close(fine[240:301, 720:841], coarse[80:101, 240:281], BOX)
    reach = 3 * HALO["block_mean"]
    np.testing.assert_array_equal(part[reach:-reach, reach:-reach], whole[reach:-reach, reach:-reach])
    assert closure_error(part, coarse[80:101, 240:281], BOX) < 5e-7


def test_frames_are_independent_and_input_is_left_alone(coarse):
    frames = np.stack([coarse, coarse[:, ::-1]])
    fine = upsample(frames, GLOBE)
    copy = fine.copy()
    closed = close(fine, frames, GLOBE)
    np.testing.assert_array_equal(fine, copy)
    np.testing.assert_array_equal(closed[1], close(fine[1], frames[1], GLOBE))


def test_blocks_do_not_show_and_skill_is_gained():
    """A smooth field from its block means: closer to the truth than before, without steps at the blocks' borders."""
    fine_grid = fine_globe()
    lon, lat = np.meshgrid(np.radians(fine_grid.longitude), np.radians(fine_grid.latitude))
    truth = np.exp(2 * np.cos(lat) ** 2 * (np.sin(40 * lon) + np.cos(35 * lat) - 1))
    coarse = block_mean(truth, GLOBE)
    raw = upsample(coarse, GLOBE)
    closed = close(raw, coarse, GLOBE)

    def rmse(field):
        return np.sqrt(np.mean((field - truth) ** 2))

    def steps(field):
        jumps = np.abs(np.diff(field[180:540], axis=1))
        return jumps[:, 1::3].mean() / np.concatenate([jumps[:, 0::3], jumps[:, 2::3]], axis=1).mean()

    one_step = raw * spread(coarse / block_mean(raw, GLOBE), GLOBE)
    assert rmse(closed) < 0.8 * rmse(one_step) < rmse(raw)
    assert abs(steps(closed) - steps(truth)) < 0.5 * abs(steps(one_step) - steps(truth))


@pytest.mark.real
def test_skill_and_blockiness_on_geos_cf(real_samples):
    import xarray as xr

    with xr.open_dataset(real_samples / "geoscf_pm25_west_4h.nc") as data:
        fields = data["PM25_RH35_GCC"].values[:, 0, ::-1, : 3 * 239 + 1]
    grid = coarse_grid(Region(90.0, -180.0, -90.0, -0.75))
    inside = slice(380, 709)
    coarse = block_mean(fields, grid)
    raw = upsample(coarse, grid)
    closed = close(raw, coarse, grid)
    one_step = np.maximum(raw, 0)
    one_step *= spread(coarse / block_mean(one_step, grid), grid)
    rmse = [np.sqrt(np.mean((f - fields)[..., inside] ** 2, dtype=float)) for f in (raw, one_step, closed)]
    assert rmse[2] < 0.95 * rmse[1] < 0.9 * rmse[0]
    assert closed.shape == (4, *refine(grid).shape)
    assert closure_error(closed, coarse, grid) < 5e-7


def test_mistakes_are_explained(coarse):
    with pytest.raises(DeepcamsError, match="choose one of none, block_mean"):
        close(np.zeros((721, 1440)), coarse, GLOBE, "additive")
    with pytest.raises(DeepcamsError, match="is not on"):
        close(np.zeros((723, 1440)), coarse, GLOBE)


def test_beside_a_plume_no_node_is_emptied():
    """Bicubic interpolation swings below zero around a single high value; the air there is not empty."""
    grid = coarse_globe()
    coarse = np.full(grid.shape, 12.0, dtype=np.float32)
    coarse[120, 200] = 3000.0
    interpolated = upsample(coarse, grid)
    assert interpolated.min() < 0
    closed = close(interpolated, coarse, grid)
    assert closed.min() > 1.0
    np.testing.assert_allclose(block_mean(closed, grid), coarse, rtol=1e-5)
