"""Diagrams, scorecard, exceedances, spectra and beat: what stands where."""

import numpy as np
import pandas as pd
import pytest

from deepcams.pollutants import POLLUTANTS
from deepcams.report import diagrams, scorecard
from deepcams.report.objective import indicator, with_enough
from deepcams.report.spectrum_figures import beat, spectra
from deepcams.report.style import CAMS, PRODUCT
from deepcams.validation.pair_scores import measurement_uncertainty, scores
from tests.unit import year_tables
from tests.unit.test_figures import texts

FAIRMODE = POLLUTANTS["pm25"].fairmode


def dots(axes, colour):
    """Where a field's markers stand."""
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines
            if line.get_color() == colour and len(line.get_xdata()) == 1]  # fmt: skip


def test_a_taylor_diagram_s_sides_are_the_deviations_and_the_centred_error():
    table = year_tables.group_scores()
    axes = diagrams.taylor(table).axes[0]
    row = table[(table["by"] == "continent") & (table["group"] == "Asia") & (table["field"] == "product")].iloc[0]
    ratio = row["sd_modelled"] / row["sd_observed"]
    (place,) = [dot for dot in dots(axes, PRODUCT) if np.hypot(*dot) == pytest.approx(ratio, rel=1e-9)]
    assert np.cos(np.arctan2(place[1], place[0])) == pytest.approx(row["r"])
    # The distance from the observed point is the centred error: Taylor (2001), Eq. 2.
    assert np.hypot(place[0] - 1, place[1]) == pytest.approx(row["crmse"] / row["sd_observed"])
    assert len(dots(axes, PRODUCT)) == len(dots(axes, CAMS)) == 3  # two continents and all


def test_a_continent_that_has_all_pairs_is_not_a_point_of_its_own():
    table = year_tables.group_scores()
    table = table[table["group"] != "Oceania"]
    table.loc[table["by"] == "continent", ["n", "r"]] = table.loc[table["by"] == "all", ["n", "r"]].to_numpy()
    figure = diagrams.taylor(table)
    assert "Continents" not in texts(figure) and "Seasons" in texts(figure)
    assert len(dots(figure.axes[0], PRODUCT)) == 5  # four seasons and all


def test_a_taylor_diagram_opens_to_the_left_only_for_negative_correlations():
    table = year_tables.group_scores()
    assert diagrams.taylor(table).axes[0].get_xlim()[0] == 0
    table.loc[table.index[0], "r"] = -0.4
    axes = diagrams.taylor(table).axes[0]
    assert axes.get_xlim()[0] == -axes.get_xlim()[1]
    assert any(x < 0 for x, _ in dots(axes, PRODUCT))


def test_a_target_s_axes_are_errors_in_units_of_the_measurement_s_uncertainty():
    rng = np.random.default_rng(1)
    observed = rng.lognormal(2.5, 0.5, (5, 300))
    modelled = observed * rng.lognormal(0.2, 0.4, observed.shape) + np.arange(5)[:, None]
    table = scores(observed.ravel(), modelled.ravel(), np.repeat(np.arange(5), 300), 5, FAIRMODE)
    points = diagrams.target_points(table)
    unit = FAIRMODE.beta * measurement_uncertainty(observed.mean(axis=1), observed.std(axis=1), FAIRMODE)
    assert points["y"].to_numpy() == pytest.approx((modelled - observed).mean(axis=1) / unit)
    assert points["x"].abs().to_numpy() == pytest.approx((modelled - observed).std(axis=1) / unit)
    assert np.hypot(points["x"], points["y"]).to_numpy() == pytest.approx(table["mqi"].to_numpy())


def test_a_target_s_left_is_for_wrong_courses_and_its_right_for_wrong_amplitudes():
    observed = np.tile([10.0, 20.0, 30.0, 20.0], 50)
    double = 20 + 2 * (observed - 20)
    shifted = np.roll(observed, 1)
    table = scores(np.tile(observed, 2), np.concatenate([double, shifted]), np.repeat([0, 1], 200), 2, FAIRMODE)
    assert np.sign(diagrams.target_points(table)["x"]).tolist() == [1.0, -1.0]


def test_the_indicator_is_fairmode_s_ninetieth_percentile():
    # Guidance: between the stations of rank ⌊0.9 N⌋ and the next, by the remainder.
    mqi = np.array([0.2, 0.9, 0.4, 1.6, 1.1])
    ranked = np.sort(mqi)
    assert indicator(mqi) == pytest.approx(ranked[3] + 0.5 * (ranked[4] - ranked[3]))
    assert indicator(np.array([0.7])) == pytest.approx(0.7)
    assert np.isnan(indicator(np.array([])))


def test_a_target_tells_its_indicator_and_what_lies_beyond_its_axes():
    table = year_tables.stations(20)
    table = table[table["resolution"] == "daily"]
    table.loc[table["station"] == "s19", ["mqi", "mb", "crmse", "rmse"]] = [9.0, 40.0, 1.0, 40.0]
    figure = diagrams.target(table)
    shown = "\n".join(texts(figure))
    mqi = indicator(table.loc[table["field"] == "product", "mqi"].to_numpy())
    assert shown.count(f"90th percentile: {mqi:.2f}") == 2 and "1 beyond the axes" in shown


