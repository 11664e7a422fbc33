"""Running networks on frames: windows, edges, geometry of the published code; with stand-ins for networks."""

import numpy as np
import pytest
import torch
from torch import nn

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, refine
from deepcams.grid.pad import pad
from deepcams.grid.resample import upsample
from deepcams.models.catalogue import build, make, modules_of
from deepcams.models.frames import SpatialFrames, TemporalFrames
from deepcams.models.interpolated import Interpolated
from deepcams.models.manner import Manner
from deepcams.models.transform import TRANSFORMS

GLOBE = coarse_globe()
TIME = np.datetime64("2019-06-21T12:00")
THIRDS = (1 / 3, 2 / 3)
WINDOWED = Manner(window=48, overlap=16)
PUBLISHED = Manner(zero_edges=True, window=120, overlap=0, tapered=False, squeezed=True)
XVFI = {"features": 4, "levels": 1, "recipe": "corrected"}
ABPN = {"features": 4, "recipe": "corrected"}


def globe(columns):
    """A small globe with poles."""
    step = 360 / columns
    return Grid(90 - step * np.arange(columns // 2 + 1), -180 + step * np.arange(columns), step)


BOX = coarse_grid(Region(60.0, 150.0, 0.0, 210.0))


def plumes(grid, frames=2, seed=0):
    fields = np.random.default_rng(seed).gamma(1, 15, (frames, *grid.shape)).astype(np.float32)
    fields[:, [0, -1]] = 10
    return fields


class Spatial(nn.Module):
    """A stand-in for a network for space, without a halo. It keeps what it has seen."""

    halo = 0
    edges = "replicate"
    transform = TRANSFORMS["none"]

    def __init__(self, refine, manner=WINDOWED):
        super().__init__()
        self.refine, self.manner, self.seen = refine, manner, []

    def forward(self, coarse):
        self.seen.append((coarse, self.edges))
        return self.refine(coarse)


class Temporal(nn.Module):
    """A stand-in for a network for time: the weighted mean. It keeps what it has seen."""

    halo = 0
    context = 0
    transform = TRANSFORMS["none"]
    edges = "zeros"
    recipe = "corrected"

    def __init__(self, stride, manner=None, context=0):
        super().__init__()
        self.stride, self.manner, self.context, self.seen = stride, manner or Manner(), context, []

    def look(self, frame):
        return frame

    def relate(self, first, last, context):
        self.seen.append((first, last, context, self.edges))
        return first, last

    def synthesise(self, frames, fraction):
        t = fraction.view(-1, 1, 1, 1)
        field = (1 - t) * frames[0] + t * frames[1]
        return Interpolated([field], [], field, field)


def nearest(coarse):
    return coarse.repeat_interleave(3, -1).repeat_interleave(3, -2)


def bicubic(coarse):
    """As ABPN has it: a = -0.75, the edge of the frame repeated."""
    return nn.functional.interpolate(coarse, scale_factor=3, mode="bicubic")


def averaging(coarse):
    """Values that depend on the neighbours of a node, two to each side, and differ within a block."""
    wide = nn.functional.pad(coarse, (2, 2, 2, 2), mode="replicate")
    mean = nn.functional.avg_pool2d(wide, 5, stride=1)
    return nn.functional.pixel_shuffle(mean * torch.arange(1.0, 10.0).view(1, 9, 1, 1), 3)


def roused(stage, name, settings, seed=0):
    """A network with random weights, also where it starts from zero."""
    torch.manual_seed(seed)
    module = make(stage, name, settings)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.1 * torch.randn(tensor.shape))
    return module


def assert_like(found, expected, within=1e-5):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=within, atol=within * np.abs(expected).max())


# Windows


@pytest.mark.parametrize("grid", [GLOBE, globe(96), globe(40), BOX], ids=["globe", "of 96", "of 40", "box"])
def test_windows_leave_no_seam_in_an_interpolation(grid):
    """Through windows exactly what the whole frame gives: across the date line, at the poles, at the edges of a box."""
    field = plumes(grid)
    for function, expected in ((nearest, "nearest"), (bicubic, "bicubic")):
        found = SpatialFrames(Spatial(function)).refine(field, grid)
        assert_like(found[:, 1:-1], upsample(field, grid, expected, -0.75)[:, 1:-1], within=5e-6)


