"""What stands in a field file besides the field's numbers: axes, attributes, small variables; made and read back.

The skeleton is written by the netCDF library itself, so that dimension scales, unlimited time and property lists are
exactly what every netCDF reader expects.
"""

from dataclasses import dataclass, field
from pathlib import Path

import netCDF4
import numpy as np

EPOCH = np.datetime64("1970-01-01T00:00:00", "s")
TIME_UNITS = "hours since 1970-01-01 00:00:00"
DIMENSIONS = ("time", "latitude", "longitude")
_LONGEST = 1 << 20  # steps of an axis; a damaged file may state any number
_SMALL_TIME_CHUNK = 1024  # of variables along time alone

COORDINATE_ATTRIBUTES = {
    "time": {
        "standard_name": "time",
        "long_name": "time (UTC)",
        "units": TIME_UNITS,
        "calendar": "standard",
        "units_metadata": "leap_seconds: none",
        "axis": "T",
    },
    "latitude": {
        "standard_name": "latitude",
        "long_name": "latitude of the grid node",
        "units": "degrees_north",
        "axis": "Y",
    },
    "longitude": {
        "standard_name": "longitude",
        "long_name": "longitude of the grid node",
        "units": "degrees_east",
        "axis": "X",
    },
}


@dataclass(frozen=True, eq=False)
class Extra:
    """A small variable beside the field: bounds, flags, a grid mapping.

    dimensions : () for a container such as `crs`; names beyond time, latitude and longitude become new dimensions of
    the size that `values` has there.  Variables along time must have time first; joining files joins them.
    """

    name: str
    dimensions: tuple[str, ...]
    values: np.ndarray
    attributes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Layout:
    """A field file without the field's numbers.

    times : (T,) datetime64[s].  latitude : (H,) and longitude : (W,) float64 degrees.  chunk : (time, lat, lon).
    """

    variable: str
    times: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    chunk: tuple[int, int, int]
    level: int
    attributes: dict[str, object]
    coordinate_attributes: dict[str, dict[str, object]]
    extra: tuple[Extra, ...]
    global_attributes: dict[str, object]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W) of the field."""
        return len(self.times), len(self.latitude), len(self.longitude)


def to_hours(times: np.ndarray) -> np.ndarray:
    """datetime64 → float64 hours since 1970; exact for hh:00, hh:30 and every multiple of 15 minutes / 2^k."""
    return (times.astype("datetime64[s]") - EPOCH).astype(np.int64) / 3600.0


def from_hours(hours: np.ndarray) -> np.ndarray:
    """float64 hours since 1970 → datetime64[s]."""
    return EPOCH + np.rint(np.asarray(hours, dtype=np.float64) * 3600.0).astype(np.int64).astype("timedelta64[s]")


def create(path: Path, layout: Layout) -> None:
    """Write the skeleton of `layout`: everything but the field's numbers, whose time extent is still 0 in HDF5."""
    with netCDF4.Dataset(path, "w", format="NETCDF4") as dataset:
        dataset.setncatts(layout.global_attributes)
        dataset.createDimension("time", None)
        dataset.createDimension("latitude", len(layout.latitude))
        dataset.createDimension("longitude", len(layout.longitude))
        axes = {"time": to_hours(layout.times), "latitude": layout.latitude, "longitude": layout.longitude}
        for name, values in axes.items():
            chunk = (_SMALL_TIME_CHUNK,) if name == "time" else None
            variable = dataset.createVariable(name, "f8", (name,), chunksizes=chunk)
            variable.setncatts(layout.coordinate_attributes[name])
            variable[:] = values
        for extra in layout.extra:
            _create_extra(dataset, extra)
        target = dataset.createVariable(
            layout.variable,
            "f4",
            DIMENSIONS,
            zlib=True,
            complevel=max(1, layout.level),
            shuffle=True,
            fletcher32=False,
            endian="little",
            chunksizes=layout.chunk,
            fill_value=np.float32(np.nan),
        )
        target.setncatts(layout.attributes)


def amend(path: Path, global_attributes: dict[str, object]) -> None:
    """Add or replace global attributes of a finished file."""
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.setncatts(global_attributes)


def read(path: Path, variable: str | None = None) -> Layout:
    """Read back the layout of a field file. Raises KeyError with the reason in words if it holds no field (time,
    latitude, longitude), several, or not `variable`, and whatever the library comes upon if it is damaged.
    """
    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_maskandscale(False)
        fields = [name for name, item in dataset.variables.items() if item.dimensions == DIMENSIONS]
        if len(fields) != 1 or (variable is not None and fields != [variable]):
            wanted = variable or "one field"
            raise KeyError(f"{wanted} over (time, latitude, longitude) was expected, found {fields or 'none'}")
        item = dataset.variables[fields[0]]
        units = str(getattr(dataset.variables["time"], "units", ""))
        if units != TIME_UNITS:
            raise KeyError(f"time is in {units!r} where {TIME_UNITS!r} was expected")
        if not 0 < min(item.shape) <= max(item.shape) <= _LONGEST:
            raise KeyError(f"the field has the shape {item.shape}")
        extra = tuple(
            Extra(name, other.dimensions, other[...].copy(), _attributes(other))
            for name, other in dataset.variables.items()
            if name not in (*DIMENSIONS, fields[0])
        )
        filters = item.filters() or {}
        chunk = item.chunking()
        if chunk == "contiguous" or not filters.get("zlib") or not filters.get("shuffle") or filters.get("fletcher32"):
            raise KeyError("the field is not stored as shuffled deflate chunks")
        return Layout(
            variable=fields[0],
            times=from_hours(dataset.variables["time"][...]),
            latitude=dataset.variables["latitude"][...].astype(np.float64),
            longitude=dataset.variables["longitude"][...].astype(np.float64),
            chunk=tuple(chunk),
            level=filters["complevel"],
            attributes=_attributes(item),
            coordinate_attributes={name: _attributes(dataset.variables[name]) for name in DIMENSIONS},
            extra=extra,
            global_attributes={name: dataset.getncattr(name) for name in dataset.ncattrs()},
        )


def _create_extra(dataset: netCDF4.Dataset, extra: Extra) -> None:
    values = np.asarray(extra.values)
    for name, size in zip(extra.dimensions, values.shape, strict=True):
        if name not in dataset.dimensions:
            dataset.createDimension(name, size)
    chunk = None
    if extra.dimensions[:1] == ("time",):
        chunk = (_SMALL_TIME_CHUNK, *values.shape[1:])
    variable = dataset.createVariable(extra.name, values.dtype, extra.dimensions, chunksizes=chunk)
    variable.setncatts(extra.attributes)
    variable.set_auto_maskandscale(False)
    variable[...] = values


def _attributes(variable: netCDF4.Variable) -> dict[str, object]:
    return {name: variable.getncattr(name) for name in variable.ncattrs() if name != "_FillValue"}
