"""A region without any station: everything after the retrieval works on tables without a row."""

import logging

import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region
from deepcams.report.page import write_year_report
from deepcams.report.plot import FIGURES, SUFFIXES, plot_year
from deepcams.sources.openaq import read_table, retrieve_month, write_table
from deepcams.validation.collocation import CollocationSettings, collocate_month
from deepcams.validation.counts import total
from deepcams.validation.pairs import read_pairs
from deepcams.validation.quality import QualitySettings, control_quality
from deepcams.validation.station_summary import SummarySettings
from deepcams.validation.summary import validate_year
from tests.unit.test_collocation import month  # noqa: F401
from tests.unit.test_openaq import MONTH, metadata, one_day, rows_of, write_day, write_locations

ELSEWHERE = Region(-30, -30, -45, 0)
RECORD = (
    '{"date":{"utc":"2018-02-06T01:00:00.000Z","local":""},"parameter":"pm25","value":5,"unit":"µg/m³",'
    '"location":"A","city":"A","country":"IN","coordinates":{"latitude":28.67,"longitude":77.13},'
    '"averagingPeriod":{"value":1,"unit":"hours"},"sourceName":"x","sourceType":"government"}'
)


@pytest.fixture
def empty(tmp_path):
    """What the workflow keeps of a month of a region without stations."""
    one_day(tmp_path)
    path = tmp_path / "table.csv.gz"
    write_table(retrieve_month("local", MONTH, path=tmp_path, region=ELSEWHERE), path)
    return path


def test_a_region_without_stations_is_a_warning_and_no_error(tmp_path, caplog):
    one_day(tmp_path)
    with caplog.at_level(logging.WARNING):
        table = retrieve_month("local", MONTH, path=tmp_path, region=ELSEWHERE)
    assert table.empty and "no PM2.5 measurement" in caplog.text and "region" in caplog.text


def test_a_region_without_stations_in_real_time_fetches(tmp_path, caplog):
    (tmp_path / "2018-02-06").mkdir()
    (tmp_path / "2018-02-06" / "1.ndjson").write_text(RECORD + "\n")
    with caplog.at_level(logging.WARNING):
        assert retrieve_month("local", MONTH, path=tmp_path, region=ELSEWHERE).empty
    assert "no PM2.5 measurement" in caplog.text


def test_an_archive_that_lacks_the_month_everywhere_is_an_error(tmp_path):
    one_day(tmp_path, day="2018-05-10")
    write_day(tmp_path, 5, "2018-02-10", rows_of(5, "2018-02-10", 0, [1.0], parameter="pm10"))
    write_locations(tmp_path, metadata(5))
    with pytest.raises(DeepcamsError, match=r"not one PM2\.5 measurement of 2018-02"):
        retrieve_month("local", MONTH, path=tmp_path, region=ELSEWHERE)


def test_the_empty_table_survives_writing_and_quality_control(empty):
    table = read_table(empty)
    assert table.empty and table["time"].dtype == "datetime64[s]"
    clean, counts = control_quality(table, QualitySettings())
    assert clean.empty and total(counts)["measurements read"] == total(counts)["measurements kept"] == 0


def test_the_empty_table_goes_all_the_way_to_the_report(tmp_path, empty, month):  # noqa: F811
    product, coarse, *_ = month()
    pairs, counts, folder = tmp_path / "pairs.nc", tmp_path / "counts.csv.gz", tmp_path / "2018"
    found = total(collocate_month(product, coarse, empty, pairs, counts, CollocationSettings()))
    assert found["measurements read"] == found["pairs"] == 0
    assert len(read_pairs(pairs)) == 0
    content = validate_year(
        folder,
        year=2018,
        title="A year",
        product_paths=[product],
        coarse_paths=[coarse],
        pair_paths=[pairs],
        count_paths=[counts],
        settings=SummarySettings(),
    )
    assert content["stations"]["number"] == content["stations"]["pairs"] == 0
    figures = {name: tmp_path / f"{name}{SUFFIXES.get(name, '.png')}" for name in FIGURES}
    plot_year(figures, folder=folder, product_path=product, coarse_path=coarse, dpi=50)
    starts = {".png": b"\x89PNG", ".gif": b"GIF89a", ".json": b"{"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in figures.values())
    slider = figures.pop("slider")
    write_year_report(tmp_path / "2018.html", folder=folder, figures=figures, slider=slider)
    assert "No station measurement could be compared" in (tmp_path / "2018.html").read_text()
