"""What networks for space learn: the fine field behind a degraded one, from patches of GEOS-CF."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from deepcams.grid.nodes import FACTOR
from deepcams.models.kernels import SIZE, bicubic_kernels
from deepcams.training.engine import Task, falling, warm_cosine
from deepcams.training.held_out import Errors, held_out, mean_concentration, without_halo
from deepcams.training.losses import spatial_loss
from deepcams.training.samples import Drawing, Refinements, draw_refinements, drawing_of, generators
from deepcams.training.shards import Shard

# Epochs 499 and 999 of 1000 in the released code.
MILESTONES = (0.499, 0.999)


def task(module: nn.Module, shards: Sequence[Shard], settings: dict) -> Task:
    """The task of `deepcams.training.engine`.

    settings : batch_size, patch, seed, domain and latitude_weights of the configuration.
    """
    corrected = module.recipe == "corrected"
    drawing = drawing_of(module, settings)
    seed = settings["seed"]
    # With a halo of bicubic's at least, which they are compared with.
    wider = max(module.halo, SIZE // 2)
    single = replace(drawing, halo=wider, flips=False, mixed=False)
    examples = held_out(lambda indices: draw_refinements(shards, generators(seed, 0, indices), single, "validation"))
    scale = mean_concentration([part.fine for part in examples])
    return Task(
        module,
        partial(_draw, tuple(shards), drawing, seed),
        loss=lambda network, examples: _loss(network, examples, module, scale),
        validate=lambda network: _validate(network, examples, wider),
        rate=warm_cosine if corrected else falling(0.1, MILESTONES),
        clips=corrected,
    )


def _draw(shards: Sequence[Shard], drawing: Drawing, seed: int, step: int, indices: Iterable[int]) -> Refinements:
    """Examples of a step."""
    return draw_refinements(shards, generators(seed, step, indices), drawing, "training")


def _loss(
    network: nn.Module, examples: Refinements, module: nn.Module, scale: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Of the network, which may be wrapped and lack the attributes of `module`."""
    found = network(module.transform.forward(examples.coarse))
    return spatial_loss(found, examples.fine, module.transform, module.recipe, examples.weight, scale)


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
