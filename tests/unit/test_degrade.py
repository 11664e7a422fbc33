"""Degradation operators: MATLAB's imresize, registration to the nodes, rolls, poles, boxes."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from deepcams.degrade.imresize import imresize
from deepcams.degrade.operators import OPERATORS, degrade, margin
from deepcams.errors import DeepcamsError
from deepcams.grid.blocks import block_mean
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, fine_globe, refine

FINE, COARSE = fine_globe(), coarse_globe()
CASES = ("72x144_to_24x48", "73x145_to_25x49", "24x48_to_72x144", "17x29_to_6x10")


@pytest.fixture(scope="module")
def field():
    values = np.random.default_rng(0).lognormal(1, 1, (721, 1440)).astype(np.float32)
    values[[0, -1]] = values[[0, -1], :1]
    return values


@pytest.mark.parametrize("case", CASES)
def test_imresize_agrees_with_matlabs(case, golden):
    with np.load(golden / "matlab_imresize.npz") as data:
        expected = data[f"out/{case}"]
        np.testing.assert_allclose(imresize(data[f"in/{case}"], shape=expected.shape), expected, rtol=0, atol=1e-10)


def test_imresize_by_a_scale_agrees_with_matlabs(golden):
    with np.load(golden / "matlab_imresize.npz") as data:
        result = imresize(data["in/72x144_to_24x48"], scale=1 / 3)
        np.testing.assert_allclose(result, data["out/scale_third_72x144"], rtol=0, atol=1e-10)


def test_imresize_agrees_with_torch_away_from_the_edges(field):
    image = field[:72, :144].astype(float)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], size=(24, 48), mode="bicubic", antialias=True
    )[0, 0].numpy()
    np.testing.assert_allclose(imresize(image, scale=1 / 3)[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1e-11)


def test_imresize_takes_frames_and_keeps_constants():
    frames = np.random.default_rng(1).random((2, 30, 60))
    np.testing.assert_array_equal(imresize(frames, scale=1 / 3)[1], imresize(frames[1], scale=1 / 3))
    np.testing.assert_allclose(imresize(np.full((721, 1440), 3.7), shape=(241, 480)), 3.7, rtol=1e-14)
    assert imresize(np.zeros((721, 1440)), scale=1 / 3).shape == (241, 480)


def test_imresize_wants_one_of_scale_and_shape():
    for arguments in ({}, {"scale": 0.5, "shape": (1, 1)}, {"shape": (0, 3)}):
        with pytest.raises(ValueError, match=r"scale or shape|at least one pixel"):
            imresize(np.zeros((6, 6)), **arguments)


def test_imresize_at_the_nodes_is_matlabs_kernel_shifted_by_one(field):
    """imresize puts output pixel i on input pixel 3i+1; started one row and column before a node it meets the nodes."""
    at_nodes = degrade(field.astype(float), FINE, "imresize")
    part = imresize(field[2 : 2 + 717, 2 : 2 + 1437].astype(float), scale=1 / 3)  # pixel i is fine row 3i + 3
    np.testing.assert_allclose(at_nodes[3:238, 3:478], part[2:237, 2:477], rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.4])
def test_gaussian_agrees_with_scipy(sigma, field):
    expected = gaussian_filter(field.astype(float), sigma, mode=("nearest", "wrap"), truncate=4.0)[::3, ::3]
    result = degrade(field.astype(float), FINE, "gaussian", sigma=sigma)
    np.testing.assert_allclose(result[3:-3], expected[3:-3], rtol=1e-12)


def test_gaussian_has_sigma_one_by_default(field):
    np.testing.assert_array_equal(degrade(field, FINE, "gaussian"), degrade(field, FINE, "gaussian", sigma=1.0))


def test_point_and_bicubic_take_the_node(field):
    np.testing.assert_array_equal(degrade(field, FINE, "point"), field[::3, ::3])
    np.testing.assert_array_equal(degrade(field, FINE, "bicubic"), field[::3, ::3])
    # The released code's reduction is torch's bicubic without antialiasing: the centre of three, and nothing else.
    image = torch.from_numpy(field[:72, :144].astype(np.float64))[None, None]
    decimated = torch.nn.functional.interpolate(image, scale_factor=1 / 3, mode="bicubic", recompute_scale_factor=False)
    np.testing.assert_allclose(decimated[0, 0].numpy(), field[1:72:3, 1:144:3], rtol=1e-12)


def test_block_mean_is_the_blocks_mean(field):
    np.testing.assert_array_equal(degrade(field, FINE, "block_mean"), block_mean(field, COARSE))


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("k", [1, 239, 479])
def test_rolling_by_3k_rolls_the_result_by_k_to_the_bit(operator, k, field):
    np.testing.assert_array_equal(
        degrade(np.roll(field, 3 * k, -1), FINE, operator), np.roll(degrade(field, FINE, operator), k, -1)
    )


@pytest.mark.parametrize("operator", OPERATORS)
def test_constants_shapes_types_and_poles(operator, field):
    coarse = degrade(field, FINE, operator)
    assert coarse.shape == (241, 480)
    assert coarse.dtype == np.float32
    assert np.ptp(coarse[0]) == np.ptp(coarse[-1]) == 0
    np.testing.assert_allclose(degrade(np.full((721, 1440), 5.1), FINE, operator), 5.1, rtol=1e-13)


@pytest.mark.parametrize("operator", OPERATORS)
def test_no_operator_moves_the_field(operator):
    """A field symmetric about a coarse node stays so: whatever is off by a cell is not."""
    lon, lat = np.meshgrid(FINE.longitude, FINE.latitude)
    bump = np.exp(-((lat - 30) ** 2) / 2 - (lon - 15) ** 2 / 2)
    coarse = degrade(bump, FINE, operator)
    i, j = 80, 260  # 30°N, 15°E
    assert np.unravel_index(coarse.argmax(), coarse.shape) == (i, j)
    np.testing.assert_allclose(coarse[i, j + 1 : j + 4], coarse[i, j - 3 : j][::-1], rtol=1e-9)
    np.testing.assert_allclose(coarse[i + 1 : i + 4, j], coarse[i - 3 : i, j][::-1], rtol=2e-2)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_box_equals_the_globe_inside_its_margin_and_not_outside(operator, field):
    box = coarse_grid(Region(30.0, 0.0, 15.0, 30.0))
    part = degrade(field[240:301, 720:841], refine(box), operator)
    whole = degrade(field, FINE, operator)[80:101, 240:281]
    m = margin(operator)
    inside = slice(m, -m or None)
    np.testing.assert_array_equal(part[inside, inside], whole[inside, inside])
    if m:
        assert (part[m - 1] != whole[m - 1])[m:-m].any()


def test_margins():
    assert {operator: margin(operator) for operator in OPERATORS} == {
        "imresize": 2,
        "bicubic": 0,
        "block_mean": 1,
        "gaussian": 2,
        "point": 0,
    }
    assert margin("gaussian", sigma=2.0) == 3


def test_missing_values_spread_over_the_support(field):
    holed = field.copy()
    holed[301, 601] = np.nan  # beside a coarse node
    counts = {operator: int(np.isnan(degrade(holed, FINE, operator)).sum()) for operator in OPERATORS}
    assert counts == {"imresize": 16, "bicubic": 0, "block_mean": 1, "gaussian": 9, "point": 0}


def test_mistakes_are_explained(field):
    with pytest.raises(DeepcamsError, match="choose one of imresize"):
        degrade(field, FINE, "mean")
    with pytest.raises(DeepcamsError, match="no parameter sigma"):
        degrade(field, FINE, "point", sigma=1.0)
    with pytest.raises(DeepcamsError, match="sigma of the gaussian"):
        degrade(field, FINE, "gaussian", sigma=0.0)
    with pytest.raises(DeepcamsError, match="does not begin and end"):
        degrade(field[1:], Grid(FINE.latitude[1:], FINE.longitude, 0.25), "point")
