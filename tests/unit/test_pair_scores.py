"""Scores of pairs by group: against SciPy, scikit-learn, pyaerocom's figures, exact arithmetic and a loop."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error

from deepcams.pollutants import PM25, POLLUTANTS, Fairmode
from deepcams.validation import pair_scores
from deepcams.validation.pair_scores import SCORES, measurement_uncertainty, scores

FAIRMODE = PM25.fairmode
# What pyaerocom 0.38.0 makes of these pairs: stat_* of stats/implementations.py, and _mqi with beta = 2 of
# aeroval/fairmode_statistics.py.
OBSERVED = [12.5, 3.0, 48.25, 7.5, 7.5, 0.0, 130.0, 22.0, 9.0, 64.5, 15.0, 31.0]
MODELLED = [10.0, 6.5, 40.0, 7.5, 9.0, 2.0, 88.0, 30.0, 9.0, 70.0, 4.0, 31.5]
PYAEROCOM = {
    "r": 0.9563454977649755, "rho": 0.8894736842105264, "rmse": 13.141259769646643, "mb": -3.5625, "mae": 7.0625,
    "nmb": -0.12205567451820129, "fge": 0.4397119899916182,
}  # fmt: skip
PYAEROCOM_MQI = {
    "pm25": 0.4369478791941046, "pm10": 0.5070414888358267, "no2": 0.4541938493462556, "o3": 0.3690569422263658,
}  # fmt: skip


def one_by_one(observed, modelled, groups, count):
    """The same by a loop over groups and the libraries' functions; NaN where the definitions are undefined."""
    rows = []
    for group in range(count):
        use = (groups == group) & np.isfinite(observed) & np.isfinite(modelled)
        o, m = observed[use].astype(np.float64), modelled[use].astype(np.float64)
        row = dict.fromkeys(SCORES, np.nan) | {"n": len(o)}
        if len(o):
            row |= {
                "mean_observed": o.mean(),
                "mean_modelled": m.mean(),
                "sd_observed": o.std(),
                "sd_modelled": m.std(),
            }
            row |= {"rmse": np.sqrt(mean_squared_error(o, m)), "mae": mean_absolute_error(o, m), "mb": np.mean(m - o)}
            row["crmse"] = np.sqrt(mean_squared_error(o - o.mean(), m - m.mean()))
            row["mqi"] = row["rmse"] / 2 / np.sqrt(np.mean([0.36**2 * (0.75 * v * v + 0.25 * 625) for v in o]))
            if o.sum() != 0:
                row |= {"nmb": (m - o).sum() / o.sum(), "nme": np.abs(m - o).sum() / o.sum()}
            terms = [abs((b - a) / (b + a)) for a, b in zip(o, m, strict=True) if a + b != 0]
            row["fge"] = 2 * np.mean(terms) if terms else np.nan
            ratios = [b / a for a, b in zip(o, m, strict=True) if a > 0]
            row["fac2"] = np.mean([0.5 <= ratio <= 2 for ratio in ratios]) if ratios else np.nan
        if len(set(o)) > 1:
            row["ioa"] = 1 - np.sum((m - o) ** 2) / np.sum((np.abs(m - o.mean()) + np.abs(o - o.mean())) ** 2)
            if len(set(m)) > 1:
                row |= {"r": stats.pearsonr(o, m).statistic, "rho": stats.spearmanr(o, m).statistic}
                if o.mean() != 0:
                    from_one = (row["r"] - 1, m.std() / o.std() - 1, m.mean() / o.mean() - 1)
                    row["kge"] = 1 - np.linalg.norm(from_one)
        rows.append(row)
    return {name: np.array([row[name] for row in rows], dtype=float) for name in SCORES}


def agree(found, expected, rel=1e-12):
    for name in SCORES:
        np.testing.assert_allclose(
            found[name].to_numpy(dtype=float), expected[name], rtol=rel, atol=1e-13, err_msg=name
        )


