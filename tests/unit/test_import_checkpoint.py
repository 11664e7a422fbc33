"""Published checkpoints: both networks, every container they may come in, and what is refused."""

import argparse
import collections
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from deepcams.cli import import_checkpoint
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.grid.nodes import coarse_globe
from deepcams.models.abpn import PUBLISHED_WINDOWS, WINDOWS, Abpn
from deepcams.models.checkpoint import load, read
from deepcams.models.published import convert, identify, read_published
from deepcams.models.xvfi import Xvfi

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
FILES = {"xvfi": GOLDEN / "xvfi_nf16_s4.npz", "abpn": GOLDEN / "abpn_v5_dim8_x3.npz"}
STAGES = {"xvfi": "temporal", "abpn": "spatial"}


@pytest.fixture(scope="module", params=FILES)
def network(request):
    return request.param


@pytest.fixture(scope="module")
def states():
    return {network: state_of(path) for network, path in FILES.items()}


@pytest.fixture(scope="module")
def state(states, network):
    return states[network]


def state_of(path):
    with np.load(path) as file:
        return {key[2:]: file[key] for key in file.files if key.startswith("w/")}


def tensors(state, prefix=""):
    return collections.OrderedDict((prefix + key, torch.tensor(array)) for key, array in state.items())


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def assert_same(found, expected):
    assert set(found) == set(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype == np.float32


def command(*words):
    parser = argparse.ArgumentParser()
    import_checkpoint.add_arguments(parser)
    import_checkpoint.run(parser.parse_args([str(word) for word in words]))


TRAINING = {
    "last_epoch": 199,
    "best_PSNR": np.float64(41.5),
    "state_dict_Optimizer": {"state": {}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}]},
    "state_dict_Scheduler": {"milestones": collections.Counter([50, 100]), "_last_lr": [np.float32(1e-4)]},
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
@pytest.mark.parametrize("holder", [None, "state_dict", "state_dict_Model", "model", "params"])
def test_weights_are_found_wherever_a_checkpoint_keeps_them(tmp_path, states, holder, prefix, legacy):
    content = tensors(states["abpn"], prefix)
    if holder:
        content = TRAINING | {holder: content}
    path = saved(tmp_path / "x.pt", content, _use_new_zipfile_serialization=not legacy)
    assert_same(read_published(path), states["abpn"])


def test_a_holder_within_a_holder_is_opened(tmp_path, states):
    path = saved(tmp_path / "x.pth", {"model": {"state_dict": tensors(states["abpn"])}, "epoch": 3})
    assert_same(read_published(path), states["abpn"])


def test_parameters_and_half_precision_become_plain_float32(tmp_path, states):
    content = {key: torch.nn.Parameter(tensor.half()) for key, tensor in tensors(states["abpn"]).items()}
    expected = {key: array.astype(np.float16).astype(np.float32) for key, array in states["abpn"].items()}
    assert_same(read_published(saved(tmp_path / "x.pt", content)), expected)


def test_safetensors_and_npz_are_read(tmp_path, states):
    save_file(states["abpn"], tmp_path / "x.safetensors")
    assert_same(read_published(tmp_path / "x.safetensors"), states["abpn"])
    assert_same(read_published(FILES["abpn"]), states["abpn"])


def test_the_two_networks_are_told_apart(state, network):
    assert identify(state) == (STAGES[network], network)


def test_what_is_neither_network_is_told(states):
    with pytest.raises(DeepcamsError, match=r"neither XVFI nor ABPN.*residual_layer\.0\.weight"):
        identify({"residual_layer.0.weight": np.zeros(1)})
    with pytest.raises(DeepcamsError, match="both XVFI and ABPN"):
        identify(states["xvfi"] | states["abpn"])


