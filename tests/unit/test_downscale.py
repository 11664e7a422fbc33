"""A month through time and space: what the product says it was made from, and how much surrounds a region."""

import numpy as np
import pytest
import xarray as xr

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding, read_layout, write_field
from deepcams.files.pairs import read_pairs
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid
from deepcams.inference.closure import HALO
from deepcams.inference.month import downscale_temporal
from deepcams.product.downscale import downscale_spatial
from deepcams.training.train import train

REGION = Region(north=30.0, west=0.0, south=24.0, east=6.0)
ARCTIC = Region(north=90.0, west=-180.0, south=84.0, east=179.25)
MONTH = Month(2018, 2)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for stage, network in (("temporal", "linear"), ("spatial", "bicubic")):
        train(stage, {"network": network}, [], folder / stage, code="-")
    return folder


def analyses(path, grid, **everywhere):
    times = MONTH.analyses()
    values = np.random.default_rng(1).gamma(2.0, 5.0, (len(times), *grid.shape)).astype(np.float32)
    field = xr.DataArray(
        values,
        coords={"time": times, "latitude": grid.latitude, "longitude": grid.longitude},
        dims=("time", "latitude", "longitude"),
        name="pm25",
        attrs={"units": "ug m-3", "cell_methods": "time: point"},
    )
    write_field(path, field, Encoding(), everywhere)
    return path


def downscale(folder, models, grid, *, region=REGION, closure="block_mean", **everywhere):
    raw = analyses(folder / "raw.nc", grid, **everywhere)
    downscale_temporal(raw, models / "temporal", MONTH, folder / "hourly.nc", ends_record=False)
    settings = {"region": region, "closure": closure, "mantissa_bits": 7, "level": 1, "code": "-", "threads": 1}
    downscale_spatial(folder / "hourly.nc", models / "spatial", folder / "fine.nc", **settings)
    return read_layout(folder / "fine.nc").global_attributes


def test_the_product_names_the_delivered_files(tmp_path, models):
    said = "2018/02.nc sha256:" + "a" * 64 + "; 2018/03.nc sha256:" + "b" * 64
    assert downscale(tmp_path, models, coarse_grid(REGION, 6), source_files=said)["source_files"] == said


def test_analyses_from_elsewhere_are_named_themselves(tmp_path, models):
    said = downscale(tmp_path, models, coarse_grid(REGION, 6))["source_files"]
    assert read_pairs(said) == {"raw.nc": f"sha256:{sha256(tmp_path / 'raw.nc')}"}


@pytest.mark.parametrize(("closure", "needed"), [("none", 2), ("block_mean", 2 + HALO["block_mean"])])
def test_a_region_with_too_little_around_it_is_refused(tmp_path, models, closure, needed):
    with pytest.raises(DeepcamsError, match=f"{needed - 1} coarse nodes .*{needed} are needed"):
        downscale(tmp_path, models, coarse_grid(REGION, needed - 1), closure=closure)
    assert not (tmp_path / "fine.nc").exists()
    downscale(tmp_path, models, coarse_grid(REGION, needed), closure=closure)


def test_one_short_side_is_enough_to_be_refused(tmp_path, models):
    grid = coarse_grid(REGION, 6)
    short = type(grid)(grid.latitude[:-1], grid.longitude, grid.step)
    with pytest.raises(DeepcamsError, match="south"):
        downscale(tmp_path, models, short)


def test_nothing_is_needed_beyond_a_pole_or_round_the_globe(tmp_path, models):
    grid = coarse_grid(ARCTIC, 6)
    assert grid.is_periodic and len(grid.latitude) == 9 + 6
    downscale(tmp_path, models, grid, region=ARCTIC)


def test_a_region_may_be_cut_from_the_globe(models):
    from deepcams.models.spatial_interpolation import bicubic
    from deepcams.product.downscale import require_halo

    require_halo(coarse_grid(REGION), coarse_globe(), bicubic(), "block_mean")
