"""Checkpoints of the networks that Xiao et al. (2022) published: read without running code, told apart, converted."""

import re
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from deepcams.errors import DeepcamsError, damaged
from deepcams.models.checkpoint import METADATA

# Where training checkpoints keep the weights: the released code's own name first, then what others use.
_HOLDERS = (
    "state_dict_Model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "params",
    "params_ema",
    "network",
    "net",
    "weights",
)
_DEEPEST = 4  # dicts within dicts: one that holds itself has no end
_PARALLEL = "module."  # put before every key by torch's DataParallel
_MOST = 1 << 28  # numbers of a tensor; a file may state any number without holding them
_STORED = "w/"  # before the keys of weights in .npz files

# Parts of the state of each that no other has.
_SIGNS = {
    ("temporal", "xvfi"): ("vfinet.", "rec_ext_ds", "channel_converter."),
    ("spatial", "abpn"): ("SR_conv", "LR_conv", "final_feat", "final_SA0.", "weight_up", "weight_down"),
}


class _Ignored:
    """Stands for a NumPy number beside the weights, such as a best score: `weights_only` would refuse it."""

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        pass


_IGNORED = [(_Ignored, name) for name in ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")]
_IGNORED.append((_Ignored, "numpy.dtype"))


def read_published(path: str | Path) -> dict[str, np.ndarray]:
    """The weights in a checkpoint by their published names, float32.

    path : a file of torch (.pt, .pth …) holding a state dict, alone or within a training checkpoint; or .safetensors;
        or .npz with keys "w/…". "module." before all keys is left out. Nothing in the file is ever run.
    Raises DeepcamsError if there is no such file, or it is damaged or something else, holds code or no weights, or has
    a weight that is not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise DeepcamsError(f"There is no checkpoint {path}.")
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    state = _state_dict(readers.get(path.suffix.lower(), _read_torch)(path), path)
    weights = {key: _array(tensor, key, path) for key, tensor in _without_parallel(state).items()}
    bad = [key for key, array in weights.items() if not np.isfinite(array).all()]
    if bad:
        raise DeepcamsError(
            f"{path} has {len(bad)} tensor(s) that are not finite, {bad[0]} the first: its training had diverged, or "
            "it is damaged. Use an earlier checkpoint, or copy it anew."
        )
    return weights


def identify(state: dict[str, np.ndarray]) -> tuple[str, str]:
    """(stage, network) of a published checkpoint, by its keys. Raises DeepcamsError if it is neither or both."""
    found = [which for which, signs in _SIGNS.items() if any(key.startswith(signs) for key in state)]
    if len(found) != 1:
        raise DeepcamsError(
            f"The checkpoint is {'both' if found else 'neither'} XVFI {'and' if found else 'nor'} ABPN as published "
            f"with DeepCAMS; its keys begin with {', '.join(list(state)[:3])}. (The training script released for "
            "space, main_3x.py, makes a VDSR network as it stands, which is not supported.)"
        )
    return found[0]


def convert(state: dict[str, np.ndarray], levels: int = 1) -> tuple[str, str, dict[str, Any], dict[str, np.ndarray]]:
    """(stage, network, settings, weights) of a published checkpoint, as `deepcams.models.checkpoint.save` takes them.

    levels : pyramid levels below full resolution that XVFI runs with; its weights serve any number, 1 is published.
    Raises DeepcamsError if the network is none of those published, or a key is unknown, missing or misshapen.
    """
    stage, network = identify(state)
    if levels < 1 or (network != "xvfi" and levels != 1):
        raise DeepcamsError("The number of levels is 1 or more, and for a checkpoint of XVFI only.")
    weights, found = import_module(f"deepcams.models.{network}").from_published(state)
    settings = {"network": network, "recipe": "published", **found}
    if network == "xvfi":
        settings["levels"] = levels
    return stage, network, settings, weights


def _read_torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_IGNORED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch has to say about old formats
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail in any way
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused:
            raise DeepcamsError(
                f"{path} holds more than weights ({refused[1]}); it was refused, because reading that would run code "
                "out of the file. If you trust where it comes from, load it where it was made and save its "
                "state_dict() alone."
            ) from error
        raise _unreadable(path, error) from error


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in sorted(file.keys())}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    if METADATA in about:
        raise DeepcamsError(f"{path} is a model file of deepcams already; use it as it is.")
    return tensors


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {
                key.removeprefix(_STORED): torch.from_numpy(file[key]) for key in file.files if key.startswith(_STORED)
            }
    except Exception as error:  # as above
        raise _unreadable(path, error) from error


def _state_dict(loaded: Any, path: Path) -> dict[str, torch.Tensor]:
    """The state dict in what was loaded: itself, or what a training checkpoint holds under a usual name."""
    for _ in range(_DEEPEST):
        if not isinstance(loaded, dict):
            break
        tensors = {key: value for key, value in loaded.items() if isinstance(value, torch.Tensor)}
        holder = next((key for key in _HOLDERS if isinstance(loaded.get(key), dict)), None)
        if holder is not None:
            loaded = loaded[holder]
        elif tensors and len(tensors) < len(loaded):
            other = next(key for key in loaded if key not in tensors)
            raise DeepcamsError(f"{path} holds weights and other entries, such as {other!r}: save a state_dict alone.")
        elif tensors:
            return {str(key): tensor for key, tensor in tensors.items()}
        else:
            break
    raise DeepcamsError(
        f"{path} holds no weights: neither a state_dict nor a training checkpoint with one under a usual name "
        f"({', '.join(_HOLDERS[:4])} …). Save the network's state_dict() and import that."
    )


def _without_parallel(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    while all(key.startswith(_PARALLEL) for key in state):
        state = {key.removeprefix(_PARALLEL): tensor for key, tensor in state.items()}
    return state


def _array(tensor: torch.Tensor, key: str, path: Path) -> np.ndarray:
    if tensor.layout != torch.strided or not tensor.is_floating_point():
        raise DeepcamsError(f"{path}: {key} is a tensor of {tensor.dtype}, where a dense one of real numbers belongs.")
    if tensor.numel() > _MOST:
        raise DeepcamsError(f"{path}: {key} has {tensor.numel():,} numbers, more than any network that is read here.")
    return tensor.detach().to(torch.float32).numpy()


def _unreadable(path: Path, error: Exception) -> DeepcamsError:
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return damaged(
        error,
        f"{path} cannot be read as a checkpoint ({reason.rstrip('.')}): it is damaged or something else. "
        "Copy it anew; torch files (.pt, .pth), .safetensors, and .npz are read.",
    )
