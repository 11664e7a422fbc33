"""Figures of stations: maps, scatter of one year and of several, series, the day's course."""

import json

import numpy as np
import pytest
from PIL import Image

from deepcams.errors import DeepcamsError
from deepcams.report import station_figures
from deepcams.report.maps import frame_of
from deepcams.report.plot import finest, plot_years
from deepcams.report.quantity import show
from deepcams.report.scatter_figure import density, scatter, together
from deepcams.report.station_maps import station_map
from deepcams.report.style import save_png
from deepcams.validation.pair_scores import scores
from tests.unit import year_tables
from tests.unit.test_figures import texts
from tests.unit.year_tables import EDGES, FINE


def period(title, fields=("product", "cams")):
    table = year_tables.group_scores(fields)
    return density(title, year_tables.scatter(fields), table[table["by"] == "all"], len(EDGES) - 1)


def test_stations_are_counted_and_those_with_few_pairs_are_grey():
    figure = station_map(finest(year_tables.stations()), frame_of(FINE))
    observed, bias, change = figure.axes[:3]
    assert observed.get_title(loc="left") == "Mean observed, 6 stations"
    for axes, values in ((observed, 10 + np.arange(1.0, 6)), (bias, np.arange(1.0, 6) - 3), (change, np.zeros(5))):
        grey, dots = axes.collections[-2:]
        assert len(grey.get_offsets()) == 1 and len(dots.get_offsets()) == 5
        assert sorted(np.asarray(dots.get_array())) == pytest.approx(sorted(values))


def test_a_station_across_the_date_line_stands_where_it_is():
    figure = station_map(finest(year_tables.stations()), frame_of(FINE))
    x = figure.axes[0].collections[-1].get_offsets()[:, 0]
    assert sorted(x) == [179.0, 180.0, 181.0, 182.0, 183.0]


def test_without_cams_there_are_two_maps_and_one_density():
    names = {"product": "WRF"}
    maps = station_map(finest(year_tables.stations(1, ("product",))), frame_of(FINE), names=names)
    assert [axes.get_title(loc="left") for axes in maps.axes[:2]] == ["Mean observed, 1 station", "Bias of WRF"]
    figure = scatter([period("", ("product",))], EDGES, names)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["WRF", ""]


def test_a_density_shows_counts_where_they_belong_and_the_scores():
    figure = scatter([period("2018")], EDGES)
    cams, product = figure.axes[:2]
    assert (cams.get_title(loc="left"), product.get_title(loc="left")) == ("CAMS, 2018", "Product, 2018")
    shown = product.collections[0].get_array().reshape(len(EDGES) - 1, -1)
    assert shown[22, 20] == 1 and shown[25, 20] == 4 and np.ma.getmaskarray(shown)[20, 25]  # rows: modelled
    row = year_tables.group_scores().query("by == 'all' and field == 'product'").iloc[0]
    words = next(text for text in texts(product) if text.startswith("N = "))
    assert words.startswith(f"N = 800\nR = {row['r']:.3f}\nRMSE = {row['rmse']:.1f} µg m⁻³")
    assert f"FAC2 = {row['fac2']:.2f}" in words


def test_years_together_have_the_scores_of_all_their_pairs():
    rng = np.random.default_rng(3)
    parts = [(o := rng.lognormal(2, 0.5, n), o * rng.lognormal(shift, 0.4, n)) for n, shift in ((300, 0), (900, 0.5))]
    years = []
    for title, (o, m) in zip(("2017", "2018"), parts, strict=True):
        years.append(density(title, year_tables.scatter(("product",)), scores(o, m).assign(field="product"), 70))
    found = together(years)
    whole = scores(*(np.concatenate(side) for side in zip(*parts, strict=True))).iloc[0]
    for name in ("n", "r", "rmse", "mb", "fac2"):
        assert found.scores["product"][name] == pytest.approx(whole[name], rel=1e-9)
    assert found.title == "2017–2018"
    assert np.array_equal(found.counts["product"], years[0].counts["product"] + years[1].counts["product"])


