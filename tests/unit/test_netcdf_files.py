"""Field files: what other readers see, rounding, identical bytes, joins, and damaged or half-written files."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from deepcams.errors import DeepcamsError
from deepcams.files import chunks, copying, netcdf
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import (
    Encoding,
    Extra,
    FieldWriter,
    concatenate,
    read_field,
    read_frames,
    read_layout,
    write_field,
)
from deepcams.files.rounding import round_mantissa
from deepcams.grid.nodes import Region, coarse_grid, refine

GRID = refine(coarse_grid(Region(north=30, west=-15, south=0, east=30)))  # 121 × 181: edge chunks both ways
START = np.datetime64("2018-01-01T00:00:00", "s")
HOUR = np.timedelta64(1, "h")


def times(count, first=0):
    return START + np.arange(first, first + count) * HOUR


def numbers(count, seed=0):
    values = np.random.default_rng(seed).gamma(2.0, 10.0, size=(count, *GRID.shape)).astype(np.float32)
    values[0, 3, 5] = np.nan
    return values


def write(path, values, axis=None, bits=7, attributes=None, everywhere=None, grid=GRID, extra=None, **options):
    axis = times(len(values)) if axis is None else axis
    extra = [Extra("time_status", ("time",), np.arange(len(axis)).astype(np.int8), {})] if extra is None else extra
    with FieldWriter(
        path,
        times=axis,
        grid=grid,
        encoding=Encoding(bits),
        attributes={"units": "ug m-3", "cell_methods": "time: point", **(attributes or {})},
        global_attributes=everywhere,
        extra=extra,
        **options,
    ) as writer:
        for start in range(0, len(values), 24):
            writer.write(start, values[start : start + 24])
    return path


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_reads_lossless_values_exactly(tmp_path, engine):
    values = numbers(49)
    path = write(tmp_path / "field.nc", values, bits=None)
    with xr.open_dataset(path, engine=engine) as dataset:
        np.testing.assert_array_equal(dataset.pm25.values, values)
        np.testing.assert_array_equal(dataset.time.values, times(49))
        np.testing.assert_array_equal(dataset.longitude.values, GRID.longitude)
        assert dataset.latitude.values[0] == 30.0
        assert dataset.pm25.attrs["units"] == "ug m-3"
        assert "quantization" not in dataset.variables


@pytest.mark.parametrize("bits", [1, 5, 7, 8, 12, 22])
def test_rounding_agrees_with_the_netcdf_library(tmp_path, bits):
    values = np.concatenate([numbers(2), -numbers(2, seed=1) * 1e-20])
    path = write(tmp_path / "ours.nc", values, bits=bits)
    with netCDF4.Dataset(tmp_path / "theirs.nc", "w") as dataset:
        for name, size in zip(("t", "y", "x"), values.shape, strict=True):
            dataset.createDimension(name, size)
        other = dataset.createVariable(
            "v", "f4", ("t", "y", "x"), zlib=True, quantize_mode="BitRound", significant_digits=bits, fill_value=np.nan
        )
        other[:] = values
    with netCDF4.Dataset(tmp_path / "theirs.nc") as dataset:
        theirs = dataset["v"][:].filled(np.nan)
    ours = read_field(path).values
    ties = values.view(np.uint32) & np.uint32((1 << (23 - bits)) - 1) == np.uint32(1 << (22 - bits))
    np.testing.assert_array_equal(ours[~ties], theirs[~ties])  # the library rounds ties up, BitRound to even
    np.testing.assert_allclose(ours, values, rtol=2.0 ** -(bits + 1), atol=0)


def test_rounding_keeps_what_is_special():
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(np.float32).max, 1e-45], dtype=np.float32)
    payload = np.array([0x7F800001, 0xFFC12345], dtype=np.uint32).view(np.float32)
    rounded = round_mantissa(np.concatenate([special, payload]), 7)
    assert np.isnan(rounded[[0, 7, 8]]).all()
    assert set(rounded[[0, 7, 8]].view(np.uint32)) == {0x7FC00000}
    np.testing.assert_array_equal(rounded[1:6], special[1:6])
    assert np.signbit(rounded[4])
    assert rounded[6] == 0.0


def test_rounding_takes_ties_to_even():
    one = np.float32(1.0)
    ties = np.array([one + 2**-3 * 0.5, one + 2**-3 * 1.5, one + 2**-3 * 2.5], dtype=np.float32)
    np.testing.assert_array_equal(round_mantissa(ties.copy(), 3), np.float32([1.0, 1.25, 1.25]))
    np.testing.assert_array_equal(round_mantissa(ties.copy(), 23), ties)
    with pytest.raises(ValueError, match="1 … 23"):
        round_mantissa(ties, 0)


def test_rounding_leaves_values_that_would_become_infinite():
    huge = np.array([0x7F7FFFFF, 0x7F7F8000, 0x7F7F7FFF, 0xFF7FFFFF], dtype=np.uint32).view(np.float32)
    rounded = round_mantissa(huge.copy(), 7)
    assert np.isfinite(rounded).all()
    assert rounded.view(np.uint32)[2] == 0x7F7F0000


def test_quantisation_is_stated_as_cf_1_12_asks(tmp_path):
    layout = read_layout(write(tmp_path / "field.nc", numbers(1)))
    assert layout.attributes["quantization"] == "quantization"
    assert layout.attributes["quantization_nsb"] == 7
    assert layout.attributes["quantization_nsb"].dtype == np.int32
    container = next(item for item in layout.extra if item.name == "quantization")
    assert container.attributes["algorithm"] == "bitround"
    assert container.attributes["implementation"].startswith("deepcams ")


def test_half_hours_are_exact_and_time_is_unlimited(tmp_path):
    axis = START + HOUR // 2 + np.arange(30) * HOUR
    path = write(tmp_path / "means.nc", numbers(30), axis=axis)
    np.testing.assert_array_equal(read_field(path).time.values, axis)
    with netCDF4.Dataset(path) as dataset:
        assert dataset.dimensions["time"].isunlimited()
        assert dataset["time"].units == "hours since 1970-01-01 00:00:00"
        assert dataset["time"].dtype == np.float64
        assert dataset["pm25"].chunking() == [24, 103, 120]
        assert dataset["pm25"].filters()["fletcher32"] is False


@pytest.mark.skipif(shutil.which("ncdump") is None, reason="ncdump is not installed")
def test_ncdump_reads_the_values(tmp_path):
    values = np.full((25, *GRID.shape), 2.5, dtype=np.float32)
    path = write(tmp_path / "field.nc", values)
    text = subprocess.run(["ncdump", "-v", "pm25", path], capture_output=True, text=True, check=True).stdout
    assert text.count("2.5,") + text.count("2.5 ;") >= values.size


def test_same_input_gives_the_same_bytes(tmp_path):
    values = numbers(30)
    one = write(tmp_path / "one.nc", values, threads=1)
    time.sleep(1.1)  # HDF5 would note seconds
    two = write(tmp_path / "two.nc", values, threads=3)
    np.testing.assert_array_equal(*(np.fromfile(path, np.uint8) for path in (one, two)))


def raw_chunks(path):
    with h5py.File(path) as file:
        field = file["pm25"]
        return [field.id.read_direct_chunk(place) for place in chunks.offsets(field.shape, field.chunks)]


def test_joined_equals_unjoined(tmp_path):
    values = numbers(77)
    whole = write(tmp_path / "whole.nc", values)
    status = np.arange(77).astype(np.int8)
    parts = []
    for first, last in ((0, 24), (24, 72), (72, 77)):
        extra = [Extra("time_status", ("time",), status[first:last], {})]
        parts.append(write(tmp_path / f"{first}.nc", values[first:last], axis=times(last - first, first), extra=extra))
    joined = tmp_path / "joined.nc"
    concatenate(parts, joined, contiguous=True)
    assert raw_chunks(joined) == raw_chunks(whole)
    xr.testing.assert_identical(xr.load_dataset(joined), xr.load_dataset(whole))
    assert sha256(joined) == sha256(whole)


def test_join_keeps_bounds_and_joins_variables_along_time(tmp_path):
    bounds = Extra("lat_bnds", ("latitude", "nv"), np.zeros((GRID.shape[0], 2)), {})
    paths = []
    for first in (0, 24):
        along = Extra("weight", ("time", "kind"), np.full((24, 3), first, dtype=np.float32), {"long_name": "w"})
        paths.append(write(tmp_path / f"{first}.nc", numbers(24), axis=times(24, first), extra=[bounds, along]))
    concatenate(paths, tmp_path / "joined.nc")
    with xr.open_dataset(tmp_path / "joined.nc") as joined:
        assert joined.weight.shape == (48, 3)
        np.testing.assert_array_equal(joined.weight[:, 0], np.repeat([0, 24], 24))
        assert joined.lat_bnds.shape == (GRID.shape[0], 2)


OTHER_GRID = refine(coarse_grid(Region(north=30, west=-15, south=0.75, east=30)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": OTHER_GRID}, "grids differ"),
        ({"bits": 8}, "quantization_nsb"),
        ({"bits": None}, "same variables"),
        ({"attributes": {"units": "kg m-3"}}, "units"),
        ({"attributes": {"synthetic": "made up"}}, "is synthetic"),
        ({"axis": times(24, 12)}, "overlap"),
        ({"axis": times(24, -48)}, "out of order"),
        ({"axis": times(24, 25)}, "not 1 h apart"),
        ({"variable": "pm10"}, "pm10"),
        ({"extra": []}, "same variables"),
        ({"extra": [Extra("time_status", ("time",), np.zeros(24, np.int8), {"a": "b"})]}, "time_status"),
    ],
)
def test_join_refuses_what_does_not_belong_together(tmp_path, change, message):
    first = write(tmp_path / "first.nc", numbers(24))
    options = {"axis": times(24, 24), **change}
    shape = options.get("grid", GRID).shape
    second = write(tmp_path / "second.nc", np.ones((24, *shape), dtype=np.float32), **options)
    with pytest.raises(DeepcamsError, match=message) as caught:
        concatenate([first, second], tmp_path / "out.nc", contiguous=True)
    assert "first.nc" in str(caught.value) and "second.nc" in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["first.nc", "second.nc"]


def test_join_allows_gaps_unless_told(tmp_path):
    paths = [write(tmp_path / f"{first}.nc", numbers(24), axis=times(24, first)) for first in (0, 48)]
    concatenate(paths, tmp_path / "out.nc")
    assert read_field(tmp_path / "out.nc").shape[0] == 48


def test_join_refuses_a_part_that_ends_inside_a_chunk(tmp_path):
    paths = [
        write(tmp_path / "a.nc", numbers(25)),
        write(tmp_path / "b.nc", numbers(24), axis=times(24, 25)),
    ]
    with pytest.raises(DeepcamsError, match="25 frames"):
        concatenate(paths, tmp_path / "out.nc")
    with pytest.raises(DeepcamsError, match="empty"):
        concatenate([], tmp_path / "out.nc")


def test_join_notices_a_missing_chunk(tmp_path):
    whole = write(tmp_path / "a.nc", numbers(24))
    holed = tmp_path / "b.nc"
    values = numbers(24)
    with (
        pytest.raises(DeepcamsError, match=r"b\.nc is not whole: 0 of 4 chunks"),
        FieldWriter(holed, times=times(24, 24), grid=GRID, encoding=Encoding(7), attributes={}),
    ):
        pass
    assert not holed.exists()
    write(holed, values, axis=times(24, 24))
    with h5py.File(holed, "r+") as file:  # a growing axis whose new chunks were never written
        file["pm25"].resize((24, 121, 181))
        file["pm25"].resize(0, axis=0)
        file["pm25"].resize(24, axis=0)
    with pytest.raises(DeepcamsError, match=r"b\.nc lacks the chunk"):
        concatenate([whole, holed], tmp_path / "out.nc")


def flip(field, place):
    """Change one byte in the middle of a chunk's stream."""
    stored = field.id.get_chunk_info_by_coord(place)
    with open(field.file.filename, "r+b") as stream:
        stream.seek(stored.byte_offset + stored.size // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))


def exchange(field, place):
    """Two whole, decodable chunks in each other's place."""
    (_, one), (_, other) = (field.id.read_direct_chunk(spot) for spot in (place, (0, 0, 0)))
    field.id.write_direct_chunk(place, other)
    field.id.write_direct_chunk((0, 0, 0), one)


@pytest.mark.parametrize("harm", [flip, exchange])
def test_join_notices_a_chunk_that_did_not_arrive_as_it_was(tmp_path, monkeypatch, harm):
    paths = [write(tmp_path / f"{first}.nc", numbers(24, first), axis=times(24, first)) for first in (0, 24)]
    original = netcdf.check_whole

    def harmed(path, *arguments):
        with h5py.File(path, "r+") as file:
            harm(file["pm25"], (24, 103, 0))
        original(path, *arguments)

    monkeypatch.setattr(netcdf, "check_whole", harmed)
    with pytest.raises(DeepcamsError, match=r"out\.nc was not written as its parts are: the chunk at \("):
        concatenate(paths, tmp_path / "out.nc")
    assert sorted(os.listdir(tmp_path)) == ["0.nc", "24.nc"]


def test_join_notices_a_part_that_ends_early(tmp_path, monkeypatch):
    path = write(tmp_path / "a.nc", numbers(24))
    whole = os.preadv
    monkeypatch.setattr(copying.os, "preadv", lambda file, into, at: whole(file, into, at) if at < 3000 else 0)
    with pytest.raises(DeepcamsError, match=r"a\.nc .*damaged or was cut short \(it ends within the chunk"):
        concatenate([path], tmp_path / "out.nc")
    assert os.listdir(tmp_path) == ["a.nc"]


def test_join_reads_on_where_a_disk_gives_less_than_was_asked_for(tmp_path, monkeypatch):
    path = write(tmp_path / "a.nc", numbers(24))
    concatenate([path], tmp_path / "expected.nc")
    whole = os.preadv
    monkeypatch.setattr(copying.os, "preadv", lambda file, into, at: whole(file, [into[0][:1000]], at))
    concatenate([path], tmp_path / "out.nc")
    assert sha256(tmp_path / "out.nc") == sha256(tmp_path / "expected.nc")


def test_fields_are_written_whole_and_read_lazily_with_their_origin(tmp_path):
    field = xr.DataArray(
        numbers(25),
        dims=("time", "latitude", "longitude"),
        coords={"time": times(25), "latitude": GRID.latitude, "longitude": GRID.longitude},
        name="pm25",
        attrs={"units": "ug m-3", "cell_methods": "time: point", "synthetic": "nature run"},
    )
    write_field(tmp_path / "field.nc", field, Encoding(), {"title": "t"})
    back = read_field(tmp_path / "field.nc")
    assert not back._in_memory
    assert back.attrs == field.attrs
    assert back.time.dtype == "datetime64[s]"
    np.testing.assert_array_equal(back.values, field.values)
    with pytest.raises(DeepcamsError, match="north to south"):
        write_field(tmp_path / "flipped.nc", field[:, ::-1], Encoding())


@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 24), (5, 30), (24, 48), (47, 49), (48, 200)])
def test_frames_read_in_threads_are_those_of_the_library(tmp_path, start, stop):
    path = write(tmp_path / "field.nc", numbers(49))
    with netCDF4.Dataset(path) as dataset:
        expected = dataset["pm25"][start:stop].filled(np.nan)
    np.testing.assert_array_equal(read_frames(path, start, stop), expected)


