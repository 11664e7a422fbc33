"""What a fused file says about itself: CF-1.11 and ACDD-1.3, as the product does, and how it was fused.

No clock is read, and texts are ASCII, as in `deepcams.product.attributes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcams.calendar import DAY, HALF_HOUR, HOUR
from deepcams.errors import DeepcamsError
from deepcams.files.layout import Extra, Layout, to_hours
from deepcams.grid.nodes import Grid, from_axes
from deepcams.pollutants import POLLUTANTS, Pollutant
from deepcams.product import attributes
from deepcams.product.attributes import Provenance

DISTANCE, STATIONS, TIME_BOUNDS = "distance_to_station", "stations", "time_bnds"
DAILY, HOURLY = "daily", "hourly"
OBSERVATIONS, INNOVATIONS = "observations", "innovations"
STEPS = {DAILY: DAY, HOURLY: HOUR}
NO_BACKGROUND = "none"
_NOON = np.timedelta64(12, "h")
_STATED = ("fusion_step", "fusion_day", "fusion_form", "fusion_background")
_RENEWED = ("title", "id", "license", "acknowledgement")  # name the period
_TERMS = "Measurements remain under the terms of the agencies that made them."
REFERENCES = (
    "Method: Lyu et al. (2022), Deep-learning spatial principles from deterministic chemical transport models for "
    "chemical reanalysis, Geoscientific Model Development 15, 1583, https://doi.org/10.5194/gmd-15-1583-2022"
)
LOCAL_DAYS = (
    "Days are local: of the nautical time zone of each longitude, UTC plus longitude/15 rounded to whole hours. So one "
    "field is not of one interval of UTC: bounds and middle of a day are those of its date, in local time."
)
UTC_DAYS = "Days are of UTC, from 00:00 to 24:00."
HOURS = "Means over one hour, of UTC, from the first to the second bound."


@dataclass(frozen=True)
class Fusion:
    """How the fields of a file were fused.

    step : "daily" or "hourly".  form : "observations", where the fields are made of observations alone, or
    "innovations", where a background is corrected.  background : what it is, in words (ASCII); None for observations.
    day : whose days they are where the step is daily, "local" or "utc".  ValueError for anything else.
    """

    step: str
    form: str
    background: str | None = None
    day: str = "local"

    def __post_init__(self):
        if self.step not in STEPS or self.form not in (OBSERVATIONS, INNOVATIONS) or self.day not in ("local", "utc"):
            raise ValueError(f"{self} is no way to fuse")
        if (self.form == INNOVATIONS) != bool(self.background):
            raise ValueError("innovations, and they alone, have a background")

    @property
    def times_in_words(self) -> str:
        """What the time axis means."""
        return HOURS if self.step == HOURLY else LOCAL_DAYS if self.day == "local" else UTC_DAYS

    def stated(self) -> dict[str, str]:
        """As global attributes."""
        day = self.day if self.step == DAILY else "utc"
        return dict(zip(_STATED, (self.step, day, self.form, self.background or NO_BACKGROUND), strict=True))


def read_fusion(path: str | Path, stated: Mapping[str, object]) -> Fusion:
    """What a file's global attributes say of its fusion. Raises DeepcamsError if they do not."""
    try:
        step, day, form, background = (str(stated[name]) for name in _STATED)
        return Fusion(step, form, None if background == NO_BACKGROUND else background, day)
    except (KeyError, ValueError) as error:
        raise DeepcamsError(f"{path} does not say how it was fused ({error}). Make it again with `fuse`.") from error


