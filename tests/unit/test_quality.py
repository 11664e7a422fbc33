"""Quality control of station measurements."""

import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.validation.quality import QualitySettings, control_quality

GOOD = {
    "station": "1", "name": "Somewhere", "country": "NA", "latitude": -22.5, "longitude": 17.0,
    "time": "2018-01-01T01:00:00Z", "averaging_hours": 1.0, "value": 12.0, "units": "µg/m³", "provider": "p",
    "reference_grade": True,
}  # fmt: skip


def table(*changes):
    return pd.DataFrame([{**GOOD, **change} for change in changes])


def removed(counts):
    return {step: n for step, n in counts.items() if n and not step.startswith("measurements")}


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
        ({"latitude": 95.0}, "impossible coordinates"),
        ({"longitude": -181.0}, "impossible coordinates"),
        ({"latitude": 0.0, "longitude": 0.0}, "impossible coordinates"),
        ({"longitude": -22.5}, "impossible coordinates"),
        ({"longitude": None}, "impossible coordinates"),
        ({"time": "yesterday"}, "time not readable"),
        ({"value": 13.0}, "same station and time again"),
    ],
)
def test_each_step_removes_and_counts_its_rows(change, step):
    kept, counts = control_quality(table({}, change), QualitySettings())
    assert removed(counts) == {step: 1}
    assert kept["value"].tolist() == [12.0]
    assert counts["measurements read"] == 2 and counts["measurements kept"] == 1


@pytest.mark.parametrize("units", ["µg/m³", "μg/m³", "ug/m3", "UG/M3", " ug m-3"])
def test_both_code_points_of_micro_and_plain_spellings_are_read(units):
    assert len(control_quality(table({"units": units}), QualitySettings())[0]) == 1


@pytest.mark.parametrize("value", [0.0, 2000.0])
def test_the_limits_themselves_are_allowed(value):
    assert len(control_quality(table({"value": value}), QualitySettings())[0]) == 1


@pytest.mark.parametrize(("flag", "count"), [(True, 1), ("true", 1), (False, 0), (None, 0)])
def test_reference_grade_only_leaves_out_the_rest_and_the_unknown(flag, count):
    rows = table({"reference_grade": flag})
    assert len(control_quality(rows, QualitySettings())[0]) == 1
    assert len(control_quality(rows, QualitySettings(reference_grade_only=True))[0]) == count


def test_a_row_is_counted_once_in_the_first_step_that_removes_it():
    _, counts = control_quality(table({}, {"units": "ppb", "value": -999.0}), QualitySettings())
    assert removed(counts) == {"units not µg/m³": 1}
    assert counts["measurements read"] == counts["measurements kept"] + sum(removed(counts).values())


def test_times_with_a_zone_become_utc():
    kept, _ = control_quality(table({"time": "2018-01-01T06:30:00+05:30"}), QualitySettings())
    assert str(kept["time"].dtype) == "datetime64[s]"
    assert kept["time"].iloc[0] == pd.Timestamp("2018-01-01T01:00:00")


def test_a_table_without_a_column_is_refused_by_name():
    with pytest.raises(DeepcamsError, match="averaging_hours"):
        control_quality(table({}).drop(columns="averaging_hours"), QualitySettings())
