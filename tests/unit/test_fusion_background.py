"""Backgrounds of fusion: means of the product's instants over hours and days, against loops over nodes."""

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.fusion.background import of_climatology, of_product
from deepcams.grid.nodes import Grid, Region, coarse_grid, refine
from deepcams.pollutants import POLLUTANTS
from tests.unit.fusion_cases import HOUR, write_product

WIDE = refine(coarse_grid(Region(north=3, west=-15, south=1.5, east=30)))  # zones -1 … 2
INNER = refine(coarse_grid(Region(north=2.25, west=-9, south=1.5, east=24)))
START = np.datetime64("2020-03-01", "s")
DAYS = START + 24 * HOUR * np.arange(3)
FIRST, LAST = START - 12 * HOUR, START + 84 * HOUR


def instants(first=FIRST, last=LAST):
    return np.arange(first, last + HOUR, HOUR)


def values_at(times, grid=WIDE):
    """Numbers that tell hour and node, and a float32 each."""
    hour = ((times - START) / HOUR).astype(int)
    wave = 50 + 30 * np.sin(hour / 5.0) + hour / 7
    return (wave[:, None, None] + np.arange(grid.shape[0])[:, None] + np.sin(grid.longitude)).astype(np.float32)


def local_mean(times, values, day, longitude, least=19):
    """The mean of a local day at one node, by a loop over its hours: (H,) float64, NaN if fewer than `least`."""
    begin = day - round(longitude / 15) * HOUR
    found = []
    for number in range(len(times) - 1):
        if times[number + 1] - times[number] == HOUR and begin <= times[number] < begin + 24 * HOUR:
            found.append((values[number].astype(np.float64) + values[number + 1]) / 2)
    return np.mean(found, axis=0) if len(found) >= least else np.nan


def expected_days(times, values, days, grid, inside):
    result = np.full((len(days), *grid.shape), np.nan)
    for number, day in enumerate(days):
        for column, longitude in list(enumerate(grid.longitude))[::SOME]:
            result[number, :, column] = local_mean(times, values[:, *inside][:, :, column], day, longitude)
    return result


SOME = 6  # columns apart, of those that are compared with loops; divides those of a zone
OF_INNER = slice(3, 7), slice(24, 157)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    times = instants()
    return write_product(tmp_path_factory.mktemp("p") / "whole.nc", times, values_at(times), WIDE), times


def test_means_of_hours_are_those_of_the_instants_at_their_ends(whole):
    path, times = whole
    assert np.array_equal(WIDE.latitude[OF_INNER[0]], INNER.latitude)
    assert np.array_equal(WIDE.longitude[OF_INNER[1]], INNER.longitude)
    ends = START + HOUR * np.arange(1, 49)
    found = of_product([path], INNER, ends, "hourly", "utc")
    values = values_at(times)[:, *OF_INNER].astype(np.float64)
    at = [int(np.flatnonzero(times == end)[0]) for end in ends]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [(values[k - 1] + values[k]) / 2 for k in at], rtol=1e-6)


def test_hours_outside_the_files_and_next_to_a_gap_are_missing(tmp_path):
    times = np.delete(instants(START, START + 10 * HOUR), 4)
    path = write_product(tmp_path / "x.nc", times, values_at(times), WIDE)
    found = of_product([path], WIDE, START + HOUR * np.arange(0, 13), "hourly", "utc")
    assert np.flatnonzero(np.isnan(found).all(axis=(1, 2))).tolist() == [0, 4, 5, 11, 12]
    assert np.isnan(found).sum() == 5 * found[0].size


def test_local_days_are_those_of_each_column(whole):
    path, times = whole
    found = of_product([path], INNER, DAYS, "daily", "local")
    expected = expected_days(times, values_at(times), DAYS, INNER, OF_INNER)
    assert np.isfinite(expected[..., ::SOME]).all() and np.isfinite(found).all()
    np.testing.assert_allclose(found[..., ::SOME], expected[..., ::SOME], rtol=1e-6)


def test_days_of_utc_are_the_same_everywhere(whole):
    path, times = whole
    found = of_product([path], WIDE, DAYS, "daily", "utc")
    values = values_at(times).astype(np.float64)
    for day, mean in zip(DAYS, found, strict=True):
        begin = int(np.flatnonzero(times == day)[0])
        of_hours = (values[begin : begin + 24] + values[begin + 1 : begin + 25]) / 2
        np.testing.assert_allclose(mean, of_hours.mean(axis=0), rtol=1e-6)


