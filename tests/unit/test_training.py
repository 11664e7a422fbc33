"""Shards, and the model files that are trained on them."""

import json
import shutil
import subprocess
import sys
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from deepcams.digest import imported_modules
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import Encoding, write_field
from deepcams.grid.blocks import block_mean
from deepcams.grid.nodes import Grid, Region, coarse_grid, refine
from deepcams.models import catalogue
from deepcams.models.checkpoint import load, read
from deepcams.models.sun import sun
from deepcams.training import engine
from deepcams.training.prepare import write_frames, write_shard
from deepcams.training.shards import read_shard
from deepcams.training.train import train
from tests.conftest import ROOT

REGION = coarse_grid(Region(north=45.0, west=0.0, south=25.5, east=24.0))
TRAINING = {
    "steps": 12,
    "batch_size": 4,
    "patch": 6,
    "learning_rate": 0.002,
    "seed": 1,
    "precision": "float32",
    "threads": 1,
    "ema": None,
    "domain": "single",
    "latitude_weights": True,
    "resolution": "fine",
}
LIGHT = {
    "temporal": {"network": "flow_residual", "recipe": "corrected", "features": 8},
    "spatial": {"network": "pixel_shuffle", "recipe": "corrected", "features": 8},
}
IN_TIME = ["step", "learning_rate", "loss", "reconstruction", "smoothness", "flow", "mask", "residual"]
IN_SPACE = ["step", "learning_rate", "loss", "reconstruction"]
HELD_OUT = ["rmse", "mae", "baseline_rmse", "baseline_mae", "score"]


def textured(frames, grid, seed=0, contrast=2.0):
    """Random fields with structure at the scale of a fine cell, positive, smooth in time."""
    noise = np.random.default_rng(seed).standard_normal((frames, *grid.shape))
    rough = gaussian_filter(noise, (1.5, 1.2, 1.2), mode="wrap")
    return np.exp(contrast * rough / rough.std()).astype(np.float32)


def hours(count):
    return np.datetime64("2018-01-01T00:30:00", "s") + np.arange(count) * np.timedelta64(3600, "s")


def month_file(path, values, grid, **attributes):
    times = hours(len(values))
    field = xr.DataArray(
        values,
        coords={"time": times, "latitude": grid.latitude, "longitude": grid.longitude},
        dims=("time", "latitude", "longitude"),
        name="pm25",
        attrs={"units": "ug m-3", "cell_methods": "time: mean (interval: 1 hour)", **attributes},
    )
    write_field(path, field, Encoding(), {"collection": "aqc_tavg_1hr_g1440x721_v1"})
    return path


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("2018-01")
    values = textured(25, refine(REGION))
    values[7] = np.nan
    source = month_file(folder / "raw.nc", values, refine(REGION), synthetic="made up")
    write_shard(source, folder / "index.json", {"operator": "block_mean", "sigma": 1.0})
    return folder


def test_a_shard_holds_the_fields_their_block_means_and_what_they_are(shard):
    found = read_shard(shard)
    assert isinstance(found.fine[3], np.memmap)
    assert found.fine.shape == (25, *refine(REGION).shape)
    assert found.coarse.shape == (25, *REGION.shape)
    assert (found.operator, found.about["synthetic"]) == ("block_mean", "made up")
    np.testing.assert_array_equal(found.coarse[3], block_mean(np.array(found.fine[3]), REGION))
    assert np.isnan(found.fine[7]).all()
    assert np.isnan(found.coarse[7]).all()
    np.testing.assert_array_equal(found.coarse_grid.latitude, REGION.latitude)
    np.testing.assert_array_equal(found.fine_grid.longitude, refine(REGION).longitude)


def test_fields_that_do_not_begin_on_a_coarse_node_are_cut_to_those_that_do(tmp_path):
    fine = refine(REGION)
    shifted = Grid(fine.latitude[1:], fine.longitude[2:], fine.step)
    values = textured(2, shifted)
    write_shard(
        month_file(tmp_path / "raw.nc", values, shifted), tmp_path / "index.json", {"operator": "point", "sigma": 1.0}
    )
    found = read_shard(tmp_path)
    assert found.coarse_grid.latitude[0] == REGION.latitude[1]
    np.testing.assert_array_equal(found.coarse[0], values[0, 2::3, 1::3])


