"""Cross-validation at stations and its scores: against scikit-learn, drawing pair by pair, and counts by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error

from deepcams.fusion.cells import Cells
from deepcams.fusion.competitors import competitors, fold_mean
from deepcams.fusion.evaluation import COLUMNS, MEAN, POOLED, STEP, cross_validate, reproduce
from deepcams.fusion.folds import stations_out
from deepcams.fusion.fusion_scores import by_class, by_months, by_season, score_table
from deepcams.fusion.observations import Observations
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.validation.bootstrap import expanded_interval

GRID = refine(coarse_grid(Region(north=45, west=99.75, south=30, east=120)))


def observed(seed=0, days=6, stations=30, missing=0.2):
    """Values of stations, two of which share a cell."""
    rng = np.random.default_rng(seed)
    cell = rng.choice(GRID.shape[0] * GRID.shape[1], stations, replace=False)
    cell[1] = cell[0]
    row, column = np.divmod(cell, GRID.shape[1])
    table = pd.DataFrame(
        {
            "station": [f"S{number:02d}" for number in range(stations)],
            "name": "",
            "country": "CN",
            "city": [f"city {number // 3}" for number in range(stations)],
            "latitude": GRID.latitude[row],
            "longitude": GRID.longitude[column],
            "row": row,
            "column": column,
        }
    )
    values = rng.gamma(3, 15, (days, stations)).astype(np.float32)
    values[rng.random(values.shape) < missing] = np.nan
    times = np.datetime64("2020-02-27", "s") + np.arange(days) * np.timedelta64(1, "D")
    return Observations(times, table, values)


def folds_of(observations):
    """Five folds, the two stations of one cell in different ones."""
    fold_of = stations_out(observations, folds=5)
    fold_of[:2] = 0, 1
    return fold_of


def test_every_value_has_one_row_with_its_station_and_fold():
    observations = observed()
    fold_of = folds_of(observations)
    table = cross_validate(observations, {"mean": fold_mean}, fold_of)
    step, station = np.nonzero(np.isfinite(observations.values))
    assert tuple(table.columns) == (*COLUMNS, "mean")
    np.testing.assert_array_equal(table["observed"], observations.values[step, station])
    np.testing.assert_array_equal(table["time"], observations.times[step])
    np.testing.assert_array_equal(table["fold"], fold_of[station])
    for name in ("station", "city", "country", "latitude", "longitude", "row", "column"):
        np.testing.assert_array_equal(table[name], observations.stations[name].to_numpy()[station])


def test_estimates_are_made_from_the_other_folds_alone():
    observations = observed()
    fold_of = folds_of(observations)
    table = cross_validate(observations, {"mean": fold_mean}, fold_of)
    stations = observations.stations
    for (time, fold), rows in table.groupby(["time", "fold"]):
        values = pd.Series(observations.values[list(observations.times).index(time)].astype(float))
        cell = pd.Series(list(zip(stations["row"], stations["column"], strict=True)))
        others = ~cell.isin(set(cell[fold_of == fold]))
        expected = values[others].groupby(cell[others]).mean().mean()
        np.testing.assert_allclose(rows["mean"], expected, rtol=1e-12)


def test_methods_are_called_once_for_each_step_and_fold_and_never_see_what_is_held_out():
    observations = observed()
    fold_of = folds_of(observations)
    calls = []

    def spy(known, at, step):
        calls.append((step, set(zip(*known[:2], strict=True)), set(zip(*at, strict=True))))
        return np.asarray(at[0] * 1000.0 + at[1])

    table = cross_validate(observations, {"spy": spy, "also": fold_mean}, fold_of)
    assert len(calls) == len(table.groupby(["time", "fold"])) == 30
    for _, known, held in calls:
        assert known and held and not known & held
    np.testing.assert_array_equal(table["spy"], table["row"] * 1000.0 + table["column"])


def test_where_nothing_is_known_or_held_out_no_method_is_called_and_rows_are_kept():
    observations = observed(missing=0)
    fold_of = folds_of(observations)
    observations.values[0] = np.nan  # a day without measurements
    observations.values[1, fold_of != 2] = np.nan  # nothing but one fold: nothing is known
    observations.values[2, fold_of == 3] = np.nan  # nothing is held out
    calls = []

    def spy(known, at, step):
        assert isinstance(known, Cells) and len(known.value) and len(at[0])
        calls.append(step)
        return np.ones(len(at[0]))

    table = cross_validate(observations, {"spy": spy}, fold_of)
    assert len(table) == np.isfinite(observations.values).sum()
    assert [calls.count(step) for step in range(6)] == [0, 0, 4, 5, 5, 5]
    on_day_1 = table["time"] == observations.times[1]
    assert on_day_1.sum() == (fold_of == 2).sum() and table["spy"].isna().equals(on_day_1)
    assert score_table(table, ["spy"], "spy")["missing"].item() == on_day_1.sum()


def test_wrong_answers_names_and_folds_are_refused():
    observations = observed()
    fold_of = folds_of(observations)
    with pytest.raises(ValueError, match="short answered"):
        cross_validate(observations, {"short": lambda known, at, step: np.zeros(1 + len(at[0]))}, fold_of)
    with pytest.raises(ValueError, match="observed"):
        cross_validate(observations, {"observed": fold_mean}, fold_of)
    with pytest.raises(ValueError, match="30 stations"):
        cross_validate(observations, {"mean": fold_mean}, fold_of[1:])


def test_a_model_reproduced_by_itself_is_perfect_and_a_mean_has_no_correlation():
    rng = np.random.default_rng(1)
    fields = rng.gamma(2, 10, (3, *GRID.shape)).astype(np.float32)
    cells = np.array([0, 5, 9]), np.array([7, 70, 3])
    methods = {"itself": lambda known, at, step: fields[step][at], "mean": fold_mean}
    table = reproduce(fields, GRID, lambda step: cells, methods).set_index(["of", "step", "method"])
    assert len(table) == 3 * 2 + 2 * 2
    itself = table.xs("itself", level="method")
    np.testing.assert_allclose(itself["r2"], 1)
    np.testing.assert_allclose(itself[["rmse", "nme"]], 0)
    for step, field in enumerate(fields):
        row = table.loc[(STEP, step, "mean")]
        mean, truth = field[cells].mean(dtype=float), field.astype(float)
        expected = (fields[0].size, 0, np.sqrt(((truth - mean) ** 2).mean()), np.abs(truth - mean).sum() / truth.sum())
        assert tuple(row[["n", "missing", "rmse", "nme"]]) == pytest.approx(expected)
        assert (
            np.isnan(row["r2"])
            and row["mean"] == pytest.approx(mean)
            and row["mean_truth"] == pytest.approx(truth.mean())
        )


def test_steps_are_pooled_and_averaged_at_the_chosen_nodes():
    rng = np.random.default_rng(2)
    fields = rng.gamma(2, 10, (4, *GRID.shape)).astype(np.float32)
    fields[2, 0, 0] = np.nan  # a known cell without a value, and a node without a truth
    estimates = fields * rng.uniform(0.5, 1.2, fields.shape)
    estimates[1, 3, 3] = np.nan
    nodes = np.array([0, 3, 10, 20, 30]), np.array([0, 3, 10, 20, 30])
    seen = []

    def method(known, at, step):
        seen.append(known)
        return estimates[step][at]

    table = reproduce(fields, GRID, lambda step: (np.array([0, 1]), np.array([0, 1])), {"a": method}, nodes)
    assert [len(known.value) for known in seen] == [2, 2, 1, 2]
    np.testing.assert_allclose(seen[2].value, fields[2, 1, 1])
    pooled, steps = table[table["of"] == POOLED].iloc[0], table[table["of"] == STEP]
    p, o = (np.concatenate([field[nodes] for field in part]).astype(float) for part in (estimates, fields))
    valid = np.isfinite(p) & np.isfinite(o)
    assert (pooled["n"], pooled["missing"]) == (18, 2) and list(steps["missing"]) == [0, 1, 1, 0]
    assert pooled["r2"] == pytest.approx(np.corrcoef(p[valid], o[valid])[0, 1] ** 2)
    assert pooled["rmse"] == pytest.approx(np.sqrt(mean_squared_error(o[valid], p[valid])))
    assert pooled["nme"] == pytest.approx(np.abs(p - o)[valid].sum() / o[valid].sum())
    means = table[table["of"] == MEAN].iloc[0]
    for name in ("r2", "rmse", "nme", "mean", "mean_truth"):
        assert means[name] == pytest.approx(steps[name].mean())
    assert (means["n"], means["missing"]) == (18, 2)


def test_fields_without_a_known_value_have_no_estimate_and_are_counted():
    fields = np.full((1, *GRID.shape), np.nan, np.float32)
    methods = {"never called": lambda known, at, step: 1 / len(known.value)}
    table = reproduce(fields, GRID, lambda step: (np.array([0]), np.array([0])), methods)
    assert (table["n"] == 0).all() and (table["missing"] == fields.size).all() and table["rmse"].isna().all()


def pairs(seed=0, boxes=20, stations=3, days=12, errors=(("good", 4.0), ("bad", 8.0))):
    """A table as cross_validate makes it, of stations in boxes of 5° whose errors go together."""
    rng = np.random.default_rng(seed)
    number = boxes * stations
    box = np.repeat(np.arange(boxes), stations)
    latitude, longitude = 12.5 + 5 * (box // 6) + rng.uniform(-2, 2, number), 62.5 + 5 * (box % 6) + 0.1
    station, day = (index.ravel() for index in np.indices((number, days)))
    observed = rng.gamma(3, 15, station.size)
    table = pd.DataFrame(
        {
            "time": (np.datetime64("2020-01-01", "s") + day * np.timedelta64(10, "D")),
            "station": [f"S{one}" for one in station],
            "latitude": latitude[station],
            "longitude": longitude[station],
            "observed": observed,
        }
    )
    for name, size in errors:
        shared = rng.normal(size=boxes)[box][station]
        table[name] = observed + size * (0.5 * shared + rng.normal(size=station.size))
    return table, box[station]


def test_scores_are_those_of_the_pairs():
    table, _ = pairs()
    found = score_table(table, ["good", "bad"], "bad", samples=50).set_index("method")
    o = table["observed"]
    for name in ("good", "bad"):
        p, row = table[name], found.loc[name]
        expected = {
            "n": 720,
            "missing": 0,
            "left_out": 0,
            "stations": 60,
            "boxes": 20,
            "r2": np.corrcoef(o, p)[0, 1] ** 2,
            "rmse": np.sqrt(mean_squared_error(o, p)),
            "mae": mean_absolute_error(o, p),
            "nme": (p - o).abs().sum() / o.sum(),
            "bias": (p - o).mean(),
        }
        assert row[list(expected)].to_dict() == pytest.approx(expected)
    assert found.loc["good", "rmse_difference"] == pytest.approx(found.loc["good", "rmse"] - found.loc["bad", "rmse"])


def test_intervals_are_those_of_boxes_drawn_station_by_station():
    table, box = pairs()
    found = score_table(table, ["good", "bad"], "bad", samples=200, seed=3).set_index("method")
    # The same draws as `resampled_sums` makes of 20 blocks of one.
    draws = np.random.default_rng(3).integers(20, size=(200, 20))
    drawn = {name: [] for name in ("r2", "rmse", "mae", "nme", "bias", "rmse_difference")}
    members = [np.flatnonzero(box == one) for one in range(20)]
    for chosen in draws:
        rows = table.iloc[np.concatenate([members[one] for one in chosen])]
        o, p, other = (rows[name].to_numpy() for name in ("observed", "good", "bad"))
        drawn["r2"].append(np.corrcoef(o, p)[0, 1] ** 2)
        drawn["rmse"].append(np.sqrt(mean_squared_error(o, p)))
        drawn["mae"].append(mean_absolute_error(o, p))
        drawn["nme"].append(np.abs(p - o).sum() / o.sum())
        drawn["bias"].append((p - o).mean())
        drawn["rmse_difference"].append(drawn["rmse"][-1] - np.sqrt(mean_squared_error(o, other)))
    for name, values in drawn.items():
        expected = expanded_interval(np.array(values), 20)
        assert (found.loc["good", f"{name}_low"], found.loc["good", f"{name}_high"]) == pytest.approx(expected)


def test_verdicts_follow_the_interval_of_the_difference():
    table, _ = pairs(errors=(("good", 4.0), ("bad", 8.0), ("as good", 4.0)))
    verdicts = score_table(table, ["good", "bad", "as good"], "as good").set_index("method")["verdict"]
    assert verdicts.to_dict() == {"good": "alike", "bad": "worse", "as good": "reference"}
    assert score_table(table, ["good", "bad"], "bad")["verdict"].tolist() == ["better", "reference"]
    table["same"] = table["good"]
    assert score_table(table, ["good", "same"], "good")["verdict"].tolist() == ["reference", "alike"]


def test_differences_of_equal_methods_are_seldom_told_apart():
    wrong = 0
    for seed in range(60):
        table, _ = pairs(seed=seed, days=4, errors=(("a", 4.0), ("b", 4.0)))
        wrong += score_table(table, ["a", "b"], "a", samples=300)["verdict"][1] != "alike"
    assert wrong <= 9  # 3 of 60 expected


def test_fewer_than_ten_boxes_are_not_judged():
    table, _ = pairs(boxes=9)
    found = score_table(table, ["good", "bad"], "bad").set_index("method")
    assert found.loc["good", "verdict"] == "unjudged" and found.loc["good", "rmse"] < found.loc["bad", "rmse"]
    assert found.filter(regex="_(low|high)$").isna().to_numpy().all()
    assert score_table(pairs(boxes=10)[0], ["good", "bad"], "bad")["verdict"][0] == "better"


def test_methods_are_compared_on_the_pairs_that_all_have_and_the_rest_is_counted():
    table, _ = pairs()
    table.loc[:9, "good"] = np.nan
    table.loc[5:19, "bad"] = np.nan
    table["none"] = np.nan
    found = score_table(table, ["good", "bad", "none"], "bad", samples=50).set_index("method")
    assert found["missing"].to_dict() == {"good": 10, "bad": 15, "none": 720}
    assert (found["left_out"] == 20).all() and found["n"].to_dict() == {"good": 700, "bad": 700, "none": 0}
    both = table.iloc[20:]
    assert found.loc["good", "rmse"] == pytest.approx(np.sqrt(mean_squared_error(both["observed"], both["good"])))
    assert found.loc["none", "verdict"] == "unjudged" and np.isnan(found.loc["none", "rmse"])
    nothing = score_table(table[:0], ["good", "bad"], "bad")
    assert (nothing["n"] == 0).all() and nothing["rmse"].isna().all() and nothing["verdict"][0] == "unjudged"


def test_unknown_methods_and_references_are_refused():
    table, _ = pairs()
    with pytest.raises(ValueError, match="worst"):
        score_table(table, ["good", "bad"], "worst")
    with pytest.raises(ValueError, match="worst"):
        score_table(table, ["good", "worst"], "good")


def test_classes_of_concentration_hold_their_upper_edge():
    table, _ = pairs(boxes=1, stations=1, days=12)
    table["observed"] = [-1, 0, 15, 15.01, 35, 36, 75, 115, 150, 150.1, 900, 74]
    found = by_class(table, ["good", "bad"], "bad")
    counts = found[found["method"] == "good"].set_index("class")["n"].to_dict()
    assert counts == {"0-15": 3, "15-35": 2, "35-75": 3, "75-115": 1, "115-150": 1, ">150": 2}


def test_seasons_and_months_hold_their_days():
    table, _ = pairs(days=40)  # every tenth day from January 2020 to January 2021
    seasons = by_season(table, ["good", "bad"], "bad", samples=20)
    found = seasons[seasons["method"] == "bad"].set_index("season")["n"]
    month = pd.DatetimeIndex(table["time"]).month
    expected = {"DJF": month.isin([12, 1, 2]), "MAM": month.isin([3, 4, 5]), "JJA": month.isin([6, 7, 8])}
    expected["SON"] = month.isin([9, 10, 11])
    assert found.to_dict() == {name: there.sum() for name, there in expected.items()}
    spans = {"February-April 2020": ["2020-02", "2020-03", "2020-04"], "spring": ["2020-04", "2020-05"]}
    months = by_months(table, ["good", "bad"], "bad", spans, samples=20)
    found = months[months["method"] == "good"].set_index("months")
    first = (pd.DatetimeIndex(table["time"]).year == 2020) & month.isin([2, 3, 4])
    assert list(found.index) == ["February-April 2020", "spring", "other months"]
    assert found["n"].tolist() == [first.sum(), (month == 5).sum(), len(table) - first.sum() - (month == 5).sum()]
    rmse = np.sqrt(mean_squared_error(table.loc[first, "observed"], table.loc[first, "good"]))
    assert found["rmse"].iloc[0] == pytest.approx(rmse)


def test_kriging_of_a_smooth_field_is_judged_better_than_the_mean():
    rng = np.random.default_rng(3)
    observations = observed(stations=80)
    stations = observations.stations
    smooth = 60 + 40 * np.sin(stations["latitude"] / 4) * np.cos(stations["longitude"] / 4)
    observations.values[:] = smooth.to_numpy() + rng.normal(size=observations.values.shape)
    methods = {**competitors(GRID)[0], "mean": fold_mean}
    table = cross_validate(observations, methods, stations_out(observations, folds=5))
    found = score_table(table, list(methods), "mean", samples=500).set_index("method")
    assert (found.loc[["inverse distance", "ordinary kriging", "optimal interpolation"], "verdict"] == "better").all()
    assert found.loc["ordinary kriging", "rmse"] < found.loc["inverse distance", "rmse"]
