"""How much a field looks like GEOS-CF: the same few numbers for real and synthetic hours.

They are what matters to downscaling: how fast fields change, how well a straight line in time and a cubic in space
already do, how much variance the small scales hold, and which values occur.
"""

from itertools import pairwise

import numpy as np

# Total zonal wavenumbers between which the slope of the spectrum is fitted.
LOWEST_WAVENUMBER, HIGHEST_WAVENUMBER = 20, 200


def frame_correlation(frames: np.ndarray) -> float:
    """Mean Pearson correlation of consecutive frames. frames : (T, H, W), T > 1."""
    return float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairwise(frames)]))


def linear_error(frames: np.ndarray) -> float:
    """RMSE over σ of linear interpolation in time. frames : (4, H, W), the first and last given, two predicted."""
    first, *between, last = frames.astype(np.float64)
    errors = [
        np.sqrt(np.mean((first + (last - first) * k / 3 - frame) ** 2)) / frame.std()
        for k, frame in enumerate(between, start=1)
    ]
    return float(np.mean(errors))


def block_bicubic_error(frame: np.ndarray, periodic: bool) -> float:
    """RMSE over σ of Keys' cubic (a = -1/2) from 3×3 means around every third node back to all nodes.

    frame : (3n + 1, W).  periodic : whether columns wrap; if not, W is cut to 3m + 1.
    """
    field = frame.astype(np.float64)
    if not periodic:
        field = field[:, : 3 * ((field.shape[1] - 1) // 3) + 1]
    field = field[: 3 * ((field.shape[0] - 1) // 3) + 1]
    coarse = _thin(_thin(field, 0, False), 1, periodic)
    back = _refine(_refine(coarse, 0, False), 1, periodic)
    return float(np.sqrt(np.mean((back - field) ** 2)) / field.std())


def zonal_spectrum(frame: np.ndarray, span: float, latitudes: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Mean power of log(field) along rows, tapered by a Hann window.

    frame : (H, W) > 0 over `span` degrees of longitude.  Returns zonal wavenumber (around the globe) and power.
    """
    field = np.log(frame[latitudes].astype(np.float64))
    width = field.shape[1]
    window = np.hanning(width)
    field = (field - field.mean(1, keepdims=True)) * window
    power = (np.abs(np.fft.rfft(field, axis=1)) ** 2).mean(0) / (window**2).sum()
    return np.arange(len(power)) * 360.0 / span, power


def spectral_slope(frame: np.ndarray, span: float) -> float:
    """Slope of log power against log wavenumber between 20 and 200, rows between 60°N and 60°S of a global column.

    Power is averaged in 12 logarithmic bins first, so that the many high wavenumbers do not rule the fit.
    """
    rows = frame.shape[0]
    number, power = zonal_spectrum(frame, span, slice(rows // 6, rows - rows // 6))
    edges = np.geomspace(LOWEST_WAVENUMBER, HIGHEST_WAVENUMBER, 13)
    centres, means = [], []
    for low, high in pairwise(edges):
        inside = (number >= low) & (number < high)
        if inside.any():
            centres.append(np.log(number[inside]).mean())
            means.append(np.log(power[inside].mean()))
    return float(np.polyfit(centres, means, 1)[0])


def percentiles(frames: np.ndarray) -> np.ndarray:
    """The 1st, 50th and 99th percentile: (3,)."""
    return np.percentile(frames, [1, 50, 99])


def measure(frames: np.ndarray, periodic: bool) -> dict[str, float]:
    """All figures of four consecutive hours. frames : (4, 721, W), ug m-3, a whole globe if `periodic`."""
    low, middle, high = percentiles(frames)
    span = 360.0 if periodic else 0.25 * frames.shape[2]
    return {
        "frame_correlation": frame_correlation(frames),
        "linear_error": linear_error(frames),
        "block_bicubic_error": float(np.mean([block_bicubic_error(frame, periodic) for frame in frames])),
        "spectral_slope": spectral_slope(frames[0], span),
        "percentile_1": float(low),
        "percentile_50": float(middle),
        "percentile_99": float(high),
        "minimum": float(frames.min()),
        "mean": float(frames.mean()),
        "maximum": float(frames.max()),
    }


def _thin(field: np.ndarray, axis: int, periodic: bool) -> np.ndarray:
    field = np.moveaxis(field, axis, 0)
    padded = np.concatenate([field[-1:], field, field[:1]]) if periodic else np.pad(field, ((1, 1), (0, 0)), "reflect")
    return np.moveaxis((padded[0:-2:3] + padded[1:-1:3] + padded[2::3]) / 3, 0, axis)


def _refine(field: np.ndarray, axis: int, periodic: bool) -> np.ndarray:
    field = np.moveaxis(field, axis, 0)
    padded = np.concatenate([field[-1:], field, field[:2]]) if periodic else np.pad(field, ((1, 2), (0, 0)), "edge")
    count = len(field)
    out = np.empty((3 * count, field.shape[1]))
    for phase in range(3):
        t = phase / 3
        # Keys 1981, a = -1/2
        weights = (
            -0.5 * t + t**2 - 0.5 * t**3,
            1 - 2.5 * t**2 + 1.5 * t**3,
            0.5 * t + 2 * t**2 - 1.5 * t**3,
            -0.5 * t**2 + 0.5 * t**3,
        )
        out[phase::3] = sum(w * padded[k : k + count] for k, w in enumerate(weights))
    return np.moveaxis(out if periodic else out[: 3 * (count - 1) + 1], 0, axis)
