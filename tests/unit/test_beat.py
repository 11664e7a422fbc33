"""No 3-hourly beat, and extremes: on made fields with and without one, and against NumPy's quantiles."""

import math

import numpy as np
import pytest
from scipy import ndimage

from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, refine, row_weights
from deepcams.validation.beat import Beat
from deepcams.validation.extremes import Quantiles

GRID = refine(coarse_grid(Region(north=30.0, west=0.0, south=15.0, east=30.0)))
START = np.datetime64("2018-07-01T00", "s")
HOUR = np.timedelta64(3600, "s")
LINEAR = 5 / 9  # variance left halfway of the third between two fields that have nothing in common


def moving(rng, days, cycle=0.0):
    """Plumes that drift: hourly (24 days + 1, H, W), positive, with a daily cycle of their size and a fire."""
    rows, columns = GRID.shape
    hours = 24 * days + 1
    wide = np.exp(0.8 * ndimage.gaussian_filter(rng.normal(size=(rows, columns + hours)), 1.5, mode="wrap") * 5)
    fields = np.stack([wide[:, hour : hour + columns] for hour in range(hours)])
    fields *= np.exp(cycle * np.cos(2 * np.pi * np.arange(hours) / 24))[:, None, None]
    fields[:, 20, 20] += 3000 * (rng.random(hours) < 0.1)
    return fields.astype(np.float32)


