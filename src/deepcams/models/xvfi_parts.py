"""Parts of the network in `deepcams.models.xvfi`."""

import torch
from torch import nn
from torch.nn import functional

from deepcams.models.edges import Conv2d, surround
from deepcams.models.warping import forward_splat

PATCH = 4  # cells of a frame along the side of one cell of its features


class Block(nn.Module):
    """Two residual steps, each of two 3×3 convolutions, and a residual round both: (B, C, h, w) as it was."""

    def __init__(self, features: int):
        super().__init__()
        self.first = nn.Sequential(_conv3(features, features), nn.ReLU(), _conv3(features, features))
        self.second = nn.Sequential(_conv3(features, features), nn.ReLU(), _conv3(features, features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x + a + second(a), where a = x + first(x)."""
        a = x + self.first(x)
        return x + a + self.second(a)


class Features(nn.Module):
    """Features of a frame for all levels: at level s, of cells 4 × 2ˢ as wide as the frame's.

    In the published code these convolutions are three-dimensional with 1×3×3 kernels over a stack of the two frames:
    the same numbers, without torch's slow path for them.
    """

    def __init__(self, features: int):
        super().__init__()
        self.lift = _conv3(1, features)
        self.halve = _conv3(features, features, stride=2)  # applied twice, with the same weights
        self.mix = _conv3(features, features)
        self.block = Block(features)
        self.coarsen = _conv3(features, features, stride=2)  # from each level to the next lower one

    def forward(self, frames: torch.Tensor, levels: int) -> list[torch.Tensor]:
        """Of frames (B, 1, H, W), level 0 first: (B, C, H / 4 / 2ˢ, W / 4 / 2ˢ) for s = 0 … levels."""
        x = functional.relu(self.lift(frames))
        x = functional.relu(self.halve(x))
        x = functional.relu(self.halve(x))
        pyramid = [self.block(self.mix(x))]
        for _ in range(levels):
            pyramid.append(self.coarsen(pyramid[-1]))
        return pyramid


class Refinement(nn.Module):
    """A U-Net at full resolution: how far to trust the first frame (a logit), and what to add.

    Two convolutions that the published network carries but never uses are not here.
    """

    def __init__(self, features: int, context: int = 0):
        super().__init__()
        # Four maps of features with their 4×4 patches unfolded, four frames and the context, two displacements.
        self.enc1 = _conv4(4 * features // PATCH**2 + 4 + context + 4, features)
        self.enc2 = _conv4(features, 2 * features)
        self.enc3 = _conv4(2 * features, 4 * features)
        self.dec0 = _conv3(4 * features, 4 * features)
        self.dec1 = _conv3(6 * features, 2 * features)
        self.dec2 = _conv3(3 * features, features)
        self.dec3 = _conv3(features, 2)

    def forward(self, maps: list[torch.Tensor], frames: list[torch.Tensor], flow: torch.Tensor) -> torch.Tensor:
        """maps : four of (B, C, h / 4, w / 4).   frames : four of (B, 1, h, w), and the context.   flow : (B, 4, h, w).

        Returns (B, 2, h, w): logit and residual.
        """
        x = torch.cat([functional.pixel_shuffle(torch.cat(maps, dim=1), PATCH), *frames, flow], dim=1)
        half = functional.relu(self.enc1(x))
        quarter = functional.relu(self.enc2(half))
        x = functional.relu(self.enc3(quarter))
        x = functional.relu(self.dec0(x))
        x = functional.relu(self.dec1(torch.cat([_double(x), quarter], dim=1)))
        x = functional.relu(self.dec2(torch.cat([_double(x), half], dim=1)))
        return self.dec3(_double(x))


def hourglass(channels: int, features: int, out: int) -> list[nn.Module]:
    """Twice to half the size and back, `channels` to 2C, 4C, 2C, C and `out`, with a ReLU after each step."""
    return [
        _conv4(channels, 2 * features),
        nn.ReLU(),
        _conv4(2 * features, 4 * features),
        nn.ReLU(),
        nn.UpsamplingNearest2d(scale_factor=2),
        _conv3(4 * features, 2 * features),
        nn.ReLU(),
        nn.UpsamplingNearest2d(scale_factor=2),
        _conv3(2 * features, features),
        nn.ReLU(),
        _conv3(features, out),
    ]


def pair_up(features: int) -> Conv2d:
    """Features of a frame and of the other, warped to it, to features of the pair: (B, 2C, h, w) to (B, C, h, w)."""
    return _conv3(2 * features, features)


def flow_refiner(channels: int, features: int) -> nn.Sequential:
    """The network of the displacements from the wanted field: (B, channels, h, w) to (B, 4, h, w)."""
    return nn.Sequential(Conv2d(channels, features, 1), nn.ReLU(), *hourglass(features, features, 4))


def reverse_flow(flow: torch.Tensor, importance: torch.Tensor, t: torch.Tensor, edges: str) -> torch.Tensor:
    """Complementary flow reversal: displacements from a field in between, out of those between the two frames.

    flow : (B, 4, h, w), cells, from the first frame to the last, then from the last to the first.
    importance : (B, 2, h, w), 0 … 1, of each cell of the first frame, then of the last.
    t : (B, 1, 1, 1), 0 … 1, where between them the field is.
    Returns (B, 4, h, w), from the field to the first frame, then to the last; zero where nothing arrives.
    """
    onward, back = flow.chunk(2, dim=1)
    both = torch.cat([onward, back])
    sums, weights = forward_splat(
        both, torch.cat([t * onward, (1 - t) * back]), torch.cat(importance.chunk(2, dim=1)), edges
    )
    (onward, back), (weight_onward, weight_back) = sums.chunk(2), weights.chunk(2)
    weight = (1 - t) * weight_onward + t * weight_back
    flow = torch.cat([t * (t * back - (1 - t) * onward), (1 - t) * ((1 - t) * onward - t * back)], dim=1)
    return flow / torch.where(weight > 0, weight, 1)


def enlarge(x: torch.Tensor, factor: int, edges: str) -> torch.Tensor:
    """Enlarge (B, C, h, w) bilinearly by a whole factor, cells kept in their places: (B, C, factor h, factor w)."""
    if edges != "periodic":
        return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    wide = functional.interpolate(surround(x, 0, 1, edges), scale_factor=factor, mode="bilinear", align_corners=False)
    return wide[..., factor:-factor]


def reduce(frame: torch.Tensor, level: int, edges: str) -> torch.Tensor:
    """Reduce (B, 1, H, W) by 2^level with a bicubic of four cells, not of a reduced cell's width: as published."""
    factor = 2**level
    if factor == 1:
        return frame
    if edges != "periodic":
        return functional.interpolate(frame, scale_factor=1 / factor, mode="bicubic", align_corners=False)
    wide = functional.interpolate(
        surround(frame, 0, factor, edges), scale_factor=1 / factor, mode="bicubic", align_corners=False
    )
    return wide[..., 1:-1]


def initialise(network: nn.Module, published_3d: nn.Module) -> None:
    """The published initialisation, in place: Glorot normal, but He normal in `published_3d`, and zero biases.

    published_3d : the part of the network whose convolutions are three-dimensional in the published code, which gives
    those another initialisation than the rest (and than XVFI's own, Glorot throughout).
    """
    he = set(published_3d.modules())
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            start = nn.init.kaiming_normal_ if part in he else nn.init.xavier_normal_
            start(part.weight)
            nn.init.zeros_(part.bias)


def _double(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def _conv3(channels: int, out: int, stride: int = 1) -> Conv2d:
    return Conv2d(channels, out, 3, stride, padding=1)


def _conv4(channels: int, out: int) -> Conv2d:
    return Conv2d(channels, out, 4, 2, padding=1)
