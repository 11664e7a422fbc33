"""The baselines behind the networks' interface, and the catalogue."""

import subprocess
import sys

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_globe, coarse_grid, refine
from deepcams.grid.resample import upsample
from deepcams.models import catalogue

FIRST = np.random.default_rng(0).random((5, 8)).astype(np.float32)
LAST = np.random.default_rng(1).random((5, 8)).astype(np.float32)
THIRDS = (1 / 3, 2 / 3)
GRID = coarse_grid(Region(30.0, 0.0, 27.0, 5.25))
TIME = np.datetime64("2019-07-01T12:00")
# What networks that learn must be told; others do not look at it.
SETTINGS = {
    **{"features": 4, "levels": 1, "recipe": "corrected"},
    **{"variables": ["wind_speed"], "static": ["land"], "background": "none", "reading": "corrected"},
}


def between(name, fractions=THIRDS):
    return catalogue.build("temporal", name).between(FIRST, LAST, fractions, GRID, TIME)


def test_linear_weighs_the_nearer_frame_more():
    frames = between("linear")
    assert frames.shape == (2, 5, 8)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames[0], 2 / 3 * FIRST + 1 / 3 * LAST, rtol=1e-6)
    np.testing.assert_allclose(frames[1], 1 / 3 * FIRST + 2 / 3 * LAST, rtol=1e-6)


def test_linear_meets_both_frames():
    np.testing.assert_array_equal(between("linear", (0.0, 1.0)), [FIRST, LAST])


def test_the_printed_equation_has_the_weights_swapped():
    np.testing.assert_allclose(between("linear_as_printed"), between("linear")[::-1], rtol=1e-6)


def test_nearest():
    np.testing.assert_array_equal(between("nearest"), [FIRST, LAST])


@pytest.mark.parametrize("name", ["linear", "nearest", "linear_as_printed"])
def test_missing_in_either_frame_is_missing_in_both_between(name):
    holed = FIRST.copy()
    holed[2, 3] = np.nan
    frames = catalogue.build("temporal", name).between(holed, LAST, THIRDS, GRID, TIME)
    assert np.isnan(frames[:, 2, 3]).all()
    assert np.isnan(frames).sum() == 2


@pytest.mark.parametrize("name", ["bicubic", "bilinear", "nearest", "conservative", "lanczos3"])
def test_spatial_networks_are_the_kernels_and_state_their_halo(name):
    globe = coarse_globe()
    frames = np.random.default_rng(2).random((2, 241, 480)).astype(np.float32)
    network = catalogue.build("spatial", name)
    fine = network.refine(frames, globe)
    np.testing.assert_array_equal(fine, upsample(frames, globe, name))
    region = Region(30.0, 0.0, 15.0, 30.0)
    wide = coarse_grid(region, network.halo)
    h = network.halo
    part = network.refine(frames[:, 80 - h : 101 + h, 240 - h : 281 + h], wide)
    inner = part[:, 3 * h : part.shape[1] - 3 * h, 3 * h : part.shape[2] - 3 * h]
    np.testing.assert_array_equal(inner, fine[:, 240:301, 720:841])


def test_every_network_of_the_catalogue_can_be_built():
    for stage in catalogue.stages():
        for name in catalogue.names(stage):
            network = catalogue.build(stage, name, None, SETTINGS)
            assert callable(getattr(network, {"temporal": "between", "spatial": "refine", "fusion": "estimate"}[stage]))
            assert isinstance(network.halo, int)
            assert all(module.startswith("deepcams.models.") for module in catalogue.modules_of(stage, name))
            assert catalogue.learns(stage, name) == (catalogue.trainer_of(stage, name) is not None)


@pytest.mark.parametrize("stage", catalogue.stages())
def test_every_network_does_what_its_stage_asks_for(stage):
    field = np.random.default_rng(3).gamma(2, 10, (2, *GRID.shape)).astype(np.float32)
    for name in catalogue.names(stage):
        network = catalogue.build(stage, name, None, SETTINGS)
        if stage == "temporal":
            found = network.between(*field, THIRDS, GRID, TIME)
            assert found.shape == (2, *GRID.shape)
        elif stage == "spatial":
            found = network.refine(field, GRID)
            assert found.shape == (2, *refine(GRID).shape)
        else:
            everywhere = np.ones(GRID.shape, np.float32)
            found = network.estimate((field[0], everywhere), {"wind_speed": (field[1], everywhere)}, [everywhere], GRID)
            assert found.shape == GRID.shape
        assert found.dtype == np.float32 and np.isfinite(found).all(), name


def test_networks_that_learn_are_run_by_code_that_counts_as_theirs():
    """The digest of a rule covers what the catalogue names."""
    for stage in catalogue.stages():
        for name in catalogue.names(stage):
            runner = "deepcams.models.fusion_frames" if stage == "fusion" else "deepcams.models.frames"
            runs = runner in catalogue.modules_of(stage, name)
            assert runs == catalogue.learns(stage, name)


def test_mistakes_are_explained():
    with pytest.raises(DeepcamsError, match="Did you mean bicubic"):
        catalogue.build("spatial", "bicubik")
    with pytest.raises(DeepcamsError, match="no stage 'space'"):
        catalogue.names("space")
    with pytest.raises(DeepcamsError, match="does not learn"):
        catalogue.build("temporal", "linear", {"w": np.zeros(1)})


def test_the_catalogue_imports_no_network():
    code = (
        "import sys, deepcams.models.catalogue as c; c.names('spatial'); "
        "print([m for m in sys.modules if m.startswith('deepcams.models.')], 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["['deepcams.models.catalogue']", "False"]
