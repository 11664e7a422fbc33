"""Run a network on whole frames: transform, edges, windows, device, and back to concentrations on the nodes.

Frames are continued round the globe and over the poles (`deepcams.grid.pad`) before a network sees them. A network that
is told by its `manner` to do as the published code did sees zeros there instead.
"""

import threading
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from deepcams.calendar import HALF_HOUR
from deepcams.grid.blocks import spread
from deepcams.grid.fill import filled
from deepcams.grid.nodes import FACTOR, Grid, refine
from deepcams.grid.pad import level_poles, pad
from deepcams.models.compiled import compiled
from deepcams.models.edges import set_edges
from deepcams.models.precision import device, numbers, precise
from deepcams.models.sun import sun
from deepcams.models.windows import windows

HALF_INTERVAL = 3 * HALF_HOUR
REACH = 6  # coarse nodes around a box that networks without a halo of their own are given; they could use more


class _Kept(NamedTuple):
    """The last frame that a thread has looked at, and what its network saw."""

    frame: np.ndarray
    grid: Grid
    look: object


class TemporalFrames:
    """A network for time as `deepcams.inference.temporal` wants it.

    What it sees in the last frame of an interval is kept for the next one, which begins with it; every thread keeps its
    own, so that threads can work on stretches of intervals side by side.
    """

    def __init__(self, module: nn.Module, precision: str = "float32"):
        self.place = device()
        self.module = module.eval().to(self.place, memory_format=torch.channels_last)
        self.halo = module.halo or REACH
        self.precision = precise(precision, module)
        self._kept = threading.local()

    def between(
        self, first: np.ndarray, last: np.ndarray, fractions: tuple[float, ...], grid: Grid, time: np.datetime64
    ) -> np.ndarray:
        """Fields between two frames.

        first, last : (H, W), ug m-3, on `grid`, at `time` and 3 hours later. Returns (len(fractions), H, W) float32, ug
        m-3; at fractions 0 and 1 the frames themselves. A pole is one point: between the frames its row is constant.
        NaN in either frame gives NaN there; for the neighbours' sake the nearest valid value stands in.
        """
        module, place, missing = self.module, self.place, ~np.isfinite(first + last)
        view, edges = _view(module, grid)
        context = (
            _tensor(view(sun(time + HALF_INTERVAL, grid.latitude, grid.longitude)), place, channels=True)
            if module.context
            else None
        )
        set_edges(module, edges)
        fields = np.empty((len(fractions), *grid.shape), dtype=np.float32)
        floor = np.fmin(np.fmin(first, last), 0)  # nothing below zero but what the packing of CAMS put there
        with torch.inference_mode(), numbers(self.precision, place):
            looks = [self._look(frame, view, grid) for frame in (first, last)]
            state = module.relate(*looks, context)
            for field, fraction in zip(fields, fractions, strict=True):
                if fraction in (0, 1):
                    field[...] = last if fraction else first
                    continue
                found = module.synthesise(state, torch.tensor([fraction], dtype=torch.float32, device=place))
                field[...] = view.back(module.transform.inverse(found.fields[0]).cpu().numpy()[0, 0])
                if module.recipe == "corrected":
                    np.maximum(field, floor, out=field)
                level_poles(field, grid)
        fields[:, missing] = np.nan
        return fields

    def _look(self, frame: np.ndarray, view: "_View", grid: Grid) -> object:
        kept = getattr(self._kept, "last", None)
        if kept is not None and kept.grid is grid and np.array_equal(kept.frame, frame, equal_nan=True):
            return kept.look
        module = self.module
        look = module.look(module.transform.forward(_tensor(view(filled(frame, grid)), self.place)))
        self._kept.last = _Kept(np.array(frame), grid, look)
        return look


