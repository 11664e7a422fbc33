"""Forecasts of `deepcams plan`: sizes, scaling, time on cores, what is unknown, and how it is told."""

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from deepcams.cli import plan
from deepcams.errors import DeepcamsError
from deepcams.plan import graph, measured, size
from deepcams.plan.forecast import downloads, ends, forecast, memory_at_once, new_files, wall_seconds
from deepcams.plan.graph import Graph, Job
from deepcams.plan.measured import Cost, Measurement, cost, of_checkout, scaled, table
from deepcams.plan.screen import duration, screen
from deepcams.plan.screen import size as in_words
from tests.conftest import ROOT

CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
LIGHT = CONFIG | {"networks": "light"}
GLOBE = 721 * 1440


def job(rule="downscale_spatial", number=0, after=(), year="2019", month="07", **changes):
    """A due job of a month."""
    given = {
        "number": number,
        "rule": rule,
        "wildcards": {"year": year, "month": month},
        "due": True,
        "reasons": ("missing",),
        "threads": 1,
        "memory_mb": 1000,
        "gpus": 0,
        "outputs": (f"{rule}-{number}.nc",),
        "others": (f"{rule}-{number}.log",),
        "benchmark": None,
        "after": tuple(after),
    }
    return Job(**(given | changes))


def row(units, cpu_s, rule="downscale_spatial", network="pixel_shuffle-64", **changes):
    return Measurement(
        **(
            {"rule": rule, "network": network, "units": units, "cpu_s": cpu_s, "wall_s": None, "memory_mb": 100.0}
            | {"bytes": 1e6, "files": 0, "machine": "a machine", "source": "a run"}
            | changes
        )
    )


def test_the_work_of_a_month_is_its_hours_times_the_nodes_of_the_region():
    assert size.units(job(month="02", year="2020"), CONFIG) == 24 * 29 * GLOBE
    box = CONFIG | {"region": {"north": 33.0, "west": 75.0, "south": 26.25, "east": 83.25}}
    assert size.units(job(), box) == 744 * (9 * 3 + 1) * (11 * 3 + 1)  # 10 × 12 coarse nodes
    wide = (9 + 2 * 31) * 3 + 1, (11 + 2 * 31) * 3 + 1
    assert size.units(job("downscale_temporal"), box) == 744 * wide[0] * wide[1]


def test_a_year_has_the_months_that_are_configured():
    part = CONFIG | {"cams": CONFIG["cams"] | {"first": "2018-11", "last": "2019-01"}}
    year = job("assemble_year", wildcards={"year": "2018"})
    assert size.units(year, part) == 24 * (30 + 31) * GLOBE


def test_a_training_goes_by_steps_patches_and_nodes_as_network_and_recipe_say():
    training = job("train_temporal", wildcards={"experiment": "real", "network": "xvfi"})
    assert size.units(training, CONFIG) == 70_000 * 8 * 64**2
    assert size.network(training, CONFIG) == "xvfi-64"
    compared = job("train_spatial", wildcards={"experiment": "simulation", "network": "pixel_shuffle"})
    assert size.units(compared, CONFIG) == 20_000 * 16 * 32**2


def test_time_is_interpolated_grows_above_the_largest_and_stays_below_the_smallest():
    points = [(10, 5.0), (20, 7.0)]
    assert [scaled(points, units) for units in (1, 10, 15, 20, 60)] == [5.0, 5.0, 6.0, 7.0, 21.0]
    assert scaled([], 3) is None


def test_a_rule_or_network_without_a_measurement_is_unknown_and_not_nothing():
    rows = [row(1e6, 5.0)]
    assert cost(job(), LIGHT, [], rows).cpu_s > 5.0
    for other in (CONFIG, LIGHT | {"spatial": LIGHT["spatial"] | {"features": 32}}):
        assert cost(job(), other, [], rows) == Cost(None, None, None, None, 0, "unknown", 1.0)


def test_what_was_measured_here_goes_before_the_table_where_sizes_are_alike():
    units = 744 * GLOBE
    others = [row(units, 100.0)]
    assert cost(job(), LIGHT, [row(units, 40.0, source="this checkout")], others).cpu_s == 40.0
    assert cost(job(), LIGHT, [row(units / 10, 40.0, source="this checkout")], others).cpu_s == 100.0


def test_bytes_of_fields_grow_with_the_work_and_those_of_models_do_not():
    assert cost(job(), LIGHT, [], [row(744 * GLOBE / 2, 1.0)]).bytes == 2e6
    training = job("train_spatial", wildcards={"experiment": "real", "network": "pixel_shuffle"})
    assert cost(training, LIGHT, [], [row(1000, 1.0, "train_spatial")]).bytes == 1e6


