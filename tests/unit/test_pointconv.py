"""Normalised convolutions of scattered observations, beside the equations written out node by node."""

import numpy as np
import pytest
import torch

from deepcams.models.pointconv import FLOOR, PointConv

SHAPE = (23, 37)


def scattered(share, *, shape=SHAPE, variables=2, seed=0):
    """Positive values with gross nonsense where nothing is observed, and validity: (1, V, H, W) float64 each."""
    random = np.random.default_rng(seed)
    valid = (random.random((1, variables, *shape)) < share).astype(np.float64)
    values = random.gamma(2.0, 10.0, valid.shape)
    return np.where(valid > 0, values, 1e6), valid


def network(reading, variables=2, seed=1, *, signs=True):
    """With kernels that have learnt something, float64; those as printed may have become negative in places."""
    module = PointConv(variables, reading).double()
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in module.weights:
            weight.add_(0.3 * torch.randn_like(weight))
            if reading == "as_printed" and not signs:
                weight.abs_()
    return module


def ran(module, values, valid):
    with torch.no_grad():
        return [part.numpy() for part in module(torch.from_numpy(values), torch.from_numpy(valid))]


def window(field, row, column, half):
    """The nodes around one, 0 beyond the edges: (2 half + 1, 2 half + 1)."""
    return np.pad(field, half)[row : row + 2 * half + 1, column : column + 2 * half + 1]


def correlated(field, kernel):
    half, found = len(kernel) // 2, np.empty_like(field)
    for row in range(field.shape[0]):
        for column in range(field.shape[1]):
            found[row, column] = (window(field, row, column, half) * kernel).sum()
    return found


def looped(values, valid, wide, narrow, reading):
    """Eqs. 1 to 3 for one variable (H, W), in float64."""
    tiny = np.exp(-5.0) if reading == "as_printed" else 1e-6
    weight = correlated(valid, wide)
    first = correlated(values * valid, wide) / (weight + tiny)
    near = correlated(valid, np.ones((21, 21))) > 0
    if reading == "as_printed":
        return first + correlated(first, narrow) / (correlated(valid, narrow) + tiny), weight, near
    first = np.where(near, first, 0)
    second = correlated(first, narrow) / (correlated(near.astype(float), narrow) + tiny)
    # Beyond the first kernel's support the second one goes on alone, as far as it reaches.
    around = correlated(near.astype(float), np.ones((11, 11))) > 0
    return np.where(near, (first + second) / 2, np.where(around, second, 0)), weight, near


@pytest.mark.parametrize("share", [0.002, 0.05])
@pytest.mark.parametrize(
    ("reading", "kind", "signs"),
    [
        ("corrected", np.float64, True),
        ("corrected", np.float32, True),
        ("as_printed", np.float64, True),
        ("as_printed", np.float32, False),  # sums of both signs may be anything, divided by next to nothing
    ],
)
def test_the_equations_are_those_of_a_loop_over_the_nodes(reading, kind, signs, share):
    values, valid = scattered(share)
    module = network(reading, signs=signs)
    kernels = [kernel.detach().numpy()[:, 0] for kernel in module.kernels()]
    for kernel, weight, size in zip(kernels, module.weights, (21, 11), strict=True):
        learnt = weight.detach().numpy()[:, 0]
        assert kernel.shape == (2, size, size)
        np.testing.assert_allclose(kernel, learnt if reading == "as_printed" else np.exp(learnt), rtol=1e-12)
    module = module.to(torch.from_numpy(np.zeros(1, kind)).dtype)
    found = ran(module, values.astype(kind), valid.astype(kind))
    for variable in range(2):
        expected = looped(values[0, variable], valid[0, variable], *(k[variable] for k in kernels), reading)
        for part, exact in zip(found, expected, strict=True):
            assert part.dtype == kind
            size = max(1.0, np.abs(exact).max())  # as printed the largest is thousands of the others
            rtol, atol = (1e-9, 1e-12 * size) if kind is np.float64 else (1e-6, 1e-6)
            np.testing.assert_allclose(part[0, variable], exact, rtol=rtol, atol=atol)


def test_kernels_begin_as_bells_as_wide_as_the_papers_learnt_ones():
    readings = [PointConv(4, reading) for reading in ("corrected", "as_printed")]
    for wide, narrow in (module.kernels() for module in readings):
        assert (wide.shape, narrow.shape) == ((4, 1, 21, 21), (4, 1, 11, 11))
        for kernel, half in ((wide, 10), (narrow, 5)):
            torch.testing.assert_close(kernel[:, 0, half, half], torch.ones(4))
            beside = kernel[:, 0, half, half + 1].detach().numpy()
            np.testing.assert_allclose(beside, np.exp(-0.5 / np.array([1.5, 1.1, 1.4, 1.4]) ** 2), rtol=1e-5)
            torch.testing.assert_close(kernel.flip(-1), kernel)
            torch.testing.assert_close(kernel.transpose(-1, -2), kernel)
            assert kernel.min().item() == pytest.approx(FLOOR)
    assert sum(weight.numel() for weight in readings[0].parameters()) == 4 * 562


