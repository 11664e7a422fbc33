"""The last look at a product before anybody relies on it."""

from pathlib import Path

import numpy as np

from deepcams.calendar import HOUR, MISSING
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import check_whole, read_frames, read_layout

REQUIRED_GLOBAL = (
    "Conventions",
    "title",
    "summary",
    "license",
    "time_coverage_start",
    "time_coverage_end",
    "source_files",
    "networks",
    "configuration_digest",
    "software",
)
REQUIRED_FIELD = ("standard_name", "long_name", "units", "cell_methods", "grid_mapping")
REQUIRED_VARIABLES = ("time_status", "lat_bnds", "lon_bnds", "crs")


def verify_product(path: str | Path, variable: str | None = None, *, contiguous: bool = True) -> None:
    """Raise DeepcamsError unless a monthly or yearly product is whole and sane.

    Checked: it opens, every chunk is there and can be decoded, hours are strictly hourly (`contiguous`=False: gaps of
    whole hours are allowed), attributes and small variables are complete, no value is negative or infinite, hours
    flagged as missing hold no value, and not everything is missing. Reads one time chunk at a time.
    """
    path = Path(path)
    layout = read_layout(path, variable)
    variable = layout.variable
    check_whole(path, layout)
    again = "Delete it and run the step that makes it again."
    steps = np.diff(layout.times)
    whole_hours = (layout.times - layout.times.astype("datetime64[h]") == np.timedelta64(0, "s")).all()
    if not whole_hours or (steps != HOUR if contiguous else steps < HOUR).any():
        raise DeepcamsError(f"{path} is not strictly hourly on the hour. {again}")
    extra = {item.name: item for item in layout.extra}
    absent = [name for name in REQUIRED_GLOBAL if name not in layout.global_attributes]
    absent += [f"{variable}:{name}" for name in REQUIRED_FIELD if name not in layout.attributes]
    absent += [name for name in REQUIRED_VARIABLES if name not in extra]
    if absent:
        raise DeepcamsError(f"{path} lacks {', '.join(absent)}. {again}")
    missing = extra["time_status"].values == MISSING
    step = layout.chunk[0]
    anything = False
    for start in range(0, len(layout.times), step):
        values = read_frames(path, start, start + step)
        _check_values(path, values, missing[start : start + step], layout.times[start], again)
        anything = anything or bool(np.isfinite(values).any())
    if not anything:
        raise DeepcamsError(f"{path} holds no value at all: every hour is missing. Check its inputs.")


def _check_values(path: Path, values: np.ndarray, missing: np.ndarray, day: np.datetime64, again: str) -> None:
    where = f"{path}, from {day}"
    if (values < 0).any():
        raise DeepcamsError(f"{where}: negative concentrations, down to {np.nanmin(values):g}. {again}")
    if np.isinf(values).any():
        raise DeepcamsError(f"{where}: infinite concentrations. {again}")
    if not np.isnan(values[missing]).all():
        raise DeepcamsError(f"{where}: an hour flagged as missing holds values. {again}")
