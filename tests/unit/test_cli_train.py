"""`deepcams train`: a model file out of GEOS-CF files or shards; stopped, gone on, and refusing."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from deepcams.cli.main import main
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.models.checkpoint import read
from deepcams.training import engine
from deepcams.training.prepare import write_frames
from tests.unit.test_cli import geoscf_file

QUICK = ["--steps", "6", "--batch-size", "2", "--patch", "4", "--threads", "1"]
SMALL = [*QUICK, "--features", "4"]
IN_TIME = [*SMALL, "--resolution", "fine"]  # the fields are small for a network with a wide halo


def fields(frames=30, rows=64, columns=70, seed=0):
    """Random fields with structure at the scale of a fine cell, smooth in time."""
    rough = gaussian_filter(np.random.default_rng(seed).standard_normal((frames, rows, columns)), (1.5, 1.2, 1.2))
    return (10 * np.exp(0.7 * rough / rough.std())).astype("f4")


@pytest.fixture(scope="module")
def geoscf(tmp_path_factory):
    return geoscf_file(tmp_path_factory.mktemp("geoscf") / "fine.nc", fields())


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "2018-01"
    times = np.datetime64("2018-01-01T00:30:00", "s") + np.arange(30) * np.timedelta64(3600, "s")
    grid = refine(coarse_grid(Region(north=45.0, west=0.0, south=30.0, east=15.0)))
    values = fields(30, *grid.shape)
    about = {"source": "made up", "cell_methods": "time: mean (interval: 1 hour)"}
    write_frames(iter(values), times, grid, folder / "index.json", {"operator": "block_mean", "sigma": 1.0}, about)
    return folder


def run(*words):
    return main(["train", *(str(word) for word in words)])


def sentence(capsys, *words):
    """What a command that must fail says."""
    assert run(*words) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return next(line for line in error.splitlines() if line.startswith("deepcams: "))


def left(folder):
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.mark.parametrize(
    ("stage", "network", "baseline"), [("temporal", "flow_residual", "linear"), ("spatial", "pixel_shuffle", "bicubic")]
)
def test_a_geoscf_file_becomes_a_model_file_that_downscales_and_its_line_tells_how_good_it_is(
    tmp_path, geoscf, capsys, stage, network, baseline
):
    out = tmp_path / "new" / "model.safetensors"
    assert run(stage, out, geoscf, *(IN_TIME if stage == "temporal" else SMALL)) == 0
    line = capsys.readouterr().out
    found = read(out, stage)
    assert (found.network, found.settings["recipe"], found.settings["features"]) == (network, "corrected", 4)
    assert found.settings["training"] == {
        "steps": 6,
        "batch_size": 2,
        "patch": 4,
        "learning_rate": 0.002,
        "seed": 1,
        "precision": "auto",
        "threads": 1,
        "ema": None,
        "domain": "mixed",
        "latitude_weights": True,
        **({"resolution": "fine"} if stage == "temporal" else {}),
    }
    assert list(found.provenance["shards"]) == ["0-fine"]
    assert found.provenance["cell_methods"] == "time: mean (interval: 1 hour)"
    best = found.provenance["validation"]
    assert line == (
        f"{out}: {stage} network {network}, best at step {best['step']}; on held-out hours RMSE {best['rmse']:.3f} "
        f"against {best['baseline_rmse']:.3f} and MAE {best['mae']:.3f} against {best['baseline_mae']:.3f} ug m-3 of "
        f"{baseline} interpolation\n"
    )
    assert left(out.parent) == ["model.safetensors"]
    assert main(["score", stage, geoscf, "--model", str(out)]) == 0


@pytest.mark.parametrize("given", ["{shard}", "{shard}/index.json"])
def test_a_folder_of_shards_is_learnt_from_as_it_is(tmp_path, shard, given):
    before = {path: path.read_bytes() for path in shard.iterdir()}
    assert run("spatial", tmp_path / "k.safetensors", given.format(shard=shard), "--network", "least_squares") == 0
    found = read(tmp_path / "k.safetensors", "spatial")
    assert list(found.provenance["shards"]) == ["2018-01"]
    assert found.provenance["operator"] == "block_mean"
    assert {path: path.read_bytes() for path in shard.iterdir()} == before
    assert left(tmp_path) == ["k.safetensors"]


def test_files_and_shards_are_learnt_from_together(tmp_path, geoscf, shard):
    assert run("spatial", tmp_path / "k.safetensors", shard, geoscf, geoscf, "--network", "least_squares") == 0
    assert set(read(tmp_path / "k.safetensors").provenance["shards"]) == {"2018-01", "1-fine", "2-fine"}


def test_the_degradation_of_files_can_be_chosen(tmp_path, geoscf):
    operators = {}
    for name, words in (
        ("a", []),
        ("b", ["--degradation", "gaussian", "--sigma", "0.8"]),
        ("c", ["--degradation", "point"]),
    ):
        assert run("spatial", tmp_path / name, geoscf, "--network", "least_squares", *words) == 0
        operators[name] = read(tmp_path / name).provenance["operator"]
    assert operators == {"a": "block_mean", "b": "gaussian", "c": "point"}
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(tmp_path, geoscf):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run("spatial", tmp_path / name, geoscf, *SMALL, "--seed", seed) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (read(tmp_path / "a").weights["head.weight"] != read(tmp_path / "c").weights["head.weight"]).any()


KILL = """
import os, signal, sys
from deepcams.cli.main import main
from deepcams.training import engine
keep, kept = engine.keep, []
def keep_and_die(*arguments):
    keep(*arguments)
    kept.append(1)
    if len(kept) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
