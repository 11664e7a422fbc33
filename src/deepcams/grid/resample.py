"""Node-aligned ×3 interpolation from the coarse to the fine grid.

Every third fine node is a coarse one and keeps its value; the two between lie at 1/3 and 2/3. Separable kernels, each
applied along longitude and then along latitude on the field continued as in `deepcams.grid.pad`.
"""

from collections.abc import Iterator

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.blocks import bands, places, scatter, spread
from deepcams.grid.nodes import Grid, refine
from deepcams.grid.pad import level_poles, pad, pole_rows

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
    fine = np.empty((*field.shape[:-2], *refine(grid).shape), dtype=field.dtype)
    for frame in np.ndindex(field.shape[:-2]):
        level = level_poles(field[frame].copy(), grid)
        for band, rows, kept in bands(grid, reach):
            pieces = places(grid, kept, rows.start)
            for place, nodes in in_blocks(level[rows], band, taps):
                scatter(nodes, pieces[place], fine[frame])
    return fine


def in_blocks(field: np.ndarray, grid: Grid, taps: list[float]) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Interpolate place by place: (r, c) as in `deepcams.grid.blocks.places`, and the nodes of all blocks, (H, W).

    field : (H, W) float on `grid`, its poles' rows constant.   taps : of `kernel_taps`.
    """
    height, width = grid.shape
    reach = len(taps) // 2
    starts = range(2 * reach + 1)
    padded = pad(field, grid, reach)
    shifted = [np.ascontiguousarray(padded[:, at : at + width]) for at in starts]
    for c, columns in enumerate(_thirds(shifted, taps)):
        for row in pole_rows(grid):
            columns[reach : reach + height][row] = field[row]  # so far constant but for rounding
        for r, nodes in enumerate(_thirds([columns[at : at + height] for at in starts], taps)):
            yield (r, c), nodes


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


def _thirds(around: list[np.ndarray], taps: list[float]) -> Iterator[np.ndarray]:
    """Values a third before every node, at it and a third after it, from those of the nodes from before to after it."""
    yield _weighted(around[:-1], taps[::-1])
    yield around[len(taps) // 2]
    yield _weighted(around[1:], taps)


def _weighted(values: list[np.ndarray], weights: list[float]) -> np.ndarray:
    total = weights[0] * values[0]
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total += weight * value
    return total
