"""Motion told from two fields: displacements that are known, and changes that are no motion."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from deepcams.models.motion import REACH, motion

LARGEST = 4.5  # cells: 3 on the coarser scale and 1.5 on the finer


def waves(dx=0.0, dy=0.0, rows=76, columns=80, seed=0):
    """Sixteen waves 10 to 30 nodes long in all directions, displaced by (dx, dy): asinh of about 10 to 100 ug m-3."""
    random = np.random.default_rng(seed)
    y, x = np.indices((rows, columns))
    field = np.full((rows, columns), 4.0)
    for _ in range(16):
        angle, phase = random.uniform(0, 2 * np.pi, 2)
        number = 2 * np.pi / random.uniform(10, 30)
        field += 0.25 * np.cos(number * (np.cos(angle) * (x - dx) + np.sin(angle) * (y - dy)) + phase)
    return field


def plumes(dx=0.0, dy=0.0, rows=76, columns=80, seed=1):
    """Gaussian plumes of 100 ug m-3, 3 nodes wide, on a background of 5, displaced by (dx, dy): asinh."""
    random = np.random.default_rng(seed)
    y, x = np.indices((rows, columns))
    field = np.full((rows, columns), 5.0)
    for _ in range(30):
        column, row = random.uniform(0, columns), random.uniform(0, rows)
        field += 100 * np.exp(-((x - dx - column) ** 2 + (y - dy - row) ** 2) / 18)
    return np.arcsinh(field)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 5


def tensor(field):
    return torch.tensor(np.array(field), dtype=torch.float32)[None, None]


def inside(fields):
    return fields[..., REACH:-REACH, REACH:-REACH]


def moved(pattern, dx, dy):
    """Two frames of a pattern that moves by (dx, dy), half of it before the middle."""
    return tensor(pattern(-dx / 2, -dy / 2)), tensor(pattern(dx / 2, dy / 2))


@pytest.mark.parametrize(("dx", "dy"), [(0.4, -0.3), (1, 0), (-1.5, 1), (2, 1.5), (0, -3)])
@pytest.mark.parametrize("pattern", [waves, plumes])
def test_the_displacement_of_a_smooth_field_is_found(pattern, dx, dy):
    found = inside(motion(*moved(pattern, dx, dy)))[0].numpy()
    wanted, length = np.array([dx, dy]), np.hypot(dx, dy)
    assert np.abs(np.median(found, axis=(1, 2)) - wanted).max() < 0.03 * length
    error = np.sqrt(np.square(found - wanted[:, None, None]).sum(axis=0).mean())
    assert error < (0.06 if pattern is waves else 0.15) * length


def test_a_change_of_the_field_as_a_whole_is_no_motion():
    first, last = moved(waves, 1.5, -1)
    for offset in (0.5, -1.0):
        torch.testing.assert_close(motion(first, last + offset), motion(first, last), rtol=0, atol=2e-4)
        assert motion(first, first + offset).abs().max() < 2e-4


def test_growth_of_concentrations_by_one_factor_is_no_motion():
    first, last = (torch.sinh(field) for field in moved(waves, 1.5, -1))
    grown = motion(torch.asinh(first), torch.asinh(1.6 * last))
    kept = motion(torch.asinh(first), torch.asinh(last))
    torch.testing.assert_close(inside(grown), inside(kept), rtol=0, atol=0.03)
    assert inside(motion(torch.asinh(first), torch.asinh(1.6 * first))).abs().max() < 0.1


def test_equal_fields_do_not_move():
    first = noise(2, 1, 40, 44)
    assert not motion(first, first).any()


def test_backwards_in_time_the_motion_is_the_opposite():
    first, last = noise(2, 1, 50, 44), noise(2, 1, 50, 44, seed=1)
    forth = motion(first, last)
    assert forth.abs().max() > 0.5
    torch.testing.assert_close(motion(last, first), -forth, rtol=0, atol=1e-5)


def test_a_mirrored_or_transposed_field_moves_that_way():
    first, last = noise(1, 1, 44, 44), noise(1, 1, 44, 44, seed=1)
    x, y = motion(first, last)[0]
    mirrored = motion(first.flip(-1), last.flip(-1))[0]
    torch.testing.assert_close(mirrored, torch.stack([-x, y]).flip(-1), rtol=0, atol=1e-4)
    transposed = motion(first.mT, last.mT)[0]
    torch.testing.assert_close(transposed, torch.stack([y, x]).mT, rtol=0, atol=1e-4)


@pytest.mark.parametrize("by", [1, 17, -5])
def test_rolling_the_globe_rolls_its_motion(by):
    def round_the_globe(frames):
        return inside(motion(*(functional.pad(frame, (REACH, REACH, 0, 0), mode="circular") for frame in frames)))

    frames = noise(1, 1, 40, 48), noise(1, 1, 40, 48, seed=1)
    rolled = [frame.roll(by, -1) for frame in frames]
    torch.testing.assert_close(round_the_globe(rolled), round_the_globe(frames).roll(by, -1), rtol=0, atol=1e-4)


def test_a_box_with_its_reach_around_has_the_motion_of_the_globe():
    whole = noise(1, 1, 90, 100), noise(1, 1, 90, 100, seed=1)
    expected = motion(*whole)[..., 40:52, 30:47]
    box = motion(*(frame[..., 40 - REACH : 52 + REACH, 30 - REACH : 47 + REACH] for frame in whole))
    torch.testing.assert_close(inside(box), expected, rtol=0, atol=1e-4)


def test_nothing_further_away_than_its_reach_is_seen():
    first, last = noise(1, 1, 71, 71), noise(1, 1, 71, 71, seed=1)
    other = first.clone()
    other[..., 35, 35] += 3
    rows, columns = np.nonzero((motion(other, last) != motion(first, last))[0].any(dim=0).numpy())
    distance = np.maximum(np.abs(rows - 35), np.abs(columns - 35)).max()
    assert REACH - 2 <= distance <= REACH == 16


@pytest.mark.parametrize("value", [0.0, -0.4, 9.0])
def test_in_a_field_without_features_nothing_moves(value):
    first = torch.full((1, 1, 40, 41), value)
    for last in (first, first + 0.3, torch.zeros_like(first)):
        assert torch.equal(motion(first, last), torch.zeros(1, 2, 40, 41))


def test_examples_do_not_see_each_other():
    first, last = noise(2, 1, 40, 44), noise(2, 1, 40, 44, seed=1)
    alone = torch.cat([motion(first[k : k + 1], last[k : k + 1]) for k in range(2)])
    torch.testing.assert_close(motion(first, last), alone, rtol=0, atol=1e-5)


def test_the_steepest_fields_give_finite_and_limited_motion():
    peak = np.arcsinh(3657.0)
    lonely, crowded = np.zeros((2, 60, 60))
    lonely[30, 30] = peak
    crowded[::2, ::2] = crowded[20:40, 20:40] = peak
    edge = np.where(np.indices((60, 60)).sum(axis=0) < 60, peak, 0.0)
    for field in (lonely, crowded, edge):
        for last in (np.roll(field, 1, 1), np.roll(field, (-7, 5), (0, 1)), np.zeros_like(field), field[::-1]):
            found = motion(tensor(field), tensor(last))
            assert torch.isfinite(found).all()
            assert found.norm(dim=1).max() <= LARGEST + 1e-5
