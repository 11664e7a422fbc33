"""One look for all figures, and writing them so that the same data give the same bytes."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from deepcams.files.atomic import atomic_path
from deepcams.report.quantity import lowest

# Okabe & Ito (2008): distinguishable with every kind of colour vision.
OBSERVED, CAMS, PRODUCT, TRUTH, OTHER = "#1a1a1a", "#D55E00", "#0072B2", "#009E73", "#8c96a0"
COLOURS = {"observed": OBSERVED, "cams": CAMS, "product": PRODUCT, "truth": TRUTH}
NAMES = {"product": "product", "cams": "CAMS"}  # of the fields, unless a validation calls them otherwise
CONCENTRATION = "magma_r"  # perceptually uniform, light is clean
DIFFERENCE = "RdBu_r"
INK, GREY, FAINT = "#27303a", "#5b6773", "#d9dee3"
MARKERS = "osD^vPX<>hp"  # of groups, where colours are of fields

STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": "#7b8794",
    "axes.linewidth": 0.7,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "image.interpolation": "nearest",
    "path.simplify": True,
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a drawing function under `STYLE`, leaving matplotlib's global settings alone."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapped


def new_figure(width: float, height: float) -> Figure:
    """A figure (inches) drawn by Agg, which needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write a figure as PNG (`dpi` dots per inch), atomically, without date or software in its metadata."""
    with matplotlib.rc_context(STYLE), atomic_path(path) as temporary:
        figure.savefig(
            temporary, format="png", dpi=dpi, metadata={"Software": None}, bbox_inches="tight", pad_inches=0.06
        )


def concentration_scale(*fields: np.ndarray) -> LogNorm:
    """A log scale from the 2nd to the 99.8th percentile of all fields, rounded outwards to 1, 2 or 5 × 10ⁿ.

    It spans three decades at most: what is all but clean air is not worth half of the colours.
    """
    values = np.concatenate([field[np.isfinite(field)].ravel() for field in fields])
    values = values[values > 0]
    if not len(values):
        return LogNorm(1, 100)
    low, high = np.percentile(values, (2, 99.8))
    low, high = _rounded(max(low, lowest()), up=False), _rounded(max(high, 2 * lowest()), up=True)
    return LogNorm(max(low, high / 1000), high if high > low else 10 * low)


def difference_scale(field: np.ndarray, share: float = 99.0) -> Normalize:
    """A linear scale, symmetric about zero, that covers `share` per cent of the values."""
    size = np.abs(field[np.isfinite(field)])
    limit = _rounded(float(np.percentile(size, share)), up=True) if len(size) and size.max() > 0 else 1.0
    return Normalize(-limit, limit)


def decade_ticks(norm: Normalize) -> list[float]:
    """1, 2 and 5 × 10ⁿ within a scale; 1 and 3 × 10ⁿ where those would crowd."""
    for digits in ((1, 2, 5), (1, 3)):
        ticks = [digit * 10.0**power for power in range(-3, 5) for digit in digits]
        ticks = [tick for tick in ticks if norm.vmin * 0.999 <= tick <= norm.vmax * 1.001]
        if len(ticks) <= 6:
            break
    return ticks


def plain(text: str) -> str:
    """Text as it is: a dollar sign would start mathematics."""
    return text.replace("$", r"\$")


def capital(text: str) -> str:
    """A name as a title: its first letter in upper case."""
    return plain(text[:1].upper() + text[1:])


def written(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A number for a figure, a dash where it is undefined."""
    if value is None or not np.isfinite(value):
        return "–"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    # Nothing is minus zero.
    return text.lstrip("+-") if not float(text) else text.replace("-", "−")


def thousands(value: float) -> str:
    """A whole number, its thousands apart."""
    return f"{int(value):,}".replace(",", "\u202f")


@styled
def message(text: str) -> Figure:
    """A figure that only says why there is nothing to see."""
    figure = new_figure(8.0, 1.6)
    figure.add_artist(Rectangle((0, 0), 1, 1, facecolor="white", edgecolor="none"))  # keeps the margins in the file
    figure.text(0.5, 0.5, text, ha="center", va="center", color=GREY, fontsize=11)
    return figure


def _rounded(value: float, up: bool) -> float:
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = np.array([1.0, 2.0, 5.0, 10.0])
    digits = value / power
    chosen = steps[steps >= digits * (1 - 1e-9)].min() if up else steps[steps <= digits * (1 + 1e-9)].max()
    return float(chosen * power)
