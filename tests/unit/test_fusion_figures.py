"""Figures and section of the fusion: what they show, what they leave out, and how loudly they say what is worse."""

import json
import math

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import EARTH, Grid, coarse_globe
from deepcams.report import fusion_figures as figures
from deepcams.report.fusion_section import CAPTIONS, fusion_section, read_table, verdicts
from deepcams.report.shell import write_page
from deepcams.report.style import message, save_png
from tests.unit import test_figure_rules as rules
from tests.unit.test_figures import texts

LATITUDE, LONGITUDE = np.arange(40, 34.9, -0.25), np.arange(100, 110.1, 0.25)
GRID = Grid(LATITUDE, LONGITUDE, 0.25)
SEASONS = ("DJF", "MAM", "JJA", "SON")
METHODS = ("network", "ordinary kriging", "inverse distance", "background")


def fields():
    waves = np.sin(LONGITUDE / 3)[None] + np.cos(LATITUDE / 2)[:, None]
    return {season: 30 * np.exp(waves) * (1 + k) for k, season in enumerate(SEASONS)}


def stations(count=60):
    rng = np.random.default_rng(1)
    row, column = rng.integers(0, len(LATITUDE), count), rng.integers(0, len(LONGITUDE), count)
    means = {season: field[row, column] for season, field in fields().items()}
    return pd.DataFrame({"latitude": LATITUDE[row], "longitude": LONGITUDE[column], **means, "value": means["DJF"]})


def kernel(size, scale, least=0.0):
    offset = np.arange(size) - size // 2
    return np.exp(-np.hypot(offset[:, None], offset) / scale) + least


def table(shift=0.0, methods=METHODS, reference="ordinary kriging"):
    """A table of scores as `fusion_scores.score_table` makes it."""
    rows = []
    base = 12 + 2 * methods.index(reference) + shift
    for k, method in enumerate(methods):
        rmse = 12 + 2 * k + shift
        verdict = "better" if rmse < base else "worse"
        rows.append({
            "method": method, "n": 5000, "missing": 0, "left_out": 0, "stations": 60, "boxes": 20,
            "r2": 0.9 - k / 10, "r2_low": 0.88 - k / 10, "r2_high": 0.93 - k / 10,
            "rmse": rmse, "rmse_low": rmse - 0.5, "rmse_high": rmse + 1.0, "mae": 8.0, "nme": 0.25, "bias": -1.0,
            "rmse_difference": rmse - base, "rmse_difference_low": rmse - base - 0.3,
            "rmse_difference_high": rmse - base + 0.4, "verdict": "reference" if method == reference else verdict,
        })  # fmt: skip
    return pd.DataFrame(rows)


def classes():
    parts = [table(k).assign(**{"class": name}) for k, name in enumerate(("0-15", "15-35", ">150"))]
    parts[1].loc[0, "n"] = 1234
    return pd.concat([*parts, table().assign(**{"class": "75-115", "n": 0, "rmse": np.nan})], ignore_index=True)


def both():
    return {"stations left out": table(), "cities left out": table(1.0)}


def day(grid=GRID, field=None, daily=True):
    field = fields()["DJF"] if field is None else field
    distance = np.hypot(*np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[0])))
    return figures.day_map(np.datetime64("2020-01-05T12:00"), field, distance, grid, stations(), daily=daily)


def globe():
    grid = coarse_globe()
    means = {season: np.full(grid.shape, 10.0 * (k + 1)) for k, season in enumerate(SEASONS)}
    return figures.seasonal_maps(means, grid.latitude, grid.longitude, stations())


