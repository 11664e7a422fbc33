"""Model files: a network's tensors and what they are, in one `safetensors` file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.models.catalogue import build, learns, names, stages

# One key: safetensors writes several in no fixed order, and the same model shall give the same bytes.
METADATA = "deepcams"
FORMAT = 1


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds."""

    stage: str
    network: str
    settings: dict
    provenance: dict
    weights: dict[str, np.ndarray] = field(repr=False)


def save(
    path: str | Path,
    stage: str,
    network: str,
    *,
    settings: dict,
    weights: Mapping[str, np.ndarray],
    provenance: dict,
) -> None:
    """Write a model file atomically; the same arguments give the same bytes.

    settings, provenance : what JSON can hold.   weights : numpy arrays by name; none for an interpolation.
    Raises DeepcamsError if the stage or the network is unknown, weights are missing, or a weight is not finite.
    """
    if learns(stage, network) != bool(weights):
        problem = "does not learn, so no weights belong to it" if weights else "learns, so weights belong to it"
        raise DeepcamsError(f"The {stage} network {network} {problem}; {path} was not written.")
    tensors = {name: np.ascontiguousarray(weights[name]) for name in sorted(weights)}
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise DeepcamsError(f"The weights {name} of {network} are not finite; {path} was not written.")
    about = {
        "format": FORMAT,
        "stage": stage,
        "network": network,
        "settings": settings,
        "provenance": provenance,
        "weights_sha256": _digest(tensors),
    }
    content = serialise(tensors, metadata={METADATA: json.dumps(about, sort_keys=True, ensure_ascii=False)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read(path: str | Path, stage: str | None = None) -> ModelFile:
    """Read a model file and check it.

    Raises DeepcamsError if it is missing, damaged, not a model file of this package, of another `stage`, or holds a
    network that this version does not know.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except FileNotFoundError as error:
        raise DeepcamsError(f"There is no model file {path}. Train the network, or give another file.") from error
    except (SafetensorError, OSError) as error:
        raise DeepcamsError(
            f"{path} cannot be read as a model file ({error}): it is damaged or something else. "
            "Delete it and train again, or copy it anew."
        ) from error
    try:
        about = json.loads(metadata[METADATA])
        found = ModelFile(about["stage"], about["network"], about["settings"], about["provenance"], tensors)
        version, digest = about["format"], about["weights_sha256"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DeepcamsError(f"{path} is not a model file of deepcams: it does not name its network.") from error
    if version != FORMAT:
        raise DeepcamsError(f"{path} has format {version}, and this version of deepcams reads format {FORMAT}.")
    if stage is not None and found.stage != stage:
        raise DeepcamsError(f"{path} holds a {found.stage} network ({found.network}) where a {stage} one is needed.")
    if found.stage not in list(stages()):  # compared, not looked up: it may be anything, a list too
        raise DeepcamsError(f"{path} is of a stage that this version does not know: {found.stage!r}.")
    if found.network not in names(found.stage):
        raise DeepcamsError(
            f"{path} holds the {found.stage} network {found.network!r}, which this version does not know; "
            f"it knows {', '.join(names(found.stage))}."
        )
    if digest != _digest(tensors):
        raise DeepcamsError(f"{path} is damaged: its weights are not those saved. Copy it anew or train again.")
    return found


def load(path: str | Path, stage: str, precision: str = "float32"):
    """The network in a model file, ready to run. Raises DeepcamsError as `read` and `build` do."""
    try:
        return built(read(path, stage), precision)
    except DeepcamsError as error:
        raise DeepcamsError(f"{path}: {error}") from error


def built(found: ModelFile, precision: str = "float32"):
    """The network that `read` found, ready to run with `precision`. Raises DeepcamsError as `build` does."""
    return build(found.stage, found.network, found.weights, found.settings, precision)


def untrained(stage: str, network: str):
    """The network as it is without a model file: an interpolation, or one that learns before training."""
    return build(stage, network)


def _digest(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()
