"""What convolutions and enlargements see beyond the edges of a frame: zeros, the edge repeated, or the globe.

zeros      as in the published networks, which therefore darken towards the date line and the poles
replicate  the edge row or column repeated: a box that is open on all sides
periodic   columns wrap round the globe; rows are repeated (frames are continued over the poles before a network sees
           them, see `deepcams.models.frames`)
"""

import torch
from torch import nn
from torch.nn import functional

EDGES = ("zeros", "replicate", "periodic")


def surround(x: torch.Tensor, rows: int, columns: int, edges: str) -> torch.Tensor:
    """Widen (B, C, H, W) by `rows` on top and bottom and by `columns` on both sides: (B, C, H + 2 rows, W + 2 columns).

    Raises ValueError for another kind of edges, or columns that would wrap more than once.
    """
    if edges not in EDGES:
        raise ValueError(f"Unknown edges {edges!r}; choose one of {', '.join(EDGES)}")
    if edges == "zeros":
        return functional.pad(x, (columns, columns, rows, rows))
    if edges == "replicate":
        return functional.pad(x, (columns, columns, rows, rows), mode="replicate")
    if columns > x.shape[-1]:
        raise ValueError(f"A frame of {x.shape[-1]} columns cannot be continued by {columns}")
    if columns:
        x = torch.cat([x[..., -columns:], x, x[..., :columns]], dim=-1)
    return functional.pad(x, (0, 0, rows, rows), mode="replicate") if rows else x


class Conv2d(nn.Conv2d):
    """A convolution with `edges` as above; weights and names are those of torch's own."""

    edges = "zeros"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve (B, C, H, W)."""
        if self.edges == "zeros":
            return super().forward(x)
        wide = surround(x, *self.padding, self.edges)
        return functional.conv2d(wide, self.weight, self.bias, self.stride)


def set_edges(module: nn.Module, edges: str) -> None:
    """Make every part of a network that has `edges` use these. Raises ValueError for another kind."""
    if edges not in EDGES:
        raise ValueError(f"Unknown edges {edges!r}; choose one of {', '.join(EDGES)}")
    for part in module.modules():
        if hasattr(part, "edges"):
            part.edges = edges