DRAWN = {
    "fusion kernels": lambda: figures.kernels({"PM2.5": (kernel(21, 2), kernel(11, 1)),
                                               "relative humidity": (kernel(21, 6, -0.4), kernel(11, 3))}),
    "fusion seasons": lambda: figures.seasonal_maps(fields(), LATITUDE, LONGITUDE, stations()),
    "fusion seasons of the globe": globe,
    "fusion day": day,
    "fusion cross-validation": lambda: figures.cross_validation(both(), own="network"),
    "fusion classes": lambda: figures.class_scores(classes()),
    "fusion months": lambda: figures.class_scores(
        table().assign(months="February-April 2020"), scores=("rmse", "bias"), by="months"),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_figures_keep_the_rules_of_all_figures(monkeypatch, name):
    monkeypatch.setitem(rules.FIGURES, name, DRAWN[name])
    rules.test_no_text_lies_on_another_or_outside_the_picture(name)
    if name != "fusion cross-validation":  # on its vertical axis stand names
        rules.test_every_axis_with_numbers_says_what_they_are_and_their_unit(name)


@pytest.mark.parametrize("name", ["fusion day"])
def test_figures_give_the_same_bytes_again(tmp_path, name):
    rules.test_every_figure_gives_the_same_png_twice_without_date_or_software(tmp_path, DRAWN[name])


def test_rings_are_means_of_equal_distance_and_leave_out_corners():
    weights = kernel(21, 4)
    distance, mean = figures.rings(weights)
    assert distance.tolist() == list(range(11))
    for radius in (0, 1, 5, 10):
        own = [weights[10 + y, 10 + x] for y in range(-10, 11) for x in range(-10, 11)
               if round(math.hypot(x, y)) == radius]  # fmt: skip
        assert mean[radius] == pytest.approx(np.mean(own))


def test_kernels_are_shares_of_their_largest_weight_against_kilometres():
    figure = figures.kernels({"wind": (5 * kernel(21, 2), kernel(11, 1))})
    maps, profile = figure.axes[:2], figure.axes[2]
    assert [axes.images[0].get_array().max() for axes in maps] == [1, 1]
    assert maps[0].images[0].get_extent() == [-2.625, 2.625, -2.625, 2.625]
    line = next(line for line in profile.lines if line.get_label() == "first, 21 × 21")
    assert line.get_xdata()[10] == pytest.approx(2.5 * np.pi * EARTH / 180)
    assert maps[0].images[0].get_cmap().name == "magma_r"
    signed = figures.kernels({"wind": (kernel(21, 2, -0.5), kernel(11, 1))}).axes[0].images[0]
    assert signed.get_cmap().name == "RdBu_r" and (signed.norm.vmin, signed.norm.vmax) == (-1, 1)


def test_stations_have_the_colour_of_the_field_where_they_agree_with_it():
    rows = stations()
    rows.loc[:9, "JJA"] = np.nan
    figure = figures.seasonal_maps(fields(), LATITUDE, LONGITUDE, rows)
    for axes, season in zip(figure.axes, SEASONS, strict=False):
        (dots,) = [item for item in axes.collections if isinstance(item, PathCollection)]
        (image,) = axes.images
        assert image.norm is dots.norm and image.get_cmap().name == dots.get_cmap().name
        assert len(dots.get_offsets()) == (50 if season == "JJA" else 60)
        for (x, y), value in zip(dots.get_offsets(), dots.get_array(), strict=True):
            here = fields()[season][round((40 - y) / 0.25), round((x - 100) / 0.25)]
            assert value == pytest.approx(max(here, image.norm.vmin))
    assert {"JJA, 50 stations", "SON, 60 stations"} <= set(texts(figure))
    assert len({id(axes.images[0].norm) for axes in figure.axes[:4]}) == 1


def test_a_day_says_its_date_or_hour_and_shows_distances_in_kilometres():
    assert {"Fused, 2020-01-05", "Distance, 60 stations", "to the nearest station (km)"} <= set(texts(day()))
    assert "Fused, 2020-01-05 12:00 UTC" in texts(day(daily=False))
    assert figures.distance_scale(np.array([0, 950.0, np.nan])).vmax == 1000
    assert figures.distance_scale(np.full(3, np.nan)).vmax == 100
    day(field=np.full(GRID.shape, np.nan)).canvas.draw()


def test_methods_stand_beside_each_other_with_their_intervals():
    tables = both()
    tables["cities left out"] = tables["cities left out"].assign(rmse=[13.0, 15.0, np.nan, 19.0])
    figure = figures.cross_validation(tables, own="network")
    first, _, second, _ = figure.axes
    spans = [item.get_segments()[0] for item in first.collections if isinstance(item, LineCollection)]
    assert [(span[0, 0], span[1, 0], span[0, 1]) for span in spans] == [
        (11.5, 13, 0), (13.5, 15, -1), (15.5, 17, -2), (17.5, 19, -3)]  # fmt: skip
    assert [line.get_color() for line in first.lines][:2] == ["#0072B2", "#55606b"]
    assert [label.get_text() for label in second.get_yticklabels()] == ["network", "ordinary kriging", "background"]
    figure.canvas.draw()
    assert second.xaxis.get_tick_params()["labelbottom"] and not first.xaxis.get_tick_params()["labelbottom"]
    assert {"Stations left out, 5\u202f000 values", "RMSE (µg m⁻³)", "R² (1)", "12.00", "0.900"} <= set(texts(figure))


def test_classes_have_their_numbers_and_empty_ones_are_left_out():
    axes = figures.class_scores(classes()).axes[-1]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "0–15\nN = 5\u202f000", "15–35\nN = 5\u202f000", "above 150\nN = 5\u202f000"]  # fmt: skip
    assert [line.get_label() for line in axes.lines if line.get_label() in METHODS] == list(METHODS)


