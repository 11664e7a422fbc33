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
from deepcams.models.checkpoint import load
from deepcams.product.downscale import downscale_spatial
from deepcams.sources.cams import retrieve_month
from tests.workflow.conftest import jobs_in

pytestmark = pytest.mark.xdist_group("workflow")

MONTHS = ("2019-12", "2020-01")
YEARS = ("2019", "2020")
REGION = Region(north=33.0, west=75.0, south=26.25, east=83.25)
HALO = 8
FIGURES = ("mean", "sequence", "zoom", "scores", "scatter", "series", "diurnal", "stations")
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
    names += ["raw/geoscf/2020-01.nc"]
    names += [f"{stage}/{month}.nc" for stage in ("temporal", "spatial") for month in MONTHS]
    names += [f"collocated/{month}.csv.gz" for month in MONTHS]
    names += [f"models/{e}/{s}/model.safetensors" for e in ("simulation", "real") for s in ("temporal", "spatial")]
    names += [f"validation/{year}/means.npz" for year in YEARS]
    names += [f"nature_run/truth/{month}.nc" for month in MONTHS]
    for name in names:
        check_sidecar(results / name, results / f"{name}.sha256")
    others = [f"evaluation/{stage}.{kind}" for stage in ("temporal", "spatial", "joint") for kind in ("csv", "md")]
    others += [f"report/{page}.html" for page in (*YEARS, "index")]
    others += [f"report/figures/{year}/{name}.png" for year in YEARS for name in FIGURES]
    others += [f"validation/{year}/summary.json" for year in YEARS]
    others += [
        f"validation/{year}/{name}.csv" for year in YEARS for name in ("stations", "diurnal", "scatter", "series")
    ]
    assert [name for name in others if not (results / name).stat().st_size] == []


def test_nothing_temporary_is_left(finished, results):
    left = [path for path in results.rglob("*") if path.name.startswith(".") or ".part" in path.name]
    assert left == []
    assert not (finished.path / ".snakemake/locks").exists()
    assert not any((finished.path / ".snakemake/incomplete").iterdir())


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


