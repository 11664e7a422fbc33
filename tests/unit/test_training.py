"""Shards, the learned kernel, and the scores made of them."""

import json
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
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, refine
from deepcams.grid.resample import upsample
from deepcams.models import catalogue
from deepcams.models.checkpoint import read
from deepcams.models.learned_kernel import LearnedKernel, bicubic_kernels
from deepcams.training.kernel import fit
from deepcams.training.prepare import write_shard
from deepcams.training.shards import read_shard
from deepcams.training.train import train
from deepcams.validation.evaluation import configured_method, evaluate_month, write_tables
from tests.conftest import ROOT

REGION = coarse_grid(Region(north=45.0, west=0.0, south=25.5, east=24.0))
SETTINGS = {"steps": 150, "batch_size": 8, "patch": 12, "learning_rate": 0.003, "seed": 1}


def textured(frames, grid, seed=0):
    """Random fields with structure at the scale of a fine cell, positive, smooth in time."""
    noise = np.random.default_rng(seed).standard_normal((frames, *grid.shape))
    rough = gaussian_filter(noise, (1.5, 1.2, 1.2), mode="wrap")
    return np.exp(2 * rough / rough.std()).astype(np.float32)


def month_file(path, values, grid, **attributes):
    times = np.datetime64("2018-01-01T00:30:00", "s") + np.arange(len(values)) * np.timedelta64(3600, "s")
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
    assert isinstance(found.fine, np.memmap)
    assert found.fine.shape == (25, *refine(REGION).shape)
    assert found.coarse.shape == (25, *REGION.shape)
    assert (found.operator, found.synthetic) == ("block_mean", "made up")
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


def test_untrained_the_kernel_is_bicubic_interpolation_on_the_globe_and_in_a_box():
    for grid in (coarse_globe(), REGION):
        field = np.random.default_rng(2).gamma(2, 5, (1, *grid.shape))
        field[:, [0, -1]] = 5  # a pole is one value
        expected = upsample(field, grid, "bicubic")
        np.testing.assert_allclose(LearnedKernel().refine(field, grid), expected, rtol=2e-5, atol=1e-4)


def test_the_kernel_wraps_round_the_globe():
    grid = coarse_globe()
    field = np.random.default_rng(4).gamma(2, 5, (1, *grid.shape)).astype(np.float32)
    kernel = LearnedKernel({"kernel": np.random.default_rng(5).normal(0, 0.1, (9, 7, 7))})
    rolled = kernel.refine(np.roll(field, 11, axis=-1), grid)
    np.testing.assert_allclose(np.roll(kernel.refine(field, grid), 33, axis=-1), rolled, rtol=1e-5, atol=1e-5)


def test_training_lowers_the_error_on_fields_that_were_not_seen(shard):
    weights, history = fit([read_shard(shard)], SETTINGS)
    assert [entry["step"] for entry in history] == list(range(15, 151, 15))
    truth = textured(2, refine(REGION), seed=9)
    coarse = block_mean(truth, REGION)
    inner = (slice(None), slice(12, -12), slice(12, -12))
    errors = [
        np.abs(network.refine(coarse, REGION) - truth)[inner].mean()
        for network in (LearnedKernel(), LearnedKernel(weights))
    ]
    assert errors[1] < 0.97 * errors[0]


