"""Training and inference on a GPU; skipped where there is none."""

import numpy as np
import pytest
import torch
from torch import distributed

from deepcams.calendar import hours_between
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.inference.temporal import hourly_block
from deepcams.inference.workers import frame_workers
from deepcams.models import catalogue
from deepcams.models.frames import SpatialFrames, TemporalFrames
from deepcams.training import engine, spatial, temporal
from deepcams.training.engine import fit
from tests.unit.test_samples import shard_of
from tests.unit.test_training import textured

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]
GRID = coarse_grid(Region(north=49.5, west=0.0, south=0.0, east=60.0))
NETWORKS = {
    "flow_residual": ("temporal", {"features": 16, "recipe": "corrected"}, 16),
    "xvfi": ("temporal", {"features": 16, "levels": 1, "recipe": "corrected"}, 32),
    "pixel_shuffle": ("spatial", {"features": 16, "recipe": "corrected"}, 16),
    "abpn": ("spatial", {"features": 8, "recipe": "corrected"}, 16),
}
SETTINGS = {
    **{"steps": 20, "batch_size": 8, "learning_rate": 1e-3, "seed": 1, "threads": 2, "workers": 2},
    **{"resolution": "coarse", "domain": "mixed"},
}


@pytest.fixture(scope="module")
def shard():
    fine = textured(60, refine(GRID))
    return shard_of(fine, GRID, operator="point")


def taught(network, shard, *, watch=None, **settings):
    """The module, and the history of its training. watch : called with the module before every loss."""
    stage, sizes, patch = NETWORKS[network]
    torch.manual_seed(1)
    module = catalogue.make(stage, network, sizes)
    settings = SETTINGS | {"patch": patch} | settings
    task = {"temporal": temporal, "spatial": spatial}[stage].task(module, [shard], settings)
    if watch:
        loss = task.loss
        task = task._replace(loss=lambda network, examples: (watch(network, examples), loss(network, examples))[1])
    return module, fit(task, settings, name=network)


def losses(done):
    return np.array([row["loss"] for row in done.history])


@pytest.mark.parametrize("network", list(NETWORKS))
def test_bfloat16_learns_what_float32_does(network, shard):
    found = {word: losses(taught(network, shard, precision=word)[1]) for word in ("float32", "bfloat16", "auto")}
    np.testing.assert_allclose(found["bfloat16"], found["float32"], rtol=0.03)
    np.testing.assert_allclose(found["auto"], found["bfloat16"], rtol=0.01)
    assert not np.array_equal(found["bfloat16"], found["float32"])


@pytest.mark.parametrize("network", list(NETWORKS))
def test_weights_lie_in_memory_with_their_channels_last(network, shard):
    seen = []

    def watch(module, examples):
        seen.append(all(value.is_cuda for value in vars(examples).values()))
        for weight in module.parameters():
            if weight.ndim == 4:
                seen.append(weight.is_cuda and weight.is_contiguous(memory_format=torch.channels_last))

    taught(network, shard, watch=watch, precision="auto", steps=2)
    assert seen and all(seen)


def test_the_gpu_learns_what_the_processor_does(shard, monkeypatch):
    on_gpu = losses(taught("pixel_shuffle", shard, precision="float32")[1])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_processor = losses(taught("pixel_shuffle", shard, precision="float32")[1])
    np.testing.assert_allclose(on_gpu, on_processor, rtol=5e-3)


@pytest.mark.parametrize("network", ["flow_residual", "xvfi"])
def test_hours_in_threads_with_streams_are_the_processors(network, monkeypatch):
    stage, sizes, _ = NETWORKS[network]
    frames = textured(9, GRID)
    times = np.datetime64("2019-06-21T00:00", "s") + np.arange(9) * np.timedelta64(3, "h")
    hours = hours_between(times[0], times[-1])

    def interpolated():
        torch.manual_seed(1)
        net = TemporalFrames(catalogue.make(stage, network, sizes))
        with frame_workers(3) as pool:
            return hourly_block(frames, times, hours, net, GRID, pool, 3)

    on_gpu = interpolated()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    np.testing.assert_allclose(on_gpu, interpolated(), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("network", ["pixel_shuffle", "abpn"])
def test_fine_fields_in_threads_with_streams_are_the_processors(network, monkeypatch):
    stage, sizes, _ = NETWORKS[network]
    frames = textured(6, GRID)

    def refined():
        torch.manual_seed(1)
        net = SpatialFrames(catalogue.make(stage, network, sizes))
        with frame_workers(3, concurrent=net.concurrent) as pool:
            return np.concatenate(list(pool.map(lambda frame: net.refine(frame[None], GRID), frames)))

    on_gpu = refined()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    np.testing.assert_allclose(on_gpu, refined(), rtol=2e-3, atol=2e-3)


@pytest.mark.filterwarnings("ignore")  # of torch, about a group with one member
def test_one_process_of_a_group_is_as_good_as_none(shard, monkeypatch):
    _, expected = taught("pixel_shuffle", shard, precision="float32", ema=0.9)
    for name, value in (("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29517"), ("RANK", "0"), ("WORLD_SIZE", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_RANK", "0")
    distributed.init_process_group("nccl", device_id=torch.device("cuda", 0))
    try:
        _, found = taught("pixel_shuffle", shard, precision="float32", ema=0.9)
    finally:
        distributed.destroy_process_group()
    np.testing.assert_allclose(losses(found), losses(expected), rtol=1e-4)


def test_a_state_kept_on_the_gpu_is_gone_on_from(shard, tmp_path, monkeypatch):
    class Stopped(BaseException):
        pass

    steps, keep = [], engine.keep

    def stop_at_five(*words):
        keep(*words)
        steps.append(words[2].step)
        if len(steps) == 5:
            raise Stopped

    stage, sizes, patch = NETWORKS["pixel_shuffle"]
    settings = SETTINGS | {"patch": patch, "precision": "float32", "ema": 0.9}

    def run(state):
        torch.manual_seed(1)
        module = catalogue.make(stage, "pixel_shuffle", sizes)
        return module, fit(spatial.task(module, [shard], settings), settings, name="it", state=state, key="k")

    _, expected = run(None)
    monkeypatch.setattr(engine, "keep", stop_at_five)
    with pytest.raises(Stopped):
        run(tmp_path / "state")
    _, found = run(tmp_path / "state")
    assert steps == list(range(1, 21))
    np.testing.assert_allclose(losses(found), losses(expected), rtol=1e-4)
