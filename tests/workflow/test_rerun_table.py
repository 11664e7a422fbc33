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


TEST = "2020-01"
PAGES = ("write_year_report +", "write_report")
FIGURES = ("plot_year +", *PAGES)
VALIDATION = ("validate_year +", *FIGURES)
STATIONS = ("collocate_stations *", *VALIDATION)
ASSEMBLY = ("assemble_year +", *VALIDATION)
PRODUCT = ("downscale_spatial *", "assemble_year +", *STATIONS)  # from the hourly coarse fields on
# What scores networks; each list ends with the tables, and leads to the reports that show them.
TABLES = ("summarise_evaluation",)
SPATIAL_SCORES = (f"evaluate_spatial {TEST}", f"evaluate_joint {TEST}", *TABLES)
TEMPORAL_SCORES = (f"evaluate_temporal {TEST}", f"evaluate_joint {TEST}", *TABLES)
SCORES = (f"evaluate_temporal {TEST}", *SPATIAL_SCORES)
# What follows from the networks of one stage, and of both.
TEMPORAL = ("downscale_temporal *", *TEMPORAL_SCORES, *PRODUCT)
SPATIAL = (*SPATIAL_SCORES, *PRODUCT)
TRAIN_TEMPORAL = ("train_temporal simulation", "train_temporal real")
TRAIN_SPATIAL = ("train_spatial simulation", "train_spatial real")
NETWORKS = (*TRAIN_TEMPORAL, *TRAIN_SPATIAL, "downscale_temporal *", *SCORES, *PRODUCT)


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, 1))


# (name, file, old text, new text, jobs that follow)
IMPORT = ("\nimport", "\nX = 1\nimport")
EDITS = [
    ("a comment in a module", "src/deepcams/grid/nodes.py", "# degrees", "# in degrees", ()),
    ("a docstring", "src/deepcams/degrade/operators.py", "Make a coarse field", "Make one coarse field", ()),
    ("a comment in a script", "workflow/scripts/assemble_year.py", "\nwith", "\n# Join.\nwith", ()),
    ("a plotting function", "src/deepcams/report/station_figures.py", *IMPORT, FIGURES),
    ("the figures' style", "src/deepcams/report/style.py", *IMPORT, FIGURES),
    ("the figure of the trainings", "src/deepcams/report/training_figure.py", *IMPORT, PAGES),
    ("the report's page", "src/deepcams/report/page.py", "LARGEST = 10_000_000", "LARGEST = 9_000_000", PAGES),
    ("the page's template", "src/deepcams/report/page.html", "</body>", "<!-- x --></body>", PAGES),
    ("an operator of the degradation", "src/deepcams/degrade/operators.py", "4 * sigma + 0.5", "5 * sigma",
     ("degrade_geoscf *", *NETWORKS)),
    ("the assembly", "src/deepcams/product/year.py", "    join_files(", "    assert months\n    join_files(", ASSEMBLY),
    ("the version", "src/deepcams/version.py", '"0.1.0"', '"0.2.0"', ()),
    ("the quality control", "src/deepcams/validation/quality.py", "2000.0", "1999.0", STATIONS),
    ("a network for time", "src/deepcams/models/flow_residual.py", *IMPORT, (*TRAIN_TEMPORAL, *TEMPORAL)),
    ("a network for space", "src/deepcams/models/pixel_shuffle.py", *IMPORT, (*TRAIN_SPATIAL, *SPATIAL)),
    ("networks not configured: for time", "src/deepcams/models/xvfi.py", *IMPORT, ()),
    ("networks not configured: for space", "src/deepcams/models/abpn.py", *IMPORT, ()),
    ("an interpolation, a baseline of the scores", "src/deepcams/models/temporal_interpolation.py", *IMPORT,
     (*SCORES, *VALIDATION)),
    ("how networks learn in time", "src/deepcams/training/temporal.py", *IMPORT, (*TRAIN_TEMPORAL, *TEMPORAL)),
    ("how networks learn in space", "src/deepcams/training/spatial.py", *IMPORT, (*TRAIN_SPATIAL, *SPATIAL)),
    ("the losses", "src/deepcams/training/losses.py", *IMPORT, NETWORKS),
    ("how networks are run", "src/deepcams/models/frames.py", *IMPORT, NETWORKS),
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


def test_editing_what_teaches_networks_concerns_no_interpolation(finished):
    """Interpolations in place of the networks: the same is to be done whether the losses were edited or not."""
    path = finished.path / "src/deepcams/training/losses.py"
    before = path.read_text()
    plan = finished.planned("all", "--config", "networks=interpolation")
    assert {job for job in plan if job.startswith("train")} == set(TRAIN_TEMPORAL + TRAIN_SPATIAL)
    try:
        edit(path, *IMPORT)
        for target in ("models/real/temporal/model.safetensors", "models/real/spatial/model.safetensors"):
            assert finished.planned(f"results/tiny/{target}") == jobs(f"train_{target.split('/')[2]} real")
        assert finished.planned("all", "--config", "networks=interpolation") == plan
    finally:
        path.write_text(before)


# (settings, jobs that follow); None: all there are
SETTINGS = [
    ("spatial={closure: none}", SPATIAL),
    ("recipe=published", SPATIAL),  # light networks are the same in every recipe, but for the closure after them
    ("recipe=as_printed", SPATIAL),
    ("encoding={compression: 2}", PRODUCT),
    ("validation={maximum: 1000}", STATIONS),
    ("report={dpi: 70}", FIGURES),
    ("degradation={operator: point}", ("degrade_geoscf *", *NETWORKS)),
    ("temporal={training: {learning_rate: 0.01}}", (*TRAIN_TEMPORAL, *TEMPORAL)),
    ("spatial={training: {learning_rate: 0.01}}", (*TRAIN_SPATIAL, *SPATIAL)),
    ("spatial={training: {threads: 2}}", (*TRAIN_SPATIAL, *SPATIAL)),  # the last digits depend on it
    ("temporal={features: 48}", ()),  # as the recipe says anyway
    ("temporal={network: linear}", (*TRAIN_TEMPORAL, *TEMPORAL)),
    ("spatial={network: learned_kernel}", (*TRAIN_SPATIAL, *SPATIAL)),
    ("networks=interpolation", NETWORKS),
    ("nature_run={seed: 2}", None),
    ("region={north: 33.0, west: 75.0, south: 26.25, east: 84.0}", None),
]


@pytest.mark.parametrize(("setting", "expected"), SETTINGS, ids=[case[0] for case in SETTINGS])
def test_setting(finished, setting, expected):
    planned = finished.planned("all", "--config", setting)
    assert planned == (jobs(*expected) if expected is not None else finished.planned("--forceall", "all"))


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
