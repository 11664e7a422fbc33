"""What networks for time learn: the field between two, from patches of GEOS-CF.

The corrected recipe learns at 0.75° from 3-hour intervals, which is what the network is used for; the published one at
0.25° from intervals of 2 to 12 hours, mirrored, rotated and reversed at random.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from deepcams.training.engine import Task, falling, warm_cosine
from deepcams.training.held_out import Errors, without_halo
from deepcams.training.losses import temporal_loss
from deepcams.training.samples import Drawing, Intervals, draw_intervals
from deepcams.training.shards import Shard

VALIDATION_PATCHES = 64
BATCH = 8  # validation patches at a time
PUBLISHED = Drawing(hours=(2, 12), flips=True, fine=True)
# Epochs 50, 100 and 150 of 199 in the released code.
MILESTONES = (0.25, 0.5, 0.75)


def task(module: nn.Module, shards: Sequence[Shard], settings: dict) -> Task:
    """The task of `deepcams.training.engine`. settings : batch_size, patch, seed of the configuration."""
    corrected = module.recipe == "corrected"
    drawing = Drawing() if corrected else PUBLISHED
    patch, seed = settings["patch"], settings["seed"]

    def draw(random: np.random.Generator, count: int = settings["batch_size"], part: str = "training") -> Intervals:
        return draw_intervals(shards, random, count, patch, module.halo, drawing, part)

    # As many as the memory of one batch holds at a time; always the same.
    held_out = [
        draw(np.random.default_rng([seed, 0, number]), BATCH, "validation")
        for number in range(VALIDATION_PATCHES // BATCH)
    ]

    return Task(
        module,
        draw,
        loss=lambda network, examples: _loss(network, examples, module.recipe),
        validate=lambda network: _validate(network, held_out),
        rate=warm_cosine if corrected else falling(0.25, MILESTONES),
        clips=corrected,
    )


def _run(module: nn.Module, examples: Intervals):
    forward = module.transform.forward
    context = examples.context if module.context else None
    return module(forward(examples.first), forward(examples.last), examples.fraction, context)


def _loss(module: nn.Module, examples: Intervals, recipe: str) -> tuple[torch.Tensor, dict]:
    found = _run(module, examples)
    loss, parts = temporal_loss(found, examples.target, module.transform, recipe)
    # What tells whether the network has left the linear solution, at which all three are zero.
    parts["flow"] = _speed(found)
    parts["mask"] = (found.mask.detach() - 0.5).abs().mean()
    parts["residual"] = found.residual.detach().abs().mean()
    return loss, parts


def _speed(found) -> torch.Tensor:
    """Mean length of the two displacements, cells of the flow's grid."""
    flow = found.flows[0].detach()
    return torch.stack([flow[:, :2].norm(dim=1), flow[:, 2:].norm(dim=1)]).mean()


def _validate(module: nn.Module, held_out: list[Intervals]) -> dict[str, float]:
    """Errors on the held-out patches, beside those of linear interpolation."""
    place, halo = next(module.parameters()).device, module.halo
    errors = Errors()
    for part in held_out:
        examples = Intervals(**{key: value.to(place) for key, value in vars(part).items()})
        estimate = module.transform.inverse(_run(module, examples).fields[0])
        t = examples.fraction.view(-1, 1, 1, 1)
        linear = without_halo((1 - t) * examples.first + t * examples.last, halo)
        errors.add(estimate, linear, examples.target)
    return errors.figures()
