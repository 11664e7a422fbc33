"""The light network for time: its start, what its outputs do, that it learns, and how it sees the globe."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, locate
from deepcams.models.catalogue import build, make
from deepcams.models.flow_residual import LARGEST_FLOW, TRUST, FlowResidual
from deepcams.models.frames import TemporalFrames
from deepcams.models.motion import motion
from deepcams.models.sun import CHANNELS

GLOBE = coarse_globe()
SMALL = Grid(90 - 7.5 * np.arange(25), -180 + 7.5 * np.arange(48), 7.5)  # a globe too, two columns an hour
MEDIUM = Grid(90 - 3.75 * np.arange(49), -180 + 3.75 * np.arange(96), 3.75)
REGION = coarse_grid(Region(north=45.0, west=0.0, south=25.5, east=24.0))
SOLSTICE = np.datetime64("2019-06-21T13:30")  # the declination stands still, so that only the hour tells
THIRDS = (1 / 3, 2 / 3)
SETTINGS = {"features": 4}
HALO = 21
SPLINE = 5e-5  # of the largest value around: how well splines return a node's own


def roused(seed=0, features=4, bias=None):
    """A network with random weights, also where it starts from zero.

    bias : of the six outputs, added: trust, flow (x, y), mask, residual (mean, trend).
    """
    torch.manual_seed(seed)
    module = make("temporal", "flow_residual", {"features": features})
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.15 * torch.randn(tensor.shape, generator=generator))
        if bias:
            module.tail.bias.add_(torch.tensor(bias))
    return module


def only_biases(trust=0.0, x=0.0, y=0.0, mask=0.0, mean=0.0, trend=0.0):
    """A network that says the same everywhere."""
    module = make("temporal", "flow_residual", SETTINGS)
    with torch.no_grad():
        module.tail.bias.copy_(torch.tensor([trust, x, y, mask, mean, trend]))
    return module.eval()


def temporal(**options):
    return TemporalFrames(roused(**options))


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


def waves(dx, dy, rows=60, columns=64, seed=0):
    """Concentrations, ug m-3, of waves 8 to 24 nodes long, displaced by (dx, dy)."""
    random = np.random.default_rng(seed)
    y, x = np.indices((rows, columns))
    field = np.full((rows, columns), 3.5)
    for _ in range(16):
        angle, phase = random.uniform(0, 2 * np.pi, 2)
        number = 2 * np.pi / random.uniform(8, 24)
        field += 0.25 * np.cos(number * (np.cos(angle) * (x - dx) + np.sin(angle) * (y - dy)) + phase)
    return np.sinh(field)


def inside(fields):
    return fields[..., HALO:-HALO, HALO:-HALO]


def between(network, pair, grid, time=SOLSTICE, fractions=THIRDS):
    return network.between(*pair, fractions, grid, time)


def linear(pair, fractions=THIRDS):
    return np.stack([(1 - t) * pair[0] + t * pair[1] for t in fractions])


def assert_like(found, expected, within=1e-5):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=within, atol=within * np.abs(expected).max())


# The module


def test_it_gives_field_flows_mask_and_residual():
    module, (first, last, sun) = roused(), tensors(2, 1, 47, 49)
    found = module(first, last, torch.tensor([0.2, 0.7]), sun)
    assert [tuple(x.shape) for x in found.fields] == [(2, 1, 5, 7)]
    assert [tuple(x.shape) for x in found.flows] == [(2, 4, 5, 7)]
    assert found.mask.shape == found.residual.shape == (2, 1, 5, 7)
    assert 0 < found.mask.min() < found.mask.max() < 1


def test_sizes_are_as_described():
    module = make("temporal", "flow_residual", {"features": 56})
    assert sum(tensor.numel() for tensor in module.parameters()) == 103_046
    assert module.halo == HALO and module.smooth_motion


def test_frames_of_another_shape_are_refused():
    module, (first, last, sun), t = roused(), tensors(2, 1, 44, 45), torch.tensor([0.5, 0.5])
    with pytest.raises(ValueError, match=r"expected frames of shape \(B, 1, H, W\) but got \(2, 3, 44, 45\)"):
        module(sun, last, t, sun)
    with pytest.raises(ValueError, match=r"42 × 45 nodes leave nothing within a halo of 21"):
        module(first[:, :, :42], last[:, :, :42], t, sun[:, :, :42])
    with pytest.raises(ValueError, match=r"\(2, 1, 44, 45\) and \(2, 1, 44, 44\) do not fit"):
        module(first, last[..., 1:], t, sun)
    for wrong in (None, sun[:, :2], sun[:1], sun[..., 1:]):
        with pytest.raises(ValueError, match=r"the sun must come as \(2, 3, 44, 45\) but is "):
            module(first, last, t, wrong)


def synthesised(module, fields, t):
    """Concentrations of a module at fraction t, and what it was made of."""
    frames = [torch.asinh(torch.tensor(field, dtype=torch.float32))[None, None] for field in fields]
    with torch.no_grad():
        found = module(*frames, torch.tensor([t]), torch.zeros(1, CHANNELS, *frames[0].shape[2:]))
    return torch.sinh(found.fields[0])[0, 0].numpy(), found


def splined(field, flow):
    """By SciPy; never below the smallest of the four nodes around."""
    place = np.stack(np.indices(flow.shape[1:])) + HALO + flow[::-1]
    row, column = np.floor(place).astype(int)
    floor = np.minimum.reduce([field[row + south, column + east] for south in (0, 1) for east in (0, 1)])
    return np.maximum(map_coordinates(field, place, order=3, mode="mirror"), floor)


def moved(dx, dy, seed=0):
    """Frames of waves that move by (dx, dy), and the truth at fraction t."""
    return (waves(0, 0, seed=seed), waves(dx, dy, seed=seed)), lambda t: inside(waves(t * dx, t * dy, seed=seed))


@pytest.mark.parametrize("t", [0.25, 2 / 3])
def test_untrained_it_displaces_both_frames_by_their_motion_and_blends_them_by_time(t):
    fields, _ = moved(1.5, -1)
    found, parts = synthesised(only_biases(), fields, t)
    seen = motion(*(torch.asinh(torch.tensor(field, dtype=torch.float32))[None, None] for field in fields))
    flow = LARGEST_FLOW * np.tanh(TRUST * inside(seen)[0].numpy() / LARGEST_FLOW)
    assert np.abs(flow).max() > 0.5
    first, last = (splined(field, share * flow) for field, share in zip(fields, (-t, 1 - t), strict=True))
    np.testing.assert_allclose(found, (1 - t) * first + t * last, rtol=5e-4)
    np.testing.assert_allclose(parts.flows[0][0], np.concatenate([-t * flow, (1 - t) * flow]), atol=1e-5)
    assert (parts.mask == 0.5).all() and not parts.residual.any()


@pytest.mark.parametrize(("dx", "dy"), [(0.8, 0.0), (1.5, -1.0), (-1.0, 2.0)])
def test_untrained_it_leaves_little_of_the_error_of_linear_interpolation_of_what_moves(dx, dy):
    fields, truth = moved(dx, dy)
    for t in THIRDS:
        found, _ = synthesised(only_biases(), fields, t)
        error = np.square(found - truth(t)).mean() ** 0.5
        assert error < 0.5 * np.square(inside(linear(fields, (t,))[0]) - truth(t)).mean() ** 0.5


@pytest.mark.parametrize("grid", [GLOBE, REGION], ids=["globe", "box"])
def test_untrained_where_nothing_moves_it_is_linear_interpolation_of_concentrations(grid):
    network, still = build("temporal", "flow_residual", None, SETTINGS), plumes(grid, 1)[0]
    still[10, 3] = -0.4  # what packing leaves
    grown = np.sinh(np.arcsinh(still) + np.float32(0.3))  # everywhere alike, as the network sees it
    for pair in ((still, still), (still, grown)):
        found = between(network, pair, grid)
        assert found.dtype == np.float32
        expected = linear(pair)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2 * SPLINE * expected.max())


def plane(rows=50, columns=54):
    """Concentrations that splines give exactly: 60 + 2 x + 3 y, and another plane."""
    y, x = np.indices((rows, columns))
    return 60 + 2.0 * x + 3 * y, 190 - 1.0 * x + 2 * y


def is_plane(found, expected):
    np.testing.assert_allclose(found, inside(expected), rtol=3e-5)


@pytest.mark.parametrize("t", [0.25, 2 / 3])
def test_the_flow_leads_from_the_first_frame_to_the_last_and_is_added_to_the_motion(t):
    x, y = 1.2, -0.7
    first, last = plane()
    found, parts = synthesised(only_biases(-TRUST, x, y), (first, last), t)
    x, y = (LARGEST_FLOW * np.tanh(v / LARGEST_FLOW) for v in (x, y))
    is_plane(found, (1 - t) * (first - t * (2 * x + 3 * y)) + t * (last + (1 - t) * (-x + 2 * y)))
    np.testing.assert_allclose(parts.flows[0][0, :, 0, 0], [-t * x, -t * y, (1 - t) * x, (1 - t) * y], rtol=1e-5)


def test_the_trust_is_the_share_of_the_motion_that_is_believed():
    fields, _ = moved(2, -1.5)
    whole, half, none = (
        synthesised(only_biases(trust - TRUST), fields, 0.5)[1].flows[0].numpy() for trust in (1, 0.5, 0)
    )
    seen = [2 * LARGEST_FLOW * np.arctanh(2 * flow / LARGEST_FLOW) / 2 for flow in (whole, half)]
    np.testing.assert_allclose(seen[1], seen[0] / 2, atol=1e-4)
    assert np.abs(none).max() < 1e-5
    np.testing.assert_allclose(np.median(2 * seen[0][0, 2:] / 2, axis=(1, 2)), [2, -1.5], rtol=0.05)


@pytest.mark.parametrize("t", [1 / 3, 0.5, 2 / 3])
def test_a_flow_stays_within_the_halo_however_large_it_is_wanted(t):
    first, last = plane()
    found, parts = synthesised(only_biases(-TRUST, 1e6, -1e6), (first, last), t)
    assert parts.flows[0].abs().max() == pytest.approx(LARGEST_FLOW * max(t, 1 - t))
    is_plane(found, (1 - t) * (first + t * LARGEST_FLOW) + t * (last - (1 - t) * 3 * LARGEST_FLOW))


def test_the_mask_is_the_share_of_the_first_frame_beside_its_weight_in_time():
    first, last = plane()
    t, m = 0.25, 1 / (1 + np.exp(-1.5))
    found, _ = synthesised(only_biases(-TRUST, mask=1.5), (first, last), t)
    is_plane(found, ((1 - t) * m * first + t * (1 - m) * last) / ((1 - t) * m + t * (1 - m)))


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 2 / 3, 1.0])
def test_the_residual_is_a_mean_and_a_trend_that_vanish_at_both_frames(t):
    first, last = plane()
    found, parts = synthesised(only_biases(-TRUST, mean=0.4, trend=-0.3), (first, last), t)
    residual = 4 * t * (1 - t) * (0.4 - 0.3 * (2 * t - 1))
    is_plane(found, np.sinh(np.arcsinh((1 - t) * first + t * last) + residual))
    np.testing.assert_allclose(parts.residual, residual, atol=1e-6)


def test_at_both_ends_the_frames_themselves_whatever_the_weights():
    module, (first, last, sun) = roused(), tensors(2, 1, 50, 50)
    for t, frame in ((0.0, first), (1.0, last)):
        with torch.no_grad():
            field = module(first, last, torch.full((2,), t), sun).fields[0]
        torch.testing.assert_close(torch.sinh(field), inside(torch.sinh(frame)), rtol=1e-5, atol=SPLINE * 30)


@pytest.mark.parametrize("bias", [(), (0.0, 50.0, -50.0, 4.0, 0, 0)], ids=["", "far"])
def test_its_halo_is_all_that_it_sees(bias):
    module, (first, last, sun) = roused(bias=bias), tensors(2, 1, 70, 72)
    t = torch.tensor([0.95, 1 / 3])  # the mask lets the first frame count, which is fetched from far away
    whole = module(first, last, t, sun)
    cut = [fields[..., 12:-12, 12:-12] for fields in (first, last, sun)]
    part = module(*cut[:2], t, cut[2])
    if bias:
        assert whole.flows[0].abs().max() > 7.5
    torch.testing.assert_close(part.fields[0], whole.fields[0][..., 12:-12, 12:-12], rtol=1e-4, atol=1e-4)


def test_examples_of_a_batch_do_not_see_each_other():
    module, (first, last, sun) = roused(), tensors(2, 1, 48, 48)
    fractions = torch.tensor([0.2, 0.9])
    together = module(first, last, fractions, sun).fields[0]
    for k in range(2):
        part = slice(k, k + 1)
        alone = module(first[part], last[part], fractions[part], sun[part]).fields[0]
        torch.testing.assert_close(together[part], alone, rtol=1e-4, atol=1e-4)


# Learning


def loss_of(module, examples, target):
    return (module(*examples).fields[0] - target).abs().mean()


def lesson(features, seed=3):
    """A network at its start, a batch, and what it shall make of it: what moves, and a daily course on top."""
    torch.manual_seed(seed)
    module = FlowResidual(features)
    fractions = torch.tensor(THIRDS)
    batch = [moved(1.5, -1, seed=seed), moved(-0.7, 2, seed=seed + 1)]
    first, last = (torch.tensor(np.stack([fields[k] for fields, _ in batch])[:, None]).float() for k in (0, 1))
    truth = np.stack([truth(t) for (_, truth), t in zip(batch, THIRDS, strict=True)])[:, None]
    sun = torch.randn(2, CHANNELS, *first.shape[2:])
    target = torch.asinh(torch.tensor(truth).float()) + 0.3 * inside(sun)[:, :1]
    return module, (torch.asinh(first), torch.asinh(last), fractions, sun), target


def test_each_of_its_outputs_feels_a_gradient_at_the_start():
    module, examples, target = lesson(8)
    loss_of(module, examples, target).backward()
    assert module.tail.weight.grad.flatten(1).norm(dim=1).min() > 1e-5
    assert not module.head.weight.grad.any()  # the tail is zero


def test_gradients_reach_every_parameter_one_step_after_the_start():
    module, examples, target = lesson(8)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    loss_of(module, examples, target).backward()
    optimiser.step()
    optimiser.zero_grad()
    loss_of(module, examples, target).backward()
    assert [key for key, tensor in module.named_parameters() if tensor.grad is None or not tensor.grad.any()] == []


def test_it_learns_one_batch_by_heart():
    module, examples, target = lesson(16)
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(120):
        loss = loss_of(module, examples, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


# Round the globe


@pytest.mark.parametrize(("columns", "hours"), [(20, -1), (240, -12)])
def test_rolling_the_globe_eastwards_by_15_degrees_is_an_hour_less_of_utc(columns, hours):
    """What lies 15° further east has its noon an hour earlier: where it is the same time of day, it is the same air."""
    network, pair = temporal(), plumes(GLOBE)
    fields = between(network, pair, GLOBE)
    rolled = np.roll(pair, columns, axis=-1)
    same_hour = between(network, rolled, GLOBE, SOLSTICE + np.timedelta64(hours, "h"))
    assert_like(same_hour, np.roll(fields, columns, axis=-1), within=2e-4)
    other = between(network, rolled, GLOBE)
    assert np.abs(other - np.roll(fields, columns, axis=-1)).max() > 0.5


@pytest.mark.parametrize("columns", [1, 7, -20])
def test_untrained_it_sees_no_meridian(columns):
    network, pair = build("temporal", "flow_residual", None, SETTINGS), plumes(SMALL)
    fields = between(network, pair, SMALL)
    assert np.abs(fields - linear(pair)).max() > 1
    assert_like(between(network, np.roll(pair, columns, axis=-1), SMALL), np.roll(fields, columns, axis=-1))


def test_the_sun_is_that_of_the_middle_of_the_interval(monkeypatch):
    seen = []
    network = temporal()
    relate = network.module.relate
    monkeypatch.setattr(network.module, "relate", lambda *given: seen.append(given[2]) or relate(*given))
    between(network, plumes(SMALL), SMALL, np.datetime64("2019-06-21T09:00"))
    cosine, sine, zenith = inside(seen[0])[0].numpy()
    noon = 22.5  # °E at 10:30 UTC
    np.testing.assert_allclose(cosine[3], np.cos(np.radians(SMALL.longitude - noon)), atol=1e-5)
    np.testing.assert_allclose(sine[3], np.sin(np.radians(SMALL.longitude - noon)), atol=1e-5)
    np.testing.assert_allclose(zenith[0], np.sin(np.radians(23.44)), atol=1e-3)


def test_the_poles_are_one_value():
    fields = between(temporal(), plumes(SMALL), SMALL)
    assert np.ptp(fields[:, [0, -1]], axis=-1).max() == 0
    assert np.ptp(fields[:, [1, -2]], axis=-1).min() > 0.1


@pytest.mark.parametrize(("row", "near", "far"), [(2, 1, 25), (46, 47, 23)], ids=["north", "south"])
def test_what_lies_just_beyond_the_pole_is_seen_across_it(row, near, far):
    opposite, quarter = (10 + 48) % 96, (10 + 24) % 96
    network, field = temporal(), plumes(MEDIUM)
    plume = field.copy()
    plume[..., row, 10] += 200
    hit = (np.abs(between(network, plume, MEDIUM) - between(network, field, MEDIUM)) > 1e-2).any(axis=0)
    assert hit[near, opposite] and not hit[near, quarter]
    assert not hit[far, opposite]


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


@pytest.fixture(scope="module", params=[(), (0.0, 50.0, -50.0, 0, 0, 0)], ids=["", "far"])
def worldwide(request):
    """A network, also one that fetches from as far as it can; two frames, and what lies between."""
    network, pair = temporal(bias=request.param), plumes(GLOBE)
    return network, pair, between(network, pair, GLOBE)


@REGIONS
def test_a_region_is_the_same_box_of_the_globe(region, worldwide):
    network, pair, fields = worldwide
    box, wide = coarse_grid(region), coarse_grid(region, network.halo)
    local = between(network, cut(pair, wide, GLOBE), wide)
    assert_like(cut(local, box, wide), cut(fields, box, GLOBE), within=2e-5)


# Missing and odd values


def test_a_missing_value_is_missing_exactly_where_it_is():
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


def test_a_frame_that_is_missing_altogether_gives_nothing():
    first, last = plumes(SMALL)
    assert np.isnan(between(temporal(), (np.full_like(first, np.nan), last), SMALL)).all()


def test_negative_values_that_packing_leaves_and_the_highest_peaks_stay_finite():
    fields = plumes(SMALL)
    fields[:, 5:20] = np.random.default_rng(1).uniform(-1, 0, (2, 15, 48))
    fields[0, 10, 10] = fields[1, 12, 12] = 3657
    assert np.isfinite(between(temporal(), fields, SMALL)).all()
    untrained = between(build("temporal", "flow_residual", None, SETTINGS), fields, SMALL)
    assert (untrained >= np.minimum(fields.min(axis=0), 0)).all() and untrained.max() < 2 * 3657
