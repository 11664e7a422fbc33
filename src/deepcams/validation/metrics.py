"""Agreement of two fields over any number of frames, in one pass and in bounded memory."""

import math
from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-13  # standard deviations below this share of the mean are those of a constant, rounded


@dataclass
class Moments:
    """Weighted sums over pairs (estimate, truth), in float64; add frames, merge parts, ask for scores.

    Means and central moments are kept and merged (Chan, Golub and LeVeque 1983), not sums of squares, so that a small
    variance on a large mean survives. Pairs with NaN or infinity on either side are left out.
    """

    count: int = 0
    weight: float = 0.0
    mean_estimate: float = 0.0
    mean_truth: float = 0.0
    square_estimate: float = 0.0  # Σ w (e - mean)²
    square_truth: float = 0.0
    product: float = 0.0  # Σ w (e - mean)(t - mean)
    absolute_error: float = 0.0  # Σ w |e - t|
    squared_error: float = 0.0  # Σ w (e - t)²
    within_two: float = 0.0  # Σ w where t/2 ≤ e ≤ 2t

    def add(self, estimate: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None) -> "Moments":
        """Add pairs; returns self.

        estimate, truth : arrays of one shape.   weights : broadcastable to it, ≥ 0; None for 1 each.
        Raises ValueError if the shapes differ.
        """
        if estimate.shape != truth.shape:
            raise ValueError(f"estimate {estimate.shape} and truth {truth.shape} differ in shape")
        e = np.asarray(estimate, dtype=np.float64).ravel()
        t = np.asarray(truth, dtype=np.float64).ravel()
        w = np.broadcast_to(1.0 if weights is None else weights, estimate.shape).ravel()
        valid = np.isfinite(e) & np.isfinite(t)
        if not valid.all():
            e, t, w = e[valid], t[valid], w[valid]
        total = float(w.sum())
        if total == 0:
            return self
        mean_e, mean_t = float(w @ e) / total, float(w @ t) / total
        error, de, dt = e - t, e - mean_e, t - mean_t
        return self.merge(
            Moments(
                count=e.size,
                weight=total,
                mean_estimate=mean_e,
                mean_truth=mean_t,
                square_estimate=float(w @ (de * de)),
                square_truth=float(w @ (dt * dt)),
                product=float(w @ (de * dt)),
                absolute_error=float(w @ np.abs(error)),
                squared_error=float(w @ (error * error)),
                within_two=float(w @ ((e >= 0.5 * t) & (e <= 2 * t))),
            )
        )

    def merge(self, other: "Moments") -> "Moments":
        """Add another part's sums; returns self."""
        total = self.weight + other.weight
        if other.weight == 0:
            return self
        shift_e = other.mean_estimate - self.mean_estimate
        shift_t = other.mean_truth - self.mean_truth
        between = self.weight * other.weight / total
        self.square_estimate += other.square_estimate + shift_e * shift_e * between
        self.square_truth += other.square_truth + shift_t * shift_t * between
        self.product += other.product + shift_e * shift_t * between
        self.mean_estimate += shift_e * other.weight / total
        self.mean_truth += shift_t * other.weight / total
        self.absolute_error += other.absolute_error
        self.squared_error += other.squared_error
        self.within_two += other.within_two
        self.count += other.count
        self.weight = total
        return self

    def scores(self) -> dict[str, float | int]:
        """Scores of all pairs so far.

        n : pairs.   r : Pearson's.   rmse, mae, bias (estimate - truth), mean_truth, mean_estimate : the fields' unit.
        nmb : bias / mean truth.   nme : mae / mean truth.   fac2 : share of pairs within a factor of two.
        NaN where undefined (no pairs; r of a constant; nmb and nme of a zero mean).
        """
        if self.weight == 0:
            undefined = ("r", "rmse", "mae", "bias", "nmb", "nme", "fac2", "mean_truth", "mean_estimate")
            return {"n": 0} | dict.fromkeys(undefined, math.nan)
        bias = self.mean_estimate - self.mean_truth
        mae = self.absolute_error / self.weight
        deviations = [
            math.sqrt(square) if square > self.weight * (ROUNDING * mean) ** 2 else 0.0
            for square, mean in ((self.square_estimate, self.mean_estimate), (self.square_truth, self.mean_truth))
        ]
        spread = deviations[0] * deviations[1]
        return {
            "n": self.count,
            "r": max(-1.0, min(1.0, self.product / spread)) if spread > 0 else math.nan,
            "rmse": math.sqrt(self.squared_error / self.weight),
            "mae": mae,
            "bias": bias,
            "nmb": bias / self.mean_truth if self.mean_truth else math.nan,
            "nme": mae / self.mean_truth if self.mean_truth else math.nan,
            "fac2": self.within_two / self.weight,
            "mean_truth": self.mean_truth,
            "mean_estimate": self.mean_estimate,
        }
