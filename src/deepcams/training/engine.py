"""The training loop, the same for all networks: Adam, a bounded number of steps, validation, and resuming.

Every example has its own random numbers, seeded by (seed, step, index), so that a training that was killed goes on with
the same losses as one that was not, and that any process can draw any of the examples.
"""

import copy
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from deepcams.progress import progress
from deepcams.training.loader import Steps, workers_watched
from deepcams.training.ranks import Ranks, ranks
from deepcams.training.state import Progress, keep, kept, restore

VALIDATIONS = 20  # in the course of a training
KEPT = 250  # steps after which the state is kept if there is no validation before
WARM_UP = 0.05  # share of the steps over which the corrected recipe's learning rate rises
LARGEST_GRADIENT = 1.0  # norm
Parts = dict[str, Any]


class Task(NamedTuple):
    """What is learnt: `deepcams.training.temporal` and `.spatial` make one.

    draw : from step (1, 2, …) and indices in the joint batch, the examples of the training: a dataclass of tensors.
    loss : of the network on examples, with named parts; all of them means over the examples, none of which changes what
    another counts for.
    validate : named figures of the network, "score" among them, the lower the better; 1 is the baseline.
    rate : learning rate relative to the configured one, from the share of steps done (0 … 1).
    clips : whether gradients are clipped.
    """

    module: nn.Module
    draw: Callable[[int, Iterable[int]], Any]
    loss: Callable[[nn.Module, Any], tuple[torch.Tensor, Parts]]
    validate: Callable[[nn.Module], dict[str, float]]
    rate: Callable[[float], float]
    clips: bool


def fit(task: Task, settings: dict, *, name: str, state: Path | None = None, key: str = "") -> Progress:
    """Train `task.module` in place; the module ends with the weights of the last step.

    settings : steps, batch_size, learning_rate, precision, threads, what the task reads, and if wanted ema (decay of a
    running mean of the weights, which is then what is validated, kept as the best and left in the module) and workers
    (processes that draw examples).   name : of the network, for messages.   state : file to go on from after a kill, if
    the same training left it, which `key` tells; None: nothing is kept.
    Under torchrun every process takes its share of each batch, and the first one alone validates and writes.
    Returns the best weights by validation and the history: one row for each validation, with the mean of every part of
    the loss since the row before; in the first process, the others lack figures.
    Raises DeepcamsError if loss or score is no longer finite, in the first process, while the others end quietly; the
    last good state stays.
    """
    with workers_watched():  # from their beginning: one may die before the training has begun
        return _fit(task, settings, name, state, key)