def test_analyses_pass_unchanged_and_the_hours_between_are_linear(results, raw):
    for month in MONTHS:
        hourly = opened(results / f"temporal/{month}.nc").pm25
        analyses = raw[month]
        assert analyses.sizes["time"] == 8 * 31 + 1
        np.testing.assert_array_equal(hourly.time.values, Month.parse(month).hours().astype(hourly.time.dtype))
        np.testing.assert_array_equal(hourly.values[::3], analyses.values[:-1])
        first, last = analyses.values[:-1].astype("f8"), analyses.values[1:].astype("f8")
        np.testing.assert_allclose(hourly.values[1::3], (2 * first + last) / 3, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(hourly.values[2::3], (first + 2 * last) / 3, rtol=1e-5, atol=1e-6)


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
    network = load(results / "models/real/spatial/model.safetensors", "spatial")
    grid = from_axes(coarse.latitude.values, coarse.longitude.values)[0]
    fine = refine_frames(frames, grid, coarse_grid(REGION), network, "block_mean")
    round_mantissa(fine, 7)
    return fine


def test_joined_months_equal_an_unjoined_run_around_the_new_year(results, years, raw):
    before, after = raw["2019-12"], raw["2020-01"]
    np.testing.assert_array_equal(before.values[-1], after.values[0])
    frames = np.concatenate([before.values[-3:-1], after.values[:2]])  # 18 and 21 UTC, 00 and 03 UTC
    times = np.concatenate([before.time.values[-3:-1], after.time.values[:2]]).astype("datetime64[s]")
    hours = np.arange(times[0], times[-1] + HOUR, HOUR)
    network = load(results / "models/real/temporal/model.safetensors", "temporal")
    expected = refined(np.stack(list(hourly_fields(frames, times, hours, network, False))), results, before)
    joined = xr.concat([years[year].pm25 for year in YEARS], "time").sel(time=slice(hours[0], hours[-1]))
    np.testing.assert_array_equal(joined.time.values.astype("datetime64[s]"), hours)
    np.testing.assert_array_equal(joined.values, expected)


def test_the_region_equals_the_same_box_of_a_larger_region(results, years, tmp_path):
    """January once more for a region that is larger on all sides, from the same source file."""
    larger = Region(north=34.5, west=73.5, south=24.75, east=84.75)
    month = Month.parse("2020-01")
    field = retrieve_month(
        "nature_run", month, path=str(results / "nature_run/ads/{year}-{month}.nc"), grid=coarse_grid(larger, 6)
    )
    write_field(tmp_path / "raw.nc", field, Encoding())
    models = {stage: results / f"models/real/{stage}/model.safetensors" for stage in ("temporal", "spatial")}
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
    np.testing.assert_array_equal(box, years["2020"].pm25.values)


def test_the_synthetic_label_is_everywhere(results, years):
    sentence = years["2019"].attrs["synthetic"]
    assert "nature run" in sentence
    fields = [*results.glob("*/*.nc"), *results.glob("raw/*/*.nc"), *results.glob("nature_run/truth/*.nc")]
    assert len(fields) >= 2 * 5 + 1  # years, temporal, spatial, truth, CAMS; a month of GEOS-CF
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
        assert html.count("data:image/png;base64,") >= len(FIGURES)
        assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//", html)
        assert not re.search(r">\s*(nan|none|inf)\b[^<.]{0,9}<", html, flags=re.IGNORECASE)
    index = (results / "report/index.html").read_text()
    assert all(f"{year}.html" in index for year in YEARS)


def test_provenance_leads_back_to_files_networks_and_settings(results, years):
    networks = {
        stage: sha256(results / f"models/real/{stage}/model.safetensors")[:16] for stage in ("temporal", "spatial")
    }
    for year, month in zip(YEARS, MONTHS, strict=True):
        about = years[year].attrs
        assert about["source_files"] == f"{month}.nc sha256:{sha256(results / f'nature_run/ads/{month}.nc')}"
        assert about["networks"] == f"temporal linear:{networks['temporal']}; spatial bicubic:{networks['spatial']}"
        assert re.fullmatch("[0-9a-f]{16}", about["configuration_digest"])
        assert about["configuration_digest"] in about["id"]
        assert about["software"].startswith("deepcams ")
        assert about["Conventions"] == "CF-1.11, ACDD-1.3"
        assert about["time_coverage_start"] == f"{month}-01T00:00:00Z"
        assert about["time_coverage_end"] == f"{month}-31T23:00:00Z"
    assert years["2019"].attrs["configuration_digest"] == years["2020"].attrs["configuration_digest"]


def test_the_tables_of_the_experiment(results):
    expected = {  # frames of January, methods with the configured one last
        "temporal": (496, ["nearest", "linear_as_printed", "linear"]),
        "spatial": (744, ["bicubic", "bilinear", "nearest", "lanczos3", "bicubic+closure"]),
        "joint": (
            496,
            ["linear+bicubic", "linear+bilinear", "linear_as_printed+bicubic", "linear+bicubic+closure"],
        ),
    }
    scores = {}
    for stage, (frames, methods) in expected.items():
        with open(results / f"evaluation/{stage}/2020-01.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [row["method"] for row in rows] == methods
        assert [row["configured"] for row in rows] == ["False"] * (len(rows) - 1) + ["True"]
        assert {(row["month"], row["frames"]) for row in rows} == {("2020-01", str(frames))}
        assert all(0.5 < float(row["r"]) < 1 and 0 < float(row["mae"]) < float(row["rmse"]) for row in rows)
        table = (results / f"evaluation/{stage}.md").read_text().splitlines()
        assert [line.split("|")[1].strip() for line in table if line.startswith("|")][2:] == ["2020-01", "average"]
        with open(results / f"evaluation/{stage}.csv", newline="") as stream:
            assert list(csv.DictReader(stream)) == rows  # one month is the whole table
        scores[stage] = {row["method"]: float(row["rmse"]) for row in rows}
        assert min(scores[stage], key=scores[stage].get) == methods[-1]
    assert scores["joint"]["linear+bicubic+closure"] > scores["spatial"]["bicubic+closure"]


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


def test_a_month_made_again_is_the_same_to_the_byte(finished, results):
    path = results / "spatial/2020-01.nc"
    before, node = path.read_bytes(), path.stat().st_ino
    process = finished.snakemake("--force", "results/tiny/spatial/2020-01.nc")
    assert process.returncode == 0, process.stdout
    assert not re.search("warning|traceback|exception", process.stdout, flags=re.IGNORECASE)
    assert path.stat().st_ino != node
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(before).digest()


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
