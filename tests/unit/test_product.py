"""The product's files: what they say about themselves, resuming by days, joining months, and the last check."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files import chunks
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding, read_field, read_layout
from deepcams.files.pairs import read_pairs
from deepcams.grid.nodes import Region, coarse_grid, fine_globe, refine
from deepcams.product.attributes import Provenance, global_attributes, small_variables
from deepcams.product.months import Product, ProductWriter, days_of, write_by_days
from deepcams.product.verify import verify_product
from deepcams.product.year import assemble_year

GRID = refine(coarse_grid(Region(north=15, west=0, south=0, east=15)))
RECORD = (np.datetime64("2018-01-01T00:00:00", "s"), np.datetime64("2018-02-28T21:00:00", "s"))
FEW_DAYS = np.arange(RECORD[0], RECORD[0] + np.timedelta64(72, "h"), np.timedelta64(1, "h"))


def product(month="2018-01", **changes):
    provenance = Provenance(
        {f"raw/cams/{month}.nc": month.encode().hex().ljust(64, "0")},
        {"temporal": "linear sha256:00ff", "spatial": "bicubic sha256:11ee"},
        "0123456789abcdef",
        **changes,
    )
    return Product(GRID, RECORD, provenance)


def compute(hours):
    seed = int(hours[0].astype("datetime64[D]").astype(int))
    values = np.random.default_rng(seed).gamma(2.0, 10.0, size=(len(hours), *GRID.shape)).astype(np.float32)
    values[hours > RECORD[1]] = np.nan
    return values, {"closure_error_max_relative": float(hours[0].astype("datetime64[D]").item().day)}


def write(path, hours=FEW_DAYS, what=None):
    write_by_days(path, "key", days_of(hours), compute, what or product())
    return path


@pytest.fixture(scope="module")
def months(tmp_path_factory):
    folder = tmp_path_factory.mktemp("months")
    return [write(folder / f"{name}.nc", Month.parse(name).hours(), product(name)) for name in ("2018-01", "2018-02")]


@pytest.fixture(scope="module")
def year(months):
    out = months[0].parent / "year.nc"
    assemble_year(months, out)
    return out


def raw_chunks(path):
    with h5py.File(path) as file:
        field = file["pm25"]
        return [field.id.read_direct_chunk(place) for place in chunks.offsets(field.shape, field.chunks)]


def test_year_holds_the_months_chunks_and_merged_provenance(months, year):
    verify_product(year)
    assert raw_chunks(year) == raw_chunks(months[0]) + raw_chunks(months[1])
    attributes = read_layout(year).global_attributes
    assert attributes["closure_error_max_relative"] == 31.0
    assert list(read_pairs(attributes["source_files"])) == ["raw/cams/2018-01.nc", "raw/cams/2018-02.nc"]
    assert attributes["time_coverage_start"] == "2018-01-01T00:00:00Z"
    assert attributes["time_coverage_end"] == "2018-02-28T23:00:00Z"
    assert attributes["time_coverage_duration"] == "P58DT23H"
    assert "20180101T00_20180228T23" in attributes["id"]


def test_status_and_missing_hours_at_the_records_end(year):
    with xr.open_dataset(year) as dataset:
        status = dataset.time_status.values
        np.testing.assert_array_equal(status[:13], [0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 2, 2, 0])
        np.testing.assert_array_equal(status[-3:], [0, 3, 3])
        assert np.isnan(dataset.pm25.values[-2:]).all()
        assert dataset.time_status.attrs["flag_values"].tolist() == [0, 1, 2, 3]
        assert len(dataset.time_status.attrs["flag_meanings"].split()) == 4


def test_month_by_days_equals_the_month_at_once(tmp_path):
    by_days = write(tmp_path / "days.nc")
    what = product()
    at_once = tmp_path / "once.nc"
    with ProductWriter(at_once, FEW_DAYS, what) as writer:
        for number, hours in enumerate(days_of(FEW_DAYS)):
            values, statistics = compute(hours)
            writer.write(24 * number, values)
            writer.add_statistics(statistics)
    assert raw_chunks(by_days) == raw_chunks(at_once)
    xr.testing.assert_identical(xr.load_dataset(by_days), xr.load_dataset(at_once))
    assert sha256(write(tmp_path / "again" / "days.nc")) == sha256(by_days)
    assert sorted(os.listdir(tmp_path)) == ["again", "days.nc", "once.nc"]


def test_lossless_intermediate_keeps_every_bit(tmp_path):
    what = replace(product(), encoding=Encoding())
    field = read_field(write(tmp_path / "hourly.nc", what=what)).values
    for number, hours in enumerate(days_of(FEW_DAYS)):
        np.testing.assert_array_equal(field[24 * number : 24 * number + 24], compute(hours)[0])


def test_a_failed_run_goes_on_with_the_days_it_finished(tmp_path):
    asked = []

    def breaks(hours):
        asked.append(hours[0])
        if len(asked) == 3:
            raise DeepcamsError("no memory")
        return compute(hours)

    out = tmp_path / "month.nc"
    with pytest.raises(DeepcamsError, match="no memory"):
        write_by_days(out, "key", days_of(FEW_DAYS), breaks, product())
    assert os.listdir(tmp_path) == [".month.nc.days-key"]
    damaged = tmp_path / ".month.nc.days-key" / "2018-01-01.nc"
    damaged.write_bytes(damaged.read_bytes()[:-5000])
    asked.clear()
    write_by_days(out, "key", days_of(FEW_DAYS), lambda hours: asked.append(hours[0]) or compute(hours), product())
    assert [str(time)[:10] for time in asked] == ["2018-01-01", "2018-01-03"]
    assert sha256(out) == sha256(write(tmp_path / "other" / "month.nc"))
    assert read_layout(out).global_attributes["closure_error_max_relative"] == 3.0
    assert not (tmp_path / ".month.nc.days-key").exists()


def test_days_of_another_key_are_thrown_away(tmp_path):
    out = tmp_path / "month.nc"

    def breaks(hours):
        if hours[0] > FEW_DAYS[0]:
            raise DeepcamsError("stop")
        return compute(hours)

    with pytest.raises(DeepcamsError, match="stop"):
        write_by_days(out, "old", days_of(FEW_DAYS), breaks, product())
    asked = []
    write_by_days(out, "new", days_of(FEW_DAYS), lambda hours: asked.append(hours[0]) or compute(hours), product())
    assert len(asked) == 3
    assert os.listdir(tmp_path) == ["month.nc"]


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.test_product import FEW_DAYS, compute, product
from deepcams.product.months import days_of, write_by_days
def slow(hours):
    if hours[0] == FEW_DAYS[48]:
        print("third", flush=True)
        time.sleep(60)
    return compute(hours)
write_by_days(Path(sys.argv[1]), "key", days_of(FEW_DAYS), slow, product())
"""


