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
from deepcams.report.folder import read_validation
from deepcams.report.headline import quality_objective
from deepcams.report.networks import Evaluation
from deepcams.report.page import write_index
from deepcams.report.shell import data
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
    ("verdicts", "words", "good"),
    [
        ({}, "is better than CAMS: RMSE 12.00 against 14.00 µg/m³ (−2.00, interval −2.80 … −1.20); R 0.600", True),
        ({"r": "worse"}, "is better than CAMS in RMSE only", False),
        ({"rmse": "worse"}, "is better than CAMS in R only", False),
        ({"rmse": "worse", "r": "alike"}, "is worse than CAMS in RMSE", False),
        ({"rmse": "alike", "r": "alike"}, "cannot be told apart from CAMS", False),
        ({"rmse": "unjudged", "r": "unjudged"}, "is not judged against CAMS, from 31 day(s) only", False),
    ],
)
def test_the_page_says_plainly_how_the_product_compares_with_cams(make, verdicts, words, good):
    text = make(changes=lambda folder: write_differences(folder, **verdicts))
    verdict = re.search(r'<p class="verdict (good|bad)">(At stations, hourly, the product [^<]*)</p>', text)
    assert words in verdict[2] and (verdict[1] == "good") == good


@pytest.mark.parametrize(("rmse", "words"), [(2.0, "is better than"), (3.5, "is not better than")])
def test_the_product_is_judged_by_the_best_simpler_method(make, rmse, words):
    rows = [truth_row("product", rmse), truth_row("nearest", 9.0), truth_row("cubic", 3.0)]
    text = make({"truth": [*rows, truth_row("cubic", 0.1, "analysis")]})
    change = f"{100 * (rmse / 3.0 - 1):+.1f} %".replace("-", "−")
    assert f"the product {words} the best simpler method, cubic: RMSE {rmse:.3f} against 3.000 µg/m³ ({change})" in text


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
    assert quality_objective(read_validation(folder)) == ("daily", pytest.approx(1.8), pytest.approx(6 / 11))


def table_of(text, name):
    """A table's data: headings, and columns of values."""
    spec = json.loads(re.search(rf'id="table-{name}">(.*?)</script>', text)[1])
    return [(column["label"], column.get("sub", "")) for column in spec["columns"]], spec["values"]


def test_scores_stand_side_by_side_and_namibia_is_a_country(tmp_path, make):
    heads, values = table_of(make(), "scores")
    rows = list(zip(values[0], values[1], values[2], strict=True))
    assert ("hourly", "country", "Namibia") in rows and ("hourly", "overall", "Hours of analyses") in rows
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
