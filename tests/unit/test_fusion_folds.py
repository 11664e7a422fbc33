"""Folds of stations and of whole cities, and what may be known of the rest."""

import logging

import numpy as np
import pandas as pd
import pytest

from deepcams.errors import DeepcamsError
from deepcams.fusion.folds import cities, cities_out, known, stations_out
from deepcams.fusion.observations import Observations, hourly, with_cities
from deepcams.grid.nodes import EARTH, fine_globe
from deepcams.sources.station_files import read_stations
from deepcams.validation.quality import QualitySettings, control_quality


def observations(latitude, longitude, city="", country="CN", station=None):
    latitude, longitude = np.broadcast_arrays(np.asarray(latitude, float), np.asarray(longitude, float))
    stations = pd.DataFrame(
        {
            "station": [f"s{n:04d}" for n in range(len(latitude))] if station is None else station,
            "name": "", "country": country, "city": city, "latitude": latitude, "longitude": longitude,
            "row": np.rint((90 - latitude) / 0.25).astype(np.int64),
            "column": np.rint((longitude + 180) / 0.25).astype(np.int64) % 1440,
        }
    ).astype({"station": "str", "city": "str", "country": "str"})  # fmt: skip
    return Observations(np.array(["2019-07-18"], "datetime64[s]"), stations, np.ones((1, len(stations)), np.float32))


def scattered(number=203, seed=0):
    rng = np.random.default_rng(seed)
    city = rng.choice([f"city {n}" for n in range(40)], number, p=np.arange(1, 41) / 820)
    return observations(rng.uniform(20, 50, number), rng.uniform(80, 130, number), city)


def shuffled(found, seed=3):
    order = np.random.default_rng(seed).permutation(len(found.stations))
    return Observations(found.times, found.stations.iloc[order].reset_index(drop=True), found.values[:, order]), order


@pytest.mark.parametrize("folds", [2, 10, 203])
def test_every_station_is_in_one_fold_and_folds_are_alike(folds):
    fold_of = stations_out(scattered(), folds)
    sizes = np.bincount(fold_of, minlength=folds)
    assert len(fold_of) == 203 and len(sizes) == folds and np.ptp(sizes) <= 1


@pytest.mark.parametrize("scheme", [stations_out, cities_out])
def test_folds_depend_on_the_seed_and_not_on_the_order(scheme):
    found = scattered()
    other, order = shuffled(found)
    assert np.array_equal(scheme(found), scheme(found))
    assert np.array_equal(scheme(found)[order], scheme(other))
    assert not np.array_equal(scheme(found), scheme(found, seed=2))


def test_stations_of_a_fold_are_drawn_by_chance():
    """A tenth of neighbouring ids share a fold, not none and not all."""
    fold_of = stations_out(observations(np.zeros(5000), np.zeros(5000)))
    assert np.mean(fold_of[1:] == fold_of[:-1]) == pytest.approx(0.1, abs=0.015)


def test_a_station_that_has_moved_is_in_one_fold():
    found = observations(np.arange(30), 0.0, station=[f"s{n // 3}" for n in range(30)])
    for scheme in (stations_out, cities_out):
        by_station = scheme(found, 5).reshape(10, 3)
        assert np.ptp(by_station, axis=1).tolist() == [0] * 10


def test_cities_stay_whole_and_folds_have_as_many_stations():
    found = scattered()
    fold_of = cities_out(found)
    assert found.stations.assign(fold=fold_of).groupby("city")["fold"].nunique().max() == 1
    sizes = np.bincount(fold_of, minlength=10)
    assert sizes.sum() == 203 and np.ptp(sizes) <= 2
    assert found.stations.assign(fold=stations_out(found)).groupby("city")["fold"].nunique().max() > 5


def test_cities_of_one_name_in_two_countries_are_two():
    found = observations(np.arange(4.0), 0.0, ["Tripoli"] * 4, ["LY", "LY", "LB", "LB"])
    assert cities(found.stations).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("latitude", [0.0, 60.0, -89.0])
