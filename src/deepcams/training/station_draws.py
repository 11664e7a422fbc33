"""Random stations, and backgrounds with errors that are made up: what a fusion network learns from beside the fields.

published   as in Lyu et al. (2022): 1,500 to 2,500 cells of their domain of 22.8 million km², everywhere alike
corrected   networks of stations are dense in some places and sparse in others: from one in 2,000 to one in 100,000 km²,
            and in half of the examples clustered
"""

import math

import numpy as np
from scipy import ndimage

PAPER_STATIONS = (1500, 2500)
PAPER_AREA = 372 * 426 * 12.0**2  # km²
SPARSE, DENSE = 1 / 100_000, 1 / 2_000  # stations per km²
CLUSTERED = 0.5  # of the examples
CLUSTER_WIDTHS = (3.0, 15.0)  # nodes
CLUSTER_STRENGTH = 1.2  # standard deviation of the logarithm of the density
NEVER = 0.1  # of the examples, in which a variable beside the pollutant is not observed at all
NOISE = 0.1  # largest relative deviation of a station from the mean of its cell

BLUR = 6.0  # nodes, the widest
DAYS_OFF = 0.25  # of the backgrounds are of another day
DRIFT = 0.5  # largest standard deviation of the logarithm of a background's regional error
DRIFT_WIDTHS = (4.0, 40.0)  # nodes
BIAS = 0.5  # largest standard deviation of the logarithm of its error everywhere


def uniform(areas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Stations at the density of the paper's domain: areas (h, w) of cells, km² → (h, w) bool."""
    count = random.uniform(*PAPER_STATIONS)
    return random.random(areas.shape) < count / PAPER_AREA * areas


def clustered(areas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Stations at a density drawn anew, in half of the cases in clusters: areas (h, w), km² → (h, w) bool."""
    density = math.exp(random.uniform(math.log(SPARSE), math.log(DENSE))) * areas
    if random.random() < CLUSTERED:
        wave = np.exp(CLUSTER_STRENGTH * _waves(areas.shape, random, CLUSTER_WIDTHS))
        density = density * wave / wave.mean()
    return random.random(areas.shape) < density


def measured(fields: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """What stations in cells measure, whose means are `fields`: each differs by a noise of its own."""
    spread = random.uniform(0, NOISE)
    return fields * (1 + spread * random.standard_normal(fields.shape)).clip(0, None).astype(np.float32)


def erring(field: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A background as a reanalysis might give it: (h, w), blurred, and too high in some regions, too low in others."""
    blurred = ndimage.gaussian_filter(field, random.uniform(0, BLUR), mode="nearest")
    drift = random.uniform(0, DRIFT) * _waves(field.shape, random, DRIFT_WIDTHS)
    bias = random.uniform(0, BIAS) * random.standard_normal()
    return (blurred * np.exp(drift + bias)).astype(np.float32)


def _waves(shape: tuple[int, ...], random: np.random.Generator, widths: tuple[float, float]) -> np.ndarray:
    """A smooth random field of mean 0 and standard deviation 1."""
    smooth = ndimage.gaussian_filter(random.standard_normal(shape), random.uniform(*widths), mode="wrap")
    return (smooth - smooth.mean()) / (smooth.std() + 1e-12)
