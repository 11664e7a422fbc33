"""Only stale steps rerun: the exact jobs that follow from every kind of change."""

import gzip
import os
import re
import shutil
import time
from collections import Counter

import pytest

from deepcams.config.networks import FEATURES

pytestmark = pytest.mark.xdist_group("workflow")

MONTHS = ("2019-12", "2020-01")
YEARS = ("2019", "2020")


def jobs(*names):
    """Counter of jobs, each once; "rule *" stands for the rule's jobs of both months, "rule +" for both years'."""
    found = set()
    for name in names:
        rule, _, which = name.partition(" ")
        places = {"*": MONTHS, "+": YEARS}.get(which, (which,))
        found |= {f"{rule} {place}".strip() for place in places}
    return Counter(found)


TEST = "2020-01"
PAGES = ("write_year_report +", "write_report")
FIGURES = ("plot_year +", *PAGES)
VALIDATION = ("validate_year +", *FIGURES)
STATIONS = ("collocate_stations *", *VALIDATION)
ASSEMBLY = ("assemble_year +", *VALIDATION)
PRODUCT = ("downscale_spatial *", "assemble_year +", *STATIONS)  # from the hourly coarse fields on
# What scores networks; each list ends with the tables, and leads to the reports that show them.
TABLES = ("summarise_evaluation",)
OWN = {"temporal": "flow_residual", "spatial": "pixel_shuffle", "joint": "flow_residual+pixel_shuffle"}


def scores(stage, *methods):
    """Jobs that score methods of a stage; "own" is the configured network."""
    return tuple(f"evaluate_{stage} {OWN[stage] if method == 'own' else method}-{TEST}" for method in methods)


ALL = ("baselines", "pretrained", "own")
ZOOMS = ("plot_zoom temporal", "plot_zoom spatial")
SPATIAL_SCORES = (*scores("spatial", "own"), *scores("joint", "own"), "cut_zoom spatial", "plot_zoom spatial", *TABLES)
TEMPORAL_SCORES = (
    *scores("temporal", "own"), *scores("joint", "own"), "cut_zoom temporal", "plot_zoom temporal", *TABLES
)  # fmt: skip
OWN_SCORES = tuple(dict.fromkeys((*TEMPORAL_SCORES, *SPATIAL_SCORES)))
SHIPPED = {stage: (*scores(stage, "pretrained"), *scores("joint", "pretrained")) for stage in ("temporal", "spatial")}
LEAST_SQUARES = ("derive_network simulation-spatial-least_squares", *scores("spatial", "least_squares"))
ALL_SCORES = (
    *scores("temporal", *ALL), *scores("spatial", *ALL, "least_squares"), *scores("joint", *ALL),
    "cut_zoom temporal", "cut_zoom spatial", *ZOOMS, *TABLES,
)  # fmt: skip
# What follows from the networks of one stage, and of both.
TEMPORAL = ("downscale_temporal *", *TEMPORAL_SCORES, *PRODUCT)
SPATIAL = (*SPATIAL_SCORES, *PRODUCT)
TRAIN_TEMPORAL = ("train_temporal simulation-flow_residual", "train_temporal real-flow_residual")
TRAIN_SPATIAL = ("train_spatial simulation-pixel_shuffle", "train_spatial real-pixel_shuffle")
TRAIN = (*TRAIN_TEMPORAL, *TRAIN_SPATIAL)
FOLLOWING = ("downscale_temporal *", *PRODUCT)
NETWORKS = (*TRAIN, *OWN_SCORES, *FOLLOWING)
DATA = (*TRAIN, LEAST_SQUARES[0], *ALL_SCORES, *FOLLOWING)


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
    ("the figures' style", "src/deepcams/report/style.py", *IMPORT, (*FIGURES, *ZOOMS)),
    ("the figure of the trainings", "src/deepcams/report/training_figure.py", *IMPORT, PAGES),
    ("the report's page", "src/deepcams/report/shell.py", "LARGEST = 10_000_000", "LARGEST = 9_000_000", PAGES),
    ("the page's looks", "src/deepcams/report/page.css", "figure {", "figure  {", PAGES),
    ("the page's template", "src/deepcams/report/page.html", "</body>", "<!-- x --></body>", PAGES),
    ("an operator of the degradation", "src/deepcams/degrade/operators.py", "4 * sigma + 0.5", "5 * sigma",
     ("degrade_geoscf *", *DATA)),
    ("the assembly", "src/deepcams/product/year.py", "    join_files(", "    assert months\n    join_files(", ASSEMBLY),
    ("the version", "src/deepcams/version.py", '"0.1.0"', '"0.2.0"', ()),
    ("the quality control", "src/deepcams/validation/quality.py", "905.0", "906.0", STATIONS),
    ("how pairs are scored", "src/deepcams/validation/pair_scores.py", *IMPORT, VALIDATION),
    ("a network for time", "src/deepcams/models/flow_residual.py", *IMPORT,
     (*TRAIN_TEMPORAL, *TEMPORAL, *SHIPPED["temporal"])),
    ("a network for space", "src/deepcams/models/pixel_shuffle.py", *IMPORT,
     (*TRAIN_SPATIAL, *SPATIAL, *SHIPPED["spatial"])),
    ("least squares", "src/deepcams/models/least_squares.py", *IMPORT, (*LEAST_SQUARES, *TABLES, *PAGES)),
    ("how least squares are solved", "src/deepcams/training/least_squares.py", *IMPORT,
     (*LEAST_SQUARES, *TABLES, *PAGES)),
    ("the tables' layout", "src/deepcams/validation/tables.py", *IMPORT, (*TABLES, *PAGES)),
    ("what the paper prints", "src/deepcams/validation/published_tables.csv", "0.9541", "0.9542", (*TABLES, *PAGES)),
    ("the figure of a moment", "src/deepcams/report/zoom_figure.py", *IMPORT,
     (*ZOOMS, *PAGES)),
    ("networks not configured: for time", "src/deepcams/models/xvfi.py", *IMPORT, ()),
    ("networks not configured: for space", "src/deepcams/models/abpn.py", *IMPORT, ()),
    ("an interpolation, a baseline of the scores", "src/deepcams/models/temporal_interpolation.py", *IMPORT,
     (*ALL_SCORES, *VALIDATION)),
    ("how networks learn in time", "src/deepcams/training/temporal.py", *IMPORT, (*TRAIN_TEMPORAL, *TEMPORAL)),
    ("how networks learn in space", "src/deepcams/training/spatial.py", *IMPORT, (*TRAIN_SPATIAL, *SPATIAL)),
    ("the losses", "src/deepcams/training/losses.py", *IMPORT, NETWORKS),
    ("how networks are run", "src/deepcams/models/frames.py", *IMPORT,
     (*NETWORKS, *SHIPPED["temporal"], *SHIPPED["spatial"], *LEAST_SQUARES)),
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
    made = {f"derive_network {e}-{n}" for e in ("simulation", "real") for n in ("temporal-linear", "spatial-bicubic")}
    assert {job for job in plan if job.startswith(("train", "derive"))} == made
    try:
        edit(path, *IMPORT)
        assert finished.planned("all", "--config", "networks=interpolation") == plan
    finally:
        path.write_text(before)


