"""The numbers that networks compute with: what bfloat16 changes, and where it is taken."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from deepcams.errors import DeepcamsError
from deepcams.files.rounding import round_mantissa
from deepcams.grid.nodes import Grid, from_axes
from deepcams.inference.spatial import refine_frames
from deepcams.models import precision, pretrained
from deepcams.models.catalogue import make
from deepcams.models.checkpoint import load
from deepcams.models.spatial_interpolation import bicubic
from deepcams.models.temporal_interpolation import linear
from deepcams.sources.cams import read_cams

GRID = Grid(90 - 3.0 * np.arange(61), -180 + 3.0 * np.arange(120), 3.0)  # a globe
TIME = np.datetime64("2019-06-21T12:00")
THIRDS = (1 / 3, 2 / 3)
KINDS = ("float32", "bfloat16")


@pytest.fixture(scope="module")
def frames():
    """Four fields that drift, 0.01 to 1000 ug m-3, with clean air and plumes as CAMS has them."""
    random = np.random.default_rng(4)
    noise = gaussian_filter(random.standard_normal((61, 120)), (2, 2), mode=("reflect", "wrap"))
    fields = np.stack([np.roll(noise, k, axis=1) + 0.02 * k for k in range(4)])
    fields = np.exp(1 + 2 * fields / noise.std())
    fields[:, [0, -1]] = 1
    return fields.astype(np.float32)


@pytest.fixture(scope="module")
def cams(real_samples):
    """Four real analyses with the Australian fires, up to 3657 ug m-3, and their grid."""
    field = read_cams(real_samples / "cams_eac4_pm25_20191231T15_20200101T00.nc")
    return np.maximum(field.values, 0), from_axes(field.latitude.values, field.longitude.values)[0]


def hours(frames, grid, kind):
    return load(pretrained.path("temporal"), "temporal", kind).between(frames[0], frames[1], THIRDS, grid, TIME)


def fine(frames, grid, kind):
    return refine_frames(frames[:1], grid, grid, load(pretrained.path("spatial"), "spatial", kind), "block_mean")


def rmse(one, other):
    return np.sqrt(np.square(one.astype(np.float64) - other).mean())


def test_bfloat16_changes_little_of_what_the_shipped_networks_do(frames):
    exact, fast = (hours(frames, GRID, kind) for kind in KINDS)
    assert 0 < rmse(exact, fast) < 0.05 * rmse(exact, linear().between(frames[0], frames[1], THIRDS))
    exact, fast = (fine(frames, GRID, kind) for kind in KINDS)
    assert 0 < rmse(exact, fast) < 0.05 * rmse(exact, refine_frames(frames[:1], GRID, GRID, bicubic(), "block_mean"))


@pytest.mark.parametrize("made", [hours, fine], ids=["in time", "in space"])
def test_bfloat16_changes_real_fields_less_than_the_products_rounding(cams, made):
    exact, fast = (made(*cams, kind) for kind in KINDS)
    assert 0 < rmse(exact, fast) < rmse(exact, round_mantissa(exact.copy(), 7))


def test_at_both_ends_of_an_interval_the_frames_pass_bit_by_bit_through_bfloat16(frames):
    network = load(pretrained.path("temporal"), "temporal", "bfloat16")
    np.testing.assert_array_equal(network.between(*frames[:2], (0.0, 1.0), GRID, TIME), frames[:2])


@pytest.mark.parametrize(("made_for_it", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_only_on_machines_made_for_it(monkeypatch, made_for_it, expected):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: made_for_it)
    for stage, name in (("temporal", "flow_residual"), ("spatial", "pixel_shuffle")):
        assert precision.precise("auto", make(stage, name, {"features": 4})) == expected


def test_auto_takes_float32_for_the_published_recipes(monkeypatch):
    """At 1/800 of a concentration bfloat16 leaves nothing of clean air, and their weights were never seen."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    for stage, name, sizes in (
        ("temporal", "xvfi", {"features": 4, "levels": 1}),
        ("spatial", "abpn", {"features": 4}),
    ):
        published, corrected = (make(stage, name, {**sizes, "recipe": recipe}) for recipe in ("published", "corrected"))
        assert precision.precise("auto", published) == "float32"
        assert precision.precise("auto", corrected) == precision.precise("bfloat16", published) == "bfloat16"


def test_an_unknown_precision_is_refused():
    with pytest.raises(DeepcamsError, match="choose one of auto, float32, bfloat16"):
        precision.precise("half", make("spatial", "pixel_shuffle", {"features": 4}))
