"""Which networks a configuration chooses, how they are set up, and what mistakes in choosing them are told."""

import copy
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from snakemake.utils import update_config

from deepcams.config.check import load_schema, problems, restore_types
from deepcams.config.networks import (
    FUSION_NETWORK,
    LEARNING,
    TRAINING,
    closure,
    fusion_background,
    fusion_room,
    fusion_settings,
    network_name,
    network_settings,
    patch_room,
    patch_unit,
    training_means,
)
from deepcams.degrade.operators import margin
from deepcams.geography.covariates import COVARIATES
from deepcams.grid.nodes import Grid, Region, coarse_grid, fine_globe, refine
from deepcams.models import catalogue
from deepcams.models.fusion import BACKGROUNDS, SCALES
from deepcams.training.days import Days
from deepcams.training.domain import MARGIN
from deepcams.training.shards import Shard

CONFIG = Path(__file__).resolve().parents[2] / "config"
SCHEMA = load_schema(CONFIG / "config.schema.yaml")
ASIA = "{north: 49.5, west: 65.25, south: 5.25, east: 125.25}"  # 60 × 81 coarse nodes
INDIA = "{north: 33.0, west: 75.0, south: 26.25, east: 83.25}"  # 10 × 12
SMALLEST = "{north: 28.5, west: 75.0, south: 26.25, east: 77.25}"  # 4 × 4


def training(steps: int, batch_size: int, patch: int, learning_rate: float, **examples: object) -> dict:
    """What a training is done with where config.yaml leaves these four and what is learnt from open."""
    given = {"seed": 1, "precision": "auto", "threads": 2, "ema": None}
    return {
        "steps": steps,
        "batch_size": batch_size,
        "patch": patch,
        "learning_rate": learning_rate,
        **given,
        **examples,
    }


OURS, THEIRS = {"domain": "mixed", "latitude_weights": True}, {"domain": "single", "latitude_weights": False}
PAPER_TIME = training(70_000, 8, 64, 1e-4, **OURS, resolution="both")
PAPER_SPACE = training(300_000, 16, 40, 1e-4, **OURS)
PUBLISHED_TIME = training(72_600, 1, 512, 1e-4, **THEIRS, resolution="fine")
PUBLISHED_SPACE = training(300_000, 16, 40, 1e-4, **THEIRS)
LIGHT_TIME, LIGHT_SPACE = (
    training(20_000, 16, 32, 0.002, **OURS, resolution="both"),
    training(20_000, 16, 32, 0.002, **OURS),
)


def changed(change: str, name: str = "config") -> dict:
    """A configuration as Snakemake merges it, with `change` laid over it."""
    config = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
    if name != "config":
        update_config(config, yaml.safe_load((CONFIG / f"{name}.yaml").read_text(encoding="utf-8")))
    update_config(config, yaml.safe_load(change))
    return config


def empty_shard(grid: Grid, operator: str, **parameters: float) -> Shard:
    """A week of clean air on a coarse grid and its refinement."""
    times = np.datetime64("2018-06-01T00:30:00", "s") + np.arange(168) * np.timedelta64(3600, "s")
    fine = np.zeros((len(times), *refine(grid).shape), dtype="f4")
    coarse = np.ascontiguousarray(fine[:, ::3, ::3])
    return Shard(fine, coarse, times, refine(grid), grid, operator, parameters, own=len(times))


# One line


