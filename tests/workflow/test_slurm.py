"""The workflow through SLURM, on a cluster of one node that stands on this machine: the profile of `profiles/slurm`.

`make test` sends a part of the tiny run through it, `make test-slurm` (SLURM_STATES=FILE) the whole of it.
"""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import xarray as xr
import yaml
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

from tests.conftest import ROOT
from tests.workflow.conftest import Checkout, leftovers

pytestmark = [pytest.mark.xdist_group("workflow"), pytest.mark.slurm]

RESULTS = "results/tiny"
# The pretend cluster keeps no accounts; and here nobody waits 40 s before he asks how jobs do.
OPTIONS = (
    "--workflow-profile profiles/slurm --slurm-no-account --slurm-status-command squeue --nocolor --latency-wait 10 "
    "--slurm-init-seconds-before-status-checks 1 --seconds-between-status-checks 1 --configfile config/tiny.yaml"
)


@dataclass
class Job:
    """A job as SLURM shows it. It keeps its number when it is queued again."""

    number: str
    state: str
    partition: str
    megabytes: str
    what: str


@dataclass
class Cluster:
    """A running cluster, and all changes of its state that were seen."""

    environment: dict[str, str]
    seen: list[str] = field(default_factory=list)
    last: dict[str, str] = field(default_factory=dict)

    def ask(self, *command: str) -> str:
        """Output of one of SLURM's commands; the command is noted if it changes something."""
        if command[0] in ("scancel", "scontrol") and "show" not in command:
            self.note(" ".join(command))
        done = subprocess.run(command, env=self.environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def jobs(self) -> list[Job]:
        """All jobs since the start, oldest first."""
        listing = self.ask("squeue", "--noheader", "--states=all", "--sort=i", "--format=%i|%T|%P|%m|%k")
        jobs = [Job(*line.split("|")) for line in listing.splitlines()]
        for job in jobs:
            self.note_change(job.number, f"job {job.number} {job.state} {job.partition} {job.megabytes}B {job.what}")
        self.note_change("node", f"node {self.node_state()}")
        return jobs

    def node_state(self) -> str:
        return self.ask("sinfo", "--noheader", "--partition", "cpu", "--format", "%T").strip()

    def running(self, what: str) -> Job | None:
        """The job of a rule and its wildcards that runs now, such as "downscale_spatial_wildcards_2020_01"."""
        return next((job for job in self.jobs() if job.what == f"rule_{what}" and job.state == "RUNNING"), None)

    def state_of(self, job: Job) -> str:
        """Its state now; "COMPLETING" until all of its processes are gone."""
        return next(now.state for now in self.jobs() if now.number == job.number)

    def note_change(self, key: str, text: str) -> None:
        if self.last.get(key) != text:
            self.last[key] = text
            self.note(text)

    def note(self, text: str) -> None:
        self.seen.append(f"{time.strftime('%H:%M:%S')} {text}")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster of its own; the test is skipped where none can be started."""
    folder = tempfile.mkdtemp(prefix="slurm", dir="/tmp")  # its sockets want a short path
    try:
        begun = subprocess.run(
            [ROOT / "tools/slurm_cluster.sh", "start", folder], text=True, capture_output=True, check=False
        )
        if begun.returncode == 3:
            pytest.skip(begun.stderr.splitlines()[-1])
        assert begun.returncode == 0, begun.stderr
        path = f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "SLURM"))}
        yield Cluster({**clean, "SLURM_CONF": f"{folder}/slurm.conf", "PATH": path, "OMP_WAIT_POLICY": "passive"})
    finally:
        subprocess.run([ROOT / "tools/slurm_cluster.sh", "stop", folder], check=True)
        shutil.rmtree(folder)


class Run:
    """A Snakemake that sends its jobs to a cluster; stopped, with its jobs, when the block ends."""

    def __init__(self, checkout: Checkout, cluster: Cluster, *arguments: str):
        self.cluster, self.checkout = cluster, checkout
        self.output, self.asked = checkout.path / "snakemake.txt", 0.0
        self.command = [sys.executable, "-m", "snakemake", *arguments, *OPTIONS.split()]

    def __enter__(self):
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.checkout.path,
                env={**self.cluster.environment, "HOME": str(self.checkout.path)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            for job in self.cluster.jobs():
                if job.state in ("RUNNING", "PENDING"):
                    self.cluster.ask("scancel", job.number)

    def goes_on(self) -> bool:
        return self.process.poll() is None

    def note_each_second(self) -> None:
        if time.monotonic() > self.asked + 1:
            self.cluster.jobs()
            self.asked = time.monotonic()

    def until(self, condition, seconds=600, pause=0.5):
        """Wait until a condition gives something, and return that; the run must go on meanwhile."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert self.goes_on(), self.output.read_text()[-4000:]
            assert time.monotonic() < end, "nothing happened"
            self.note_each_second()
            time.sleep(pause)
        return found

    def finish(self, watch=lambda: None) -> str:
        """Look on until the run ends, which must be well; returns what Snakemake said."""
        while self.goes_on():
            watch()
            self.note_each_second()
            time.sleep(0.01)
        said = self.output.read_text()
        assert self.process.returncode == 0, said[-8000:]
        return said


class Month:
    """Days of a month that is being made."""

    def __init__(self, checkout: Checkout, month: str):
        self.folder, self.name = checkout.path / RESULTS / "spatial", f".{month}.nc.days-*/2*.nc"
        self.days, self.kept = {}, {}

    def look(self) -> dict:
        """Finished days as the disk had them when last seen, told by inode and time."""
        for path in self.folder.glob(self.name):
            with suppress(FileNotFoundError):  # days go once the month is whole
                stat = path.stat()
                self.days[path.name] = stat.st_ino, stat.st_mtime_ns
        return self.days


def scripts_of(job: Job) -> list[int]:
    """Numbers of the scripts' processes that a job of this machine's cluster has."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # processes end
            mark = f"SLURM_JOB_ID={job.number}".encode()
            is_script = b"/.snakemake/scripts/" in (folder / "cmdline").read_bytes()
            if is_script and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def requeue_within(run: Run, month: str) -> Month:
    """Have SLURM queue `downscale_spatial` again as after a preemption, once it has made a few days.

    The job is stopped meanwhile, so that the month cannot become whole, and held, so that it does not begin again until
    the days that are kept have been looked at.
    """
    days = Month(run.checkout, month)
    what = f"downscale_spatial_wildcards_{month.replace('-', '_')}"
    job = run.until(lambda: run.cluster.running(what))
    run.until(lambda: len(days.look()) >= 3, pause=0.01)
    scripts = scripts_of(job)
    assert scripts
    for number in scripts:
        os.kill(number, signal.SIGSTOP)
    run.cluster.ask("scontrol", "requeuehold", job.number)
    run.until(lambda: run.cluster.state_of(job) == "PENDING" and not scripts_of(job))
    days.kept = dict(days.look())
    run.cluster.note(f"{len(days.kept)} days of {month} are kept")
    assert 3 <= len(days.kept) < 31
    run.cluster.ask("scontrol", "release", job.number)
    return days


def assert_went_on(days: Month) -> None:
    """No day that was finished before the job was queued again was made anew."""
    assert len(days.days) > len(days.kept)
    assert days.kept.items() <= days.days.items()


def assert_same_results(ours: Path, theirs: Path, names: list[str]) -> None:
    """Files equal in every byte, and NetCDF files, as they are read, in every value and attribute."""
    assert names
    for name in names:
        if name.endswith(".nc"):
            with xr.open_dataset(ours / name) as one, xr.open_dataset(theirs / name) as other:
                xr.testing.assert_identical(one, other)
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


@pytest.fixture
def twin(finished, checkout) -> Checkout:
    """A copy of the finished run from which things may be removed."""
    shutil.copytree(finished.path / ".snakemake", checkout.path / ".snakemake", dirs_exist_ok=True)
    for source in (finished.path / RESULTS).iterdir():
        # Results are replaced and never changed, so links do; logs and records of time are overwritten.
        copy = shutil.copy2 if source.name in ("logs", "benchmarks") else os.link
        shutil.copytree(source, checkout.path / RESULTS / source.name, copy_function=copy)
    return checkout


def test_part_of_a_run_through_slurm_equals_the_local_one_though_jobs_are_cancelled_and_queued_again(
    twin, finished, cluster
):
    model = "models/simulation/spatial/pixel_shuffle/model.safetensors"
    month, year = "spatial/2020-01.nc", "2020/pm25_hourly.nc"
    for name in (model, month, year):
        for path in (twin.path / RESULTS / name, twin.path / RESULTS / f"{name}.sha256"):
            path.unlink()
    targets = [f"{RESULTS}/{name}" for name in (model, month, year)]
    with Run(twin, cluster, *targets, "--set-resources", "assemble_year:gpu=1") as run:
        training = run.until(lambda: cluster.running("train_spatial_wildcards_simulation_pixel_shuffle"))
        cluster.ask("scancel", training.number)
        days = requeue_within(run, "2020-01")
        run.finish(days.look)
    assert_went_on(days)
    assert_same_results(twin.path / RESULTS, finished.path / RESULTS, [model, month, year])
    assert leftovers(twin.path / RESULTS / "spatial") == []

    jobs = cluster.jobs()
    trainings = [job for job in jobs if job.what.startswith("rule_train_spatial")]
    assert [job.state for job in trainings] == ["CANCELLED", "COMPLETED"]
    assert [job.megabytes for job in trainings] == ["8000M", "16000M"]  # the second attempt may take twice as much
    (assembly,) = (job for job in jobs if job.what.startswith("rule_assemble_year"))
    assert assembly.partition == "gpu"
    assert "gpu:1" in cluster.ask("scontrol", "show", "job", assembly.number)
    assert {job.partition for job in jobs if job is not assembly} == {"cpu"}
    assert len(jobs) == 4  # the month has one number, though it was begun twice
    logs = sorted(twin.path.glob(".snakemake/slurm_logs/**/*.log"))
    assert sorted(path.stem for path in logs) == [job.number for job in jobs]


@pytest.mark.parametrize(("gpus", "partition"), [(0, "cpu"), (1, "gpu"), (4, "gpu")])
def test_jobs_go_to_a_partition_with_gpus_only_if_they_ask_for_one(gpus, partition):
    partitions = read_partition_file(ROOT / "profiles/slurm/partitions.yaml")
    job = SimpleNamespace(name="train", threads=2, resources={"gpu": gpus, "mem_mb": 64000, "runtime": 1560})
    assert get_best_partition(partitions, job, logging.getLogger("test")) == partition


@pytest.mark.parametrize(("limited", "partition"), [(("cpu", "gpu"), "cpu"), (("gpu",), "gpu")])
def test_limits_on_one_line_alone_draw_jobs_there_and_on_both_they_do_not(tmp_path, limited, partition):
    """What docs/cluster.md says: the executor prefers a partition whose limits a job fits to one without."""
    file = yaml.safe_load((ROOT / "profiles/slurm/partitions.yaml").read_text())
    for name in limited:
        file["partitions"][name] |= {"max_runtime": 2880, "max_mem_mb": 256000, "max_threads": 64}
    (tmp_path / "partitions.yaml").write_text(yaml.safe_dump(file))
    job = SimpleNamespace(name="cut", threads=48, resources={"gpu": 0, "mem_mb": 200000, "runtime": 2400})
    partitions = read_partition_file(tmp_path / "partitions.yaml")
    assert get_best_partition(partitions, job, logging.getLogger("test")) == partition


@pytest.mark.parametrize(
    ("user", "absent", "status", "words"),
    [("0", None, 1, "did not come up"), ("1000", None, 3, "Only root"), ("0", "slurmd", 3, "slurmd is missing")],
)
def test_only_a_machine_that_can_have_no_cluster_skips_tests_and_not_a_broken_one(
    tmp_path, user, absent, status, words
):
    """SLURM is pretended: its programs do nothing, so that no cluster comes up."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "cat", "chmod", "dirname", "head", "hostname", "awk", "mkdir", "rm", "seq", "tail", "python3"):
        (programs / name).symlink_to(shutil.which(name))
    does = {"id": f"echo {user}"}
    for name in {"id", "sleep", "sinfo", "sbatch", "squeue", "srun", "munged", "slurmctld", "slurmd"} - {absent}:
        (programs / name).write_text(f"#!/bin/sh\n{does.get(name, ':')}\n")
        (programs / name).chmod(0o755)
    folder = tempfile.mkdtemp(prefix="slurm", dir="/tmp")
    try:
        command = ["/bin/sh", ROOT / "tools/slurm_cluster.sh", "start", folder]
        done = subprocess.run(command, env={"PATH": str(programs)}, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(folder)
    assert done.returncode == status, done.stderr
    assert words in done.stderr.splitlines()[-1]


def test_a_job_that_asks_for_a_gpu_sees_it(cluster):
    asked = cluster.ask("srun", "--partition=gpu", "--gpus=1", "printenv", "CUDA_VISIBLE_DEVICES")
    assert asked.strip() == "0"


@pytest.mark.skipif("SLURM_STATES" not in os.environ, reason="the whole run through SLURM is `make test-slurm`")
def test_the_whole_run_through_slurm_equals_the_local_one(checkout, finished, cluster):
    def completed():
        return len([job for job in cluster.jobs() if job.state == "COMPLETED"])

    try:
        with Run(checkout, cluster, "all") as run:
            job = run.until(lambda: cluster.running("degrade_geoscf_wildcards_2019_12"))
            cluster.ask("scancel", job.number)

            run.until(lambda: completed() >= 8)
            node = cluster.ask("sinfo", "--noheader", "--partition", "cpu", "--format", "%N").strip()
            cluster.ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
            run.until(lambda: cluster.node_state() == "drained")
            cluster.jobs()
            before = completed()
            time.sleep(10)
            assert completed() == before
            assert not any(job.state == "RUNNING" for job in cluster.jobs())
            cluster.ask("scontrol", "update", f"nodename={node}", "state=resume")

            days = requeue_within(run, "2020-01")
            said = run.finish(days.look)
        assert_went_on(days)
        assert re.search(r"\d+ of \d+ steps \(100%\) done", said)
    finally:
        states = Path(os.environ["SLURM_STATES"])
        states.parent.mkdir(parents=True, exist_ok=True)
        states.write_text("\n".join(cluster.seen) + "\n")

    assert [job.state for job in cluster.jobs() if job.what == "rule_degrade_geoscf_wildcards_2019_12"] == [
        "CANCELLED",
        "COMPLETED",
    ]
    kinds = (".nc", ".safetensors", ".csv", ".csv.gz", ".md")
    theirs = finished.path / RESULTS
    names = [str(path.relative_to(theirs)) for path in theirs.rglob("*") if path.name.endswith(kinds)]
    assert_same_results(checkout.path / RESULTS, theirs, sorted(names))
    assert leftovers(checkout.path / RESULTS) == []
