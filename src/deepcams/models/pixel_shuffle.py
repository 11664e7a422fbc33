"""The light network for space: what bicubic interpolation in asinh space lacks, by a small residual network.

After EDSR (Lim et al. 2017): no batch normalisation, enlargement by pixel shuffle at the end; here around a bicubic
base and without any padding. 6 coarse nodes around a node decide on its nine fine ones.
"""

import torch
from torch import nn
from torch.nn import functional

from deepcams.grid.nodes import FACTOR
from deepcams.models.kernels import SIZE, bicubic_kernels
from deepcams.models.layers import SLOPE, ResidualBlock, require_frames, zero_start
from deepcams.models.manner import Manner
from deepcams.models.transform import TRANSFORMS

BLOCKS = 4


class PixelShuffle(nn.Module):
    """3×3 convolution, four residual blocks, 3×3 to nine values; 170,185 parameters with 64 features."""

    halo = BLOCKS + 2
    transform = TRANSFORMS["asinh"]
    manner = Manner()
    recipe = "corrected"  # there is no other for this network
    bfloat16 = True

    def __init__(self, features: int = 64):
        super().__init__()
        self.head = nn.Conv2d(1, features, 3)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(BLOCKS)))
        self.tail = zero_start(nn.Conv2d(features, FACTOR**2, 3))
        self.register_buffer("base", torch.tensor(bicubic_kernels()[:, None], dtype=torch.float32), persistent=False)

    def forward(self, coarse: torch.Tensor) -> torch.Tensor:
        """Refine (B, 1, H + 12, W + 12), transformed: (B, 1, 3H, 3W), blocks of 3 × 3 centred on the coarse nodes.

        Raises ValueError for another shape.
        """
        require_frames(coarse, self.halo, "PixelShuffle")
        spare = self.halo - SIZE // 2
        kind = coarse.device.type
        with torch.autocast(kind, enabled=False):  # a field of three digits, as bfloat16 has them, would be rounded
            base = functional.conv2d(coarse, self.base)[..., spare:-spare, spare:-spare]
            start = self.head(coarse)
        if torch.is_autocast_enabled(kind):
            start = start.to(torch.get_autocast_dtype(kind))
        detail = self.tail(functional.leaky_relu(self.body(start), SLOPE)).to(base.dtype)
        return functional.pixel_shuffle(base + detail, FACTOR)


def make(settings: dict) -> PixelShuffle:
    """The network before training. settings : features."""
    return PixelShuffle(settings["features"])
