"""The networks against the baselines: tables, sentences, and that nothing is said which the interval does not allow."""

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from deepcams.degrade.operators import degrade
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.models.checkpoint import save
from deepcams.training.shards import ShardWriter
from deepcams.validation import skill
from deepcams.validation.evaluation import evaluate_month, write_tables
from deepcams.validation.skill import Skill, compare, compare_months, lines_to_tell, read_skill, sentence, write_skill

REGION = coarse_grid(Region(north=39.0, west=6.0, south=31.5, east=18.0))


def row(low, difference, high, **changes):
    values = {
        "stage": "temporal", "step": 0.75, "configured": "flow_residual", "baseline": "linear", "metric": "rmse",
        "value": 1.75, "baseline_value": 2.0, "difference_percent": difference, "low_percent": low,
        "high_percent": high, "days": 31,
    }  # fmt: skip
    return Skill(**(values | changes))


def days(methods, count=31, step=0.75, configured="network"):
    """Daily sums of methods, name → squared error a pair, with common noise."""
    noise = np.random.default_rng(0).lognormal(0, 0.3, count)
    return pd.DataFrame(
        [
            {"step": step, "day": f"2018-07-{day + 1:02d}", "method": name, "configured": name == configured, "n": 100,
             "squared_error": 100 * error * noise[day], "absolute_error": 80 * error * noise[day]}
            for name, error in methods.items() for day in range(count)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "verdict", "text"),
    [
        ((-13.5, -12.3, -11.0), skill.BETTER, "RMSE of flow_residual is 12.3 % (11.0 … 13.5 %) below linear."),
        ((2.0, 3.04, 4.0), skill.WORSE, "RMSE of flow_residual is 3.0 % (2.0 … 4.0 %) above linear."),
        ((-1.0, -0.4, 0.2), skill.ALIKE,
         "RMSE of flow_residual cannot be told apart from linear: −0.4 % (−1.0 … +0.2 %)."),
        ((0.0, 0.0, 0.0), skill.ALIKE,
         "RMSE of flow_residual cannot be told apart from linear: +0.00 % (+0.00 … +0.00 %)."),
        ((-0.08, -0.05, -0.02), skill.BETTER, "RMSE of flow_residual is 0.05 % (0.02 … 0.08 %) below linear."),
    ],
)  # fmt: skip
def test_words_say_what_the_interval_allows(numbers, verdict, text):
    found = row(*numbers)
    assert found.verdict == verdict
    assert sentence(found) == text


def test_without_an_interval_there_is_no_verdict():
    found = row(math.nan, -12.3, math.nan, days=3)
    assert found.verdict == skill.UNJUDGED
    assert sentence(found) == (
        "RMSE of flow_residual is 12.3 % below linear; 3 days are too few for an interval (at least 5), "
        "so this is no verdict."
    )


def test_the_terminal_names_each_stage_against_its_main_baseline_at_the_resolution_of_use():
    rows = [
        row(-13.5, -12.3, -11.0),
        row(-16.0, -15.0, -14.0, metric="mae"),
        row(-60.0, -57.0, -55.0, baseline="nearest"),
        row(9.0, 9.5, 10.0, step=0.25),
        row(-0.5, 0.1, 0.6, stage="spatial", step=0.25, configured="abpn", baseline="bicubic+closure"),
        row(-3.0, -2.0, -1.0, stage="spatial", step=0.25, configured="abpn", baseline="bicubic+closure", metric="mae"),
        row(1.0, 2.0, 3.0, stage="joint", step=0.25, configured="a+b", baseline="linear+bicubic+closure"),
        row(0.0, 2.0, 3.0, stage="joint", step=0.25, configured="a+b", baseline="linear+bicubic+closure", metric="mae"),
    ]
    assert lines_to_tell(rows) == [
        "temporal: flow_residual against linear: RMSE -12.3 % (-13.5 to -11.0), MAE -15.0 % (-16.0 to -14.0)",
        "spatial: abpn against bicubic+closure: RMSE +0.1 % (-0.5 to +0.6), MAE -2.0 % (-3.0 to -1.0): "
        "NOT BETTER in RMSE",
        "joint: a+b against linear+bicubic+closure: RMSE +2.0 % (+1.0 to +3.0), MAE +2.00 % (+0.00 to +3.00): "
        "NOT BETTER",
    ]


