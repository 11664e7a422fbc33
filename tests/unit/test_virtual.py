"""Years read as one data set by reference: across New Year, without a copy."""

import json
import os

import numpy as np
import pytest
import xarray as xr

from deepcams.cli.main import main
from deepcams.product.months import days_of, write_by_days
from deepcams.product.year import assemble_year
from tests.unit.test_product import GRID, product, write

pytest.importorskip("kerchunk", reason="needs deepcams[zarr]")
HOUR = np.timedelta64(1, "h")


def span(first, last):
    """Hours of the days from `first` to `last`."""
    return np.arange(np.datetime64(f"{first}T00:00:00", "s"), np.datetime64(f"{last}T00:00:00", "s") + 24 * HOUR, HOUR)


def field(hours):
    seed = int(hours[0].astype("datetime64[D]").astype(int))
    values = np.random.default_rng(seed).gamma(2.0, 10.0, size=(len(hours), *GRID.shape)).astype(np.float32)
    return values, {"closure_error_max_relative": float(hours[0].astype("datetime64[D]").item().day)}


def part(path, hours):
    """A file of `hours` in two months, as a year is made."""
    half = len(hours) // 48 * 24
    months = []
    for number, some in enumerate((hours[:half], hours[half:])):
        what = product(f"{path.stem}-{number}")
        what = type(what)(what.grid, (hours[0], np.datetime64("2022-01-01T00:00:00", "s")), what.provenance)
        months.append(path.parent / f"{path.stem}-{number}.nc")
        write_by_days(months[-1], "key", days_of(some), field, what)
    assemble_year(months, path)
    return path


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    """Around a leap year: more than 1024 hours each, the chunk of the small variables along time."""
    folder = tmp_path_factory.mktemp("years")
    spans = [("2019-11-15", "2019-12-31"), ("2020-01-01", "2020-02-29")]
    return [part(folder / f"{first[:4]}.nc", span(first, last)) for first, last in spans]


@pytest.fixture(scope="module")
def references(years):
    out = years[0].parent / "both.json"
    assert main(["virtual", *map(str, years), "--out", str(out)]) == 0
    return out


@pytest.fixture
def both(references):
    with xr.open_dataset(str(references), engine="kerchunk") as dataset:
        yield dataset


def test_values_and_hours_go_on_across_new_year(both, years):
    parts = [xr.load_dataset(path) for path in years]
    assert (np.diff(both.time.values) == HOUR).all()
    midnight = slice("2019-12-31T20", "2020-01-01T03")
    expected = np.concatenate([parts[0].pm25.values[-4:], parts[1].pm25.values[:4]])
    np.testing.assert_array_equal(both.pm25.sel(time=midnight).values, expected)
    for name in ("pm25", "time", "time_status"):
        np.testing.assert_array_equal(both[name].values, np.concatenate([part[name].values for part in parts]))
    for name in ("latitude", "longitude", "lat_bnds", "lon_bnds"):
        np.testing.assert_array_equal(both[name].values, parts[0][name].values)
    assert both.pm25.dtype == np.float32
    assert both.pm25.attrs == parts[0].pm25.attrs


def test_attributes_speak_of_both_years(both):
    assert both.attrs["title"] == "Hourly 0.25 degree regional surface PM2.5, 2019-2020"
    assert both.attrs["time_coverage_end"] == "2020-02-29T23:00:00Z"
    assert both.attrs["closure_error_max_relative"] == 31.0
    assert both.attrs["source_files"].count("raw/cams/") == 4


def test_no_field_is_copied_and_chunks_are_those_of_the_files(references, years):
    content = json.loads(references.read_text())
    assert list(content["templates"].values()) == [str(path) for path in years]
    fields = {key: value for key, value in content["refs"].items() if key.startswith("pm25/") and ".z" not in key}
    assert len(fields) == 47 + 60
    assert all(isinstance(value, list) for value in fields.values())
    assert references.stat().st_size < sum(os.path.getsize(path) for path in years) / 50


def test_names_are_kept_as_given_and_a_lost_file_is_no_missing_value(years, tmp_path, monkeypatch):
    monkeypatch.chdir(years[0].parent)
    assert main(["virtual", years[0].name, years[1].name, "--out", str(tmp_path / "both.json")]) == 0
    with xr.open_dataset(str(tmp_path / "both.json"), engine="kerchunk") as dataset:
        assert np.isfinite(dataset.pm25[[0, -1]].values).all()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match=r"failed to fetch target 20\d\d\.nc"):
        xr.open_dataset(str(tmp_path / "both.json"), engine="kerchunk").pm25[-1].load()


def test_what_cannot_be_one_data_set_is_told(years, tmp_path, capsys):
    for inputs, words in (
        ([years[1], years[0]], "out of order"),
        ([years[0], years[0]], "overlap"),
        ([years[0], write(tmp_path / "later.nc", span("2021-01-01", "2021-01-01"))], "not 1 h apart"),
        ([years[0], tmp_path / "none.nc"], "There is no file"),
    ):
        assert main(["virtual", *map(str, inputs), "--out", str(tmp_path / "x.json")]) == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_only_files_of_references_are_replaced(years, tmp_path, capsys):
    out = tmp_path / "x.json"
    for _ in range(2):
        assert main(["virtual", str(years[0]), "--out", str(out)]) == 0
    product = write(tmp_path / "precious.nc", span("2021-01-01", "2021-01-01"))
    before = product.read_bytes()
    assert main(["virtual", str(years[0]), "--out", str(product)]) == 1
    assert "is no file of references" in capsys.readouterr().err
    assert product.read_bytes() == before


def test_a_name_that_references_cannot_hold_is_refused(years, tmp_path, capsys):
    odd = tmp_path / "{{a}}.nc"
    odd.write_bytes(years[0].read_bytes())
    assert main(["virtual", str(odd), "--out", str(tmp_path / "x.json")]) == 1
    assert "begins a template" in capsys.readouterr().err


def test_without_kerchunk_it_is_said_what_to_install(years, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "kerchunk.hdf", None)
    assert main(["virtual", str(years[0]), "--out", str(tmp_path / "x.json")]) == 1
    assert "pip install 'deepcams[zarr]'" in capsys.readouterr().err
