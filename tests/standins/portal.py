"""NASA's portal on loopback: real paths and names, out of a folder laid out like it (a nature run's `portal/` is one).

It can also serve what that folder does not have, made from PM2.5 by plain arithmetic: the gases beside it, version 2,
and meteorology.
"""

import io
import re
from pathlib import Path

import h5py
import numpy as np

from tests.standins.server import Answer, Request, Server

PREFIX = "/datashare/gmao"
PM25 = "PM25_RH35_GCC"
_GASES = {
    "O3": (lambda v: (20 + v / 10) * 1e-9, "mol mol-1"),
    "NO2": (lambda v: v / 5 * 1e-9, "mol mol-1"),
    "CO": (lambda v: (50 + 5 * v) * 1e-9, "mol mol-1"),
    "SO2": (lambda v: v / 20 * 1e-9, "mol mol-1"),
}
# For each collection its variables, made from PM2.5 (ug m-3), and their units.
FIELDS = {
    "aqc_tavg_1hr_g1440x721_v1": {PM25: (lambda v: v, "ug m-3"), **_GASES},
    "htf_inst_15mn_g1440x721_x1": {PM25: (lambda v: v, "ug m-3"), **_GASES},
    "aqc_tavg_1hr_glo_L1440x721_slv": {
        "PM25_RH35": (lambda v: v, "ug m-3"),
        "PM10_RH35": (lambda v: 1.5 * v, "ug m-3"),
        **_GASES,
    },
    "met_tavg_1hr_g1440x721_x1": {
        "RH": (lambda v: np.clip(0.3 + v / 200, 0, 1), "1"),
        "U10M": (lambda v: v / 50 - 2, "m s-1"),
        "V10M": (lambda v: 3 - v / 100, "m s-1"),
    },
}
_SOURCE = dict.fromkeys(FIELDS, "aqc_tavg_1hr_g1440x721_v1") | {
    "htf_inst_15mn_g1440x721_x1": "htf_inst_15mn_g1440x721_x1"
}
_NAME = re.compile(r"/geos-cf/(v[12])/(ana|das)/(Y\d+/M\d+/D\d+)/GEOS.*?\.([a-z]{3}_\w+)\.(\d{8}_\d{4}z)(\.R\d)?\.nc4")


class Portal(Server):
    """Serves `folder`; `url` for the configuration is `root`. others : also what can be made from PM2.5."""

    def __init__(self, folder: str | Path, *, others: bool = False):
        super().__init__(self._file)
        self.folder, self.others = Path(folder), others
        self.root = self.url + PREFIX

    def hours(self) -> list[str]:
        """Stamps of the files asked for, in order: 20180201_0030."""
        return [found.group(5)[:-1] for request in self.requests if (found := _NAME.search(request.path))]

    def _file(self, request: Request) -> Answer:
        below = request.path.removeprefix(PREFIX)
        path = self.folder / below.lstrip("/")
        found = _NAME.search(below)
        if request.path == below or found is None:
            return Answer(404)
        if path.is_file() and not self.others:
            return _data(path.read_bytes())
        version, tree, day, collection, stamp, revision = found.groups()
        source = self.folder / f"geos-cf/v1/ana/{day}/GEOS-CF.v01.rpl.{_SOURCE.get(collection)}.{stamp}.nc4"
        right = (version, tree, revision) in (("v1", "ana", None), ("v2", "ana", ".R0"))
        if not (self.others and right and source.is_file()):
            return Answer(404)
        return _data(made(source.read_bytes(), FIELDS[collection]))


def made(content: bytes, fields: dict) -> bytes:
    """A file with `fields` in place of its PM2.5."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        given = file[PM25][...]
        hole = given == np.float32(1e15)
        for name, (function, units) in fields.items():
            if name == PM25:
                continue
            file.copy(PM25, name)
            file[name][...] = np.where(hole, np.float32(1e15), function(given.astype(np.float64)))
            file[name].attrs["units"] = np.bytes_(units)
        if PM25 not in fields:
            del file[PM25]
    return buffer.getvalue()


def _data(content: bytes) -> Answer:
    return Answer(body=content, headers={"Content-Type": "application/octet-stream"}, ranges=True)


def services(url: str, **changes) -> dict:
    """The configuration's section for tests: as the defaults, without waiting."""
    portal = {"url": url, "connections": 4, "spacing": 0.0, **changes.pop("portal", {})}
    opendap = {"url": url, "spacing": 0.0, "pause": 0.01, **changes.pop("opendap", {})}
    return {"tries": 3, "wait": 0.01, "timeout": 5.0, "patience": 60, "portal": portal, "opendap": opendap, **changes}
