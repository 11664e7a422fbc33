"""The light network for time: flow, mask and residual from two frames and the sun, linear in time to begin with.

Two frames are displaced towards the instant between them, blended, and corrected. All of it is zero before training,
and the blend is made of concentrations, so that the network starts as linear interpolation exactly. The hour of the
day is given with the frames, because most of what happens between two analyses is the day's own course (see
`deepcams.models.sun`); motion alone explains little of it.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from deepcams.models.interpolated import Interpolated
from deepcams.models.layers import ResidualBlock, require_frames, zero_start
from deepcams.models.manner import Manner
from deepcams.models.sun import CHANNELS
from deepcams.models.transform import TRANSFORMS
from deepcams.models.warping import backward_warp

BLOCKS = 4
LARGEST_FLOW = 4.0  # coarse nodes in 3 h, 110 km h-1 at the equator; keeps the warp within the halo


@dataclass(frozen=True)
class Motion:
    """What two frames and the sun say about all instants between them; tensors (B, channels, H, W)."""

    frames: tuple[torch.Tensor, torch.Tensor]  # concentrations, with the halo
    flows: tuple[torch.Tensor, torch.Tensor]  # over the whole interval, cells
    mask: torch.Tensor
    residual: torch.Tensor  # its mean over the interval, and its trend


class FlowResidual(nn.Module):
    """3×3 convolution, four residual blocks, 3×3 to flow (4), mask (1) and residual (2)."""

    halo = BLOCKS + 2
    stride = 1
    context = CHANNELS
    transform = TRANSFORMS["asinh"]
    manner = Manner()
    recipe = "corrected"  # there is no other for this network

    def __init__(self, features: int = 48):
        super().__init__()
        self.head = nn.Conv2d(3 + CHANNELS, features, 3)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(BLOCKS)))
        self.tail = zero_start(nn.Conv2d(features, 7, 3))

    def encode(self, first: torch.Tensor, last: torch.Tensor, context: torch.Tensor | None) -> Motion:
        """What holds for the whole interval.

        first, last : (B, 1, H + 12, W + 12), transformed.   context : (B, 3, H + 12, W + 12), the sun at mid-interval.
        Raises ValueError for other shapes.
        """
        require_frames(first, self.halo, "FlowResidual")
        if last.shape != first.shape:
            raise ValueError(f"FlowResidual: frames of {tuple(first.shape)} and {tuple(last.shape)} do not fit")
        wanted = (first.shape[0], CHANNELS, *first.shape[2:])
        if context is None or context.shape != wanted:
            found = None if context is None else tuple(context.shape)
            raise ValueError(f"FlowResidual: the sun must come as {wanted} but is {found}")
        seen = self.head(torch.cat([first, last, last - first, context], dim=1))
        found = self.tail(functional.relu(self.body(seen))).float()
        flows = LARGEST_FLOW * torch.tanh(found[:, :4] / LARGEST_FLOW)
        return Motion(
            frames=(self.transform.inverse(first), self.transform.inverse(last)),
            flows=(flows[:, :2], flows[:, 2:]),
            mask=torch.sigmoid(found[:, 4:5]),
            residual=found[:, 5:],
        )

    def synthesise(self, motion: Motion, fraction: torch.Tensor) -> Interpolated:
        """The field at `fraction` (B,) of the interval; at 0 and 1 the frames themselves."""
        t = fraction.view(-1, 1, 1, 1)
        flows = (motion.flows[0] * t, motion.flows[1] * (1 - t))
        first, last = (_displaced(frame, flow, self.halo) for frame, flow in zip(motion.frames, flows, strict=True))
        share = (1 - t) * motion.mask
        share = share / (share + t * (1 - motion.mask))
        residual = 4 * t * (1 - t) * (motion.residual[:, :1] + (2 * t - 1) * motion.residual[:, 1:])
        field = self.transform.forward(share * first + (1 - share) * last) + residual
        return Interpolated([field], [torch.cat(flows, dim=1)], motion.mask, residual)

    def forward(
        self, first: torch.Tensor, last: torch.Tensor, fraction: torch.Tensor, context: torch.Tensor | None = None
    ) -> Interpolated:
        """`encode` and `synthesise`: fields (B, 1, H, W)."""
        return self.synthesise(self.encode(first, last, context), fraction)


def make(settings: dict) -> FlowResidual:
    """The network before training. settings : features."""
    return FlowResidual(settings["features"])


def _displaced(frame: torch.Tensor, flow: torch.Tensor, halo: int) -> torch.Tensor:
    """Values of `frame`, which has a halo, at the nodes inside it displaced by `flow` (x, y): bilinear."""
    wide = functional.pad(flow, (halo, halo, halo, halo))
    return backward_warp(frame, wide, "replicate")[..., halo:-halo, halo:-halo]
