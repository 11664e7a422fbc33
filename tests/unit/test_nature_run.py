"""The nature run: exactness, physics, and the files of the three services."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.geography import load as geography
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid, fine_globe, refine
from deepcams.sources.nature_run import delivery, emissions, stations
from deepcams.sources.nature_run.simulate import NatureRun
from deepcams.sources.nature_run.winds import Weather
from deepcams.sources.nature_run.write import hourly, write_month

START = np.datetime64("2018-03-05T00:00:00")
HOUR = np.timedelta64(1, "h")
DAY = np.timedelta64(24, "h")
INDIA = Region(33.0, 75.0, 26.25, 83.25)
PACIFIC = Region(6.0, 174.0, -6.0, 189.0)


def ran(seed: int, hours: int, region: Region | None = INDIA, **options) -> NatureRun:
    run = NatureRun(seed, START, region, 1.5, **options)
    run.run_until(START + hours * HOUR)
    return run


def test_same_seed_same_field_other_seed_other_field():
    first, again, other = ran(3, 5), ran(3, 5), ran(4, 5)
    assert np.array_equal(first.field(), again.field())
    assert not np.allclose(first.field(), other.field(), rtol=0.05)


def test_a_restart_goes_on_exactly(tmp_path):
    whole = ran(3, 48)
    half = ran(3, 24)
    half.save(tmp_path / "half.npz")
    rest = NatureRun(3, START, INDIA, 1.5)
    rest.load(tmp_path / "half.npz")
    assert rest.time == START + DAY
    rest.run_until(START + 2 * DAY)
    assert np.array_equal(rest.field(), whole.field())


def test_a_restart_of_another_run_is_refused(tmp_path):
    ran(3, 1).save(tmp_path / "state.npz")
    with pytest.raises(DeepcamsError, match="another nature run"):
        NatureRun(4, START, INDIA, 1.5).load(tmp_path / "state.npz")
    (tmp_path / "state.npz").write_bytes(b"no archive")
    with pytest.raises(DeepcamsError, match="not a restart"):
        NatureRun(3, START, INDIA, 1.5).load(tmp_path / "state.npz")


def test_a_step_must_divide_the_hour():
    with pytest.raises(DeepcamsError, match="divisor of 60"):
        NatureRun(1, START, INDIA, 1.5, step_minutes=25)


@pytest.fixture(scope="module")
def globe() -> NatureRun:
    return ran(5, 3, None)


def test_the_globe_is_positive_finite_and_constant_at_the_poles(globe):
    field = globe.field()
    assert field.shape == (721, 1440)
    assert field.dtype == np.float32
    assert np.isfinite(field).all()
    assert field.min() > 0.2
    assert np.ptp(field[0]) == 0
    assert np.ptp(field[-1]) == 0


def test_no_seam_at_the_date_line(globe):
    sea = ~geography.land_mask(fine_globe())
    log = np.log(globe.field())
    # Over open water, where nothing but the air makes gradients.
    sea = sea & np.roll(sea, 3, 1) & np.roll(sea, -3, 1)
    steps = np.abs(log - np.roll(log, 1, axis=1))
    across = steps[:, 0][sea[:, 0]].mean()
    around = np.array([steps[:, c][sea[:, c]].mean() for c in (*range(2, 14), *range(-12, 0))])
    assert across < 1.25 * around.max()
    assert across > 0.5 * around.min()


def test_a_region_has_the_weather_and_sources_of_the_globe():
    inner = coarse_grid(INDIA)
    globe = coarse_globe()
    wind, whole = Weather(3, inner).wind(START).numpy(), Weather(3, globe).wind(START).numpy()
    row, column = round((90 - 33.0) / 0.75), round((75.0 + 180) / 0.75)
    box = whole[row : row + inner.shape[0], column : column + inner.shape[1]]
    np.testing.assert_allclose(wind, box, atol=2e-3)
    fires = emissions.fire_emission(3, 160_000.0, fine_globe())
    fine = refine(coarse_grid(Region(15.0, -12.0, 0.0, 30.0)))
    i, j = round((90 - 15.0) * 4), round((180 - 12.0) * 4)
    cut = fires[i : i + fine.shape[0], j : j + fine.shape[1]]
    assert cut.max() > 0
    np.testing.assert_allclose(emissions.fire_emission(3, 160_000.0, fine), cut, rtol=1e-5)


def test_winds_are_tangent_and_blow_as_on_earth():
    grid = coarse_globe()
    weather = Weather(3, grid)
    wind = weather.wind(START)
    speed = wind.norm(dim=-1).numpy()
    across = (wind.reshape(-1, 3) * weather.place).sum(1).abs().max()
    assert across < 1e-3
    assert 5 < speed.mean() < 14
    assert speed.max() < 50
    lon = np.radians(grid.longitude)
    winds = [Weather(seed, grid).wind(START).numpy() for seed in range(6)]
    zonal = np.mean([(-np.sin(lon) * w[..., 0] + np.cos(lon) * w[..., 1]).mean(1) for w in winds], axis=0)
    assert zonal[round((90 - 15) / 0.75)] < -2  # trades
    assert zonal[round((90 + 45) / 0.75)] > 3  # westerlies of the south


def test_the_day_follows_the_sun():
    """Where people are, the hour of the highest concentration moves with longitude: 15° an hour."""
    hours = np.arange(0, 24, 0.25)
    for lon in (0.0, 90.0, -60.0):
        local = (hours + lon / 15) % 24
        assert local[emissions.diurnal_people(local).argmax()] == pytest.approx(8, abs=1.0)
    assert 6 * emissions.diurnal_fire(np.array(2.0)) < emissions.diurnal_fire(np.array(15.0))
    mixing = emissions.diurnal_mixing(hours)
    assert 10 < hours[mixing.argmin()] < 17
    assert abs(emissions.diurnal_people(hours).mean() - 1) < 0.1


def test_the_surface_is_cleaner_in_the_afternoon_of_its_own_clock():
    run = NatureRun(3, START, INDIA, 1.5)
    run.run_until(START + DAY)
    means = np.array([hourly(run)[0].mean() for _ in range(24)])
    local = (np.arange(24) + 79 / 15) % 24
    afternoon = means[(local > 12) & (local < 17)].mean()
    night = means[(local > 21) | (local < 5)].mean()
    assert night > 1.3 * afternoon


def test_transport_neither_makes_nor_loses_much():
    """Without sources and sinks a smooth blob keeps its mass to a few percent over half a day."""
    run = NatureRun(3, START, None)
    lat, lon = run.grid.latitude[:, None], run.grid.longitude[None]
    blob = 50 * np.exp(-((lat - 45) ** 2 + ((lon - 20) * 0.7) ** 2) / 2 / 6**2)
    weights = np.cos(np.radians(lat))
    run.state = run.state * 0 + run.state.new_tensor(blob.astype(np.float32) + 0.001)
    before = float((run.state.numpy() * weights).sum())
    for _ in range(12):
        run._refresh()
        run.weather_emission = run.weather_emission * 0
        run.people = run.people * 0
        run.survival = run.survival * 0 + 1
        run.advance()
    assert float((run.state.numpy() * weights).sum()) == pytest.approx(before, rel=0.03)


def test_an_hourly_mean_is_the_mean_of_its_steps():
    run, twin = ran(3, 2), ran(3, 2)
    instant, mean = hourly(run)
    fields = [twin.field()]
    for _ in range(4):
        twin.advance()
        fields.append(twin.field())
    expected = (0.5 * fields[0] + fields[1] + fields[2] + fields[3] + 0.5 * fields[4]) / 4
    assert np.array_equal(instant, fields[0])
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


def test_cams_is_degraded_and_packed_as_the_service_does(globe):
    field = delivery.spectral_sample(globe.field(), globe.grid, globe.coarse)
    assert field.shape == (241, 480)
    rolled = delivery.spectral_sample(np.roll(globe.field(), 30, axis=1), globe.grid, globe.coarse)
    np.testing.assert_allclose(rolled, np.roll(field, 10, axis=1), rtol=1e-5)
    constant = delivery.spectral_sample(np.full((721, 1440), 7.0), globe.grid, globe.coarse)
    np.testing.assert_allclose(constant, 7.0, rtol=1e-5)
    packed = delivery.packed(field)
    assert 0.08 <= (packed <= 0).mean() <= 0.16
    assert len(np.unique(np.round(packed / delivery.PACKING_STEP, 3) % 1)) == 1
    assert abs((packed - field)[field > 5].mean()) < 0.05


def test_rounding_keeps_ten_bits():
    values = np.random.default_rng(1).lognormal(1, 2, 1000).astype(np.float32)
    rounded = delivery.rounded(values)
    assert np.abs(rounded / values - 1).max() <= 2.0**-11 * 1.001
    assert (rounded.view(np.uint32) & 0x1FFF == 0).all()


@pytest.fixture(scope="module")
def mirror(tmp_path_factory) -> Path:
    """February and March 2018 over a piece of northern India, cut to a few nodes."""
    root = tmp_path_factory.mktemp("mirror")
    options = {
        "region": Region(29.25, 76.5, 27.0, 79.5),
        "seed": 3,
        "time_step_minutes": 15,
        "spin_up_days": 0,
        "margin_degrees": 0.75,
        "stations": 24,
    }
    write_month(Month(2018, 2), root, **options)
    write_month(Month(2018, 3), root, **options, restart_in=root / "restart" / "2018-02.npz")
    return root


@pytest.mark.slow
def test_portal_files_have_the_portals_layout(mirror):
    folder = mirror / "portal/geos-cf/v1/ana"
    assert len(list((folder / "Y2018/M02").rglob("*tavg*"))) == 28 * 24
    assert len(list((folder / "Y2018/M04").rglob("*tavg*"))) == 1
    path = folder / "Y2018/M02/D03/GEOS-CF.v01.rpl.aqc_tavg_1hr_g1440x721_v1.20180203_0730z.nc4"
    with xr.open_dataset(path) as file:
        field = file["PM25_RH35_GCC"]
        assert field.dims == ("time", "lev", "lat", "lon")
        assert field.units == "ug m-3"
        assert field.encoding["_FillValue"] == np.float32(1e15)
        assert str(file.time.values[0])[:16] == "2018-02-03T07:30"
        assert file.lat.values[0] == 26.25
        assert (np.diff(file.lat) > 0).all()
        assert float(file.lev[0]) == 72
        assert "nature run of deepcams, seed 3" in file.attrs["synthetic"]
        assert "SYNTHETIC" in file.attrs["Title"]
        mean = field.values[0, 0, ::-1]
    with xr.open_dataset(mirror / "truth/2018-02.nc") as truth:
        assert truth.sizes["time"] == 28 * 24 + 1
        assert "nature run" in truth.attrs["synthetic"]
        around = truth["pm25"].sel(time=["2018-02-03T07:00", "2018-02-03T08:00"]).values
    instant = path.with_name("GEOS-CF.v01.rpl.htf_inst_15mn_g1440x721_x1.20180203_0700z.nc4")
    with xr.open_dataset(instant) as file:
        np.testing.assert_allclose(file["PM25_RH35_GCC"].values[0, 0, ::-1], around[0], rtol=6e-4)
    assert (mean >= around.min(0) * 0.5).all()
    assert np.corrcoef(mean.ravel(), around.mean(0).ravel())[0, 1] > 0.98


@pytest.mark.slow
def test_the_ads_file_has_the_services_layout(mirror):
    with xr.open_dataset(mirror / "ads/2018-02.nc", decode_times=False) as raw:
        assert raw["valid_time"].dtype == np.int64
        assert raw["number"].shape == ()
    with xr.open_dataset(mirror / "ads/2018-02.nc") as file:
        field = file["pm2p5"]
        assert field.dims == ("valid_time", "latitude", "longitude")
        assert field.units == "kg m**-3"
        assert field.shape[0] == 28 * 8 + 1
        assert str(file.valid_time.values[-1])[:16] == "2018-03-01T00:00"
        assert (np.diff(file.latitude) < 0).all()
        assert list(file.expver.values[:2]) == ["0001", "0001"]
        assert "nature run" in file.attrs["synthetic"]
        values = field.values * 1e9
    with xr.open_dataset(mirror / "truth/2018-02.nc") as truth:
        fine = truth["pm25"].values[::3, ::3, ::3]
    assert values.shape == fine.shape
    assert 0.75 < values.mean() / fine.mean() < 1.1
    steps = values / delivery.PACKING_STEP
    assert np.abs(steps - steps.round()).max() < 1e-2


@pytest.mark.slow
def test_months_join_exactly(mirror):
    with xr.open_dataset(mirror / "truth/2018-02.nc") as a, xr.open_dataset(mirror / "truth/2018-03.nc") as b:
        assert np.array_equal(a["pm25"].values[-1], b["pm25"].values[0])
        assert a.time.values[-1] == b.time.values[0]


@pytest.mark.slow
def test_manifests_are_right(mirror):
    for month in ("2018-02", "2018-03"):
        for name in ("ads", "portal", "openaq"):
            lines = (mirror / f"{name}-{month}.sha256").read_text().splitlines()
            assert lines
            for line in lines:
                digest, path = line.split("  ")
                assert sha256(mirror / path) == digest
    assert not [path for path in mirror.rglob("*") if ".part" in path.name]


@pytest.mark.slow
def test_stations_have_the_archives_layout_and_every_fault(mirror):
    listing = json.loads((mirror / "openaq/locations.json").read_text(encoding="utf-8"))
    results = listing["results"]
    assert len(results) == 24
    assert all(place["name"].startswith("SYNTHETIC") for place in results)
    assert "nature run" in listing["meta"]["synthetic"]
    assert {place["isMonitor"] for place in results} == {True, False}
    pairs = [(p["coordinates"]["latitude"], p["coordinates"]["longitude"]) for p in results]
    assert len(set(pairs)) < len(pairs)  # two providers of one station
    frames = []
    for path in sorted((mirror / "openaq/records").rglob("*.csv.gz")):
        text = gzip.decompress(path.read_bytes()).decode()
        assert text.startswith('"location_id","sensors_id","location","datetime","lat","lon","parameter"')
        assert text.endswith("\r\n")
        frames.append(pd.read_csv(io.StringIO(text)))
    table = pd.concat(frames)
    assert table["location"].str.startswith("SYNTHETIC").all()
    assert (table["datetime"].str.endswith("+05:30")).all()
    assert {-999, 985, -1} <= set(table["value"])
    assert table.duplicated(["location_id", "datetime"]).any()
    per_day = table.groupby(["location_id", table["datetime"].str[:10]]).size()
    assert (per_day < 20).any()
    runs = table.groupby("location_id")["value"].apply(lambda v: (v.diff() == 0).rolling(7).sum().max())
    assert runs.max() >= 7


def test_a_stations_hour_is_its_cells_mean_with_noise(tmp_path):
    grid = refine(coarse_grid(INDIA))
    station = next(s for s in stations.make_stations(3, 12, grid) if s.reference_grade)
    means = np.linspace(20, 66, 24)
    ratios = []
    for n in range(40):
        day = np.datetime64("2018-03-01") + n
        path = stations.write_day(tmp_path, station, day, means, 3)
        if path is None:
            continue
        table = pd.read_csv(path).drop_duplicates("datetime")
        assert table["datetime"].iloc[-1][:10] in (str(day), str(day + 1))
        hours = pd.to_datetime(table["datetime"].str[:19]) - pd.Timestamp(day)
        index = (hours.dt.total_seconds() / 3600).astype(int).to_numpy() - 1
        good = (table["value"] > 0) & (table["value"] != 985)
        ratios += list((table["value"] / means[index])[good])
    assert np.median(ratios) == pytest.approx(station.factor, rel=0.03)
    assert 0.05 < np.std(ratios) < 0.4


def test_stations_stay_inside_also_across_the_date_line():
    grid = refine(coarse_grid(PACIFIC))
    places = stations.make_stations(1, 9, grid)
    assert len(places) == 9
    for place in places:
        assert -180 <= place.longitude < 180
        assert abs(grid.latitude[place.row] - place.latitude) <= 0.13
        assert abs((grid.longitude[place.column] - place.longitude + 180) % 360 - 180) <= 0.13