def test_stations_without_a_city_go_together_within_50_km(latitude):
    """Along a circle of latitude, across the date line: 20 km, 29 km, 52 km."""
    turns = np.degrees(2 * np.arcsin(np.sin(np.array([20, 29, 52]) / EARTH / 2) / np.cos(np.radians(latitude))))
    longitude = 179.9 + np.concatenate([[0], np.cumsum(turns)])
    found = observations(latitude, np.where(longitude > 180, longitude - 360, longitude))
    assert cities(found.stations).tolist() == [0, 0, 0, 1]


def test_a_chain_of_towns_is_no_city():
    """Forty places, 10 km apart in a row: no two of a city are further apart than 50 km, and cities are not tiny."""
    found = cities(observations(np.arange(40) * 10 / EARTH * 180 / np.pi, 0.0).stations)
    for city in np.unique(found):
        assert 2 <= (found == city).sum() <= 6
        assert np.ptp(np.flatnonzero(found == city)) <= 5


def test_stations_across_the_pole_are_near():
    assert cities(observations([89.9, 89.9, 89.0], [0.0, 180.0, 0.0]).stations).tolist() == [0, 0, 1]


def test_a_station_without_a_city_goes_with_the_city_that_it_is_near():
    """Named cities stay apart though they touch; one between them, whose city is not known, goes with the nearest."""
    place = [30.0, 30.1, 30.2, 35.0], [100.0] * 4
    assert cities(observations(*place, ["a", "b", "b", ""]).stations).tolist() == [0, 1, 1, 2]
    place[0][1] = 30.08
    assert cities(observations(*place, ["a", "", "b", ""]).stations).tolist() == [0, 0, 1, 2]


def test_stations_of_the_fold_and_their_cell_mates_are_not_known():
    found = observations([10.0, 10.1, 10.1, 10.25, 40.0], [20.0, 20.1, 20.13, 20.0, 20.0])
    fold_of = np.array([0, 1, 1, 2, 0])
    assert known(found, fold_of, 0).tolist() == [False, False, True, True, False]
    assert known(found, fold_of, 1).tolist() == [False, False, False, True, True]
    assert known(found, fold_of, 3).all()


@pytest.mark.parametrize("scheme", [stations_out, cities_out])
def test_more_folds_than_stations_or_cities_are_refused(scheme):
    found = observations(np.arange(5), 0.0)
    with pytest.raises(DeepcamsError, match=r"^5 (stations|cities) cannot be held out in 10 folds"):
        scheme(found)
    assert sorted(scheme(found, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(DeepcamsError, match="in 1 folds"):
        scheme(found, 1)
    with pytest.raises(DeepcamsError, match=r"^0 "):
        scheme(observations([], []))


def test_a_city_that_is_more_than_a_fold_is_told(caplog):
    with caplog.at_level(logging.WARNING):
        fold_of = cities_out(observations(np.arange(30), 0.0, ["big"] * 20 + list("abcdefghij")), 3)
    assert sorted(np.bincount(fold_of)) == [5, 5, 20] and "holds 20 of 30 stations" in caplog.text


@pytest.mark.real
def test_the_real_stations_of_china(real_samples):
    file = real_samples / "cnemc_20190718_pm25.csv.gz"
    kept, _ = control_quality(read_stations([file], utc_offset=8), QualitySettings())
    found, _ = hourly(with_cities(kept, [file]), fine_globe(), np.unique(kept["time"].to_numpy()))
    for scheme in (stations_out, cities_out):
        assert sorted(np.bincount(scheme(found)).tolist()) == [147] * 8 + [148] * 2
    assert cities(found.stations).max() + 1 == 364
    without = cities(found.stations.assign(city=""))
    assert without.max() + 1 == 353 and np.bincount(without).max() == 13
