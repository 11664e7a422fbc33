"""Faults for a run of the workflow: kills at seeded moments, damaged files; and what must be true afterwards."""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.conftest import hears_ctrl_c
from tests.workflow.conftest import Checkout, leftovers

CONFIG = ("--configfile", "config/tiny.yaml")
# Of these a run's own moments and measurements are part; everything else must come out equal.
TELLING = ("logs", "benchmarks")


class Process(NamedTuple):
    """A process as the system lists it."""

    number: int
    parent: int
    command: str


class Run:
    """Snakemake at work in a checkout, as the first of a session of its own; what it says goes to `said`."""

    def __init__(self, checkout: Checkout, *arguments: str, **environment: str):
        self.said = checkout.path / "said.txt"
        with self.said.open("wb") as output:
            self._snakemake = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", "--nocolor", *CONFIG],
                cwd=checkout.path,
                env={**os.environ, "HOME": str(checkout.path), "OMP_WAIT_POLICY": "passive", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=hears_ctrl_c,
            )
        self.number = self._snakemake.pid

    @property
    def text(self) -> str:
        return self.said.read_text(encoding="utf-8", errors="replace")

    def has_ended(self) -> bool:
        return self._snakemake.poll() is not None

    def wait(self, seconds: float = 120) -> int:
        """Wait for Snakemake's end, and for that of everything that it started. Returns its exit status."""
        status = self._snakemake.wait(seconds)
        wait_for(lambda: not self.processes(), 10, lambda: f"still running: {self.processes()}")
        return status

    def processes(self) -> list[Process]:
        """All of the session that run, Snakemake first; those that only wait to be noticed left out."""
        found = [process for process in map(_process, _numbers()) if process and process[0] == self.number]
        return sorted((process for _, process in found), key=lambda process: process.number != self.number)

    def jobs(self) -> list[Process]:
        """The scripts at work."""
        return [p for p in self.processes() if p.parent == self.number and "/.snakemake/scripts/" in p.command]

    def kill(self, victim: str, random: random.Random) -> str:
        """Kill a victim; returns what it was: where there is no "job" it is "snakemake"."""
        jobs = self.jobs()
        if victim == "job" and jobs:
            _send(random.choice(jobs).number, signal.SIGKILL)
        elif victim == "all":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.number, signal.SIGKILL)
        elif victim == "ctrl-c":  # a terminal sends it to all processes
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.number, signal.SIGINT)
        elif victim == "terminated":
            _send(self.number, signal.SIGTERM)
        else:
            victim = "snakemake"
            _send(self.number, signal.SIGKILL)
        return victim

    def end(self) -> None:
        """Kill whatever is left."""
        for process in self.processes():
            _send(process.number, signal.SIGKILL)
        self._snakemake.wait()


def wait_for(condition: Callable[[], bool], seconds: float = 60, told: Callable[[], str] = lambda: "nothing happened"):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, told()
        time.sleep(0.002)


def contents(folder: Path) -> dict[str, str]:
    """Digests of all files of a run, by name, but for what tells of its own moments; links as what they point to."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in names.items()
        if name.split("/")[0] not in TELLING
    }


def differing(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Names of files that are not as they should be, or should not be."""
    return sorted(name for name, digest in found.items() if expected.get(name) != digest)


def is_passing(name: str) -> bool:
    """Whether a file is one that a job at work, or a killed one, may have left for the next."""
    parts = Path(name).parts
    return parts[-1] == "training.pt" or any(part.startswith(".") or part.endswith(".parts") for part in parts)


def left_behind(checkout: Checkout) -> list[str]:
    """What a finished run must not leave: temporary files, days, states of trainings, locks, marks, records of runs."""
    results, snakemake = checkout.path / "results", checkout.path / ".snakemake"
    found = [*leftovers(results), *results.rglob("training.pt"), *results.rglob("*.parts")]
    found += [path for kind in ("locks", "incomplete") for path in (snakemake / kind).rglob("*") if path.is_file()]
    found += (snakemake / "runs").glob("*.json")
    return sorted(str(path.relative_to(checkout.path)) for path in found)


def _send(number: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, what)


def _numbers() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _process(number: int) -> tuple[int, Process] | None:
    """Session and process; None for one that runs no more."""
    try:
        state, parent, _, session = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[:4]
        command = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else (int(session), Process(number, int(parent), command))
