"""The frames of the page's time slider: maps as small pictures inside one JSON file."""

import base64
import io
import json
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from PIL import Image

from deepcams.report.maps import Frame, colour_bar, draw_field, frame_of
from deepcams.report.sequence import Layer
from deepcams.report.style import CONCENTRATION, STYLE, concentration_scale, new_figure

LARGEST = 2_900_000  # characters of the file
# Widths (pixels) and qualities (of WebP, per cent) to try, until the file is small enough.
SIZES = ((900, 75), (900, 60), (820, 50), (740, 40), (640, 35), (520, 30), (400, 25))
TALLEST = 900  # pixels


def slider(times: np.ndarray, layers: Sequence[Layer], largest: int = LARGEST) -> str:
    """JSON of a series of maps with coastlines, which a page shows one after the other.

    times : (T,) datetime64 UTC.  layers : as for `deepcams.report.sequence.sequence`; what they hold between two frames
    is stored once.  largest : characters; size and quality are reduced until the text is as short.
    Keys: times (ISO), colour_bar (a data URI), fields: a list of name, label, frames (data URIs of WebP pictures, all
    of one size), at (number of the frame at each time).
    """
    frame = frame_of(layers[-1].grid)
    norm = concentration_scale(*[field for layer in layers for field in layer.fields])
    with matplotlib.rc_context(STYLE):
        bar = bar_uri(norm)
        pictures: tuple[int, list[list[np.ndarray]]] | None = None
        for width, quality in SIZES:
            if pictures is None or pictures[0] != width:
                pictures = width, [_pictures(layer, norm, frame, width) for layer in layers]
            frames = [[_uri(picture, quality) for picture in of_layer] for of_layer in pictures[1]]
            if sum(len(uri) for of_layer in frames for uri in of_layer) + len(bar) + 40 * len(times) <= largest:
                break
    content = {
        "times": [f"{time}Z" for time in times.astype("datetime64[s]").astype(str)],
        "colour_bar": bar,
        "fields": [
            {"name": layer.name, "label": layer.title, "frames": of_layer, "at": [int(k) for k in layer.at]}
            for layer, of_layer in zip(layers, frames, strict=True)
        ],
    }
    return json.dumps(content, ensure_ascii=False)


def _pictures(layer: Layer, norm: LogNorm, frame: Frame, width: int) -> list[np.ndarray]:
    """Each of a layer's fields as a picture without margins, at most `width` wide: (rows, columns, 3) uint8."""
    height = round(width / frame.aspect)
    if height > TALLEST:
        width, height = round(TALLEST * frame.aspect), TALLEST
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    pictures = []
    for field in layer.fields:
        figure.clear()
        axes = figure.add_axes((0, 0, 1, 1))
        draw_field(axes, field, layer.grid, norm, CONCENTRATION, frame, width)
        axes.set_axis_off()
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return pictures


def bar_uri(norm: LogNorm) -> str:
    """A bar of the colours of concentrations, as a data URI of a PNG."""
    figure = new_figure(5.0, 2.0)
    axes = figure.subplots()
    image = axes.imshow([[norm.vmin, norm.vmax]], norm=norm, cmap=CONCENTRATION)
    colour_bar(figure, image, axes, norm, horizontal=True)
    axes.set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=200, metadata={"Software": None}, bbox_inches="tight", pad_inches=0.04)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _uri(picture: np.ndarray, quality: int) -> str:
    """A picture as a data URI."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
