"""Make docs/images/product.png and date_line.png from a CAMS file, and print the figures of docs/product.md.

    python docs/make_product_figure.py CAMS.nc

CAMS.nc: global EAC4 analyses as the Atmosphere Data Store delivers them, 18 and 21 UTC among them. The pictures in the
repository show 31 December 2019 (Inness et al. 2019, doi:10.5194/acp-19-3515-2019).
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator, NullLocator

from deepcams.cli.main import main as deepcams
from deepcams.grid.blocks import block_mean
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, fine_globe, locate, refine
from deepcams.report.maps import draw_field, equal_earth, frame_of
from deepcams.report.quantity import unit
from deepcams.report.style import CAMS, CONCENTRATION, INK, PRODUCT, new_figure, save_png, styled
from deepcams.sources.cams import read_cams

IMAGES = Path(__file__).resolve().parent / "images"
ZOOM = Region(north=38.25, west=66.0, south=19.5, east=99.0)  # the Indo-Gangetic plain between desert and mountains
PACIFIC = Region(north=-24.0, west=157.5, south=-51.0, east=202.5)
TICKS = [1, 3, 10, 30, 100, 300]


def main(path: str) -> None:
    """Downscale the file, draw it, print what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "hourly.nc"
        if deepcams(["downscale", path, str(out)]):
            sys.exit(1)
        megabytes = out.stat().st_size / 1e6
        with xr.open_dataset(out) as dataset:
            product = dataset.load()
    cams = read_cams(path).load()
    credit = f"Contains modified Copernicus Atmosphere Monitoring Service information {str(cams.time.values[0])[:4]}."
    save_png(product_figure(product.pm25, cams, credit), IMAGES / "product.png", dpi=118)
    save_png(date_line_figure(product.pm25, cams, credit), IMAGES / "date_line.png", dpi=128)
    tell(product, cams, megabytes)


@styled
def product_figure(product: xr.DataArray, cams: xr.DataArray, credit: str) -> Figure:
    """The globe in an hour between two analyses; below it a box of CAMS and of the product in an hour of both."""
    between, analysis = _hour(product, 20), _hour(product, 18)
    coarse_box = coarse_grid(ZOOM)
    fine_box = refine(coarse_box)
    coarse = cut(_hour(cams, 18).values, coarse_globe(), coarse_box)
    fine = cut(analysis.values, fine_globe(), fine_box)
    norm = LogNorm(1, 500)

    width, margin, beside = 7.4, 0.46, 0.44  # inches
    whole = width - 0.1
    tall, low = whole / 2.05, (width - margin - beside - 0.1) / 2 / frame_of(fine_box).aspect
    height = 0.26 + tall + 0.34 + low + 1.2
    figure, place = _sheet(width, height)
    globe = place(0.05, 0.26, whole, tall)
    image = draw_field(globe, _visible(between.values), fine_globe(), norm, CONCENTRATION, width=900)
    globe.set_title(f"Surface PM2.5 at 0.25°, {_utc(between)}: between two analyses", fontsize=11)
    across = (width - margin - beside - 0.1) / 2
    for left, field, grid, title in (
        (margin, coarse, coarse_box, "CAMS, 0.75°"),
        (margin + across + beside, fine, fine_box, "Product, 0.25°"),
    ):
        axes = place(left, 0.26 + tall + 0.34, across, low)
        draw_field(axes, _visible(field), grid, norm, CONCENTRATION)
        axes.set_title(f"{title}, {_utc(analysis)[11:]}", fontsize=11)
    bar = figure.colorbar(image, cax=place(width * 0.2, height - 0.78, width * 0.6, 0.13), orientation="horizontal",
                          extend="both", ticks=TICKS)  # fmt: skip
    _finish(bar, figure, credit)
    _outline_box(globe)
    return figure


@styled
def date_line_figure(product: xr.DataArray, cams: xr.DataArray, credit: str) -> Figure:
    """The Pacific across 180°, and below it the mean size of east-west steps by column."""
    coarse_box = coarse_grid(PACIFIC)
    fine_box = refine(coarse_box)
    field = _hour(product, 20)

    width, margin = 7.4, 0.62
    across = width - margin - 0.12
    tall, low = across / frame_of(fine_box).aspect, 1.35
    height = 0.26 + tall + 0.6 + low + 1.25
    figure, place = _sheet(width, height)
    upper = place(margin, 0.26, across, tall)
    image = draw_field(upper, _visible(cut(field.values, fine_globe(), fine_box)), fine_box, LogNorm(1, 100),
                       CONCENTRATION)  # fmt: skip
    upper.set_title(f"Product across the date line, {_utc(field)}", fontsize=11)
    lower = place(margin, 0.26 + tall + 0.6, across, low)
    for values, grid, colour, label in (
        (cams.values.clip(0), coarse_globe(), CAMS, "CAMS"),
        (product.values[::3], fine_globe(), PRODUCT, "product, the same hours"),
    ):
        where, steps = steps_by_coarse_column(values, grid, coarse_box)
        lower.plot(where, steps, color=colour, label=label, marker="o", markersize=2.6, linewidth=1.1)
    lower.set_xlim(upper.get_xlim())
    for axes in (upper, lower):
        axes.axvline(180, color=INK, linewidth=0.8, linestyle=(0, (2, 3)), zorder=5)
        axes.xaxis.set_major_locator(MultipleLocator(10))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _longitude(x)))
    lower.set_ylim(0, None)
    lower.set_ylabel("µg m⁻³ per 0.75°")
    lower.set_title("Mean size of the step from column to column, pole to pole", fontsize=10)
    lower.yaxis.grid(True)
    lower.legend(loc="lower right", ncols=2)
    bar = figure.colorbar(image, cax=place(width * 0.2, height - 0.78, width * 0.6, 0.13), orientation="horizontal",
                          extend="both", ticks=[t for t in TICKS if t <= 100])  # fmt: skip
    _finish(bar, figure, credit)
    return figure


