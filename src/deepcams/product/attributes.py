"""What the product says about itself: CF-1.11, ACDD-1.3, the CF-1.12 quantisation terms, and provenance.

No clock is read: the same inputs give the same attributes, byte for byte. Dates are stated if SOURCE_DATE_EPOCH gives
one. Texts are ASCII, because old readers do not know the string type that NetCDF-4 needs for anything else.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepcams.calendar import ACROSS_WINDOWS, ANALYSIS, HOUR, INTERPOLATED, MISSING, STATUS_MEANINGS, hour_status
from deepcams.errors import DeepcamsError
from deepcams.files.layout import Extra, Layout
from deepcams.files.pairs import read_pairs, write_pairs
from deepcams.files.rounding import software
from deepcams.grid.nodes import Grid, from_axes
from deepcams.pollutants import PM25, POLLUTANTS, Pollutant
from deepcams.version import VERSION

EARTH_RADIUS = 6371229.0  # m: the sphere of ECMWF's model

LICENCE = (
    "Creative Commons Attribution 4.0 International (CC BY 4.0). Generated using Copernicus Atmosphere Monitoring "
    "Service information {years}. Neither the European Commission nor ECMWF is responsible for any use that may be "
    "made of the Copernicus information or data it contains."
)
SYNTHETIC_LICENCE = (
    "Creative Commons Attribution 4.0 International (CC BY 4.0). Synthetic data made by deepcams; they contain no "
    "Copernicus or NASA information."
)
REFERENCES = (
    "Method: DeepCAMS (Xiao et al. 2022). Input: Inness et al. (2019), The CAMS reanalysis of atmospheric composition, "
    "Atmospheric Chemistry and Physics 19, 3515-3556, https://doi.org/10.5194/acp-19-3515-2019"
)
# Of the pollutant, in the words of NASA's Global Change Master Directory.
_AIR_QUALITY, _PARTICLES = (
    "EARTH SCIENCE > ATMOSPHERE > AIR QUALITY > ",
    "EARTH SCIENCE > ATMOSPHERE > AEROSOLS > PARTICULATE MATTER",
)
KEYWORDS = {
    "pm25": f"{_AIR_QUALITY}PARTICULATES, {_PARTICLES} > PM 2.5",
    "pm10": f"{_AIR_QUALITY}PARTICULATES, {_PARTICLES} > PM 10",
    "o3": f"{_AIR_QUALITY}TROPOSPHERIC OZONE",
    "no2": f"{_AIR_QUALITY}NITROGEN OXIDES",
    "co": f"{_AIR_QUALITY}CARBON MONOXIDE",
    "so2": f"{_AIR_QUALITY}SULFUR OXIDES",
}
METHOD_URL = "https://www.sciencedirect.com/science/article/pii/S004896972204846X"  # Xiao et al. 2022
DATED = ("created", "issued", "modified", "metadata_modified")  # what ACDD has dates of
AUTHORSHIP = ("institution", "creator_", "publisher_")
UNSTATED = "not stated"  # of what only the user knows: ACDD asks for it, and nothing is made up


@dataclass(frozen=True)
class Provenance:
    """Where a file's numbers come from.

    sources : file name → SHA-256 of every input file.  networks : stage → name and digest of its network.
    precision : stage → what its network computed with, which the processor decides where the settings leave it open.
    configuration : digest of the settings.  synthetic : a sentence if the inputs are a nature run, else None.
    creator : further ACDD attributes chosen by the user (creator_name, creator_email, institution, date_created …).
    """

    sources: Mapping[str, str]
    networks: Mapping[str, str]
    configuration: str
    synthetic: str | None = None
    precision: Mapping[str, str] = field(default_factory=dict)
    creator: Mapping[str, str] = field(default_factory=dict)


def variable_attributes(pollutant: Pollutant = PM25) -> dict[str, object]:
    """Attributes of the field: instants in time, means over a node's cell."""
    return {
        "standard_name": pollutant.standard_name,
        "long_name": _quantity(pollutant),
        "units": pollutant.units,
        "cell_methods": "time: point area: mean",
        "coordinates": "height",
        "grid_mapping": "crs",
        "ancillary_variables": "time_status",
        "coverage_content_type": "modelResult",
        "valid_min": np.float32(0.0),
    }


def coordinate_attributes() -> dict[str, dict[str, object]]:
    """Additions to the axes; times are instants and need no bounds."""
    return {
        "time": {"coverage_content_type": "coordinate"},
        "latitude": {"bounds": "lat_bnds", "coverage_content_type": "coordinate"},
        "longitude": {"bounds": "lon_bnds", "coverage_content_type": "coordinate"},
    }