def test_the_terminal_does_not_judge_from_too_few_days_nor_a_baseline_by_itself():
    short = [row(math.nan, -12.3, math.nan, days=2), row(math.nan, -15.0, math.nan, days=2, metric="mae")]
    assert lines_to_tell(short) == [
        "temporal: flow_residual against linear: RMSE -12.3 %, MAE -15.0 %: "
        "NOT JUDGED, 2 day(s) are too few for intervals"
    ]
    assert lines_to_tell([row(-60.0, -57.0, -55.0, configured="linear", baseline="nearest")]) == []
    assert lines_to_tell([]) == []


def test_the_configured_method_is_compared_with_every_other_at_every_step():
    table = pd.concat(
        [days({"linear": 4.0, "nearest": 9.0, "network": 3.24}), days({"linear": 4.0, "network": 4.0}, step=0.25)]
    )
    rows = compare("temporal", table)
    assert [(r.step, r.baseline, r.metric) for r in rows] == [
        (0.75, "linear", "rmse"), (0.75, "linear", "mae"), (0.75, "nearest", "rmse"), (0.75, "nearest", "mae"),
        (0.25, "linear", "rmse"), (0.25, "linear", "mae"),
    ]  # fmt: skip
    assert {(r.stage, r.configured, r.days) for r in rows} == {("temporal", "network", 31)}
    assert rows[0].difference_percent == pytest.approx(-10.0)
    assert rows[0].high_percent == pytest.approx(-10.0)  # the same noise on both
    assert (rows[4].difference_percent, rows[4].low_percent, rows[4].high_percent) == (0, 0, 0)
    assert rows[4].verdict == skill.ALIKE


def test_a_configured_baseline_is_not_compared_with_itself():
    rows = compare("temporal", days({"nearest": 9.0, "linear": 4.0}, configured="linear"))
    assert [r.baseline for r in rows] == ["nearest", "nearest"]


def test_methods_of_different_days_are_refused():
    table = days({"linear": 4.0, "network": 3.0})
    with pytest.raises(DeepcamsError, match="network and linear"):
        compare("temporal", table.iloc[1:])


def test_a_table_is_read_as_it_was_written_and_can_be_required_to_show_skill(tmp_path):
    rows = [*compare("temporal", days({"linear": 4.0, "network": 3.24})), row(math.nan, 1.0, math.nan, days=2)]
    write_skill(rows, tmp_path / "temporal_skill.csv")
    found = read_skill(tmp_path / "temporal_skill.csv")
    for written, read in zip(rows, found, strict=True):
        for key, value in asdict(written).items():
            same = value if isinstance(value, str) else pytest.approx(value, rel=1e-5, nan_ok=True)
            assert getattr(read, key) == same
    assert all(r.difference_percent < -5 and r.verdict == skill.BETTER for r in found[:2])
    write_skill([], tmp_path / "none.csv")
    assert read_skill(tmp_path / "none.csv") == []
    (tmp_path / "bad.csv").write_text("stage,step\n")
    with pytest.raises(DeepcamsError, match=r"bad\.csv lacks the columns configured"):
        read_skill(tmp_path / "bad.csv")


@pytest.fixture
def shard(tmp_path):
    """Six days of January over the Mediterranean and a halo, with a missing hour."""
    fine_grid = refine(REGION)
    hours = 6 * 24 + 1
    rng = np.random.default_rng(7)
    fine = 30 + np.cumsum(rng.normal(size=(hours, *fine_grid.shape)), axis=0).astype(np.float32)
    fine[31] = np.nan
    coarse = degrade(fine, fine_grid, "block_mean")
    times = np.datetime64("2020-01-26T00:30:00", "s") + np.arange(hours) * np.timedelta64(3600, "s")
    folder = tmp_path / "shards" / "2020-01"
    with ShardWriter(folder, times, fine_grid, REGION, {"operator": "block_mean", "sigma": 1.0}) as shard:
        shard.write(0, fine, coarse)
    for stage, network in (("temporal", "nearest"), ("spatial", "bicubic")):
        save(
            tmp_path / f"{stage}.safetensors", stage, network, settings={"network": network}, weights={}, provenance={}
        )
    return folder, fine, coarse


