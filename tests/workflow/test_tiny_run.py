"""What a user would check of a finished run: files, times, numbers, labels, tables, logs, reproducibility."""

import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from deepcams.calendar import MISSING, Month, hour_status
from deepcams.files.checksum import check_sidecar, sha256
from deepcams.files.netcdf import Encoding, read_field, write_field
from deepcams.files.rounding import round_mantissa
from deepcams.grid.blocks import block_mean
from deepcams.grid.nodes import Region, coarse_grid, from_axes, locate, refine
from deepcams.inference.month import downscale_temporal
from deepcams.inference.spatial import refine_frames
from deepcams.inference.temporal import hourly_fields
from deepcams.models.checkpoint import load, read
from deepcams.product.downscale import downscale_spatial
from deepcams.report import plot
from deepcams.sources.cams import retrieve_month
from deepcams.validation.skill import MAIN_BASELINES
from deepcams.validation.summary import FILES as VALIDATION
from tests.workflow.conftest import jobs_in

pytestmark = pytest.mark.xdist_group("workflow")

MONTHS = ("2019-12", "2020-01")
YEARS = ("2019", "2020")
REGION = Region(north=33.0, west=75.0, south=26.25, east=83.25)
HALO = 31
PICTURES = tuple(name for name in plot.FIGURES if name not in plot.SUFFIXES)
FIGURES = (*PICTURES, "differences", "months")
STAGES = ("temporal", "spatial")
NETWORKS = {"temporal": "flow_residual", "spatial": "pixel_shuffle"}
PLACES = {stage: f"{stage}/{network}" for stage, network in NETWORKS.items()}
TRAININGS = [(experiment, stage) for experiment in ("simulation", "real") for stage in STAGES]
HOUR = np.timedelta64(1, "h")


@pytest.fixture(scope="module")
def results(finished) -> Path:
    return finished.path / "results/tiny"


def opened(path, engine="h5netcdf") -> xr.Dataset:
    with xr.open_dataset(path, engine=engine) as dataset:
        return dataset.load()


@pytest.fixture(scope="module")
def years(results) -> dict[str, xr.Dataset]:
    return {year: opened(results / year / "pm25_hourly.nc") for year in YEARS}


@pytest.fixture(scope="module")
def raw(results) -> dict[str, xr.DataArray]:
    return {month: opened(results / f"raw/cams/{month}.nc").pm25 for month in MONTHS}


def test_everything_that_was_promised_is_there(results):
    names = [f"{year}/pm25_hourly.nc" for year in YEARS]
    names += [f"raw/cams/{month}.nc" for month in MONTHS] + [f"raw/openaq/{month}.csv.gz" for month in MONTHS]
    names += [f"raw/geoscf/{month}.nc" for month in MONTHS]
    names += [f"{stage}/{month}.nc" for stage in ("temporal", "spatial") for month in MONTHS]
    names += [f"collocated/{month}.nc" for month in MONTHS]
    names += [f"models/{experiment}/{PLACES[stage]}/model.safetensors" for experiment, stage in TRAININGS]
    names += ["models/simulation/spatial/least_squares/model.safetensors"]
    names += [f"validation/{year}/{name}.npz" for year in YEARS for name in ("means", "clicks")]
    names += [f"nature_run/truth/{month}.nc" for month in MONTHS]
    for name in names:
        check_sidecar(results / name, results / f"{name}.sha256")
    endings = (".csv", ".md", "_table.csv", "_days.csv", "_skill.csv")
    endings += tuple(f"/{name}/2020-01{kind}.csv" for name in ("baselines", "pretrained") for kind in ("", "-days"))
    others = [f"evaluation/{stage}{ending}" for stage in (*STAGES, "joint") for ending in endings]
    others += [f"evaluation/{PLACES[stage]}/2020-01.csv" for stage in STAGES]
    others += [f"evaluation/{stage}_zoom.npz" for stage in STAGES]
    others += [f"report/figures/evaluation_{stage}_zoom.png" for stage in STAGES]
    others += [f"models/{e}/{PLACES[s]}/{name}" for e, s in TRAININGS for name in ("last.safetensors", "curves.csv")]
    others += [f"report/figures/{year}/training_{e}_{s}_{NETWORKS[s]}.png" for year in YEARS for e, s in TRAININGS]
    others += [f"shards/{month}/{name}" for month in MONTHS for name in ("fine.npy", "coarse.npy", "index.json")]
    others += [f"report/{page}.html" for page in (*YEARS, "index")]
    others += [f"report/figures/{year}/{name}.png" for year in YEARS for name in FIGURES]
    others += [f"report/figures/{year}/{name}" for year in YEARS for name in ("animation.gif", "slider.json")]
    others += [f"validation/{year}/{name}" for year in YEARS for name in VALIDATION if not name.endswith(".npz")]
    others += [f"collocated/{month}_counts.csv.gz" for month in MONTHS]
    others += ["validation/years.csv", "report/figures/years.png", "report/software.cdx.json"]
    assert [name for name in others if not (results / name).stat().st_size] == []


