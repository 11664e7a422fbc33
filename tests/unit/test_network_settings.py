"""Which networks a configuration chooses, how they are set up, and what mistakes in choosing them are told."""

import copy
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from snakemake.utils import update_config

from deepcams.config.check import load_schema, problems, restore_types
from deepcams.config.networks import LEARNING, closure, network_name, network_settings, patch_room, patch_unit
from deepcams.degrade.operators import margin
from deepcams.grid.nodes import Grid, Region, coarse_grid, fine_globe, refine
from deepcams.models import catalogue
from deepcams.training.shards import Shard

CONFIG = Path(__file__).resolve().parents[2] / "config"
SCHEMA = load_schema(CONFIG / "config.schema.yaml")
ASIA = "{north: 49.5, west: 65.25, south: 5.25, east: 125.25}"  # 60 × 81 coarse nodes
INDIA = "{north: 33.0, west: 75.0, south: 26.25, east: 83.25}"  # 10 × 12
SMALLEST = "{north: 28.5, west: 75.0, south: 26.25, east: 77.25}"  # 4 × 4


def training(steps: int, batch_size: int, patch: int, learning_rate: float) -> dict:
    """What a training is done with where config.yaml leaves these four open."""
    given = {"seed": 1, "precision": "auto", "threads": 2}
    return {"steps": steps, "batch_size": batch_size, "patch": patch, "learning_rate": learning_rate, **given}


