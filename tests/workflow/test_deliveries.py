"""Files as services deliver them, each month with a fault of its own: one clear sentence, nothing half-written."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from deepcams.calendar import MISSING, Month
from tests.workflow.conftest import Checkout, assert_one_sentence, copy_of_repository, error_lines, leftovers

pytestmark = pytest.mark.xdist_group("workflow")

ROOT = "results/real"
HOUR = np.timedelta64(1, "h")
PATCH = ([30.0, 29.25], [78.0, 78.75])  # latitudes and longitudes of coarse nodes
PATCH_FRAME = 40
FEW, MANY = 10, 60  # missing hours of GEOS-CF; max_missing allows 37


@dataclass
class Delivery:
    """A CAMS month in the layout of the Atmosphere Data Store, to be spoilt."""

    month: str
    values: np.ndarray  # kg m-3
    latitude: np.ndarray
    longitude: np.ndarray
    times: np.ndarray
    units: str = "kg m**-3"
    keep: np.ndarray | None = None
    attributes: dict = field(default_factory=dict)

    def write(self, path: Path):
        keep = slice(None) if self.keep is None else self.keep
        dims = ("valid_time", "latitude", "longitude")
        axes = {"valid_time": self.times[keep].astype("M8[ns]"), "latitude": self.latitude, "longitude": self.longitude}
        variable = (dims, self.values[keep].astype("f4"), {"units": self.units})
        xr.Dataset({"pm2p5": variable}, axes, self.attributes).to_netcdf(path)


def truncated(delivery, path):
    delivery.write(path)
    os.truncate(path, path.stat().st_size // 2)


def html_page(delivery, path):
    path.write_text("<!DOCTYPE html>\n<html><body>Please log in</body></html>\n")


def column_in_place_of_concentration(delivery, path):
    delivery.units = "kg m**-2"
    delivery.write(path)


def micrograms_called_kilograms(delivery, path):
    delivery.values = delivery.values * 1e9
    delivery.write(path)


def other_grid(delivery, path):
    delivery.longitude = delivery.longitude + 0.1
    delivery.write(path)


def frames_missing(delivery, path):
    delivery.keep = np.setdiff1d(np.arange(len(delivery.times)), [17, 18])
    delivery.write(path)


def zero_frame(delivery, path):
    delivery.values[5] = 0
    delivery.write(path)


def small_area(delivery, path):
    delivery.values, delivery.latitude = delivery.values[:, 4:], delivery.latitude[4:]
    delivery.write(path)


def forecast_times(delivery, path):
    delivery.times = delivery.times + HOUR
    delivery.write(path)


# (month, fault, words of the sentence)
FAULTS = [
    ("2019-02", truncated, ("truncated or damaged", "fetch")),
    ("2019-03", html_page, ("HTML page", "login")),
    ("2019-04", column_in_place_of_concentration, ("kg m**-2", "units")),
    ("2019-05", micrograms_called_kilograms, ("units cannot be", "kg m**-3")),
    ("2019-06", other_grid, ("grid", "0.75")),
    ("2019-07", frames_missing, ("lacks 2 of 248", "2019-07-03 03:00", "2019-07-03 06:00")),
    ("2019-08", zero_frame, ("same value everywhere", "2019-08-01 15:00")),
    ("2019-09", small_area, ("does not cover the region",)),
    ("2019-10", forecast_times, ("no analysis times", "2019-10-01 01:00")),
]


@dataclass
class Deliveries:
    """The run over all deliveries, good and bad."""

    checkout: Checkout
    process: subprocess.CompletedProcess

    @property
    def results(self) -> Path:
        return self.checkout.path / ROOT


@pytest.fixture(scope="module")
def deliveries(finished, tmp_path_factory) -> Deliveries:
    checkout = copy_of_repository(tmp_path_factory.mktemp("deliveries"))
    nature_run = finished.path / "results/tiny/nature_run"
    data = checkout.path / "data"
    (data / "cams").mkdir(parents=True)
    with xr.open_dataset(nature_run / "ads/2020-01.nc") as source:
        source = source.load()

    def delivery(month):
        """The nature run's January with the times of another month and without its label, as if it were real."""
        times = Month.parse(month).analyses()
        values = source.pm2p5.values[: len(times)].copy()
        return Delivery(month, values, source.latitude.values, source.longitude.values, times)

    for month, spoil, _ in FAULTS:
        spoil(delivery(month), data / f"cams/{month}.nc")
    for month in ("2019-11", "2020-01"):  # without the next day's 00 UTC
        good = delivery(month)
        good.keep = np.arange(len(good.times) - 1)
        good.write(data / f"cams/{month}.nc")
    patched = delivery("2019-12")
    rows, columns = (
        np.flatnonzero(np.isin(a, b)) for a, b in zip((patched.latitude, patched.longitude), PATCH, strict=True)
    )
    patched.values[np.ix_([PATCH_FRAME], rows, columns)] = np.nan
    patched.write(data / "cams/2019-12.nc")

    shutil.copytree(nature_run / "openaq", data / "openaq", copy_function=os.link)
    shutil.copytree(nature_run / "portal", data / "portal", copy_function=os.link)
    for month, count in (("12", FEW), ("01", MANY)):
        for path in sorted((data / "portal").rglob(f"M{month}/*/*aqc_tavg*.nc4"))[100 : 100 + count]:
            path.unlink()

    settings = yaml.safe_load((checkout.path / "config/tiny.yaml").read_text())
    settings["results"] = ROOT
    settings["networks"] = "interpolation"  # which need no month of GEOS-CF: one of them is refused here
    del settings["temporal"], settings["spatial"]
    settings["cams"] = {
        "source": "local",
        "path": "data/cams/{year}-{month}.nc",
        "first": "2019-01",
        "last": "2020-01",
    }
    settings["geoscf"] |= {"source": "local", "path": "data/portal"}
    settings["openaq"] |= {"source": "local", "path": "data/openaq"}
    for weather in ("meteorology", "weather_stations"):  # not asked for, but real or synthetic as the others are
        settings[weather] = {"source": "local", "path": f"data/{weather}"}
    (checkout.path / "local.yaml").write_text(yaml.safe_dump(settings))

    targets = [f"raw/cams/{month}.nc" for month, _, _ in FAULTS] + ["raw/cams/2019-11.nc", "spatial/2019-12.nc"]
    targets += ["2020/pm25_hourly.nc", "collocated/2020-01.nc", "raw/geoscf/2019-12.nc", "raw/geoscf/2020-01.nc"]
    process = checkout.snakemake(*(f"{ROOT}/{name}" for name in targets), "--keep-going", configfile="local.yaml")
    return Deliveries(checkout, process)


