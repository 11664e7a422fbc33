"""Losses of Xiao et al. (2022): Eqs. 4 to 6 for time, Eq. 8 for space, as printed, as published and put right.

published   the released code: mean over the levels; smoothness by the squared gradient of the true field
as_printed  the paper's text: sum over the levels; smoothness by the gradient itself
corrected   in asinh space, with the error of concentrations beside it, so that large values count as well; coarser
            levels are compared with truth that was low-passed first; smoothness by the gradient relative to its mean,
            in proportion to the loss. In units of 1/800 the published one outweighs the reconstruction and holds the
            flow at zero.

Every loss is a mean over the examples of a batch, none of which changes what another counts for: so the loss of a batch
is the mean of the losses of its parts, and several processes can share it out among them.
"""

import torch
from torch.nn import functional

from deepcams.models.interpolated import Interpolated
from deepcams.models.transform import Transform

EDGE = 150.0  # e of Eq. 5
SMOOTHNESS = 0.5  # lambda_s of Eq. 6
LINEAR_SHARE = 0.5  # of the relative error of concentrations beside the asinh distance
TINY = 1e-12


def temporal_loss(
    found: Interpolated,
    target: torch.Tensor,
    transform: Transform,
    recipe: str,
    weight: torch.Tensor,
    scale: float,
    *,
    smoothed: bool = False,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Eq. 6: reconstruction (Eq. 4) and smoothness (Eq. 5).

    found : of the network, transformed.   target : (B, 1, H, W), ug m-3.   recipe : "corrected", "published" or
    "as_printed".   weight : (B, 1, H, 1) of the target's rows.   scale : concentration that the error of concentrations
    is relative to, ug m-3; corrected only.   smoothed : the network's motion is smooth as it is made, so that
    smoothness is told but not asked for. Returns the loss and its parts.
    """
    truth = transform.forward(target)
    if recipe == "corrected":
        distance = _levels(found.fields, truth, weight, antialias=True).mean(dim=0)
        distance = distance + LINEAR_SHARE * _linear(transform.inverse(found.fields[0]), target, weight, scale)
        rough = smoothness(found.flows[0], truth, "relative")
        price = distance.detach() * rough
    else:
        levels = _levels(found.fields, truth, weight, antialias=False)
        distance = levels.sum(dim=0) if recipe == "as_printed" else levels.mean(dim=0)
        rough = smoothness(found.flows[0], truth, "plain" if recipe == "as_printed" else "squared")
        price = rough
    loss = distance if smoothed else distance + SMOOTHNESS * price
    return loss.mean(), {"reconstruction": distance.detach().mean(), "smoothness": rough.detach().mean()}


def spatial_loss(
    found: torch.Tensor,
    target: torch.Tensor,
    transform: Transform,
    recipe: str,
    weight: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Eq. 8, the L1 distance, of found (B, 1, H, W), transformed, and target, ug m-3; corrected: both distances.

    recipe, weight, scale : as for `temporal_loss`.
    """
    distance = _distance(found, transform.forward(target), weight)
    if recipe == "corrected":
        distance = distance + LINEAR_SHARE * _linear(transform.inverse(found), target, weight, scale)
    return distance.mean(), {"reconstruction": distance.detach().mean()}


def smoothness(flow: torch.Tensor, field: torch.Tensor, kind: str) -> torch.Tensor:
    """Eq. 5, the flow's gradient where the field has none: (B,).

    flow : (B, 4, h, w), cells.   field : (B, 1, H, W), transformed, reduced to the flow's grid first.
    kind : "plain" exp(-e² |∇G|) as printed, "squared" exp(-e² |∇G|²) as published, "relative" exp(-|∇G| / mean |∇G|)
    with the example's own mean.
    """
    if field.shape[-2:] != flow.shape[-2:]:
        field = functional.interpolate(field, size=flow.shape[-2:], mode="bicubic", antialias=kind == "relative")
    total = flow.new_zeros(len(flow))
    for axis in (-2, -1):
        edge = field.diff(dim=axis).abs()
        if kind == "relative":
            exponent = edge / (edge.mean(dim=(1, 2, 3), keepdim=True) + TINY)
        else:
            exponent = EDGE**2 * (edge if kind == "plain" else edge**2)
        total = total + (torch.exp(-exponent) * flow.diff(dim=axis).abs()).mean(dim=(1, 2, 3))
    return total / 2


def _levels(fields: list[torch.Tensor], truth: torch.Tensor, weight: torch.Tensor, *, antialias: bool) -> torch.Tensor:
    """Eq. 4's distances: (levels, B)."""
    distances = []
    for field in fields:
        size = field.shape[-2:]
        if size == truth.shape[-2:]:
            distances.append(_distance(field, truth, weight))
        else:
            reduced = functional.interpolate(truth, size=size, mode="bicubic", antialias=antialias)
            rows = functional.adaptive_avg_pool2d(weight, (size[0], 1))
            distances.append(_distance(field, reduced, rows))
    return torch.stack(distances)


def _distance(found: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of each example, (B,); weight : (B, 1, H, 1)."""
    return (weight * (found - truth).abs()).mean(dim=(1, 2, 3))


def _linear(estimate: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, scale: float) -> torch.Tensor:
    """Mean absolute error of each example's concentrations, relative to `scale`: (B,)."""
    return _distance(estimate, target, weight) / (scale + TINY)
