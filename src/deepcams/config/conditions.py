"""How the values of a configuration must fit together: one function per condition, each giving sentences.

A condition gets the values at the paths beside it in `CONDITIONS`, each of which is right by itself.
"""

import posixpath
from collections.abc import Callable
from datetime import date

from deepcams.config.networks import (
    EXAMPLES,
    FEATURES,
    LEARNING,
    LEVELS,
    TRAINING,
    levels_of,
    network_of,
    patch_multiple,
    patch_room,
    patch_unit,
    recipe_of,
    shape,
    usual_patch,
)
from deepcams.config.words import short
from deepcams.grid.nodes import Region, region_problems

FIRST_EAC4 = "2003-01"
FIRST_GEOSCF, LAST_GEOSCF = "2018-01", "2025-12"  # version 1 ends on 2026-01-02
FEWEST_NODES = 4  # a cubic stencil
PRODUCTION_ROOT = "results"
SYNTHETIC_ROOTS = ("results/demo", "results/tiny")


def region_on_nodes(region: dict | None) -> list[str]:
    """The box lies on coarse nodes, is the right way round, and is large enough."""
    if region is None:
        return []
    found = region_problems(Region(**region))
    if not found:
        rows, columns = shape(region)
        if rows < FEWEST_NODES or columns < FEWEST_NODES:
            found = [f"it has {rows} × {columns} coarse nodes; at least {FEWEST_NODES} × {FEWEST_NODES} are needed"]
    return [f"region: {text}." for text in found]


def real_date(text: str | None) -> list[str]:
    """The calendar has the date of making."""
    try:
        date.fromisoformat(text or "2000-01-01")
    except ValueError:
        return [f'author.date: the calendar has no "{text}".']
    return []


def ordered(path: str) -> Callable[[str, str], list[str]]:
    """A condition: the period at `path` does not end before it begins."""

    def condition(first: str, last: str) -> list[str]:
        if first <= last:  # "YYYY-MM" sorts as months do
            return []
        return [f'{path}: first "{first}" is after last "{last}"; allowed: the same month or an earlier one.']

    return condition


def inside_geoscf(path: str) -> Callable[[dict, str, str], list[str]]:
    """A condition: the months at `path` are inside the record of GEOS-CF."""

    def condition(period: dict, first: str, last: str) -> list[str]:
        if not (_in_order(period) and first <= last):
            return []  # told already
        if first <= period["first"] and period["last"] <= last:
            return []
        return [f"{path}: {_span(period)} given; allowed: months within geoscf, {first} to {last}."]

    return condition


def scored_apart(train: dict, test: dict) -> list[str]:
    """No network is scored on months it has learnt from."""
    if not (_in_order(train) and _in_order(test)) or not _overlap(train, test):
        return []
    return [
        f"experiments.simulation.test: {_span(test)} given; allowed: months that are not among the training months, "
        f"{_span(train)}."
    ]


def eac4_record(source: str, first: str) -> list[str]:
    """The Atmosphere Data Store has the month."""
    if source != "ads" or first >= FIRST_EAC4:
        return []
    return [f'cams.first: "{first}" given; allowed: {FIRST_EAC4} or later, where EAC4 begins.']


def geoscf_record(source: str, first: str, last: str) -> list[str]:
    """The portal has the months."""
    if source != "portal":
        return []
    found = []
    if first < FIRST_GEOSCF:
        found.append(f'geoscf.first: "{first}" given; allowed: {FIRST_GEOSCF} or later, where the portal begins.')
    if last > LAST_GEOSCF:
        found.append(f'geoscf.last: "{last}" given; allowed: {LAST_GEOSCF} or earlier, the last whole month there.')
    return found


