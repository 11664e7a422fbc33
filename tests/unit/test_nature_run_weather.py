"""Humidity, wind and weather stations of the nature run: as files, as physics, and through the readers."""

import gzip

import netCDF4
import numpy as np
import pytest

from deepcams.calendar import HALF_HOUR, HOUR, Month
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.geography import load as geography
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid, refine
from deepcams.sources import isd, meteorology
from deepcams.sources.nature_run import write
from deepcams.sources.nature_run.near_ground import Ground
from deepcams.sources.nature_run.simulate import NatureRun, domain
from deepcams.sources.nature_run.weather_stations import dew_point_of, make_weather_stations
from deepcams.sources.nature_run.winds import Weather, washout

SMALL = Region(29.25, 76.5, 27.0, 79.5)  # around Delhi
MONTH = Month(2018, 2)
OPTIONS = {
    "region": SMALL,
    "seed": 3,
    "time_step_minutes": 60,
    "spin_up_days": 0,
    "margin_degrees": 0.75,
    "stations": 24,
}


@pytest.fixture(scope="module")
def simulate():
    """`write_month` without what takes long and is tested elsewhere: files of the portal and of PM2.5 stations."""

    class NoPortal:
        def __init__(self, root, *_):
            self.path = root / "portal"

        def write(self, *_, **__):
            self.path.touch()
            return self.path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "Portal", NoPortal)
        patch.setattr(write, "_write_records", lambda *_: [])
        patch.setattr(write.os, "sync", lambda: None)
        yield lambda month, root, **more: write.write_month(month, root, **OPTIONS, **more)


@pytest.fixture(scope="module")
def mirror(simulate, tmp_path_factory):
    """February 2018."""
    root = tmp_path_factory.mktemp("mirror")
    simulate(MONTH, root)
    return root


@pytest.fixture(scope="module")
def fields(mirror):
    with netCDF4.Dataset(mirror / "meteorology/2018-02.nc") as dataset:
        return {name: dataset[name][:].filled(np.nan) for name in ("relative_humidity", "wind_speed")}


@pytest.fixture(scope="module")
def table(mirror):
    return isd.retrieve_month("nature_run", MONTH, path=mirror / "weather", region=SMALL)


def test_a_month_has_the_form_that_is_linked_and_says_that_it_is_synthetic(mirror, tmp_path):
    grid = domain(SMALL, 0.75)[1]
    path = mirror / "meteorology/2018-02.nc"
    meteorology.retrieve_month("local", MONTH, tmp_path / "m.nc", path=path.parent, grid=grid, max_missing=0.0)
    assert (tmp_path / "m.nc").is_symlink()
    with netCDF4.Dataset(path) as dataset:
        assert "nature run of deepcams, seed 3" in dataset.synthetic and dataset.title.startswith("SYNTHETIC")
        assert dataset["relative_humidity"].long_name.endswith(", SYNTHETIC") and dataset.missing_hours == "none"
        times = netCDF4.num2date(dataset["time"][:], dataset["time"].units)
        assert str(times[0]) == "2018-02-01 00:30:00" and len(times) == 28 * 24 + 1
        for name in ("relative_humidity", "wind_speed"):
            values = dataset[name][:].filled(np.nan)
            assert np.isfinite(values).all() and values.dtype == np.float32
            assert (values.view(np.uint32) & 0xFFFF == 0).all()  # seven bits of the mantissa


