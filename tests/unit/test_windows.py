"""Windows over a line: where they begin, and weights that fade without a seam."""

import numpy as np
import pytest

from deepcams.models.windows import windows

LINES = [
    (size, window, overlap)
    for size in (1, 2, 7, 47, 48, 49, 80, 241, 273, 480)
    for window, overlap in ((1, 0), (5, 4), (48, 16), (48, 0), (40, 1), (300, 16))
]


def cover(size, *arguments, **options):
    """All weights laid upon the line: (windows, 3 size)."""
    parts = windows(size, *arguments, **options)
    weights = np.zeros((len(parts), 3 * size))
    for row, part in zip(weights, parts, strict=True):
        row[part.fine] = part.weight
    return weights


@pytest.mark.parametrize("tapered", [True, False])
@pytest.mark.parametrize("wraps", [True, False])
def test_weights_add_up_to_one_everywhere(wraps, tapered):
    for line in LINES:
        weights = cover(*line, wraps=wraps, tapered=tapered)
        np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-12, err_msg=str(line))
        assert (weights >= 0).all()


@pytest.mark.parametrize("wraps", [True, False])
def test_fine_nodes_are_the_blocks_of_the_coarse_ones(wraps):
    for size, window, overlap in LINES:
        for part in windows(size, window, overlap, wraps=wraps):
            assert len(part.coarse) == min(size, window)
            blocks = (3 * part.coarse[:, None] + [0, 1, 2]).ravel()
            np.testing.assert_array_equal(part.fine, blocks)
            assert len(set(part.fine)) == len(part.fine)


@pytest.mark.parametrize("wraps", [True, False])
def test_neighbours_share_as_many_nodes_as_asked_for(wraps):
    for size, window, overlap in LINES:
        parts = windows(size, window, overlap, wraps=wraps)
        after = [*parts[1:], parts[0]] if wraps else parts[1:]
        for one, next_one in zip(parts, after, strict=False):
            shared = len(set(one.coarse) & set(next_one.coarse))
            assert shared >= min(overlap, size - 1, window - 1)


def test_the_published_windows_begin_where_the_published_code_has_them():
    published = {"overlap": 0, "tapered": False}
    assert [part.coarse[0] for part in windows(241, 120, **published)] == [0, 120, 121]
    assert [part.coarse[0] for part in windows(480, 120, **published)] == [0, 120, 240, 360]


def test_the_published_windows_are_the_plain_mean_where_they_overlap():
    weights = cover(241, 120, 0, tapered=False)
    np.testing.assert_array_equal(weights[1, 363:720], 0.5)
    np.testing.assert_array_equal(weights[1, 360:363], 1)
    np.testing.assert_array_equal(weights[2, 363:720], 0.5)
    np.testing.assert_array_equal(weights[2, 720:], 1)


def test_round_the_globe_windows_stand_at_even_distances_and_cross_its_end():
    parts = windows(480, 48, 16, wraps=True)
    assert [part.coarse[0] for part in parts] == list(range(0, 480, 32))
    np.testing.assert_array_equal(parts[-1].coarse[-16:], np.arange(16))
    for part in parts:
        np.testing.assert_allclose(part.weight, parts[0].weight, atol=1e-12)


def test_weights_rise_across_the_middle_half_of_what_windows_share():
    weight = windows(480, 48, 16, wraps=True)[3].weight
    np.testing.assert_array_equal(weight[:12], 0)
    np.testing.assert_allclose(weight[12:36], (np.arange(24) + 0.5) / 24, atol=1e-12)
    np.testing.assert_allclose(weight[36:-36], 1, atol=1e-12)
    np.testing.assert_allclose(weight, weight[::-1], atol=1e-12)


@pytest.mark.parametrize(("size", "wraps"), [(480, True), (473, True), (241, False), (273, False), (250, False)])
def test_no_weight_jumps(size, wraps):
    weights = cover(size, 48, 16, wraps=wraps)
    steps = np.diff(weights, axis=1, append=weights[:, :1] if wraps else weights[:, -1:])
    assert np.abs(steps).max() < 1.5 / 24


def test_the_ends_of_a_line_belong_to_the_windows_there():
    weights = cover(273, 48, 16)
    np.testing.assert_array_equal(weights[0, :48], 1)
    np.testing.assert_array_equal(weights[-1, -48:], 1)


def test_windows_that_would_share_all_they_have_are_refused():
    for overlap in (48, 50, -1):
        with pytest.raises(ValueError, match=f"windows of 48 nodes cannot share {overlap}"):
            windows(480, 48, overlap)
