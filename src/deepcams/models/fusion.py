"""The network that estimates a whole field from scattered observations: Eqs. 4 and 5 of Lyu et al. (2022).

ŷ = UNet++(PC(concentration), PC(humidity), PC(wind), static fields); every variable has PointConv kernels of its own.

recipe  published   what the paper says: concentrations over 50 ug m-3, the estimates alone as input, ReLU at the end
        corrected   in asinh space; UNet++ also sees how much observation is behind each estimate and where there is
                    none, and what it gives is added to the first estimate, which is where the untaught network starts
background  none        the field comes from the observations alone
            climatology the observations' differences from the model's mean of the season are spread, and added to it
            product     the same with the downscaled reanalysis (innovations). The network learns it with errors that
                        are made up, because no station is used in training

With a background the observations' share falls to exactly nothing where the last station is out of reach, 15 nodes
away; there the field is the background.
"""

import torch
from torch import nn
from torch.nn import functional

from deepcams.models.layers import zero_start
from deepcams.models.pointconv import READINGS, TINY, PointConv, spread
from deepcams.models.transform import TRANSFORMS
from deepcams.models.unetpp import UNetPlusPlus

RECIPES = ("corrected", "published")
BACKGROUNDS = ("none", "climatology", "product")
# What the network sees of an observed variable beside the pollutant: its values over these.
SCALES = {"relative_humidity": 1.0, "wind_speed": 5.0}
LEVELS = 5
REACH, STRENGTH = PointConv.reach, 20.0  # of the stations' share


def make(settings: dict) -> "Fusion":
    """From settings variables, static, features, recipe, background and reading. Raises KeyError and ValueError."""
    return Fusion(
        tuple(settings["variables"]),
        tuple(settings["static"]),
        settings["features"],
        settings["recipe"],
        settings["background"],
        settings["reading"],
    )


class Fusion(nn.Module):
    """PointConv and UNet++; 2.3 million parameters with 16 features and five levels."""

    bfloat16 = False

    def __init__(
        self,
        variables: tuple[str, ...],
        static: tuple[str, ...],
        features: int,
        recipe: str,
        background: str,
        reading: str,
    ):
        """variables : observed beside the pollutant.   static : the names of fields beside them.
        features : of the first level, doubled on each of the four others.

        Raises ValueError for words that are not known, and for a background in the published recipe.
        """
        super().__init__()
        for word, known in (
            (recipe, RECIPES),
            (background, BACKGROUNDS),
            (reading, READINGS),
            *((v, SCALES) for v in variables),
        ):
            if word not in known:
                raise ValueError(f"{word!r} is none of {', '.join(known)}")
        if recipe == "published" and background != "none":
            raise ValueError("the published recipe knows no background")
        self.recipe, self.background, self.reading = recipe, background, reading
        self.variables, self.static = tuple(variables), tuple(static)
        self.transform = TRANSFORMS["asinh" if recipe == "corrected" else "over_50"]
        self.points = PointConv(1 + len(variables), reading)
        corrected = recipe == "corrected"
        channels = (1 + len(variables)) * (3 if corrected else 1) + len(static) + (background != "none")
        self.field = UNetPlusPlus(channels, [features * 2**level for level in range(LEVELS)], normalised=not corrected)
        if corrected:
            zero_start(self.field.head)

    @property
    def halo(self) -> int:
        """Nodes from which an estimate draws, rounded up to what keeps the poolings where they are."""
        reach, multiple = self.field.reach + self.points.reach, self.field.multiple
        return -(-reach // multiple) * multiple

    def forward(
        self, values: torch.Tensor, valid: torch.Tensor, static: torch.Tensor, background: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Estimate the field: (B, 1, H, W), transformed, not below zero.

        values : (B, V, H, W), the pollutant first, transformed, the others over their scales; anything where not
        valid.   valid : (B, V, H, W), 0 or 1.   static : (B, S, H, W).   background : (B, 1, H, W), transformed, if
        the network has one.
        """
        if background is not None:
            values = torch.cat([values[:, :1] - background, values[:, 1:]], dim=1)
        estimate, weight, support = self.points(values, valid)
        if self.recipe == "published":
            return functional.relu(self.field(torch.cat([estimate, static], dim=1)))
        seen = [estimate, torch.log1p(weight.clamp_min(0)), support, static]
        seen += [] if background is None else [background]
        found = estimate[:, :1] + self.field(torch.cat(seen, dim=1)).float()
        if background is not None:
            found = background + within_reach(valid[:, :1]) * found
        return functional.relu(found)


def within_reach(valid: torch.Tensor) -> torch.Tensor:
    """The stations' share of a field: 1 among them, 0 from 15 nodes on; (B, 1, H, W) as given.

    1 - exp(-Σ k) over the stations, with k = 20 (1 - (d/15)²)² of their distances d in nodes: round, without a step.
    valid : 0 or 1, where stations are.
    """
    away = (torch.arange(2 * REACH + 1, device=valid.device) - REACH) ** 2
    bump = STRENGTH * (1 - (away[:, None] + away) / REACH**2).clamp_min(0) ** 2
    near = spread(valid, bump[None, None])
    return torch.where(near > TINY, -torch.expm1(-near), torch.zeros_like(near))
