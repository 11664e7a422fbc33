"""One whole tiny run of the workflow in a copy of the repository, shared by all tests of this folder."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import forked
from tests.conftest import ROOT

WILDCARDS = ("experiment", "stage", "network", "method", "year", "month")  # in the order of names of logs
PARTS = ("Snakefile", "workflow", "src", "config", "profiles", "envs")


@dataclass
class Checkout:
    """A copy of the repository in which the workflow is run, and may be edited."""

    path: Path

    def snakemake(
        self, *arguments: str, configfile: str | None = "config/tiny.yaml", cores: int = 2, **environment: str
    ):
        """Run Snakemake; returns the finished process with its output as text."""
        # Targets first: --config and --configfile take every word up to the next option.
        command = [sys.executable, "-m", "snakemake", *arguments, "--cores", str(cores), "--nocolor"]
        if configfile:
            command += ["--configfile", configfile]
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("ADSAPI", "CDSAPI", "PYTEST"))}
        # Threads that wait for one another give way, lest tests that run beside this one take the processor from them.
        clean |= {"HOME": str(self.path), "OMP_WAIT_POLICY": "passive", **environment}
        if "--dry-run" in arguments:
            return forked.snakemake(command[3:], self.path, clean)
        return subprocess.run(
            command,
            cwd=self.path,
            env=clean,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def planned(self, *arguments: str, **options) -> Counter:
        """The jobs a run would do, by rule: Counter({"downscale_temporal 2020-01": 1, ...}) from a dry run."""
        process = self.snakemake("--dry-run", *(arguments or ("all",)), **options)
        assert process.returncode == 0, process.stdout
        return jobs_in(process.stdout)


def jobs_in(text: str) -> Counter:
    """Rules and their wildcards in Snakemake's listing of jobs; `all` itself left out."""
    jobs = Counter()
    for block in re.split(r"\n(?=(?:local)?(?:rule|checkpoint) \w+:)", text)[1:]:
        name = re.match(r"(?:local)?rule (\w+):", block).group(1)
        found = re.search(r"^ +wildcards: (.*)$", block, flags=re.MULTILINE)
        values = dict(item.split("=") for item in found.group(1).split(", ")) if found else {}
        where = "-".join(values[key] for key in WILDCARDS if key in values)
        if name != "all":
            jobs[f"{name} {where}".strip()] += 1
    return jobs


def copy_of_repository(target: Path) -> Checkout:
    """Copy what the workflow consists of."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=ignore)
        else:
            shutil.copy2(source, target / part)
    kept = ROOT / ".snakemake/code_digests.json"  # for speed alone: what was parsed before, by its content
    if kept.is_file():
        (target / ".snakemake").mkdir()
        shutil.copy2(kept, target / ".snakemake")
    return Checkout(target)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A checkout in which the tiny configuration has been run to its end."""
    checkout = copy_of_repository(tmp_path_factory.mktemp("checkout"))
    process = checkout.snakemake("all")
    assert process.returncode == 0, process.stdout[-8000:]
    return checkout


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    """A fresh checkout, nothing run."""
    return copy_of_repository(tmp_path)


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
