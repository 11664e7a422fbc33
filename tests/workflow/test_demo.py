"""The demo as a newcomer runs it: it ends, and its networks beat every baseline on days they have not seen."""

import re

import pytest
import xarray as xr

from deepcams.validation.skill import BETTER, CONFIGURED, read_skill
from tests.workflow.conftest import Checkout, copy_of_repository

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.slow]

LEAST = 5.0  # per cent below the baseline
# What every network must beat, and the degrees at which it is used.
AGAINST = {
    "temporal": ("linear", 0.75),
    "spatial": ("bicubic+closure", 0.25),
    "joint": ("linear+bicubic+closure", 0.25),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[Checkout, str]:
    """A checkout in which the demo has been run, and what it said."""
    checkout = copy_of_repository(tmp_path_factory.mktemp("demo"))
    process = checkout.snakemake("all", configfile="config/demo.yaml")
    assert process.returncode == 0, process.stdout[-8000:]
    return checkout, process.stdout


@pytest.mark.parametrize("stage", AGAINST)
def test_its_networks_are_five_per_cent_better_than_every_baseline_on_unseen_days(demo, stage):
    rows = read_skill(demo[0].path / f"results/demo/evaluation/{stage}_skill.csv")
    main, step = AGAINST[stage]
    judged = [row for row in rows if row.step == step and row.kind == CONFIGURED]
    assert {row.metric for row in judged if row.baseline == main} == {"rmse", "mae"}
    assert {row.days for row in judged} == {31}  # all of the test month
    short = [row for row in judged if row.difference_percent > -LEAST or row.verdict != BETTER]
    assert not short, short


def test_it_says_how_its_networks_did(demo):
    for stage, (main, _) in AGAINST.items():
        assert re.search(rf"^{stage}: \S+ against {re.escape(main)}: RMSE [-−]\d", demo[1], flags=re.MULTILINE)
    assert "NOT BETTER" not in demo[1]


def test_it_makes_a_product_of_two_months_and_a_report_with_the_intervals(demo):
    results = demo[0].path / "results/demo"
    with xr.open_dataset(results / "2018/pm25_hourly.nc") as product:
        assert product.sizes["time"] == 24 * 62
        assert bool(product.pm25[:-2].notnull().all())
    page = (results / "report/2018.html").read_text(encoding="utf-8")
    assert "flow_residual" in page and "pixel_shuffle" in page
