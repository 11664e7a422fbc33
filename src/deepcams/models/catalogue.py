"""The networks by name. Names only: a network's module is imported when it is built, and its trainer when it is
trained, so that the code digest of a rule covers the networks it is configured to run and no others.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from deepcams.errors import DeepcamsError


@dataclass(frozen=True)
class Entry:
    """Where a network is made: `function(weights)` if it learns (None: before training), else `function()`.

    trainer : the module with `fit(shards, settings) -> (weights, history)`; None if the network does not learn.
    gpu : whether its jobs ask for one.
    """

    module: str
    function: str
    trainer: str | None = None
    gpu: bool = False


_TIME = "deepcams.models.temporal_interpolation"
_SPACE = "deepcams.models.spatial_interpolation"

NETWORKS: dict[str, dict[str, Entry]] = {
    "temporal": {
        "linear": Entry(_TIME, "linear"),
        "nearest": Entry(_TIME, "nearest"),
        "linear_as_printed": Entry(_TIME, "linear_as_printed"),
    },
    "spatial": {
        "bicubic": Entry(_SPACE, "bicubic"),
        "bilinear": Entry(_SPACE, "bilinear"),
        "nearest": Entry(_SPACE, "nearest"),
        "conservative": Entry(_SPACE, "conservative"),
        "lanczos3": Entry(_SPACE, "lanczos3"),
        "learned_kernel": Entry("deepcams.models.learned_kernel", "LearnedKernel", trainer="deepcams.training.kernel"),
    },
}


def stages() -> tuple[str, ...]:
    """The stages that networks are for."""
    return tuple(NETWORKS)


def names(stage: str) -> tuple[str, ...]:
    """The networks of a stage. Raises DeepcamsError for an unknown stage."""
    if stage not in NETWORKS:
        raise DeepcamsError(f"There is no stage {stage!r}; choose one of {', '.join(NETWORKS)}.")
    return tuple(NETWORKS[stage])


def learns(stage: str, name: str) -> bool:
    """Whether a network is trained. Raises DeepcamsError for an unknown stage or network."""
    return trainer_of(stage, name) is not None


def trainer_of(stage: str, name: str) -> str | None:
    """The module that trains a network, None if it does not learn. Raises DeepcamsError as `learns` does."""
    return _entry(stage, name).trainer


def wants_gpu(stage: str, name: str) -> bool:
    """Whether the jobs of a network ask for a GPU. Raises DeepcamsError as `learns` does."""
    return _entry(stage, name).gpu


def module_of(stage: str, name: str) -> str:
    """The module a network is made in. Raises DeepcamsError for an unknown stage or network."""
    return _entry(stage, name).module


def build(stage: str, name: str, weights: Mapping[str, np.ndarray] | None = None):
    """Make a network: an object with `.between` (temporal) or `.refine` (spatial), and `.halo`.

    weights : tensors by name; None or none at all: as it is before training, which an interpolation always is.
    Raises DeepcamsError for an unknown stage or network, or weights that do not belong to it.
    """
    entry = _entry(stage, name)
    function = getattr(import_module(entry.module), entry.function)
    if entry.trainer is None:
        if weights:
            raise DeepcamsError(f"The {stage} network {name} does not learn, yet weights come with it.")
        return function()
    try:
        return function(dict(weights) if weights else None)
    except (KeyError, ValueError) as error:
        raise DeepcamsError(f"The weights are not those of the {stage} network {name}: {error}.") from error


def _entry(stage: str, name: str) -> Entry:
    known = names(stage)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise DeepcamsError(f"There is no {stage} network {name!r}; choose one of {', '.join(known)}.{hint}")
    return NETWORKS[stage][name]
