"""Sample fields between their nodes by cubic splines, which keep the peaks that linear sampling flattens.

At 0.75° a plume is a node or two wide. Moved by half a node and sampled linearly it loses more than it gains from being
in the right place; splines (Unser 1999, IEEE Signal Process. Mag. 16(6)) are what makes motion pay there.
"""

import torch
from torch.nn import functional

POLE = 3**0.5 - 2  # of the inverse of the B-spline sampled at the nodes
TAPS = 8  # of that inverse to either side: what is left out is a few 1e-5 of the field
REACH = TAPS + 2  # nodes around a position, beside its displacement
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def displaced(field: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Values of a field at nodes displaced by `flow`.

    field : (B, 1, H, W) float.   flow : (B, 2, h, w), cells (x, y), at the nodes of its middle: H - h and W - w are
    even and equal. What is fetched from less than `REACH` nodes off the field's edge feels that the edge is repeated.
    Returns (B, 1, h, w), never below the smallest of the four nodes around, so that nothing positive becomes negative.
    """
    halo = (field.shape[-1] - flow.shape[-1]) // 2
    rows, columns = field.shape[-2:]
    whole = torch.floor(flow.detach())
    x, y = (flow - whole).unbind(1)
    left, top = whole.long().unbind(1)
    left = left + torch.arange(halo, columns - halo, device=flow.device)
    top = top + torch.arange(halo, rows - halo, device=flow.device)[:, None]
    frame = torch.arange(len(field), device=flow.device)[:, None, None]

    def fetched(values: torch.Tensor, south: int, east: int) -> torch.Tensor:
        row, column = (top + south).clamp(0, rows - 1), (left + east).clamp(0, columns - 1)
        return values.flatten().index_select(0, ((frame * rows + row) * columns + column).flatten()).view_as(x)

    coefficients = _coefficients(field)
    sampled = sum(
        weight_y * sum(weight_x * fetched(coefficients, south, east) for east, weight_x in enumerate(_weights(x), -1))
        for south, weight_y in enumerate(_weights(y), -1)
    )
    smallest = torch.stack([fetched(field, south, east) for south, east in CORNERS]).amin(dim=0)
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
    return z**3 / 6, 2 / 3 - x * x * (2 - x) / 2, 2 / 3 - z * z * (2 - z) / 2, x**3 / 6
