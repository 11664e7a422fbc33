"""The paper's networks at their published sizes: made, taught one step, saved, loaded and run, once each."""

import numpy as np
import pytest

from deepcams.config.networks import FEATURES, LEVELS
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid, refine
from deepcams.inference.closure import closure_error
from deepcams.inference.spatial import refine_frames
from deepcams.models.checkpoint import load
from deepcams.training import held_out
from deepcams.training.prepare import write_frames
from deepcams.training.train import train

pytestmark = pytest.mark.slow

BOX = coarse_grid(Region(north=64.5, west=0.0, south=-64.5, east=129.0))  # as_printed learns from 512 cells
PART = coarse_grid(Region(north=45.0, west=0.0, south=-15.0, east=60.0))  # 81 × 81 nodes
TIME = np.datetime64("2019-12-31T18:00:00", "s")
PARAMETERS = {  # METHODS: with 73,856 and 84,294 more that the released code declares but never uses
    ("xvfi", "published"): 5_601_554 - 73_856,
    ("abpn", "published"): 1_801_089 - 84_294,
}


@pytest.fixture(autouse=True)
def few_patches_to_validate_with(monkeypatch):
    monkeypatch.setattr(held_out, "PATCHES", 1)
    monkeypatch.setattr(held_out, "BATCH", 1)


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("2018-01")
    random = np.random.default_rng(1)
    frames = random.gamma(2.0, 10.0, (30, *refine(BOX).shape)).astype(np.float32)
    times = np.datetime64("2018-01-01T00:30:00", "s") + np.arange(30) * np.timedelta64(3600, "s")
    degradation = {"operator": "block_mean", "sigma": 1.0}
    write_frames(frames, times, refine(BOX), folder / "index.json", degradation, {"source": "made up"})
    return folder / "index.json"


def taught(stage, network, recipe, patch, shard, folder):
    """A model file of the published size after one step."""
    settings = {
        "network": network,
        "recipe": recipe,
        "features": FEATURES[network][recipe],
        **({"levels": LEVELS[network][recipe]} if network in LEVELS else {}),
        "training": {
            "steps": 1,
            "batch_size": 1,
            "patch": patch,
            "learning_rate": 1e-4,
            "seed": 1,
            "precision": "float32",
            "threads": 1,
        },
    }
    path = folder / f"{network}-{recipe}.safetensors"
    figures = train(stage, settings, [shard], path, code="test")
    assert np.isfinite(figures["loss"])
    found = load(path, stage)
    count = sum(parameter.numel() for parameter in found.module.parameters())
    assert count == PARAMETERS.get((network, recipe), count)
    return found


@pytest.mark.parametrize(("recipe", "patch"), [("corrected", 64), ("published", 64), ("as_printed", 512)])
def test_xvfi_learns_a_step_and_fills_three_hours_of_the_globe(recipe, patch, shard, tmp_path):
    network = taught("temporal", "xvfi", recipe, patch, shard, tmp_path)
    grid = coarse_globe()
    first, last = np.random.default_rng(2).gamma(2.0, 5.0, (2, *grid.shape)).astype(np.float32)
    between = network.between(first, last, (1 / 3, 2 / 3), grid, TIME)
    assert between.shape == (2, 241, 480)
    assert np.isfinite(between).all()
    if recipe == "corrected":  # one step away from linear interpolation
        linear = np.stack([(1 - t) * first + t * last for t in (1 / 3, 2 / 3)])
        assert np.abs(between - linear).mean() < 0.1 * linear.mean()


@pytest.mark.parametrize("recipe", ["corrected", "published"])
def test_abpn_learns_a_step_and_refines_a_region(recipe, shard, tmp_path):
    network = taught("spatial", "abpn", recipe, 40, shard, tmp_path)
    frame = np.random.default_rng(3).gamma(2.0, 5.0, (1, *PART.shape)).astype(np.float32)
    fine = refine_frames(frame, PART, PART, network, "block_mean")
    assert fine.shape == (1, *refine(PART).shape)
    assert np.isfinite(fine).all()
    assert closure_error(fine, frame, PART) < 1e-4
