"""The light networks for space, the kernels of least squares among them: their start, learning, and the globe."""

import numpy as np
import pytest
import torch

from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, locate, refine
from deepcams.grid.resample import upsample
from deepcams.models.catalogue import build, make
from deepcams.models.frames import SpatialFrames
from deepcams.models.kernels import bicubic_kernels
from deepcams.models.layers import ResidualBlock
from deepcams.models.transform import TRANSFORMS

GLOBE = coarse_globe()
SMALL = Grid(90 - 7.5 * np.arange(25), -180 + 7.5 * np.arange(48), 7.5)  # a globe too
REGION = coarse_grid(Region(north=45.0, west=0.0, south=25.5, east=24.0))
SPATIAL = ("pixel_shuffle", "least_squares")
SETTINGS = {"features": 4}


def roused(name, seed=0, features=4):
    """A network with random weights, also where it starts from zero: a torch module."""
    torch.manual_seed(seed)
    module = make("spatial", name, {"features": features})
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for tensor in module.parameters():
            spread = 0.3 / max(1, tensor[0].numel()) ** 0.5 if name == "least_squares" else 0.15
            tensor.add_(spread * torch.randn(tensor.shape, generator=generator))
    return module


def spatial(name, **options):
    return SpatialFrames(roused(name, **options))


def plumes(grid, frames=2, seed=0):
    """Concentrations, ug m-3, float32, one value at a pole."""
    fields = np.random.default_rng(seed).gamma(1, 15, (frames, *grid.shape)).astype(np.float32)
    fields[:, [0, -1]] = 10
    return fields


def assert_like(found, expected, within=1e-5):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=within, atol=within * np.abs(expected).max())


# Transforms