def test_a_killed_run_leaves_no_month_and_its_days_are_used(tmp_path, pytestconfig):
    out = tmp_path / "month.nc"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, out, str(pytestconfig.rootpath)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout.readline() == "third\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not out.exists()
    asked = []
    write_by_days(out, "key", days_of(FEW_DAYS), lambda hours: asked.append(hours[0]) or compute(hours), product())
    # The first day was in place; the second was being compressed while the third was computed.
    assert [str(time)[:10] for time in asked] == ["2018-01-02", "2018-01-03"]
    assert sha256(out) == sha256(write(tmp_path / "other" / "month.nc"))
    assert sorted(os.listdir(tmp_path)) == ["month.nc", "other"]


def test_a_failure_while_writing_is_raised_and_leaves_no_day(tmp_path):
    def wrong(hours):
        values, statistics = compute(hours)
        return (values if hours[0] == FEW_DAYS[0] else values[:, 1:]), statistics

    with pytest.raises(ValueError, match="do not fit"):
        write_by_days(tmp_path / "month.nc", "key", days_of(FEW_DAYS), wrong, product())
    assert os.listdir(tmp_path / ".month.nc.days-key") == ["2018-01-01.nc"]
    with pytest.raises(ValueError, match="closure_"):
        ProductWriter(tmp_path / "x.nc", FEW_DAYS, product()).add_statistics({"rmse": 1.0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"networks": {"temporal": "xvfi sha256:22"}}, "different networks"),
        ({"configuration": "ffff"}, "different settings"),
        ({"synthetic": "A nature run."}, "synthetic"),
        ({"sources": {"raw/cams/2018-01.nc": "f" * 64}}, "another raw/cams/2018-01.nc"),
    ],
)
def test_months_of_different_origin_are_not_joined(tmp_path, change, message):
    first = write(tmp_path / "first.nc")
    other = replace(product(), provenance=replace(product("2018-02").provenance, **change))
    second = write(tmp_path / "second.nc", FEW_DAYS + np.timedelta64(72, "h"), other)
    with pytest.raises(DeepcamsError, match=message) as caught:
        assemble_year([first, second], tmp_path / "year.nc")
    assert "second.nc" in str(caught.value)
    assert not (tmp_path / "year.nc").exists()


def test_a_year_with_a_month_left_out_must_be_asked_for(tmp_path):
    paths = [write(tmp_path / "a.nc"), write(tmp_path / "c.nc", FEW_DAYS + np.timedelta64(96, "h"))]
    with pytest.raises(DeepcamsError, match="not 1 h apart"):
        assemble_year(paths, tmp_path / "year.nc")
    assemble_year(paths, tmp_path / "year.nc", contiguous=False)
    verify_product(tmp_path / "year.nc", contiguous=False)
    with pytest.raises(DeepcamsError, match="not strictly hourly"):
        verify_product(tmp_path / "year.nc")
    with pytest.raises(DeepcamsError, match="nothing to join"):
        assemble_year([], tmp_path / "year.nc")


def test_a_new_version_of_the_software_joins_with_an_old_one(tmp_path):
    first = write(tmp_path / "first.nc")
    second = write(tmp_path / "second.nc", FEW_DAYS + np.timedelta64(72, "h"), product("2018-02"))
    with netCDF4.Dataset(second, "a") as dataset:
        dataset.software = "deepcams 9.9"
        dataset["quantization"].implementation = "deepcams 9.9"
    assemble_year([first, second], tmp_path / "year.nc")
    software = read_layout(tmp_path / "year.nc").global_attributes["software"]
    assert software.startswith("deepcams ") and software.endswith(", deepcams 9.9")


