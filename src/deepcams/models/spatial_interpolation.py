"""Baselines in space: node-aligned ×3 interpolation without learning."""

from dataclasses import dataclass

import numpy as np

from deepcams.grid.nodes import Grid
from deepcams.grid.resample import HALO, KEYS_A, upsample


@dataclass(frozen=True)
class SpatialInterpolation:
    """One of the kernels of `deepcams.grid.resample`."""

    kernel: str
    a: float = KEYS_A
    concurrent = True
    precision = "float32"

    @property
    def halo(self) -> int:
        """Coarse nodes around a box that the values inside it draw on."""
        return HALO[self.kernel]

    @property
    def context(self) -> int:
        """Coarse nodes around a box that it makes use of."""
        return self.halo

    def compile(self) -> None:
        """Nothing is to be prepared."""

    def refine(self, frames: np.ndarray, grid: Grid) -> np.ndarray:
        """Interpolate frames (B, H, W) on `grid` to refine(grid): (B, 3(H-1)+1, 3W or 3(W-1)+1), same dtype.

        Over- and undershoots of bicubic and lanczos3 are left in, also below zero.
        """
        return upsample(frames, grid, self.kernel, self.a)


def nearest() -> SpatialInterpolation:
    """The nearest coarse node."""
    return SpatialInterpolation("nearest")


def bilinear() -> SpatialInterpolation:
    """Bilinear."""
    return SpatialInterpolation("bilinear")


def bicubic() -> SpatialInterpolation:
    """Cubic convolution (Keys 1981), a = -0.5."""
    return SpatialInterpolation("bicubic")


def lanczos3() -> SpatialInterpolation:
    """Lanczos with three lobes."""
    return SpatialInterpolation("lanczos3")


def conservative() -> SpatialInterpolation:
    """First-order conservative: constant on the blocks."""
    return SpatialInterpolation("conservative")
