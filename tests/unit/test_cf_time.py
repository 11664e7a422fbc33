"""Time axes of any CF file: what they say, and what is refused."""

import numpy as np
import pytest
import xarray as xr

from deepcams.errors import DeepcamsError
from deepcams.pollutants import PM25
from deepcams.validation.fields import FieldFile

START = np.datetime64("2018-02-01T00:00:00", "s")
HOUR = np.timedelta64(3600, "s")


def opened(path, times, *, bounds=None, units="minutes since 2018-01-01", dtype="f8", **attributes):
    data = xr.Dataset(
        {"PM": (("time", "lat", "lon"), np.ones((len(times), 2, 2)), {"units": "ug m-3", **attributes})},
        coords={"time": times, "lat": [1.0, 0.0], "lon": [0.0, 1.0]},
    )
    if bounds is not None:
        data["time_bnds"] = (("time", "edge"), bounds)
        data["time"].attrs["bounds"] = "time_bnds"
    data["time"].encoding.update(units=units, dtype=dtype)
    data.to_netcdf(path, engine="h5netcdf")
    return FieldFile(path, pollutant=PM25)


def hours(count, step=1, offset=0):
    return START + HOUR * step * np.arange(count) + np.timedelta64(offset, "m")


def test_instants_have_no_intervals_even_with_bounds_if_the_file_says_so(tmp_path):
    times = hours(3)
    bounds = np.stack([times, times + HOUR], axis=1)
    with opened(tmp_path / "a.nc", times) as file:
        assert file.bounds is None
    with opened(tmp_path / "b.nc", times, bounds=bounds, cell_methods="time: point") as file:
        assert file.bounds is None


def test_bounds_make_means_in_whichever_order_they_are(tmp_path):
    times = hours(3, offset=30)
    bounds = np.stack([hours(3), hours(3) + HOUR], axis=1)
    for name, given in (("a.nc", bounds), ("b.nc", bounds[:, ::-1])):
        with opened(tmp_path / name, times, bounds=given) as file:
            assert file.bounds.tolist() == bounds.tolist()


@pytest.mark.parametrize(
    ("times", "length", "words"),
    [
        (hours(4), 3 * HOUR, "overlap"),
        (hours(4), 0 * HOUR, "empty"),
        (np.array(["2018-01-01", "2018-02-01"], "datetime64[s]"), 31 * 24 * HOUR, "744 h"),
    ],
    ids=["running", "empty", "months"],
)
def test_intervals_that_cannot_be_compared_are_refused(tmp_path, times, length, words):
    bounds = np.stack([times, times + length], axis=1)
    with pytest.raises(DeepcamsError, match=words):
        opened(tmp_path / "a.nc", times, bounds=bounds, cell_methods="time: mean")


@pytest.mark.parametrize(
    ("times", "words"),
    [(hours(4, offset=30), "off the full hour"), (hours(4, step=6), "6 h apart"), (hours(3)[::-1], "rise")],
    ids=["half past", "six-hourly", "backwards"],
)
def test_instants_that_would_be_lost_in_silence_are_refused(tmp_path, times, words):
    with pytest.raises(DeepcamsError, match=words):
        opened(tmp_path / "a.nc", times)


def test_times_kept_as_float32_days_are_those_that_were_meant(tmp_path):
    with opened(tmp_path / "a.nc", hours(72), units="days since 2018-01-01", dtype="f4") as file:
        assert file.times.tolist() == hours(72).tolist()


def test_days_of_23_and_25_hours_are_days(tmp_path):
    edges = START + HOUR * np.array([0, 24, 47, 72])
    bounds = np.stack([edges[:-1], edges[1:]], axis=1)
    with opened(tmp_path / "a.nc", edges[:-1], bounds=bounds, cell_methods="time: mean") as file:
        assert file.bounds.tolist() == bounds.tolist()


@pytest.mark.parametrize("order", [("time", "lat", "lon"), ("time", "lon", "lat")], ids="-".join)
@pytest.mark.parametrize(
    "fills", [{"_FillValue": np.float32(np.nan)}, {"missing_value": np.float32(-9999)}], ids=["NaN", "-9999"]
)
def test_values_are_read_right_however_they_lie_in_the_file(tmp_path, order, fills):
    values = np.random.default_rng(0).random((24, 6, 6)).astype(np.float32)
    values[3, 2, 1] = np.nan
    data = xr.Dataset(
        {"PM": (("time", "lat", "lon"), values, {"units": "ug m-3"})},
        coords={"time": hours(24), "lat": np.arange(6.0)[::-1], "lon": np.arange(6.0)},
    ).transpose(*order, ...)
    encoding = {"zlib": True, "shuffle": True, "chunksizes": (24, 6, 6), **fills}
    data["time"].encoding["units"] = "hours since 2018-01-01"
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", encoding={"PM": encoding})
    with FieldFile(tmp_path / "a.nc", pollutant=PM25) as file:
        np.testing.assert_array_equal(file.read(0, 24), values)
