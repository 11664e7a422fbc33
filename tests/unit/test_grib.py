"""GRIB of the Atmosphere Data Store, editions 1 and 2, is read like the NetCDF made of it."""

import io
import sys
import zipfile

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid
from deepcams.pollutants import POLLUTANTS
from deepcams.sources import delivered
from deepcams.sources.cams import read_cams
from tests.standins.eac4 import netcdf

eccodes = pytest.importorskip("eccodes", reason="the optional part `grib` is not installed")

BOX = coarse_grid(Region(30.0, 90.0, 22.5, 99.0))
TIMES = np.datetime64("2018-01-01T00:00:00", "s") + np.timedelta64(3, "h") * np.arange(9)


def concentrations(count=9, grid=BOX):
    row, column = np.meshgrid(grid.latitude, grid.longitude, indexing="ij")
    return 5 + np.arange(count)[:, None, None] + (row + 90) / 100 + (column + 180) / 1000


def grib(times, values, *, edition=1, number=210073, grid=BOX, hours=0, level=0, south_first=False, scale=1e-9):
    """Messages as EAC4's: `hours` after the start of a forecast, whose start is earlier by as much."""
    content = b""
    for time, frame in zip(times, values, strict=True):
        message = eccodes.codes_grib_new_from_samples(f"regular_ll_sfc_grib{edition}")
        latitude, longitude = grid.latitude, grid.longitude % 360
        if south_first:
            latitude, frame = latitude[::-1], frame[::-1]
        start = str(time - np.timedelta64(hours, "h"))
        keys = {
            "centre": "ecmf", "Ni": len(longitude), "Nj": len(latitude), "jScansPositively": int(south_first),
            "latitudeOfFirstGridPointInDegrees": latitude[0], "latitudeOfLastGridPointInDegrees": latitude[-1],
            "longitudeOfFirstGridPointInDegrees": longitude[0], "longitudeOfLastGridPointInDegrees": longitude[-1],
            "iDirectionIncrementInDegrees": 0.75, "jDirectionIncrementInDegrees": 0.75,
            "dataDate": int(start[:10].replace("-", "")), "dataTime": int(start[11:13]) * 100, "step": hours,
            "paramId": number,
        }  # fmt: skip
        for key, value in keys.items():
            eccodes.codes_set(message, key, value)
        if level:
            eccodes.codes_set(message, "typeOfLevel", "hybrid")
            eccodes.codes_set(message, "level", level)
        eccodes.codes_set(message, "bitsPerValue", 24)
        frame = frame * scale
        if np.isnan(frame).any():
            eccodes.codes_set(message, "bitmapPresent", 1)
            eccodes.codes_set(message, "missingValue", 9999.0)
            frame = np.where(np.isnan(frame), 9999.0, frame)
        eccodes.codes_set_values(message, frame.ravel())
        content += eccodes.codes_get_message(message)
        eccodes.codes_release(message)
    return content


def test_the_samples_are_what_the_service_sends():
    """Table 210, parameter 73 in edition 1, as the parameter database has it: of the encoder, not of the reader."""
    message = eccodes.codes_new_from_message(grib(TIMES[:1], concentrations(1)))
    assert (
        eccodes.codes_get(message, "table2Version") == 210 and eccodes.codes_get(message, "indicatorOfParameter") == 73
    )
    assert eccodes.codes_get(message, "shortName") == "pm2p5" and eccodes.codes_get(message, "units") == "kg m**-3"
    eccodes.codes_release(message)


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("options", [{}, {"hours": 3}, {"south_first": True}])
def test_grib_is_read_as_netcdf_is(tmp_path, edition, options):
    values = concentrations()
    (tmp_path / "a.nc").write_bytes(grib(TIMES, values, edition=edition, **options))  # names are not asked
    (tmp_path / "b.nc").write_bytes(netcdf(TIMES, values, grid=BOX))
    array, same = read_cams(tmp_path / "a.nc"), read_cams(tmp_path / "b.nc")
    np.testing.assert_allclose(array, values, atol=1e-4)
    assert array.attrs == same.attrs and array.name == "pm25" and array.dtype == np.float32
    for axis in ("time", "latitude", "longitude"):
        np.testing.assert_array_equal(array[axis], same[axis])


@pytest.mark.parametrize("edition", [1, 2])
def test_the_globe_begins_at_greenwich(tmp_path, edition):
    globe = coarse_globe()
    values = concentrations(1, globe)
    turned = type(globe)(globe.latitude, np.arange(480) * 0.75, 0.75)
    (tmp_path / "f.grib").write_bytes(grib(TIMES[:1], np.roll(values, -240, axis=-1), edition=edition, grid=turned))
    array = read_cams(tmp_path / "f.grib")
    np.testing.assert_allclose(array, values, atol=1e-4)
    np.testing.assert_array_equal(array.longitude, globe.longitude)


def test_a_box_across_greenwich(tmp_path):
    grid = coarse_grid(Region(30.0, -3.0, 24.0, 6.0))
    values = concentrations(1, grid)
    (tmp_path / "f.grib").write_bytes(grib(TIMES[:1], values, grid=grid))
    array = read_cams(tmp_path / "f.grib")
    np.testing.assert_allclose(array, values, atol=1e-4)
    np.testing.assert_array_equal(array.longitude, grid.longitude)


