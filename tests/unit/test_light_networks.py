"""The light networks and the learned kernel: their start, that they learn, and how they see the globe."""

import numpy as np
import pytest
import torch

from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, locate, refine
from deepcams.grid.resample import upsample
from deepcams.models.catalogue import build, make
from deepcams.models.flow_residual import LARGEST_FLOW
from deepcams.models.frames import SpatialFrames, TemporalFrames
from deepcams.models.kernels import bicubic_kernels
from deepcams.models.layers import ResidualBlock
from deepcams.models.learned_kernel import LearnedKernel
from deepcams.models.sun import CHANNELS
from deepcams.models.transform import TRANSFORMS

GLOBE = coarse_globe()
SMALL = Grid(90 - 7.5 * np.arange(25), -180 + 7.5 * np.arange(48), 7.5)  # a globe too, two columns an hour
REGION = coarse_grid(Region(north=45.0, west=0.0, south=25.5, east=24.0))
SOLSTICE = np.datetime64("2019-06-21T13:30")  # the declination stands still, so that only the hour tells
THIRDS = (1 / 3, 2 / 3)
SPATIAL = ("pixel_shuffle", "learned_kernel")
SETTINGS = {"features": 4}


def roused(stage, name, seed=0, features=4):
    """A network with random weights, also where it starts from zero: a torch module."""
    torch.manual_seed(seed)
    module = make(stage, name, {"features": features})
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for tensor in module.parameters():
            spread = 0.3 / max(1, tensor[0].numel()) ** 0.5 if name == "learned_kernel" else 0.15
            tensor.add_(spread * torch.randn(tensor.shape, generator=generator))
    return module


def temporal(**options):
    return TemporalFrames(roused("temporal", "flow_residual", **options))


def spatial(name, **options):
    return SpatialFrames(roused("spatial", name, **options))


def plumes(grid, frames=2, seed=0):
    """Concentrations, ug m-3, float32, one value at a pole."""
    fields = np.random.default_rng(seed).gamma(1, 15, (frames, *grid.shape)).astype(np.float32)
    fields[:, [0, -1]] = 10
    return fields


def tensors(*shape, seed=0):
    """Two frames in asinh of concentrations, and a sun."""
    generator = torch.Generator().manual_seed(seed)
    first, last = (4 * torch.rand(shape, generator=generator) for _ in range(2))
    return first, last, torch.randn((shape[0], CHANNELS, *shape[2:]), generator=generator)


def between(network, pair, grid, time=SOLSTICE, fractions=THIRDS):
    return network.between(*pair, fractions, grid, time)


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
        module = roused("spatial", name)
        h = module.halo
        assert module(torch.zeros(2, 1, 5 + 2 * h, 7 + 2 * h)).shape == (2, 1, 15, 21)


def test_the_temporal_network_gives_field_flows_mask_and_residual():
    module = roused("temporal", "flow_residual")
    found = module(*tensors(2, 1, 17, 19)[:2], torch.tensor([0.2, 0.7]), tensors(2, 1, 17, 19)[2])
    assert [tuple(x.shape) for x in found.fields] == [(2, 1, 5, 7)]
    assert [tuple(x.shape) for x in found.flows] == [(2, 4, 5, 7)]
    assert found.mask.shape == found.residual.shape == (2, 1, 5, 7)
    assert 0 < found.mask.min() < found.mask.max() < 1


def test_sizes_are_as_described():
    def parameters(*network):
        return sum(tensor.numel() for tensor in make(*network).parameters())

    assert parameters("spatial", "pixel_shuffle", {"features": 64}) == 170_185
    assert parameters("spatial", "learned_kernel", {}) == 9 * 49