@pytest.mark.parametrize("grid", [GLOBE, globe(96)], ids=["globe", "of 96"])
def test_a_pole_is_one_value_through_windows(grid):
    fine = SpatialFrames(Spatial(averaging)).refine(plumes(grid), grid)
    assert np.ptp(fine[:, [0, -1]], axis=-1).max() == 0
    assert np.ptp(fine[:, [1, -2]], axis=-1).min() > 1


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_rolling_the_globe_by_steps_of_the_windows_rolls_the_fine_field(steps):
    """By what a network sees, not only what it gives: this one sees its window's mean."""
    field = plumes(GLOBE, 1)

    def with_the_mean(coarse):
        return nearest(coarse + coarse.mean(dim=(-1, -2), keepdim=True))

    network = SpatialFrames(Spatial(with_the_mean))
    fine = network.refine(field, GLOBE)
    assert_like(network.refine(np.roll(field, 32 * steps, -1), GLOBE), np.roll(fine, 96 * steps, -1), within=2e-6)
    off = network.refine(np.roll(field, 32 * steps + 8, -1), GLOBE)
    assert np.abs(off - np.roll(fine, 96 * steps + 24, -1)).max() > 1e-3  # the windows do matter here


def test_windows_see_the_globe_go_on_over_the_poles_and_across_the_date_line():
    small, module = globe(96), Spatial(nearest)
    field = plumes(small, 1)
    SpatialFrames(module).refine(field, small)
    wide = pad(field, small, (16, 0))
    first = module.seen[0][0][0, 0].numpy()
    assert first.shape == (48, 48)
    np.testing.assert_array_equal(first, wide[0, :48, :48])
    np.testing.assert_array_equal(first[15, :24], field[0, 1, 48:72])
    np.testing.assert_array_equal(module.seen[2][0][0, 0].numpy(), wide[0, :48, np.arange(64, 112) % 96].T)
    assert {edges for _, edges in module.seen} == {"replicate"}


def test_a_frame_smaller_than_a_window_is_seen_whole():
    small, module = coarse_grid(Region(30.0, 0.0, 15.0, 15.0)), Spatial(nearest)
    field = plumes(small, 1)
    assert_like(SpatialFrames(module).refine(field, small), upsample(field, small, "nearest"))
    assert all(seen.shape[-1] <= 48 and seen.shape[-2] <= 48 for seen, _ in module.seen)


def test_a_network_without_windows_sees_the_frame_and_its_halo():
    def inner(coarse):
        return nearest(coarse[..., 4:-4, 4:-4])

    module = Spatial(inner, Manner())
    module.halo = 4
    small = globe(48)
    field = plumes(small)
    found = SpatialFrames(module).refine(field, small)
    assert_like(found, upsample(field, small, "nearest"), within=1e-6)
    np.testing.assert_array_equal(module.seen[0][0][:, 0].numpy(), pad(field, small, 4))


@pytest.mark.parametrize("network", [("spatial", "pixel_shuffle"), ("temporal", "flow_residual"), ("temporal", "xvfi")])
def test_a_box_smaller_than_the_halo_is_continued_by_its_edge(network):
    tiny = coarse_grid(Region(30.0, 0.0, 27.0, 3.0))
    field = np.full((2, *tiny.shape), 20, np.float32)
    runner = build(*network, None, XVFI)
    found = runner.refine(field, tiny) if network[0] == "spatial" else runner.between(*field, THIRDS, tiny, TIME)
    np.testing.assert_allclose(found, 20, rtol=1e-5)
    module = Temporal(32)
    TemporalFrames(module).between(*field, THIRDS, tiny, TIME)
    assert (module.seen[0][0] == 20).all()


def test_networks_say_how_much_they_want_around_a_region():
    assert SpatialFrames(Spatial(nearest)).halo == 6
    assert build("spatial", "pixel_shuffle", None, {"features": 4}).halo == 6
    assert build("spatial", "least_squares", None, {}).halo == 3
    assert build("temporal", "flow_residual", None, {"features": 4}).halo == 21
    assert build("temporal", "xvfi", None, XVFI).halo >= 1


