"""Sample fields between their nodes by cubic splines, which keep the peaks that linear sampling flattens.

At 0.75° a plume is a node or two wide. Moved by half a node and sampled linearly it loses more than it gains from being
in the right place; splines (Unser 1999, IEEE Signal Process. Mag. 16(6)) are what makes motion pay there.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

POLE = 3**0.5 - 2  # of the inverse of the B-spline sampled at the nodes
TAPS = 8  # of that inverse to either side: what is left out is a few 1e-5 of the field
REACH = TAPS + 2  # nodes around a position, beside its displacement
EDGE = 3  # nodes by which fields are continued: from the last of them on, all that is fetched is the edge


@dataclass(frozen=True)
class Spline:
    """A field and the coefficients of its B-splines, both (B, 1, H + 2 EDGE, W + 2 EDGE): edges repeated."""

    nodes: torch.Tensor
    coefficients: torch.Tensor


def splined(field: torch.Tensor) -> Spline:
    """What `displaced` needs of a field (B, 1, H, W), made once for any number of displacements."""
    return Spline(*(functional.pad(part, (EDGE,) * 4, mode="replicate") for part in (field, _coefficients(field))))


def displaced(field: torch.Tensor | Spline, flow: torch.Tensor) -> torch.Tensor:
    """Values of a field at nodes displaced by `flow`.

    field : (B, 1, H, W) float, or what `splined` made of it.   flow : (B, 2, h, w), cells (x, y), at the nodes of its
    middle: H - h and W - w are even and equal. What is fetched from less than `REACH` nodes off the field's edge feels
    that the edge is repeated.
    Returns (B, 1, h, w), never below the smallest of the four nodes around, so that nothing positive becomes negative.
    """
    spline = splined(field) if isinstance(field, torch.Tensor) else field
    frames, _, rows, columns = spline.nodes.shape
    halo = (columns - flow.shape[-1]) // 2
    whole = torch.floor(flow.detach())
    x, y = (flow - whole).unbind(1)
    left, top = whole.long().unbind(1)
    # The north-western of the sixteen nodes around, kept where all sixteen are on the continued field.
    left = (left + torch.arange(halo - 1, columns - halo - 1, device=flow.device)).clamp(0, columns - 4)
    top = (top + torch.arange(halo - 1, rows - halo - 1, device=flow.device)[:, None]).clamp(0, rows - 4)
    start = torch.arange(0, frames * rows * columns, rows * columns, device=flow.device)[:, None, None]
    place = (start + top * columns + left).flatten()

    def fetched(values: torch.Tensor, south: int, east: int) -> torch.Tensor:
        return values.flatten()[south * columns + east :].index_select(0, place).view_as(x)

    weights_x, weights_y = _weights(x), _weights(y)
    sampled = 0
    for south, weight_y in enumerate(weights_y):
        row = fetched(spline.coefficients, south, 0) * weights_x[0]
        for east in (1, 2, 3):
            row = torch.addcmul(row, fetched(spline.coefficients, south, east), weights_x[east])
        sampled = torch.addcmul(sampled, row, weight_y) if south else row * weight_y
    corners = [fetched(spline.nodes, south, east) for south in (1, 2) for east in (1, 2)]
    smallest = torch.minimum(torch.minimum(*corners[:2]), torch.minimum(*corners[2:]))
    return torch.maximum(sampled, smallest)[:, None]


def _coefficients(field: torch.Tensor) -> torch.Tensor:
    """Those of the B-splines that together go through the nodes."""
    taps = 3**0.5 * POLE ** torch.arange(-TAPS, TAPS + 1, device=field.device).abs().to(field.dtype)
    taps = (taps / taps.sum()).to(field.dtype)
    with torch.autocast(field.device.type, enabled=False):
        for shape, sides in (((1, 1, -1, 1), (0, 0, TAPS, TAPS)), ((1, 1, 1, -1), (TAPS, TAPS, 0, 0))):
            field = functional.conv2d(functional.pad(field, sides, mode="replicate"), taps.view(shape))
    return field


def _weights(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Of the B-splines at nodes -1, 0, 1 and 2, at fraction `x` of the way from node 0 to node 1."""
    z = 1 - x
    xx, zz = x * x, z * z
    return zz * z / 6, 2 / 3 - xx * (1 - x / 2), 2 / 3 - zz * (1 - z / 2), xx * x / 6
