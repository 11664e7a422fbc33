"""Embedded heights: known places, the sea, and the nodes of any grid."""

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.geography.load import elevation, land_mask
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, fine_globe, refine

# Means over 0.25° of places known from atlases, m, and how far off they may be.
PLACES = [
    ("Chang Tang, Tibet", 33.0, 87.0, 4900, 150),
    ("Lhasa, among mountains of 5000 m", 29.75, 91.0, 4400, 500),
    ("Altiplano near Oruro", -17.75, -67.75, 3750, 100),
    ("La Paz, on the edge of the Altiplano", -16.5, -68.25, 3900, 300),
    ("Flevoland", 52.5, 5.5, 0, 15),
    ("Groningen", 53.25, 6.5, 0, 15),
    ("Great Plains in Kansas", 38.5, -98.5, 540, 50),
    ("Delhi", 28.5, 77.25, 215, 30),
    ("Manaus", -3.0, -60.0, 60, 40),
    ("Alice Springs", -23.75, 134.0, 590, 60),
    ("Lake Victoria", -1.0, 33.0, 1134, 40),
    ("Lake Superior", 47.75, -88.0, 183, 30),
    ("Turfan", 42.75, 89.25, -100, 60),
    ("Vostok", -78.5, 106.75, 3488, 50),
]


@pytest.mark.parametrize(
    ("latitude", "longitude", "height", "off"), [p[1:] for p in PLACES], ids=[p[0] for p in PLACES]
)
def test_known_places_are_as_high_as_in_the_atlas(latitude, longitude, height, off):
    row, column = round((90 - latitude) * 4), round((longitude + 180) * 4)
    assert abs(elevation(fine_globe())[row, column] - height) <= off


def test_the_sea_is_at_nought_and_land_between_its_depressions_and_the_himalaya():
    heights, land = elevation(fine_globe()), land_mask(fine_globe())
    assert heights.dtype == np.float32 and heights.shape == (721, 1440)
    assert (heights[~land] == 0).all()
    assert heights.min() >= -200 and 5500 < heights.max() < 6500
    assert 700 < np.average(heights, weights=land * np.cos(np.radians(fine_globe().latitude))[:, None]) < 900
    assert np.ptp(heights[-1]) == 0 and 2000 < heights[-1, 0] < 3000


def test_a_box_and_the_coarse_grid_have_the_globes_heights():
    whole = elevation(fine_globe())
    np.testing.assert_array_equal(elevation(coarse_globe()), whole[::3, ::3])
    box = refine(coarse_grid(Region(6.0, 174.0, -6.0, 189.0)))  # across the date line
    columns = np.arange((174 + 180) * 4, (189 + 180) * 4 + 1) % 1440
    np.testing.assert_array_equal(elevation(box), whole[336:385, columns])
    with pytest.raises(DeepcamsError, match="nodes of the 0"):
        elevation(Grid(np.array([10.1, 9.85]), np.array([0.0, 0.25]), 0.25))
