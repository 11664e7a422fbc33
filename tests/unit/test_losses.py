"""The losses against NumPy, recipe by recipe, and what they do to a flow."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from deepcams.models.interpolated import Interpolated
from deepcams.models.transform import TRANSFORMS
from deepcams.training.losses import smoothness, spatial_loss, temporal_loss

ASINH, CLIPPED = TRANSFORMS["asinh"], TRANSFORMS["clipped_800"]
RECIPES = [("published", CLIPPED), ("as_printed", CLIPPED), ("corrected", ASINH)]
SCALE = 17.0  # ug m-3


def cubic(x, a):
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def reduction(size, factor, *, antialias):
    """Matrix (size / factor, size) of bicubic reduction, centres of cells; a = -0.75, or low-passed with a = -0.5."""
    matrix = np.zeros((size // factor, size))
    for row in range(size // factor):
        centre = (row + 0.5) * factor - 0.5
        if antialias:
            weights = cubic((np.arange(size) - centre) / factor, -0.5)
            matrix[row] = weights / weights.sum()
        else:
            for node in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
                matrix[row, np.clip(node, 0, size - 1)] += cubic(node - centre, -0.75)
    return matrix


def reduced(field, factor, *, antialias=False):
    rows, columns = (reduction(size, factor, antialias=antialias) for size in field.shape[-2:])
    return rows @ field @ columns.T


def rough(flow, field, exponent):
    """Eq. 5, as a mean; exponent : of the field's gradient along one axis."""
    return (
        sum(
            (np.exp(-exponent(np.abs(np.diff(field, axis=x)))) * np.abs(np.diff(flow, axis=x))).mean() for x in (-2, -1)
        )
        / 2
    )