@pytest.mark.parametrize("name", SPATIAL)
def test_spatial_frames_of_another_shape_are_refused(name):
    module = roused("spatial", name)
    edge = 2 * module.halo
    for shape in ((1, 2, 20, 20), (1, 20, 20)):
        with pytest.raises(ValueError, match=r"expected frames of shape \(B, 1, H, W\) but got \(1, 2"):
            module(torch.zeros(shape))
    with pytest.raises(ValueError, match=rf"{edge} × 20 nodes leave nothing within a halo of {module.halo}"):
        module(torch.zeros(1, 1, edge, 20))


def test_temporal_frames_of_another_shape_are_refused():
    module, (first, last, sun), t = roused("temporal", "flow_residual"), tensors(2, 1, 14, 15), torch.tensor([0.5, 0.5])
    with pytest.raises(ValueError, match=r"expected frames of shape \(B, 1, H, W\) but got \(2, 3, 14, 15\)"):
        module(sun, last, t, sun)
    with pytest.raises(ValueError, match=r"12 × 15 nodes leave nothing within a halo of 6"):
        module(first[:, :, :12], last[:, :, :12], t, sun[:, :, :12])
    with pytest.raises(ValueError, match=r"\(2, 1, 14, 15\) and \(2, 1, 14, 14\) do not fit"):
        module(first, last[..., 1:], t, sun)
    for wrong in (None, sun[:, :2], sun[:1], sun[..., 1:]):
        with pytest.raises(ValueError, match=r"the sun must come as \(2, 3, 14, 15\) but is "):
            module(first, last, t, wrong)


def loss_of(module, examples, target):
    found = module(*examples)
    field = found if isinstance(found, torch.Tensor) else found.fields[0]
    return (field - target).abs().mean()


def lesson(stage, name, features, seed=3):
    """A network at its start, a batch, and what it shall make of it."""
    torch.manual_seed(seed)
    module = make(stage, name, {"features": features})
    first, last, sun = tensors(2, 1, 20, 22, seed=seed)
    if stage == "temporal":
        examples = first, last, torch.tensor([1 / 3, 2 / 3]), sun
        h = module.halo
        # The frame moved by a cell, and a daily course on top.
        target = (0.6 * first + 0.4 * last).roll(1, -1)[..., h:-h, h:-h] + 0.3 * sun[:, :1, h:-h, h:-h]
    else:
        examples = (first,)
        with torch.no_grad():
            start = module(first)
        target = start + 0.3 * torch.tanh(start.roll((1, 2), (-2, -1)))
    return module, examples, target


@pytest.mark.parametrize(
    ("stage", "name"), [("temporal", "flow_residual"), ("spatial", "pixel_shuffle"), ("spatial", "learned_kernel")]
)
def test_gradients_reach_every_parameter_one_step_after_the_start(stage, name):
    module, examples, target = lesson(stage, name, 8)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    loss_of(module, examples, target).backward()
    optimiser.step()
    optimiser.zero_grad()
    loss_of(module, examples, target).backward()
    assert [key for key, tensor in module.named_parameters() if tensor.grad is None or not tensor.grad.any()] == []


@pytest.mark.parametrize(
    ("stage", "name", "steps"), [("temporal", "flow_residual", 150), ("spatial", "pixel_shuffle", 150)]
)
def test_they_learn_one_batch_by_heart(stage, name, steps):
    module, examples, target = lesson(stage, name, 32)
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        loss = loss_of(module, examples, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_the_learned_kernel_finds_a_kernel():
    """Least squares has one answer; a kernel is linear in its weights."""
    torch.manual_seed(5)
    module, truth = LearnedKernel(), LearnedKernel()
    torch.nn.init.normal_(truth.kernel, std=0.1)
    coarse = torch.randn(4, 1, 24, 24)
    target = truth(coarse).detach()
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-2)
    for _ in range(200):
        optimiser.zero_grad()
        (module(coarse) - target).square().mean().backward()
        optimiser.step()
    torch.testing.assert_close(module.kernel, truth.kernel, atol=5e-3, rtol=0)


def only_biases(*values):
    """A temporal network that says the same everywhere: flow (4), mask logit, residual (2)."""
    module = make("temporal", "flow_residual", SETTINGS)
    with torch.no_grad():
        module.tail.bias.copy_(torch.tensor(values))
    return module.eval()


