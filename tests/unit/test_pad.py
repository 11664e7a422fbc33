"""Continuing fields: round the globe, over the poles, edges of boxes."""

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid
from deepcams.grid.pad import level_poles, pad, row_mean

GLOBE = coarse_globe()
BOX = coarse_grid(Region(30.0, 0.0, 15.0, 30.0))
CIRCLE = coarse_grid(Region(30.0, -180.0, 15.0, 178.5), halo=1)


def on_sphere(latitude, longitude):
    """A smooth function of the place, for latitudes beyond the poles as well."""
    phi, lam = np.radians(latitude)[:, None], np.radians(longitude)[None]
    x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)
    return x + 0.5 * y * z + z**3 + x * y


def test_padding_the_globe_follows_the_sphere():
    halo = 7
    step = GLOBE.step
    latitude = 90 + step * halo - step * np.arange(241 + 2 * halo)
    longitude = -180 - step * halo + step * np.arange(480 + 2 * halo)
    padded = pad(on_sphere(GLOBE.latitude, GLOBE.longitude), GLOBE, halo)
    # Beyond 90° the angle goes on down the opposite meridian: cos φ changes sign, which is what 180° does.
    np.testing.assert_allclose(padded, on_sphere(latitude, longitude), atol=1e-12)


def test_the_row_beyond_the_pole_is_row_one_rolled_by_half_a_circle():
    field = np.random.default_rng(0).random((2, 241, 480)).astype(np.float32)
    padded = pad(field, GLOBE, (2, 0))
    np.testing.assert_array_equal(padded[:, 1], np.roll(field[:, 1], 240, axis=-1))
    np.testing.assert_array_equal(padded[:, 0], np.roll(field[:, 2], 240, axis=-1))
    np.testing.assert_array_equal(padded[:, -1], np.roll(field[:, -3], 240, axis=-1))
    np.testing.assert_array_equal(padded[:, 2:-2], field)
    assert padded.dtype == np.float32


def test_longitude_wraps():
    field = np.random.default_rng(1).random((241, 480))
    padded = pad(field, GLOBE, (0, 3))
    np.testing.assert_array_equal(padded[:, :3], field[:, -3:])
    np.testing.assert_array_equal(padded[:, -3:], field[:, :3])


@pytest.mark.parametrize("shift", [1, 7, 240, 479])
def test_padding_commutes_with_rolling(shift):
    field = np.random.default_rng(2).random((241, 480))
    core = (slice(None), slice(4, -4))
    np.testing.assert_array_equal(
        pad(np.roll(field, shift, -1), GLOBE, 4)[core], np.roll(pad(field, GLOBE, 4)[core], shift, -1)
    )


def test_a_box_repeats_its_edges():
    field = np.random.default_rng(3).random(BOX.shape)
    np.testing.assert_array_equal(pad(field, BOX, (2, 3)), np.pad(field, ((2, 2), (3, 3)), mode="edge"))


def test_a_circle_without_poles_wraps_and_repeats_its_rows():
    field = np.random.default_rng(4).random(CIRCLE.shape)
    padded = pad(field, CIRCLE, 1)
    np.testing.assert_array_equal(padded[0, 1:-1], field[0])
    np.testing.assert_array_equal(padded[1:-1, 0], field[:, -1])


def test_halo_zero_changes_nothing():
    field = np.random.default_rng(5).random(BOX.shape)
    np.testing.assert_array_equal(pad(field, BOX, 0), field)


def test_wrong_shapes_and_too_wide_halos_are_refused():
    with pytest.raises(DeepcamsError, match=r"is not on a 0\.75° grid"):
        pad(np.zeros((240, 480)), GLOBE, 1)
    with pytest.raises(DeepcamsError, match="too small"):
        pad(np.zeros(BOX.shape), BOX, BOX.shape[0])


def test_row_mean_knows_no_order_and_keeps_constants():
    rng = np.random.default_rng(6)
    row = rng.lognormal(0, 3, 480).astype(np.float32)
    assert len({row_mean(rng.permutation(row)).item() for _ in range(20)}) == 1
    double = rng.lognormal(0, 3, 480)
    assert len({row_mean(rng.permutation(double)).item() for _ in range(20)}) == 1
    assert row_mean(row).item() == pytest.approx(row.astype(float).mean(), rel=1e-6)
    constant = np.full(480, np.float32(0.1))
    assert row_mean(constant).item() == np.float32(0.1)
    assert np.isnan(row_mean(np.array([1.0, np.nan])))


def test_poles_become_level_on_a_circle_only():
    field = np.random.default_rng(7).random((241, 480))
    level = level_poles(field.copy(), GLOBE)
    assert np.ptp(level[0]) == np.ptp(level[-1]) == 0
    assert level[0, 0] == pytest.approx(field[0].mean())
    np.testing.assert_array_equal(level[1:-1], field[1:-1])
    part = coarse_grid(Region(90.0, 0.0, 60.0, 30.0))
    piece = np.random.default_rng(8).random(part.shape)
    np.testing.assert_array_equal(level_poles(piece.copy(), part), piece)
