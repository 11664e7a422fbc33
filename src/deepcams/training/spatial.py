"""What networks for space learn: the fine field behind a degraded one, from patches of GEOS-CF."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from deepcams.grid.nodes import FACTOR
from deepcams.models.kernels import SIZE, bicubic_kernels
from deepcams.training.engine import Task, falling, warm_cosine
from deepcams.training.held_out import Errors, without_halo
from deepcams.training.losses import spatial_loss
from deepcams.training.samples import Refinements, draw_refinements
from deepcams.training.shards import Shard

VALIDATION_PATCHES = 64
BATCH = 8  # validation patches at a time
# Epochs 499 and 999 of 1000 in the released code.
MILESTONES = (0.499, 0.999)


def task(module: nn.Module, shards: Sequence[Shard], settings: dict) -> Task:
    """The task of `deepcams.training.engine`. settings : batch_size, patch, seed of the configuration."""
    corrected = module.recipe == "corrected"
    patch, seed, halo = settings["patch"], settings["seed"], module.halo

    def draw(random: np.random.Generator) -> Refinements:
        return draw_refinements(shards, random, settings["batch_size"], patch, halo, "training", flips=not corrected)

    # Always the same, and with a halo of bicubic's at least, which they are compared with.
    wider = max(halo, SIZE // 2)
    held_out = [
        draw_refinements(
            shards, np.random.default_rng([seed, 0, number]), BATCH, patch, wider, "validation", flips=False
        )
        for number in range(VALIDATION_PATCHES // BATCH)
    ]
    return Task(
        module,
        draw,
        loss=lambda network, examples: spatial_loss(
            network(network.transform.forward(examples.coarse)), examples.fine, network.transform, network.recipe
        ),
        validate=lambda network: _validate(network, held_out, wider),
        rate=warm_cosine if corrected else falling(0.1, MILESTONES),
        clips=corrected,
    )


def _validate(module: nn.Module, held_out: list[Refinements], wider: int) -> dict[str, float]:
    """Errors on the held-out patches, beside those of bicubic interpolation."""
    place = next(module.parameters()).device
    kernels = torch.tensor(bicubic_kernels()[:, None], dtype=torch.float32, device=place)
    errors = Errors()
    for part in held_out:
        coarse, fine = part.coarse.to(place), part.fine.to(place)
        seen = module.transform.forward(without_halo(coarse, wider - module.halo))
        bicubic = functional.conv2d(without_halo(coarse, wider - SIZE // 2), kernels)
        errors.add(module.transform.inverse(module(seen)), functional.pixel_shuffle(bicubic, FACTOR), fine)
    return errors.figures()
