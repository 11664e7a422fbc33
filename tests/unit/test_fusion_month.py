"""Fusing a period, its cross-validation and the reproduction of a model's days, against SciPy and sums by hand."""

import gzip
import json
import logging
from dataclasses import replace

import netCDF4
import numpy as np
import pandas as pd
import pytest

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding
from deepcams.files.pairs import read_pairs
from deepcams.files.rounding import round_mantissa
from deepcams.fusion import month
from deepcams.fusion.gather import GatherSettings, backgrounds, gather, times_of
from deepcams.fusion.month import fuse
from deepcams.fusion.month_scores import cross_validate_month, methods_of, reproduce_month
from deepcams.fusion.observations import cells_at
from deepcams.fusion.product import read_fused, verify_fused
from deepcams.fusion.year_scores import read_cross_validation, reproduction, score_year
from deepcams.pollutants import POLLUTANTS
from deepcams.sources.isd import COLUMNS as WEATHER
from deepcams.sources.isd import write_table as write_weather
from deepcams.sources.station_files import read_stations
from deepcams.training.days import Days
from deepcams.validation.counts import total, write_counts
from deepcams.validation.quality import QualitySettings
from tests.unit.fusion_cases import (
    GRID,
    HOUR,
    hours,
    spread_out,
    untaught,
    write_means,
    write_product,
    write_stations,
)

START = np.datetime64("2020-03-01", "s")
DAYS = START + 24 * HOUR * np.arange(2)
PLACES = [(13.1, 1.1), (12.4, 2.2), (11.9, 1.0), (13.6, 3.4), (12.9, 4.1), (11.1, 3.9)]  # in zone 0, north-west
UTC = GatherSettings(day="utc")
EXACT = Encoding(time_chunk=8)


def concentration(number, step):
    """Of a station and an hour; its day's mean is not that of the other."""
    return round(20 + 9 * number + 5 * np.sin(step * (number + 1)) + step / 10, 3)


def means(number, day):
    return np.mean([concentration(number, step) for step in range(24 * day, 24 * day + 24)])


