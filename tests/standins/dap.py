"""A GrADS data server on loopback: one data set with the whole record along one time axis, over DAP2, out of a folder
laid out like NASA's portal.

The protocol is spoken by pydap's own server code; the axis, the names cut to 15 characters and the missing `units` are
those of a GrADS server.
"""

import warnings
from pathlib import Path

import h5py
import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap is built on, imports cgi
    import webob
    from pydap.handlers.lib import BaseHandler
    from pydap.model import BaseType, DatasetType, GridType

from tests.standins.server import Answer, Request, Server

FILL = np.float32(1e15)


class Dap(Server):
    """Serves the files of one collection below `folder`; the base address is `root`.

    units : attribute of the variable; a GrADS server gives none.  fills : whether attributes tell what 1e15 means.
    factor : of the values.
    """

    def __init__(self, folder: str | Path, collection: str, variable: str, *, units=None, fills=True, factor=1.0):
        super().__init__(self._dods)
        self.root = f"{self.url}/dods/gmao/geos-cf"
        version = "v2/ana" if "_glo_" in collection else "assim"
        self._path = f"/dods/gmao/geos-cf/{version}/{collection}"
        self._handler = _Handler(_dataset(Path(folder), collection, variable, units, fills, factor))

    def calls(self, kind: str = "dods") -> list[Request]:
        return self.asked(rf"\.{kind}$")

    def _dods(self, request: Request) -> Answer:
        if not request.path.startswith(self._path + "."):
            return Answer(404)
        query = next(iter(request.query), "")  # DAP2's constraints are no name=value pairs
        response = webob.Request.blank(f"{request.path}?{query}").get_response(self._handler)
        return Answer(response.status_int, response.body, {"Content-Type": response.content_type, "XDODS-Server": "x"})


class _Handler(BaseHandler):
    def __init__(self, dataset: DatasetType):
        super().__init__(dataset)


def _dataset(folder: Path, collection: str, variable: str, units, fills: bool, factor: float) -> DatasetType:
    found = {}
    for path in folder.rglob(f"*.{collection}.*.nc4"):
        stamp = path.name.split(".")[-2 if path.name.count(".R") == 0 else -3][:-1]
        day, clock = stamp.split("_")
        found[np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:]}", "m")] = path
    first, last = min(found), max(found)
    times = np.arange(first, last + 1, 60)  # linear: a lacking file is a frame of fills
    with h5py.File(found[first], "r") as file:
        latitude, longitude = file["lat"][...], file["lon"][...]
    values = np.full((len(times), 1, len(latitude), len(longitude)), FILL, np.float32)
    for index, time in enumerate(times):
        if time in found:
            with h5py.File(found[time], "r") as file:
                frame = file[variable][0, 0]
            values[index, 0] = np.where(frame == FILL, FILL, frame * np.float32(factor))
    # Day 736696 is 2018-01-01 in the calendar with the old leap years; three microseconds are lost on the way.
    days = 736696 + (times - np.datetime64("2018-01-01T00:00", "m")) / np.timedelta64(1440, "m") + 3e-11
    axes = {
        "time": (days, {"units": "days since 1-1-1 00:00:0.0", "long_name": "time", "grads_dim": "t"}),
        "lev": (np.array([72.0]), {"units": "millibar", "long_name": "altitude", "grads_dim": "z"}),
        "lat": (latitude, {"units": "degrees_north", "grads_dim": "y"}),
        "lon": (longitude, {"units": "degrees_east", "grads_dim": "x"}),
    }
    name = variable.lower()[:15]
    attributes = {"long_name": "** surface **"}
    if units:
        attributes["units"] = units
    if fills:
        attributes |= {"_FillValue": FILL, "missing_value": FILL}
    dataset = DatasetType(collection)
    for axis, (data, about) in axes.items():
        dataset[axis] = BaseType(axis, data, dimensions=(axis,), attributes=about)
    grid = GridType(name, attributes=attributes)
    grid[name] = BaseType(name, values, dimensions=tuple(axes), attributes=attributes)
    for axis, (data, about) in axes.items():
        grid[axis] = BaseType(axis, data, dimensions=(axis,), attributes=about)
    dataset[name] = grid
    return dataset
