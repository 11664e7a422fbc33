"""Reading what the Atmosphere Data Store delivers: every layout, and every way in which a file can be wrong."""

import zipfile

import netCDF4
import numpy as np
import pytest
from scipy.io import netcdf_file

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding, write_field
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid
from deepcams.sources.cams import link_month, read_cams, require_frames, retrieve_month
from deepcams.sources.checks import magic, require_same_origin
from deepcams.sources.delivered import open_field

BOX = coarse_grid(Region(30.0, 90.0, 22.5, 99.0))
START = np.datetime64("2018-01-01T00:00:00", "s")


def analyses(count, start=START):
    return start + np.timedelta64(3, "h") * np.arange(count)


def concentrations(count, grid=BOX):
    """(T, H, W) ug m-3 whose value tells time, latitude and longitude apart; the workflow's order."""
    row, column = np.meshgrid(grid.latitude, grid.longitude, indexing="ij")
    return 5 + np.arange(count)[:, None, None] + (row + 90) / 100 + (column + 180) / 1000


def write(path, times, values, *, layout="era5", grid=BOX, name="pm2p5", units="kg m**-3", scale=1e-9, attributes=None):
    """A file as the 2024 converter makes it: `layout` era5 (valid_time is the dimension) or default (time is)."""
    dimension = "valid_time" if layout == "era5" else "time"
    seconds = times.astype("datetime64[s]").astype(np.int64)
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts({"Conventions": "CF-1.7", **(attributes or {})})
        for axis, size in ((dimension, len(times)), ("latitude", grid.shape[0]), ("longitude", grid.shape[1])):
            dataset.createDimension(axis, size)
        for axis in ("latitude", "longitude"):
            dataset.createVariable(axis, "f8", (axis,), fill_value=np.nan)[:] = getattr(grid, axis)
        dataset.createVariable("number", "i8", ())[...] = 0
        time = dataset.createVariable(dimension, "i8", (dimension,))
        time.setncatts({"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"})
        time[:] = seconds
        if layout == "era5":
            time.standard_name = "time"
            expver = dataset.createVariable("expver", str, (dimension,))
            expver[:] = np.array(["0001"] * len(times), dtype=object)
        else:
            time.standard_name = "forecast_reference_time"
            dataset.createVariable("step", "f8", ())[...] = 0.0
            dataset.createVariable("surface", "f8", ())[...] = 0.0
            valid = dataset.createVariable("valid_time", "f8", (dimension,), fill_value=np.nan)
            valid.setncatts({"units": "seconds since 1970-01-01T00:00:00", "standard_name": "time"})
            valid[:] = seconds
        field = dataset.createVariable(name, "f4", (dimension, "latitude", "longitude"), zlib=True, fill_value=np.nan)
        if units is not None:
            field.units = units
        field[:] = values * scale
    return path


def write_packed(path, times, values, grid=BOX):
    """netCDF-3 of before September 2024: 16-bit integers, hours since 1900."""
    offset, step = values.min() * 1e-9, (values.max() - values.min()) * 1e-9 / 60000
    with netcdf_file(path, "w", version=2) as dataset:
        for axis, size in (("longitude", grid.shape[1]), ("latitude", grid.shape[0]), ("time", len(times))):
            dataset.createDimension(axis, size)
        for axis in ("longitude", "latitude"):
            dataset.createVariable(axis, "f4", (axis,))[:] = getattr(grid, axis)
        time = dataset.createVariable("time", "i4", ("time",))
        time.units = "hours since 1900-01-01 00:00:00.0"
        time.calendar = "gregorian"
        time[:] = (times - np.datetime64("1900-01-01T00:00:00", "s")) // np.timedelta64(1, "h")
        field = dataset.createVariable("pm2p5", "i2", ("time", "latitude", "longitude"))
        field.units = "kg m**-3"
        field.scale_factor, field.add_offset = step, offset
        field._FillValue = np.int16(-32767)
        field.missing_value = np.int16(-32767)
        packed = np.rint((values * 1e-9 - offset) / step) - 30000
        field.add_offset = offset + 30000 * step
        packed[np.isnan(packed)] = -32767
        field[:] = packed.astype(np.int16)
    return path