PAPER_TIME, PAPER_SPACE = training(70_000, 8, 64, 1e-4), training(300_000, 16, 40, 1e-4)
PUBLISHED_TIME = training(72_600, 1, 512, 1e-4)
LIGHT = training(20_000, 16, 32, 0.002)


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
    return Shard(fine, coarse, times, refine(grid), grid, operator, parameters, own=len(times), synthetic=None)


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
            {"network": "abpn", "recipe": "published", "features": 32, "training": PAPER_SPACE},
            "none",
        ),
        (
            "recipe: as_printed",
            {"network": "xvfi", "recipe": "as_printed", "features": 32, "levels": 5, "training": PUBLISHED_TIME},
            {"network": "abpn", "recipe": "as_printed", "features": 32, "training": PAPER_SPACE},
            "none",
        ),
        (
            "networks: light",
            {"network": "flow_residual", "recipe": "corrected", "features": 48, "training": LIGHT},
            {"network": "pixel_shuffle", "recipe": "corrected", "features": 64, "training": LIGHT},
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
        "{network: learned_kernel}",
        {"network": "learned_kernel", "recipe": "corrected", "training": training(2_000, 16, 32, 0.001)},
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
            training = network_settings(changed(f"{stage}: {{network: {network}}}"), stage)["training"]
            cells = f"{training['steps']:,} | {training['batch_size']} | {training['patch']} coarse nodes"
            rows = [line for line in text.splitlines() if line.startswith(f"| {network} | ")]
            assert any(cells in row and row.endswith(f"| {training['learning_rate']} |") for row in rows)


# Patches


@pytest.mark.parametrize(
    ("change", "stage", "patch"),
    [
        (f"region: {ASIA}", "temporal", 64),  # of 84 nodes with those around the region
        (f"region: {INDIA}", "temporal", 32),  # of 34, halved as often as they must be
        (f"region: {INDIA}", "spatial", 28),  # without three on each side, for bicubic
        (f"{{region: {ASIA}, recipe: published}}", "temporal", 224),  # of 250 fine cells
        (f"{{region: {INDIA}, recipe: published}}", "temporal", 96),  # of 100
        (f"{{region: {ASIA}, networks: light}}", "temporal", 32),
        (f"{{region: {INDIA}, networks: light}}", "temporal", 22),  # without six on each side, for the network
        (f"{{region: {INDIA}, networks: light}}", "spatial", 22),
        (f"{{region: {SMALLEST}, networks: light}}", "spatial", 16),
        ("temporal: {levels: 3}", "temporal", 128),
        ("temporal: {training: {patch: 96}}", "temporal", 96),
    ],
)
def test_patch_that_is_not_given_fits_region_and_pyramid(change, stage, patch):
    config = changed(change)
    assert problems(config, SCHEMA) == []
    assert network_settings(config, stage)["training"]["patch"] == patch


def test_largest_patches_are_counted_on_the_grid_that_is_learnt_from():
    """The shorter edge of the region and of 12 nodes on each side, from the grids themselves."""
    for box in (ASIA, INDIA):
        around = coarse_grid(Region(**yaml.safe_load(box)), 12)
        for recipe, grid in (("corrected", around), ("published", refine(around))):
            room = min(grid.shape)
            section = "temporal: {training: {patch: %d}}"
            allowed = room // 32 * 32
            for patch in (allowed, allowed + 32):
                config = changed(f"{{region: {box}, recipe: {recipe}, {section % patch}}}")
                assert (problems(config, SCHEMA) == []) is (patch <= room)


@pytest.mark.parametrize("recipe", ["corrected", "published"])
@pytest.mark.parametrize(("stage", "network"), [(stage, name) for stage in LEARNING for name in LEARNING[stage]])
def test_the_largest_patch_that_is_allowed_can_be_drawn(stage, network, recipe):
    """From what the workflow keeps of GEOS-CF: the region and 16 nodes around it, of which smoothing spoils four."""
    change = f"{{region: {INDIA}, recipe: {recipe}, {stage}: {{network: {network}}}}}"
    settings = network_settings(changed(change), stage)
    module = catalogue.make(stage, network, settings | {"features": 4})
    multiple = getattr(module, "stride", 1)
    largest = patch_room(network, recipe, yaml.safe_load(INDIA)) // multiple * multiple
    for patch in (largest, largest + multiple):
        config = changed(change)
        config[stage]["training"]["patch"] = patch
        assert (problems(config, SCHEMA) == []) is (patch == largest)
    shard = empty_shard(coarse_grid(Region(**yaml.safe_load(INDIA)), 16), "gaussian", sigma=3.0)
    assert margin("gaussian", sigma=3.0) == 4
    training = settings["training"] | {"patch": largest, "batch_size": 2}
    task = import_module(catalogue.trainer_of(stage, network)).task(module, [shard], training)
    assert task.draw(np.random.default_rng(1)) is not None


def test_longest_patch_on_the_globe_ends_at_the_poles():
    assert SCHEMA["$defs"]["training"]["properties"]["patch"]["maximum"] == fine_globe().shape[0] // 32 * 32
    assert problems(changed("{recipe: published, temporal: {training: {patch: 704}}}"), SCHEMA) == []
    rows = coarse_grid().shape[0]
    for stage, network, halo in (
        ("temporal", "flow_residual", 6),
        ("spatial", "pixel_shuffle", 6),
        ("spatial", "learned_kernel", 3),
        ("spatial", "abpn", 3),
    ):
        for patch in (rows - 2 * halo, rows - 2 * halo + 1):
            found = problems(changed(f"{stage}: {{network: {network}, training: {{patch: {patch}}}}}"), SCHEMA)
            assert (found == []) is (patch + 2 * halo <= rows), found


@pytest.mark.parametrize(
    ("network", "recipe", "unit"),
    [
        ("xvfi", "corrected", "coarse nodes"),
        ("xvfi", "published", "cells of 0.25°"),
        ("xvfi", "as_printed", "cells of 0.25°"),
        ("flow_residual", "published", "coarse nodes"),
        ("abpn", "published", "coarse nodes"),
    ],
)
def test_only_the_papers_network_for_time_learns_at_another_resolution_than_it_is_used_at(network, recipe, unit):
    assert patch_unit(network, recipe) == unit


# Mistakes


MISTAKES = [
    ("recipe: publised", 'recipe: "publised" given; allowed: corrected, published or as_printed. Did you mean "pub'),
    ("recipe: as-printed", 'Did you mean "as_printed"?'),
    ("recipe: null", "recipe: nothing (null) given; allowed: corrected, published or as_printed."),
    ("networks: Light", 'networks: "Light" given; allowed: paper, light or interpolation. Did you mean "light"?'),
    ("networks: xvfi", 'networks: "xvfi" given; allowed: paper, light or interpolation.'),
    ("network: light", 'network: this key is not known; did you mean "networks"?'),
    ("temporal: {network: xfvi}", "allowed: xvfi, flow_residual, linear, nearest, linear_as_printed or null. Did you"),
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
        "spatial: {network: learned_kernel, features: 64}",
        "spatial.features: 64 given; allowed for the network learned_kernel: null. Only abpn and pixel_shuffle have",
    ),
    (
        "{networks: light, temporal: {levels: 2}}",
        "temporal.levels: 2 given; allowed for the network flow_residual: null. Only xvfi has levels.",
    ),
    ("temporal: {training: {precision: half}}", "allowed: auto, float32 or bfloat16."),
    ("spatial: {training: {precision: bf16}}", 'Did you mean "bfloat16"?'),
    ("spatial: {training: {threads: 0}}", "spatial.training.threads: 0 given; allowed: a whole number from 1 to 128."),
    (
        "temporal: {training: {patch: 40}}",
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
        f"{{region: {ASIA}, temporal: {{training: {{patch: 96}}}}}}",
        "temporal.training.patch: 96 given; allowed for xvfi with 1 level: a multiple of 32 coarse nodes, at most 64.",
    ),
    (
        f"{{region: {SMALLEST}, spatial: {{network: bicubic}}}}",
        "temporal.training.patch: xvfi with 1 level learns from patches of 32 coarse nodes or more, but the region "
        "with its halo has 28; enlarge the region, or choose another network (networks: light).",
    ),
    (
        f"{{region: {INDIA}, recipe: published, temporal: {{levels: 3}}}}",
        "xvfi with 3 levels learns from patches of 128 cells of 0.25° or more, but the region with its halo has 100; "
        "enlarge the region, lower temporal.levels, or choose another network (networks: light).",
    ),
    (
        f"{{region: {ASIA}, recipe: as_printed}}",
        "xvfi with 5 levels learns from patches of 512 cells of 0.25° or more, but the region with its halo has 250;",
    ),
    (
        "temporal: {levels: 4}",
        "from patches of 256 coarse nodes or more, but there are, from pole to pole, 241; lower temporal.levels, or "
        "choose another network (networks: light).",
    ),
    (
        f"{{region: {INDIA}, networks: light, temporal: {{training: {{patch: 23}}}}}}",
        "temporal.training.patch: 23 given; allowed: at most 22 coarse nodes, what the region with its halo has room",
    ),
    (
        f"{{region: {INDIA}, temporal: {{network: linear}}, spatial: {{training: {{patch: 32}}}}}}",
        "spatial.training.patch: 32 given; allowed: at most 28 coarse nodes, what the region with its halo has room",
    ),
    (
        "spatial: {network: pixel_shuffle, training: {patch: 300}}",
        "spatial.training.patch: 300 given; allowed: at most 229 coarse nodes, all that fit between the poles.",
    ),
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
    for stage in catalogue.stages():
        network = network_name(config, stage)
        assert catalogue.learns(stage, network)
        assert not catalogue.wants_gpu(stage, network)
        assert network_settings(config, stage)["training"]["steps"] <= 5000


# Agreement with the networks, which the configuration stands below and cannot ask


def test_configuration_and_catalogue_know_the_same_networks():
    for stage in catalogue.stages():
        known = SCHEMA["properties"][stage]["properties"]["network"]["enum"]
        assert set(known) == {*catalogue.names(stage), None}
        learning = {name for name in catalogue.names(stage) if catalogue.learns(stage, name)}
        assert learning == set(LEARNING[stage])
    assert set(LEARNING) == set(catalogue.stages())
