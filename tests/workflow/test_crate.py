"""What a run did, as an RO-Crate that other software opens."""

from importlib.util import find_spec

import pytest
from rocrate.rocrate import ROCrate

from tests.workflow.conftest import Checkout

pytestmark = [
    pytest.mark.xdist_group("workflow"),
    pytest.mark.skipif(
        find_spec("snakemake_report_plugin_fairscape") is None,
        reason="needs snakemake-report-plugin-fairscape: pip install deepcams[crate]",
    ),
]
NAMES = "https://w3id.org/EVI#"


@pytest.fixture(scope="module")
def crate(finished):
    """The crate of the finished run, read by the library of RO-Crate itself."""
    process = finished.snakemake("all", "--reporter", "fairscape", "--report-fairscape-author", "Nobody")
    described = finished.path / "ro-crate-metadata.json"
    try:
        assert process.returncode == 0, process.stdout
        yield ROCrate(finished.path)
    finally:
        described.unlink(missing_ok=True)


def entities(crate, kind):
    return [item for item in crate.get_entities() if f"{NAMES}{kind}" in item["@type"]]


def test_every_file_of_the_crate_is_there_with_its_size(crate, finished: Checkout):
    files = {item["contentUrl"]: item["contentSize"] for item in entities(crate, "Dataset") if item.get("contentUrl")}
    assert {name for name, size in files.items() if (finished.path / name).stat().st_size != int(size)} == set()
    made = {f"results/tiny/{year}/pm25_hourly.nc" for year in (2019, 2020)}
    assert made | {"results/tiny/report/index.html", "results/tiny/report/software.cdx.json"} <= files.keys()


def test_a_product_leads_back_to_the_job_that_made_it_and_to_what_that_read(crate):
    runs = [item for item in entities(crate, "Computation") if item["name"].startswith("assemble_year")]
    files = {item.get("contentUrl"): item for item in entities(crate, "Dataset")}
    product = files["results/tiny/2020/pm25_hourly.nc"]
    (maker,) = (run for run in runs if product in run["generated"])
    read = {item.get("contentUrl") for item in maker["usedDataset"]}
    assert {"results/tiny/spatial/2020-01.nc", "results/tiny/spatial/2020-01.nc.sha256"} <= read
    assert "workflow/scripts/assemble_year.py" in maker["command"]


def test_every_rule_that_ran_is_in_the_crate_and_nobody_of_this_machine(crate, finished: Checkout):
    ran = {path.stem for path in (finished.path / "results/tiny/logs").iterdir()}
    runs = [item for item in entities(crate, "Computation") if not item["name"].startswith("Snakemake")]
    assert {item["name"].split(" ")[0] for item in runs} == ran
    assert {
        item[key] for item in [*runs, *entities(crate, "Dataset")] for key in ("author", "runBy") if item.get(key)
    } == {"Nobody"}