def test_the_rule_cuts_the_region_out_of_a_month(mirror, fields, tmp_path):
    grid = refine(coarse_grid(SMALL))
    options = {"path": mirror / "meteorology", "max_missing": 0.0}
    meteorology.retrieve_month("nature_run", MONTH, tmp_path / "m.nc", grid=grid, **options)
    meteorology.retrieve_month("nature_run", MONTH, tmp_path / "whole.nc", grid=None, **options)
    with netCDF4.Dataset(tmp_path / "m.nc") as cut, netCDF4.Dataset(tmp_path / "whole.nc") as whole:
        np.testing.assert_array_equal(cut["latitude"][:], grid.latitude)
        np.testing.assert_array_equal(cut["longitude"][:], grid.longitude)
        assert "seed 3" in cut.synthetic and cut["wind_speed"].long_name.endswith("10 m, SYNTHETIC")
        for name, values in fields.items():
            np.testing.assert_array_equal(cut[name][:], values[:, 3:-3, 3:-3])
            np.testing.assert_array_equal(whole[name][:], values)
    assert not (tmp_path / "whole.nc").is_symlink()
    outside = refine(coarse_grid(Region(36.0, 76.5, 27.0, 79.5)))
    with pytest.raises(DeepcamsError, match="does not cover"):
        meteorology.retrieve_month("nature_run", MONTH, tmp_path / "o.nc", grid=outside, **options)
    with pytest.raises(DeepcamsError, match="is no month of meteorology"):
        meteorology.retrieve_month("nature_run", MONTH.next(), tmp_path / "o.nc", grid=grid, **options)


def test_the_fields_are_the_weather_of_their_hours(fields):
    """Whatever the state: the file's hours are those of another run that never was there before."""
    ground = Ground(NatureRun(3, np.datetime64("2017-01-01"), SMALL, 0.75))
    for number in (0, 100, 672):
        near = ground.at(MONTH.start + number * HOUR)
        np.testing.assert_allclose(fields["relative_humidity"][number], near.relative_humidity, rtol=2.0**-8)
        np.testing.assert_allclose(fields["wind_speed"][number], near.wind_speed, rtol=2.0**-8)
    assert fields["relative_humidity"].min() >= 0.15 and fields["relative_humidity"].max() <= 1
    assert 1 < fields["wind_speed"].mean() < 8


def test_rain_is_a_function_of_moisture():
    weather = Weather(3, coarse_grid(SMALL))
    moisture = weather.moisture(MONTH.start)
    np.testing.assert_array_equal(weather.rain(MONTH.start), washout(moisture))
    np.testing.assert_allclose(washout(moisture), 0.15 / (1 + np.exp(-5 * moisture.numpy().astype(float))), rtol=1e-5)


@pytest.fixture(scope="module")
def day():
    """Four hours of a day of the globe: the run, their beginnings, and the weather near the ground."""
    run = NatureRun(5, np.datetime64("2018-07-05"), None)
    ground = Ground(run)
    hours = np.datetime64("2018-07-05T00:00:00") + np.arange(0, 24, 6) * HOUR
    return run, hours, [ground.at(hour) for hour in hours]


def test_air_is_moist_over_the_sea_in_rain_and_at_night_and_dry_in_the_desert(day):
    run, _, nears = day
    grid, humidity = run.grid, np.stack([near.relative_humidity for near in nears])
    land, lat = geography.land_mask(grid), np.abs(grid.latitude)[:, None]
    warm = lat < 50
    assert humidity.min() >= 0.15 and humidity.max() <= 1
    assert 0.6 < np.average(humidity.mean(0), weights=np.cos(np.radians(lat)) * np.ones_like(land)) < 0.85
    sahara = humidity[:, (90 - 23) * 4, (180 + 10) * 4]
    assert sahara.mean() < 0.45
    assert humidity[:, warm & ~land].mean() > humidity[:, warm & land].mean() + 0.1
    rain = np.stack([near.air.rain.numpy() for near in nears])
    assert humidity[rain > 0.1].mean() > 0.85 > humidity[rain < 1e-4].mean()
    local = (np.arange(0, 24, 6)[:, None] + 0.5 + grid.longitude / 15) % 24
    clocks = np.broadcast_to(local[:, None, :], humidity.shape)
    here = np.broadcast_to(warm & land, humidity.shape)
    night, noon = ((np.abs((clocks - centre + 12) % 24 - 12) < 3) & here for centre in (3, 15))
    assert humidity[night].mean() > humidity[noon].mean() + 0.15
    assert np.ptp(humidity[:, 0], axis=1).max() < 1e-3  # one value at each pole
    assert np.ptp(humidity[:, -1], axis=1).max() < 1e-3