def test_the_same_seed_gives_the_same_kernel_and_another_seed_another(shard):
    settings = SETTINGS | {"steps": 20}
    first, again, other = (fit([read_shard(shard)], settings | {"seed": seed})[0]["kernel"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0
    assert np.abs(first - bicubic_kernels()).max() > 1e-3


def test_training_that_diverges_or_lacks_room_ends_in_one_sentence(shard):
    with pytest.raises(DeepcamsError, match="learning_rate"):
        fit([read_shard(shard)], SETTINGS | {"learning_rate": 1e37})
    with pytest.raises(DeepcamsError, match="patch"):
        fit([read_shard(shard)], SETTINGS | {"patch": 40})


def test_model_files_say_what_they_hold(shard, tmp_path):
    train("temporal", {"network": "linear"}, [], tmp_path / "linear.safetensors", code="c0de")
    assert read(tmp_path / "linear.safetensors", "temporal").network == "linear"
    settings = {"network": "learned_kernel", "training": SETTINGS | {"steps": 10}}
    train("spatial", settings, [shard / "index.json"], tmp_path / "kernel.safetensors", code="c0de")
    found = read(tmp_path / "kernel.safetensors", "spatial")
    assert found.weights["kernel"].shape == (9, 7, 7)
    assert found.settings["training"]["steps"] == 10
    assert len(found.provenance["history"]) == 10
    assert found.provenance["code"] == "c0de"
    index = json.loads((shard / "index.json").read_text())
    assert found.provenance["shards"] == {shard.name: index["sha256"]["fine"]}
    assert found.provenance["cell_methods"] == "time: mean (interval: 1 hour)"
    assert found.provenance["collection"] == "aqc_tavg_1hr_g1440x721_v1"
    with pytest.raises(DeepcamsError, match="training months"):
        train("spatial", settings, [], tmp_path / "none.safetensors", code="c0de")


def test_an_edit_of_the_code_leaves_the_model_file_of_an_interpolation_as_it_is(tmp_path):
    paths = [tmp_path / "one.safetensors", tmp_path / "other.safetensors"]
    for path, code in zip(paths, ("c0de", "0ther"), strict=True):
        train("spatial", {"network": "bicubic"}, [], path, code=code)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_training_code_is_reached_only_by_the_networks_that_need_it():
    """train.py loads a trainer by name; that name belongs to the digest of the networks that learn."""
    script = ROOT / "workflow/scripts/train_spatial.py"
    assert "deepcams.training.kernel" not in imported_modules(script)
    for stage in catalogue.stages():
        for name in catalogue.names(stage):
            trainer = catalogue.trainer_of(stage, name)
            assert catalogue.learns(stage, name) == (trainer is not None)
            if trainer:
                assert callable(import_module(trainer).fit)


def test_scores_of_a_month_mark_the_configured_method_and_become_tables(shard, tmp_path):
    train("temporal", {"network": "linear"}, [], tmp_path / "t.safetensors", code="c0de")
    train("spatial", {"network": "bicubic"}, [], tmp_path / "s.safetensors", code="c0de")
    models = {"temporal": tmp_path / "t.safetensors", "spatial": tmp_path / "s.safetensors"}
    index = shard / "index.json"
    evaluate_month("temporal", index, {"temporal": models["temporal"]}, tmp_path / "temporal.csv")
    evaluate_month("spatial", index, {"spatial": models["spatial"]}, tmp_path / "spatial.csv", closure="block_mean")
    evaluate_month("joint", index, models, tmp_path / "joint.csv", closure="none")
    names = [configured_method(tmp_path / f"{stage}.csv") for stage in ("temporal", "spatial", "joint")]
    assert names == ["linear", "bicubic+closure", "linear+bicubic"]
    table = pd.read_csv(tmp_path / "temporal.csv")
    linear, fine = table.set_index("method").loc["linear"], read_shard(shard).fine
    # Windows of three hours from 0; the one with the missing hour 7 still offers hour 8.
    pairs = [(k, j) for k in range(0, 24, 3) for j in (1, 2) if k + j != 7]
    errors = [((3 - j) * fine[k] + j * fine[k + 3]) / 3 - fine[k + j] for k, j in pairs]
    assert linear["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors, dtype=float))), rel=1e-5)
    assert linear["mae"] == pytest.approx(np.mean(np.abs(errors), dtype=float), rel=1e-5)
    write_tables([tmp_path / "temporal.csv"], tmp_path / "table.csv", tmp_path / "table.md")
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert "Configured: linear" in lines[0]
    assert lines[-1].startswith("| average")
    assert f"{linear['mae_mean_of_frames']:.3f}" in lines[-1]


def test_only_the_region_and_the_months_own_hours_are_scored_in_space(tmp_path):
    """A shard has a halo around the region and the next month's first hour; neither belongs to the score."""
    values = textured(25, refine(REGION), seed=3)
    times = np.datetime64("2018-01-31T00:30:00", "s") + np.arange(25) * np.timedelta64(3600, "s")
    field = xr.DataArray(
        values,
        coords={"time": times, "latitude": refine(REGION).latitude, "longitude": refine(REGION).longitude},
        dims=("time", "latitude", "longitude"),
        name="pm25",
        attrs={"units": "ug m-3", "cell_methods": "time: mean (interval: 1 hour)"},
    )
    write_field(tmp_path / "raw.nc", field, Encoding())
    write_shard(tmp_path / "raw.nc", tmp_path / "index.json", {"operator": "block_mean", "sigma": 1.0})
    assert read_shard(tmp_path).own == 24
    train("spatial", {"network": "bicubic"}, [], tmp_path / "s.safetensors", code="c0de")
    region = Region(north=39.0, west=6.0, south=31.5, east=18.0)
    evaluate_month(
        "spatial", tmp_path / "index.json", {"spatial": tmp_path / "s.safetensors"}, tmp_path / "s.csv", region=region
    )
    nearest = pd.read_csv(tmp_path / "s.csv").set_index("method").loc["nearest"]
    fine = refine(coarse_grid(region))
    assert (nearest["frames"], nearest["n"]) == (24, 24 * fine.shape[0] * fine.shape[1])
    coarse = np.repeat(np.repeat(block_mean(values, REGION), 3, axis=1), 3, axis=2)[:, 1:-1, 1:-1]
    rows = slice(24, 24 + fine.shape[0])
    columns = slice(24, 24 + fine.shape[1])
    error = (coarse - values)[:24, rows, columns].astype(float)
    assert nearest["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)


def test_the_width_of_the_gaussian_goes_with_the_shard(tmp_path):
    source = month_file(tmp_path / "raw.nc", textured(2, refine(REGION)), refine(REGION))
    write_shard(source, tmp_path / "index.json", {"operator": "gaussian", "sigma": 3.0})
    assert read_shard(tmp_path).parameters == {"sigma": 3.0}
    with pytest.raises(DeepcamsError, match=r"19 × 25 coarse nodes that can be used"):
        fit([read_shard(tmp_path)], SETTINGS | {"patch": 16})


def test_the_index_of_a_shard_is_small_and_names_its_arrays_by_checksum(shard):
    index = json.loads((shard / "index.json").read_text())
    assert set(index["sha256"]) == {"fine", "coarse"}
    assert index["cell_methods"] == "time: mean (interval: 1 hour)"
    assert index["collection"] == "aqc_tavg_1hr_g1440x721_v1"
    assert (shard / "index.json").stat().st_size < 100_000