# The published geometry


def along(coarse, axis):
    """Blocks of a field that is linear, exactly: 0.25 degrees from row to row, or from column to column."""
    rows = torch.tensor([0.25, 0.0, -0.25]) if axis == -2 else torch.tensor([-0.25, 0.0, 0.25])
    size = coarse.shape[axis]
    offsets = rows.repeat(size).view(-1, 1) if axis == -2 else rows.repeat(size)
    return nearest(coarse) + offsets


def published(field, axis):
    return SpatialFrames(Spatial(lambda coarse: along(coarse, axis), PUBLISHED)).refine(field[None], GLOBE)[0]


def resized(rows, size):
    """Cubic convolution with a = -0.75 along the first axis, pixels as areas, the edge repeated: as torch resizes."""
    a, count = -0.75, len(rows)
    places = (np.arange(size) + 0.5) * count / size - 0.5
    base = np.floor(places).astype(int)
    result = np.zeros((size, *rows.shape[1:]))
    for k in range(-1, 3):
        x = np.abs(places - base - k)
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        far = a * (x**3 - 5 * x**2 + 8 * x - 4)
        weight = np.where(x <= 1, near, np.where(x < 2, far, 0))
        result += weight[:, None] * rows[np.clip(base + k, 0, count - 1)]
    return result


def test_the_published_rows_are_squeezed_from_723_to_720_and_the_pole_repeats_the_last():
    field = np.broadcast_to(GLOBE.latitude[:, None], GLOBE.shape).astype(np.float32)
    found = published(field, -2)
    assert found.shape == (721, 1440)
    blocks = 90.25 - 0.25 * np.arange(723)
    expected = resized(blocks[:, None], 720)[:, 0]
    np.testing.assert_allclose(found[:-1], expected[:, None] + np.zeros(1440), atol=1e-4)
    np.testing.assert_array_equal(found[-1], found[-2])


def test_published_latitudes_are_off_by_a_quarter_degree_in_the_north_and_half_a_degree_in_the_south():
    """What is read as 90 - k / 4 is truly this much further north: 723 rows from 90.25 squeezed into 720 from 90."""
    field = np.broadcast_to(GLOBE.latitude[:, None], GLOBE.shape).astype(np.float32)
    error = published(field, -2)[:-1, 0] - (90 - 0.25 * np.arange(720))
    assert error[[1, 360, 718]] == pytest.approx([0.25, -0.125, -0.5], abs=0.015)
    assert np.abs(error).mean() == pytest.approx(0.208, abs=0.005)


def test_published_longitudes_are_displaced_by_a_quarter_degree_to_the_east():
    field = np.broadcast_to(GLOBE.longitude, GLOBE.shape).astype(np.float32)
    found = published(field, -1)[1:-2]
    read = -180 + 0.25 * np.arange(1440)
    np.testing.assert_allclose(found, np.broadcast_to(read - 0.25, found.shape), atol=1e-4)


def test_the_published_squeeze_of_any_field_is_torchs_bicubic_of_the_blocks():
    field = plumes(GLOBE, 1)
    found = SpatialFrames(Spatial(nearest, PUBLISHED)).refine(field, GLOBE)[0]
    expected = resized(np.repeat(np.repeat(field[0].astype(float), 3, 0), 3, 1), 720)
    assert_like(found[1:-2], expected[1:-1], within=1e-4)  # torch's positions are float32
    assert np.ptp(found[[0, -1]], axis=-1).max() == 0


def test_the_published_displacement_of_a_box_is_a_node_to_the_south_and_east():
    field = plumes(BOX, 1)
    found = SpatialFrames(Spatial(nearest, PUBLISHED)).refine(field, BOX)
    assert found.shape == (1, *refine(BOX).shape)
    blocks = np.repeat(np.repeat(field, 3, 1), 3, 2)
    np.testing.assert_array_equal(found, blocks[:, :-2, :-2])