def test_wind_is_slower_near_the_ground_and_faster_over_the_sea(day):
    run, _, nears = day
    land = geography.land_mask(run.grid)
    for near in nears:
        aloft = np.sqrt((near.air.wind.numpy() ** 2).sum(0))
        ratio = near.wind_speed / np.maximum(aloft, 0.1)
        assert ratio.max() <= 1.0
        assert ratio[~land].mean() > 1.3 * ratio[land].mean() > 0.4


def test_a_region_has_the_globes_weather(day):
    _, hours, nears = day
    part = NatureRun(5, hours[0], SMALL, 0.75)
    near, grid = Ground(part).at(hours[1]), part.grid
    rows = np.round((90 - grid.latitude) * 4).astype(int)
    columns = np.round((grid.longitude + 180) * 4).astype(int)
    at = np.ix_(rows, columns)
    np.testing.assert_allclose(near.relative_humidity, nears[1].relative_humidity[at], atol=2e-3)
    np.testing.assert_allclose(near.wind_speed, nears[1].wind_speed[at], atol=2e-2)


def test_half_as_many_weather_stations_stand_on_land_and_at_least_ten(mirror):
    grid = refine(coarse_grid(SMALL))
    assert len((mirror / "weather/2018-02/isd-history.csv").read_text().splitlines()) == 1 + 12
    places = make_weather_stations(3, 40, grid)
    assert places == make_weather_stations(3, 40, grid)
    assert places != make_weather_stations(4, 40, grid)
    world = refine(coarse_globe())
    land = geography.land_mask(world)
    far = make_weather_stations(3, 300, world)
    assert all(land[s.row, s.column] for s in far) and len({(s.row, s.column) for s in far}) == 300
    assert all(abs(world.latitude[s.row] - s.latitude) <= 0.1001 for s in far)
    assert {s.every for s in far} == {1, 3}
    sea = refine(coarse_grid(Region(6.0, 177.0, 3.0, 183.0)))
    assert not geography.land_mask(sea).any() and len(make_weather_stations(3, 10, sea)) == 10


def test_stations_report_what_their_cells_have(mirror, table, fields):
    assert table["name"].str.startswith("SYNTHETIC WEATHER").all() and table["station"].nunique() == 12
    assert MONTH.start <= table["time"].min() and table["time"].max() < MONTH.end
    grid = domain(SMALL, 0.75)[1]
    stations = {f"{s.usaf}-99999": s for s in make_weather_stations(3, 12, refine(coarse_grid(SMALL)))}
    hour = ((table["time"].to_numpy() - MONTH.start) / HOUR).astype(int)
    later = hour > 0
    row = np.array([stations[name].row + 3 for name in table["station"]])[later]
    column = np.array([stations[name].column + 3 for name in table["station"]])[later]
    for name, off, alike in (("relative_humidity", 0.05, 0.97), ("wind_speed", 1.0, 0.9)):
        cell = (fields[name][hour[later] - 1, row, column] + fields[name][hour[later], row, column]) / 2
        seen = table[name].to_numpy()[later]
        there = np.isfinite(seen)
        assert np.abs(seen - cell)[there].mean() < off
        assert np.corrcoef(seen[there], cell[there])[0, 1] > alike
    assert np.abs(grid.latitude[row] - table["latitude"][later]).max() <= 0.1001