def interpolated(fields):
    """The same, known only every three hours and linear between."""
    hours = np.arange(len(fields) - 1)
    share = (hours % 3 / 3)[:, None, None].astype(np.float32)
    return (1 - share) * fields[hours // 3 * 3] + share * fields[hours // 3 * 3 + 3]


def beat_of(fields, grid=GRID, start=START):
    beat = Beat(grid)
    for hour, field in enumerate(fields):
        beat.add(start + hour * HOUR, field)
    return beat.result()


def test_fields_of_every_hour_do_not_beat_and_interpolated_ones_do():
    fields = moving(np.random.default_rng(0), 12, cycle=0.7)
    true, _ = beat_of(fields[:-1])
    linear, table = beat_of(interpolated(fields))
    assert true["days"] == linear["days"] == 12
    assert true["low"] <= 1 <= true["high"] and true["ratio"] == pytest.approx(1, abs=0.01)
    assert linear["low"] > 1.05 and linear["low"] < linear["ratio"] < linear["high"]
    assert table["variance"][12] < table["variance"][0]  # the daily cycle shows, but does not count


def test_unrelated_analyses_have_the_ratio_that_theory_gives():
    """Halfway hours are (2/3, 1/3) of two independent fields: 5/9 of the variance at 16 hours of 24."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(24 * 8 + 1, *GRID.shape)).astype(np.float32)
    found, table = beat_of(interpolated(noise))
    assert found["ratio"] == pytest.approx(1 / LINEAR, rel=0.01)
    assert found["low"] < 1 / LINEAR < found["high"]
    mean = math.exp(2 / 3 * math.log(LINEAR))
    expected = np.where(np.arange(24) % 3, LINEAR, 1.0) / mean
    np.testing.assert_allclose(table["variance"], expected, rtol=0.02)
    assert list(table["hour"]) == list(range(24))


def test_the_ratio_does_not_depend_on_the_unit_nor_on_smooth_fields_beneath():
    fields = moving(np.random.default_rng(2), 6)
    slope = np.linspace(0, 500, GRID.shape[1], dtype=np.float64)
    one, other = beat_of(interpolated(fields))[0], beat_of(interpolated(fields).astype(np.float64) * 1e-9)[0]
    assert one["ratio"] == pytest.approx(other["ratio"], rel=1e-4)
    assert beat_of(interpolated(fields).astype(np.float64) + slope)[0]["ratio"] == pytest.approx(one["ratio"], rel=1e-4)


def test_missing_hours_and_cells_are_left_out():
    fields = interpolated(moving(np.random.default_rng(3), 7))
    whole = beat_of(fields)[0]
    fields[[5, 30]] = np.nan  # hours
    fields[:, :22, :22] = np.nan  # a corner of every hour
    fields[50, 40, 40] = np.inf
    found, table = beat_of(fields)
    assert found["days"] == 7 and found["ratio"] == pytest.approx(whole["ratio"], rel=0.02)
    assert np.isfinite(table["variance"]).all()
    short = beat_of(fields[: 24 * 6 + 5])[0]
    assert short["days"] == 6  # five hours are no day


def test_a_box_that_lacks_an_hour_is_left_out_of_its_day():
    both, right = (Grid(30 - 0.25 * np.arange(22), 0.25 * np.arange(n), 0.25) for n in (42, 22))
    fields = np.random.default_rng(7).lognormal(0, 1, (24 * 6, *both.shape))
    fields *= np.exp(np.sin(np.arange(24 * 6)))[:, None, None]
    alone, of_right = beat_of(fields[:, :, 20:], right)
    fields[5::24, :, :20] = np.nan  # the left box, once a day
    found, table = beat_of(fields, both)
    assert found == alone and table.equals(of_right)


def test_growing_fields_do_not_beat():
    """A trend has analyses, on average an hour and a half before the hours between, lower; midnight makes up for it."""
    field = np.random.default_rng(8).lognormal(0, 1, GRID.shape)
    fields = field * np.exp(0.01 * np.arange(24 * 6 + 1))[:, None, None]
    beat = Beat(GRID)
    for hour, values in enumerate(fields):
        beat.add(START + hour * HOUR, values)
        beat.add(START + hour * HOUR, values)  # the last frame of a file may be the first one of the next
    assert beat.result()[0]["ratio"] == pytest.approx(1, abs=1e-9)


def test_nothing_gives_no_ratio():
    found, table = Beat(GRID).result()
    assert found["days"] == 0 and math.isnan(found["ratio"]) and math.isnan(found["low"])
    assert table["variance"].isna().all() and len(table) == 24
    constant = beat_of(np.ones((48, *GRID.shape)))[0]
    assert constant["days"] == 0
    analyses = Beat(GRID)
    for hour in range(0, 24 * 6, 3):
        analyses.add(START + hour * HOUR, np.random.default_rng(hour).random(GRID.shape))
    assert analyses.result()[0]["days"] == 0


def test_few_days_have_a_ratio_but_no_interval():
    found = beat_of(interpolated(moving(np.random.default_rng(4), 3)))[0]
    assert found["ratio"] > 1 and math.isnan(found["low"]) and math.isnan(found["high"])


def test_other_shapes_and_days_gone_by_are_refused():
    beat = Beat(GRID)
    with pytest.raises(ValueError, match="not on the grid"):
        beat.add(START, np.zeros((3, 3)))
    beat.add(START, np.random.default_rng(5).random(GRID.shape))
    with pytest.raises(ValueError, match="comes after"):
        beat.add(START - HOUR, np.zeros(GRID.shape))


def weighted_quantile(values, weights, level):
    order = np.argsort(values)
    passed = np.cumsum(weights[order])
    return values[order][np.searchsorted(passed, level * passed[-1])]


@pytest.mark.parametrize("kind", ["lognormal", "either sign", "half zeros"])
def test_quantiles_are_those_of_all_values_within_a_per_cent(kind):
    grid = coarse_globe()
    rng = np.random.default_rng(6)
    fields = rng.lognormal(1, 1.2, (4, *grid.shape)).astype(np.float32)
    if kind == "either sign":
        fields = -fields
    elif kind == "half zeros":
        fields[rng.random(fields.shape) < 0.6] = 0
    fields[:, 100] *= 100  # a row of its own weight
    fields[0, 0, 0], fields[1, 2, 3] = np.nan, np.inf
    quantiles = Quantiles(row_weights(grid))
    for field in fields:
        quantiles.add(field)
    valid = np.isfinite(fields)
    weights = np.broadcast_to(row_weights(grid)[:, None], fields.shape)[valid]
    levels = (0.001, 0.5, 0.99, 0.999, 0.9999)
    found = quantiles.result(levels)
    assert list(found) == ["0.001", "0.5", "0.99", "0.999", "0.9999"]
    for level in levels:
        expected = weighted_quantile(fields[valid], weights, level)
        assert found[f"{level:g}"] == pytest.approx(expected, rel=0.01, abs=1e-30)
    # Amid many values the place within a bin is known too.
    for level, value in zip((0.25, 0.8), quantiles.result((0.25, 0.8)).values(), strict=True):
        assert value == pytest.approx(weighted_quantile(fields[valid], weights, level), rel=0.001, abs=1e-30)


def test_quantiles_of_nothing_are_missing_and_of_a_constant_are_it():
    empty = Quantiles(np.ones(2))
    empty.add(np.full((2, 3), np.nan))
    assert all(math.isnan(value) for value in empty.result().values())
    for constant in (0.0, 7.3, -2.5e-5, 3e8):
        quantiles = Quantiles(np.ones(2))
        quantiles.add(np.full((2, 3), constant))
        for value in quantiles.result().values():
            assert value == pytest.approx(constant, rel=0.008, abs=1e-38)
