"""Quality control of station measurements: every step alone, its counts by country, and how steps meet."""

import numpy as np
import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.pollutants import POLLUTANTS
from deepcams.sources.openaq import read_realtime
from deepcams.sources.station_files import read_stations
from deepcams.validation.counts import total
from deepcams.validation.quality import KEPT, READ, QualitySettings, control_quality

GOOD = {
    "station": "1", "name": "Somewhere", "country": "NA", "latitude": -22.5, "longitude": 17.0,
    "time": "2018-01-01T01:00:00Z", "averaging_hours": 1.0, "value": 12.0, "units": "µg/m³", "provider": "p",
    "reference_grade": True,
}  # fmt: skip
DEFAULT = QualitySettings()


def table(*changes):
    return pd.DataFrame([{**GOOD, **change} for change in changes])


def hour(n, **changes):
    """A row of the n-th hour of January 2018."""
    return {"time": str(np.datetime64("2018-01-01T00:00:00") + np.timedelta64(60 * n, "m")) + "Z"} | changes


def series(values, start=1, **changes):
    return [hour(start + n, value=float(value), **changes) for n, value in enumerate(values)]


def removed(counts):
    return {step: n for step, n in total(counts).items() if n and step not in (READ, KEPT)}


def steps(settings=DEFAULT):
    return list(total(control_quality(table({}), settings)[1]))


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"units": "ppm"}, "units not µg/m³"),
        ({"units": ""}, "units not µg/m³"),
        ({"value": None}, "no value"),
        ({"value": -999.0}, "code for missing data"),
        ({"value": 985.0}, "code for missing data"),
        ({"value": -0.5}, "below the minimum"),
        ({"value": 2000.5}, "above the maximum"),
        ({"averaging_hours": 24.0}, "other averaging period"),
        ({"averaging_hours": None}, "other averaging period"),
        ({"averaging_hours": 0.0}, "other averaging period"),
        ({"averaging_hours": 0.25}, "too little of the hour"),
        ({"latitude": 95.0}, "impossible coordinates"),
        ({"longitude": -181.0}, "impossible coordinates"),
        ({"latitude": 0.0, "longitude": 0.0}, "impossible coordinates"),
        ({"longitude": -22.5}, "impossible coordinates"),
        ({"longitude": None}, "impossible coordinates"),
        ({"latitude": 3.16, "longitude": 3.88}, "impossible coordinates"),
        ({"latitude": 22.5}, "outside its country"),
        ({"latitude": 17.0, "longitude": -22.5001}, None),  # the sea off West Africa may have an island
        ({"time": "yesterday"}, "time not readable"),
        ({"value": 13.0}, "same station and time again"),
        ({"station": "2"}, "co-located twin"),
        ({"station": "2", "latitude": -22.5004}, "co-located twin"),
        ({"station": "2", "latitude": -22.502}, None),
    ],
)
def test_each_step_removes_and_counts_its_rows(change, step):
    if step != "same station and time again":
        change = {"time": "2018-01-01T05:00:00Z", **change} if step != "co-located twin" else change
    kept, counts = control_quality(table({}, change), DEFAULT)
    assert removed(counts) == ({step: 1} if step else {})
    assert kept["value"].tolist() == [12.0] * (1 if step else 2)
    assert total(counts)[READ] == 2 and total(counts)[KEPT] == len(kept)


def test_steps_come_in_one_order_and_each_shows_that_it_ran():
    _, counts = control_quality(table({}), DEFAULT)
    assert counts.columns.tolist() == ["step", "country", "number"]
    assert counts["step"].tolist() == [
        READ, "time not readable", "units not µg/m³", "no value", "code for missing data", "below the minimum",
        "above the maximum", "not of reference grade", "impossible coordinates", "outside its country",
        "other averaging period", "same station and time again", "too little of the hour", "averaged into hours",
        "stuck", "outlier", "co-located twin", "station with too little of the month", KEPT,
    ]  # fmt: skip
    assert counts["country"].tolist() == ["NA"] + [""] * 17 + ["NA"]
    assert counts["number"].tolist() == [1] + [0] * 17 + [1]