@pytest.mark.parametrize(
    ("change", "temporal", "spatial", "closed"),
    [
        (
            "networks: paper",
            {"network": "xvfi", "recipe": "corrected", "features": 64, "levels": 1, "training": PAPER_TIME},
            {"network": "abpn", "recipe": "corrected", "features": 32, "training": PAPER_SPACE},
            "block_mean",
        ),
        (
            "recipe: published",
            {"network": "xvfi", "recipe": "published", "features": 64, "levels": 1, "training": PUBLISHED_TIME},
            {"network": "abpn", "recipe": "published", "features": 32, "training": PUBLISHED_SPACE},
            "none",
        ),
        (
            "recipe: as_printed",
            {"network": "xvfi", "recipe": "as_printed", "features": 32, "levels": 5, "training": PUBLISHED_TIME},
            {"network": "abpn", "recipe": "as_printed", "features": 32, "training": PUBLISHED_SPACE},
            "none",
        ),
        (
            "networks: light",
            {"network": "flow_residual", "recipe": "corrected", "features": 56, "training": LIGHT_TIME},
            {"network": "pixel_shuffle", "recipe": "corrected", "features": 64, "training": LIGHT_SPACE},
            "block_mean",
        ),
        ("networks: interpolation", {"network": "linear"}, {"network": "bicubic"}, "block_mean"),
    ],
)
def test_one_line_chooses_networks_and_recipe(change, temporal, spatial, closed):
    config = changed(change)
    assert problems(config, SCHEMA) == []
    assert network_settings(config, "temporal") == temporal
    assert network_settings(config, "spatial") == spatial
    assert closure(config) == closed


@pytest.mark.parametrize("networks", ["paper", "light", "interpolation"])
@pytest.mark.parametrize("recipe", ["corrected", "published", "as_printed"])
def test_every_choice_of_both_is_valid_on_the_globe(networks, recipe):
    assert problems(changed(f"{{networks: {networks}, recipe: {recipe}}}"), SCHEMA) == []


# Single choices


NETWORKS = [
    ("temporal", "{network: nearest}", {"network": "nearest"}),
    ("temporal", "{network: linear_as_printed}", {"network": "linear_as_printed"}),
    ("spatial", "{network: lanczos3}", {"network": "lanczos3"}),
    (
        "spatial",
        "{network: least_squares}",
        {"network": "least_squares", "recipe": "corrected"},
    ),
]


@pytest.mark.parametrize(("stage", "section", "expected"), NETWORKS)
@pytest.mark.parametrize("networks", ["paper", "light", "interpolation"])
def test_a_network_by_name_wins_over_the_set(networks, stage, section, expected):
    config = changed(f"{{networks: {networks}, recipe: published, {stage}: {section}}}")
    assert problems(config, SCHEMA) == []
    assert network_settings(config, stage) == expected
    assert network_name(config, stage) == expected["network"]
    other = {"temporal": "spatial", "spatial": "temporal"}[stage]
    assert network_settings(config, other) == network_settings(
        changed(f"{{networks: {networks}, recipe: published}}"), other
    )


def test_networks_that_are_not_the_papers_have_one_recipe():
    """Another recipe changes the closure after them, and trains nothing anew."""
    corrected, published = changed("networks: light"), changed("{networks: light, recipe: published}")
    for stage in LEARNING:
        assert network_settings(published, stage) == network_settings(corrected, stage)
    assert closure(published) == "none"


def test_sizes_that_are_given_win_over_the_recipe():
    config = changed(
        "{recipe: as_printed, temporal: {features: 16, levels: 2}, spatial: {features: 8, closure: block_mean}}"
    )
    assert problems(config, SCHEMA) == []
    temporal, spatial = (network_settings(config, stage) for stage in ("temporal", "spatial"))
    assert (temporal["features"], temporal["levels"], spatial["features"]) == (16, 2, 8)
    assert closure(config) == "block_mean"
    assert closure(changed("spatial: {closure: none}")) == "none"


def test_text_from_the_command_line_is_understood():
    typed = restore_types(
        changed("temporal: {network: 'null', features: '8', levels: '', training: {patch: '32'}}"), SCHEMA
    )
    assert problems(typed, SCHEMA) == []
    settings = network_settings(typed, "temporal")
    assert (settings["network"], settings["features"], settings["levels"]) == ("xvfi", 8, 1)
    assert settings["training"]["patch"] == 32


def test_settings_leave_the_configuration_as_it_is():
    config = changed("recipe: published")
    before = copy.deepcopy(config)
    network_settings(config, "temporal")["training"]["steps"] = 1
    assert config == before