def test_the_command_makes_a_model_file_with_all_keys_accounted_for(tmp_path, state, network, capsys):
    source = saved(tmp_path / "epoch_300.pt", {"state_dict": tensors(state, "module.")})
    out = tmp_path / "model.safetensors"
    command(source, out)
    stage, features = STAGES[network], {"xvfi": 16, "abpn": 8}[network]
    found = read(out, stage)
    expected = {"network": network, "recipe": "published", "features": features}
    expected |= {"transform": "clipped_800", "factor": 3}  # so that it is never run in another way
    assert found.settings == expected | ({"levels": 1} if network == "xvfi" else {})
    assert found.network == network
    net = Xvfi(features, 1) if network == "xvfi" else Abpn(features, scaled_attention=False)
    net.load_state_dict({name: torch.tensor(array) for name, array in found.weights.items()})  # strict
    count, used = sum(part.numel() for part in net.parameters()), len(found.weights)
    assert found.provenance == {
        "imported": "epoch_300.pt",
        "sha256": sha256(source),
        "keys": len(state),
        "left_out": len(state) - used,
    }
    said = capsys.readouterr().out
    assert f"{network.upper()} ({stage}), {features} features, {count:,} parameters" in said
    assert f"of {len(state)} keys {used} used, {len(state) - used} left out" in said
    assert f"deepcams downscale cams.nc hourly.nc --{stage} {out}" in said


def test_an_imported_network_gives_the_published_result(tmp_path):
    out = tmp_path / "model.safetensors"
    command(FILES["abpn"], out)
    found = read(out)
    net = Abpn(found.settings["features"], scaled_attention=False)
    net.load_state_dict({name: torch.tensor(array) for name, array in found.weights.items()})
    with np.load(FILES["abpn"]) as golden, torch.no_grad():
        expected = golden["out/sr"]
        np.testing.assert_allclose(net(torch.tensor(golden["input"])), expected, rtol=0, atol=1e-5 * np.ptp(expected))


def test_an_imported_network_runs_in_the_published_way_or_in_ours(tmp_path):
    grid = coarse_globe()
    frame = np.random.default_rng(1).gamma(2.0, 5.0, (1, *grid.shape)).astype(np.float32)
    frame[:, [0, -1]] = 10.0  # a pole is one value
    for way in ("published", "corrected"):
        command(FILES["xvfi"], tmp_path / f"time-{way}.safetensors", "--run", way)
        network = load(tmp_path / f"time-{way}.safetensors", "temporal")
        between = [
            network.between(field, field + 1, (1 / 3,), grid, np.datetime64("2019-01-01T00", "s"))[0]
            for field in (frame[0], np.roll(frame[0], 32, axis=1))
        ]
        rolls = np.allclose(np.roll(between[0], 32, axis=1), between[1], rtol=1e-3, atol=1e-2)
        assert rolls == (way == "corrected")  # zeros at the date line do not go round the globe
        command(FILES["abpn"], tmp_path / f"space-{way}.safetensors", "--run", way)
        manner = load(tmp_path / f"space-{way}.safetensors", "spatial").module.manner
        assert manner == (PUBLISHED_WINDOWS if way == "published" else WINDOWS)