def small_variables(
    times: np.ndarray, grid: Grid, record: tuple[np.datetime64, np.datetime64], pollutant: Pollutant = PM25
) -> list[Extra]:
    """`time_status`, cell bounds, `height` and `crs`.

    times : (T,) datetime64.  record : the first and the last analysis of the whole record; hours beyond are missing.
    """
    half = grid.step / 2
    north = np.minimum(grid.latitude + half, 90.0)
    south = np.maximum(grid.latitude - half, -90.0)
    flags = np.array([ANALYSIS, INTERPOLATED, ACROSS_WINDOWS, MISSING], dtype=np.int8)
    status = Extra(
        "time_status",
        ("time",),
        hour_status(np.asarray(times), *record),
        {
            "standard_name": "status_flag",
            "long_name": "how the field of this hour came about",
            "flag_values": flags,
            "flag_meanings": STATUS_MEANINGS,
            "coverage_content_type": "qualityInformation",
        },
    )
    return [
        status,
        Extra("lat_bnds", ("latitude", "nv"), np.stack([north, south], axis=1)),
        Extra("lon_bnds", ("longitude", "nv"), np.stack([grid.longitude - half, grid.longitude + half], axis=1)),
        Extra(
            "height",
            (),
            np.float64(pollutant.height),
            {
                "standard_name": "height",
                "long_name": "height above the ground",
                "units": "m",
                "positive": "up",
                "axis": "Z",
                "coverage_content_type": "coordinate",
            },
        ),
        Extra(
            "crs",
            (),
            np.int32(0),
            {
                "grid_mapping_name": "latitude_longitude",
                "long_name": "coordinate reference system",
                "earth_radius": EARTH_RADIUS,
                "longitude_of_prime_meridian": 0.0,
            },
        ),
    ]


def global_attributes(
    times: np.ndarray,
    grid: Grid,
    provenance: Provenance,
    statistics: Mapping[str, float] | None = None,
    pollutant: Pollutant = PM25,
) -> dict[str, object]:
    """Global attributes of a file with these `times` (T,) on `grid`; statistics are added as they are."""
    first, last = times[0], times[-1]
    years = _span(first, last)
    where = "global" if grid.is_global else "regional"
    title = f"hourly {grid.step:g} degree {where} surface {_plain(pollutant)}, {years}"
    synthetic = provenance.synthetic
    attributes: dict[str, object] = {
        "Conventions": "CF-1.11, ACDD-1.3",
        "title": f"Synthetic {title}" if synthetic else f"{title[0].upper()}{title[1:]}",
        "summary": _summary(grid, synthetic, pollutant),
        "keywords": KEYWORDS[pollutant.name],
        "keywords_vocabulary": "GCMD Science Keywords",
        "standard_name_vocabulary": "CF Standard Name Table v93",
        "id": f"deepcams_{pollutant.name}_hourly_{_stamp(first)}_{_stamp(last)}_{provenance.configuration}",
        "naming_authority": "deepcams",
        "project": "DeepCAMS",
        "institution": "deepcams workflow",
        "creator_name": "deepcams workflow",
        "creator_type": "institution",
        "creator_institution": "deepcams workflow",
        "creator_url": UNSTATED,
        "creator_email": UNSTATED,
        "publisher_name": UNSTATED,
        "publisher_type": "institution",
        "publisher_institution": UNSTATED,
        "publisher_url": UNSTATED,
        "publisher_email": UNSTATED,
        "contributor_name": "deepcams nature run" if synthetic else "Copernicus Atmosphere Monitoring Service, ECMWF",
        "contributor_role": "synthetic source data" if synthetic else "source data",
        "platform": "MODELS",
        "platform_vocabulary": "GCMD Platform Keywords",
        "instrument": "NOT APPLICABLE",
        "instrument_vocabulary": "GCMD Instrument Keywords",
        "source": "synthetic nature run" if synthetic else "CAMS global reanalysis (EAC4), downscaled by deepcams",
        "processing_level": "Level 4",
        "cdm_data_type": "Grid",
        "program": "synthetic test" if synthetic else "Copernicus Atmosphere Monitoring Service",
        "references": REFERENCES,
        "metadata_link": METHOD_URL,
        "product_version": VERSION,
        "license": SYNTHETIC_LICENCE if synthetic else LICENCE.format(years=years),
        "acknowledgement": "Synthetic data; nothing is to be acknowledged."
        if synthetic
        else f"Generated using Copernicus Atmosphere Monitoring Service information {years}.",
        "comment": "Instants on the hour. time_status says which hours are analyses, which lie between two, and which "
        "are missing; missing values are NaN. Grid nodes carry the mean over their cell (lat_bnds, lon_bnds).",
        **_extent(times, grid, pollutant),
        **_dates(),
        "software": software(),
        "source_files": write_pairs({name: f"sha256:{digest}" for name, digest in provenance.sources.items()}),
        "networks": write_pairs(provenance.networks),
        "network_precision": write_pairs(provenance.precision),
        "configuration_digest": provenance.configuration,
        "history": f"made by {software()} from the source files with the networks and the configuration named here",
        **provenance.creator,
    }
    if synthetic:
        attributes["synthetic"] = synthetic
    attributes.update({name: np.float64(value) for name, value in (statistics or {}).items()})
    return attributes