@pytest.mark.parametrize("layout", ["era5", "default"])
@pytest.mark.parametrize("count", [1, 9])
def test_both_layouts_of_the_converter(tmp_path, layout, count):
    values = concentrations(count)
    array = read_cams(write(tmp_path / "data_sfc.nc", analyses(count), values, layout=layout))
    assert array.dims == ("time", "latitude", "longitude") and array.dtype == np.float32 and array.name == "pm25"
    assert array.attrs["units"] == "ug m-3" and array.attrs["cell_methods"] == "time: point"
    assert "synthetic" not in array.attrs
    np.testing.assert_array_equal(array.time.values.astype("datetime64[s]"), analyses(count))
    np.testing.assert_allclose(array, values, rtol=1e-6)
    assert set(array.coords) == {"time", "latitude", "longitude"}


def test_packed_netcdf3(tmp_path):
    values = concentrations(4)
    array = read_cams(write_packed(tmp_path / "old.nc", analyses(4), values))
    np.testing.assert_allclose(array, values, atol=1e-4)
    np.testing.assert_array_equal(array.time.values.astype("datetime64[s]"), analyses(4))


@pytest.mark.parametrize("writer", [write, write_packed])
def test_zip_is_told_by_its_bytes_not_its_name(tmp_path, writer):
    inner = writer(tmp_path / "data_sfc.nc", analyses(2), concentrations(2))
    other = write(tmp_path / "data_plev.nc", analyses(2), concentrations(2), name="co")
    with zipfile.ZipFile(tmp_path / "named.nc", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(inner, "data_sfc.nc")
        archive.write(other, "data_plev.nc")
    np.testing.assert_allclose(read_cams(tmp_path / "named.nc"), concentrations(2), atol=1e-4)


def test_scalar_time_of_a_single_frame(tmp_path):
    with netCDF4.Dataset(tmp_path / "one.nc", "w") as dataset:
        for axis in ("latitude", "longitude"):
            dataset.createDimension(axis, len(getattr(BOX, axis)))
            dataset.createVariable(axis, "f8", (axis,))[:] = getattr(BOX, axis)
        dataset.createVariable("valid_time", "i8", ()).units = "hours since 2018-01-01"
        dataset["valid_time"][...] = 6
        field = dataset.createVariable("pm2p5", "f4", ("latitude", "longitude"))
        field.units = "kg m-3"
        field[:] = concentrations(1)[0] * 1e-9
    array = read_cams(tmp_path / "one.nc")
    assert array.shape == (1, *BOX.shape) and array.time.values[0] == np.datetime64("2018-01-01T06:00")


def test_longitudes_from_0_to_360_and_south_first_become_the_workflows_order(tmp_path):
    globe = coarse_globe()
    values = concentrations(1, globe)
    turned = type(globe)(globe.latitude[::-1], np.arange(480) * 0.75, 0.75)
    delivered = np.roll(values, -240, axis=-1)[:, ::-1]
    array = read_cams(write(tmp_path / "f.nc", analyses(1), delivered, grid=turned))
    np.testing.assert_allclose(array, values, rtol=1e-6)
    np.testing.assert_array_equal(array.latitude, globe.latitude)
    np.testing.assert_array_equal(array.longitude, globe.longitude)


def test_negative_packing_noise_and_missing_values_stay(tmp_path):
    values = concentrations(3)
    values[0, 0, 0] = -0.37
    values[1, 2:5, 3:6] = np.nan
    array = read_cams(write(tmp_path / "f.nc", analyses(3), values))
    assert array.values[0, 0, 0] == pytest.approx(-0.37)
    np.testing.assert_array_equal(np.isnan(array), np.isnan(values))


def test_unsorted_times_are_sorted(tmp_path):
    order = [2, 0, 1]
    array = read_cams(write(tmp_path / "f.nc", analyses(3)[order], concentrations(3)[order]))
    np.testing.assert_allclose(array, concentrations(3), rtol=1e-6)


@pytest.mark.parametrize("units", ["kg m**-3", "kg m-3", " kg  m-3 ", "kg/m3"])
def test_spellings_of_kg(tmp_path, units):
    array = read_cams(write(tmp_path / "f.nc", analyses(1), concentrations(1), units=units))
    np.testing.assert_allclose(array, concentrations(1), rtol=1e-6)


@pytest.mark.parametrize("units", ["ug m-3", "µg/m³", "μg m**-3"])
def test_micrograms_are_accepted_by_name(tmp_path, units):
    array = read_cams(write(tmp_path / "f.nc", analyses(1), concentrations(1), units=units, scale=1.0))
    np.testing.assert_allclose(array, concentrations(1), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"units": None}, "no `units`"),
        ({"units": "mol mol-1"}, "'mol mol-1'"),
        ({"units": "g m-3"}, "'g m-3'"),
        ({"units": "ug m-3"}, "units cannot be 'ug m-3'"),  # numbers are kg
        ({"scale": 1.0}, "units cannot be 'kg m"),  # numbers are µg
        ({"name": "pm10"}, "no variable pm2p5; it holds pm10"),
    ],
)
def test_wrong_units_or_variable(tmp_path, options, words):
    path = write(tmp_path / "f.nc", analyses(2), concentrations(2), **options)
    with pytest.raises(DeepcamsError, match=words) as caught:
        read_cams(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("step", "offset", "words"), [(0.5, 0.0, "0.75°"), (0.25, 0.0, "0.75°"), (0.75, 0.3, "not the nodes")]
)
def test_wrong_grid(tmp_path, step, offset, words):
    grid = type(BOX)(30 + offset - step * np.arange(11), 90 + step * np.arange(13), step)
    with pytest.raises(DeepcamsError, match=words):
        read_cams(write(tmp_path / "f.nc", analyses(1), concentrations(1, grid), grid=grid))


