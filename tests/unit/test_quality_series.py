"""Stuck runs and outliers: real episodes stay, faults go, and a plain loop over stations finds the same."""

from itertools import groupby
from statistics import median

import numpy as np
import pandas as pd
import pytest

from deepcams.validation.counts import total
from deepcams.validation.quality import QualitySettings, control_quality
from deepcams.validation.quality_series import is_outlier, is_stuck

START = np.datetime64("2018-01-01T01:00:00")
ONE = {"name": "x", "country": "NA", "averaging_hours": 1.0, "units": "ug/m3", "provider": "p", "reference_grade": True}


def rows(values, hours=None, station=0, factor=1.0):
    """Rows as the steps have them: values at the given hours after the year's first."""
    values = np.asarray(values, float)
    hours = np.arange(values.size) if hours is None else np.asarray(hours)
    return pd.DataFrame(
        {
            "station": station,
            "time": (START + hours.astype("timedelta64[h]")).astype(np.int64),
            "delivered": values,
            "factor": factor,
            "value": values * factor,
        }
    )


def several(seed, stations=8, hours=1200):
    """Stations with gaps, spikes, episodes and runs, over parts of three months."""
    draw, parts = np.random.default_rng(seed), []
    for station in range(stations):
        noise = np.convolve(draw.standard_normal(hours + 20), np.ones(20) / 4, "valid")[:hours]
        values = np.exp(draw.uniform(0, 4) + 0.4 * noise)
        for length in (1, 1, 2, 3, 4, 6, 48):
            at = draw.integers(0, hours - length)
            values[at : at + length] *= draw.choice([0.0, 20.0, 60.0])
        for length in (3, 5, 8, 9, 10, 40, 95):
            at = draw.integers(0, hours - length)
            values[at : at + length] = values[at]
        values = values.round(int(draw.integers(3)))
        keep = np.flatnonzero(draw.random(hours) < draw.choice([0.05, 0.7, 0.97, 1.0]))
        parts.append(rows(values[keep], keep, station))
    return pd.concat(parts, ignore_index=True)


# Independent references: plain loops ---------------------------------------------------------------------------------


def stuck_by_loop(table, hours):
    found = []
    for _, part in table.groupby("station"):
        values, times = part["delivered"].tolist(), part["time"].tolist()
        decimals = next((d for d in range(4) if all(abs(v - round(v, d)) < 1e-9 for v in values)), 4)
        run = [0]
        for n in range(1, len(values) + 1):
            if n < len(values) and values[n] == values[n - 1] and times[n] - times[n - 1] == 3600:
                run.append(n)
                continue
            needed = hours * (10 if values[run[0]] < 10 * 10**-decimals else 1)
            found += [part.index[m] for m in run] if len(run) >= needed else []
            run = [n]
    return sorted(found)


def outliers_by_loop(table, limit, days):
    found = []
    for _, part in table.groupby("station"):
        data = [(i, t, v**0.5) for i, t, v in zip(part.index, part["time"], part["value"], strict=True)]
        while True:
            bad = short_excursions(
                [(i, t, side) for (i, t, _), side in zip(data, sides(data, limit, days), strict=True)]
            )
            if not bad:
                break
            found += bad
            data = [item for item in data if item[0] not in bad]
    return sorted(found)


def sides(data, limit, days):
    """+1, 0 or -1 for each (index, time, root) of a station: its place among its window."""
    windows = [window_of(pd.Timestamp(t, unit="s"), days) for _, t, _ in data]
    result = []
    for (_, _, root), window in zip(data, windows, strict=True):
        inside = [r for (_, _, r), w in zip(data, windows, strict=True) if w == window]
        middle = median(inside)
        spread = max(1.4826 * median(abs(r - middle) for r in inside), 0.5)
        away = root - middle
        result.append(0 if len(inside) < 10 or abs(away) <= limit * spread else 1 if away > 0 else -1)
    return result


