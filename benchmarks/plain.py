"""The published networks (Xiao et al. 2022) as one would write them down: plain eager PyTorch, as a yardstick.

ABPN with its whole N × N matrix of attention; XVFI with three-dimensional convolutions over the stack of two frames,
everything once more for each wanted hour. No layout, no precision and nothing that is shared has been chosen for speed,
and nothing slows them down. Their weights are those of `deepcams.models.abpn.Abpn` (with unscaled attention) and
`deepcams.models.xvfi.Xvfi`; the runners do with a global frame what the published scripts do.
"""

from itertools import product

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from deepcams.models.windows import windows

CLIP = 800.0  # ug m-3
WINDOW = 120  # coarse nodes
STRIDE = 32  # what frames are widened to multiples of, by zeros
FLOOR = 1e-5


class Activated(nn.Module):
    """A convolution and a PReLU of one parameter."""

    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv
        self.activation = nn.PReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to what the convolution makes of it."""
        return self.activation(self.conv(x))


class BackProjection(nn.Module):
    """A change of resolution, corrected by what its inverse misses."""

    def __init__(self, features: int, there: type[nn.Module], back: type[nn.Module]):
        super().__init__()
        self.there = Activated(there(features, features, 5, 3, 1))
        self.back = Activated(back(features, features, 5, 3, 1))
        self.correct = Activated(there(features, features, 5, 3, 1))
        self.weigh_input = Activated(nn.Conv2d(features, features, 1))
        self.weigh_output = Activated(nn.Conv2d(features, features, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, 3H, 3W), or back."""
        there = self.there(x)
        return self.weigh_output(there) + self.correct(self.weigh_input(x) - self.back(there))


