"""Bad input, full disks, killed jobs: one clear sentence, nothing half-written, and a rerun that just works."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import yaml

from deepcams.calendar import MISSING, Month
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.grid.nodes import Region
from deepcams.product.downscale import downscale_spatial
from deepcams.product.year import assemble_year
from tests.workflow.conftest import Checkout, copy_of_repository

pytestmark = pytest.mark.xdist_group("workflow")

REGION = Region(north=33.0, west=75.0, south=26.25, east=83.25)
ROOT = "results/real"
HOUR = np.timedelta64(1, "h")
PATCH = ([30.0, 29.25], [78.0, 78.75])  # latitudes and longitudes of coarse nodes
PATCH_FRAME = 40
FEW, MANY = 10, 60  # missing hours of GEOS-CF; max_missing allows 37


def error_lines(text):
    return [line for line in text.splitlines() if line.startswith("ERROR")]


def leftovers(folder):
    """Temporary files and day folders below a folder."""
    return [path for path in folder.rglob("*") if path.name.startswith(".") or ".part" in path.name]


def assert_one_sentence(process, log: Path, *words):
    """The job's log has one ERROR line and no traceback, and Snakemake shows it."""
    text = log.read_text()
    errors = error_lines(text)
    assert len(errors) == 1, text
    assert "Traceback" not in text
    assert "fault in deepcams" not in text
    assert errors[0].endswith(".")
    for word in words:
        assert word in errors[0]
    assert process.returncode != 0
    assert errors[0] in process.stdout
    assert "Traceback" not in process.stdout


# ---- files that services deliver, each month with a fault of its own, in one run of the workflow ----


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
    settings["cams"] = {
        "source": "local",
        "path": "data/cams/{year}-{month}.nc",
        "first": "2019-01",
        "last": "2020-01",
    }
    settings["geoscf"] |= {"source": "local", "path": "data/portal"}
    settings["openaq"] |= {"source": "local", "path": "data/openaq"}
    (checkout.path / "local.yaml").write_text(yaml.safe_dump(settings))

    targets = [f"raw/cams/{month}.nc" for month, _, _ in FAULTS] + ["raw/cams/2019-11.nc", "spatial/2019-12.nc"]
    targets += ["2020/pm25_hourly.nc", "collocated/2020-01.csv.gz", "raw/geoscf/2019-12.nc", "raw/geoscf/2020-01.nc"]
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


def test_a_patch_of_missing_values_stays_exactly_where_it_was(deliveries, finished):
    """Missing analyses make their own blocks missing, at their hour and the two hours on either side: never zero."""
    with xr.open_dataset(deliveries.results / "spatial/2019-12.nc") as product:
        fine, latitude, longitude = product.pm25.values, product.latitude.values, product.longitude.values
    rows = np.abs(latitude[:, None] - PATCH[0]).min(axis=1) <= 0.25
    columns = np.abs(longitude[:, None] - PATCH[1]).min(axis=1) <= 0.25
    expected = np.zeros(fine.shape, dtype=bool)
    expected[3 * PATCH_FRAME - 2 : 3 * PATCH_FRAME + 3] = rows[:, None] & columns
    assert expected.sum() == 5 * 6 * 6
    np.testing.assert_array_equal(np.isnan(fine), expected)
    with xr.open_dataset(finished.path / "results/tiny/spatial/2020-01.nc") as whole:
        near = 5 * 3  # fine nodes beyond which nothing may change
        away = np.ones(fine.shape[1:], dtype=bool)
        top, left = np.flatnonzero(rows)[0], np.flatnonzero(columns)[0]
        away[max(top - near, 0) : top + 6 + near, max(left - near, 0) : left + 6 + near] = False
        assert away.any()
        np.testing.assert_array_equal(fine[:, away], whole.pm25.values[:, away])
        others = np.setdiff1d(np.arange(744), np.arange(3 * PATCH_FRAME - 2, 3 * PATCH_FRAME + 3))
        np.testing.assert_array_equal(fine[others], whole.pm25.values[others])


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


# ---- damage inside the workflow ----


@pytest.fixture
def twin(finished, tmp_path) -> Checkout:
    """A copy of the finished run that may be spoilt."""
    target = tmp_path / "twin"
    parts = ("Snakefile", "workflow", "src", "config", "profiles", "envs", ".snakemake")
    for name in parts:
        copy = shutil.copytree if (finished.path / name).is_dir() else shutil.copy2
        target.mkdir(exist_ok=True)
        copy(finished.path / name, target / name)
    source = finished.path / "results/tiny"
    shutil.copytree(source, target / "results/tiny", ignore=lambda folder, names: {"nature_run"} & set(names))
    shutil.copytree(source / "nature_run", target / "results/tiny/nature_run", copy_function=os.link)
    return Checkout(target)


