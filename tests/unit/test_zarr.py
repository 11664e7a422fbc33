"""Product files as a Zarr store: the same values and attributes, in shards, whole or not there."""

import os
import sys

import h5py
import numpy as np
import pytest
import xarray as xr

from deepcams.cli.main import main
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import read_layout
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.product import zarr_store
from deepcams.product.attributes import merge_layouts
from deepcams.product.months import Product, ProductWriter
from deepcams.product.zarr_store import write_zarr
from tests.unit.test_product import product

zarr = pytest.importorskip("zarr", reason="needs deepcams[zarr]")
GRID = refine(coarse_grid(Region(north=30, west=-15, south=0, east=30)))  # 121 × 181: edge chunks both ways
START = np.datetime64("2018-01-01T00:00:00", "s")


def part(path, first, count, synthetic=None):
    """A file of `count` hours, `first` hours after the year's beginning, one of them missing."""
    hours = START + np.arange(first, first + count) * np.timedelta64(1, "h")
    values = np.random.default_rng(first).gamma(2.0, 10.0, size=(count, *GRID.shape)).astype(np.float32)
    values[3] = np.nan
    base = product(synthetic=synthetic)
    with ProductWriter(path, hours, Product(GRID, base.record, base.provenance)) as writer:
        writer.write(0, values)
        writer.add_statistics({"closure_max_relative_error": count / 1000})
    return path


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return [part(folder / "a.nc", 0, 168), part(folder / "b.nc", 168, 77)]


@pytest.fixture(scope="module")
def store(parts):
    """Written with shards of ten days, so that there are several, and one reaches over both files."""
    out = parts[0].parent / "both.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zarr_store, "SHARD_DAYS", 10)
        assert main(["to-zarr", *map(str, parts), str(out)]) == 0
    return out


def test_xarray_finds_the_same_data_and_the_joined_attributes(store, parts):
    files = [xr.load_dataset(path) for path in parts]
    with xr.open_zarr(store, consolidated=True, chunks=None) as dataset:
        dataset.load()
    for name in ("time", "pm25", "time_status"):
        expected = np.concatenate([file[name].values for file in files])
        np.testing.assert_array_equal(dataset[name].values, expected)
        assert dataset[name].dtype == files[0][name].dtype
    along = ["time", "pm25", "time_status"]
    xr.testing.assert_identical(
        dataset.drop_vars(along).drop_attrs(deep=False), files[0].drop_vars(along).drop_attrs(deep=False)
    )
    for name in dataset.variables:
        np.testing.assert_equal(dataset[name].attrs, files[0][name].attrs)
    assert dataset.attrs == merge_layouts(parts, [read_layout(path) for path in parts])
    assert dataset.attrs["closure_max_relative_error"] == 0.168


def test_a_store_of_one_file_is_that_file(parts, tmp_path):
    write_zarr(parts[1:], tmp_path / "b.zarr")
    with xr.open_zarr(tmp_path / "b.zarr", chunks=None) as dataset:
        xr.testing.assert_identical(dataset.load(), xr.load_dataset(parts[1]))


def test_chunks_are_long_in_time_and_stand_in_shards(store):
    array = zarr.open_group(store, mode="r")["pm25"]
    assert (array.metadata.zarr_format, array.chunks, array.shards) == (3, (120, 103, 12), (240, 103, 120))
    assert array.metadata.dimension_names == ("time", "latitude", "longitude")
    files = [name for _, _, names in os.walk(store / "pm25" / "c") for name in names]
    assert len(files) == 2 * 2 * 2


def test_an_existing_store_is_replaced_only_when_asked_and_nothing_else_ever(parts, tmp_path, capsys):
    out = tmp_path / "out.zarr"
    words = ["to-zarr", str(parts[1]), str(out)]
    assert main(words) == 0
    assert main(words) == 1
    assert "exists. Give another name, or --overwrite" in capsys.readouterr().err
    (out / "left.txt").write_text("of the old store")
    assert main([*words, "--overwrite"]) == 0
    assert sorted(os.listdir(tmp_path)) == ["out.zarr"]
    assert not (out / "left.txt").exists()
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    for target in (folder, parts[1]):
        assert main(["to-zarr", str(parts[1]), str(target), "--overwrite"]) == 1
        assert "is not what would be written there" in capsys.readouterr().err
    assert (folder / "letter.txt").exists() and parts[1].is_file()


def test_a_failure_leaves_the_old_store_and_nothing_half_written(parts, tmp_path, capsys):
    out = tmp_path / "out.zarr"
    write_zarr(parts[1:], out)
    before = xr.load_dataset(out, engine="zarr")
    damaged = part(tmp_path / "damaged.nc", 0, 48)
    with h5py.File(damaged) as file:
        place = file["pm25"].id.get_chunk_info(5)
    with open(damaged, "r+b") as stream:
        stream.seek(place.byte_offset + place.size // 2)
        stream.write(b"\xff" * 64)
    assert main(["to-zarr", str(damaged), str(out), "--overwrite"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"deepcams: {damaged} is damaged: a chunk cannot be decoded")
    assert sorted(os.listdir(tmp_path)) == ["damaged.nc", "out.zarr"]
    xr.testing.assert_identical(xr.load_dataset(out, engine="zarr"), before)


def test_what_a_killed_run_left_is_removed(parts, tmp_path):
    left = tmp_path / f".out.zarr.{os.uname().nodename.replace('.', '-')[:40]}_{2**22 + 5}.abc.part.zarr"
    (left / "pm25").mkdir(parents=True)
    write_zarr(parts[1:], tmp_path / "out.zarr")
    assert os.listdir(tmp_path) == ["out.zarr"]


def test_a_store_that_a_killed_run_had_put_aside_comes_back(parts, tmp_path):
    write_zarr(parts[1:], tmp_path / "out.zarr")
    before = xr.load_dataset(tmp_path / "out.zarr", engine="zarr")
    dead = f"{os.uname().nodename.replace('.', '-')[:40]}_{2**22 + 5}"
    os.replace(tmp_path / "out.zarr", tmp_path / f".out.zarr.{dead}.old")
    with pytest.raises(DeepcamsError, match="exists"):
        write_zarr(parts[:1], tmp_path / "out.zarr")
    assert os.listdir(tmp_path) == ["out.zarr"]
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "out.zarr", engine="zarr"), before)


def test_what_does_not_belong_together_is_refused(parts, tmp_path):
    made_up = part(tmp_path / "made_up.nc", 245, 24, synthetic="Made up.")
    for inputs, words in (
        (parts[::-1], "out of order"),
        ([parts[0], part(tmp_path / "later.nc", 240, 24)], "not 1 h apart"),
        ([parts[0], made_up], "is synthetic"),
    ):
        with pytest.raises(DeepcamsError, match=words):
            write_zarr(inputs, tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()


def test_bad_input_is_told_in_one_sentence(tmp_path, capsys):
    (tmp_path / "page.nc").write_text("<html>Please log in</html>")
    for path, words in ((tmp_path / "none.nc", "There is no file"), (tmp_path / "page.nc", "is a web page")):
        assert main(["to-zarr", str(path), str(tmp_path / "out.zarr")]) == 1
        assert words in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["page.nc"]


def test_without_zarr_it_is_said_what_to_install(parts, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "zarr", None)
    assert main(["to-zarr", str(parts[1]), str(tmp_path / "out.zarr")]) == 1
    assert "pip install 'deepcams[zarr]'" in capsys.readouterr().err
