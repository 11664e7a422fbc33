"""GEOS-CF hours on their way from NASA's servers: which are wanted still, and what is kept of each.

What is kept lies in the portal's layout, an hour a file, reduced to what is needed; so the reader of local files takes
it from there, and a job that was killed goes on with the hours that are not there yet.
"""

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import netCDF4
import numpy as np

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path, write_text
from deepcams.grid.nodes import Grid
from deepcams.sources.checks import some, time_text
from deepcams.sources.geoscf_names import in_record, month_times, portal_paths
from deepcams.sources.services.http import NotThere

NETCDF = threading.Lock()  # the netCDF library must not be used by two threads at once
MISSING = "missing.json"
_FILL = np.float32(1e15)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Hour:
    """What is kept of an hour.

    fields : for each variable's name its frame, (H, W) float32, north to south, NaN where missing, and its units.
    """

    fields: dict[str, tuple[np.ndarray, str]]
    grid: Grid
    synthetic: str | None = None


@dataclass
class Wanted:
    """The hours of a month of a collection, and of the next day's first one, that `folder` does not hold yet.

    times : (n,) datetime64[s] to ask for.  missing : those the service turned out not to have.
    """

    month: Month
    collection: str
    folder: Path
    max_missing: float
    times: np.ndarray = field(init=False)
    missing: list[np.datetime64] = field(init=False)

    def __post_init__(self):
        times = month_times(self.month, self.collection)
        inside = in_record(times, self.collection)
        if not inside[:-1].any():
            raise DeepcamsError(
                f"NASA has no files of {self.collection} for {self.month}: it is outside the record of that version. "
                "Choose months and geoscf.collection of one version (v1: 2018-01 to 2025-12, v2: from 2025-09 on)."
            )
        self.missing = list(times[:-1][~inside[:-1]])
        there = np.array([self._is_there(time) for time in times])
        self.times = times[inside & ~there]
        self.done = int(there.sum())

    def lacks(self, time: np.datetime64) -> None:
        """The service does not have this hour; the next day's first one is not needed."""
        if time < self.month.end:
            self.missing.append(time)

    def finish(self, service: str) -> None:
        """Note what is missing. Raises NotThere, listing the hours, if it is more than is allowed."""
        self.missing.sort()
        asked = datetime.now(UTC).isoformat(timespec="seconds")
        document = {"asked": asked, "hours": [str(time) for time in self.missing]}
        write_text(self.folder / MISSING, json.dumps(document, indent=1) + "\n")
        total = 24 * self.month.days
        if len(self.missing) > self.max_missing * total:
            raise NotThere(
                f"{service} lacks {len(self.missing)} of {total} hours of GEOS-CF {self.month}: "
                f"{some([time_text(time) for time in self.missing])}. That is more than geoscf.max_missing "
                f"({self.max_missing:g}) allows. Raise it, or run the same command later; only these hours are asked "
                "for again.",
                404,
            )

    def _is_there(self, time: np.datetime64) -> bool:
        return any((self.folder / path).is_file() for path in portal_paths(time, self.collection))


def write_hour(path: Path, time: np.datetime64, hour: Hour) -> None:
    """Write an hour in the portal's layout, (time, lev, lat, lon) from south to north; values exactly as they are.

    The file is made in memory and then written at once, so that a full disk is told as such.
    """
    with NETCDF:
        content = _packed(time, hour)
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        stream.write(content)


def first_sentence(error: Exception) -> str:
    """What is wrong, without the advice that a reader of local files gives."""
    return str(error).partition(". ")[0].rstrip(".")


def summary(places: Sequence[str]) -> str:
    """Where hours came from, for the log: "ana: 670, das: 2"."""
    trees = [place.split("/")[2] for place in places]
    return ", ".join(f"{tree}: {trees.count(tree)}" for tree in sorted(set(trees))) or "none"


def _packed(time: np.datetime64, hour: Hour) -> memoryview:
    rows, columns = hour.grid.shape
    dataset = netCDF4.Dataset("hour.nc4", "w", memory=1 << 16)
    if hour.synthetic:
        dataset.synthetic = hour.synthetic
    for name, size in (("time", 1), ("lev", 1), ("lat", rows), ("lon", columns)):
        dataset.createDimension(name, size)
    variable = dataset.createVariable("time", "i4", ("time",))
    variable.units = "minutes since " + str(time.astype("datetime64[s]")).replace("T", " ")
    variable[:] = 0
    for name, units, values in (
        ("lat", "degrees_north", hour.grid.latitude[::-1]),
        ("lon", "degrees_east", hour.grid.longitude),
    ):
        variable = dataset.createVariable(name, "f8", (name,))
        variable.units = units
        variable[:] = values
    for name, (frame, units) in hour.fields.items():
        variable = dataset.createVariable(
            name, "f4", ("time", "lev", "lat", "lon"), zlib=True, complevel=1, fill_value=_FILL
        )
        variable.units = units
        variable.set_auto_maskandscale(False)
        variable[0, 0] = np.where(np.isnan(frame), _FILL, frame)[::-1]
    return dataset.close()