def test_a_damaged_shard_is_refused_with_its_folder(shard, tmp_path):
    for name in ("index.json", "fine.npy", "coarse.npy"):
        (tmp_path / name).write_bytes((shard / name).read_bytes())
    (tmp_path / "fine.npy").write_bytes((shard / "fine.npy").read_bytes()[:5000])
    with pytest.raises(DeepcamsError, match=str(tmp_path)):
        read_shard(tmp_path)


def taught(stage, shards, out, *, network=None, code="c0de", **training):
    """Train on folders of shards; returns the figures of the best weights."""
    settings = {**(network or LIGHT[stage]), "training": TRAINING | training}
    return train(stage, settings, [folder / "index.json" for folder in shards], out, code=code)


NO_TORCH = """
import sys
from deepcams.training.train import train
train(sys.argv[1], {"network": sys.argv[2]}, [], sys.argv[3], code="c0de")
sys.exit("torch" in sys.modules)
"""


@pytest.mark.parametrize(("stage", "network"), [("temporal", "linear"), ("spatial", "bicubic")])
def test_the_model_file_of_an_interpolation_takes_neither_data_nor_torch(tmp_path, stage, network):
    out = tmp_path / "model.safetensors"
    subprocess.run([sys.executable, "-c", NO_TORCH, stage, network, out], cwd=tmp_path, check=True)
    found = read(out, stage)
    assert (found.network, found.weights, found.provenance) == (network, {}, {})


def test_an_interpolation_leaves_no_curves_and_returns_no_figures(tmp_path):
    names = {name: tmp_path / name for name in ("last", "curves", "state")}
    assert train("spatial", {"network": "bicubic"}, [], tmp_path / "b.safetensors", code="c0de", **names) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["b.safetensors"]


def test_a_model_file_says_what_it_holds_and_where_it_comes_from(shard, tmp_path):
    best = taught("spatial", [shard], tmp_path / "model.safetensors")
    found = read(tmp_path / "model.safetensors", "spatial")
    assert found.weights["head.weight"].shape == (8, 1, 3, 3)
    assert found.settings == {**LIGHT["spatial"], "training": TRAINING, "transform": "asinh", "factor": 3}
    index = json.loads((shard / "index.json").read_text())
    assert found.provenance == {
        "code": "c0de",
        "shards": {shard.name: index["sha256"]["fine"]},
        "operator": "block_mean",
        "cell_methods": "time: mean (interval: 1 hour)",
        "collection": "aqc_tavg_1hr_g1440x721_v1",
        "geoscf_version": None,
        "pollutant": "pm25",
        "synthetic": "made up",
        "domain": "single",
        "resolution": "fine",
        "steps": 12,
        "seed": 1,
        "processes": 1,
        "validation": best,
    }
    load(tmp_path / "model.safetensors", "spatial")


