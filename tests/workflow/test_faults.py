"""Damage, full disks, killed jobs: one clear sentence, nothing half-written, and a rerun that just works."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.grid.nodes import Region
from deepcams.product.downscale import downscale_spatial
from deepcams.product.year import assemble_year
from tests.conftest import hears_ctrl_c
from tests.workflow.conftest import Checkout, assert_one_sentence, error_lines, leftovers

pytestmark = pytest.mark.xdist_group("workflow")

REGION = Region(north=33.0, west=75.0, south=26.25, east=83.25)


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
    flip(results / "models/simulation/spatial/pixel_shuffle/model.safetensors")
    scores = results / "evaluation/spatial/pixel_shuffle/2020-01.csv"
    year, month = results / "2019/pm25_hourly.nc", results / "spatial/2020-01.nc"
    remove(year, month, scores)
    targets = [str(path.relative_to(twin.path)) for path in (year, month, scores)]
    process = twin.snakemake(*targets, "--keep-going")
    damaged = {
        "assemble_year/2019": "spatial/2019-12.nc",
        "downscale_spatial/2020-01": "temporal/2020-01.nc",
        "evaluate_spatial/pixel_shuffle-2020-01": "models/simulation/spatial/pixel_shuffle/model.safetensors",
    }
    for job, name in damaged.items():
        assert_one_sentence(process, results / f"logs/{job}.log", f"results/tiny/{name} is not the file", "damaged")
    assert len(error_lines(process.stdout)) == 3
    assert not any(path.exists() for path in (year, month, scores))
    assert leftovers(results) == []


def test_a_damaged_model_is_refused_even_with_a_matching_checksum(finished, tmp_path):
    results = finished.path / "results/tiny"
    content = (results / "models/real/spatial/pixel_shuffle/model.safetensors").read_bytes()
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
        env={**os.environ, "HOME": str(checkout.path), "OMP_WAIT_POLICY": "passive"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=hears_ctrl_c,
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


def test_a_killed_training_goes_on_where_it_stopped_and_gives_the_same_bytes(twin, started):
    target = "results/tiny/models/real/temporal/flow_residual/model.safetensors"
    longer = (target, "--config", "temporal={features: 4, training: {steps: 200}}")
    folder = (twin.path / target).parent
    state, log = folder / "training.pt", twin.path / "results/tiny/logs/train_temporal/real-flow_residual.log"

    def made():
        return {name: (folder / name).read_bytes() for name in ("model.safetensors", "last.safetensors", "curves.csv")}

    def steps():
        return int(re.findall(r"\d+/(\d+) \[", log.read_text())[-1])

    snakemake = started(*longer)
    wait_for(state.exists)
    (job,) = children(snakemake.pid, "train_temporal")
    os.kill(job, signal.SIGKILL)
    assert snakemake.wait() != 0
    assert not (twin.path / target).exists()
    assert state.exists()
    process = twin.snakemake(*longer)
    assert process.returncode == 0, process.stdout
    assert steps() < 200
    assert not state.exists()
    broken = made()
    assert twin.snakemake("--force", *longer).returncode == 0
    assert steps() == 200
    assert made() == broken


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