def bounds(times: np.ndarray, step: str) -> np.ndarray:
    """Begin and end of each mean: (T, 2) datetime64[s].

    times : (T,) datetime64, 00:00 of a day's date ("daily") or the end of an hour ("hourly"), as `Observations` has
    them.  Raises ValueError if they are something else, or not ascending.
    """
    times = np.asarray(times).astype("datetime64[s]")
    if times.ndim != 1 or not len(times) or np.isnat(times).any() or (np.diff(times) < STEPS[step]).any():
        raise ValueError(f"times must be an axis of ascending {step} steps")
    if (times != times.astype("datetime64[D]" if step == DAILY else "datetime64[h]")).any():
        raise ValueError("times must be dates" if step == DAILY else "times must be the ends of whole hours")
    begin = times if step == DAILY else times - HOUR
    return np.stack([begin, begin + STEPS[step]], axis=1)


def middles(limits: np.ndarray, step: str) -> np.ndarray:
    """12:00 of a day's date or the middle of an hour: (T,) datetime64[s] of (T, 2) `bounds`."""
    return limits[:, 0] + (_NOON if step == DAILY else HALF_HOUR)


def field_attributes(pollutant: Pollutant, fusion: Fusion) -> dict[str, object]:
    """Attributes of the fused field: means over time and over a node's cell."""
    own = attributes.variable_attributes(pollutant)
    # A day's mean is one of hours; of what an hour's mean was made, nobody tells.
    mean = "mean (interval: 1 hour)" if fusion.step == DAILY else "mean"
    return own | {
        "long_name": f"{fusion.step} mean {own['long_name']}, fused with station observations",
        "cell_methods": f"time: {mean} area: mean",
        "ancillary_variables": f"{DISTANCE} {STATIONS}",
    }


def distance_attributes() -> dict[str, object]:
    """Attributes of the distance to the nearest station."""
    return {
        "long_name": "great-circle distance from the grid node to the nearest cell with a station that has a value",
        "units": "km",
        "coordinates": "height",
        "grid_mapping": "crs",
        "coverage_content_type": "qualityInformation",
        "valid_min": np.float32(0.0),
        "comment": "0 in a cell with a station; NaN everywhere if no station has a value at that time.",
    }


def coordinate_attributes(fusion: Fusion) -> dict[str, dict[str, object]]:
    """Additions to the axes."""
    middle = "middle of the hour (UTC)"
    if fusion.step == DAILY:
        middle = "12:00 of the local day" if fusion.day == "local" else "12:00 of the day (UTC)"
    time = {"long_name": middle, "bounds": TIME_BOUNDS, "comment": fusion.times_in_words}
    own = attributes.coordinate_attributes()
    return own | {"time": own["time"] | time}


def small_variables(limits: np.ndarray, stations: np.ndarray, grid: Grid, pollutant: Pollutant) -> list[Extra]:
    """Bounds of times and cells, `stations`, `height` and `crs`.

    limits : (T, 2) datetime64 `bounds`.  stations : (T,) whole numbers of cells with a value.
    """
    of_cells = attributes.small_variables(limits[:, 0], grid, (limits[0, 0], limits[-1, 1]), pollutant)
    counts = Extra(
        STATIONS,
        ("time",),
        np.asarray(stations, dtype=np.int32),
        {
            "standard_name": "number_of_observations",
            "long_name": "number of cells with a station that has a value",
            "units": "1",
            "coverage_content_type": "auxiliaryInformation",
        },
    )
    own = [Extra(TIME_BOUNDS, ("time", "nv"), to_hours(limits)), counts]
    return own + [item for item in of_cells if item.name != "time_status"]


