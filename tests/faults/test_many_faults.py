"""Faults in number, behind `make test-faults`: at least fifty kills, and files damaged by the dozen. Prints tables."""

import os
import random
import shutil
from collections import Counter

import pytest

from tests.faults.damage import KINDS, draw, jobs_of, judge, mend
from tests.faults.harness import contents
from tests.faults.kills import VICTIMS, kill_again_and_again
from tests.workflow.conftest import Checkout, copy_of_repository

COUNT = int(os.environ.get("DEEPCAMS_KILLS", "0"))
SEED = int(os.environ.get("DEEPCAMS_SEED", "1"))
PARTS = ("Snakefile", "workflow", "src", "config", "profiles", "envs", ".snakemake", "results")

pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.skipif(not COUNT, reason="takes a quarter of an hour: make test-faults"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Checkout:
    """A checkout in which the tiny configuration has been run to its end, undisturbed."""
    checkout = copy_of_repository(tmp_path_factory.mktemp("undisturbed"))
    process = checkout.snakemake("all")
    assert process.returncode == 0, process.stdout[-8000:]
    return checkout


@pytest.fixture
def twin(undisturbed, tmp_path) -> Checkout:
    """A copy of the undisturbed run that may be spoilt, whatever the services delivered excepted."""
    for name in PARTS:
        if (undisturbed.path / name).is_dir():
            shutil.copytree(undisturbed.path / name, tmp_path / name)
        else:
            shutil.copy2(undisturbed.path / name, tmp_path / name)
    return Checkout(tmp_path)


def test_kills_at_random_moments_end_in_the_undisturbed_run(twin, undisturbed):
    results = twin.path / "results/tiny"
    for folder in results.iterdir():
        if folder.name != "nature_run":
            shutil.rmtree(folder)
    found = kill_again_and_again(twin, contents(undisturbed.path / "results/tiny"), COUNT, SEED)
    rows = [f"| {victim} | {found.victims[victim]} |" for victim in dict.fromkeys(VICTIMS)]
    print("", "| killed | times |", "|---|---|", *rows, sep="\n")
    print(f"{found.while_planning} of {sum(found.victims.values())} while no job was at work.")
    print(f"Runs that came to their end: {found.finished}. Found wrong: {len(found.wrong)}.")
    print(*found.wrong, sep="\n")
    assert found.wrong == []
    assert sum(found.victims.values()) == COUNT


def test_damaged_files_are_made_anew_or_told(twin, undisturbed):
    """Whatever has a checksum: damaged, and read by the next job."""
    chance = random.Random(SEED)
    jobs = [job for job in jobs_of(undisturbed) if job.rule != "simulate_nature_run"]
    guarded = {path for job in jobs for path in job.inputs if is_guarded(path, job.inputs)}
    total, wrong = Counter(), []
    for _ in range(max(1, COUNT // 10)):
        cases = draw(jobs, guarded, chance, 4)
        found, faults = judge(twin, undisturbed, cases, chance)
        total += found
        wrong += faults
        mend(twin, undisturbed)
    print(
        "",
        "| file | ended equal | stopped in one sentence | behind another that stopped |",
        "|---|---|---|---|",
        sep="\n",
    )
    for kind in KINDS:
        print(f"| {kind} | {total[kind, 'equal']} | {total[kind, 'told']} | {total[kind, 'not reached']} |")
    assert wrong == []
    assert sum(total.values()) > 0


def is_guarded(path: str, inputs: frozenset[str]) -> bool:
    """Whether a file is held to a checksum: by its sidecar, as a sidecar, or as an array by its index."""
    if "nature_run" in path:
        return False
    return path.endswith((".sha256", ".npy")) or f"{path}.sha256" in inputs
