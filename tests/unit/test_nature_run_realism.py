"""The nature run looks like GEOS-CF: the figures that matter to downscaling, for two seeds and times of day."""

import numpy as np
import pytest
from netCDF4 import Dataset

from deepcams.sources.nature_run.realism import measure
from deepcams.sources.nature_run.simulate import NatureRun
from deepcams.sources.nature_run.write import hourly

# Four consecutive hourly means of GEOS-CF, western hemisphere, an 8 March.
REAL_WEST = {
    "frame_correlation": 0.9911,
    "linear_error": 0.0579,
    "block_bicubic_error": 0.1083,
    "spectral_slope": -1.894,
    "percentile_1": 0.4255,
    "percentile_50": 1.921,
    "percentile_99": 42.43,
}
# Ranges around what the same four hours gave on the whole globe (0.985, 0.104, 0.142).
GLOBE = {"frame_correlation": (0.975, 0.99), "linear_error": (0.08, 0.13), "block_bicubic_error": (0.11, 0.18)}


@pytest.fixture(scope="module", params=[(7, "2018-03-08T00:00:00"), (11, "2019-03-09T06:00:00")], ids=["7", "11"])
def frames(request) -> np.ndarray:
    seed, first = request.param
    first = np.datetime64(first)
    run = NatureRun(seed, first - np.timedelta64(24, "h"))
    run.run_until(first)
    return np.stack([hourly(run)[1] for _ in range(4)])


@pytest.mark.slow
def test_the_globe_changes_in_time_and_space_as_geoscf_does(frames):
    figures = measure(frames, periodic=True)
    outside = {name: figures[name] for name, (low, high) in GLOBE.items() if not low <= figures[name] <= high}
    assert not outside, figures


@pytest.mark.slow
def test_the_western_hemisphere_has_the_spectrum_and_the_values_of_the_sample(frames):
    figures = measure(frames[:, :, :720], periodic=False)
    assert abs(figures["spectral_slope"] - REAL_WEST["spectral_slope"]) <= 0.3, figures
    for name in ("percentile_1", "percentile_50", "percentile_99"):
        assert 0.5 <= figures[name] / REAL_WEST[name] <= 2, (name, figures)


@pytest.mark.slow
def test_fields_are_clean_somewhere_and_never_impossible(frames):
    assert np.isfinite(frames).all()
    assert 0.2 < frames.min() < 0.6
    assert 200 < frames.max() < 4000
    assert 7.5 / 2 < frames.mean() < 7.5 * 2


@pytest.mark.real
def test_the_reference_figures_are_those_of_the_sample(real_samples):
    with Dataset(real_samples / "geoscf_pm25_west_4h.nc") as sample:
        real = sample["PM25_RH35_GCC"][:, 0].filled(np.nan)[:, ::-1]
    figures = measure(real, periodic=False)
    for name, value in REAL_WEST.items():
        assert figures[name] == pytest.approx(value, rel=2e-3), name
