"""Only stale steps of station fusion rerun. Its jobs are stand-ins that write any file: what is planned is tested."""

import os
import shutil
import time
from collections import Counter

import pytest

from tests.workflow.conftest import Checkout

pytestmark = pytest.mark.xdist_group("workflow")

SCRIPTS = (
    "retrieve_meteorology", "retrieve_weather_stations", "average_geoscf", "train_fusion", "fuse_month",
    "assemble_fused_year", "cross_validate_fusion", "reproduce_geoscf", "score_fusion", "plot_fusion",
)  # fmt: skip
STAND_IN = """from pathlib import Path

for path in snakemake.output:
    Path(path).write_text("x")
"""
ASKED = "fusion={produce: true}"
TARGETS = (
    "results/tiny/2020/pm25_fused_daily.nc",
    "results/tiny/validation/2020/fusion/scores.csv",
    "results/tiny/report/figures/2020/fusion_day.png",
)
SCORES = ("score_fusion 2020", "plot_fusion 2020")
VALUES = ("fuse_month 2020-01", "assemble_fused_year 2020", "cross_validate_fusion 2020-01", *SCORES)  # of days
STATIONS = (*VALUES, "reproduce_geoscf 2020-01")
TRAINING = ("train_fusion simulation", "train_fusion real", *STATIONS)
CHANGES = [
    ("fusion={training: {learning_rate: 0.01}}", TRAINING),
    ("fusion={min_hours: 12}", STATIONS),
    ("fusion={training: {workers: 1}}", ()),
]


@pytest.fixture(scope="module")
def fused(finished, tmp_path_factory) -> Checkout:
    """The finished run with its fusion."""
    path = tmp_path_factory.mktemp("fused") / "checkout"
    shutil.copytree(finished.path, path, copy_function=os.link)  # nothing that is there is changed
    for name in SCRIPTS:
        script = path / f"workflow/scripts/{name}.py"
        script.unlink()
        script.write_text(STAND_IN)
    checkout = Checkout(path)
    process = checkout.snakemake(*TARGETS, "--config", ASKED)
    assert process.returncode == 0, process.stdout[-4000:]
    return checkout


def planned(checkout: Checkout, *settings: str) -> Counter:
    """Jobs of fusion that a run would do."""
    found = checkout.planned(*TARGETS, "--config", *(settings or [ASKED]))
    return Counter({job: count for job, count in found.items() if job.split()[0] in SCRIPTS})


@pytest.mark.parametrize(("setting", "expected"), CHANGES, ids=[case[0] for case in CHANGES])
def test_setting(fused, setting, expected):
    assert planned(fused, setting) == Counter(expected)


def test_settings_of_the_training_concern_nothing_else(fused):
    everything = fused.planned("all", "--config", "fusion={produce: true, training: {learning_rate: 0.01}}")
    other = ("train_temporal", "train_spatial", "downscale", "evaluate", "average", "retrieve_cams", "assemble_year")
    assert not [job for job in everything if job.startswith(other)]
    assert everything["write_year_report 2020"] == 1


def test_touched_files_rerun_nothing(fused):
    now = time.time()
    for path in [*fused.path.glob("results/tiny/**/*.n*"), *fused.path.glob("workflow/scripts/*.py")]:
        copy = path.read_bytes()
        path.unlink()  # which is a link to that of the run
        path.write_bytes(copy)
        os.utime(path, (now, now))
    assert planned(fused) == Counter()


def test_what_is_not_asked_for_is_not_made(finished):
    assert finished.planned() == Counter()
    asked = finished.planned("all", "--config", ASKED)
    assert asked["plot_fusion 2019"] == asked["write_year_report 2019"] == asked["train_fusion simulation"] == 1