@pytest.mark.parametrize(("month", "fault", "words"), FAULTS, ids=[case[1].__name__ for case in FAULTS])
def test_a_bad_cams_file_ends_in_one_sentence(deliveries, month, fault, words):
    log = deliveries.results / f"logs/retrieve_cams/{month}.log"
    assert_one_sentence(deliveries.process, log, f"data/cams/{month}.nc", *words)
    assert not (deliveries.results / f"raw/cams/{month}.nc").exists()
    assert not (deliveries.results / f"raw/cams/{month}.nc.sha256").exists()


def test_faults_do_not_spread_to_other_months(deliveries):
    made = sorted(path.name for path in (deliveries.results / "raw/cams").iterdir())
    assert made == [f"{month}.nc{end}" for month in ("2019-11", "2019-12", "2020-01") for end in ("", ".sha256")]
    failed = len(FAULTS) + 2  # with GEOS-CF and the stations
    assert len(error_lines(deliveries.process.stdout)) == failed
    assert leftovers(deliveries.results) == []


def test_a_missing_cams_file_is_named_before_anything_runs(deliveries):
    process = deliveries.checkout.snakemake(f"{ROOT}/raw/cams/2019-01.nc", configfile="local.yaml")
    assert process.returncode != 0
    assert "data/cams/2019-01.nc" in process.stdout
    assert "Traceback" not in process.stdout


def test_the_last_frame_comes_from_the_next_file(deliveries):
    with xr.open_dataset(deliveries.results / "raw/cams/2019-11.nc") as month:
        np.testing.assert_array_equal(month.time.values.astype("M8[s]"), Month.parse("2019-11").analyses())
        with xr.open_dataset(deliveries.results / "raw/cams/2019-12.nc") as following:
            np.testing.assert_array_equal(month.pm25[-1], following.pm25[0])


