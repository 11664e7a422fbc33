"""Small inputs of station fusion: networks before training, measurements, months of the product, climatologies.

An untaught network of the corrected recipe is PointConv alone, which `spread_out` computes with SciPy.
"""

import numpy as np
import xarray as xr
from scipy.ndimage import correlate, maximum_filter

from deepcams.files.netcdf import Encoding, write_field
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.models import catalogue, checkpoint
from deepcams.training.climatology import write_climatology

HOUR = np.timedelta64(3600, "s")
GRID = refine(coarse_grid(Region(north=15, west=0, south=3, east=15)))  # 49 × 61 nodes, zones 0 and 1
SETTINGS = {"variables": [], "static": [], "features": 2, "recipe": "corrected", "reading": "corrected"}


def untaught(path, background="none", variables=(), provenance=None):
    settings = SETTINGS | {"background": background, "variables": list(variables)}
    weights = catalogue.make("fusion", "pointconv_unetpp", settings).state_dict()
    weights = {name: tensor.numpy() for name, tensor in weights.items()}
    about = provenance or {"pollutant": "pm25", "synthetic": None}
    checkpoint.save(path, "fusion", "pointconv_unetpp", settings=settings, weights=weights, provenance=about)
    return path


def write_stations(path, places, times, value, name="Station {}", header="id,lat,lon,time,pm25"):
    """A plain table: an hour's mean at each of `places` (latitude, longitude) at each of the times."""
    rows = [header + ",name"]
    for number, (latitude, longitude) in enumerate(places):
        for step, time in enumerate(times):
            rows.append(f"s{number},{latitude},{longitude},{time}Z,{value(number, step)},{name.format(number)}")
    path.write_text("\n".join(rows) + "\n")
    return path


def hours(first, count):
    """Ends of hours from the one after `first`: (count,) datetime64[s]."""
    return np.datetime64(first, "s") + HOUR * np.arange(1, count + 1)


def write_product(path, instants, values, grid=GRID, name="pm25", units="ug m-3", **attributes):
    """Instants of a field as the product has them."""
    axes = {"time": instants, "latitude": grid.latitude, "longitude": grid.longitude}
    field = xr.DataArray(np.asarray(values, np.float32), axes, ("time", "latitude", "longitude"), name)
    write_field(path, field.assign_attrs(units=units, **attributes), Encoding())
    return path


def write_means(path, grid=GRID, **months):
    """A climatology of one number a month, as m1=5.0."""
    fields = {int(name[1:]): np.full(grid.shape, value, np.float32) for name, value in months.items()}
    write_climatology(path, fields, grid)
    return path


def spread_out(values, valid, background=None):
    """What an untaught network makes of values (H, W) where `valid`: float64, ug m-3. Nothing beyond the edges."""

    def summed(field, size):
        away = (np.arange(size) - size // 2) ** 2
        kernel = np.maximum(np.exp(-(away[:, None] + away) / (2 * 1.5**2)), 1e-3)
        return correlate(np.asarray(field, np.float64), kernel, mode="constant")

    there = np.asarray(valid, np.float64)
    seen = np.where(valid, np.arcsinh(values) - (0 if background is None else np.arcsinh(background)), 0.0)
    support = maximum_filter(there, 21, mode="constant")
    first = summed(seen, 21) / (summed(there, 21) + 1e-6)
    second = summed(first * support, 11) / (summed(support, 11) + 1e-6)
    found = np.where(support > 0, (first + second) / 2, second) * maximum_filter(support, 11, mode="constant")
    if background is not None:
        away = (np.arange(31) - 15) ** 2
        bump = 20 * np.maximum(1 - (away[:, None] + away) / 15**2, 0) ** 2
        share = 1 - np.exp(-correlate(there, bump, mode="constant"))
        found = np.arcsinh(background) + share * found
    return np.sinh(np.maximum(found, 0))