def plane(rows=18, columns=20):
    """Concentrations that bilinear sampling gives exactly: 50 + 2 x + 3 y, and another plane."""
    y, x = np.indices((rows, columns))
    return 50 + 2.0 * x + 3 * y, 90 - 1.0 * x + 2 * y


def synthesised(module, fields, t):
    """Concentrations of a module at fraction t, and what it was made of."""
    frames = [torch.asinh(torch.tensor(field, dtype=torch.float32))[None, None] for field in fields]
    with torch.no_grad():
        found = module(*frames, torch.tensor([t]), torch.zeros(1, CHANNELS, *frames[0].shape[2:]))
    return torch.sinh(found.fields[0])[0, 0].numpy(), found


@pytest.mark.parametrize("t", [0.25, 2 / 3])
def test_flows_point_from_the_field_to_where_it_is_found_and_grow_with_time(t):
    x0, y0, x1, y1 = (1.2, -0.7, 0.4, 2.1)
    first, last = plane()
    found, parts = synthesised(only_biases(x0, y0, x1, y1, 0, 0, 0), (first, last), t)
    x0, y0, x1, y1 = (LARGEST_FLOW * np.tanh(v / LARGEST_FLOW) for v in (x0, y0, x1, y1))
    expected = (1 - t) * (first + t * (2 * x0 + 3 * y0)) + t * (last + (1 - t) * (-x1 + 2 * y1))
    np.testing.assert_allclose(found, expected[6:-6, 6:-6], rtol=1e-5)
    flows = [t * x0, t * y0, (1 - t) * x1, (1 - t) * y1]
    np.testing.assert_allclose(parts.flows[0][0, :, 0, 0], flows, rtol=1e-5)


def test_a_flow_stays_within_the_halo_however_large_it_is_wanted():
    first, last = plane()
    found, parts = synthesised(only_biases(1e6, 1e6, -1e6, -1e6, 0, 0, 0), (first, last), 0.5)
    assert parts.flows[0].abs().max() == LARGEST_FLOW / 2 and only_biases(*[0] * 7).halo >= LARGEST_FLOW + 1
    expected = 0.5 * (first + 2 * 5.0) + 0.5 * (last - 2 * 1.0)
    np.testing.assert_allclose(found, expected[6:-6, 6:-6], rtol=1e-5)


def test_the_mask_is_the_share_of_the_first_frame_beside_its_weight_in_time():
    first, last = plane()
    t, m = 0.25, 1 / (1 + np.exp(-1.5))
    found, _ = synthesised(only_biases(0, 0, 0, 0, 1.5, 0, 0), (first, last), t)
    expected = ((1 - t) * m * first + t * (1 - m) * last) / ((1 - t) * m + t * (1 - m))
    np.testing.assert_allclose(found, expected[6:-6, 6:-6], rtol=1e-5)


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 2 / 3, 1.0])
def test_the_residual_is_a_mean_and_a_trend_that_vanish_at_both_frames(t):
    first, last = plane()
    found, parts = synthesised(only_biases(0, 0, 0, 0, 0, 0.4, -0.3), (first, last), t)
    residual = 4 * t * (1 - t) * (0.4 - 0.3 * (2 * t - 1))
    expected = np.sinh(np.arcsinh((1 - t) * first + t * last) + residual)
    np.testing.assert_allclose(found, expected[6:-6, 6:-6], rtol=1e-5)
    np.testing.assert_allclose(parts.residual, residual, atol=1e-6)


def test_at_both_ends_the_frames_themselves_whatever_the_weights():
    module = roused("temporal", "flow_residual")
    first, last, sun = tensors(2, 1, 20, 20)
    for t, frame in ((0.0, first), (1.0, last)):
        with torch.no_grad():
            field = module(first, last, torch.full((2,), t), sun).fields[0]
        torch.testing.assert_close(field, frame[..., 6:-6, 6:-6], rtol=1e-5, atol=1e-6)


