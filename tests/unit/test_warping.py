"""Warping and splatting: exact where they must be, SciPy's numbers elsewhere, and gradients of both."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch.nn import functional

from deepcams.models.edges import EDGES
from deepcams.models.warping import IMPORTANCE_FLOOR, backward_warp, forward_splat

ROWS, COLUMNS = 9, 13


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def displacement(x, y, batch=1, rows=ROWS, columns=COLUMNS):
    return torch.tensor([x, y], dtype=torch.float64).reshape(1, 2, 1, 1).expand(batch, 2, rows, columns)


def far(batch=2, reach=20.0, seed=5):
    """Displacements anywhere, many of them out of the frame."""
    return (random(batch, 2, ROWS, COLUMNS, seed=seed) - 0.5) * 2 * reach


@pytest.mark.parametrize("edges", EDGES)
def test_no_displacement_returns_the_field_bit_by_bit(edges):
    field = random(2, 3, ROWS, COLUMNS)
    assert torch.equal(backward_warp(field, displacement(0, 0, batch=2), edges), field)


@pytest.mark.parametrize(("x", "y"), [(1, 0), (-2, 0), (0, 3), (0, -1), (4, -2)])
def test_whole_cells_shift_the_field_bit_by_bit(x, y):
    field = random(1, 2, ROWS, COLUMNS)
    rows = np.arange(ROWS) + y
    columns = np.arange(COLUMNS) + x
    repeated = field[:, :, rows.clip(0, ROWS - 1)]
    inside = torch.tensor(np.outer((rows >= 0) & (rows < ROWS), (columns >= 0) & (columns < COLUMNS)))
    flow = displacement(x, y)
    assert torch.equal(backward_warp(field, flow, "periodic"), repeated[..., columns % COLUMNS])
    replicated = repeated[..., columns.clip(0, COLUMNS - 1)]
    assert torch.equal(backward_warp(field, flow, "replicate"), replicated)
    assert torch.equal(backward_warp(field, flow, "zeros"), torch.where(inside, replicated, 0))


@pytest.mark.parametrize("edges", EDGES)
def test_a_plane_is_sampled_exactly_inside(edges):
    y, x = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")
    plane = (2.0 * x - 3.0 * y + 1.0).double()[None, None]
    found = backward_warp(plane, displacement(0.3, -0.6), edges)
    expected = plane + 2.0 * 0.3 - 3.0 * -0.6
    torch.testing.assert_close(found[..., 1:, :-1], expected[..., 1:, :-1], rtol=0, atol=1e-12)


def test_periodic_sampling_blends_across_the_date_line_both_ways_round():
    field = torch.zeros(1, 1, ROWS, COLUMNS, dtype=torch.float64)
    field[..., 0], field[..., -1] = 8.0, 4.0
    eastward = backward_warp(field, displacement(0.25, 0), "periodic")
    assert eastward[0, 0, 0, -1] == 0.75 * 4 + 0.25 * 8
    westward = backward_warp(field, displacement(-0.25, 0), "periodic")
    assert westward[0, 0, 0, 0] == 0.75 * 8 + 0.25 * 4
    round_the_globe = backward_warp(field, displacement(0.25 - 3 * COLUMNS, 0), "periodic")
    torch.testing.assert_close(round_the_globe, eastward)


def test_rows_do_not_wrap():
    field = random(1, 1, ROWS, COLUMNS)
    beyond_the_pole = backward_warp(field, displacement(0, -ROWS), "periodic")
    assert torch.equal(beyond_the_pole, field[:, :, :1].expand_as(field))


@pytest.mark.parametrize(("edges", "mode"), [("zeros", "grid-constant"), ("replicate", "nearest")])
def test_sampling_agrees_with_scipy(edges, mode):
    field, flow = random(2, 3, ROWS, COLUMNS), far()
    found = backward_warp(field, flow, edges)
    places = np.stack(np.indices((ROWS, COLUMNS)))[None] + flow.numpy()[:, ::-1]
    for b in range(2):
        for c in range(3):
            expected = map_coordinates(field[b, c].numpy(), places[b], order=1, mode=mode)
            np.testing.assert_allclose(found[b, c].numpy(), expected, rtol=0, atol=1e-12)


def test_periodic_sampling_agrees_with_scipy_whose_rows_wrap_too():
    field, flow = random(2, 3, ROWS, COLUMNS), far()
    y = torch.arange(ROWS)[:, None] + flow[:, 1]
    flow[:, 1] += y.clamp(0, ROWS - 1) - y  # keep to rows of the frame, where the two mean the same
    found = backward_warp(field, flow, "periodic")
    places = np.stack(np.indices((ROWS, COLUMNS)))[None] + flow.numpy()[:, ::-1]
    places[:, 0] = places[:, 0].clip(0, ROWS - 1)
    for b in range(2):
        for c in range(3):
            expected = map_coordinates(field[b, c].numpy(), places[b], order=1, mode="grid-wrap")
            np.testing.assert_allclose(found[b, c].numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("edges", "padding"), [("zeros", "zeros"), ("replicate", "border")])
def test_sampling_and_its_gradients_agree_with_grid_sample(edges, padding):
    field, flow = random(2, 3, ROWS, COLUMNS).requires_grad_(), far(reach=5.0).requires_grad_()
    weight = random(2, 3, ROWS, COLUMNS, seed=9)
    y, x = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")
    places = torch.stack([2 * (x + flow[:, 0]) / (COLUMNS - 1) - 1, 2 * (y + flow[:, 1]) / (ROWS - 1) - 1], dim=-1)
    expected = functional.grid_sample(field, places, padding_mode=padding, align_corners=True)
    found = backward_warp(field, flow, edges)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    wanted = torch.autograd.grad((expected * weight).sum(), [field, flow])
    gradients = torch.autograd.grad((found * weight).sum(), [field, flow])
    for gradient, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, want, rtol=0, atol=1e-10)


def test_sampling_is_as_exact_at_the_last_column_as_at_the_first():
    columns, fraction = 1440, 0.1
    field = torch.zeros(1, 1, 1, columns)
    field[..., ::2] = 1000.0
    found = backward_warp(field, displacement(fraction, 0, rows=1, columns=columns).float(), "periodic")
    np.testing.assert_allclose(found[0, 0, 0, ::2].numpy(), 900.0, rtol=0, atol=1e-4)


@pytest.mark.parametrize("by", [1, 5, -3])
def test_rolling_the_globe_rolls_what_is_warped_and_splatted(by):
    values, flow, importance = random(2, 3, ROWS, COLUMNS), far(), random(2, 1, ROWS, COLUMNS, seed=3)
    rolled = [x.roll(by, dims=-1) for x in (values, flow, importance)]
    assert torch.equal(
        backward_warp(*rolled[:2], "periodic"), backward_warp(values, flow, "periodic").roll(by, dims=-1)
    )
    sums, weights = forward_splat(values, flow, importance, "periodic")
    rolled_sums, rolled_weights = forward_splat(*rolled, "periodic")
    torch.testing.assert_close(rolled_sums, sums.roll(by, dims=-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(rolled_weights, weights.roll(by, dims=-1), rtol=0, atol=1e-12)


def splatted_one_by_one(values, flow, importance, edges):
    """The definition, cell by cell and node by node."""
    sums, weights = np.zeros(values.shape), np.zeros(importance.shape)
    for b, row, column in np.ndindex(values.shape[0], ROWS, COLUMNS):
        x, y = column + flow[b, 0, row, column], row + flow[b, 1, row, column]
        for j in (int(np.floor(y)), int(np.floor(y)) + 1):
            for i in (int(np.floor(x)), int(np.floor(x)) + 1):
                node = i % COLUMNS if edges == "periodic" else i
                if 0 <= j < ROWS and 0 <= node < COLUMNS:
                    w = (importance[b, 0, row, column] + IMPORTANCE_FLOOR) * np.exp(-((x - i) ** 2) - (y - j) ** 2)
                    sums[b, :, j, node] += w * values[b, :, row, column]
                    weights[b, 0, j, node] += w
    return sums, weights


@pytest.mark.parametrize("edges", EDGES)
def test_splatting_is_what_its_definition_says(edges):
    values, flow, importance = random(2, 3, ROWS, COLUMNS), far(reach=6.0), random(2, 1, ROWS, COLUMNS, seed=3)
    found = forward_splat(values, flow, importance, edges)
    for sums, expected in zip(
        found, splatted_one_by_one(values.numpy(), flow.numpy(), importance.numpy(), edges), strict=True
    ):
        np.testing.assert_allclose(sums.numpy(), expected, rtol=0, atol=1e-12)


def node_weight(x, y):
    """What a cell displaced by fractions (x, y) gives to its four nodes together, at importance 1."""
    return sum(np.exp(-((x - i) ** 2) - (y - j) ** 2) for i in (0, 1) for j in (0, 1)) * (1 + IMPORTANCE_FLOOR)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.3, 0.6), (-1.2, 2.5)])
def test_splatting_conserves_what_stays_inside(x, y):
    values = torch.zeros(1, 2, ROWS, COLUMNS, dtype=torch.float64)
    values[..., 3:-4, 3:-4] = random(1, 2, ROWS - 7, COLUMNS - 7)
    sums, _ = forward_splat(values, displacement(x, y), torch.ones(1, 1, ROWS, COLUMNS).double(), "zeros")
    share = node_weight(x - np.floor(x), y - np.floor(y))
    torch.testing.assert_close(sums.sum(dim=(2, 3)), share * values.sum(dim=(2, 3)))


def test_splatting_loses_what_leaves_but_not_across_the_date_line():
    values = random(1, 2, ROWS, COLUMNS)
    importance = torch.ones(1, 1, ROWS, COLUMNS, dtype=torch.float64)
    gone, weights = forward_splat(values, displacement(COLUMNS + 1, 0), importance, "zeros")
    assert not gone.any() and not weights.any()
    # Rows in whole cells: the row below each cell gets its share, and what the last row gives to that is lost.
    kept, _ = forward_splat(values, displacement(4.5, 0), importance, "periodic")
    share = node_weight(0.5, 0.0)
    below = share * np.exp(-1) / (1 + np.exp(-1))
    expected = share * values.sum(dim=(2, 3)) - below * values[:, :, -1].sum(dim=-1)
    torch.testing.assert_close(kept.sum(dim=(2, 3)), expected)


def test_the_mean_of_equal_arrivals_is_their_value():
    values = torch.full((2, 3, ROWS, COLUMNS), 7.0, dtype=torch.float64)
    sums, weights = forward_splat(values, far(reach=3.0), random(2, 1, ROWS, COLUMNS), "periodic")
    arrived = (weights > 0).expand_as(sums)
    assert arrived.any()
    torch.testing.assert_close((sums / weights)[arrived], values[arrived])


@pytest.mark.parametrize("edges", EDGES)
def test_gradients_are_those_of_finite_differences(edges):
    field, importance = random(2, 2, 4, 5), random(2, 1, 4, 5, seed=1)
    flow = (random(2, 2, 4, 5, seed=2) * 0.8 + 0.1) + torch.randint(-3, 4, (2, 2, 4, 5))  # no kinks: never whole cells
    for x in (field, flow, importance):
        x.requires_grad_()
    assert torch.autograd.gradcheck(lambda *x: backward_warp(*x, edges), (field, flow))
    assert torch.autograd.gradcheck(lambda *x: forward_splat(*x, edges), (field, flow, importance))


def test_no_displacement_still_has_a_slope():
    field = random(1, 1, ROWS, COLUMNS)
    flow = torch.zeros(1, 2, ROWS, COLUMNS, dtype=torch.float64, requires_grad=True)
    backward_warp(field, flow, "periodic").sum().backward()
    torch.testing.assert_close(flow.grad[:, :1], field.roll(-1, dims=-1) - field)


@pytest.mark.parametrize("shape", [(1, 2, ROWS, COLUMNS + 1), (2, 2, ROWS, COLUMNS), (1, 3, ROWS, COLUMNS)])
def test_a_displacement_of_another_shape_is_refused_by_both_shapes(shape):
    field, flow = torch.zeros(1, 4, ROWS, COLUMNS), torch.zeros(shape)
    with pytest.raises(ValueError, match=r"Displacement \(.*\) does not fit field \(1, 4, 9, 13\)") as caught:
        backward_warp(field, flow, "zeros")
    assert str(shape) in str(caught.value)
    with pytest.raises(ValueError, match="Displacement"):
        forward_splat(field, flow, torch.zeros(1, 1, ROWS, COLUMNS), "zeros")


def test_importance_of_another_shape_is_refused():
    field, flow = torch.zeros(1, 4, ROWS, COLUMNS), torch.zeros(1, 2, ROWS, COLUMNS)
    with pytest.raises(ValueError, match=r"Importance \(1, 2, 9, 13\) does not fit values \(1, 4, 9, 13\)"):
        forward_splat(field, flow, torch.zeros(1, 2, ROWS, COLUMNS), "zeros")


def test_fields_without_a_batch_and_unknown_edges_are_refused():
    field, flow = torch.zeros(1, 4, ROWS, COLUMNS), torch.zeros(1, 2, ROWS, COLUMNS)
    with pytest.raises(ValueError, match=r"shape \(B, C, H, W\) but got \(4, 9, 13\)"):
        backward_warp(field[0], flow, "zeros")
    with pytest.raises(ValueError, match="Unknown edges 'globe'; choose one of zeros, replicate, periodic"):
        backward_warp(field, flow, "globe")
