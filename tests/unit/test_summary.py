"""A year's validation from files to files, field checks, and scores against the truth."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import pearsonr

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid, refine, row_weights
from deepcams.validation.counts import write_counts
from deepcams.validation.fields import FieldFile
from deepcams.validation.gridded import check_fields, score_against_truth
from deepcams.validation.pairs import write_pairs
from deepcams.validation.station_summary import SummarySettings
from deepcams.validation.summary import FILES, validate_year
from tests.conftest import ROOT
from tests.unit.test_pairs import pairs_of

START = np.datetime64("2018-01-01T00:00:00", "s")
HOUR = np.timedelta64(1, "h")
COARSE = coarse_grid(Region(north=60.0, west=0.0, south=57.0, east=3.75))
FINE = refine(COARSE)
SENTENCE = "These data are made up."


class LinearInTime:
    def between(self, first, last, fractions, grid, time):
        return np.stack([(1 - f) * first + f * last for f in fractions])


class BilinearInSpace:
    def refine(self, frames, grid):
        fine = refine(grid)
        places = np.stack(np.meshgrid(-fine.latitude, fine.longitude, indexing="ij"), axis=-1)
        return np.stack([RegularGridInterpolator((-grid.latitude, grid.longitude), frame)(places) for frame in frames])


def write(path, grid, values, times, **attributes):
    xr.Dataset(
        {"pm25": (("time", "latitude", "longitude"), np.asarray(values, np.float32), {"units": "ug m-3"})},
        coords={"time": times, "latitude": grid.latitude, "longitude": grid.longitude},
        attrs=attributes,
    ).to_netcdf(path, engine="h5netcdf")
    return path


@pytest.fixture
def run(tmp_path):
    """A day of truth on a wider box, of CAMS with a halo, and of a product; made of the nature run."""
    rng = np.random.default_rng(3)
    wide = coarse_grid(Region(north=60.0, west=0.0, south=57.0, east=3.75), halo=1)
    times = START + HOUR * np.arange(25)
    cams = rng.lognormal(1, 0.5, (9, *wide.shape)).astype(np.float32)
    truth = rng.lognormal(1, 0.5, (25, *refine(wide).shape)).astype(np.float32)
    inner = truth[:24, 3:-3, 3:-3]
    product = (inner * rng.lognormal(0, 0.1, inner.shape)).astype(np.float32)
    product[5, 0, 0] = np.nan
    paths = {
        "product": write(tmp_path / "product.nc", FINE, product, times[:24], synthetic=SENTENCE, closure_error=0.003),
        "truth": write(tmp_path / "truth.nc", refine(wide), truth, times, synthetic=SENTENCE),
        "cams": write(tmp_path / "cams.nc", wide, cams, times[::3], synthetic=SENTENCE),
    }
    return paths, product, inner, cams


BASELINES = {"linear and bilinear": (LinearInTime(), BilinearInSpace())}


def test_scores_against_the_truth(run):
    paths, product, truth, cams = run
    rows = score_against_truth([paths["product"]], [paths["truth"]], [paths["cams"]], BASELINES)
    found = {(row["method"], row["hours"]): row for row in rows}
    assert len(found) == 9
    nearest_row, nearest_column = (np.arange(n) + 4 for n in truth.shape[1:])  # + 3 for the halo, + 1 to round
    nearest = np.stack([cams[(h + 1) // 3][nearest_row // 3][:, nearest_column // 3] for h in range(24)])
    hourly = np.stack([(1 - h % 3 / 3) * cams[h // 3] + h % 3 / 3 * cams[h // 3 + 1] for h in range(24)])
    linear = BilinearInSpace().refine(hourly, coarse_grid(Region(60.0, 0.0, 57.0, 3.75), halo=1))[:, 3:-3, 3:-3]
    weights = np.broadcast_to(row_weights(FINE)[:, None], truth.shape)
    hours = np.arange(24)
    for name, field in (
        ("product", product),
        ("CAMS, nearest node and frame", nearest),
        ("linear and bilinear", linear),
    ):
        for label, chosen in (("all", hours >= 0), ("analysis", hours % 3 == 0), ("interpolated", hours % 3 > 0)):
            valid = np.isfinite(product) & chosen[:, None, None]
            t, e, w = (values[valid].astype(float) for values in (truth, field, weights))
            row = found[name, label]
            assert row["n"] == valid.sum()
            assert row["rmse"] == pytest.approx(np.sqrt(np.mean((e - t) ** 2)), rel=1e-5)
            assert row["r"] == pytest.approx(pearsonr(t, e).statistic, abs=1e-6)
            assert row["mae"] == pytest.approx(np.mean(np.abs(e - t)), rel=1e-5)
            assert row["bias_area"] == pytest.approx(np.average(e - t, weights=w), abs=1e-6)
            assert row["rmse_area"] == pytest.approx(np.sqrt(np.average((e - t) ** 2, weights=w)), rel=1e-5)
            covariance = np.cov(t, e, aweights=w)
            expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
            assert row["r_area"] == pytest.approx(expected, abs=1e-6)


def test_real_data_have_no_truth(tmp_path, run):
    paths, product, *_ = run
    times = START + HOUR * np.arange(24)
    real = write(tmp_path / "real.nc", FINE, product, times)
    with pytest.raises(DeepcamsError, match="Real and synthetic"):
        score_against_truth([real], [paths["truth"]], [paths["cams"]], {})
    with pytest.raises(DeepcamsError, match="not a nature run"):
        score_against_truth([real], [real], [write(tmp_path / "c.nc", COARSE, product[::3, ::3, ::3], times[::3])], {})


def test_field_checks_count_what_is_wrong(tmp_path):
    values = np.ones((26, *FINE.shape), np.float32)
    values[0, 0, :3] = (-0.5, np.nan, np.inf)
    values[25] = np.nan
    times = START + HOUR * np.arange(26)
    report = check_fields([write(tmp_path / "f.nc", FINE, values, times, closure_error=0.004)])
    found, mean = report.checks, report.mean
    assert (found["hours"], found["missing_hours"], found["missing_cells"]) == (26, 1, 1)
    assert (found["infinite_cells"], found["negative_cells"]) == (1, 1)
    assert (found["minimum"], found["maximum"], found["closure_error"]) == (-0.5, 1.0, 0.004)
    assert mean[0, 0] == pytest.approx((24 - 0.5) / 25) and mean[5, 5] == 1.0
    assert report.axes.shape == FINE.shape and report.last == times[-1] and not report.is_daily
    assert found["mean"] == pytest.approx(
        np.average(mean, weights=np.broadcast_to(row_weights(FINE)[:, None], mean.shape))
    )


def test_quantiles_are_those_of_all_values_by_area(tmp_path):
    values = np.random.default_rng(0).lognormal(2, 1, (48, *FINE.shape)).astype(np.float32)
    report = check_fields([write(tmp_path / "f.nc", FINE, values, START + HOUR * np.arange(48))])
    weights = np.broadcast_to(row_weights(FINE)[:, None], values.shape).ravel()
    order = np.argsort(values.ravel())
    share = np.cumsum(weights[order]) / weights.sum()
    for level in (0.5, 0.99, 0.999):
        expected = values.ravel()[order][np.searchsorted(share, level)]
        assert report.checks["quantiles"][f"{level:g}"] == pytest.approx(expected, rel=0.01)


def test_a_beat_is_seen_and_its_absence_too(tmp_path):
    rng, times = np.random.default_rng(0), START + HOUR * np.arange(24 * 12)
    frames = rng.lognormal(2, 1, (24 * 4 + 1, *FINE.shape)).astype(np.float32)
    between = np.stack([(1 - k % 3 / 3) * frames[k // 3] + k % 3 / 3 * frames[k // 3 + 1] for k in range(len(times))])
    beating = check_fields([write(tmp_path / "linear.nc", FINE, between, times)]).beat
    assert beating["low"] > 1.3  # linear between independent frames leaves 5/9 of the variance
    assert beating["ratio"] == pytest.approx(9 / 5, rel=0.1)
    even = rng.lognormal(2, 1, (len(times), *FINE.shape)).astype(np.float32)
    assert check_fields([write(tmp_path / "even.nc", FINE, even, times)]).beat["low"] < 1.0
    three_hourly = check_fields([write(tmp_path / "cams.nc", FINE, even[::3], times[::3])])
    assert three_hourly.beat == {} and three_hourly.hours.empty


def test_fields_of_two_grids_are_not_one_product(tmp_path):
    times = START + HOUR * np.arange(3)
    paths = [
        write(tmp_path / f"{k}.nc", grid, np.ones((3, *grid.shape)), times) for k, grid in enumerate((FINE, COARSE))
    ]
    with pytest.raises(DeepcamsError, match="another grid"):
        check_fields(paths)
    with pytest.raises(DeepcamsError, match="no fields"):
        check_fields([])


def test_a_part_of_the_truth_is_checked_as_that_part_alone(run):
    paths, *_ = run
    with FieldFile(paths["product"]) as product:
        report = check_fields([paths["truth"]], within=product.axes)
        coarse = check_fields([paths["cams"]], within=product.axes)  # CAMS with its halo
    assert coarse.axes.shape == COARSE.shape and np.allclose(coarse.axes.longitude, COARSE.longitude)
    with xr.open_dataset(paths["cams"], engine="h5netcdf") as data:
        assert coarse.mean == pytest.approx(data["pm25"].values[:, 1:-1, 1:-1].mean(axis=0), rel=1e-6)
    with xr.open_dataset(paths["truth"], engine="h5netcdf") as data:
        assert report.mean == pytest.approx(data["pm25"].values[:, 3:-3, 3:-3].mean(axis=0), rel=1e-6)


def test_a_year_from_files_to_files(tmp_path, run):
    paths, *_ = run
    write_pairs(tmp_path / "pairs.nc", pairs_of("2018-01-01"))
    counts = pd.DataFrame({"step": ["measurements read", "pairs"], "country": ["NA", "NA"], "number": [200, 180]})
    write_counts(tmp_path / "counts.csv.gz", counts)
    outputs = []
    for folder in ("a", "b"):
        validate_year(
            tmp_path / folder, year=2018, title="A year", product_paths=[paths["product"]],
            coarse_paths=[paths["cams"]], pair_paths=[tmp_path / "pairs.nc"], count_paths=[tmp_path / "counts.csv.gz"],
            settings=SummarySettings(), truth_paths=[paths["truth"]], baselines=BASELINES,
        )  # fmt: skip
        outputs.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert outputs[0] == outputs[1] and set(outputs[0]) == set(FILES)
    summary = json.loads(outputs[0]["summary.json"], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert summary["stations"]["pairs"] == 180 and summary["stations"]["number"] == 3
    assert summary["synthetic"] == SENTENCE and summary["names"] == {"product": "product", "cams": "CAMS"}
    assert summary["fields"]["product"]["missing_cells"] == 1
    assert summary["first_hour"] == "2018-01-01T00:00:00" and len(summary["truth"]) == 9
    assert set(summary["spectra"]) == {"product"} and set(summary["beat"]) == {"product", "truth"}
    stations = pd.read_csv(tmp_path / "a" / "stations.csv", keep_default_na=False)
    assert set(stations["country"]) == {"NA", "ZA"}
    spectra = pd.read_csv(tmp_path / "a" / "spectra.csv")
    assert set(spectra["field"]) <= {"product", "cams", "truth"}
    with np.load(tmp_path / "a" / "clicks.npz") as clicks:
        assert clicks["observed"].shape == (3, 72)


def test_the_rule_declares_every_file_of_the_folder():
    text = (ROOT / "workflow" / "rules" / "validate.smk").read_text()
    names = text.split("VALIDATION_FILES = (")[1].split(")")[0].replace('"', "").replace(",", "").split()
    assert names == list(FILES)