def test_examples_of_a_batch_do_not_see_each_other():
    module, (first, last, sun) = roused("temporal", "flow_residual"), tensors(2, 1, 18, 18)
    fractions = torch.tensor([0.2, 0.9])
    together = module(first, last, fractions, sun).fields[0]
    for k in range(2):
        part = slice(k, k + 1)
        alone = module(first[part], last[part], fractions[part], sun[part]).fields[0]
        torch.testing.assert_close(together[part], alone, rtol=1e-4, atol=1e-4)


def test_a_residual_block_adds_to_what_comes_in():
    torch.manual_seed(0)
    block, x = ResidualBlock(3), torch.randn(2, 3, 7, 8)
    added = block.mix(torch.relu(block.wide(x)))
    assert added.shape == (2, 3, 5, 6)
    torch.testing.assert_close(block(x), x[..., 1:-1, 1:-1] + added)


# Before training


@pytest.mark.parametrize("grid", [GLOBE, REGION], ids=["globe", "box"])
def test_untrained_flow_residual_is_linear_interpolation_of_concentrations(grid):
    first, last = plumes(grid)
    first[60 % len(first), 3] = -0.4  # what packing leaves
    fractions = (0.0, 0.1, 1 / 3, 0.5, 2 / 3, 0.999, 1.0)
    found = build("temporal", "flow_residual", None, SETTINGS).between(first, last, fractions, grid, SOLSTICE)
    assert found.dtype == np.float32
    t = np.array(fractions)[:, None, None]
    np.testing.assert_allclose(found, (1 - t) * first + t * last, rtol=3e-6, atol=1e-5)


@pytest.mark.parametrize("grid", [GLOBE, REGION], ids=["globe", "box"])
def test_untrained_the_kernel_is_bicubic_interpolation(grid):
    field = plumes(grid, frames=1)
    found = build("spatial", "learned_kernel", None, {}).refine(field, grid)
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


@pytest.mark.parametrize(("columns", "hours"), [(20, -1), (-20, 1), (240, -12)])
def test_rolling_the_globe_eastwards_by_15_degrees_is_an_hour_less_of_utc(columns, hours):
    """What lies 15° further east has its noon an hour earlier: where it is the same time of day, it is the same air."""
    network, pair = temporal(), plumes(GLOBE)
    fields = between(network, pair, GLOBE)
    rolled = np.roll(pair, columns, axis=-1)
    same_hour = between(network, rolled, GLOBE, SOLSTICE + np.timedelta64(hours, "h"))
    assert_like(same_hour, np.roll(fields, columns, axis=-1), within=2e-4)
    for other in (0, -hours):
        if other % 24 != hours % 24:
            found = between(network, rolled, GLOBE, SOLSTICE + np.timedelta64(other, "h"))
            assert np.abs(found - np.roll(fields, columns, axis=-1)).max() > 0.5


def test_the_sun_is_that_of_the_middle_of_the_interval(monkeypatch):
    seen = []
    network = temporal()
    encode = network.module.encode
    monkeypatch.setattr(network.module, "encode", lambda *given: seen.append(given[2]) or encode(*given))
    between(network, plumes(SMALL), SMALL, np.datetime64("2019-06-21T09:00"))
    cosine, sine, zenith = seen[0][0, :, 6:-6, 6:-6].numpy()
    noon = 22.5  # °E at 10:30 UTC
    np.testing.assert_allclose(cosine[3], np.cos(np.radians(SMALL.longitude - noon)), atol=1e-5)
    np.testing.assert_allclose(sine[3], np.sin(np.radians(SMALL.longitude - noon)), atol=1e-5)
    np.testing.assert_allclose(zenith[0], np.sin(np.radians(23.44)), atol=1e-3)


