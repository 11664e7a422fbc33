"""The training loop, the same for all networks: Adam, a bounded number of steps, validation, and resuming.

Every update draws its examples from a generator seeded by (seed, step), so that a training that was killed goes on with
the same losses as one that was not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.progress import progress

VALIDATIONS = 20  # in the course of a training
WARM_UP = 0.05  # share of the steps over which the corrected recipe's learning rate rises
LARGEST_GRADIENT = 1.0  # norm
Parts = dict[str, Any]


class Task(NamedTuple):
    """What is learnt: `deepcams.training.temporal` and `.spatial` make one.

    draw : examples of a step, from its own random numbers.   loss : of the network on examples, with named parts.
    validate : named figures of the network, "score" among them, the lower the better; 1 is the baseline.
    rate : learning rate relative to the configured one, from the share of steps done (0 … 1).
    clips : whether gradients are clipped.
    """

    module: nn.Module
    draw: Callable[[np.random.Generator], Any]
    loss: Callable[[nn.Module, Any], tuple[torch.Tensor, Parts]]
    validate: Callable[[nn.Module], dict[str, float]]
    rate: Callable[[float], float]
    clips: bool


@dataclass
class Progress:
    """Where a training is: what is kept to go on from."""

    step: int = 0
    best_step: int = 0
    best_score: float = float("inf")
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def fit(task: Task, settings: dict, *, name: str, state: Path | None = None, key: str = "") -> Progress:
    """Train `task.module` in place; the module ends with the weights of the last step.

    settings : steps, learning_rate, precision, threads and what the task reads.   name : of the network, for messages.
    state : file to go on from after a kill, if the same training left it, which `key` tells; None: nothing is kept.
    Returns the best weights by validation and the history: one row for each validation, with the mean of every part of
    the loss since the row before. Raises DeepcamsError if loss or score is no longer finite; the last good state stays.
    """
    torch.set_num_threads(settings["threads"])
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = torch.channels_last if place.type == "cuda" else torch.contiguous_format
    module = task.module.to(place, memory_format=layout).train()
    optimiser = torch.optim.Adam(module.parameters(), lr=settings["learning_rate"])
    steps = settings["steps"]
    every = max(1, steps // VALIDATIONS)
    done = _resumed(state, key, module, optimiser)
    sums: dict[str, float] = {}
    for step in progress(range(done.step + 1, steps + 1), f"train {name}", "steps"):
        rate = settings["learning_rate"] * task.rate((step - 1) / steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        examples = _moved(task.draw(np.random.default_rng([settings["seed"], step])), place)
        with torch.autocast(place.type, torch.bfloat16, enabled=_is_mixed(settings["precision"], place)):
            loss, parts = task.loss(module, examples)
        _require_finite("loss", loss.item(), name, step, settings, state, done.step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if task.clips:
            nn.utils.clip_grad_norm_(module.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        for part, value in {"loss": loss.detach(), **parts}.items():
            sums[part] = sums.get(part, 0.0) + float(value)
        if step % every == 0 or step == steps:
            since = step - (int(done.history[-1]["step"]) if done.history else 0)
            row = {"step": step, "learning_rate": rate, **{part: value / since for part, value in sums.items()}}
            sums = {}
            figures = _validated(task, module)  # the last update may have spoilt the weights
            _require_finite("held-out error", figures["score"], name, step, settings, state, done.step)
            _record(done, row, figures, module)
            _keep(state, key, done, module, optimiser)
    return done


def warm_cosine(share: float) -> float:
    """Rises over the first 5 % of the steps, then falls to zero like a cosine."""
    if share < WARM_UP:
        return (share + 1e-3) / (WARM_UP + 1e-3)
    return 0.5 * (1 + float(np.cos(np.pi * (share - WARM_UP) / (1 - WARM_UP))))


def falling(factor: float, shares: tuple[float, ...]) -> Callable[[float], float]:
    """Multiplied by `factor` at each of the shares of the steps."""
    return lambda share: factor ** sum(share >= mark for mark in shares)


def _validated(task: Task, module: nn.Module) -> dict[str, float]:
    module.eval()
    with torch.inference_mode():
        figures = task.validate(module)
    module.train()
    return figures


def _record(done: Progress, row: dict, figures: dict[str, float], module: nn.Module) -> None:
    done.step = int(row["step"])
    done.history.append({**row, **figures})
    if figures["score"] < done.best_score or not done.best:
        done.best_score, done.best_step = figures["score"], done.step
        done.best = {key: value.detach().cpu().clone() for key, value in module.state_dict().items()}


def _keep(state: Path | None, key: str, done: Progress, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    if state is not None:
        with atomic_path(state) as temporary:
            torch.save(
                {"key": key, "done": vars(done), "weights": module.state_dict(), "optimiser": optimiser.state_dict()},
                temporary,
            )


def _resumed(state: Path | None, key: str, module: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """The state a killed training left, if it was this one; else the beginning."""
    if state is None or not state.is_file():
        return Progress()
    try:
        kept = torch.load(state, map_location="cpu", weights_only=True)
        if kept["key"] != key:
            return Progress()
        module.load_state_dict(kept["weights"])
        optimiser.load_state_dict(kept["optimiser"])
        return Progress(**kept["done"])
    except Exception as error:  # torch has many, and its words are not for whom this message is for
        raise DeepcamsError(f"{state}, which a stopped training left, is damaged. Delete it and run again.") from error


def _is_mixed(precision: str, place: torch.device) -> bool:
    return precision == "bfloat16" or (precision == "auto" and place.type == "cuda")


def _moved(examples: Any, place: torch.device) -> Any:
    if place.type == "cpu":
        return examples
    return type(examples)(**{key: value.to(place, non_blocking=True) for key, value in vars(examples).items()})


def _require_finite(
    what: str, value: float, name: str, step: int, settings: dict, state: Path | None, good: int
) -> None:
    if math.isfinite(value):
        return
    kept = f" The state of step {good} is kept in {state}." if state is not None and good else ""
    raise DeepcamsError(
        f"Training {name} diverged at step {step}: the {what} is {value}.{kept} Lower the learning rate, now "
        f"{settings['learning_rate']:g} (training.learning_rate, --learning-rate), and run again; that begins anew."
    )
