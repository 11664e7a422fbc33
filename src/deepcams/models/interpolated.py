"""What a network for time makes of two frames."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Interpolated:
    """A field between two frames, and how it was made.

    fields : (B, 1, h, w) each, transformed units, at full resolution first; coarser levels only in training.
    flows : (B, 4, h, w) each, in cells of their own grid, the finest first: displacement (x, y) from the field to where
    it is found in the first frame, then in the last.
    mask : (B, 1, H, W), share of the first frame before its weight in time, 0 … 1.   residual : (B, 1, H, W), added.
    """

    fields: list[torch.Tensor]
    flows: list[torch.Tensor]
    mask: torch.Tensor
    residual: torch.Tensor