def test_days_across_the_date_line_differ_by_one(tmp_path):
    globe = Grid(WIDE.latitude, refine(coarse_grid(None)).longitude, 0.25)
    box = refine(coarse_grid(Region(north=3, west=178.5, south=1.5, east=181.5)))
    path = write_product(tmp_path / "x.nc", instants(), values_at(instants(), globe), globe)
    found = of_product([path], box, DAYS[1:2], "daily", "local")[0]
    values, times = values_at(instants(), globe), instants()
    for column, (longitude, zone) in {0: (178.5, 12), 6: (-180.0, -12), 12: (-178.5, -12)}.items():
        there = int(np.flatnonzero(globe.longitude == longitude)[0])
        expected = local_mean(times, values[:, :, there], DAYS[1], zone * 15.0)
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-6)


def test_the_ends_of_a_month_need_its_neighbours(tmp_path):
    parts = [(FIRST, START - HOUR), (START, START + 72 * HOUR - HOUR), (START + 72 * HOUR, LAST)]
    paths = []
    for number, (first, last) in enumerate(parts):
        times = instants(first, last)
        paths.append(write_product(tmp_path / f"{number}.nc", times, values_at(times), WIDE))
    with_all = of_product(paths, WIDE, DAYS, "daily", "local")
    alone = of_product(paths[1:2], WIDE, DAYS, "daily", "local")
    times = instants()
    everywhere = (slice(None), slice(None))
    expected = expected_days(times, values_at(times), DAYS, WIDE, everywhere)
    np.testing.assert_allclose(with_all[..., ::SOME], expected[..., ::SOME], rtol=1e-6)
    own = instants(*parts[1])
    expected = expected_days(own, values_at(own), DAYS, WIDE, everywhere)
    np.testing.assert_allclose(alone[..., ::SOME], expected[..., ::SOME], rtol=1e-6)
    east = write_product(tmp_path / "e.nc", own + 6 * HOUR, values_at(own + 6 * HOUR), WIDE)
    lacking = np.isnan(of_product([east], WIDE, DAYS, "daily", "local")).all(axis=1)
    assert lacking[0].tolist() == (np.rint(WIDE.longitude / 15) >= 0).tolist()  # 18 hours, and 19 one zone west of it


@pytest.mark.parametrize(("lost", "there"), [(4, True), (5, False)])
def test_a_day_needs_19_hours(tmp_path, lost, there):
    times = np.delete(instants(START, START + 24 * HOUR), slice(6, 6 + lost))  # which takes one hour more
    path = write_product(tmp_path / "x.nc", times, values_at(times), WIDE)
    found = of_product([path], WIDE, DAYS[:1], "daily", "utc")
    assert np.isfinite(found).all() == there and np.isnan(found).all() != there


def test_a_node_that_is_missing_in_the_product_is_missing(tmp_path):
    times = instants(START, START + 24 * HOUR)
    values = values_at(times)
    values[:, 2, 3] = np.nan
    path = write_product(tmp_path / "x.nc", times, values, WIDE)
    found = of_product([path], WIDE, DAYS[:1], "daily", "utc")[0]
    assert np.argwhere(np.isnan(found)).tolist() == [[2, 3]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"units": "kg m-3"}, "holds pm25 in 'kg m-3'"),
        ({"name": "no2", "units": "nmol mol-1"}, "holds no2 in 'nmol mol-1'; the background is the product's pm25"),
        ({"instants": START + HOUR / 2 + HOUR * np.arange(3)}, "not of full hours"),
        ({"grid": refine(coarse_grid(Region(north=3, west=0, south=1.5, east=45)))}, "does not cover"),
    ],
    ids=["units", "pollutant", "half hours", "region"],
)
def test_files_that_are_no_such_background_are_named(tmp_path, change, words):
    wanted = {"instants": START + HOUR * np.arange(3), "values": np.ones((3, *WIDE.shape)), "grid": WIDE} | change
    path = write_product(tmp_path / "other.nc", **wanted)
    with pytest.raises(DeepcamsError) as error:
        of_product([path], WIDE, DAYS, "daily", "utc")
    assert words in str(error.value) and "other.nc" in str(error.value)


def test_a_gas_is_in_its_own_units(tmp_path):
    times = instants(START, START + HOUR)
    path = write_product(tmp_path / "x.nc", times, values_at(times), WIDE, name="no2", units="nmol mol-1")
    found = of_product([path], WIDE, START + HOUR * np.arange(1, 2), "hourly", "utc", POLLUTANTS["no2"])
    assert np.isfinite(found).all()


def test_files_out_of_order_are_refused(whole, tmp_path):
    with pytest.raises(DeepcamsError, match="out of order or overlap"):
        of_product([whole[0], whole[0]], WIDE, DAYS, "daily", "utc")


def test_a_climatology_gives_the_calendar_month_or_the_nearest():
    means = {month: np.full((2, 2), month, np.float32) for month in (1, 4, 7)}
    times = np.array(["2019-01-31", "2019-03-01", "2020-04-30", "2020-11-01", "2020-10-01"], "datetime64[s]")
    found = of_climatology(means, times)
    assert found.shape == (5, 2, 2) and found.dtype == np.float32
    assert found[:, 0, 0].tolist() == [1, 4, 4, 1, 7]
