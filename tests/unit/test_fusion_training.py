"""What the fusion network learns from: means of days, stations at random, made-up backgrounds, climatologies; and
trainings, tiny ones."""

import json
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

from deepcams.calendar import zone_hours
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding, write_field
from deepcams.geography import load
from deepcams.geography.covariates import COVARIATES, covariates
from deepcams.grid.nodes import Grid, coarse_globe, fine_globe
from deepcams.models import catalogue
from deepcams.models.checkpoint import load as load_model
from deepcams.models.checkpoint import read as read_model
from deepcams.training import engine, fusion, held_out, station_draws
from deepcams.training.climatology import climatology, of_season, read_climatology, write_climatology
from deepcams.training.days import Days, read_days, split, write_days
from deepcams.training.train import train

ACROSS = Grid(30 - 0.75 * np.arange(3), 165 + 0.75 * np.arange(44), 0.75)  # zones 11, 12, -12 and -11
BOX = Grid(40 - 0.25 * np.arange(44), 100 + 0.25 * np.arange(56), 0.25)
VARIABLES = ["relative_humidity", "wind_speed"]
SETTINGS = {
    "network": "pointconv_unetpp",
    "recipe": "corrected",
    "background": "none",
    "reading": "corrected",
    "variables": ["wind_speed"],
    "static": ["land"],
    "features": 2,
}
TRAINING = {
    "steps": 15,
    "batch_size": 4,
    "patch": 32,
    "learning_rate": 0.01,
    "seed": 1,
    "precision": "float32",
    "threads": 1,
    "ema": None,
    "latitude_weights": None,
}


@pytest.fixture(autouse=True)
def few_patches_to_validate_with(monkeypatch):
    monkeypatch.setattr(held_out, "PATCHES", 4)
    monkeypatch.setattr(held_out, "BATCH", 4)


