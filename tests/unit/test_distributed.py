"""Several processes that train one network: the losses of one, one sentence for all, and nobody left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.models.checkpoint import read
from deepcams.training import launch
from deepcams.training.prepare import write_frames
from deepcams.training.ranks import Ranks, ranks
from deepcams.training.train import train
from tests.unit.test_engine_resume import is_running, wait_for_the_end_of
from tests.unit.test_training import textured

GRID = refine(coarse_grid(Region(north=45.0, west=0.0, south=25.5, east=24.0)))
LIGHT = {"network": "pixel_shuffle", "recipe": "corrected", "features": 8}
TRAINING = {
    **{"steps": 40, "batch_size": 4, "patch": 6, "learning_rate": 0.002, "seed": 1, "precision": "float32"},
    **{"threads": 1, "ema": 0.9, "domain": "mixed", "latitude_weights": True},
}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "2018-01" / "index.json"
    times = np.datetime64("2018-01-01T00:30:00", "s") + np.arange(25) * np.timedelta64(3600, "s")
    degradation = {"operator": "block_mean", "sigma": 1.0}
    write_frames(iter(textured(25, GRID)), times, GRID, path, degradation, {"source": "made up", "own": 25})
    return path


def taught(index, folder, *, processes, workers=0, **training):
    folder.mkdir(exist_ok=True)
    names = {name: folder / name for name in ("last", "curves", "state")}
    settings = {**LIGHT, "training": TRAINING | training}
    return train(
        "spatial", settings, [index], folder / "best", code="c0de", processes=processes, workers=workers, **names
    )


@pytest.fixture(scope="module")
def together(index, tmp_path_factory):
    """What two processes learn, each with a worker."""
    folder = tmp_path_factory.mktemp("together")
    return folder, taught(index, folder, processes=2, workers=1)


def family(process):
    """All descendants of a process."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def wait_for(what, process):
    """Wait until something is true, as long as a process runs."""
    until = time.monotonic() + 300
    while not what():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_with_the_joint_batch(index, together, tmp_path):
    folder, best = together
    alone = taught(index, tmp_path, processes=1)
    curves = [pd.read_csv(place / "curves") for place in (folder, tmp_path)]
    assert list(curves[0]) == list(curves[1])
    np.testing.assert_allclose(curves[0], curves[1], rtol=2e-5)
    assert best["step"] == alone["step"]
    found = read(folder / "best", "spatial")
    assert (found.provenance["processes"], read(tmp_path / "best").provenance["processes"]) == (2, 1)
    assert found.provenance["validation"] == best
    for name, value in read(tmp_path / "last").weights.items():
        np.testing.assert_allclose(read(folder / "last").weights[name], value, atol=2e-5)
    assert sorted(path.name for path in folder.iterdir()) == ["best", "curves", "last"]


COMMAND = """
import sys
from tests.unit.test_distributed import *
taught(Path(sys.argv[1]), Path(sys.argv[2]), processes=2, workers=1, steps=int(sys.argv[3]))
"""


