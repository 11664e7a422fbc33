"""The light network for time: two frames displaced, blended and corrected.

What moved is told from the frames without learning (`deepcams.models.motion`). The network says how far to believe
that, what to add to it, which frame counts for more, and what is no motion at all: sources, mixing, the day's own
course, for which the sun above a node is given (`deepcams.models.sun`). Before training it says nothing, and the
network is the training-free method: motion without a correction.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from deepcams.models.interpolated import Interpolated
from deepcams.models.layers import SLOPE, ResidualBlock, require_frames, zero_start
from deepcams.models.manner import Manner
from deepcams.models.motion import REACH, motion
from deepcams.models.spline import Spline, displaced, splined
from deepcams.models.sun import CHANNELS
from deepcams.models.transform import TRANSFORMS

BLOCKS = 3
TRUST = 0.8  # in the motion, to begin with: part of what is seen is noise, so the best guess is shorter
LARGEST_FLOW = 8.0  # nodes in 3 h: 75 km h-1 at 0.25° on the equator; keeps the warp within the halo


@dataclass(frozen=True)
class Look:
    """What a frame shows by itself, for the interval that it ends and the one that it begins."""

    frame: torch.Tensor  # (B, 1, H + 2 halo, W + 2 halo), transformed
    transformed: Spline
    concentration: Spline


@dataclass(frozen=True)
class Motion:
    """What two frames and the sun say about all instants between them; tensors (B, channels, H, W)."""

    frames: tuple[Spline, Spline]  # concentrations, with the halo
    flow: torch.Tensor  # from the first frame to the last, cells
    mask: torch.Tensor
    residual: torch.Tensor  # its mean over the interval, and its trend


class FlowResidual(nn.Module):
    """3×3 convolution, three residual blocks, 3×3 to trust (1), flow (2), mask (1) and residual (2)."""

    halo = REACH + BLOCKS + 2
    stride = 1
    context = CHANNELS
    transform = TRANSFORMS["asinh"]
    manner = Manner()
    recipe = "corrected"  # there is no other for this network
    bfloat16 = True
    smooth_motion = True  # by construction: the loss need not ask for it

    def __init__(self, features: int = 56):
        super().__init__()
        self.head = nn.Conv2d(8 + CHANNELS, features, 3)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(BLOCKS)))
        self.tail = zero_start(nn.Conv2d(features, 6, 3))

    def look(self, frame: torch.Tensor) -> Look:
        """What `relate` needs of a frame (B, 1, H + 2 halo, W + 2 halo), transformed. ValueError for other shapes."""
        require_frames(frame, self.halo, "FlowResidual")
        with torch.no_grad():
            return Look(frame, splined(frame), splined(self.transform.inverse(frame)))

    def relate(self, first: Look, last: Look, context: torch.Tensor | None) -> Motion:
        """What holds for the whole interval between two frames.

        context : (B, 3, H + 2 halo, W + 2 halo), the sun at mid-interval. Raises ValueError for other shapes.
        """
        if last.frame.shape != first.frame.shape:
            shapes = tuple(first.frame.shape), tuple(last.frame.shape)
            raise ValueError(f"FlowResidual: frames of {shapes[0]} and {shapes[1]} do not fit")
        wanted = (first.frame.shape[0], CHANNELS, *first.frame.shape[2:])
        if context is None or context.shape != wanted:
            found = None if context is None else tuple(context.shape)
            raise ValueError(f"FlowResidual: the sun must come as {wanted} but is {found}")
        with torch.no_grad():
            flow = _inside(motion(first.frame, last.frame), REACH)
            ahead, behind = displaced(first.transformed, -0.5 * flow), displaced(last.transformed, 0.5 * flow)
            first_seen, last_seen, context = (_inside(fields, REACH) for fields in (first.frame, last.frame, context))
            parts = [first_seen, last_seen, last_seen - first_seen, ahead, behind, behind - ahead, flow, context]
            seen = torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last)
        found = self.tail(functional.leaky_relu(self.body(self.head(seen)), SLOPE)).float()
        flow = _inside(flow, self.halo - REACH) * (TRUST + found[:, :1]) + found[:, 1:3]
        return Motion(
            frames=(first.concentration, last.concentration),
            flow=LARGEST_FLOW * torch.tanh(flow / LARGEST_FLOW),
            mask=torch.sigmoid(found[:, 3:4]),
            residual=found[:, 4:],
        )

    def encode(self, first: torch.Tensor, last: torch.Tensor, context: torch.Tensor | None) -> Motion:
        """`relate` of two frames, (B, 1, H + 2 halo, W + 2 halo) each, transformed."""
        return self.relate(self.look(first), self.look(last), context)

    def synthesise(self, motion: Motion, fraction: torch.Tensor) -> Interpolated:
        """The field at `fraction` (B,) of the interval; at 0 and 1 the frames themselves."""
        t = fraction.view(-1, 1, 1, 1)
        flows = (-t * motion.flow, (1 - t) * motion.flow)
        first, last = (displaced(frame, flow) for frame, flow in zip(motion.frames, flows, strict=True))
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


def _inside(fields: torch.Tensor, halo: int) -> torch.Tensor:
    return fields[..., halo:-halo, halo:-halo]