def test_asinh_is_inverted_to_rounding_from_negative_packing_values_to_the_largest_fires():
    x = torch.cat([torch.linspace(-1, 1, 2001), torch.logspace(0, np.log10(4000), 5000)])
    transform = TRANSFORMS["asinh"]
    np.testing.assert_allclose(transform.forward(x), np.arcsinh(x.double().numpy()), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(transform.inverse(transform.forward(x)), x, rtol=2e-6, atol=1e-7)


def test_what_no_field_reaches_does_not_become_infinite():
    inverse = TRANSFORMS["asinh"].inverse
    found = inverse(torch.tensor([-1e4, -100.0, 14.0, 100.0, 1e4]))
    assert torch.isfinite(found).all()
    assert found[-1] == found[-2] == -found[0] == pytest.approx(1e6, rel=0.01)
    assert found[2] == pytest.approx(np.sinh(14.0), rel=1e-5)


def test_clipped_800_clips_to_800_and_divides_by_it():
    transform = TRANSFORMS["clipped_800"]
    x = torch.tensor([-3.0, 0.0, 200.0, 800.0, 3657.0])
    np.testing.assert_array_equal(transform.forward(x), [0, 0, 0.25, 1, 1])
    np.testing.assert_array_equal(transform.inverse(transform.forward(x)), [0, 0, 200, 800, 800])


def test_none_changes_nothing_and_names_are_those_of_the_transforms():
    x = torch.tensor([-3.0, 1e9])
    assert TRANSFORMS["none"].forward(x) is x and TRANSFORMS["none"].inverse(x) is x
    assert all(transform.name == name for name, transform in TRANSFORMS.items())


# Modules


def test_the_spatial_networks_give_blocks_of_nine():
    for name in SPATIAL:
        module = roused(name)
        h = module.halo
        assert module(torch.zeros(2, 1, 5 + 2 * h, 7 + 2 * h)).shape == (2, 1, 15, 21)


def test_sizes_are_as_described():
    def parameters(*network):
        return sum(tensor.numel() for tensor in make(*network).parameters())

    assert parameters("spatial", "pixel_shuffle", {"features": 64}) == 170_185
    assert parameters("spatial", "least_squares", {}) == 9 * 49


@pytest.mark.parametrize("name", SPATIAL)
def test_spatial_frames_of_another_shape_are_refused(name):
    module = roused(name)
    edge = 2 * module.halo
    for shape in ((1, 2, 20, 20), (1, 20, 20)):
        with pytest.raises(ValueError, match=r"expected frames of shape \(B, 1, H, W\) but got \(1, 2"):
            module(torch.zeros(shape))
    with pytest.raises(ValueError, match=rf"{edge} × 20 nodes leave nothing within a halo of {module.halo}"):
        module(torch.zeros(1, 1, edge, 20))


def loss_of(module, coarse, target):
    return (module(coarse) - target).abs().mean()


def lesson(name, features, seed=3):
    """A network at its start, a batch, and what it shall make of it."""
    torch.manual_seed(seed)
    module = make("spatial", name, {"features": features})
    coarse = 4 * torch.rand(2, 1, 20, 22)
    with torch.no_grad():
        start = module(coarse)
    return module, coarse, start + 0.3 * torch.tanh(start.roll((1, 2), (-2, -1)))


@pytest.mark.parametrize("name", SPATIAL)
def test_gradients_reach_every_parameter_one_step_after_the_start(name):
    module, coarse, target = lesson(name, 8)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    loss_of(module, coarse, target).backward()
    optimiser.step()
    optimiser.zero_grad()
    loss_of(module, coarse, target).backward()
    assert [key for key, tensor in module.named_parameters() if tensor.grad is None or not tensor.grad.any()] == []


def test_pixel_shuffle_learns_one_batch_by_heart():
    module, coarse, target = lesson("pixel_shuffle", 32)
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        loss = loss_of(module, coarse, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_a_residual_block_adds_to_what_comes_in():
    torch.manual_seed(0)
    block, x = ResidualBlock(3), torch.randn(2, 3, 7, 8)
    added = block.mix(torch.nn.functional.leaky_relu(block.wide(x), 0.1))
    assert added.shape == (2, 3, 5, 6)
    torch.testing.assert_close(block(x), x[..., 1:-1, 1:-1] + added)


# Before training


@pytest.mark.parametrize("grid", [GLOBE, REGION], ids=["globe", "box"])
def test_untrained_the_kernel_is_bicubic_interpolation(grid):
    field = plumes(grid, frames=1)
    found = build("spatial", "least_squares", None, {}).refine(field, grid)
    assert_like(found, upsample(field.astype(float), grid, "bicubic"), within=2e-6)


@pytest.mark.parametrize("grid", [GLOBE, REGION], ids=["globe", "box"])
def test_untrained_pixel_shuffle_is_bicubic_interpolation_of_asinh(grid):
    field = plumes(grid)
    field[0, 10, 10] = -0.4
    found = build("spatial", "pixel_shuffle", None, SETTINGS).refine(field, grid)
    expected = np.sinh(upsample(np.arcsinh(field.astype(float)), grid, "bicubic"))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(found[:, ::3, ::3], field, rtol=1e-5, atol=1e-5)


def test_bicubic_kernels_sum_to_one_and_leave_the_node_itself():
    kernels = bicubic_kernels()
    assert kernels.shape == (9, 7, 7)
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1, atol=1e-12)
    middle = np.zeros((7, 7))
    middle[3, 3] = 1
    np.testing.assert_allclose(kernels[4], middle, atol=1e-12)
    # The first lies to the north-west: its centre of mass is a third of a node up and to the left.
    offsets = np.arange(-3, 4)
    np.testing.assert_allclose(kernels[0].sum(axis=1) @ offsets, -1 / 3, atol=1e-12)
    np.testing.assert_allclose(kernels[2].sum(axis=0) @ offsets, 1 / 3, atol=1e-12)


# Round the globe


@pytest.mark.parametrize("name", SPATIAL)
def test_rolling_the_globe_by_any_k_nodes_rolls_the_fine_field_by_3k(name):
    network, field = spatial(name), plumes(SMALL, 1)
    fine = network.refine(field, SMALL)
    assert np.abs(fine - build("spatial", name, None, SETTINGS).refine(field, SMALL)).max() > 1
    for k in range(1, 48):
        assert_like(network.refine(np.roll(field, k, axis=-1), SMALL), np.roll(fine, 3 * k, axis=-1))


@pytest.mark.parametrize("name", SPATIAL)
def test_the_globe_has_no_seam_at_the_date_line(name):
    network, field = spatial(name), plumes(GLOBE, 1)
    fine = network.refine(field, GLOBE)
    for k in (1, 240, 479):
        assert_like(network.refine(np.roll(field, k, axis=-1), GLOBE), np.roll(fine, 3 * k, axis=-1))


@pytest.mark.parametrize("name", SPATIAL)
def test_the_poles_are_one_value(name):
    fields = spatial(name).refine(plumes(SMALL), SMALL)
    assert np.ptp(fields[:, [0, -1]], axis=-1).max() == 0
    assert np.ptp(fields[:, [1, -2]], axis=-1).min() > 0.1


def changed(run, field, row, column):
    """Where the result is another if the field has a plume there: (rows, columns), any frame."""
    plume = field.copy()
    plume[..., row, column] += 200
    return (np.abs(run(plume) - run(field)) > 1e-3).any(axis=0)


@pytest.mark.parametrize("name", SPATIAL)
@pytest.mark.parametrize(("row", "near"), [(2, 1), (22, 23)], ids=["north", "south"])
def test_what_lies_just_beyond_the_pole_is_seen_across_it(name, row, near):
    opposite, quarter = (10 + 24) % 48, (10 + 12) % 48
    away = 15 if row < 12 else -15
    hit = changed(lambda frames: spatial(name).refine(frames, SMALL), plumes(SMALL), row, 10)
    assert hit[3 * near, 3 * opposite] and not hit[3 * near, 3 * quarter]
    assert not hit[3 * near + away, 3 * opposite]


REGIONS = pytest.mark.parametrize(
    "region",
    [
        Region(45.0, 0.0, 30.0, 24.0),
        Region(-9.0, 170.25, -24.0, 190.5),
        Region(90.0, -30.0, 75.0, 30.0),
        Region(-81.0, 100.5, -90.0, 130.5),
        Region(87.0, 170.25, 78.0, 187.5),
    ],
    ids=["inland", "across the date line", "north pole", "south pole", "near the pole, across the date line"],
)


def cut(fields, inner, outer):
    rows, columns = locate(inner, outer)
    return fields[:, rows][:, :, columns]


@REGIONS
@pytest.mark.parametrize("name", SPATIAL)
def test_a_region_in_space_is_the_same_box_of_the_globe(region, name):
    network, field = spatial(name), plumes(GLOBE, 1)
    box, wide = coarse_grid(region), coarse_grid(region, network.halo)
    local = network.refine(cut(field, wide, GLOBE), wide)
    fine = refine(box)
    assert_like(cut(local, fine, refine(wide)), cut(network.refine(field, GLOBE), fine, refine(GLOBE)))


# Missing and odd values


@pytest.mark.parametrize("name", SPATIAL)
def test_the_nearest_value_stands_in_for_a_missing_one_in_space_too(name):
    holed = plumes(SMALL)
    holed[1, 9:12, 20] = holed[1, 10, 19:22] = 33
    patched = holed.copy()
    holed[1, 10, 20] = np.nan
    found, expected = (spatial(name).refine(frames, SMALL) for frames in (holed, patched))
    expected[1, 29:32, 59:62] = np.nan
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", SPATIAL)
def test_a_missing_value_is_missing_in_space_in_exactly_its_block(name):
    field = plumes(SMALL)
    field[0, 10, 20] = field[0, 15, 0] = np.nan
    fine = spatial(name).refine(field, SMALL)
    expected = np.zeros(fine.shape, bool)
    expected[0, 29:32, 59:62] = True
    expected[0, 44:47, [0, 1, -1]] = True
    np.testing.assert_array_equal(~np.isfinite(fine), expected)


@pytest.mark.parametrize("name", SPATIAL)
def test_a_missing_pole_is_a_missing_cap(name):
    field = plumes(SMALL, 1)
    field[0, 0] = np.nan
    fine = spatial(name).refine(field, SMALL)
    assert np.isnan(fine[0, :2]).all() and np.isfinite(fine[0, 2:]).all()


@pytest.mark.parametrize("name", SPATIAL)
def test_a_frame_that_is_missing_altogether_gives_nothing(name):
    assert np.isnan(spatial(name).refine(np.full((1, *SMALL.shape), np.nan, np.float32), SMALL)).all()


@pytest.mark.parametrize("name", SPATIAL)
def test_negative_values_that_packing_leaves_stay_finite(name):
    fields = plumes(SMALL)
    fields[:, 5:20] = np.random.default_rng(1).uniform(-1, 0, (2, 15, 48))
    assert np.isfinite(spatial(name).refine(fields, SMALL)).all()
