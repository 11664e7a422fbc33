"""What a year's pairs come to, against plain NumPy, pandas and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from deepcams.pollutants import PM25, POLLUTANTS
from deepcams.validation.pair_scores import SCORES, scores
from deepcams.validation.pairs import daily_means, join
from deepcams.validation.station_summary import (
    SummarySettings,
    bin_edges,
    click_series,
    distance,
    pooled,
    season_of,
    station_tables,
)
from tests.unit.test_pairs import of_months, pairs_of


def plain(observed, modelled):
    """The same scores, written the obvious way."""
    o, m = np.asarray(observed, float), np.asarray(modelled, float)
    return {
        "n": len(o), "r": pearsonr(o, m).statistic, "rmse": np.sqrt(np.mean((m - o) ** 2)),
        "mae": np.mean(np.abs(m - o)), "mb": np.mean(m - o), "nmb": np.sum(m - o) / np.sum(o),
        "fac2": np.mean((m >= o / 2) & (m <= 2 * o)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def year():
    table, parts = of_months()
    pairs = join(parts)
    return table, pairs, station_tables(pairs, SummarySettings(station_pairs=100, monthly_days=3))


@pytest.mark.parametrize("field", ["product", "cams"])
def test_scores_by_group(year, field):
    table, _, tables = year
    rows = tables["scores"].query("resolution == 'hourly' and field == @field").set_index(["by", "group"])
    cells = table.groupby(["cell", "time"])[["observed", "product", "cams"]].mean()
    solar = np.floor(((table["time"] - pd.Timedelta("30min")).dt.hour + 0.5 + table["longitude"] / 15) % 24)
    for key, part in {
        ("all", ""): table,
        ("hours", "analysis"): table[table["status"] == "analysis"],
        ("hours", "interpolated"): table[table["status"] == "interpolated"],
        ("cells", ""): cells,
        ("month", "2018-02"): table[table["time"] > "2018-02-01"],
        ("season", "DJF"): table,
        ("continent", "Africa"): table,
        ("country", "NA"): table[table["country"] == "NA"],
        ("solar hour", "13"): table[solar == 13],
    }.items():
        found = rows.loc[key]
        for name, value in plain(part["observed"], part[field]).items():
            assert found[name] == pytest.approx(value, rel=1e-6), (key, name)
    assert rows.loc[("all", ""), "rho"] == pytest.approx(spearmanr(table["observed"], table[field]).statistic)
    assert rows.loc[("country", "NA"), "stations"] == 2 and rows.loc[("all", ""), "stations"] == 3
    medians = [pearsonr(p["observed"], p[field]).statistic for name, p in table.groupby("station") if name != "c"]
    assert rows.loc[("stations", "median"), "r"] == pytest.approx(np.median(medians), rel=1e-6)
    assert rows.loc[("stations", "median"), "stations"] == 2  # c has 72 pairs, fewer than 100


def test_daily_and_monthly_scores_are_those_of_means(year):
    _, pairs, tables = year
    days = daily_means(pairs, 19).frame()
    rows = tables["scores"].query("by == 'all' and field == 'cams'").set_index("resolution")
    assert rows.loc["daily", "rmse"] == pytest.approx(plain(days["observed"], days["cams"])["rmse"], rel=1e-6)
    assert rows.loc["daily", "n"] == 12 and rows.loc["monthly", "n"] == 4
    assert set(tables["scores"].query("by == 'solar hour'")["resolution"]) == {"hourly"}


def test_stations_have_a_row_for_each_field_and_resolution(year):
    table, _, tables = year
    rows = tables["stations"]
    assert list(rows.columns[:6]) == ["station", "name", "country", "continent", "latitude", "longitude"]
    assert len(rows) == 3 * 2 + 2 * 2  # c has no whole day
    one = rows.query("station == 'b' and resolution == 'hourly' and field == 'product'").iloc[0]
    part = table[table["station"] == "b"]
    assert one["rmse"] == pytest.approx(plain(part["observed"], part["product"])["rmse"], rel=1e-6)
    assert one["country"] == "ZA" and one["mqi"] > 0


def test_exceedances_count_hours_above_the_thresholds(year):
    table, _, tables = year
    threshold = PM25.thresholds["hourly"][0]
    row = tables["exceedances"].query("resolution == 'hourly' and field == 'cams' and threshold == @threshold").iloc[0]
    above, said = table["observed"] > threshold, table["cams"] > threshold
    assert row["hits"] == (above & said).sum() and row["false_alarms"] == (~above & said).sum()
    assert row["hit_rate"] == pytest.approx((above & said).sum() / above.sum())


def test_differences_and_tests_compare_the_product_with_cams(year):
    table, _, tables = year
    row = tables["differences"].query("resolution == 'hourly' and by == 'all' and metric == 'rmse'").iloc[0]
    expected = [plain(table["observed"], table[field])["rmse"] for field in ("product", "cams")]
    assert [row["product"], row["cams"]] == pytest.approx(expected, rel=1e-6)
    assert row["difference"] == pytest.approx(expected[0] - expected[1], rel=1e-5) and row["verdict"] == "unjudged"
    many = station_tables(pairs_of("2018-01-01", days=40), SummarySettings())
    row = many["differences"].query("resolution == 'hourly' and by == 'all' and metric == 'rmse'").iloc[0]
    assert row["verdict"] == "better" and row["high"] < 0 and row["days"] == 40
    found = many["tests"].set_index("resolution").loc["hourly"]
    assert found["better"] == found["stations"] == 3


def test_the_product_alone_has_no_differences(tmp_path):
    tables = station_tables(pairs_of("2018-01-01", cams=False), SummarySettings())
    assert tables["differences"].empty and tables["tests"].empty
    assert set(tables["scores"]["field"]) == {"product"}


def test_pairs_of_days_have_no_hours():
    days = daily_means(pairs_of("2018-01-01", days=40), 12)
    tables = station_tables(days, SummarySettings(), daily=True)
    assert set(tables["scores"]["resolution"]) == {"daily", "monthly"} and tables["diurnal"].empty
    assert not {"solar hour", "hours"} & set(tables["scores"]["by"])


def test_no_pairs_give_empty_tables():
    none = pairs_of("2018-01-01").chosen(slice(0, 0))
    assert all(table.empty for table in station_tables(none, SummarySettings()).values())
    assert click_series(none, daily_hours=19)["time"].shape == (0,)


def test_diurnal_cycles_and_scatter_hold_every_pair(year):
    table, _, tables = year
    solar = np.floor(((table["time"] - pd.Timedelta("30min")).dt.hour + 0.5 + table["longitude"] / 15) % 24)
    found = tables["diurnal"].query("group == 'all'").set_index("hour")
    for name in ("observed", "product", "cams"):
        assert found[name].to_dict() == pytest.approx(table.groupby(solar)[name].mean().to_dict(), rel=1e-6)
    assert set(tables["diurnal"]["group"]) == {"all", "Africa"}
    counts, edges = tables["scatter"].query("field == 'cams'"), bin_edges(PM25)
    assert counts["count"].sum() == len(table)
    expected, *_ = np.histogram2d(table["observed"], table["cams"], bins=edges)
    assert counts["count"].tolist() == expected[expected > 0].astype(int).tolist()


@pytest.mark.parametrize("name", POLLUTANTS)
def test_bins_reach_from_clean_air_to_what_is_believed(name):
    edges = bin_edges(POLLUTANTS[name])
    assert edges[0] <= 10 * POLLUTANTS[name].lowest or edges[0] == 0.01
    assert edges[-1] >= POLLUTANTS[name].ceiling
    assert np.diff(np.log10(edges)) == pytest.approx(0.05, abs=1e-4)
    assert bin_edges(PM25)[[0, -1]].tolist() == [0.1, pytest.approx(3162.27766)]


def test_the_series_are_of_the_places_asked_for_or_of_the_richest_stations(year):
    _, pairs, tables = year
    assert tables["series"]["station"].unique().tolist() == ["a", "b"]  # 1,045 km apart, with most pairs
    assert tables["series"]["place"].iloc[0] == "Place a (20.0°S 0.0°E)"
    chosen = station_tables(pairs, SummarySettings(places=((-20.5, 19.0), (70.0, 0.0))))["series"]
    assert chosen["station"].unique().tolist() == ["c", "a"]  # nothing near the second place: the richest far away
    assert len(chosen.query("station == 'a'")) == 144


def test_clicks_carry_hours_for_a_month_and_days_for_longer(year):
    _, pairs, _ = year
    found = click_series(pairs, daily_hours=19)  # two months
    assert found["observed"].shape == (2, 6) and found["time"][0] == np.datetime64("2018-01-02")
    one = pairs_of("2018-01-01")
    found = click_series(one, daily_hours=19)
    assert found["product"].shape == (3, 72)
    row = found["row"].tolist().index(2)
    assert found["product"][row][~np.isnan(found["product"][row])].tolist() == one.modelled["product"][144:].tolist()


@pytest.mark.parametrize("place", [(0, 0, 0, 180, 20015), (90, 0, 0, 77, 10007.5), (10, 179, 10, -179, 219.0)])
def test_distances_are_great_circles(place):
    a, b, c, d, km = place
    assert distance(np.array([a]), np.array([b]), (c, d)).item() == pytest.approx(km, rel=1e-3)


def test_seasons_are_those_of_the_calendar():
    days = np.array(["2018-12-31", "2018-02-28", "2018-03-01", "2018-08-31", "2018-11-30"], "datetime64[D]")
    assert season_of(days).tolist() == [0, 0, 1, 2, 3]


def test_scores_of_years_pool_exactly():
    rng = np.random.default_rng(4)
    o = 1000 + rng.normal(size=900)
    m = o + rng.normal(size=900)
    year = np.repeat([0, 1, 2], [10, 290, 600])
    found, whole = pooled(scores(o, m, year, 3)), scores(o, m).iloc[0]
    for name in set(SCORES) - {"rho", "ioa", "mqi"}:
        assert found[name] == pytest.approx(whole[name], rel=1e-9), name
    assert found[["rho", "ioa", "mqi"]].isna().all()
    assert pooled(scores(o[:0], m[:0]))["n"] == 0
