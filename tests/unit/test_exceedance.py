"""Hits and false alarms at thresholds, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from deepcams.validation.exceedance import COLUMNS, exceedances


def test_tables_and_scores_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    observed = rng.lognormal(3, 0.8, 3000)
    modelled = observed * rng.lognormal(0, 0.4, 3000)
    observed[:50], modelled[100:120] = np.nan, np.inf
    valid = np.isfinite(observed) & np.isfinite(modelled)
    found = exceedances(observed, modelled, (15.0, 35.4, 75.0))
    assert tuple(found.columns) == COLUMNS and list(found["threshold"]) == [15.0, 35.4, 75.0]
    for row in found.itertuples():
        o, m = observed[valid] > row.threshold, modelled[valid] > row.threshold
        expected = confusion_matrix(o, m).ravel().tolist()
        assert [row.correct_negatives, row.false_alarms, row.misses, row.hits] == expected
        assert row.n == valid.sum() == sum(expected)
        assert row.hit_rate == pytest.approx(recall_score(o, m), rel=1e-12)
        assert row.false_alarm_ratio == pytest.approx(1 - precision_score(o, m), rel=1e-12)
        assert row.csi == pytest.approx(row.hits / (row.hits + row.misses + row.false_alarms), rel=1e-12)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_at_the_threshold_is_not_above_it(precision):
    values = np.array([35.4, 35.5], dtype=precision)
    found = exceedances(values, values.astype(np.float64).round(1), [35.4]).iloc[0]
    assert (found["hits"], found["misses"], found["false_alarms"], found["correct_negatives"]) == (1, 0, 0, 1)


def test_rates_of_nothing_are_missing():
    calm = exceedances(np.array([1.0, 2.0]), np.array([1.0, 2.0]), [10.0]).iloc[0]
    assert calm["correct_negatives"] == 2
    assert calm[["hit_rate", "false_alarm_ratio", "csi"]].isna().all()
    missed = exceedances(np.array([20.0]), np.array([2.0]), [10.0]).iloc[0]
    assert (missed["hit_rate"], missed["csi"]) == (0, 0) and np.isnan(missed["false_alarm_ratio"])
    empty = exceedances(np.array([]), np.array([]), [10.0]).iloc[0]
    assert empty["n"] == 0 and np.isnan(empty["csi"])
    assert exceedances(np.array([1.0]), np.array([1.0]), []).empty


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        exceedances(np.zeros(2), np.zeros(3), [1.0])
