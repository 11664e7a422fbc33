"""The same inputs and seeds give the same numbers: to the byte, or within what docs/provenance.md says of threads.

Bytes are compared beside what writes them: the product whatever its threads (test_frame_workers), trainings
(test_training, test_cli_train), a training or a month that was killed (test_engine_resume, test_product,
tests/workflow/test_faults), pictures (test_figure_rules), the software bill (test_supply_chain).
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from deepcams.calendar import hours_between
from deepcams.files.netcdf import Encoding, write_field
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.models import pretrained
from deepcams.models.catalogue import make
from deepcams.models.checkpoint import load
from deepcams.models.frames import SpatialFrames, TemporalFrames
from deepcams.training.prepare import write_shard
from deepcams.training.train import train
from tests.conftest import ROOT

# As docs/provenance.md states them.
SAME_FIELDS = 1e-5  # of a value, or of 1 µg/m³ if that is more
SAME_SKILL = 1e-3  # of the error on held-out hours

GRID = coarse_grid(Region(15.0, 0.0, 0.0, 22.5))
START = np.datetime64("2019-06-21T00:00", "s")
THREADS = (1, 2, 4)
LEARNERS = {"temporal": "flow_residual", "spatial": "pixel_shuffle"}


def random_network(stage, name, **settings):
    torch.manual_seed(0)
    module = make(stage, name, {"recipe": "corrected", **settings})
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.05 * torch.randn(tensor.shape))
    return TemporalFrames(module) if stage == "temporal" else SpatialFrames(module)


NETWORKS = {
    "flow_residual": lambda: load(pretrained.path("temporal"), "temporal"),
    "pixel_shuffle": lambda: load(pretrained.path("spatial"), "spatial"),
    "xvfi": lambda: random_network("temporal", "xvfi", features=4, levels=1),
    "abpn": lambda: random_network("spatial", "abpn", features=4),
}


def made_by(name):
    """Hours between two frames, or the fine field of one."""
    frames = np.random.default_rng(0).gamma(1, 15, (2, *GRID.shape)).astype(np.float32)
    network = NETWORKS[name]()
    if isinstance(network, TemporalFrames):
        return np.asarray(network.between(*frames, (1 / 3, 2 / 3), GRID, START))
    return np.asarray(network.refine(frames[:1], GRID))


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """A day of smooth fields that move."""
    import xarray as xr

    folder = tmp_path_factory.mktemp("2018-01")
    fine = refine(coarse_grid(Region(north=45.0, west=0.0, south=25.5, east=24.0)))
    times = hours_between(np.datetime64("2018-01-01T00:30", "s"), np.datetime64("2018-01-02T00:30", "s"))
    hour = np.arange(len(times))[:, None, None]
    y, x = fine.latitude[:, None], fine.longitude[None, :]
    values = 20 + 8 * np.sin((x - hour * 0.3) / 2) * np.cos(y / 1.5) + 3 * np.sin(x + y + hour / 4)
    field = xr.DataArray(
        values.astype(np.float32),
        coords={"time": times, "latitude": fine.latitude, "longitude": fine.longitude},
        dims=("time", "latitude", "longitude"),
        name="pm25",
        attrs={"units": "ug m-3", "cell_methods": "time: mean (interval: 1 hour)"},
    )
    write_field(folder / "raw.nc", field, Encoding(), {"collection": "aqc_tavg_1hr_g1440x721_v1"})
    write_shard(folder / "raw.nc", folder / "index.json", {"operator": "block_mean", "sigma": 1.0})
    return folder


TRAINING = {
    "steps": 4,
    "batch_size": 2,
    "patch": 6,
    "learning_rate": 0.002,
    "seed": 1,
    "precision": "float32",
    "ema": None,
    "domain": "single",
    "resolution": "fine",
    "latitude_weights": True,
}


def learnt(stage, threads, shard, folder):
    """The error on held-out hours of the weights after a few steps."""
    training = TRAINING | {"threads": threads}
    settings = {"network": LEARNERS[stage], "recipe": "corrected", "features": 4, "training": training}
    return train(stage, settings, [shard / "index.json"], folder / f"{stage}-{threads}.safetensors", code="c0de")[
        "rmse"
    ]


def with_all_threads(shard, folder):
    """Write the fields of every network, and what is learnt, by number of threads: for another process."""
    errors, fields = {}, {}
    for threads in THREADS:
        errors |= {f"{stage}-{threads}": learnt(stage, threads, shard, folder) for stage in LEARNERS}
        torch.set_num_threads(threads)
        fields |= {f"{name}-{threads}": made_by(name) for name in NETWORKS}
    np.savez(folder / "fields.npz", **fields)
    (folder / "errors.json").write_text(json.dumps(errors))


ALONE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.test_determinism import with_all_threads
with_all_threads(Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def elsewhere(shard, tmp_path_factory):
    """Fields and errors by network and number of threads, of another process."""
    folder = tmp_path_factory.mktemp("elsewhere")
    # Threads that wait give way, since there may be fewer processors than threads; hashes have another seed.
    environment = os.environ | {"OMP_WAIT_POLICY": "passive", "PYTHONHASHSEED": "5"}
    subprocess.run([sys.executable, "-c", ALONE, str(ROOT), str(shard), str(folder)], env=environment, check=True)
    with np.load(folder / "fields.npz") as fields:
        return dict(fields), json.loads((folder / "errors.json").read_text())


@pytest.mark.parametrize("name", NETWORKS)
def test_fields_do_not_depend_on_the_number_of_threads(elsewhere, name):
    fields, _ = elsewhere
    one, *others = (fields[f"{name}-{threads}"] for threads in THREADS)
    for other in others:
        np.testing.assert_array_less(np.abs(other - one), SAME_FIELDS * np.maximum(np.abs(one), 1.0))


@pytest.mark.parametrize("stage", LEARNERS)
def test_what_is_learnt_with_other_threads_is_as_good(elsewhere, stage):
    """The weights themselves may drift apart, since sums are made in another order; what they are worth does not."""
    _, errors = elsewhere
    one, *others = (errors[f"{stage}-{threads}"] for threads in THREADS)
    assert others == pytest.approx([one] * len(others), rel=SAME_SKILL)


@pytest.mark.parametrize("stage", LEARNERS)
def test_another_process_gives_the_same_bits(elsewhere, shard, tmp_path, stage):
    fields, errors = elsewhere
    own = torch.get_num_threads()
    try:
        assert learnt(stage, 1, shard, tmp_path) == errors[f"{stage}-1"]
        torch.set_num_threads(1)
        np.testing.assert_array_equal(made_by(LEARNERS[stage]), fields[f"{LEARNERS[stage]}-1"])
    finally:
        torch.set_num_threads(own)
