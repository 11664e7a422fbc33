"""Baselines in time: fields between two analyses without learning."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepcams.grid.nodes import Grid


@dataclass(frozen=True)
class TemporalInterpolation:
    """Fields between two frames as their weighted mean; `weight` gives the last frame's weight at a fraction."""

    weight: Callable[[float], float]
    halo: int = 0
    precision = "float32"

    def between(
        self,
        first: np.ndarray,
        last: np.ndarray,
        fractions: tuple[float, ...],
        grid: Grid | None = None,
        time: np.datetime64 | None = None,
    ) -> np.ndarray:
        """Interpolate.

        first, last : (H, W) float, the same unit.   fractions : times between them, 0 … 1.
        grid, time : no matter here. Returns (len(fractions), H, W) of first's dtype. NaN in
        either frame gives NaN, whichever frame counts.
        """
        frames = np.empty((len(fractions), *first.shape), dtype=first.dtype)
        for frame, fraction in zip(frames, fractions, strict=True):
            weight = self.weight(fraction)
            frame[...] = (1 - weight) * first + weight * last  # 0 × NaN is NaN
        return frames


def linear() -> TemporalInterpolation:
    """Linear in time: (1-t) first + t last."""
    return TemporalInterpolation(_as_is)


def linear_as_printed() -> TemporalInterpolation:
    """Eq. 9 of Xiao et al. (2022) as printed, and as its code does: t first + (1-t) last. The weights are swapped."""
    return TemporalInterpolation(_swapped)


def nearest() -> TemporalInterpolation:
    """The frame that is nearer in time; the first at the middle."""
    return TemporalInterpolation(_step)


def _as_is(fraction: float) -> float:
    return fraction


def _swapped(fraction: float) -> float:
    return 1 - fraction


def _step(fraction: float) -> float:
    return float(fraction > 0.5)
