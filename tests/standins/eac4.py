"""Files as the Atmosphere Data Store makes them, small: the converter's NetCDF, zipped, on a box of EAC4's nodes."""

import io
import zipfile

import netCDF4
import numpy as np

from deepcams.calendar import Month
from deepcams.grid.nodes import Region, coarse_grid

BOX = coarse_grid(Region(30.0, 90.0, 25.5, 96.0))
STEP = np.timedelta64(3, "h")


def asked_times(month: Month, with_next: bool = True) -> np.ndarray:
    """All frames of a request for a month: the whole next day too."""
    return np.arange(month.start, month.end + (np.timedelta64(24, "h") if with_next else np.timedelta64(0, "h")), STEP)


def concentrations(times: np.ndarray, shape=BOX.shape) -> np.ndarray:
    """(T, H, W) ug m-3, different at every time and place."""
    hours = times.astype("datetime64[h]").astype(np.int64)[:, None, None]
    return 5 + np.sin(hours / 17.0) + np.arange(shape[0] * shape[1]).reshape(shape) / 50


def netcdf(times, values, *, name="pm2p5", units="kg m**-3", grid=BOX, scale=1e-9) -> bytes:
    """A file in the layout that EAC4 is expected in; values in ug m-3."""
    dataset = netCDF4.Dataset("memory", "w", memory=1 << 20)
    dataset.Conventions = "CF-1.7"
    for axis, size in (("valid_time", len(times)), ("latitude", grid.shape[0]), ("longitude", grid.shape[1])):
        dataset.createDimension(axis, size)
    for axis in ("latitude", "longitude"):
        dataset.createVariable(axis, "f8", (axis,), fill_value=np.nan)[:] = getattr(grid, axis)
    dataset.createVariable("number", "i8", ())[...] = 0
    time = dataset.createVariable("valid_time", "i8", ("valid_time",))
    time.setncatts({"standard_name": "time", "units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"})
    time[:] = times.astype("datetime64[s]").astype(np.int64)
    field = dataset.createVariable(
        name, "f4", ("valid_time", "latitude", "longitude"), zlib=True, complevel=1, fill_value=np.nan
    )
    field.units = units
    field[:] = values * scale
    return bytes(dataset.close())


def zipped(content: bytes, name: str = "data_sfc.nc") -> bytes:
    """An archive around one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def delivery(month: Month, **options) -> bytes:
    """What the service sends for a month, the whole next day with it."""
    times = asked_times(month)
    return zipped(netcdf(times, concentrations(times, options.get("grid", BOX).shape), **options))