def test_versions_of_geoscf_are_never_mixed(shard, tmp_path):
    folders = []
    for version in ("v1", "v2"):
        shutil.copytree(shard, tmp_path / version)
        index = tmp_path / version / "index.json"
        index.write_text(json.dumps(json.loads(index.read_text()) | {"geoscf_version": version}))
        folders.append(tmp_path / version)
    with pytest.raises(DeepcamsError, match="Versions of GEOS-CF must not be mixed"):
        taught("spatial", folders, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


def test_what_is_solved_for_in_one_step_is_both_best_and_last(shard, tmp_path):
    names = {name: tmp_path / name for name in ("last", "curves", "state")}
    settings = {"network": "least_squares", "recipe": "corrected"}
    best = train("spatial", settings, [shard / "index.json"], tmp_path / "best", code="c0de", processes=4, **names)
    found = read(tmp_path / "best", "spatial")
    assert found.weights["kernel"].shape == (9, 1, 7, 7)
    assert (found.settings, found.provenance["validation"]) == ({**settings, "transform": "none", "factor": 3}, best)
    assert "processes" not in found.provenance
    assert (tmp_path / "last").read_bytes() == (tmp_path / "best").read_bytes()
    curves = pd.read_csv(names["curves"])
    assert list(curves) == ["step", "loss", *HELD_OUT]
    assert curves["step"].tolist() == [1]
    assert not names["state"].exists()


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_workers_change_nothing_of_a_model_file(shard, tmp_path, stage):
    settings = {**LIGHT[stage], "training": TRAINING | {"steps": 4, "domain": "mixed"}}
    for workers in (0, 2):
        train(stage, settings, [shard / "index.json"], tmp_path / str(workers), code="c0de", workers=workers)
    assert (tmp_path / "0").read_bytes() == (tmp_path / "2").read_bytes()


def test_two_shards_of_one_name_are_both_on_record(shard, tmp_path):
    folder = tmp_path / "elsewhere" / shard.name
    folder.mkdir(parents=True)
    source = month_file(tmp_path / "raw.nc", textured(25, refine(REGION), seed=5), refine(REGION))
    write_shard(source, folder / "index.json", {"operator": "block_mean", "sigma": 1.0})
    taught("spatial", [shard, folder], tmp_path / "k.safetensors")
    digests = read(tmp_path / "k.safetensors").provenance["shards"]
    expected = [json.loads((f / "index.json").read_text())["sha256"]["fine"] for f in (shard, folder)]
    assert list(digests.values()) == expected


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_the_same_training_gives_the_same_bytes_and_another_seed_others(shard, tmp_path, stage):
    outs = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for out, seed in zip(outs, (1, 1, 2), strict=True):
        taught(stage, [shard], out, steps=4, seed=seed)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    weights = [read(out).weights["head.weight"] for out in outs]
    assert (weights[0] != weights[2]).any()


@pytest.mark.parametrize(("stage", "columns"), [("temporal", IN_TIME), ("spatial", IN_SPACE)])
def test_curves_have_a_row_for_every_validation_and_files_for_the_best_and_the_last(shard, tmp_path, stage, columns):
    names = {"last": tmp_path / "last.safetensors", "curves": tmp_path / "curves.csv", "state": tmp_path / "state.pt"}
    settings = {**LIGHT[stage], "training": TRAINING | {"steps": 41, "learning_rate": 0.01}}
    best = train(stage, settings, [shard / "index.json"], tmp_path / "best.safetensors", code="c0de", **names)
    curves = pd.read_csv(names["curves"])
    assert list(curves) == columns + HELD_OUT
    assert curves["step"].tolist() == [*range(2, 41, 2), 41]
    assert curves["learning_rate"].max() <= 0.01
    lowest = curves.loc[curves["score"].idxmin()]
    assert best["step"] == lowest["step"]
    assert best["rmse"] == pytest.approx(lowest["rmse"], rel=1e-5)
    assert read(names["last"]).provenance["validation"]["step"] == 41
    assert read(tmp_path / "best.safetensors").provenance["validation"]["step"] == best["step"]
    assert not names["state"].exists()
    if stage == "temporal":
        assert (curves[["flow", "mask", "residual"]].iloc[-1] > 0).all()  # it has left the linear solution


class Killed(BaseException):
    """In place of a signal."""


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_a_killed_training_ends_with_the_bytes_of_one_that_was_not(shard, tmp_path, stage, monkeypatch):
    kept, settings = [], {**LIGHT[stage], "training": TRAINING}
    keep = engine.keep

    def keep_and_stop(*arguments):
        keep(*arguments)
        kept.append(1)
        if len(kept) == 5:
            raise Killed

    def run(folder):
        folder.mkdir(exist_ok=True)
        names = {name: folder / name for name in ("last", "curves", "state")}
        train(stage, settings, [shard / "index.json"], folder / "best", code="c0de", **names)

    run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(engine, "keep", keep_and_stop)
        with pytest.raises(Killed):
            run(tmp_path / "killed")
        assert [path.name for path in (tmp_path / "killed").iterdir()] == ["state"]
        kept.extend([1] * 10)
        run(tmp_path / "killed")
    assert len(kept) == 15 + 12 - 5  # it went on after the fifth of twelve
    for name in ("best", "last", "curves"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "killed" / "state").exists()


@pytest.mark.parametrize("change", [{"code": "0ther"}, {"learning_rate": 0.003}, {"shard": 1}])
def test_what_was_left_of_another_training_is_not_gone_on_from(shard, tmp_path, change, monkeypatch):
    other = tmp_path / "2018-01"
    source = month_file(tmp_path / "raw.nc", textured(25, refine(REGION), seed=5), refine(REGION))
    write_shard(source, other / "index.json", {"operator": "block_mean", "sigma": 1.0})

    def run(code="c0de", shard=shard, **training):
        settings = {**LIGHT["spatial"], "training": TRAINING | training}
        train("spatial", settings, [shard / "index.json"], tmp_path / "k", code=code, state=tmp_path / "state")

    keep = engine.keep
    kept = []

    def keep_and_stop(*arguments):
        keep(*arguments)
        kept.append(arguments[2].step)
        if len(kept) == 3:
            raise Killed

    monkeypatch.setattr(engine, "keep", keep_and_stop)
    with pytest.raises(Killed):
        run()
    run(**({"shard": other} if "shard" in change else change))
    assert kept == [1, 2, 3, *range(1, 13)]


def test_a_network_that_learns_needs_months(tmp_path):
    with pytest.raises(DeepcamsError, match="training months"):
        taught("spatial", [], tmp_path / "none.safetensors")


def test_training_that_diverges_or_lacks_room_ends_in_one_sentence(shard, tmp_path):
    with pytest.raises(DeepcamsError, match=r"spatial network pixel_shuffle diverged at step .* learning rate"):
        taught("spatial", [shard], tmp_path / "k", learning_rate=1e37)
    with pytest.raises(DeepcamsError, match="patch"):
        taught("spatial", [shard], tmp_path / "k", patch=40)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("network", [LIGHT["spatial"], LIGHT["temporal"]], ids=lambda entry: entry["network"])
def test_bfloat16_learns_on_the_cpu_what_float32_does(shard, tmp_path, network):
    losses, stage = [], "temporal" if network is LIGHT["temporal"] else "spatial"
    for precision in ("float32", "bfloat16"):
        settings = {**network, "training": TRAINING | {"precision": precision, "steps": 6}}
        train(stage, settings, [shard / "index.json"], tmp_path / "m", code="c0de", curves=tmp_path / "curves.csv")
        losses.append(pd.read_csv(tmp_path / "curves.csv")["loss"])
        assert all(value.dtype == np.float32 for value in read(tmp_path / "m").weights.values())
    assert (losses[0] != losses[1]).any()
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05)