def test_missing_coordinates_are_no_grid(tmp_path):
    longitude = BOX.longitude.copy()
    longitude[4] = np.nan
    path = write(tmp_path / "f.nc", analyses(1), concentrations(1), grid=type(BOX)(BOX.latitude, longitude, 0.75))
    with pytest.raises(DeepcamsError, match="missing values"):
        read_cams(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("writer", [write, write_packed])
def test_truncated(tmp_path, writer, share):
    path = writer(tmp_path / "f.nc", analyses(3), concentrations(3))
    whole = path.read_bytes()
    path.write_bytes(whole[: min(int(len(whole) * share), len(whole) - 8)])
    with pytest.raises(DeepcamsError, match=r"again\.") as caught:
        read_cams(path)
    assert str(path) in str(caught.value)


def test_damaged_in_the_middle(tmp_path):
    path = write(tmp_path / "f.nc", analyses(3), concentrations(3) + np.random.default_rng(0).random((3, *BOX.shape)))
    with netCDF4.Dataset(path) as dataset:
        assert dataset["pm2p5"].filters()["zlib"]
    content = bytearray(path.read_bytes())
    start = content.rfind(b"\x78", 0, len(content) - 100)
    content[start : start + 60] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(DeepcamsError):
        read_cams(path)


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_truncated_zip(tmp_path, share):
    inner = write(tmp_path / "data_sfc.nc", analyses(2), concentrations(2))
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.write(inner, "data_sfc.nc")
    whole = (tmp_path / "f.zip").read_bytes()
    (tmp_path / "f.zip").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DeepcamsError, match="zip archive that is truncated or damaged"):
        read_cams(tmp_path / "f.zip")


def test_zip_without_the_variable(tmp_path):
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(DeepcamsError, match=r"readme\.txt"):
        read_cams(tmp_path / "f.zip")


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"\n<!DOCTYPE html><html><body>Please log in</body></html>", "html", "HTML page instead of data"),
        (b"GRIB\x00\x00\x00\x01" + bytes(100), "grib", "truncated or damaged"),
        (b'{"title": "required licences not accepted"}', "text", "error message"),
        (b"", "empty", "empty"),
        (b"\x1f\x8b\x08" + bytes(50), "gzip", "gunzip"),
        (b"something else", "unknown", "not a NetCDF file"),
    ],
)
def test_files_that_are_something_else(tmp_path, content, kind, words):
    path = tmp_path / "f.nc"
    path.write_bytes(content)
    assert magic(path) == kind
    with pytest.raises(DeepcamsError, match=words):
        read_cams(path)


