"""Fields between two frames along the motion that carries one into the other, without learning.

The motion is OpenCV's dense inverse search (Kroeger et al. 2016, ECCV), found from either frame to the other on
asinh-scaled grey levels down to single nodes. Both frames are moved to the instant, by splines, and blended by time.
Over three hours it leaves, of linear interpolation's RMSE and MAE, 49 and 44 % in the western half of GEOS-CF at 0.25°,
66 and 65 % there at 0.75°, and 89 and 78 % in GEOS-Chem over Europe (0.5° × 0.625°, winter). Of the first, 55 and 48 %
are left if motion is found at half of the nodes' resolution, as OpenCV's presets do, 62 and 57 % if frames are moved by
bilinear interpolation, and 57 and 48 % if each is moved by its own motion instead of the mean of both.
A global interval takes 2 s of one core at 0.25° and 0.3 s at 0.75°.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from deepcams.grid.fill import filled
from deepcams.grid.nodes import Grid
from deepcams.grid.pad import level_poles, pad

AROUND = 64  # nodes by which a frame is continued; coarse levels of the search look far
LEVELS_PER_UNIT = 28.0  # grey levels: of asinh(ug m-3); 255 are reached at 4,500 ug m-3
# Of the displacement that is found. Errors in it are noise, so the best guess is shorter: 1 leaves 54 % of the RMSE in
# the western half and 90 % over Europe where this leaves 49 and 89 %.
SHARE = 0.8


@dataclass(frozen=True)
class OpticalFlow:
    """A network for time as `deepcams.inference.temporal` wants it."""

    precision = "float32"
    halo: int = 12

    def between(
        self,
        first: np.ndarray,
        last: np.ndarray,
        fractions: tuple[float, ...],
        grid: Grid,
        time: np.datetime64 | None = None,
    ) -> np.ndarray:
        """Fields between two frames.

        first, last : (H, W), ug m-3, on `grid`, 0.25° or 0.75°.   time : no matter here.
        Returns (len(fractions), H, W) float32, ug m-3, within the frames' range; at fractions 0 and 1 the frames
        themselves. Between them a pole's row is constant where the grid is the full circle. NaN in either frame gives
        NaN there; for the neighbours' sake the nearest valid value stands in.
        """
        missing = ~np.isfinite(first + last)
        wide = [_continued(filled(frame, grid), grid) for frame in (first, last)]
        there, back = _motion(*wide)
        splines = [spline_filter(frame, output=np.float32, mode="nearest") for frame in wide]
        limits = min(frame.min() for frame in wide), max(frame.max() for frame in wide)
        height, width = grid.shape
        inside = slice(AROUND, AROUND + height), slice(AROUND, AROUND + width)
        nodes = np.mgrid[inside].astype(np.float32)
        fields = np.empty((len(fractions), height, width), dtype=np.float32)
        for field, fraction in zip(fields, fractions, strict=True):
            if fraction in (0, 1):
                field[...] = last if fraction else first
                continue
            way = ((1 - fraction) * there - fraction * back)[:, *inside]  # of three hours, seen from this instant
            moved = [
                map_coordinates(spline, nodes + share * way, output=np.float32, mode="nearest", prefilter=False)
                for spline, share in zip(splines, (-fraction, 1 - fraction), strict=True)
            ]
            field[...] = level_poles(np.clip((1 - fraction) * moved[0] + fraction * moved[1], *limits), grid)
        fields[:, missing] = np.nan
        return fields


def optical_flow() -> OpticalFlow:
    """Along the motion between the frames."""
    return OpticalFlow()


def _motion(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where what is in the first frame goes, and where what is in the last came from: (2, H, W), rows and columns."""
    import cv2  # nothing but this method needs it

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    before, after = _grey(first), _grey(last)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # else it takes all cores, whatever the job was given
    try:
        found = search.calc(before, after, None), search.calc(after, before, None)
    finally:
        cv2.setNumThreads(threads)
    return tuple(SHARE * np.moveaxis(flow, -1, 0)[::-1] for flow in found)


def _grey(frame: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(LEVELS_PER_UNIT * np.arcsinh(frame)), 0, 255).astype(np.uint8)


def _continued(frame: np.ndarray, grid: Grid) -> np.ndarray:
    """Round the globe and over the poles as far as there are nodes, and the edge repeated beyond."""
    near = [min(AROUND, grid.shape[0] - 1), min(AROUND, grid.shape[1])]
    return np.pad(pad(frame, grid, tuple(near)), [(AROUND - size,) * 2 for size in near], mode="edge")
