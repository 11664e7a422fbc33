"""Station measurements as means of days and hours in the cells of a grid; what is left out is counted."""

import gzip
from collections import defaultdict
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.fusion.observations import cells_at, daily, hourly, join, with_cities, zone_hours
from deepcams.grid.nodes import Region, coarse_grid, fine_globe, refine
from deepcams.sources.station_files import read_stations
from deepcams.validation.counts import total
from deepcams.validation.quality import QualitySettings, control_quality

GLOBE = fine_globe()
DAYS = np.arange("2018-03-10", "2018-03-13", dtype="datetime64[D]")
NAT = np.datetime64("NaT", "s")


def box(north, west, south, east):
    return refine(coarse_grid(Region(north, west, south, east)))


def rows(station="a", latitude=10.0, longitude=0.0, first="2018-03-11T01", number=24, value=None, country="XX", **more):
    """Consecutive hours of a station; `first` is the first stamp (UTC)."""
    times = np.datetime64(first, "s") + np.arange(number) * np.timedelta64(3600, "s")
    value = np.arange(1.0, number + 1) if value is None else value
    columns = {"station": station, "country": country, "latitude": latitude, "longitude": longitude, "time": times}
    return pd.DataFrame(columns | {"value": value} | more)


def table(*parts):
    return pd.concat(parts, ignore_index=True)


def lost(counts):
    return {step: number for step, number in total(counts).items() if number}


def days_of(found, station):
    """Day → value of a station."""
    column = found.stations["station"].tolist().index(station)
    values = found.values[:, column]
    return {str(t.astype("datetime64[D]")): float(v) for t, v in zip(found.times, values, strict=True) if v == v}


# Days -----------------------------------------------------------------------------------------------------------------


