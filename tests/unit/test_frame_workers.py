"""Frames side by side in threads: the same numbers whatever their number, and nothing seen twice."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from deepcams.calendar import hours_between
from deepcams.files.checksum import sha256
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.inference.temporal import hourly_block, hourly_fields
from deepcams.inference.workers import frame_workers
from deepcams.models import pretrained
from deepcams.models.catalogue import make
from deepcams.models.checkpoint import load
from deepcams.models.frames import TemporalFrames
from deepcams.product.attributes import Provenance
from deepcams.product.downscale import write_product
from deepcams.product.months import Product

GRID = coarse_grid(Region(30.0, 0.0, 0.0, 45.0))
TIMES = np.datetime64("2019-06-21T00:00", "s") + np.arange(9) * np.timedelta64(3, "h")
HOURS = hours_between(TIMES[0], TIMES[-1])[:24]


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).gamma(1, 15, (len(TIMES), *GRID.shape)).astype(np.float32)


def roused(name, **settings):
    """A network for time with random weights, also where it starts from zero."""
    torch.manual_seed(0)
    module = make("temporal", name, {"recipe": "corrected", **settings})
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.05 * torch.randn(tensor.shape))
    return module


NETWORKS = [("flow_residual", {"features": 4}), ("xvfi", {"features": 4, "levels": 1})]


@pytest.mark.parametrize(("name", "settings"), NETWORKS, ids=[name for name, _ in NETWORKS])
@pytest.mark.parametrize("stretches", [1, 2, 3, 20])
def test_hours_do_not_depend_on_how_they_are_shared_out(frames, name, settings, stretches):
    network = TemporalFrames(roused(name, **settings))
    expected = np.stack(list(hourly_fields(frames, TIMES, HOURS[2:], network, GRID)))
    with frame_workers(2) as pool:
        found = hourly_block(frames, TIMES, HOURS[2:], network, GRID, pool, stretches)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("name", "settings"), NETWORKS, ids=[name for name, _ in NETWORKS])
def test_what_is_seen_of_a_frame_serves_both_intervals_and_changes_nothing(frames, name, settings, monkeypatch):
    network, looks = TemporalFrames(roused(name, **settings)), []
    look = network.module.look
    monkeypatch.setattr(network.module, "look", lambda frame: looks.append(1) or look(frame))
    carried = np.stack(list(hourly_fields(frames, TIMES, HOURS, network, GRID)))
    assert len(looks) == len(TIMES)
    for k in range(len(TIMES) - 1):
        fresh = TemporalFrames(network.module)
        pair = fresh.between(frames[k], frames[k + 1], (1 / 3, 2 / 3), GRID, TIMES[k])
        np.testing.assert_array_equal(carried[3 * k + 1 : 3 * k + 3], pair)


def test_a_frame_that_was_changed_in_place_is_looked_at_again(frames):
    network = TemporalFrames(roused("flow_residual", features=4))
    first, last, next_one = (frame.copy() for frame in frames[:3])
    network.between(first, last, (1 / 3,), GRID, TIMES[0])
    last *= 2
    found = network.between(last, next_one, (1 / 3,), GRID, TIMES[1])
    fresh = TemporalFrames(network.module).between(last, next_one, (1 / 3,), GRID, TIMES[1])
    np.testing.assert_array_equal(found, fresh)


def test_the_product_has_the_same_bytes_whatever_the_number_of_threads(frames, tmp_path):
    network = load(pretrained.path("spatial"), "spatial")
    hourly = np.repeat(frames[:8], 3, axis=0)
    product = Product(refine(GRID), (TIMES[0], TIMES[-1]), Provenance({}, {}, "-"))
    digests = set()
    for threads in (1, 2, 5):
        out = tmp_path / f"{threads}.nc"
        given = (HOURS, lambda wanted: hourly[np.searchsorted(HOURS, wanted)], GRID, network, "block_mean", product)
        write_product(out, *given, key=None, threads=threads)
        digests.add(sha256(out))
    assert len(digests) == 1


def test_threads_to_come_begin_with_as_many_cores_as_before():
    own = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with frame_workers(2) as pool:
            assert pool.submit(torch.get_num_threads).result() == 1
        with ThreadPoolExecutor(1) as later:
            assert (torch.get_num_threads(), later.submit(torch.get_num_threads).result()) == (2, 2)
    finally:
        torch.set_num_threads(own)


def test_an_error_in_a_worker_ends_the_work_and_leaves_no_file(frames, tmp_path):
    class Broken:
        halo, context, concurrent, precision = 0, 0, True, "float32"

        def refine(self, frames, grid):
            raise MemoryError("no room for a frame")

    product = Product(refine(GRID), (TIMES[0], TIMES[-1]), Provenance({}, {}, "-"))
    given = (HOURS, lambda wanted: frames[:1].repeat(len(wanted), 0), GRID, Broken(), "none", product)
    with pytest.raises(MemoryError, match="no room"):
        write_product(tmp_path / "out.nc", *given, key=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("threads", "concurrent", "expected"),
    [(4, True, (4, 1)), (4, False, (1, 4)), (1, True, (1, 1)), (16, True, (8, 2))],
)
def test_cores_are_shared_out_to_frames_or_given_to_one(threads, concurrent, expected):
    with frame_workers(threads, concurrent=concurrent) as pool:
        own = set(pool.map(lambda _: torch.get_num_threads(), range(8)))
        assert (pool._max_workers, *own) == expected