def test_no_file(tmp_path):
    with pytest.raises(DeepcamsError, match="does not exist"):
        read_cams(tmp_path / "nowhere.nc")


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_frames_are_listed(tmp_path, value):
    values = concentrations(4)
    values[1:3] = value
    values[1, 3, 3] = np.nan
    with pytest.raises(DeepcamsError, match="same value everywhere at 2018-01-01 03:00, 2018-01-01 06:00"):
        read_cams(write(tmp_path / "f.nc", analyses(4), values))


def test_nothing_but_missing_values(tmp_path):
    with pytest.raises(DeepcamsError, match="nothing but missing"):
        read_cams(write(tmp_path / "f.nc", analyses(2), np.full((2, *BOX.shape), np.nan)))


def test_repeated_times(tmp_path):
    with pytest.raises(DeepcamsError, match="2018-01-01 03:00 is there more than once"):
        read_cams(write(tmp_path / "f.nc", analyses(3)[[0, 1, 1]], concentrations(3)))


@pytest.mark.parametrize("minutes", [30, 60])
def test_times_that_are_no_analyses(tmp_path, minutes):
    with pytest.raises(DeepcamsError, match="no analysis time"):
        read_cams(write(tmp_path / "f.nc", analyses(2) + np.timedelta64(minutes, "m"), concentrations(2)))


def test_an_extra_dimension_is_refused(tmp_path):
    path = write(tmp_path / "f.nc", analyses(2), concentrations(2))
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.renameVariable("pm2p5", "old")
        dataset.createDimension("level", 3)
        dataset.createVariable("pm2p5", "f4", ("valid_time", "level", "latitude", "longitude")).units = "kg m-3"
    with pytest.raises(DeepcamsError, match="varies along level"):
        read_cams(path)


def test_require_frames_lists_what_is_missing(tmp_path):
    array = read_cams(write(tmp_path / "f.nc", analyses(8), concentrations(8)))
    require_frames(array, analyses(8), "f.nc")
    with pytest.raises(DeepcamsError, match=r"f.nc lacks 8 of 16 analyses: 2018-01-02 00:00, .*\(8 in all\)"):
        require_frames(array, analyses(16), "f.nc")


def months(tmp_path, first=249, second=2, **options):
    """January with `first` frames and February with `second`, all on one clock."""
    values = concentrations(248 + second)
    write(tmp_path / "2018-01.nc", analyses(first), values[:first], **options)
    write(tmp_path / "2018-02.nc", analyses(248 + second)[248:], values[248:], **options)
    return str(tmp_path / "{year}-{month}.nc"), values


def test_month_with_its_own_last_frame(tmp_path):
    path, values = months(tmp_path)
    array = retrieve_month("local", Month(2018, 1), path=path)
    np.testing.assert_allclose(array, values[:249], rtol=1e-6)


def test_last_frame_from_the_next_months_file_and_crop(tmp_path):
    path, values = months(tmp_path, first=248, attributes={"synthetic": "made up"})
    grid = coarse_grid(Region(28.5, 91.5, 24.0, 96.0))
    array = retrieve_month("nature_run", Month(2018, 1), path=path, grid=grid)
    np.testing.assert_array_equal(array.time.values.astype("datetime64[s]"), Month(2018, 1).analyses())
    np.testing.assert_allclose(array, values[:249, 2:9, 2:9], rtol=1e-6)
    assert array.attrs["synthetic"] == "made up"


def test_a_month_says_which_files_it_was_read_from(tmp_path):
    path, _ = months(tmp_path, first=248)
    digests = {number: sha256(tmp_path / f"2018-0{number}.nc") for number in (1, 2)}
    both = retrieve_month("local", Month(2018, 1), path=path)
    assert both.attrs["source_files"] == f"2018-01.nc sha256:{digests[1]}; 2018-02.nc sha256:{digests[2]}"
    # Months in folders of years, one of them past its own last frame; no two files of a record have one name.
    folder = tmp_path / "eac4" / "2018"
    folder.mkdir(parents=True)
    write(folder / "01.nc", analyses(249), concentrations(249))
    pattern = str(tmp_path / "eac4" / "{year}" / "{month}.nc")
    own = retrieve_month("local", Month(2018, 1), path=pattern)
    assert own.attrs["source_files"] == f"2018/01.nc sha256:{sha256(folder / '01.nc')}"


