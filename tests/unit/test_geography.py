"""The embedded geography: land, coasts, countries, cities."""

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.geography import load as geography
from deepcams.grid.nodes import coarse_globe, fine_globe, row_weights


def test_land_is_where_it_is():
    mask = geography.land_mask(fine_globe())
    share = (mask * row_weights(fine_globe())[:, None]).sum() / (row_weights(fine_globe()).sum() * 1440)
    assert share == pytest.approx(0.29, abs=0.01)
    for lat, lon, land in (
        (28, 77, 1),
        (0, -150, 0),
        (-85, 0, 1),
        (68, 175, 1),
        (41.5, 51, 0),
        (-25, 134, 1),
        (48, 2, 1),
    ):
        assert mask[round((90 - lat) * 4), round((lon + 180) * 4)] == land
    assert mask[-1].all()
    assert not mask[0].any()
    assert np.array_equal(geography.land_mask(coarse_globe()), mask[::3, ::3])


def test_coastlines_do_not_run_along_the_edges_of_the_map():
    lines = geography.coastlines()
    assert len(lines) > 1000
    for line in lines:
        assert line.shape[1] == 2
        assert np.abs(line[:, 0]).max() <= 180.01
        assert np.abs(np.diff(line[:, 0])).max() < 30


def test_countries_and_cities():
    assert geography.country_of(48.85, 2.35).code == "FR"
    assert geography.country_of(28.6, 77.2).name == "India"
    assert geography.country_of(0, -150) is None
    with pytest.raises(DeepcamsError):
        geography.country_of(95, 0)
    cities = {city.name: city for city in geography.cities()}
    assert cities["New Delhi"].utc_offset_minutes == 330
    assert cities["Tokyo"].timezone == "Asia/Tokyo"
    assert geography.cities()[0].weight == max(city.weight for city in geography.cities())


def test_people_add_up_to_the_world():
    grid = fine_globe()
    area = 27.8**2 * np.cos(np.radians(grid.latitude))[:, None]
    assert (geography.population(grid) * area).sum() == pytest.approx(7.7e9, rel=0.1)
