"""Planning and refusing: what Snakemake says before, or instead of, running anything."""

import os
import re
from collections import Counter

import pytest


def count_rules(jobs):
    return Counter(job.split(" ")[0] for job in jobs.elements())


YEAR = "results/2015/pm25_hourly.nc"
# Jobs by what is configured: for the experiment and for the product; least squares are for the experiment alone.
LEARNING = {"train_temporal": 2, "train_spatial": 2, "derive_network": 1}
INTERPOLATING = {"derive_network": 4}


@pytest.mark.parametrize(
    ("choice", "months_of_geoscf", "models", "networks_in_space"),
    [
        (None, 36, LEARNING, 2),  # networks learn from 2018 to 2020, of which 2020 is also the test year
        ("networks=light", 36, LEARNING, 2),
        ("recipe=published", 36, LEARNING, 2),
        ("networks=interpolation", 12, INTERPOLATING, 1),  # nothing is learnt, so only the test year is asked for
    ],
)
def test_production_plans_eighteen_years_without_credentials_or_network(
    checkout, choice, months_of_geoscf, models, networks_in_space
):
    months = 12 * 18
    arguments = ("all", "--config", choice) if choice else ("all",)
    assert count_rules(checkout.planned(*arguments, configfile=None)) == Counter(
        retrieve_cams=months,
        downscale_temporal=months,
        downscale_spatial=months,
        assemble_year=18,
        retrieve_geoscf=months_of_geoscf,
        degrade_geoscf=months_of_geoscf,
        **models,
        evaluate_temporal=12 * 3,  # the baselines, what comes with the package, and the configured network
        evaluate_spatial=12 * (2 + networks_in_space),
        evaluate_joint=12 * 3,
        summarise_evaluation=1,
        cut_zoom=2,
        plot_zoom=2,
        retrieve_openaq=36,
        collocate_stations=36,
        validate_year=18,
        plot_year=18,
        write_year_report=18,
        write_report=1,
    )


@pytest.mark.parametrize(
    ("choice", "months_of_geoscf", "models"),
    [
        (None, 36, {"train_temporal": 1, "train_spatial": 1}),
        ("networks=interpolation", 0, {"derive_network": 2}),
    ],
)
def test_one_year_plans_its_own_months_and_what_its_networks_learn_from(checkout, choice, months_of_geoscf, models):
    arguments = (YEAR, "--config", choice) if choice else (YEAR,)
    jobs = checkout.planned(*arguments, configfile=None)
    assert count_rules(jobs) == Counter(
        retrieve_cams=12,
        downscale_temporal=12,
        downscale_spatial=12,
        assemble_year=1,
        **models,
    ) + Counter(retrieve_geoscf=months_of_geoscf, degrade_geoscf=months_of_geoscf)
    assert {job.split()[1][:4] for job in jobs if "cams" in job or "downscale" in job} == {"2015"}
    assert {job.split()[1][:4] for job in jobs if job.startswith(("train", "derive"))} == {"real"}


@pytest.mark.parametrize(
    ("networks", "rules"),
    [
        (("temporal/xvfi", "spatial/abpn"), ("train_temporal {}-xvfi", "train_spatial {}-abpn")),
        (
            ("temporal/linear", "spatial/least_squares"),
            ("derive_network {}-temporal-linear", "derive_network {}-spatial-least_squares"),
        ),
    ],
    ids=["both", "one of them"],
)
def test_networks_that_learn_ask_for_the_papers_training_years(checkout, networks, rules):
    for experiment, years in (("real", (2018, 2019, 2020)), ("simulation", (2018, 2019))):
        models = [f"results/models/{experiment}/{network}/model.safetensors" for network in networks]
        months = [f"{year}-{month:02d}" for year in years for month in range(1, 13)]
        expected = [f"{rule}_geoscf {month}" for rule in ("retrieve", "degrade") for month in months]
        expected += [rule.format(experiment) for rule in rules]
        assert checkout.planned(*models, configfile=None) == Counter(expected)


def test_experiments_that_learn_from_the_same_months_share_one_training(checkout):
    jobs = checkout.planned(configfile="config/demo.yaml")
    trained = {job.split()[1] for job in jobs if job.startswith("train")}
    assert trained == {"simulation-flow_residual", "simulation-pixel_shuffle", "simulation"}  # the last one for fusion


def test_compared_networks_are_trained_for_the_experiment_and_scored_in_pairs(checkout):
    plain = checkout.planned()
    choice = "experiments={simulation: {compare: {temporal: [xvfi], spatial: [abpn]}}}"
    more = checkout.planned("all", "--config", choice)
    assert more - plain == Counter(
        [
            "train_temporal simulation-xvfi",
            "train_spatial simulation-abpn",
            "evaluate_temporal xvfi-2020-01",
            "evaluate_spatial abpn-2020-01",
            "evaluate_joint xvfi+abpn-2020-01",
        ]
    )
    assert not plain - more


def rules_asking_for_a_gpu(text):
    """Rules in a listing of jobs whose resources name one."""
    rules = re.findall(r"^(?:local)?rule (\w+):$(?:\n .*)*?\n    resources: (.*)$", text, flags=re.MULTILINE)
    assert len(rules) > 20
    assert all("mem_mb=" in resources for name, resources in rules if name != "all")
    return {name for name, resources in rules if re.search(r"\bgpu=1\b", resources)}


