"""Humidity and wind near the ground from GEOS-CF (collection met_tavg, hourly means at hh:30), for station fusion.

Relative humidity is that of the lowest model layer; the wind is at 10 m. Its speed is taken of the hour's mean
components, so it is somewhat below the mean of the speeds.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.link import link
from deepcams.grid.nodes import Grid
from deepcams.progress import progress
from deepcams.sources.checks import require_same_origin
from deepcams.sources.delivered import Field
from deepcams.sources.geoscf import MonthFiles, read_hour, survey_month
from deepcams.sources.geoscf_names import METEOROLOGY, version_of
from deepcams.sources.meteorology_file import FIELDS, MonthWriter, cut_month, require_month

COLLECTION = METEOROLOGY


@dataclass(frozen=True)
class Quantity:
    """A meteorological variable: spellings in files, and the range outside of which its units are wrong."""

    label: str
    names: tuple[str, ...]
    units: str
    lowest: float
    highest: float
    is_gas: bool = False


# Models overshoot saturation a little; the strongest gust ever measured is 113 m s-1.
QUANTITIES = (
    Quantity("relative humidity", ("RH", "rh"), "1", -0.05, 1.5),
    Quantity("the eastward wind", ("U10M", "u10m"), "m s-1", -120.0, 120.0),
    Quantity("the northward wind", ("V10M", "v10m"), "m s-1", -120.0, 120.0),
)


def fetch_month(month: Month, grid: Grid | None, folder: str | Path, services: dict, max_missing: float) -> Path:
    """Fetch the hours of a month that `folder` does not hold yet from NASA's portal; returns the root for
    `retrieve_month`. As `portal.fetch_month` otherwise.
    """
    from deepcams.sources.services.hours import Hour
    from deepcams.sources.services.portal import fetch_hours

    def read(path: Path) -> Hour:
        fields = {}
        for quantity in QUANTITIES:
            frame, there, synthetic = _read(path, quantity, grid)
            fields[quantity.names[0]] = frame, quantity.units
        return Hour(fields, there, synthetic)

    return fetch_hours(month, COLLECTION, read, folder, services, max_missing)


def retrieve_month(
    source: str, month: Month, out: str | Path, *, path: str | Path, grid: Grid | None, max_missing: float
) -> None:
    """Read the hourly files of a month below `path` and write relative humidity and wind speed to `out`.

    source : local (also for what was fetched) or nature_run, whose months are whole files below `path`.
    grid : the fine box to cut out; None keeps what the files hold.
    max_missing : fraction of the hours that may be missing; they become NaN and are listed in `missing_hours`.
    The file holds relative_humidity (1) and wind_speed (m s-1), (time, latitude, longitude) float32, hourly; a day is
    in memory at a time. Where a local `path` holds the month as such a file (2018-01.nc), `out` becomes a link to it.
    Raises DeepcamsError for more missing hours than that, and for damaged or wrong files.
    """
    own = Path(path) / f"{month}.nc"
    if source == "nature_run":
        cut_month(own, month, out, grid)
        return
    if source != "local":
        raise DeepcamsError(f"meteorology.source {source!r} is not known.")
    if own.is_file():
        require_month(own, month, grid)
        link(own, out)
        return
    files = survey_month(path, month, COLLECTION, max_missing)
    first, there, synthetic = read_hour(files.first, QUANTITIES[0].names, QUANTITIES[0], grid, _check_range)
    origin = {str(files.first): {"synthetic": synthetic}}
    attributes = {
        "Conventions": "CF-1.11",
        "title": f"GEOS-CF hourly relative humidity and wind speed, {month}",
        "collection": COLLECTION,
        "geoscf_version": version_of(COLLECTION),
        "missing_hours": " ".join(str(time) for time in files.missing) or "none",
    }
    if synthetic:
        attributes["synthetic"] = synthetic
    with MonthWriter(out, files.times, there, attributes, "GEOS-CF") as target:
        days = np.array_split(np.arange(len(files.times)), np.arange(24, len(files.times), 24))
        for day in progress(days, f"read meteorology {month}", "hours", size=len):
            fields = {name: np.full((len(day), *first.shape), np.nan, np.float32) for name in FIELDS}
            for place, index in enumerate(day):
                if files.paths[index] is not None:
                    _fill(fields, place, files, int(index), there, origin)
            target.write(int(day[0]), fields)


def _fill(fields: dict, place: int, files: MonthFiles, index: int, grid: Grid, origin: dict) -> None:
    path = files.paths[index]
    found = [_read(path, quantity, grid) for quantity in QUANTITIES]
    require_same_origin({**origin, str(path): {"synthetic": found[0][2]}})
    humidity, eastward, northward = (frame for frame, _, _ in found)
    fields["relative_humidity"][place] = humidity
    fields["wind_speed"][place] = np.hypot(eastward, northward)


def _read(path: Path, quantity: Quantity, grid: Grid | None) -> tuple[np.ndarray, Grid, str | None]:
    return read_hour(path, quantity.names, quantity, grid, _check_range)


def _check_range(frame: np.ndarray, source: Field, where: str, quantity: Quantity) -> None:
    values = frame[np.isfinite(frame)]
    if values.size and not (quantity.lowest <= values.min() and values.max() <= quantity.highest):
        raise DeepcamsError(
            f"{where}: values from {values.min():.3g} to {values.max():.3g} cannot be {quantity.label} in "
            f"{source.units!r}, where {quantity.lowest:g} to {quantity.highest:g} is possible. Check where the file "
            "comes from and correct its `units` attribute."
        )