def test_the_published_windows_are_cut_without_a_margin_and_see_zeros_beyond():
    module, field = Spatial(nearest, PUBLISHED), plumes(GLOBE, 1)
    SpatialFrames(module).refine(field, GLOBE)
    assert len(module.seen) == 12
    corners = [(row, column) for row in (0, 120, 121) for column in (0, 120, 240, 360)]
    for (row, column), (seen, edges) in zip(corners, module.seen, strict=True):
        np.testing.assert_array_equal(seen[:, 0].numpy(), field[:, row : row + 120, column : column + 120])
        assert edges == "zeros"


# Strided networks for time


def test_a_strided_network_sees_the_globe_wrapped_and_continued_over_the_poles():
    module = Temporal(32)
    pair = plumes(GLOBE)
    found = TemporalFrames(module).between(*pair, THIRDS, GLOBE, TIME)
    first, last, context, edges = module.seen[0]
    assert first.shape == (1, 1, 288, 480) and edges == "periodic" and context is None
    np.testing.assert_array_equal(first[0, 0].numpy(), pad(pair[0], GLOBE, (32, 0))[:288])
    np.testing.assert_array_equal(last[0, 0, 32:273].numpy(), pair[1])
    assert_like(found, np.stack([(1 - t) * pair[0] + t * pair[1] for t in THIRDS]), within=1e-6)


@pytest.mark.parametrize("grid", [BOX, globe(40), globe(72)], ids=["box", "globe of 40", "globe of 72"])
def test_a_strided_network_sees_a_box_or_an_odd_globe_with_its_surroundings(grid):
    module = Temporal(32)
    pair = plumes(grid)
    found = TemporalFrames(module).between(*pair, THIRDS, grid, TIME)
    first, _, _, edges = module.seen[0]
    height, width = grid.shape
    assert edges == "replicate"
    assert first.shape[2] % 32 == first.shape[3] % 32 == 0
    assert first.shape[2] >= height + 16 and first.shape[3] >= width + 16
    assert_like(found, np.stack([(1 - t) * pair[0] + t * pair[1] for t in THIRDS]), within=1e-6)


def test_a_strided_network_sees_a_box_in_the_phase_of_the_globe():
    """The canvas begins at a multiple of the stride, counted from 90° north and 180° west, and holds a margin of 8."""
    field = np.broadcast_to(np.arange(480.0, dtype=np.float32), GLOBE.shape)
    for row, column in ((40, 100), (47, 71), (64, 32), (8, 470)):
        box = Grid(GLOBE.latitude[row : row + 30], -180 + 0.75 * np.arange(column, column + 40), 0.75)
        module = Temporal(32)
        frame = np.take(field[row : row + 30], np.arange(column, column + 40), axis=1, mode="wrap") + 1000
        TemporalFrames(module).between(frame, frame, (0.5,), box, TIME)
        seen = module.seen[0][0][0, 0].numpy()
        inside = np.nonzero(np.diff(seen[0]))[0]
        west = inside[0]  # the last node that repeats the edge is the first of the box
        assert (column - west) % 32 == 0 and 8 <= west < 40
        assert 8 <= seen.shape[1] - west - 40 < 40
        assert np.array_equal(seen[:, west : west + 40], np.broadcast_to(frame[0], (seen.shape[0], 40)))
    rows = Temporal(32)
    box = Grid(GLOBE.latitude[47:77], -180 + 0.75 * np.arange(40), 0.75)
    frame = np.broadcast_to(np.arange(47.0, 77, dtype=np.float32)[:, None], box.shape)
    TemporalFrames(rows).between(frame, frame, (0.5,), box, TIME)
    north = np.nonzero(np.diff(rows.seen[0][0][0, 0, :, 0].numpy()))[0][0]
    assert (47 - north) % 32 == 0 and 8 <= north < 40


def test_the_sun_is_continued_as_the_frames_are():
    module = Temporal(32, context=3)
    TemporalFrames(module).between(*plumes(GLOBE), THIRDS, GLOBE, TIME)
    context = module.seen[0][2][0].numpy()
    assert context.shape == (3, 288, 480)
    np.testing.assert_array_equal(context[:, 31], np.roll(context[:, 33], 240, axis=-1))


