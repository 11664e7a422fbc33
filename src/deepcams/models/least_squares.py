"""A 7×7 kernel for each of the nine fine nodes around a coarse one: the best that a linear method of its reach can do.

It is the yardstick between bicubic interpolation, where it starts, and a deep network. Its weights are not trained but
solved for (`deepcams.training.least_squares`). Learnt from one half of GEOS-CF's western half-globe and tried on the
other, and the other way round, its RMSE is 11 and 7 % below bicubic's from block means, 12 and 10 % from imresize.
Bicubic interpolation with closure is 15 % below itself there, and closure adds little to these kernels.
"""

import torch
from torch import nn
from torch.nn import functional

from deepcams.grid.nodes import FACTOR
from deepcams.models.kernels import SIZE, bicubic_kernels
from deepcams.models.layers import require_frames
from deepcams.models.manner import Manner
from deepcams.models.transform import TRANSFORMS


class LeastSquares(nn.Module):
    """Nine kernels, one for each fine node (3i + a, 3j + b), a, b = -1, 0, 1, of coarse node (i, j)."""

    halo = SIZE // 2
    transform = TRANSFORMS["none"]
    manner = Manner()
    recipe = "corrected"  # there is no other for this network
    bfloat16 = False

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.tensor(bicubic_kernels()[:, None], dtype=torch.float32))

    def forward(self, coarse: torch.Tensor) -> torch.Tensor:
        """Refine (B, 1, H + 6, W + 6), ug m-3: (B, 1, 3H, 3W). Raises ValueError for another shape."""
        require_frames(coarse, self.halo, "LeastSquares")
        return functional.pixel_shuffle(functional.conv2d(coarse, self.kernel), FACTOR)


def make(settings: dict) -> LeastSquares:
    """The network before it is solved for, which is bicubic; it has no sizes to set."""
    return LeastSquares()