def at_nodes(day, places=PLACES):
    """Values and validity of the cells of the stations: (H, W) each."""
    values, valid = np.zeros(GRID.shape), np.zeros(GRID.shape, bool)
    for number, (latitude, longitude) in enumerate(places):
        at = np.abs(GRID.latitude - latitude).argmin(), np.abs(GRID.longitude - longitude).argmin()
        assert not valid[at]
        values[at], valid[at] = means(number, day), True
    return values, valid


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stations, networks and backgrounds of two days; the real ones."""
    path = tmp_path_factory.mktemp("fusion")
    write_stations(path / "stations.csv", PLACES, hours(START, 48), concentration)
    for background in ("none", "product", "climatology"):
        untaught(path / f"{background}.safetensors", background)
    instants = START + HOUR * np.arange(-24, 73)
    values = np.random.default_rng(3).gamma(2.0, 8.0, (len(instants), *GRID.shape))
    write_product(path / "product.nc", instants, values)
    write_means(path / "climatology.npz", m3=11.0, m9=3.0)
    return path


@pytest.fixture(scope="module")
def gathered(folder):
    return gather(read_stations([folder / "stations.csv"]), [], (), GRID, DAYS, UTC)


def fused(out, folder, gathered, background="none", paths=(), settings=UTC, sources=(), **others):
    fuse(out, gathered, folder / f"{background}.safetensors", paths, settings, sources=sources, **others)
    return read_fused(out)


def stations_of(path, text):
    path.write_text("id,lat,lon,time,pm25\n" + text)
    return read_stations([path])


def test_times_of_a_month_are_its_days_or_the_ends_of_its_hours():
    days, of_hours = times_of(Month(2020, 2), "daily"), times_of(Month(2020, 2), "hourly")
    assert (len(days), str(days[0]), str(days[-1])) == (29, "2020-02-01T00:00:00", "2020-02-29T00:00:00")
    assert (len(of_hours), str(of_hours[0]), str(of_hours[-1])) == (696, "2020-02-01T01:00:00", "2020-03-01T00:00:00")


def test_every_measurement_near_the_times_is_counted_once(folder, tmp_path):
    text = (folder / "stations.csv").read_text().replace(",name", "")
    lines = [line.rpartition(",")[0] for line in text.splitlines()[1:]]
    lines += [
        lines[0],
        "s0,13.1,1.1,2020-03-01T03:00Z,-999",
        "s1,12.4,2.2,2020-03-02T04:00Z,",
        "x,50,7,2020-03-01T05:00Z,3",
    ]
    lines += ["s2,11.9,1.0,2020-03-03T09:00Z,30", "s2,11.9,1.0,2020-05-03T09:00Z,30"]
    found = gather(stations_of(tmp_path / "s.csv", "\n".join(lines)), [], (), GRID, DAYS, UTC)
    told = {step: number for step, number in total(found.counts).items() if number}
    assert told == {
        "measurements read": 293, "no value": 1, "code for missing data": 1, "same station and time again": 1,
        "measurements kept": 290, "outside the region": 1, "another time": 1, "averaged into days": 276,
    }  # fmt: skip
    assert found.observed.values.shape == (2, 6) and not found.synthetic
    np.testing.assert_allclose(found.observed.values, [[means(n, d) for n in range(6)] for d in (0, 1)], rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["s0,13.1,1.1,2020-03-01T03:00Z,-999", "s0,13.1,1.1,2020-03-01T04:00Z,"],
         "leaves none of 2 measurements: 1 no value, 1 code for missing data"),
        (["s0,13.1,1.1,2020-07-01T03:00Z,3"], "No station has a measurement from 2020-03-01"),
        (["s0,33.1,1.1,2020-03-01T03:00Z,3"], "outside the region: 1"),
        (["s0,13.1,1.1,2020-03-01T03:00Z,3"], "day with fewer than 19 hours: 1"),
    ],
    ids=["no values", "other month", "outside", "few hours"],
)  # fmt: skip
def test_stations_that_leave_nothing_are_told_with_the_reasons(tmp_path, rows, words):
    with pytest.raises(DeepcamsError) as error:
        gather(stations_of(tmp_path / "s.csv", "\n".join(rows) + "\n"), [], (), GRID, DAYS, UTC)
    assert words in str(error.value)


def test_weather_needs_eight_instants_a_day_and_may_be_lacking(folder, tmp_path):
    rows = [("a", 12.0, 3.0, hour, 0.5 + hour / 100) for hour in range(0, 24, 3)]
    rows += [("b", 11.0, 2.0, hour, 0.9) for hour in range(0, 21, 3)]
    table = pd.DataFrame(rows, columns=["station", "latitude", "longitude", "hour", "relative_humidity"])
    table["time"] = START + table.pop("hour").to_numpy() * HOUR
    table = table.assign(
        **{name: "" if name in ("name", "country") else np.nan for name in WEATHER if name not in table}
    )
    write_weather(table[WEATHER], tmp_path / "w.csv.gz")
    stations = read_stations([folder / "stations.csv"])
    wanted = ("relative_humidity", "wind_speed")
    found = gather(stations, [tmp_path / "w.csv.gz"], wanted, GRID, DAYS, UTC).others
    assert list(found["relative_humidity"].stations["station"]) == ["a"]
    np.testing.assert_allclose(found["relative_humidity"].values[:, 0], [0.5 + 10.5 / 100, np.nan], rtol=1e-6)
    assert found["wind_speed"].values.shape == (2, 0)
    assert gather(stations, [], wanted, GRID, DAYS, UTC).others == {}


def test_without_a_background_the_field_is_what_stations_spread(folder, gathered, tmp_path):
    field, distance = fused(tmp_path / "x.nc", folder, gathered, encoding=EXACT)
    for day in (0, 1):
        expected = spread_out(*at_nodes(day))
        np.testing.assert_allclose(field[day], expected, rtol=2e-4, atol=1e-4)
        assert expected.max() > 20 and (distance[day] == 0).sum() == 6
    verify_fused(tmp_path / "x.nc")


def test_far_from_stations_the_background_stays_to_the_last_bit(folder, gathered, tmp_path):
    there = backgrounds("product", DAYS, GRID, [folder / "product.nc"], UTC)
    exact, _ = fused(tmp_path / "x.nc", folder, gathered, "product", [folder / "product.nc"], encoding=EXACT)
    rows, columns = np.indices(GRID.shape)
    for day in (0, 1):
        values, valid = at_nodes(day)
        away = np.hypot(rows[valid][:, None, None] - rows, columns[valid][:, None, None] - columns)
        far = (away >= 15).all(axis=0)
        assert 500 < far.sum() < GRID.shape[0] * GRID.shape[1]
        assert np.array_equal(exact[day][far], there[day][far]) and (exact[day][~far] != there[day][~far]).mean() > 0.8
        np.testing.assert_allclose(exact[day], spread_out(values, valid, there[day]), rtol=2e-4, atol=1e-4)
    rounded, _ = fused(tmp_path / "r.nc", folder, gathered, "product", [folder / "product.nc"])
    assert np.array_equal(rounded[:, far], round_mantissa(there.copy(), 7)[:, far])
    assert not np.array_equal(rounded[:, far], there[:, far])
    with netCDF4.Dataset(tmp_path / "r.nc") as file:
        assert (file.fusion_form, file.fusion_background) == ("innovations", "downscaled reanalysis")


def test_a_climatology_is_corrected_near_stations(folder, gathered, tmp_path):
    field, _ = fused(tmp_path / "x.nc", folder, gathered, "climatology", [folder / "climatology.npz"], encoding=EXACT)
    expected = spread_out(*at_nodes(0), np.full(GRID.shape, 11.0))
    np.testing.assert_allclose(field[0], expected, rtol=2e-4, atol=1e-4)
    assert field[0, -1, -1] == 11.0


def test_hours_are_fused_one_by_one_in_blocks(folder, tmp_path, monkeypatch):
    settings = GatherSettings("hourly")
    times = START + HOUR * np.arange(1, 31)
    found = gather(read_stations([folder / "stations.csv"]), [], (), GRID, times, settings)
    asked = []
    monkeypatch.setattr(month, "backgrounds", lambda *given: asked.append(len(given[1])) or backgrounds(*given))
    paths = [folder / "product.nc"]
    field, _ = fused(tmp_path / "x.nc", folder, found, "product", paths, settings, encoding=Encoding())
    assert asked == [24, 6]
    there = backgrounds("product", times, GRID, paths, settings)
    assert np.array_equal(field[:, -1, -1], there[:, -1, -1])
    assert len(np.unique(there[:, -1, -1])) == 30


def test_days_in_blocks_are_the_same_days(folder, gathered, tmp_path, monkeypatch):
    paths = [folder / "product.nc"]
    fused(tmp_path / "one.nc", folder, gathered, "product", paths)
    monkeypatch.setattr(month, "BLOCKS", {"daily": 1})
    fused(tmp_path / "other.nc", folder, gathered, "product", paths)
    assert (tmp_path / "one.nc").read_bytes() == (tmp_path / "other.nc").read_bytes()


def test_the_file_states_every_source_and_the_network(folder, gathered, tmp_path):
    sources = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "2020-03.csv").write_text(place)
        sources.append(tmp_path / place / "2020-03.csv")
    many = tmp_path / "archive"
    many.mkdir()
    (many / "1.csv").write_text("1")
    fused(tmp_path / "x.nc", folder, gathered, "product", [folder / "product.nc"], sources=[*sources, many])

    def stated():
        with netCDF4.Dataset(tmp_path / "x.nc") as file:
            assert file.networks.startswith("fusion pointconv_unetpp:")
            assert sha256(folder / "product.safetensors")[:16] in file.networks and "synthetic" not in file.ncattrs()
            return {name: text.removeprefix("sha256:") for name, text in read_pairs(file.source_files).items()}

    before = stated()
    of_files = {"a/2020-03.csv": sources[0], "b/2020-03.csv": sources[1], "product.nc": folder / "product.nc"}
    assert list(before) == ["a/2020-03.csv", "b/2020-03.csv", "archive", "product.nc"]
    assert {name: before[name] for name in of_files} == {name: sha256(path) for name, path in of_files.items()}
    (many / "2.csv").write_text("2")
    fused(tmp_path / "x.nc", folder, gathered, "product", [folder / "product.nc"], sources=[*sources, many])
    after = stated()
    assert after.pop("archive") != before.pop("archive") and after == before and len(stated()["archive"]) == 64


def made_synthetic(folder, tmp_path):
    write_stations(tmp_path / "made.csv", PLACES, hours(START, 48), concentration, name="SYNTHETIC {}")
    found = gather(read_stations([tmp_path / "made.csv"]), [], (), GRID, DAYS, UTC)
    assert found.synthetic
    return found


def test_fields_of_a_nature_run_say_so(folder, tmp_path):
    made = made_synthetic(folder, tmp_path)
    values = np.ones((97, *GRID.shape))
    write_product(tmp_path / "p.nc", START + HOUR * np.arange(-24, 73), values, synthetic="A nature run.")
    fused(tmp_path / "x.nc", folder, made, "product", [tmp_path / "p.nc"])
    with netCDF4.Dataset(tmp_path / "x.nc") as file:
        assert file.synthetic == "Stations of a nature run." and file.title.startswith("Synthetic")


def test_real_and_synthetic_data_are_not_mixed(folder, gathered, tmp_path):
    values = np.ones((97, *GRID.shape))
    write_product(tmp_path / "p.nc", START + HOUR * np.arange(-24, 73), values, synthetic="A nature run.")
    made = made_synthetic(folder, tmp_path)
    learnt = {"pollutant": "pm25", "synthetic": "A nature run."}
    untaught(tmp_path / "climatology.safetensors", "climatology", provenance=learnt)
    for place, stations, kind, path in (
        (folder, gathered, "product", tmp_path / "p.nc"),
        (folder, made, "product", folder / "product.nc"),
        (tmp_path, gathered, "climatology", folder / "climatology.npz"),
        (folder, made, "climatology", folder / "climatology.npz"),
    ):
        with pytest.raises(DeepcamsError, match="must not be mixed"):
            fused(tmp_path / "x.nc", place, stations, kind, [path])
    assert not (tmp_path / "x.nc").exists()


@pytest.mark.parametrize(
    ("background", "paths", "words"),
    [("none", ["product.nc"], "no background, but one is given"), ("product", [], "but none is given")],
)
def test_a_background_lacking_or_not_wanted_is_refused(folder, gathered, tmp_path, background, paths, words):
    with pytest.raises(DeepcamsError, match=words):
        fused(tmp_path / "x.nc", folder, gathered, background, [folder / path for path in paths])


def test_a_network_of_another_pollutant_is_refused(folder, gathered, tmp_path):
    settings = replace(UTC, quality=QualitySettings(pollutant=POLLUTANTS["no2"]))
    with pytest.raises(DeepcamsError, match="has learnt pm25, and these stations measure no2"):
        fused(tmp_path / "x.nc", folder, gathered, settings=settings)


def in_cities(gathered):
    """Two stations in each city."""
    stations = gathered.observed.stations.assign(city=list("aabbcc"), country="NE")
    return replace(gathered, observed=replace(gathered.observed, stations=stations))


@pytest.fixture(scope="module")
def validated(folder, gathered, tmp_path_factory):
    path = tmp_path_factory.mktemp("cv") / "2020-03.csv.gz"
    methods, _ = methods_of(gathered, {"none": folder / "none.safetensors"}, {}, UTC)
    cross_validate_month(path, in_cities(gathered), methods, 6)
    return path, read_cross_validation([path])


def test_stations_left_out_are_estimated_from_all_others(validated):
    _, table = validated
    assert set(table["scheme"]) == {"stations"} and len(table) == 12 and table["fold"].nunique() == 6
    for _, row in table.iterrows():
        day, number = int((row["time"] - START) / (24 * HOUR)), int(row["station"][1:])
        values, valid = at_nodes(day)
        valid[int(row["row"]), int(row["column"])] = False
        expected = spread_out(values, valid)[int(row["row"]), int(row["column"])]
        assert row["network"] == pytest.approx(expected, rel=1e-3)
        assert row["observed"] == pytest.approx(means(number, day), rel=1e-5)


def test_cities_are_left_out_whole(folder, gathered, tmp_path):
    others = {}

    def told(known, at, step):
        others[step, tuple(at[0])] = len(known.value)
        return np.full(len(at[0]), known.value.mean())

    cross_validate_month(tmp_path / "x.csv.gz", in_cities(gathered), {"mean": told}, 3)
    table = read_cross_validation([tmp_path / "x.csv.gz"])
    table = table[table["scheme"] == "cities"]
    assert len(table) == 12 and set(others.values()) == {4}
    for time, of_day in table.groupby("time"):
        for city, of_city in of_day.groupby("city"):
            mean = of_day.loc[of_day["city"] != city, "observed"].mean()
            assert of_city["mean"].to_numpy() == pytest.approx([mean] * 2, rel=1e-5), time


def test_the_same_measurements_give_the_same_table(folder, gathered, validated, tmp_path):
    methods, _ = methods_of(gathered, {"none": folder / "none.safetensors"}, {}, UTC)
    cross_validate_month(tmp_path / "x.csv.gz", in_cities(gathered), methods, 6)
    assert gzip.decompress((tmp_path / "x.csv.gz").read_bytes()) == gzip.decompress(validated[0].read_bytes())
    assert (tmp_path / "x.csv.gz").read_bytes() == validated[0].read_bytes()


def test_methods_with_a_product_start_from_it(folder, gathered):
    paths = {"product": [folder / "product.nc"]}
    methods, _ = methods_of(gathered, {"product": folder / "product.safetensors"}, paths, UTC)
    assert next(iter(methods)) == "network of innovations" and "residual kriging" in methods
    known = cells_at(gathered.observed, 1)
    there = backgrounds("product", DAYS, GRID, paths["product"], UTC)[1]
    at = np.array([0, 48]), np.array([0, 60])
    expected = spread_out(*at_nodes(1), there)[at]
    np.testing.assert_allclose(methods["network of innovations"](known, at, 1), expected, rtol=1e-3)
    np.testing.assert_array_equal(methods["background"](known, at, 1), there[at])


def test_a_month_of_fewer_stations_than_folds_has_no_estimates_and_says_so(gathered, validated, tmp_path, caplog):
    """It must not stop its year; a year of such months is told."""
    with caplog.at_level(logging.WARNING):
        cross_validate_month(tmp_path / "x.csv.gz", gathered, {"network": None}, 7)
    assert "6 stations are fewer than 7 folds" in caplog.text
    assert read_cross_validation([tmp_path / "x.csv.gz"]).empty
    joined = read_cross_validation([tmp_path / "x.csv.gz", validated[0]])
    assert len(joined) == len(read_cross_validation([validated[0]]))
    with pytest.raises(DeepcamsError, match="in no month of the year are there as many stations as folds"):
        score_year(tmp_path / "2022", [tmp_path / "x.csv.gz"], [], [], {})


@pytest.fixture(scope="module")
def reproduced(folder, gathered, tmp_path_factory):
    """Days 2 and 20 of June, where stations measured on days 1 and 2 of March."""
    path = tmp_path_factory.mktemp("reproduced") / "x.csv"
    rows, columns = np.indices(GRID.shape)
    fields = np.stack([20 + day + 10 * np.sin(rows / (5 + day)) * np.cos(columns / 7) for day in range(2)])
    dates = np.array(["2020-06-02", "2020-06-20"], "datetime64[D]")
    days = Days({"pm25": fields.astype(np.float32)}, dates, GRID, {})
    networks = {name: folder / f"{name}.safetensors" for name in ("none", "climatology", "product")}
    reproduce_month(path, days, gathered, networks, folder / "climatology.npz")
    return path, fields.astype(np.float32)


def test_a_models_days_are_reproduced_from_its_values_where_stations_are(reproduced):
    table = pd.read_csv(reproduced[0])
    truth = reproduced[1][0].astype(np.float64)
    _, valid = at_nodes(1)
    # June is as near to September as to March, which comes before.
    for name, background in (("network", None), ("network of anomalies", np.full(GRID.shape, 11.0))):
        estimate = spread_out(truth, valid, background)
        row = table[(table["of"] == "step") & (table["step"] == 0) & (table["method"] == name)].iloc[0]
        assert row["n"] == truth.size and row["missing"] == 0
        assert row["rmse"] == pytest.approx(np.sqrt(np.mean((estimate - truth) ** 2)), rel=1e-3)
        assert row["r2"] == pytest.approx(np.corrcoef(estimate.ravel(), truth.ravel())[0, 1] ** 2, rel=2e-2)
        assert row["nme"] == pytest.approx(np.abs(estimate - truth).sum() / truth.sum(), rel=1e-3)
    assert set(table.loc[table["of"] == "step", "step"]) == {0}
    rmse = table[table["of"] == "pooled"].set_index("method")["rmse"]
    assert rmse["network of innovations"] < rmse["network of anomalies"] < rmse["network"]


def test_the_reproduction_of_a_year_is_the_mean_of_its_days(reproduced):
    one = pd.read_csv(reproduced[0])
    found = reproduction([one, one.assign(rmse=one["rmse"] + 2)]).set_index("method")
    days = one[(one["of"] == "step") & (one["method"] == "network")]
    assert found.loc["network", "days"] == 2 and found.loc["network", "n"] == 2 * GRID.shape[0] * GRID.shape[1]
    assert found.loc["network", "rmse"] == pytest.approx(days["rmse"].mean() + 1)
    assert found.loc["network", "r2"] == pytest.approx(days["r2"].mean())
    assert list(reproduction([]).columns) == ["of", "method", "n", "days", "r2", "rmse", "nme"]


def test_a_year_has_scores_of_its_months(validated, reproduced, gathered, tmp_path):
    write_counts(tmp_path / "counts.csv.gz", gathered.counts)
    counts = [tmp_path / "counts.csv.gz"]
    score_year(tmp_path / "2020", [validated[0]], [reproduced[0]], counts, {"year": 2020})
    scores = pd.read_csv(tmp_path / "2020" / "scores.csv").set_index("method")
    table = validated[1]
    error = table["network"] - table["observed"]
    assert scores.loc["network", "n"] == 12 and scores.loc["ordinary kriging", "verdict"] == "reference"
    assert scores.loc["network", "rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    assert scores.loc["network", "bias"] == pytest.approx(error.mean(), rel=1e-3)
    summary = json.loads((tmp_path / "2020" / "summary.json").read_text())
    assert summary["facts"] == {"days": 2, "stations": 6, "year": 2020} and summary["method"] == "network"
    assert summary["schemes"] == {"stations": "stations left out"}
    assert summary["notes"][2:] == ["There are fewer cities than folds."]
    assert {path.name for path in (tmp_path / "2020").iterdir()} == {
        "counts.csv", "scores.csv", "classes.csv", "seasons.csv", "months.csv", "reproduction.csv", "summary.json"
    }  # fmt: skip
    with pytest.raises(DeepcamsError, match="no month of the year has stations"):
        score_year(tmp_path / "2021", [], [], [], {})