def test_frames_written_by_the_library_are_read_too(tmp_path):
    """The chunks are plain HDF5 ones, in both directions."""
    path = write(tmp_path / "field.nc", numbers(24))
    values = numbers(24, seed=3)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["pm25"][:] = values
    np.testing.assert_array_equal(read_frames(path), values)


def test_damaged_frames_are_told(tmp_path):
    path = write(tmp_path / "field.nc", numbers(24))
    with h5py.File(path, "r+") as file:
        data = chunks.encode_chunk(np.zeros((1, 2, 3), np.float32), (1, 2, 3), None, 1)
        file["pm25"].id.write_direct_chunk((0, 103, 0), data)
    with pytest.raises(DeepcamsError, match=r"field\.nc is damaged.*24 bytes"):
        read_frames(path)
    with h5py.File(path, "r+") as file:
        file["pm25"].id.write_direct_chunk((0, 103, 0), b"x" * 100)
    with pytest.raises(DeepcamsError, match=r"field\.nc is damaged.*deflate"):
        read_frames(path)
    with pytest.raises(ValueError, match="frames 30"):
        read_frames(path, 30)


def test_wrong_use_of_the_writer_is_told(tmp_path):
    values = numbers(24)
    with (
        pytest.raises(ValueError, match="chunks of 24"),
        FieldWriter(tmp_path / "a.nc", times=times(48), grid=GRID, encoding=Encoding(), attributes={}) as writer,
    ):
        writer.write(12, values)
    with (
        pytest.raises(ValueError, match="do not fit"),
        FieldWriter(tmp_path / "a.nc", times=times(48), grid=GRID, encoding=Encoding(), attributes={}) as writer,
    ):
        writer.write(0, values[:, 1:])
    with pytest.raises(ValueError, match="ascending"):
        FieldWriter(tmp_path / "a.nc", times=times(2)[::-1], grid=GRID, encoding=Encoding(), attributes={})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>Please log in</html>", "web page"),
        (b"PK\x03\x04 something else", "not a NetCDF file"),
        (b"CDF\x01 nonsense", "damaged"),
        ("cut", "damaged or was cut short"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, message):
    path = tmp_path / "field.nc"
    if content == "cut":
        whole = write(tmp_path / "whole.nc", numbers(24)).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif content is not None:
        path.write_bytes(content)
    for read in (read_field, read_layout):
        with pytest.raises(DeepcamsError, match=message) as caught:
            read(path)
        assert "field.nc" in str(caught.value)


