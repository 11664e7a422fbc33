"""Station scores, field checks and scores against the truth, against plain NumPy and SciPy."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import pearsonr

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid, refine, row_weights
from deepcams.validation.collocation import write_pairs
from deepcams.validation.gridded import check_fields, score_against_truth
from deepcams.validation.station_metrics import add_sums, pair_sums, scores
from deepcams.validation.summary import (
    BIN_EDGES,
    SummarySettings,
    daily_means,
    local_solar_hour,
    summarise_stations,
    validate_year,
)

START = np.datetime64("2018-01-01T00:00:00", "s")
HOUR = np.timedelta64(1, "h")
COARSE = coarse_grid(Region(north=60.0, west=0.0, south=57.0, east=3.75))
FINE = refine(COARSE)
SENTENCE = "These data are made up."


def pairs_of(month, seed, days=3, names=("a", "b", "c")):
    """Pairs of some stations; "a" and "b" share a cell, "c" lacks half of its hours."""
    rng = np.random.default_rng(seed)
    rows = []
    for k, name in enumerate(names):
        for hour in range(1, 24 * days + 1):
            if name == "c" and hour % 2:
                continue
            observed = rng.lognormal(2.5, 0.8)
            rows.append(
                {
                    "station": name, "name": f"Place {name}", "country": "NA", "latitude": 59.0, "longitude": 10.0 * k,
                    "time": pd.Timestamp(month) + pd.Timedelta(hours=hour), "cell": k // 2, "observed": observed,
                    "product": observed * rng.lognormal(0, 0.3), "cams": 5 + observed * rng.lognormal(0, 0.6),
                    "status": "interpolated" if hour % 3 == 2 else "analysis",
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def plain(observed, modelled):
    """The same scores, written the obvious way."""
    o, m = np.asarray(observed), np.asarray(modelled)
    return {
        "n": len(o), "r": pearsonr(o, m).statistic, "rmse": np.sqrt(np.mean((m - o) ** 2)),
        "mae": np.mean(np.abs(m - o)), "bias": np.mean(m - o), "nmb": np.sum(m - o) / np.sum(o),
        "fac2": np.mean((m >= o / 2) & (m <= 2 * o)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def stations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    months = [pairs_of("2018-01-01", 1), pairs_of("2018-02-01", 2)]
    paths = []
    for k, month in enumerate(months):
        paths.append(folder / f"{k}.csv.gz")
        write_pairs(paths[-1], month)
    return pd.concat(months, ignore_index=True), paths, summarise_stations(paths, SummarySettings(station_pairs=100))


def test_scores_from_sums_equal_the_plain_formulas_whatever_the_split():
    rng = np.random.default_rng(0)
    observed = 1000 + rng.normal(size=5000)  # a small spread on a large mean loses digits in naive sums
    modelled = observed + rng.normal(size=5000)
    sums = add_sums(pair_sums(observed[:10], modelled[:10]), pair_sums(observed[10:], modelled[10:]))
    assert scores(sums).loc["all"].to_dict() == pytest.approx(plain(observed, modelled), rel=1e-6)


def test_groups_of_only_one_part_are_kept():
    one = pair_sums(np.array([1.0, 2.0]), np.array([2.0, 3.0]), np.array(["x", "y"]))
    other = pair_sums(np.array([5.0]), np.array([1.0]), np.array(["y"]))
    result = scores(add_sums(one, other))
    assert result["n"].to_dict() == {"x": 1, "y": 2}
    assert result["bias"].to_dict() == pytest.approx({"x": 1.0, "y": -1.5})


def test_undefined_scores_are_missing_not_wrong():
    result = scores(pair_sums(np.array([0.0, 0.0]), np.array([1.0, 2.0]))).loc["all"]
    assert np.isnan(result["r"]) and np.isnan(result["nmb"]) and np.isnan(result["fac2"])
    assert result["rmse"] == pytest.approx(np.sqrt(2.5))


@pytest.mark.parametrize("field", ["product", "cams"])
def test_overall_scores_by_selection(stations, field):
    pairs, _, tables = stations
    rows = tables.overall[tables.overall["field"] == field].set_index("selection")
    cells = pairs.groupby(["cell", "time"])[["observed", "product", "cams"]].mean()
    for selection, part in {
        "all hours": pairs,
        "analysis hours": pairs[pairs["status"] == "analysis"],
        "interpolated hours": pairs[pairs["status"] == "interpolated"],
        "cell means": cells,
        "2018-02": pairs[pairs["time"] > "2018-02-01"],
    }.items():
        found = rows.loc[selection].drop("field").to_dict()
        assert found == pytest.approx(plain(part["observed"], part[field]), rel=1e-5), selection
    medians = [
        pearsonr(p["observed"], p[field]).statistic for name, p in pairs.groupby("station") if name != "c"
    ]  # c has 72 pairs, fewer than 100
    assert rows.loc["median of stations", "r"] == pytest.approx(np.median(medians), rel=1e-5)
    assert rows.loc["median of stations", "n"] == 2


def test_daily_means_want_enough_hours_and_count_midnight_to_the_day_before(stations):
    pairs, _, tables = stations
    days = daily_means(pairs, 19)
    assert set(days.index.get_level_values("station")) == {"a", "b"}  # c has twelve hours a day
    first = pairs[(pairs["station"] == "a") & (pairs["time"] > "2018-01-01") & (pairs["time"] <= "2018-01-02")]
    assert len(first) == 24
    assert days.loc[("a", pd.Timestamp("2018-01-01")), "product"] == pytest.approx(first["product"].mean())
    assert len(days) == 2 * 6
    found = tables.overall.query("selection == 'daily means' and field == 'cams'").iloc[0]
    assert found["rmse"] == pytest.approx(plain(days["observed"], days["cams"])["rmse"], rel=1e-5)


@pytest.mark.parametrize(
    ("stamp", "longitude", "hour"),
    [("00:30", 0.0, 0), ("01:00", 0.0, 0), ("12:00", 179.0, 23), ("12:00", -179.0, 23), ("06:00", 90.0, 11)],
)
def test_local_solar_hour_is_that_of_the_middle_of_the_hour(stamp, longitude, hour):
    assert local_solar_hour(np.array([f"2018-01-01T{stamp}"], "datetime64[s]"), np.array([longitude])).item() == hour


def test_diurnal_cycle_scatter_and_series(stations):
    pairs, _, tables = stations
    hour = local_solar_hour(pairs["time"].to_numpy(), pairs["longitude"].to_numpy())
    found = tables.diurnal.query("field == 'product'").set_index("hour")
    assert found["modelled"].to_dict() == pytest.approx(pairs.groupby(hour)["product"].mean().to_dict(), rel=1e-5)
    assert found["observed"].to_dict() == pytest.approx(pairs.groupby(hour)["observed"].mean().to_dict(), rel=1e-5)
    counts = tables.scatter.query("field == 'cams'")
    assert counts["count"].sum() == len(pairs)
    one = counts.iloc[0]
    o, m = one["observed_bin"], one["modelled_bin"]
    inside = pairs["observed"].between(BIN_EDGES[o], BIN_EDGES[o + 1], inclusive="left")
    inside &= pairs["cams"].between(BIN_EDGES[m], BIN_EDGES[m + 1], inclusive="left")
    assert one["count"] == inside.sum()
    assert set(tables.series["station"]) == {"a"} and len(tables.series) == 144


def test_no_pairs_give_empty_tables(tmp_path):
    write_pairs(tmp_path / "p.csv.gz", pairs_of("2018-01-01", 1).iloc[:0])
    assert summarise_stations([tmp_path / "p.csv.gz"], SummarySettings()).overall.empty


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
    found, mean, grid = check_fields([write(tmp_path / "f.nc", FINE, values, times, closure_error=0.004)])
    assert (found["hours"], found["missing_hours"], found["missing_cells"]) == (26, 1, 1)
    assert (found["infinite_cells"], found["negative_cells"]) == (1, 1)
    assert (found["minimum"], found["maximum"], found["closure_error"]) == (-0.5, 1.0, 0.004)
    assert mean[0, 0] == pytest.approx((24 - 0.5) / 25) and mean[5, 5] == 1.0
    assert grid.shape == FINE.shape


def test_a_year_from_files_to_files(tmp_path, run):
    paths, *_ = run
    write_pairs(tmp_path / "pairs.csv.gz", pairs_of("2018-01-01", 1))
    (tmp_path / "counts.json").write_text('{"measurements read": 200, "pairs": 180}')
    tables = {name: tmp_path / f"{name}.csv" for name in ("overall", "stations", "diurnal", "scatter", "series")}
    outputs = []
    for run_name in ("a", "b"):
        validate_year(
            tmp_path / f"{run_name}.json", tables, tmp_path / f"{run_name}.npz", year=2018,
            product_paths=[paths["product"]], coarse_paths=[paths["cams"]], pair_paths=[tmp_path / "pairs.csv.gz"] * 2,
            count_paths=[tmp_path / "counts.json"] * 2, settings=SummarySettings(), truth_paths=[paths["truth"]],
            baselines=BASELINES,
        )  # fmt: skip
        outputs.append([(tmp_path / f"{run_name}.{end}").read_bytes() for end in ("json", "npz")])
    assert outputs[0] == outputs[1]
    summary = json.loads(outputs[0][0], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert summary["stations"]["counts"] == {"measurements read": 400, "pairs": 360}
    assert summary["stations"]["number"] == 3 and summary["synthetic"] == SENTENCE
    assert summary["fields"]["product"]["missing_cells"] == 1
    assert summary["first_hour"] == "2018-01-01T00:00:00" and len(summary["truth"]) == 9
    stations = pd.read_csv(tables["stations"], keep_default_na=False)
    assert set(stations["country"]) == {"NA"} and len(stations) == 6
