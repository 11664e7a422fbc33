"""The networks against the baselines: tables, sentences, and that nothing is said which the interval does not allow."""

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.validation import skill
from deepcams.validation.skill import Skill, compare, lines_to_tell, notes, read_skill, sentence, write_skill


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


def further(table, group, **columns):
    """A table of `days` whose baselines are the methods named so, with what a joined table says more."""
    return table.assign(baseline=table["method"].isin(["linear", "nearest"]), group=group, **columns)


def test_further_networks_are_compared_with_every_baseline_and_with_nothing_else():
    table = days({"linear": 4.0, "nearest": 9.0, "pretrained": 3.0, "network": 3.24})
    rows = compare("temporal", further(table, table["method"]))
    assert [(r.kind, r.configured, r.baseline) for r in rows[::2]] == [
        (skill.CONFIGURED, "network", "linear"),
        (skill.CONFIGURED, "network", "nearest"),
        (skill.FURTHER, "pretrained", "linear"),
        (skill.FURTHER, "pretrained", "nearest"),
    ]
    assert [r.configured for r in skill.main_rows(rows)] == ["network"] * 4
    assert [line.split(":")[0] for line in lines_to_tell(rows)] == ["temporal"]
    text = notes(rows)[0.75, ""]
    assert text.count("\n- ") == 4 + 2
    assert "- pretrained against linear: RMSE −13.4 % (−13.4 … −13.4), MAE −25.0 % (−25.0 … −25.0)" in text


def test_a_network_is_still_compared_with_a_baseline_that_is_configured():
    table = days({"linear": 4.0, "nearest": 9.0, "pretrained": 3.0}, configured="linear")
    rows = compare("temporal", further(table, table["method"]))
    assert {(r.kind, r.configured, r.baseline) for r in rows} == {
        (skill.CONFIGURED, "linear", "nearest"),
        (skill.FURTHER, "pretrained", "linear"),
        (skill.FURTHER, "pretrained", "nearest"),
    }


def test_the_two_orders_of_a_pair_are_compared_with_each_other():
    table = days({"linear": 4.0, "a+b": 3.0, "b+a": 2.7, "network": 3.1, "krowten": 3.5})
    group = table["method"].map({"linear": "baselines", "a+b": "a", "b+a": "a", "network": "n", "krowten": "n"})
    rows = [r for r in compare("joint", further(table, group)) if r.kind == skill.ORDER]
    assert {(r.configured, r.baseline) for r in rows} == {("a+b", "b+a"), ("network", "krowten")}
    assert "### Time first against space first\n\n- a+b against b+a: RMSE +5.4 %" in notes(rows)[0.75, ""]


def test_other_operators_are_kept_apart_from_the_configured_one():
    table = pd.concat(
        days({"bicubic": 4.0, "lanczos3": 4.0, "network": error}, step=0.25).assign(degradation=operator)
        for operator, error in (("gaussian", 3.0), ("point", 5.0))
    )
    rows = compare("spatial", table)
    assert [(r.degradation, r.kind, r.baseline) for r in rows[::2]] == [
        ("gaussian", skill.CONFIGURED, "bicubic"),
        ("gaussian", skill.CONFIGURED, "lanczos3"),
        ("point", skill.OPERATOR, "bicubic"),
        ("point", skill.OPERATOR, "lanczos3"),
    ]
    assert {r.degradation for r in skill.main_rows(rows)} == {"gaussian"}
    text = notes(rows)
    assert list(text) == [(0.25, "gaussian"), (0.25, "point")]
    assert text[0.25, "point"] == (
        "Input degraded by point:\n\n"
        "- network against bicubic: RMSE +11.8 % (+11.8 … +11.8), MAE +25.0 % (+25.0 … +25.0)\n"
    )


def test_methods_of_different_nodes_are_refused():
    table = days({"linear": 4.0, "network": 3.0})
    table.loc[(table["method"] == "network") & (table["day"] == "2018-07-03"), "n"] -= 1
    with pytest.raises(DeepcamsError, match="not scored on the same nodes"):
        compare("temporal", table)