def something_to_validate(cams: dict, openaq: dict) -> list[str]:
    """Measurements and product have a month in common."""
    if not (_in_order(cams) and _in_order(openaq)) or _overlap(cams, openaq):
        return []
    return [
        f"openaq: measurements of {_span(openaq)} given; allowed: at least one month of the product's, {_span(cams)}."
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


def not_mixed(results: str, cams: str, geoscf: str, openaq: str) -> list[str]:
    """Synthetic and real data never meet, neither in one run nor in one folder."""
    synthetic = [source == "nature_run" for source in (cams, geoscf, openaq)]
    root = posixpath.normpath(results)
    given = f"cams {cams}, geoscf {geoscf}, openaq {openaq}"
    if any(synthetic) and not all(synthetic):
        return [
            f"cams.source, geoscf.source, openaq.source: synthetic and real data mixed ({given}); "
            "allowed: nature_run for all three, or for none."
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


def limits_in_order(minimum: float, maximum: float) -> list[str]:
    """Some value is between the limits."""
    if minimum < maximum:
        return []
    return [f"validation.minimum: {minimum} given; allowed: less than validation.maximum, {maximum}."]


def has_size(key: str, stage: str, table: dict) -> Callable[[int | None, str, str | None], list[str]]:
    """A condition: a size is given only for a network that has it, which is what `table` says."""

    def condition(size: int | None, networks: str, network: str | None) -> list[str]:
        name = network_of(stage, networks, network)
        if size is None or name in table:
            return []
        having = [other for other in LEARNING[stage] if other in table]
        verb = "has" if len(having) == 1 else "have"
        return [
            f"{stage}.{key}: {size} given; allowed for the network {name}: null. "
            f"Only {' and '.join(having)} {verb} {key}."
        ]

    return condition


def features_in_fours(features: int | None, networks: str, network: str | None) -> list[str]:
    """XVFI unfolds its features into 4 × 4 cells, four maps at a time."""
    if features is None or network_of("temporal", networks, network) != "xvfi" or features % 4 == 0:
        return []
    nearest = 4 * max(1, round(features / 4))
    return [f"temporal.features: {features} given; allowed for xvfi: a multiple of 4. The nearest is {nearest}."]


def patch_fits(stage: str) -> Callable[..., list[str]]:
    """A condition: training patches fit into the region, and into a pyramid where the network has one."""

    def condition(
        patch: int | None,
        region: dict | None,
        networks: str,
        recipe: str,
        network: str | None,
        levels: int | None = None,
        resolution: str | None = None,
    ) -> list[str]:
        name = network_of(stage, networks, network)
        if name not in TRAINING or region_on_nodes(region):
            return []
        multiple, room = patch_multiple(name, recipe, levels), patch_room(name, recipe, region, resolution)
        whole = patch if patch is not None else usual_patch(name, recipe, levels, region, resolution)
        unit, largest = patch_unit(name, recipe, resolution), room // multiple * multiple
        height = levels_of(name, recipe, levels)
        pyramid = f"{name} with {height} {'level' if height == 1 else 'levels'}"
        path = f"{stage}.training.patch"
        if largest == 0:
            there = "the region with its halo has" if region is not None else "there are, from pole to pole,"
            ways = ["enlarge the region"] * (region is not None) + ["lower temporal.levels"] * (height > 1)
            return [
                f"{path}: {pyramid} learns from patches of {multiple} {unit} or more, but {there} {room}; "
                f"{', '.join([*ways, 'or choose another network'])} (networks: light)."
            ]
        if whole <= largest and whole % multiple == 0:
            return []
        if multiple == 1:
            edge = (
                "what the region with its halo has room for" if region is not None else "all that fit between the poles"
            )
            return [f"{path}: {patch} given; allowed: at most {largest} {unit}, {edge}."]
        nearest = min(max(round(whole / multiple), 1) * multiple, largest)
        return [
            f"{path}: {patch} given; allowed for {pyramid}: a multiple of {multiple} {unit}, at most {largest}. "
            f"The nearest is {nearest}."
        ]

    return condition


def further_networks_fit(stage: str) -> Callable[..., list[str]]:
    """A condition: there is room for a patch of every network that is compared."""

    def condition(compared: list[str], region: dict | None, recipe: str, resolution: str | None = None) -> list[str]:
        if region_on_nodes(region):
            return []
        found = []
        for name in compared:
            if usual_patch(name, recipe, None, region, resolution) <= 0:
                smallest = f"{patch_multiple(name, recipe, None)} {patch_unit(name, recipe, resolution)}"
                found.append(
                    f"experiments.simulation.compare.{stage}: {name} learns from patches of {smallest} or more, for "
                    "which the region with its halo has no room; enlarge the region, or leave it out."
                )
        return found

    return condition


def batch_shared_out(stage: str) -> Callable[..., list[str]]:
    """A condition: every process gets as many examples of a batch."""

    def condition(
        processes: int, batch_size: int | None, networks: str, recipe: str, network: str | None, compared: list[str]
    ) -> list[str]:
        for name in [network_of(stage, networks, network), *compared]:
            if name not in TRAINING:
                continue
            size = batch_size if batch_size is not None else TRAINING[name][recipe_of(name, recipe)]["batch_size"]
            if size % processes:
                fitting = [str(number) for number in range(1, 65) if size % number == 0]
                return [
                    f"{stage}.training.processes: {processes} given; allowed for batches of {size} patches, which "
                    f"{name} learns from: {', '.join(fitting)}. Or make {stage}.training.batch_size a multiple."
                ]
        return []

    return condition


def rows_have_latitudes(stage: str) -> Callable[..., list[str]]:
    """A condition: rows are not weighted by their latitudes where patches are turned."""

    def condition(weights: bool | None, networks: str, recipe: str, network: str | None) -> list[str]:
        name = network_of(stage, networks, network)
        if not weights or name not in TRAINING or EXAMPLES[recipe_of(name, recipe)]["latitude_weights"]:
            return []
        return [
            f"{stage}.training.latitude_weights: true given; allowed for {name} with the recipe {recipe}, which turns "
            "patches, so that their rows have no latitude: false or null."
        ]

    return condition


CONDITIONS: list[tuple[tuple[str, ...], Callable[..., list[str]]]] = [
    (("results", "cams.source", "geoscf.source", "openaq.source"), not_mixed),
    (("region",), region_on_nodes),
    (("author.date",), real_date),
    (("cams.source", "cams.path"), local_has_path("cams")),
    (("cams.first", "cams.last"), ordered("cams")),
    (("cams.source", "cams.first"), eac4_record),
    (("geoscf.source", "geoscf.path"), local_has_path("geoscf")),
    (("geoscf.first", "geoscf.last"), ordered("geoscf")),
    (("geoscf.source", "geoscf.first", "geoscf.last"), geoscf_record),
    (("openaq.source", "openaq.path"), local_has_path("openaq")),
    (("openaq.first", "openaq.last"), ordered("openaq")),
    (
        ("openaq.first", "openaq.last", "cams.first", "cams.last"),
        lambda a, b, c, d: something_to_validate({"first": c, "last": d}, {"first": a, "last": b}),
    ),
    *(
        ((f"experiments.{name}.first", f"experiments.{name}.last"), ordered(f"experiments.{name}"))
        for name in ("simulation.train", "simulation.test", "real.train")
    ),
    *(
        ((f"experiments.{name}", "geoscf.first", "geoscf.last"), inside_geoscf(f"experiments.{name}"))
        for name in ("simulation.train", "simulation.test", "real.train")
    ),
    (("experiments.simulation.train", "experiments.simulation.test"), scored_apart),
    *(
        ((f"{stage}.features", "networks", f"{stage}.network"), has_size("features", stage, FEATURES))
        for stage in LEARNING
    ),
    (("temporal.features", "networks", "temporal.network"), features_in_fours),
    (("temporal.levels", "networks", "temporal.network"), has_size("levels", "temporal", LEVELS)),
    (
        (
            *("temporal.training.patch", "region", "networks", "recipe", "temporal.network", "temporal.levels"),
            "temporal.training.resolution",
        ),
        patch_fits("temporal"),
    ),
    (("spatial.training.patch", "region", "networks", "recipe", "spatial.network"), patch_fits("spatial")),
    (
        ("experiments.simulation.compare.temporal", "region", "recipe", "temporal.training.resolution"),
        further_networks_fit("temporal"),
    ),
    (("experiments.simulation.compare.spatial", "region", "recipe"), further_networks_fit("spatial")),
    *(
        (
            (
                *(f"{stage}.training.processes", f"{stage}.training.batch_size", "networks", "recipe"),
                *(f"{stage}.network", f"experiments.simulation.compare.{stage}"),
            ),
            batch_shared_out(stage),
        )
        for stage in LEARNING
    ),
    *(
        ((f"{stage}.training.latitude_weights", "networks", "recipe", f"{stage}.network"), rows_have_latitudes(stage))
        for stage in LEARNING
    ),
    (("validation.minimum", "validation.maximum"), limits_in_order),
]


def _in_order(period: dict) -> bool:
    return period["first"] <= period["last"]


def _overlap(one: dict, other: dict) -> bool:
    return one["first"] <= other["last"] and other["first"] <= one["last"]


def _span(period: dict) -> str:
    return f"{period['first']} to {period['last']}" if period["first"] != period["last"] else period["first"]


def _is_production_root(root: str) -> bool:
    """Whether a folder is called `results`, as the production one is, or lies above where that is looked for."""
    return posixpath.basename(root) in (PRODUCTION_ROOT, ".", "..", "")