def test_what_is_removed_is_counted_by_country():
    rows = [
        {},
        {"station": "2", "value": -999.0},
        {"station": "3", "country": "FR", "latitude": 48.9, "longitude": 2.4, "value": -999.0},
        {"station": "4", "country": "FR", "latitude": 48.9, "longitude": 2.4, "units": "ppb"},
        {"station": "5", "country": "", "latitude": 48.9, "longitude": 2.4},  # told by the place
        {"station": "6", "country": None, "latitude": None},
    ]
    kept, counts = control_quality(table(*rows), DEFAULT)
    found = [tuple(row) for row in counts[counts["number"] > 0].itertuples(index=False)]
    assert found == [
        (READ, "", 1), (READ, "FR", 3), (READ, "NA", 2), ("units not µg/m³", "FR", 1),
        ("code for missing data", "FR", 1), ("code for missing data", "NA", 1), ("impossible coordinates", "", 1),
        (KEPT, "FR", 1), (KEPT, "NA", 1),
    ]  # fmt: skip
    assert kept["country"].tolist() == ["NA", "FR"]


def test_a_row_is_counted_once_in_the_first_step_that_removes_it():
    _, counts = control_quality(table({}, {"units": "ppb", "value": -999.0, "latitude": 95.0}), DEFAULT)
    assert removed(counts) == {"units not µg/m³": 1}
    _, counts = control_quality(table(hour(1), hour(1, averaging_hours=24.0, value=3.0)), DEFAULT)
    assert removed(counts) == {"other averaging period": 1}


@pytest.mark.parametrize("units", ["µg/m³", "μg/m³", "ug/m3", "UG/M3", " ug m-3"])
def test_both_code_points_of_micro_and_plain_spellings_are_read(units):
    kept, _ = control_quality(table({"units": units}), DEFAULT)
    assert kept["units"].tolist() == ["ug m-3"]


@pytest.mark.parametrize("value", [0.0, 2000.0])
def test_the_limits_themselves_are_allowed(value):
    assert len(control_quality(table({"value": value}), DEFAULT)[0]) == 1


@pytest.mark.parametrize(("flag", "count"), [(True, 1), ("true", 1), (False, 0), (None, 0)])
def test_reference_grade_only_leaves_out_the_rest_and_the_unknown(flag, count):
    rows = table({"reference_grade": flag})
    assert len(control_quality(rows, DEFAULT)[0]) == 1
    assert len(control_quality(rows, QualitySettings(reference_grade_only=True))[0]) == count


def test_times_with_a_zone_become_utc():
    kept, _ = control_quality(table({"time": "2018-01-01T06:30:00+05:30"}), DEFAULT)
    assert str(kept["time"].dtype) == "datetime64[s]"
    assert kept["time"].iloc[0] == pd.Timestamp("2018-01-01T01:00:00")


def test_a_table_without_a_column_is_refused_by_name():
    with pytest.raises(DeepcamsError, match="averaging_hours"):
        control_quality(table({}).drop(columns="averaging_hours"), DEFAULT)


def test_a_table_without_rows_runs_through_all_steps():
    kept, counts = control_quality(table({}).iloc[:0], DEFAULT)
    assert kept.empty and counts["number"].sum() == 0 and counts["step"].tolist() == steps()
    kept, counts = control_quality(table({"value": None}), QualitySettings(station_coverage=0.5))
    assert kept.empty and removed(counts) == {"no value": 1}


def test_a_station_may_be_some_way_outside_its_country_and_anywhere_if_that_is_not_looked_at():
    rows = table({"longitude": 22.5}, {"station": "2", "longitude": 25.0})  # 150 and 410 km into Botswana
    for reach, stations in ((100, []), (200, ["1"]), (500, ["1", "2"]), (None, ["1", "2"])):
        assert control_quality(rows, QualitySettings(country_reach=reach))[0]["station"].tolist() == stations


# Averaging -----------------------------------------------------------------------------------------------------------


def quarters(minutes, values, hours=0.25, **changes):
    start = np.datetime64("2018-01-01T00:00:00")
    return [
        {"time": f"{start + np.timedelta64(m, 'm')}Z", "value": v, "averaging_hours": hours, **changes}
        for m, v in zip(minutes, values, strict=True)
    ]


def test_quarters_of_an_hour_are_averaged_into_the_hour_that_holds_them():
    rows = quarters([15, 30, 45, 60, 75, 90, 105, 120], [1, 2, 3, 4, 10, 20, 30, 40])
    kept, counts = control_quality(table(*rows), DEFAULT)
    assert kept["value"].tolist() == [2.5, 25.0]
    assert kept["time"].dt.hour.tolist() == [1, 2] and kept["averaging_hours"].tolist() == [1.0, 1.0]
    assert removed(counts) == {"averaged into hours": 6}


