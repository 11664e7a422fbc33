"""Degradation: coarse fields out of fine ones, registered to the coarse nodes, under a named operator.

What the operator is matters more than what the network is: a network trained under one does worse than bicubic
interpolation under another. All of them are centred on the coarse nodes (fine node 3i), go round the globe and over the
poles, and give a pole one value on a full circle.

imresize    MATLAB's antialiased bicubic kernel (11 × 11 fine nodes with negative lobes), as the paper says
bicubic     bicubic without antialiasing, as the paper's released code does. At a third of the size every output lies on
            an input pixel, where the kernel is 1 for it and 0 for all others: whatever its parameter (torch's -0.75),
            it just takes that value. Registered to the nodes it equals `point`
block_mean  area-weighted mean over the block of 3 × 3 fine nodes; over the cap at a pole
gaussian    normal weights of `sigma` fine cells (default 1), cut off at 4 sigma
point       the fine node itself
"""

import math

import numpy as np

from deepcams.degrade.imresize import cubic
from deepcams.errors import DeepcamsError
from deepcams.grid.blocks import block_mean, coarsen
from deepcams.grid.nodes import FACTOR, Grid
from deepcams.grid.pad import level_poles, pad

OPERATORS = ("imresize", "bicubic", "block_mean", "gaussian", "point")


def degrade(fine: np.ndarray, grid_fine: Grid, operator: str, **parameters: float) -> np.ndarray:
    """Make a coarse field out of a fine one.

    fine : (…, Hf, Wf) float on `grid_fine`, the refinement of a coarse grid.   parameters : `sigma` of gaussian.
    Returns (…, H, W) of the same dtype on coarsen(grid_fine). NaN spreads over the operator's support.

    At the edges of a box that is not the full circle the edge is repeated (block_mean: the nodes present are averaged):
    the outer `margin(operator)` coarse nodes there differ from what the whole globe would give.
    Raises DeepcamsError for an unknown operator or parameter, or a grid that does not lie on coarse nodes.
    """
    taps = _taps(operator, parameters)
    grid_coarse = coarsen(grid_fine)
    if operator == "block_mean":
        return block_mean(fine, grid_coarse)
    reach = len(taps) // 2
    padded = pad(fine, grid_fine, reach)
    height, width = grid_coarse.shape
    coarse = _every_third(_every_third(padded, taps, height).swapaxes(-1, -2), taps, width).swapaxes(-1, -2)
    return level_poles(np.ascontiguousarray(coarse), grid_coarse)


def margin(operator: str, **parameters: float) -> int:
    """How many coarse nodes at an edge that is neither periodic nor a pole lack part of their support."""
    taps = _taps(operator, parameters)
    return math.ceil((len(taps) // 2) / FACTOR)


def _taps(operator: str, parameters: dict[str, float]) -> list[float]:
    """Weights along one direction, centred on the node."""
    if operator not in OPERATORS:
        raise DeepcamsError(f"Unknown degradation {operator!r}; choose one of {', '.join(OPERATORS)}.")
    unknown = set(parameters) - ({"sigma"} if operator == "gaussian" else set())
    if unknown:
        raise DeepcamsError(f"The degradation {operator} has no parameter {', '.join(sorted(unknown))}.")
    if operator in ("bicubic", "point"):
        return [1.0]
    if operator == "block_mean":
        return [1 / 3, 1 / 3, 1 / 3]
    if operator == "imresize":
        weights = cubic(np.arange(-5, 6) / FACTOR)
    else:
        sigma = parameters.get("sigma", 1.0)
        if not 0 < sigma <= 10:
            raise DeepcamsError(f"sigma of the gaussian degradation is {sigma}; give cells above 0 and up to 10.")
        reach = int(4 * sigma + 0.5)
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return [float(weight) for weight in weights / weights.sum()]


def _every_third(padded: np.ndarray, taps: list[float], count: int) -> np.ndarray:
    """Weighted sums around every third row, along the second to last axis."""
    stop = FACTOR * (count - 1) + 1
    total = taps[0] * padded[..., :stop:FACTOR, :]
    for offset, weight in enumerate(taps[1:], start=1):
        if weight:
            total += weight * padded[..., offset : offset + stop : FACTOR, :]
    return total
