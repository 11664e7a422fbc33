"""The nine 7×7 kernels that bring fine fields back best, from the normal equations: one step, nothing to tune.

Two things keep a few plumes from deciding, which would make kernels worse than bicubic interpolation elsewhere: errors
count relative to the level around, and by area; and the kernels are those of a world without directions, learnt from
the fields mirrored and turned in all eight ways at once (for which it is enough to sum the equations' terms so). From
one half of a western half-globe of GEOS-CF to the other, RMSE against bicubic: +8 and -2 % without, -11 and -7 % so.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch

from deepcams.degrade.operators import margin
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FACTOR, row_weights
from deepcams.models.kernels import SIZE, bicubic_kernels
from deepcams.models.least_squares import LeastSquares
from deepcams.training.held_out import Errors
from deepcams.training.samples import VALIDATION_SHARE
from deepcams.training.shards import Shard

EVERY = 3  # hours between two that count; those between them are much the same
# What weights pay for being off bicubic's, as a share of the mean square of the coarse field. It only matters where the
# fields leave weights open, as constant ones do.
RIDGE = 1e-4
FLOOR = 1.0  # ug m-3, added to the level: errors in clean air count less
HALO = SIZE // 2


def solve(module: LeastSquares, shards: Sequence[Shard]) -> dict[str, float]:
    """Give the module its kernels, in place. Frames are read one at a time.

    Returns one row as trainings record them: step (1), loss (mean squared relative error on the hours that it learnt
    from), and for the held-out hours rmse, mae, baseline_rmse and baseline_mae (bicubic), ug m-3, and score.
    Raises DeepcamsError if the fields are smaller than a kernel, or hold hardly anything complete.
    """
    bicubic = bicubic_kernels().reshape(FACTOR**2, SIZE**2)
    squares, products = np.zeros((SIZE**2, SIZE**2)), np.zeros((FACTOR**2, SIZE**2))
    total = weight = 0.0
    for around, blocks, areas in _examples(shards, held_out=False):
        share = (areas / (np.abs(around).mean(axis=1) + FLOOR) ** 2)[:, None]
        squares += (share * around).T @ around
        products += (share * blocks).T @ around
        total += float((share * blocks**2).sum())
        weight += blocks.shape[1] * float(areas.sum())
    squares, products = _in_all_directions(squares, products)
    ridge = RIDGE * np.trace(squares) / SIZE**2 * np.eye(SIZE**2)
    kernels = np.linalg.solve(squares + ridge, (products + bicubic @ ridge).T).T
    loss = (total + np.sum(kernels * (kernels @ squares - 2 * products))) / weight
    with torch.no_grad():
        module.kernel.copy_(torch.from_numpy(kernels).reshape(module.kernel.shape))
    errors = Errors()
    for around, *truth in _examples(shards, held_out=True):
        errors.add(*(torch.from_numpy(field) for field in (around @ kernels.T, around @ bicubic.T, truth[0])))
    return {"step": 1, "loss": max(loss, 0.0), **errors.figures()}


def _in_all_directions(squares: np.ndarray, products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The terms (49, 49) and (9, 49) as means over the fields' eight mirrored and turned versions."""
    total = [np.zeros_like(squares), np.zeros_like(products)]
    around, block = np.arange(SIZE**2).reshape(SIZE, SIZE), np.arange(FACTOR**2).reshape(FACTOR, FACTOR)
    for mirror, quarters in product((False, True), range(4)):
        taps, phases = (np.rot90(nodes.T if mirror else nodes, quarters).ravel() for nodes in (around, block))
        total[0] += squares[np.ix_(taps, taps)]
        total[1] += products[np.ix_(phases, taps)]
    return total[0] / 8, total[1] / 8


def _examples(shards: Sequence[Shard], *, held_out: bool) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Frame by frame: what is around each coarse node (n, 49), its block (n, 9), its area (n,), all float64."""
    count = 0
    for shard in shards:
        grid = shard.coarse_grid
        reach = HALO + (0 if grid.is_global else margin(shard.operator, **shard.parameters))
        # Poles are left out: there are few nodes, of little area.
        rows = np.arange(reach, grid.shape[0] - reach)
        columns = np.arange(grid.shape[1]) if grid.is_periodic else np.arange(reach, grid.shape[1] - reach)
        if not len(rows) or not len(columns):
            raise DeepcamsError(
                f"The training fields have {grid.shape[0]} × {grid.shape[1]} coarse nodes; least_squares needs "
                f"{2 * reach + 1} in either direction. Enlarge the region."
            )
        areas = np.repeat(row_weights(grid)[rows], len(columns))
        split = shard.own - max(1, round(VALIDATION_SHARE * shard.own))
        for frame in range(split, shard.own, EVERY) if held_out else range(0, split, EVERY):
            coarse = shard.coarse[frame][rows[0] - HALO : rows[-1] + HALO + 1]
            coarse = coarse[:, np.arange(columns[0] - HALO, columns[-1] + HALO + 1) % grid.shape[1]]
            around = np.lib.stride_tricks.sliding_window_view(coarse, (SIZE, SIZE)).reshape(-1, SIZE**2)
            fine = shard.fine[frame][_blocks(rows)][:, _blocks(columns) % shard.fine.shape[2]]
            blocks = fine.reshape(len(rows), FACTOR, len(columns), FACTOR).swapaxes(1, 2).reshape(-1, FACTOR**2)
            complete = np.isfinite(around).all(axis=1) & np.isfinite(blocks).all(axis=1)
            count += int(complete.sum())
            yield around[complete].astype(np.float64), blocks[complete].astype(np.float64), areas[complete]
    if not count:
        raise DeepcamsError(
            f"The {'held-out' if held_out else 'training'} hours of the shards hold no complete block for "
            "least_squares: too many values are missing. Add months."
        )


def _blocks(nodes: np.ndarray) -> np.ndarray:
    """Fine nodes of the blocks centred on coarse ones."""
    return (FACTOR * nodes[:, None] + np.arange(-1, 2)).ravel()