def test_synthetic_files_say_so(tmp_path):
    sentence = "Synthetic aerosol of the embedded nature run."
    path = write(tmp_path / "month.nc", what=product(synthetic=sentence))
    attributes = read_layout(path).global_attributes
    assert attributes["synthetic"] == sentence
    assert attributes["title"].startswith("Synthetic hourly 0.25 degree")
    assert attributes["summary"].startswith(sentence)
    assert "Generated using Copernicus" not in attributes["license"]
    assert read_field(path).attrs["synthetic"] == sentence
    real = read_layout(write(tmp_path / "real.nc")).global_attributes
    assert "synthetic" not in real
    assert "Generated using Copernicus Atmosphere Monitoring Service information 2018" in real["license"]


def test_what_the_user_sets_is_kept_by_joins(tmp_path):
    creator = {"creator_name": "A. Person", "creator_email": "a@example.org", "license": "my own"}
    paths = [
        write(tmp_path / f"{hours}.nc", FEW_DAYS + np.timedelta64(hours, "h"), product(creator=creator))
        for hours in (0, 72)
    ]
    assemble_year(paths, tmp_path / "year.nc")
    attributes = read_layout(tmp_path / "year.nc").global_attributes
    assert {key: attributes[key] for key in creator} == creator


def test_files_of_different_authors_are_not_joined(tmp_path):
    paths = [
        write(tmp_path / f"{name}.nc", FEW_DAYS + np.timedelta64(hours, "h"), product(creator={"creator_name": name}))
        for name, hours in (("Ada", 0), ("Emmy", 72))
    ]
    with pytest.raises(DeepcamsError, match=r"different authors \(creator_name: Ada and Emmy\)"):
        assemble_year(paths, tmp_path / "year.nc")


def test_what_networks_computed_with_is_stated_and_joined_not_compared(tmp_path):
    paths = [
        write(
            tmp_path / f"{kind}.nc",
            FEW_DAYS + np.timedelta64(hours, "h"),
            product(precision={"temporal": "float32", "spatial": kind}, creator=dates),
        )
        for kind, hours, dates in (("bfloat16", 0, {}), ("float32", 72, {"date_created": "2020-02-03"}))
    ]
    assemble_year(paths, tmp_path / "year.nc")
    said = read_layout(tmp_path / "year.nc").global_attributes
    assert said["network_precision"] == "temporal float32; spatial bfloat16, temporal float32; spatial float32"
    assert said["date_created"] == "2020-02-03"


def test_cells_of_the_globe_meet_and_end_at_the_poles():
    grid = fine_globe()
    extra = {item.name: item.values for item in small_variables(FEW_DAYS, grid, RECORD)}
    north, south = extra["lat_bnds"].T
    assert (north[0], south[0], north[-1], south[-1]) == (90.0, 89.875, -89.875, -90.0)
    np.testing.assert_array_equal(south[:-1], north[1:])
    west, east = extra["lon_bnds"].T
    np.testing.assert_array_equal(east[:-1], west[1:])
    assert east[-1] - west[0] == 360.0
    title = global_attributes(FEW_DAYS, grid, product().provenance)["title"]
    assert title == "Hourly 0.25 degree global surface PM2.5, 2018"


def spoil(path, change):
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.set_auto_maskandscale(False)
        change(dataset)


def put(time, value):
    def change(dataset):
        dataset["pm25"][time, 5, 5] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(30, -1.0), "negative"),
        (put(30, np.inf), "infinite"),
        (lambda dataset: dataset["time_status"].__setitem__(40, 3), "flagged as missing"),
        (lambda dataset: dataset["time"].__setitem__(71, dataset["time"][71] + 1), "strictly hourly"),
        (lambda dataset: dataset["time"].__setitem__(slice(None), dataset["time"][:] + 0.5), "strictly hourly"),
        (lambda dataset: dataset["pm25"].delncattr("units"), "pm25:units"),
        (lambda dataset: dataset.delncattr("license"), "license"),
        (lambda dataset: dataset.renameVariable("crs", "csr"), "crs"),
        (lambda dataset: dataset["pm25"].__setitem__(slice(None), np.nan), "no value at all"),
    ],
)
def test_verification_finds_what_is_wrong(tmp_path, change, message):
    path = write(tmp_path / "month.nc")
    verify_product(path)
    spoil(path, change)
    with pytest.raises(DeepcamsError, match=message) as caught:
        verify_product(path)
    assert "month.nc" in str(caught.value)


def test_verification_finds_damaged_chunks(tmp_path):
    path = write(tmp_path / "month.nc")
    with h5py.File(path, "r+") as file:
        place = file["pm25"].id.get_chunk_info(1)
    with open(path, "r+b") as stream:
        stream.seek(place.byte_offset + place.size // 2)
        stream.write(b"\xff" * 64)
    with pytest.raises(DeepcamsError, match="cannot be decoded"):
        verify_product(path)