def instead(network, stage, pair):
    """Jobs of an interpolation in place of a network: its model files, its scores, and what follows."""
    return (
        f"derive_network simulation-{stage}-{network}", f"derive_network real-{stage}-{network}",
        f"evaluate_{stage} {network}-{TEST}", f"evaluate_joint {pair}-{TEST}",
        f"cut_zoom {stage}", f"plot_zoom {stage}", *TABLES, *PRODUCT,
    )  # fmt: skip


def comparing(**networks):
    """The setting that has further networks compared, by stage."""
    return f"experiments={{simulation: {{compare: {{{', '.join(f'{k}: [{v}]' for k, v in networks.items())}}}}}}}"


SCORED = (*(job for job in ALL_SCORES if "zoom" not in job), *PAGES)
# Closure follows all networks for space that are scored, as they would be run.
CLOSURE = (*SPATIAL, *scores("spatial", "pretrained", "least_squares"), *scores("joint", "pretrained"))
# (settings, jobs that follow); None: all there are
SETTINGS = [
    ("spatial={closure: none}", CLOSURE),
    ("recipe=published", CLOSURE),  # light networks are the same in every recipe, but for the closure after them
    ("recipe=as_printed", CLOSURE),
    (comparing(spatial="abpn"),
     ("train_spatial simulation-abpn", f"evaluate_spatial abpn-{TEST}", f"evaluate_joint flow_residual+abpn-{TEST}",
      *TABLES, *PAGES)),
    (comparing(temporal="xvfi", spatial="pixel_shuffle"),
     ("train_temporal simulation-xvfi", f"evaluate_temporal xvfi-{TEST}", f"evaluate_joint xvfi+pixel_shuffle-{TEST}",
      *TABLES, *PAGES)),
    ("experiments={simulation: {every: 4}}", SCORED),
    ("inference={precision: auto}", FOLLOWING),
    ("encoding={compression: 2}", PRODUCT),
    ("author={creator_name: A. Person}", ASSEMBLY),
    ("validation={maximum: 1000}", STATIONS),
    ("comparison={station_pairs: 30}", VALIDATION),
    ("comparison={collocation: bilinear}", STATIONS),
    ("report={dpi: 70}", (*FIGURES, *ZOOMS)),
    ("degradation={operator: point}", ("degrade_geoscf *", *DATA)),
    ("degradation={sigma: 1.5}", ("degrade_geoscf *", *DATA)),
    ("temporal={training: {learning_rate: 0.01}}", (*TRAIN_TEMPORAL, *TEMPORAL)),
    ("spatial={training: {learning_rate: 0.01}}", (*TRAIN_SPATIAL, *SPATIAL)),
    ("temporal={training: {workers: 0}}", ()),  # no matter for what is learnt
    ("spatial={training: {threads: 2}}", (*TRAIN_SPATIAL, *SPATIAL)),  # the last digits depend on it
    (f"temporal={{features: {FEATURES['flow_residual']['corrected']}}}", ()),  # as the recipe says anyway
    ("temporal={network: linear}", ("downscale_temporal *", *instead("linear", "temporal", "linear+pixel_shuffle"))),
    ("spatial={network: bicubic}", instead("bicubic", "spatial", "flow_residual+bicubic")),
    ("spatial={network: least_squares}",
     ("derive_network real-spatial-least_squares", f"evaluate_joint flow_residual+least_squares-{TEST}",
      "cut_zoom spatial", "plot_zoom spatial", *TABLES, *PRODUCT)),
    ("networks=interpolation",
     ("downscale_temporal *", *instead("linear", "temporal", "linear+bicubic"),
      *instead("bicubic", "spatial", "linear+bicubic"))),
    ("nature_run={seed: 2}", None),
    ("region={north: 33.0, west: 75.0, south: 26.25, east: 84.0}", None),
]  # fmt: skip


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