def test_region_across_the_date_line_is_cut_from_a_global_file(tmp_path):
    globe = coarse_globe()
    turned = type(globe)(globe.latitude, np.arange(480) * 0.75, 0.75)
    values = concentrations(249, globe)
    write(tmp_path / "2018-01.nc", analyses(249), np.roll(values, -240, axis=-1), grid=turned)
    grid = coarse_grid(Region(-9.0, 177.0, -21.0, 183.0))
    array = retrieve_month("local", Month(2018, 1), path=str(tmp_path / "{year}-{month}.nc"), grid=grid)
    assert array.longitude.values[-1] == 183.0 and array.shape == (249, *grid.shape)
    columns = np.r_[476:480, 0:5]  # 177 … 179.25, -180 … -177
    np.testing.assert_allclose(array, values[:, 132:149][:, :, columns], rtol=1e-6)


def test_last_frame_may_be_missing_only_at_the_records_end(tmp_path):
    path, values = months(tmp_path, first=248)
    (tmp_path / "2018-02.nc").unlink()
    with pytest.raises(DeepcamsError, match="2018-02-01 00:00"):
        retrieve_month("local", Month(2018, 1), path=path)
    array = retrieve_month("local", Month(2018, 1), path=path, record_end=True)
    np.testing.assert_allclose(array, values[:248], rtol=1e-6)


def test_month_with_a_gap(tmp_path):
    keep = np.delete(np.arange(249), [10, 11])
    write(tmp_path / "2018-01.nc", analyses(249)[keep], concentrations(249)[keep])
    with pytest.raises(DeepcamsError, match="lacks 2 of 248 analyses: 2018-01-02 06:00, 2018-01-02 09:00"):
        retrieve_month("local", Month(2018, 1), path=str(tmp_path / "{year}-{month}.nc"))


def test_month_faults(tmp_path):
    path, _ = months(tmp_path, first=248)
    with pytest.raises(DeepcamsError, match="does not cover the region"):
        retrieve_month("local", Month(2018, 1), path=path, grid=coarse_grid(Region(45.0, 91.5, 24.0, 96.0)))
    with pytest.raises(DeepcamsError, match=r"2018-03\.nc does not exist"):
        retrieve_month("local", Month(2018, 3), path=path)
    with pytest.raises(DeepcamsError, match="does not lie on this disk"):
        retrieve_month("ads", Month(2018, 1), path=path)


def test_synthetic_and_real_months_do_not_mix(tmp_path):
    path, values = months(tmp_path, first=248)
    write(tmp_path / "2018-02.nc", analyses(1) + np.timedelta64(31, "D"), values[:1], attributes={"synthetic": "yes"})
    with pytest.raises(DeepcamsError, match=r"must not be mixed.*2018-02\.nc"):
        retrieve_month("local", Month(2018, 1), path=path)


def own_month(tmp_path, count=249, encoding=None, name="pm25", region=(28.5, 91.5, 24.0, 96.0)):
    """A month file of the workflow itself, in a folder of its own; the pattern of such files."""
    tmp_path.mkdir(exist_ok=True)
    months(tmp_path)
    grid = coarse_grid(Region(*region))
    field = retrieve_month("local", Month(2018, 1), path=str(tmp_path / "{year}-{month}.nc"), grid=grid)[:count]
    field.attrs.pop("source_files")
    write_field(tmp_path / "own" / "2018-01.nc", field.rename(name), encoding or Encoding())
    return str(tmp_path / "own" / "{year}-{month}.nc"), grid


