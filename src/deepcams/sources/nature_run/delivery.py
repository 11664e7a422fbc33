"""The nature run's fields as files of the services: GEOS-CF on NASA's portal, CAMS EAC4 from the ADS.

Dimensions, names, units, order of the axes and packing are the services' own, so that the code that reads them cannot
tell; only the global attribute `synthetic` (and source and title) says what they are.
"""

import os
import tempfile
from pathlib import Path

import h5py
import netCDF4
import numpy as np
from isal import isal_zlib

from deepcams.files.atomic import atomic_path
from deepcams.grid.nodes import FACTOR, Grid

PORTAL_VARIABLE = "PM25_RH35_GCC"
FILL = np.float32(1e15)
PACKING_STEP = 0.4  # ug m-3; real files have 0.37 to 0.52
CLEANEST = 0.69  # ug m-3, below which CAMS has nothing


def portal_path(root: Path, time: np.datetime64, mean: bool) -> Path:
    """Where the portal keeps the file of a time: hourly means are stamped hh:30, instants hh:00."""
    day, clock = str(time.astype("datetime64[D]")).replace("-", ""), str(time)[11:13] + str(time)[14:16]
    collection = "aqc_tavg_1hr_g1440x721_v1" if mean else "htf_inst_15mn_g1440x721_x1"
    folder = f"portal/geos-cf/v1/ana/Y{day[:4]}/M{day[4:6]}/D{day[6:]}"
    return root / folder / f"GEOS-CF.v01.rpl.{collection}.{day}_{clock}z.nc4"


class Portal:
    """Writes the portal's hourly files below `root`: thousands alike, so each is a copy of one template with its own
    time and its own compressed field (made once, the HDF5 structure costs more than the data of a small box).
    """

    def __init__(self, root: Path, grid: Grid, label: str):
        self.root = root
        self._rows = np.argsort(grid.latitude)  # the portal runs south to north
        self._template = _template(grid, label)

    def write(self, time: np.datetime64, field: np.ndarray, mean: bool) -> Path:
        """Write one hour. field : (H, W) ug m-3, north to south. Returns the path."""
        path = portal_path(self.root, time, mean)
        values = rounded(field)[self._rows]
        shuffled = np.ascontiguousarray(values.reshape(-1).view(np.uint8).reshape(-1, 4).T)  # the HDF5 shuffle filter
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part.nc4")
        temporary = Path(name)
        try:
            os.fchmod(handle, 0o644)
            with os.fdopen(handle, "wb") as stream:
                stream.write(self._template)
            with h5py.File(temporary, "r+") as file:
                file["time"].attrs.modify("units", np.bytes_(_since(time)))
                file[PORTAL_VARIABLE].id.write_direct_chunk((0, 0, 0, 0), isal_zlib.compress(shuffled, 1))
            os.replace(temporary, path)  # the caller flushes all files of the month at once
        finally:
            temporary.unlink(missing_ok=True)
        return path


def _since(time: np.datetime64) -> str:
    return "minutes since " + str(time.astype("datetime64[s]")).replace("T", " ")


def _template(grid: Grid, label: str) -> bytes:
    """A portal file without its field."""
    longitude = grid.longitude
    if longitude[0] >= 180:
        longitude = longitude - 360  # a box across the date line goes on past 180°
    latitude = grid.latitude[::-1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.nc4"
        with netCDF4.Dataset(path, "w") as out:
            out.Conventions = "COARDS"
            out.Institution = "deepcams nature run"
            out.Source = f"SYNTHETIC: {label}"
            out.Title = "SYNTHETIC surface PM2.5 in the layout of GEOS-CF"
            out.synthetic = label
            for name, size in (("time", 1), ("lev", 1), ("lat", len(latitude)), ("lon", len(longitude))):
                out.createDimension(name, size)
            variable = out.createVariable("time", "i4", ("time",))
            variable.setncatts({"long_name": "time", "units": _since(np.datetime64("2000-01-01T00:00:00"))})
            variable[:] = 0
            for name, units, data in (
                ("lev", "layer", np.array([72.0])),
                ("lat", "degrees_north", latitude),
                ("lon", "degrees_east", longitude),
            ):
                variable = out.createVariable(name, "f8", (name,))
                variable.units = units
                variable[:] = data
            shape = (1, 1, len(latitude), len(longitude))
            dimensions = ("time", "lev", "lat", "lon")
            variable = out.createVariable(
                PORTAL_VARIABLE, "f4", dimensions, zlib=True, complevel=1, fill_value=FILL, chunksizes=shape
            )
            text = "Particulate_matter_with_diameter_below_2.5_um_RH_35"
            variable.setncatts({"long_name": text, "standard_name": text, "units": "ug m-3", "missing_value": FILL})
        return path.read_bytes()


def rounded(field: np.ndarray) -> np.ndarray:
    """Mantissas of ten bits, as GEOS-CF stores them: float32 like `field`."""
    bits = np.ascontiguousarray(field, np.float32).view(np.uint32)
    bits = bits + np.uint32(0xFFF) + ((bits >> np.uint32(13)) & np.uint32(1))
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)


