"""The report: whole in itself, safe against hostile names, and honest."""

import base64
import hashlib
import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.report import shell
from deepcams.report.embedded import data
from deepcams.report.folder import read_validation
from deepcams.report.headline import quality_objective
from deepcams.report.networks import Evaluation
from deepcams.report.page import write_index
from deepcams.report.years import round_ticks
from tests.standins.report_page import Reader, report_maker, table_rows
from tests.standins.validation_folder import truth_row, write_differences, write_figure, write_folder, write_slider

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x onerror=alert(1)>'


@pytest.fixture
def make(tmp_path):
    """A function: write a folder and its report, return the report's text."""
    return report_maker(tmp_path)


def test_the_page_loads_nothing_and_its_policy_forbids_it(tmp_path, make):
    text = make({"attributes": {"references": "https://doi.org/10.1/x", "more": HOSTILE}},
                slider=write_slider(tmp_path / "slider.json"))  # fmt: skip
    reader = Reader(text)
    assert {"link", "iframe", "object", "form"}.isdisjoint(reader.elements)
    assert not re.search(r"url\s*\(|@import|fetch\(|XMLHttp", text)
    assert all(value.startswith("data:image/png;base64,") for name, value in reader.addresses if name == "src")
    links = {value for name, value in reader.addresses if name == "href"}
    assert {link for link in links if not link.startswith(("#", "https://"))} == {"index.html"}
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    assert policy.startswith("default-src 'none'; img-src data:;") and "http" not in policy
    script = re.search(r"<script>(.*?)</script>", text, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_hostile_texts_are_shown_not_run(tmp_path, make):
    table = pd.DataFrame([{"month": HOSTILE, "method": m, "r": 1, "rmse": 1, "mae": 1} for m in (HOSTILE, "n")])
    table.to_csv(tmp_path / "hostile.csv", index=False)

    def changes(folder):
        for name in ("scores.csv", "counts.csv", "exceedances.csv", "differences.csv"):
            content = pd.read_csv(folder / name, keep_default_na=False)
            for column in {"group", "country", "step", "verdict", "resolution"} & set(content):
                content.loc[len(content) - 1, column] = HOSTILE
            content.to_csv(folder / name, index=False)

    clean = Reader(make())
    content = {"synthetic": HOSTILE, "attributes": {HOSTILE: HOSTILE}, "names": {"product": HOSTILE, "cams": HOSTILE}}
    text = make(
        {**content, "truth": [truth_row(HOSTILE, 1.0), truth_row("product", 2.0)], "station_names": {0: HOSTILE}},
        changes,
        details={HOSTILE: HOSTILE},
        evaluations=[Evaluation(HOSTILE, tmp_path / "hostile.csv", HOSTILE)],
    )
    reader = Reader(text)
    for tag in ("script", "img", "noscript"):
        assert reader.elements.count(tag) == clean.elements.count(tag), tag
    assert reader.text.count(HOSTILE) >= 9


def test_data_in_the_page_cannot_end_their_element_and_come_back_whole():
    texts = ["</script><b>", "<!--", "a & b", "\u2028\u2029", "]]>", "é"]
    element = data("x", texts)
    inner = element.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert not set("<>&\u2028\u2029") & set(inner)
    assert json.loads(inner) == texts
    with pytest.raises(ValueError, match="JSON"):
        data("x", [float("nan")])


def test_synthetic_data_are_announced_loudly_and_real_ones_are_not(make):
    assert "Synthetic data" not in make()
    text = make({"synthetic": "A model made these data up."})
    assert '<div class="banner" role="note"><strong>Synthetic data</strong>A model made these data up.' in text


@pytest.mark.parametrize(
    ("verdicts", "words", "kind"),
    [
        ({}, "is better than CAMS: RMSE 12.00 against 14.00 µg/m³ (−2.00, interval −2.80 … −1.20); R 0.600", "good"),
        ({"r": "worse"}, "is better than CAMS in RMSE, worse in R: ", "bad"),
        ({"rmse": "worse"}, "is better than CAMS in R, worse in RMSE: ", "bad"),
        ({"rmse": "worse", "r": "worse"}, "is worse than CAMS: ", "bad"),
        ({"rmse": "worse", "r": "alike"}, "is worse than CAMS in RMSE, cannot be told apart in R: ", "bad"),
        ({"rmse": "worse", "r": "unjudged"}, "is worse than CAMS in RMSE, not judged in R: ", "bad"),
        ({"r": "alike"}, "is better than CAMS in RMSE, cannot be told apart in R: ", "neutral"),
        ({"rmse": "alike", "r": "alike"}, "cannot be told apart from CAMS: ", "neutral"),
        ({"rmse": "unjudged", "r": "unjudged"}, "is not judged against CAMS, from 31 day(s) only: ", "neutral"),
    ],
)
def test_the_page_says_plainly_how_the_product_compares_with_cams(make, verdicts, words, kind):
    text = make(changes=lambda folder: write_differences(folder, **verdicts))
    verdict = re.search(r'<p class="verdict (good|bad|neutral)">(At stations, hourly, the product [^<]*)</p>', text)
    assert words in verdict[2] and verdict[1] == kind


@pytest.mark.parametrize("rmse", [2.0, 3.5])
def test_against_the_truth_numbers_are_told_and_nothing_is_judged(make, rmse):
    rows = [truth_row("product", rmse), truth_row("nearest", 9.0), truth_row("cubic", 3.0)]
    text = make({"truth": [*rows, truth_row("cubic", 0.1, "analysis")]})
    change = f"{100 * (rmse / 3.0 - 1):+.1f} %".replace("-", "−")
    words = f"RMSE of the product {rmse:.3f}, of cubic 3.000 µg/m³ ({change}; no test made)."
    assert f'<p class="verdict neutral">Against the known truth: {words}</p>' in text


def test_a_year_without_stations_says_so(make):
    text = make({"stations": 0})
    assert "No station measurement could be compared" in text and 'id="explorer"' not in text
    assert 'id="scores"' not in text


def test_a_product_alone_is_reported_without_a_reference(make):
    text = make({"cams": False, "year": None}, figures={}, index=None)
    body = text[text.index("<header>") : text.index("<script>")]
    assert '"cams"' not in body and "Differences from" not in body and 'class="beside"' not in body
    assert "<h1>A file</h1>" in body and "All years" not in body and "EAC4 downscaled" not in body


def test_missing_tables_leave_their_parts_out(make):
    def remove(folder):
        for path in [*folder.glob("*.csv"), folder / "clicks.npz"]:
            path.unlink()

    text = make(changes=remove)
    assert 'id="quality"' not in text and 'id="scores"' not in text


def test_flaws_of_the_fields_are_stated(make):
    assert "no value is missing, infinite or negative" in make()
    text = make({"fields": {"product": {"hours": 5, "negative_cells": 4}, "cams": {}}})
    assert "The product is not complete" in text and "no value is missing" not in text


def test_headlines_stand_beside_those_of_cams_with_their_interval(make):
    text = make()
    tile = re.search(r'<div class="tile">(<span class="what">RMSE, daily.*?)</div>', text, re.S)[1]
    words = re.sub("<.*?>", " ", tile).split()
    assert words[:3] == ["RMSE,", "daily", "(µg/m³)"] and "CAMS" in words
    assert words[-4:] == ["−2.00", "(−2.80", "…", "−1.20)"] and words[-5] == "better"


def test_fairmode_s_objective_is_that_of_daily_values(tmp_path):
    folder = write_folder(tmp_path, stations=11, hours=5)
    table = pd.read_csv(folder / "stations.csv", keep_default_na=False)
    table["mqi"] = np.where(table["resolution"] == "daily", np.arange(len(table)) // 4 / 5, 9.0)
    table.loc[table["field"] == "cams", "mqi"] = 7.0
    table.to_csv(folder / "stations.csv", index=False)
    # FAIRMODE's 90th percentile of 0, 0.2 … 2: between those of rank 9 and 10, by 0.9.
    assert quality_objective(read_validation(folder)) == ("daily", pytest.approx(1.78), pytest.approx(6 / 11))
    table.loc[(table["resolution"] == "daily") & (table["mqi"] > 1), "n"] = 4  # of the 5 days that it takes
    table.to_csv(folder / "stations.csv", index=False)
    assert quality_objective(read_validation(folder)) == ("daily", pytest.approx(0.88), 1.0)


@pytest.mark.parametrize(
    ("product", "truth", "words"),
    [
        ((1.06, 1.05, 1.07), (1.0, 0.99, 1.01), ("beat found: ", "; of the truth 1.00", "0.990 … 1.010: no beat)")),
        ((1.01, 0.98, 1.04), None, ("no beat: ", "", "0.980 … 1.040: no beat)")),
        ((0.9, 0.8, 0.95), None, ("no beat of interpolation: ", "", "0.950: no beat of interpolation)")),
    ],
)
def test_a_beat_is_told_beside_that_of_the_truth(make, product, truth, words):
    found = {"product": product, "truth": truth}
    text = make({"beat": {name: dict(zip(("ratio", "low", "high"), values, strict=True))
                          for name, values in found.items() if values}})  # fmt: skip
    says, beside, interval = words
    assert f"{says}fine detail at analyses over that between{beside}</span>" in text and interval in text
    assert ("; truth: 1.000" in text) == bool(truth)


@pytest.mark.parametrize("truth", [False, True])
@pytest.mark.parametrize(("found", "says"), [(234.9, "235 km"), (None, "not told: ")])
def test_the_effective_resolution_is_defined_and_told(make, truth, found, says):
    text = make({"spectra": {"product": {"effective_resolution": found}}, "truth": [truth_row("product", 1.0)] * truth})
    expected = "at least half of the power that the truth has" if truth else "a power law fitted to the scales"
    assert f"Effective resolution of the product: {says}" in text and expected in text


def test_a_file_of_others_is_reported_without_our_methods(make):
    text = make({"year": None, "names": {"product": "MERRA-2", "cams": "CAMS"}}, details={"quality": "QA"})
    assert "Xiao" not in text and "Lyu" not in text and "Inness" not in text and "Networks, closure" not in text
    assert "<li>MERRA-2 at 0.25°" in text and "MERRA-2 minus CAMS" in text and "Merra" not in text
    year = make(details={"networks": "XVFI"})
    assert "Xiao et al. (2022)" in year and "Networks, closure and all other settings" in year


def test_figures_of_empty_tables_are_left_out_and_captions_know_the_reference(tmp_path, make):
    figures = dict.fromkeys(("mean", "sequence", "scorecard", "target", "stations", "scores"), tmp_path / "figure.png")
    shown = re.findall('<figure class="picture of-([a-z]+)">', make(figures=figures))
    assert sorted(shown) == sorted(figures)
    text = make(figures=figures)
    assert "CAMS above, the product below, hour by hour." in text and "and the difference." in text
    text = make({"stations": 0, "cams": False}, lambda folder: [p.unlink() for p in folder.glob("s*.csv")] and
                (folder / "differences.csv").unlink(), figures=figures)  # fmt: skip
    assert re.findall('<figure class="picture of-([a-z]+)">', text) == ["mean", "sequence"]
    assert "CAMS above" not in text and "The product, hour by hour." in text and "and the difference." not in text


def test_an_animation_is_told_to_be_a_file_beside_the_page(tmp_path, make):
    text = make(figures={"animation": tmp_path / "figures" / "2018" / "animation.gif"})
    link = '<a href="figures/2018/animation.gif">animation.gif</a>'
    assert f"{link} in the folder figures/2018 beside this page." in text


def test_checks_and_scores_carry_their_units(make):
    text = make({"truth": [truth_row("product", 1.0)]})
    facts = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert facts["mean, by area (µg/m³)"] == "9.53" and facts["maximum (µg/m³)"] == "912"
    assert facts["closure max relative error (%)"] == "0.39" and facts["missing hours"] == "0"
    head = table_rows(text[text.index('<section id="truth">') :])[0]
    assert head[:4] == ["Method", "N", "R", "RMSE (µg/m³)"] and head[-1] == "bias, by area (µg/m³)"
    assert set(table_of(text, "differences")[1][3]) == {"RMSE (µg/m³)", "MAE (µg/m³)", "|MB| (µg/m³)", "R"}


def test_method_names_break_only_at_their_joints(make):
    text = make({"truth": [truth_row("linear+bicubic_x", 1.0)]})
    assert '<th scope="row">linear+<wbr>bicubic_<wbr>x</th>' in text


@pytest.mark.parametrize(("low", "high"), [(19.2, 23.7), (0.9061, 0.9353), (0.031, 0.047), (95.0, 310.0)])
def test_charts_of_years_have_round_ticks(low, high):
    ticks, digits = round_ticks(low, high)
    assert 2 <= len(ticks) <= 5 and low <= min(ticks) and max(ticks) <= high
    for tick in ticks:
        assert tick == pytest.approx(float(f"{tick:.{digits}f}"), abs=1e-12)
    step = (ticks[1] - ticks[0]) * 10**digits
    assert min(abs(step - whole) for whole in (1, 2, 5, 10, 20, 50, 100)) < 1e-6


def table_of(text, name):
    """A table's data: headings, and columns of values."""
    spec = json.loads(re.search(rf'id="table-{name}">(.*?)</script>', text)[1])
    return [(column["label"], column.get("sub", "")) for column in spec["columns"]], spec["values"]


def test_scores_stand_side_by_side_and_namibia_is_a_country(tmp_path, make):
    heads, values = table_of(make(), "scores")
    rows = list(zip(values[0], values[1], values[2], strict=True))
    assert ("hourly", "country", "Namibia") in rows and ("hourly", "overall", "An analysis takes part") in rows
    table = pd.read_csv(tmp_path / "2018" / "scores.csv", keep_default_na=False, na_values={"r": [""]})
    for field, label in (("product", "product"), ("cams", "CAMS")):
        chosen = table[(table["resolution"] == "daily") & (table["group"] == "NA") & (table["field"] == field)]
        at = rows.index(("daily", "country", "Namibia"))
        assert values[heads.index(("RMSE", label))][at] == pytest.approx(float(chosen["rmse"].iloc[0]), rel=1e-5)
        assert values[heads.index(("FAC2", label))][at] == pytest.approx(100 * float(chosen["fac2"].iloc[0]), rel=1e-5)
    assert values[heads.index(("R", "CAMS"))][rows.index(("daily", "country", "France"))] is None


def test_counts_are_totals_of_countries_in_the_order_of_the_steps(make):
    text = make()
    rows = table_rows(text[text.index('<section id="quality">') :])
    assert rows[1] == ["measurements read", "", "75\u202f000", "100.0\u202f%"]
    assert [row[0] for row in rows[5:]] == ["measurements kept", "no field", "compared"]
    heads, values = table_of(text, "counts")
    assert (
        values[0][0] == "United States of America" and values[1][0] == 25000 and heads[1] == ("measurements read", "")
    )


@pytest.mark.parametrize("text", ["{}", "[", '{"times":["t"],"colour_bar":"http://x","fields":[]}'])
def test_a_slider_that_is_none_is_refused(tmp_path, make, text):
    (tmp_path / "slider.json").write_text(text)
    with pytest.raises(DeepcamsError, match=r"slider\.json"):
        make(slider=tmp_path / "slider.json")


def test_a_slider_that_points_elsewhere_is_refused(tmp_path, make):
    path = write_slider(tmp_path / "slider.json")
    content = json.loads(path.read_text())
    content["fields"][0]["frames"][0] = "https://example.org/x.png"
    path.write_text(json.dumps(content))
    with pytest.raises(DeepcamsError, match=r"slider\.json"):
        make(slider=path)


def test_a_page_beyond_the_limit_is_refused_and_nothing_is_left(tmp_path, make):
    big = tmp_path / "big.png"
    big.write_bytes(b"\x89PNG" + np.random.default_rng(0).bytes(shell.LARGEST))
    with pytest.raises(DeepcamsError, match="10 MB"):
        make(figures={"mean": big})
    assert not (tmp_path / "2018.html").exists()


def test_what_is_no_png_is_refused(tmp_path, make):
    (tmp_path / "no.png").write_text("<html>")
    with pytest.raises(DeepcamsError, match=r"no\.png"):
        make(figures={"mean": tmp_path / "no.png"})


def test_the_index_lists_all_years_in_order(tmp_path):
    folders = [
        write_folder(tmp_path / str(year), year=year, hours=5, synthetic="Made up." if year == 2019 else None)
        for year in (2019, 2018)
    ]
    write_index(tmp_path / "index.html", folders=folders)
    text = (tmp_path / "index.html").read_text()
    reader = Reader(text)
    assert [a for name, a in reader.addresses if a.endswith(".html")] == ["2018.html", "2019.html"] * 2
    assert "<b>2019</b> <i>synthetic</i>" in text and "<b>2018</b> <i>synthetic" not in text
    assert "Synthetic data" in text and "is better than CAMS" in text
    assert text.count('<svg class="chart"') == 2
    assert "2018-07-01 to 2018-07-31<br>hourly: R 0." in text
    assert list(dict.fromkeys(table_of(text, "years")[1][1])) == ["2018", "2019"]


def test_the_index_takes_the_record_of_all_years_and_the_scatter(tmp_path):
    folders = [write_folder(tmp_path / "2018", hours=5, cams=False)]
    scores = pd.read_csv(folders[0] / "scores.csv", keep_default_na=False)
    scores = scores[scores["by"] == "all"].assign(by="year")
    pd.concat([scores.assign(group="2018"), scores.assign(group="all years")]).to_csv(tmp_path / "r.csv", index=False)
    figure = write_figure(tmp_path / "s.png")
    write_index(
        tmp_path / "i.html", folders=folders, scatter=figure, record=tmp_path / "r.csv", links={2018: "a/2018.html"}
    )
    text = (tmp_path / "i.html").read_text()
    assert table_of(text, "years")[1][1][0] == "2018" and "all years" in table_of(text, "years")[1][1]
    assert 'href="a/2018.html"' in text and Reader(text).elements.count("img") == 1


def test_the_same_inputs_give_the_same_page(make):
    assert make() == make()
