"""The workflow fetches everything from stand-ins of the services, by their real protocols, and makes the same product.

The stand-ins serve what the nature run of the finished tiny run delivered, so all that follows must be equal to it.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from deepcams.files.netcdf import read_frames, read_layout
from deepcams.pollutants import AIR
from tests.standins.ads import Ads
from tests.standins.dap import Dap
from tests.standins.isd import Noaa, history, line, station, year_file
from tests.standins.openaq import nature_run
from tests.standins.portal import Portal
from tests.standins.server import Answer, Server
from tests.workflow.conftest import Checkout, copy_of_repository, jobs_in, leftovers

pytestmark = pytest.mark.xdist_group("workflow")

SECRETS = {
    "ADSAPI_KEY": "7c1f9a52-planted-key-of-the-ads",
    "OPENAQ_API_KEY": "ab" * 24 + "planted0deadbeef",
    "EARTHDATA_TOKEN": "planted.token-of-earthdata.0123456789",
}
MONTH, MONTHS = "2020-01", ("2019-12", "2020-01")  # of the product, and of what networks learn from and are scored by
ROOT = "results/fetched"


class World:
    """The stand-ins of all services, and a checkout that is configured to use them."""

    def __init__(self, checkout: Checkout, ads: Ads, portal: Portal, bucket: str, api: str):
        self.checkout, self.ads, self.portal = checkout, ads, portal
        settings = yaml.safe_load((checkout.path / "config/tiny.yaml").read_text())
        settings |= {"results": ROOT}
        for name, source in (
            ("cams", "ads"), ("geoscf", "portal"), ("openaq", "archive"), ("meteorology", "portal"),
            ("weather_stations", "isd_lite"),
        ):  # fmt: skip
            settings[name]["source"] = source
        # For speed alone: the product is of one month, and few of the fields are scored.
        settings["cams"]["first"] = settings["openaq"]["first"] = MONTH
        settings["experiments"]["simulation"]["every"] = 31
        settings["services"] = {
            "tries": 3,
            "wait": 0.05,
            "timeout": 20,
            "ads": {"url": ads.api},
            "portal": {"url": portal.root, "spacing": 0.0},
            "archive": {"url": bucket, "connections": 16},
            "api": {"url": api},
        }
        self.settings = settings
        self.write()

    def write(self, name="fetched.yaml", **changes):
        (self.checkout.path / name).write_text(yaml.safe_dump(self.settings | changes))

    def keep_three_days(self):
        """The portal lacks all others, which is allowed: the stand-in makes files of other fields one by one."""
        self.portal.fail(r"/D(0[4-9]|[12]\d|3\d)/", Answer(404))
        self.settings["geoscf"]["max_missing"] = 0.95

    def snakemake(self, *arguments, configfile="fetched.yaml", **environment):
        environment = SECRETS | environment
        return self.checkout.snakemake(
            *arguments, "--configfile", "config/tiny.yaml", configfile, configfile=None, **environment
        )

    def planned(self, *arguments, **options):
        process = self.snakemake("--dry-run", *arguments, **options)
        assert process.returncode == 0, process.stdout
        return jobs_in(process.stdout)


@pytest.fixture(scope="module")
def world(finished, tmp_path_factory):
    """Nothing fetched yet."""
    given = finished.path / "results/tiny/nature_run"
    checkout = copy_of_repository(tmp_path_factory.mktemp("fetched"))
    with (
        Ads(str(given / "ads/{year}-{month}.nc"), key=SECRETS["ADSAPI_KEY"]) as ads,
        Portal(given / "portal") as portal,
        nature_run(given / "openaq", SECRETS["OPENAQ_API_KEY"]) as (bucket, api),
    ):
        yield World(checkout, ads, portal, bucket, api)


@pytest.fixture(scope="module")
def fetched(world):
    """The whole tiny run, from the services to the report."""
    process = world.snakemake("all")
    assert process.returncode == 0, process.stdout[-8000:]
    world.output = process.stdout
    return world


def test_everything_is_made_from_the_services(fetched):
    root = fetched.checkout.path / ROOT
    for name in ("2020/pm25_hourly.nc", "report/index.html", "evaluation/joint.md", "validation/2020/summary.json"):
        assert (root / name).is_file(), name
    assert leftovers(root) == []


@pytest.mark.parametrize(("source", "month"), [("cams", MONTH), *(("geoscf", month) for month in MONTHS)])
def test_fetched_months_equal_delivered_ones(fetched, finished, source, month):
    ours, theirs = (
        folder / f"raw/{source}/{month}.nc" for folder in (fetched.checkout.path / ROOT, finished.path / "results/tiny")
    )
    np.testing.assert_array_equal(read_frames(ours), read_frames(theirs))
    assert read_layout(ours).attributes == read_layout(theirs).attributes
    np.testing.assert_array_equal(read_layout(ours).times, read_layout(theirs).times)


def test_fetched_tables_equal_delivered_ones_byte_by_byte(fetched, finished):
    name = f"raw/openaq/{MONTH}.csv.gz"
    assert (fetched.checkout.path / ROOT / name).read_bytes() == (finished.path / "results/tiny" / name).read_bytes()


def test_the_product_equals_that_of_delivered_files(fetched, finished):
    name = "2020/pm25_hourly.nc"
    np.testing.assert_array_equal(
        read_frames(fetched.checkout.path / ROOT / name), read_frames(finished.path / "results/tiny" / name)
    )


def test_every_month_was_one_request_and_every_hour_one_file(fetched):
    assert len(fetched.ads.posts) == 1
    hours = fetched.portal.hours()
    shared = {"20200101_0030"}  # the first hour of a month belongs to the month before too
    assert {hour for hour in hours if hours.count(hour) > 1} <= shared
    assert fetched.portal.most_at_once <= 4


def test_no_secret_is_anywhere(fetched):
    written = [path for path in fetched.checkout.path.rglob("*") if path.is_file()]
    assert any(".snakemake" in path.parts for path in written) and any(path.suffix == ".log" for path in written)
    for secret in SECRETS.values():
        assert secret not in fetched.output
        assert [path for path in written if secret.encode() in path.read_bytes()] == []
    sent = {name: value for request in fetched.ads.requests for name, value in request.headers.items()}
    assert SECRETS["ADSAPI_KEY"] in sent.values()  # it did go where it belongs


def test_nothing_is_fetched_again_for_how_services_are_reached_nor_for_changed_code(fetched):
    assert fetched.planned("all") == {}
    fetched.write("slower.yaml", services=fetched.settings["services"] | {"tries": 9, "wait": 1})
    assert fetched.planned("all", configfile="slower.yaml") == {}
    sources = fetched.checkout.path / "src/deepcams/sources"
    paths = [sources / name for name in ("cams.py", "services/ads.py", "services/http.py", "geoscf.py", "openaq.py")]
    before = [path.read_text() for path in paths]
    for path, text in zip(paths, before, strict=True):
        path.write_text(f"{text}\nCHANGED = 1\n")
    try:
        assert [job for job in fetched.planned("all") if job.startswith("retrieve")] == []
    finally:
        for path, text in zip(paths, before, strict=True):
            path.write_text(text)


def test_a_month_that_is_gone_is_the_only_one_fetched_again(fetched):
    raw = fetched.checkout.path / ROOT / "raw/cams/2020-01.nc"
    content, requests = raw.read_bytes(), len(fetched.ads.posts)
    raw.unlink()
    process = fetched.snakemake(f"{ROOT}/raw/cams/2020-01.nc")
    assert process.returncode == 0, process.stdout
    assert len(fetched.ads.posts) == requests + 1
    assert raw.read_bytes() == content
    assert fetched.planned("all") == {}


def test_a_killed_run_fetches_only_what_it_had_not_got(world, finished, checkout):
    world.checkout, before = checkout, world.checkout
    try:
        world.write()
        target = f"{ROOT}/raw/geoscf/2019-12.nc"
        world.portal.fail("20191220", lambda answer: Answer(**(vars(answer) | {"delay": 1.0})), times=24)
        command = [sys.executable, "-m", "snakemake", target, "--cores", "1", "--configfile", "config/tiny.yaml"]
        process = subprocess.Popen(
            [*command, "fetched.yaml"],
            cwd=checkout.path,
            env=os.environ | SECRETS | {"HOME": str(checkout.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        folder = checkout.path / f"{target}.parts"
        deadline = time.monotonic() + 120
        while len(list(folder.rglob("*.nc4"))) < 400 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        world.portal.faults.clear()
        time.sleep(0.2)
        kept = {path.name for path in (folder / "geos-cf").rglob("*.nc4") if not path.name.startswith(".")}
        assert 300 <= len(kept) < 745
        assert not (checkout.path / target).exists()
        second = len(world.portal.requests)
        world.checkout.snakemake("--unlock", "--configfile", "config/tiny.yaml", "fetched.yaml", configfile=None)
        done = world.snakemake(target)
        assert done.returncode == 0, done.stdout
        again = {Path(request.path).name for request in world.portal.requests[second:]}
        assert again.isdisjoint(kept)
        assert len(again) == 745 - len(kept)
        delivered = finished.path / "results/tiny/raw/geoscf/2019-12.nc"
        np.testing.assert_array_equal(read_frames(checkout.path / target), read_frames(delivered))
    finally:
        world.checkout = before


def test_another_pollutant_goes_all_the_way(finished, checkout):
    """Ozone, from mass mixing ratios of CAMS and mole fractions of GEOS-CF to a product in nmol mol-1."""
    given = finished.path / "results/tiny/nature_run"
    months = {}
    for month in MONTHS:
        buffer = io.BytesIO((given / f"ads/{month}.nc").read_bytes())
        with h5py.File(buffer, "r+") as file:
            pm25 = file["pm2p5"][...] * 1e9
            file.move("pm2p5", "go3")
            file["go3"][...] = (20 + pm25 / 10) * 1e-9 * 47.9982 / AIR  # as the portal's stand-in makes ozone of PM2.5
            file["go3"].attrs["units"] = np.bytes_("kg kg**-1")
        months[month] = buffer.getvalue()
    with Ads(months, key=SECRETS["ADSAPI_KEY"]) as ads, Portal(given / "portal", others=True) as portal:
        world = World(checkout, ads, portal, "http://127.0.0.1:9", "http://127.0.0.1:9/v3")
        world.keep_three_days()
        world.write(pollutant="o3", networks="interpolation")
        process = world.snakemake(f"{ROOT}/2020/o3_hourly.nc", f"{ROOT}/o3/shards/2020-01/index.json")
        assert process.returncode == 0, process.stdout[-8000:]
    assert ads.posts[0]["variable"] == ["ozone"] and ads.posts[0]["model_level"] == ["60"]
    with xr.open_dataset(checkout.path / ROOT / "2020/o3_hourly.nc") as product:
        assert product.o3.units == "nmol mol-1"
        assert product.o3.standard_name == "mole_fraction_of_ozone_in_air"
        assert product.title.startswith("Synthetic hourly 0.25 degree regional surface ozone")
        values = product.o3.values
    with xr.open_dataset(checkout.path / ROOT / "o3/raw/cams/2020-01.nc") as raw:
        coarse = raw.o3.values
    with xr.open_dataset(finished.path / "results/tiny/raw/cams/2020-01.nc") as raw:
        np.testing.assert_allclose(coarse, 20 + raw.pm25.values / 10, rtol=2e-6)
    assert 0.9 * coarse.min() < np.nanmin(values) and np.nanmax(values) < 1.5 * coarse.max()
    assert json.loads((checkout.path / ROOT / "o3/shards/2020-01/index.json").read_text())["pollutant"] == "o3"
    fine = np.load(checkout.path / ROOT / "o3/shards/2020-01/fine.npy", mmap_mode="r")
    pm25 = np.load(finished.path / "results/tiny/shards/2020-01/fine.npy", mmap_mode="r")
    np.testing.assert_allclose(fine[:72:10], 20 + pm25[:72:10] / 10, rtol=2e-6)


def test_weather_for_fusion_is_fetched_by_name(finished, checkout):
    given = finished.path / "results/tiny/nature_run"
    hours = [f"2020 01 {day:02d} {hour:02d}" for day in range(1, 32) for hour in range(24)]
    lines = [line(stamp, temperature=200, dew_point=100, direction=90, speed=35) for stamp in hours]
    files = {
        "isd-history.csv": history(station(name="DELHI", lat="+28.567", lon="+077.117", end="20251231")).encode(),
        "isd-lite/2020/724940-23234-2020.gz": year_file(*lines),
    }
    with Portal(given / "portal", others=True) as portal, Server(Noaa(files).answer) as noaa, Ads({}) as ads:
        world = World(checkout, ads, portal, "http://127.0.0.1:9", "http://127.0.0.1:9/v3")
        world.keep_three_days()
        world.settings["services"]["isd_lite"] = {"url": f"{noaa.url}/pub/data/noaa", "spacing": 0.0}
        world.write()
        fields, table = f"{ROOT}/raw/meteorology/2020-01.nc", f"{ROOT}/raw/weather/2020-01.csv.gz"
        process = world.snakemake(fields, table)
        assert process.returncode == 0, process.stdout[-8000:]
    with (
        xr.open_dataset(checkout.path / fields) as found,
        xr.open_dataset(finished.path / "results/tiny/raw/geoscf/2020-01.nc") as pm25,
    ):
        v = pm25.pm25.values[:72:8].astype("f8")  # of which the stand-in makes its weather
        np.testing.assert_allclose(found.relative_humidity[:72:8], np.clip(0.3 + v / 200, 0, 1), rtol=1e-5)
        np.testing.assert_allclose(found.wind_speed[:72:8], np.hypot(v / 50 - 2, 3 - v / 100), rtol=1e-4)
        assert np.isnan(found.wind_speed[72:744]).all() and len(found.missing_hours.split()) == 28 * 24
    rows = pd.read_csv(checkout.path / table)
    assert len(rows) == 31 * 24
    assert rows.temperature.unique() == [20.0] and rows.wind_speed.unique() == [3.5]
    assert leftovers(checkout.path / ROOT) == []


def test_a_small_region_over_opendap_equals_the_portals_files(finished, checkout):
    given = finished.path / "results/tiny/nature_run/portal"
    with Dap(given, "aqc_tavg_1hr_g1440x721_v1", "PM25_RH35_GCC") as dap, Portal(given) as portal, Ads({}) as ads:
        world = World(checkout, ads, portal, "http://127.0.0.1:9", "http://127.0.0.1:9/v3")
        world.settings["geoscf"]["source"] = "opendap"
        world.settings["services"]["opendap"] = {"url": dap.root, "spacing": 0.0, "pause": 0.05}
        world.write()
        process = world.snakemake(f"{ROOT}/raw/geoscf/2020-01.nc")
        assert process.returncode == 0, process.stdout[-8000:]
        assert portal.requests == [] and len(dap.calls()) == 1 + 32  # the axes, and each day
    ours, theirs = checkout.path / ROOT, finished.path / "results/tiny"
    np.testing.assert_array_equal(
        read_frames(ours / "raw/geoscf/2020-01.nc"), read_frames(theirs / "raw/geoscf/2020-01.nc")
    )


def test_months_of_another_run_are_linked_not_copied(finished, checkout):
    raw = finished.path / "results/tiny/raw"
    settings = yaml.safe_load((checkout.path / "config/tiny.yaml").read_text()) | {"results": ROOT}
    for name, path in (
        ("cams", f"{raw}/cams/{{year}}-{{month}}.nc"),
        ("geoscf", raw / "geoscf"),
        ("openaq", raw / "openaq"),
        ("meteorology", raw / "meteorology"),
        ("weather_stations", raw / "weather"),
    ):
        settings[name] |= {"source": "local", "path": str(path)}
    (checkout.path / "linked.yaml").write_text(yaml.safe_dump(settings))
    names = ("cams/2020-01.nc", "geoscf/2020-01.nc", "openaq/2020-01.csv.gz")
    process = checkout.snakemake(*(f"{ROOT}/raw/{name}" for name in names), configfile="linked.yaml")
    assert process.returncode == 0, process.stdout[-8000:]
    for name in names:
        ours = checkout.path / ROOT / "raw" / name
        assert ours.is_symlink() and ours.resolve() == (raw / name).resolve()
        assert Path(f"{ours}.sha256").read_text() == Path(f"{raw / name}.sha256").read_text()
    assert checkout.planned(*(f"{ROOT}/raw/{name}" for name in names), configfile="linked.yaml") == {}
