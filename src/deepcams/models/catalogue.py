"""The networks by name. Names only: a network's module is imported when it is built, and its trainer when it is
trained, so that the code digest of a rule covers the networks it is configured to run and no others.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FACTOR


@dataclass(frozen=True)
class Entry:
    """Where a network is made: `function()`, or if it learns `make(settings)`, which gives it before training.

    trainer : the module that teaches it, with `task(module, shards, settings)` for the training loop, or
    `solve(module, shards)` if one step does; None if the network does not learn.
    gpu : whether its jobs ask for one.
    """

    module: str
    function: str = "make"
    trainer: str | None = None
    gpu: bool = False


_TIME = "deepcams.models.temporal_interpolation"
_SPACE = "deepcams.models.spatial_interpolation"
_IN_TIME = "deepcams.training.temporal"
_IN_SPACE = "deepcams.training.spatial"
_FRAMES = "deepcams.models.frames"
_RUNNERS = {  # how networks that learn are run
    "temporal": (_FRAMES, "TemporalFrames"),
    "spatial": (_FRAMES, "SpatialFrames"),
    "fusion": ("deepcams.models.fusion_frames", "FusionFrames"),
}

NETWORKS: dict[str, dict[str, Entry]] = {
    "temporal": {
        "xvfi": Entry("deepcams.models.xvfi", trainer=_IN_TIME, gpu=True),
        "flow_residual": Entry("deepcams.models.flow_residual", trainer=_IN_TIME),
        "linear": Entry(_TIME, "linear"),
        "nearest": Entry(_TIME, "nearest"),
        "linear_as_printed": Entry(_TIME, "linear_as_printed"),
        "optical_flow": Entry("deepcams.models.optical_flow", "optical_flow"),
    },
    "spatial": {
        "abpn": Entry("deepcams.models.abpn", trainer=_IN_SPACE, gpu=True),
        "pixel_shuffle": Entry("deepcams.models.pixel_shuffle", trainer=_IN_SPACE),
        "least_squares": Entry("deepcams.models.least_squares", trainer="deepcams.training.least_squares"),
        "bicubic": Entry(_SPACE, "bicubic"),
        "bilinear": Entry(_SPACE, "bilinear"),
        "nearest": Entry(_SPACE, "nearest"),
        "conservative": Entry(_SPACE, "conservative"),
        "lanczos3": Entry(_SPACE, "lanczos3"),
    },
    "fusion": {
        "pointconv_unetpp": Entry("deepcams.models.fusion", trainer="deepcams.training.fusion", gpu=True),
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


def modules_of(stage: str, name: str) -> tuple[str, ...]:
    """The modules that make and run a network. Raises DeepcamsError for an unknown stage or network."""
    entry = _entry(stage, name)
    return (entry.module, _RUNNERS[stage][0]) if entry.trainer else (entry.module,)


def make(stage: str, name: str, settings: Mapping):
    """A network that learns, before training: a torch module. settings : its sizes and recipe.

    Raises DeepcamsError if it does not learn, or for settings that cannot be.
    """
    entry = _entry(stage, name)
    if entry.trainer is None:
        raise DeepcamsError(f"The {stage} network {name} does not learn.")
    try:
        return import_module(entry.module).make(dict(settings))
    except KeyError as error:
        raise DeepcamsError(f"The settings of the {stage} network {name} lack {error.args[0]!r}.") from error
    except (ValueError, TypeError) as error:
        raise DeepcamsError(f"The {stage} network {name} cannot be made from its settings: {error}.") from error


def build(
    stage: str,
    name: str,
    weights: Mapping[str, np.ndarray] | None = None,
    settings: Mapping | None = None,
    precision: str = "float32",
):
    """A network ready to run: an object with `.between` (temporal), `.refine` (spatial) or `.estimate` (fusion), and
    `.halo`.

    weights : tensors by name; None or none at all: as it is before training, which an interpolation always is.
    settings : sizes, recipe, and what `description` adds.   precision : of networks, see `deepcams.models.precision`.
    Raises DeepcamsError for an unknown stage or network, weights that do not belong to it, or another transform or
    factor than this version's.
    """
    entry = _entry(stage, name)
    if entry.trainer is None:
        if weights:
            raise DeepcamsError(f"The {stage} network {name} does not learn, yet weights come with it.")
        return getattr(import_module(entry.module), entry.function)()
    module = make(stage, name, settings or {})
    for key, own in description(module).items():
        if key in (settings or {}) and settings[key] != own:
            raise DeepcamsError(
                f"The {stage} network {name} was trained with {key} {settings[key]!r}, and here it runs with {own!r}. "
                "Train it again, or use the version of deepcams that it was trained with."
            )
    if weights:
        _fill(module, weights, f"{stage} network {name}")
    runner, kind = _RUNNERS[stage]
    return getattr(import_module(runner), kind)(module, precision)


def description(module) -> dict:
    """What a model file says beside sizes and recipe, so that the weights are never run in another way."""
    return {"transform": module.transform.name, "factor": FACTOR}


def _fill(module, weights: Mapping[str, np.ndarray], what: str) -> None:
    """Put weights into a module; every tensor must be there, of its shape, and no other."""
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own if name not in weights]
    problems += [f"{name} is not known" for name in weights if name not in own]
    problems += [
        f"{name} is {tuple(weights[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in weights and tuple(weights[name].shape) != tuple(tensor.shape)
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DeepcamsError(f"The weights are not those of the {what}: {'; '.join(problems[:3])}{more}.")
    module.load_state_dict({name: own[name].new_tensor(np.array(value)) for name, value in weights.items()})


def _entry(stage: str, name: str) -> Entry:
    known = names(stage)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise DeepcamsError(f"There is no {stage} network {name!r}; choose one of {', '.join(known)}.{hint}")
    return NETWORKS[stage][name]
