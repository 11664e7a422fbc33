"""Fused files: what they say, what they refuse, joining along time, and that others can read them."""

from dataclasses import replace

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding, read_field
from deepcams.files.pairs import read_pairs
from deepcams.fusion.fused_attributes import Fusion
from deepcams.fusion.product import assemble_fused_year, encoding_of, read_fused, verify_fused, write_fused
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.pollutants import POLLUTANTS
from deepcams.product.attributes import Provenance
from tests.unit.test_conformity import PASSED, UNDATED, remarks

GRID = refine(coarse_grid(Region(north=15, west=0, south=9, east=9)))
ACROSS = refine(coarse_grid(Region(north=9, west=177, south=3, east=183)))
LONELY = 3  # the time step without a station
DAYS = np.arange("2020-01-30", "2020-02-09", dtype="datetime64[D]")
HOURS = np.arange("2020-01-31T01", "2020-02-01T07", dtype="datetime64[h]")
OBSERVED = Fusion("daily", "observations")
CORRECTED = Fusion("daily", "innovations", "CAMS EAC4 at 0.25 degree")


def provenance(name="stations.csv", **changes):
    digest = name.encode().hex().ljust(64, "0")[:64]
    return Provenance({name: digest}, {"fusion": "pointconv sha256:00ff"}, "0123456789abcdef", **changes)


def made(times, grid=GRID, form="observations", lonely=LONELY):
    """Fields, distances and counts of stations, one step of them without a station."""
    field = np.stack([
        np.random.default_rng(int(time.astype("datetime64[h]").astype(int))).gamma(2.0, 20.0, grid.shape)
        for time in times
    ]).astype(np.float32)  # fmt: skip
    across = np.hypot(*np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[0])))
    distance = np.broadcast_to(27.8 * across, field.shape).astype(np.float32)
    stations = np.arange(1, len(times) + 1)
    if lonely < len(times):
        stations[lonely], distance[lonely] = 0, np.nan
        if form == "observations":
            field[lonely] = np.nan
    return field, distance, stations


def write(path, times=DAYS, grid=GRID, fusion=OBSERVED, sources=None, lonely=LONELY, **changes):
    field, distance, stations = made(times, grid, fusion.form, lonely)
    write_fused(path, times, grid, lambda part: (field[part], distance[part]), stations=stations, fusion=fusion,
                provenance=sources or provenance(), **changes)  # fmt: skip
    return path


@pytest.fixture(scope="module")
def daily(tmp_path_factory):
    return write(tmp_path_factory.mktemp("fused") / "daily.nc")


def test_xarray_reads_the_rounded_fields_at_noon_with_bounds(daily):
    field, distance, stations = made(DAYS)
    with xr.open_dataset(daily, decode_timedelta=False) as opened:
        assert np.array_equal(opened["time"].values, DAYS + np.timedelta64(12, "h"))
        assert np.array_equal(opened["time_bnds"].values, np.stack([DAYS, DAYS + 1], axis=1).astype("datetime64[ns]"))
        np.testing.assert_allclose(opened["pm25"].values, field, rtol=2**-8)
        np.testing.assert_allclose(opened["distance_to_station"].values, distance, rtol=2**-8)
        assert opened["distance_to_station"].units == "km"
        assert np.array_equal(opened["stations"].values, stations) and opened["stations"].dtype == np.int32
        assert opened["pm25"].attrs["ancillary_variables"] == "distance_to_station stations"
        assert opened["pm25"].attrs["cell_methods"] == "time: mean (interval: 1 hour) area: mean"
        assert (opened["pm25"].values.view(np.uint32)[np.isfinite(field)] & 0xFFFF == 0).all()
    assert np.array_equal(read_field(daily, "pm25").values, read_fused(daily)[0], equal_nan=True)


def test_a_day_without_a_station_has_no_distance_and_no_field_unless_there_is_a_background(tmp_path, daily):
    field, distance = read_fused(daily)
    assert np.isnan(field[LONELY]).all() and np.isnan(distance[LONELY]).all()
    assert np.isfinite(np.delete(field, LONELY, axis=0)).all() and np.isfinite(np.delete(distance, LONELY, 0)).all()
    field, distance = read_fused(write(tmp_path / "x.nc", fusion=CORRECTED))
    assert np.isfinite(field).all() and np.isnan(distance[LONELY]).all()
    verify_fused(tmp_path / "x.nc")


def test_the_file_says_whose_days_they_are_and_how_it_was_fused(tmp_path, daily):
    with netCDF4.Dataset(daily) as opened:
        assert "nautical time zone" in opened.comment and "nautical time zone" in opened["time"].comment
        assert (opened.fusion_form, opened.fusion_background, opened.fusion_day) == ("observations", "none", "local")
        assert "Copernicus" not in opened.license and "CAMS" not in opened.source
        assert opened.title.startswith("Daily mean mass concentration of particulate matter below 2.5 um (PM2.5)")
        assert opened.time_coverage_resolution == "P1D"
        assert opened.id.startswith("deepcams_fused_pm25_daily_20200130_20200208_")
    path = write(tmp_path / "x.nc", fusion=replace(CORRECTED, day="utc"), sources=provenance(synthetic="A run."))
    with netCDF4.Dataset(path) as opened:
        assert "nautical" not in opened.comment and "background" in opened.comment
        assert opened.fusion_background == "CAMS EAC4 at 0.25 degree" and opened.fusion_day == "utc"
        assert opened.synthetic == "A run." and opened.title.startswith("Synthetic daily")