def flip(path: Path):
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(*paths: Path):
    for path in paths:
        path.unlink()
        path.with_name(f"{path.name}.sha256").unlink(missing_ok=True)


def test_files_damaged_on_the_disk_are_not_built_upon(twin):
    """A month of the product, one of the intermediate fields, a model: each with one bit changed."""
    results = twin.path / "results/tiny"
    flip(results / "spatial/2019-12.nc")
    flip(results / "temporal/2020-01.nc")
    flip(results / "models/simulation/spatial/model.safetensors")
    scores = results / "evaluation/spatial/2020-01.csv"
    year, month = results / "2019/pm25_hourly.nc", results / "spatial/2020-01.nc"
    remove(year, month, scores)
    targets = [str(path.relative_to(twin.path)) for path in (year, month, scores)]
    process = twin.snakemake(*targets, "--keep-going")
    damaged = {
        "assemble_year/2019": "spatial/2019-12.nc",
        "downscale_spatial/2020-01": "temporal/2020-01.nc",
        "evaluate_spatial/2020-01": "models/simulation/spatial/model.safetensors",
    }
    for job, name in damaged.items():
        assert_one_sentence(process, results / f"logs/{job}.log", f"results/tiny/{name} is not the file", "damaged")
    assert len(error_lines(process.stdout)) == 3
    assert not any(path.exists() for path in (year, month, scores))
    assert leftovers(results) == []


def test_a_damaged_model_is_refused_even_with_a_matching_checksum(finished, tmp_path):
    results = finished.path / "results/tiny"
    content = (results / "models/real/spatial/model.safetensors").read_bytes()
    for number, spoilt in enumerate((b"", content[:20], content[:-3], b"<html>" + content[6:])):
        model = tmp_path / f"{number}.safetensors"
        model.write_bytes(spoilt)
        with pytest.raises(DeepcamsError, match=f"{number}.safetensors"):
            downscale_spatial(
                results / "temporal/2020-01.nc",
                model,
                tmp_path / "out/2020-01.nc",
                region=REGION,
                closure="block_mean",
                mantissa_bits=7,
                level=1,
                code="-",
                threads=1,
            )
        assert not (tmp_path / "out").exists()


def two_months(finished, folder):
    months = [folder / f"{name}.nc" for name in ("2019-12", "2020-01")]
    for month in months:
        shutil.copy2(finished.path / "results/tiny/spatial" / month.name, month)
    return months


def test_a_month_that_lacks_a_chunk_is_not_joined(finished, tmp_path):
    months = two_months(finished, tmp_path)
    with h5py.File(months[1], "r+") as file:
        file["pm25"].resize(720, axis=0)
        file["pm25"].resize(744, axis=0)
    with pytest.raises(DeepcamsError, match=r"2020-01.nc lacks the chunk at .*720"):
        assemble_year(months, tmp_path / "year.nc")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2019-12.nc", "2020-01.nc"]


def test_synthetic_and_real_months_are_not_joined(finished, tmp_path):
    months = two_months(finished, tmp_path)
    with h5py.File(months[1], "r+") as file:
        del file.attrs["synthetic"]
    with pytest.raises(DeepcamsError, match=r"2019-12.nc is synthetic and .*2020-01.nc is not"):
        assemble_year(months, tmp_path / "year.nc")
    assert not (tmp_path / "year.nc").exists()


# ---- disks ----