def test_nothing_temporary_is_left(finished, results):
    left = [path for path in results.rglob("*") if path.name.startswith(".") or ".part" in path.name]
    assert left == []
    for kind in ("locks", "incomplete"):  # dry runs leave the empty folders
        assert list((finished.path / ".snakemake" / kind).glob("*")) == []


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_both_years_open_and_their_hours_run_on_across_the_new_year(results, years, engine):
    datasets = [opened(results / year / "pm25_hourly.nc", engine) for year in YEARS]
    times = np.concatenate([dataset.time.values for dataset in datasets])
    np.testing.assert_array_equal(times, np.arange("2019-12-01", "2020-02-01", HOUR, dtype="datetime64[h]"))
    for year, dataset in zip(YEARS, datasets, strict=True):
        assert dataset.pm25.dims == ("time", "latitude", "longitude")
        assert dataset.pm25.dtype == np.float32
        np.testing.assert_array_equal(dataset.pm25, years[year].pm25)
        np.testing.assert_array_equal(dataset.latitude, np.arange(33.0, 26.0, -0.25))
        np.testing.assert_array_equal(dataset.longitude, np.arange(75.0, 83.5, 0.25))
        assert (dataset.pm25.min() >= 0).item()


def test_both_years_are_encoded_alike(years):
    keys = ("dtype", "chunksizes", "zlib", "shuffle", "complevel", "compression", "compression_opts", "_FillValue")
    one, other = ({key: years[year].pm25.encoding.get(key) for key in keys} for year in YEARS)
    assert repr(one) == repr(other)
    assert one["shuffle"]
    assert one["chunksizes"] == (24, 28, 34)
    assert years["2019"].pm25.attrs == years["2020"].pm25.attrs
    bits = years["2019"].pm25.values.view(np.uint32)
    assert not (bits & 0xFFFF).any()  # 7 of 23 bits of the mantissa are kept
    assert (bits & 0x10000).any()


def test_fields_are_kept_with_the_halo_that_networks_and_closure_need(results):
    around = coarse_grid(REGION, HALO)
    for name, grid in (("cams", around), ("geoscf", refine(around))):
        for month in MONTHS:
            field = opened(results / f"raw/{name}/{month}.nc").pm25
            np.testing.assert_array_equal(field.latitude, grid.latitude)
            np.testing.assert_array_equal(field.longitude, grid.longitude)


def test_analyses_pass_unchanged_and_the_network_fills_the_hours_between(results, raw):
    """What it gives after a few steps is not linear interpolation, from which it started, but near it."""
    for month in MONTHS:
        hourly = opened(results / f"temporal/{month}.nc").pm25
        analyses = raw[month]
        assert analyses.sizes["time"] == 8 * 31 + 1
        np.testing.assert_array_equal(hourly.time.values, Month.parse(month).hours().astype(hourly.time.dtype))
        np.testing.assert_array_equal(hourly.values[::3], analyses.values[:-1])
        assert np.isfinite(hourly.values).all()
        first, last = analyses.values[:-1].astype("f8"), analyses.values[1:].astype("f8")
        change = np.sqrt(np.mean((last - first) ** 2))
        for step in (1, 2):
            difference = hourly.values[step::3] - ((3 - step) * first + step * last) / 3
            assert 1e-6 * change < np.sqrt(np.mean(difference**2)) < 0.1 * change


