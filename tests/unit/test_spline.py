"""Splines between nodes: SciPy's numbers, what they reproduce exactly, and that nothing becomes negative."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch.nn import functional

from deepcams.models.spline import REACH, displaced
from deepcams.models.warping import backward_warp

HALO = 14
ROWS, COLUMNS = 9, 13
LEFT_OUT = 5e-5  # of the largest value: the inverse of the B-spline is cut off


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def field(batch=2, seed=0):
    """Few high peaks, as of fires."""
    return 20 * random(batch, 1, ROWS + 2 * HALO, COLUMNS + 2 * HALO, seed=seed) ** 6


def flows(batch=2, reach=2.5, seed=5):
    return (random(batch, 2, ROWS, COLUMNS, seed=seed) - 0.5) * 2 * reach


def uniform(x, y, batch=1):
    return torch.tensor([x, y], dtype=torch.float64).view(1, 2, 1, 1).expand(batch, 2, ROWS, COLUMNS)


def inside(fields):
    return fields[..., HALO:-HALO, HALO:-HALO]


def places(flow):
    """Rows and columns among those of the field, (2, ROWS, COLUMNS)."""
    return np.stack(np.indices((ROWS, COLUMNS))) + HALO + flow.numpy()[::-1]


def smallest_around(values, place):
    row, column = np.floor(place).astype(int)
    return np.minimum.reduce([values[row + south, column + east] for south in (0, 1) for east in (0, 1)])


def test_sampling_agrees_with_scipy_but_for_the_floor():
    frames, flow = field(), flows()
    found = displaced(frames, flow)
    assert found.shape == (2, 1, ROWS, COLUMNS)
    floored = 0
    for frame, displacement, sampled in zip(frames[:, 0].numpy(), flow, found[:, 0].numpy(), strict=True):
        place = places(displacement)
        spline, floor = map_coordinates(frame, place, order=3, mode="mirror"), smallest_around(frame, place)
        floored += (spline < floor - 0.01).sum()
        np.testing.assert_allclose(sampled, np.maximum(spline, floor), rtol=0, atol=LEFT_OUT * 20)
    assert floored > 5


def test_nothing_falls_below_the_smallest_of_the_four_around():
    frames, flow = field(), flows()
    found = displaced(frames, flow)[:, 0].numpy()
    for frame, displacement, sampled in zip(frames[:, 0].numpy(), flow, found, strict=True):
        assert (sampled >= smallest_around(frame, places(displacement))).all()
    assert found.min() >= 0


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 0), (-2, 0), (0, 3), (4, -4)])
def test_whole_cells_shift_the_field(x, y):
    frames = field(batch=1)
    expected = inside(frames.roll((-y, -x), (-2, -1)))
    torch.testing.assert_close(displaced(frames, uniform(x, y)), expected, rtol=0, atol=LEFT_OUT * 20)


def polynomial(degree):
    def value(x, y):
        return 3.0 + x + 2 * y + (0.02 * (x**2 + x * y) if degree > 1 else 0) + (0.001 * y**3 if degree > 2 else 0)

    return value


@pytest.mark.parametrize(("degree", "within"), [(1, 1e-11), (3, 2e-3)])
def test_what_a_cubic_spline_can_be_it_is(degree, within):
    value = polynomial(degree)
    y, x = torch.meshgrid(torch.arange(37.0).double(), torch.arange(41.0).double(), indexing="ij")
    flow = flows(batch=1)
    found = displaced(value(x, y)[None, None], flow)[0, 0]
    expected = value(inside(x) + flow[0, 0], inside(y) + flow[0, 1])
    torch.testing.assert_close(found, expected, rtol=0, atol=within)


def test_a_narrow_plume_keeps_its_peak_where_linear_sampling_flattens_it():
    y, x = torch.meshgrid(torch.arange(37.0), torch.arange(41.0), indexing="ij")

    def plume(column):
        return 100 * torch.exp(-((x - column) ** 2 + (y - 18) ** 2) / 2)

    truth = inside(plume(19.5))
    flow = uniform(0.5, 0).float()
    found = displaced(plume(20.0)[None, None], flow)[0, 0]
    linear = inside(backward_warp(plume(20.0)[None, None], functional.pad(flow, (HALO,) * 4), "replicate"))[0, 0]
    assert (found - truth).abs().max() < 2
    assert (linear - truth).abs().max() > 7


def test_nothing_further_away_than_its_reach_is_seen():
    """So that a box with enough around it is sampled as the globe is."""
    frames, flow = field(batch=1), flows(batch=1, reach=2.0)
    edge = HALO - REACH - 2
    cut = displaced(frames[..., edge:-edge, edge:-edge], flow)
    torch.testing.assert_close(cut, displaced(frames, flow), rtol=0, atol=1e-12)


@pytest.mark.parametrize("by", [1, 5, -3])
def test_rolling_the_globe_rolls_what_is_displaced(by):
    def round_the_globe(frames, flow):
        return displaced(functional.pad(frames, (HALO, HALO, 0, 0), mode="circular"), flow)

    frames, flow = random(1, 1, ROWS + 2 * HALO, 20), 4 * random(1, 2, ROWS, 20, seed=5) - 2
    rolled = round_the_globe(frames.roll(by, -1), flow.roll(by, -1))
    torch.testing.assert_close(rolled, round_the_globe(frames, flow).roll(by, -1), rtol=0, atol=1e-12)


def test_examples_do_not_see_each_other():
    frames, flow = field(), flows()
    alone = torch.cat([displaced(frames[k : k + 1], flow[k : k + 1]) for k in range(2)])
    torch.testing.assert_close(displaced(frames, flow), alone, rtol=0, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    frames = random(1, 1, 16, 17).requires_grad_()
    flow = (0.1 + 0.8 * random(1, 2, 2, 3, seed=2) + torch.tensor([1.0, -2.0]).view(1, 2, 1, 1)).requires_grad_()
    assert torch.autograd.gradcheck(displaced, (frames, flow))


def test_the_highest_peak_next_to_nothing_stays_finite_and_positive():
    frames = torch.zeros(1, 1, ROWS + 2 * HALO, COLUMNS + 2 * HALO)
    frames[..., 18, 20] = 3657
    found = displaced(frames, flows(batch=1).float())
    assert torch.isfinite(found).all() and found.min() >= 0
