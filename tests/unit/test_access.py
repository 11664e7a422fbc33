"""What is said about a source before the first job."""

import pytest

from deepcams.sources.access import access_problem


@pytest.mark.parametrize("name", ["geoscf", "openaq"])
def test_a_local_folder_that_is_not_there_is_named(tmp_path, name):
    assert access_problem(name, "local", str(tmp_path)) is None
    problem = access_problem(name, "local", str(tmp_path / "none"))
    assert f"{tmp_path / 'none'} is not a folder" in problem and f"{name}.path" in problem
    assert access_problem(name, "nature_run", None) is None


def test_the_folder_of_a_pattern_is_as_far_as_no_date_is_in_it(tmp_path):
    (tmp_path / "cams").mkdir()
    for pattern in ("cams/{year}-{month}.nc", "cams/{year}/{month}.nc", "cams/all{year}/x/{month}.nc"):
        assert access_problem("cams", "local", str(tmp_path / pattern)) is None
    problem = access_problem("cams", "local", str(tmp_path / "other" / "{year}-{month}.nc"))
    assert f"{tmp_path / 'other'} is not a folder" in problem and "cams.path" in problem


def test_a_pattern_without_a_folder_is_of_the_current_one():
    assert access_problem("cams", "local", "{year}-{month}.nc") is None


def test_services_are_told_as_before():
    assert "openaq.source: local" in access_problem("openaq", "archive", None)