class SpatialFrames:
    """A network for space as `deepcams.inference.spatial` wants it."""

    def __init__(self, module: nn.Module, precision: str = "float32"):
        self.place = device()
        self.module = module.eval().to(self.place, memory_format=torch.channels_last)
        self.halo = module.halo or REACH
        self.context = max(self.halo, module.manner.window // 2)  # beyond, no window around the rim of a region looks
        self.precision = precise(precision, module)
        # Attention over a window keeps every core busy by itself, and takes much memory.
        self.concurrent = not module.manner.window
        self._run = self.module

    def compile(self) -> None:
        """Prepare for a long run of frames: a network in windows is compiled for bfloat16, if this machine can.

        That takes most of a minute and makes ABPN twice as fast. In float32, and for networks that see whole frames, it
        is not worth its while.
        """
        if self.module.manner.window and self.precision == "bfloat16":
            self._run = compiled(self.module)

    def refine(self, frames: np.ndarray, grid: Grid) -> np.ndarray:
        """Refine frames (B, H, W), ug m-3, on `grid`: (B, 3(H-1)+1, 3W or 3(W-1)+1) float32, ug m-3.

        A missing value makes its block of fine nodes missing (`deepcams.grid.blocks`); for the neighbours' sake the
        nearest valid one stands in.
        """
        module, missing = self.module, ~np.isfinite(frames)
        whole = np.stack([filled(frame, grid) for frame in frames]) if missing.any() else frames
        with torch.inference_mode(), numbers(self.precision, self.place):
            blocks = self._in_windows(whole, grid) if module.manner.window else self._whole(whole, grid)
        fine = _squeezed(blocks, grid) if module.manner.squeezed else to_nodes(blocks, grid)
        if missing.any():
            fine[spread(missing, grid)] = np.nan
        return fine

    def _whole(self, frames: np.ndarray, grid: Grid) -> np.ndarray:
        return self._refine(_continued(frames, grid, self.module.halo))

    def _in_windows(self, frames: np.ndarray, grid: Grid) -> np.ndarray:
        """Windows of the frame, continued by the overlap, joined by their weights: (B, 3H, 3W)."""
        manner = self.module.manner
        set_edges(self.module, "zeros" if manner.zero_edges else "replicate")
        wraps = grid.is_periodic and not manner.zero_edges
        margins = [0 if manner.zero_edges else manner.overlap, 0 if wraps or manner.zero_edges else manner.overlap]
        wide = _continued(frames, grid, *margins)
        rows = windows(wide.shape[1], manner.window, manner.overlap, tapered=manner.tapered)
        columns = windows(wide.shape[2], manner.window, manner.overlap, wraps=wraps, tapered=manner.tapered)
        total = np.zeros((len(frames), *(FACTOR * size for size in wide.shape[1:])), dtype=np.float32)
        for row, column in product(rows, columns):
            part = self._refine(wide[:, row.coarse[:, None], column.coarse])
            total[:, row.fine[:, None], column.fine] += np.outer(row.weight, column.weight).astype(np.float32) * part
        top, left = (FACTOR * margin for margin in margins)
        height, width = (FACTOR * size for size in frames.shape[1:])
        return total[:, top : top + height, left : left + width]

    def _refine(self, coarse: np.ndarray) -> np.ndarray:
        transform = self.module.transform
        fine = self._run(transform.forward(_tensor(coarse[:, None], self.place, channels=True)))
        return transform.inverse(fine)[:, 0].cpu().numpy()


class _View:
    """A frame as a network wants it: continued beyond its edges, and cut out again."""

    def __init__(self, grid: Grid, sides: tuple[int, int, int, int], *, zeros: bool = False):
        self.grid, self.sides, self.zeros = grid, sides, zeros

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Continue (…, H, W) by the sides: north, south, west, east."""
        north, south, west, east = self.sides
        if self.zeros:
            return np.pad(frames, (*((0, 0),) * (frames.ndim - 2), (north, south), (west, east)))
        rows, columns = max(north, south), max(west, east)
        wide = _continued(frames, self.grid, rows, columns)
        height, width = self.grid.shape
        return wide[..., rows - north : rows + height + south, columns - west : columns + width + east]

    def back(self, frame: np.ndarray) -> np.ndarray:
        """The frame without its continuation; what the network has lost of it is no more there to cut off."""
        height, width = self.grid.shape
        lost = (self.sides[0] + self.sides[1] + height - frame.shape[-2]) // 2
        top, left = self.sides[0] - lost, self.sides[2] - lost
        return frame[..., top : top + height, left : left + width]


def _view(module: nn.Module, grid: Grid) -> tuple[_View, str]:
    """How a temporal network sees frames on `grid`, and the edges that its convolutions are to see."""
    if module.stride == 1:
        return _View(grid, (module.halo,) * 4), "replicate"
    height, width = grid.shape
    if module.manner.zero_edges:
        sides = (0, -height % module.stride, 0, -width % module.stride)
        return _View(grid, sides, zeros=True), "zeros"
    top = round((90 - grid.latitude[0]) / grid.step)
    left = round((grid.longitude[0] + 180) / grid.step)
    rows = _beyond(height, module.stride, top)
    wraps = grid.is_periodic and width % module.stride == 0
    columns = (0, 0) if wraps else _beyond(width, module.stride, left)
    return _View(grid, (*rows, *columns)), "periodic" if wraps else "replicate"


def _beyond(size: int, stride: int, place: int) -> tuple[int, int]:
    """Nodes to add before and after to reach a multiple of `stride`, at least a quarter of it on each side.

    place : index on the globe of the first node. All canvases begin at multiples of `stride`, so that a box is seen in
    the same phase as the globe.
    """
    least = stride // 4
    before = least + (place - least) % stride
    return before, least + -(before + size + least) % stride


def _continued(frames: np.ndarray, grid: Grid, rows: int, columns: int | None = None) -> np.ndarray:
    """`pad` as far as it goes on a small grid, and the edge repeated beyond."""
    columns = rows if columns is None else columns
    height, width = grid.shape
    near = min(rows, height - 1), min(columns, width)
    wide = pad(frames, grid, near)
    if near == (rows, columns):
        return wide
    far = [(rows - near[0],) * 2, (columns - near[1],) * 2]
    return np.pad(wide, [*((0, 0),) * (frames.ndim - 2), *far], mode="edge")


def to_nodes(blocks: np.ndarray, grid: Grid) -> np.ndarray:
    """Lay out 3×3 blocks centred on the coarse nodes as fine nodes: (B, 3H, 3W) → (B, 3(H-1)+1, 3W or 3(W-1)+1).

    The first and the last row lie beyond the grid and are dropped; on a circle columns are rolled by one to the west. A
    pole is one point: its row becomes constant.
    """
    fine = blocks[:, 1:-1]
    fine = np.roll(fine, -1, axis=2) if grid.is_periodic else fine[:, :, 1:-1]
    return level_poles(np.ascontiguousarray(fine), refine(grid))


def _squeezed(blocks: np.ndarray, grid: Grid) -> np.ndarray:
    """Blocks laid out as in the published product: 0.25° too far east, and squeezed from 723 rows to 720 on the globe.

    Published files have 720 rows, read as 90 … -89.75; the pole that they lack repeats the last. In a box, which the
    published code does not know, only the displacement by one node to the south and east is reproduced.
    """
    rows, columns = refine(grid).shape
    if not grid.is_global:
        return np.ascontiguousarray(blocks[:, :rows, :columns])
    squeezed = nn.functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(blocks))[:, None], size=(rows - 1, columns), mode="bicubic"
    )[:, 0].numpy()
    return level_poles(np.concatenate([squeezed, squeezed[:, -1:]], axis=1), refine(grid))


def _tensor(array: np.ndarray, place: torch.device, *, channels: bool = False) -> torch.Tensor:
    """(H, W) → (1, 1, H, W), or as it is with a batch or channels in front: (C, H, W) → (1, C, H, W)."""
    tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    while tensor.ndim < 4:
        tensor = tensor[None]
    if place.type == "cuda":  # pinned, the copy runs beside what other threads compute on their streams
        return tensor.pin_memory().to(place, non_blocking=True)
    return tensor