def window_of(stamp, days):
    count = max(1, round(stamp.days_in_month / days))
    return stamp.year, stamp.month, min(int((stamp.day - 1) // days), count - 1)


def short_excursions(data):
    far = [n for n, (_, _, side) in enumerate(data) if side]
    groups = []
    for n in far:
        before = groups[-1][-1] if groups else None
        if before is not None and data[n][2] == data[before][2] and data[n][1] - data[before][1] <= 3 * 3600:
            groups[-1].append(n)
        else:
            groups.append([n])
    bad = []
    for group in groups:
        left, right = group[0] - 1, group[-1] + 1
        if left >= 0 and right < len(data) and data[right][1] - data[left][1] <= 4 * 3600:
            bad += [data[n][0] for n in group]
    return bad


@pytest.mark.parametrize("hours", [3, 9])
@pytest.mark.parametrize("seed", range(6))
def test_stuck_runs_are_those_of_a_plain_loop(seed, hours):
    table = several(seed)
    found = np.flatnonzero(is_stuck(table, hours, 1.0)).tolist()
    assert found == stuck_by_loop(table, hours) and found


@pytest.mark.parametrize(("limit", "days"), [(10.0, 15.0), (5.0, 15.0), (4.0, 7.0), (3.0, 31.0)])
@pytest.mark.parametrize("seed", range(2))
def test_outliers_are_those_of_a_plain_loop(seed, limit, days):
    table = several(seed, stations=5, hours=800)
    found = np.flatnonzero(is_outlier(table, limit, days, 1.0)).tolist()
    assert found == outliers_by_loop(table, limit, days) and found


# Stuck runs ----------------------------------------------------------------------------------------------------------


def test_a_run_goes_as_a_whole_and_a_missing_hour_ends_it():
    values = [14.5, *[21.5] * 9, 17.5]
    assert is_stuck(rows(values), 9, 1.0).tolist() == [False, *[True] * 9, False]
    assert not is_stuck(rows(values[:9]), 9, 1.0).any()
    assert not is_stuck(rows(values, [*range(5), *range(6, 12)]), 9, 1.0).any()
    two = pd.concat([rows([21.5] * 5), rows([21.5] * 5, np.arange(5, 10), 1)], ignore_index=True)
    assert not is_stuck(two, 9, 1.0).any()


@pytest.mark.parametrize(
    ("value", "others", "length", "stuck"),
    [
        (2.0, 5.0, 89, False),  # whole numbers: less than ten steps
        (2.0, 5.0, 90, True),
        (10.0, 5.0, 9, True),
        (2.0, 5.5, 9, True),  # tenths
        (0.0, 5.5, 89, False),
        (0.0, 5.5, 90, True),
        (0.05, 0.123, 9, True),  # ppm
    ],
)
def test_clean_air_in_coarse_numbers_may_stay_the_same(value, others, length, stuck):
    found = is_stuck(rows([others, *[value] * length, others]), 9, 1.0)
    assert found.sum() == (length if stuck else 0)


def test_clean_air_in_whole_numbers_loses_hardly_anything():
    """A log-normal process of an autocorrelation of 0.95 h, rounded: about a third of it is in runs of nine hours."""
    draw, count = np.random.default_rng(1), 744
    for middle in (2.0, 15.0):
        parts = []
        for station in range(60):
            state = np.empty(count)
            state[0] = draw.standard_normal()
            for n in range(1, count):
                state[n] = 0.95 * state[n - 1] + np.sqrt(1 - 0.95**2) * draw.standard_normal()
            parts.append(rows(np.round(middle * np.exp(0.6 * state)), station=station))
        table = pd.concat(parts, ignore_index=True)
        assert is_stuck(table, 9, 1.0).mean() < 0.002
    assert sum(len(list(run)) >= 9 for part in parts for _, run in groupby(part["value"])) < 20


def test_days_are_stuck_after_as_many_days():
    table = rows([21.5] * 9 + [3.0], 24 * np.arange(10))
    assert is_stuck(table, 9, 24.0).sum() == 9 and not is_stuck(table, 9, 1.0).any()


# Outliers ------------------------------------------------------------------------------------------------------------


def fortnight(middle=10.0, seed=3):
    draw = np.random.default_rng(seed)
    day = 1 + 0.4 * np.sin(2 * np.pi * np.arange(360) / 24)
    return (middle * day * np.exp(0.3 * draw.standard_normal(360))).round(1)


def outliers(values, hours=None, limit=10.0, days=15.0):
    return np.flatnonzero(is_outlier(rows(values, hours), limit, days, 1.0)).tolist()


@pytest.mark.parametrize("middle", [1.0, 10.0, 100.0])
def test_two_days_of_smoke_stay_and_a_spike_of_an_hour_goes(middle):
    values = fortnight(middle)
    values[200:248] += 60 * middle * np.sin(np.linspace(0.05, 3.1, 48))  # comes and goes as smoke does
    values[100] = max(25 * middle, 50.0)
    assert outliers(values) == [100]
    values[100], values[220] = middle, 0.0  # a dip in the smoke is near what is usual
    assert outliers(values) == []


@pytest.mark.parametrize(("length", "gone"), [(1, True), (3, True), (4, False), (6, False)])
def test_an_excursion_of_more_than_three_hours_is_an_episode(length, gone):
    values = fortnight()
    values[150 : 150 + length] = 800.0
    assert outliers(values) == (list(range(150, 150 + length)) if gone else [])


def test_flickering_at_the_limit_is_one_episode():
    values = fortnight()
    values[150:162] = [800, 10, 800, 800, 10, 10, 800, 800, 800, 10, 800, 800]
    assert outliers(values) == []


def test_what_may_have_lasted_longer_stays():
    values, hours = fortnight(), np.arange(360)
    values[150] = 800.0
    assert outliers(values) == [150]
    gap = (hours <= 150) | (hours > 153)
    assert outliers(values[gap], hours[gap]) == []  # three hours after it are missing
    assert outliers(values[:151]) == [] and outliers(values[150:]) == []  # its end, its beginning are not known


def test_a_drop_to_zero_is_an_outlier_too():
    values = 300 + fortnight()
    values[150] = 0.0
    assert outliers(values) == [150]


def test_a_constant_station_may_have_some_more_for_an_hour():
    values = np.full(360, 2.0)
    values[150], values[250] = 25.0, 60.0
    assert outliers(values) == [250]  # (√2 + 10 · 0.5)² = 41


def test_a_window_of_few_values_is_not_judged():
    values = fortnight()[:9].tolist()
    assert outliers([*values[:5], 900.0, *values[5:8]]) == []
    assert outliers([*values[:5], 900.0, *values[5:]]) == [5]


def test_windows_are_parts_of_calendar_months_and_do_not_depend_on_other_months():
    january, february = fortnight(5.0), fortnight(300.0)
    hours = np.concatenate([np.arange(360), 744 + np.arange(360)])
    january[7] = 400.0  # much for January, usual in February
    assert outliers(np.concatenate([january, february]), hours) == [7]


@pytest.mark.parametrize("off", [{"outlier_mad": None}, {"stuck_hours": None}])
def test_null_switches_a_step_off(off):
    values = np.concatenate([fortnight(), [33.3] * 20, fortnight()])
    values[150] = 800.0
    stamps = START + np.arange(values.size).astype("timedelta64[h]")
    table = pd.DataFrame({**ONE, "station": "1", "latitude": -22.5, "longitude": 17.0, "time": stamps, "value": values})
    both, one = (total(control_quality(table, QualitySettings(**how))[1]) for how in ({}, off))
    assert (both["outlier"], both["stuck"]) == (1, 20)
    assert (one["outlier"], one["stuck"]) == ((0, 20) if "outlier_mad" in off else (1, 0))