def awkward(seed):
    """Stations all round the globe, some moving, with gaps, repeats, half hours, quarters and NaN."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(15):
        steps = rng.choice([900, 1800, 3600], p=[0.1, 0.2, 0.7])
        times = np.datetime64("2018-03-09T00", "s") + np.arange(0, 5 * 86400, steps).astype("timedelta64[s]")
        times = rng.choice(times, int(rng.uniform(1.0, 3.0) * len(times)))
        latitude, longitude = rng.uniform(-90, 90), rng.uniform(-180, 360)
        part = pd.DataFrame({"station": f"s{number}", "country": rng.choice(["DE", "NA", ""]), "time": times})
        moved = rng.random(len(part)) < 0.1 * (number % 3)
        part = part.assign(latitude=latitude + 0.01 * moved, longitude=longitude, value=rng.gamma(2, 10, len(part)))
        part.loc[rng.random(len(part)) < 0.05, "value"] = np.nan
        parts.append(
            part.assign(averaging_hours=rng.choice([1.0, 1.0, 1.0, 24.0], len(part), p=[0.5, 0.3, 0.19, 0.01]))
        )
    return pd.concat(parts, ignore_index=True).sample(frac=1, random_state=seed, ignore_index=True)


def by_loop(data, instants):
    """Day means by hand: (station, row of 0.25°, column, date) → (mean, hours)."""
    lowest = {}
    for row in data.itertuples():
        if abs(row.averaging_hours - 1) < 0.01 and row.value == row.value:
            key = row.station, row.time
            lowest[key] = min(lowest.get(key, (np.inf, 0, 0)), (row.value, row.latitude, row.longitude))
    hours = defaultdict(lambda: defaultdict(list))
    for (station, time), (value, latitude, longitude) in lowest.items():
        zone = round(((longitude + 180) % 360 - 180) / 15)
        local = time.to_pydatetime() + timedelta(hours=zone)
        if not instants:  # the hour that holds the middle of the averaging period, or ends there
            local -= timedelta(minutes=30, microseconds=1)
        row, column = round((90 - latitude) / 0.25), round((longitude + 180) / 0.25) % 1440
        column = 0 if row in (0, 720) else column
        hours[station, row, column, str(local.date())][local.hour].append(value)
    return {key: (np.mean([np.mean(v) for v in day.values()]), len(day)) for key, day in hours.items()}


@pytest.mark.parametrize("instants", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_means_of_days_are_those_of_a_loop_over_the_rows(seed, instants):
    data = awkward(seed)
    found, counts = daily(data, GLOBE, DAYS, instants=instants)
    expected = {
        key: mean
        for key, (mean, hours) in by_loop(data, instants).items()
        if hours >= 19 and key[-1] in DAYS.astype(str)
    }
    places = found.stations[["station", "row", "column"]].itertuples(index=False, name=None)
    got = {
        (*place, str(day)): found.values[t, s]
        for s, place in enumerate(places)
        for t, day in enumerate(DAYS)
        if np.isfinite(found.values[t, s])
    }
    assert len(expected) > 20 and got.keys() == expected.keys()
    assert [got[key] for key in expected] == pytest.approx(list(expected.values()), rel=1e-6)
    assert found.values.dtype == np.float32 and found.times.dtype == "datetime64[s]"
    assert len(data) - counts["number"].sum() == len(expected), "each row is a mean or counted"
    assert {"same station and time again", "no value", "another time", "other averaging period"} <= set(lost(counts))


def test_the_order_of_the_rows_makes_no_difference():
    data = awkward(4).assign(value=lambda t: t["value"].round())
    one, counts = daily(data, GLOBE, DAYS)
    other, others = daily(data.iloc[::-1].reset_index(drop=True), GLOBE, DAYS)
    pd.testing.assert_frame_equal(one.stations, other.stations)
    pd.testing.assert_frame_equal(counts, others)
    np.testing.assert_allclose(one.values, other.values, rtol=1e-6)


@pytest.mark.parametrize(
    ("longitude", "hours"),
    [(0.0, 0), (7.4, 0), (7.6, 1), (-7.6, -1), (116.4, 8), (-77.0, -5), (172.6, 12), (-172.6, -12), (179.9, 12),
     (-179.9, -12), (180.1, -12), (190.0, -11), (244.0, -8), (359.0, 0), (-200.0, 11), (180.0, -12), (-180.0, -12)],
)  # fmt: skip
def test_zones_are_nautical_whatever_the_turn_of_the_longitude(longitude, hours):
    assert zone_hours(np.array([longitude])).tolist() == [hours]


def test_neighbours_across_the_date_line_have_dates_that_differ_by_one():
    """Zones +12 and -12: 24 h from 12:00 UTC of the 10th are the 11th in the west and the 10th in the east."""
    data = table(
        rows("west", longitude=179.9, first="2018-03-10T13"),
        rows("east", longitude=-179.9, first="2018-03-10T13"),
        rows("beyond", longitude=180.1, first="2018-03-10T13"),
    )
    found, counts = daily(data, box(12, 174, 9, 186), DAYS)
    assert days_of(found, "west") == {"2018-03-11": 12.5}
    assert days_of(found, "east") == days_of(found, "beyond") == {"2018-03-10": 12.5}
    assert found.stations.set_index("station")["column"].to_dict() == {"west": 24, "east": 24, "beyond": 24}
    assert lost(counts) == {"averaged into days": 69}


def test_days_of_utc_are_the_same_everywhere():
    data = table(rows("a", longitude=150.0), rows("b", longitude=-150.0))
    found, _ = daily(data, GLOBE, DAYS, day="utc")
    assert days_of(found, "a") == days_of(found, "b") == {"2018-03-11": 12.5}


def test_midnight_ends_the_day_before_but_begins_a_day_of_weather():
    stamps = rows(first="2018-03-11T00", number=25)
    assert days_of(daily(stamps, GLOBE, DAYS)[0], "a") == {"2018-03-11": np.mean(np.arange(2, 26))}
    weather = stamps.rename(columns={"value": "wind_speed"})
    found, _ = daily(weather, GLOBE, DAYS, column="wind_speed", instants=True)
    assert days_of(found, "a") == {"2018-03-11": np.mean(np.arange(1, 25))}


def test_a_day_needs_more_than_18_hours_and_they_may_lie_anywhere():
    enough = rows("enough").drop(index=[0, 5, 6, 12, 23])
    few = rows("few").drop(index=[0, 5, 6, 12, 22, 23])
    found, counts = daily(table(enough, few), GLOBE, DAYS)
    assert found.stations["station"].tolist() == ["enough"]
    assert lost(counts) == {"day with fewer than 19 hours": 18, "averaged into days": 18}
    assert len(daily(table(enough, few), GLOBE, DAYS, minimum_hours=18)[0].stations) == 2


def test_an_hour_that_is_given_twice_counts_once():
    again = rows(number=18)
    quarters = rows(number=18).assign(time=lambda t: t["time"] - np.timedelta64(900, "s"), value=7.0)
    with pytest.raises(DeepcamsError, match="same station and time again: 18, day with fewer than 19 hours: 36"):
        daily(table(again, again, quarters), GLOBE, DAYS)
    whole = table(rows(value=10.0), rows(value=4.0, number=1))
    found, counts = daily(whole, GLOBE, DAYS)
    assert lost(counts) == {"same station and time again": 1, "averaged into days": 23}
    assert days_of(found, "a")["2018-03-11"] == pytest.approx((23 * 10 + 4) / 24), (
        "the lowest value, as quality control"
    )


def test_a_station_in_two_places_at_a_time_counts_once():
    found, counts = daily(table(rows(value=5.0), rows(value=6.0, latitude=50.0)), GLOBE, DAYS)
    assert lost(counts) == {"same station and time again": 24, "averaged into days": 23}
    assert found.stations["row"].tolist() == [320] and days_of(found, "a") == {"2018-03-11": 5.0}


def test_all_hours_weigh_the_same_however_often_they_were_measured():
    often = pd.concat([rows(number=1).assign(time=lambda t, m=m: t["time"] - np.timedelta64(m, "m"), value=100.0)
                       for m in (1, 2, 3)])  # fmt: skip
    found, _ = daily(table(rows(value=[100.0] + [4.0] * 23), often), GLOBE, DAYS)
    assert days_of(found, "a")["2018-03-11"] == pytest.approx((100 + 23 * 4) / 24)


# Places ---------------------------------------------------------------------------------------------------------------


def test_stations_outside_the_region_are_counted_by_country():
    data = table(
        rows("in"), rows("south", latitude=8.8, country="AA"), rows("east", longitude=60.0, country="BB"),
        rows("nowhere", latitude=np.nan), rows("off", latitude=91.0), rows("too far", longitude=400.0),
    )  # fmt: skip
    found, counts = daily(data, box(12, -3, 9, 3), DAYS)
    assert found.stations["station"].tolist() == ["in"]
    assert lost(counts) == {"impossible coordinates": 72, "outside the region": 48, "averaged into days": 23}
    outside = counts[counts["step"] == "outside the region"]
    assert dict(zip(outside["country"], outside["number"], strict=True)) == {"AA": 24, "BB": 24}


def test_a_region_reaches_half_a_step_beyond_its_nodes():
    grid = box(12, -3, 9, 3)
    edges = {"nw": (12.125, -3.125), "ne": (12.125, 3.125), "sw": (8.875, -3.125), "se": (8.875, 3.125 - 360)}
    beyond = {"n": (12.126, 0.0), "w": (10.0, -3.126), "s": (8.874, 0.0), "e": (10.0, 3.126)}
    data = table(*(rows(name, *place) for name, place in (edges | beyond).items()))
    found, counts = daily(data, grid, DAYS)
    cells = found.stations.set_index("station")[["row", "column"]]
    assert cells.T.to_dict("list") == {"nw": [0, 0], "ne": [0, 24], "sw": [12, 0], "se": [12, 24]}
    assert lost(counts)["outside the region"] == 4 * 24


def test_the_globe_closes_at_the_date_line():
    places = {"a": 179.874, "b": 179.876, "c": -179.99, "d": 180.12, "e": 180.0, "f": -180.0}
    found, _ = daily(table(*(rows(name, longitude=x, number=48) for name, x in places.items())), GLOBE, DAYS)
    assert dict(zip(found.stations["station"], found.stations["column"], strict=True)) == {
        "a": 1439, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0,
    }  # fmt: skip


def test_all_of_a_pole_s_row_is_one_cell():
    near = table(
        rows("a", -89.98, -20.0, number=48), rows("b", -89.98, 139.27, number=48), rows("c", 90.0, 77.0, number=48)
    )
    found, _ = daily(near, GLOBE, DAYS)
    assert found.stations[["row", "column"]].to_numpy().tolist() == [[720, 0], [720, 0], [0, 0]]
    assert cells_at(found, 1).row.tolist() == [0, 720]
    arctic, counts = daily(near, box(90, 0, 75, 15), DAYS)
    assert arctic.stations["station"].tolist() == ["c"], "any longitude is right at the pole itself"
    assert lost(counts)["outside the region"] == 96


def test_a_station_that_moves_within_its_cell_stays_one_and_in_another_is_a_second():
    within = rows("a").assign(latitude=[10.0] * 13 + [10.05] * 11)
    other = rows("b", number=48, first="2018-03-10T01").assign(longitude=[0.0] * 24 + [0.3] * 24)
    found, _ = daily(table(within, other), GLOBE, DAYS)
    assert found.stations["station"].tolist() == ["a", "b", "b"] and found.stations["latitude"][0] == 10.0
    assert found.stations["column"].tolist() == [720, 720, 721]
    assert np.isfinite(found.values).tolist() == [[False, True, False], [True, False, True], [False] * 3]


def test_cells_are_means_over_their_stations_with_a_value():
    data = table(
        rows("a", 10.0, 0.0, value=2.0), rows("b", 10.1, 0.1, value=4.0), rows("c", 10.0, 0.1, value=np.nan),
        rows("d", 40.0, 0.0, value=8.0), rows("e", -30.0, 0.0, value=1.0, first="2018-03-10T01"),
    )  # fmt: skip
    found, _ = daily(data, GLOBE, DAYS)
    cells = cells_at(found, 1)
    assert [part.tolist() for part in cells] == [[200, 320], [720, 720], [8.0, 3.0]]
    assert cells.row.dtype == cells.column.dtype == np.int64 and cells.value.dtype == np.float64
    kept = cells_at(found, 1, (found.stations["station"] != "a").to_numpy())
    assert kept.value.tolist() == [8.0, 4.0]
    assert [len(part) for part in cells_at(found, 2)] == [0, 0, 0], "a day without any is no error"


def test_texts_of_stations_are_kept_and_the_rest_is_empty():
    data = table(rows("b", name="B", city="Berlin"), rows("a", name=None, country=None, city=np.nan))
    stations = daily(data, GLOBE, DAYS)[0].stations
    assert stations.columns.tolist() == ["station", "name", "country", "city", "latitude", "longitude", "row", "column"]
    assert stations[["station", "name", "country", "city"]].to_numpy().tolist() == [
        ["a", "", "", ""], ["b", "B", "XX", "Berlin"],
    ]  # fmt: skip


# Hours ----------------------------------------------------------------------------------------------------------------


def test_hours_are_those_that_end_at_the_step():
    hours = np.array(["2018-03-11T02", "2018-03-11T03"], "datetime64[s]")
    late = rows("late", longitude=40.0).assign(time=lambda t: t["time"] + np.timedelta64(600, "s"))
    found, counts = hourly(table(rows(), late), GLOBE, hours)
    assert found.values.T.tolist() == [[2.0, 3.0], [2.0, 3.0]], "ten past three is mostly the hour that ends at three"
    assert lost(counts) == {"another time": 44}
    found, _ = hourly(rows(), GLOBE, hours, instants=True)
    assert found.values.T.tolist() == [[2.0, 3.0]]
    assert found.times.tolist() == hours.tolist()
    found, _ = hourly(late, GLOBE, hours, instants=True)
    assert found.values.T.tolist() == [[1.0, 2.0]], "at ten past one the hour that ends at two has begun"


def test_measurements_within_an_hour_are_averaged_and_counted():
    hours = np.array(["2018-03-11T01"], "datetime64[s]")
    more = rows(number=1, value=3.0).assign(time=np.datetime64("2018-03-11T01:15", "s"))
    found, counts = hourly(table(rows(number=1), more), GLOBE, hours)
    assert found.values.tolist() == [[2.0]] and lost(counts) == {"averaged into hours": 1}


# Nothing, and what is wrong -------------------------------------------------------------------------------------------


def test_without_any_day_an_error_says_why():
    data = table(
        rows(value=np.nan), rows("far", longitude=90.0), rows("few", number=3), rows("t", number=1).assign(time=NAT)
    )
    words = "none is left .outside the region: 24, time not readable: 1, no value: 24, day with fewer than 19 hours: 3"
    with pytest.raises(DeepcamsError, match=words):
        daily(data, box(12, -3, 9, 3), DAYS)
    found, counts = daily(data, box(12, -3, 9, 3), DAYS, may_be_empty=True)
    assert found.values.shape == (3, 0) and len(found.stations) == 0 and counts["number"].sum() == len(data)
    assert [len(part) for part in cells_at(found, 0)] == [0, 0, 0]


@pytest.mark.parametrize("method", [daily, hourly])
def test_an_empty_table_is_an_error_or_empty(method):
    with pytest.raises(DeepcamsError, match="there was none"):
        method(rows(number=0), GLOBE, DAYS)
    found, counts = method(rows(number=0), GLOBE, DAYS, may_be_empty=True)
    assert found.values.shape == (3, 0) and counts["number"].sum() == 0


@pytest.mark.parametrize(
    ("days", "settings", "words"),
    [
        (DAYS, {"day": "legal"}, "choose local or utc"),
        (DAYS, {"minimum_hours": 25}, "25 hours"),
        (DAYS, {"minimum_hours": 0}, "0 hours"),
        (DAYS[::-1], {}, "steps that rise"),
        (DAYS[:0], {}, "at least one time step"),
        (DAYS, {"column": "wind_speed"}, "lacks the columns wind_speed"),
    ],
)
def test_what_makes_no_sense_is_refused(days, settings, words):
    with pytest.raises(DeepcamsError, match=words):
        daily(rows(), GLOBE, days, **settings)


def test_hours_that_do_not_end_at_full_hours_are_refused():
    with pytest.raises(DeepcamsError, match="hh:00"):
        hourly(rows(), GLOBE, np.array(["2018-03-11T01:30"], "datetime64[s]"))


# Months, cities, real samples -----------------------------------------------------------------------------------------


def test_joined_months_equal_one_period():
    data = awkward(5)
    whole, _ = daily(data, GLOBE, DAYS)
    joined = join([daily(data, GLOBE, DAYS[:1])[0], daily(data, GLOBE, DAYS[1:])[0]])
    assert joined.times.tolist() == whole.times.tolist()
    pd.testing.assert_frame_equal(
        joined.stations.drop(columns=["latitude", "longitude"]), whole.stations.drop(columns=["latitude", "longitude"])
    )
    np.testing.assert_array_equal(joined.values, whole.values)
    with pytest.raises(DeepcamsError, match="steps that rise"):
        join([whole, whole])


def test_joined_months_keep_both_places_of_a_station_that_moved_between_them():
    before, after = rows(first="2018-03-10T01", value=3.0), rows(value=4.0, longitude=5.0)
    joined = join([daily(before, GLOBE, DAYS[:1])[0], daily(after, GLOBE, DAYS[1:])[0]])
    assert joined.stations["column"].tolist() == [720, 740]
    assert np.nan_to_num(joined.values).tolist() == [[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]


def test_cities_are_read_from_the_stations_files(tmp_path):
    file, other = tmp_path / "a.csv.gz", tmp_path / "b.csv"
    file.write_bytes(gzip.compress("Code,Area,lat\n1001A,北京市,39.9\n1002A,,40.1\n".encode()))
    other.write_text('id;city\n1002A;"Ulm; Neu-Ulm"\n1001A;Bonn\n', encoding="utf-8")
    stations = pd.DataFrame({"station": ["1002A", "1001A", "x", "1001A"]})
    assert with_cities(stations, [file])["city"].tolist() == ["", "北京市", "", "北京市"]
    assert with_cities(stations, [file, other])["city"].tolist() == ["Ulm; Neu-Ulm", "北京市", "", "北京市"]
    other.write_text("id,lat\n1,2\n")
    with pytest.raises(DeepcamsError, match="lacks a column of station or code or id or of city or area"):
        with_cities(stations, [other])


@pytest.mark.real
def test_the_real_hours_of_china(real_samples):
    file = real_samples / "cnemc_20190718_pm25.csv.gz"
    kept, _ = control_quality(read_stations([file], utc_offset=8), QualitySettings())
    hours = np.unique(kept["time"].to_numpy())
    found, counts = hourly(with_cities(kept, [file]), GLOBE, hours)
    assert lost(counts) == {} and len(hours) == 6 and len(found.stations) == 1472
    assert np.isfinite(found.values).sum() == len(kept) == 8416
    assert [len(cells_at(found, step).row) for step in range(6)] == [623, 627, 630, 600, 634, 636]
    assert "" not in set(found.stations["city"]) and "北京市" in set(found.stations["city"])


@pytest.mark.real
def test_the_real_day_of_openaq(real_samples):
    kept, _ = control_quality(read_stations([real_samples / "openaq_realtime_20180206"]), QualitySettings())
    days = np.array(["2018-02-05", "2018-02-06"], "datetime64[D]")
    found, counts = daily(kept, GLOBE, days, minimum_hours=6)
    assert len(kept) - counts["number"].sum() == np.isfinite(found.values).sum()
    assert np.isfinite(found.values).sum(axis=1).tolist() == [25, 576]
    assert np.isfinite(daily(kept, GLOBE, days)[0].values).sum(axis=1).tolist() == [10, 40]
