"""`deepcams validate`: any CF file and any stations in, a whole folder or one sentence out."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from deepcams.cli.main import main
from deepcams.report.plot import FIGURES, SUFFIXES
from deepcams.validation.summary import FILES

LATITUDE, LONGITUDE = np.arange(40.0, 45.1, 0.5), np.arange(5.0, 11.3, 0.625)  # MERRA-2's steps
START = np.datetime64("2019-01-31T00:00:00", "s")
HOURS = START + np.arange(49) * np.timedelta64(3600, "s")
RNG = np.random.default_rng(5)
VALUES = 20 + 10 * np.sin(np.arange(49) / 4)[:, None, None] + RNG.random((49, 11, 11))


def fields(path, values=VALUES, times=HOURS, units="kg m-3", **attributes):
    data = xr.Dataset(
        {"PM": (("time", "lat", "lon"), values * 1e-9, {"units": units, **attributes})},
        coords={"time": times, "lat": LATITUDE, "lon": LONGITUDE},
    )
    data["time"].encoding["units"] = "minutes since 2019-01-01"
    data.to_netcdf(path, engine="h5netcdf")
    return path


def stations(path, shift=0.0):
    """A plain table: four places, the mean over each hour of what the nearest node says, plus `shift`."""
    rows = []
    for k, (row, column) in enumerate([(2, 2), (2, 8), (8, 2), (8, 8)]):
        for hour in range(1, 49):
            value = VALUES[hour - 1 : hour + 1, row, column].mean() + shift
            rows.append((f"s{k}", LATITUDE[row] + 0.1, LONGITUDE[column] - 0.1, f"{HOURS[hour]}Z", round(value, 4)))
    table = pd.DataFrame(rows, columns=["id", "lat", "lon", "datetime_utc", "PM2.5"])
    table.to_csv(path, index=False)
    return path


def sentence(capsys, *words):
    assert main(["validate", *map(str, words)]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error and "deepcams: " in error
    return error


@pytest.fixture
def command(tmp_path):
    """A command that works; its folder."""
    return [fields(tmp_path / "merra.nc"), stations(tmp_path / "stations.csv"), "--out", tmp_path / "out"], tmp_path


def scores(out, field="product"):
    table = pd.read_csv(out / "tables" / "scores.csv", keep_default_na=False)
    return table[(table["by"] == "all") & (table["resolution"] == "hourly") & (table["field"] == field)].iloc[0]


def test_fields_of_any_grid_get_a_whole_report(command, capsys):
    words, folder = command
    assert main(["validate", *map(str, words), "--dpi", "50", "--name", "MERRA-2"]) == 0
    assert "4 stations, 192 pairs" in capsys.readouterr().out
    out = folder / "out"
    assert "animation.gif" in (out / "report.html").read_text()
    assert {path.name for path in (out / "tables").iterdir()} == set(FILES)
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png", ".gif", ".json"}
    assert len(list((out / "figures").iterdir())) == len(FIGURES) and set(SUFFIXES) == {"animation", "slider"}
    assert {path.name for path in (out / "pairs").iterdir()} == {
        "2019-01.nc", "2019-01_counts.csv.gz", "2019-02.nc", "2019-02_counts.csv.gz"
    }  # fmt: skip
    assert not (out / "snapshot.nc").exists()
    text = (out / "report.html").read_text()
    assert "MERRA-2: surface PM2.5 against stations" in text and str(folder) not in text
    row = scores(out)
    assert row["n"] == 192 and float(row["rmse"]) < 1e-3 and float(row["r"]) > 0.9999


def test_a_second_field_is_scored_on_the_same_pairs(command):
    words, folder = command
    other = fields(folder / "other.nc", VALUES + 7)
    assert main(["validate", *map(str, words), "--dpi", "40", "--beside", str(other), "--beside-name", "other"]) == 0
    assert float(scores(folder / "out", "cams")["mb"]) == pytest.approx(7, rel=1e-3)
    summary = json.loads((folder / "out" / "tables" / "summary.json").read_text())
    assert summary["names"] == {"product": "product", "cams": "other"}


def test_daily_fields_are_compared_with_daily_means(tmp_path):
    days = START + np.arange(2) * np.timedelta64(24, "h")
    values = np.stack([(VALUES[k : k + 24] + VALUES[k + 1 : k + 25]).mean(axis=0) / 2 for k in (0, 24)])
    product = fields(tmp_path / "days.nc", values, days, cell_methods="time: mean")
    words = [product, stations(tmp_path / "s.csv"), "--out", tmp_path / "out", "--stamps", "begin", "--dpi", "40"]
    assert main(["validate", *map(str, words)]) == 0
    table = pd.read_csv(tmp_path / "out" / "tables" / "scores.csv", keep_default_na=False)
    row = table[(table["by"] == "all") & (table["resolution"] == "daily")].iloc[0]
    assert row["n"] == 8 and float(row["rmse"]) < 1e-3


def test_daily_fields_are_compared_with_daily_measurements_and_with_analyses_beside(tmp_path):
    days = START + np.arange(2) * np.timedelta64(24, "h")
    values = np.stack([(VALUES[k : k + 24] + VALUES[k + 1 : k + 25]).mean(axis=0) / 2 for k in (0, 24)])
    product = fields(tmp_path / "days.nc", values, days, cell_methods="time: mean")
    analyses = fields(tmp_path / "analyses.nc", VALUES[::3], HOURS[::3])
    place = f"a,{LATITUDE[2]},{LONGITUDE[2]}"
    rows = [f"{place},2019-{day},{values[k, 2, 2]:.4f}" for k, day in enumerate(["01-31", "02-01"])]
    (tmp_path / "daily.csv").write_text("\n".join(["id,lat,lon,date,pm25", *rows]) + "\n")
    words = [product, tmp_path / "daily.csv", "--out", tmp_path / "out", "--stamps", "begin", "--beside", analyses]
    assert main(["validate", *map(str, words), "--dpi", "40", "--utc-offset", "0"]) == 0
    table = pd.read_csv(tmp_path / "out" / "tables" / "stations.csv", keep_default_na=False)
    daily = table[table["resolution"] == "daily"].set_index("field")
    assert daily.loc["product", "n"] == 2 and float(daily.loc["product", "rmse"]) < 1e-3
    # CAMS is linear between its analyses, so nearly the truth, and never the last hour of the day.
    assert float(daily.loc["cams", "rmse"]) < 0.5


def test_every_measurement_is_counted_once(command):
    words, folder = command
    text = (folder / "stations.csv").read_text()
    extra = "s0,41.1,5.9,garbage,3\ns0,41.1,5.9,2018-05-01T05:00Z,4\ns0,41.1,5.9,2019-02-20T05:00Z,5\n"
    (folder / "stations.csv").write_text(text + extra)
    assert main(["validate", *map(str, words), "--dpi", "40"]) == 0
    counts = pd.read_csv(folder / "out" / "tables" / "counts.csv", keep_default_na=False)
    total = counts.groupby("step", sort=False)["number"].sum()
    assert total["measurements read"] == 195 and total["time not readable"] == 1
    assert total["of other months than the fields"] == 1 and total["outside the time of the fields"] == 1
    kept = list(total.index).index("measurements kept")
    assert total.index[0] == "measurements read" and total.iloc[1 : kept + 1].sum() == total.iloc[0]
    assert total.iloc[kept + 1 :].sum() == total.iloc[kept]


def test_a_reference_that_shares_no_time_is_scored_but_not_drawn(command):
    words, folder = command
    odd = fields(folder / "odd.nc", VALUES[1::3], HOURS[1::3])
    means = fields(folder / "means.nc", VALUES[:48], HOURS[:48], cell_methods="time: mean")
    command = [means, words[1], "--out", folder / "out", "--stamps", "begin", "--beside", odd]
    assert main(["validate", *map(str, command), "--dpi", "40"]) == 0
    assert scores(folder / "out", "cams")["n"] > 100


def test_an_existing_folder_is_replaced_only_where_asked(command, capsys):
    words, folder = command
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("do not touch")
    assert "not what would be written" in sentence(capsys, *words, "--overwrite")
    assert (folder / "out" / "mine.txt").read_text() == "do not touch"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"units": "K"}, "units of 'K'"),
        ({"times": HOURS + np.timedelta64(400, "D")}, "Not one of 192 measurements"),
        ({"cell_methods": "time: mean"}, "begin, middle or end"),
    ],
    ids=["units", "other time", "unstamped means"],
)
def test_fields_that_cannot_be_compared_are_one_sentence(command, capsys, change, words):
    command, folder = command
    fields(folder / "merra.nc", **change)
    assert words in sentence(capsys, *command)
    assert not (folder / "out").exists() and not [p for p in folder.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!doctype html><html></html>", "stations.csv"),
        ("id,lat,datetime_utc,PM2.5\n1,2,2019-01-31T05:00Z,3\n", "lon"),
        ("id,lat,lon,datetime_utc,PM2.5\n", "measurement"),
        ("id,lat,lon,datetime,PM2.5\n1,42,7,2019-01-31 05:00,3\n", "--utc-offset"),
    ],
    ids=["html", "no longitude", "no rows", "no zone"],
)
def test_stations_that_cannot_be_read_are_one_sentence(command, capsys, text, words):
    command, folder = command
    (folder / "stations.csv").write_text(text)
    assert words in sentence(capsys, *command)
    assert not (folder / "out").exists()


def test_a_file_beside_itself_and_files_that_are_not_there(command, capsys):
    words, folder = command
    assert "is" in sentence(capsys, *words, "--beside", words[0]) and "itself" in sentence(
        capsys, *words, "--beside", words[0]
    )
    assert "no file" in sentence(capsys, folder / "none.nc", *words[1:])
    (folder / "merra.nc").write_bytes(b"CDF\x01 and then nothing")
    assert "merra.nc" in sentence(capsys, *words)


def test_months_of_days_that_begin_at_any_hour_lose_none(tmp_path):
    begins = np.datetime64("2019-01-25T16:00:00", "s") + np.arange(20) * np.timedelta64(24, "h")  # days of China
    values = np.arange(20.0)[:, None, None] * np.ones((20, 11, 11)) + 5
    product = fields(tmp_path / "days.nc", values, begins, cell_methods="time: mean")
    hours = begins[0] + np.arange(1, 481) * np.timedelta64(3600, "s")
    rows = [f"a,42,7,{hour}Z,{5 + k // 24 + 0.01 * (k % 7)}" for k, hour in enumerate(hours)]
    (tmp_path / "s.csv").write_text("\n".join(["id,lat,lon,time,pm25", *rows]) + "\n")
    words = [product, tmp_path / "s.csv", "--out", tmp_path / "out", "--stamps", "begin", "--dpi", "40"]
    assert main(["validate", *map(str, words)]) == 0
    table = pd.read_csv(tmp_path / "out" / "tables" / "scores.csv", keep_default_na=False)
    row = table[(table["by"] == "all") & (table["resolution"] == "daily")].iloc[0]
    assert row["n"] == 20 and abs(float(row["mb"])) < 0.1


@pytest.mark.parametrize("dpi", ["0", "-5", "5000"])
def test_resolutions_that_are_none_are_refused(command, capsys, dpi):
    words, _ = command
    assert "--dpi" in sentence(capsys, *words, f"--dpi={dpi}")
