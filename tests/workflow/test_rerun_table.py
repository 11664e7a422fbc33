"""Only stale steps rerun: the exact jobs that follow from every kind of change."""

import gzip
import os
import re
import shutil
import time
from collections import Counter

import pytest

pytestmark = pytest.mark.xdist_group("workflow")

MONTHS = ("2019-12", "2020-01")
YEARS = ("2019", "2020")


def jobs(*names):
    """Counter of jobs; "rule *" stands for the rule's jobs of both months, "rule +" for those of both years."""
    found = Counter()
    for name in names:
        rule, _, which = name.partition(" ")
        if which == "*":
            found.update(f"{rule} {month}" for month in MONTHS)
        elif which == "+":
            found.update(f"{rule} {year}" for year in YEARS)
        else:
            found[name] += 1
    return found


PAGES = ("write_year_report +", "write_report")
FIGURES = ("plot_year +", *PAGES)
VALIDATION = ("validate_year +", *FIGURES)
STATIONS = ("collocate_stations *", *VALIDATION)
ASSEMBLY = ("assemble_year +", *VALIDATION)
SPATIAL = ("downscale_spatial *", "assemble_year +", *STATIONS)
TABLES = ("summarise_evaluation", *PAGES)
TEST = "2020-01"
SCORES = (f"evaluate_temporal {TEST}", f"evaluate_spatial {TEST}", f"evaluate_joint {TEST}")
EVALUATION = (f"degrade_geoscf {TEST}", *SCORES, *TABLES)


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, 1))


# (name, file, old text, new text, jobs that follow)
EDITS = [
    ("a comment in a module", "src/deepcams/grid/nodes.py", "# degrees", "# in degrees", ()),
    ("a docstring", "src/deepcams/degrade/operators.py", "Make a coarse field", "Make one coarse field", ()),
    ("a comment in a script", "workflow/scripts/assemble_year.py", "\nwith", "\n# Join.\nwith", ()),
    ("a plotting function", "src/deepcams/report/station_figures.py", "\nimport", "\nX = 1\nimport", FIGURES),
    ("the report's page", "src/deepcams/report/page.py", "LARGEST = 10_000_000", "LARGEST = 9_000_000", PAGES),
    ("the page's template", "src/deepcams/report/page.html", "</body>", "<!-- x --></body>", PAGES),
    ("an operator of the degradation", "src/deepcams/degrade/operators.py", "4 * sigma + 0.5", "5 * sigma", EVALUATION),
    ("the assembly", "src/deepcams/product/year.py", "    join_files(", "    assert months\n    join_files(", ASSEMBLY),
    ("training of a network not configured", "src/deepcams/training/kernel.py", "\nimport", "\nX = 1\nimport", ()),
    ("the version", "src/deepcams/version.py", '"0.1.0"', '"0.2.0"', ()),
    ("the quality control", "src/deepcams/validation/quality.py", "2000.0", "1999.0", STATIONS),
    (
        "the network for time",
        "src/deepcams/models/temporal_interpolation.py",
        "\nimport",
        "\nX = 1\nimport",
        ("train_temporal simulation", "train_temporal real", "downscale_temporal *", *SCORES, *TABLES[:1], *SPATIAL),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "old", "new", "expected"), EDITS, ids=[case[0] for case in EDITS])
def test_edit(finished, name, file, old, new, expected):
    path = finished.path / file
    before = path.read_text()
    try:
        edit(path, old, new)
        assert finished.planned() == jobs(*expected)
    finally:
        path.write_text(before)


# (setting, jobs that follow); the training is of a network that learns nothing at present, see below.
SETTINGS = [
    ("spatial={closure: none}", (*SCORES[1:], "summarise_evaluation", *SPATIAL)),
    ("encoding={compression: 2}", SPATIAL),
    ("validation={maximum: 1000}", STATIONS),
    ("report={dpi: 70}", FIGURES),
    ("degradation={operator: point}", EVALUATION),
    ("spatial={training: {learning_rate: 0.01}}", ()),  # bicubic interpolation does not learn
    ("nature_run={seed: 2}", None),
    ("region={north: 33.0, west: 75.0, south: 26.25, east: 84.0}", None),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "expected"), SETTINGS, ids=[case[0] for case in SETTINGS])
def test_setting(finished, setting, expected):
    everything = finished.planned("--forceall", "all")
    planned = finished.planned("all", "--config", setting)
    if expected is None:
        models = jobs(
            "train_temporal simulation", "train_temporal real", "train_spatial simulation", "train_spatial real"
        )
        assert planned == everything - models
    else:
        assert planned == jobs(*expected)


def test_nothing_is_to_be_done_after_a_run(finished):
    process = finished.snakemake("all")
    assert process.returncode == 0
    assert "Nothing to be done" in process.stdout


def test_adding_a_year_leaves_finished_years_alone(finished):
    """The months to the end of the new year are made, and the last one of the old record; nothing of 2019 is."""
    longer = ["cams={last: '2021-01'}", "openaq={last: '2021-01'}"]
    planned = finished.planned("all", "--config", *longer)
    for rule in ("retrieve_cams", "downscale_temporal", "downscale_spatial"):
        months = {job.split()[1] for job in planned if job.startswith(rule)}
        assert months == {*(f"2020-{month:02d}" for month in range(1, 13)), "2021-01"}
    assert {job for job in planned if job.startswith(("assemble", "train", "evaluate"))} == {
        "assemble_year 2020",
        "assemble_year 2021",
    }