def test_the_published_network_sees_zeros_in_the_south_and_east():
    module = Temporal(32, Manner(zero_edges=True))
    pair = plumes(GLOBE)
    TemporalFrames(module).between(*pair, THIRDS, GLOBE, TIME)
    first, last, _, edges = module.seen[0]
    assert first.shape == (1, 1, 256, 480) and edges == "zeros"
    np.testing.assert_array_equal(first[0, 0, :241].numpy(), pair[0])
    assert not first[..., 241:, :].any() and not last[..., 241:, :].any()
    module.seen.clear()
    TemporalFrames(module).between(*plumes(BOX), THIRDS, BOX, TIME)
    assert module.seen[0][0].shape[3] == 96 and not module.seen[0][0][..., 81:].any()


def test_two_frames_are_encoded_once_for_all_instants_between():
    module = Temporal(32)
    TemporalFrames(module).between(*plumes(BOX), (0.2, 0.4, 0.6), BOX, TIME)
    assert len(module.seen) == 1


def test_at_both_ends_the_frames_themselves_bit_by_bit():
    for module in (Temporal(32), roused("temporal", "flow_residual", {"features": 4})):
        pair = plumes(globe(40))
        found = TemporalFrames(module).between(*pair, (0.0, 0.5, 1.0), globe(40), TIME)
        np.testing.assert_array_equal(found[[0, 2]], pair)
        assert np.abs(found[1] - pair).max() > 1


class Falling(Temporal):
    """Far too little between the frames."""

    def synthesise(self, frames, fraction):
        found = super().synthesise(frames, fraction)
        return Interpolated([found.fields[0] - 30], [], found.mask, found.residual)


def test_between_frames_nothing_is_below_zero_but_what_packing_put_there():
    first, last = plumes(BOX)
    first[20, 30], last[20, 30] = 15, -0.4
    first[21, 30], last[21, 30] = -0.2, -0.5
    first[22, 30] = np.nan
    found = TemporalFrames(Falling(32)).between(first, last, (0.0, 0.5, 1.0), BOX, TIME)
    assert found[1, 20, 30] == np.float32(-0.4) and found[1, 21, 30] == np.float32(-0.5)
    assert np.isnan(found[:, 22, 30]).all()
    found[1, 20:23, 30] = 0
    above = np.maximum((first + last) / 2 - 30, 0)
    above[20:23, 30] = 0
    np.testing.assert_allclose(found[1], above, atol=1e-4)
    np.testing.assert_array_equal(found[0, 20:22, 30], first[20:22, 30])


def test_the_published_network_may_fall_below_zero():
    module = Falling(32)
    module.recipe = "published"
    first, last = plumes(BOX)
    found = TemporalFrames(module).between(first, last, (0.5,), BOX, TIME)
    np.testing.assert_allclose(found[0], (first + last) / 2 - 30, atol=1e-4)


def test_a_missing_value_is_missing_exactly_where_it_is_through_windows_and_strides():
    for grid in (globe(96), BOX):
        first, last = plumes(grid)
        first[5, 6] = last[20, 0] = np.nan
        found = TemporalFrames(Temporal(32)).between(first, last, THIRDS, grid, TIME)
        np.testing.assert_array_equal(~np.isfinite(found), np.broadcast_to(np.isnan(first + last), found.shape))
        for manner in (WINDOWED, PUBLISHED):
            fine = SpatialFrames(Spatial(averaging, manner)).refine(np.stack([first, last]), grid)
            expected = np.zeros(fine.shape, bool)
            expected[0, 14:17, 17:20] = True
            expected[1, 59:62, [0, 1, -1] if grid.is_periodic else [0, 1]] = True
            np.testing.assert_array_equal(~np.isfinite(fine), expected)


def test_frames_that_are_not_on_the_grid_are_refused():
    pair = plumes(BOX)
    with pytest.raises(DeepcamsError, match=r"81 × 80 nodes is not on a 0\.75° grid of 81 × 81"):
        TemporalFrames(roused("temporal", "flow_residual", {"features": 4})).between(*pair[..., 1:], THIRDS, BOX, TIME)
    with pytest.raises(DeepcamsError, match=r"80 × 81 nodes is not on a 0\.75° grid of 81 × 81"):
        build("spatial", "least_squares", None, {}).refine(pair[:, 1:], BOX)


