"""What compliance-checker says of the product by its offline tables: nothing."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from deepcams.calendar import Month
from deepcams.cli.main import main
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import read_layout
from deepcams.grid.nodes import Region, coarse_grid, fine_globe, refine
from deepcams.product.months import ProductWriter
from deepcams.product.year import assemble_year
from tests.unit.test_cli import cams_file
from tests.unit.test_product import FEW_DAYS, product, write

CHECK = """
import sys
from compliance_checker.runner import CheckSuite, ComplianceChecker
CheckSuite.load_all_available_checkers()
for path in sys.argv[1:]:
    ComplianceChecker.run_checker(
        path, ["cf:1.11", "acdd:1.3"], 0, "strict", output_filename=path + ".json", output_format="json_new"
    )
"""
# The checker prints this beside a check that is passed, with all its points.
PASSED = "Variable time has standard or Gregorian calendar and does not cross 1582-10-15T00:00Z"
# Equal inputs give equal bytes, so no clock is read; without SOURCE_DATE_EPOCH there is no date to state.
UNDATED = {f"Attr date_{event} is not present" for event in ("created", "issued", "modified", "metadata_modified")}


def day(path, region=None, **changes):
    what = replace(product(**changes), grid=refine(coarse_grid(region)) if region else fine_globe())
    with ProductWriter(path, FEW_DAYS[:24], what) as writer:
        writer.write(0, np.ones((24, *what.grid.shape), dtype=np.float32))
        writer.add_statistics({"closure_max_relative_error": 0.0})
    return path


AUTHOR = {
    "institution": "An Institute",
    "creator_name": "A. Person",
    "creator_email": "a@example.org",
    "creator_url": None,
    "publisher_name": None,
    "publisher_email": None,
    "publisher_url": None,
    "date": "2021-03-04",
}


@pytest.fixture
def files(tmp_path):
    """A month, an assembled year, the globe, a region across the date line, synthetic data, a single file's product."""
    months = [
        write(tmp_path / f"{name}.nc", Month.parse(name).hours(), product(name)) for name in ("2018-01", "2018-02")
    ]
    assemble_year(months, tmp_path / "year.nc")
    source = cams_file(tmp_path / "cams.nc", np.random.default_rng(3).gamma(2, 10, (2, 6, 8)).astype("f4"))
    single = tmp_path / "single.nc"
    assert main(["downscale", source, str(single), "--temporal", "linear", "--spatial", "bicubic"]) == 0
    return [
        months[0],
        tmp_path / "year.nc",
        day(tmp_path / "globe.nc"),
        day(tmp_path / "region.nc", Region(9, 172.5, -9, 187.5)),
        day(tmp_path / "synthetic.nc", Region(15, 0, 0, 15), synthetic="Made by the nature run."),
        single,
    ]


def remarks(paths):
    """Every message of every priority, by file and checker; and whether each got all points."""
    offline = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, *paths], env=offline, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for path in paths:
        (results,) = json.loads(path.with_name(f"{path.name}.json").read_text()).values()
        for checker in ("cf:1.11", "acdd:1.3"):
            result = results[checker]
            items = [item for level in ("high", "medium", "low") for item in result[f"{level}_priorities"]]
            messages = {message for item in items for message in item["msgs"]}
            found[path.name, checker] = messages, result["possible_points"] - result["scored_points"]
            assert result["possible_points"] > 80
    return found


@pytest.mark.slow
def test_nothing_is_remarked_of_a_dated_product(files_dated):
    for (name, checker), (messages, lost) in remarks(files_dated).items():
        assert (messages - {PASSED}, lost) == (set(), 0), (name, checker)


@pytest.mark.slow
def test_of_an_undated_product_the_dates_alone_are_remarked(files):
    for (name, checker), (messages, lost) in remarks(files).items():
        left = (UNDATED, 8) if checker == "acdd:1.3" else (set(), 0)
        assert (messages - {PASSED}, lost) == left, (name, checker)


@pytest.fixture
def files_dated(monkeypatch, request):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")
    return request.getfixturevalue("files")


def test_dates_are_those_of_the_environment_and_joins_keep_the_latest(tmp_path, monkeypatch):
    paths = []
    for number, seconds in enumerate(("1500000000", "1600000000", "1400000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", seconds)
        paths.append(write(tmp_path / f"{number}.nc", FEW_DAYS + np.timedelta64(72 * number, "h")))
    assert read_layout(paths[0]).global_attributes["date_created"] == "2017-07-14T02:40:00Z"
    assemble_year(paths, tmp_path / "year.nc")
    assert read_layout(tmp_path / "year.nc").global_attributes["date_created"] == "2020-09-13T12:26:40Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(DeepcamsError, match="'yesterday'"):
        write(tmp_path / "x.nc")


@pytest.mark.slow
def test_nothing_is_remarked_of_a_year_whose_author_is_configured(tmp_path):
    months = [write(tmp_path / f"{name}.nc", Month.parse(name).hours(), product(name)) for name in ("2018-01",)]
    year = tmp_path / "year.nc"
    assemble_year(months, year, author=AUTHOR)
    said = read_layout(year).global_attributes
    assert (said["creator_institution"], said["publisher_institution"]) == ("An Institute", "An Institute")
    assert (said["creator_name"], said["creator_url"], said["date_created"]) == (
        "A. Person",
        "not stated",
        "2021-03-04",
    )
    for (_, checker), (messages, lost) in remarks([year]).items():
        assert (messages - {PASSED}, lost) == (set(), 0), checker