def test_an_absent_variable_is_named(tmp_path):
    path = write(tmp_path / "field.nc", numbers(1))
    with pytest.raises(DeepcamsError, match=r"no variable 'ozone'.*pm25"):
        read_field(path, "ozone")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments)

    original = chunks.write_chunks
    monkeypatch.setattr("deepcams.files.netcdf.chunks.write_chunks", full)
    with pytest.raises(DeepcamsError, match="disk is full"):
        write(tmp_path / "field.nc", numbers(48))
    assert os.listdir(tmp_path) == []


@pytest.fixture
def tiny_disk(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here; a simulated one is tested instead")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
def test_a_really_full_disk_leaves_nothing(tiny_disk):
    with pytest.raises(DeepcamsError, match="disk is full"):
        write(tiny_disk / "field.nc", numbers(72), bits=None)
    assert os.listdir(tiny_disk) == []


def test_a_killed_writer_leaves_no_result(tmp_path):
    script = textwrap.dedent(
        """
        import sys, time
        import numpy as np
        from deepcams.files.netcdf import Encoding, FieldWriter
        from deepcams.grid.nodes import Region, coarse_grid, refine
        grid = refine(coarse_grid(Region(30, -15, 0, 30)))
        times = np.datetime64("2018-01-01T00:00:00") + np.arange(48) * np.timedelta64(1, "h")
        with FieldWriter(sys.argv[1], times=times, grid=grid, encoding=Encoding(7), attributes={}) as writer:
            writer.write(0, np.ones((24, *grid.shape), np.float32))
            print("half", flush=True)
            time.sleep(60)
        """
    )
    path = tmp_path / "field.nc"
    child = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "half\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not path.exists()
    write(path, numbers(48))
    assert read_field(path).shape[0] == 48
