"""Which networks a configuration chooses, and how they are set up.

A recipe says how networks are set up, trained and run. `published` is the code that Xiao et al. (2022) released,
`as_printed` the text of their paper where it differs from that, `corrected` what the project holds to be right.
"""

from deepcams.grid.nodes import COARSE_STEP, FACTOR, Region, coarse_grid, refine

NETWORKS = {
    "paper": {"temporal": "xvfi", "spatial": "abpn"},
    "light": {"temporal": "flow_residual", "spatial": "pixel_shuffle"},
    "interpolation": {"temporal": "linear", "spatial": "bicubic"},
}

# As the catalogue of networks says, which stands above this module.
LEARNING = {
    "temporal": ("xvfi", "flow_residual"),
    "spatial": ("abpn", "pixel_shuffle", "least_squares"),
}

# Sizes by network and recipe. A network without a size has none of that kind; one without a recipe, being no work of
# the paper's, is as in the corrected one.
FEATURES = {
    "xvfi": {"corrected": 64, "published": 64, "as_printed": 32},
    "flow_residual": {"corrected": 56},
    "abpn": {"corrected": 32, "published": 32, "as_printed": 32},
    "pixel_shuffle": {"corrected": 64},
}
LEVELS = {"xvfi": {"corrected": 1, "published": 1, "as_printed": 5}}

# How networks are trained where the configuration leaves it open, and which recipes a network has. Published is what
# the released code does: in time about 199 epochs of 365 updates, each of one patch of 512 cells of 0.25°; in space
# about 300 epochs of 1,095 updates, after which its weights were used. Its patches there have 120 nodes, for which
# ABPN's attention takes hundreds of GB a batch; so 40, as in the work that ABPN comes from. A network that is not here
# (least_squares) is solved for, which leaves nothing to set.
TRAINING_KEYS = ("steps", "batch_size", "patch", "learning_rate")
TRAINING = {
    network: {recipe: dict(zip(TRAINING_KEYS, values, strict=True)) for recipe, values in recipes.items()}
    for network, recipes in {
        "xvfi": {
            "corrected": (70_000, 8, 64, 0.0001),
            "published": (72_600, 1, 512, 0.0001),
            "as_printed": (72_600, 1, 512, 0.0001),
        },
        "flow_residual": {"corrected": (20_000, 16, 32, 0.002)},
        "abpn": {
            "corrected": (300_000, 16, 40, 0.0001),
            "published": (300_000, 16, 40, 0.0001),
            "as_printed": (300_000, 16, 40, 0.0001),
        },
        "pixel_shuffle": {"corrected": (20_000, 16, 32, 0.002)},
    }.items()
}
# What they are trained on where the configuration leaves it open. The published recipe learns at 0.25° what is done at
# 0.75°, and from mirrored and turned patches, whose rows have no latitude.
EXAMPLES = {
    recipe: dict(zip(("domain", "latitude_weights", "resolution"), values, strict=True))
    for recipe, values in {
        "corrected": ("mixed", True, "both"),
        "published": ("single", False, "fine"),
        "as_printed": ("single", False, "fine"),
    }.items()
}
MEANS = ("workers", "processes")  # of a training; they change nothing that is learnt, or only its last digits
PATCH_UNITS = {"coarse": "coarse nodes", "fine": "cells of 0.25°", "both": "nodes of 0.75° or 0.25°"}
# Coarse nodes that are cut around a patch, for the network or for bicubic interpolation, which it is compared with.
HALO = 31  # coarse nodes kept around a region: 4 for closure, 6 for a network in space, 21 for one in time
HALOS = {"flow_residual": 21, "abpn": 3, "pixel_shuffle": 6}
XVFI_STRIDE = 16  # at full resolution; twice as much with each level below

# Station fusion (Lyu et al. 2022): as the paper has it, and what it leaves open as it fits the time that it states.
FUSION_NETWORK = "pointconv_unetpp"
FUSION_TRAINING = {"steps": 20_000, "batch_size": 10, "learning_rate": 0.001}
FUSION_PATCH = 256  # fine nodes; the paper learns from its whole field of 372 × 426
FUSION_FEATURES = 16
FUSION_BACKGROUNDS = {"corrected": "product", "published": "none", "as_printed": "none"}

CLOSURES = {"corrected": "block_mean", "published": "none", "as_printed": "none"}
SPARE = 27  # nodes around the region that training can use: of the halo of 31, degradation spoils up to four
GLOBE = (241, 480)  # coarse nodes in latitude and in longitude
POLES = 2  # rows at each pole that patches degraded on their own stay away from


def network_of(stage: str, networks: str, network: str | None) -> str:
    """The network of a stage ("temporal" or "spatial"): the one that is named, else the one of the set `networks`."""
    return NETWORKS[networks][stage] if network is None else network


def network_name(config: dict, stage: str) -> str:
    """The network that a checked configuration chooses for a stage ("temporal" or "spatial")."""
    return network_of(stage, config["networks"], config[stage]["network"])


