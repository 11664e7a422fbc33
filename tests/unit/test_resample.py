"""×3 interpolation: nodes kept, rolls, poles, kernels against independent ones."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from deepcams.errors import DeepcamsError
from deepcams.grid import blocks
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid, refine
from deepcams.grid.pad import pad
from deepcams.grid.resample import KERNELS, kernel_taps, upsample

GLOBE = coarse_globe()
BOX = coarse_grid(Region(30.0, 0.0, 15.0, 30.0))
SMOOTH = ("bilinear", "bicubic", "lanczos3")


@pytest.fixture(scope="module")
def coarse():
    field = np.random.default_rng(0).lognormal(1, 1, (241, 480)).astype(np.float32)
    field[[0, -1]] = field[[0, -1], :1]
    return field


@pytest.mark.parametrize("kernel", KERNELS)
def test_241_by_480_becomes_721_by_1440_and_nodes_keep_their_values(kernel, coarse):
    fine = upsample(coarse, GLOBE, kernel)
    assert fine.shape == (721, 1440)
    assert fine.dtype == np.float32
    np.testing.assert_array_equal(fine[::3, ::3], coarse)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("k", [1, 240, 479])
def test_rolling_by_k_rolls_the_result_by_3k_to_the_bit(kernel, k, coarse):
    rough = coarse.copy()
    rough[0] += np.arange(480, dtype=np.float32)  # also where a pole's row is not constant
    np.testing.assert_array_equal(
        upsample(np.roll(rough, k, -1), GLOBE, kernel), np.roll(upsample(rough, GLOBE, kernel), 3 * k, -1)
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_poles_are_one_value_the_coarse_one(kernel, coarse):
    fine = upsample(coarse, GLOBE, kernel)
    np.testing.assert_array_equal(fine[0], np.full(1440, coarse[0, 0]))
    np.testing.assert_array_equal(fine[-1], np.full(1440, coarse[-1, 0]))


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_constant_stays_constant(kernel):
    fine = upsample(np.full((241, 480), np.float32(7.3)), GLOBE, kernel)
    np.testing.assert_allclose(fine, 7.3, rtol=3e-7)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_box_equals_the_globe_inside_its_halo(kernel, coarse):
    fine = upsample(coarse, GLOBE, kernel)[240:301, 720:841]
    part = upsample(coarse[80:101, 240:281], BOX, kernel)
    assert part.shape == refine(BOX).shape
    np.testing.assert_array_equal(part[9:-9, 9:-9], fine[9:-9, 9:-9])


def test_bicubic_across_the_date_line_and_the_pole_follows_the_sphere():
    """A smooth field of the place is met to the order of the kernel, at the seam and beside the poles too."""

    def field(grid):
        phi, lam = np.radians(grid.latitude)[:, None], np.radians(grid.longitude)[None]
        return np.cos(phi) * np.cos(lam) + np.cos(phi) * np.sin(lam) * np.sin(phi) + np.sin(phi) ** 3

    error = np.abs(upsample(field(GLOBE), GLOBE, "bicubic") - field(refine(GLOBE)))
    assert error[:, [0, 1, 2, -3, -2, -1]].max() < 2e-6
    assert error[:4].max() < 2e-6
    assert error[-4:].max() < 2e-6
    assert error.max() < 2e-6


@pytest.mark.parametrize("a", [-0.5, -0.75])
def test_bicubic_agrees_with_an_explicit_matrix(a, coarse):
    def keys(x):
        x = abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0

    field = coarse[50:60, 60:75].astype(float)
    grid = coarse_grid(Region(52.5, -135.0, 45.75, -124.5))
    padded = np.pad(field, 2, mode="edge")
    rows = np.array([[keys(y / 3 - (i - 2)) for i in range(14)] for y in range(28)])
    columns = np.array([[keys(x / 3 - (j - 2)) for j in range(19)] for x in range(43)])
    np.testing.assert_allclose(upsample(field, grid, "bicubic", a), rows @ padded @ columns.T, rtol=1e-12, atol=1e-12)


def test_bicubic_agrees_with_torch_of_its_parameter(coarse):
    import torch

    padded = pad(coarse.astype(float), GLOBE, 4)
    height, width = padded.shape
    wide = torch.nn.functional.interpolate(
        torch.from_numpy(padded)[None, None],
        size=(3 * (height - 1) + 1, 3 * (width - 1) + 1),
        mode="bicubic",
        align_corners=True,  # node to node
    )[0, 0].numpy()
    expected = wide[12:-12, 12 : 12 + 1440]
    np.testing.assert_allclose(upsample(coarse.astype(float), GLOBE, "bicubic", -0.75)[1:-1], expected[1:-1], atol=1e-9)


def test_bilinear_agrees_with_scipy(coarse):
    field = coarse[80:101, 240:281].astype(float)
    fine = refine(BOX)
    reference = RegularGridInterpolator((-BOX.latitude, BOX.longitude), field)
    points = np.stack(np.meshgrid(-fine.latitude, fine.longitude, indexing="ij"), axis=-1)
    np.testing.assert_allclose(upsample(field, BOX, "bilinear"), reference(points), rtol=1e-12)


def test_kernel_weights():
    np.testing.assert_allclose(kernel_taps("bicubic"), [-2 / 27, 21 / 27, 9 / 27, -1 / 27], atol=1e-15)
    np.testing.assert_allclose(kernel_taps("bilinear"), [2 / 3, 1 / 3])
    assert len(kernel_taps("lanczos3")) == 6
    assert sum(kernel_taps("lanczos3")) == pytest.approx(1, abs=1e-15)
    assert max(kernel_taps("lanczos3")) == kernel_taps("lanczos3")[2]


def test_nearest_takes_the_block(coarse):
    fine = upsample(coarse, GLOBE, "nearest")
    assert fine[301, 1439] == fine[299, 1] == coarse[100, 0]
    assert fine[302, 3] == coarse[101, 1]


@pytest.mark.parametrize("kernel", KERNELS)
def test_missing_values_reach_as_far_as_the_kernel(kernel, coarse):
    holed = coarse.copy()
    holed[100, 200] = np.nan
    missing = np.isnan(upsample(holed, GLOBE, kernel))
    reach = {"nearest": 1, "conservative": 1, "bilinear": 2, "bicubic": 5, "lanczos3": 8}[kernel]
    rows, columns = np.nonzero(missing)
    assert (rows.min(), rows.max()) == (300 - reach, 300 + reach)
    assert (columns.min(), columns.max()) == (600 - reach, 600 + reach)


@pytest.mark.parametrize("kernel", SMOOTH)
@pytest.mark.parametrize("band", [1, 100, 500])
def test_bands_leave_no_trace(kernel, band, coarse, monkeypatch):
    expected = upsample(coarse, GLOBE, kernel)
    monkeypatch.setattr(blocks, "BAND", band)
    np.testing.assert_array_equal(upsample(coarse, GLOBE, kernel), expected)


def test_frames_are_independent(coarse):
    frames = np.stack([coarse, coarse[::-1]])
    np.testing.assert_array_equal(upsample(frames, GLOBE)[1], upsample(frames[1], GLOBE))


def test_input_is_left_alone():
    rough = np.random.default_rng(1).random((241, 480))
    copy = rough.copy()
    upsample(rough, GLOBE)
    np.testing.assert_array_equal(rough, copy)


def test_unknown_kernels_and_tiny_grids_are_refused(coarse):
    with pytest.raises(DeepcamsError, match="choose one of nearest"):
        upsample(coarse, GLOBE, "cubic")
    tiny = coarse_grid(Region(1.5, 0.0, 0.0, 1.5))
    with pytest.raises(DeepcamsError, match="at least 4"):
        upsample(np.zeros(tiny.shape), tiny, "lanczos3")
