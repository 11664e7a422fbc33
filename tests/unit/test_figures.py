"""Maps and figures: geometry, what is drawn, and the same bytes for the same data."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import LogNorm, Normalize
from scipy.interpolate import RegularGridInterpolator

from deepcams.errors import DeepcamsError
from deepcams.grid.box import busiest_box
from deepcams.grid.nodes import coarse_globe, fine_globe
from deepcams.report import figures, skill_figure, training_figure
from deepcams.report.maps import Frame, cut, draw_field, equal_earth, frame_of, inverse_equal_earth, sample
from deepcams.report.style import concentration_scale, decade_ticks, difference_scale, new_figure
from deepcams.validation.skill import Skill
from tests.unit.year_tables import COARSE, FINE

RNG = np.random.default_rng(0)
PRODUCT = RNG.lognormal(2, 0.5, (4, *FINE.shape)).astype(np.float32)
CAMS = PRODUCT[:, ::3, ::3]
TIMES = np.datetime64("2018-01-01T00", "s") + np.arange(4) * np.timedelta64(1, "h")


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text"))]


def test_equal_earth_has_its_published_proportions_and_equal_areas():
    x, y = equal_earth(np.array([180.0, 0.0]), np.array([0.0, 90.0]))
    assert (x[0], y[1]) == pytest.approx((2.70663, 1.31736), abs=1e-4)
    # The area between two parallels on the map is that on the sphere: 2π (sin φ₂ - sin φ₁).
    latitude = np.linspace(20, 50, 4001)
    right, height = equal_earth(np.full(latitude.shape, 180.0), latitude)
    area = np.trapezoid(2 * right, height)
    assert area == pytest.approx(2 * np.pi * np.diff(np.sin(np.radians([20, 50])))[0], rel=1e-5)


def test_equal_earth_is_inverted_and_knows_its_outside():
    longitude, latitude = np.meshgrid(np.linspace(-180, 180, 37), np.linspace(-90, 90, 19))
    back = inverse_equal_earth(*equal_earth(longitude, latitude))
    assert back[0] == pytest.approx(longitude, abs=1e-6)
    assert back[1] == pytest.approx(latitude, abs=1e-6)
    assert np.isnan(inverse_equal_earth(np.array([2.6]), np.array([1.3]))[0]).all()


def test_sampling_takes_the_nearest_node_across_the_date_line():
    field = np.arange(FINE.shape[0] * FINE.shape[1], dtype=float).reshape(FINE.shape)
    values = sample(field, FINE, np.array([-179.9, 180.1, 0.0, np.nan]), np.array([2.9, 2.9, 2.9, 2.9]))
    column = round((180.0 - 172.5) / 0.25)
    assert values[:2].tolist() == [field[0, column], field[0, column]]
    assert np.isnan(values[2:]).all()


def test_a_region_across_the_date_line_keeps_rising_longitudes_and_has_coasts():
    frame = frame_of(FINE)
    assert not frame.globe and (frame.west, frame.east) == (172.375, 190.625)
    assert frame.project(np.array([-179.0]), np.array([0.0]))[0] == pytest.approx(181.0)
    axes = new_figure(3, 3).subplots()
    draw_field(axes, PRODUCT[0], FINE, LogNorm(1, 100), "magma_r")
    inside = [
        line
        for line in axes.collections[0].get_segments()
        if ((line[:, 0] > 177) & (line[:, 0] < 182) & (line[:, 1] < -15.5 + 2)).any()
    ]
    assert inside  # Fiji, on both sides of 180°
    axes.figure.canvas.draw()
    assert "180°" in [tick.get_text() for tick in axes.get_xticklabels()]


def test_the_globe_is_drawn_in_equal_earth_with_every_pixel_where_it_belongs():
    grid = coarse_globe()
    field = np.broadcast_to(grid.latitude[:, None], grid.shape).copy()
    axes = new_figure(4, 2).subplots()
    image = draw_field(axes, field, grid, Normalize(-90, 90), "magma_r", width=400)
    raster = np.ma.filled(image.get_array().astype(float), np.nan)
    y = np.linspace(1, -1, raster.shape[0], endpoint=False) - 1 / raster.shape[0]
    expected = inverse_equal_earth(np.zeros(len(y)), y * equal_earth(np.array(0.0), np.array(90.0))[1])[1]
    assert raster[:, 200] == pytest.approx(expected, abs=0.75)
    assert np.isnan(raster[0, 0]) and frame_of(grid).globe


def test_bilinear_agrees_with_scipy_and_wraps_around_the_globe():
    found = figures.bilinear(CAMS[0].astype(float), COARSE, FINE)
    places = np.stack(np.meshgrid(-FINE.latitude, FINE.longitude, indexing="ij"), axis=-1)
    expected = RegularGridInterpolator((-COARSE.latitude, COARSE.longitude), CAMS[0].astype(float))(places)
    assert found == pytest.approx(expected, rel=1e-6)
    field = RNG.normal(size=coarse_globe().shape)
    found = figures.bilinear(field, coarse_globe(), fine_globe())
    assert found[::3, ::3] == pytest.approx(field)
    assert found[0, -1] == pytest.approx(field[0, -1] / 3 + field[0, 0] * 2 / 3)


def test_the_busiest_box_holds_the_plume_and_starts_on_a_coarse_node():
    grid = fine_globe()
    field = np.full(grid.shape, 3.0)
    field[300:330:2, 900:940:2] = 300.0
    rows, columns, box = busiest_box(field, grid)
    assert rows.start <= 300 and rows.stop >= 330 and columns.start <= 900 and columns.stop >= 940
    assert rows.start % 3 == 0 and columns.start % 3 == 0
    assert box.shape == (rows.stop - rows.start, columns.stop - columns.start)
    assert busiest_box(PRODUCT[0], FINE)[2].shape == FINE.shape


def test_scales_have_round_ends_and_readable_ticks():
    norm = concentration_scale(np.array([0.7, 3.0, 170.0, np.nan, 0.0]))
    assert (norm.vmin, norm.vmax) == pytest.approx((0.5, 200.0))
    assert decade_ticks(norm) == [1.0, 3.0, 10.0, 30.0, 100.0]
    assert concentration_scale(np.array([1e-3] * 50 + [400.0])).vmin == 0.5  # three decades at most
    norm = difference_scale(np.array([-3.0, 1.0, np.nan]))
    assert (norm.vmin, norm.vmax) == (-5.0, 5.0)
    assert concentration_scale(np.zeros(3)).vmin > 0 and difference_scale(np.zeros(3)).vmax > 0


def skill(stage, baseline, percent, half, step=0.25, metrics=("rmse", "mae")):
    return [Skill(stage, step, "network", baseline, metric, 1.0, 1.0, percent, percent - half, percent + half, 31)
            for metric in metrics]  # fmt: skip


def differences():
    return skill_figure.differences(
        [
            *skill("temporal", "linear", -12.0, 1.0, 0.75),
            *skill("temporal", "linear", -77.0, 1.0, 0.25),
            *skill("spatial", "bicubic+closure", 0.2, 0.5),
            *skill("spatial", "a $\\frac{$", np.nan, np.nan, metrics=("mae",)),
            *skill("joint", "linear+bicubic", 3.0, 1.0),
            *skill("joint", "few", 4.0, np.nan),
        ]
    )


def curves():
    return pd.DataFrame({"step": [10, 20, 30], "loss": [3.0, 0.2, 0.1], "rmse": [4.0, 3.0, 3.5], "mae": [2.0, 1.0, 1.5],
                         "baseline_rmse": 3.2, "baseline_mae": 1.3, "score": [1.2, 0.8, 1.1]})  # fmt: skip


def months():
    return skill_figure.months(
        {
            "temporal": {"2020-01": skill("temporal", "linear", -12.0, 1.0, 0.75),
                         "2020-02": skill("temporal", "linear", 3.0, np.nan, 0.75), "2020-03": []},
            "spatial": {"2020-02": skill("spatial", "bicubic+closure", 240.0, 1.0)},
            "joint": {"2020-01": []},
        }
    )  # fmt: skip


def test_a_map_s_part_of_a_field_has_the_map_s_longitudes_and_a_node_more_on_every_side():
    globe = coarse_globe()
    field = np.broadcast_to(globe.longitude, globe.shape)
    values, inside = cut(field, globe, frame_of(FINE))
    assert (inside.longitude[0], inside.longitude[-1]) == (171.75, 191.25)
    assert (inside.latitude[0], inside.latitude[-1]) == (3.75, -15.75)
    assert np.array_equal((inside.longitude + 180) % 360 - 180, values[0])
    assert cut(field, globe, Frame(globe=True))[1] is globe


def test_differences_carry_per_cent_their_zero_and_their_intervals():
    figure = differences()
    shown = texts(figure)
    assert shown.count("difference from the baseline (%)") == 2
    for text in ("In time (0.75°): network against", "−12.0", "+0.2", "undefined", "cannot be told apart"):
        assert text in shown
    assert "−77.0" not in shown  # not the resolution of use
    left = figure.axes[0]
    assert any(np.allclose(line.get_xdata(), 0) for line in left.lines)
    bars = [segment[:, 0].tolist() for found in left.collections for segment in found.get_segments()]
    assert [-13.0, -11.0] in bars
    assert left.get_xlim()[0] < -13 and left.get_xlim()[1] > 4


def test_what_is_far_worse_is_a_number_at_the_edge_and_does_not_press_the_rest_together():
    rows = [*skill("temporal", "linear", -12.0, 1.0, 0.75), *skill("temporal", "bad", 240.0, 5.0, 0.75)]
    figure = skill_figure.differences(rows)
    assert "+240.0" in texts(figure)
    assert all(axes.get_xlim()[1] < 70 for axes in figure.axes)
    ends = [float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_marker() == ">"]
    assert ends == [skill_figure.MOST]


def test_further_networks_operators_and_orders_have_groups_of_their_own():
    one = skill("spatial", "bicubic", -7.0, 1.0)[0]
    further = dataclasses.replace(one, configured="other", kind="further", difference_percent=-1.25)
    operator = dataclasses.replace(one, degradation="point", kind="operator", difference_percent=33.0)
    rows = [
        one, dataclasses.replace(further, baseline="bicubic+closure", difference_percent=-2.5), further,
        operator, dataclasses.replace(operator, baseline="nearest", difference_percent=-44.0),
        dataclasses.replace(operator, configured="other", difference_percent=-55.0),
        dataclasses.replace(one, stage="joint", kind="order", baseline="network, space first", difference_percent=-0.5),
    ]  # fmt: skip
    figure = skill_figure.differences(rows)
    shown = texts(figure)
    headings = [text for text in shown if text.startswith("In ")]
    assert headings == [
        "In space (0.25°): network against",
        "In space (0.25°): further networks against bicubic+closure",
        "In space: network against bicubic, input by",
        "In time, then in space, against first in space, then in time",
    ]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["bicubic", "other", "point", "network"]
    for text, there in (("−7.0", True), ("−2.5", True), ("+33.0", True), ("−0.5", True), ("−44.0", False)):
        assert (text in shown) == there
    assert "−1.2" not in shown and "−55.0" not in shown


def test_months_carry_their_baseline_their_zero_and_their_intervals():
    figure = months()
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "In time: RMSE", "In time: MAE", "In space: RMSE", "In space: MAE",
    ]  # fmt: skip
    left = figure.axes[0]
    assert left.get_ylabel() == "against\nlinear (%)"
    assert [tick.get_text() for tick in figure.axes[2].get_xticklabels()] == ["2020-01", "2020-02", "2020-03"]
    assert any(np.allclose(line.get_ydata(), 0) for line in left.lines)
    dots = {float(line.get_xdata()[0]): float(line.get_ydata()[0]) for line in left.lines if len(line.get_xdata()) == 1}
    assert dots == {0.0: -12.0, 1.0: 3.0}  # nothing in March
    bars = [segment[:, 1].tolist() for found in left.collections for segment in found.get_segments()]
    assert [-13.0, -11.0] in bars and len(bars) == 3  # February has no interval
    (dot,) = (line for line in figure.axes[2].lines if len(line.get_xdata()) == 1)
    assert list(dot.get_xdata()) == [1.0] and figure.axes[2].get_ylim()[1] < 70
    for text in ("lower error", "higher error", "too few days for an interval"):
        assert text in texts(figure)


def test_a_month_is_compared_with_the_main_baseline_at_the_resolution_of_use():
    rows = [
        {"step": step, "day": f"2020-{month}-{day:02d}", "method": method, "configured": method == "net",
         "degradation": operator, "n": 10, "squared_error": 10 * error**2 * factor, "absolute_error": 10 * error}
        for month, factor in (("02", 1.0), ("01", 4.0))
        for step, operator in ((0.25, "own"), (0.25, "other"), (0.75, "own"))
        for method, error in (("bicubic+closure", 2.0), ("bicubic", 9.0), ("net", 1.0 if operator == "own" else 7.0))
        for day in range(1, 9)
    ]  # fmt: skip
    found = skill_figure.compare_by_month("spatial", pd.DataFrame(rows))
    assert list(found) == ["2020-01", "2020-02"]
    for month, rmse in (("2020-01", 2.0), ("2020-02", 1.0)):
        assert [(row.metric, row.baseline, row.step) for row in found[month]] == [
            ("rmse", "bicubic+closure", 0.25), ("mae", "bicubic+closure", 0.25),
        ]  # fmt: skip
        assert found[month][0].value == pytest.approx(rmse)
        assert found[month][0].difference_percent == pytest.approx(-50.0)
    alone = [row for row in rows if row["method"] != "bicubic+closure"]
    assert skill_figure.compare_by_month("spatial", pd.DataFrame(alone)) == {"2020-01": [], "2020-02": []}


def test_a_training_shows_its_errors_beside_the_baseline_s_and_the_weights_that_are_used():
    figure = training_figure.training(curves())
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Loss", "RMSE, held out (µg m⁻³)", "MAE, held out (µg m⁻³)",
    ]  # fmt: skip
    for axes in figure.axes:
        assert axes.get_xlabel() == "step"
        used = next(line for line in axes.lines if line.get_label() == "weights used")
        assert list(used.get_xdata()) == [20, 20]
    baseline = next(line for line in figure.axes[1].lines if line.get_label() == "baseline")
    assert list(baseline.get_ydata()) == [3.2] * 3


def test_curves_without_their_columns_are_refused(tmp_path):
    (tmp_path / "curves.csv").write_text("step,rmse\n1,2\n")
    with pytest.raises(DeepcamsError, match=r"curves\.csv lacks the columns loss"):
        training_figure.read_curves(tmp_path / "curves.csv")


def test_missing_cells_are_drawn_as_missing():
    field = PRODUCT[0].copy()
    field[:10] = np.nan
    axes = new_figure(3, 3).subplots()
    image = draw_field(axes, field, FINE, LogNorm(1, 100), "magma_r")
    assert np.ma.getmaskarray(image.get_array())[:10].all()
    assert not np.ma.getmaskarray(image.get_array())[10:].any()


def test_zero_is_drawn_as_the_lowest_colour_and_not_as_missing():
    field = np.full(FINE.shape, 10.0)
    field[0, 0], field[1, 1] = 0.0, np.nan
    image = draw_field(new_figure(2, 2).subplots(), field, FINE, LogNorm(1, 100), "magma_r")
    colours = image.cmap(image.norm(image.get_array()))
    np.testing.assert_array_equal(colours[0, 0], image.cmap(-0.1))
    np.testing.assert_array_equal(colours[1, 1], image.cmap(np.ma.masked))
