"""Between concentrations and what the networks see."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

CLIP = 800.0  # ug m-3; the released code of Xiao et al. (2022) cuts off what is above and divides by it
LARGEST = 14.5  # asinh of 1e6 ug m-3: what no field reaches and float32 still holds exactly enough


@dataclass(frozen=True)
class Transform:
    """A function of concentration (ug m-3) and its inverse, on tensors of any shape."""

    name: str
    forward: Callable[[torch.Tensor], torch.Tensor]
    inverse: Callable[[torch.Tensor], torch.Tensor]


def _clip(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(0, CLIP) / CLIP


def _unclip(y: torch.Tensor) -> torch.Tensor:
    return y * CLIP


def _sinh(y: torch.Tensor) -> torch.Tensor:
    return torch.sinh(y.clamp(-LARGEST, LARGEST))


def _over_50(x: torch.Tensor) -> torch.Tensor:
    return x / 50


def _times_50(y: torch.Tensor) -> torch.Tensor:
    return y * 50


def _same(x: torch.Tensor) -> torch.Tensor:
    return x


# asinh is linear up to about 1 ug m-3, logarithmic above, and invertible everywhere: also for the small negative values
# that the packing of CAMS leaves, where a logarithm is not.
TRANSFORMS = {
    transform.name: transform
    for transform in (
        Transform("asinh", torch.asinh, _sinh),
        Transform("clipped_800", _clip, _unclip),
        Transform("over_50", _over_50, _times_50),
        Transform("none", _same, _same),
    )
}
