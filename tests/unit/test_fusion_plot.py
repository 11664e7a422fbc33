"""From the files of a fusion to its figures, and the tables and the summary of a year."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from deepcams.errors import DeepcamsError
from deepcams.fusion.evaluation import COLUMNS
from deepcams.fusion.product import read_fused
from deepcams.fusion.year_scores import score_year
from deepcams.models.catalogue import make
from deepcams.models.checkpoint import save
from deepcams.report import fusion_figures
from deepcams.report.fusion_plot import FIGURES, kernels_of, plot_fusion, season_means, station_days, station_means
from deepcams.report.fusion_section import fusion_section
from deepcams.sources.stations import write_csv
from tests.conftest import ROOT
from tests.unit.test_fused_product import write

DAYS = np.arange("2020-02-20", "2020-03-11", dtype="datetime64[D]")  # DJF until the 29th, then MAM
SETTINGS = {
    "variables": ["relative_humidity", "wind_speed"], "static": [], "features": 2, "recipe": "corrected",
    "background": "none", "reading": "corrected",
}  # fmt: skip


def held_out(days, stations=4):
    """A month of `cross_validate_month`: station 0 has measured on the first two days only."""
    random = np.random.default_rng(1)
    rows = [
        {"scheme": scheme, "time": f"{day}T00:00:00", "station": f"0{number}", "city": "", "country": "NA",
         "latitude": 10.0 + number, "longitude": 1.0 + number, "row": number, "column": number, "fold": 0,
         "observed": 10.0 * (number + 1) + (0.1 * place)}
        for scheme in ("stations", "cities") for place, day in enumerate(days) for number in range(stations)
        if number or place < 2
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    methods = ("network", "ordinary kriging")
    return table.assign(**{name: table["observed"] + random.normal(size=len(table)) for name in methods})


def model(path, **changes):
    """A model file of random kernels, and its module."""
    settings = SETTINGS | changes
    module = make("fusion", "pointconv_unetpp", settings)
    for weight in module.points.weights:
        weight.data.normal_()
    weights = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    save(path, "fusion", "pointconv_unetpp", settings=settings, weights=weights, provenance={})
    return module


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Arguments of `plot_fusion`. Most stations, twenty, are there on the last day."""
    folder = tmp_path_factory.mktemp("fusion")
    model(folder / "model.safetensors")
    months = [DAYS[:10], DAYS[10:]]
    tables = [folder / f"{month[0]}.csv.gz" for month in months]
    reproduced, counts = [folder / "reproduced.csv"] * 2, [folder / "counts.csv.gz"] * 2
    for path, month in zip(tables, months, strict=True):
        write_csv([held_out(month)], path)
    step = {
        "of": "step",
        "step": [0, 1],
        "method": "network",
        "n": 10,
        "r2": [0.5, 0.7],
        "rmse": [1.0, 3.0],
        "nme": 0.2,
    }
    pooled = {"of": ["pooled"], "step": -1, "method": "network", "n": 20, "r2": 0.0, "rmse": 0.0, "nme": 0.0}
    pd.concat([pd.DataFrame(step), pd.DataFrame(pooled)]).to_csv(reproduced[0], index=False)
    write_csv([pd.DataFrame({"step": ["outside the region"], "country": ["NA"], "number": [3]})], counts[0])
    score_year(folder / "scores", tables, reproduced, counts, {"folds": 4})
    return {
        "product": write(folder / "fused.nc", DAYS), "tables": tables, "scores": folder / "scores",
        "model": folder / "model.safetensors",
    }  # fmt: skip


def test_all_figures_are_drawn_and_the_section_takes_them(tmp_path, files):
    outputs = {name: tmp_path / f"{name}.png" for name in FIGURES}
    plot_fusion(outputs, **files, dpi=40)
    for path in outputs.values():
        with Image.open(path) as picture:
            assert min(picture.size) > 100
    text = fusion_section(files["scores"], outputs)
    assert all(f'of-{name}"' in text for name in FIGURES)
    for words in ("Cross-validation", "cities left out", "Namibia", "mean of the times", "Kernels"):
        assert words.lower() in text.lower(), words


def test_unknown_figures_and_damaged_tables_are_refused(tmp_path, files):
    with pytest.raises(DeepcamsError, match="no figure fusion_night"):
        plot_fusion({"fusion_night": tmp_path / "a.png"}, **files)
    (tmp_path / "a.csv.gz").write_bytes(files["tables"][0].read_bytes()[:-20])
    with pytest.raises(DeepcamsError, match=r"a\.csv\.gz is no table"):
        station_days([tmp_path / "a.csv.gz"])


def test_the_workflow_makes_the_figures_and_tables_that_there_are(files):
    text = (ROOT / "workflow/rules/fusion.smk").read_text()
    for word, names in (
        ("FUSION_FIGURE_NAMES", FIGURES),
        ("FUSION_TABLES", [f.name for f in files["scores"].iterdir()]),
    ):
        there = re.findall(r'"(.+)"', text.split(f"{word} = (")[1].split("\n)")[0])
        assert sorted(there) == sorted(names)


