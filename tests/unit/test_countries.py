"""Continents of countries, countries of places, and places that are outside their country."""

import csv
from importlib.resources import files

import numpy as np
import pytest

from deepcams.geography.countries import countries_at, outside_country
from deepcams.geography.load import cities, continent_of, country_of, country_table, places


@pytest.mark.parametrize(
    ("code", "continent"),
    [
        ("NA", "Africa"), ("AQ", "Antarctica"), ("IN", "Asia"), ("TR", "Asia"), ("RU", "Europe"), ("XK", "Europe"),
        ("US", "North America"), ("PR", "North America"), ("CL", "South America"), ("AU", "Oceania"), ("NC", "Oceania"),
        ("", ""), ("ZZ", ""), ("us", ""),
    ],
)  # fmt: skip
def test_continents_of_countries(code, continent):
    assert continent_of(code) == continent


def test_all_of_iso_3166_is_there_once():
    """249 codes and Kosovo; every country of the map and of the cities is among them."""
    text = (files("deepcams.geography") / "continents.csv").read_text(encoding="utf-8")
    codes = [row["code"] for row in csv.DictReader(text.splitlines())]
    assert codes == sorted(set(codes)) and len(codes) == 249 + 1
    assert {country.code for country in country_table()} - {""} <= set(codes)
    assert {city.country for city in cities()} <= set(codes)
    assert {place.state for place in places().values()} - {""} <= set(codes)
    numbers = {name: sum(place.continent == name for place in places().values()) for name in map(continent_of, codes)}
    assert numbers == {
        "Africa": 58, "Antarctica": 5, "Asia": 52, "Europe": 52, "North America": 41, "South America": 14,
        "Oceania": 28,
    }  # fmt: skip


def test_countries_of_many_places_are_those_of_each():
    towns = cities()
    found = countries_at(np.array([town.latitude for town in towns]), np.array([town.longitude for town in towns]))
    assert np.mean(found == [town.country for town in towns]) > 0.9  # some lie at a border, to 25 km
    for town, code in zip(towns, found, strict=True):
        one = country_of(town.latitude, town.longitude, reach=1)
        assert one is None or code == one.code or places()[code].point  # a small one, which the grid lacks
    assert countries_at(np.array([1.35, 0.0, 48.0]), np.array([103.8, -150.0, 362.3])).tolist() == ["SG", "", "FR"]
    assert countries_at(np.array([41.9, 43.7]), np.array([12.5, 7.4])).tolist() == ["IT", "FR"]  # Rome, Monaco


INSIDE = [
    ("US", 21.3, -157.9), ("US", 13.45, 144.8), ("US", -14.3, -170.7), ("US", 18.4, -66.1), ("PR", 18.4, -66.1),
    ("FR", -20.9, 55.5), ("RE", -20.9, 55.5), ("FR", 46.8, -56.2), ("FR", -22.3, 166.5), ("GB", 36.1, -5.4),
    ("NL", 12.2, -68.3), ("ES", 28.5, -16.3), ("ES", 35.3, -2.9), ("PT", 37.7, -25.7), ("TW", 24.4, 118.3),
    ("CN", 22.3, 114.2), ("MT", 35.9, 14.5), ("XK", 42.7, 21.2), ("RS", 42.7, 21.2), ("SO", 9.6, 44.1),
    ("UA", 44.6, 33.5), ("RU", 44.6, 33.5), ("CL", -27.2, -109.4), ("AU", -31.6, 159.1), ("RU", 54.7, 20.5),
    ("US", 0.0, -150.0), ("ZZ", 48.0, 2.0), ("", 48.0, 2.0), ("FJ", -18.1, 178.4), ("RU", 66.0, -170.0),
]  # fmt: skip
OUTSIDE = [
    ("US", 40.0, 105.0), ("IN", 77.2, 28.6), ("DE", 13.4, 52.5), ("FR", 40.4, -3.7), ("CN", 20.6, 78.9),
    ("GB", 40.4, -3.7), ("MX", 19.4, 99.1), ("CL", 33.4, -70.7 + 360), ("SG", 28.6, 77.2),
]  # fmt: skip


def test_islands_territories_and_borderlands_are_inside_and_mistyped_places_outside():
    code, latitude, longitude = (np.array(column) for column in zip(*INSIDE, *OUTSIDE, strict=True))
    found = outside_country(code, latitude, longitude)
    assert [INSIDE[n] for n in np.flatnonzero(found[: len(INSIDE)])] == []
    assert [OUTSIDE[n] for n in np.flatnonzero(~found[len(INSIDE) :])] == [("CL", 33.4, 289.3)]  # on the high sea
    assert not outside_country(code, latitude, longitude, 20_000).any()
    assert outside_country(np.array(["MT"]), np.array([35.9]), np.array([12.5]), 100.0).size == 1
