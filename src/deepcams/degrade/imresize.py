"""MATLAB's `imresize(…, 'bicubic')`, antialiased when shrinking, in double precision.

Cell-centred: shrinking by 3 puts output pixel i on the centre of pixels 3i … 3i+2, which is not where the coarse nodes
are; see `deepcams.degrade.operators` for the same kernel registered to the nodes.
"""

import math

import numpy as np


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -1/2 (Keys 1981), float64."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def imresize(image: np.ndarray, scale: float | None = None, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Resize by a scalar `scale`, or to `shape` (rows, columns); give one of the two.

    image : (…, H, W) float.  Returns (…, rows, columns) float64; with `scale`, rows = ceil(H × scale).
    Edges are mirrored with the edge pixel repeated, as MATLAB does. Raises ValueError unless exactly one of `scale`
    and `shape` is given and positive.
    """
    if (scale is None) == (shape is None):
        raise ValueError("give either scale or shape")
    size = image.shape[-2:]
    if shape is None:
        shape = tuple(math.ceil(n * scale) for n in size)
        scales = (scale, scale)
    else:
        scales = tuple(new / old for new, old in zip(shape, size, strict=True))
    if min(shape) < 1:
        raise ValueError("the resized image must have at least one pixel")
    result = np.asarray(image, dtype=np.float64)
    for axis in np.argsort(scales, kind="stable"):  # MATLAB resizes first where it shrinks most
        weights, indices = _contributions(size[axis], shape[axis], scales[axis])
        result = np.moveaxis(result, axis - 2, -1)
        result = (result[..., indices] * weights).sum(axis=-1)
        result = np.moveaxis(result, -1, axis - 2)
    return result


def _contributions(old: int, new: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and indices of the input pixels of each output pixel: two (new, P) arrays."""
    stretch = min(scale, 1.0)  # below 1 the kernel is widened, which is the antialiasing
    width = 4.0 / stretch
    centres = np.arange(1, new + 1) / scale + 0.5 * (1 - 1 / scale)  # in MATLAB's pixel numbers, from 1
    left = np.floor(centres - width / 2)
    numbers = left[:, None] + np.arange(math.ceil(width) + 2)
    weights = cubic(stretch * (centres[:, None] - numbers))
    weights /= weights.sum(axis=1, keepdims=True)
    mirror = np.concatenate([np.arange(old), np.arange(old)[::-1]])
    return weights, mirror[(numbers.astype(int) - 1) % (2 * old)]
