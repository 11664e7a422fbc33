"""`deepcams fuse`: stations of any table in, one file of fields out, or one sentence and no file."""

import gzip
import os

import netCDF4
import numpy as np
import pandas as pd
import pytest

from deepcams.cli.main import main
from deepcams.fusion.product import read_fused, verify_fused
from tests.unit.fusion_cases import GRID, HOUR, hours, spread_out, untaught, write_means, write_product, write_stations

START = np.datetime64("2020-03-01", "s")
PLACES = [(12.1, 4.6), (11.4, 6.2), (10.9, 5.0), (12.6, 7.1), (11.9, 7.3), (10.1, 7.0)]  # Nigeria, of zone 0
INPUTS = {"stations.csv", "none.safetensors", "product.safetensors", "climatology.safetensors", "climatology.npz",
          "product.nc", "spatial.safetensors"}  # fmt: skip


def value(number, step):
    return round(20 + 9 * number + 5 * np.sin(step * (number + 1)), 3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuse")
    write_stations(path / "stations.csv", PLACES, hours(START, 48), value)
    for background in ("none", "product", "climatology"):
        untaught(path / f"{background}.safetensors", background)
    (path / "spatial.safetensors").write_bytes(_spatial(path))
    times = START + HOUR * np.arange(-24, 73)
    write_product(path / "product.nc", times, np.broadcast_to(7.0, (len(times), *GRID.shape)))
    write_means(path / "climatology.npz", m3=11.0)
    return path


def _spatial(path):
    from deepcams.models import pretrained

    return pretrained.path("spatial").read_bytes()


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A folder of its own with the inputs, and the working directory."""
    for name in INPUTS:
        os.symlink(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fuse(capsys, *words, stations="stations.csv", model="none"):
    """What the command says; the file it wrote is checked."""
    assert main(["fuse", str(stations), "--model", f"{model}.safetensors", "--out", "out.nc", *map(str, words)]) == 0
    verify_fused("out.nc", contiguous=False)
    return capsys.readouterr().out


def sentence(folder, capsys, *words, stations="stations.csv", model="none", out="out.nc"):
    """What the command refuses to do, having left no file behind."""
    before = {path.name for path in folder.rglob("*")}
    assert main(["fuse", str(stations), "--model", f"{model}.safetensors", "--out", out, *map(str, words)]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("deepcams: ") and "Traceback" not in said.err and not said.out
    assert {path.name for path in folder.rglob("*")} == before
    return said.err


def axes(path="out.nc"):
    with netCDF4.Dataset(path) as file:
        times = netCDF4.num2date(file["time"][:], file["time"].units)
        return [str(time)[:16] for time in times], file["latitude"][:].data, file["longitude"][:].data


def test_stations_become_days_on_a_box_around_them(folder, capsys):
    said = fuse(capsys)
    assert "out.nc: 2 days, 2020-03-01 … 2020-03-02, a 0.25° grid of 46 × 49 nodes" in said
    assert "6 stations; 288 of 288 measurements used" in said and "not used" not in said
    times, latitude, longitude = axes()
    assert times == ["2020-03-01 12:00", "2020-03-02 12:00"]
    assert (latitude[0], latitude[-1], longitude[0], longitude[-1]) == (17.25, 6.0, 0.0, 12.0)
    field, distance = read_fused("out.nc")
    values, valid = np.zeros(field[0].shape), np.zeros(field[0].shape, bool)
    for number, (north, east) in enumerate(PLACES):
        at = np.abs(latitude - north).argmin(), np.abs(longitude - east).argmin()
        values[at], valid[at] = np.mean([value(number, step) for step in range(24)]), True
    np.testing.assert_allclose(field[0], spread_out(values, valid), rtol=2**-7, atol=1e-3)
    assert np.array_equal(distance[0] == 0, valid)


def test_the_same_inputs_give_the_same_bytes(folder, capsys):
    fuse(capsys, "--background", "product.nc", model="product")
    first = (folder / "out.nc").read_bytes()
    fuse(capsys, "--background", "product.nc", model="product")
    assert (folder / "out.nc").read_bytes() == first


@pytest.mark.parametrize(
    ("kind", "file", "level"), [("product", "product.nc", 7.0), ("climatology", "climatology.npz", 11.0)]
)
def test_with_a_background_fields_are_where_that_is(folder, capsys, kind, file, level):
    fuse(capsys, "--background", file, model=kind)
    _, latitude, longitude = axes()
    assert np.array_equal(latitude, GRID.latitude) and np.array_equal(longitude, GRID.longitude)
    field, _ = read_fused("out.nc")
    assert (field[:, -1, -1] == level).all() and (field[:, 12, 18] > level + 1).all()


def test_what_became_of_the_measurements_adds_up(folder, capsys):
    text = (folder / "stations.csv").read_text()
    first = text.splitlines()[1]
    bad = [first, first, "s9,5,5,2020-03-01T05:00Z,3,x", "s0,12.1,4.6,2020-03-01T05:30Z,-999,x",
           "s0,12.1,4.6,never,3,x", "s0,12.1,4.6,2020-07-01T05:00Z,3,x",
           "s1,11.4,6.2,2020-03-01T07:00Z,,x"]  # fmt: skip
    (folder / "more.csv").write_text(text + "\n".join(bad) + "\n")
    said = fuse(capsys, "--last", "2020-03-02", stations="more.csv")
    assert "6 stations; 288 of 295 measurements used" in said
    told = said.split("not used: ")[1].splitlines()[0].split(", ")
    assert set(told) == {
        "2 same station and time again", "1 no value", "1 code for missing data", "1 impossible coordinates",
        "2 another time",
    }  # fmt: skip


def test_days_are_those_of_the_stations_clocks(folder, capsys):
    """A day in China begins at 16:00 UTC of the day before."""
    write_stations(folder / "c.csv", [(39.9, 116.4)], hours("2020-02-29T16:00:00", 24), value)
    fuse(capsys, stations="c.csv")
    assert axes()[0] == ["2020-03-01 12:00"]
    assert "2 days" in fuse(capsys, "--day", "utc", "--min-hours", 8, stations="c.csv")
    assert axes()[0] == ["2020-02-29 12:00", "2020-03-01 12:00"]
    write_stations(folder / "c.csv", [(39.9, 116.4)], hours("2020-03-01T16:00:00", 8), value)
    fuse(capsys, "--min-hours", 8, stations="c.csv")
    assert axes()[0] == ["2020-03-02 12:00"]


def test_empty_days_are_left_out_at_the_ends_and_told_between(folder, capsys):
    lone = write_stations(folder / "a.csv", PLACES[:1], hours("2020-02-20", 5), value).read_text()
    late = write_stations(folder / "a.csv", PLACES[:1], hours("2020-03-06", 24), value).read_text()
    text = (folder / "stations.csv").read_text()
    (folder / "a.csv").write_text(text + "\n".join([*lone.splitlines()[1:], *late.splitlines()[1:]]) + "\n")
    said = fuse(capsys, stations="a.csv")
    assert "6 days (3 without any station), 2020-03-01 … 2020-03-06" in said
    assert "5 day with fewer than 19 hours" in said
    assert "11 days (8 without any station)" in fuse(
        capsys, "--first", "2020-02-28", "--last", "2020-03-09", stations="a.csv"
    )


def test_hours_end_at_the_stamps(folder, capsys):
    write_stations(folder / "h.csv", PLACES[:2], hours("2020-03-01T05:00:00", 3), value)
    said = fuse(capsys, "--step", "hourly", stations="h.csv")
    assert "3 hours, 2020-03-01T06:00 … 2020-03-01T08:00" in said
    assert axes()[0] == ["2020-03-01 05:30", "2020-03-01 06:30", "2020-03-01 07:30"]
    fuse(capsys, "--step", "hourly", "--first", "2020-03-01", "--last", "2020-03-01", stations="h.csv")
    assert len(axes()[0]) == 24 and axes()[0][0] == "2020-03-01 00:30"


def test_stations_at_the_date_line_get_a_box_across_it(folder, capsys):
    write_stations(folder / "f.csv", [(-17.8, 177.4), (-16.5, -179.9)], hours(START, 72), value)
    said = fuse(capsys, stations="f.csv")
    longitude = axes()[2]
    assert (longitude[0], longitude[-1]) == (173.25, 184.5) and np.all(np.diff(longitude) == 0.25)
    assert "2 stations" in said and (read_fused("out.nc")[1][1] == 0).sum() == 2
    write_stations(folder / "f.csv", [(-17.8, -179.0)], hours(START, 72), value)
    fuse(capsys, stations="f.csv")
    assert (axes()[2][0], axes()[2][-1]) == (177.0, 185.25)


def test_one_station_is_enough_and_on_the_border_too(folder, capsys):
    write_stations(folder / "one.csv", [(12.0, 3.0)], hours(START, 24), lambda number, step: 10 + step)
    said = fuse(capsys, "--region", 12, 0, 9, 3, stations="one.csv")
    assert "1 stations; 24 of 24" in said
    field, distance = read_fused("out.nc")
    assert field.shape == (1, 13, 13) and field[0, 0, -1] == pytest.approx(21.5, rel=2**-8) and distance[0, 0, -1] == 0
    fuse(capsys, "--region", 12, -180, 9, 180, stations="one.csv")
    assert read_fused("out.nc")[0].shape[1:] == (13, 1440)


def test_a_table_in_other_units_is_refused_by_name(folder, capsys):
    for units in ("ppb", "mg/m3"):
        write_stations(folder / "u.csv", PLACES[:1], hours(START, 24), lambda n, s, u=units: f"{10 + s},{u}",
                       header="id,lat,lon,time,pm25,units")  # fmt: skip
        assert "24 units not µg/m³" in sentence(folder, capsys, stations="u.csv")


def test_weather_that_the_network_wants_is_told_where_it_lacks(folder, capsys):
    untaught(folder / "humid.safetensors", variables=("relative_humidity",))
    assert "relative_humidity: no observation, as there is no --weather" in fuse(capsys, model="humid")
    (folder / "w.csv.gz").write_bytes(b"")
    assert "makes no use of weather" in sentence(folder, capsys, "--weather", "w.csv.gz")


def test_cross_validation_prints_scores_and_keeps_its_table(folder, capsys):
    lines = ["code,area"] + [f"s{k},{'abc'[k // 2]}" for k in range(6)]
    (folder / "cities.csv").write_text("\n".join(lines) + "\n")
    words = ["--cross-validate", "cv.csv.gz", "--folds", "3", "--cities", "cities.csv"]
    said = fuse(capsys, *words)
    table = pd.read_csv("cv.csv.gz")
    assert set(table["scheme"]) == {"stations", "cities"} and len(table) == 24 and set(table["city"]) == set("abc")
    rows = [line.split() for line in said.splitlines() if line.startswith(("stations ", " stations ", "  cities "))]
    rmse = {row[0]: float(row[4]) for row in rows if row[1] == "network"}
    for scheme, part in table.groupby("scheme"):
        assert rmse[scheme] == pytest.approx(np.sqrt(((part["network"] - part["observed"]) ** 2).mean()), abs=2e-3)
    assert "There are fewer cities than folds." not in said
    assert "There are fewer cities than folds." in fuse(capsys, *words, "--folds", "4")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--region", 50, 0, 45, 9], "outside the region: 288"),
        (["--first", "2020-03-02", "--last", "2020-03-01"], "2020-03-01, is before the first, 2020-03-02"),
        (["--first", "2021-03-02"], "from 2020-03-01 to 2020-03-03: none is from 2021-03-02"),
        (["--first", "2020-03"], "--first '2020-03' is no date"),
        (["--first", "2020-05-01", "--last", "2020-05-02"], "No station has a measurement from 2020-05-01"),
        (["--min-hours", 25], "--min-hours 25"),
        (["--min-hours", 0], "--min-hours 0"),
        (["--step", "hourly", "--day", "local"], "--day: hours are of UTC"),
        (["--step", "hourly", "--min-hours", 3], "--min-hours: hours are of UTC"),
        (["--utc-offset", 40], "40.0 h ahead of UTC"),
        (["--cross-validate", "cv.csv.gz", "--folds", 7], "6 stations cannot be held out in 7 folds"),
        (["--cross-validate", "cv.csv.gz", "--folds", 1], "6 stations cannot be held out in 1 folds"),
        (["--cross-validate", "out.nc"], "are both out.nc"),
        (["--cross-validate", "stations.csv"], "stations.csv is the input"),
        (["--cross-validate", "no/such/../../out.nc/x.csv.gz", "--out", "none.safetensors"], "none.safetensors is the"),
        (["--out", "stations.csv"], "stations.csv is the input and would be overwritten"),
        (["--out", "/proc/none/out.nc"], "/proc/none/out.nc"),
        (["--out", "."], "is a folder"),
        (["--background", "product.nc"], "needs no background; given: product.nc"),
        (["--background", "nowhere.nc"], "There is no file nowhere.nc"),
        (["--weather", "nowhere.csv.gz"], "There is no file nowhere.csv.gz"),
        (["--cities", "nowhere.csv"], "There is no file nowhere.csv"),
        (["--cities", "stations.csv"], "lacks a column"),
        (["--pollutant", "o3"], "stations.csv"),
    ],
    ids=lambda item: " ".join(map(str, item)) if isinstance(item, list) else "",
)  # fmt: skip
def test_options_that_cannot_be_are_one_sentence(folder, capsys, words, told):
    assert told in sentence(folder, capsys, *words)


@pytest.mark.parametrize(
    ("model", "words", "told"),
    [
        ("nowhere", [], "There is no file nowhere.safetensors"),
        ("spatial", [], "holds a spatial network"),
        ("stations", [], "no file"),
        ("product", [], "needs hourly files of the product as --background; given: none"),
        ("climatology", [], "needs one climatology.npz as --background; given: none"),
        ("climatology", ["--background", "climatology.npz", "climatology.npz"], "needs one climatology.npz"),
        ("climatology", ["--background", "product.nc"], "product.nc is no climatology"),
        ("product", ["--background", "climatology.npz"], "climatology.npz"),
        ("product", ["--background", "product.nc", "product.nc"], "out of order or overlap"),
        ("product", ["--background", "product.nc", "--region", 30, 0, 9, 9], "product.nc: a 0.25° grid"),
        ("climatology", ["--background", "climatology.npz", "--region", 30, 0, 9, 9], "does not cover"),
    ],
    ids=lambda item: " ".join(map(str, item)) if isinstance(item, list) else item,
)
def test_networks_and_backgrounds_that_do_not_fit_are_one_sentence(folder, capsys, model, words, told):
    assert told in sentence(folder, capsys, *words, model=model)


def test_a_background_in_other_units_or_of_another_origin_is_refused(folder, capsys):
    times, values = START + HOUR * np.arange(-24, 73), np.full((97, *GRID.shape), 7.0)
    write_product(folder / "cams.nc", times, values, units="kg m-3")
    assert "cams.nc holds pm25 in 'kg m-3'" in sentence(folder, capsys, "--background", "cams.nc", model="product")
    write_stations(folder / "s.csv", PLACES, hours(START, 24), value, name="SYNTHETIC {}")
    assert "product.nc is real and the stations are synthetic" in sentence(
        folder, capsys, "--background", "product.nc", model="product", stations="s.csv"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "nowhere.csv"),
        ("", "empty"),
        ("<!doctype html><html></html>", "s.csv"),
        ("id,lat,lon,time\n1,2,3,2020-03-01T05:00Z\n", "pm25"),
        ("id,lat,lon,time,pm25\n", "not one PM2.5 measurement"),
        ("id,lat,lon,time,pm25\n1,12,3,2020-03-01 05:00,3\n", "--utc-offset"),
        (
            "id,lat,lon,time,pm25\n1,12,3,2020-03-01T05:00Z,\n1,12,3,2020-03-01T06:00Z,\n",
            "none of 2 measurements: 2 no value",
        ),
        ("id,lat,lon,time,pm25\n1,12,3,never,3\n", "there is not one time"),
        ("id,lat,lon,time,pm25\n1,91,3,2020-03-01T05:00Z,3\n2,4,4,2020-03-01T05:00Z,3\n", "possible coordinates"),
        ("id,lat,lon,time,pm25\n1,12,3,2020-03-01T05:00Z,3\n", "day with fewer than 19 hours: 1"),
        (
            "id,lat,lon,time,pm25\n1,12,3,1970-01-01T05:00Z,3\n1,12,3,2020-03-01T05:00Z,3\n",
            "of so long a time",
        ),
    ],
    ids=["none", "empty", "html", "no values", "no rows", "no zone", "all missing", "times", "places", "few", "long"],
)
def test_stations_that_cannot_be_used_are_one_sentence(folder, capsys, text, told):
    if text is not None:
        (folder / "s.csv").write_text(text)
    assert told in sentence(folder, capsys, stations="nowhere.csv" if text is None else "s.csv")


def test_folders_of_stations_are_read_and_never_written_into_themselves(folder, capsys):
    (folder / "many").mkdir()
    lines = (folder / "stations.csv").read_text().splitlines()
    for number, part in enumerate((lines[1:150], lines[150:])):
        packed = gzip.compress("\n".join([lines[0], *part]).encode(), mtime=0)
        (folder / "many" / f"{number}.csv.gz").write_bytes(packed)
    assert "288 of 288 measurements used" in fuse(capsys, stations="many")
    with netCDF4.Dataset("out.nc") as file:
        assert file.source_files.startswith("many sha256:")
    os.remove("out.nc")
    assert "is the input" in sentence(folder, capsys, "--cross-validate", "many/1.csv.gz", stations="many")


@pytest.mark.real
def test_a_day_of_china_is_fused_by_the_hour(folder, capsys, real_samples):
    sample = real_samples / "cnemc_20190718_pm25.csv.gz"
    words = ["--utc-offset", 8, "--step", "hourly", "--cities", sample, "--last", "2019-07-18"]
    said = fuse(capsys, *words, stations=sample)
    assert (
        "6,993 of 8,933 measurements used" in said
        and "511 no value" in said
        and "a 0.25° grid of 166 × 259 nodes" in said
    )
