"""A month of GEOS-CF hours as one file of the workflow."""

from pathlib import Path

import numpy as np

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import Encoding, FieldWriter
from deepcams.grid.nodes import Grid
from deepcams.progress import progress
from deepcams.sources.access import access_problem
from deepcams.sources.geoscf import month_attributes, month_grid, read_month, survey_month


def retrieve_month(
    source: str,
    month: Month,
    out: str | Path,
    *,
    path: str | Path,
    collection: str,
    grid: Grid | None,
    max_missing: float,
) -> None:
    """Read the hourly files of a month below `path` and write them, lossless, to `out`, a day in memory at a time.

    source : local or nature_run.  grid : the fine box to cut out; None keeps what the files hold.  max_missing :
    fraction of the hours that may be missing; they become frames of NaN, and the attribute `missing_hours` lists them.
    Raises DeepcamsError for more missing hours than that, and for damaged or wrong files.
    """
    if source not in ("local", "nature_run"):
        raise DeepcamsError(access_problem("geoscf", source) or f"geoscf.source {source!r} is not known.")
    files = survey_month(path, month, collection, max_missing)
    times, encoding = files.times, Encoding()
    writer = FieldWriter(
        out,
        times=times,
        grid=grid or month_grid(files),
        encoding=encoding,
        attributes=month_attributes(files),
        global_attributes={"title": f"GEOS-CF hourly surface PM2.5, {month}", "collection": collection},
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
