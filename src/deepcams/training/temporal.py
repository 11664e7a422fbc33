"""What networks for time learn: the field between two, from patches of GEOS-CF.

The corrected recipe learns from 3-hour intervals, at 0.75°, at 0.25°, or at both in turn; it is used at 0.75°, unless
fields are refined in space first. The published one learns at 0.25° from intervals of 2 to 12 hours, mirrored, rotated
and reversed at random.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from deepcams.training.engine import Task, falling, warm_cosine
from deepcams.training.held_out import Errors, held_out, mean_concentration, without_halo
from deepcams.training.losses import temporal_loss
from deepcams.training.samples import Drawing, Intervals, draw_intervals, drawing_of, generators
from deepcams.training.shards import Shard

HOURS = {"corrected": (3, 3), "published": (2, 12)}
# Epochs 50, 100 and 150 of 199 in the released code.
MILESTONES = (0.25, 0.5, 0.75)


def task(module: nn.Module, shards: Sequence[Shard], settings: dict) -> Task:
    """The task of `deepcams.training.engine`.

    settings : batch_size, patch (nodes of either resolution), seed, resolution ("coarse", "fine" or "both"), domain and
    latitude_weights of the configuration. Held-out examples have the resolution of use: fine if nothing else is learnt.
    """
    corrected = module.recipe == "corrected"
    hours = HOURS["corrected" if corrected else "published"]
    drawing = replace(drawing_of(module, settings), hours=hours, sun=module.context > 0)
    resolution, seed = settings.get("resolution") or ("both" if corrected else "fine"), settings["seed"]
    single = replace(drawing, fine=resolution == "fine", mixed=False)
    examples = held_out(lambda indices: draw_intervals(shards, generators(seed, 0, indices), single, "validation"))
    scale = mean_concentration([part.target for part in examples])
    return Task(
        module,
        partial(_draw, tuple(shards), drawing, resolution, seed),
        loss=lambda network, examples: _loss(network, examples, module, scale),
        validate=lambda network: _validate(network, examples),
        rate=warm_cosine if corrected else falling(0.25, MILESTONES),
        clips=corrected,
    )


def _draw(
    shards: Sequence[Shard], drawing: Drawing, resolution: str, seed: int, step: int, indices: Iterable[int]
) -> Intervals:
    """Examples of a step, all of one resolution."""
    # Four numbers, because a generator takes a missing one for zero: the first example's must be others.
    fine = resolution == "fine" or (resolution == "both" and np.random.default_rng([seed, step, 0, 1]).random() < 0.5)
    return draw_intervals(shards, generators(seed, step, indices), replace(drawing, fine=fine), "training")


def _run(network: nn.Module, examples: Intervals, module: nn.Module):
    """What the network, which may be wrapped and lack the attributes of `module`, makes of the examples."""
    forward = module.transform.forward
    context = examples.context if module.context else None
    return network(forward(examples.first), forward(examples.last), examples.fraction, context)


def _loss(
    network: nn.Module, examples: Intervals, module: nn.Module, scale: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    found = _run(network, examples, module)
    loss, parts = temporal_loss(
        found,
        examples.target,
        module.transform,
        module.recipe,
        examples.weight,
        scale,
        smoothed=getattr(module, "smooth_motion", False),
    )
    # What tells whether the network has left the linear solution, at which all three are zero.
    parts["flow"] = _speed(found)
    parts["mask"] = (found.mask.detach() - 0.5).abs().mean()
    parts["residual"] = found.residual.detach().abs().mean()
    return loss, parts


def _speed(found) -> torch.Tensor:
    """Mean length of the two displacements, cells of the flow's grid."""
    flow = found.flows[0].detach()
    return torch.stack([flow[:, :2].norm(dim=1), flow[:, 2:].norm(dim=1)]).mean()


def _validate(module: nn.Module, held_out: Sequence[Intervals]) -> dict[str, float]:
    """Errors on the held-out patches, beside those of linear interpolation."""
    place, halo = next(module.parameters()).device, module.halo
    errors = Errors()
    for part in held_out:
        examples = Intervals(**{key: value.to(place) for key, value in vars(part).items()})
        estimate = module.transform.inverse(_run(module, examples, module).fields[0])
        t = examples.fraction.view(-1, 1, 1, 1)
        linear = without_halo((1 - t) * examples.first + t * examples.last, halo)
        errors.add(estimate, linear, examples.target)
    return errors.figures()
