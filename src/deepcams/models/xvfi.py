"""The published network for time: a variant of XVFI (Sim et al., 2021) by Xiao et al. (2022), complete.

Displacements between the two frames are found from features of both, first on a coarse level, then refined level by
level; they are reversed to displacements from the wanted field, and refined; both frames are fetched along them
(Eqs. 1–2) and blended, by a mask, their distance in time, and a residual (Eq. 3). The lowest level alone uses the
first flow network; all others share one, and all levels share everything else.

Published settings: 64 features and one level below full resolution (the released code), 32 and five (the text).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from deepcams.errors import DeepcamsError
from deepcams.models.edges import set_edges
from deepcams.models.interpolated import Interpolated
from deepcams.models.manner import Manner
from deepcams.models.sun import CHANNELS
from deepcams.models.transform import TRANSFORMS, Transform
from deepcams.models.warping import backward_warp
from deepcams.models.xvfi_parts import (
    PATCH,
    Features,
    Refinement,
    enlarge,
    flow_refiner,
    hourglass,
    initialise,
    pair_up,
    reduce,
    reverse_flow,
)

HOURGLASS = 4  # the flow networks halve twice
AFFINE = ("none", "clipped_800")  # for these, a blend of transformed values is the transformed blend


@dataclass(frozen=True)
class Look:
    """A frame (B, 1, H, W) and its features, level 0 first: (B, C, H / 4 / 2ˢ, W / 4 / 2ˢ) at level s."""

    frame: torch.Tensor
    maps: tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Encoded:
    """What a level knows of two frames, whatever the time of the wanted field.

    first, last : (B, 1, h, w), the frames.   first_map, last_map : (B, C, h / 4, w / 4), their features.
    context : (B, 3, h, w), the sun, or None.
    flow : (B, 4, h / 4, w / 4), displacement in cells (x, y) from the first to the last frame, then back.
    importance : (B, 2, h / 4, w / 4), 0 … 1, of the cells of the first frame, then of the last, where several meet.
    """

    first: torch.Tensor
    last: torch.Tensor
    context: torch.Tensor | None
    first_map: torch.Tensor
    last_map: torch.Tensor
    flow: torch.Tensor
    importance: torch.Tensor


class Xvfi(nn.Module):
    """The variant of XVFI by Xiao et al. (2022), for one variable.

    `edges` ("zeros" as published, "replicate", "periodic") says what is beyond a frame in every convolution, warp and
    change of size; set it by `deepcams.models.edges.set_edges`, which reaches the convolutions too.
    """

    edges = "zeros"
    halo = 0
    manner = Manner()
    recipe = "corrected"
    bfloat16 = True

    def __init__(
        self,
        features: int = 64,
        levels: int = 1,
        *,
        linear_start: bool = True,
        transform: Transform | None = None,
        context: int = 0,
    ):
        """features : channels, a multiple of 4.   levels : levels below full resolution, 1 or more.

        linear_start : start with no displacement, no residual and an even mask: exactly linear interpolation in
        concentration. False: the published start, all weights random, from which the published network only found
        its way back to linear interpolation.
        transform : of the frames that come in (asinh if None). Warped frames are blended as concentrations. The
        published code blends what comes in, which is the same for an affine transform, and is done for those.
        context : channels that the refinement sees beside the frames: those of `deepcams.models.sun`; published: 0.
        Raises ValueError for other numbers of features or levels.
        """
        super().__init__()
        if features < 4 or features % 4:
            raise ValueError(f"The number of features must be a multiple of 4, not {features}")
        if levels < 1:
            raise ValueError(f"The number of levels below full resolution must be 1 or more, not {levels}")
        self.levels = levels
        self.context = context
        self.transform = TRANSFORMS["asinh"] if transform is None else transform
        self.features = Features(features)
        self.first_flow = nn.Sequential(*hourglass(2 * features, features, 6))
        self.pair = pair_up(features)
        self.next_flow = nn.Sequential(*hourglass(2 * features + 4, features, 6))
        self.reversed_flow = flow_refiner(4 * features + 4, features)
        self.refinement = Refinement(features, context)
        initialise(self, published_3d=self.features)
        if linear_start:
            for last in (self.first_flow[-1], self.next_flow[-1], self.reversed_flow[-1], self.refinement.dec3):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    @property
    def stride(self) -> int:
        """What the numbers of rows and columns must be multiples of; rolling by it rolls the output alike."""
        return 2**self.levels * PATCH * HOURGLASS

    def forward(
        self, first: torch.Tensor, last: torch.Tensor, fraction: torch.Tensor, context: torch.Tensor | None = None
    ) -> Interpolated:
        """The field between two frames.

        first, last : (B, 1, H, W), transformed units; H and W multiples of `stride`.   fraction : (B,), 0 … 1.
        context : (B, channels, H, W), if the network takes it.
        In training mode `fields` and `flows` are of all levels, in evaluation of full resolution alone.
        Raises ValueError for other shapes.
        """
        return self.synthesise(self.encode(first, last, context), fraction)

    def encode(self, first: torch.Tensor, last: torch.Tensor, context: torch.Tensor | None = None) -> list[Encoded]:
        """`relate` of two frames, their features found together. first, last, context : as in `forward`."""
        self._check(first, last, context)
        maps = [both.chunk(2) for both in self.features(torch.cat([first, last]), self.levels)]
        looks = (Look(frame, parts) for frame, parts in zip((first, last), zip(*maps, strict=True), strict=True))
        return self.relate(*looks, context)

    def look(self, frame: torch.Tensor) -> Look:
        """What `relate` needs of a frame (B, 1, H, W): for the interval that it ends, and the one that it begins."""
        return Look(frame, tuple(self.features(frame, self.levels)))

    def relate(self, first: Look, last: Look, context: torch.Tensor | None = None) -> list[Encoded]:
        """All that does not depend on the time of the wanted field, for any number of calls of `synthesise`.

        context : as in `forward`. Returns full resolution first; in evaluation, full resolution alone.
        """
        self._check(first.frame, last.frame, context)
        encoded: list[Encoded] = []
        flow = None
        for level in reversed(range(self.levels + 1)):
            first_map, last_map = first.maps[level], last.maps[level]
            # Displacements and importances keep the frames' precision where the convolutions have less.
            flow, importance = self._match(first_map, last_map, flow, first.frame.dtype)
            if level == 0 or self.training:
                frames = reduce(first.frame, level, self.edges), reduce(last.frame, level, self.edges)
                seen = None if context is None else functional.avg_pool2d(context, 2**level)
                encoded.insert(0, Encoded(*frames, seen, first_map, last_map, flow, importance))
        return encoded

    def synthesise(self, encoded: list[Encoded], fraction: torch.Tensor) -> Interpolated:
        """The field at one time between two encoded frames. fraction : (B,), 0 … 1."""
        batch = len(encoded[0].first)
        if fraction.shape != (batch,):
            raise ValueError(f"Expected one fraction for each of {batch} pairs but got shape {tuple(fraction.shape)}")
        t = fraction.reshape(-1, 1, 1, 1).to(encoded[0].first.dtype)
        fields, flows, masks, residuals = zip(*(self._blend(level, t) for level in encoded), strict=True)
        return Interpolated(list(fields), list(flows), masks[0], residuals[0])

    def _match(
        self, first: torch.Tensor, last: torch.Tensor, lower: torch.Tensor | None, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Displacements and importances between two maps; `lower` are the displacements of the level below, if any."""
        if lower is None:
            found = self.first_flow(torch.cat([first, last], dim=1)).to(dtype)
            flow = found[:, :4]
        else:
            # Each level learns by the loss of its own field, as published, not by that of finer ones.
            lower = 2 * enlarge(lower.detach(), 2, self.edges)
            from_last = backward_warp(last, lower[:, :2], self.edges)
            from_first = backward_warp(first, lower[:, 2:], self.edges)
            onward = self.pair(torch.cat([first, from_last], dim=1))
            back = self.pair(torch.cat([last, from_first], dim=1))
            found = self.next_flow(torch.cat([onward, back, lower], dim=1)).to(dtype)
            flow = found[:, :4] + lower
        return flow, torch.sigmoid(found[:, 4:])

    def _blend(self, level: Encoded, t: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Field, displacements from it, mask and residual of a level at time t (B, 1, 1, 1)."""
        edges = self.edges
        first, last = level.first_map, level.last_map
        flow = reverse_flow(level.flow, level.importance, t, edges)
        moved = [backward_warp(first, flow[:, :2], edges), backward_warp(last, flow[:, 2:], edges)]
        flow = flow + self.reversed_flow(torch.cat([first, *moved, last, flow], dim=1))
        moved = [backward_warp(first, flow[:, :2], edges), backward_warp(last, flow[:, 2:], edges)]

        wide = PATCH * enlarge(flow, PATCH, edges)
        frames = [backward_warp(level.first, wide[:, :2], edges), backward_warp(level.last, wide[:, 2:], edges)]
        seen = [level.first, level.last, *frames] + ([] if level.context is None else [level.context])
        refined = self.refinement([first, last, *moved], seen, wide).to(t.dtype)
        logit, residual = refined.split(1, dim=1)
        # Eq. 3's quotient (1-t) m / ((1-t) m + t (1-m)) is one logistic function, which is never 0 / 0.
        share = torch.sigmoid(logit + torch.logit(1 - t))
        if self.transform.name in AFFINE:
            field = share * frames[0] + (1 - share) * frames[1]
        else:
            near, far = map(self.transform.inverse, frames)
            field = self.transform.forward(share * near + (1 - share) * far)
        return field + residual, flow, torch.sigmoid(logit), residual

    def _check(self, first: torch.Tensor, last: torch.Tensor, context: torch.Tensor | None) -> None:
        if first.shape != last.shape:
            raise ValueError(f"The first frame's shape {tuple(first.shape)} is not the last's {tuple(last.shape)}")
        if first.ndim != 4 or first.shape[1] != 1:
            raise ValueError(f"Expected frames of shape (B, 1, H, W) but got {tuple(first.shape)}")
        if any(size % self.stride or not size for size in first.shape[2:]):
            rows, columns = first.shape[2:]
            raise ValueError(f"Frames of {rows}×{columns} do not divide by {self.stride} on both sides")
        wanted = (len(first), self.context, *first.shape[2:]) if self.context else None
        found = None if context is None else tuple(context.shape)
        if found != wanted:
            raise ValueError(f"Expected context of shape {wanted} but got {found}")


def make(settings: dict) -> Xvfi:
    """The network before training, as its recipe has it.

    settings : features, levels, recipe.   run : "corrected" gives a network of another recipe our edges.
    """
    recipe = settings["recipe"]
    if recipe == "corrected":
        module = Xvfi(settings["features"], settings["levels"], context=CHANNELS)
        set_edges(module, "replicate")  # of patches; frames of the globe are run with "periodic"
        return module
    module = Xvfi(settings["features"], settings["levels"], linear_start=False, transform=TRANSFORMS["clipped_800"])
    module.recipe, module.bfloat16 = recipe, False
    if settings.get("run") != "corrected":
        module.manner = Manner(zero_edges=True)
    return module


# Our parts, and the published ones they are.
_PARTS = {
    "features.lift": "channel_converter.0",
    "features.halve": "rec_ext_ds",
    "features.mix": "rec_ext_ds_module.5",
    "features.block.first.0": "rec_ext_ds_module.6.resblock1.conv3x3_1",
    "features.block.first.2": "rec_ext_ds_module.6.resblock1.conv3x3_2",
    "features.block.second.0": "rec_ext_ds_module.6.resblock2.conv3x3_1",
    "features.block.second.2": "rec_ext_ds_module.6.resblock2.conv3x3_2",
    "features.coarsen": "rec_ctx_ds",
    **{f"first_flow.{number}": f"vfinet.conv_flow_bottom.{number}" for number in (0, 2, 5, 8, 10)},
    "pair": "vfinet.conv_flow1",
    **{f"next_flow.{number}": f"vfinet.conv_flow2.{number}" for number in (0, 2, 5, 8, 10)},
    **{f"reversed_flow.{number}": f"vfinet.conv_flow3.{number}" for number in (0, 2, 4, 7, 10, 12)},
    **{
        f"refinement.{name}": f"vfinet.refine_unet.{name}"
        for name in ("enc1", "enc2", "enc3", "dec0", "dec1", "dec2", "dec3")
    },
}
_TENSORS = ("weight", "bias")
UNUSED_PUBLISHED = tuple(f"vfinet.refine_unet.{name}.{tensor}" for name in ("conv1", "conv2") for tensor in _TENSORS)
# Modules that a published network holds under a second name: the same tensors again.
_COPIES = {
    f"rec_ext_ds_module.{copy}.{tensor}": f"{original}.{tensor}"
    for copy, original in (("0.0", "channel_converter.0"), ("1", "rec_ext_ds"), ("3", "rec_ext_ds"))
    for tensor in _TENSORS
}


def published_names(levels: int) -> dict[str, str]:
    """The name in a published state dict of each of our tensors.

    The levels share their weights, so that the names are the same for any number of them, 1 or more.
    Raises ValueError for another number.
    """
    if levels < 1:
        raise ValueError(f"The number of levels below full resolution must be 1 or more, not {levels}")
    return {f"{ours}.{tensor}": f"{theirs}.{tensor}" for ours, theirs in _PARTS.items() for tensor in _TENSORS}


def from_published(state: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Weights of the published network under our names, and the settings they show.

    state : a published state dict: tensors by name. The 1×3×3 kernels of the features lose their first axis; tensors
    that it holds twice, or holds but never uses, are checked and left out.
    Returns the tensors of `Xvfi.state_dict()` and {"features": C}. The number of levels is not in the weights, and may
    be any; the published networks had one. Raises DeepcamsError, with the tensor's name, for one that is missing,
    unknown, of another shape, or unlike its copy.
    """
    names = published_names(levels=1)
    known = {*names.values(), *_COPIES, *UNUSED_PUBLISHED}
    for name in state:
        if name not in known:
            raise DeepcamsError(
                f"There is no tensor {name} in the published temporal network; is this one of its files?"
            )
    for name in sorted(known):
        if name not in state:
            raise DeepcamsError(f"The published temporal network lacks the tensor {name}; the file is incomplete.")
    features = _number_of_features(state)
    shapes = _published_shapes(features)
    for name, shape in shapes.items():
        if state[name].shape != shape:
            raise DeepcamsError(
                f"The tensor {name} has shape {state[name].shape}, not {shape} as in a published temporal network of "
                f"{features} features; the file is not one of its files."
            )
    for copy, original in _COPIES.items():
        if not np.array_equal(state[copy], state[original], equal_nan=True):
            raise DeepcamsError(f"The tensors {copy} and {original} must be the same, but differ; the file is damaged.")
    weights = {ours: np.asarray(state[theirs]) for ours, theirs in names.items()}
    return {ours: x[:, :, 0] if x.ndim == 5 else x for ours, x in weights.items()}, {"features": features}


def _number_of_features(state: Mapping[str, np.ndarray]) -> int:
    """As one tensor shows it. Raises DeepcamsError if none of our networks has that number."""
    name = "channel_converter.0.bias"
    shape = state[name].shape
    if len(shape) != 1 or not shape[0] or shape[0] % 4:
        raise DeepcamsError(f"The tensor {name} has shape {shape}; it must be one axis whose length divides by 4.")
    return shape[0]


def _published_shapes(features: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        ours = {name: tuple(x.shape) for name, x in Xvfi(features).state_dict().items()}
    shapes = {}
    for name, published in published_names(levels=1).items():
        shape = ours[name]
        is_3d = name.startswith("features.") and len(shape) == 4
        shapes[published] = (*shape[:2], 1, *shape[2:]) if is_3d else shape
    shapes |= {copy: shapes[original] for copy, original in _COPIES.items()}
    return shapes | {n: (features,) if n.endswith("bias") else (features, features, 3, 3) for n in UNUSED_PUBLISHED}