def test_block_means_of_the_product_are_the_analyses(years, raw):
    grid = coarse_grid(REGION)
    for year, month in zip(YEARS, MONTHS, strict=True):
        analyses = raw[month].sel(latitude=grid.latitude, longitude=grid.longitude).values[:-1].astype("f8")
        # A block's mean is checked by plain summation; 1:-1, because blocks at the edge reach beyond the region.
        fine = years[year].pm25.values[::3].astype("f8")
        weights = np.cos(np.deg2rad(years[year].latitude.values))[:, None]
        inside = (fine * weights)[:, 2:-2, 2:-2].reshape(len(fine), 8, 3, 10, 3).sum(axis=(2, 4))
        area = (weights * np.ones(34))[2:-2, 2:-2].reshape(8, 3, 10, 3).sum(axis=(1, 3))
        target = np.maximum(analyses, 0)[:, 1:-1, 1:-1]
        error = np.abs(inside / area - target) / np.maximum(target, 0.01)
        assert error.max() < 0.004
        assert years[year].attrs["closure_max_relative_error"] < 0.004
        means = block_mean(fine, grid)[:, 1:-1, 1:-1]
        assert (np.abs(means - target) / np.maximum(target, 0.01)).max() < 0.004


def test_the_status_of_every_hour(years, raw):
    """The last analysis delivered is that of the day after the record, so no hour of it is missing."""
    last = raw["2020-01"].time.values[-1].astype("datetime64[s]")
    assert last == np.datetime64("2020-02-01T00:00:00")
    for year in YEARS:
        status = years[year].time_status
        hours = years[year].time.values.astype("datetime64[s]")
        np.testing.assert_array_equal(status, hour_status(hours, np.datetime64("2019-12-01T00:00:00"), last))
        assert (status.values[::3] == 0).all()
        assert (status.values[1::3] > 0).all()
        assert (status.values != MISSING).all()
        assert status.attrs["flag_meanings"].split()[MISSING] == "missing"
        assert np.isfinite(years[year].pm25.values).all()


def refined(frames, results, coarse):
    """Frames on the grid of `coarse` to the product's region as the product's numbers."""
    network = load(results / f"models/real/{PLACES['spatial']}/model.safetensors", "spatial")
    grid = from_axes(coarse.latitude.values, coarse.longitude.values)[0]
    fine = refine_frames(frames, grid, coarse_grid(REGION), network, "block_mean")
    round_mantissa(fine, 7)
    return fine


def assert_same_but_for_rounding(one, other):
    """Equal; but networks add in another order where fields have another size, and a value halfway between two that 7
    bits can hold may then go to the other one.
    """
    differ = one != other
    assert differ.sum() <= 1 + one.size / 10_000
    np.testing.assert_allclose(one[differ], other[differ], rtol=2**-7)


def test_joined_months_equal_an_unjoined_run_around_the_new_year(results, years, raw):
    before, after = raw["2019-12"], raw["2020-01"]
    np.testing.assert_array_equal(before.values[-1], after.values[0])
    frames = np.concatenate([before.values[-3:-1], after.values[:2]])  # 18 and 21 UTC, 00 and 03 UTC
    times = np.concatenate([before.time.values[-3:-1], after.time.values[:2]]).astype("datetime64[s]")
    hours = np.arange(times[0], times[-1] + HOUR, HOUR)
    network = load(results / f"models/real/{PLACES['temporal']}/model.safetensors", "temporal")
    grid = from_axes(before.latitude.values, before.longitude.values)[0]
    expected = refined(np.stack(list(hourly_fields(frames, times, hours, network, grid))), results, before)
    joined = xr.concat([years[year].pm25 for year in YEARS], "time").sel(time=slice(hours[0], hours[-1]))
    np.testing.assert_array_equal(joined.time.values.astype("datetime64[s]"), hours)
    assert_same_but_for_rounding(joined.values, expected)