@pytest.mark.parametrize(
    ("minutes", "hours", "enough"),
    [
        ([15, 30, 60], 0.25, True),
        ([15, 30], 0.25, False),
        ([30, 60], 0.5, True),
        ([60], 0.5, False),
        ([45], 0.75, True),
        ([20, 25, 30, 35, 40], 0.25, False),  # they overlap: 35 minutes in all
        ([10, 20, 30, 40, 50, 60], 0.25, True),
        ([20, 35, 50, 64], 0.25, True),  # the middle of the last one is in the hour
    ],
)
def test_an_hour_needs_three_quarters_of_it_covered(minutes, hours, enough):
    rows = table(*quarters(minutes, np.arange(len(minutes)) + 1.0, hours))
    kept, counts = control_quality(rows, DEFAULT)
    if enough:
        assert len(kept) == 1 and removed(counts) == (
            {"averaged into hours": len(minutes) - 1} if len(minutes) > 1 else {}
        )
    else:
        assert kept.empty and removed(counts) == {"too little of the hour": len(minutes)}
    assert len(control_quality(rows, QualitySettings(coverage=0.3))[0]) == 1


def test_an_hour_that_was_measured_as_a_whole_is_not_averaged_again():
    rows = table(hour(1), *quarters([15, 30, 45, 60], [1, 2, 3, 4]), *quarters([75, 90, 105], [5, 5, 5]))
    kept, counts = control_quality(rows, DEFAULT)
    assert kept["value"].tolist() == [12.0, 5.0]
    assert removed(counts) == {"same station and time again": 4, "averaged into hours": 2}


def test_days_are_kept_or_made_of_18_hours():
    settings = QualitySettings(averaging_hours=24.0)
    rows = table(
        *series(range(1, 19)),  # ends at 18:00
        *series(range(17), start=25),
        hour(24, station="2", averaging_hours=24.0, latitude=-22.0),
        hour(48, station="2", averaging_hours=168.0, latitude=-22.0),
        *series([9] * 24, station="2", latitude=-22.0),
    )
    kept, counts = control_quality(rows, settings)
    assert kept["value"].tolist() == [9.5, 12.0] and set(kept["averaging_hours"]) == {24.0}
    assert set(kept["time"]) == {pd.Timestamp("2018-01-02")}
    assert removed(counts) == {
        "other averaging period": 1, "same station and time again": 24, "too little of the day": 17,
        "averaged into days": 17,
    }  # fmt: skip


# Twins, repeats, coverage --------------------------------------------------------------------------------------------


def test_of_twins_reference_grade_stays_then_the_most_values_then_the_first_id():
    low, more = {"reference_grade": False}, series([5, 6, 7], start=2)
    assert twins([{"station": "a", **low}, {"station": "b"}]) == ["b"]
    assert twins([{"station": "b"}, {"station": "a"}]) == ["a"]
    assert twins([{"station": "a"}, {"station": "b"}, *[row | {"station": "b"} for row in more]])[0] == "b"
    assert twins([{"station": "a"}, {"station": "b", **low}, *[row | {"station": "b", **low} for row in more]]) == [
        "a", "b", "b", "b",
    ]  # fmt: skip
    assert twins([{"station": "b"}, {"station": "a"}], twins=True) == ["a", "b"]
    west = {"longitude": 180.0, "country": ""}
    assert twins([{"station": "a", **west}, {"station": "b", **west, "longitude": -180.0}]) == ["a"]


def twins(rows, **settings):
    kept, _ = control_quality(table(*rows), QualitySettings(**settings))
    return kept.sort_values(["time", "station"])["station"].tolist()


def test_a_broken_twin_does_not_displace_a_good_one():
    rows = [*series([20.0] * 12, reference_grade=True), *series(range(12), station="2", reference_grade=False)]
    kept, counts = control_quality(table(*rows), DEFAULT)
    assert kept["station"].tolist() == ["2"] * 12 and removed(counts) == {"stuck": 12}


def test_of_repeats_the_one_of_reference_grade_stays_or_the_lower():
    rows = [{"value": 9.0}, {"value": 5.0, "reference_grade": False}, {"value": 7.0}]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        kept, counts = control_quality(table(*(rows[n] for n in order)), DEFAULT)
        assert kept["value"].tolist() == [7.0] and removed(counts) == {"same station and time again": 2}