def sample(kind, size, rng):
    observed = rng.lognormal(2.5, 0.9, size)
    modelled = observed * rng.lognormal(0.1, 0.5, size)
    if kind == "ties and zeros":
        observed, modelled = np.floor(observed / 8), np.floor(modelled / 8)
    elif kind == "gaps":
        observed[rng.random(size) < 0.2] = np.nan
        modelled[rng.random(size) < 0.2] = np.inf
    elif kind == "either sign":
        observed, modelled = observed - 12, modelled - 12
    elif kind == "float32":
        observed, modelled = observed.astype(np.float32), modelled.astype(np.float32)
    return observed, modelled


@pytest.mark.parametrize("kind", ["plain", "ties and zeros", "gaps", "either sign", "float32"])
@pytest.mark.parametrize("chunk", [1 << 18, 7], ids=["one chunk", "many chunks"])
def test_every_score_equals_the_libraries_group_by_group(kind, chunk, monkeypatch):
    monkeypatch.setattr(pair_scores, "CHUNK", chunk)
    rng = np.random.default_rng(3)
    observed, modelled = sample(kind, 900, rng)
    groups = rng.integers(0, 25, 900)
    groups[groups == 7] = 8  # nobody is in group 7
    groups[np.flatnonzero(groups == 9)[1:]] = 8  # one pair
    observed[groups == 10] = 5.5  # constants
    modelled[groups == 11] = 0.1
    observed[groups == 12], modelled[groups == 12] = 0.0, 0.0
    observed[groups == 13] = np.nan
    observed[groups == 14] = modelled[groups == 14]
    agree(scores(observed, modelled, groups, 25, FAIRMODE), one_by_one(observed, modelled, groups, 25))


def test_all_pairs_are_one_group_without_groups():
    rng = np.random.default_rng(4)
    observed, modelled = sample("ties and zeros", 500, rng)
    agree(scores(observed, modelled, fairmode=FAIRMODE), one_by_one(observed, modelled, np.zeros(500), 1))


def test_scores_equal_those_of_pyaerocom():
    observed, modelled = np.array(OBSERVED), np.array(MODELLED)
    found = scores(observed, modelled).iloc[0]
    for name, value in PYAEROCOM.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    for name, value in PYAEROCOM_MQI.items():
        pollutant = POLLUTANTS[name]
        unit = pollutant.fairmode.reference_value / {"pm25": 25, "pm10": 50, "no2": 200, "o3": 120}[name]
        found = scores(observed * unit, modelled * unit, fairmode=pollutant.fairmode)
        assert found["mqi"][0] == pytest.approx(value, rel=1e-12), name


def test_a_small_variance_on_a_large_mean_survives():
    """Against exact fractions: a spread of 1e-3 on a mean of 1e6, both with all their digits."""
    rng = np.random.default_rng(5)
    observed = 1e6 + 1e-3 * rng.normal(size=2000)
    modelled = 1e6 + (observed - 1e6) + 1e-3 * rng.normal(size=2000)
    o, m = ([Fraction(float(value)) for value in values] for values in (observed, modelled))
    mean_o, mean_m = sum(o) / len(o), sum(m) / len(m)
    oo, mm = sum((a - mean_o) ** 2 for a in o), sum((b - mean_m) ** 2 for b in m)
    om = sum((a - mean_o) * (b - mean_m) for a, b in zip(o, m, strict=True))
    found = scores(observed, modelled).iloc[0]
    assert found["sd_observed"] == pytest.approx(float(oo / len(o)) ** 0.5, rel=1e-12)
    assert found["sd_modelled"] == pytest.approx(float(mm / len(m)) ** 0.5, rel=1e-12)
    assert found["r"] == pytest.approx(float(om) / (float(oo) * float(mm)) ** 0.5, rel=1e-12)
    assert found["mb"] == pytest.approx(float(mean_m - mean_o), rel=1e-12)
    centred = sum(((b - mean_m) - (a - mean_o)) ** 2 for a, b in zip(o, m, strict=True))
    assert found["crmse"] == pytest.approx(float(centred / len(o)) ** 0.5, rel=1e-12)