class Attention(nn.Module):
    """softmax(query · key) value over all pairs of nodes, unscaled."""

    def __init__(self, channels: int):
        super().__init__()
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.weigh = nn.Conv2d(channels, channels, 1)

    def forward(self, guide: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Refine x (B, C, H, W) by `guide`, of its shape."""
        query = self.query(guide).flatten(2).transpose(1, 2)
        key = self.key(guide).flatten(2)
        value = self.value(x).flatten(2).transpose(1, 2)
        share = torch.softmax(torch.matmul(query, key), dim=2)
        found = torch.matmul(share, value).transpose(1, 2).reshape(x.shape)
        return self.weigh(found) + x


class PlainAbpn(nn.Module):
    """ABPN ×3: (B, 1, H, W) to (B, 1, 3H, 3W), in shares of 800 ug m-3."""

    def __init__(self, weights: dict[str, torch.Tensor]):
        """weights : `Abpn.state_dict()`."""
        super().__init__()
        features = len(weights["narrow.conv.bias"])
        wide = 2 * features
        enlarge = (features, nn.ConvTranspose2d, nn.Conv2d)
        reduce = (features, nn.Conv2d, nn.ConvTranspose2d)
        self.enter = Activated(nn.Conv2d(1, wide, 3, padding=1))
        self.enter_attention = Attention(wide)
        self.narrow = Activated(nn.Conv2d(wide, features, 3, padding=1))
        self.ups = nn.ModuleList(BackProjection(*enlarge) for _ in range(10))
        self.downs = nn.ModuleList(BackProjection(*reduce) for _ in range(9))
        self.attentions = nn.ModuleList(Attention(features) for _ in range(9))
        self.skip_ups = nn.ModuleList(Activated(nn.Conv2d(features, features, 1)) for _ in range(8))
        self.skip_downs = nn.ModuleList(Activated(nn.Conv2d(features, features, 1)) for _ in range(7))
        self.merge_fine = Activated(nn.Conv2d(10 * features, features, 1))
        self.smooth_fine = Activated(nn.Conv2d(features, features, 3, padding=1))
        self.merge_coarse = Activated(nn.Conv2d(9 * features, features, 1))
        self.enlarge_coarse = BackProjection(*enlarge)
        self.reconstruct = nn.Conv2d(features, 1, 3, padding=1)
        self.closure_enter = Activated(nn.Conv2d(1, wide, 3, padding=1))
        self.closure_attention = Attention(wide)
        self.closure = nn.Conv2d(wide, 1, 3, padding=1)
        _take(self, weights)

    def forward(self, coarse: torch.Tensor) -> torch.Tensor:
        """Refine (B, 1, H, W)."""
        first = self.enter(coarse)
        x = self.narrow(self.enter_attention(first, first))
        ups, downs = [self.ups[0](x)], []
        for k in range(9):
            guide = (x, downs[0] if downs else None)[k] if k < 2 else self.skip_downs[k - 2](downs[k - 2])
            downs.append(self.attentions[k](guide, self.downs[k](ups[k])))
            up = self.ups[k + 1](downs[k])
            ups.append(up if k == 0 else up + self.skip_ups[k - 1](ups[k - 1]))
        fine = self.smooth_fine(self.merge_fine(torch.cat(ups, dim=1)))
        fine = fine + self.enlarge_coarse(self.merge_coarse(torch.cat(downs, dim=1)))
        field = functional.interpolate(coarse, scale_factor=3, mode="bicubic") + self.reconstruct(fine)
        missed = coarse - functional.interpolate(field, scale_factor=1 / 3, mode="bicubic", recompute_scale_factor=True)
        missed = self.closure_enter(missed)
        missed = self.closure(self.closure_attention(missed, missed))
        return field + functional.interpolate(missed, scale_factor=3, mode="bicubic")


class PlainXvfi(nn.Module):
    """The variant of XVFI: the field at one time between two frames, in shares of 800 ug m-3."""

    def __init__(self, weights: dict[str, torch.Tensor], levels: int = 1):
        """weights : `Xvfi.state_dict()`.   levels : below full resolution."""
        super().__init__()
        features = len(weights["pair.bias"])
        self.levels = levels
        self.features = Features(features)
        self.first_flow = nn.Sequential(*hourglass(2 * features, features, 6))
        self.pair = nn.Conv2d(2 * features, features, 3, padding=1)
        self.next_flow = nn.Sequential(*hourglass(2 * features + 4, features, 6))
        entry = nn.Conv2d(4 * features + 4, features, 1), nn.ReLU()
        self.reversed_flow = nn.Sequential(*entry, *hourglass(features, features, 4))
        self.refinement = Refinement(features)
        _take(self, weights)

    def forward(self, frames: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The field (B, 1, H, W) at t (B,), 0 … 1, between the two frames (B, 1, 2, H, W)."""
        t = t.view(-1, 1, 1, 1)
        maps = self.features(frames, self.levels)
        flow = None
        for stack in reversed(maps):
            first, last = stack.unbind(2)
            if flow is None:
                found = self.first_flow(torch.cat([first, last], dim=1))
                flow = found[:, :4]
            else:
                flow = 2 * functional.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=False)
                onward = self.pair(torch.cat([first, backward_warp(last, flow[:, :2])], dim=1))
                back = self.pair(torch.cat([last, backward_warp(first, flow[:, 2:])], dim=1))
                found = self.next_flow(torch.cat([onward, back, flow], dim=1))
                flow = found[:, :4] + flow
        flow = reverse(flow, torch.sigmoid(found[:, 4:]), t)
        moved = [backward_warp(first, flow[:, :2]), backward_warp(last, flow[:, 2:])]
        flow = flow + self.reversed_flow(torch.cat([first, *moved, last, flow], dim=1))
        moved = [backward_warp(first, flow[:, :2]), backward_warp(last, flow[:, 2:])]

        flow = 4 * functional.interpolate(flow, scale_factor=4, mode="bilinear", align_corners=False)
        near, far = backward_warp(frames[:, :, 0], flow[:, :2]), backward_warp(frames[:, :, 1], flow[:, 2:])
        seen = functional.pixel_shuffle(torch.cat([first, last, *moved], dim=1), 4)
        out = self.refinement(torch.cat([seen, frames[:, :, 0], frames[:, :, 1], near, far, flow], dim=1))
        mask = torch.sigmoid(out[:, :1])
        weighted = (1 - t) * mask * near + t * (1 - mask) * far
        return weighted / ((1 - t) * mask + t * (1 - mask)) + out[:, 1:]


