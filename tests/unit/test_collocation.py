"""Pairing stations with fields: which hours, which nodes, what is left out."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.integrate import quad
from scipy.interpolate import RegularGridInterpolator

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid, fine_globe, refine
from deepcams.pollutants import PM25
from deepcams.sources.stations import write_table
from deepcams.validation import collocation
from deepcams.validation.collocation import CollocationSettings, collocate_month
from deepcams.validation.counts import read_counts
from deepcams.validation.fields import FieldFile
from deepcams.validation.pairs import read_pairs
from deepcams.validation.quality import QualitySettings

START = np.datetime64("2018-02-01T00:00:00", "s")
HOUR = np.timedelta64(1, "h")
EUROPE = Region(north=48.0, west=0.0, south=45.0, east=3.0)
PACIFIC = Region(north=3.0, west=177.0, south=0.0, east=183.0)
SETTINGS = CollocationSettings()


def write(path, grid, times, values=None, synthetic=False, status=None):
    """A file of fields; by default every node and hour has another value."""
    if values is None:
        values = np.arange(len(times) * grid.shape[0] * grid.shape[1]).reshape(len(times), *grid.shape) % 997
    data = xr.Dataset(
        {"pm25": (("time", "latitude", "longitude"), np.asarray(values, np.float32), {"units": "ug m-3"})},
        coords={"time": times, "latitude": grid.latitude, "longitude": grid.longitude},
        attrs={"synthetic": "These data are made up."} if synthetic else {},
    )
    if status is not None:
        meanings = "analysis interpolated interpolated_across_assimilation_windows missing"
        data["time_status"] = ("time", np.asarray(status, np.int8), {"flag_meanings": meanings})
    data.to_netcdf(path, engine="h5netcdf")
    return np.asarray(values, np.float32)


@pytest.fixture
def month(tmp_path):
    """A function: write product and CAMS of a region for some hours; returns paths, grids and values."""

    def make(region=EUROPE, hours=25, synthetic=False, start=START, name=""):
        coarse = coarse_globe() if region is None else coarse_grid(region)
        fine = fine_globe() if region is None else refine(coarse)
        times = start + HOUR * np.arange(hours)
        product, cams = tmp_path / f"product{name}.nc", tmp_path / f"cams{name}.nc"
        fields = write(product, fine, times, synthetic=synthetic)
        coarse_fields = write(cams, coarse, times[::3], synthetic=synthetic)
        return product, cams, fine, coarse, fields, coarse_fields

    return make


def stations(*rows, name="Station"):
    """Rows of (latitude, longitude, hours after START, value)."""
    return pd.DataFrame(
        {
            "station": [f"{k}" for k in range(len(rows))],
            "name": name,
            "country": "FR",
            "latitude": [float(row[0]) for row in rows],
            "longitude": [float(row[1]) for row in rows],
            "time": [START + np.timedelta64(round(3600 * row[2]), "s") for row in rows],
            "averaging_hours": 1.0,
            "parameter": "pm25",
            "value": [float(row[3]) for row in rows],
            "units": "µg/m³",
            "provider": "p",
            "reference_grade": True,
        }
    )


def collocate(*args, **options):
    """Pairs as one table, and how many rows each reason left out."""
    pairs, counts = collocation.collocate(*args, **options)
    return pairs.frame(), counts.groupby("step")["number"].sum()


def test_the_hour_before_the_stamp_is_the_mean_of_the_fields_at_its_ends(month):
    product, cams, _, _, fields, coarse_fields = month()
    pairs, counts = collocate(product, cams, stations((47.5, 1.0, 5, 8.0)), SETTINGS)
    row, column = 2, 4  # 48 - 2 × 0.25, 0 + 4 × 0.25
    assert pairs["product"].item() == pytest.approx((fields[4, row, column] + fields[5, row, column]) / 2)
    # CAMS at 03 and 06: at 04 and 05 it is one and two thirds on the way. The nearest coarse node is 47.25, 0.75.
    first, last = coarse_fields[1, 1, 1], coarse_fields[2, 1, 1]
    assert pairs["cams"].item() == pytest.approx(first + (last - first) * (1 / 3 + 2 / 3) / 2)
    assert pairs["observed"].item() == 8.0
    assert pairs["cell"].item() == row * 13 + column
    assert counts["pairs"] == 1


@pytest.mark.parametrize("minutes", [15, 30, 45])
def test_stamps_between_full_hours_get_the_integral_of_the_linear_field(month, minutes):
    product, cams, _, _, fields, _ = month()
    pairs, _ = collocate(product, cams, stations((47.5, 1.0, 5 + minutes / 60, 8.0)), SETTINGS)
    end = 5 + minutes / 60
    expected, _ = quad(lambda t: np.interp(t, np.arange(25), fields[:, 2, 4]), end - 1, end, points=[5.0])
    assert pairs["product"].item() == pytest.approx(expected, rel=1e-6)


def test_bilinear_agrees_with_scipy(month):
    product, cams, fine, _, fields, _ = month()
    places = [(47.61, 1.13), (45.01, 2.99), (46.5, 0.0)]
    pairs, _ = collocate(product, cams, stations(*[(*p, 2, 1.0) for p in places]), CollocationSettings("bilinear"))
    interpolate = RegularGridInterpolator((-fine.latitude, fine.longitude), (fields[1] + fields[2]) / 2)
    assert pairs["product"].to_numpy() == pytest.approx(interpolate([(-a, b) for a, b in places]))


@pytest.mark.parametrize("longitude", [179.9, -179.9, 180.0, -180.0])
@pytest.mark.parametrize("region", [PACIFIC, None], ids=["region across the date line", "globe"])
def test_stations_at_the_date_line_find_their_node(month, region, longitude):
    product, cams, fine, _, fields, _ = month(region, hours=4)
    pairs, _ = collocate(product, cams, stations((1.5, longitude, 1, 5.0)), SETTINGS)
    row = int(np.argmin(np.abs(fine.latitude - 1.5)))
    column = int(np.argmin(np.abs((fine.longitude - longitude + 180) % 360 - 180)))
    assert fine.longitude[column] % 360 == 180
    assert pairs["product"].item() == pytest.approx(fields[:2, row, column].mean(), rel=1e-6)


def test_bilinear_wraps_around_the_globe(month):
    product, cams, _, _, fields, _ = month(None, hours=4)
    pairs, _ = collocate(product, cams, stations((0.0, 179.9, 1, 5.0)), CollocationSettings("bilinear"))
    west, east = fields[:2, 360, -1].mean(), fields[:2, 360, 0].mean()
    assert pairs["product"].item() == pytest.approx(west + (east - west) * (179.9 - 179.75) / 0.25, rel=1e-5)


def test_stations_outside_the_region_are_counted_and_left_out(month):
    product, cams, *_ = month()
    table = stations((47.0, 1.0, 1, 5.0), (52.0, 1.0, 1, 5.0), (47.0, -1.0, 1, 5.0), (47.0, 359.95, 1, 5.0))
    pairs, counts = collocate(product, cams, table, SETTINGS)
    assert counts["outside the product's region"] == 2
    assert pairs["station"].tolist() == ["0", "3"]  # half a cell west of the first node still belongs to it


def test_hours_across_the_month_s_ends_need_the_neighbours(month):
    product, cams, *_, fields, coarse_fields = month(hours=24)
    table = stations((47.0, 1.0, 0, 5.0), (47.0, 1.0, 0.5, 6.0), (47.0, 1.0, 1, 7.0), (47.0, 1.0, 24, 8.0))
    pairs, counts = collocate(product, cams, table, SETTINGS)
    assert pairs["observed"].tolist() == [7.0]
    assert counts["no field for part of the time"] == 3
    before, cams_before, *_, fields_before, coarse_before = month(hours=24, start=START - 24 * HOUR, name="before")
    after, cams_after, *_, fields_after, _ = month(hours=24, start=START + 24 * HOUR, name="after")
    pairs, counts = collocate(product, cams, table, SETTINGS, [before, after], [cams_before, cams_after])
    assert pairs["observed"].tolist() == [5.0, 6.0, 7.0, 8.0]
    assert counts["no field for part of the time"] == 0
    assert pairs["product"].iloc[0] == pytest.approx((fields_before[23, 4, 4] + fields[0, 4, 4]) / 2)
    assert pairs["product"].iloc[3] == pytest.approx((fields[23, 4, 4] + fields_after[0, 4, 4]) / 2)
    # CAMS at 23:00 lies two thirds of the way from 21:00 of the month before to 00:00.
    late, early = coarse_before[7, 1, 1], coarse_fields[0, 1, 1]
    assert pairs["cams"].iloc[0] == pytest.approx((late + (early - late) * 2 / 3 + early) / 2)


def test_missing_values_are_counted_and_both_fields_keep_the_same_pairs(tmp_path, month):
    product, cams, fine, coarse, fields, coarse_fields = month()
    fields[6, 2, 4] = np.nan
    coarse_fields[5, 1, 1] = np.nan  # 15:00, so nothing strictly between 12 and 18
    write(product, fine, START + HOUR * np.arange(25), fields)
    write(cams, coarse, START + HOUR * np.arange(0, 25, 3), coarse_fields)
    table = stations(*[(47.5, 1.0, h, h) for h in (5, 6, 7, 8, 12, 13, 18, 19)])
    pairs, counts = collocate(product, cams, table, SETTINGS)
    assert sorted(pairs["observed"]) == [5.0, 8.0, 12.0, 19.0]
    assert counts["missing value in a field"] == 4


def test_cams_frames_too_far_apart_are_not_bridged(tmp_path, month):
    product, cams, _, coarse, _, coarse_fields = month()
    write(cams, coarse, (START + HOUR * np.arange(0, 25, 3))[[0, 1, 3]], coarse_fields[[0, 1, 3]])
    pairs, counts = collocate(product, cams, stations((47.5, 1.0, 3, 3), (47.5, 1.0, 5, 5)), SETTINGS)
    assert pairs["observed"].tolist() == [3.0]
    assert counts["missing value in a field"] == 1


def test_the_status_is_that_of_the_better_known_end(tmp_path, month):
    product, cams, fine, *_ = month()
    pairs, _ = collocate(product, cams, stations(*[(47.5, 1.0, h, h) for h in (1, 2, 3, 11)]), SETTINGS)
    status = dict(zip(pairs["observed"], pairs["status"], strict=True))
    across = "interpolated_across_assimilation_windows"
    assert status == {1.0: "analysis", 2.0: "interpolated", 3.0: "analysis", 11.0: across}
    write(product, fine, START + HOUR * np.arange(25), status=[0, 1, 3, *[0] * 22])
    pairs, counts = collocate(product, cams, stations(*[(47.5, 1.0, h, h) for h in (1, 2, 3, 4)]), SETTINGS)
    assert pairs["observed"].tolist() == [1.0, 4.0]
    assert counts["no field for part of the time"] == 2


def test_synthetic_and_real_are_never_compared(month):
    real, real_cams, *_ = month()
    made, made_cams, *_ = month(synthetic=True, name="made")
    table = stations((47.0, 1.0, 1, 5.0))
    with pytest.raises(DeepcamsError, match="synthetic and the station measurements are real"):
        collocate(made, made_cams, table, SETTINGS)
    with pytest.raises(DeepcamsError, match="real and the station measurements are synthetic"):
        collocate(real, real_cams, stations((47.0, 1.0, 1, 5.0), name="SYNTHETIC Paris"), SETTINGS)
    with pytest.raises(DeepcamsError, match="Real and synthetic fields"):
        collocate(real, made_cams, table, SETTINGS)


def test_daily_measurements_and_unknown_methods_are_refused(month):
    product, cams, *_ = month()
    with pytest.raises(DeepcamsError, match="averaging_hours"):
        collocate(product, cams, stations((47.0, 1.0, 1, 5.0)).assign(averaging_hours=24.0), SETTINGS)
    with pytest.raises(DeepcamsError, match="nearest or bilinear"):
        collocate(product, cams, stations((47.0, 1.0, 1, 5.0)), CollocationSettings("cubic"))


def test_no_station_at_all_is_an_empty_table(month):
    product, cams, *_ = month()
    pairs, counts = collocate(product, cams, stations((47.0, 1.0, 1, 5.0)).iloc[:0], SETTINGS)
    assert pairs.empty and counts["pairs"] == 0


def test_a_month_from_files_to_files_gives_the_same_bytes_twice(tmp_path, month):
    product, cams, *_ = month()
    table = stations((47.0, 1.0, 1, 5.0), (47.0, 1.25, 2, -999.0), name="A, “quoted” place").assign(country="NA")
    anywhere = CollocationSettings(quality=QualitySettings(country_reach=None))  # this is not Namibia
    write_table(table, tmp_path / "openaq.csv.gz")
    results = []
    for run in ("a", "b"):
        paths = tmp_path / f"{run}.nc", tmp_path / f"{run}.csv.gz"
        counts = collocate_month(product, cams, tmp_path / "openaq.csv.gz", *paths, anywhere)
        results.append([path.read_bytes() for path in paths])
    assert results[0] == results[1]
    found = read_counts([paths[1], paths[1]]).set_index(["step", "country"])["number"]
    assert found["measurements read", "NA"] == 4 and found["pairs", "NA"] == 2  # two months of two and one
    assert counts.set_index(["step", "country"])["number"]["code for missing data", "NA"] == 1
    pairs = read_pairs(tmp_path / "a.nc").frame()
    assert pairs["country"].tolist() == ["NA"] and pairs["name"].tolist() == ["A, “quoted” place"]
    assert pairs["time"].iloc[0] == pd.Timestamp("2018-02-01T01:00:00")


def foreign(path, latitude, longitude, times, values, *, bounds=None, **attributes):
    """A file of another product: own axes, names and units."""
    data = xr.Dataset(
        {"PM": (("time", "lat", "lon"), np.asarray(values) * 1e-9, {"units": "kg m-3", **attributes})},
        coords={"time": times, "lat": latitude, "lon": longitude},
    )
    if bounds is not None:
        data["time_bnds"] = (("time", "edge"), bounds)
        data["time"].attrs["bounds"] = "time_bnds"
    data["time"].encoding["units"] = "minutes since 2018-01-01"
    data.to_netcdf(path, engine="h5netcdf")
    return path


def of_any_file(path, table, settings=SETTINGS, **options):
    pairs, counts = collocation.collocate(
        path, None, table, settings, opened=lambda path: FieldFile(path, pollutant=PM25, **options)
    )
    return pairs.frame(), counts.groupby("step")["number"].sum()


@pytest.mark.parametrize("west", [0.0, -180.0])
@pytest.mark.parametrize("rising", [True, False], ids=["rising", "falling"])
def test_any_global_grid_agrees_with_scipy(tmp_path, rising, west):
    latitude = np.linspace(-90, 90, 61) if rising else np.linspace(90, -90, 61)
    longitude = west + np.arange(0, 360, 5.0)
    values = np.random.default_rng(1).random((3, 61, 72))
    path = foreign(tmp_path / "any.nc", latitude, longitude, START + HOUR * np.arange(3), values)
    places = [(12.3, 101.2), (-77.0, -179.9), (89.9, 3.0), (0.0, 179.95), (-90.0, 12.0), (33.3, -0.01)]
    found, _ = of_any_file(path, stations(*[(*p, 2, 1.0) for p in places]), CollocationSettings("bilinear"))
    mean = (values[1] + values[2]) / 2
    rows = np.argsort(latitude)
    circle = np.concatenate([longitude - 360, longitude, longitude + 360])
    interpolate = RegularGridInterpolator((latitude[rows], circle), np.tile(mean[rows], 3))
    assert found["product"].to_numpy() == pytest.approx(interpolate(places), rel=1e-5)
    nearest, _ = of_any_file(path, stations(*[(*p, 2, 1.0) for p in places[:1]]))
    row, column = np.abs(latitude - 12.3).argmin(), np.abs((longitude - 101.2 + 180) % 360 - 180).argmin()
    assert nearest["product"].item() == pytest.approx(mean[row, column], rel=1e-5)


@pytest.mark.parametrize("stamp", ["bounds", "middle", "begin", "end"])
def test_hourly_means_count_by_what_they_cover_of_the_hour(tmp_path, stamp):
    begins = START + HOUR * np.arange(6)
    offset = {"bounds": 30, "middle": 30, "begin": 0, "end": 60}[stamp]
    values = np.arange(6.0)[:, None, None] * np.ones((6, 3, 4)) + 1
    bounds = np.stack([begins, begins + HOUR], axis=1) if stamp == "bounds" else None
    path = foreign(tmp_path / "means.nc", [1, 0, -1], [0, 1, 2, 3], begins + np.timedelta64(offset, "m"), values,
                   bounds=bounds, cell_methods="time: mean")  # fmt: skip
    options = {} if stamp == "bounds" else {"stamps": stamp}
    table = stations(*[(0.0, 1.0, h, h) for h in (1, 2, 3.5, 6, 6.5)])
    found, counts = of_any_file(path, table, **options)
    assert dict(zip(found["observed"], found["product"], strict=True)) == pytest.approx({1: 1, 2: 2, 3.5: 3.5, 6: 6})
    assert counts["no field for part of the time"] == 1


def test_means_that_do_not_say_where_they_are_stamped_are_refused(tmp_path):
    times = START + HOUR * np.arange(6)
    path = foreign(tmp_path / "means.nc", [1, 0], [0, 1], times, np.ones((6, 2, 2)), cell_methods="time: mean")
    with pytest.raises(DeepcamsError, match="begin, middle or end"):
        of_any_file(path, stations((0.0, 1.0, 1, 1.0)))


def test_daily_fields_are_compared_with_means_over_their_day(tmp_path):
    days = START + np.timedelta64(24, "h") * np.arange(3)
    values = np.arange(3.0)[:, None, None] * np.ones((3, 2, 2)) + 5
    path = foreign(tmp_path / "days.nc", [1, 0], [0, 1], days, values, cell_methods="time: mean")
    full = [(0.0, 1.0, h, float(h)) for h in range(1, 25)]
    short = [(0.0, 1.0, h, 1.0) for h in range(25, 43)]  # 18 hours of the second day
    table = stations(*full, *short).assign(station="a")
    found, counts = of_any_file(path, table, stamps="begin")
    assert found[["observed", "product"]].to_numpy().tolist() == [[12.5, 5.0]]
    assert found["time"].item() == pd.Timestamp("2018-02-02")
    assert counts["day with fewer than 19 hours"] == 18 and counts["averaged into days"] == 23
    both = pd.concat([table[:24], stations((0.0, 1.0, 24, 99.0)).assign(station="a", averaging_hours=24.0)])
    found, counts = of_any_file(path, both, stamps="begin")
    assert found["observed"].tolist() == [12.5] and counts["day that is known by its hours"] == 1
    quarters = stations(*[(0.0, 1.0, 0.25 * k, 1.0) for k in range(1, 41)]).assign(station="a")  # of ten hours
    assert len(of_any_file(path, quarters, stamps="begin")[0]) == 0
    daily = stations((0.0, 1.0, 48, 7.0), (0.0, 1.0, 50, 8.0)).assign(station="b", averaging_hours=24.0)
    found, counts = of_any_file(path, daily, stamps="begin")
    assert found[["observed", "product"]].to_numpy().tolist() == [[7.0, 6.0]]
    assert counts["not within the time of a field"] == 1


def test_a_damaged_file_is_named(tmp_path, month):
    _, cams, *_ = month()
    (tmp_path / "broken.nc").write_bytes(b"<html>login</html>")
    with pytest.raises(DeepcamsError, match=r"broken\.nc"):
        collocate(tmp_path / "broken.nc", cams, stations((47.0, 1.0, 1, 5.0)), SETTINGS)