@pytest.fixture
def case():
    """Estimates at two levels, a flow on a quarter of the grid, and the truth in ug m-3: NumPy, float64."""
    random = np.random.default_rng(4)
    truth = random.gamma(0.5, 40, (2, 1, 16, 24))
    truth[0, 0, 3, 5], truth[1, 0, 9, 9] = 1200.0, -0.2
    fields = [random.gamma(2, 1, (2, 1, 16 // 2**level, 24 // 2**level)) for level in (0, 1)]
    return fields, random.normal(0, 0.4, (2, 4, 4, 6)), truth


def found(fields, flow):
    flat = torch.zeros(2, 1, 16, 24)
    return Interpolated([torch.tensor(field) for field in fields], [torch.tensor(flow)], flat, flat)


def alike(target):
    """Weights of one."""
    return torch.ones(len(target), 1, target.shape[-2], 1, dtype=target.dtype)


def in_time(fields, flow, truth, transform, recipe, weight=None):
    """Loss and parts, as numbers."""
    truth = torch.tensor(truth)
    weight = alike(truth) if weight is None else torch.tensor(weight)
    loss, parts = temporal_loss(found(fields, flow), truth, transform, recipe, weight, SCALE)
    return loss.item(), parts["reconstruction"].item(), parts["smoothness"].item()


def values(case, transform, recipe):
    return in_time(*case, transform, recipe)


def distances(fields, truth, *, antialias):
    """Eq. 4's terms."""
    return [
        np.abs(fields[0] - truth).mean(),
        np.abs(fields[1] - reduced(truth, 2, antialias=antialias)).mean(),
    ]


def test_published_is_the_mean_over_levels_and_smoothness_by_the_squared_gradient(case):
    fields, flow, truth = case
    truth = np.clip(truth, 0, 800) / 800
    distance = np.mean(distances(fields, truth, antialias=False))
    smooth = rough(flow, reduced(truth, 4), lambda edge: 150**2 * edge**2)
    np.testing.assert_allclose(
        values(case, CLIPPED, "published"), (distance + 0.5 * smooth, distance, smooth), rtol=1e-9
    )


def test_as_printed_is_the_sum_over_levels_and_smoothness_by_the_gradient_itself(case):
    fields, flow, truth = case
    truth = np.clip(truth, 0, 800) / 800
    distance = np.sum(distances(fields, truth, antialias=False))
    smooth = rough(flow, reduced(truth, 4), lambda edge: 150**2 * edge)
    np.testing.assert_allclose(
        values(case, CLIPPED, "as_printed"), (distance + 0.5 * smooth, distance, smooth), rtol=1e-9
    )


def corrected(fields, flow, truth, weight):
    """Loss, distance and smoothness of one example; weight : of the rows of full resolution, all NumPy."""
    seen, rows = np.arcsinh(truth), weight[:, None]
    fine = (rows * np.abs(fields[0] - seen)).mean()
    rows_of_pairs = (rows[::2] + rows[1::2]) / 2
    coarse = (rows_of_pairs * np.abs(fields[1] - reduced(seen, 2, antialias=True))).mean()
    distance = (fine + coarse) / 2 + 0.5 * (rows * np.abs(np.sinh(fields[0]) - truth)).mean() / SCALE
    smooth = rough(flow, reduced(seen, 4, antialias=True), lambda edge: edge / edge.mean())
    return distance * (1 + 0.5 * smooth), distance, smooth


def test_corrected_adds_the_relative_error_low_passes_the_truth_and_weighs_smoothness_by_the_loss_of_each_example(case):
    fields, flow, truth = case
    weight = np.random.default_rng(7).uniform(0.2, 1.5, (2, 1, 16, 1))
    each = [corrected([field[k, 0] for field in fields], flow[k], truth[k, 0], weight[k, 0, :, 0]) for k in range(2)]
    found = in_time(*case, ASINH, "corrected", weight)
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-9)


@pytest.mark.parametrize(("recipe", "transform"), RECIPES)
def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_examples(case, recipe, transform):
    fields, flow, truth = case
    weight = np.random.default_rng(8).uniform(0.2, 1.5, (2, 1, 16, 1))
    halves = [
        in_time(
            [field[k : k + 1] for field in fields],
            flow[k : k + 1],
            truth[k : k + 1],
            transform,
            recipe,
            weight[k : k + 1],
        )
        for k in range(2)
    ]
    np.testing.assert_allclose(in_time(*case, transform, recipe, weight), np.mean(halves, axis=0), rtol=1e-12)
    assert abs(halves[0][0] - halves[1][0]) > 0.01 * halves[0][0]  # the examples are not alike
    estimate, target, rows = (torch.tensor(array) for array in (fields[0], truth, weight))
    parts = [spatial_loss(estimate[k], target[k], transform, recipe, rows[k], SCALE)[0] for k in ([0], [1], [0, 1])]
    assert (parts[0] + parts[1]).item() / 2 == pytest.approx(parts[2].item(), rel=1e-12)
    assert abs(parts[0] - parts[1]) > 0.01 * parts[0]


def test_a_row_counts_for_its_weight_and_no_other(case):
    fields, _, truth = case
    estimate, target = torch.tensor(fields[0]), torch.tensor(truth)
    weight = alike(target)
    weight[:, :, :8] = 0
    for recipe, transform in RECIPES:
        of_the_rest = spatial_loss(estimate[..., 8:, :], target[..., 8:, :], transform, recipe, weight[:, :, 8:], SCALE)
        whole = spatial_loss(estimate, target, transform, recipe, weight, SCALE)
        assert whole[0].item() == pytest.approx(of_the_rest[0].item() / 2)


def test_corrected_smoothness_scales_with_the_loss_but_does_not_teach_the_field(case):
    fields, flow, truth = case
    gradients = []
    for tried in (flow, np.zeros_like(flow)):
        estimate = found(fields, tried)
        field = estimate.fields[0].requires_grad_()
        target = torch.tensor(truth)
        loss, parts = temporal_loss(estimate, target, ASINH, "corrected", alike(target), SCALE)
        loss.backward()
        gradients.append(field.grad)
        assert (loss > parts["reconstruction"]) == (parts["smoothness"] > 0)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("recipe", "transform"), RECIPES)
def test_motion_that_is_smooth_as_it_is_made_pays_nothing_for_smoothness(case, recipe, transform):
    fields, flow, truth = case
    estimate, target = found(fields, flow), torch.tensor(truth)
    rest = target, transform, recipe, alike(target), SCALE
    loss, parts = temporal_loss(estimate, *rest, smoothed=True)
    paid, same = temporal_loss(estimate, *rest)
    assert loss == parts["reconstruction"] == same["reconstruction"]
    assert parts["smoothness"] == same["smoothness"] > 0
    assert paid > loss


@pytest.mark.parametrize(("recipe", "transform"), RECIPES)
@pytest.mark.parametrize("speed", [0.0, 3.0])
def test_a_flow_that_is_the_same_everywhere_costs_nothing(case, recipe, transform, speed):
    fields, flow, truth = case
    loss, distance, smooth = values((fields, np.full_like(flow, speed), truth), transform, recipe)
    assert smooth == 0
    assert loss == distance


def test_a_field_without_gradient_lets_no_flow_change_for_free():
    flow = torch.linspace(0, 3, 8).expand(1, 4, 8, 8)
    for kind in ("plain", "squared", "relative"):
        assert smoothness(flow, torch.ones(1, 1, 8, 8), kind).item() == pytest.approx(3 / 7 / 2)


def slope_of_the_loss(recipe, transform, truth, flow):
    """d loss / d length of the flow close to zero, for two frames that the flow displaces into the truth."""
    height, width = truth.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")

    def displaced(field, by):
        at = torch.stack([(columns + by[:, 0]) / (width - 1), (rows + by[:, 1]) / (height - 1)], dim=-1) * 2 - 1
        return functional.grid_sample(field, at.float(), padding_mode="border", align_corners=True)

    whole = functional.interpolate(flow, size=(height, width), mode="bilinear")
    frames = [transform.forward(displaced(truth, sign * whole)) for sign in (-1, 1)]
    length = torch.tensor(0.05, requires_grad=True)
    middle = sum(displaced(frame, -sign * length * whole) for frame, sign in zip(frames, (-1, 1), strict=True)) / 2
    both = torch.cat([length * flow, -length * flow], dim=1)
    estimate = Interpolated([middle], [both], torch.zeros(1), torch.zeros(1))
    loss, parts = temporal_loss(estimate, truth, transform, recipe, alike(truth), 8.0)
    loss.backward()
    return length.grad.item(), parts["reconstruction"].item()


def test_published_smoothness_holds_a_true_flow_at_zero_where_the_corrected_one_lets_it_grow():
    random = np.random.default_rng(1)
    noise = gaussian_filter(random.standard_normal((64, 64)), 3)
    truth = torch.tensor(8 * np.exp(0.8 * noise / noise.std()), dtype=torch.float32)[None, None]
    steps = gaussian_filter(random.standard_normal((2, 16, 16)), (0, 2, 2))
    flow = torch.tensor(1.5 * steps / steps.std(), dtype=torch.float32)[None]
    held, size = slope_of_the_loss("published", CLIPPED, truth, flow)
    assert size < 5e-3  # as small as on GEOS-CF
    assert held > 0
    assert slope_of_the_loss("corrected", ASINH, truth, flow)[0] < 0


@pytest.mark.parametrize("recipe", ["published", "as_printed", "corrected"])
def test_the_loss_in_space_is_the_mean_distance_and_corrected_the_relative_error_beside_it(case, recipe):
    fields, _, truth = case
    transform = ASINH if recipe == "corrected" else CLIPPED
    if recipe == "corrected":
        expected = np.abs(fields[0] - np.arcsinh(truth)).mean()
        expected += 0.5 * np.abs(np.sinh(fields[0]) - truth).mean() / SCALE
    else:
        expected = np.abs(fields[0] - np.clip(truth, 0, 800) / 800).mean()
    target = torch.tensor(truth)
    loss, parts = spatial_loss(torch.tensor(fields[0]), target, transform, recipe, alike(target), SCALE)
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert parts["reconstruction"].item() == pytest.approx(expected, rel=1e-9)


def test_air_without_particles_gives_a_finite_loss():
    nothing = torch.zeros(1, 1, 8, 8)
    estimate = Interpolated([nothing], [torch.zeros(1, 4, 8, 8)], nothing, nothing)
    for recipe, transform in (("corrected", ASINH), ("published", CLIPPED)):
        for scale in (SCALE, 0.0):
            rest = nothing, transform, recipe, alike(nothing), scale
            assert temporal_loss(estimate, *rest)[0].item() == 0
            assert spatial_loss(nothing, *rest)[0].item() == 0