@contextmanager
def mounted(folder: Path, options: str):
    """A small disk in place of a folder; the test is skipped where mounting is not allowed."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("no right to mount a small disk here; tests/unit/test_netcdf_files.py simulates one")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no right to mount a small disk here; tests/unit/test_netcdf_files.py simulates one")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def not_writable(folder: Path):
    """A folder in which nothing can be made, not even by the superuser."""
    if os.geteuid() != 0:
        lock, unlock = ["chmod", "a-w", folder], ["chmod", "u+w", folder]
    else:
        lock, unlock = ["chattr", "+i", folder], ["chattr", "-i", folder]
    if shutil.which(lock[0]) is None or subprocess.run(lock, capture_output=True, check=False).returncode:
        pytest.skip("the superuser may write everywhere here")
    try:
        yield
    finally:
        subprocess.run(unlock, check=True)


def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_space(twin, finished):
    name = "results/tiny/spatial/2020-01.nc"
    folder, log = twin.path / "results/tiny/spatial", twin.path / "results/tiny/logs/downscale_spatial/2020-01.log"
    remove(twin.path / name)
    with mounted(folder, "size=600k"):
        process = twin.snakemake(name)
        assert_one_sentence(process, log, "disk is full", "free some space")
        assert not (twin.path / name).exists()
        days = sorted(folder.glob(".2020-01.nc.days-*/*.nc"))
        assert 3 < len(days) < 31
        assert not [path for path in leftovers(folder) if ".part" in path.name]
        subprocess.run(["mount", "-o", "remount,size=16m", folder], check=True)
        process = twin.snakemake(name)
        assert process.returncode == 0, process.stdout
        assert (twin.path / name).read_bytes() == (finished.path / name).read_bytes()
        assert leftovers(folder) == []


def test_a_folder_that_may_not_be_written_is_named(twin):
    name = "results/tiny/spatial/2020-01.nc"
    folder, log = twin.path / "results/tiny/spatial", twin.path / "results/tiny/logs/downscale_spatial/2020-01.log"
    remove(twin.path / name)
    with not_writable(folder):
        process = twin.snakemake(name)
    assert_one_sentence(process, log, "No permission to write", "results/tiny/spatial")
    assert not (twin.path / name).exists()


# ---- killed ----


def start(checkout: Checkout, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", "--nocolor"]
    return subprocess.Popen(
        [*command, "--configfile", "config/tiny.yaml"],
        cwd=checkout.path,
        env={**os.environ, "HOME": str(checkout.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def children(parent: int, word: str) -> list[int]:
    """Processes started by `parent` whose command line has `word` in it."""
    listing = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], text=True, capture_output=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    return [int(row[0]) for row in rows if int(row[1]) == parent and word in row[-1]]


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.002)


@pytest.fixture
def started(twin):
    """A function that starts Snakemake; what is still running at the end is killed."""
    running = []

    def begin(*arguments):
        running.append(start(twin, *arguments))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs outlive a killed Snakemake")
def test_killed_jobs_go_on_where_they_stopped_and_give_the_same_bytes(twin, finished, started):
    name = "results/tiny/spatial/2020-01.nc"
    folder = twin.path / "results/tiny/spatial"
    remove(twin.path / name)

    def days():
        return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.glob(".2020-01.nc.days-*/2*.nc")}

    kept = {}
    for at_least in (2, 9, 16):
        snakemake = started(name)
        wait_for(lambda least=at_least: len(days()) >= least)
        time.sleep(random.uniform(0, 0.04))
        (job,) = children(snakemake.pid, "downscale_spatial")
        if at_least < 16:
            os.kill(job, signal.SIGKILL)
            assert snakemake.wait() != 0
        else:
            snakemake.kill()
            snakemake.wait()
            wait_for(lambda job=job: not is_running(job), 10)  # a job does not outlive its Snakemake
        found = days()
        assert not (twin.path / name).exists()
        assert len(found) >= max(at_least, len(kept))
        assert kept.items() <= found.items()  # finished days are not made again
        kept = found

    process = twin.snakemake(name)
    assert process.returncode != 0
    assert "--unlock" in process.stdout
    assert "Traceback" not in process.stdout
    assert twin.snakemake("--unlock", configfile=None).returncode == 0
    process = twin.snakemake(name)
    assert process.returncode == 0, process.stdout
    assert (twin.path / name).read_bytes() == (finished.path / name).read_bytes()
    assert leftovers(folder) == []
    assert twin.planned() == {}


def test_ctrl_c_needs_no_unlocking_and_leaves_no_traceback(twin, finished, started):
    name = "results/tiny/spatial/2020-01.nc"
    folder = twin.path / "results/tiny/spatial"
    remove(twin.path / name)
    snakemake = started(name)
    wait_for(lambda: list(folder.glob(".2020-01.nc.days-*/2*.nc")))
    os.killpg(snakemake.pid, signal.SIGINT)  # the terminal sends it to all processes
    assert snakemake.wait() != 0
    log = (twin.path / "results/tiny/logs/downscale_spatial/2020-01.log").read_text()
    assert "Interrupted" in log
    assert "Traceback" not in log
    assert not [path for path in leftovers(folder) if ".part" in path.name]
    process = twin.snakemake(name)
    assert process.returncode == 0, process.stdout
    assert (twin.path / name).read_bytes() == (finished.path / name).read_bytes()


KILLED = """
import sys, time
from deepcams.files.atomic import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("half", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_writer_left_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path):
    path = tmp_path / "field.nc"
    writers = [
        subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "half\n"
    assert len(list(tmp_path.iterdir())) == 2
    writers[0].kill()
    writers[0].communicate()
    write_text(path, "whole")
    assert path.read_text() == "whole"
    (other,) = leftovers(tmp_path)
    assert str(writers[1].pid) in other.name
    writers[1].kill()
    writers[1].communicate()
    with atomic_path(path) as temporary:
        assert leftovers(tmp_path) == [temporary]
        temporary.write_text("again")
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["again"]
