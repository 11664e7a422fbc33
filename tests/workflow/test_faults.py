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
from tests.conftest import ROOT
from tests.faults.harness import Run, contents, differing, left_behind, wait_for
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


@pytest.fixture
def started(twin):
    """A function that starts Snakemake; what is still running at the end is killed."""
    running = []

    def begin(*arguments):
        running.append(Run(twin, *arguments))
        return running[-1]

    yield begin
    for run in running:
        run.end()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs outlive a killed Snakemake")
def test_six_kills_each_followed_by_the_plain_command_end_in_the_same_bytes(twin, finished, started):
    """Snakemake, jobs, all at once, while planning, in a training and in a month: nothing to unlock, nothing left."""
    chance = random.Random(6)
    results = twin.path / "results/tiny"
    model, month, year = "models/real/spatial/pixel_shuffle", "spatial/2020-01.nc", "2020/pm25_hourly.nc"
    made = [f"{model}/{name}.safetensors" for name in ("model", "last")] + [f"{model}/curves.csv", month, year]
    target = f"results/tiny/{year}"
    state, log = results / model / "training.pt", results / "logs/train_spatial/real-pixel_shuffle.log"
    remove(*(results / name for name in made))

    def days():
        folders = (results / "spatial").glob(".2020-01.nc.days-*/2*.nc")
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folders}

    def killed(victim, condition=lambda: True, at_work=True):
        run = started(target)
        wait_for(lambda: run.has_ended() or (condition() and (run.jobs() or not at_work)), 300)
        time.sleep(chance.uniform(0, 0.02))
        assert run.kill(victim, chance) == victim
        assert run.wait() != 0  # waits for the jobs, too: none outlives its Snakemake
        assert not (results / year).exists()
        assert "--unlock" not in run.text
        assert "Traceback" not in run.text

    end_of_planning = time.monotonic() + 1
    killed("snakemake", lambda: time.monotonic() > end_of_planning, at_work=False)
    killed("job", state.exists)
    killed("snakemake")  # as soon as there is a job, which then is still being set up
    assert state.exists()
    assert not (results / model / "model.safetensors").exists()
    kept = {}
    for victim, at_least in (("job", 2), ("snakemake", 9), ("all", 16)):
        killed(victim, lambda least=at_least: len(days()) >= least)
        found = days()
        assert len(found) >= max(at_least, len(kept))
        assert kept.items() <= found.items()  # finished days are not made again
        kept = found
    process = twin.snakemake(target)
    assert process.returncode == 0, process.stdout
    assert differing(contents(results), contents(finished.path / "results/tiny")) == []
    assert [name for name in made if not (results / name).exists()] == []
    assert left_behind(twin) == []
    assert twin.planned() == {}
    assert int(re.findall(r"\d+/(\d+) \[", log.read_text())[-1]) < 20  # steps: the training had gone on


def test_ctrl_c_needs_no_unlocking_and_leaves_no_traceback(twin, finished, started):
    name = "results/tiny/spatial/2020-01.nc"
    folder = twin.path / "results/tiny/spatial"
    remove(twin.path / name)
    run = started(name)
    wait_for(lambda: list(folder.glob(".2020-01.nc.days-*/2*.nc")), 300)  # Snakemake starts and plans first
    assert run.kill("ctrl-c", random.Random(1)) == "ctrl-c"
    assert run.wait() != 0
    log = (twin.path / "results/tiny/logs/downscale_spatial/2020-01.log").read_text()
    assert "Interrupted" in log
    assert "Traceback" not in log
    assert not [path for path in leftovers(folder) if ".part" in path.name]
    process = twin.snakemake(name)
    assert process.returncode == 0, process.stdout
    assert (twin.path / name).read_bytes() == (finished.path / name).read_bytes()


# ---- two at once, and clocks ----


@pytest.mark.skipif(sys.platform != "linux", reason="tells runs at work by Linux's means")
def test_a_second_run_of_the_same_is_refused_and_one_of_something_else_is_not(twin, finished, started):
    month, scores = (
        f"results/tiny/{name}" for name in ("spatial/2020-01.nc", "evaluation/spatial/baselines/2020-01.csv")
    )
    remove(twin.path / month, twin.path / scores)
    first = started(month)
    wait_for(lambda: list((twin.path / "results/tiny/spatial").glob(".2020-01.nc.days-*/2*.nc")), 300)
    os.kill(first.number, signal.SIGSTOP)  # so that it is still there when the others end
    (job,) = first.jobs()
    os.kill(job.number, signal.SIGSTOP)
    second = twin.snakemake(month)
    third = twin.snakemake(scores)
    for number in (job.number, first.number):
        os.kill(number, signal.SIGCONT)
    assert second.returncode != 0
    (line,) = error_lines(second.stdout)
    for words in (month, "nother run", f"process {first.number} ", "wait for it, or stop it first."):
        assert words in line
    assert "Traceback" not in second.stdout
    assert third.returncode == 0, third.stdout
    assert first.wait() == 0, first.text
    for name in (month, scores):
        assert (twin.path / name).read_bytes() == (finished.path / name).read_bytes()
    assert left_behind(twin) == []


def test_a_clock_that_was_set_back_is_told_and_the_remedy_in_the_documentation_helps(twin, finished):
    """All files are of tomorrow, and what is made anew is of today."""
    results, tomorrow = twin.path / "results/tiny", time.time() + 86400
    for path in results.rglob("*"):
        if path.is_file() and "nature_run" not in path.parts:  # hard links of the shared run's
            os.utime(path, (tomorrow, tomorrow))
    month = "results/tiny/temporal/2020-01.nc"
    remove(twin.path / month)
    process = twin.snakemake(month)
    assert process.returncode != 0
    assert f"Output {month} has older modification time" in process.stdout
    assert "clock skew" in process.stdout
    assert "Traceback" not in process.stdout
    assert not (twin.path / month).exists()
    (remedy,) = re.findall(r"^find results .*", (ROOT / "docs/faults.md").read_text(), flags=re.MULTILINE)
    subprocess.run(remedy, shell=True, cwd=twin.path, check=True)
    process = twin.snakemake(month)
    assert process.returncode == 0, process.stdout
    assert (twin.path / month).read_bytes() == (finished.path / month).read_bytes()
    assert twin.planned() == {}


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
