"""Spectra along latitude circles: against SciPy's periodogram, Parseval, and fields of known spectra."""

import math

import numpy as np
import pytest
from scipy import signal

from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, refine
from deepcams.validation.spectra import EARTH, Spectrum, effective_resolution, row_spectra

BOX = refine(coarse_grid(Region(north=48.0, west=0.0, south=30.0, east=60.0)))
STEP = 83.4  # km, 0.75° at the equator
CIRCLE = 2 * math.pi * EARTH


def field_of(grid, slope, rng, response=lambda wavelength: 1.0):
    """A periodic field whose rows have the density κ**-slope in km, times the response of a filter."""
    rows, columns = grid.shape
    length = CIRCLE * np.cos(np.radians(np.clip(grid.latitude, -89, 89)))
    number = np.arange(1, columns // 2 + 1)
    wavelength = length[:, None] / number
    density = wavelength**slope * response(wavelength)
    waves = np.zeros((rows, columns // 2 + 1), dtype=complex)
    size = (rows, len(number))
    waves[:, 1:] = np.sqrt(density / length[:, None] / 2) * columns * rng.choice([1, -1, 1j, -1j], size)
    waves[:, -1] = 0
    return np.fft.irfft(waves, n=columns, axis=1)


@pytest.mark.parametrize("columns", [96, 97])
def test_power_times_its_step_is_the_variance(columns):
    values = np.random.default_rng(0).lognormal(1, 1, (7, columns))
    spacing = np.linspace(14, 28, 7)
    power = row_spectra(values, spacing, periodic=True)
    step = 1 / (columns * spacing)
    np.testing.assert_allclose((power * step[:, None]).sum(axis=1), values.var(axis=1), rtol=1e-12)


@pytest.mark.parametrize("columns", [96, 97])
def test_rows_of_a_box_have_the_periodogram_of_scipy(columns):
    values = np.random.default_rng(1).lognormal(1, 1, (3, columns)) + np.linspace(0, 40, columns)
    for row, spacing in zip(values, (10.0, 20.0, 25.0), strict=True):
        _, expected = signal.periodogram(row, fs=1 / spacing, window="hann", detrend="linear")
        found = row_spectra(row[None], np.array([spacing]), periodic=False)[0]
        np.testing.assert_allclose(found, expected[1:], rtol=1e-10)


def test_a_known_power_law_comes_back_in_kilometres_at_every_latitude():
    grid = coarse_globe()
    spectrum = Spectrum(grid)
    rng = np.random.default_rng(2)
    for _ in range(3):
        spectrum.add(field_of(grid, 3.0, rng))
    found = spectrum.result()
    assert (np.diff(found["wavelength"]) < 0).all()
    assert found["wavelength"].iloc[-1] >= 2 * STEP and found["wavelength"].iloc[0] <= CIRCLE / 2
    short = found[found["wavelength"] < 2000]  # wide bins of few waves are no points of a law
    np.testing.assert_allclose(short["power"], short["wavelength"] ** 3, rtol=0.05)


def test_the_mean_spectrum_holds_the_mean_variance_of_its_rows():
    """White noise: density is variance times twice the spacing, on every row, and rows count by their area."""
    grid = coarse_globe()
    rng = np.random.default_rng(3)
    spectrum = Spectrum(grid)
    for _ in range(20):
        spectrum.add(rng.normal(size=grid.shape).astype(np.float32))
    rows = np.abs(grid.latitude) <= 60
    cosine = np.cos(np.radians(grid.latitude[rows]))
    expected = np.sum(cosine * 2 * STEP * cosine) / cosine.sum()
    assert spectrum.result()["power"].to_numpy()[-6:] == pytest.approx(np.full(6, expected), rel=0.01)


def test_one_wave_is_found_at_its_wavelength():
    grid = Grid(np.array([45.75, 45.0, 44.25]), np.arange(-180, 180, 0.75), 0.75)
    spectrum = Spectrum(grid)
    spectrum.add(np.tile(np.cos(np.radians(60 * grid.longitude)), (3, 1)))
    found = spectrum.result()
    strongest = found.loc[found["power"].idxmax(), "wavelength"]
    assert strongest == pytest.approx(CIRCLE * math.cos(math.pi / 4) / 60, rel=0.07)


def test_rows_with_gaps_are_left_out_and_poles_never_count():
    grid = coarse_globe()
    rng = np.random.default_rng(4)
    fields = [field_of(grid, 2.0, rng) for _ in range(2)]
    whole, gaps, few = Spectrum(grid), Spectrum(grid), Spectrum(grid)
    for values in fields:
        whole.add(values)
        values = values.copy()
        values[np.abs(grid.latitude) > 60] = np.nan
        gaps.add(values)
        values[100:120] = np.nan
        few.add(values)
    assert gaps.result().equals(whole.result())
    np.testing.assert_allclose(few.result()["power"], whole.result()["power"], rtol=0.3)
    assert Spectrum(grid).result().empty
    empty = Spectrum(grid)
    empty.add(np.full(grid.shape, np.nan))
    assert empty.result().empty


@pytest.mark.parametrize(("slope", "half"), [(3.0, 300.0), (5 / 3, 450.0), (2.0, 200.0)])
def test_a_filter_is_found_at_the_wavelength_of_half_its_power(slope, half):
    grid = refine(coarse_globe())
    rng = np.random.default_rng(5)
    true, filtered = Spectrum(grid), Spectrum(grid)
    for _ in range(2):
        true.add(field_of(grid, slope, rng))
        filtered.add(field_of(grid, slope, rng, lambda wavelength: 0.5 ** ((half / wavelength) ** 4)))
    truth, found = true.result(), filtered.result()
    by_law = effective_resolution(found["wavelength"], found["power"], STEP)
    by_truth = effective_resolution(found["wavelength"], found["power"], STEP, truth["power"])
    assert by_law == pytest.approx(half, rel=0.05)
    assert by_truth == pytest.approx(half, rel=0.03)
    assert effective_resolution(truth["wavelength"], truth["power"], STEP) is None
    assert effective_resolution(truth["wavelength"], truth["power"], STEP, truth["power"]) is None


def test_what_cannot_be_told_is_none():
    wavelength = np.geomspace(600, 60, 20)
    assert effective_resolution(wavelength, wavelength**2, STEP) is None  # too short a box to fit
    long = np.geomspace(5000, 60, 40)
    assert effective_resolution(long, np.zeros(40), STEP) is None
    assert effective_resolution(np.array([]), np.array([]), STEP) is None
    # Without the power from the very first on, the answer is the longest wavelength looked at.
    assert effective_resolution(long, 0.1 * long**2, STEP, long**2) == long[long <= 40 * STEP][0]


def test_a_box_has_the_wavelengths_that_fit_into_it():
    spectrum = Spectrum(BOX)
    rng = np.random.default_rng(6)
    x = BOX.longitude / 60 * BOX.shape[1]
    for _ in range(40):
        spectrum.add(rng.normal(size=BOX.shape) + 0.5 * x)  # a strong trend must not leak
    found = spectrum.result()
    widest = EARTH * math.radians(0.25) * math.cos(math.radians(30))
    narrowest = EARTH * math.radians(0.25) * math.cos(math.radians(48))
    assert found["wavelength"].iloc[0] <= BOX.shape[1] * narrowest / 2
    assert found["wavelength"].iloc[-1] >= 2 * widest
    np.testing.assert_allclose(found["power"][5:], 2 * (widest + narrowest) / 2, rtol=0.1)