def test_a_month_is_scored_in_time_where_networks_are_used_and_as_in_the_paper(shard, tmp_path):
    folder, fine, coarse = shard
    evaluate_month(
        "temporal", folder / "index.json", {"temporal": tmp_path / "temporal.safetensors"}, tmp_path / "2020-01.csv",
        days=tmp_path / "2020-01-days.csv",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "2020-01.csv")
    sums = pd.read_csv(tmp_path / "2020-01-days.csv")
    assert list(table)[:5] == ["month", "step", "method", "configured", "frames"]
    assert list(sums) == ["step", "day", "method", "configured", "n", "squared_error", "absolute_error"]
    assert list(zip(table["step"], table["method"], strict=True)) == [
        (step, method) for step in (0.75, 0.25) for method in ("linear", "linear_as_printed", "nearest")
    ]
    assert (table["configured"] == (table["method"] == "nearest")).all()
    for step, field in ((0.75, coarse[:, 1:-1, 1:-1].astype(float)), (0.25, fine.astype(float))):
        expected = {}
        for k in range(0, 144, 3):
            for j in (1, 2):
                error = ((3 - j) * field[k] + j * field[k + 3]) / 3 - field[k + j]
                if np.isfinite(error).all():
                    expected.setdefault((k + j) // 24, []).append(error)
        linear = table[(table["step"] == step) & (table["method"] == "linear")].iloc[0]
        errors = np.concatenate([np.ravel(part) for part in expected.values()])
        assert linear["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
        daily = sums[(sums["step"] == step) & (sums["method"] == "linear")]
        assert list(daily["day"]) == [f"2020-01-{day}" for day in range(26, 32)]
        squares = [sum(np.sum(error**2) for error in expected[day]) for day in range(6)]
        assert daily["squared_error"].to_numpy() == pytest.approx(np.array(squares), rel=1e-4)
        assert daily["n"].iloc[1] == daily["n"].iloc[0] * 15 // 16  # the missing hour


def test_tables_in_words_stand_below_each_resolution(shard, tmp_path):
    scores, sums = tmp_path / "2020-01.csv", tmp_path / "2020-01-days.csv"
    models = {stage: tmp_path / f"{stage}.safetensors" for stage in ("temporal", "spatial")}
    evaluate_month("temporal", shard[0] / "index.json", {"temporal": models["temporal"]}, scores, days=sums)
    rows = compare_months("temporal", [sums])
    assert [r.verdict for r in rows if r.baseline == "linear"] == [skill.WORSE] * 4
    notes = {step: skill.markdown_section([r for r in rows if r.step == step]) for step in (0.75, 0.25)}
    write_tables([scores], tmp_path / "temporal.csv", tmp_path / "temporal.md", notes)
    lines = (tmp_path / "temporal.md").read_text().splitlines()
    headings = [number for number, line in enumerate(lines) if line.startswith("## ")]
    assert [lines[number][:11] for number in headings] == ["## At 0.75°", "## At 0.25°"]
    for step, part in ((0.75, lines[headings[0] : headings[1]]), (0.25, lines[headings[1] :])):
        assert sum(line.startswith("| average |") for line in part) == 1
        sentences = [line.removeprefix("- ") for line in part if line.startswith("- ")]
        assert sentences == [sentence(r) for r in rows if r.step == step]
    assert any("above linear." in line for line in lines)

    evaluate_month("joint", shard[0] / "index.json", models, scores, days=sums, closure="block_mean")
    assert list(pd.read_csv(scores)["step"].unique()) == [0.25]
    write_tables([scores], tmp_path / "joint.csv", tmp_path / "joint.md")
    text = (tmp_path / "joint.md").read_text()
    assert "## " not in text and "Configured: nearest+bicubic+closure" in text
    main = [r for r in compare_months("joint", [sums]) if r.baseline == "linear+bicubic+closure"]
    assert len(main) == 2


def test_a_month_without_any_value_has_no_days_and_no_rows(shard, tmp_path):
    folder = shard[0]
    np.load(folder / "fine.npy", mmap_mode="r+")[:] = np.nan
    np.load(folder / "coarse.npy", mmap_mode="r+")[:] = np.nan
    evaluate_month(
        "spatial", folder / "index.json", {"spatial": tmp_path / "spatial.safetensors"}, tmp_path / "s.csv",
        days=tmp_path / "d.csv",
    )  # fmt: skip
    assert compare_months("spatial", [tmp_path / "d.csv"]) == []