def test_the_region_equals_the_same_box_of_a_larger_region(results, years, tmp_path):
    """January once more for a region that is larger on all sides, from the same source file."""
    larger = Region(north=34.5, west=73.5, south=24.75, east=84.75)
    month = Month.parse("2020-01")
    field = retrieve_month(
        "nature_run", month, path=str(results / "nature_run/ads/{year}-{month}.nc"), grid=coarse_grid(larger, HALO - 2)
    )
    write_field(tmp_path / "raw.nc", field, Encoding())
    models = {stage: results / f"models/real/{PLACES[stage]}/model.safetensors" for stage in STAGES}
    downscale_temporal(tmp_path / "raw.nc", models["temporal"], month, tmp_path / "hourly.nc", ends_record=True)
    downscale_spatial(
        tmp_path / "hourly.nc",
        models["spatial"],
        tmp_path / "fine.nc",
        region=larger,
        closure="block_mean",
        mantissa_bits=7,
        level=1,
        code="-",
        threads=1,
    )
    rows, columns = locate(refine(coarse_grid(REGION)), refine(coarse_grid(larger)))
    box = read_field(tmp_path / "fine.nc").values[:, rows][:, :, columns]
    assert_same_but_for_rounding(box, years["2020"].pm25.values)


def test_the_synthetic_label_is_everywhere(results, years):
    sentence = years["2019"].attrs["synthetic"]
    assert "nature run" in sentence
    fields = [*results.glob("*/*.nc"), *results.glob("raw/*/*.nc"), *results.glob("nature_run/truth/*.nc")]
    assert len(fields) >= 2 * 6  # years, temporal, spatial, truth, CAMS, GEOS-CF
    for path in fields:
        assert opened(path).attrs["synthetic"] == sentence, path
    for year in YEARS:
        about = years[year].attrs
        assert about["title"].startswith("Synthetic ")
        assert about["source"] == "synthetic nature run"
        assert "Copernicus Atmosphere Monitoring Service information" not in about["license"]
        assert json.loads((results / f"validation/{year}/summary.json").read_text())["synthetic"] == sentence
    for page in (*YEARS, "index"):
        html = (results / f"report/{page}.html").read_text()
        assert sentence[1:].rstrip(".") in html  # the first letter is a capital there
        assert "Nothing on this page is a measurement" in html


def test_the_report_needs_nothing_but_itself(results):
    for year in YEARS:
        html = (results / f"report/{year}.html").read_text()
        # The figure of months says nothing new of a single one.
        assert html.count('<figure class="picture') == len(FIGURES) - 1 + len(STAGES) + len(TRAININGS)
        assert not re.search(r"src=[\"'](?:https?:)?//|<link|@import|fetch\(", html)  # links to papers load nothing
        assert not re.search(r">\s*(nan|none|inf)\b[^<.]{0,9}<", html, flags=re.IGNORECASE)
    index = (results / "report/index.html").read_text()
    assert all(f"{year}.html" in index for year in YEARS)


def test_provenance_leads_back_to_files_networks_and_settings(results, years):
    networks = {stage: sha256(results / f"models/real/{PLACES[stage]}/model.safetensors")[:16] for stage in STAGES}
    for year, month in zip(YEARS, MONTHS, strict=True):
        about = years[year].attrs
        assert about["source_files"] == f"{month}.nc sha256:{sha256(results / f'nature_run/ads/{month}.nc')}"
        temporal, spatial = f"flow_residual:{networks['temporal']}", f"pixel_shuffle:{networks['spatial']}"
        assert about["networks"] == f"temporal {temporal}; spatial {spatial}"
        assert re.fullmatch("[0-9a-f]{16}", about["configuration_digest"])
        assert about["configuration_digest"] in about["id"]
        assert about["software"].startswith("deepcams ")
        assert about["Conventions"] == "CF-1.11, ACDD-1.3"
        assert about["time_coverage_start"] == f"{month}-01T00:00:00Z"
        assert about["time_coverage_end"] == f"{month}-31T23:00:00Z"
    assert years["2019"].attrs["configuration_digest"] == years["2020"].attrs["configuration_digest"]