def global_attributes(
    times: np.ndarray, grid: Grid, provenance: Provenance, fusion: Fusion, pollutant: Pollutant
) -> dict[str, object]:
    """Global attributes of a fused file; times : (T,) datetime64 `middles`."""
    plain = attributes.global_attributes(times, grid, provenance, pollutant=pollutant)
    synthetic, corrected = provenance.synthetic, fusion.form == INNOVATIONS
    first, last = (str(time.astype("datetime64[D]")) for time in (times[0], times[-1]))
    span = first[:4] if first[:4] == last[:4] else f"{first[:4]}-{last[:4]}"
    where = "global" if grid.is_global else "regional"
    quantity = attributes.variable_attributes(pollutant)["long_name"]
    title = f"{fusion.step} mean {quantity}, fused with stations, {grid.step:g} degree, {where}, {span}"
    made = (
        f"a background ({fusion.background}), corrected by what stations observed minus that background"
        if corrected
        else "estimated between stations from what these observed, and from nothing else"
    )
    summary = f"{fusion.step.capitalize()} mean {quantity}: {made}. The attribute networks names what interpolated."
    own = {
        "title": f"Synthetic {title}" if synthetic else f"{title[0].upper()}{title[1:]}",
        "summary": f"{synthetic.rstrip('.')}. {summary}" if synthetic else summary,
        "id": f"deepcams_fused_{pollutant.name}_{fusion.step}_{first.replace('-', '')}_{last.replace('-', '')}_"
        f"{provenance.configuration}",
        "platform": "MODELS, GROUND STATIONS",
        "references": REFERENCES,
        "metadata_link": "https://doi.org/10.5194/gmd-15-1583-2022",
        "comment": f"{fusion.times_in_words} {_missing(fusion)} Grid nodes carry the mean over their cell (lat_bnds, "
        f"lon_bnds). {DISTANCE} tells how far the nearest station is, {STATIONS} how many cells have one.",
        "time_coverage_resolution": "P1D" if fusion.step == DAILY else "PT1H",
        **fusion.stated(),
    }
    if not synthetic:
        background = f"{fusion.background}, corrected by ground stations" if corrected else "ground stations"
        licence = str(plain["license"]) if corrected else "Creative Commons Attribution 4.0 International (CC BY 4.0)."
        thanks = f"{plain['acknowledgement']} " if corrected else ""
        own |= {
            "source": f"{background}, fused by deepcams",
            "contributor_name": "Agencies that measure air quality" + (
                " and Copernicus Atmosphere Monitoring Service, ECMWF" if corrected else ""),
            "program": "deepcams",
            "license": f"{licence} {_TERMS}",
            "acknowledgement": f"{thanks}Station data are those of the agencies that measured.",
        }  # fmt: skip
    return plain | own | dict(provenance.creator)


def merge_global_attributes(paths: Sequence[str | Path], layouts: Sequence[Layout]) -> dict[str, object]:
    """Global attributes of fused files joined along time, as `product.attributes.merge_global_attributes`.

    Raises DeepcamsError, naming the files, if they were fused in different ways, or as that does.
    """
    first = layouts[0].global_attributes
    fusion = read_fusion(paths[0], first)
    for path, layout in zip(paths[1:], layouts[1:], strict=True):
        if (other := read_fusion(path, layout.global_attributes)) != fusion:
            raise DeepcamsError(
                f"{paths[0]} and {path} cannot be joined: they were fused in different ways ({fusion.stated()} and "
                f"{other.stated()}). Make them with one configuration."
            )
    merged = attributes.merge_layouts(paths, layouts)
    grid = from_axes(layouts[0].latitude, layouts[0].longitude)[0]
    pollutant = POLLUTANTS[layouts[0].variable]
    provenance = Provenance({}, {}, str(first.get("configuration_digest", "")), synthetic=first.get("synthetic"))
    own = global_attributes(layouts[0].times, grid, provenance, fusion, pollutant)
    times = np.concatenate([layout.times for layout in layouts])
    fresh = global_attributes(times, grid, provenance, fusion, pollutant)
    # What names the period is made anew, unless the user had set it.
    merged |= {key: fresh[key] if first.get(key) == own[key] else first.get(key) for key in _RENEWED}
    return merged | {key: value for key, value in fresh.items() if key.startswith("time_")}


def _missing(fusion: Fusion) -> str:
    if fusion.form == INNOVATIONS:
        return "Where no station is near the field is the background, and NaN where that has no value."
    return "Where no station has a value at a time, the field of that time is NaN."