def cut(field: np.ndarray, outer: Grid, inner: Grid) -> np.ndarray:
    """The part of a field (H, W) on `outer` that lies on the nodes of `inner`; across the date line where it must."""
    rows, columns = locate(inner, outer)
    return field[rows][:, columns]


def steps_by_coarse_column(values: np.ndarray, grid: Grid, box: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Mean |east-west step| between neighbouring coarse longitudes of `box`, µg m-3 per 0.75°, with their middles.

    values : (T, H, W) on a global grid. On the fine grid the three steps between two coarse nodes are added up, because
    every interpolation makes the middle one of the three differ from the outer ones.
    """
    steps = np.abs(np.roll(values, -1, axis=-1).astype("f8") - values).mean(axis=(0, 1))
    per_node = round(box.step / grid.step)
    summed = steps.reshape(-1, per_node).sum(axis=1)
    first = round((box.longitude[0] + 180) / box.step)
    columns = (first + np.arange(len(box.longitude) - 1)) % len(summed)
    return box.longitude[:-1] + box.step / 2, summed[columns]


def date_line_ratio(values: np.ndarray, grid: Grid) -> float:
    """Mean |step| from 179.25°E to 180° over that of its two neighbours, 0.75° wide each; 1 is seamless."""
    box = Grid(coarse_globe().latitude, 178.5 + 0.75 * np.arange(4), 0.75)
    before, across, after = steps_by_coarse_column(values, grid, box)[1]
    return float(across / ((before + after) / 2))


def tell(product: xr.Dataset, cams: xr.DataArray, megabytes: float) -> None:
    """Print the figures that docs/product.md states."""
    fine, coarse = product.pm25.values, cams.values.clip(0)
    means = block_mean(fine[::3].astype("f8"), coarse_globe())
    error = (np.abs(means - coarse) / np.maximum(coarse, 1)).max()
    print(f"{len(coarse)} analyses -> {len(fine)} hours; time_status {product.time_status.values.tolist()}")
    print(f"{megabytes:.2f} MB, {megabytes / len(fine):.3f} MB an hour, {megabytes / len(fine) * 8.76:.1f} GB a year")
    print(f"closure: attribute {product.attrs['closure_max_relative_error']:.4f}; here, above 1 ug m-3: {error:.4f}")
    print("largest value of the analyses:", coarse.max(axis=(1, 2)).round(0), "of the product:", fine.max(axis=(1, 2)))
    print("values at or below zero in the analyses:", (cams.values <= 0).mean(axis=(1, 2)).round(3))
    for name, values, grid in (
        ("CAMS", coarse, coarse_globe()),
        ("product, same hours", fine[::3], fine_globe()),
        ("product, all hours", fine, fine_globe()),
    ):
        print(f"date line, {name}: {date_line_ratio(values, grid):.3f} of its neighbours")


def _hour(field: xr.DataArray, hour: int) -> xr.DataArray:
    """The field of the first time at this hour of the day."""
    return field.isel(time=int(np.flatnonzero(field.time.dt.hour.values == hour)[0]))


def _utc(field: xr.DataArray) -> str:
    return f"{str(field.time.values.astype('datetime64[m]')).replace('T', ' ')} UTC"


def _longitude(value: float) -> str:
    return "180°" if value == 180 else f"{abs((value + 180) % 360 - 180):g}°{'E' if value < 180 else 'W'}"


def _visible(field: np.ndarray) -> np.ndarray:
    """Zeros raised to a little above, because a logarithmic scale takes them for missing values."""
    return np.maximum(field, 1e-3)


def _sheet(width: float, height: float) -> tuple[Figure, Callable[[float, float, float, float], Axes]]:
    """A figure (inches) and a function that puts axes at (left, down from the top, width, height), inches."""
    figure = new_figure(width, height)
    figure.set_layout_engine("none")

    def place(left: float, down: float, across: float, tall: float) -> Axes:
        return figure.add_axes((left / width, 1 - (down + tall) / height, across / width, tall / height))

    return figure, place


def _finish(bar: Colorbar, figure: Figure, credit: str) -> None:
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.set_label(f"PM2.5 ({unit()})")
    bar.outline.set_linewidth(0.5)
    figure.text(0.995, 0.004, credit, ha="right", va="bottom", fontsize=7.5, color="#5b6773")


def _outline_box(globe: Axes) -> None:
    """Show on the globe what the maps below it show."""
    down, along = np.linspace(ZOOM.north, ZOOM.south, 60), np.linspace(ZOOM.west, ZOOM.east, 60)
    sides = ((along, np.full(60, ZOOM.north)), (np.full(60, ZOOM.east), down), (along[::-1], np.full(60, ZOOM.south)),
             (np.full(60, ZOOM.west), down[::-1]))  # fmt: skip
    x, y = np.concatenate([np.array(equal_earth(*side)) for side in sides], axis=1)
    globe.plot(x, y, color=INK, linewidth=1.0, zorder=6)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