def write_ads(path: Path, times: np.ndarray, frames: np.ndarray, grid: Grid, label: str) -> None:
    """Write a month as the ADS delivers it. frames : (T, h, w) ug m-3 on coarse nodes; kg m-3, packed, in the file."""
    longitude = grid.longitude
    if grid.is_periodic:  # without an area the service starts at Greenwich
        frames = np.roll(frames, -len(longitude) // 2, axis=-1)
        longitude = np.arange(len(longitude)) * grid.step
    with atomic_path(path) as temporary, netCDF4.Dataset(temporary, "w") as out:
        out.Conventions = "CF-1.7"
        out.institution = "deepcams nature run"
        out.title = "SYNTHETIC surface PM2.5 in the layout of CAMS EAC4"
        out.source = f"SYNTHETIC: {label}"
        out.synthetic = label
        for name, size in (("valid_time", len(times)), ("latitude", grid.shape[0]), ("longitude", grid.shape[1])):
            out.createDimension(name, size)
        variable = out.createVariable("number", "i8", ())
        variable.setncatts({"long_name": "ensemble member numerical id", "units": "1", "standard_name": "realization"})
        variable[...] = 0
        variable = out.createVariable("valid_time", "i8", ("valid_time",))
        variable.setncatts({"long_name": "time", "standard_name": "time", "units": "seconds since 1970-01-01"})
        variable.calendar = "proleptic_gregorian"
        variable[:] = times.astype("datetime64[s]").astype(np.int64)
        for name, units, data in (
            ("latitude", "degrees_north", grid.latitude),
            ("longitude", "degrees_east", longitude),
        ):
            variable = out.createVariable(name, "f8", (name,), fill_value=np.nan)
            variable.setncatts({"units": units, "standard_name": name, "long_name": name})
            variable[:] = data
        out["latitude"].stored_direction = "decreasing"
        variable = out.createVariable("expver", str, ("valid_time",))
        variable[:] = np.array(["0001"] * len(times), dtype=object)
        dimensions = ("valid_time", "latitude", "longitude")
        variable = out.createVariable("pm2p5", "f4", dimensions, zlib=True, complevel=1, fill_value=np.float32(np.nan))
        variable.setncatts(
            {
                "GRIB_paramId": np.int64(210073),
                "GRIB_shortName": "pm2p5",
                "units": "kg m**-3",
                "standard_name": "unknown",
            }
        )
        variable.long_name = "Particulate matter d <= 2.5 um"
        variable.coordinates = "number valid_time latitude longitude expver"
        variable[:] = (packed(frames) * 1e-9).astype(np.float32)


def packed(field: np.ndarray) -> np.ndarray:
    """CAMS's values of a field in ug m-3: remote air is cleaner there, and packing leaves whole steps, to nearest.

    Of EAC4's cells 11 to 13 % are nought once packed, in GEOS-CF none is below 0.2 ug m-3. √(q² - c²) takes the
    cleanest air away and hardly touches what is polluted: 0.1 at 2.5, 0.01 at 25 ug m-3.
    """
    return np.rint(np.sqrt(np.maximum(np.square(field) - CLEANEST**2, 0.0)) / PACKING_STEP) * PACKING_STEP


def spectral_sample(field: np.ndarray, fine: Grid, coarse: Grid) -> np.ndarray:
    """A fine field as a spectral model of about 80 km would hold it, at the coarse nodes: (h, w) float32.

    A triangular kernel, 5 fine nodes wide from south to north and equally many kilometres from west to east. No
    operator of training is like this.
    """
    data = np.asarray(field, np.float32)
    rows = np.pad(data, ((2, 2), (0, 0)), "reflect")
    height = data.shape[0]
    smooth = sum(w * rows[k : k + height] for k, w in enumerate((1, 2, 3, 2, 1))) / 9
    smooth = smooth[::FACTOR]
    widths = np.minimum(np.round(3 / np.maximum(np.cos(np.radians(coarse.latitude)), 0.1)), 15).astype(int)
    reach = int(widths.max())
    wide = np.pad(smooth, ((0, 0), (reach, reach)), "wrap" if fine.is_periodic else "edge")
    columns = coarse.shape[1]
    out = np.empty(coarse.shape, np.float32)
    for width in np.unique(widths):
        chosen = wide[widths == width]
        total = np.zeros((len(chosen), columns), np.float32)
        for shift in range(1 - width, width):
            first = reach + shift
            total += (width - abs(shift)) * chosen[:, first : first + FACTOR * (columns - 1) + 1 : FACTOR]
        out[widths == width] = total / width**2
    for row, is_pole in ((0, coarse.has_north_pole), (-1, coarse.has_south_pole)):
        if is_pole:
            out[row] = out[row].mean()
    return out
