"""Quantiles of all cells and hours of a field, far into its tail, in one pass and in 512 KiB."""

from collections.abc import Sequence

import numpy as np

LEVELS = (0.5, 0.99, 0.999, 0.9999)
BINS = 1 << 16
NEGATIVE = 1 << 15  # from here on the bins of negative values, whose size rises


class Quantiles:
    """A histogram of fields weighted by area, from which quantiles follow within 0.8 %.

    A value's bin is the upper half of its 32 bits: sign, exponent and the first seven binary digits. So bins are 0.4 to
    0.8 % wide whatever the magnitude, zero has one of its own, and binning takes a shift.

    weights : (H,) area of a cell of each row (`deepcams.validation.axes.row_areas`).
    """

    def __init__(self, weights: np.ndarray):
        self._weights = np.asarray(weights, dtype=np.float64)[:, None]
        self._histogram = np.zeros(BINS)

    def add(self, field: np.ndarray) -> None:
        """Add a field (H, W) of floats; NaN and infinity are left out."""
        values = np.ascontiguousarray(field, dtype=np.float32)
        weights = np.broadcast_to(self._weights, values.shape)
        valid = np.isfinite(values)
        if not valid.all():
            values, weights = values[valid], weights[valid]
        self._histogram += np.bincount((values.view(np.uint32) >> 16).ravel(), weights.ravel(), minlength=BINS)

    def result(self, levels: Sequence[float] = LEVELS) -> dict[str, float]:
        """The value that each share of the area and time lies below, by its level's text; NaN if nothing was added."""
        order = np.concatenate([np.arange(BINS - 1, NEGATIVE - 1, -1), np.arange(NEGATIVE)])
        order = order[self._histogram[order] > 0]
        if not len(order):
            return {f"{level:g}": float("nan") for level in levels}
        mass = self._histogram[order]
        passed = np.cumsum(mass)
        found = {}
        for level in levels:
            at = min(int(np.searchsorted(passed, level * passed[-1])), len(order) - 1)
            inside = 1 - (passed[at] - level * passed[-1]) / mass[at]  # the share of the bin that lies below
            inner, outer = (np.uint32(int(order[at]) + k << 16).view(np.float32) for k in (0, 1))
            low, high = (outer, inner) if order[at] >= NEGATIVE else (inner, outer)
            found[f"{level:g}"] = float(low + inside * (float(high) - float(low)))
        return found