TIME, SPACE = "temporal={network: xvfi, training: {patch: 32}}", "spatial={network: abpn}"


@pytest.mark.parametrize(
    ("choice", "stages"),
    [((), ()), ((TIME,), ("temporal",)), ((SPACE,), ("spatial",)), ((TIME, SPACE), ("temporal", "spatial"))],
)
def test_only_jobs_that_run_the_papers_networks_ask_for_a_gpu(checkout, choice, stages):
    process = checkout.snakemake("all", "--dry-run", *(("--config", *choice) if choice else ()))
    assert process.returncode == 0, process.stdout
    expected = {f"{verb}_{stage}" for verb in ("train", "downscale", "evaluate") for stage in stages}
    assert rules_asking_for_a_gpu(process.stdout) == expected | ({"evaluate_joint"} if stages else set())


def test_a_network_that_does_not_fit_the_region_is_told_before_anything_runs(checkout):
    """The tiny configuration has patches of 8 nodes, which XVFI's pyramid cannot be laid over."""
    process = checkout.snakemake("-n", "all", "--config", "networks=paper")
    assert process.returncode != 0
    assert "temporal.training.patch: 8 given; allowed for xvfi with 1 level: a multiple of 32" in process.stdout
    assert "Traceback" not in process.stdout


def test_a_real_run_without_credentials_stops_before_the_first_job_in_one_sentence(checkout):
    process = checkout.snakemake("all", configfile=None)
    assert process.returncode != 0
    assert "Traceback" not in process.stdout
    errors = [line for line in process.stdout.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1
    assert "credentials" in errors[0]
    assert "ADSAPI_KEY" in errors[0]
    assert not (checkout.path / "results").exists()


def test_where_nothing_answers_a_job_ends_after_its_tries_in_one_sentence(checkout):
    (checkout.path / "nobody.yaml").write_text(
        'services: {tries: 2, wait: 0.01, ads: {url: "http://127.0.0.1:9/api"}, patience: 5}\n'
    )
    target = "results/raw/cams/2015-01.nc"
    process = checkout.snakemake(target, "--retries", "0", configfile="nobody.yaml", ADSAPI_KEY="not-a-real-key")
    assert process.returncode != 0
    log = (checkout.path / "results/logs/retrieve_cams/2015-01.log").read_text()
    errors = [line for line in log.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1 and "refused the connection" in errors[0], log
    assert "Traceback" not in process.stdout + log and "not-a-real-key" not in process.stdout + log
    assert not (checkout.path / target).exists()


def test_a_year_outside_the_record_is_refused(checkout):
    process = checkout.snakemake("-n", "results/1999/pm25_hourly.nc", configfile=None)
    assert process.returncode != 0
    assert "1999" in process.stdout
    assert "Traceback" not in process.stdout


def test_all_mistakes_of_a_configuration_are_listed_before_anything_runs(checkout):
    (checkout.path / "wrong.yaml").write_text(
        "spatial: {network: bicubik}\nencoding: {mantissa_bits: 70}\nrezults: here\n"
        "region: {north: 10.1, west: 0, south: 0, east: 9}\n"
        'experiments: {simulation: {test: {first: "2019-01", last: "2019-12"}}}\n'
    )
    process = checkout.snakemake("-n", "all", configfile="wrong.yaml")
    assert process.returncode != 0
    for words in ("bicubic", "mantissa_bits", "70", "rezults", "results", "region", "simulation"):
        assert words in process.stdout
    assert "Traceback" not in process.stdout
    assert not (checkout.path / "results").exists()


def test_synthetic_and_real_sources_cannot_be_mixed(checkout):
    process = checkout.snakemake("-n", "all", "--config", "openaq={source: archive}")
    assert process.returncode != 0
    assert "nature_run" in process.stdout
    assert "Traceback" not in process.stdout


def test_the_profiles_agree_where_they_overlap():
    import yaml

    from tests.conftest import ROOT

    default, slurm = (
        yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text()) for name in ("default", "slurm")
    )
    shared = (default.keys() & slurm.keys()) - {"resources"}
    assert {"rerun-triggers", "rerun-incomplete"} <= shared
    assert {key: default[key] for key in shared} == {key: slurm[key] for key in shared}


PARTS = ("input", "output", "log", "benchmark", "conda", "threads", "resources", "params", "script")


def test_every_rule_says_what_it_makes_and_what_it_needs():
    from tests.conftest import ROOT

    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for block in path.read_text().split("\nrule ")[1:]:
            name = block.split(":")[0]
            for part in ('"""', *(f"{name}:" for name in PARTS), "mem_mb=", "runtime=", "code="):
                assert part in block, f"rule {name} has no {part}"
            assert f"../scripts/{name}.py" in block


def test_planning_needs_no_home_and_no_write_access_to_the_network(checkout):
    """A dry run leaves nothing behind but Snakemake's own folder."""
    before = set(os.listdir(checkout.path))
    checkout.planned(configfile=None)
    assert set(os.listdir(checkout.path)) - before <= {".snakemake", ".cache"}