@pytest.mark.parametrize("column", ["mqi", "rmse"])
def test_without_an_uncertainty_or_an_error_a_target_says_so(column):
    assert "FAIRMODE" in texts(diagrams.target(year_tables.stations().assign(**{column: np.nan})))[0]


def test_a_scorecard_does_not_repeat_all_pairs_as_a_continent():
    table = year_tables.differences()
    whole = table.loc[table["by"] == "all", "product"].to_numpy()
    table.loc[table["by"] == "continent", "product"] = whole
    names = [label.get_text() for label in scorecard.scorecard(table).axes[0].get_yticklabels()]
    assert names == ["All stations", "Median station", "JJA"]


def test_stations_with_too_few_pairs_are_no_part_of_the_indicator():
    table = pd.DataFrame({"resolution": ["hourly", "hourly", "daily", "daily", "monthly"], "n": [23, 24, 4, 5, 1]})
    kept = with_enough(table, {"station_pairs": 24, "station_days": 5})
    assert kept.index.tolist() == [1, 3, 4]
    assert with_enough(table, {}).index.tolist() == table.index.tolist()


def test_a_scorecard_is_blue_where_the_product_is_better_and_dots_what_is_certain():
    figure = scorecard.scorecard(year_tables.differences())
    axes = figure.axes[0]
    row = np.ma.filled(axes.images[0].get_array(), np.nan)[0]
    # RMSE -10 %, MAE +4 %, |MB| +0.4 of an RMSE of 10, R -0.02; hourly, then daily.
    assert row.tolist() == pytest.approx([10.0, -4.0, -4.0, -2.0] * 2)
    blue, red = (axes.images[0].cmap(axes.images[0].norm(value)) for value in (10, -10))
    assert blue[2] > blue[0] and red[0] > red[2]
    certain = {round(float(line.get_xdata()[0]) - 0.41) for line in axes.lines if line.get_marker() == "o"}
    assert certain == {0, 2, 3, 4, 6, 7}  # the interval of MAE holds zero
    shown = texts(figure)
    assert [shown.count(text) for text in ("−10.0", "+4.0", "+0.40", "−0.020")] == [8] * 4
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["All stations", "Median station", "Oceania", "JJA"]


def test_what_a_scorecard_cannot_tell_is_a_dash_without_a_dot():
    table = year_tables.differences()
    table.loc[table["metric"] == "r", ["difference", "low", "high"]] = np.nan
    axes = scorecard.scorecard(table).axes[0]
    assert np.isnan(np.ma.filled(axes.images[0].get_array().astype(float), np.nan)[0, 3])
    assert not any(
        round(float(line.get_xdata()[0]) - 0.41) in (3, 7) for line in axes.lines if line.get_marker() == "o"
    )


def test_exceedances_show_rates_in_per_cent_and_leave_rare_thresholds_out():
    figure = scorecard.exceedances(year_tables.exceedances())
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == pytest.approx([60.0, 40.0, 60.0, 40.0])  # CAMS, then the product
    assert [bar.get_height() for bar in figure.axes[2].patches][:2] == pytest.approx([100 / 3, 60.0])
    assert not any(text.startswith("225.4") for text in texts(figure))
    rare = year_tables.exceedances().assign(hits=1, misses=1)
    assert "often enough" in texts(scorecard.exceedances(rare))[0]


def test_spectra_fall_to_the_right_and_mark_the_grid_and_the_effective_resolution():
    known = {"product": {"effective_resolution": 212.0}, "cams": {"effective_resolution": None}}
    figure = spectra(year_tables.spectra(), known, {"product": 0.25, "cams": 0.75}, (-15.0, 3.0))
    axes = figure.axes[0]
    assert axes.get_xlim()[0] > axes.get_xlim()[1]
    shown = "\n".join(texts(figure))
    # Two steps of 0.75° on a sphere of 6371 km: at the equator and at 15°S.
    assert "2Δx of 0.75°: 161 to 167 km" in shown and "effective resolution, product: 212 km" in shown
    assert "effective resolution, CAMS" not in shown


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (1.01, 1.07, "beat found"),
        (0.98, 1.07, "no beat"),
        (0.9, 0.95, "no beat of interpolation"),
        (None, None, ""),
    ],
)
def test_a_beat_is_told_from_its_interval(low, high, words):
    found = {"product": {"ratio": 1.04, "low": low, "high": high, "days": 31}}
    shown = list({text for text in texts(beat(year_tables.beat(), found)) if "1.040 times" in text})
    assert len(shown) == 1 and (shown[0].endswith(f": {words}") if words else "beat" not in shown[0])


def test_empty_tables_of_known_columns_draw_a_message():
    for draw, table in (
        (diagrams.taylor, year_tables.group_scores()), (diagrams.target, year_tables.stations()),
        (scorecard.scorecard, year_tables.differences()), (scorecard.exceedances, year_tables.exceedances()),
        (lambda empty: spectra(empty, {}, {}), year_tables.spectra()),
        (lambda empty: beat(empty, {}), year_tables.beat()),
    ):  # fmt: skip
        figure = draw(table.iloc[:0])
        assert not figure.axes and len(texts(figure)) >= 1


def test_few_pairs_make_no_point():
    table = pd.DataFrame(year_tables.group_scores())
    assert "Too few" in texts(diagrams.taylor(table.assign(n=diagrams.LEAST - 1)))[0]