def _fit(task: Task, settings: dict, name: str, state: Path | None, key: str) -> Progress:
    team = ranks()
    found = kept(state, key)
    done = found["done"] if found else Progress()
    steps = range(done.step + 1, settings["steps"] + 1)
    share, place = team.share(settings["batch_size"]), team.place
    examples = Steps(task.draw, steps, share, workers=settings.get("workers", 0), pinned=place.type == "cuda")
    torch.set_num_threads(settings["threads"])
    with team.joined(place):
        team.require_same(done.step, place, f"the step that {state} was kept at")
        learner = _Learner(task, settings, team, place)
        if found:
            restore(state, found, learner.parts)
        course = _Course(done, settings, team, place, name, state)
        every = max(1, settings["steps"] // VALIDATIONS)
        told = progress(steps, f"train {name}", "steps") if team.rank == 0 else steps
        for step, batch in zip(told, examples, strict=True):
            course.note(step, learner.update(step, batch))
            validates = step % every == 0 or step == settings["steps"]
            if validates or step % KEPT == 0:
                course.catch_up()
                if validates:
                    course.record(step, learner)
                done.step = step
                if team.rank == 0:
                    keep(state, key, done, learner.parts)
        learner.finish()
    return done


def warm_cosine(share: float) -> float:
    """Rises over the first 5 % of the steps, then falls to zero like a cosine."""
    if share < WARM_UP:
        return (share + 1e-3) / (WARM_UP + 1e-3)
    return 0.5 * (1 + float(np.cos(np.pi * (share - WARM_UP) / (1 - WARM_UP))))


def falling(factor: float, shares: tuple[float, ...]) -> Callable[[float], float]:
    """Multiplied by `factor` at each of the shares of the steps."""
    return lambda share: factor ** sum(share >= mark for mark in shares)


class _Learner:
    """The network, what updates its weights, and their running mean where that is wanted."""

    def __init__(self, task: Task, settings: dict, team: Ranks, place: torch.device):
        layout = torch.channels_last if place.type == "cuda" else torch.contiguous_format
        self._task, self._settings, self._place = task, settings, place
        self.module = task.module.to(place, memory_format=layout).train()
        self.averaged = copy.deepcopy(self.module).eval() if settings.get("ema") is not None else None
        self._lesson = team.shared(_Lesson(self.module, task.loss))
        self._optimiser = torch.optim.Adam(self.module.parameters(), lr=settings["learning_rate"])
        self._mixed = _is_mixed(settings["precision"], place)

    @property
    def parts(self) -> dict[str, Any]:
        """Everything that has a state, by the name it is kept under."""
        parts = {"weights": self.module, "optimiser": self._optimiser}
        return parts if self.averaged is None else {**parts, "averaged": self.averaged}

    @property
    def judged(self) -> nn.Module:
        """The network whose errors and weights count."""
        return self.module if self.averaged is None else self.averaged

    def rate(self, step: int) -> float:
        return self._settings["learning_rate"] * self._task.rate((step - 1) / self._settings["steps"])

    def update(self, step: int, batch: Any) -> Parts:
        """Move the weights; returns this process's losses, which a GPU may still be busy with."""
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate(step)
        with torch.autocast(self._place.type, torch.bfloat16, enabled=self._mixed):
            loss, parts = self._lesson(_moved(batch, self._place))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self._task.clips:
            nn.utils.clip_grad_norm_(self.module.parameters(), LARGEST_GRADIENT)
        self._optimiser.step()
        if self.averaged is not None:
            decay = min(self._settings["ema"], (1 + step) / (10 + step))  # forgets where it began
            means, weights = (list(module.parameters()) for module in (self.averaged, self.module))
            get_ema_multi_avg_fn(decay)(means, weights, step)
        return {"loss": loss.detach(), **parts}

    def validated(self) -> dict[str, float]:
        self.judged.eval()
        with torch.inference_mode():
            figures = self._task.validate(self.judged)
        self.module.train()
        return figures

    def finish(self) -> None:
        if self.averaged is not None:
            self.module.load_state_dict(self.averaged.state_dict())


class _Lesson(nn.Module):
    """The loss as what a network computes, which is what torch can share out."""

    def __init__(self, network: nn.Module, loss: Callable):
        super().__init__()
        self.network, self._loss = network, loss

    def forward(self, examples: Any) -> tuple[torch.Tensor, Parts]:
        return self._loss(self.network, examples)


class _Course:
    """The losses of all processes together, looked at one step late, so that a GPU need not wait to be looked at."""

    def __init__(self, done: Progress, settings: dict, team: Ranks, place: torch.device, name: str, state: Path | None):
        self._done, self._settings, self._team, self._place = done, settings, team, place
        self._name, self._state = name, state
        self._late: tuple[int, list[str], torch.Tensor] | None = None

    def note(self, step: int, losses: Parts) -> None:
        """Take the losses of a step."""
        values = torch.stack([torch.as_tensor(value, device=self._place).double() for value in losses.values()])
        values = self._team.mean(values)
        self.catch_up()
        self._late = step, list(losses), values

    def catch_up(self) -> None:
        """Add up what was noted. Ends the training if a loss is not finite."""
        if self._late is None:
            return
        step, names, values = self._late
        self._late = None
        for part, value in zip(names, values.tolist(), strict=True):
            if part == "loss":
                self._require_finite("loss", value, step)
            self._done.sums[part] = self._done.sums.get(part, 0.0) + value

    def record(self, step: int, learner: _Learner) -> None:
        """Validate, and add a row to the history. Ends the training if the last update has spoilt the weights."""
        done = self._done
        figures = learner.validated() if self._team.rank == 0 else {"score": math.nan}
        figures["score"] = self._team.told(figures["score"], self._place)
        self._require_finite("held-out error", figures["score"], step)
        since = step - (int(done.history[-1]["step"]) if done.history else 0)
        means = {part: value / since for part, value in done.sums.items()}
        done.history.append({"step": step, "learning_rate": learner.rate(step), **means, **figures})
        done.sums = {}
        if figures["score"] < done.best_score or not done.best:
            done.best_score, done.best_step = figures["score"], step
            done.best = {key: value.detach().cpu().clone() for key, value in learner.judged.state_dict().items()}

    def _require_finite(self, what: str, value: float, step: int) -> None:
        if math.isfinite(value):
            return
        good, rate = self._done.step, self._settings["learning_rate"]
        kept_there = f" The state of step {good} is kept in {self._state}." if self._state is not None and good else ""
        self._team.refuse(
            f"Training {self._name} diverged at step {step}: the {what} is {value}.{kept_there} Lower the learning "
            f"rate, now {rate:g} (training.learning_rate, --learning-rate), and run again; that begins anew."
        )


def _is_mixed(precision: str, place: torch.device) -> bool:
    return precision == "bfloat16" or (precision == "auto" and place.type == "cuda")


def _moved(examples: Any, place: torch.device) -> Any:
    if place.type == "cpu":
        return examples
    return type(examples)(**{key: value.to(place, non_blocking=True) for key, value in vars(examples).items()})
