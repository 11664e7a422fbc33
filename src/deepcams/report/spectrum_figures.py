"""Figures of scales in space and in time: power spectra, and the beat of the analyses."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MultipleLocator, NullFormatter

from deepcams.grid.nodes import EARTH
from deepcams.report.beat_words import beat_verdict
from deepcams.report.quantity import unit
from deepcams.report.style import COLOURS, FAINT, GREY, NAMES, message, new_figure, plain, styled, thousands, written

KM_PER_DEGREE = np.radians(EARTH)  # of latitude
WAVELENGTHS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 40000)


@styled
def spectra(
    table: pd.DataFrame,
    summary: Mapping[str, Mapping[str, object]],
    steps: Mapping[str, float],
    latitudes: tuple[float, float] = (-60.0, 60.0),
    names: Mapping[str, str] = NAMES,
) -> Figure:
    """Power by wavelength, long waves at the left, with the coarse grid's shortest waves and effective resolutions.

    table : rows of field ("product", "cams", "truth"), wavelength (km), power (unit² km).  summary : field →
    effective_resolution, km or None.  steps : field → degrees between nodes.  latitudes : the southernmost and the
    northernmost, between which a wave of two nodes along a circle has all lengths.
    """
    labels = {**names, "truth": "truth"}
    fields = [name for name in ("truth", "cams", "product") if name in labels and (table["field"] == name).any()]
    if not fields:
        return message("There are no spectra of this year.")
    figure = new_figure(7.6, 4.6)
    axes = figure.subplots()
    for name in fields:
        part = table[(table["field"] == name) & (table["power"] > 0)].sort_values("wavelength")
        axes.plot(part["wavelength"], part["power"], color=COLOURS[name], label=plain(labels[name]),
                  linewidth=2.2 if name == "truth" else 1.6, zorder=3 if name == "truth" else 4)  # fmt: skip
    of_fields = table[table["field"].isin(fields) & (table["power"] > 0)]
    shortest, longest = of_fields["wavelength"].min(), of_fields["wavelength"].max()
    axes.set(xscale="log", yscale="log", xlim=(1.05 * longest, shortest / 1.05))
    coarsest = max((name for name in fields if name in steps), key=lambda name: steps[name], default=None)
    if coarsest is not None:
        two = 2 * steps[coarsest] * KM_PER_DEGREE
        low, high = (two * np.cos(np.radians(latitude)) for latitude in _farthest_and_nearest(latitudes))
        if high > shortest:
            axes.axvspan(low, high, color=FAINT, alpha=0.6, linewidth=0, zorder=0,
                         label=f"2Δx of {steps[coarsest]:g}°: {low:.0f} to {high:.0f} km, by latitude")  # fmt: skip
    for name in fields:
        found = summary.get(name, {}).get("effective_resolution")
        if found is not None:
            axes.axvline(float(found), color=COLOURS[name], linewidth=1.1, linestyle="--", zorder=2,
                         label=plain(f"effective resolution, {labels[name]}: {found:.0f} km"))  # fmt: skip
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in WAVELENGTHS if shortest <= tick <= longest]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: thousands(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("wavelength (km)")
    axes.set_ylabel(f"power (({unit()})² km)")
    axes.grid()
    axes.legend(loc="lower left")
    return figure


def _farthest_and_nearest(latitudes: tuple[float, float]) -> tuple[float, float]:
    """The latitudes farthest from and nearest to the equator of those between two, of spectra: up to 60°."""
    south, north = (min(max(latitude, -60.0), 60.0) for latitude in latitudes)
    return max(abs(south), abs(north)), 0.0 if south <= 0 <= north else min(abs(south), abs(north))


@styled
def beat(table: pd.DataFrame, summary: Mapping[str, Mapping[str, object]], names: Mapping[str, str] = NAMES) -> Figure:
    """Variance of fine detail by hour of day, relative to the day's mean: a product must not pulse with the analyses.

    table : rows of field ("product", "cams", "truth"), hour (UTC), variance (1).  summary : field → ratio (at analyses
    to between them), low, high (95 %), days.
    """
    labels = {**names, "truth": "truth"}
    fields = [name for name in ("truth", "cams", "product") if name in labels and (table["field"] == name).any()]
    if not fields:
        return message("There are no hours to look for a beat of the analyses.")
    figure = new_figure(7.6, 3.9)
    axes = figure.subplots()
    for hour in range(0, 24, 3):
        axes.axvline(hour, color="#e8ebee", linewidth=5, zorder=0)
    for name in fields:
        part = table[(table["field"] == name) & table["variance"].notna()].sort_values("hour")
        is_hourly = len(part) > 8
        axes.plot(part["hour"], part["variance"], color=COLOURS[name], marker="o", markersize=4 if is_hourly else 6,
                  linewidth=1.5 if is_hourly else 0, zorder=3,
                  label=_in_words(labels[name], summary.get(name)))  # fmt: skip
    axes.axhline(1, color=GREY, linewidth=0.8, zorder=1)
    low, high = axes.get_ylim()
    room = max(high - 1, 1 - low, 0.02)
    axes.set(xlim=(-0.6, 23.6), ylim=(1 - 1.05 * room, 1 + 1.05 * room))
    axes.xaxis.set_major_locator(MultipleLocator(3))
    axes.set_xlabel(
        f"hour of day (UTC); grey: {'analyses of ' + plain(names['cams']) if 'cams' in names else 'every 3 h'}"
    )
    axes.set_ylabel("variance of fine detail / day's mean (1)")
    figure.legend(loc="outside upper left", ncols=1)
    return figure


def _in_words(name: str, found: Mapping[str, object] | None) -> str:
    if not found or found.get("ratio") is None:
        return plain(name)
    ratio, low, high = (float(np.nan if found.get(key) is None else found[key]) for key in ("ratio", "low", "high"))
    text = f"{name}: {written(ratio)} times as much at analyses as between"
    if np.isfinite(low + high):
        text += f" ({written(low)} to {written(high)}, 95 %): {beat_verdict(found)}"
    return plain(text)
