"""Node-aligned ×3 interpolation from the coarse to the fine grid.

Every third fine node is a coarse one and keeps its value; the two between lie at 1/3 and 2/3. Separable kernels, each
applied along latitude and then along longitude on the field continued as in `deepcams.grid.pad`.
"""

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.blocks import spread
from deepcams.grid.nodes import FACTOR, Grid, refine
from deepcams.grid.pad import level_poles, pad

KERNELS = ("nearest", "bilinear", "bicubic", "lanczos3", "conservative")
HALO = {"nearest": 1, "bilinear": 1, "bicubic": 2, "lanczos3": 3, "conservative": 1}  # coarse nodes a fine one draws on
KEYS_A = -0.5  # Keys (1981): third-order accurate; torch's own bicubic has -0.75


def upsample(field: np.ndarray, grid: Grid, kernel: str = "bicubic", a: float = KEYS_A) -> np.ndarray:
    """Interpolate a coarse field to refine(grid).

    field : (…, H, W) float on the coarse `grid`.   a : parameter of Keys' cubic kernel (bicubic only).
    Returns (…, 3(H-1)+1, 3W or 3(W-1)+1) of the same dtype. NaN reaches as far as the kernel.

    nearest and conservative (first order) are the same thing on these grids: the cell of a fine node lies wholly in
    that of its nearest coarse node, so both are constant on the blocks. Over- and undershoots of bicubic and lanczos3
    are left in. Poles' rows get one value. Raises DeepcamsError for an unknown kernel.
    """
    if kernel in ("nearest", "conservative"):
        return spread(field, grid)
    if kernel not in KERNELS:
        raise DeepcamsError(f"Unknown interpolation {kernel!r}; choose one of {', '.join(KERNELS)}.")
    taps = kernel_taps(kernel, a)
    reach = len(taps) // 2
    if min(grid.shape) <= reach:
        raise DeepcamsError(f"{kernel} interpolation needs at least {reach + 1} coarse nodes in each direction.")
    level = level_poles(np.array(field), grid)
    padded = pad(level, grid, reach)
    height, width = refine(grid).shape
    tall = _along_rows(padded, taps, reach, height)
    fine = _along_rows(tall.swapaxes(-1, -2), taps, reach, width).swapaxes(-1, -2)
    # The pole's row, interpolated in longitude, is constant but for rounding.
    return level_poles(np.ascontiguousarray(fine), refine(grid))


def kernel_taps(kernel: str, a: float = KEYS_A) -> list[float]:
    """Weights of the coarse nodes 1-n … n around an interval for the point at 1/3 of it, their sum 1."""
    reach = HALO[kernel]
    distances = np.abs(np.arange(1 - reach, reach + 1) - 1 / 3)
    if kernel == "bilinear":
        weights = 1 - distances
    elif kernel == "bicubic":
        near = ((a + 2) * distances - (a + 3)) * distances**2 + 1
        far = a * (((distances - 5) * distances + 8) * distances - 4)
        weights = np.where(distances <= 1, near, far)
    else:
        weights = np.sinc(distances) * np.sinc(distances / reach)
    return [float(weight) for weight in weights / weights.sum()]


def _along_rows(padded: np.ndarray, taps: list[float], reach: int, count: int) -> np.ndarray:
    """×3 along the second to last axis: output row 3i is row i, 3i+1 and 3i+2 lie between rows i and i+1."""
    result = np.empty((*padded.shape[:-2], count, padded.shape[-1]), dtype=padded.dtype)
    result[..., 0::FACTOR, :] = padded[..., reach : reach + len(range(0, count, FACTOR)), :]
    for phase, weights in ((1, taps), (2, taps[::-1])):
        rows = len(range(phase, count, FACTOR))
        total = weights[0] * padded[..., 1 : 1 + rows, :]
        for offset, weight in enumerate(weights[1:], start=2):
            total += weight * padded[..., offset : offset + rows, :]
        result[..., phase::FACTOR, :] = total
    return result
