"""How the choices of data sources must fit together: conditions of `deepcams.config.conditions`."""

import posixpath
from collections.abc import Callable

from deepcams.config.networks import HALO, shape
from deepcams.config.words import short
from deepcams.grid.nodes import FACTOR
from deepcams.pollutants import POLLUTANTS

FIRST_EAC4 = "2003-01"
# Whole months on NASA's servers: version 1 ends on 2026-01-02, version 2 begins on 2025-08-04.
FIRST_GEOSCF, LAST_GEOSCF, FIRST_GEOSCF_V2 = "2018-01", "2025-12", "2025-09"
VERSION_2 = "aqc_tavg_1hr_glo_L1440x721_slv"
MOST_OPENDAP_NODES = 400_000  # of the fine grid, halo included; the server suffers from more
PRODUCTION_ROOT = "results"
SOURCES = ("cams", "geoscf", "openaq", "meteorology", "weather_stations")
SYNTHETIC_ROOTS = ("results/demo", "results/tiny")


def inside_geoscf(path: str) -> Callable[[dict, str, str], list[str]]:
    """A condition: the months at `path` are inside the record of GEOS-CF."""

    def condition(period: dict, first: str, last: str) -> list[str]:
        if not (in_order(period) and first <= last):
            return []  # told already
        if first <= period["first"] and period["last"] <= last:
            return []
        return [f"{path}: {span(period)} given; allowed: months within geoscf, {first} to {last}."]

    return condition


def eac4_record(source: str, first: str) -> list[str]:
    """The Atmosphere Data Store has the month."""
    if source != "ads" or first >= FIRST_EAC4:
        return []
    return [f'cams.first: "{first}" given; allowed: {FIRST_EAC4} or later, where EAC4 begins.']


def geoscf_record(source: str, collection: str, first: str, last: str) -> list[str]:
    """NASA's servers have the months in the collection's version."""
    if source not in ("portal", "opendap"):
        return []
    if collection == VERSION_2:
        if first >= FIRST_GEOSCF_V2:
            return []
        return [
            f'geoscf.first: "{first}" given; allowed for {collection}: {FIRST_GEOSCF_V2} or later. Months before are '
            "of version 1, in other collections; one run holds one version."
        ]
    found = []
    if first < FIRST_GEOSCF:
        found.append(f'geoscf.first: "{first}" given; allowed: {FIRST_GEOSCF} or later, where version 1 begins.')
    if last > LAST_GEOSCF:
        found.append(
            f'geoscf.last: "{last}" given; allowed: {LAST_GEOSCF} or earlier, the last whole month of version 1. '
            f"Version 2 is the collection {VERSION_2}, from {FIRST_GEOSCF_V2} on; one run holds one version."
        )
    return found


def small_for_opendap(source: str, region: dict | None) -> list[str]:
    """Only small regions are asked of the OPeNDAP server."""
    if source != "opendap":
        return []
    if region is None:
        return ["geoscf.source: opendap given; allowed for the whole globe: portal. OPeNDAP is for small regions."]
    rows, columns = (FACTOR * (size - 1 + 2 * HALO) + 1 for size in shape(region))
    nodes = min(rows, 721) * min(columns, 1440)
    if nodes <= MOST_OPENDAP_NODES:
        return []
    return [
        f"geoscf.source: opendap given; allowed for a region of {nodes:,} fine nodes with its halo: portal. OPeNDAP is "
        f"for regions of at most {MOST_OPENDAP_NODES:,}."
    ]


def recipe_for(pollutant: str, recipe: str) -> list[str]:
    """The published recipes cut values off at 800 ug m-3, which is made for PM2.5."""
    if pollutant == "pm25" or recipe == "corrected":
        return []
    return [f"recipe: {recipe} given; allowed for the pollutant {pollutant}: corrected. The others are of PM2.5 alone."]


def carried(pollutant: str, source: str, collection: str) -> list[str]:
    """The collection holds the pollutant; the nature run is of PM2.5."""
    if source == "nature_run":
        if pollutant == "pm25":
            return []
        return [f"pollutant: {pollutant} given; allowed where the sources are nature_run: pm25. It simulates no other."]
    item = POLLUTANTS[pollutant]
    if item.geoscf_v2 if collection == VERSION_2 else item.geoscf_v1:
        return []
    return [
        f"pollutant: {pollutant} given; allowed with geoscf.collection {collection}: "
        f"{', '.join(name for name, other in POLLUTANTS.items() if other.geoscf_v1)}. Version 2, "
        f"{VERSION_2}, has {pollutant}."
    ]


def something_to_validate(cams: dict, openaq: dict) -> list[str]:
    """Measurements and product have a month in common."""
    if not (in_order(cams) and in_order(openaq)) or overlap(cams, openaq):
        return []
    return [
        f"openaq: measurements of {span(openaq)} given; allowed: at least one month of the product's, {span(cams)}."
    ]


def local_has_path(name: str) -> Callable[[str, str | None], list[str]]:
    """A condition: `local` says where, and nothing else does."""

    def condition(source: str, path: str | None) -> list[str]:
        if source == "local" and path is None:
            wanted = 'a pattern such as "data/cams/{year}-{month}.nc"' if name == "cams" else "a folder"
            return [f"{name}.path: nothing (null) given; allowed for source local: {wanted}."]
        if source != "local" and path is not None:
            return [
                f'{name}.path: "{short(path)}" given; allowed for source {source}: null. Only source local reads files.'
            ]
        if name == "cams" and path is not None:
            missing = [part for part in ("{year}", "{month}") if part not in path]
            rest = path.replace("{year}", "").replace("{month}", "")
            if missing or "{" in rest or "}" in rest:
                return [
                    f'cams.path: "{short(path)}" given; allowed: a pattern with {{year}} and {{month}} in it and no '
                    "other braces, such as data/cams/{year}-{month}.nc."
                ]
        return []

    return condition


def not_mixed(results: str, *sources: str) -> list[str]:
    """Synthetic and real data never meet, neither in one run nor in one folder. sources : in the order of SOURCES."""
    synthetic = [source == "nature_run" for source in sources]
    root = posixpath.normpath(results)
    if any(synthetic) and not all(synthetic):
        given = ", ".join(f"{name} {source}" for name, source in zip(SOURCES, sources, strict=True))
        return [
            f"{', '.join(f'{name}.source' for name in SOURCES)}: synthetic and real data mixed ({given}); "
            "allowed: nature_run for all five, or for none."
        ]
    if all(synthetic) and _is_production_root(root):
        return [
            f'results: "{short(results)}" given, where the real product belongs; allowed for a synthetic run: a folder '
            "of its own, such as results/demo."
        ]
    kept = next((folder for folder in SYNTHETIC_ROOTS if f"/{folder}/" in f"/{root}/"), None)
    if not any(synthetic) and kept:
        return [
            f'results: "{short(results)}" given, but {kept} is kept for synthetic runs; allowed for real data: another '
            "folder, such as results."
        ]
    return []


def in_order(period: dict) -> bool:
    """Whether a period ends no earlier than it begins."""
    return period["first"] <= period["last"]


def overlap(one: dict, other: dict) -> bool:
    """Whether two periods have a month in common."""
    return one["first"] <= other["last"] and other["first"] <= one["last"]


def span(period: dict) -> str:
    """A period in words."""
    return f"{period['first']} to {period['last']}" if period["first"] != period["last"] else period["first"]


def _is_production_root(root: str) -> bool:
    """Whether a folder is called `results`, as the production one is, or lies above where that is looked for."""
    return posixpath.basename(root) in (PRODUCTION_ROOT, ".", "..", "")
