"""Planning and refusing: what Snakemake says before, or instead of, running anything."""

import os
from collections import Counter

import pytest

pytestmark = pytest.mark.xdist_group("workflow")


def count_rules(jobs):
    return Counter(job.split(" ")[0] for job in jobs.elements())


def test_production_plans_eighteen_years_without_credentials_or_network(checkout):
    jobs = count_rules(checkout.planned(configfile=None))
    months = 12 * 18
    assert jobs == Counter(
        retrieve_cams=months,
        downscale_temporal=months,
        downscale_spatial=months,
        assemble_year=18,
        # An interpolation learns nothing, so of GEOS-CF only the test year is asked for.
        retrieve_geoscf=12,
        degrade_geoscf=12,
        train_temporal=2,
        train_spatial=2,
        evaluate_temporal=12,
        evaluate_spatial=12,
        evaluate_joint=12,
        summarise_evaluation=1,
        retrieve_openaq=36,
        collocate_stations=36,
        validate_year=18,
        plot_year=18,
        write_year_report=18,
        write_report=1,
    )


def test_one_year_plans_its_own_months_only(checkout):
    jobs = count_rules(checkout.planned("results/2015/pm25_hourly.nc", configfile=None))
    assert jobs == Counter(
        retrieve_cams=12,
        train_temporal=1,
        train_spatial=1,
        downscale_temporal=12,
        downscale_spatial=12,
        assemble_year=1,
    )


def test_a_network_that_learns_asks_for_the_papers_training_years(checkout):
    learned = "spatial={network: learned_kernel}"
    jobs = checkout.planned("results/2015/pm25_hourly.nc", "--config", learned, configfile=None)
    assert sum(job.startswith("degrade_geoscf 20") for job in jobs) == 36
    simulation = "results/models/simulation/spatial/model.safetensors"
    jobs = checkout.planned(simulation, "--config", learned, configfile=None)
    assert sorted(job for job in jobs if job.startswith("degrade")) == [
        f"degrade_geoscf {year}-{month:02d}" for year in (2018, 2019) for month in range(1, 13)
    ]


def test_jobs_that_run_on_processors_ask_for_no_gpu(checkout):
    learned = "spatial={network: learned_kernel}"
    process = checkout.snakemake("all", "--dry-run", "--config", learned)
    assert "mem_mb=8000" in process.stdout  # resources are listed
    assert "gpu=1" not in process.stdout


def test_a_real_run_without_credentials_stops_before_the_first_job_in_one_sentence(checkout):
    process = checkout.snakemake("all", configfile=None)
    assert process.returncode != 0
    assert "Traceback" not in process.stdout
    errors = [line for line in process.stdout.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1
    assert "credentials" in errors[0]
    assert "ADSAPI_KEY" in errors[0]
    assert not (checkout.path / "results").exists()


def test_with_credentials_the_run_says_what_this_version_can_fetch(checkout):
    process = checkout.snakemake("all", configfile=None, ADSAPI_KEY="not-a-real-key")
    assert process.returncode != 0
    assert "cams.source: local" in process.stdout
    assert "not-a-real-key" not in process.stdout


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
            for part in ('"""', *(f"{name}:" for name in PARTS), "mem_mb=", "runtime=", "code=script_digest("):
                assert part in block, f"rule {name} has no {part}"
            assert f"../scripts/{name}.py" in block


def test_planning_needs_no_home_and_no_write_access_to_the_network(checkout):
    """A dry run leaves nothing behind but Snakemake's own folder."""
    before = set(os.listdir(checkout.path))
    checkout.planned(configfile=None)
    assert set(os.listdir(checkout.path)) - before <= {".snakemake", ".cache"}