def test_a_station_needs_its_share_of_the_hours_of_each_month():
    january, february = series(range(372)), series(range(335), start=744)  # half of 744; one less than half of 672
    for share, months in ((0.5, {1}), (0.49, {1, 2}), (0.51, set())):
        kept, counts = control_quality(table(*january, *february), QualitySettings(station_coverage=share))
        assert set(kept["time"].dt.month) == months
        gone = 707 - len(kept)
        assert removed(counts) == ({"station with too little of the month": gone} if gone else {})


# All of it -----------------------------------------------------------------------------------------------------------


def awkward(seed, twins=False):
    """A table with some of every fault; no two stations at a place unless `twins`."""
    draw = np.random.default_rng(seed)
    rows = []
    for n in range(12):
        base = np.exp(2.5 + 0.5 * draw.standard_normal(60)).round(n % 3)
        base[draw.integers(0, 60, 2)] *= 60
        base[20 : 20 + draw.integers(3, 14)] = base[20]
        at = {"station": str(n), "latitude": -22.5 + 0.01 * (n // 2 * 2 if twins else n)}
        part = series(base, start=int(draw.integers(700, 740)), **at, reference_grade=bool(draw.integers(2)))
        for row in part:
            row |= {} if draw.random() < 0.9 else draw.choice(FAULTS)
        rows += [row for row in part if draw.random() < 0.95]
        rows += [row | {"value": row["value"] + 1} for row in part[:2]]
        rows += [part[40] | {"averaging_hours": 0.25, "value": float(v)} for v in range(3)]
    return table(*rows)


FAULTS = [
    {"value": -999.0}, {"value": None}, {"units": "ppm"}, {"value": -3.0}, {"value": 9000.0}, {"averaging_hours": 24.0},
    {"latitude": 0.0, "longitude": 0.0}, {"latitude": 50.0}, {"time": "?"}, {"country": "ZZ"}, {"country": ""},
]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_rows_makes_no_difference_and_counts_add_up(seed):
    rows = awkward(seed, twins=True)
    kept, counts = control_quality(rows, DEFAULT)
    again, counts_again = control_quality(rows.sample(frac=1, random_state=seed), DEFAULT)
    pd.testing.assert_frame_equal(kept, again)
    pd.testing.assert_frame_equal(counts, counts_again)
    assert len(removed(counts)) >= 9
    for country in set(counts["country"]):
        number = counts[counts["country"] == country].set_index("step")["number"]
        assert number.drop([READ, KEPT], errors="ignore").sum() == number.get(READ, 0) - number.get(KEPT, 0)
    assert total(counts)[KEPT] == len(kept) and total(counts)[READ] == len(rows)


@pytest.mark.parametrize(("name", "units"), [("pm25", "µg/m³"), ("o3", "ppb")])
@pytest.mark.parametrize("seed", range(5))
def test_a_second_pass_removes_nothing(seed, name, units):
    settings = QualitySettings(pollutant=POLLUTANTS[name])
    kept, _ = control_quality(awkward(seed).replace({"units": {"µg/m³": units, "ppm": "%"}}), settings)
    again, counts = control_quality(kept, settings)
    assert removed(counts) == {} and len(kept) > 300
    pd.testing.assert_frame_equal(kept, again)


@pytest.mark.real
def test_the_real_day_of_openaq(real_samples):
    kept, counts = control_quality(read_realtime(real_samples / "openaq_realtime_20180206"), DEFAULT)
    assert total(counts)[READ] == 16_348 and len(kept) == total(counts)[KEPT] == 10_032
    assert removed(counts) == {
        "code for missing data": 102, "below the minimum": 47, "impossible coordinates": 1106,
        "other averaging period": 3016, "too little of the hour": 1810, "averaged into hours": 187, "stuck": 43,
        "outlier": 2, "co-located twin": 3,
    }  # fmt: skip
    stuck, outliers = (counts[counts["step"] == step] for step in ("stuck", "outlier"))
    assert stuck["country"].tolist() == ["MT"]  # one station that shows 2.1 all day
    assert outliers["country"].tolist() == ["CN", "FR"]  # 500 among 30, and 0 among 25
    assert kept["value"].max() < 500


@pytest.mark.real
def test_the_real_hours_of_china(real_samples):
    table = read_stations([real_samples / "cnemc_20190718_pm25.csv.gz"], utc_offset=8)
    kept, counts = control_quality(table, DEFAULT)
    assert removed(counts) == {"no value": 511, "co-located twin": 6}
    assert total(counts)[READ] == 8933 and set(kept["country"]) == {"CN", "HK"}
