"""A month of GEOS-CF hours as one file of the workflow."""

import logging
from pathlib import Path

import numpy as np

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.link import link
from deepcams.files.netcdf import Encoding, FieldWriter, check_whole, read_layout
from deepcams.grid.nodes import Grid, describe
from deepcams.pollutants import PM25, Pollutant
from deepcams.progress import progress
from deepcams.sources.access import access_problem
from deepcams.sources.geoscf import month_attributes, month_grid, read_month, survey_month
from deepcams.sources.geoscf_names import month_times, version_of

_log = logging.getLogger(__name__)


def retrieve_month(
    source: str,
    month: Month,
    out: str | Path,
    *,
    path: str | Path,
    collection: str,
    grid: Grid | None,
    max_missing: float,
    pollutant: Pollutant = PM25,
) -> None:
    """Read the hourly files of a month below `path` and write them, lossless, to `out`, a day in memory at a time.

    source : local (also for what was fetched from a service) or nature_run.  grid : the fine box to cut out; None
    keeps what the files hold.  max_missing : fraction of the hours that may be missing; they become frames of NaN, and
    the attribute `missing_hours` lists them.  The attribute `geoscf_version` says which model it is of.
    Where `path` holds the month as a file of this workflow (2018-01.nc), `out` becomes a link to it.
    Raises DeepcamsError for more missing hours than that, and for damaged or wrong files.
    """
    if source not in ("local", "nature_run"):
        raise DeepcamsError(access_problem("geoscf", source) or f"geoscf.source {source!r} is not known.")
    if source == "local" and _linked(Path(path), month, out, collection, grid, max_missing, pollutant):
        return
    files = survey_month(path, month, collection, max_missing, pollutant)
    times, encoding = files.times, Encoding()
    what = pollutant.long_name if pollutant.is_gas else f"surface {pollutant.label}"
    writer = FieldWriter(
        out,
        times=times,
        grid=grid or month_grid(files),
        encoding=encoding,
        variable=pollutant.name,
        attributes=month_attributes(files),
        global_attributes={
            "title": f"GEOS-CF hourly {what}, {month}",
            "collection": collection,
            "geoscf_version": version_of(collection),
        },
    )
    frames = progress(read_month(files, grid), f"read GEOS-CF {month}", "hours", len(times))
    with writer:
        day: list[np.ndarray] = []
        for index, (_, frame) in enumerate(frames):
            day.append(frame)
            if len(day) == encoding.time_chunk or index == len(times) - 1:
                writer.write(index + 1 - len(day), np.stack(day))
                day = []
        writer.late_attributes["missing_hours"] = " ".join(str(time) for time in files.missing) or "none"


def _linked(
    root: Path,
    month: Month,
    out: str | Path,
    collection: str,
    grid: Grid | None,
    max_missing: float,
    pollutant: Pollutant,
) -> bool:
    """Whether `root` holds the month as a file of this workflow; `out` is a link to it then."""
    file = root / f"{month}.nc"
    if not file.is_file():
        return False
    layout = read_layout(file, pollutant.name)
    check_whole(file, layout)
    there = Grid(layout.latitude, layout.longitude, abs(float(layout.latitude[1] - layout.latitude[0])))
    attributes = layout.global_attributes
    missing = str(attributes.get("missing_hours", "none")).split()
    lost = 0 if missing == ["none"] else len(missing)
    times = month_times(month, collection)
    wrong = None
    if attributes.get("collection") != collection:
        wrong = f"of the collection {attributes.get('collection')}, where {collection} is configured"
    elif not any(np.array_equal(layout.times, expected) for expected in (times, times[:-1])):
        wrong = f"not of the {24 * month.days} hours of {month}"
    elif grid is not None and not _same(grid, there):
        wrong = f"on {describe(there)}, where {describe(grid)} is configured"
    elif lost > max_missing * 24 * month.days:
        wrong = f"without {lost} hours, more than geoscf.max_missing ({max_missing:g}) allows"
    if wrong:
        raise DeepcamsError(f"{file} is {wrong}. Make it again with these settings, or move it away.")
    link(file, out)
    _log.info("%s is taken as it is", file)
    return True


def _same(grid: Grid, other: Grid) -> bool:
    return np.array_equal(grid.latitude, other.latitude) and np.array_equal(grid.longitude, other.longitude)