def table(path) -> list[dict]:
    """The rows of a CSV file, numbers as numbers."""

    def value(text):
        try:
            return float(text)
        except ValueError:
            return text

    with open(path, newline="") as stream:
        return [{key: value(text) for key, text in row.items()} for row in csv.DictReader(stream)]


def test_trainings_leave_the_best_weights_the_last_ones_and_their_curves(results):
    months = {"simulation": MONTHS[:1], "real": MONTHS}
    networks = {"temporal": ("flow_residual", 56), "spatial": ("pixel_shuffle", 64)}
    for experiment, stage in TRAININGS:
        folder = results / f"models/{experiment}/{PLACES[stage]}"
        assert not (folder / "training.pt").exists()  # what a killed training would go on from
        curves = table(folder / "curves.csv")
        assert [row["step"] for row in curves] == list(range(1, 21))
        scores = [row["score"] for row in curves]
        assert np.isfinite([list(row.values()) for row in curves]).all()
        best, last = (read(folder / f"{name}.safetensors", stage) for name in ("model", "last"))
        for found, row in ((best, curves[int(np.argmin(scores))]), (last, curves[-1])):
            assert (found.network, found.settings["features"]) == networks[stage]
            assert found.settings["recipe"] == "corrected"
            assert found.settings["training"]["steps"] == 20
            assert list(found.provenance["shards"]) == list(months[experiment])
            assert found.provenance["synthetic"]
            assert found.provenance["validation"]["step"] == row["step"]
            assert found.provenance["validation"]["rmse"] == pytest.approx(row["rmse"], rel=1e-5)
        assert any((best.weights[name] != last.weights[name]).any() for name in best.weights)


TIME = ["linear", "nearest", "linear_as_printed", "optical_flow", "pretrained", "flow_residual"]
SPACE = ["nearest", "bilinear", "bicubic", "lanczos3", "conservative", "bicubic+closure", "pretrained+closure",
         "least_squares+closure", "pixel_shuffle+closure"]  # fmt: skip
BOTH = ["linear+bicubic", "linear+bilinear", "linear+bicubic+closure", "linear_as_printed+bicubic",
        "bicubic+closure+optical_flow", "pretrained+closure", "pretrained+closure, space first",
        "flow_residual+pixel_shuffle+closure", "pixel_shuffle+closure+flow_residual"]  # fmt: skip
# Stage → degrees, operator, frames of January that are scored (every fifth interval or hour), methods, how many of them
# are baselines.
EXPERIMENT = {
    "temporal": [(0.75, None, 100, TIME, 4), (0.25, None, 100, TIME, 4)],
    "spatial": [(0.25, operator, 149 if operator == "block_mean" else 124, SPACE, 6)
                for operator in ("block_mean", "imresize", "gaussian", "point")],
    "joint": [(0.25, None, 100, BOTH, 5)],
}  # fmt: skip


@pytest.mark.parametrize("stage", EXPERIMENT)
def test_the_tables_of_the_experiment(stage, results):
    rows = table(results / f"evaluation/{stage}.csv")
    skill = table(results / f"evaluation/{stage}_skill.csv")
    own = {"temporal": "flow_residual", "spatial": "pixel_shuffle+closure", "joint": BOTH[-2]}[stage]
    count = 0
    for number, (step, operator, frames, methods, baselines) in enumerate(EXPERIMENT[stage]):
        part = [row for row in rows if row["step"] == step and row.get("degradation") == operator]
        assert [row["method"] for row in part] == methods
        assert [row["method"] for row in part if row["configured"] == "True"] == [own]
        assert [row["method"] for row in part if row["baseline"] == "True"] == methods[:baselines]
        assert {(row["month"], row["frames"]) for row in part} == {("2020-01", frames)}
        assert len({row["n"] for row in part}) == 1
        assert all(0.5 < row["r"] < 1 and 0 < row["mae"] < row["rmse"] for row in part)
        rmse = {row["method"]: row["rmse"] for row in part}
        if not number:
            assert rmse[own] < rmse[MAIN_BASELINES[stage]]
        found = [
            row for row in skill if (row["metric"], row["step"], row["degradation"]) == ("rmse", step, operator or "")
        ]
        pairs = [(row["configured"], row["baseline"]) for row in found if row["kind"] != "order"]
        networks = [own, *(name for name in methods[baselines:] if name != own)]
        assert pairs == [(network, baseline) for network in networks for baseline in methods[:baselines]]
        orders = {(row["configured"], row["baseline"]) for row in found if row["kind"] == "order"}
        assert orders == ({tuple(BOTH[5:7]), tuple(BOTH[7:])} if stage == "joint" else set())
        for row in found:
            percent = 100 * (rmse[row["configured"]] / rmse[row["baseline"]] - 1)
            assert row["difference_percent"] == pytest.approx(percent, abs=0.01)
            assert row["low_percent"] < percent < row["high_percent"]
            expected = (
                "operator" if number and stage == "spatial" else "configured" if row["configured"] == own else "further"
            )
            assert row["kind"] in (expected, "order")
        count += len(part)
    assert len(rows) == count


