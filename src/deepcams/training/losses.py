"""Losses of Xiao et al. (2022): Eqs. 4 to 6 for time, Eq. 8 for space, as printed, as published and put right.

published   the released code: mean over the levels; smoothness by the squared gradient of the true field
as_printed  the paper's text: sum over the levels; smoothness by the gradient itself
corrected   in asinh space, with the error of concentrations beside it, so that large values count as well; coarser
            levels are compared with truth that was low-passed first; smoothness by the gradient relative to its mean,
            in proportion to the loss. In units of 1/800 the published one outweighs the reconstruction and holds the
            flow at zero.
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
    found: Interpolated, target: torch.Tensor, transform: Transform, recipe: str
) -> tuple[torch.Tensor, dict[str, float]]:
    """Eq. 6: reconstruction (Eq. 4) and smoothness (Eq. 5).

    found : of the network, transformed.   target : (B, 1, H, W), ug m-3.   recipe : "corrected", "published" or
    "as_printed". Returns the loss and its parts.
    """
    truth = transform.forward(target)
    if recipe == "corrected":
        distance = _levels(found.fields, truth, antialias=True).mean()
        distance = distance + LINEAR_SHARE * relative_error(transform.inverse(found.fields[0]), target)
        rough = smoothness(found.flows[0], truth, "relative")
        loss = distance + SMOOTHNESS * distance.detach() * rough
    else:
        levels = _levels(found.fields, truth, antialias=False)
        distance = levels.sum() if recipe == "as_printed" else levels.mean()
        rough = smoothness(found.flows[0], truth, "plain" if recipe == "as_printed" else "squared")
        loss = distance + SMOOTHNESS * rough
    return loss, {"reconstruction": distance.detach(), "smoothness": rough.detach()}


def spatial_loss(
    found: torch.Tensor, target: torch.Tensor, transform: Transform, recipe: str
) -> tuple[torch.Tensor, dict[str, float]]:
    """Eq. 8, the L1 distance, of found (B, 1, H, W), transformed, and target, ug m-3; corrected: both distances."""
    distance = functional.l1_loss(found, transform.forward(target))
    if recipe == "corrected":
        distance = distance + LINEAR_SHARE * relative_error(transform.inverse(found), target)
    return distance, {"reconstruction": distance.detach()}


def relative_error(estimate: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute error over mean absolute concentration."""
    return (estimate - target).abs().mean() / (target.abs().mean() + TINY)


def smoothness(flow: torch.Tensor, field: torch.Tensor, kind: str) -> torch.Tensor:
    """Eq. 5: the flow's gradient where the field has none.

    flow : (B, 4, h, w), cells.   field : (B, 1, H, W), transformed, reduced to the flow's grid first.
    kind : "plain" exp(-e² |∇G|) as printed, "squared" exp(-e² |∇G|²) as published, "relative" exp(-|∇G| / mean |∇G|).
    """
    if field.shape[-2:] != flow.shape[-2:]:
        field = functional.interpolate(field, size=flow.shape[-2:], mode="bicubic", antialias=kind == "relative")
    total = flow.new_zeros(())
    for axis in (-2, -1):
        edge = field.diff(dim=axis).abs()
        if kind == "relative":
            exponent = edge / (edge.mean() + TINY)
        else:
            exponent = EDGE**2 * (edge if kind == "plain" else edge**2)
        total = total + (torch.exp(-exponent) * flow.diff(dim=axis).abs()).mean()
    return total / 2


def _levels(fields: list[torch.Tensor], truth: torch.Tensor, *, antialias: bool) -> torch.Tensor:
    """Eq. 4's distances, one for each level."""
    distances = []
    for field in fields:
        same = field.shape[-2:] == truth.shape[-2:]
        reduced = (
            truth if same else functional.interpolate(truth, size=field.shape[-2:], mode="bicubic", antialias=antialias)
        )
        distances.append(functional.l1_loss(field, reduced))
    return torch.stack(distances)