def test_a_variable_that_is_observed_nowhere_gives_nothing_and_changes_no_other():
    values, valid = scattered(0.05)
    module = network("corrected")
    whole = ran(module, values, valid)
    valid[:, 1] = 0
    for part, before in zip(ran(module, values, valid), whole, strict=True):
        np.testing.assert_array_equal(part[:, 1], 0)
        np.testing.assert_allclose(part[:, 0], before[:, 0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("row", "column"), [(11, 18), (0, 0), (22, 36), (0, 20)])
@pytest.mark.parametrize("value", [37.0, -4.0])
def test_one_station_is_the_whole_of_its_surroundings_even_at_a_border(row, column, value):
    valid = np.zeros((1, 1, *SHAPE))
    valid[0, 0, row, column] = 1
    estimate, weight, support = (part[0, 0] for part in ran(PointConv(1).double(), value * valid, valid))
    near = np.zeros(SHAPE, bool)
    near[max(row - 10, 0) : row + 11, max(column - 10, 0) : column + 11] = True
    np.testing.assert_array_equal(support, near)
    around = np.zeros(SHAPE, bool)
    around[max(row - 15, 0) : row + 16, max(column - 15, 0) : column + 16] = True
    np.testing.assert_allclose(estimate[around], value, rtol=4e-3)
    assert (np.abs(estimate[around]) <= abs(value)).all()
    np.testing.assert_array_equal(estimate[~around], 0)
    assert weight[row, column] == pytest.approx(1)


def test_a_value_of_zero_is_an_observation_like_any_other():
    values, valid = scattered(0.05, variables=1)
    values[0, 0, 11, 18], valid[0, 0, 11, 18] = 0.0, 1.0
    module = PointConv(1).double()
    estimate, weight, _ = ran(module, values, valid)
    less = valid.copy()
    less[0, 0, 11, 18] = 0
    without, lighter, _ = ran(module, values, less)
    assert estimate[0, 0, 11, 18] < 0.6 * without[0, 0, 11, 18]
    assert weight[0, 0, 11, 18] == pytest.approx(lighter[0, 0, 11, 18] + 1)
    all_zero = ran(module, 0 * values, valid)
    np.testing.assert_array_equal(all_zero[0], 0)
    np.testing.assert_array_equal(all_zero[1], ran(module, values, valid)[1])


@pytest.fixture(scope="module")
def papers_domain():
    """372 × 426 nodes with 2,000 stations at random, as in METHODS section 6."""
    return scattered(2000 / (372 * 426), shape=(372, 426), variables=1, seed=3)


def test_the_literal_reading_explodes_where_no_station_is_within_the_narrow_kernel(papers_domain):
    values, valid = papers_domain
    largest = values[valid > 0].max()
    estimate = ran(PointConv(1, "as_printed").double(), values, valid)[0]
    alone = ~(torch.nn.functional.max_pool2d(torch.from_numpy(valid), 11, 1, 5).numpy() > 0)
    assert 0.19 < alone.mean() < 0.25  # METHODS: 22 %
    assert np.median(estimate[alone]) > 50 * largest
    assert np.quantile(estimate, 0.99) > 100 * largest


def test_the_corrected_reading_stays_between_the_smallest_and_the_largest_observation(papers_domain):
    values, valid = papers_domain
    estimate, _, support = ran(PointConv(1).double(), values, valid)
    observed = values[valid > 0]
    near = support > 0
    assert 0.97 < near.mean() < 1  # METHODS: 0.5 % have none within 21 × 21 nodes
    inside = torch.nn.functional.max_pool2d(torch.from_numpy(valid), 31, 1, 15).numpy() > 0
    assert estimate[inside].min() >= observed.min() * (1 - 2e-3)
    assert estimate.max() <= observed.max()
    assert 0.9 < np.median(estimate[inside]) / np.median(observed) < 1.4
    np.testing.assert_array_equal(estimate[~inside], 0)


def test_lower_precision_around_it_changes_nothing():
    values, valid = (torch.from_numpy(part).float() for part in scattered(0.05))
    module = PointConv(2)
    with torch.no_grad():
        expected = module(values, valid)
        with torch.autocast("cpu", torch.bfloat16):
            found = module(values, valid)
    for part, exact in zip(found, expected, strict=True):
        assert part.dtype == torch.float32
        torch.testing.assert_close(part, exact, rtol=0, atol=0)


def test_both_kernels_learn():
    values, valid = (torch.from_numpy(part) for part in scattered(0.05))
    for reading in ("corrected", "as_printed"):
        module = network(reading)
        module(values, valid)[0].square().mean().backward()
        for weight in module.weights:
            assert (weight.grad != 0).any(dim=(1, 2, 3)).all()


def test_mistakes_are_explained():
    with pytest.raises(ValueError, match="no reading 'literal' of the equations; choose one of corrected, as_printed"):
        PointConv(1, "literal")
    field = torch.zeros(1, 2, 5, 5)
    for values, valid in ((field, field[:, :1]), (field[0], field[0]), (field[:, :1], field[:, :1])):
        with pytest.raises(ValueError, match="PointConv of 2 variables: got values"):
            PointConv(2)(values, valid)