@pytest.mark.parametrize("network", ["xvfi", "flow_residual"])
def test_trainings_that_are_given_win_over_network_and_recipe(network):
    given = {"steps": 7, "batch_size": 3, "patch": 96, "learning_rate": 0.5}
    for key, value in given.items():
        config = changed(f"temporal: {{network: {network}, training: {{{key}: {value}}}}}")
        assert problems(config, SCHEMA) == []
        usual = network_settings(changed(f"temporal: {{network: {network}}}"), "temporal")["training"]
        assert network_settings(config, "temporal")["training"] == usual | {key: value}
        assert usual[key] != value


def test_readme_tells_the_training_of_every_network():
    text = (CONFIG / "README.md").read_text(encoding="utf-8")
    assert "| xvfi | published, as_printed | 72,600 | 1 | 512 cells of 0.25° | 0.0001 |" in text
    for stage, networks in LEARNING.items():
        for network in networks:
            training = network_settings(changed(f"{stage}: {{network: {network}}}"), stage).get("training")
            if training is None:
                continue  # solved for
            unit = "nodes of 0.75° or 0.25°" if stage == "temporal" else "coarse nodes"
            cells = f"{training['steps']:,} | {training['batch_size']} | {training['patch']} {unit}"
            rows = [line for line in text.splitlines() if line.startswith(f"| {network} | ")]
            assert any(cells in row and row.endswith(f"| {training['learning_rate']} |") for row in rows)


# Patches


@pytest.mark.parametrize(
    ("change", "stage", "patch"),
    [
        (f"region: {ASIA}", "temporal", 64),  # of 114 nodes with those around the region
        (f"region: {SMALLEST}", "temporal", 32),  # of 58, halved as often as they must be
        (f"region: {SMALLEST}", "spatial", 40),
        (f"{{region: {ASIA}, recipe: published}}", "temporal", 320),  # of 340 fine cells
        (f"{{region: {INDIA}, recipe: published}}", "temporal", 160),  # of 190
        (f"{{region: {INDIA}, temporal: {{training: {{resolution: fine}}}}}}", "temporal", 64),
        (f"{{region: {INDIA}, recipe: published, temporal: {{training: {{resolution: coarse}}}}}}", "temporal", 64),
        (f"{{region: {ASIA}, networks: light}}", "temporal", 32),
        (f"{{region: {INDIA}, networks: light}}", "temporal", 22),  # of 64, without 21 on each side, for the network
        (f"{{region: {INDIA}, networks: light, temporal: {{training: {{resolution: fine}}}}}}", "temporal", 32),
        (f"{{region: {SMALLEST}, networks: light}}", "temporal", 16),
        (f"{{region: {SMALLEST}, networks: light}}", "spatial", 32),
        ("temporal: {levels: 3}", "temporal", 128),
        ("temporal: {training: {patch: 96}}", "temporal", 96),
    ],
)
def test_patch_that_is_not_given_fits_region_and_pyramid(change, stage, patch):
    config = changed(change)
    assert problems(config, SCHEMA) == []
    assert network_settings(config, stage)["training"]["patch"] == patch


def test_largest_patches_are_counted_on_the_grid_that_is_learnt_from():
    """The shorter edge of the region and of 27 nodes on each side, from the grids themselves."""
    for box in (ASIA, INDIA):
        around = coarse_grid(Region(**yaml.safe_load(box)), 27)
        for recipe, grid in (("corrected", around), ("published", refine(around))):
            room = min(grid.shape)
            section = "temporal: {training: {patch: %d}}"
            allowed = room // 32 * 32
            for patch in (allowed, allowed + 32):
                config = changed(f"{{region: {box}, recipe: {recipe}, {section % patch}}}")
                assert (problems(config, SCHEMA) == []) is (patch <= room)


