"""What bfloat16 changes, beside what the product's rounding changes: the table of docs/networks.md.

    python docs/study_precision.py CAMS.nc [MODEL.safetensors ...]

Of the pretrained pair, and of further model files: in time between the second and the third analysis of the file, in
space of the second; where a frame takes long, of the box of 60° × 78° around its largest value.
"""

import sys

import numpy as np

from deepcams.files.rounding import round_mantissa
from deepcams.grid.nodes import Grid, Region, coarse_grid, from_axes, locate
from deepcams.inference.spatial import refine_frames
from deepcams.models import pretrained
from deepcams.models.checkpoint import built, read
from deepcams.models.spatial_interpolation import bicubic
from deepcams.models.temporal_interpolation import linear
from deepcams.sources.cams import read_cams

THIRDS = (1 / 3, 2 / 3)


def rmse(one: np.ndarray, other: np.ndarray) -> float:
    """Root mean square of the difference, ug m-3."""
    return float(np.sqrt(np.square(one.astype(np.float64) - other).mean()))


def around_peak(frame: np.ndarray, grid: Grid) -> Grid:
    """A box of 60° × 78° with the frame's largest value inside, off poles and date line."""
    row, column = np.unravel_index(np.argmax(frame), frame.shape)
    north = min(max(float(grid.latitude[row]) + 30, -29.25), 89.25)
    west = min(max(float(grid.longitude[column]) - 39, -179.25), 101.25)
    return coarse_grid(Region(north, west, north - 60, west + 78))


def row(path: str, frames: np.ndarray, grid: Grid, time: np.datetime64) -> str:
    """One row of the table."""
    found = read(path)
    networks = [built(found, kind) for kind in ("float32", "bfloat16")]
    if found.stage == "temporal":
        pair = frames[1:3]
        exact, fast = (network.between(*pair, THIRDS, grid, time) for network in networks)
        plain, baseline = linear().between(*pair, THIRDS), "linear"
    else:
        networks[1].compile()  # as the workflow does for months
        box = grid if networks[0].concurrent else around_peak(frames[1], grid)
        rows, columns = locate(box, grid)
        frame = frames[1:2, rows][:, :, columns]
        exact, fast, plain = (refine_frames(frame, box, box, one, "block_mean") for one in (*networks, bicubic()))
        baseline = "bicubic + closure"
    rounded = round_mantissa(exact.copy(), 7)
    cells = [f"{rmse(exact, other):.3f}" for other in (fast, rounded, plain)]
    apart = np.abs(fast - exact) > np.maximum(exact / 256, 0.001)
    return f"| {found.network} | {cells[0]} | {cells[1]} | {cells[2]} ({baseline}) | {100 * apart.mean():.2f} % |"


def main(cams: str, *models: str) -> None:
    """Print the table."""
    field = read_cams(cams)
    grid = from_axes(field.latitude.values, field.longitude.values)[0]
    frames, times = np.maximum(field.values, 0), field.time.values.astype("datetime64[s]")
    changed = "nodes changed by more than 0.39 % and 0.001 µg m⁻³"
    print(f"| network | bfloat16 | rounding to 7 bits | the network itself | {changed} |")
    print("|---|---|---|---|---|")
    for path in (pretrained.path("temporal"), pretrained.path("spatial"), *models):
        print(row(str(path), frames, grid, times[1]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