def test_the_same_checkpoint_gives_the_same_file(tmp_path):
    for name in ("a", "b"):
        command(FILES["abpn"], tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_levels_are_of_xvfi_alone(tmp_path, states, capsys):
    command(FILES["xvfi"], tmp_path / "out.safetensors", "--levels", 5)
    assert read(tmp_path / "out.safetensors").settings["levels"] == 5
    with pytest.raises(DeepcamsError, match="XVFI only"):
        command(FILES["abpn"], tmp_path / "no.safetensors", "--levels", 3)
    with pytest.raises(DeepcamsError, match="1 or more"):
        convert(states["xvfi"], 0)
    for levels in ("0", "6", "many"):
        with pytest.raises(SystemExit):
            command(FILES["xvfi"], tmp_path / "no.safetensors", "--levels", levels)
        assert "1 … 5" in capsys.readouterr().err
    assert not (tmp_path / "no.safetensors").exists()


def test_keys_that_do_not_fit_are_named_and_nothing_is_written(tmp_path, state, network):
    key = {"xvfi": "vfinet.conv_flow1.weight", "abpn": "up3.conv1.deconv.weight"}[network]
    faults = {
        key: {name: array for name, array in state.items() if name != key},
        "extra.bias": state | {"extra.bias": np.zeros(1, "f4")},
        f"{key} .*\\(3,\\)": state | {key: np.zeros(3, "f4")},
    }
    for words, wrong in faults.items():
        with pytest.raises(DeepcamsError, match=words):
            command(saved(tmp_path / "x.pt", tensors(wrong)), tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


class _Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


class _Network:
    """A class of the authors' own, as in a file of a whole pickled network."""


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, states, legacy):
    content = {"state_dict": tensors(states["abpn"]), "extra": _Hostile(tmp_path / "marker")}
    path = saved(tmp_path / "x.pt", content, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(DeepcamsError, match=r"holds more than weights \(.*mkdir\).* refused.*state_dict\(\) alone"):
        command(path, tmp_path / "out.safetensors")
    plain = tmp_path / "plain.pth"
    plain.write_bytes(pickle.dumps(_Hostile(tmp_path / "marker"), protocol=2))
    with pytest.raises(DeepcamsError, match=r"plain\.pth (holds more than weights|cannot be read)"):
        read_published(plain)
    with pytest.raises(DeepcamsError, match=r"holds more than weights \(.*_Network\)"):
        read_published(saved(tmp_path / "y.pt", _Network()))
    assert not (tmp_path / "marker").exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_objects_in_an_npz_are_refused_and_not_run(tmp_path):
    objects = np.empty(1, object)
    objects[0] = _Hostile(tmp_path / "marker")
    np.savez(tmp_path / "x.npz", **{"w/a": objects})
    with pytest.raises(DeepcamsError, match="cannot be read as a checkpoint"):
        read_published(tmp_path / "x.npz")
    assert not (tmp_path / "marker").exists()


def test_the_checkpoint_of_a_training_without_weights_is_told(tmp_path):
    within = {}
    within["model"] = within
    for content in (TRAINING, {"state_dict": {}}, {}, [1, 2], torch.zeros(3), {"state_dict": TRAINING}, within):
        with pytest.raises(DeepcamsError, match=r"x\.pt holds no weights.*state_dict\(\) and import that"):
            read_published(saved(tmp_path / "x.pt", content))
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(DeepcamsError, match="holds no weights"):
        read_published(tmp_path / "x.npz")


def test_entries_that_are_no_weights_are_named(tmp_path, states):
    good = tensors(states["abpn"])
    for wrong, words in (
        ({"epoch": 3}, "such as 'epoch'"),
        ({"steps": torch.tensor(3)}, r"steps is a tensor of torch\.int64"),
        ({"sparse": torch.eye(2).to_sparse()}, "sparse is a tensor"),
        ({"SA3.K.bias": torch.full((8,), torch.nan)}, r"1 tensor\(s\) that are not finite, SA3\.K\.bias the first"),
        ({"SA3.K.bias": torch.full((8,), 1e300, dtype=torch.float64)}, "not finite"),
    ):
        with pytest.raises(DeepcamsError, match=words):
            read_published(saved(tmp_path / "x.pt", good | wrong))


@pytest.mark.parametrize("suffix", ["pt", "safetensors", "npz", "ckpt"])
def test_files_that_are_no_checkpoints_are_told(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    for content in (b"", b"<html>Please log in</html>", b"PK\x03\x04damaged", bytes(range(256))):
        path.write_bytes(content)
        with pytest.raises(DeepcamsError, match=rf"x\.{suffix} cannot be read as a checkpoint.*Copy it anew"):
            read_published(path)


@pytest.mark.parametrize("left", [1, 1000, -1000, -10])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_truncated_checkpoint_is_told(tmp_path, states, left, legacy):
    path = saved(tmp_path / "x.pt", tensors(states["abpn"]), _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DeepcamsError, match="cannot be read as a checkpoint"):
        read_published(path)


def test_missing_files_and_outputs_that_cannot_be_are_told(tmp_path):
    for use in (read_published, lambda path: command(path, tmp_path / "out.safetensors")):
        with pytest.raises(DeepcamsError, match=r"There is no .*none\.pt"):
            use(tmp_path / "none.pt")
    with pytest.raises(DeepcamsError, match="is a folder"):
        command(FILES["abpn"], tmp_path)
    copy = tmp_path / "copy.npz"
    copy.write_bytes(FILES["abpn"].read_bytes())
    with pytest.raises(DeepcamsError, match="is the input"):
        command(copy, copy)
    assert copy.read_bytes() == FILES["abpn"].read_bytes()


def test_a_model_file_is_not_imported_again(tmp_path):
    command(FILES["abpn"], tmp_path / "model.safetensors")
    with pytest.raises(DeepcamsError, match="model file of deepcams already"):
        command(tmp_path / "model.safetensors", tmp_path / "again.safetensors")