@pytest.mark.parametrize("recipe", ["corrected", "published"])
@pytest.mark.parametrize(
    ("stage", "network"), [(s, name) for s in LEARNING for name in LEARNING[s] if name in TRAINING]
)
def test_the_largest_patch_that_is_allowed_can_be_drawn(stage, network, recipe):
    """From what the workflow keeps of GEOS-CF: the region and 31 nodes around it, of which smoothing spoils four."""
    change = f"{{region: {INDIA}, recipe: {recipe}, {stage}: {{network: {network}}}}}"
    settings = network_settings(changed(change), stage)
    module = catalogue.make(stage, network, settings | {"features": 4})
    multiple = getattr(module, "stride", 1)
    largest = patch_room(network, recipe, yaml.safe_load(INDIA)) // multiple * multiple
    for patch in (largest, largest + multiple):
        config = changed(change)
        config[stage]["training"]["patch"] = patch
        assert (problems(config, SCHEMA) == []) is (patch == largest)
    shard = empty_shard(coarse_grid(Region(**yaml.safe_load(INDIA)), 31), "gaussian", sigma=3.0)
    assert margin("gaussian", sigma=3.0) == 4
    task = import_module(catalogue.trainer_of(stage, network)).task(
        module, [shard], settings["training"] | {"patch": largest}
    )
    assert all(task.draw(step, range(1)) is not None for step in range(1, 7))  # at either resolution


def test_longest_patch_on_the_globe_ends_at_the_poles():
    assert SCHEMA["$defs"]["training"]["properties"]["patch"]["maximum"] == fine_globe().shape[0] // 32 * 32
    assert problems(changed("{recipe: published, temporal: {training: {patch: 704}}}"), SCHEMA) == []
    rows = coarse_grid().shape[0]
    for stage, network, halo in (
        ("temporal", "flow_residual", 21),
        ("spatial", "pixel_shuffle", 6),
        ("spatial", "abpn", 3),
    ):
        longest = rows - 2 * MARGIN - 2 * halo
        for patch in (longest, longest + 1):
            found = problems(changed(f"{stage}: {{network: {network}, training: {{patch: {patch}}}}}"), SCHEMA)
            assert (found == []) is (patch == longest), found


@pytest.mark.parametrize(
    ("network", "recipe", "resolution", "unit"),
    [
        ("xvfi", "corrected", None, "nodes of 0.75° or 0.25°"),
        ("xvfi", "corrected", "coarse", "coarse nodes"),
        ("xvfi", "published", None, "cells of 0.25°"),
        ("xvfi", "as_printed", None, "cells of 0.25°"),
        ("xvfi", "as_printed", "both", "nodes of 0.75° or 0.25°"),
        ("flow_residual", "published", None, "nodes of 0.75° or 0.25°"),
        ("flow_residual", "corrected", "fine", "cells of 0.25°"),
        ("abpn", "published", None, "coarse nodes"),
    ],
)
def test_a_patch_is_counted_in_nodes_of_what_is_learnt_from(network, recipe, resolution, unit):
    assert patch_unit(network, recipe, resolution) == unit


# What is learnt from, and by how many


@pytest.mark.parametrize(
    ("stage", "key", "values"),
    [
        ("temporal", "domain", ("mixed", "single")),
        ("spatial", "domain", ("mixed", "single")),
        ("temporal", "resolution", ("coarse", "fine", "both")),
        ("spatial", "latitude_weights", ("false",)),
        ("temporal", "ema", ("0.999",)),
    ],
)
@pytest.mark.parametrize("recipe", ["corrected", "published"])
def test_what_is_learnt_from_can_be_chosen_in_any_recipe(recipe, stage, key, values):
    for value in values:
        config = changed(f"{{recipe: {recipe}, {stage}: {{training: {{{key}: {value}}}}}}}")
        assert problems(config, SCHEMA) == []
        assert network_settings(config, stage)["training"][key] == yaml.safe_load(value)


def test_no_network_is_trained_anew_for_the_number_of_processes_that_do_it():
    config = changed("{networks: light, temporal: {training: {workers: 7, processes: 4}}}")
    assert problems(config, SCHEMA) == []
    assert network_settings(config, "temporal") == network_settings(changed("networks: light"), "temporal")
    assert training_means(config, "temporal") == {"workers": 7, "processes": 4}
    assert training_means(config, "spatial") == {"workers": 2, "processes": 1}


