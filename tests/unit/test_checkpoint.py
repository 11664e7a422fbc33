"""Model files: round trip, same bytes, damage and mix-ups."""

import numpy as np
import pytest
from safetensors.numpy import save as serialise

from deepcams.errors import DeepcamsError
from deepcams.models import catalogue
from deepcams.models.checkpoint import load, read, save, untrained

SETTINGS = {"network": "learned_kernel", "training": {"steps": 10, "learning_rate": 0.001}}
PROVENANCE = {"code": "abc", "months": ["2018-01", "2018-02"], "history": [{"step": 0, "loss": 0.5}]}


@pytest.fixture
def weights():
    return {
        "kernel": np.random.default_rng(0).random((9, 7, 7)).astype(np.float32),
        "bias": np.arange(3, dtype=np.float64),
    }


def write(path, weights):
    save(path, "spatial", "learned_kernel", settings=SETTINGS, weights=weights, provenance=PROVENANCE)
    return path


def test_a_model_file_gives_back_what_was_saved(tmp_path, weights):
    found = read(write(tmp_path / "model.safetensors", weights), "spatial")
    assert (found.stage, found.network) == ("spatial", "learned_kernel")
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


def test_a_loaded_network_runs_with_its_weights(tmp_path, weights):
    path = write(tmp_path / "model.safetensors", {"kernel": weights["kernel"]})
    np.testing.assert_array_equal(load(path, "spatial").kernel, weights["kernel"])


def test_an_interpolation_is_a_model_file_without_tensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, "temporal", "linear", settings={"network": "linear"}, weights={}, provenance={})
    network = load(path, "temporal")
    assert network == untrained("temporal", "linear")
    np.testing.assert_allclose(network.between(np.zeros((2, 2)), np.ones((2, 2)), (0.25,), True), 0.25)


def test_a_file_of_another_stage_is_refused(tmp_path, weights):
    with pytest.raises(DeepcamsError, match=r"holds a spatial network \(learned_kernel\) where a temporal one"):
        load(write(tmp_path / "model.safetensors", weights), "temporal")


def test_a_network_this_version_does_not_know_is_refused(tmp_path, weights, monkeypatch):
    path = tmp_path / "model.safetensors"
    entry = catalogue.NETWORKS["spatial"]["learned_kernel"]
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
