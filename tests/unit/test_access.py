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


@pytest.mark.parametrize(
    ("name", "source"), [("geoscf", "portal"), ("geoscf", "opendap"), ("openaq", "archive"), ("openaq", "realtime")]
)
def test_services_for_everybody_need_no_account(monkeypatch, tmp_path, name, source):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert access_problem(name, source) is None


def test_the_atmosphere_data_store_needs_a_key(monkeypatch, tmp_path):
    for variable in ("ADSAPI_KEY", "CDSAPI_KEY", "CDSAPI_RC"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    problem = access_problem("cams", "ads")
    assert "ADSAPI_KEY" in problem and "~/.cdsapirc" in problem and "cams.source: local" in problem
    (tmp_path / ".cdsapirc").write_text("url: https://ads.example/api\nkey: a-key-of-mine\n")
    assert access_problem("cams", "ads") is None
    monkeypatch.setenv("ADSAPI_KEY", "another-key")
    assert access_problem("cams", "ads") is None


def test_stations_of_reference_grade_alone_want_a_key_of_the_api(monkeypatch):
    monkeypatch.delenv("OPENAQ_API_KEY", raising=False)
    assert access_problem("openaq", "archive") is None
    assert "OPENAQ_API_KEY" in access_problem("openaq", "archive", graded=True)
    assert access_problem("openaq", "local", graded=True) is None
    monkeypatch.setenv("OPENAQ_API_KEY", "a-key")
    assert access_problem("openaq", "archive", graded=True) is None