engine.keep = keep_and_die
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_training_goes_on_with_the_same_command_and_leaves_nothing(tmp_path, geoscf, monkeypatch):
    words = [geoscf, *SMALL]
    (tmp_path / "whole").mkdir()
    assert run("spatial", tmp_path / "whole" / "k.safetensors", *words) == 0
    out = tmp_path / "killed" / "k.safetensors"
    killed = subprocess.run(
        [sys.executable, "-c", KILL, "train", "spatial", out, *words], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    shards, state = left(out.parent)
    assert state == "k.safetensors.training"
    assert shards.startswith(".shards-")
    elsewhere = out.parent / re.sub(r".shards-.*_(\d+)-", r".shards-another-machine_\1-", shards)
    elsewhere.mkdir()
    running = out.parent / f".shards-{socket.gethostname()}_{os.getpid()}-abc"
    running.mkdir()
    steps, keep = [], engine.keep
    monkeypatch.setattr(engine, "keep", lambda *words: (keep(*words), steps.append(words[2].step)))
    assert run("spatial", out, *words) == 0
    assert steps == [4, 5, 6]
    assert left(out.parent) == sorted([elsewhere.name, running.name, "k.safetensors"])
    assert out.read_bytes() == (tmp_path / "whole" / "k.safetensors").read_bytes()


def test_interrupted_it_leaves_its_state_and_nothing_else(tmp_path, geoscf, monkeypatch, capsys):
    keep = engine.keep

    def interrupted(*arguments):
        keep(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "keep", interrupted)
    assert run("spatial", tmp_path / "k", geoscf, *SMALL) == 130
    assert left(tmp_path) == ["k.training"]
    monkeypatch.setattr(engine, "keep", keep)
    assert run("spatial", tmp_path / "k", geoscf, *SMALL) == 0
    assert left(tmp_path) == ["k"]


@pytest.mark.parametrize(
    ("stage", "words", "expected"),
    [
        ("spatial", ["--network", "bicubic"], "no spatial network 'bicubic' that learns; choose one of abpn, pixel_"),
        ("temporal", ["--network", "least_squares"], "choose one of xvfi, flow_residual"),
        ("spatial", ["--recipe", "published"], "The network pixel_shuffle has no recipe published; it has corrected."),
        ("spatial", ["--network", "least_squares", "--features", "8"], "least_squares has no --features"),
        ("temporal", ["--levels", "2"], "flow_residual has no --levels; only xvfi has"),
        ("temporal", ["--network", "xvfi", "--patch", "48"], "--patch 48: with 1 level(s) give a multiple of 32"),
        ("temporal", ["--network", "xvfi", "--levels", "2", "--patch", "32"], "with 2 level(s) give a multiple of 64"),
        ("spatial", ["--steps", "0"], "--steps 0: give more than 0"),
        ("spatial", ["--batch-size", "-1"], "--batch-size -1: give more than 0"),
        ("spatial", ["--patch", "0"], "--patch 0: give more than 0"),
        ("spatial", ["--threads", "0"], "--threads 0: give more than 0"),
        ("spatial", ["--features", "0"], "--features 0: give more than 0"),
        ("temporal", ["--levels", "-1"], "--levels -1: give more than 0"),
        ("spatial", ["--learning-rate", "0"], "--learning-rate 0: give more than 0"),
        ("spatial", ["--learning-rate", "nan"], "--learning-rate nan"),
        ("spatial", ["--learning-rate", "inf"], "--learning-rate inf"),
        ("spatial", ["--seed", "-1"], "--seed -1: give 0 …"),
        ("spatial", ["--seed", "4294967296"], "--seed 4294967296: give 0 …"),
        ("spatial", ["--sigma", "2"], "give --degradation gaussian"),
        ("spatial", ["--degradation", "gaussian", "--sigma", "11"], "sigma of the gaussian degradation is 11"),
        ("spatial", ["--patch", "30"], "19 × 22 nodes that can be used, too few for patches that need 42"),
        ("spatial", [*SMALL, "--learning-rate", "1e37"], "diverged at step"),
        ("spatial", ["--network", "least_squares", "--recipe", "published"], "least_squares has no recipe published"),
        ("spatial", ["--resolution", "fine"], "A spatial network has no --resolution"),
        ("spatial", ["--workers", "-1"], "--workers -1: give 0 or more"),
        ("spatial", ["--processes", "0"], "--processes 0: give more than 0"),
        ("spatial", ["--processes", "3"], "--batch-size 16: give a multiple of --processes 3"),
        ("spatial", ["--ema", "1"], "--ema 1: give a number between 0 and 1"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(tmp_path, geoscf, capsys, stage, words, expected):
    assert expected in sentence(capsys, stage, tmp_path / "out", geoscf, *words)
    assert set(left(tmp_path)) <= {"out.training"}


@pytest.mark.parametrize(
    "words",
    [["both"], ["spatial", "--recipe", "right"], ["spatial", "--precision", "half"], ["spatial", "--steps", "x"]],
)
def test_wrong_words_are_wrong_usage(tmp_path, geoscf, capsys, words):
    with pytest.raises(SystemExit) as stop:
        run(words[0], tmp_path / "out", geoscf, *words[1:])
    assert stop.value.code == 2
    assert "usage: deepcams train" in capsys.readouterr().err


def test_fields_that_are_none_are_told(tmp_path, geoscf, shard, capsys):
    out = tmp_path / "out"
    assert "There is no file" in sentence(capsys, "spatial", out, tmp_path / "none.nc")
    (tmp_path / "folder").mkdir()
    assert "is no folder of shards: it has no index.json" in sentence(capsys, "spatial", out, tmp_path / "folder")
    assert "no index.json" in sentence(capsys, "spatial", out, tmp_path / "folder" / "index.json")
    assert "leave out --degradation" in sentence(capsys, "spatial", out, shard, "--degradation", "point")
    (tmp_path / "text.nc").write_text("no fields")
    assert "text.nc" in sentence(capsys, "spatial", out, tmp_path / "text.nc")
    assert left(tmp_path) == ["folder", "text.nc"]


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        ("folder", "is a folder"),
        ("file/x", "is not a folder"),
        ("/proc/x", "cannot be written"),
        ("x" * 200, "too long"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_anything_is_computed(
    tmp_path, geoscf, capsys, monkeypatch, out, expected
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr("deepcams.cli.train.write_frames", lambda *_: pytest.fail("nothing should be computed"))
    assert expected in sentence(capsys, "spatial", tmp_path / out, geoscf)


def test_the_fields_are_never_overwritten(tmp_path, geoscf, shard, capsys):
    for given in (geoscf, shard / "index.json"):
        before = Path(given).read_bytes()
        assert "is the input" in sentence(capsys, "spatial", given, given)
        assert Path(given).read_bytes() == before


def test_too_few_hours_and_gaps_in_time_are_told(tmp_path, geoscf, capsys):
    short = geoscf_file(tmp_path / "short.nc", fields(5))
    assert "5 hours, too few" in sentence(capsys, "temporal", tmp_path / "out", short, *IN_TIME)
    with xr.open_dataset(geoscf) as dataset:
        dataset.isel(time=[*range(12), *range(13, 30)]).to_netcdf(tmp_path / "gap.nc")
    error = sentence(capsys, "temporal", tmp_path / "out", tmp_path / "gap.nc", *IN_TIME)
    assert "2019-07-01T13:30 follows 2019-07-01T11:30; learning in time needs consecutive hours" in error
    assert run("spatial", tmp_path / "out", tmp_path / "gap.nc", *SMALL) == 0
    assert left(tmp_path) == ["gap.nc", "out", "short.nc"]


def test_a_file_across_the_turn_of_a_month_is_learnt_from_as_a_whole(tmp_path, geoscf):
    with xr.open_dataset(geoscf) as dataset:
        later = dataset.assign_coords(time=dataset.time + np.timedelta64(30 * 24 + 20, "h"))
        later.to_netcdf(tmp_path / "turn.nc")  # four hours of July, 26 of August
    assert run("temporal", tmp_path / "out", tmp_path / "turn.nc", *IN_TIME) == 0


def test_help_names_every_network_that_learns(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("xvfi", "flow_residual", "abpn", "pixel_shuffle", "least_squares"))
    assert "corrected,published,as_printed" in text