def test_networks_can_be_compared_with_the_configured_ones():
    compared = "compare: {temporal: [xvfi, flow_residual], spatial: [pixel_shuffle]}"
    assert problems(changed(f"{{networks: light, experiments: {{simulation: {{{compared}}}}}}}"), SCHEMA) == []


# Station fusion


FUSION_EXAMPLES = {"seed": 1, "precision": "auto", "threads": 2, "ema": None}
FUSION = {
    "network": "pointconv_unetpp",
    "recipe": "corrected",
    "background": "product",
    "reading": "corrected",
    "variables": ["relative_humidity", "wind_speed"],
    "static": ["elevation", "land", "population"],
    "features": 16,
    "training": {
        **{"steps": 20_000, "batch_size": 10, "patch": 256, "learning_rate": 0.001},
        **{**FUSION_EXAMPLES, "latitude_weights": True},
    },
}


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("corrected", {}),
        ("published", {"recipe": "published", "background": "none"}),
        ("as_printed", {"recipe": "published", "background": "none", "reading": "as_printed"}),
    ],
)
def test_one_line_sets_up_the_fusion_network(recipe, expected):
    config = changed(f"recipe: {recipe}")
    assert problems(config, SCHEMA) == []
    settings = fusion_settings(config, fusion_background(config))
    training = FUSION["training"] | {"latitude_weights": recipe == "corrected"}
    assert settings == FUSION | expected | {"training": training}
    made = catalogue.make("fusion", settings["network"], settings | {"features": 2})
    assert (made.recipe, made.background, made.reading) == tuple(
        settings[key] for key in ("recipe", "background", "reading")
    )


def test_what_is_given_for_fusion_wins_over_the_recipe():
    given = "background: climatology, compare: [none], variables: [], static: [land], features: 8"
    training = "steps: 7, batch_size: 6, patch: 100, learning_rate: 0.5, seed: 4, latitude_weights: false, ema: 0.9"
    config = changed(f"fusion: {{{given}, training: {{{training}, workers: 5, processes: 3}}}}")
    before = copy.deepcopy(config)
    assert problems(config, SCHEMA) == []
    assert fusion_background(config) == "climatology"
    settings = fusion_settings(config, "none")
    assert settings["training"] == yaml.safe_load(f"{{{training}, precision: auto, threads: 2}}")
    assert (settings["background"], settings["variables"], settings["static"]) == ("none", [], ["land"])
    assert settings["features"] == 8
    settings["variables"].append("wind_speed")
    assert config == before


NORTH = "{north: 90, west: 0, south: 78, east: 45}"  # the halo ends at the pole
ARCTIC = "{north: 75, west: 0, south: 66, east: 45}"


