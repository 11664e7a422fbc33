"""Layers that the light networks share."""

import torch
from torch import nn
from torch.nn import functional

# Of the leaky ReLU. With none at all features die in the first steps of a training, and the network stays where it
# started: seen on fields with high peaks at learning rates that are right otherwise.
SLOPE = 0.1


class ResidualBlock(nn.Module):
    """3×3 without padding, leaky ReLU, 1×1, added to what came in: (B, F, H, W) → (B, F, H - 2, W - 2).

    Nothing is ever made up at an edge: what lies beyond it comes with the field, as `deepcams.grid.pad` continues it.
    """

    def __init__(self, features: int):
        super().__init__()
        self.wide = nn.Conv2d(features, features, 3)
        self.mix = nn.Conv2d(features, features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply to (B, F, H, W)."""
        return x[..., 1:-1, 1:-1] + self.mix(functional.leaky_relu(self.wide(x), SLOPE))


def zero_start(layer: nn.Conv2d) -> nn.Conv2d:
    """Make a layer give nothing until it has learnt something."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def require_frames(frames: torch.Tensor, halo: int, what: str) -> None:
    """Raise ValueError unless `frames` is (B, 1, H, W) with more than a halo of nodes on every side."""
    if frames.ndim != 4 or frames.shape[1] != 1:
        raise ValueError(f"{what}: expected frames of shape (B, 1, H, W) but got {tuple(frames.shape)}")
    if min(frames.shape[2:]) <= 2 * halo:
        raise ValueError(
            f"{what}: frames of {frames.shape[2]} × {frames.shape[3]} nodes leave nothing within a halo of {halo}"
        )
