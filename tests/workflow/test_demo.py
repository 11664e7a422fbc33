"""The demo as a newcomer runs it: it ends, and its networks beat every baseline on days they have not seen."""

import json
import re

import pandas as pd
import pytest
import xarray as xr

from deepcams.fusion.product import verify_fused
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


METHODS = ["network of innovations", "inverse distance", "ordinary kriging", "log kriging",
           "optimal interpolation", "residual kriging", "background"]  # fmt: skip


def test_it_fuses_its_stations_and_scores_them(demo):
    results = demo[0].path / "results/demo"
    verify_fused(results / "2018/pm25_fused_daily.nc")
    with xr.open_dataset(results / "2018/pm25_fused_daily.nc") as fused, \
            xr.open_dataset(results / "2018/pm25_hourly.nc") as product:  # fmt: skip
        assert fused.sizes["time"] == 62 and fused.pm25.shape == fused.distance_to_station.shape
        assert (fused.stations > 20).all() and bool(fused.pm25.notnull()[1:-1].all())
        for axis in ("latitude", "longitude"):
            assert fused[axis].equals(product[axis])
        assert fused.attrs["synthetic"] == product.attrs["synthetic"]
        assert fused.attrs["fusion_form"] == "innovations"
    scores = pd.read_csv(results / "validation/2018/fusion/scores.csv")
    for scheme in ("stations", "cities"):
        rows = scores[scores["scheme"] == scheme].set_index("method")
        assert rows.index.tolist() == METHODS and (rows["n"] > 1000).all() and rows["rmse"].gt(0).all()
        assert rows["n"].nunique() == 1
    summary = json.loads((results / "validation/2018/fusion/summary.json").read_text())
    assert summary["method"] == "network of innovations"


def test_its_report_shows_the_fusion(demo):
    page = (demo[0].path / "results/demo/report/2018.html").read_text(encoding="utf-8")
    section = page.split('<section id="fusion">')[1].split("</section>")[0]
    assert "<h2>Station fusion</h2>" in section and "residual kriging" in section
    assert section.count('<figure class="picture of-fusion_') == 5
    assert "made results/demo/2018/pm25_fused_daily.nc" in demo[1]
