"""ABPN ×3: the attention-based back-projection network of DeepCAMS for space, complete.

Back projection by Liu et al. (2019, Image Super-Resolution via Attention based Back Projection Networks), as varied by
Xiao et al. (2022): ten enlargements and nine reductions by turns, each correcting itself by what its own inverse
misses; the coarse features attend to each other over the whole frame. The sum of all stages is added to bicubic
interpolation; in the end what the result lacks at the coarse nodes is added once more, refined and interpolated.

The network works on transformed values (`deepcams.models.transform`).
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FACTOR
from deepcams.models.edges import Conv2d, set_edges, surround
from deepcams.models.manner import Manner
from deepcams.models.transform import TRANSFORMS

UPS, DOWNS = 10, 9
SIZE, MARGIN = 5, 1  # kernel and padding of all changes of resolution: a block of nine and one fine node around it
BRANCH = 0.7  # of two that are added
REACH = 2  # coarse nodes on either side that bicubic interpolation sees

# Parts that the released code declares and saves but never runs.
UNUSED_PUBLISHED = ("down10", "SA10", "weight_down8")


# Attention over the whole globe costs the square of its nodes. In windows a little larger than the patches of training,
# which share a third with their neighbours and fade into them, no seam is left.
WINDOWS = Manner(window=48, overlap=16)
PUBLISHED_WINDOWS = Manner(zero_edges=True, window=120, overlap=0, tapered=False, squeezed=True)


class Deconv2d(nn.ConvTranspose2d):
    """A transposed convolution from coarse to fine with `edges` as in `deepcams.models.edges`."""

    edges = "zeros"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Spread (B, C, H, W) over (B, C, 3H, 3W)."""
        if self.edges == "zeros":
            return super().forward(x)
        # A coarse node reaches one fine node beyond its own block: one more node all round is all there is to see.
        fine = super().forward(surround(x, 1, 1, self.edges))
        return fine[..., FACTOR:-FACTOR, FACTOR:-FACTOR]


class Activated(nn.Module):
    """A convolution and a PReLU with one parameter."""

    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv
        self.activation = nn.PReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve and bend (B, C, H, W)."""
        return self.activation(self.conv(x))


class BackProjection(nn.Module):
    """A change of resolution that is put right by what its inverse misses.

    there = A(x);  result = w(there) + A'(w'(x) - B(there)), with A and A' in one direction and B in the other.
    """

    def __init__(self, features: int, *, enlarges: bool):
        super().__init__()
        there, back = (_deconv, _conv) if enlarges else (_conv, _deconv)
        self.there = there(features)
        self.back = back(features)
        self.correct = there(features)
        self.weigh_input = _pointwise(features, features)
        self.weigh_output = _pointwise(features, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, 3H, 3W), or the other way round."""
        there = self.there(x)
        missed = self.weigh_input(x) - self.back(there)
        return self.weigh_output(there) + self.correct(missed)


