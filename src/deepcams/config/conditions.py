"""How the values of a configuration must fit together: one function per condition, each giving sentences.

A condition gets the values at the paths beside it in `CONDITIONS`, each of which is right by itself.
"""

from collections.abc import Callable
from datetime import date

from deepcams.config.fusion_conditions import backgrounds_fit, fusion_batch_shared_out, fusion_patch_fits
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
from deepcams.config.source_conditions import (
    SOURCES,
    carried,
    eac4_record,
    geoscf_record,
    in_order,
    inside_geoscf,
    local_has_path,
    not_mixed,
    overlap,
    recipe_for,
    small_for_opendap,
    something_to_validate,
    span,
)
from deepcams.grid.nodes import Region, region_problems
from deepcams.pollutants import POLLUTANTS

FEWEST_NODES = 4  # a cubic stencil


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


def scored_apart(train: dict, test: dict) -> list[str]:
    """No network is scored on months it has learnt from."""
    if not (in_order(train) and in_order(test)) or not overlap(train, test):
        return []
    return [
        f"experiments.simulation.test: {span(test)} given; allowed: months that are not among the training months, "
        f"{span(train)}."
    ]


def limits_in_order(minimum: float, maximum: float | None, pollutant: str) -> list[str]:
    """Some value is between the limits."""
    maximum = POLLUTANTS[pollutant].ceiling if maximum is None else maximum
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
    (("results", *(f"{name}.source" for name in SOURCES)), not_mixed),
    (("region",), region_on_nodes),
    (("author.date",), real_date),
    (("cams.source", "cams.path"), local_has_path("cams")),
    (("cams.first", "cams.last"), ordered("cams")),
    (("cams.source", "cams.first"), eac4_record),
    (("geoscf.source", "geoscf.path"), local_has_path("geoscf")),
    (("geoscf.first", "geoscf.last"), ordered("geoscf")),
    (("geoscf.source", "geoscf.collection", "geoscf.first", "geoscf.last"), geoscf_record),
    (("geoscf.source", "region"), small_for_opendap),
    (("pollutant", "geoscf.source", "geoscf.collection"), carried),
    (("pollutant", "recipe"), recipe_for),
    (("meteorology.source", "meteorology.path"), local_has_path("meteorology")),
    (("weather_stations.source", "weather_stations.path"), local_has_path("weather_stations")),
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
    (("fusion.training.patch", "region"), fusion_patch_fits),
    (("fusion.background", "fusion.compare", "recipe"), backgrounds_fit),
    (("fusion.training.processes", "fusion.training.batch_size"), fusion_batch_shared_out),
    (("validation.minimum", "validation.maximum", "pollutant"), limits_in_order),
]
