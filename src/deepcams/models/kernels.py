"""Bicubic interpolation as kernels of a convolution: where the networks for space start."""

import numpy as np

SIZE = 7
KEYS = -0.5


def bicubic_kernels() -> np.ndarray:
    """Keys' cubic (a = -0.5) at phases -1/3, 0, 1/3, as nine 7×7 kernels, north to south: (9, 7, 7) float64."""
    offsets = np.arange(SIZE) - SIZE // 2
    lines = [_keys(offsets - phase / 3) for phase in (-1, 0, 1)]
    return np.stack([np.outer(north, west) for north in lines for west in lines])


def _keys(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = (KEYS + 2) * x**3 - (KEYS + 3) * x**2 + 1
    far = KEYS * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