class Attention(nn.Module):
    """Every node draws on all nodes of the frame, by how alike they are in `guide`.

    The released code leaves out the division of the logits by sqrt(channels), so that the softmax is close to
    one-hot from the start; `scaled` puts it back. It also calls K what asks and Q what is asked: here they are named
    by what they do.
    """

    def __init__(self, channels: int, *, scaled: bool):
        super().__init__()
        self.scale = None if scaled else 1.0  # None: 1 / sqrt(channels)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.weigh = nn.Conv2d(channels, channels, 1)

    def forward(self, guide: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Refine x (B, C, H, W) by `guide` of the same shape. Memory grows with the nodes, not with their square."""
        found = functional.scaled_dot_product_attention(
            _in_line(self.query(guide)), _in_line(self.key(guide)), _in_line(self.value(x)), scale=self.scale
        )
        return self.weigh(found.squeeze(1).transpose(1, 2).reshape(x.shape)) + x


class Abpn(nn.Module):
    """The network: (B, 1, H, W) to (B, 1, 3H, 3W) in transformed units.

    Rows 3i … 3i + 2 and columns 3j … 3j + 2 of the result are the block centred on coarse node (i, j).

    features : 32 as published, 1,716,795 parameters (the released code has 84,294 more that it never runs).
    linear_start : start as exactly bicubic interpolation (the last convolutions are zero); else with the published
        Kaiming initialisation, which starts far from any field.
    scaled_attention : divide the logits by sqrt(channels); False as published.
    """

    edges = "zeros"
    halo = 0
    transform = TRANSFORMS["asinh"]
    manner = WINDOWS
    recipe = "corrected"
    bfloat16 = True

    def __init__(self, features: int = 32, *, linear_start: bool = True, scaled_attention: bool = True):
        super().__init__()
        if features < 1:
            raise ValueError(f"A network needs at least one feature, not {features}")
        wide = 2 * features
        self.enter = Activated(Conv2d(1, wide, 3, padding=1))
        self.enter_attention = Attention(wide, scaled=scaled_attention)
        self.narrow = Activated(Conv2d(wide, features, 3, padding=1))
        self.ups = nn.ModuleList(BackProjection(features, enlarges=True) for _ in range(UPS))
        self.downs = nn.ModuleList(BackProjection(features, enlarges=False) for _ in range(DOWNS))
        self.attentions = nn.ModuleList(Attention(features, scaled=scaled_attention) for _ in range(DOWNS))
        self.skip_ups = nn.ModuleList(_pointwise(features, features) for _ in range(UPS - 2))
        self.skip_downs = nn.ModuleList(_pointwise(features, features) for _ in range(DOWNS - 2))
        self.merge_fine = _pointwise(UPS * features, features)
        self.smooth_fine = Activated(Conv2d(features, features, 3, padding=1))
        self.merge_coarse = _pointwise(DOWNS * features, features)
        self.enlarge_coarse = BackProjection(features, enlarges=True)
        self.reconstruct = Conv2d(features, 1, 3, padding=1)
        self.closure_enter = Activated(Conv2d(1, wide, 3, padding=1))
        self.closure_attention = Attention(wide, scaled=scaled_attention)
        self.closure = Conv2d(wide, 1, 3, padding=1)
        self._initialise(linear_start)

    def forward(self, coarse: torch.Tensor) -> torch.Tensor:
        """Refine coarse (B, 1, H, W). Raises ValueError for another shape."""
        if coarse.ndim != 4 or coarse.shape[1] != 1:
            raise ValueError(f"Expected fields of shape (B, 1, H, W) but got {tuple(coarse.shape)}")
        fine = self._bicubic(coarse) + self.reconstruct(self._features(coarse))
        # The released code takes bicubic interpolation by 1/3 without antialiasing, which is the node in the middle.
        centres = fine[..., FACTOR // 2 :: FACTOR, FACTOR // 2 :: FACTOR]
        missed = self.closure_enter(coarse - centres)
        return fine + self._bicubic(self.closure(self.closure_attention(missed, missed)))

    def _features(self, coarse: torch.Tensor) -> torch.Tensor:
        """All stages merged: (B, features, 3H, 3W)."""
        first = self.enter(coarse)
        x = self.narrow(self.enter_attention(first, first))
        ups, downs = [], []
        for stage in range(UPS):
            up = self.ups[stage](downs[-1] if downs else x)
            if stage >= 2:
                up = up + self.skip_ups[stage - 2](ups[stage - 2])
            ups.append(up)
            if stage == DOWNS:
                break
            guide = self.skip_downs[stage - 2](downs[stage - 2]) if stage >= 2 else (x, *downs)[stage]
            downs.append(self.attentions[stage](guide, self.downs[stage](up)))
        fine = self.smooth_fine(self.merge_fine(torch.cat(ups, dim=1)))
        return fine + self.enlarge_coarse(self.merge_coarse(torch.cat(downs, dim=1)))

    def _bicubic(self, x: torch.Tensor) -> torch.Tensor:
        """Interpolate (B, 1, H, W) to blocks of nine, a = -0.75; the edge is repeated, or columns wrap."""
        if self.edges != "periodic":
            return functional.interpolate(x, scale_factor=FACTOR, mode="bicubic")
        fine = functional.interpolate(surround(x, 0, REACH, self.edges), scale_factor=FACTOR, mode="bicubic")
        return fine[..., FACTOR * REACH : -FACTOR * REACH]

    def _initialise(self, linear_start: bool) -> None:
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(part.weight)
                nn.init.zeros_(part.bias)
        if linear_start:
            self._calm()
            nn.init.zeros_(self.reconstruct.weight)
            nn.init.zeros_(self.closure.weight)

    def _calm(self) -> None:
        """Keep the features' size from stage to stage.

        Every stage adds two or three branches. With the published start each has the size of what went in, and after
        twenty stages features are a thousand times larger than the field: harmless at 1/800 of a concentration, but in
        asinh units one step of Adam then throws the result out of all bounds.
        """
        for part in self.modules():
            if isinstance(part, BackProjection):
                part.weigh_output.conv.weight.data *= BRANCH
                part.correct.conv.weight.data *= BRANCH / 2  # what it corrects has the size of two branches
        for attention in (self.enter_attention, *self.attentions):
            nn.init.zeros_(attention.weigh.weight)
        for skip in (*self.skip_ups, *self.skip_downs):
            skip.conv.weight.data *= BRANCH / 2


def make(settings: dict) -> Abpn:
    """The network before training, as its recipe has it.

    settings : features, recipe.   run : "corrected" gives a network of another recipe our edges, windows and geometry.
    """
    if settings["recipe"] == "corrected":
        module = Abpn(settings["features"])
        set_edges(module, "replicate")
        return module
    module = Abpn(settings["features"], linear_start=False, scaled_attention=False)
    module.recipe, module.transform, module.bfloat16 = settings["recipe"], TRANSFORMS["clipped_800"], False
    if settings.get("run") != "corrected":
        module.manner = PUBLISHED_WINDOWS
    return module


def published_names() -> dict[str, str]:
    """The released code's name of every tensor of `Abpn.state_dict()`."""
    with torch.device("meta"):
        net = Abpn(1)
    parts = {name: part for name, part in net.named_modules() if name}
    return {name: _published_name(name, parts) for name in net.state_dict()}


def from_published(state: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Rename the tensors of a published checkpoint: (weights of `Abpn.state_dict()`, {"features": how many}).

    Every key is accounted for: `UNUSED_PUBLISHED` parts are left out, present or not. Raises DeepcamsError naming the
    keys that are unknown, missing, or of another shape than the rest of the checkpoint asks for.
    """
    names = published_names()
    unknown = [key for key in state if key not in set(names.values()) and key.split(".")[0] not in UNUSED_PUBLISHED]
    missing = [key for key in names.values() if key not in state]
    for keys, fault in ((unknown, "has keys that ABPN has not"), (missing, "lacks keys of ABPN")):
        if keys:
            raise DeepcamsError(f"The checkpoint {fault}: {_listed(keys)}. It is damaged or of another network.")
    features = state["SR_conv3.weight"].shape[1] if state["SR_conv3.weight"].ndim == 4 else 0
    if not features:
        raise DeepcamsError("The checkpoint is not of ABPN: SR_conv3.weight is no kernel of a convolution.")
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in Abpn(features).state_dict().items()}
    wrong = [
        f"{key} is {state[key].shape} instead of {shapes[name]}"
        for name, key in names.items()
        if state[key].shape != shapes[name]
    ]
    if wrong:
        raise DeepcamsError(
            f"The checkpoint is not of ABPN with {features} features, which SR_conv3.weight has: {_listed(wrong)}."
        )
    return {name: state[key] for name, key in names.items()}, {"features": features}


_PUBLISHED_PARTS = {
    "enter": "feat1",
    "enter_attention": "SA0",
    "narrow": "feat2",
    "merge_fine": "SR_conv1",
    "smooth_fine": "SR_conv2",
    "merge_coarse": "LR_conv1",
    "enlarge_coarse": "LR_conv2",
    "reconstruct": "SR_conv3",
    "closure_enter": "final_feat1",
    "closure_attention": "final_SA0",
    "closure": "final_feat2",
    # Numbered from 1 there, from 0 here.
    "ups": "up",
    "downs": "down",
    "attentions": "SA",
    "skip_ups": "weight_up",
    "skip_downs": "weight_down",
    # Within the parts.
    "there": "conv1",
    "back": "conv2",
    "correct": "conv3",
    "weigh_input": "local_weight1",
    "weigh_output": "local_weight2",
    "query": "K",
    "key": "Q",
    "value": "V",
    "weigh": "local_weight",
    "activation": "act",
}


def _published_name(name: str, parts: dict[str, nn.Module]) -> str:
    words = name.split(".")
    translated = [_PUBLISHED_PARTS.get(word, word) for word in words]
    if words[-2] == "conv" and isinstance(parts[".".join(words[:-1])], Deconv2d):
        translated[-2] = "deconv"
    if words[1].isdecimal():
        translated[:2] = [f"{translated[0]}{int(words[1]) + 1}"]
    return ".".join(translated)


def _listed(items: list[str], most: int = 5) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def _in_line(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) as (B, 1, H W, C): one head. In one piece, without which there is no fused kernel."""
    return x.flatten(2).transpose(1, 2).unsqueeze(1).contiguous()


def _conv(features: int) -> Activated:
    return Activated(Conv2d(features, features, SIZE, stride=FACTOR, padding=MARGIN))


def _deconv(features: int) -> Activated:
    return Activated(Deconv2d(features, features, SIZE, stride=FACTOR, padding=MARGIN))


def _pointwise(before: int, after: int) -> Activated:
    return Activated(Conv2d(before, after, 1))