def test_ranks_equal_those_of_scipy_in_every_group():
    rng = np.random.default_rng(6)
    values, groups = rng.integers(0, 6, 400).astype(float), rng.integers(0, 300, 400)
    size = np.bincount(groups, minlength=300)
    found = pair_scores._doubled_ranks(values, groups, np.cumsum(size) - size)
    for group in np.unique(groups):
        np.testing.assert_array_equal(found[groups == group] / 2, stats.rankdata(values[groups == group]))


@pytest.mark.parametrize(
    ("observed", "modelled", "undefined"),
    [
        ([], [], set(SCORES) - {"n"}),
        ([np.nan, 1.0], [1.0, np.nan], set(SCORES) - {"n"}),
        ([4.0], [5.0], {"r", "rho", "ioa", "kge"}),
        ([0.1] * 1000, list(range(1000)), {"r", "rho", "ioa", "kge"}),
        (list(range(1, 1001)), [0.1] * 1000, {"r", "rho", "kge"}),
        ([-1.0, 1.0], [2.0, 3.0], {"nmb", "nme", "kge"}),
        ([0.0, 0.0], [0.0, 0.0], {"r", "rho", "nmb", "nme", "fge", "fac2", "ioa", "kge"}),
        ([0.0, 0.0], [1.0, 2.0], {"r", "rho", "nmb", "nme", "fac2", "ioa", "kge"}),
    ],
    ids=["empty", "nothing finite", "one pair", "observed constant", "modelled constant", "zero mean", "zeros",
         "observed zeros"],
)  # fmt: skip
def test_what_is_undefined_is_missing_and_nothing_else_is(observed, modelled, undefined):
    found = scores(np.array(observed, dtype=float), np.array(modelled, dtype=float), fairmode=FAIRMODE).iloc[0]
    assert {name for name in SCORES if np.isnan(found[name])} == undefined


def test_perfect_pairs_score_one_and_nought():
    values = np.random.default_rng(7).lognormal(2, 1, 400)
    found = scores(values, values, fairmode=FAIRMODE).iloc[0]
    for name, value in {
        "r": 1,
        "rho": 1,
        "ioa": 1,
        "kge": 1,
        "fac2": 1,
        "rmse": 0,
        "mb": 0,
        "fge": 0,
        "mqi": 0,
    }.items():
        assert found[name] == pytest.approx(value, abs=1e-12)
    assert found["r"] <= 1 and found["rho"] <= 1


def test_without_parameters_there_is_no_fairmode_indicator():
    assert np.isnan(scores(np.array([1.0, 2.0]), np.array([1.0, 3.0]))["mqi"][0])


def test_measurement_uncertainty_at_the_reference_value_is_what_fairmode_states():
    for parameters in (FAIRMODE, Fairmode(0.24, 200.0, 0.2)):
        expected = parameters.relative_uncertainty * parameters.reference_value
        assert measurement_uncertainty(parameters.reference_value, 0.0, parameters) == pytest.approx(
            expected, rel=1e-12
        )


def test_thresholds_and_parameters_are_in_the_units_of_the_product():
    assert PM25.thresholds["daily"] == (15.0, 25.0, 37.5, 50.0, 75.0)
    assert POLLUTANTS["no2"].thresholds["hourly"][0] == pytest.approx(200 / 1.9125, rel=2e-3)  # Defra's factor at 20 °C
    assert POLLUTANTS["o3"].fairmode.reference_value == pytest.approx(120 / 1.9957, rel=2e-3)
    assert POLLUTANTS["co"].fairmode is None and POLLUTANTS["so2"].fairmode is None
    for pollutant in POLLUTANTS.values():
        for values in pollutant.thresholds.values():
            assert list(values) == sorted(values)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (([1.0, 2.0], [1.0]), "one length"),
        (([1.0], [1.0], [1]), "not all in 0 … 0"),
        (([1.0], [1.0], [-1]), "not all in 0 … 0"),
    ],
    ids=["lengths", "group too large", "group below zero"],
)
def test_wrong_shapes_and_groups_are_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        scores(*map(np.array, arrays))
