"""Make docs/images/networks.png from a CAMS file and two pairs of networks, and print their cost.

    python docs/make_networks_figure.py CAMS.nc LIGHT_TEMPORAL LIGHT_SPATIAL PAPER_TEMPORAL PAPER_SPATIAL

CAMS.nc: global EAC4 analyses as the Atmosphere Data Store delivers them, 18 and 21 UTC among them; the picture in the
repository shows 31 December 2019 (Inness et al. 2019, doi:10.5194/acp-19-3515-2019). The networks are model files.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
from make_product_figure import _finish, _sheet, _visible, cut
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, fine_globe, refine
from deepcams.inference.spatial import refine_frames
from deepcams.models.checkpoint import load, untrained
from deepcams.report.maps import draw_field, frame_of
from deepcams.report.style import CONCENTRATION, save_png, styled
from deepcams.sources.cams import read_cams

IMAGE = Path(__file__).resolve().parent / "images" / "networks.png"
ZOOM = Region(north=-30.0, west=138.0, south=-45.0, east=168.0)  # smoke of Australian fires over the Tasman Sea
HOUR, FIRST, LAST = 20, 18, 21  # UTC; two thirds of the way between two analyses
GAP = 0.52  # inches between rows of maps
TICKS = [1, 3, 10, 30, 100, 300, 1000]


def main(path: str, *models: str) -> None:
    """Run the pairs on the file, draw, print time and memory."""
    cams = read_cams(path).load()
    hours = cams.time.dt.hour.values
    start = int(np.flatnonzero(hours == FIRST)[0])
    first, last = cams.values[start], cams.values[start + 1]
    pairs = {
        "linear + bicubic + closure": (untrained("temporal", "linear"), untrained("spatial", "bicubic")),
        "flow_residual + pixel_shuffle + closure": (load(models[0], "temporal"), load(models[1], "spatial")),
        "XVFI + ABPN + closure": (load(models[2], "temporal"), load(models[3], "spatial")),
    }
    fields = {"CAMS, 21 UTC": last}
    for name, (temporal, spatial) in pairs.items():
        began = time.perf_counter()
        time_of = cams.time.values[start].astype("datetime64[s]")
        between = temporal.between(first, last, ((HOUR - FIRST) / 3,), coarse_globe(), time_of)
        middle = time.perf_counter()
        fields[name] = refine_frames(between, coarse_globe(), coarse_globe(), spatial, "block_mean")[0]
        ended = time.perf_counter()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: time {middle - began:.2f} s, space {ended - middle:.2f} s, peak so far {memory:.0f} MB")
    credit = f"Contains modified Copernicus Atmosphere Monitoring Service information {str(cams.time.values[0])[:4]}."
    save_png(figure_of(fields, credit, str(cams.time.values[start])[:10]), IMAGE, dpi=118)


@styled
def figure_of(fields: dict[str, np.ndarray], credit: str, day: str) -> Figure:
    """The globe by the light pair; below it an analysis and what each pair makes before it, cut out."""
    norm = LogNorm(1, 1000)
    coarse_box = coarse_grid(ZOOM)
    fine_box = refine(coarse_box)
    width, margin, beside = 7.4, 0.46, 0.44  # inches
    whole, across = width - 0.1, (width - margin - beside - 0.1) / 2
    tall, low = whole / 2.05, across / frame_of(fine_box).aspect
    height = 0.26 + tall + 2 * (GAP + low) + 1.2
    figure, place = _sheet(width, height)
    names = list(fields)
    globe = place(0.05, 0.26, whole, tall)
    image = draw_field(globe, _visible(fields[names[2]]), fine_globe(), norm, CONCENTRATION, width=900)
    globe.set_title(f"{names[2]}, {day} {HOUR} UTC", fontsize=10)
    shown: list[tuple[str, np.ndarray, Grid]] = [
        (names[0], cut(fields[names[0]], coarse_globe(), coarse_box), coarse_box),
        *((name, cut(fields[name], fine_globe(), fine_box), fine_box) for name in names[1:]),
    ]
    for number, (name, field, grid) in enumerate(shown):
        row, column = divmod(number, 2)
        down = 0.26 + tall + GAP + row * (GAP + low)
        axes = place(margin + column * (across + beside), down, across, low)
        draw_field(axes, _visible(field), grid, norm, CONCENTRATION)
        axes.set_title(name if number < 1 else f"{name}, {HOUR} UTC", fontsize=8.5)
    bar = figure.colorbar(image, cax=place(width * 0.2, height - 0.78, width * 0.6, 0.13), orientation="horizontal",
                          extend="both", ticks=TICKS)  # fmt: skip
    _finish(bar, figure, credit)
    return figure


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