class Features(nn.Module):
    """Features of a stack of frames, by convolutions over three dimensions that see one frame each."""

    def __init__(self, features: int):
        super().__init__()
        self.lift = _conv3d(1, features)
        self.halve = _conv3d(features, features, 2)
        self.mix = _conv3d(features, features)
        self.block = Block(features)
        self.coarsen = _conv3d(features, features, 2)

    def forward(self, frames: torch.Tensor, levels: int) -> list[torch.Tensor]:
        """(B, 1, 2, H, W) to (B, C, 2, H / 4 / 2ˢ, W / 4 / 2ˢ), s = 0 … levels."""
        x = functional.relu(self.lift(frames))
        x = functional.relu(self.halve(x))
        x = functional.relu(self.halve(x))
        maps = [self.block(self.mix(x))]
        for _ in range(levels):
            maps.append(self.coarsen(maps[-1]))
        return maps


class Block(nn.Module):
    """Two residual steps in one."""

    def __init__(self, features: int):
        super().__init__()
        self.first = nn.Sequential(_conv3d(features, features), nn.ReLU(), _conv3d(features, features))
        self.second = nn.Sequential(_conv3d(features, features), nn.ReLU(), _conv3d(features, features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, 2, h, w) as it was."""
        a = x + self.first(x)
        return x + a + self.second(a)


class Refinement(nn.Module):
    """The U-Net at full resolution: (B, C / 4 + 8, H, W) to a mask's logit and a residual, (B, 2, H, W)."""

    def __init__(self, features: int):
        super().__init__()
        self.enc1 = nn.Conv2d(features // 4 + 8, features, 4, 2, 1)
        self.enc2 = nn.Conv2d(features, 2 * features, 4, 2, 1)
        self.enc3 = nn.Conv2d(2 * features, 4 * features, 4, 2, 1)
        self.dec0 = nn.Conv2d(4 * features, 4 * features, 3, padding=1)
        self.dec1 = nn.Conv2d(6 * features, 2 * features, 3, padding=1)
        self.dec2 = nn.Conv2d(3 * features, features, 3, padding=1)
        self.dec3 = nn.Conv2d(features, 2, 3, padding=1)
        self.enlarge = nn.UpsamplingNearest2d(scale_factor=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Down thrice and up again."""
        half = functional.relu(self.enc1(x))
        quarter = functional.relu(self.enc2(half))
        x = functional.relu(self.dec0(functional.relu(self.enc3(quarter))))
        x = functional.relu(self.dec1(torch.cat([self.enlarge(x), quarter], dim=1)))
        x = functional.relu(self.dec2(torch.cat([self.enlarge(x), half], dim=1)))
        return self.dec3(self.enlarge(x))


def hourglass(channels: int, features: int, out: int) -> list[nn.Module]:
    """Twice to half the size and back, with a ReLU after each step."""
    return [
        nn.Conv2d(channels, 2 * features, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(2 * features, 4 * features, 4, 2, 1),
        nn.ReLU(),
        nn.UpsamplingNearest2d(scale_factor=2),
        nn.Conv2d(4 * features, 2 * features, 3, padding=1),
        nn.ReLU(),
        nn.UpsamplingNearest2d(scale_factor=2),
        nn.Conv2d(2 * features, features, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(features, out, 3, padding=1),
    ]


def backward_warp(field: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Sample (B, C, H, W) at nodes displaced by `flow` (B, 2, H, W), cells (x, y); zero outside."""
    x, y = _nodes(flow)
    rows, columns = field.shape[2:]
    places = torch.stack([2 * (x + flow[:, 0]) / (columns - 1) - 1, 2 * (y + flow[:, 1]) / (rows - 1) - 1], dim=3)
    return functional.grid_sample(field, places, mode="bilinear", padding_mode="zeros", align_corners=True)


def forward_warp(
    values: torch.Tensor, flow: torch.Tensor, importance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Send values (B, C, H, W) to the four nodes around where `flow` takes them, a pass for each; sums and weights."""
    rows, columns = values.shape[2:]
    x, y = _nodes(flow)
    x, y = (x + flow[:, 0])[:, None].expand_as(values), (y + flow[:, 1])[:, None].expand_as(values)
    planes = torch.arange(values.shape[0] * values.shape[1], device=values.device).view(*values.shape[:2], 1, 1)
    sums, weights = torch.zeros_like(values), torch.zeros_like(values)
    for south, east in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = torch.floor(x) + east, torch.floor(y) + south
        weight = (importance + FLOOR) * torch.exp(-((x - column) ** 2 + (y - row) ** 2))
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        index = (planes * rows * columns + (row * columns + column).long()).masked_select(inside)
        sums.put_(index, (values * weight).masked_select(inside), accumulate=True)
        weights.put_(index, weight.masked_select(inside), accumulate=True)
    return sums, weights


def reverse(flow: torch.Tensor, importance: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Complementary flow reversal: (B, 4, h, w) between the frames to (B, 4, h, w) from the field at t to them."""
    onward, onward_weight = forward_warp(flow[:, :2], t * flow[:, :2], importance[:, :1])
    back, back_weight = forward_warp(flow[:, 2:], (1 - t) * flow[:, 2:], importance[:, 1:])
    weight = ((1 - t) * onward_weight + t * back_weight).repeat(1, 2, 1, 1)
    flow = torch.cat([-(1 - t) * t * onward + t * t * back, (1 - t) ** 2 * onward - t * (1 - t) * back], dim=1)
    return torch.where(weight > 0, flow / weight, flow)


def refine_globe(network: nn.Module, frame: np.ndarray) -> np.ndarray:
    """A global frame (241, 480) ug m-3 as published: windows of 120 nodes, joined, squeezed to (720, 1440)."""
    like = next(network.parameters())
    coarse = torch.from_numpy(frame).to(like).clamp(0, CLIP) / CLIP
    total = like.new_zeros(1, 1, 3 * frame.shape[0], 3 * frame.shape[1])
    count = torch.zeros_like(total)
    rows, columns = (windows(size, WINDOW, 0, tapered=False) for size in frame.shape)
    with torch.inference_mode():
        for row, column in product(rows, columns):
            window = coarse[row.coarse[:, None], column.coarse][None, None]
            total[..., row.fine[:, None], column.fine] += network(window)
            count[..., row.fine[:, None], column.fine] += 1
        return (CLIP * functional.interpolate(total / count, size=(720, 1440), mode="bicubic"))[0, 0].cpu().numpy()


def interpolate_globe(
    network: nn.Module, first: np.ndarray, last: np.ndarray, fractions: tuple[float, ...]
) -> np.ndarray:
    """The fields at `fractions` between two global frames (241, 480), ug m-3, as published: one by one, zeros added."""
    like = next(network.parameters())
    frames = torch.from_numpy(np.stack([first, last])).to(like).clamp(0, CLIP) / CLIP
    rows, columns = first.shape
    frames = functional.pad(frames, (0, -columns % STRIDE, 0, -rows % STRIDE))[None, None]
    with torch.inference_mode():
        fields = [network(frames, like.new_tensor([fraction])) for fraction in fractions]
    return np.stack([CLIP * field[0, 0, :rows, :columns].cpu().numpy() for field in fields])


def _nodes(flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = flow.shape[2:]
    x = torch.arange(columns, dtype=flow.dtype, device=flow.device).view(1, 1, -1)
    y = torch.arange(rows, dtype=flow.dtype, device=flow.device).view(1, -1, 1)
    return x, y


def _conv3d(channels: int, out: int, stride: int = 1) -> nn.Conv3d:
    return nn.Conv3d(channels, out, (1, 3, 3), (1, stride, stride), (0, 1, 1))


def _take(network: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Load weights of our network of the same structure; those of two dimensions become 1 × 3 × 3 where wanted."""
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    network.to(next(iter(weights.values())))
    network.load_state_dict({name: tensor.reshape(shapes[name]) for name, tensor in weights.items()})
    network.eval()
