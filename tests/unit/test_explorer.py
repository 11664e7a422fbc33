"""The explorer of stations: its map, and what of the series fits into a page."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.report.explorer import WIDTH, explorer, station_frame
from deepcams.report.folder import read_validation
from tests.standins.validation_folder import write_folder


def parts(text):
    """The explorer's data, and the series'."""
    return [json.loads(re.search(rf'id="{name}">(.*?)</script>', text)[1]) for name in ("explorer", "series")]


def places(*rows):
    return pd.DataFrame(rows, columns=["latitude", "longitude"])


@pytest.mark.parametrize(
    "stations",
    [
        places((50.0, 10.0)),
        places((50.0, 10.0), (40.0, -5.0)),
        places((-17.0, 178.0), (-14.0, -171.0)),
        places((89.9, 0.0), (80.0, 30.0)),
        places((0.0, -100.0), (1.0, 20.0)),
    ],
    ids=["one", "two", "across the date line", "near the pole", "wide"],
)
def test_the_map_shows_all_stations_and_not_much_else(stations):
    frame = station_frame(stations)
    x, y = frame.project(stations["longitude"], stations["latitude"])
    assert not frame.globe and frame.east - frame.west < 180
    assert (x > frame.west).all() and (x < frame.east).all()
    assert (y > frame.south).all() and (y < frame.north).all()
    assert 0.2 < frame.aspect < 4


def test_stations_around_the_world_are_on_a_globe():
    assert station_frame(places((50, -100), (40, 20), (-30, 150))).globe


@pytest.mark.parametrize("globe", [False, True], ids=["region", "globe"])
def test_places_and_coasts_lie_on_the_map(tmp_path, globe):
    content, _ = parts(explorer(read_validation(write_folder(tmp_path, stations=30, globe=globe)), 10**7))
    drawn = content["map"]
    assert drawn["width"] == WIDTH
    assert all(0 <= x <= WIDTH for x in drawn["x"]) and all(0 <= y <= drawn["height"] for y in drawn["y"])
    north = int(np.argmax(content["stations"]["latitude"]))
    assert drawn["y"][north] == min(drawn["y"])
    assert len(drawn["coast"]) < 250_000 and drawn["coast"].count("M") > 3


def test_series_are_packed_to_a_part_in_sixty_thousand(tmp_path):
    folder = write_folder(tmp_path, stations=4, series=3, hours=50)
    _, series = parts(explorer(read_validation(folder), 10**7))
    assert sorted(series["series"]) == ["0", "1", "2"]
    low, step, text = series["series"]["2"]
    numbers = np.frombuffer(base64.b64decode(text), "<u2").reshape(3, 50).astype(float)
    values = np.where(numbers == 65535, np.nan, low + step * numbers)
    with np.load(folder / "clicks.npz") as clicks:
        wanted = np.stack([clicks[name][2] for name in ("observed", "product", "cams")])
    np.testing.assert_allclose(values, wanted, atol=1.01 * step)
    assert step < np.nanmax(wanted) / 60_000


def test_what_does_not_fit_is_left_out_and_said(tmp_path):
    validation = read_validation(write_folder(tmp_path, stations=40, hours=200))
    whole = explorer(validation, 10**7)
    content, series = parts(whole)
    assert "40 of 40 stations have their series here (hourly)." in whole
    room = len(whole.encode()) - 8000
    less = explorer(validation, room)
    kept = len(parts(less)[1]["series"])
    assert 20 < kept < 40 and f"{kept} of 40 stations" in less and "left out to keep the page small" in less
    assert len(less.encode()) - len(whole.encode()) < -7000
    least = explorer(validation, 10)
    content, series = parts(least)
    assert series["series"] == {} and list(content["scores"]) == ["hourly"] and "only the hourly scores" in least


def test_series_are_those_of_the_row_that_the_file_names(tmp_path):
    folder = write_folder(tmp_path, stations=6, hours=30)
    in_order = parts(explorer(read_validation(folder), 10**7))[1]["series"]
    with np.load(folder / "clicks.npz") as clicks:
        content = {name: clicks[name] for name in clicks.files}
    rows = content.pop("row")[[4, 1, 2, 3, 0, 5]]
    np.savez(folder / "clicks.npz", row=rows, **content)
    shuffled = parts(explorer(read_validation(folder), 10**7))[1]["series"]
    assert {row: shuffled[str(rows[int(row)])] for row in in_order} == in_order
    np.savez(folder / "clicks.npz", time=content["time"])
    with pytest.raises(DeepcamsError, match=r"clicks\.npz"):
        explorer(read_validation(folder), 10**7)


def test_a_station_that_moved_is_two(tmp_path):
    folder = write_folder(tmp_path, stations=3, hours=5)
    table = pd.read_csv(folder / "stations.csv", keep_default_na=False)
    moved = table[table["station"] == 1002].assign(latitude=41.0, rmse=3.25)
    pd.concat([table, moved]).to_csv(folder / "stations.csv", index=False)
    content, _ = parts(explorer(read_validation(folder), 10**7))
    assert content["stations"]["station"] == ["1000", "1001", "1002", "1002"]
    assert content["scores"]["daily"]["cams"]["rmse"][3] == 3.25
