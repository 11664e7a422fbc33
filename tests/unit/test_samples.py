"""Examples drawn from shards: what lies where, when, and under which sun. Values of the fields tell their position."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, refine
from deepcams.models import frames
from deepcams.models.flow_residual import FlowResidual
from deepcams.models.sun import sun
from deepcams.training import samples
from deepcams.training.samples import Drawing, draw_intervals, draw_refinements, generators
from deepcams.training.shards import Shard, ShardWriter, read_shard

REGION = coarse_grid(Region(north=45.0, west=0.0, south=39.0, east=15.0))  # 9 × 21 coarse nodes
CIRCLE = Grid(REGION.latitude, coarse_globe().longitude, 0.75)
PUBLISHED = {"hours": (2, 12), "flips": True, "fine": True}
HOUR, ROW = 65536, 2048  # what an hour and a fine row add to a value; a fine column adds one


def positions(hours, grid):
    """Fields on a fine grid whose values are their positions: exact in float32."""
    rows, columns = (np.arange(size, dtype=np.float32) for size in grid.shape)
    return np.arange(hours, dtype=np.float32)[:, None, None] * HOUR + rows[:, None] * ROW + columns


def hours_of_june(count):
    return np.datetime64("2018-06-01T00:30:00", "s") + np.arange(count) * np.timedelta64(3600, "s")


def shard_of(fine, coarse_grid, *, coarse=None, operator="point", own=None, **parameters):
    """A shard in memory that begins in June; coarse : by default the fine nodes that are coarse ones."""
    return Shard(
        fine=fine,
        coarse=fine[:, ::3, ::3] if coarse is None else coarse,
        times=hours_of_june(len(fine)),
        fine_grid=refine(coarse_grid),
        coarse_grid=coarse_grid,
        operator=operator,
        parameters=parameters,
        own=len(fine) if own is None else own,
    )


def read(values):
    """Hour, fine row and fine column that values tell."""
    values = np.asarray(values).astype(int)
    return values // HOUR, values % HOUR // ROW, values % ROW


class Scripted:
    """In place of a generator: gives the integers it is told to, and notes their bounds."""

    def __init__(self, *numbers):
        self.numbers, self.bounds = list(numbers), []

    def integers(self, low, high=None):
        bounds = (0, int(low)) if high is None else (int(low), int(high))
        number = self.numbers.pop(0) % (bounds[1] - bounds[0]) + bounds[0]
        self.bounds.append(bounds)
        return number


@pytest.fixture(scope="module")
def region():
    return shard_of(positions(30, refine(REGION)), REGION)


@pytest.fixture(scope="module")
def circle():
    return shard_of(positions(12, refine(CIRCLE)), CIRCLE)


def refinements(shard, count=200, patch=3, halo=2, part="training", seed=0, **drawing):
    shards = shard if isinstance(shard, list) else [shard]
    return draw_refinements(shards, generators(seed, 1, range(count)), Drawing(patch, halo, **drawing), part)


def intervals(shard, count=200, patch=3, halo=2, part="training", seed=0, **drawing):
    shards = shard if isinstance(shard, list) else [shard]
    drawing = Drawing(patch, halo, **{"sun": True, **drawing})
    return draw_intervals(shards, generators(seed, 1, range(count)), drawing, part)


def assert_blocks_are_centred(found, halo, columns):
    """Every fine value of a refinement lies where the coarse values inside the halo say. columns : of the circle."""
    hour, row, column = read(found.coarse[:, 0].numpy())
    inner = (slice(None), slice(halo, row.shape[1] - halo), slice(halo, row.shape[2] - halo))
    around = np.arange(-1, 2)
    fine_hour, fine_row, fine_column = read(found.fine[:, 0].numpy())
    side = row.shape[1] - 2 * halo
    shape = (len(row), side, 3, side, 3)
    np.testing.assert_array_equal(fine_hour, np.broadcast_to(hour[:, :1, :1], fine_hour.shape))
    expected = row[inner][:, :, None, :, None] + around[None, None, :, None, None]
    np.testing.assert_array_equal(fine_row.reshape(shape), np.broadcast_to(expected, shape))
    expected = (column[inner][:, :, None, :, None] + around) % columns
    np.testing.assert_array_equal(fine_column.reshape(shape), np.broadcast_to(expected, shape))


@pytest.mark.parametrize("halo", [0, 1, 2])
def test_fine_patches_are_the_blocks_centred_on_the_coarse_nodes(region, halo):
    found = refinements(region, halo=halo)
    assert found.coarse.shape == (200, 1, 3 + 2 * halo, 3 + 2 * halo)
    assert found.fine.shape == (200, 1, 9, 9)
    assert_blocks_are_centred(found, halo, ROW)


@pytest.mark.parametrize("halo", [0, 1, 2])
def test_round_the_globe_a_patch_may_begin_at_any_column(circle, halo):
    """Also where its first fine column lies before the first of the file, or its last one after the last."""
    for left in range(480):
        found = draw_refinements([circle], [Scripted(0, 1, left, 5)], Drawing(3, halo), "training")
        column = read(found.coarse[0, 0].numpy())[2]
        np.testing.assert_array_equal(column[0], 3 * ((left + np.arange(3 + 2 * halo)) % 480))
        assert_blocks_are_centred(found, halo, 1440)


def test_round_the_globe_intervals_cross_the_date_line_with_their_sun(circle):
    for left in (0, 473, 474, 477, 479):
        found = draw_intervals([circle], [Scripted(0, 1, left, 0, 2, 0)], Drawing(3, 2, sun=True), "training")
        _, row, column = read(found.first[0, 0].numpy())
        np.testing.assert_array_equal(column[0], 3 * ((left + np.arange(7)) % 480))
        np.testing.assert_array_equal(row[:, 0], 3 * (1 + np.arange(7)))
        assert_sun(found, circle, hours=3)


def assert_sun(found, shard, hours):
    for index in range(len(found.first)):
        hour, row, column = read(found.first[index, 0].numpy())
        time = shard.times[hour[0, 0]] + np.timedelta64(30 * hours, "m")
        expected = sun(time, shard.fine_grid.latitude[row[:, 0]], shard.fine_grid.longitude[column[0]])
        np.testing.assert_allclose(found.context[index].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("halo", [0, 2])
def test_corrected_intervals_are_three_hours_at_the_coarse_nodes(region, halo):
    found = intervals(region, halo=halo)
    assert found.first.shape == found.last.shape == (200, 1, 3 + 2 * halo, 3 + 2 * halo)
    assert found.target.shape == (200, 1, 3, 3)
    first, last, target = (read(field[:, 0].numpy()) for field in (found.first, found.last, found.target))
    assert set((last[0] - first[0]).ravel()) == {3}
    inner = (slice(None), slice(halo, 3 + halo), slice(halo, 3 + halo))
    for axis in (1, 2):
        np.testing.assert_array_equal(last[axis], first[axis])
        np.testing.assert_array_equal(target[axis], first[axis][inner])
        assert set(first[axis].ravel() % 3) == {0}
    since = (target[0] - first[0][inner])[:, 0, 0]
    np.testing.assert_allclose(found.fraction.numpy(), since / 3, rtol=1e-6)
    assert set(since) == {1, 2}


def test_the_sun_is_that_of_the_middle_of_the_interval_above_the_patch(region):
    assert_sun(intervals(region, count=20), region, hours=3)


def test_a_network_sees_the_same_sun_in_training_and_in_use(region, monkeypatch):
    seen = []
    for module in (samples, frames):
        monkeypatch.setattr(module, "sun", lambda *place: (seen.append(place), sun(*place))[1])
    draw_intervals([region], [Scripted(0, 0, 0, 0, 4, 0)], Drawing(3, 0, sun=True), "training")
    small, start = Grid(REGION.latitude[:3], REGION.longitude[:3], 0.75), region.times[4]
    frames.TemporalFrames(FlowResidual(4)).between(*np.ones((2, 3, 3)), (1 / 3,), small, start)
    (trained, *here), (used, *there) = seen
    assert trained == used == start + np.timedelta64(90, "m")
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other)


def test_published_intervals_are_two_to_twelve_hours_at_the_fine_nodes():
    shard = shard_of(positions(30, refine(REGION)), REGION)
    found = intervals(shard, count=600, **PUBLISHED)
    first, last, target = (read(field[:, 0].numpy())[0] for field in (found.first, found.last, found.target))
    hours = (last - first)[:, 0, 0]
    assert set(np.abs(hours)) == set(range(2, 13))
    assert 0.4 < (hours < 0).mean() < 0.6  # reversed in time
    fraction = (target[:, 0, 0] - first[:, 0, 0]) / hours
    np.testing.assert_allclose(found.fraction.numpy(), fraction, rtol=1e-6)
    assert set(read(found.first[:, 0].numpy())[1].ravel() % 3) == {0, 1, 2}


@pytest.mark.parametrize("drawing", [{}, PUBLISHED])
def test_what_changes_linearly_in_time_is_found_by_linear_interpolation(drawing):
    random = np.random.default_rng(7)
    base, change = random.gamma(2, 5, (2, *refine(REGION).shape))
    fine = (base + np.arange(40)[:, None, None] * change).astype(np.float32)
    found = intervals(shard_of(fine, REGION), **drawing)
    t = found.fraction.view(-1, 1, 1, 1)
    linear = ((1 - t) * found.first + t * found.last)[..., 2:-2, 2:-2]
    np.testing.assert_allclose(linear, found.target, rtol=1e-5)


def orientation(patch):
    """How a patch was turned: the signs and the axis along which rows and columns grow."""
    _, row, column = read(patch)
    return tuple(
        int(np.sign(steps.sum())) for field in (row, column) for steps in (np.diff(field, axis=k) for k in (0, 1))
    )


def test_patches_are_turned_only_when_asked_and_all_fields_of_an_example_alike(region):
    upright = (1, 0, 0, 1)
    for found, fields in (
        (refinements(region, flips=False), ("coarse", "fine")),
        (intervals(region), ("first", "target", "last")),
    ):
        assert {orientation(patch) for name in fields for patch in getattr(found, name)[:, 0].numpy()} == {upright}
    for found, fields in (
        (refinements(region, flips=True), ("coarse", "fine")),
        (intervals(region, **PUBLISHED), ("first", "target", "last")),
    ):
        turned = [[orientation(patch) for patch in getattr(found, name)[:, 0].numpy()] for name in fields]
        assert len(set(turned[0])) == 8
        assert all(others == turned[0] for others in turned[1:])


def test_turned_frames_still_lie_on_one_another(region):
    found = intervals(region, **PUBLISHED)
    first, target = (read(field[:, 0].numpy()) for field in (found.first[..., 2:-2, 2:-2], found.target))
    for axis in (1, 2):
        np.testing.assert_array_equal(first[axis], target[axis])


@pytest.mark.parametrize("own", [27, 40])
@pytest.mark.parametrize("drawing", [{}, PUBLISHED])
def test_training_and_validation_never_share_an_hour_in_time(drawing, own):
    """Nor does either see the hour that belongs to the next month."""
    shard = shard_of(positions(own + 1, refine(REGION)), REGION, own=own)
    hours = [
        {
            int(hour)
            for frames in (found.first, found.target, found.last)
            for hour in read(frames[:, 0, 0, 0].numpy())[0]
        }
        for found in (intervals(shard, count=400, part=part, **drawing) for part in ("training", "validation"))
    ]
    assert max(hours[0]) < min(hours[1])
    assert hours[0] | hours[1] <= set(range(own))
    assert max(hours[1]) == own - 1


def test_training_and_validation_never_share_an_hour_in_space():
    shard = shard_of(positions(31, refine(REGION)), REGION, own=30)
    training, validation = (
        set(read(refinements(shard, part=part).coarse[:, 0, 0, 0].numpy())[0]) for part in ("training", "validation")
    )
    assert training == set(range(27))
    assert validation == {27, 28, 29}


def test_every_shard_is_drawn_from(region):
    later = [region, shard_of(positions(30, refine(REGION)) + 40 * HOUR, REGION)]
    for found in (refinements(later, count=50).coarse, intervals(later, count=50).first):
        assert set(read(found[:, 0, 0, 0].numpy())[0] >= 40) == {True, False}


def test_incomplete_patches_are_drawn_again():
    fine = positions(30, refine(REGION)).copy()
    fine[:, :, 40:43] = np.nan  # one column of blocks
    fine[11] = np.nan
    for found in (
        refinements(shard_of(fine, REGION)),
        intervals(shard_of(fine, REGION)),
        intervals(shard_of(fine, REGION), **PUBLISHED),
    ):
        assert all(np.isfinite(np.asarray(field)).all() for field in vars(found).values())
        assert len(found.context if hasattr(found, "context") else found.fine) == 200


def test_a_missing_fine_node_alone_makes_a_patch_incomplete():
    fine = positions(30, refine(REGION)).copy()
    coarse = fine[:, ::3, ::3].copy()
    fine[:, 13, 31] = np.nan
    assert np.isfinite(refinements(shard_of(fine, REGION, coarse=coarse)).fine.numpy()).all()


@pytest.mark.parametrize(("operator", "parameters", "lost"), [("point", {}, 0), ("gaussian", {"sigma": 1.5}, 2)])
def test_open_edges_spoilt_by_degradation_are_never_drawn(operator, parameters, lost):
    shard = shard_of(positions(30, refine(REGION)), REGION, operator=operator, **parameters)
    for found in (refinements(shard, patch=1).coarse, intervals(shard, patch=1, halo=1).first):
        _, rows, columns = read(found.numpy())
        assert (rows.min() // 3, rows.max() // 3) == (lost, 8 - lost)
        assert (columns.min() // 3, columns.max() // 3) == (lost, 20 - lost)


def test_on_the_circle_only_rows_are_spoilt_and_on_the_globe_nothing():
    circle = shard_of(positions(8, refine(CIRCLE)), CIRCLE, operator="imresize")
    random = Scripted(0, 0, 0, 0)
    draw_refinements([circle], [random], Drawing(3, 1), "training")
    assert random.bounds[1:3] == [(0, 1), (0, 480)]  # 9 rows less twice two leave one place
    globe = coarse_globe()
    whole = shard_of(
        np.broadcast_to(positions(1, refine(globe)), (8, *refine(globe).shape)), globe, operator="imresize"
    )
    for top in (0, 241 - 5):
        found = draw_refinements([whole], [Scripted(0, top, 100, 0)], Drawing(3, 1), "training")
        first_row = found.coarse[0, 0, 0].numpy().astype(int) // ROW
        assert set(first_row) == {3 * top}


@pytest.mark.parametrize("draw", [refinements, intervals])
def test_what_cannot_be_drawn_ends_in_one_sentence(draw, region):
    with pytest.raises(DeepcamsError, match=r"9 × 21 nodes that can be used.* need 10 .*training\.patch.*--patch"):
        draw(region, patch=6)
    few = shard_of(positions(2, refine(REGION)), REGION, own=1)
    with pytest.raises(DeepcamsError, match="1 hours, too few"):
        draw(few)
    nothing = shard_of(np.full((30, *refine(REGION).shape), np.nan, dtype=np.float32), REGION)
    with pytest.raises(DeepcamsError, match="hardly any complete patch"):
        draw(nothing)


def test_a_month_must_hold_two_intervals_of_the_longest_kind():
    short = shard_of(positions(25, refine(REGION)), REGION)
    with pytest.raises(DeepcamsError, match="25 hours, too few"):
        intervals(short, count=1, **PUBLISHED)
    enough = shard_of(positions(26, refine(REGION)), REGION)
    assert len(intervals(enough, **PUBLISHED).first) == 200


def test_the_same_random_numbers_give_the_same_examples(region):
    for draw in (refinements, intervals):
        first, again, other = (vars(draw(region, count=5, seed=seed)) for seed in (3, 3, 4))
        assert all((first[name] == again[name]).all() for name in first)
        assert any((first[name] != other[name]).any() for name in first)


@pytest.mark.parametrize("draw", [refinements, intervals])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_batch_drawn_in_parts_is_the_batch_drawn_whole(region, draw, mixed):
    """Every example has its own random numbers, so that processes can share a batch out among them."""
    whole = vars(draw(region, count=7, patch=2, halo=1, mixed=mixed))
    drawing = Drawing(2, 1, mixed=mixed, sun=draw is intervals)
    function = draw_intervals if draw is intervals else draw_refinements
    for rank in range(3):
        part = vars(function([region], generators(0, 1, range(rank, 7, 3)), drawing, "training"))
        for name, values in part.items():
            np.testing.assert_array_equal(values, whole[name][rank::3], err_msg=name)


def test_examples_differ_from_seed_to_seed_from_step_to_step_and_from_one_to_the_next():
    keys = [(seed, step, index) for seed in range(3) for step in range(3) for index in range(3)]
    numbers = [next(generators(seed, step, [index])).integers(2**60) for seed, step, index in keys]
    assert len(set(numbers)) == len(keys)


def test_rows_are_weighted_by_area_if_asked_with_a_mean_of_one_over_the_sphere(circle):
    found = intervals(circle, halo=2, count=20, latitude_weights=True)
    rows = read(found.target[:, 0, :, 0].numpy())[1]
    expected = np.cos(np.radians(circle.fine_grid.latitude[rows])) * np.pi / 2
    np.testing.assert_allclose(found.weight[:, 0, :, 0].numpy(), expected, rtol=1e-6)
    found = refinements(circle, halo=2, count=20, latitude_weights=True)
    rows = read(found.fine[:, 0, :, 0].numpy())[1]
    expected = np.cos(np.radians(circle.fine_grid.latitude[rows])) * np.pi / 2
    np.testing.assert_allclose(found.weight[:, 0, :, 0].numpy(), expected, rtol=1e-6)
    assert found.weight.dtype == torch.float32 and found.weight.shape == (20, 1, 9, 1)
    latitude = np.linspace(-90, 90, 100001)
    assert samples._weights(latitude, Drawing(1, 0, latitude_weights=True)).mean() == pytest.approx(1, abs=1e-4)


def test_without_latitude_weights_all_rows_count_alike(region):
    for found in (refinements(region, count=5), intervals(region, count=5)):
        assert (found.weight == 1).all()


def test_turned_patches_have_no_latitude_to_be_weighted_by():
    with pytest.raises(DeepcamsError, match=r"rotated.*training\.latitude_weights"):
        Drawing(3, 2, flips=True, latitude_weights=True)


def test_the_sun_is_left_out_where_no_network_sees_it(region, monkeypatch):
    monkeypatch.setattr(samples, "sun", lambda *place: pytest.fail("the sun was computed"))
    for drawing in ({}, PUBLISHED):
        assert intervals(region, count=5, sun=False, **drawing).context.shape == (5, 0, 7, 7)


@pytest.fixture(scope="module")
def months(tmp_path_factory):
    """Two shards on disk."""
    folders = [tmp_path_factory.mktemp("shard") for _ in range(2)]
    for folder in folders:
        fine = positions(30, refine(REGION))
        about = {"operator": "point", "sigma": 1.0, "source": folder.name}
        with ShardWriter(folder, hours_of_june(30), refine(REGION), REGION, about) as shard:
            shard.write(0, fine, fine[:, ::3, ::3])
    return folders


def mapped(folders):
    """Which arrays of the folders are mapped into this process's memory."""
    maps = Path("/proc/self/maps").read_text()
    return [name for folder in folders for name in ("fine", "coarse") if str(folder / f"{name}.npy") in maps]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not tell what is mapped")
def test_nothing_of_a_shard_stays_mapped_once_examples_are_drawn(months):
    """Else every page that was ever touched would stay in memory: in time all of every year."""
    shards = [read_shard(folder) for folder in months]
    held = shards[0].fine[0]
    assert mapped(months) == ["fine"]
    del held
    for mixed in (False, True):
        found = refinements(shards, patch=2, halo=1, mixed=mixed), intervals(shards, patch=2, halo=1, mixed=mixed)
        assert mapped(months) == []
    assert len(found) == 2


def test_shards_on_disk_give_the_examples_of_those_in_memory(months, region):
    shards = [pickle.loads(pickle.dumps(read_shard(folder))) for folder in months]  # as they reach other processes
    assert [shard.about["source"] for shard in shards] == [folder.name for folder in months]
    for draw in (refinements, intervals):
        on_disk, in_memory = vars(draw(shards, count=20)), vars(draw([region, region], count=20))
        for name, values in on_disk.items():
            np.testing.assert_array_equal(values, in_memory[name])