def month_files(folder, grid, hours, *, first="2018-03-01T00:30", seed=0, shift=0, more=0):
    """Hourly concentrations and the meteorology beside them, which may begin later and go on for longer."""
    random = np.random.default_rng(seed)
    axes = {"latitude": grid.latitude, "longitude": grid.longitude}
    times = np.datetime64(first, "s") + np.arange(hours + more + shift) * np.timedelta64(3600, "s")
    values = random.gamma(2, 10, (hours, *grid.shape)).astype(np.float32)
    values[random.random(values.shape) < 0.1] = np.nan
    values[random.integers(hours, size=hours // 10)] = np.nan  # whole hours
    field = xr.DataArray(
        values,
        {"time": times[:hours], **axes},
        ("time", "latitude", "longitude"),
        "pm25",
        {"units": "ug m-3", "cell_methods": "time: mean (interval: 1 hour)", "synthetic": "made up"},
    )
    write_field(folder / "pm25.nc", field, Encoding(), {"collection": "aqc", "geoscf_version": "v1"})
    weather = {
        name: (("time", "latitude", "longitude"), random.random((hours + more, *grid.shape)).astype(np.float32))
        for name in VARIABLES
    }
    xr.Dataset(weather, {"time": times[shift:], **axes}).to_netcdf(folder / "met.nc", engine="netcdf4")
    return field, {name: values[:hours] for name, (_, values) in weather.items()}


def by_pandas(values, starts, zones, dates):
    """Means of days column by column, each by its own clock; NaN where fewer than 19 hours are valid."""
    found = np.full((len(dates), *values.shape[1:]), np.nan)
    for column, zone in enumerate(zones):
        clock = pd.DatetimeIndex(starts + zone * np.timedelta64(3600, "s"))
        groups = pd.DataFrame(values[:, :, column].astype(np.float64)).groupby(clock.date)
        means = groups.mean().where(groups.count() >= 19)
        found[:, :, column] = means.reindex(dates.astype(object)).to_numpy()
    return found


# Days


def test_clocks_of_meridians_are_ahead_by_a_whole_number_of_hours():
    longitude = np.array([0, 7.25, 7.75, 116.25, 172.25, 172.75, 179.75, 180, 187.25, 187.75, -180, -7.75, 352.5, 540])
    expected = [0, 0, 1, 8, 11, 12, 12, -12, -12, -11, -12, -1, 0, -12]
    assert zone_hours(longitude).tolist() == expected
    zones = zone_hours(fine_globe().longitude)
    assert (zones.min(), zones.max(), zones.dtype) == (-12, 12, np.int64)
    np.testing.assert_array_equal(zone_hours(fine_globe().longitude % 360), zones)


@pytest.mark.parametrize("day", ["local", "utc"])
def test_means_of_days_are_those_of_every_columns_own_clock(tmp_path, day):
    field, weather = month_files(tmp_path, ACROSS, 8 * 24)
    write_days(
        tmp_path / "pm25.nc",
        tmp_path / "met.nc",
        tmp_path / "days" / "index.json",
        variables=VARIABLES,
        day=day,
    )
    found = read_days(tmp_path / "days")
    # 23 zones are a day and night apart: of eight days of UTC only six are whole everywhere.
    first, count = ("2018-03-02", 6) if day == "local" else ("2018-03-01", 8)
    assert found.dates.tolist() == pd.date_range(first, periods=count).date.tolist()
    assert (found.pollutant, list(found.fields)) == ("pm25", ["pm25", *VARIABLES])
    zones = np.round((ACROSS.longitude + 180) % 360 / 15 - 12).astype(int) if day == "local" else np.zeros(44, int)
    assert set(zones) == ({11, 12, -12, -11} if day == "local" else {0})
    starts = field.time.values.astype("datetime64[s]") - np.timedelta64(1800, "s")
    for name, values in {"pm25": field.values, **weather}.items():
        expected = by_pandas(values, starts, zones, found.dates)
        assert np.isnan(expected).any() == (name == "pm25")
        assert np.isfinite(expected).mean() > 0.3
        assert found.fields[name].dtype == np.float32
        np.testing.assert_allclose(found.fields[name][:], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("west", "first", "last"),
    [(116.25, 2, 31), (75.0, 1, 31), (90.0, 2, 31), (-75.0, 1, 31), (-90.0, 1, 30), (0.0, 1, 31)],
)
def test_the_first_and_the_last_day_of_a_month_are_left_out_where_its_own_hours_are_not_enough(
    tmp_path, west, first, last
):
    """19 of them are: where clocks are 5 hours ahead or behind both days stay, and no day of another month comes in."""
    grid = Grid(np.array([30, 29.75]), west + 0.25 * np.arange(2), 0.25)
    times = np.datetime64("2018-03-01T00:30", "s") + np.arange(31 * 24) * np.timedelta64(3600, "s")
    values = np.ones((len(times), 2, 2), np.float32)
    axes = {"time": times, "latitude": grid.latitude, "longitude": grid.longitude}
    write_field(tmp_path / "f.nc", xr.DataArray(values, axes, tuple(axes), "pm25", {"units": "ug m-3"}), Encoding())
    write_days(tmp_path / "f.nc", None, tmp_path / "index.json", variables=[], day="local")
    days = read_days(tmp_path)
    expected = pd.date_range(f"2018-03-{first:02d}", f"2018-03-{last:02d}").date.tolist()
    assert days.dates.tolist() == expected
    assert (np.asarray(days.fields["pm25"][:]) == 1).all()


def test_a_day_needs_nineteen_valid_hours(tmp_path):
    grid = Grid(np.array([30, 29.75]), np.array([0.0, 0.25]), 0.25)
    times = np.datetime64("2018-03-01T00:30", "s") + np.arange(48) * np.timedelta64(3600, "s")
    values = np.tile(np.arange(24, dtype=np.float32), 2)[:, None, None] * np.ones((1, 2, 2), np.float32)
    values[:5, 0, 0] = np.nan
    values[:6, 0, 1] = np.nan
    axes = {"time": times, "latitude": grid.latitude, "longitude": grid.longitude}
    write_field(tmp_path / "f.nc", xr.DataArray(values, axes, tuple(axes), "pm25", {"units": "ug m-3"}), Encoding())
    write_days(tmp_path / "f.nc", None, tmp_path / "index.json", variables=[], day="local")
    found = np.asarray(read_days(tmp_path).fields["pm25"][:])
    assert found[0, 0, 0] == 14  # of hours 5 to 23
    assert np.isnan(found[0, 0, 1])
    assert (found[0, 1] == 11.5).all() and (found[1] == 11.5).all()


def test_an_index_says_where_days_come_from_and_holds_their_checksums(tmp_path):
    month_files(tmp_path, ACROSS, 3 * 24)
    write_days(tmp_path / "pm25.nc", tmp_path / "met.nc", tmp_path / "d" / "index.json", variables=VARIABLES, day="utc")
    about = json.loads((tmp_path / "d" / "index.json").read_text())
    expected = {
        "pollutant": "pm25",
        "source": "pm25.nc",
        "day": "utc",
        "synthetic": "made up",
        "cell_methods": "time: mean (interval: 1 hour)",
        "collection": "aqc",
        "geoscf_version": "v1",
    }
    assert expected.items() <= about.items()
    assert about["sha256"] == {name: sha256(tmp_path / "d" / f"{name}.npy") for name in ("pm25", *VARIABLES)}
    assert (tmp_path / "d" / "pm25.npy").stat().st_size == 128 + 4 * 3 * 3 * 44


def test_meteorology_of_other_hours_or_another_area_is_refused_and_of_a_larger_one_cut(tmp_path):
    def average(folder, met, variables=("wind_speed",)):
        write_days(folder / "pm25.nc", met, folder / "d" / "index.json", variables=variables, day="utc")

    for name, grid, words in (
        ("small", BOX, {}),
        ("later", BOX, {"shift": 1}),
        ("wide", Grid(45 - 0.25 * np.arange(70), 95 + 0.25 * np.arange(90), 0.25), {"more": 5}),
    ):
        (tmp_path / name).mkdir()
        _, weather = month_files(tmp_path / name, grid, 24, **words)
    with pytest.raises(DeepcamsError, match="does not hold the same hours as"):
        average(tmp_path / "small", tmp_path / "later" / "met.nc")
    with pytest.raises(DeepcamsError, match="does not cover"):
        average(tmp_path / "wide", tmp_path / "small" / "met.nc")
    with pytest.raises(DeepcamsError, match=r"wind_speed needs the meteorology of the month beside .*; none is given"):
        average(tmp_path / "small", None)
    assert not list(tmp_path.glob("*/d/*"))
    average(tmp_path / "small", tmp_path / "wide" / "met.nc")
    found = read_days(tmp_path / "small" / "d").fields["wind_speed"][0]
    expected = weather["wind_speed"][:, 20 : 20 + 44, 20 : 20 + 56].mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_month_without_a_whole_day_and_damaged_days_are_refused(tmp_path):
    month_files(tmp_path, BOX, 18)
    with pytest.raises(DeepcamsError, match="holds no whole day: 18 hours"):
        write_days(tmp_path / "pm25.nc", None, tmp_path / "d" / "index.json", variables=[], day="utc")
    with pytest.raises(DeepcamsError, match=f"The days in {tmp_path} are damaged"):
        read_days(tmp_path)
    month_files(tmp_path, BOX, 24)
    write_days(tmp_path / "pm25.nc", None, tmp_path / "d" / "index.json", variables=[], day="utc")
    np.save(tmp_path / "d" / "pm25.npy", np.zeros((2, *BOX.shape), np.float32))
    with pytest.raises(DeepcamsError, match=r"pm25.npy has shape \(2, 44, 56\) where \(1, 44, 56\) is expected"):
        read_days(tmp_path / "d")


# Stations


@pytest.mark.parametrize("latitude", [0.0, 75.0])
def test_uniform_stations_have_the_papers_density_by_area(latitude):
    cell = np.cos(np.radians(latitude)) * (6371 * np.radians(0.25)) ** 2
    areas = np.full((1000, 1000), cell)
    per_domain = [
        station_draws.uniform(areas, np.random.default_rng(seed)).sum() / areas.sum() * 372 * 426 * 144
        for seed in range(40)
    ]
    assert 1400 < min(per_domain) < 1650 and 2350 < max(per_domain) < 2600
    assert np.mean(per_domain) == pytest.approx(2000, rel=0.06)


def test_stations_for_the_corrected_recipe_are_dense_or_sparse_and_clustered_in_half_of_the_examples():
    areas = np.full((400, 400), 600.0)
    draws = [station_draws.clustered(areas, np.random.default_rng(seed)) for seed in range(60)]
    density = np.array([draw.sum() / areas.sum() for draw in draws])
    assert 0.8 / 100_000 < density.min() < 2 / 100_000
    assert 1 / 4_000 < density.max() < 1.2 / 2_000
    assert np.median(np.log(density)) == pytest.approx(np.log(1 / np.sqrt(2_000 * 100_000)), abs=0.5)
    blocks = [draw.reshape(10, 40, 10, 40).sum(axis=(1, 3)) for draw in draws]
    crowding = np.array([block.var() / block.mean() for block in blocks])  # 1 where all are alike
    assert 20 <= (crowding < 1.6).sum() <= 40
    assert np.quantile(crowding, 0.9) > 4


def test_what_stations_measure_differs_from_the_field_by_up_to_a_tenth():
    field = np.full((2, 100, 100), 20, np.float32)
    spreads = [station_draws.measured(field, np.random.default_rng(seed)).std() / 20 for seed in range(20)]
    assert max(spreads) < 0.105 and min(spreads) < 0.03
    found = station_draws.measured(field, np.random.default_rng(3))
    assert found.dtype == np.float32 and found.min() >= 0
    assert found.mean() == pytest.approx(20, rel=0.01)
    assert (found[0] != found[1]).any()


def test_backgrounds_err_everywhere_and_by_regions():
    field = np.full((150, 200), 30, np.float32)
    draws = [station_draws.erring(field, np.random.default_rng(seed)) for seed in range(40)]
    bias = np.array([np.log(draw).mean() - np.log(30) for draw in draws])
    drift = np.array([np.log(draw).std() for draw in draws])
    assert abs(bias.mean()) < 0.15 and 0.2 < bias.std() < 0.4
    assert 0 < drift.min() < 0.1 and 0.35 < drift.max() < 0.51
    assert all(draw.dtype == np.float32 and draw.min() > 0 for draw in draws)
    peak = field.copy()
    peak[75, 100] = 300
    assert min(station_draws.erring(peak, np.random.default_rng(s))[75, 100] / draws[s][75, 100] for s in range(40)) < 2


# Climatologies


def month_of(days, *, first="2018-03-01", grid=BOX, seed=0, variables=("wind_speed",), **about):
    """A month of smooth, positive fields, in memory."""
    random = np.random.default_rng(seed)
    fields = {}
    for name, size in {"pm25": 20.0, **dict.fromkeys(variables, 4.0)}.items():
        rough = gaussian_filter(random.standard_normal((days, *grid.shape)), (0.7, 4, 4), mode="wrap")
        fields[name] = (size * np.exp(0.6 * rough / rough.std())).astype(np.float32)
    dates = np.datetime64(first) + np.arange(days)
    return Days(fields, dates, grid, {"source": "made up", "sha256": {name: str(seed) for name in fields}, **about})


def test_a_climatology_is_the_mean_of_the_days_that_are_learnt_from():
    months = [month_of(20), month_of(10, first="2019-03-05", seed=1), month_of(10, first="2018-07-01", seed=2)]
    months[0].fields["pm25"][3, 5, 6] = np.nan
    for month in months:
        month.fields["pm25"][:, 0, 0] = np.nan
    assert [split(month) for month in months] == [18, 9, 9]
    means = climatology(months)
    assert list(means) == [3, 7]
    march = np.concatenate([months[0].fields["pm25"][:18], months[1].fields["pm25"][:9]]).astype(np.float64)
    expected = np.ma.masked_invalid(march).mean(axis=0).filled(np.nan)
    assert means[3].dtype == np.float32
    np.testing.assert_allclose(means[3], expected, rtol=1e-6)
    assert np.isnan(means[3][0, 0]) and np.isfinite(means[3][5, 6])


def test_days_whose_index_says_so_are_all_learnt_from():
    assert split(month_of(20, held_out=False)) == 20
    assert split(month_of(3)) == 2


def test_a_month_that_is_lacking_has_the_nearest_months_climatology_and_of_two_the_one_before():
    means = {month: np.float32(month) for month in (1, 4, 10)}
    nearest = [of_season(means, np.datetime64(f"2020-{month:02d}-15T12:00")) for month in range(1, 13)]
    assert nearest == [1, 1, 4, 4, 4, 4, 4, 10, 10, 10, 10, 1]


def test_a_climatology_is_read_on_any_part_of_its_area(tmp_path):
    means = climatology([month_of(10), month_of(10, first="2018-11-01", seed=4)])
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for path in paths:
        write_climatology(path, dict(reversed(means.items())), BOX)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert {item.date_time[0] for item in zipfile.ZipFile(paths[0]).infolist()} == {1980}  # of no clock
    found = read_climatology(paths[0], Grid(BOX.latitude[3:30], BOX.longitude[10:50], 0.25))
    assert list(found) == [3, 11]
    for month, field in found.items():
        np.testing.assert_array_equal(field, means[month][3:30, 10:50])
    with pytest.raises(DeepcamsError, match="does not cover"):
        read_climatology(paths[0], Grid(BOX.latitude + 1, BOX.longitude, 0.25))


@pytest.mark.parametrize("damage", ["cut", "text", "none", "other"])
def test_a_damaged_climatology_is_explained(tmp_path, damage):
    path = tmp_path / "c.npz"
    if damage == "cut":
        write_climatology(path, {1: np.ones(BOX.shape, np.float32)}, BOX)
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "text":
        path.write_text("<html>")
    elif damage == "other":
        np.savez(path, months=np.arange(2))
    with pytest.raises(DeepcamsError, match=r"c.npz is no climatology"):
        read_climatology(path, BOX)


def test_covariates_are_on_the_grid_in_the_order_of_their_names_and_about_one():
    found = covariates(["population", "elevation", "land"], BOX)
    assert (found.shape, found.dtype) == ((3, *BOX.shape), np.float32)
    np.testing.assert_allclose(found[1], load.elevation(BOX) / 1000, rtol=1e-6)
    np.testing.assert_array_equal(found[2], load.land_mask(BOX))
    np.testing.assert_allclose(np.expm1(5 * found[0].astype(float)), load.population(BOX), rtol=1e-4, atol=1e-3)
    everywhere = covariates(list(COVARIATES), fine_globe())
    assert np.isfinite(everywhere).all() and np.abs(everywhere).max() < 10
    assert covariates([], BOX).shape == (0, *BOX.shape)
    with pytest.raises(DeepcamsError, match="There is no field height; choose out of elevation, land, population"):
        covariates(["land", "height"], BOX)


# Examples


def task_of(months, *, training=None, **changes):
    torch.manual_seed(0)
    module = catalogue.make("fusion", "pointconv_unetpp", SETTINGS | changes)
    return fusion.task(module, months, TRAINING | (training or {}))


def test_examples_depend_on_seed_step_and_index_and_on_nothing_else():
    months = [month_of(12), month_of(12, first="2018-07-01", seed=1)]
    task, again = (task_of(months, background="product") for _ in range(2))
    batch, other = task.draw(3, range(4)), again.draw(3, [2])
    for name, values in vars(batch).items():
        assert values.dtype == torch.float32
        torch.testing.assert_close(vars(other)[name][0], values[2], rtol=0, atol=0)
    another = task_of(months, background="product", training={"seed": 2})
    for drawn in (task.draw(4, [2]), task.draw(3, [5]), another.draw(3, [2])):
        assert (drawn.valid[0] != batch.valid[2]).any()
        assert (drawn.target[0] != batch.target[2]).any()


def test_stations_of_each_variable_are_places_of_their_own():
    task = task_of([month_of(12, variables=VARIABLES)], variables=VARIABLES)
    examples = [task.draw(step, range(8)) for step in range(1, 26)]
    valid = torch.cat([example.valid for example in examples])
    values = torch.cat([example.values for example in examples])
    target = torch.cat([example.target for example in examples])
    assert set(valid.unique().tolist()) == {0.0, 1.0}
    assert (values[valid == 0] == 0).all()
    shares = valid.mean(dim=(2, 3))
    both = (valid[:, 0] * valid[:, 1]).mean(dim=(1, 2)) - shares[:, 0] * shares[:, 1]
    assert both.abs().mean() < 0.01
    never = (shares[:, 1:] == 0).double().mean()
    assert 0.05 < never < 0.17  # a tenth, and very few by chance
    assert (shares[:, 0] == 0).double().mean() < 0.03
    relative = (values[:, :1] / target)[valid[:, :1] > 0] - 1
    assert relative.mean().abs() < 0.01 and 0.03 < relative.std() < 0.1  # noise of their own
    assert 0.6 < values[:, 2][valid[:, 2] > 0].mean() < 1.5  # 4 to 5 m s-1 over 5


def test_published_examples_are_the_fields_themselves_without_noise_or_weights():
    task = task_of([month_of(12)], recipe="published")
    examples = task.draw(1, range(8))
    for values, name in ((examples.values[:, :1], "target"), (examples.values[:, 1:], None)):
        where = examples.valid[:, :1] > 0 if name else examples.valid[:, 1:] > 0
        assert where.any()
        if name:
            torch.testing.assert_close(values[where], examples.target[where], rtol=0, atol=0)
    assert (examples.weight == 1).all()
    assert not task.clips
    assert (
        task_of([month_of(12)], recipe="published", training={"latitude_weights": True}).draw(1, [0]).weight != 1
    ).all()


def test_rows_weigh_by_their_areas_in_the_corrected_recipe():
    task = task_of([month_of(12)])
    weights = task.draw(1, range(4)).weight
    rows = np.cos(np.radians(BOX.latitude)) * np.pi / 2
    for found in weights[:, 0, :, 0].numpy():
        top = int(np.abs(rows - found[0]).argmin())
        np.testing.assert_allclose(found, rows[top : top + 32], rtol=1e-6)
    assert task.clips
    whole = np.cos(np.radians(coarse_globe().latitude)) * np.pi / 2
    assert whole.mean() == pytest.approx(1, abs=0.01)
    assert (task_of([month_of(12)], training={"latitude_weights": False}).draw(1, [0]).weight == 1).all()


def test_days_that_are_held_out_are_learnt_from_by_nobody(monkeypatch):
    month = month_of(12)
    month.fields["pm25"][:] = np.arange(12, dtype=np.float32)[:, None, None] + 1  # tells the day
    parts = []
    monkeypatch.setattr(fusion, "mean_concentration", lambda targets: parts.extend(targets) or 1.0)
    for background in ("none", "product", "climatology"):
        parts.clear()
        task = task_of([month], background=background)
        learnt = torch.cat([task.draw(step, range(8)).target for step in range(1, 11)])
        assert set(learnt.unique().tolist()) == set(range(1, 12))
        assert set(torch.cat(parts).unique().tolist()) == {12.0}


def test_backgrounds_are_the_seasons_mean_or_the_day_with_errors():
    months = [month_of(12), month_of(12, first="2018-07-01", seed=1)]
    means = climatology(months)
    drawn = task_of(months, background="climatology").draw(1, range(6))
    for background, target in zip(drawn.background[:, 0].numpy(), drawn.target[:, 0].numpy(), strict=True):
        places = [
            (month, row, column)
            for month, mean in means.items()
            for row in range(13)
            for column in range(25)
            if np.array_equal(mean[row : row + 32, column : column + 32], background)
        ]
        assert len(places) == 1
        ((calendar, row, column),) = places
        days = {3: months[0], 7: months[1]}[calendar].fields["pm25"][:11, row : row + 32, column : column + 32]
        assert any(np.array_equal(day, target) for day in days)
    drawn = task_of(months, background="product").draw(1, range(40))
    alike = [
        np.corrcoef(np.log(one.ravel()), np.log(other.ravel()))[0, 1]
        for one, other in zip(drawn.background.numpy(), drawn.target.numpy(), strict=True)
    ]
    assert np.quantile(alike, 0.7) > 0.8 and np.quantile(alike, 0.08) < 0.5  # a quarter is of another day
    assert task_of(months).draw(1, range(2)).background.shape == (2, 0, 32, 32)


def test_patches_lie_anywhere_round_the_globe():
    band = Grid(40 - 0.25 * np.arange(33), fine_globe().longitude, 0.25)
    month = month_of(12, grid=band)
    month.fields["pm25"][:] = np.arange(1440, dtype=np.float32)
    drawn = task_of([month], static=[]).draw(1, range(200)).target[:, 0, 0].numpy()
    np.testing.assert_array_equal(np.diff(drawn, axis=1) % 1440, 1)
    assert (drawn[:, 0] > drawn[:, -1]).any()  # across the date line
    assert np.ptp(drawn[:, 0]) > 1300


def test_incomplete_patches_are_not_learnt_from():
    month = month_of(12)
    month.fields["pm25"][:] = np.arange(56, dtype=np.float32)  # tells the column
    month.fields["wind_speed"][:, :, 40] = np.nan
    drawn = task_of([month], static=[]).draw(1, range(60)).target
    assert set(drawn[:, 0, :, 0].unique().tolist()) == set(range(9))
    month.fields["wind_speed"][:, :, 20] = np.nan
    with pytest.raises(DeepcamsError, match="hold hardly any complete patch"):
        task_of([month])


def test_months_that_do_not_fit_are_refused():
    month = month_of(12)
    with pytest.raises(DeepcamsError, match="The days of made up lack wind_speed"):
        task_of([month, month_of(12, variables=())])
    with pytest.raises(DeepcamsError, match="lack relative_humidity"):
        task_of([month], variables=VARIABLES)
    for other in (
        Grid(BOX.latitude, BOX.longitude + 5, 0.25),
        Grid(BOX.latitude - 5, BOX.longitude, 0.25),
        Grid(BOX.latitude[:-1], BOX.longitude, 0.25),
    ):
        with pytest.raises(DeepcamsError, match="training months are of different areas"):
            task_of([month, month_of(12, grid=other)])
    for patch in (45, 60):
        with pytest.raises(DeepcamsError, match=f"have 44 × 56 nodes, too few for patches of {patch}. Lower fusion.tr"):
            task_of([month], training={"patch": patch})
    with pytest.raises(DeepcamsError, match="made up has 1 days, too few to learn from and to validate"):
        task_of([month_of(1)]).draw(1, [0])


# Trainings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A month of days on disk."""
    root = tmp_path_factory.mktemp("days")
    month = month_of(12)
    axes = {"latitude": BOX.latitude, "longitude": BOX.longitude}
    times = np.datetime64("2018-03-01T00:30", "s") + np.arange(12 * 24) * np.timedelta64(3600, "s")
    daily = {name: np.repeat(values, 24, axis=0) for name, values in month.fields.items()}
    dimensions = ("time", "latitude", "longitude")
    about = {"units": "ug m-3", "cell_methods": "time: mean (interval: 1 hour)", "synthetic": "made up"}
    field = xr.DataArray(daily["pm25"], {"time": times, **axes}, dimensions, "pm25", about)
    write_field(root / "f.nc", field, Encoding(), {"collection": "aqc", "geoscf_version": "v1"})
    weather = {"wind_speed": (dimensions, daily["wind_speed"])}
    xr.Dataset(weather, {"time": times, **axes}).to_netcdf(root / "m.nc", engine="netcdf4")
    write_days(root / "f.nc", root / "m.nc", root / "2018-03" / "index.json", variables=["wind_speed"], day="utc")
    return root / "2018-03"


def taught(folder, out, *, curves=None, state=None, code="c0de", training=None, **changes):
    settings = {**SETTINGS, **changes, "training": TRAINING | (training or {})}
    return train("fusion", settings, [folder / "index.json"], out, code=code, curves=curves, state=state)


# The corrected network begins with a weighted mean of what is near, which is not much worse than what it ends with; the
# published one with nothing.
LEARNERS = [
    ({}, 0.997),
    ({"background": "climatology"}, 0.998),
    ({"background": "product"}, 0.993),
    ({"recipe": "published"}, 0.7),
    ({"recipe": "published", "reading": "as_printed"}, 0.85),
    ({"variables": [], "static": []}, 0.99),
]


@pytest.mark.parametrize(("changes", "share"), LEARNERS, ids=lambda value: str(value))
def test_a_tiny_network_learns(folder, tmp_path, changes, share):
    best = taught(folder, tmp_path / "m", curves=tmp_path / "c.csv", **changes)
    curves = pd.read_csv(tmp_path / "c.csv")
    assert curves["step"].tolist() == list(range(1, 16))
    assert best["score"] < share * curves["score"].iloc[0]
    assert best["step"] > 1
    network = load_model(tmp_path / "m", "fusion")
    assert network.background == changes.get("background", "none")
    valid = (np.random.default_rng(0).random(BOX.shape) < 0.05).astype(np.float32)
    background = None if network.background == "none" else np.full(BOX.shape, 15, np.float32)
    found = network.estimate((20 * valid, valid), {}, covariates(network.static, BOX), BOX, background)
    assert np.isfinite(found).all()


def test_what_is_judged_is_the_error_beside_a_weighted_mean_of_what_is_near(folder, tmp_path):
    """Untaught and without a background the network is that mean, but in another space."""
    best = taught(folder, tmp_path / "m", training={"steps": 1, "learning_rate": 1e-9}, variables=[])
    assert 0.8 < best["score"] < 1.3
    assert best["score"] == pytest.approx(
        (best["rmse"] / best["baseline_rmse"] + best["mae"] / best["baseline_mae"]) / 2
    )
    assert 5 < best["baseline_rmse"] < 30


def test_a_model_file_says_what_it_was_learnt_from(folder, tmp_path):
    best = taught(folder, tmp_path / "m", training={"steps": 2})
    found = read_model(tmp_path / "m", "fusion")
    assert found.settings == {
        **SETTINGS,
        "training": TRAINING | {"steps": 2},
        "transform": "asinh",
        "factor": 3,
    }
    digests = json.loads((folder / "index.json").read_text())["sha256"]
    assert set(digests) == {"pm25", "wind_speed"}
    shards = found.provenance.pop("shards")
    assert list(shards) == ["2018-03"]
    assert found.provenance == {
        "code": "c0de",
        "operator": None,
        "cell_methods": "time: mean (interval: 1 hour)",
        "collection": "aqc",
        "geoscf_version": "v1",
        "pollutant": "pm25",
        "synthetic": "made up",
        "domain": None,
        "resolution": None,
        "steps": 2,
        "seed": 1,
        "processes": 1,
        "validation": best,
    }
    other = tmp_path / "other" / "2018-03"
    shutil.copytree(folder, other)
    index = json.loads((other / "index.json").read_text())
    index["sha256"]["wind_speed"] = "0"
    (other / "index.json").write_text(json.dumps(index))
    taught(other, tmp_path / "o", training={"steps": 2})
    assert read_model(tmp_path / "o").provenance["shards"] != shards  # not only the pollutant counts


def test_versions_of_geoscf_are_never_mixed(folder, tmp_path):
    other = tmp_path / "2018-04"
    shutil.copytree(folder, other)
    index = json.loads((other / "index.json").read_text())
    (other / "index.json").write_text(json.dumps(index | {"geoscf_version": "v2"}))
    settings = {**SETTINGS, "training": TRAINING}
    with pytest.raises(DeepcamsError, match="Versions of GEOS-CF must not be mixed"):
        train("fusion", settings, [folder / "index.json", other / "index.json"], tmp_path / "m", code="c0de")
    with pytest.raises(DeepcamsError, match="learns, but there are no training months"):
        train("fusion", settings, [], tmp_path / "m", code="c0de")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("background", ["none", "climatology", "product"])
def test_the_same_examples_over_and_over_are_learnt(background):
    task = task_of([month_of(12)], background=background, features=4)
    examples = task.draw(1, range(2))
    done = engine.fit(task._replace(draw=lambda step, indices: examples), TRAINING | {"steps": 12}, name="it")
    losses = [row["loss"] for row in done.history]
    assert losses[-1] < 0.97 * losses[0], losses


class Killed(BaseException):
    """In place of a signal."""


def test_a_killed_training_ends_with_the_bytes_of_one_that_was_not(folder, tmp_path, monkeypatch):
    training, kept, keep = {"steps": 6}, [], engine.keep

    def keep_and_stop(*words):
        keep(*words)
        kept.append(words[2].step)
        if len(kept) == 3:
            raise Killed

    taught(folder, tmp_path / "whole", training=training, background="product")
    monkeypatch.setattr(engine, "keep", keep_and_stop)
    with pytest.raises(Killed):
        taught(folder, tmp_path / "m", training=training, background="product", state=tmp_path / "state")
    taught(folder, tmp_path / "m", training=training, background="product", state=tmp_path / "state")
    assert kept == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "m").read_bytes() == (tmp_path / "whole").read_bytes()