def test_winds_come_from_where_they_blow_from(mirror, table):
    """Directions are those of the waves' wind, in degrees clockwise from north, whence it comes; 0 is calm."""
    assert set(table["wind_direction"].dropna() % 10) == {0.0}
    assert ((table["wind_direction"] == 0) == (table["wind_speed"] == 0)).loc[table["wind_speed"].notna()].all()
    run = NatureRun(3, MONTH.start, SMALL, 0.75)
    stations = {f"{s.usaf}-99999": s for s in make_weather_stations(3, 12, refine(coarse_grid(SMALL)))}
    rows = table[(table["time"] == MONTH.start + 60 * HOUR) & (table["wind_speed"] > 1)]
    assert len(rows) > 5
    for _, seen in rows.iterrows():
        place = stations[seen["station"]]
        wind = run.air(MONTH.start + 60 * HOUR).wind.numpy()[:, place.row + 3, place.column + 3]
        lon, lat = np.radians(run.grid.longitude[place.column + 3]), np.radians(run.grid.latitude[place.row + 3])
        east = wind @ [-np.sin(lon), np.cos(lon), 0]
        north = wind @ [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
        whence = np.degrees(np.arctan2(east, north)) + 180
        assert abs((seen["wind_direction"] - whence + 180) % 360 - 180) < 45


def test_stations_have_gaps_and_lack_values(table):
    expected = 28 * 24 * 12
    assert 0.5 * expected < len(table) < 0.97 * expected
    assert 0 < table["dew_point"].isna().mean() < 0.03 and 0 < table["wind_speed"].isna().mean() < 0.03
    assert table["temperature"].notna().all() and table["temperature"].between(-15, 40).all()
    assert (table["dew_point"] <= table["temperature"]).loc[table["dew_point"].notna()].all()
    assert not table.duplicated(["station", "time"]).any()


def test_dew_point_and_temperature_give_the_humidity_back():
    temperature = np.array([-30.0, -5.0, 0.0, 15.0, 40.0])
    for humidity in (0.08, 0.5, 1.0):
        dew_point = dew_point_of(temperature, np.full(5, humidity))
        np.testing.assert_allclose(isd.relative_humidity(temperature, dew_point), humidity, atol=1e-4)


def test_months_keep_their_files_apart_and_the_same_month_has_the_same_bytes(mirror, simulate, tmp_path):
    """A month that is made again after a restart is the one that was made without; others are not touched."""
    before = {p.relative_to(mirror): sha256(p) for p in (mirror / "weather").rglob("*") if p.is_file()}
    simulate(MONTH.next(), mirror, restart_in=mirror / "restart/2018-02.npz")
    simulate(MONTH.next(), tmp_path)
    for folder in ("weather/2018-03", "meteorology"):
        for path in (p for p in (tmp_path / folder).rglob("*") if p.is_file()):
            assert sha256(path) == sha256(mirror / path.relative_to(tmp_path)), path
    assert {path: sha256(mirror / path) for path in before} == before
    march = isd.retrieve_month("nature_run", MONTH.next(), path=mirror / "weather", region=SMALL)
    assert march["time"].min() >= MONTH.end and march["time"].max() < MONTH.next().end
    text = gzip.decompress(next((mirror / "weather/2018-03/isd-lite/2018").glob("*.gz")).read_bytes()).decode()
    assert {line[:7] for line in text.splitlines()} == {"2018 03"}


def test_manifests_list_what_there_is(mirror):
    for name, pattern in (("meteorology", "meteorology/2018-02.nc"), ("weather", "weather/2018-02/**/*")):
        lines = (mirror / f"{name}-2018-02.sha256").read_text().splitlines()
        listed = dict(reversed(line.split("  ")) for line in lines)
        assert listed == {
            p.relative_to(mirror).as_posix(): sha256(p) for p in mirror.glob(pattern) if p.is_file()
        }  # fmt: skip


def test_means_are_of_the_middle_of_their_hours():
    run = NatureRun(3, MONTH.start, SMALL, 0.75)
    wind = run.weather.wind(MONTH.start + 5 * HOUR + HALF_HOUR).permute(2, 0, 1)
    np.testing.assert_allclose(run.air(MONTH.start + 5 * HOUR).wind[:, ::3, ::3], wind, atol=1e-5)