def test_the_poles_are_one_value():
    for fields in (
        between(temporal(), plumes(SMALL), SMALL),
        *(spatial(name).refine(plumes(SMALL), SMALL) for name in SPATIAL),
    ):
        assert np.ptp(fields[:, [0, -1]], axis=-1).max() == 0
        assert np.ptp(fields[:, [1, -2]], axis=-1).min() > 0.1


def changed(run, field, row, column):
    """Where the result is another if the field has a plume there: (rows, columns), any frame."""
    plume = field.copy()
    plume[..., row, column] += 200
    return (np.abs(run(plume) - run(field)) > 1e-3).any(axis=0)


@pytest.mark.parametrize(("row", "near"), [(2, 1), (22, 23)], ids=["north", "south"])
def test_what_lies_just_beyond_the_pole_is_seen_across_it(row, near):
    opposite, quarter = (10 + 24) % 48, (10 + 12) % 48
    field = plumes(SMALL)
    network = temporal()
    hit = changed(lambda pair: between(network, pair, SMALL), field, row, 10)
    assert hit[near, opposite] and not hit[near, quarter]
    away = 5 if row < 12 else -5
    assert not hit[near + away, opposite]
    for name in SPATIAL:
        hit = changed(lambda frames, name=name: spatial(name).refine(frames, SMALL), field, row, 10)
        fine = 3 * near
        assert hit[fine, 3 * opposite] and not hit[fine, 3 * quarter]
        assert not hit[fine + 3 * away, 3 * opposite]


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
def test_a_region_in_time_is_the_same_box_of_the_globe(region):
    network, pair = temporal(), plumes(GLOBE)
    box, wide = coarse_grid(region), coarse_grid(region, network.halo)
    local = between(network, cut(pair, wide, GLOBE), wide)
    assert_like(cut(local, box, wide), cut(between(network, pair, GLOBE), box, GLOBE))


@REGIONS
@pytest.mark.parametrize("name", SPATIAL)
def test_a_region_in_space_is_the_same_box_of_the_globe(region, name):
    network, field = spatial(name), plumes(GLOBE, 1)
    box, wide = coarse_grid(region), coarse_grid(region, network.halo)
    local = network.refine(cut(field, wide, GLOBE), wide)
    fine = refine(box)
    assert_like(cut(local, fine, refine(wide)), cut(network.refine(field, GLOBE), fine, refine(GLOBE)))


# Missing and odd values


def test_a_missing_value_is_missing_in_time_exactly_where_it_is():
    first, last = plumes(SMALL)
    first[5, 5:8] = np.nan
    last[12, [0, -1]] = np.nan
    fields = between(temporal(), (first, last), SMALL, fractions=(0.0, 1 / 3, 1.0))
    missing = np.isnan(first) | np.isnan(last)
    for field in fields:
        np.testing.assert_array_equal(~np.isfinite(field), missing)


def test_the_nearest_value_stands_in_for_a_missing_one_as_its_neighbours_see_it():
    first, last = plumes(SMALL)
    first[9:12, 20] = first[10, 19:22] = 33
    patched, holed = first, first.copy()
    holed[10, 20] = np.nan
    network = temporal()
    found, expected = (between(network, (frame, last), SMALL) for frame in (holed, patched))
    expected[:, 10, 20] = np.nan
    np.testing.assert_array_equal(found, expected)


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


def test_a_frame_that_is_missing_altogether_gives_nothing():
    first, last = plumes(SMALL)
    assert np.isnan(between(temporal(), (np.full_like(first, np.nan), last), SMALL)).all()
    for name in SPATIAL:
        assert np.isnan(spatial(name).refine(np.full_like(first, np.nan)[None], SMALL)).all()


def test_negative_values_that_packing_leaves_stay_finite():
    fields = plumes(SMALL)
    fields[:, 5:20] = np.random.default_rng(1).uniform(-1, 0, (2, 15, 48))
    assert np.isfinite(between(temporal(), fields, SMALL)).all()
    for name in SPATIAL:
        assert np.isfinite(spatial(name).refine(fields, SMALL)).all()