@pytest.mark.parametrize(
    ("region", "patch"), [("null", 256), (ASIA, 256), (INDIA, 208), (SMALLEST, 192), (NORTH, 128), (ARCTIC, 176)]
)
def test_a_fusion_patch_that_is_not_given_fits_the_region_with_its_halo(region, patch):
    config = changed(f"region: {region}")
    assert fusion_settings(config, "none")["training"]["patch"] == patch
    around = refine(coarse_grid(None if region == "null" else Region(**yaml.safe_load(region)), 31))
    room = fusion_room(yaml.safe_load(region))
    assert room == min(around.shape)
    assert patch == min(256, room // 16 * 16)
    for edge in (room, room + 1):
        found = problems(changed(f"{{region: {region}, fusion: {{training: {{patch: {edge}}}}}}}"), SCHEMA)
        found = [problem for problem in found if "fusion" in problem]
        assert (found == []) is (edge == room and room <= 704)


def test_fusion_on_the_configured_region_can_be_drawn_with_the_largest_patch():
    config = changed(f"{{region: {NORTH}, fusion: {{variables: [], static: []}}}}")
    settings = fusion_settings(config, "none")
    grid = refine(coarse_grid(Region(**yaml.safe_load(NORTH)), 31))
    dates = np.datetime64("2018-06-01") + np.arange(5)
    days = Days({"pm25": np.ones((5, *grid.shape), "f4")}, dates, grid, {"source": "clean air"})
    module = catalogue.make("fusion", settings["network"], settings | {"features": 2})
    edge = fusion_room(yaml.safe_load(NORTH))
    task = import_module(catalogue.trainer_of("fusion", settings["network"])).task(
        module, [days], settings["training"] | {"patch": edge}
    )
    assert task.draw(1, [0]).target.shape == (1, 1, edge, edge)


@pytest.mark.parametrize(
    "change",
    [
        "fusion: {compare: [none, climatology]}",
        "fusion: {background: none, compare: [product]}",
        "{recipe: published, fusion: {background: none}}",
        "fusion: {training: {processes: 5}}",
        "{recipe: as_printed, fusion: {training: {processes: 4, batch_size: 8}}}",
    ],
)
def test_choices_for_fusion_that_are_allowed(change):
    assert problems(changed(change), SCHEMA) == []


# Mistakes


MISTAKES = [
    ("recipe: publised", 'recipe: "publised" given; allowed: corrected, published or as_printed. Did you mean "pub'),
    ("recipe: as-printed", 'Did you mean "as_printed"?'),
    ("recipe: null", "recipe: nothing (null) given; allowed: corrected, published or as_printed."),
    ("networks: Light", 'networks: "Light" given; allowed: paper, light or interpolation. Did you mean "light"?'),
    ("networks: xvfi", 'networks: "xvfi" given; allowed: paper, light or interpolation.'),
    ("network: light", 'network: this key is not known; did you mean "networks"?'),
    ("temporal: {network: xfvi}", "allowed: xvfi, flow_residual, linear, nearest, linear_as_printed, optical_flow or"),
    ("temporal: {network: abpn}", 'temporal.network: "abpn" given'),
    ("temporal: {closure: none}", "temporal.closure: this key is not known"),
    ("spatial: {levels: 1}", "spatial.levels: this key is not known"),
    ("temporal: {features: 3}", "temporal.features: 3 given; allowed: a whole number from 4 to 256 or null."),
    ("temporal: {features: 32.0}", "allowed: a whole number from 4 to 256 or null. Write 32."),
    ("temporal: {features: 30}", "temporal.features: 30 given; allowed for xvfi: a multiple of 4. The nearest is 32."),
    ("temporal: {levels: 6}", "temporal.levels: 6 given; allowed: a whole number from 1 to 5 or null."),
    (
        "{networks: interpolation, temporal: {features: 64}}",
        "temporal.features: 64 given; allowed for the network linear: null. Only xvfi and flow_residual have features.",
    ),
    (
        "spatial: {network: least_squares, features: 64}",
        "spatial.features: 64 given; allowed for the network least_squares: null. Only abpn and pixel_shuffle have",
    ),
    (
        "{networks: light, temporal: {levels: 2}}",
        "temporal.levels: 2 given; allowed for the network flow_residual: null. Only xvfi has levels.",
    ),
    ("temporal: {training: {precision: half}}", "allowed: auto, float32 or bfloat16."),
    ("spatial: {training: {precision: bf16}}", 'Did you mean "bfloat16"?'),
    ("spatial: {training: {threads: 0}}", "spatial.training.threads: 0 given; allowed: a whole number from 1 to 128."),
    (
        "temporal: {training: {patch: 40, resolution: coarse}}",
        "temporal.training.patch: 40 given; allowed for xvfi with 1 level: a multiple of 32 coarse nodes, at most 224. "
        "The nearest is 32.",
    ),
    ("temporal: {training: {patch: 8}}", "The nearest is 32."),
    ("temporal: {training: {patch: 240}}", "at most 224. The nearest is 224."),
    (
        "{recipe: as_printed, temporal: {training: {patch: 64}}}",
        "allowed for xvfi with 5 levels: a multiple of 512 cells of 0.25°, at most 512. The nearest is 512.",
    ),
    (
        f"{{region: {INDIA}, temporal: {{training: {{patch: 96}}}}}}",
        "temporal.training.patch: 96 given; allowed for xvfi with 1 level: a multiple of 32 nodes of 0.75° or 0.25°, "
        "at most 64.",
    ),
    (
        f"{{region: {SMALLEST}, temporal: {{levels: 2}}, spatial: {{network: bicubic}}}}",
        "temporal.training.patch: xvfi with 2 levels learns from patches of 64 nodes of 0.75° or 0.25° or more, but "
        "the region with its halo has 58; enlarge the region, lower temporal.levels, or choose another network (",
    ),
    (
        f"{{region: {INDIA}, recipe: published, temporal: {{levels: 4}}}}",
        "xvfi with 4 levels learns from patches of 256 cells of 0.25° or more, but the region with its halo has 190; "
        "enlarge the region, lower temporal.levels, or choose another network (networks: light).",
    ),
    (
        f"{{region: {ASIA}, recipe: as_printed}}",
        "xvfi with 5 levels learns from patches of 512 cells of 0.25° or more, but the region with its halo has 340;",
    ),
    (
        "temporal: {levels: 4}",
        "of 256 nodes of 0.75° or 0.25° or more, but there are, from pole to pole, 237; lower temporal.levels, or "
        "choose another network (networks: light).",
    ),
    (
        f"{{region: {INDIA}, networks: light, temporal: {{training: {{patch: 23}}}}}}",
        "temporal.training.patch: 23 given; allowed: at most 22 nodes of 0.75° or 0.25°, what the region with its halo",
    ),
    (
        f"{{region: {INDIA}, temporal: {{network: linear}}, spatial: {{training: {{patch: 59}}}}}}",
        "spatial.training.patch: 59 given; allowed: at most 58 coarse nodes, what the region with its halo has room",
    ),
    (
        "spatial: {network: pixel_shuffle, training: {patch: 300}}",
        "spatial.training.patch: 300 given; allowed: at most 225 coarse nodes, all that fit between the poles.",
    ),
    ("temporal: {training: {domain: both}}", 'temporal.training.domain: "both" given; allowed: mixed, single or null.'),
    ("temporal: {training: {resolution: mixed}}", "allowed: coarse, fine, both or null."),
    ("spatial: {training: {resolution: fine}}", "spatial.training.resolution: this key is not known"),
    ("temporal: {training: {ema: 1}}", "temporal.training.ema: 1 given; allowed: a number above 0 and up to 0.99999"),
    ("temporal: {training: {workers: -1}}", "temporal.training.workers: -1 given; allowed: a whole number from 0 to"),
    ("spatial: {training: {processes: 0}}", "spatial.training.processes: 0 given; allowed: a whole number from 1 to"),
    (
        "temporal: {training: {processes: 3}}",
        "temporal.training.processes: 3 given; allowed for batches of 8 patches, which xvfi learns from: 1, 2, 4, 8. "
        "Or make temporal.training.batch_size a multiple.",
    ),
    ("spatial: {training: {processes: 4, batch_size: 6}}", "batches of 6 patches, which abpn learns from: 1, 2, 3, 6."),
    (
        "{recipe: published, experiments: {simulation: {compare: {spatial: [pixel_shuffle]}}}, "
        "spatial: {network: bicubic, training: {processes: 5}}}",
        "spatial.training.processes: 5 given; allowed for batches of 16 patches, which pixel_shuffle learns from",
    ),
    (
        "{recipe: published, temporal: {training: {latitude_weights: true}}}",
        "temporal.training.latitude_weights: true given; allowed for xvfi with the recipe published, which turns "
        "patches, so that their rows have no latitude: false or null.",
    ),
    (
        "experiments: {simulation: {compare: {temporal: [linear]}}}",
        'experiments.simulation.compare.temporal[0]: "linear" given; allowed: xvfi or flow_residual in the list.',
    ),
    (
        f"{{region: {SMALLEST}, networks: light, recipe: as_printed, "
        "experiments: {simulation: {compare: {temporal: [xvfi]}}}}",
        "experiments.simulation.compare.temporal: xvfi learns from patches of 512 cells of 0.25° or more, for which "
        "the region with its halo has no room; enlarge the region, or leave it out.",
    ),
    (
        f"{{region: {INDIA}, fusion: {{training: {{patch: 217}}}}}}",
        "fusion.training.patch: 217 given; allowed: up to 214 nodes, which the region with its halo has. Or enlarge",
    ),
    ("fusion: {training: {patch: 8}}", "fusion.training.patch: 8 given; allowed: a whole number from 16 to 704 or"),
    ("fusion: {compare: [product]}", "fusion.compare: product given; it is the configured background already."),
    ("fusion: {background: none, compare: [none]}", "fusion.compare: none given; it is the configured background"),
    (
        "{recipe: published, fusion: {background: product}}",
        "fusion.background: product given; allowed with the recipe published, whose network has no background: none",
    ),
    (
        "{recipe: as_printed, fusion: {compare: [climatology]}}",
        "fusion.compare: climatology given; allowed with the recipe as_printed, whose network has no background: none",
    ),
    (
        "fusion: {training: {processes: 4}}",
        "fusion.training.processes: 4 given; allowed for batches of 10 patches: 1, 2, 5, 10. Or make "
        "fusion.training.batch_size a multiple.",
    ),
    ("fusion: {training: {processes: 4, batch_size: 6}}", "allowed for batches of 6 patches: 1, 2, 3, 6."),
    ("fusion: {background: cams}", "fusion.background: \"cams\" given"),
    ("fusion: {training: {domain: mixed}}", "fusion.training.domain: this key is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), MISTAKES)
def test_mistake_in_choosing_networks(change, expected):
    found = problems(changed(change), SCHEMA)
    assert len(found) == 1, found
    assert expected in found[0]


def test_patches_of_networks_that_learn_nothing_are_not_looked_at():
    section = "{training: {patch: 700}}"
    change = f"{{region: {INDIA}, networks: interpolation, temporal: {section}, spatial: {section}}}"
    assert problems(changed(change), SCHEMA) == []


@pytest.mark.parametrize("name", ["demo", "tiny"])
def test_synthetic_runs_learn_without_a_gpu(name):
    config = changed("{}", name)
    for stage in LEARNING:
        network = network_name(config, stage)
        assert catalogue.learns(stage, network)
        assert not catalogue.wants_gpu(stage, network)
        assert network_settings(config, stage)["training"]["steps"] <= 5000
    settings = fusion_settings(config, fusion_background(config))
    assert settings["features"] <= 4
    assert settings["training"]["steps"] <= 100


# Agreement with the networks, which the configuration stands below and cannot ask


def test_configuration_and_catalogue_know_the_same_networks():
    for stage in LEARNING:
        known = SCHEMA["properties"][stage]["properties"]["network"]["enum"]
        assert set(known) == {*catalogue.names(stage), None}
        learning = {name for name in catalogue.names(stage) if catalogue.learns(stage, name)}
        assert learning == set(LEARNING[stage])
    assert {*LEARNING, "fusion"} == set(catalogue.stages())
    assert catalogue.names("fusion") == (FUSION_NETWORK,)  # the only one, so that there is none to choose
    assert catalogue.learns("fusion", FUSION_NETWORK)


def test_configuration_and_fusion_network_know_the_same_words():
    section = SCHEMA["properties"]["fusion"]["properties"]
    assert set(section["background"]["enum"]) == {*BACKGROUNDS, None}
    assert set(section["compare"]["items"]["enum"]) == set(BACKGROUNDS)
    assert set(section["variables"]["items"]["enum"]) == set(SCALES)
    assert set(section["static"]["items"]["enum"]) == set(COVARIATES)