def test_missing_values_and_noise_below_zero_stay(tmp_path):
    values = concentrations(2)
    values[0, 2:4, 3] = np.nan
    values[1, 0, 0] = -0.3
    (tmp_path / "f.grib").write_bytes(grib(TIMES[:2], values))
    array = read_cams(tmp_path / "f.grib")
    np.testing.assert_array_equal(np.isnan(array), np.isnan(values))
    assert array.values[1, 0, 0] == pytest.approx(-0.3, abs=1e-3)


def test_the_variable_is_found_among_others(tmp_path):
    values = concentrations()
    mixed = grib(TIMES, values + 50, number=210074) + grib(TIMES, values) + grib(TIMES, values + 70, number=210072)
    (tmp_path / "f.grib").write_bytes(mixed)
    np.testing.assert_allclose(read_cams(tmp_path / "f.grib"), values, atol=1e-4)
    pm10 = read_cams(tmp_path / "f.grib", pollutant=POLLUTANTS["pm10"])
    np.testing.assert_allclose(pm10, values + 50, atol=1e-4)


@pytest.mark.parametrize(("name", "number"), [("o3", 210203), ("no2", 210121), ("co", 210123), ("so2", 210122)])
def test_gases_by_their_numbers(tmp_path, name, number):
    pollutant = POLLUTANTS[name]
    ratio = 20.0 * concentrations(2) * pollutant.molar_mass / 28.9644  # 1e-9 kg kg-1
    (tmp_path / "f.grib").write_bytes(grib(TIMES[:2], ratio, number=number, level=60))
    array = read_cams(tmp_path / "f.grib", pollutant=pollutant)
    assert array.name == name and array.attrs["units"] == "nmol mol-1"
    np.testing.assert_allclose(array, 20.0 * concentrations(2), rtol=1e-4)


def test_in_a_zip_archive_beside_other_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr("data_sfc.grib", grib(TIMES, concentrations()))
        archive.writestr("other.grib", grib(TIMES, concentrations(), number=210074))
        archive.writestr("readme.txt", "words")
    np.testing.assert_allclose(read_cams(tmp_path / "f.zip"), concentrations(), atol=1e-4)


def test_times_out_of_order_and_twice(tmp_path):
    order = [2, 0, 1]
    (tmp_path / "f.grib").write_bytes(grib(TIMES[order], concentrations()[order]))
    np.testing.assert_allclose(read_cams(tmp_path / "f.grib"), concentrations(3), atol=1e-4)
    (tmp_path / "f.grib").write_bytes(grib(TIMES[[0, 1, 1]], concentrations(3)))
    with pytest.raises(DeepcamsError, match="2018-01-01 03:00 is there more than once"):
        read_cams(tmp_path / "f.grib")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: grib(TIMES, concentrations())[:-5], "truncated or damaged"),
        (lambda: grib(TIMES, concentrations())[:500], "truncated or damaged"),
        (lambda: grib(TIMES, concentrations()) + b"GRIB", "truncated or damaged"),
        (lambda: grib(TIMES, concentrations()) + bytes(40), "truncated or damaged"),
        (lambda: b"GRIB" + bytes(200), "truncated or damaged"),
        (lambda: b"GRIB\xff\xff\xff\x02" + b"\xff" * 200, "truncated or damaged"),
        (lambda: grib(TIMES, concentrations(), number=210074), "holds no variable pm2p5; it holds pm10"),
        (
            lambda: grib(TIMES[:1], concentrations(1), level=60) + grib(TIMES[1:2], concentrations(1), level=59),
            "levels",
        ),
        (lambda: grib(TIMES[:2], concentrations(2), scale=1.0), "units cannot be 'kg m"),
        (lambda: grib(TIMES[:2], 0 * concentrations(2)), "same value everywhere"),
    ],
)
def test_faults(tmp_path, content, words):
    path = tmp_path / "f.grib"
    path.write_bytes(content())
    with pytest.raises(DeepcamsError, match=words) as caught:
        read_cams(path)
    assert str(path) in str(caught.value)


def test_without_ecCodes_the_remedy_is_told(tmp_path, monkeypatch):
    (tmp_path / "f.nc").write_bytes(grib(TIMES, concentrations()))
    monkeypatch.setitem(sys.modules, "eccodes", None)
    with pytest.raises(DeepcamsError, match=r"ecCodes, which reads it, is not installed.*deepcams\[grib\]"):
        read_cams(tmp_path / "f.nc")


def test_what_an_archive_unpacks_to_is_bounded(tmp_path, monkeypatch):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data_sfc.nc", bytes(3_000_000))
    (tmp_path / "bomb.nc").write_bytes(stream.getvalue())
    monkeypatch.setattr(delivered, "_LARGEST", 2_000_000)
    with pytest.raises(DeepcamsError, match=r"bomb\.nc is a zip archive of 0.0 GB, more than is unpacked"):
        read_cams(tmp_path / "bomb.nc")
    # One that states a smaller size than it has is not read past that.
    lying = stream.getvalue().replace((3_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little"))
    (tmp_path / "bomb.nc").write_bytes(lying)
    with pytest.raises(DeepcamsError, match="truncated or damaged"):
        read_cams(tmp_path / "bomb.nc")