def test_time_on_cores_is_the_longer_of_all_work_and_the_longest_chain():
    chain = [job(number=0), job(number=1, after=[0]), job(number=2, after=[1]), job(number=3)]
    costs = {number: Cost(wall_s=10.0) for number in range(4)}
    assert wall_seconds(chain, costs, 1) == 40
    assert wall_seconds(chain, costs, 2) == 30
    assert wall_seconds([replace(chain[0], threads=4)], costs, 2) == 20
    assert ends(chain, dict.fromkeys(range(4), 1.0)) == {0: 1, 1: 2, 2: 3, 3: 1}


def test_a_chain_of_ten_thousand_jobs_has_an_end():
    jobs = [job(number=n, after=[n + 1] if n < 9_999 else []) for n in range(10_000)]
    assert ends(jobs, dict.fromkeys(range(10_000), 1.0))[0] == 10_000


def test_memory_is_that_of_the_hungriest_jobs_that_fit_on_the_cores():
    jobs = [job(memory_mb=8000, threads=2), job(memory_mb=3000), job(memory_mb=3000), job(memory_mb=1000)]
    assert memory_at_once(jobs, 1) == 8000
    assert memory_at_once(jobs, 3) == 11_000
    assert memory_at_once(jobs, 100) == 15_000


def test_files_that_are_there_are_not_counted_again(tmp_path):
    due = [job(number=1), job(number=2)]
    assert new_files(due, tmp_path) == 6  # output, Snakemake's record of it, and log
    (tmp_path / "downscale_spatial-1.log").touch()
    assert new_files(due, tmp_path) == 5


def test_only_months_that_are_due_are_downloaded_and_local_files_never():
    due = [job("retrieve_cams", 1), job("retrieve_cams", 2), job("retrieve_weather_stations", 3)]
    cams, weather = downloads(due, CONFIG)
    assert cams.requests == 2
    assert cams.bytes == pytest.approx(2 * 31.4 * 8 * 297_000, rel=0.02)
    assert (weather.months, weather.bytes, weather.seconds) == (1, None, None)
    assert not downloads(due[:2], CONFIG | {"cams": CONFIG["cams"] | {"source": "local"}})


def test_benchmarks_count_where_nothing_but_code_has_changed_and_never_a_broken_one(tmp_path):
    (tmp_path / "out.nc").write_bytes(bytes(5000))
    (tmp_path / "took.jsonl").write_text(json.dumps({"cpu_time": 7.0, "s": 9.0, "max_rss": 100.0}) + "\n")
    done = job(due=False, reasons=(), outputs=("out.nc",), benchmark="took.jsonl")
    (found,) = of_checkout(Graph(LIGHT, (done,)), tmp_path)
    assert (found.cpu_s, found.wall_s, found.bytes, found.units) == (7.0, 9.0, 5000, 744 * GLOBE)
    assert found.memory_mb == pytest.approx(104.86, abs=0.01)  # psutil's MB are MiB
    for reasons, number in ((("code",), 1), (("code", "follows"), 1), (("settings",), 0), (("missing",), 0)):
        changed = replace(done, due=True, reasons=reasons)
        assert len(of_checkout(Graph(LIGHT, (changed,)), tmp_path)) == number
    for text in ("", "{", '{"s": "NA", "cpu_time": 1, "max_rss": 1}', "[1]"):
        (tmp_path / "took.jsonl").write_text(text)
        assert of_checkout(Graph(LIGHT, (done,)), tmp_path) == []


def test_the_table_names_machine_and_source_of_each_row_and_rules_that_exist():
    rules = {
        line.split()[1].rstrip(":")
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for line in path.read_text().splitlines()
        if line.startswith("rule ")
    }
    rows = table()
    assert all(entry.machine and entry.source and entry.units > 0 for entry in rows)
    assert {entry.rule for entry in rows} <= rules
    assert set(size.WORK) <= rules
    assert rules - {entry.rule for entry in rows} == set(), "rules that nobody measured"
    with (Path(measured.__file__).with_name(measured.TABLE)).open() as stream:
        assert tuple(next(csv.reader(stream))) == measured.COLUMNS


def test_the_table_gives_the_global_month_of_the_readme():
    """48 + 220 MB and 700 MB, 28 s and 62 s on two cores."""
    rows = table()
    temporal = cost(job("downscale_temporal", threads=2), LIGHT, [], rows)
    spatial = cost(job(threads=2), LIGHT, [], rows)
    assert (temporal.wall_s, spatial.wall_s) == pytest.approx((28, 62), rel=0.03)
    assert (temporal.bytes, spatial.bytes) == pytest.approx((220e6, 700e6), rel=0.03)


def test_a_global_year_of_real_data_is_validated_without_a_truth():
    """143 s of scores and 0.75 s a day; the demo's rate, which has a truth to be compared with, would be 37 min."""
    year = job("validate_year", wildcards={"year": "2018"})
    found = cost(year, LIGHT, [], table())
    assert found.cpu_s == pytest.approx(143 + 365 * 0.75, rel=0.01)
    assert (found.source, found.stretch) == ("planning.md", 1.0)