@pytest.mark.parametrize("draw", [lambda: figures.kernels({}), lambda: figures.cross_validation({}),
                                  lambda: figures.class_scores(table().assign(**{"class": "0-15", "n": 0})),
                                  lambda: figures.seasonal_maps({}, LATITUDE, LONGITUDE, stations())])  # fmt: skip
def test_nothing_to_show_is_said(draw):
    assert any(text.endswith(".") for text in texts(draw()))


def test_figures_leave_matplotlibs_settings_alone():
    before = dict(matplotlib.rcParams)
    figures.cross_validation(both())
    assert dict(matplotlib.rcParams) == before


@pytest.fixture
def folder(tmp_path):
    summary = {"method": "network", "facts": {"days": 366}, "schemes": {"stations": "stations left out"},
               "notes": ["Estimates below zero are <zero>."]}  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    table().assign(scheme="stations").to_csv(tmp_path / "scores.csv", index=False)
    classes().assign(scheme="stations").to_csv(tmp_path / "classes.csv", index=False)
    table().assign(scheme="stations", season="DJF").to_csv(tmp_path / "seasons.csv", index=False)
    reproduced = pd.DataFrame({"of": ["pooled", "mean of steps"], "step": -1, "method": "network", "n": 100,
                               "r2": 0.94, "rmse": 4.85, "nme": 0.22})  # fmt: skip
    reproduced.to_csv(tmp_path / "reproduction.csv", index=False)
    pd.DataFrame({"step": ["outside the region", "days"], "country": ["NA", "CN"], "number": [3, 4]}).to_csv(
        tmp_path / "counts.csv", index=False
    )
    return tmp_path


def test_the_section_says_everything_and_the_page_takes_it(tmp_path, folder):
    pictures = {}
    for name in CAPTIONS:
        pictures[name] = tmp_path / f"{name}.png"
        save_png(message(name), pictures[name], 20)
    text = fusion_section(folder, pictures)
    for words in ("network is better than ordinary kriging", "Cross-validation", "By observed concentration and season",
                  "Kernels", "above 150", "22.0", "Namibia", "ordinary kriging’s", "&lt;zero&gt;", "stations left out",
                  *CAPTIONS.values()):  # fmt: skip
        assert words in text, words
    assert "<zero>" not in text and "75–115" not in text
    write_page(tmp_path / "page.html", title="t", lead="l", banner="", sections=[("fusion", "Fusion", text)])
    assert '<section id="fusion"><h2>Fusion</h2>' in (tmp_path / "page.html").read_text()


def test_without_a_fusion_there_is_no_section_and_without_tables_a_short_one(tmp_path):
    assert fusion_section(None) == ""
    with pytest.raises(DeepcamsError, match=r"summary\.json cannot be read"):
        fusion_section(tmp_path)
    (tmp_path / "summary.json").write_text('{"method": "network"}')
    assert "<h3>" not in fusion_section(tmp_path)


def test_what_is_worse_is_said_as_loudly():
    found = verdicts(table(reference="ordinary kriging").assign(scheme="stations left out"), "background")
    assert [(item.kind, item.text) for item in found] == [("bad", (
        "Stations left out: background is worse than ordinary kriging: RMSE 18.00 against 14.00 µg/m³ "
        "(+4.00, interval 3.70 … 4.40)."))]  # fmt: skip


def test_a_reference_is_compared_with_each_other_method_the_right_way_round():
    rows = table(reference="network").assign(scheme="stations left out")
    rows.loc[1, ["verdict", "rmse_difference_low", "rmse_difference_high"]] = ["unjudged", np.nan, np.nan]
    kriging, weighted, background = verdicts(rows, "network")
    assert (kriging.kind, weighted.kind, background.kind) == ("neutral", "good", "good")
    assert "is not judged against ordinary kriging" in kriging.text and "(−2.00, no interval)" in kriging.text
    assert "is better than inverse distance: RMSE 12.00 against 16.00" in weighted.text
    assert "(−4.00, interval −4.40 … −3.70)" in weighted.text


def test_tables_keep_namibia_and_refuse_what_is_none(tmp_path):
    (tmp_path / "a.csv").write_text("country,number,method\nNA,,1\n")
    found = read_table(tmp_path / "a.csv")
    assert found["country"].tolist() == ["NA"] and found["method"].tolist() == ["1"] and found["number"].isna().all()
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DeepcamsError, match="not a table"):
        read_table(tmp_path / "b.csv")
