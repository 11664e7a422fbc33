"""Make docs/images/nature_run.png and print the table of docs/nature_run.md.

    python docs/make_nature_run_figure.py [GEOS-CF sample]

The sample (four consecutive hours in the portal's layout, western hemisphere) adds the real spectrum and column.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from netCDF4 import Dataset

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm

from deepcams.geography.load import coastlines
from deepcams.sources.nature_run.realism import measure, zonal_spectrum
from deepcams.sources.nature_run.simulate import NatureRun
from deepcams.sources.nature_run.write import hourly

OUT = Path(__file__).resolve().parent / "images" / "nature_run.png"
SEED, START, SPIN_UP = 7, np.datetime64("2018-03-06T00:00:00"), 48
PLACES = (
    ("Delhi", 28.5, 77.25, "#b5179e"),
    ("Beijing", 40.0, 116.5, "#e85d04"),
    ("Lagos", 6.5, 3.5, "#2a9d8f"),
    ("New York", 40.75, -74.0, "#3a6ea5"),
    ("Mid-Pacific", 0.0, -150.0, "#6c757d"),
)
ZOOM = (66, 126, 5, 50)


def main(sample: Path | None) -> None:
    """Spin up for two days, then draw a day."""
    run = NatureRun(SEED, START)
    run.run_until(START + np.timedelta64(SPIN_UP, "h"))
    means, series = [], []
    for hour in range(24):
        mean = hourly(run)[1]
        series.append([mean[round((90 - lat) * 4), round((lon + 180) * 4)] for _, lat, lon, _ in PLACES])
        if hour < 4:
            means.append(mean)
    frames = np.stack(means)
    real = None
    if sample:
        with Dataset(sample) as file:
            real = file["PM25_RH35_GCC"][:, 0].filled(np.nan)[:, ::-1]
    table(frames, real)
    draw(frames, np.array(series), real)


def table(frames: np.ndarray, real: np.ndarray | None) -> None:
    """Print the figures of real and synthetic hours."""
    globe, west = measure(frames, True), measure(frames[:, :, :720], False)
    known = measure(real, False) if real is not None else dict.fromkeys(globe, float("nan"))
    for name in globe:
        print(f"| {name} | {known[name]:.4g} | {west[name]:.4g} | {globe[name]:.4g} |")


def draw(frames: np.ndarray, series: np.ndarray, real: np.ndarray | None) -> None:
    """Map, detail, spectra and a day."""
    plt.rcParams.update({"font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left", "axes.linewidth": 0.6})
    figure = plt.figure(figsize=(13, 9.7), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1.5, 1), width_ratios=(1.25, 1, 1))
    norm = LogNorm(0.5, 300)
    whole = figure.add_subplot(grid[0, :])
    image = panel(whole, frames[0], norm, (-180, 180, -75, 85))
    date = (START + np.timedelta64(SPIN_UP, "h")).astype("datetime64[D]")
    whole.set_title(f"Nature run, seed {SEED}: surface PM$_{{2.5}}$, mean of 00–01 UTC, {date}")
    bar = figure.colorbar(image, ax=whole, pad=0.01, aspect=30, extend="both")
    bar.set_label("µg m$^{-3}$")
    bar.set_ticks([0.5, 1, 2, 5, 10, 20, 50, 100, 200], labels=["0.5", "1", "2", "5", "10", "20", "50", "100", "200"])
    detail = figure.add_subplot(grid[1, 0])
    panel(detail, frames[0], norm, ZOOM)
    detail.set_title("The same over southern and eastern Asia")

    spectra = figure.add_subplot(grid[1, 1])
    rows = slice(120, 601)
    number, power = zonal_spectrum(frames[0, :, :720], 180.0, rows)
    spectra.loglog(number[1:], power[1:], color="#d1495b", lw=1.3, label="nature run")
    if real is not None:
        number, power = zonal_spectrum(real[0], 180.0, rows)
        spectra.loglog(number[1:], power[1:], color="#22333b", lw=1.3, label="GEOS-CF")
    spectra.axvspan(20, 200, color="#000000", alpha=0.05, lw=0)
    spectra.set_title("Zonal spectra of log PM$_{2.5}$, 180°W–0°, 60°S–60°N")
    spectra.set_xlabel("zonal wavenumber")
    spectra.set_ylabel("power")
    spectra.legend(frameon=False)

    day = figure.add_subplot(grid[1, 2])
    for n, (name, _, lon, colour) in enumerate(PLACES):
        local = (np.arange(24) + 0.5 + lon / 15) % 24
        fold = np.flatnonzero(np.diff(local) < 0) + 1  # where the day starts again, another day of weather begins
        for part, label in zip(np.split(np.arange(24), fold), (name, None), strict=False):
            day.semilogy(local[part], series[part, n], color=colour, lw=1.5, label=label)
    day.set_title("A day at five places")
    day.set_xlabel("local solar hour")
    day.set_ylabel("µg m$^{-3}$")
    day.set_xticks(range(0, 25, 6))
    day.set_xlim(0, 24)
    day.legend(frameon=False, fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 0.12))
    for axes in (spectra, day):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, lw=0.5)
    figure.savefig(OUT, dpi=130)


def panel(axes, field: np.ndarray, norm: LogNorm, box: tuple[float, float, float, float]):
    """Draw a map of the field in `box` (west, east, south, north)."""
    west, east, south, north = box
    image = axes.imshow(
        field, norm=norm, cmap="turbo", extent=(-180.125, 179.875, -90.125, 90.125), interpolation="nearest"
    )
    axes.add_collection(LineCollection(coastlines(), colors="#101418", linewidths=0.35, alpha=0.8))
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[])
    return image


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