def test_hours_are_means_around_their_middle_and_given_by_their_end(tmp_path):
    path = write(tmp_path / "h.nc", HOURS, fusion=replace(OBSERVED, step="hourly"))
    verify_fused(path)
    with xr.open_dataset(path, decode_timedelta=False) as opened:
        assert opened["time"].values[0] == np.datetime64("2020-01-31T00:30")
        assert np.array_equal(opened["time_bnds"].values[:, 1], HOURS.astype("datetime64[ns]"))
        assert opened["pm25"].cell_methods == "time: mean area: mean"
    with h5py.File(path) as file:
        assert file["pm25"].chunks[0] == file["distance_to_station"].chunks[0] == 24


def test_equal_inputs_give_equal_bytes(tmp_path, daily):
    assert sha256(write(tmp_path / "again.nc")) == sha256(daily)


def test_values_are_asked_for_by_time_chunks_alone(tmp_path):
    field, distance, stations = made(DAYS)
    asked = []

    def values_of(part):
        asked.append((part.start, part.stop))
        return field[part], distance[part]

    write_fused(tmp_path / "x.nc", DAYS, GRID, values_of, stations=stations, fusion=OBSERVED, provenance=provenance(),
                encoding=Encoding(time_chunk=4))  # fmt: skip
    assert asked == [(0, 4), (4, 8), (8, 10)]
    found = read_fused(tmp_path / "x.nc", 2, 9)
    assert np.array_equal(found[0], field[2:9], equal_nan=True)
    assert np.array_equal(found[1], distance[2:9], equal_nan=True)


@pytest.mark.parametrize(("change", "words"), [
    (lambda field, distance: field.__setitem__((0, 0, 0), -1), "negative concentrations, down to -1"),
    (lambda field, distance: field.__setitem__((0, 0, 0), np.inf), "infinite"),
    (lambda field, distance: field.__setitem__((LONELY, 0, 0), 5), "values where there was no station"),
    (lambda field, distance: distance.__setitem__((LONELY, 0, 0), 5), "do not fit the numbers of stations"),
    (lambda field, distance: distance.__setitem__((0, 0, 0), np.nan), "do not fit the numbers of stations"),
    (lambda field, distance: distance.__setitem__((0, 0, 0), 20_200), "distances beyond"),
])  # fmt: skip
def test_fields_that_cannot_be_are_refused_and_leave_no_file(tmp_path, change, words):
    field, distance, stations = made(DAYS)
    change(field, distance)
    with pytest.raises(DeepcamsError, match=words):
        write_fused(tmp_path / "x.nc", DAYS, GRID, lambda part: (field[part], distance[part]), stations=stations,
                    fusion=OBSERVED, provenance=provenance())  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("times", [DAYS + np.timedelta64(12, "h"), DAYS[::-1], DAYS[:0], DAYS[[0, 0]]])
def test_times_that_are_no_rising_dates_are_refused(tmp_path, times):
    with pytest.raises(ValueError, match="times must be"):
        write_fused(tmp_path / "x.nc", times, GRID, None, stations=np.zeros(len(times), int), fusion=OBSERVED,
                    provenance=provenance())  # fmt: skip


def test_counts_and_shapes_must_fit_and_innovations_need_a_background(tmp_path):
    field, distance, stations = made(DAYS)

    def attempt(values_of, counts):
        write_fused(tmp_path / "x.nc", DAYS, GRID, values_of, stations=counts, fusion=OBSERVED, provenance=provenance())

    with pytest.raises(ValueError, match="stations must be 10 counts"):
        attempt(lambda part: (field[part], distance[part]), stations[1:])
    with pytest.raises(ValueError, match="float32 was expected twice"):
        attempt(lambda part: (field[part, 1:], distance[part]), stations)
    with pytest.raises(ValueError, match="have a background"):
        Fusion("daily", "innovations")


def test_a_year_is_its_months_whose_ends_are_no_chunks(tmp_path):
    whole = write(tmp_path / "whole.nc", lonely=99)
    parts = [
        write(tmp_path / f"{k}.nc", DAYS[part], lonely=99, sources=provenance(f"{k}.csv"))
        for k, part in enumerate((slice(0, 2), slice(2, 9), slice(9, 10)))
    ]
    assemble_fused_year(parts, tmp_path / "year.nc", author={"creator_name": "A. Person", "date": "2021-03-04"})
    verify_fused(tmp_path / "year.nc")
    for one, other in zip(read_fused(tmp_path / "year.nc"), read_fused(whole), strict=True):
        assert np.array_equal(one, other, equal_nan=True)
    with netCDF4.Dataset(tmp_path / "year.nc") as year, netCDF4.Dataset(whole) as once:
        for key in ("id", "title", "time_coverage_start", "time_coverage_end", "time_coverage_resolution", "license"):
            assert year.getncattr(key) == once.getncattr(key)
        assert list(read_pairs(year.source_files)) == ["0.csv", "1.csv", "2.csv"]
        assert (year.creator_name, year.date_created) == ("A. Person", "2021-03-04")
        assert list(year["stations"][:]) == [1, 2, 1, 2, 3, 4, 5, 6, 7, 1]