def test_the_day_with_most_stations_is_shown_with_its_values(tmp_path, files, monkeypatch):
    seen = []
    draw = fusion_figures.day_map
    monkeypatch.setattr(fusion_figures, "day_map", lambda *args: (seen.append(args), draw(*args))[1])
    plot_fusion({"fusion_day": tmp_path / "a.png"}, **files, dpi=20)
    time, field, distance, _, stations = seen[0]
    assert time == np.datetime64("2020-03-10T12:00:00")
    for shown, stored in zip((field, distance), read_fused(files["product"]), strict=True):
        np.testing.assert_array_equal(shown, stored[-1])
    assert stations["value"].tolist() == pytest.approx([20.9, 30.9, 40.9])


def test_seasons_are_means_of_the_days_that_have_a_field(files):
    fields, _ = read_fused(files["product"])
    found = season_means(files["product"])
    assert list(found) == ["DJF", "MAM"]
    for name, part in (("DJF", fields[:10]), ("MAM", fields[10:])):
        np.testing.assert_allclose(found[name], np.nanmean(part.astype("f8"), axis=0), rtol=1e-6)


def test_stations_count_once_and_have_a_mean_of_half_of_the_days_at_least(files):
    days = station_days(files["tables"])
    assert len(days) == 20 * 3 + 4 and days["station"].str.len().eq(2).all()
    means = station_means(days).set_index("station")
    assert list(means.index) == ["01", "02", "03"]
    assert means.loc["01", ["DJF", "MAM"]].tolist() == pytest.approx([20.45, 20.45])
    assert means["JJA"].isna().all()
    longer = station_means(station_days(files["tables"][:1])[lambda rows: rows["time"] < "2020-02-24"])
    assert len(longer) == 4  # two of four days are enough


@pytest.mark.parametrize("reading", ["corrected", "as_printed"])
def test_kernels_are_those_that_the_network_applies(tmp_path, reading):
    module = model(tmp_path / "m.safetensors", reading=reading, recipe="published")
    found = kernels_of(tmp_path / "m.safetensors")
    assert list(found) == ["PM2.5", "relative humidity", "wind speed"]
    for which, kernels in enumerate(module.points.kernels()):
        stacked = np.stack([pair[which] for pair in found.values()])
        np.testing.assert_allclose(stacked, kernels.detach().numpy()[:, 0], rtol=1e-6)


def test_a_year_of_scores(files):
    summary = json.loads((files["scores"] / "summary.json").read_text())
    assert summary["method"] == "network" and summary["facts"] == {"days": 20, "stations": 4, "folds": 4}
    tables = {path.stem: pd.read_csv(path, keep_default_na=False) for path in files["scores"].glob("*.csv")}
    assert tables["scores"]["scheme"].tolist() == ["stations"] * 2 + ["cities"] * 2
    assert tables["scores"]["n"].tolist() == [64] * 4
    assert set(tables["seasons"]["season"]) == {"DJF", "MAM", "JJA", "SON"}
    assert len(tables["months"]) == 8  # February to April 2020, and other months
    one = tables["reproduction"].iloc[0]
    assert (one["of"], one["method"], one["days"], one["n"]) == ("mean of steps", "network", 4, 40)
    assert (one["r2"], one["rmse"], one["nme"]) == pytest.approx((0.6, 2.0, 0.2))
    assert tables["counts"].to_dict("records") == [{"step": "outside the region", "country": "NA", "number": 6}]
    assert set(COLUMNS) & set(tables["scores"].columns) == set()


def test_what_is_fused_is_compared_with_its_background_if_there_is_one(tmp_path):
    table = held_out(DAYS)
    write_csv([table.assign(background=table["observed"])], tmp_path / "a.csv.gz")
    score_year(tmp_path / "a", [tmp_path / "a.csv.gz"], [], [], {})
    rows = pd.read_csv(tmp_path / "a" / "scores.csv")
    assert (rows["method"][rows["verdict"] == "reference"] == "background").all()
    assert rows["rmse_difference"].tolist() == pytest.approx(rows["rmse"].tolist())  # from none


def test_months_are_not_compared_where_there_are_no_such(tmp_path):
    write_csv([held_out(DAYS + 365)], tmp_path / "a.csv.gz")
    write_csv([held_out(DAYS[:10] - 365)], tmp_path / "b.csv.gz")
    for name, number in (("a", 0), ("b", 0)):
        score_year(tmp_path / name, [tmp_path / f"{name}.csv.gz"], [], [], {})
        assert len(pd.read_csv(tmp_path / name / "months.csv")) == number
        assert pd.read_csv(tmp_path / name / "reproduction.csv").empty
        assert fusion_section(tmp_path / name)
