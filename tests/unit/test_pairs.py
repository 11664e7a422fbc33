"""Tables of pairs: on disk, joined, averaged."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from deepcams.errors import DeepcamsError
from deepcams.validation.pairs import (
    TEXTS,
    Pairs,
    cell_means,
    daily_means,
    join,
    local_solar_hour,
    monthly_means,
    read_pairs,
    write_pairs,
)

HOUR = np.timedelta64(1, "h")


def pairs_of(start, days=3, names=("a", "b", "c"), seed=1, cams=True):
    """Pairs of some stations from an hour after `start` on; "a" and "b" share a cell, "c" lacks half of its hours."""
    rng = np.random.default_rng(seed)
    rows = []
    for k, name in enumerate(names):
        for hour in range(1, 24 * days + 1):
            if name == "c" and hour % 2:
                continue
            observed = rng.lognormal(2.5, 0.8)
            rows.append((k, hour, observed, observed * rng.lognormal(0, 0.3), 5 + observed * rng.lognormal(0, 0.6)))
    index, hour, observed, product, reference = (np.array(column) for column in zip(*rows, strict=True))
    stations = pd.DataFrame(
        {
            "station": list(names),
            "name": [f"Place {name}" for name in names],
            "country": ["NA", "ZA", "NA"][: len(names)],
            "continent": "Africa",
            "latitude": -20.0,
            "longitude": 10.0 * np.arange(len(names)),
            "cell": np.arange(len(names)) // 2,
        }
    ).astype(dict.fromkeys(TEXTS, "str"))
    modelled = {"product": product.astype(np.float32)} | ({"cams": reference.astype(np.float32)} if cams else {})
    return Pairs(
        stations,
        index.astype(np.int32),
        np.datetime64(start, "s") + hour * HOUR,
        observed.astype(np.float32),
        modelled,
        np.where(hour % 3 == 2, 1, 0).astype(np.int8),
    )


def of_months():
    """A table of two months as pandas has it, and as pairs."""
    parts = [pairs_of("2018-01-01", seed=1), pairs_of("2018-02-01", seed=2)]
    return pd.concat([part.frame() for part in parts], ignore_index=True), parts


def same(one, other):
    pd.testing.assert_frame_equal(one.frame(), other.frame())


@pytest.mark.parametrize("cams", [True, False])
def test_what_is_read_is_what_was_written_and_the_bytes_are_the_same_twice(tmp_path, cams):
    pairs = pairs_of("2018-01-01", cams=cams)
    for name in ("a.nc", "b.nc"):
        write_pairs(tmp_path / name, pairs)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    found = read_pairs(tmp_path / "a.nc")
    same(found, pairs)
    assert found.time.dtype == "datetime64[s]" and found.index.dtype == np.int32


def test_no_pairs_survive_writing(tmp_path):
    pairs = pairs_of("2018-01-01")
    none = Pairs(pairs.stations[:0], *(a[:0] for a in (pairs.index, pairs.time, pairs.observed)), {}, pairs.status[:0])
    write_pairs(tmp_path / "none.nc", none)
    assert len(read_pairs(tmp_path / "none.nc")) == 0


def test_other_programs_read_the_table_as_time_series(tmp_path):
    pairs = pairs_of("2018-01-01")
    write_pairs(tmp_path / "p.nc", pairs, {"synthetic": "made up"})
    with xr.open_dataset(tmp_path / "p.nc") as data:
        assert data.attrs["featureType"] == "timeSeries" and data.attrs["synthetic"] == "made up"
        assert data["pairs_of_station"].values.tolist() == [72, 72, 36]
        assert data["product"].attrs["units"] == data["observed"].attrs["units"] == "ug m-3"
        assert data["time"].values[0] == np.datetime64("2018-01-01T01:00")
        assert data["observed"].dims == ("pair",) and "time" in data["observed"].encoding["coordinates"]


def test_damaged_and_other_files_are_named(tmp_path):
    (tmp_path / "p.nc").write_bytes(b"<html>")
    with pytest.raises(DeepcamsError, match=r"p\.nc is no whole table of pairs"):
        read_pairs(tmp_path / "p.nc")
    xr.Dataset({"x": 1}).to_netcdf(tmp_path / "q.nc", engine="h5netcdf")
    with pytest.raises(DeepcamsError, match=r"q\.nc is no whole table of pairs"):
        read_pairs(tmp_path / "q.nc")


def test_months_are_joined_station_by_station():
    table, parts = of_months()
    joined = join(parts).frame()
    expected = table.sort_values(["station", "time"], kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(joined, expected)


def test_a_station_that_moves_or_comes_later_keeps_its_rows_apart():
    first, second = pairs_of("2018-01-01", names=("a", "b")), pairs_of("2018-02-01", names=("a", "b", "c"))
    second.stations.loc[0, "longitude"] = 1.0
    joined = join([first, second])
    assert joined.stations["station"].tolist() == ["a", "a", "b", "c"]
    assert np.bincount(joined.index).tolist() == [72, 72, 144, 36]


def test_months_with_and_without_reference_are_not_joined():
    with pytest.raises(DeepcamsError, match="with and without a reference"):
        join([pairs_of("2018-01-01"), pairs_of("2018-02-01", cams=False)])


def test_daily_means_want_enough_hours_and_count_midnight_to_the_day_before():
    table, parts = of_months()
    days = daily_means(join(parts), 19).frame()
    assert set(days["station"]) == {"a", "b"}  # c has twelve hours a day
    first = table[(table["station"] == "a") & (table["time"] > "2018-01-01") & (table["time"] <= "2018-01-02")]
    assert len(first) == 24 and len(days) == 2 * 6
    row = days[(days["station"] == "a") & (days["time"] == "2018-01-02")]
    assert row["product"].item() == pytest.approx(first["product"].mean(), rel=1e-6)
    assert daily_means(join(parts), 12).frame()["station"].nunique() == 3


def test_hours_reported_every_quarter_of_one_count_once():
    pairs = pairs_of("2018-01-01", days=1, names=("a",))
    quarters = replace(pairs, time=np.datetime64("2018-01-01T00:15", "s") + np.arange(24) * np.timedelta64(15, "m"))
    assert len(daily_means(quarters, 7)) == 0 and len(daily_means(quarters, 6)) == 1


def test_monthly_means_are_means_of_days():
    _, parts = of_months()
    days = daily_means(join(parts), 12)
    found = monthly_means(days, 3).frame().set_index(["station", "time"])
    table = days.frame()
    expected = table.groupby(["station", (table["time"] - pd.Timedelta("1s")).dt.strftime("%m")])["observed"].mean()
    assert found.loc[("b", pd.Timestamp("2018-03-01")), "observed"] == pytest.approx(expected["b", "02"], rel=1e-6)
    assert len(found) == 6 and len(monthly_means(days, 4)) == 0


def test_stations_of_one_cell_are_averaged_hour_by_hour():
    table, parts = of_months()
    found = cell_means(join(parts)).frame().set_index(["cell", "time"])
    expected = table.groupby(["cell", "time"])[["observed", "product", "cams"]].mean()
    assert len(found) == len(expected)
    assert found[["observed", "product", "cams"]].sort_index().to_numpy() == pytest.approx(
        expected.sort_index().to_numpy(), rel=1e-6
    )


@pytest.mark.parametrize(
    ("stamp", "longitude", "hour"),
    [("00:30", 0.0, 0), ("01:00", 0.0, 0), ("12:00", 179.0, 23), ("12:00", -179.0, 23), ("06:00", 90.0, 11)],
)
def test_local_solar_hour_is_that_of_the_middle_of_the_hour(stamp, longitude, hour):
    pairs = pairs_of("2018-01-01", names=("a",)).chosen(slice(0, 1))
    pairs.stations["longitude"] = longitude
    pairs.time[:] = np.datetime64(f"2018-01-01T{stamp}")
    assert local_solar_hour(pairs).item() == hour
