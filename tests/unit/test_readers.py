"""The product as the tools of its users see it: ncdump and CDO; xarray and netCDF4 on both engines."""

import shutil
import subprocess

import netCDF4
import numpy as np
import pytest
import xarray as xr

from deepcams.product.year import assemble_year
from tests.unit.test_product import FEW_DAYS, GRID, compute, product, write

COUNT = 96


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Two parts joined, as a year is."""
    folder = tmp_path_factory.mktemp("readers")
    later = FEW_DAYS[:24] + np.timedelta64(72, "h")
    parts = [write(folder / "a.nc", what=product()), write(folder / "b.nc", later, product("2018-02"))]
    assemble_year(parts, folder / "year.nc")
    return folder / "year.nc"


@pytest.fixture(scope="module")
def values(joined):
    """The numbers that went in, rounded as told: 7 bits of the mantissa, ties to even, in plain arithmetic."""
    days = FEW_DAYS[0] + np.timedelta64(24, "h") * np.arange(4)
    exact = np.concatenate([compute(day + np.arange(24) * np.timedelta64(1, "h"))[0] for day in days]).astype("f8")
    unit = 2.0 ** (np.floor(np.log2(exact)) - 7)
    return np.rint(exact / unit) * unit


def say(*command):
    """Standard output of a tool that has nothing to complain of."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; `make tools` installs it")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_xarray_reads_values_and_hours(joined, values, engine):
    with xr.open_dataset(joined, engine=engine) as dataset:
        np.testing.assert_array_equal(dataset.pm25.values, values)
        np.testing.assert_array_equal(dataset.time.values, FEW_DAYS[0] + np.arange(COUNT) * np.timedelta64(1, "h"))
        assert dataset.pm25.coords["height"].item() == 0.0


def test_netcdf4_reads_values_and_hours(joined, values):
    with netCDF4.Dataset(joined) as dataset:
        np.testing.assert_array_equal(dataset["pm25"][...].filled(np.nan), values)
        hours = netCDF4.num2date(dataset["time"][...], dataset["time"].units, dataset["time"].calendar)
        assert (str(hours[0]), str(hours[-1])) == ("2018-01-01 00:00:00", "2018-01-04 23:00:00")


def test_ncdump_takes_it_for_netcdf_4_and_shows_what_is_in_it(joined):
    assert say("ncdump", "-k", joined).strip() == "netCDF-4"
    header = say("ncdump", "-h", joined)
    assert f"time = UNLIMITED ; // ({COUNT} currently)" in header
    assert "float pm25(time, latitude, longitude)" in header
    assert ':Conventions = "CF-1.11, ACDD-1.3"' in header
    times = say("ncdump", "-t", "-v", "time", joined)
    assert times.split("data:")[1].count('"2018-01-0') == COUNT
    assert '"2018-01-02 23", "2018-01-03", ' in " ".join(times.split())


def test_cdo_sees_the_grid_the_surface_and_every_hour(joined):
    text = say("cdo", "-s", "sinfon", joined)
    for expected in ("longitude : 0 to 15 by 0.25", "latitude : 15 to 0 by -0.25", "cellbounds", "height : 0 m"):
        assert expected in text
    assert f"time : {COUNT} steps" in text
    stamps = say("cdo", "-s", "showtimestamp", joined).split()
    assert [np.datetime64(stamp) for stamp in stamps] == list(FEW_DAYS[0] + np.arange(COUNT) * np.timedelta64(1, "h"))


def test_cdo_finds_the_smallest_the_largest_and_the_mean(joined, values):
    lines = [line for line in say("cdo", "-s", "infon", "-selname,pm25", joined).splitlines() if "pm25" in line]
    found = np.array([line.split(" : ")[-2].split() for line in lines], dtype="f8")
    frames = values.reshape(COUNT, -1)
    expected = np.stack([frames.min(axis=1), frames.mean(axis=1), frames.max(axis=1)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # five digits are printed


def test_cdo_finds_places(joined, values):
    text = say("cdo", "-s", "outputtab,value", "-remapnn,lon=5.26_lat=7.49", "-selname,pm25", joined)
    series = np.array(text.splitlines()[1:], dtype="f8")
    row, column = np.flatnonzero(GRID.latitude == 7.5)[0], np.flatnonzero(GRID.longitude == 5.25)[0]
    np.testing.assert_allclose(series, values[:, row, column], rtol=1e-5)
