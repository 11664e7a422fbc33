"""Parts of the network in `deepcams.models.xvfi`."""

import torch
from torch import nn
from torch.nn import functional

from deepcams.models.edges import Conv2d, surround
from deepcams.models.warping import forward_splat

PATCH = 4  # cells of a frame along the side of one cell of its features


class Doubling(Conv2d):
    """A 3×3 convolution of a map doubled by nearest neighbours, which is never made.

    Around every corner of the small map's cells four of its cells decide on four of the result, each by sums of the
    nine weights: 16 multiplications where 36 stood.
    """

    def forward(self, x: torch.Tensor, beside: torch.Tensor | None = None) -> torch.Tensor:
        """(B, C, h, w), and further channels that have the double size already: (B, out, 2h, 2w)."""
        own, others = self.weight[:, : x.shape[1]], self.weight[:, x.shape[1] :]
        corners = functional.conv2d(surround(x, 1, 1, self.edges), _four_cells(own))
        doubled = functional.pixel_shuffle(corners, 2)[..., 1:-1, 1:-1]
        if beside is None:
            return doubled + self.bias.view(1, -1, 1, 1)
        margin = 0 if self.edges == "zeros" else 1
        wide = surround(beside, margin, margin, self.edges)
        return functional.conv2d(wide, others, self.bias, padding=1 - margin) + doubled


class Block(nn.Module):
    """Two residual steps, each of two 3×3 convolutions, and a residual round both: (B, C, h, w) as it was."""

    def __init__(self, features: int):
        super().__init__()
        self.first = nn.Sequential(_conv3(features, features), nn.ReLU(inplace=True), _conv3(features, features))
        self.second = nn.Sequential(_conv3(features, features), nn.ReLU(inplace=True), _conv3(features, features))

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
        x = _relu(self.lift(frames))
        x = _relu(self.halve(x))
        x = _relu(self.halve(x))
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
        self.dec1 = Doubling(6 * features, 2 * features, 3, padding=1)
        self.dec2 = Doubling(3 * features, features, 3, padding=1)
        self.dec3 = Doubling(features, 2, 3, padding=1)

    def forward(self, maps: list[torch.Tensor], frames: list[torch.Tensor], flow: torch.Tensor) -> torch.Tensor:
        """maps : four of (B, C, h / 4, w / 4).   frames : four of (B, 1, h, w), and the context.   flow : (B, 4, h, w).

        Returns (B, 2, h, w): logit and residual.
        """
        x = torch.cat([functional.pixel_shuffle(torch.cat(maps, dim=1), PATCH), *frames, flow], dim=1)
        half = _relu(self.enc1(x))
        quarter = _relu(self.enc2(half))
        x = _relu(self.dec0(_relu(self.enc3(quarter))))
        x = _relu(self.dec1(x, quarter))
        x = _relu(self.dec2(x, half))
        return self.dec3(x)


def _four_cells(weight: torch.Tensor) -> torch.Tensor:
    """What a 3×3 kernel (O, C, 3, 3) on a doubled map does to the cells around a corner: (4 O, C, 2, 2)."""

    def pairs(kernel: torch.Tensor, axis: int) -> torch.Tensor:
        before, middle, after = kernel.unbind(axis)
        both = torch.stack([before + middle, after], axis), torch.stack([before, middle + after], axis)
        return torch.stack(both, 1)

    return pairs(pairs(weight, 2), 4).transpose(1, 2).flatten(0, 2)


def hourglass(channels: int, features: int, out: int) -> list[nn.Module]:
    """Twice to half the size and back, `channels` to 2C, 4C, 2C, C and `out`, with a ReLU after each step."""
    return [
        _conv4(channels, 2 * features),
        nn.ReLU(inplace=True),
        _conv4(2 * features, 4 * features),
        nn.ReLU(inplace=True),
        nn.Identity(),  # here the published network doubles; the numbers of its layers stay
        Doubling(4 * features, 2 * features, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Identity(),
        Doubling(2 * features, features, 3, padding=1),
        nn.ReLU(inplace=True),
        _conv3(features, out),
    ]


def pair_up(features: int) -> Conv2d:
    """Features of a frame and of the other, warped to it, to features of the pair: (B, 2C, h, w) to (B, C, h, w)."""
    return _conv3(2 * features, features)


def flow_refiner(channels: int, features: int) -> nn.Sequential:
    """The network of the displacements from the wanted field: (B, channels, h, w) to (B, 4, h, w)."""
    return nn.Sequential(Conv2d(channels, features, 1), nn.ReLU(inplace=True), *hourglass(features, features, 4))


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


def _relu(x: torch.Tensor) -> torch.Tensor:
    return functional.relu(x, inplace=True)


def _conv3(channels: int, out: int, stride: int = 1) -> Conv2d:
    return Conv2d(channels, out, 3, stride, padding=1)


def _conv4(channels: int, out: int) -> Conv2d:
    return Conv2d(channels, out, 4, 2, padding=1)