def network_settings(config: dict, stage: str) -> dict:
    """How the network of a stage is set up: what its model file holds, and what it is trained anew for.

    config : checked. Returns network and, if it learns, recipe, features and levels where it has them, and (unless it
    is solved for in one step) training, with what network and recipe say for whatever the configuration leaves open and
    without `MEANS`; `patch` is counted in `patch_unit`.
    An interpolation is the same in every recipe.
    """
    network, section = network_name(config, stage), config[stage]
    if network not in LEARNING[stage]:
        return {"network": network}
    recipe = recipe_of(network, config["recipe"])
    settings = {"network": network, "recipe": recipe}
    if network in FEATURES:
        settings["features"] = _first(section["features"], FEATURES[network][recipe])
    if network in LEVELS:
        settings["levels"] = levels_of(network, recipe, section["levels"])
    if network not in TRAINING:
        return settings
    given = {key: value for key, value in section["training"].items() if key not in MEANS}
    patch = usual_patch(network, recipe, section.get("levels"), config["region"], given.get("resolution"))
    usual = TRAINING[network][recipe] | EXAMPLES[recipe] | {"patch": patch}
    return settings | {"training": {key: _first(value, usual.get(key)) for key, value in given.items()}}


def fusion_background(config: dict) -> str:
    """The background of the network that makes fused fields: "product", "climatology" or "none"."""
    return _first(config["fusion"]["background"], FUSION_BACKGROUNDS[config["recipe"]])


def fusion_settings(config: dict, background: str) -> dict:
    """How a fusion network is set up and trained, as `network_settings` gives it for the others.

    config : checked.   background : of the network, which has the configured one or is compared with it.
    """
    section, recipe = config["fusion"], config["recipe"]
    given = {key: value for key, value in section["training"].items() if key not in MEANS}
    usual = FUSION_TRAINING | {"patch": min(FUSION_PATCH, fusion_room(config["region"]) // 16 * 16)}
    usual["latitude_weights"] = EXAMPLES[recipe]["latitude_weights"]
    return {
        "network": FUSION_NETWORK,
        "recipe": "corrected" if recipe == "corrected" else "published",
        "background": background,
        "reading": "as_printed" if recipe == "as_printed" else "corrected",
        "variables": list(section["variables"]),
        "static": list(section["static"]),
        "features": _first(section["features"], FUSION_FEATURES),
        "training": {key: _first(value, usual.get(key)) for key, value in given.items()},
    }


def fusion_room(region: dict | None) -> int:
    """The longest edge that there is for a patch of the fusion network: fine nodes of the region with its halo.

    Nothing is beyond the poles. Raises DeepcamsError for a region that is not on the nodes.
    """
    return min(refine(coarse_grid(None if region is None else Region(**region), HALO)).shape)


def training_means(config: dict, stage: str) -> dict:
    """How many processes draw examples (workers) and train (processes): nothing that a network is trained anew for."""
    return {key: config[stage]["training"][key] for key in MEANS}


def recipe_of(network: str, recipe: str) -> str:
    """The recipe that a network which learns follows: the configured one if it has it, else "corrected"."""
    return recipe if recipe in TRAINING.get(network, ()) else "corrected"


def closure(config: dict) -> str:
    """How fine fields are made to give back their coarse input: "block_mean" or "none"."""
    return _first(config["spatial"]["closure"], CLOSURES[config["recipe"]])


def levels_of(network: str, recipe: str, levels: int | None) -> int | None:
    """Pyramid levels below full resolution: those given, else as the recipe says. None for networks without any."""
    return _first(levels, LEVELS[network][recipe]) if network in LEVELS else None


def resolution_of(network: str, recipe: str, resolution: str | None) -> str:
    """The fields that a network learns from: "coarse", "fine" or "both" in turn; coarse ones in space."""
    if network not in LEARNING["temporal"]:
        return "coarse"
    return _first(resolution, EXAMPLES[recipe_of(network, recipe)]["resolution"])


def patch_unit(network: str, recipe: str, resolution: str | None = None) -> str:
    """What a patch is counted in: coarse nodes (0.75°), cells of 0.25°, or either where both are learnt from."""
    return PATCH_UNITS[resolution_of(network, recipe, resolution)]


def patch_multiple(network: str, recipe: str, levels: int | None) -> int:
    """What the edge of a patch must be a multiple of: a pyramid is halved once more with every level."""
    return XVFI_STRIDE * 2 ** levels_of(network, recipe, levels) if network in LEVELS else 1


def patch_room(network: str, recipe: str, region: dict | None, resolution: str | None = None) -> int:
    """The longest edge that there is for a patch, in its unit: the region with most of its halo.

    What is cut around a patch comes off it. Nothing is beyond the poles, which bounds patches on the globe (None).
    """
    nodes = GLOBE[0] - 2 * POLES
    if region is not None:
        nodes = min(nodes, min(shape(region)) + 2 * SPARE)
    if resolution_of(network, recipe, resolution) == "fine":
        nodes = FACTOR * (nodes - 1) + 1
    return nodes - 2 * HALOS.get(network, 0)


def usual_patch(
    network: str, recipe: str, levels: int | None, region: dict | None, resolution: str | None = None
) -> int:
    """The recipe's patch, smaller where the region is and larger where the pyramid is; 0 if the region has no room."""
    multiple = patch_multiple(network, recipe, levels)
    room = patch_room(network, recipe, region, resolution)
    return min(max(TRAINING[network][recipe_of(network, recipe)]["patch"], multiple), room // multiple * multiple)


def shape(region: dict | None) -> tuple[int, int]:
    """Coarse nodes of a box (None: the globe) in latitude and in longitude."""
    if region is None:
        return GLOBE
    rows = round((region["north"] - region["south"]) / COARSE_STEP) + 1
    columns = round((region["east"] - region["west"]) / COARSE_STEP) + 1
    return rows, columns


def _first(given: object, otherwise: object) -> object:
    return otherwise if given is None else given