def test_training_in_space_beats_bicubic_on_held_out_and_on_other_fields(tmp_path):
    values, index = textured(25, refine(REGION), contrast=0.7), tmp_path / "2018-01" / "index.json"
    degradation = {"operator": "block_mean", "sigma": 1.0}
    write_frames(iter(values), hours(25), refine(REGION), index, degradation, {"source": "textured", "own": 25})
    best = taught("spatial", [index.parent], tmp_path / "m", steps=150, batch_size=8, learning_rate=0.01)
    assert best["rmse"] < 0.95 * best["baseline_rmse"]
    assert best["mae"] < 0.95 * best["baseline_mae"]
    assert best["score"] == pytest.approx(
        (best["rmse"] / best["baseline_rmse"] + best["mae"] / best["baseline_mae"]) / 2
    )
    truth = textured(2, refine(REGION), seed=9, contrast=0.7)
    coarse = block_mean(truth, REGION)
    inner = (slice(None), slice(18, -18), slice(18, -18))
    errors = [
        np.abs(network.refine(coarse, REGION) - truth)[inner].mean()
        for network in (catalogue.build("spatial", "bicubic"), load(tmp_path / "m", "spatial"))
    ]
    assert errors[1] < 0.95 * errors[0]


def sunny(count, seed):
    """A pattern that grows and fades with the sun above every node, from the first of January on."""
    fine, times = refine(REGION), hours(count)
    pattern = textured(1, fine, seed)[0]
    light = [sun(time, fine.latitude, fine.longitude)[0] for time in times]
    return np.stack([20 * pattern**0.3 * np.exp(1.5 * cosine) for cosine in light]).astype(np.float32), times


