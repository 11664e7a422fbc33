"""Normalised convolutions that spread scattered observations over a grid: Lyu et al. (2022, GMD 15, 1583), Eqs. 1 to 3.

corrected   PC1 = K1 ∗ (x m) / (K1 ∗ m + ε), PC2 = K2 ∗ PC1 / (K2 ∗ s + ε), PC = (PC1 + PC2) / 2, where m is 1 at valid
            observations and s is 1 where PC1 has any within its kernel; beyond, as far as PC2 reaches, PC = PC2. Both
            are weighted means, and so is PC; the kernels are exponentials, because a weighted mean needs weights that
            are not negative.
as_printed  The denominator of PC2 is K2 ∗ m, PC is the sum, ε is e⁻⁵, and kernels may have any sign. The numerator of
            PC2 is dense and its denominator sparse: where no observation is within 11 × 11 nodes, a fifth of a field of
            158,472 with 2,000 of them, PC2 is the field times hundreds.

A value of nought is an observation like any other: validity is told by the mask, never by the values.
"""

import math

import torch
from scipy.fft import next_fast_len
from torch import nn

SIZES = (21, 11)  # nodes
READINGS = ("corrected", "as_printed")
TINY = 1e-6  # far below what a single observation weighs at the rim of a kernel
PRINTED = math.exp(-5)
# Widths (nodes) that the paper's learnt kernels have around their centres, for PM2.5, humidity and wind (its Fig. 3).
WIDTHS = (1.5, 1.1, 1.4)
FLOOR = 1e-3  # of a kernel's centre, at its rim: what begins at nought would never learn


class PointConv(nn.Module):
    """Two kernels a variable, 21 × 21 and 11 × 11: 562 parameters for each."""

    reach = sum(size // 2 for size in SIZES)  # nodes from which an estimate draws

    def __init__(self, variables: int, reading: str = "corrected"):
        """Raises ValueError for another reading."""
        super().__init__()
        if reading not in READINGS:
            raise ValueError(f"There is no reading {reading!r} of the equations; choose one of {', '.join(READINGS)}")
        self.reading = reading
        widths = [WIDTHS[min(index, len(WIDTHS) - 1)] for index in range(variables)]
        starts = [torch.stack([bell(size, width) for width in widths])[:, None] for size in SIZES]
        self.weights = nn.ParameterList(start if reading == "as_printed" else start.log() for start in starts)

    def kernels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """As they are applied: (V, 1, 21, 21) and (V, 1, 11, 11)."""
        wide, narrow = self.weights
        return (wide, narrow) if self.reading == "as_printed" else (wide.exp(), narrow.exp())

    def forward(self, values: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Spread observations.

        values : (B, V, H, W), anything where not valid.   valid : (B, V, H, W) of 0 and 1; beyond the edges none is.
        Returns the estimate, the weight of the observations behind it (K1 ∗ m), and where there is any within 21 × 21
        nodes, 0 or 1: each (B, V, H, W). Beyond `reach` the estimate is 0. Raises ValueError for other shapes.
        """
        if values.shape != valid.shape or values.ndim != 4 or values.shape[1] != len(self.weights[0]):
            raise ValueError(
                f"PointConv of {len(self.weights[0])} variables: got values {tuple(values.shape)} and validity "
                f"{tuple(valid.shape)}"
            )
        wide, narrow = self.kernels()
        values = torch.where(valid > 0, values, torch.zeros_like(values))
        tiny = PRINTED if self.reading == "as_printed" else TINY
        weight = spread(valid, wide)
        first = spread(values, wide) / (weight + tiny)
        support = _near(valid, SIZES[0])
        if self.reading == "as_printed":
            return first + spread(first, narrow) / (spread(valid, narrow) + tiny), weight, support
        second = spread(first * support, narrow) / (spread(support, narrow) + tiny)
        # Around where the first reaches there is the second alone, so that estimates do not end with a step.
        found = torch.where(support > 0, (first + second) / 2, second)
        return found * _near(support, SIZES[1]), weight, support


def bell(size: int, width: float) -> torch.Tensor:
    """A Gaussian of 1 at the centre of (size, size) nodes, and nowhere less than `FLOOR`."""
    away = (torch.arange(size) - size // 2) ** 2
    return torch.exp(-(away[:, None] + away) / (2 * width**2)).clamp_min(FLOOR)


def _near(valid: torch.Tensor, size: int) -> torch.Tensor:
    """Where anything valid is within (size, size) nodes, 0 or 1."""
    ones = torch.ones(valid.shape[1], 1, size, size, device=valid.device)
    return (spread(valid, ones) > 0.5).to(valid.dtype)


def spread(field: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Each variable's fields (B, V, H, W) correlated with its own kernel (V, 1, n, n), zeros beyond the edges.

    By Fourier transforms, in float64 so that what is nought stays nought to 1e-15: a wide kernel for each channel is
    what libraries of convolutions are slow at, 20 times as slow as this in training.
    """
    height, width = field.shape[-2:]
    half = kernel.shape[-1] // 2
    size = [next_fast_len(edge + 2 * half, real=True) for edge in (height, width)]
    spectrum = torch.fft.rfft2(field.double(), s=size) * torch.fft.rfft2(kernel[:, 0].flip(-1, -2).double(), s=size)
    whole = torch.fft.irfft2(spectrum, s=size)
    return whole[..., half : half + height, half : half + width].to(field.dtype)