def merge_global_attributes(
    names: list[str],
    parts: list[Mapping[str, object]],
    times: list[np.ndarray],
    grid: Grid,
    pollutant: Pollutant = PM25,
) -> dict[str, object]:
    """Global attributes of files joined along time; `names`, attributes and `times` of each part.

    Source files are listed together, statistics (`closure_…`) are the largest of the parts, dates the latest, versions
    and precisions are all named. Raises DeepcamsError, naming the files, if networks, settings or authors differ.
    """
    first = parts[0]
    for name, part in zip(names[1:], parts[1:], strict=True):
        compared = {"networks": "networks", "configuration_digest": "settings"}
        compared |= {key: "authors" for key in sorted({*first, *part}) if key.startswith(AUTHORSHIP)}
        for key, what in compared.items():
            if first.get(key) != part.get(key):
                raise DeepcamsError(
                    f"{names[0]} and {name} cannot be joined: they have different {what} ({key}: "
                    f"{first.get(key, 'none')} and {part.get(key, 'none')}). Make them with one configuration."
                )
    sources: dict[str, str] = {}
    for name, part in zip(names, parts, strict=True):
        for source, digest in read_pairs(part.get("source_files", "")).items():
            if sources.setdefault(source, digest) != digest:
                raise DeepcamsError(
                    f"{name} was made from another {source} than the files before it. Run the workflow again."
                )
    kept = {
        key: value for key, value in first.items() if not key.startswith(("closure_", "time_coverage_", "geospatial_"))
    }
    provenance = Provenance({}, {}, str(first.get("configuration_digest", "")), synthetic=first.get("synthetic"))
    own = global_attributes(times[0], grid, provenance, pollutant=pollutant)
    fresh = global_attributes(np.concatenate(times), grid, provenance, pollutant=pollutant)
    # What names the period is made anew, unless the user had set it.
    renewed = [key for key in ("title", "id", "license", "acknowledgement") if first.get(key) == own[key]]
    kept.update({key: fresh[key] for key in fresh if key in renewed or key.startswith(("time_", "geospatial_"))})
    kept["source_files"] = write_pairs(sources)
    for key in ("software", "product_version", "network_precision"):
        versions = dict.fromkeys(version for part in parts for version in str(part.get(key, "")).split(", "))
        kept[key] = ", ".join(filter(None, versions))
    dated = {key for part in parts for key in part if key.startswith("date_")}
    kept.update({key: max(str(part.get(key, "")) for part in parts) for key in sorted(dated)})
    kept.update({key: np.float64(value) for key, value in merge_statistics(parts).items()})
    return kept


def merge_layouts(paths: Sequence[str | Path], layouts: Sequence[Layout]) -> dict[str, object]:
    """`merge_global_attributes` of files by their layouts. Raises DeepcamsError, with a name, for axes of no grid."""
    try:
        grid = from_axes(layouts[0].latitude, layouts[0].longitude)[0]
    except DeepcamsError as error:
        raise DeepcamsError(f"{paths[0]}: {error}") from error
    return merge_global_attributes(
        [str(path) for path in paths],
        [part.global_attributes for part in layouts],
        [part.times for part in layouts],
        grid,
        POLLUTANTS.get(layouts[0].variable, PM25),
    )


def merge_statistics(parts: Iterable[Mapping[str, object]]) -> dict[str, float]:
    """The largest of each `closure_…` attribute; NaN only where no part has a number."""
    merged: dict[str, float] = {}
    for part in parts:
        for key, value in part.items():
            if key.startswith("closure_"):
                merged[key] = float(np.fmax(merged.get(key, np.nan), value))
    return merged


