"""Power spectra along latitude circles, and down to which wavelength a field holds what it should.

A row's spectrum is its density by wavenumber κ (cycles per km), in unit² km, so that its sum times the step of κ is the
row's variance (Parseval). Rows are averaged by their area and over bins of wavelength in km at each latitude.
"""

import math

import numpy as np
import pandas as pd
from scipy import fft, signal

from deepcams.grid.nodes import EARTH
from deepcams.validation.axes import Axes, row_areas

HIGHEST_LATITUDE = 60.0  # degrees; towards the poles cells of a global grid get ever narrower
BINS_PER_OCTAVE = 6
FITTED = (8.0, 40.0)  # coarse steps: wavelengths that the coarse grid resolves well
FEWEST_BINS = 4  # to fit
KEPT = 0.5  # of the power


class Spectrum:
    """The mean spectrum of a stream of fields.

    On a periodic grid the rows between 60°S and 60°N are taken, as they are. On a box all rows are, without their
    linear trend and under a Hann window, and the longest wavelength, which the trend has taken, is left out.
    """

    def __init__(self, grid: Axes):
        rows = np.abs(grid.latitude) <= HIGHEST_LATITUDE if grid.is_periodic else np.abs(grid.latitude) < 90
        self._rows = np.flatnonzero(rows)
        self._periodic = grid.is_periodic
        self._weights = row_areas(grid)[rows]
        self._columns = grid.shape[1]
        self._spacing = EARTH * np.cos(np.radians(grid.latitude[rows])) * math.radians(grid.steps[1])
        self._power = np.zeros((len(self._rows), self._columns // 2))
        self._frames = np.zeros(len(self._rows))

    def add(self, field: np.ndarray) -> None:
        """Add a field (H, W); a row with a missing value is left out."""
        values = np.asarray(field)[self._rows]
        valid = np.isfinite(values).all(axis=1)
        if not valid.any():
            return
        self._power[valid] += row_spectra(values[valid], self._spacing[valid], self._periodic)
        self._frames[valid] += 1

    def result(self) -> pd.DataFrame:
        """Rows of wavelength (km, falling) and power (unit² km); none if nothing was added.

        Bins are a sixth of an octave wide, from twice the widest cell to the longest wave that every row has.
        """
        used = self._frames > 0
        longest_k = 1 if self._periodic else 2
        length = self._columns * self._spacing[used]
        edges = _edges(2 * self._spacing[used].max(initial=0.0), length.min(initial=np.inf) / longest_k)
        number = np.arange(1, self._columns // 2 + 1)
        place = np.searchsorted(edges, length[:, None] / number) - 1
        inside = (place >= 0) & (place < len(edges) - 1) & (number >= longest_k)
        # A mode stands for its step of κ, so that each row counts by its area, not by its number of modes.
        weights = np.broadcast_to((self._weights[used] / length)[:, None], place.shape)[inside]
        power = (self._power[used] / self._frames[used][:, None])[inside]
        bins = max(len(edges) - 1, 0)
        weight, total = (np.bincount(place[inside], values, minlength=bins) for values in (weights, weights * power))
        middle = np.sqrt(edges[1:] * edges[:-1])
        table = pd.DataFrame({"wavelength": middle[weight > 0], "power": total[weight > 0] / weight[weight > 0]})
        return table[::-1].reset_index(drop=True)


def row_spectra(values: np.ndarray, spacing: np.ndarray, periodic: bool) -> np.ndarray:
    """One-sided power densities of rows (H, W) at 1 … W//2 waves per row: (H, W//2) float64, unit² km.

    spacing : (H,) km between columns.  periodic : whether a row closes on itself; if not it is detrended and tapered,
    and the power lost to the taper made up for (Welch 1967, IEEE Trans. Audio Electroacoust. 15, 70).
    """
    columns = values.shape[-1]
    window = np.ones(columns)
    if not periodic:
        window = signal.windows.hann(columns, sym=False)
        values = signal.detrend(values, axis=-1) * window
    waves = fft.rfft(values, axis=-1)[:, 1:].astype(np.complex128)
    power = (waves.real**2 + waves.imag**2) * (2 * spacing[:, None] / (window**2).sum())
    if columns % 2 == 0:
        power[:, -1] /= 2
    return power


def effective_resolution(
    wavelength: np.ndarray, power: np.ndarray, coarse_step_km: float, truth: np.ndarray | None = None
) -> float | None:
    """The shortest wavelength, in km, down to which a field has at least half of the power that it should have.

    wavelength : (K,) km, falling, and power : (K,), as `Spectrum.result` has them.  coarse_step_km : of the grid that
    the field was made from.  truth : (K,) power of the true field at the same wavelengths, if it is known.

    What it should have is the truth's power; without one, the power law fitted to wavelengths of 8 to 40 coarse steps,
    which that grid resolves well (after Skamarock 2004, Mon. Weather Rev. 132, 3019, who compares with a slope). From
    40 coarse steps downwards the first fall below a half is taken, between bins by the logarithms.
    None if it never falls below, so that the field is as good as its grid, or if it cannot be told: fewer than four
    bins to fit, or power that is not positive.
    """
    wavelength, power = np.asarray(wavelength, dtype=np.float64), np.asarray(power, dtype=np.float64)
    expected = np.asarray(truth, dtype=np.float64) if truth is not None else None
    chosen = wavelength <= FITTED[1] * coarse_step_km
    fitted = chosen & (wavelength >= FITTED[0] * coarse_step_km)
    if not chosen.any() or not (power > 0).all() or (expected is not None and not (expected > 0).all()):
        return None
    if expected is None:
        if fitted.sum() < FEWEST_BINS:
            return None
        slope, level = np.polyfit(np.log(wavelength[fitted]), np.log(power[fitted]), 1)
        expected = np.exp(level + slope * np.log(wavelength))
    kept = np.log(power[chosen] / expected[chosen] / KEPT)
    log_wavelength = np.log(wavelength[chosen])
    below = np.flatnonzero(kept < 0)
    if not len(below):
        return None
    first = int(below[0])
    if first == 0:
        return float(wavelength[chosen][0])
    share = kept[first - 1] / (kept[first - 1] - kept[first])
    return float(np.exp(log_wavelength[first - 1] + share * (log_wavelength[first] - log_wavelength[first - 1])))


def _edges(shortest: float, longest: float) -> np.ndarray:
    """Bin edges in km, rising, bounds included; none if there is no range."""
    if not 0 < shortest < longest < math.inf:
        return np.empty(0)
    bins = max(1, round(BINS_PER_OCTAVE * math.log2(longest / shortest)))
    # A little wider, so that the waves at the bounds lie inside whatever their rounding.
    return np.geomspace(shortest * (1 - 1e-9), longest * (1 + 1e-9), bins + 1)