def test_training_in_time_learns_from_the_sun_what_linear_interpolation_cannot_know(tmp_path):
    values, times = sunny(72, seed=3)
    index = tmp_path / "2018-01" / "index.json"
    degradation = {"operator": "block_mean", "sigma": 1.0}
    write_frames(iter(values), times, refine(REGION), index, degradation, {"source": "sunny", "own": len(values)})
    out = tmp_path / "t.safetensors"
    best = taught("temporal", [index.parent], out, steps=150, batch_size=8, learning_rate=0.01)
    assert best["rmse"] < 0.6 * best["baseline_rmse"]
    assert best["mae"] < 0.6 * best["baseline_mae"]
    assert best["score"] == pytest.approx(
        (best["rmse"] / best["baseline_rmse"] + best["mae"] / best["baseline_mae"]) / 2
    )
    values, times = sunny(24, seed=8)
    coarse, network = block_mean(values, REGION), load(out, "temporal")
    errors = {"linear": 0.0, "network": 0.0}
    for k in range(0, 21, 3):
        found = network.between(coarse[k], coarse[k + 3], (1 / 3, 2 / 3), REGION, times[k])
        linear = [((3 - j) * coarse[k] + j * coarse[k + 3]) / 3 for j in (1, 2)]
        for name, fields in (("network", found), ("linear", linear)):
            errors[name] += np.abs(np.stack(fields) - coarse[k + 1 : k + 3]).mean()
    assert errors["network"] < 0.6 * errors["linear"]


def test_training_code_is_reached_only_by_the_networks_that_need_it():
    """train.py loads a trainer by name; that name belongs to the digest of the networks that learn."""
    for stage in catalogue.stages():
        script = ROOT / f"workflow/scripts/train_{stage}.py"
        assert "deepcams.training.train" in imported_modules(script)
        for name in catalogue.names(stage):
            trainer = catalogue.trainer_of(stage, name)
            assert catalogue.learns(stage, name) == (trainer is not None)
            if trainer:
                assert trainer not in imported_modules(script)
                module = import_module(trainer)
                assert callable(getattr(module, "task", None)) != callable(getattr(module, "solve", None))


def test_the_width_of_the_gaussian_goes_with_the_shard(tmp_path):
    source = month_file(tmp_path / "raw.nc", textured(25, refine(REGION)), refine(REGION))
    write_shard(source, tmp_path / "index.json", {"operator": "gaussian", "sigma": 3.0})
    assert read_shard(tmp_path).parameters == {"sigma": 3.0}
    with pytest.raises(DeepcamsError, match=r"19 × 25 nodes that can be used"):
        taught("spatial", [tmp_path], tmp_path / "k", patch=16)


def test_an_edit_of_the_code_leaves_the_model_file_of_an_interpolation_as_it_is(tmp_path):
    paths = [tmp_path / "one.safetensors", tmp_path / "other.safetensors"]
    for path, code in zip(paths, ("c0de", "0ther"), strict=True):
        train("spatial", {"network": "bicubic"}, [], path, code=code)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_index_of_a_shard_is_small_and_names_its_arrays_by_checksum(shard):
    index = json.loads((shard / "index.json").read_text())
    assert set(index["sha256"]) == {"fine", "coarse"}
    assert index["cell_methods"] == "time: mean (interval: 1 hour)"
    assert index["collection"] == "aqc_tavg_1hr_g1440x721_v1"
    assert (shard / "index.json").stat().st_size < 100_000