def _plain(pollutant: Pollutant) -> str:
    """A pollutant's name in ASCII."""
    return pollutant.long_name.partition(" near")[0] if pollutant.is_gas else pollutant.label


def _quantity(pollutant: Pollutant) -> str:
    if pollutant.is_gas:
        return f"mole fraction of {_plain(pollutant)} in the lowest model level"
    size = pollutant.label.removeprefix("PM")
    return f"mass concentration of particulate matter below {size} um ({pollutant.label}) at the surface"


def _summary(grid: Grid, synthetic: str | None, pollutant: Pollutant) -> str:
    fine = grid.step < 0.5
    space = " and from 0.75 to 0.25 degree" if fine else ""
    text = (
        f"{_subject(pollutant)}: 3-hourly analyses of the CAMS global "
        f"reanalysis EAC4, brought to one hour{space}; the attribute networks names what interpolated."
    )
    return f"{synthetic.rstrip('.')}. It went through the same steps as real data: {text}" if synthetic else text


def _subject(pollutant: Pollutant) -> str:
    if pollutant.is_gas:
        return f"Near-surface mole fractions of {_plain(pollutant)}"
    size = pollutant.label.removeprefix("PM")
    return f"Surface concentrations of particulate matter below {size} um ({pollutant.label})"


def _extent(times: np.ndarray, grid: Grid, pollutant: Pollutant) -> dict[str, object]:
    south, north = float(grid.latitude[-1]), float(grid.latitude[0])
    west, east = float(grid.longitude[0]), float(grid.longitude[-1])
    corners = ((south, west), (north, west), (north, east), (south, east), (south, west))
    hours = int((times[-1] - times[0]) / HOUR)
    days, rest = divmod(hours, 24)
    return {
        "geospatial_bounds": "POLYGON ((" + ", ".join(f"{y:g} {x:g}" for y, x in corners) + "))",
        "geospatial_bounds_crs": "EPSG:4326",
        "geospatial_bounds_vertical_crs": "height above the ground",  # EPSG has no code for it
        "geospatial_lat_min": south,
        "geospatial_lat_max": north,
        "geospatial_lat_units": "degrees_north",
        "geospatial_lat_resolution": float(grid.step),
        "geospatial_lon_min": west,
        "geospatial_lon_max": east,
        "geospatial_lon_units": "degrees_east",
        "geospatial_lon_resolution": float(grid.step),
        "geospatial_vertical_min": pollutant.height,
        "geospatial_vertical_max": pollutant.height,
        "geospatial_vertical_positive": "up",
        "geospatial_vertical_units": "m",
        "geospatial_vertical_resolution": "a single level" if pollutant.is_gas else "a single level, the surface",
        "time_coverage_start": f"{times[0].astype('datetime64[s]')}Z",
        "time_coverage_end": f"{times[-1].astype('datetime64[s]')}Z",
        "time_coverage_duration": f"P{days}DT{rest}H",
        "time_coverage_resolution": "PT1H",
    }


def authorship(author: Mapping[str, str | None]) -> dict[str, str]:
    """ACDD attributes of who made a product and when, of the configuration's `author`; None is left out."""
    stated = {key: value for key, value in author.items() if value is not None}
    date = stated.pop("date", None)
    for role in ("creator", "publisher"):
        if "institution" in stated:
            stated[f"{role}_institution"] = stated["institution"]
    return stated | ({f"date_{event}": date for event in DATED} if date else {})


def _dates() -> dict[str, str]:
    """ACDD's four dates from SOURCE_DATE_EPOCH (seconds since 1970, reproducible-builds.org); without it none.

    Raises DeepcamsError if it is set to something else.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return {}
    if not (text.isascii() and text.isdecimal() and len(text) <= 11):
        raise DeepcamsError(f"SOURCE_DATE_EPOCH is {text!r}, not seconds since 1970. Set it right, or unset it.")
    date = f"{np.datetime64(int(text), 's')}Z"
    return {f"date_{event}": date for event in DATED}


def _span(first: np.datetime64, last: np.datetime64) -> str:
    begin, end = str(first.astype("datetime64[Y]")), str(last.astype("datetime64[Y]"))
    return begin if begin == end else f"{begin}-{end}"


def _stamp(time: np.datetime64) -> str:
    return str(time.astype("datetime64[h]")).replace("-", "")
