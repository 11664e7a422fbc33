"""`deepcams plan` in a checkout: the jobs that Snakemake itself counts, what they took, and nothing written."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from deepcams.errors import DeepcamsError
from deepcams.plan.forecast import forecast
from deepcams.plan.graph import build
from tests.workflow.conftest import Checkout

pytestmark = pytest.mark.xdist_group("workflow")
TINY = ["config/tiny.yaml"]


def plan(checkout, *arguments):
    """The command, without network, keys and a home."""
    command = [sys.executable, "-m", "deepcams.cli.main", "plan", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ADSAPI", "CDSAPI"))}
    environment |= {"HOME": str(checkout.path), "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    return subprocess.run(command, cwd=checkout.path, env=environment, capture_output=True, text=True)


def files_of(folder):
    """All but Snakemake's own, which a dry run keeps as well."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts
    }


def test_the_default_production_is_planned_as_snakemake_counts_it(checkout):
    before = files_of(checkout.path)
    process = plan(checkout, "--json")
    assert process.returncode == 0, process.stderr
    assert files_of(checkout.path) == before
    found = json.loads(process.stdout)
    counted = Counter(word.split()[0] for word in checkout.planned(configfile=None).elements())
    assert {rule["rule"]: rule["jobs"] for rule in found["rules"]} == counted
    assert {part["name"] for part in found["downloads"]} == {"CAMS EAC4", "GEOS-CF", "OpenAQ"}


def test_a_finished_run_has_nothing_due_and_one_of_another_name_what_it_took(finished):
    done = build(finished.path, ["all"], TINY)
    assert not done.due
    assert forecast(done, finished.path, 2).jobs == 0
    again = build(finished.path, ["all"], TINY, settings=["results=results/again"])
    table = forecast(again, finished.path, 2)
    folder = finished.path / "results" / "tiny"
    made = [path for path in folder.rglob("*") if path.is_file()]
    assert table.jobs == len(done.jobs)
    # The table was measured on another day's run of the same configuration.
    assert table.final + table.intermediate == pytest.approx(sum(path.stat().st_size for path in made), rel=0.15)
    records = sum(len(job.outputs) for job in done.jobs)
    assert table.files == pytest.approx(len(made) + records, rel=0.05)


def test_why_jobs_are_due_is_told_apart_and_what_is_done_speaks_for_it(finished, tmp_path):
    copy = Checkout(tmp_path / "copy")
    shutil.copytree(finished.path, copy.path, symlinks=True, copy_function=os.link)  # nothing is written into files
    for path in [
        *(copy.path / "results/tiny").glob("spatial/2020-01*"),
        copy.path / "results/tiny/2020/pm25_hourly.nc",
    ]:
        path.unlink()
    script = copy.path / "workflow/scripts/plot_zoom.py"
    text = script.read_text()
    script.unlink()
    script.write_text(text + "\nUNUSED = 1\n")
    found = forecast(build(copy.path, ["all"], TINY, settings=["report={maps: 2}"]), copy.path, 2)
    rules = {rule.rule: rule for rule in found.rules}
    assert rules["downscale_spatial"].reasons == rules["assemble_year"].reasons == {"missing": 1}
    assert rules["plot_zoom"].reasons == {"code": 2}
    assert rules["plot_year"].reasons == {"settings": 2}
    assert rules["collocate_stations"].reasons == {"follows": 1}
    assert "retrieve_cams" not in rules
    assert rules["downscale_spatial"].source == "this checkout"


@pytest.mark.parametrize(
    ("targets", "settings", "words"),
    [
        (["nonsense"], [], "No rule makes nonsense"),
        (["all"], ["pollutant=soot"], 'pollutant: "soot" given; allowed: pm25'),
    ],
)
def test_what_cannot_be_planned_is_refused_with_a_reason(checkout, targets, settings, words):
    with pytest.raises(DeepcamsError) as refused:
        build(checkout.path, targets, settings=settings)
    assert words in str(refused.value)
    assert "Traceback" not in str(refused.value)
