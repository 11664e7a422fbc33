"""The step from 3 hours to 1 hour and from coarse to fine: as a figure, and as an animation."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from deepcams.files.atomic import atomic_path
from deepcams.grid.nodes import Grid
from deepcams.report.figures import utc, with_step
from deepcams.report.maps import COAST, MISSING, colour_bar, draw_field, frame_of, prepare, raster, thin_ticks
from deepcams.report.style import CONCENTRATION, GREY, INK, STYLE, concentration_scale, new_figure, styled

ACROSS = 4  # hours beside each other in a sequence
LARGEST = 2_900_000  # bytes of an animation
PACE = 450  # milliseconds a frame
# Widths (dots per inch) and numbers of colours to try, until the animation is small enough.
SIZES = ((110, 64), (100, 48), (90, 32), (80, 24), (70, 16), (55, 16), (40, 12))


@dataclass(frozen=True, eq=False)
class Layer:
    """A field in time, each of its frames shown until the next one.

    name : "product" or "cams".  label : for the reader.  fields : (F, H, W) on `grid`, the report's unit.
    at : (T,) the frame that belongs to each time shown.
    """

    name: str
    label: str
    grid: Grid
    fields: Sequence[np.ndarray]
    at: np.ndarray

    @property
    def title(self) -> str:
        """Label and resolution."""
        return with_step(self.label, self.grid)

    def is_new(self, k: int) -> bool:
        """Whether the layer has a frame of its own at time `k`, rather than the one before it again."""
        return k == 0 or self.at[k] != self.at[k - 1]


@styled
def sequence(times: np.ndarray, layers: Sequence[Layer]) -> Figure:
    """The hourly product below CAMS, 3-hourly (Xiao et al. 2022, Fig. 5), a row of panels for each layer.

    times : (T,) datetime64 UTC.  layers : coarse first; the last one's grid is the part of the Earth that is shown.
    """
    frame = frame_of(layers[-1].grid)
    norm = concentration_scale(*[field for layer in layers for field in layer.fields])
    count, rows = len(times), len(layers)
    across = min(count, ACROSS if not frame.globe else 2)
    blocks = -(-count // across)
    each = 3.0 if not frame.globe else 4.6
    height = blocks * (rows * (each - 0.25) / min(max(frame.aspect, 0.75), 2.2) + 0.5)
    figure = new_figure(each * across + 0.7, height)
    places = figure.subplots(rows * blocks, across, squeeze=False)
    for axes in places.ravel():
        axes.set_visible(False)
    image: ScalarMappable | None = None
    for k, time in enumerate(times):
        block, column = divmod(k, across)
        for row, layer in enumerate(layers):
            axes = places[rows * block + row, column]
            axes.set_visible(True)
            if layer.is_new(k):
                image = draw_field(axes, layer.fields[layer.at[k]], layer.grid, norm, CONCENTRATION, frame, width=700)
            else:
                prepare(axes, frame)
                axes.text(0.5, 0.5, "no analysis", ha="center", va="center", color=GREY, zorder=6,
                          transform=axes.transAxes,
                          bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 3})  # fmt: skip
            if row == 0:
                axes.set_title(utc(time), fontsize=9)
            if column == 0:
                axes.annotate(layer.title, (0, 0.5), (-8 if frame.globe else -38, 0), xycoords="axes fraction",
                              textcoords="offset points", rotation=90, ha="right", va="center", fontweight="bold",
                              fontsize=9.5)  # fmt: skip
            thin_ticks(axes, column == 0, row == rows - 1)
    colour_bar(figure, image, list(places.ravel()), norm)
    return figure


def animate(times: np.ndarray, layers: Sequence[Layer], path: str | Path, largest: int = LARGEST) -> None:
    """Write the sequence as an animated GIF that repeats for ever: every layer as it stands at each time.

    times, layers : as for `sequence`.  largest : bytes; resolution and colours are reduced until it is as small.
    """
    data, made = b"", (1, 2)
    for size in SIZES:
        # A picture takes its dots times the bits of a colour: what would be too large again is not tried.
        if len(data) * _weight(size) / _weight(made) <= largest or size == SIZES[-1]:
            data, made = _gif(times, layers, *size), size
            if len(data) <= largest:
                break
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _weight(size: tuple[int, int]) -> float:
    return size[0] ** 2 * math.log2(size[1])


def _gif(times: np.ndarray, layers: Sequence[Layer], dpi: int, colours: int) -> bytes:
    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette(colours).ravel().tolist())
    frames = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in _pictures(times, layers, dpi, colours)
    ]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=PACE, loop=0, optimize=False,
                   disposal=1)  # fmt: skip
    return stream.getvalue()


def _palette(colours: int) -> np.ndarray:
    """The scale's colours, each also half covered by a coastline, and shades from paper to ink: (n, 3) uint8."""
    scale = matplotlib.colormaps[CONCENTRATION].resampled(colours)(np.arange(colours))[:, :3]
    white, ink, coast, missing = (np.array(to_rgb(colour)) for colour in ("white", INK, COAST, MISSING))
    shades = white + np.linspace(0, 1, 14)[:, None] * (ink - white)
    found = np.concatenate([scale, (scale + coast) / 2, shades, [coast, missing, (missing + coast) / 2]])
    return np.round(255 * found).astype(np.uint8)


def _pictures(times: np.ndarray, layers: Sequence[Layer], dpi: int, colours: int) -> list[np.ndarray]:
    """The animation's frames: (rows, columns, 3) uint8."""
    frame = frame_of(layers[-1].grid)
    norm = concentration_scale(*[field for layer in layers for field in layer.fields])
    cmap = matplotlib.colormaps[CONCENTRATION].resampled(colours)
    aspect = min(max(frame.aspect, 0.6), 2.2)
    with matplotlib.rc_context(STYLE):
        if frame.globe:
            figure = new_figure(7.4, 3.5 * len(layers) + 0.3)
            places = figure.subplots(len(layers), 1, squeeze=False).ravel()
        else:
            figure = new_figure(4.2 * len(layers) + 0.9, 4.0 / aspect + 0.75)
            places = figure.subplots(1, len(layers), squeeze=False).ravel()
        figure.set_dpi(dpi)
        width = round(5.6 * dpi)
        images = [
            draw_field(axes, layer.fields[layer.at[0]], layer.grid, norm, cmap, frame, width)
            for axes, layer in zip(places, layers, strict=True)
        ]
        for axes, layer in zip(places, layers, strict=True):
            axes.set_title(layer.title)
            thin_ticks(axes, axes is places[0], True)
        colour_bar(figure, images[-1], list(places), norm)
        clock = figure.suptitle(utc(times[0]), x=0.01, ha="left", fontsize=11)
        canvas = FigureCanvasAgg(figure)
        pictures = []
        for k, time in enumerate(times):
            clock.set_text(utc(time))
            for image, layer in zip(images, layers, strict=True):
                if layer.is_new(k):
                    image.set_data(raster(layer.fields[layer.at[k]], layer.grid, norm, frame, width)[0])
            canvas.draw()
            pictures.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
            figure.set_layout_engine("none")  # what has found its place stays there
        return pictures