def started(index, folder, root, steps=TRAINING["steps"], **pipes):
    return subprocess.Popen([sys.executable, "-c", COMMAND, index, folder, str(steps)], cwd=root, **pipes)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all_with_a_sentence_and_they_go_on_to_the_same_bits(
    index, together, tmp_path, pytestconfig
):
    folder, _ = together
    with started(index, tmp_path, pytestconfig.rootpath, stderr=subprocess.PIPE, text=True) as run:
        wait_for((tmp_path / "state").is_file, run)
        everybody = family(run.pid)
        os.kill(max(filter(is_trainer, everybody)), signal.SIGKILL)
        error = run.stderr.read()
    assert run.returncode == 1
    assert "DeepcamsError: Of the 2 processes that train together process" in error.splitlines()[-1]
    assert "by signal 9 was ended from outside, often for lack of memory. Run again" in error.splitlines()[-1]
    assert error.count("Traceback") == 1, error  # of the script
    wait_for_the_end_of(everybody)
    assert os.listdir(tmp_path) == ["state"]
    taught(index, tmp_path, processes=2, workers=1)
    for name in ("best", "last", "curves"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def is_trainer(process):
    """Whether it is one of those that train: neither agent nor worker."""
    try:
        environment = Path(f"/proc/{process}/environ").read_bytes()
        parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return False
    return b"LOCAL_RANK=" in environment and b"LOCAL_RANK=" not in Path(f"/proc/{parent}/environ").read_bytes()


@pytest.mark.slow
def test_nobody_is_left_behind_when_the_caller_is_killed(index, tmp_path, pytestconfig):
    endless = 1_000_000
    with started(index, tmp_path, pytestconfig.rootpath, endless, stderr=subprocess.DEVNULL) as run:
        wait_for((tmp_path / "state").is_file, run)
        everybody = family(run.pid)
        assert len([process for process in everybody if is_running(process)]) >= 5  # agent, two with a worker each
        run.kill()
    try:
        wait_for_the_end_of(everybody)
    finally:
        for process in filter(is_running, everybody):
            os.kill(process, signal.SIGKILL)


@pytest.mark.slow
def test_a_training_that_diverges_ends_in_one_sentence(index, tmp_path, capfd):
    with pytest.raises(DeepcamsError, match=r"spatial network pixel_shuffle diverged at step \d+: .* learning rate"):
        taught(index, tmp_path, processes=2, learning_rate=1e37)
    assert "Traceback" not in capfd.readouterr().err
    assert set(os.listdir(tmp_path)) <= {"state"}


@pytest.mark.slow
def test_torchrun_of_ones_own_starts_the_same_training_and_the_first_process_tells(index, together, tmp_path):
    launcher = "torch.distributed.run --standalone --nproc-per-node 2 -m deepcams.cli.main train spatial"
    options = "--features 8 --steps 40 --batch-size 4 --patch 6 --threads 1 --precision float32 --ema 0.9 --workers 0"
    run = subprocess.run(
        [sys.executable, "-m", *launcher.split(), tmp_path / "model", index, *options.split()],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("best at step") == len(run.stdout.splitlines()) == 1
    assert os.listdir(tmp_path) == ["model"]
    expected, found = read(together[0] / "best").weights, read(tmp_path / "model").weights
    assert all((found[name] == value).all() for name, value in expected.items())


# Without any process


def test_torchrun_tells_each_process_which_it_is(monkeypatch):
    assert ranks() == Ranks(0, 1, 0)
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert ranks() == Ranks(3, 4, 1)
    assert launch.is_launched()


def test_every_index_of_a_batch_belongs_to_one_process():
    shares = [list(Ranks(rank, 3).share(12)) for rank in range(3)]
    assert [len(share) for share in shares] == [4, 4, 4]
    assert sorted(index for share in shares for index in share) == list(range(12))


def test_what_everybody_finds_wrong_the_first_one_tells():
    with pytest.raises(DeepcamsError, match=r"batch of 5 examples .* among 2 processes"):
        Ranks(0, 2).share(5)
    with pytest.raises(SystemExit) as end:
        Ranks(1, 2).share(5)
    assert end.value.code == 0


def test_of_several_faults_the_cause_is_told(tmp_path):
    def told():
        return launch._failure(tmp_path, 4)

    assert "one was ended from outside" in str(told())
    (tmp_path / "0.fault").write_text("Connection closed by peer")
    assert type(told()) is RuntimeError and "Connection closed" in str(told())
    (tmp_path / launch.ENDS).write_text(json.dumps({"0": 1, "1": -15, "2": -9}))
    assert "together process 2 by signal 9 was ended from outside" in str(told())
    (tmp_path / "1.told").write_text("The disk is full.")
    assert type(told()) is DeepcamsError and str(told()) == "The disk is full."