@pytest.mark.parametrize(("second", "words"), [
    ({"times": DAYS[2:]}, "overlap or are out of order"),
    ({"times": DAYS[5:]}, "not 24 h apart"),
    ({"grid": ACROSS}, "grids differ"),
    ({"sources": provenance(synthetic="A run.")}, "is synthetic"),
    ({"fusion": CORRECTED}, "fused in different ways"),
    ({"fusion": replace(OBSERVED, day="utc")}, "attributes of 'time' differ"),
    ({"sources": replace(provenance(), networks={})}, "different networks"),
])  # fmt: skip
def test_files_that_do_not_follow_each_other_are_not_joined(tmp_path, second, words):
    first = write(tmp_path / "a.nc", DAYS[:4])
    other = write(tmp_path / "b.nc", **{"times": DAYS[4:], **second})
    with pytest.raises(DeepcamsError, match=words):
        assemble_fused_year([first, other], tmp_path / "year.nc")
    assert not (tmp_path / "year.nc").exists()


def test_gaps_may_be_allowed(tmp_path):
    paths = [write(tmp_path / "a.nc", DAYS[:4]), write(tmp_path / "b.nc", DAYS[5:])]
    assemble_fused_year(paths, tmp_path / "year.nc", contiguous=False)
    verify_fused(tmp_path / "year.nc", contiguous=False)
    with pytest.raises(DeepcamsError, match="not strictly daily"):
        verify_fused(tmp_path / "year.nc")


def test_verification_finds_what_was_changed_afterwards(tmp_path):
    def after(change):
        path = write(tmp_path / "x.nc")
        with netCDF4.Dataset(path, "a") as file:
            change(file)
        with pytest.raises(DeepcamsError) as caught:
            verify_fused(path)
        return str(caught.value)

    assert "times do not fit their bounds" in after(lambda file: file["time_bnds"].__setitem__((0, 0), 0.0))
    assert "numbers of stations" in after(lambda file: file["stations"].__setitem__(0, 0))
    assert "lacks source_files" in after(lambda file: file.delncattr("source_files"))
    assert "lacks pm25:units" in after(lambda file: file["pm25"].delncattr("units"))
    assert "does not say how it was fused" in after(lambda file: file.delncattr("fusion_form"))
    assert "no value at all" in after(lambda file: file["pm25"].__setitem__(slice(None), np.nan))


def test_a_damaged_or_foreign_file_is_told(tmp_path, daily):
    data = bytearray(daily.read_bytes())
    (tmp_path / "cut.nc").write_bytes(data[: len(data) // 2])
    with pytest.raises(DeepcamsError, match="damaged"):
        verify_fused(tmp_path / "cut.nc")
    with h5py.File(daily) as file:
        about = file["distance_to_station"].id.get_chunk_info(0)
    data[about.byte_offset + about.size // 2] ^= 0xFF
    (tmp_path / "flipped.nc").write_bytes(data)
    with pytest.raises(DeepcamsError, match="a chunk cannot be decoded"):
        verify_fused(tmp_path / "flipped.nc")
    xr.Dataset({"pm25": ("x", [1.0])}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(DeepcamsError, match="is not a fused file"):
        verify_fused(tmp_path / "other.nc")


def test_maps_and_series_cost_alike():
    daily = encoding_of("daily")
    per_map, per_series = 84 * daily.time_chunk, -(-365 // daily.time_chunk) * daily.time_chunk
    assert (daily.mantissa_bits, encoding_of("hourly").time_chunk) == (7, 24)
    assert 0.5 < per_map / per_series < 2


@pytest.mark.slow
def test_the_compliance_checker_misses_dates_and_a_standard_name_that_there_is_not(tmp_path):
    paths = [
        write(tmp_path / "daily.nc", DAYS),
        write(tmp_path / "utc.nc", DAYS, ACROSS, replace(CORRECTED, day="utc"), provenance(synthetic="A run.")),
        write(tmp_path / "hourly.nc", HOURS, fusion=replace(CORRECTED, step="hourly")),
        write(tmp_path / "ozone.nc", DAYS, pollutant=POLLUTANTS["o3"]),
    ]
    assemble_fused_year([write(tmp_path / "a.nc", DAYS[:4]), write(tmp_path / "b.nc", DAYS[4:])], tmp_path / "year.nc")
    for (name, checker), (messages, lost) in remarks([*paths, tmp_path / "year.nc"]).items():
        # The table of standard names has none for the distance to a station.
        left = (UNDATED | {"standard_name"}, 9) if checker == "acdd:1.3" else (set(), 0)
        assert (messages - {PASSED}, lost) == left, (name, checker)