@pytest.mark.parametrize(("pollutant", "count"), [("pm25", 4), ("o3", 0)])
def test_the_paper_s_correlations_stand_beside_the_years_and_the_pollutant_they_are_of(pollutant, count):
    show(pollutant)
    try:
        years = [period(year) for year in ("2017", "2018", "2019")]
        printed = [text for text in texts(scatter([*years, together(years)], EDGES)) if "print" in text]
        assert len(printed) == count
        if count:
            assert [text[-5:].strip("= ") for text in printed] == ["0.61", "0.60", "0.593", "0.597"]
    finally:
        show("pm25")


def test_years_without_stations_are_left_out_and_other_bins_refused(tmp_path):
    full = year_tables.write_year(tmp_path / "full")
    empty = year_tables.write_year(tmp_path / "empty", with_stations=False)
    plot_years(tmp_path / "a.png", {2017: empty, 2018: full}, dpi=40)
    plot_years(tmp_path / "b.png", {2018: full}, dpi=40)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    plot_years(tmp_path / "none.png", {2017: empty}, dpi=40)
    with Image.open(tmp_path / "none.png") as picture:
        assert picture.height < 100
    other = year_tables.write_year(tmp_path / "other")
    summary = json.loads((other / "summary.json").read_text())
    summary["bin_edges"][0] = 0.05
    (other / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(DeepcamsError, match="different bins"):
        plot_years(tmp_path / "c.png", {2018: full, 2019: other})


def test_long_series_are_daily_means_over_hours_and_gaps_stay_open():
    table = year_tables.series(60, ("a",))
    table = table[(table["time"] < "2018-07-10") | (table["time"] > "2018-07-20")]
    axes = station_figures.series(table).axes[0]
    bold = next(line for line in axes.lines if line.get_label() == "observed")
    days = table.set_index("time")["observed"].resample("D").mean()
    assert np.asarray(bold.get_ydata(), float) == pytest.approx(days.to_numpy(), nan_ok=True)
    assert np.isnan(np.asarray(bold.get_ydata(), float)).sum() == 10
    faint = [line for line in axes.lines if line.get_alpha()]
    assert len(faint) == 3 and all(len(line.get_xdata()) == 60 * 24 for line in faint)
    assert "daily means" in axes.get_xlabel()


def test_a_single_high_hour_is_told_and_does_not_press_the_rest_down():
    table = year_tables.series(50, ("a",))
    table.loc[100, "observed"] = 5000.0
    figure = station_figures.series(table)
    assert figure.axes[0].get_ylim()[1] < 1000
    assert "single hours up to 5000 µg m⁻³" in texts(figure)


def test_a_place_s_name_is_never_read_as_mathematics(tmp_path):
    figure = station_figures.series(year_tables.series(2, (r"$\frac{$ <b> 5$",)))
    save_png(figure, tmp_path / "s.png", dpi=40)
    assert figure.axes[0].get_title(loc="left").startswith(r"\$\frac{\$")


def test_the_day_s_course_is_shown_for_all_and_for_groups_with_enough_pairs():
    figure = station_figures.diurnal(year_tables.diurnal())
    shown = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert shown == ["All stations, N = 1\u202f200", "Asia, N = 1\u202f200"]
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "CAMS"]
    assert list(line.get_ydata()) == [10.0 + hour for hour in range(24)] and line.get_xdata()[0] == 0.5
    alone = station_figures.diurnal(year_tables.diurnal(("all", "Asia")))
    assert len(alone.axes) == 1  # one continent is all there is


def test_a_series_of_no_rows_and_scores_of_no_method_are_messages():
    assert "No station" in texts(station_figures.series(year_tables.series().iloc[:0]))[0]
    assert "no scores" in texts(station_figures.score_bars([]))[0]
