"""Reading GEOS-CF files laid out like NASA's portal, hour by hour."""

import logging
import time as clock

import netCDF4
import numpy as np
import pytest

from deepcams.calendar import Month
from deepcams.config.source_conditions import VERSION_2
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import read_field
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.pollutants import POLLUTANTS
from deepcams.sources.checks import require_same_version
from deepcams.sources.geoscf import month_attributes, month_grid, read_geoscf, read_month, survey_month
from deepcams.sources.geoscf_month import retrieve_month
from deepcams.sources.geoscf_names import (
    HOURLY_MEANS,
    HOURLY_MEANS_V2,
    INSTANTS,
    portal_path,
    portal_paths,
    variable_names,
)

BOX = refine(coarse_grid(Region(30.0, 90.0, 27.0, 94.5)))
MONTH = Month(2018, 2)  # the shortest
HOURS = 24 * MONTH.days
FIRST = np.datetime64("2018-02-01T00:30:00", "s")


def concentrations(grid=BOX, number=0):
    row, column = np.meshgrid(grid.latitude, grid.longitude, indexing="ij")
    return (5 + number + (row + 90) / 100 + (column + 180) / 1000).astype(np.float32)


def write(
    path,
    times,
    values,
    *,
    grid=BOX,
    name="PM25_RH35_GCC",
    units="ug m-3",
    fill=1e15,
    attributes=None,
    since="minutes since 2018-01-01 00:30:00",
):
    """One file of the portal: (time, lev, lat, lon), south to north; values (T, H, W) in the workflow's order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.atleast_1d(times)
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts({"Institution": "NASA Global Modeling and Assimilation Office", **(attributes or {})})
        for axis, size in (("time", len(times)), ("lev", 1), ("lat", grid.shape[0]), ("lon", grid.shape[1])):
            dataset.createDimension(axis, size)
        dataset.createVariable("lat", "f8", ("lat",))[:] = grid.latitude[::-1]
        dataset.createVariable("lon", "f8", ("lon",))[:] = grid.longitude
        dataset.createVariable("lev", "f8", ("lev",))[:] = 72
        stamps = dataset.createVariable("time", "f8" if since.startswith("days") else "i4", ("time",))
        stamps.units = since
        origin = np.datetime64("2018-01-01T00:30:00", "s")
        minutes = (times - origin) / np.timedelta64(60, "s")
        # Day 736696 of a GrADS server is 2018-01-01 (day 739888.354 is 2026-09-28 08:30), not the proleptic 3rd.
        stamps[:] = 736696 + (30 + minutes) / 1440 + 3e-11 if since.startswith("days") else minutes
        field = dataset.createVariable(name, "f4", ("time", "lev", "lat", "lon"), fill_value=fill, zlib=True)
        field.set_auto_maskandscale(False)
        if units is not None:
            field.units = units
        field[:] = np.asarray(values, dtype=np.float32).reshape(len(times), 1, *grid.shape)[:, :, ::-1]
    return path


def hour(number, collection=HOURLY_MEANS):
    start = FIRST if collection == HOURLY_MEANS else FIRST - np.timedelta64(30, "m")
    return start + np.timedelta64(number, "h")


def write_hour(root, number, *, collection=HOURLY_MEANS, tree="ana", values=None, **options):
    time = hour(number, collection)
    values = concentrations(number=number % 24) if values is None else values
    return write(root / portal_path(time, collection, tree), time, values, **options)


def write_month(root, *, collection=HOURLY_MEANS, count=HOURS, skip=(), **options):
    for number in range(count):
        if number not in skip:
            write_hour(root, number, collection=collection, **options)
    return root


@pytest.fixture(scope="module")
def whole_month(tmp_path_factory):
    return write_month(tmp_path_factory.mktemp("portal"), count=HOURS + 1)


def test_portal_path():
    time = np.datetime64("2018-01-01T00:30:00", "s")
    assert portal_path(time, HOURLY_MEANS) == (
        "geos-cf/v1/ana/Y2018/M01/D01/GEOS-CF.v01.rpl.aqc_tavg_1hr_g1440x721_v1.20180101_0030z.nc4"
    )
    assert portal_path(np.datetime64("2020-12-31T23:00", "s"), INSTANTS, "das") == (
        "geos-cf/v1/das/Y2020/M12/D31/GEOS-CF.v01.rpl.htf_inst_15mn_g1440x721_x1.20201231_2300z.nc4"
    )


def test_one_hour(tmp_path):
    array = read_geoscf(write_hour(tmp_path, 0, attributes={"synthetic": "made up"}))
    assert array.dims == ("time", "latitude", "longitude") and array.dtype == np.float32 and array.name == "pm25"
    assert array.attrs["cell_methods"] == "time: mean (interval: 1 hour)" and array.attrs["units"] == "ug m-3"
    assert array.attrs["geoscf_version"] == "v1"
    assert array.attrs["synthetic"] == "made up"
    np.testing.assert_array_equal(array.values[0], concentrations())
    np.testing.assert_array_equal(array.latitude, BOX.latitude)
    np.testing.assert_array_equal(array.longitude, BOX.longitude)
    assert array.time.values[0] == FIRST


def test_instants_are_points(tmp_path):
    assert read_geoscf(write_hour(tmp_path, 0, collection=INSTANTS)).attrs["cell_methods"] == "time: point"


def test_several_hours_in_lower_case_and_crop(tmp_path):
    times = FIRST + np.timedelta64(1, "h") * np.array([2, 0, 1])
    values = np.stack([concentrations(number=n) for n in (2, 0, 1)])
    grid = refine(coarse_grid(Region(29.25, 90.75, 27.75, 93.0)))
    array = read_geoscf(write(tmp_path / "box.nc", times, values, name="pm25_rh35_gcc"), grid)
    np.testing.assert_array_equal(array.values, values[[1, 2, 0]][:, 3:10, 3:13])


def test_days_since_year_one_of_a_grads_server(tmp_path):
    """These have the old calendar, and come 3 microseconds off."""
    path = write(tmp_path / "dods.nc", FIRST, concentrations(), since="days since 1-1-1 00:00:0.0")
    array = read_geoscf(path)
    assert array.time.values[0] == FIRST
    assert array.attrs["geoscf_version"] == "v1"  # told by the variable


@pytest.mark.parametrize("fill", [1e15, None, -9999.0])
def test_fill_values_decoded_or_not_are_missing(tmp_path, fill):
    """OPeNDAP servers lose the attribute that says what 1e15 means."""
    values = concentrations()
    values[2:4, 5:7] = 1e15
    if fill is not None:
        values[6, 6] = fill
    frame = read_geoscf(write(tmp_path / "f.nc", FIRST, values, fill=fill)).values[0]
    expected = (values >= 1e14) | (values < 0)
    np.testing.assert_array_equal(np.isnan(frame), expected)
    np.testing.assert_array_equal(frame[~expected], concentrations()[~expected])


def test_undecoded_fill_in_a_file_in_kg(tmp_path):
    values = concentrations() * 1e-9
    values[0, 0] = 1e15
    values[0, 1] = np.float32(9.96921e36)
    frame = read_geoscf(write(tmp_path / "f.nc", FIRST, values, units="kg m-3", fill=None)).values[0]
    assert np.isnan(frame[0, :2]).all()
    np.testing.assert_allclose(frame[1:], concentrations()[1:], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "factor", "words"),
    [
        ({"units": None}, 1, "no `units`"),
        ({"units": "mol mol-1"}, 1, "'mol mol-1'"),
        ({"units": "kg m-3"}, 1, "units cannot be"),
        ({"units": "ug m-3"}, 1e-9, "units cannot be"),
        ({"name": "PM25_RH35_GOCART"}, 1, "no variable PM25_RH35_GCC; it holds PM25_RH35_GOCART"),
        ({}, 0, "same value everywhere"),
    ],
)
def test_wrong_content(tmp_path, options, factor, words):
    path = write(tmp_path / "f.nc", FIRST, concentrations() * factor, **options)
    with pytest.raises(DeepcamsError, match=words) as caught:
        read_geoscf(path)
    assert str(path) in str(caught.value)


def test_constant(tmp_path):
    with pytest.raises(DeepcamsError, match="same value everywhere"):
        read_geoscf(write(tmp_path / "f.nc", FIRST, np.full(BOX.shape, 3.0)))


@pytest.mark.parametrize("step", [0.5, 0.75])
def test_wrong_grid(tmp_path, step):
    grid = type(BOX)(30 - step * np.arange(9), 90 + step * np.arange(9), step)
    with pytest.raises(DeepcamsError, match=r"expected|0\.25"):
        read_geoscf(write(tmp_path / "f.nc", FIRST, concentrations(grid), grid=grid))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95, 1.0])
def test_truncated(tmp_path, share):
    path = write_hour(tmp_path, 0)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(int(len(whole) * share), len(whole) - 1)])
    with pytest.raises(DeepcamsError, match=r"again\."):
        read_geoscf(path)


def test_login_page(tmp_path):
    path = tmp_path / "f.nc4"
    path.write_text("<html><title>Earthdata Login</title></html>")
    with pytest.raises(DeepcamsError, match="login"):
        read_geoscf(path)


@pytest.mark.parametrize("shift", [30, 60, 1440])
def test_time_is_not_that_of_the_name(tmp_path, shift):
    path = write(tmp_path / portal_path(FIRST, HOURLY_MEANS), FIRST + np.timedelta64(shift, "m"), concentrations())
    with pytest.raises(DeepcamsError, match="file's name says 2018-02-01 00:30"):
        read_geoscf(path)


@pytest.mark.parametrize("minutes", [15, 45])
def test_stamps_that_are_neither_means_nor_instants(tmp_path, minutes):
    path = write(tmp_path / "f.nc", FIRST + np.timedelta64(minutes, "m"), concentrations())
    with pytest.raises(DeepcamsError, match="neither means"):
        read_geoscf(path)


def test_repeated_times(tmp_path):
    path = write(tmp_path / "f.nc", np.array([FIRST, FIRST]), np.stack([concentrations()] * 2))
    with pytest.raises(DeepcamsError, match="more than once"):
        read_geoscf(path)


def test_month_with_the_next_days_first_hour(whole_month):
    started = clock.perf_counter()
    frames = list(read_month(survey_month(whole_month, MONTH, HOURLY_MEANS, 0.0)))
    assert clock.perf_counter() - started < 20  # about 1 s; xarray takes 10
    assert len(frames) == HOURS + 1
    for number, (time, frame) in enumerate(frames):
        assert time == hour(number)
        np.testing.assert_array_equal(frame, concentrations(number=number % 24))


def test_month_cropped(whole_month):
    grid = refine(coarse_grid(Region(29.25, 90.75, 27.75, 93.0)))
    files = survey_month(whole_month, MONTH, HOURLY_MEANS, 0.0)
    assert month_grid(files).shape == BOX.shape and files.missing == []
    time, frame = next(read_month(files, grid))
    assert time == FIRST
    np.testing.assert_array_equal(frame, concentrations()[3:10, 3:13])
    larger = refine(coarse_grid(Region(31.5, 90.75, 27.75, 93.0)))
    with pytest.raises(DeepcamsError, match="does not cover"):
        next(read_month(files, larger))


@pytest.mark.parametrize("kept", ["geos-cf", "geos-cf/v1", "geos-cf/v1/ana"])
def test_root_may_be_any_level_of_the_portal(whole_month, kept):
    assert len(survey_month(whole_month / kept, MONTH, HOURLY_MEANS, 0.0).times) == HOURS + 1


def test_missing_hours_are_nan_frames_counted_and_listed(tmp_path, caplog):
    write_month(tmp_path, skip=(0, 5, 6), collection=INSTANTS)
    write_hour(tmp_path, 6, collection=INSTANTS, tree="das")  # the other tree has it
    with caplog.at_level(logging.WARNING):
        files = survey_month(tmp_path, MONTH, INSTANTS, 2 / HOURS)
    assert "2 of 672 hours are missing: 2018-02-01 00:00, 2018-02-01 05:00" in caplog.text
    frames = list(read_month(files))
    assert len(frames) == HOURS and files.missing == [hour(0, INSTANTS), hour(5, INSTANTS)]
    assert [n for n, (_, frame) in enumerate(frames) if np.isnan(frame).any()] == [0, 5]
    assert all(frame.shape == BOX.shape for _, frame in frames)
    assert month_attributes(files)["cell_methods"] == "time: point"
    with pytest.raises(DeepcamsError, match=r"2 of 672 hours are missing.*max_missing"):
        survey_month(tmp_path, MONTH, INSTANTS, 1.9 / HOURS)


def test_frames_of_nothing_count_as_missing(tmp_path):
    for number in (0, 1, 2):
        write_hour(tmp_path, number, values=np.full(BOX.shape, 1e15) if number else None)
    frames = read_month(survey_month(tmp_path, MONTH, HOURLY_MEANS, 1 - 2 / HOURS))
    next(frames)
    assert np.isnan(next(frames)[1]).all()
    with pytest.raises(DeepcamsError, match=f"{HOURS - 1} of {HOURS} hours are missing"):
        next(frames)


def test_no_files_at_all(tmp_path):
    with pytest.raises(DeepcamsError, match=r"no GEOS-CF files of 2018-02.*20180201_0030z"):
        survey_month(tmp_path, MONTH, HOURLY_MEANS, 1.0)
    with pytest.raises(DeepcamsError, match="choose one of"):
        survey_month(tmp_path, MONTH, "aqc", 1.0)


def test_a_damaged_hour_is_an_error_not_a_gap(tmp_path):
    write_hour(tmp_path, 0)
    path = write_hour(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-100])
    frames = read_month(survey_month(tmp_path, MONTH, HOURLY_MEANS, 1.0))
    next(frames)
    with pytest.raises(DeepcamsError, match=r"0130z\.nc4 is truncated or damaged"):
        next(frames)


def test_synthetic_and_real_hours_do_not_mix(tmp_path):
    write_hour(tmp_path, 0)
    write_hour(tmp_path, 1, attributes={"synthetic": "made up"})
    frames = read_month(survey_month(tmp_path, MONTH, HOURLY_MEANS, 1.0))
    next(frames)
    with pytest.raises(DeepcamsError, match="must not be mixed"):
        next(frames)


def test_canonical_file(tmp_path, whole_month):
    grid = refine(coarse_grid(Region(29.25, 90.75, 27.75, 93.0)))
    options = {"path": whole_month, "collection": HOURLY_MEANS, "grid": grid, "max_missing": 0.0}
    retrieve_month("local", MONTH, tmp_path / "2018-02.nc", **options)
    with read_field(tmp_path / "2018-02.nc") as field:
        assert field.shape == (HOURS + 1, *grid.shape) and field.attrs["cell_methods"].startswith("time: mean")
        assert field.time.values[0] == FIRST and field.time.values[-1] == hour(HOURS)
        np.testing.assert_array_equal(field.values[29], concentrations(number=5)[3:10, 3:13])
        assert field.attrs["long_name"] == "PM2.5 near the surface at 35 % relative humidity, GEOS-CF"
    with netCDF4.Dataset(tmp_path / "2018-02.nc") as dataset:
        assert dataset.geoscf_version == "v1"
    with pytest.raises(DeepcamsError, match="'elsewhere' is not known"):
        retrieve_month("elsewhere", MONTH, tmp_path / "2018-02.nc", **options)


def test_a_month_made_before_is_linked(tmp_path, whole_month):
    options = {"collection": HOURLY_MEANS, "grid": BOX, "max_missing": 0.0}
    made = tmp_path / "made" / "2018-02.nc"
    retrieve_month("local", MONTH, made, path=whole_month, **options)
    out = tmp_path / "raw" / "2018-02.nc"
    retrieve_month("local", MONTH, out, path=made.parent, **options)
    assert out.is_symlink() and out.samefile(made)
    other = refine(coarse_grid(Region(29.25, 90.75, 27.75, 93.0)))
    for changes, words in (
        ({"grid": other}, "9 × 10|7 × 10"),
        ({"collection": INSTANTS}, f"of the collection {HOURLY_MEANS}"),
        ({"pollutant": POLLUTANTS["o3"]}, "o3"),
    ):
        with pytest.raises(DeepcamsError, match=words):
            retrieve_month("local", MONTH, out, path=made.parent, **{**options, **changes})
    (made.parent / "2018-03.nc").write_bytes(made.read_bytes())
    with pytest.raises(DeepcamsError, match="not of the 744 hours of 2018-03"):
        retrieve_month("local", Month(2018, 3), out, path=made.parent, **options)
    made.write_bytes(made.read_bytes()[:-5000])
    with pytest.raises(DeepcamsError, match="damaged"):
        retrieve_month("local", MONTH, out, path=made.parent, **options)


def test_a_month_with_too_many_gaps_is_not_linked(tmp_path):
    write_month(tmp_path / "portal", skip=range(10))
    made, out = tmp_path / "made" / "2018-02.nc", tmp_path / "out.nc"
    options = {"collection": HOURLY_MEANS, "grid": None}
    retrieve_month("local", MONTH, made, path=tmp_path / "portal", max_missing=0.1, **options)
    with pytest.raises(DeepcamsError, match="without 10 hours"):
        retrieve_month("local", MONTH, out, path=made.parent, max_missing=0.01, **options)
    retrieve_month("local", MONTH, out, path=made.parent, max_missing=0.1, **options)
    assert out.is_symlink()


@pytest.mark.parametrize(
    ("name", "pollutant", "units", "factor"),
    [
        ("O3", "o3", "mol mol-1", 1e9),
        ("no2", "no2", "mol mol-1", 1e9),
        ("CO", "co", "ppbv", 1.0),
        ("PM10_RH35", "pm10", "ug m-3", 1.0),
        ("PM25_RH35", "pm25", "kg m-3", 1e9),
    ],
)
def test_other_pollutants_come_in_their_own_units(tmp_path, name, pollutant, units, factor):
    item = POLLUTANTS[pollutant]
    array = read_geoscf(
        write(tmp_path / "f.nc", FIRST, concentrations() / factor, name=name, units=units), pollutant=item
    )
    np.testing.assert_allclose(array.values[0], concentrations(), rtol=1e-6)
    assert (array.name, array.attrs["units"], array.attrs["standard_name"]) == (
        pollutant,
        item.units,
        item.standard_name,
    )
    with pytest.raises(DeepcamsError, match="units cannot be"):
        read_geoscf(
            write(tmp_path / "g.nc", FIRST, concentrations() / 1e8 / factor, name=name, units=units), pollutant=item
        )
    with pytest.raises(DeepcamsError, match=item.label):
        read_geoscf(write(tmp_path / "h.nc", FIRST, concentrations(), name=name, units="K"), pollutant=item)


def test_what_a_version_does_not_carry_is_said():
    with pytest.raises(DeepcamsError, match=r"v1\) does not carry PM10.*aqc_tavg_1hr_glo_L1440x721_slv, which has"):
        variable_names(HOURLY_MEANS, POLLUTANTS["pm10"])
    assert variable_names(HOURLY_MEANS_V2, POLLUTANTS["pm10"])[0] == "PM10_RH35"
    with pytest.raises(DeepcamsError, match="choose one of"):
        variable_names("chm", POLLUTANTS["o3"])


def test_version_2_is_read_from_its_own_names_and_told(tmp_path):
    time = np.datetime64("2025-09-01T00:30:00", "s")
    paths = portal_paths(time, HOURLY_MEANS_V2)
    assert paths[0] == ("geos-cf/v2/ana/Y2025/M09/D01/GEOS.cf.ana.aqc_tavg_1hr_glo_L1440x721_slv.20250901_0030z.R0.nc4")
    assert [path.rpartition("0030z")[2] for path in paths] == [".R0.nc4", ".R1.nc4", ".nc4"]
    for number, (root, path) in enumerate(zip(("", "datashare/gmao", ""), paths, strict=True)):
        own = time + np.timedelta64(number, "h")
        name = portal_paths(own, HOURLY_MEANS_V2)[number]
        file = write(tmp_path / str(number) / root / name, own, concentrations(), name="PM25_RH35")
        files = survey_month(tmp_path / str(number), Month(2025, 9), HOURLY_MEANS_V2, 1.0)
        assert files.first == file and path.endswith("nc4")
        assert read_geoscf(file).attrs["geoscf_version"] == "v2"
    write(tmp_path / "1" / "datashare/gmao" / paths[0], time, concentrations(), name="PM25_RH35_GCC")
    files = survey_month(tmp_path / "1", Month(2025, 9), HOURLY_MEANS_V2, 1.0)
    with pytest.raises(DeepcamsError, match="no variable PM25_RH35"):
        next(read_month(files))


def test_versions_are_not_mixed():
    one, two = {"geoscf_version": "v1"}, {"geoscf_version": "v2"}
    assert require_same_version({"a": one, "b": {}, "c": one}) == "v1"
    assert require_same_version({"a": {}}) is None
    with pytest.raises(DeepcamsError, match=r"v1: a, b; v2: c"):
        require_same_version({"a": one, "b": one, "c": two})


def test_canonical_file_with_gaps(tmp_path):
    write_month(tmp_path / "portal", skip=(5, HOURS - 1), attributes={"synthetic": "made up"})
    options = {"path": tmp_path / "portal", "collection": HOURLY_MEANS, "grid": None}
    retrieve_month("nature_run", MONTH, tmp_path / "out.nc", max_missing=0.01, **options)
    with netCDF4.Dataset(tmp_path / "out.nc") as dataset:
        assert dataset.missing_hours == "2018-02-01T05:30:00 2018-02-28T23:30:00"
        assert dataset.synthetic == "made up"
        frames = dataset["pm25"][:].filled(np.nan)
    assert list(np.flatnonzero(np.isnan(frames).all(axis=(1, 2)))) == [5, HOURS - 1]
    assert np.isnan(frames).sum() == 2 * frames[0].size


def test_a_failed_month_leaves_nothing(tmp_path):
    write_hour(tmp_path / "portal", 0)
    write_hour(tmp_path / "portal", 1, units="mol mol-1")
    with pytest.raises(DeepcamsError, match="mol"):
        retrieve_month(
            "local",
            MONTH,
            tmp_path / "out" / "f.nc",
            path=tmp_path / "portal",
            collection=HOURLY_MEANS,
            grid=None,
            max_missing=1.0,
        )
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.real
def test_real_sample(real_samples):
    path = real_samples / "geoscf_pm25_west_4h.nc"
    array = read_geoscf(path)
    with netCDF4.Dataset(path) as dataset:
        raw = np.asarray(dataset["PM25_RH35_GCC"][:, 0])
        latitude, longitude = np.asarray(dataset["lat"][:]), np.asarray(dataset["lon"][:])
    assert array.shape == (4, 721, 720)
    for row, column in ((0, 0), (10, 700), (300, 20), (720, 719)):
        point = array.sel(latitude=latitude[row], longitude=longitude[column])
        np.testing.assert_array_equal(point, raw[:, row, column])
    assert array.latitude.values[0] == 90.0 and array.longitude.values[-1] == -0.25
    assert array.attrs["cell_methods"] == "time: mean (interval: 1 hour)"


def test_the_configuration_knows_version_2_by_the_name_that_the_readers_do():
    assert VERSION_2 == HOURLY_MEANS_V2