def test_extending_the_record_renews_only_its_last_month(finished):
    """2020-01 was the end of the record; with 2020-02 its last two hours can be interpolated."""
    longer = ["cams={last: '2020-02'}", "openaq={last: '2020-02'}"]
    planned = finished.planned("results/tiny/2020/pm25_hourly.nc", "--config", *longer)
    assert {job for job in planned if job.startswith(("downscale", "retrieve"))} == {
        f"{rule} {month}"
        for rule in ("retrieve_cams", "downscale_temporal", "downscale_spatial")
        for month in ("2020-01", "2020-02")
    }


def test_touching_scripts_modules_and_files_of_any_size_reruns_nothing(finished):
    now = time.time()
    for pattern in ("workflow/scripts/*.py", "src/deepcams/**/*.py", "results/tiny/**/*"):
        for path in finished.path.glob(pattern):
            os.utime(path, (now, now))
    large = max((finished.path / "results/tiny").rglob("*.n*"), key=lambda path: path.stat().st_size)
    assert large.stat().st_size > 1_000_000
    assert finished.planned() == Counter()


def test_retrieving_identical_data_again_reruns_nothing(finished):
    process = finished.snakemake("--force", "results/tiny/raw/cams/2020-01.nc")
    assert process.returncode == 0, process.stdout
    assert "retrieve_cams" in process.stdout
    assert finished.planned() == Counter()


@pytest.fixture
def restored(finished):
    """Put back, with its time stamp, whatever a test changes under results/tiny."""
    saved = finished.path / "saved"
    shutil.copytree(finished.path / "results", saved / "results")
    shutil.copytree(finished.path / ".snakemake", saved / ".snakemake")
    yield finished
    for name in ("results", ".snakemake"):
        shutil.rmtree(finished.path / name)
        shutil.copytree(saved / name, finished.path / name)
    shutil.rmtree(saved)


def test_deleting_one_month_of_the_product_costs_nothing_until_its_year_is_wanted(restored):
    results = restored.path / "results/tiny"
    (results / "spatial/2020-01.nc").unlink()
    (results / "temporal/2020-01.nc").unlink()
    assert restored.planned() == Counter()
    (results / "2020/pm25_hourly.nc").unlink()
    assert restored.planned("results/tiny/2020/pm25_hourly.nc") == jobs(
        "downscale_temporal 2020-01", "downscale_spatial 2020-01", "assemble_year 2020"
    )


def test_new_data_in_one_month_of_stations_reaches_that_year_only(restored):
    """The nature run's station files of January change, and with them their manifest."""
    root = restored.path / "results/tiny/nature_run"
    path = sorted((root / "openaq/records").rglob("year=2020/month=01/*.csv.gz"))[3]
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(re.sub(r"(\d)\"?\r?\n$", r"\g<1>1\n", text).encode(), mtime=0))
    manifest = root / "openaq-2020-01.sha256"
    manifest.write_text(manifest.read_text() + "\n")
    assert restored.planned() == jobs(
        "retrieve_openaq 2020-01",
        "collocate_stations 2020-01",
        "validate_year 2020",
        "plot_year 2020",
        "write_year_report 2020",
        "write_report",
    )


def test_new_data_in_one_month_of_cams_reaches_what_follows_from_it(restored):
    manifest = restored.path / "results/tiny/nature_run/ads-2019-12.sha256"
    manifest.write_text(manifest.read_text() + "\n")
    planned = restored.planned()
    assert {job for job in planned if job.startswith(("retrieve", "downscale", "assemble"))} == {
        "retrieve_cams 2019-12",
        "downscale_temporal 2019-12",
        "downscale_spatial 2019-12",
        "assemble_year 2019",
    }


def test_a_changed_learning_rate_retrains_that_stage_and_what_follows(finished):
    """With a network that learns: planned twice, once as it would be trained first and once with another rate."""
    learned = "spatial={network: learned_kernel}"
    target = "results/tiny/models/simulation/spatial/model.safetensors"
    process = finished.snakemake(target, "--config", learned)
    assert process.returncode == 0, process.stdout
    assert finished.planned(target, "--config", learned) == Counter()
    other = "spatial={network: learned_kernel, training: {learning_rate: 0.002}}"
    assert finished.planned(target, "--config", other) == jobs("train_spatial simulation")
    trainer = finished.path / "src/deepcams/training/kernel.py"
    before = trainer.read_text()
    edit(trainer, "\nimport", "\nX = 1\nimport")
    assert finished.planned(target, "--config", learned) == jobs("train_spatial simulation")
    trainer.write_text(before)
    planned = finished.planned("all", "--config", other)
    assert {job for job in planned if job.startswith("train")} == {"train_spatial simulation", "train_spatial real"}
    # Back to the interpolation, which the other tests expect.
    assert finished.snakemake("all").returncode == 0
