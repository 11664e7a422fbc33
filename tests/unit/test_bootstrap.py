"""Intervals on differences of scores: against scipy and a slow loop, and whether they cover what they should."""

import math

import numpy as np
import pytest
from scipy import stats

from deepcams.validation.bootstrap import LEVEL, difference, resample


def paired_difference(a, b, level=LEVEL, **settings):
    """The difference of two methods, resampled alike."""
    return difference(*(resample(days, **settings) for days in (a, b)), level=level)


def days(squared, absolute=None, n=None):
    """Daily sums as columns."""
    squared = np.asarray(squared, dtype=float)
    n = np.full(len(squared), 100.0) if n is None else n
    absolute = np.sqrt(squared * n) * 0.8 if absolute is None else absolute
    first = np.datetime64("2018-07-01")
    return {"day": first + np.arange(len(squared)), "n": n, "squared_error": squared, "absolute_error": absolute}


@pytest.fixture
def pair():
    """A month of two methods with noise of their own on days of common difficulty, and a hole in one day."""
    rng = np.random.default_rng(5)
    hard = rng.lognormal(3, 0.5, 31)
    n = np.full(31, 100.0)
    n[4] = 37.0
    return [days(level * hard * rng.lognormal(0, 0.2, 31), n=n) for level in (0.7, 1.0)]


def ratio_of_rmse(a, b, axis=-1):
    return np.sqrt(a.sum(axis=axis) / b.sum(axis=axis)) - 1


def test_days_one_by_one_agree_with_scipy(pair):
    a, b = pair
    ours = paired_difference(a, b, block=1, samples=20_000)
    keys = {"rmse": ("squared_error", ratio_of_rmse),
            "mae": ("absolute_error", lambda a, b, axis=-1: a.sum(axis=axis) / b.sum(axis=axis) - 1)}  # fmt: skip
    for metric, (key, statistic) in keys.items():
        theirs = stats.bootstrap(
            (a[key], b[key]), statistic, paired=True, vectorized=True, method="percentile", n_resamples=20_000,
            rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
        width = theirs.high - theirs.low
        assert ours[metric].relative == pytest.approx(statistic(a[key], b[key]), rel=1e-12)
        assert ours[metric].low == pytest.approx(theirs.low, abs=0.04 * width)
        assert ours[metric].high == pytest.approx(theirs.high, abs=0.04 * width)


@pytest.mark.parametrize("block", [1, 2, 3, 7])
def test_blocks_go_round_the_circle_and_the_last_one_is_cut(pair, block):
    """The same draws, day by day: 31 days are not a multiple of 2, 3 or 7."""
    a, b = pair
    found = paired_difference(a, b, block=block, samples=200, seed=3)["rmse"]
    starts = np.random.default_rng(3).integers(31, size=(200, math.ceil(31 / block)))
    ratios = []
    for row in starts:
        chosen = [(start + offset) % 31 for start in row for offset in range(block)][:31]
        rmse = [np.sqrt(part["squared_error"][chosen].sum() / part["n"][chosen].sum()) for part in (a, b)]
        ratios.append(rmse[0] / rmse[1] - 1)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ratios, (0.025, 0.975))), rel=1e-12)


def test_values_are_those_over_all_pairs(pair):
    found = paired_difference(*pair)
    a = pair[0]
    assert found["rmse"].value == pytest.approx(np.sqrt(a["squared_error"].sum() / a["n"].sum()))
    assert found["mae"].value == pytest.approx(a["absolute_error"].sum() / a["n"].sum())
    assert found["mae"].reference == pytest.approx(pair[1]["absolute_error"].sum() / pair[1]["n"].sum())
    assert found["rmse"].days == 31


def test_a_method_does_not_differ_from_itself(pair):
    for found in paired_difference(pair[0], pair[0]).values():
        assert (found.relative, found.low, found.high) == (0.0, 0.0, 0.0)


def test_both_methods_are_drawn_on_the_same_days(pair):
    """A tenth less on every day is a tenth less on any choice of days, however different the days are."""
    b = pair[1]
    a = days(0.81 * b["squared_error"], 0.9 * b["absolute_error"], b["n"])
    for found in paired_difference(a, b).values():
        assert (found.low, found.high) == pytest.approx((-0.1, -0.1), abs=1e-12)


def test_the_seed_decides_the_draws(pair):
    assert paired_difference(*pair, seed=1) == paired_difference(*pair, seed=1)
    assert paired_difference(*pair, seed=1) != paired_difference(*pair, seed=2)


def test_intervals_cover_the_true_difference_about_as_often_as_they_say():
    rng = np.random.default_rng(11)
    true = np.sqrt(0.7) - 1
    covered = 0
    for _ in range(400):
        hard = rng.lognormal(0, 0.5, 60)
        # A mean of 1 for the noise, so that 0.7 is the ratio of the expected squares.
        a, b = (level * hard * rng.gamma(9, 1 / 9, 60) for level in (0.7, 1.0))
        found = paired_difference(days(a), days(b), samples=500)["rmse"]
        covered += found.low <= true <= found.high
    assert 0.90 <= covered / 400 <= 0.98


def test_blocks_widen_the_interval_where_neighbouring_days_are_alike():
    rng = np.random.default_rng(2)
    widths = {1: [], 4: []}
    for _ in range(20):
        noise = rng.normal(size=120)
        for day in range(1, 120):
            noise[day] += 0.8 * noise[day - 1]
        a, b = days(np.exp(0.2 * noise)), days(np.ones(120))
        for block, found in widths.items():
            difference = paired_difference(a, b, block=block, samples=1000)["rmse"]
            found.append(difference.high - difference.low)
    assert np.mean(widths[4]) > 1.4 * np.mean(widths[1])


@pytest.mark.parametrize(("count", "block"), [(4, 1), (4, 2), (1, 2), (7, 4), (0, 2)])
def test_too_few_days_give_no_interval(count, block):
    found = paired_difference(days(np.ones(count)), days(4 * np.ones(count)), block=block)["rmse"]
    assert math.isnan(found.low) and math.isnan(found.high)
    assert found.days == count
    assert math.isnan(found.relative) if not count else found.relative == pytest.approx(-0.5)


def test_an_error_of_zero_has_no_ratio():
    zero = days(np.zeros(10))
    assert math.isnan(paired_difference(zero, zero)["rmse"].relative)
    assert math.isnan(paired_difference(zero, zero)["mae"].low)


def test_other_days_and_empty_blocks_are_refused(pair):
    a, b = pair
    with pytest.raises(ValueError, match="same days"):
        paired_difference(a, {**b, "day": b["day"] + 1})
    with pytest.raises(ValueError, match="at least one day"):
        paired_difference(a, b, block=0)
