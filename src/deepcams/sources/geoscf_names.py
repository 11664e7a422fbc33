"""What GEOS-CF's collections and files are called, and where they lie: on NASA's portal and in copies of parts of it.

Version 1: GMAO Office Note 17; version 2 is another model (from August 2025 on). They are never mixed silently.
"""

import numpy as np

from deepcams.calendar import HOUR, Month
from deepcams.errors import DeepcamsError
from deepcams.pollutants import Pollutant

HOURLY_MEANS = "aqc_tavg_1hr_g1440x721_v1"
INSTANTS = "htf_inst_15mn_g1440x721_x1"
METEOROLOGY = "met_tavg_1hr_g1440x721_x1"
HOURLY_MEANS_V2 = "aqc_tavg_1hr_glo_L1440x721_slv"
COLLECTIONS = (HOURLY_MEANS, INSTANTS, HOURLY_MEANS_V2)  # that hold pollutants
V1, V2 = "v1", "v2"
# In version 1 both trees hold the same analyses; where one lacks an hour, the other may have it.
TREES = ("ana", "das")
REVISIONS = (".R0", ".R1", "")  # in names of version 2
# First and last time that any file is of. Version 2 goes on.
RECORDS = {
    V1: (np.datetime64("2018-01-01T00:00:00", "s"), np.datetime64("2026-01-02T11:30:00", "s")),
    V2: (np.datetime64("2025-08-04T09:30:00", "s"), np.datetime64("9999-12-31T23:30:00", "s")),
}


def version_of(collection: str) -> str:
    """The version of the model that a collection is of: v1 or v2. Raises DeepcamsError for one that is not known."""
    if collection == HOURLY_MEANS_V2:
        return V2
    if collection in (HOURLY_MEANS, INSTANTS, METEOROLOGY):
        return V1
    raise DeepcamsError(f"geoscf.collection {collection!r} is not known; choose one of {', '.join(COLLECTIONS)}.")


def variable_names(collection: str, pollutant: Pollutant) -> tuple[str, ...]:
    """Spellings of the pollutant's variable in a collection. Raises DeepcamsError if the collection lacks it."""
    version = version_of(collection)
    names = () if collection == METEOROLOGY else (pollutant.geoscf_v2 if version == V2 else pollutant.geoscf_v1)
    if names:
        return names
    advice = f", or use {HOURLY_MEANS_V2}, which has it" if pollutant.geoscf_v2 and version == V1 else ""
    raise DeepcamsError(
        f"The collection {collection} of GEOS-CF ({version}) does not carry {pollutant.label}. Choose another "
        f"pollutant{advice}."
    )


def portal_path(time: np.datetime64, collection: str, tree: str = "ana", revision: str = REVISIONS[0]) -> str:
    """Path of one hour's file below the portal's `…/gmao/` (https://portal.nccs.nasa.gov/datashare/gmao/).

    revision : of the names of version 2; those of version 1 have none.
    """
    year, month, day = str(time.astype("datetime64[D]")).split("-")
    stamp = f"{year}{month}{day}_" + str(time.astype("datetime64[m]")).partition("T")[2].replace(":", "")
    version = version_of(collection)
    if version == V2:
        name = f"GEOS.cf.{tree}.{collection}.{stamp}z{revision}.nc4"
    else:
        name = f"GEOS-CF.v01.rpl.{collection}.{stamp}z.nc4"
    return f"geos-cf/{version}/{tree}/Y{year}/M{month}/D{day}/{name}"


def portal_paths(time: np.datetime64, collection: str) -> list[str]:
    """All paths that an hour's file may have there, the first to be tried first."""
    if version_of(collection) == V2:
        return [portal_path(time, collection, revision=revision) for revision in REVISIONS]
    return [portal_path(time, collection, tree) for tree in TREES]


def local_roots(version: str) -> tuple[str, ...]:
    """How much of the portal's path a copy may have kept above the trees."""
    return (f"geos-cf/{version}", f"datashare/gmao/geos-cf/{version}", f"gmao/geos-cf/{version}", version, "")


def month_times(month: Month, collection: str) -> np.ndarray:
    """Stamps of a month's frames and of the next day's first one: (24n + 1,) datetime64[s]."""
    version_of(collection)
    own = month.hours() if collection == INSTANTS else month.mid_hours()
    return np.append(own, own[-1] + HOUR)


def in_record(times: np.ndarray, collection: str) -> np.ndarray:
    """Which times (T,) NASA has, as far as is known: (T,) bool."""
    first, last = RECORDS[version_of(collection)]
    return (times >= first) & (times <= last)