def test_a_month_file_of_the_workflow_is_linked(tmp_path):
    path, grid = own_month(tmp_path)
    field = retrieve_month("local", Month(2018, 1), path=path, grid=grid)
    assert link_month(field, Month(2018, 1), path, tmp_path / "out" / "2018-01.nc")
    assert (tmp_path / "out" / "2018-01.nc").is_symlink()
    np.testing.assert_array_equal(read_cams(tmp_path / "out" / "2018-01.nc"), field)
    # At the record's end, where the next day is not there.
    path, grid = own_month(tmp_path / "end", count=248)
    (tmp_path / "end" / "2018-02.nc").unlink()
    field = retrieve_month("local", Month(2018, 1), path=path, grid=grid, record_end=True)
    assert link_month(field, Month(2018, 1), path, tmp_path / "out" / "end.nc")


@pytest.mark.parametrize("case", ["box", "frames", "encoding", "variable", "delivery", "itself"])
def test_other_files_are_not_linked(tmp_path, case):
    options = {
        "encoding": {"encoding": Encoding(time_chunk=12)},
        "frames": {"count": 248},
        "variable": {"name": "pm2p5"},
    }
    path, grid = own_month(tmp_path, **options.get(case, {}))
    out = tmp_path / "out.nc"
    if case == "box":
        grid = coarse_grid(Region(28.5, 91.5, 24.75, 96.0))
    if case == "frames":
        write(tmp_path / "own" / "2018-02.nc", analyses(249)[248:], concentrations(249)[248:])
    if case == "delivery":
        path, grid = str(tmp_path / "{year}-{month}.nc"), None
    if case == "itself":
        out = tmp_path / "own" / "2018-01.nc"
    field = retrieve_month("local", Month(2018, 1), path=path, grid=grid)
    assert not link_month(field, Month(2018, 1), path, out)
    assert not out.is_symlink()


def test_require_same_origin():
    assert require_same_origin({"a": {}, "b": {"units": "1"}}) is None
    assert require_same_origin({"a": {"synthetic": "s"}, "b": {"synthetic": "s"}}) == "s"
    with pytest.raises(DeepcamsError, match="b come from the nature run, a, c do not"):
        require_same_origin({"a": {}, "b": {"synthetic": "s"}, "c": {}})


@pytest.mark.real
def test_real_sample(real_samples):
    path = real_samples / "cams_eac4_pm25_20191231T15_20200101T00.nc"
    array = read_cams(path)
    with netCDF4.Dataset(path) as dataset:
        raw = np.asarray(dataset["pm2p5"][:], dtype=np.float64) * 1e9
    assert array.shape == (4, 241, 480)
    np.testing.assert_array_equal(array.values, np.roll(raw, 240, axis=-1).astype(np.float32))
    np.testing.assert_array_equal(array.longitude, coarse_globe().longitude)
    assert array.time.values[0] == np.datetime64("2019-12-31T15:00")
    assert 3600 < float(array.max()) < 3660 and 0.10 < float((array <= 1e-6).mean()) < 0.14


def test_clean_air_of_a_box_may_be_nought_everywhere_but_polluted_air_may_not(tmp_path):
    """Packing leaves whole frames of zeros over clean oceans and ice; over a polluted box they are failed transfers."""
    values = np.zeros((3, *BOX.shape))
    values[0, 2, 3] = 0.8  # one packing step or two, somewhere
    values[2, 4:6] = 1.2
    clean = read_cams(write(tmp_path / "clean.nc", analyses(3), values))
    assert (clean.values[1] == 0).all()
    with pytest.raises(DeepcamsError, match="same value everywhere at 2018-01-01 03:00"):
        read_cams(write(tmp_path / "polluted.nc", analyses(3), values * 40))


def test_a_frame_of_an_archived_month_fits_into_the_cache_of_chunks(tmp_path):
    """Files in memory get 1 MB; a global month, whose chunks are of 128 frames, was decoded anew for every frame."""
    path = write(tmp_path / "data_sfc.nc", analyses(1), concentrations(1, coarse_globe()), grid=coarse_globe())
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.write(path, "data_sfc.nc")
    with open_field(tmp_path / "f.zip", ("pm2p5",), 0.75, "CAMS EAC4") as field:
        chunk = field.variable.chunking()
        frame = -(-241 // chunk[1]) * -(-480 // chunk[2]) * int(np.prod(chunk)) * 4
        field.frame(0)
        assert field.variable.get_var_chunk_cache()[0] >= frame
