"""The skeleton of a fused file: as that of a field file, with a second field beside the first."""

from pathlib import Path

import netCDF4
import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.files import layout
from deepcams.files.layout import DIMENSIONS, TIME_UNITS, Extra, Layout
from deepcams.fusion.fused_attributes import DISTANCE, STATIONS, TIME_BOUNDS

REQUIRED = (TIME_BOUNDS, STATIONS, "lat_bnds", "lon_bnds", "crs")


def create(path: Path, about: Layout, of_distance: dict[str, object]) -> None:
    """Write the skeleton of `about` and a second field of the same chunks, with the attributes `of_distance`."""
    layout.create(path, about)
    with netCDF4.Dataset(path, "a") as dataset:
        distance = dataset.createVariable(
            DISTANCE,
            "f4",
            DIMENSIONS,
            zlib=True,
            complevel=max(1, about.level),
            shuffle=True,
            fletcher32=False,
            endian="little",
            chunksizes=about.chunk,
            fill_value=np.float32(np.nan),
        )
        distance.setncatts(of_distance)


def read(path: str | Path) -> tuple[Layout, dict[str, object]]:
    """The layout of a fused file, but for its second field, and the attributes of that.

    Raises DeepcamsError if it cannot be opened or is none.
    """
    try:
        with netCDF4.Dataset(path) as dataset:
            dataset.set_auto_maskandscale(False)
            return _read(path, dataset)
    except (OSError, RuntimeError) as error:
        raise DeepcamsError(
            f"{path} cannot be opened as NetCDF; it is damaged, cut short or no such file ({error}). Delete it and run "
            "the step that makes it again."
        ) from error


def _read(path: str | Path, dataset: netCDF4.Dataset) -> tuple[Layout, dict[str, object]]:
    fields = [name for name, item in dataset.variables.items() if item.dimensions == DIMENSIONS]
    others = [name for name in fields if name != DISTANCE]
    absent = [name for name in (*REQUIRED, DISTANCE, *DIMENSIONS) if name not in dataset.variables]
    if absent or len(others) != 1:
        raise DeepcamsError(
            f"{path} is not a fused file of this workflow: it has the fields {', '.join(fields) or 'none'}"
            + (f" and lacks {', '.join(absent)}." if absent else ".")
        )
    items = [dataset.variables[name] for name in (others[0], DISTANCE)]
    stored = [(tuple(item.chunking()), item.filters()) for item in items]
    chunk, filters = stored[0]
    units = getattr(dataset.variables["time"], "units", "")
    if stored[1] != stored[0] or not (filters["zlib"] and filters["shuffle"]) or units != TIME_UNITS:
        raise DeepcamsError(f"{path} is not stored as fused files of this workflow are. Delete it and make it again.")
    extra = tuple(
        Extra(name, item.dimensions, item[...].copy(), _attributes(item))
        for name, item in dataset.variables.items()
        if name not in (*DIMENSIONS, *fields)
    )
    about = Layout(
        variable=others[0],
        times=layout.from_hours(dataset.variables["time"][...]),
        latitude=dataset.variables["latitude"][...].astype(np.float64),
        longitude=dataset.variables["longitude"][...].astype(np.float64),
        chunk=chunk,
        level=filters["complevel"],
        attributes=_attributes(items[0]),
        coordinate_attributes={name: _attributes(dataset.variables[name]) for name in DIMENSIONS},
        extra=extra,
        global_attributes={name: dataset.getncattr(name) for name in dataset.ncattrs()},
    )
    return about, _attributes(items[1])


def small(about: Layout, name: str) -> np.ndarray:
    """The values of a small variable."""
    return next(item.values for item in about.extra if item.name == name)


def _attributes(variable: netCDF4.Variable) -> dict[str, object]:
    return {name: variable.getncattr(name) for name in variable.ncattrs() if name != "_FillValue"}