def test_a_patch_of_missing_values_stays_exactly_where_it_was(deliveries):
    """Missing analyses make their own blocks missing, at their hour and the two hours on either side: never zero."""
    with xr.open_dataset(deliveries.results / "spatial/2019-12.nc") as product:
        fine, latitude, longitude = product.pm25.values, product.latitude.values, product.longitude.values
    rows = np.abs(latitude[:, None] - PATCH[0]).min(axis=1) <= 0.25
    columns = np.abs(longitude[:, None] - PATCH[1]).min(axis=1) <= 0.25
    expected = np.zeros(fine.shape, dtype=bool)
    expected[3 * PATCH_FRAME - 2 : 3 * PATCH_FRAME + 3] = rows[:, None] & columns
    assert expected.sum() == 5 * 6 * 6
    np.testing.assert_array_equal(np.isnan(fine), expected)
    with xr.open_dataset(deliveries.results / "spatial/2020-01.nc") as month:
        whole = month.pm25.values  # the same analyses without the patch; but as the last is lacking, so are two hours
    near = 5 * 3  # fine nodes beyond which nothing may change
    away = np.ones(fine.shape[1:], dtype=bool)
    top, left = np.flatnonzero(rows)[0], np.flatnonzero(columns)[0]
    away[max(top - near, 0) : top + 6 + near, max(left - near, 0) : left + 6 + near] = False
    assert away.any()
    np.testing.assert_array_equal(fine[:742, away], whole[:742, away])
    others = np.setdiff1d(np.arange(742), np.arange(3 * PATCH_FRAME - 2, 3 * PATCH_FRAME + 3))
    np.testing.assert_array_equal(fine[others], whole[others])


def test_the_last_two_hours_of_the_record_are_missing_and_only_those(deliveries):
    with xr.open_dataset(deliveries.results / "2020/pm25_hourly.nc") as year:
        empty = np.isnan(year.pm25.values)
        np.testing.assert_array_equal(year.time_status.values == MISSING, np.arange(744) >= 742)
        assert empty[742:].all()
        assert not empty[:742].any()
        assert str(year.time.values[742])[:16] == "2020-01-31T22:00"
        assert "synthetic" not in year.attrs
        assert "Copernicus" in year.attrs["license"]
        assert year.attrs["closure_max_relative_error"] < 0.004


def test_synthetic_stations_are_not_compared_with_real_fields(deliveries):
    log = deliveries.results / "logs/collocate_stations/2020-01.log"
    assert_one_sentence(deliveries.process, log, "spatial/2020-01.nc is real", "synthetic")
    assert list(deliveries.results.glob("collocated/*")) == []


def test_too_many_missing_hours_of_geoscf_are_refused(deliveries):
    log = deliveries.results / "logs/retrieve_geoscf/2020-01.log"
    text = log.read_text()
    assert len(error_lines(text)) == 1
    assert f"{MANY} of 744 hours are missing: 2020-01-05 04:30" in text
    assert "geoscf.max_missing (0.05)" in text
    assert "Traceback" not in text
    assert error_lines(text)[0] in deliveries.process.stdout
    assert not (deliveries.results / "raw/geoscf/2020-01.nc").exists()


def test_a_few_missing_hours_of_geoscf_are_carried_as_missing_and_listed(deliveries):
    with xr.open_dataset(deliveries.results / "raw/geoscf/2019-12.nc") as month:
        missing = np.isnan(month.pm25.values)
        assert month.sizes["time"] == 745
        np.testing.assert_array_equal(missing.all(axis=(1, 2)), (np.arange(745) >= 100) & (np.arange(745) < 100 + FEW))
        assert not missing[:100].any()
        listed = np.array(month.attrs["missing_hours"].split(), dtype="M8[s]")
        np.testing.assert_array_equal(listed, month.time.values[100 : 100 + FEW].astype("M8[s]"))
    log = (deliveries.results / "logs/retrieve_geoscf/2019-12.log").read_text()
    assert f"{FEW} of 744 hours are missing" in log
    assert not error_lines(log)