# The networks of the paper


def test_untrained_xvfi_is_linear_interpolation_of_concentrations():
    for grid in (globe(64), globe(40), BOX):
        pair = plumes(grid)
        found = build("temporal", "xvfi", None, XVFI).between(*pair, THIRDS, grid, TIME)
        expected = np.stack([(1 - t) * pair[0] + t * pair[1] for t in THIRDS])
        assert_like(found, expected, within=3e-6)


def test_rolling_the_globe_by_the_stride_of_xvfi_at_the_same_time_of_day_rolls_its_fields():
    grid = globe(96)  # 32 columns are 120 degrees, 8 hours
    network, pair = TemporalFrames(roused("temporal", "xvfi", XVFI)), plumes(grid)
    fields = network.between(*pair, THIRDS, grid, TIME)
    assert np.abs(fields[0] - (2 * pair[0] + pair[1]) / 3).max() > 1
    rolled = np.roll(pair, 32, axis=-1)
    same_hour = network.between(*rolled, THIRDS, grid, TIME - np.timedelta64(8, "h"))
    assert_like(same_hour, np.roll(fields, 32, axis=-1), within=1e-3)
    other_hour = network.between(*rolled, THIRDS, grid, TIME + np.timedelta64(8, "h"))
    assert (
        np.abs(other_hour - np.roll(fields, 32, axis=-1)).max() > 10 * np.abs(same_hour - np.roll(fields, 32, -1)).max()
    )


def test_published_xvfi_is_its_module_on_clipped_frames_with_zeros_around():
    settings = XVFI | {"recipe": "published"}
    module, pair = roused("temporal", "xvfi", settings), plumes(globe(40))
    pair[0, 5, 5] = 3000
    found = TemporalFrames(module).between(*pair, THIRDS, globe(40), TIME)
    wide = np.zeros((2, 1, 1, 32, 64), np.float32)
    wide[..., :21, :40] = np.clip(pair, 0, 800)[:, None, None] / 800
    first, last = torch.from_numpy(wide)
    with torch.no_grad():
        for field, t in zip(found, THIRDS, strict=True):
            expected = 800 * module(first, last, torch.tensor([t])).fields[0][0, 0, :21, :40].numpy()
            np.testing.assert_allclose(field[1:-1], expected[1:-1], rtol=1e-4, atol=1e-2)


def test_untrained_abpn_is_bicubic_interpolation_of_asinh_through_windows():
    grid = globe(48)
    field = plumes(grid, 1)
    found = build("spatial", "abpn", None, ABPN).refine(field, grid)
    expected = np.sinh(upsample(np.arcsinh(field.astype(float)), grid, "bicubic", -0.75))
    np.testing.assert_allclose(found[:, 1:-1], expected[:, 1:-1], rtol=2e-5, atol=2e-5)


def test_rolling_the_globe_by_a_step_of_the_windows_of_abpn_rolls_its_fields():
    grid = globe(96)
    network, field = SpatialFrames(roused("spatial", "abpn", ABPN)), plumes(grid, 1) / 10
    fine = network.refine(field, grid)
    assert_like(network.refine(np.roll(field, 32, -1), grid), np.roll(fine, 96, -1), within=1e-4)


def test_published_abpn_runs_in_the_published_geometry():
    settings = {"features": 2, "recipe": "published"}
    module = make("spatial", "abpn", settings)
    assert module.manner == PUBLISHED
    field = plumes(globe(24), 1)
    found = SpatialFrames(module).refine(field, globe(24))
    assert found.shape == (1, 37, 72)
    with torch.no_grad():
        blocks = 800 * module(torch.from_numpy(np.clip(field, 0, 800)[:, None] / 800))[0, 0].numpy()
    assert_like(found[0, 1:-2], resized(blocks.astype(float), 36)[1:-1], within=1e-4)


def test_networks_that_learn_name_what_runs_them():
    assert modules_of("temporal", "xvfi") == ("deepcams.models.xvfi", "deepcams.models.frames")
    assert modules_of("spatial", "bicubic") == ("deepcams.models.spatial_interpolation",)
