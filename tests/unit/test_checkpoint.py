"""Model files: round trip, same bytes, damage and mix-ups."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save as serialise

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid
from deepcams.models import catalogue
from deepcams.models.checkpoint import load, read, save, untrained
from deepcams.models.frames import SpatialFrames, TemporalFrames
from deepcams.models.fusion_frames import FusionFrames

SETTINGS = {"network": "least_squares", "training": {"steps": 10, "learning_rate": 0.001}}
SIZES = {
    ("temporal", "xvfi"): {"features": 4, "levels": 1, "recipe": "corrected"},
    ("temporal", "flow_residual"): {"features": 4, "recipe": "corrected"},
    ("spatial", "abpn"): {"features": 2, "recipe": "corrected"},
    ("spatial", "pixel_shuffle"): {"features": 4, "recipe": "corrected"},
    ("spatial", "least_squares"): {"recipe": "corrected"},
    ("fusion", "pointconv_unetpp"): {
        **{"features": 2, "recipe": "corrected", "background": "none", "reading": "corrected"},
        **{"variables": ["wind_speed"], "static": ["land"]},
    },
}
RUNNERS = {"temporal": TemporalFrames, "spatial": SpatialFrames, "fusion": FusionFrames}
BOX = Grid(60 - 0.75 * np.arange(8), 0.75 * np.arange(10), 0.75)
PROVENANCE = {"code": "abc", "months": ["2018-01", "2018-02"], "history": [{"step": 0, "loss": 0.5}]}


@pytest.fixture
def weights():
    return {
        "kernel": np.random.default_rng(0).random((9, 7, 7)).astype(np.float32),
        "bias": np.arange(3, dtype=np.float64),
    }


def write(path, weights):
    save(path, "spatial", "least_squares", settings=SETTINGS, weights=weights, provenance=PROVENANCE)
    return path


def test_a_model_file_gives_back_what_was_saved(tmp_path, weights):
    found = read(write(tmp_path / "model.safetensors", weights), "spatial")
    assert (found.stage, found.network) == ("spatial", "least_squares")
    assert found.settings == SETTINGS
    assert found.provenance == PROVENANCE
    assert set(found.weights) == set(weights)
    for name, tensor in weights.items():
        np.testing.assert_array_equal(found.weights[name], tensor)
        assert found.weights[name].dtype == tensor.dtype


def test_the_same_model_gives_the_same_bytes(tmp_path, weights):
    first = write(tmp_path / "a.safetensors", weights).read_bytes()
    backwards = {name: np.asfortranarray(weights[name]) for name in reversed(weights)}
    assert write(tmp_path / "b.safetensors", backwards).read_bytes() == first


def trained(stage, name, **changes):
    """A network with random weights, a torch module, and what its model file says."""
    settings = SIZES[stage, name] | changes
    torch.manual_seed(0)
    module = catalogue.make(stage, name, settings)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.1 * torch.randn(tensor.shape))
    return module, {"network": name, **settings, **catalogue.description(module)}


def keep(path, stage, name, module, settings):
    weights = {key: tensor.detach().numpy() for key, tensor in module.state_dict().items()}
    save(path, stage, name, settings=settings, weights=weights, provenance=PROVENANCE)
    return path


def result(stage, network):
    """What a network makes of two frames."""
    frames = np.random.default_rng(1).gamma(1, 15, (2, *BOX.shape)).astype(np.float32)
    if stage == "spatial":
        return network.refine(frames, BOX)
    if stage == "fusion":
        valid = (np.random.default_rng(2).random((2, *BOX.shape)) < 0.3).astype(np.float32)
        return network.estimate((frames[0], valid[0]), {"wind_speed": (frames[1], valid[1])}, [valid[1]], BOX)
    return network.between(*frames, (1 / 3, 2 / 3), BOX, np.datetime64("2019-07-01T12:00"))


@pytest.mark.parametrize("recipe", ["corrected", "published"])
@pytest.mark.parametrize(("stage", "name"), SIZES)
def test_a_network_that_learns_is_the_same_bit_by_bit_after_saving_and_loading(tmp_path, stage, name, recipe):
    module, settings = trained(stage, name, recipe=recipe)
    path = keep(tmp_path / "model.safetensors", stage, name, module, settings)
    expected = result(stage, RUNNERS[stage](module))
    np.testing.assert_array_equal(result(stage, load(path, stage)), expected)
    other = catalogue.build(stage, name, None, settings)
    assert np.abs(result(stage, other) - expected).max() > 0.01


def test_weights_of_another_network_are_refused(tmp_path):
    for stage, name, other in (
        ("spatial", "pixel_shuffle", "abpn"),
        ("spatial", "least_squares", "pixel_shuffle"),
        ("temporal", "xvfi", "flow_residual"),
    ):
        module, _ = trained(stage, name)
        path = keep(tmp_path / "model.safetensors", stage, other, module, trained(stage, other)[1])
        with pytest.raises(
            DeepcamsError, match=rf"model.safetensors: The weights are not those of the {stage}.*{other}"
        ):
            load(path, stage)


def test_weights_of_another_size_are_refused_with_both_shapes(tmp_path):
    module, settings = trained("spatial", "pixel_shuffle")
    path = keep(tmp_path / "model.safetensors", "spatial", "pixel_shuffle", module, settings | {"features": 6})
    with pytest.raises(DeepcamsError, match=r"head.weight is \(4, 1, 3, 3\) instead of \(6, 1, 3, 3\).* and \d+ more"):
        load(path, "spatial")


@pytest.mark.parametrize(
    ("stage", "name", "key", "said"),
    [
        ("spatial", "pixel_shuffle", "transform", "none"),
        ("temporal", "flow_residual", "transform", "clipped_800"),
        ("spatial", "least_squares", "factor", 4),
        ("temporal", "flow_residual", "factor", 2),
    ],
)
def test_a_network_is_never_run_in_another_way_than_it_was_trained(tmp_path, stage, name, key, said):
    module, settings = trained(stage, name)
    path = keep(tmp_path / "model.safetensors", stage, name, module, settings | {key: said})
    with pytest.raises(
        DeepcamsError, match=rf"{name} was trained with {key} {said!r}, and here it runs with {settings[key]!r}"
    ):
        load(path, stage)


def test_missing_unknown_and_misshapen_tensors_are_named():
    module, settings = trained("temporal", "flow_residual")
    weights = {key: tensor.detach().numpy() for key, tensor in module.state_dict().items()}
    for change, fault in (
        ({"tail.bias": None}, "tail.bias is missing"),
        ({"tail.scale": np.ones(7)}, "tail.scale is not known"),
        ({"tail.bias": np.ones(7)}, r"tail.bias is \(7,\) instead of \(6,\)"),
    ):
        wrong = {key: value for key, value in (weights | change).items() if value is not None}
        with pytest.raises(DeepcamsError, match=rf"not those of the temporal network flow_residual: {fault}\."):
            catalogue.build("temporal", "flow_residual", wrong, settings)
    assert catalogue.build("temporal", "flow_residual", weights, settings).module is not module


@pytest.mark.parametrize(("stage", "name"), SIZES)
def test_settings_that_are_missing_are_named(tmp_path, stage, name):
    module, settings = trained(stage, name)
    needed = {"xvfi": ("features", "levels", "recipe"), "abpn": ("features", "recipe"), "least_squares": ()}
    needed["pointconv_unetpp"] = tuple(SIZES["fusion", "pointconv_unetpp"])
    for key in needed.get(name, ("features",)):
        less = {other: value for other, value in settings.items() if other != key}
        path = keep(tmp_path / "model.safetensors", stage, name, module, less)
        with pytest.raises(DeepcamsError, match=rf"model.safetensors: The settings of the .* {name} lack '{key}'\."):
            load(path, stage)


def test_settings_that_cannot_be_are_explained():
    with pytest.raises(DeepcamsError, match=r"xvfi cannot be made from its settings: .* multiple of 4, not 6\."):
        catalogue.make("temporal", "xvfi", {"features": 6, "levels": 1, "recipe": "corrected"})
    with pytest.raises(DeepcamsError, match="pixel_shuffle cannot be made from its settings"):
        catalogue.make("spatial", "pixel_shuffle", {"features": "many"})
    with pytest.raises(DeepcamsError, match="linear does not learn"):
        catalogue.make("temporal", "linear", {})


def test_an_interpolation_is_a_model_file_without_tensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, "temporal", "linear", settings={"network": "linear"}, weights={}, provenance={})
    network = load(path, "temporal")
    assert network == untrained("temporal", "linear")
    found = network.between(np.zeros((2, 2)), np.ones((2, 2)), (0.25,), BOX, np.datetime64("2019-07-01T12:00"))
    np.testing.assert_allclose(found, 0.25)


def test_a_file_of_another_stage_is_refused(tmp_path, weights):
    with pytest.raises(DeepcamsError, match=r"holds a spatial network \(least_squares\) where a temporal one"):
        load(write(tmp_path / "model.safetensors", weights), "temporal")


def test_a_network_this_version_does_not_know_is_refused(tmp_path, weights, monkeypatch):
    path = tmp_path / "model.safetensors"
    entry = catalogue.NETWORKS["spatial"]["least_squares"]
    monkeypatch.setitem(catalogue.NETWORKS["spatial"], "future_net", entry)
    save(path, "spatial", "future_net", settings={}, weights=weights, provenance={})
    monkeypatch.delitem(catalogue.NETWORKS["spatial"], "future_net")
    with pytest.raises(DeepcamsError, match="'future_net', which this version does not know"):
        read(path)


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(tmp_path, weights, cut):
    path = write(tmp_path / "model.safetensors", weights)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DeepcamsError, match="cannot be read as a model file"):
        read(path)


def test_one_changed_bit_in_the_weights_is_found(tmp_path, weights):
    path = write(tmp_path / "model.safetensors", weights)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DeepcamsError, match="is damaged"):
        read(path)


def test_other_files_are_refused(tmp_path, weights):
    path = tmp_path / "other.safetensors"
    path.write_bytes(serialise(weights, metadata={"format": "pt"}))
    with pytest.raises(DeepcamsError, match="not a model file of deepcams"):
        read(path)
    path.write_text("<html>Please log in</html>")
    with pytest.raises(DeepcamsError, match="cannot be read as a model file"):
        read(path)
    with pytest.raises(DeepcamsError, match="There is no model file"):
        read(tmp_path / "none.safetensors")


def test_weights_of_another_shape_are_refused_with_the_file_named(tmp_path):
    path = write(tmp_path / "model.safetensors", {"kernel": np.zeros((9, 5, 5), np.float32)})
    with pytest.raises(DeepcamsError, match=r"model\.safetensors: The weights are not those"):
        load(path, "spatial")
    path = write(tmp_path / "model.safetensors", {"other": np.zeros(3, np.float32)})
    with pytest.raises(DeepcamsError, match="The weights are not those"):
        load(path, "spatial")


def test_nothing_is_written_that_could_not_be_used(tmp_path, weights):
    path = tmp_path / "model.safetensors"
    with pytest.raises(DeepcamsError, match="not finite"):
        write(path, {"kernel": np.array([1.0, np.nan])})
    with pytest.raises(DeepcamsError, match="learns, so weights"):
        write(path, {})
    with pytest.raises(DeepcamsError, match="does not learn"):
        save(path, "temporal", "linear", settings={}, weights=weights, provenance={})
    with pytest.raises(DeepcamsError, match="no spatial network"):
        save(path, "spatial", "unknown", settings={}, weights=weights, provenance={})
    assert list(tmp_path.iterdir()) == []