def forecast_of(jobs, config=LIGHT, rows=None, cores=2):
    return forecast(Graph(config, tuple(jobs)), Path("/nowhere"), cores, rows)


def test_the_screen_says_what_is_unknown_and_never_adds_it_as_nothing():
    jobs = [job(number=1), job("train_temporal", 2, wildcards={"experiment": "real", "network": "xvfi"}, gpus=1)]
    text = "\n".join(screen(forecast_of(jobs, CONFIG | {"networks": "light"}), "title", ROOT))
    assert "1 train_temporal" in text
    assert "> 2.1 min" in text
    assert "1 were not measured on a GPU" in text
    assert "unknown" in text


def test_hours_of_gpus_are_those_that_this_checkout_has_measured(tmp_path):
    """Two hours of the clock with two GPUs each; a month that is not there yet is like the one that is."""
    done = job(month="10", gpus=2, due=False, reasons=(), benchmark="10.jsonl", outputs=())
    due = [job(number=number, month=month, gpus=2) for number, month in ((1, "07"), (2, "08"))]
    (tmp_path / "10.jsonl").write_text('{"s": 7200, "cpu_time": 90, "max_rss": 1000}')
    found = forecast(Graph(LIGHT, (done, *due)), tmp_path, 2, [])
    assert (found.gpu_jobs, found.gpu_s) == (2, 2 * 2 * 7200)
    assert "2 of them hold theirs for 8 h in all, by this checkout's benchmarks." in " ".join(screen(found, "-", ROOT))


def test_the_screen_fits_and_puts_small_rules_together():
    rules = sorted({entry.rule for entry in table()})
    wildcards = {"experiment": "simulation", "network": "flow_residual", "method": "baselines", "year": "2019"}
    wildcards |= {"month": "07", "background": "product", "step": "daily", "stage": "temporal"}
    spatial = wildcards | {"network": "pixel_shuffle"}
    jobs = [
        job(rule, number, wildcards=spatial if rule in ("train_spatial", "derive_network") else wildcards)
        for number, rule in enumerate(rules)
    ]
    lines = screen(forecast_of(jobs), "title " * 40, ROOT)
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 46
    assert any("smaller ones" in line for line in lines)


def test_the_title_names_the_settings_that_the_plan_is_for(capsys, monkeypatch):
    monkeypatch.setattr(plan, "build", lambda *_: Graph(LIGHT, (job(due=False, reasons=()),)))
    parser = argparse.ArgumentParser()
    plan.add_arguments(parser)
    for words, names in (
        ([], "config/config.yaml"),
        (["--config", "networks=light"], "config/config.yaml, networks=light"),
        (["--configfile", "a.yaml", "b.yaml", "--config", "x=1", "y=2"], "a.yaml, b.yaml, x=1, y=2"),
    ):
        plan.run(parser.parse_args(["all", *words]))
        title = capsys.readouterr().out.splitlines()[0]
        assert title == f"all of {names}: pm25, the globe, 2003-01 to 2020-12"


def test_nothing_due_is_told_in_one_sentence():
    done = job(due=False, reasons=())
    assert screen(forecast_of([done]), "title", ROOT)[-1] == "Nothing is due: all 1 jobs are up to date."


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "1 kB"), (1.54e6, "1.5 MB"), (123_456, "120 kB"), (2.3e12, "2.3 TB")]
)
def test_sizes_are_told_by_two_digits(number, text):
    assert in_words(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(4.56, "4.6 s"), (600, "10 min"), (7300, "2 h"), (4.4e7, "12,000 h")])
def test_durations_are_told_by_two_digits(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ModuleNotFoundError: No module named 'snakemake'", "Snakemake is not installed"),
        ("MissingRuleException:\nNo rule to produce x.nc (if you use input functions make sure", "No rule makes x.nc."),
        (
            "MissingInputException in rule retrieve_cams in file a.smk, line 3:\nMissing input files for rule "
            "retrieve_cams:\n    output: b\n    affected files:\n        data/1.nc\n        data/2.nc\n",
            "data/1.nc and 1 more, which retrieve_cams reads, is not there",
        ),
        (
            "Traceback (most recent call last):\n  File x\nValueError: odd",
            "Snakemake could not plan all: ValueError: odd.",
        ),
        ("", "did not say why"),
    ],
)
def test_what_snakemake_complains_of_is_told_without_a_traceback(said, words):
    message = graph.complaint(said, ["all"])
    assert words in message
    assert "Traceback" not in message


def test_a_folder_without_the_workflow_is_refused(tmp_path):
    with pytest.raises(DeepcamsError, match="no checkout of the workflow"):
        graph.build(tmp_path, ["all"])
