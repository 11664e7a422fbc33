"""The sun: noon, night and seasons, against formulas of others."""

import numpy as np
import pytest

from deepcams.models.sun import CHANNELS, sun

LATITUDE = np.array([90.0, 60.0, 23.0, 0.0, -45.0, -90.0])
LONGITUDE = np.arange(-180.0, 180.0, 15.0)


def at(time, latitude, longitude):
    """Cosine and sine of the hour angle and cosine of the zenith angle at one place."""
    return sun(np.datetime64(time), np.array([latitude]), np.array([longitude]))[:, 0, 0].astype(float)


def declination(time):
    """Degrees: what the sun's height is at the pole."""
    return np.degrees(np.arcsin(at(time, 90.0, 0.0)[2]))


def days_of(year):
    return np.arange(f"{year}-01-01", f"{year + 1}-01-01", dtype="datetime64[D]") + np.timedelta64(12, "h")


def test_three_float32_fields_on_the_grid():
    found = sun(np.datetime64("2019-05-04T07:30"), LATITUDE, LONGITUDE)
    assert found.shape == (CHANNELS, 6, 24)
    assert found.dtype == np.float32
    assert np.abs(found).max() <= 1


@pytest.mark.parametrize("day", ["2019-03-20", "2019-09-23", "2020-03-20"])
def test_at_equinox_the_sun_stands_above_the_equator_at_noon(day):
    # The mean sun is up to 16 minutes, 4 degrees, from the true one in hour angle; here, by definition, not at all.
    assert at(f"{day}T12:00", 0.0, 0.0)[2] > np.cos(np.radians(0.6))
    assert at(f"{day}T00:00", 0.0, 0.0)[2] < -np.cos(np.radians(0.6))
    assert at(f"{day}T06:00", 0.0, 0.0)[2] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("hour", "longitude"), [(12, 0), (6, 90), (18, -90), (0, 180), (0, -180), (3, 135), (21, -135)]
)
def test_the_hour_angle_is_zero_at_local_noon(hour, longitude):
    cosine, sine, _ = at(f"2019-07-01T{hour:02}:00", 40.0, longitude)
    assert (cosine, sine) == pytest.approx((1, 0), abs=1e-6)


def test_the_hour_angle_is_positive_after_noon_and_grows_by_15_degrees_an_hour():
    for hour in range(24):
        cosine, sine, _ = at(f"2019-07-01T{hour:02}:30", 10.0, 0.0)
        angle = np.radians(15 * (hour + 0.5 - 12))
        assert (cosine, sine) == pytest.approx((np.cos(angle), np.sin(angle)), abs=1e-6)


def test_polar_night_and_polar_day_at_the_solstices():
    hours = [f"T{hour:02}:00" for hour in range(24)]
    for latitude, summer, winter in ((70.0, "2019-06-21", "2019-12-22"), (-70.0, "2019-12-22", "2019-06-21")):
        assert all(at(summer + hour, latitude, 20.0)[2] > 0 for hour in hours)
        assert all(at(winter + hour, latitude, 20.0)[2] < 0 for hour in hours)
    heights = [at("2019-12-22" + hour, 60.0, 20.0)[2] for hour in hours]
    assert min(heights) < 0 < max(heights)


@pytest.mark.parametrize("year", [2018, 2019, 2020])
def test_the_sun_turns_at_the_tropics_in_june_and_december(year):
    days = days_of(year)
    tilts = np.array([declination(day) for day in days])
    assert tilts.max() == pytest.approx(23.44, abs=0.05)
    assert tilts.min() == pytest.approx(-23.44, abs=0.05)
    assert abs(days[tilts.argmax()] - np.datetime64(f"{year}-06-21T12")) <= np.timedelta64(36, "h")
    assert abs(days[tilts.argmin()] - np.datetime64(f"{year}-12-21T12")) <= np.timedelta64(36, "h")


@pytest.mark.parametrize("year", [2019, 2020])
def test_the_declination_agrees_with_cooper_1969(year):
    """A single sine, which is itself up to 1.5 degrees off in autumn, and half a degree on average."""
    days = days_of(year)
    cooper = 23.45 * np.sin(np.radians(360 * (284 + np.arange(1, len(days) + 1)) / 365))
    difference = np.array([declination(day) for day in days]) - cooper
    assert np.abs(difference).max() < 1.5
    assert np.sqrt(np.mean(difference**2)) < 1.0


@pytest.mark.parametrize("year", [2003, 2019, 2020])
def test_the_declination_agrees_with_the_astronomical_almanac(year):
    """Its formula of low precision, good to 0.01° from 1950 to 2050."""
    for day in days_of(year):
        n = (day - np.datetime64("2000-01-01T12")) / np.timedelta64(1, "D")
        anomaly = np.radians(357.528 + 0.9856003 * n)
        ecliptic = np.radians(280.460 + 0.9856474 * n + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
        expected = np.degrees(np.arcsin(np.sin(np.radians(23.439)) * np.sin(ecliptic)))
        assert declination(day) == pytest.approx(expected, abs=0.4)


def test_the_zenith_angle_is_that_between_the_place_and_where_the_sun_stands_overhead():
    """Angles between vectors from the centre of the Earth."""
    time = np.datetime64("2019-08-11T16:30")
    tilt, where = np.radians(declination(time)), np.radians(-15 * (16.5 - 12))
    overhead = np.array([np.cos(tilt) * np.cos(where), np.cos(tilt) * np.sin(where), np.sin(tilt)])
    phi, lam = np.radians(LATITUDE)[:, None], np.radians(LONGITUDE)[None]
    place = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi) + 0 * lam])
    found = sun(time, LATITUDE, LONGITUDE)[2]
    np.testing.assert_allclose(found, np.einsum("i,ijk", overhead, place), atol=1e-6)


def test_an_hour_later_the_sun_is_15_degrees_further_west():
    earlier, later = (sun(np.datetime64(f"2019-06-21T{hour}:00"), LATITUDE, LONGITUDE) for hour in (15, 16))
    np.testing.assert_allclose(np.roll(earlier, -1, axis=-1), later, atol=2e-5)
    assert np.abs(np.roll(earlier, 1, axis=-1) - later).max() > 0.1


def test_longitudes_past_the_date_line_are_the_same_places():
    time = np.datetime64("2019-06-21T15:00")
    np.testing.assert_allclose(sun(time, LATITUDE, LONGITUDE), sun(time, LATITUDE, LONGITUDE + 360), atol=1e-6)


def test_nothing_jumps_at_midnight_or_at_new_year():
    for midnight in ("2019-04-11T00:00", "2019-01-01T00:00", "2021-01-01T00:00"):
        before = sun(np.datetime64(midnight) - np.timedelta64(1, "m"), LATITUDE, LONGITUDE)
        assert np.abs(sun(np.datetime64(midnight), LATITUDE, LONGITUDE) - before).max() < 0.006  # 1 minute is 0.0044


def test_the_unit_of_the_time_does_not_matter():
    expected = sun(np.datetime64("2019-04-11T09:00", "s"), LATITUDE, LONGITUDE)
    for unit in ("h", "m", "ns"):
        np.testing.assert_array_equal(sun(np.datetime64("2019-04-11T09:00", unit), LATITUDE, LONGITUDE), expected)
