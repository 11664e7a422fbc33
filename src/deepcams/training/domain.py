"""The domain of training: what else an analysis could have made of a fine field.

A network that was taught under one degradation is worse than bicubic interpolation under another (METHODS 5), and what
CAMS's own is like is disputed: by one measurement a mean over boxes, by another values at points. Besides, CAMS is
packed (0.37 to 0.52 ug m-3 a step), a tenth of its values are zero for that, and it has larger amplitudes. So every
example of the domain "mixed" is degraded in a way of its own; "single" leaves fields as they are on disk.
"""

from dataclasses import dataclass, field

import numpy as np

from deepcams.degrade.operators import degrade, margin
from deepcams.grid.nodes import FACTOR, Grid

# Shares of the examples. Point values have a good part, because what is right for means is furthest off there.
OPERATORS = {"block_mean": 0.4, "imresize": 0.15, "gaussian": 0.15, "point": 0.3}
SIGMA = (0.6, 1.4)  # fine cells
AMPLITUDE = 1.5  # a factor between this and its inverse, log-uniform
FLOOR = 0.25  # share of the examples that lose part of their own low level, and are packed
QUANTILE = 0.2  # the low level
PACKING = (0.37, 0.52)  # ug m-3, the step of CAMS's files
# Coarse nodes around a patch from which all operators can be made.
MARGIN = max(margin("imresize"), margin("gaussian", sigma=SIGMA[1]))


@dataclass(frozen=True)
class Domain:
    """How the fields of one example are changed.

    operator, parameters : degradation.   amplitude : factor.   floor : share of the low level that is taken away.
    packing : step to which the input is rounded, ug m-3; 0: it is not.
    """

    operator: str
    parameters: dict[str, float] = field(default_factory=dict)
    amplitude: float = 1.0
    floor: float = 0.0
    packing: float = 0.0


def draw_domain(random: np.random.Generator) -> Domain:
    """The domain of one example."""
    operator = str(random.choice(list(OPERATORS), p=list(OPERATORS.values())))
    parameters = {"sigma": random.uniform(*SIGMA)} if operator == "gaussian" else {}
    amplitude = AMPLITUDE ** random.uniform(-1, 1)
    if random.random() >= FLOOR:
        return Domain(operator, parameters, amplitude)
    return Domain(operator, parameters, amplitude, floor=random.random(), packing=random.uniform(*PACKING))


def changed(fields: np.ndarray, domain: Domain) -> np.ndarray:
    """Fine fields (…, H, W), ug m-3, without NaN, with the domain's amplitude, near zero where its floor says so.

    The low level is the fields' own: the 20 % quantile of all values at the coarse nodes, from their first on.
    """
    fields = fields * domain.amplitude
    if not domain.floor:
        return fields
    values = fields[..., ::FACTOR, ::FACTOR].ravel()
    low = np.partition(values, int(QUANTILE * len(values)))[int(QUANTILE * len(values))]
    return np.maximum(fields - domain.floor * max(low, 0), 0)


def degraded(fine: np.ndarray, grid: Grid, domain: Domain) -> np.ndarray:
    """Fine fields (…, Hf, Wf) on `grid` under the domain's operator, without the outer `MARGIN` coarse nodes."""
    return degrade(fine, grid, domain.operator, **domain.parameters)[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def packed(coarse: np.ndarray, domain: Domain) -> np.ndarray:
    """A network's input as it comes out of CAMS's files: a multiple of the domain's step, none below zero."""
    return np.maximum(np.rint(coarse / domain.packing), 0) * domain.packing if domain.packing else coarse
