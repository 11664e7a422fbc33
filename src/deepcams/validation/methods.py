"""Methods of downscaling as lines of a table, the training-free ones among them, and how they are applied."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, refine
from deepcams.inference.closure import close
from deepcams.inference.spatial import SpatialNetwork
from deepcams.inference.temporal import TemporalNetwork
from deepcams.models import optical_flow, spatial_interpolation, temporal_interpolation

STAGES = ("temporal", "spatial", "joint")
ORDERS = ("time_first", "space_first")
WINDOW = 3  # hours between two analyses
FRACTIONS = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class Method:
    """One line of a table: networks for the stage and what is done after.

    closure : "none" (cut off below 0, before and after), "block_mean", or None to leave the fields as they come.
    order : of the joint task. "time_first" interpolates analyses in time at 0.75°, then refines and closes the hours;
    "space_first" refines and closes the analyses, then interpolates in time at 0.25°.
    """

    name: str
    temporal: TemporalNetwork | None = None
    spatial: SpatialNetwork | None = None
    closure: str | None = None
    order: str = "time_first"


def baselines(stage: str) -> list[Method]:
    """What every network must beat, training-free. Raises DeepcamsError for an unknown stage.

    In both, "bicubic+closure+optical_flow" is the strongest that is known to do without learning; space comes first
    there, as names say.
    """
    linear, printed = temporal_interpolation.linear(), temporal_interpolation.linear_as_printed()
    bicubic, flow = spatial_interpolation.bicubic(), optical_flow.optical_flow()
    if stage == "temporal":
        return [
            Method("linear", temporal=linear),
            Method("nearest", temporal=temporal_interpolation.nearest()),
            Method("linear_as_printed", temporal=printed),
            Method("optical_flow", temporal=flow),
        ]
    if stage == "spatial":
        kernels = ("nearest", "bilinear", "bicubic", "lanczos3", "conservative")
        return [
            *(Method(name, spatial=getattr(spatial_interpolation, name)()) for name in kernels),
            Method("bicubic+closure", spatial=bicubic, closure="block_mean"),
        ]
    if stage == "joint":
        return [
            Method("linear+bicubic", linear, bicubic),
            Method("linear+bilinear", linear, spatial_interpolation.bilinear()),
            Method("linear+bicubic+closure", linear, bicubic, "block_mean"),
            Method("linear_as_printed+bicubic", printed, bicubic),
            Method("bicubic+closure+optical_flow", flow, bicubic, "block_mean", order="space_first"),
        ]
    raise unknown(stage)


def unknown(stage: str) -> DeepcamsError:
    """The error for a stage that is none."""
    return DeepcamsError(f"There is no stage {stage!r} to score; choose one of {', '.join(STAGES)}.")


def check_methods(stage: str, methods: list[Method]) -> None:
    """Raise DeepcamsError unless each method has a name of its own, what the stage needs, and an order that is one."""
    needed = {"temporal": ("temporal",), "spatial": ("spatial",), "joint": ("temporal", "spatial")}
    if stage not in needed:
        raise unknown(stage)
    if len({method.name for method in methods}) < len(methods) or not methods:
        raise DeepcamsError("Every method to score needs a name of its own, and at least one is needed.")
    for method in methods:
        for part in needed[stage]:
            if getattr(method, part) is None:
                raise DeepcamsError(f"The method {method.name} has no {part} network, which {stage} downscaling needs.")
        if method.order not in ORDERS:
            raise DeepcamsError(f"The method {method.name} has the order {method.order!r}; give {' or '.join(ORDERS)}.")


class Workings:
    """Estimates of many methods from the same frames: what several of them need is computed once.

    An analysis that was refined for one window is kept for the next, which begins with it.
    """

    def __init__(self, stage: str, grid: Grid):
        """grid : of the frames that are given."""
        self.stage, self.grid = stage, grid
        self._kept: dict[tuple, np.ndarray] = {}

    def start(self, index: int, inputs: list[np.ndarray], time: np.datetime64 | None) -> None:
        """Begin with frames, those of `index` and (but in space) WINDOW later, on `grid`. time : of the first."""
        self._index, self._inputs, self._time = index, inputs, time
        self._kept = {key: value for key, value in self._kept.items() if key[0] == index}

    def estimates(self, method: Method) -> np.ndarray:
        """Fields of a method: (n, H, W), at 0.25° but in time alone."""
        temporal, spatial = method.temporal, method.spatial
        if self.stage == "joint" and method.order == "space_first":
            fine = [self._refined(number, method)[0] for number in range(len(self._inputs))]
            found = temporal.between(*fine, FRACTIONS, refine(self.grid), self._time)
            return found if method.closure is None else np.maximum(found, 0)
        if self.stage == "spatial":
            return self._refined(0, method)
        inner = self._index + 1
        frames = self._once((inner, id(temporal)), lambda: self._between(temporal))
        if self.stage == "temporal":
            return frames
        fine = self._once((inner, id(temporal), id(spatial)), lambda: spatial.refine(frames, self.grid))
        return self._closed(fine, frames, method)

    def _between(self, network: TemporalNetwork) -> np.ndarray:
        return network.between(*self._inputs, FRACTIONS, self.grid, self._time)

    def _refined(self, number: int, method: Method) -> np.ndarray:
        """A given frame, refined and closed: (1, H, W)."""
        index, frame = self._index + number * WINDOW, self._inputs[number][None]
        network = method.spatial
        fine = self._once((index, id(network)), lambda: network.refine(frame, self.grid))
        return self._once((index, id(network), method.closure), lambda: self._closed(fine, frame, method))

    def _closed(self, fine: np.ndarray, coarse: np.ndarray, method: Method) -> np.ndarray:
        return fine if method.closure is None else close(fine, coarse, self.grid, method.closure)

    def _once(self, key: tuple, make: Callable[[], np.ndarray]) -> np.ndarray:
        """What was made under `key`, of which the frame's index is the first part."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]
