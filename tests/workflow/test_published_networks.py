"""The paper's networks, small, through the same rules as all others: corrected, and as published."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from deepcams.grid.blocks import block_mean
from deepcams.grid.nodes import Region, coarse_grid
from deepcams.models.checkpoint import read
from tests.workflow.conftest import copy_of_repository, jobs_in

pytestmark = pytest.mark.xdist_group("workflow")

REGION = Region(north=33.0, west=75.0, south=26.25, east=83.25)
YEAR = "results/tiny/2019/pm25_hourly.nc"
# 64 cells of 0.25° are more than the 42 × 44 coarse nodes that are kept hold.
PATCHES = {"corrected": 32, "published": 64}
TRAINING = "steps: 4, batch_size: 1, learning_rate: 0.0001"
# Attention costs the square of a window. These are smaller than those of the recipes, for speed alone: some to a frame.
WINDOWS = (
    ("\nWINDOWS = Manner(window=48, overlap=16)", "\nWINDOWS = Manner(window=12, overlap=1)"),
    ("window=120, overlap=0", "window=12, overlap=0"),
)


@pytest.fixture(scope="module")
def runs(finished, tmp_path_factory) -> dict[str, Path]:
    """Results by recipe: data and shards of the tiny run, to which networks and a year were added."""
    checkouts = {}
    for recipe in PATCHES:
        checkouts[recipe] = checkout = copy_of_repository(tmp_path_factory.mktemp(recipe))
        for name in ("nature_run", "raw", "shards"):
            source = finished.path / "results/tiny" / name
            shutil.copytree(source, checkout.path / "results/tiny" / name, copy_function=os.link)
        module = checkout.path / "src/deepcams/models/abpn.py"
        text = module.read_text()
        for old, new in WINDOWS:
            assert text.count(old) == 1
            text = text.replace(old, new)
        module.write_text(text)

    def run(recipe):
        choices = (
            "networks=paper",
            f"recipe={recipe}",
            f"temporal={{features: 8, training: {{{TRAINING}, patch: {PATCHES[recipe]}}}}}",
            f"spatial={{features: 4, training: {{{TRAINING}, patch: 8}}}}",
        )
        return checkouts[recipe].snakemake(YEAR, "--config", *choices, cores=1)

    with ThreadPoolExecutor() as pool:
        for process in pool.map(run, PATCHES):
            assert process.returncode == 0, process.stdout[-8000:]
            assert set(jobs_in(process.stdout)) == {
                "train_temporal real-xvfi",
                "train_spatial real-abpn",
                "downscale_temporal 2019-12",
                "downscale_spatial 2019-12",
                "assemble_year 2019",
            }
    return {recipe: checkout.path / "results/tiny" for recipe, checkout in checkouts.items()}


def opened(path) -> xr.Dataset:
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return dataset.load()


@pytest.fixture(scope="module")
def years(runs) -> dict[str, xr.Dataset]:
    return {recipe: opened(results / "2019/pm25_hourly.nc") for recipe, results in runs.items()}


@pytest.fixture(scope="module")
def errors(runs, years) -> dict[str, np.ndarray]:
    """How far the block means of each product are from the hourly coarse fields, as a share of them."""
    grid, found = coarse_grid(REGION), {}
    for recipe, results in runs.items():
        hourly = opened(results / "temporal/2019-12.nc").pm25
        coarse = hourly.sel(latitude=grid.latitude, longitude=grid.longitude).values.astype("f8")
        target = np.maximum(coarse, 0.01)[:, 1:-1, 1:-1]  # blocks at the edge reach beyond the region
        means = block_mean(years[recipe].pm25.values.astype("f8"), grid)[:, 1:-1, 1:-1]
        found[recipe] = np.abs(means - target) / target
    return found


@pytest.mark.parametrize("recipe", PATCHES)
def test_the_product_is_whole(years, recipe):
    pm25 = years[recipe].pm25
    np.testing.assert_array_equal(pm25.time, np.arange("2019-12-01", "2020-01-01", dtype="M8[h]").astype("M8[ns]"))
    np.testing.assert_array_equal(pm25.latitude, np.arange(33.0, 26.0, -0.25))
    np.testing.assert_array_equal(pm25.longitude, np.arange(75.0, 83.5, 0.25))
    assert np.isfinite(pm25.values).all()
    assert (pm25.values >= 0).all()
    assert (pm25.values.std(axis=(1, 2)) > 0).all()


def test_closure_holds_with_the_corrected_recipe_and_is_not_made_in_the_published_one(years, errors):
    assert errors["corrected"].max() < 0.004
    assert years["corrected"].attrs["closure_max_relative_error"] == pytest.approx(errors["corrected"].max(), abs=1e-4)
    assert np.median(errors["published"]) > 0.01
    assert "closure_max_relative_error" not in years["published"].attrs


@pytest.mark.parametrize("recipe", PATCHES)
def test_model_files_and_product_say_what_was_run(runs, years, recipe):
    expected = {
        "temporal": ("xvfi", {"features": 8, "levels": 1}, PATCHES[recipe]),
        "spatial": ("abpn", {"features": 4}, 8),
    }
    transform = {"corrected": "asinh", "published": "clipped_800"}[recipe]
    for stage, (network, sizes, patch) in expected.items():
        model = read(runs[recipe] / f"models/real/{stage}/{network}/model.safetensors", stage)
        assert model.network == network
        assert {key: model.settings[key] for key in sizes} == sizes
        assert (model.settings["recipe"], model.settings["transform"]) == (recipe, transform)
        training = model.settings["training"]
        assert {key: training[key] for key in ("steps", "batch_size", "patch")} == {
            "steps": 4,
            "batch_size": 1,
            "patch": patch,
        }
        assert f"{stage} {network}:" in years[recipe].attrs["networks"]


@pytest.mark.parametrize("recipe", PATCHES)
def test_analyses_pass_unchanged(runs, recipe):
    hourly = opened(runs[recipe] / "temporal/2019-12.nc").pm25
    analyses = opened(runs[recipe] / "raw/cams/2019-12.nc").pm25
    np.testing.assert_array_equal(hourly.values[::3], analyses.values[:-1])
    assert np.isfinite(hourly.values).all()


def test_only_the_corrected_networks_start_as_the_interpolations(runs):
    """After so few steps they are still near linear interpolation; random weights of the published ones are not."""
    far = {}
    for recipe, results in runs.items():
        hourly = opened(results / "temporal/2019-12.nc").pm25.values.astype("f8")
        linear = (2 * hourly[:-3:3] + hourly[3::3]) / 3
        far[recipe] = np.sqrt(np.mean((hourly[1:-3:3] - linear) ** 2)) / hourly.mean()
    assert 0 < far["corrected"] < 0.01
    assert far["published"] > 0.1
