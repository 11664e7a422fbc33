"""UNet++ for regression (Zhou et al. 2018), as Lyu et al. (2022, GMD 15, 1583) use it: one field out, no softmax.

Node (i, j) is level i after j steps to the right: (i, 0) comes from above by pooling, (i, j) from all nodes of its own
level to the left and from the one below, enlarged. The paper gives neither levels, widths nor normalisation; the time
it took (2 h on a 2080 Ti) fits five levels of 16 to 256 features. No deep supervision.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from deepcams.models.layers import SLOPE

GROUPS = 8


class UNetPlusPlus(nn.Module):
    """From (B, C, H, W) to (B, 1, H, W), any size; 2.3 million parameters with widths 16, 32, 64, 128, 256.

    normalised : group normalisation after each convolution. Its sums are over the whole field, so that what a network
    does depends on the size of the field; without it, what it does is local.
    """

    def __init__(self, channels: int, widths: Sequence[int], normalised: bool):
        super().__init__()
        self.levels = len(widths)
        self.nodes = nn.ModuleDict()
        for level, width in enumerate(widths):
            above = channels if level == 0 else widths[level - 1]
            for step in range(self.levels - level):
                inputs = above if step == 0 else step * width + widths[level + 1]
                self.nodes[f"{level}_{step}"] = _block(inputs, width, normalised)
        self.head = nn.Conv2d(widths[0], 1, 1)

    @property
    def multiple(self) -> int:
        """Shifted by so many nodes, a field gives the same, shifted."""
        return 2 ** (self.levels - 1)

    @property
    def reach(self) -> int:
        """Nodes from which a result draws at most, without normalisation: two convolutions at each block on the longest
        way down and up, and the enlargements."""
        down = sum(2 * 2**level for level in range(self.levels))
        up = sum(2 * 2**level + 2**level for level in range(self.levels - 1))
        return down + up + self.multiple  # pooling looks at the other nodes of a block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Widened to a multiple of 2 to the number of poolings by repeating the edge, and cut again."""
        height, width = x.shape[-2:]
        x = functional.pad(x, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        rows: list[list[torch.Tensor]] = []  # the nodes of each level, from left to right
        for level in range(self.levels):
            x = x if level == 0 else functional.max_pool2d(rows[level - 1][0], 2)
            rows.append([self.nodes[f"{level}_0"](x)])
            for upper in range(level - 1, -1, -1):
                below = functional.interpolate(rows[upper + 1][-1], scale_factor=2, mode="bilinear")
                joined = torch.cat([*rows[upper], below], dim=1)
                rows[upper].append(self.nodes[f"{upper}_{level - upper}"](joined))
        return self.head(rows[0][-1])[..., :height, :width]


def _block(inputs: int, width: int, normalised: bool) -> nn.Sequential:
    """Two convolutions of 3 × 3."""
    layers: list[nn.Module] = []
    for channels in (inputs, width):
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=not normalised)
        layers.append(convolution)
        if normalised:
            layers += [nn.GroupNorm(_groups(width), width), nn.ReLU(inplace=True)]
        else:
            # Nothing else keeps the size of the features from level to level.
            nn.init.kaiming_normal_(convolution.weight, a=SLOPE)
            nn.init.zeros_(convolution.bias)
            layers.append(nn.LeakyReLU(SLOPE, inplace=True))
    return nn.Sequential(*layers)


def _groups(width: int) -> int:
    """As many groups as share out the features evenly, up to `GROUPS`, with two features or more in each."""
    return max(groups for groups in range(1, GROUPS + 1) if width % groups == 0 and 2 * groups <= max(width, 2))
