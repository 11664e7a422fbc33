"""Scores of pairs: against NumPy, in parts, with weights, with gaps."""

import math

import numpy as np
import pytest

from deepcams.validation.metrics import Moments


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    truth = rng.lognormal(1, 1, (6, 40, 50))
    return (truth * rng.lognormal(0.1, 0.4, truth.shape)).astype(np.float32), truth.astype(np.float32)


def test_scores_agree_with_numpy(pairs):
    estimate, truth = pairs
    scores = Moments().add(estimate, truth).scores()
    e, t = estimate.astype(float).ravel(), truth.astype(float).ravel()
    assert scores["n"] == e.size
    expected = {
        "r": np.corrcoef(e, t)[0, 1],
        "rmse": np.sqrt(np.mean((e - t) ** 2)),
        "mae": np.mean(np.abs(e - t)),
        "bias": np.mean(e - t),
        "nmb": np.sum(e - t) / np.sum(t),
        "nme": np.sum(np.abs(e - t)) / np.sum(t),
        "fac2": np.mean((e / t >= 0.5) & (e / t <= 2)),
        "mean_truth": t.mean(),
        "mean_estimate": e.mean(),
    }
    assert set(scores) == {"n", *expected}
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, rel=1e-12), name


def test_frames_one_by_one_and_merged_parts_give_the_same(pairs):
    estimate, truth = pairs
    whole = Moments().add(estimate, truth).scores()
    streamed, left, right = Moments(), Moments(), Moments()
    for k in range(6):
        streamed.add(estimate[k], truth[k])
        (left if k % 3 else right).add(estimate[k], truth[k])
    for scores in (streamed.scores(), left.merge(right).scores()):
        for name, value in whole.items():
            assert scores[name] == pytest.approx(value, rel=1e-12), name


def test_weights_are_like_repetition(pairs):
    estimate, truth = pairs[0][0], pairs[1][0]
    times = np.random.default_rng(1).integers(0, 4, (40, 1))
    repeated = Moments().add(np.repeat(estimate, times[:, 0], axis=0), np.repeat(truth, times[:, 0], axis=0)).scores()
    weighted = Moments().add(estimate, truth, times.astype(float)).scores()
    for name in set(repeated) - {"n"}:
        assert weighted[name] == pytest.approx(repeated[name], rel=1e-12), name


def test_missing_pairs_are_left_out_on_either_side(pairs):
    estimate, truth = (values.copy() for values in pairs)
    estimate[0, 0, 0] = truth[1, 1, 1] = np.nan
    truth[2, 2, 2] = np.inf
    valid = np.isfinite(estimate) & np.isfinite(truth)
    scores = Moments().add(estimate, truth, np.ones((40, 1))).scores()
    assert scores["n"] == truth.size - 3
    assert scores == pytest.approx(Moments().add(estimate[valid], truth[valid]).scores())


def test_a_small_signal_on_a_large_mean_survives():
    rng = np.random.default_rng(2)
    truth = rng.normal(0, 1, 10000)
    estimate = truth + rng.normal(0, 1, 10000)
    expected = np.corrcoef(estimate, truth)[0, 1]
    moments = Moments()
    for part in np.array_split(np.arange(10000), 7):
        moments.add(estimate[part] + 1e7, truth[part] + 1e7)
    assert moments.scores()["r"] == pytest.approx(expected, rel=1e-6)


def test_undefined_scores_are_nan_without_warning():
    nothing = Moments().add(np.full(3, np.nan), np.ones(3)).scores()
    assert nothing["n"] == 0
    assert all(math.isnan(value) for name, value in nothing.items() if name != "n")
    constant = Moments().add(np.full(1000, np.float32(0.1)), np.random.default_rng(3).random(1000)).scores()
    assert math.isnan(constant["r"])
    assert constant["rmse"] > 0
    zeros = Moments().add(np.ones(4), np.zeros(4)).scores()
    assert math.isnan(zeros["nmb"])
    assert Moments().merge(Moments()).scores()["n"] == 0


def test_perfect_agreement():
    truth = np.random.default_rng(4).random(500)
    scores = Moments().add(truth, truth).scores()
    assert (scores["rmse"], scores["mae"], scores["bias"], scores["fac2"]) == (0, 0, 0, 1)
    assert scores["r"] == pytest.approx(1)
    assert scores["r"] <= 1


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        Moments().add(np.zeros((2, 3)), np.zeros((3, 2)))
