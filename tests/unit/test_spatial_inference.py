"""Refining whole frames: regions, poles and missing values."""

import numpy as np
import pytest

from deepcams.grid.nodes import Region, coarse_globe, coarse_grid, locate, refine
from deepcams.inference.closure import HALO as CLOSURE_HALO
from deepcams.inference.spatial import refine_frames
from deepcams.models.catalogue import build

GLOBE = coarse_globe()
HALO = 10


@pytest.fixture(scope="module")
def field():
    values = np.random.default_rng(8).gamma(2, 10, (1, *GLOBE.shape)).astype(np.float32)
    values[:, [0, -1]] = 15.0
    return values


@pytest.mark.parametrize(
    "region",
    [
        Region(45.0, 0.0, 30.0, 24.0),
        Region(-9.0, 170.25, -24.0, 190.5),
        Region(90.0, -30.0, 75.0, 30.0),
        Region(-81.0, 100.5, -90.0, 130.5),
        Region(87.0, 170.25, 78.0, 187.5),
    ],
    ids=["inland", "across the date line", "north pole", "south pole", "near the pole, across the date line"],
)
@pytest.mark.parametrize("name", ["bicubic", "lanczos3", "least_squares", "pixel_shuffle"])
def test_a_region_is_the_same_box_of_the_globe(field, region, name):
    network = build("spatial", name, None, {"features": 4})
    assert network.halo + CLOSURE_HALO["block_mean"] <= HALO
    box, wide = coarse_grid(region), coarse_grid(region, HALO)
    rows, columns = locate(wide, GLOBE)
    local = refine_frames(field[:, rows][:, :, columns], wide, box, network, "block_mean")
    everywhere = refine_frames(field, GLOBE, GLOBE, network, "block_mean")
    rows, columns = locate(refine(box), refine(GLOBE))
    np.testing.assert_allclose(local, everywhere[:, rows][:, :, columns], rtol=3e-6)


def test_a_pole_is_one_value_in_a_region_too(field):
    region = Region(90.0, -30.0, 75.0, 30.0)
    wide = coarse_grid(region, HALO)
    assert wide.is_periodic
    rows, columns = locate(wide, GLOBE)
    fine = refine_frames(
        field[:, rows][:, :, columns], wide, coarse_grid(region), build("spatial", "bicubic"), "block_mean"
    )
    assert np.ptp(fine[0, 0]) == 0


def test_missing_values_at_the_date_line_are_like_those_anywhere(field):
    holed = field.copy()
    holed[:, 100:104, -3:] = np.nan
    network = build("spatial", "bicubic")
    there = refine_frames(holed, GLOBE, GLOBE, network, "block_mean")
    elsewhere = refine_frames(np.roll(holed, 40, axis=-1), GLOBE, GLOBE, network, "block_mean")
    np.testing.assert_array_equal(np.roll(there, 120, axis=-1), elsewhere)
    assert np.isnan(there).sum() == 12 * 9


def test_values_below_zero_count_as_zero(field):
    low = field.copy()
    low[0, 120, 200] = -0.3
    zero = np.maximum(low, 0)
    network = build("spatial", "bicubic")
    np.testing.assert_array_equal(*(refine_frames(f, GLOBE, GLOBE, network, "none") for f in (low, zero)))


def test_no_more_is_computed_than_network_and_closure_make_use_of(field):
    """Of a region's fields, whose halo is that of the whole chain, most is of no use in space."""
    seen = []

    class Watched:
        halo, context = 1, 2

        def refine(self, frames, grid):
            seen.append(grid.shape)
            return build("spatial", "bicubic").refine(frames, grid)

    box, wide = coarse_grid(Region(45.0, 0.0, 30.0, 24.0)), coarse_grid(Region(45.0, 0.0, 30.0, 24.0), 31)
    rows, columns = locate(wide, GLOBE)
    for closure in ("none", "block_mean"):
        refine_frames(field[:, rows][:, :, columns], wide, box, Watched(), closure)
    assert seen == [tuple(size + 2 * (2 + CLOSURE_HALO[closure]) for size in box.shape) for closure in CLOSURE_HALO]


@pytest.mark.parametrize(
    ("name", "recipe", "context"),
    [("pixel_shuffle", "corrected", 6), ("abpn", "corrected", 24), ("abpn", "published", 60)],
)
def test_a_network_in_windows_is_given_half_a_window_around_a_region(name, recipe, context):
    network = build("spatial", name, None, {"features": 4, "recipe": recipe})
    assert network.context == context
    assert network.halo == 6