def test_the_tables_for_people_have_the_papers_layout(results):
    for stage, parts in EXPERIMENT.items():
        lines = (results / f"evaluation/{stage}.md").read_text().splitlines()
        months = [line.split("|")[1].strip() for line in lines if line.startswith(("| month", "| 20", "| av"))]
        steps = len({step for step, *_ in parts})
        assert months == ["month", "2020-01", "average"] * (4 * steps)  # the paper's, and one for each score
        layout = table(results / f"evaluation/{stage}_table.csv")
        assert [row["month"] for row in layout] == ["2020-01", "average"] * steps
        assert ("rmse DeepCAMS, printed" in layout[-1]) == (stage != "joint")
    assert table(results / "evaluation/temporal_table.csv")[-1]["mae DeepCAMS, printed"] == 0.35  # of January 2020


def test_every_job_has_a_quiet_log_and_a_benchmark(finished, results):
    listing = finished.snakemake("--dry-run", "--forceall", "all")
    jobs = jobs_in(listing.stdout)
    assert sum(jobs.values()) > 25
    for job in jobs:
        name = job.replace(" ", "/")
        log = (results / f"logs/{name}.log").read_text()
        assert not re.search("warning|traceback|error|exception", log, flags=re.IGNORECASE), f"{job}: {log}"
        benchmark = [json.loads(line) for line in (results / f"benchmarks/{name}.jsonl").read_text().splitlines()]
        assert len(benchmark) == 1
        assert benchmark[0]["s"] > 0


def test_the_run_itself_is_quiet(finished):
    logs = sorted((finished.path / ".snakemake/log").glob("*.log"), key=lambda path: path.stat().st_size)
    text = logs[-1].read_text()
    assert "(100%) done" in text
    assert not re.search("warning|traceback|exception", text, flags=re.IGNORECASE)


NAMES = [f"models/simulation/{place}/model.safetensors" for place in (*PLACES.values(), "spatial/least_squares")]


def test_what_is_made_again_is_the_same_to_the_byte(finished, results):
    paths = [results / name for name in (*NAMES, "temporal/2020-01.nc", "spatial/2020-01.nc")]
    before = [(path.stat().st_ino, path.read_bytes()) for path in paths]
    process = finished.snakemake("--force", *(str(path.relative_to(finished.path)) for path in paths))
    assert process.returncode == 0, process.stdout
    assert not re.search("warning|traceback|exception", process.stdout, flags=re.IGNORECASE)
    for path, (node, content) in zip(paths, before, strict=True):
        assert path.stat().st_ino != node
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(content).digest(), path.name


def test_a_second_run_has_nothing_to_do(finished):
    process = finished.snakemake("all")
    assert process.returncode == 0
    assert "Nothing to be done" in process.stdout


def test_snakemakes_own_report_is_made_offline(finished, tmp_path):
    page = tmp_path / "report.html"
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    process = finished.snakemake("all", "--report", str(page), **nowhere)
    assert process.returncode == 0, process.stdout
    assert "Traceback" not in process.stdout
    html = page.read_text()
    for figure in FIGURES:
        assert f"{figure}.png" in html
    for rule in ("downscale_spatial", "assemble_year", "validate_year"):
        assert rule in html
