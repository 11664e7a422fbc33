"""Errors on examples that were held out, beside a baseline's on the very same.

They are degraded as the shard is, whatever the domain of training, so that scores of trainings can be compared.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

PATCHES = 64
BATCH = 8  # of them at a time


def held_out(draw: Callable[[range], Any]) -> list:
    """The held-out examples, drawn by their indices, in batches that take no more memory than training does."""
    return [draw(range(start, start + BATCH)) for start in range(0, PATCHES, BATCH)]


def mean_concentration(targets: Sequence[torch.Tensor]) -> float:
    """The mean of all targets, ug m-3, by which errors of concentrations are made relative; 1 if it is zero."""
    return float(sum(target.double().mean() for target in targets) / len(targets)) or 1.0


def without_halo(field: torch.Tensor, halo: int) -> torch.Tensor:
    """(…, H, W) without `halo` nodes on every side."""
    return field[..., halo : field.shape[-2] - halo, halo : field.shape[-1] - halo]


class Errors:
    """Sums over all examples so far; the unit is that of the fields."""

    def __init__(self):
        self._sums = [0.0] * 4
        self._count = 0

    def add(self, estimate: torch.Tensor, baseline: torch.Tensor, truth: torch.Tensor) -> None:
        """Add examples; all of one shape."""
        for index, field in enumerate((estimate, baseline)):
            error = (field.float() - truth).double()
            self._sums[2 * index] += float((error**2).sum())
            self._sums[2 * index + 1] += float(error.abs().sum())
        self._count += truth.numel()

    def figures(self) -> dict[str, float]:
        """rmse, mae, baseline_rmse, baseline_mae, and score: the mean of both errors relative to the baseline's."""
        squared, absolute, base_squared, base_absolute = (value / self._count for value in self._sums)
        rmse, base_rmse = math.sqrt(squared), math.sqrt(base_squared)
        ratios = [a / b if b else 1.0 for a, b in ((rmse, base_rmse), (absolute, base_absolute))]
        return {
            "rmse": rmse,
            "mae": absolute,
            "baseline_rmse": base_rmse,
            "baseline_mae": base_absolute,
            "score": sum(ratios) / 2,
        }
