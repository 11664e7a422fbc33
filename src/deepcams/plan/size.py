"""How large a job is: the number that its time and its bytes go by, and which network it runs."""

from functools import cache

from deepcams.calendar import Month
from deepcams.config.networks import (
    HALO,
    fusion_background,
    fusion_settings,
    network_name,
    network_settings,
)
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.plan.graph import Job
from deepcams.sources.services.estimate import STATIONS, period

# What the work of a rule goes by. Rules that are not here take as long whatever the size.
WORK = {
    "simulate_nature_run": "wide hours",
    "retrieve_cams": "wide hours",
    "retrieve_geoscf": "wide hours",
    "retrieve_meteorology": "wide hours",
    "degrade_geoscf": "wide hours",
    "average_geoscf": "wide hours",
    "downscale_temporal": "wide hours",
    "evaluate_temporal": "wide hours",
    "evaluate_spatial": "wide hours",
    "evaluate_joint": "wide hours",
    "derive_network": "wide hours",
    "downscale_spatial": "hours",
    "assemble_year": "hours",
    "validate_year": "hours",
    "retrieve_openaq": "station hours",
    "retrieve_weather_stations": "station hours",
    "collocate_stations": "station hours",
    "fuse_month": "fields",
    "assemble_fused_year": "fields",
    "cross_validate_fusion": "fields",
    "reproduce_geoscf": "fields",
    "train_temporal": "examples",
    "train_spatial": "examples",
    "train_fusion": "examples",
}
WORDS = {
    "wide hours": "hours × 0.25° nodes of the region and its margin",
    "hours": "hours × 0.25° nodes of the region",
    "station hours": "hours × stations",
    "fields": "fields × 0.25° nodes of the region, and folds or networks",
    "examples": "steps × patches × nodes of a patch",
    "job": "nothing",
}


def work_of(rule: str) -> str:
    """What a rule's work goes by: a key of WORDS."""
    return WORK.get(rule, "job")


def units(job: Job, config: dict) -> float:
    """How many of them a job has, from its months, the region and the settings."""
    work = work_of(job.rule)
    if work == "job":
        return 1.0
    if work == "examples":
        training = _settings(job, config)["training"]
        return float(training["steps"]) * training["batch_size"] * training["patch"] ** 2
    hours = 24.0 * sum(month.days for month in months(job, config))
    if work == "station hours":
        return hours * stations(config)
    fine = nodes(config, 0)
    if work == "fields":
        fields = hours if job.wildcards.get("step") == "hourly" else hours / 24
        if job.rule == "cross_validate_fusion":
            fields *= 2 * config["fusion"]["folds"] * _networks(config)  # stations, then cities, are left out
        elif job.rule == "reproduce_geoscf":
            fields *= _networks(config)
        return fields * fine
    if job.rule.startswith("evaluate_"):
        hours /= config["experiments"]["simulation"]["every"]
    return hours * (nodes(config, HALO) if work == "wide hours" else fine)


def months(job: Job, config: dict) -> list[Month]:
    """The months of a job: its own, those of its year that are configured, or those that a network is solved for."""
    if job.rule == "derive_network":
        return period(config["experiments"][job.wildcards["experiment"]]["train"])
    if "month" in job.wildcards:
        return [Month(int(job.wildcards["year"]), int(job.wildcards["month"]))]
    return [month for month in period(config["cams"]) if str(month.year) == job.wildcards.get("year")]


def nodes(config: dict, halo: int) -> int:
    """Fine nodes of the configured region, with a halo of coarse nodes."""
    region = config["region"]
    return _nodes(None if region is None else tuple(region[key] for key in ("north", "west", "south", "east")), halo)


@cache
def _nodes(box: tuple | None, halo: int) -> int:
    rows, columns = refine(coarse_grid(None if box is None else Region(*box), halo if box else 0)).shape
    return rows * columns


def stations(config: dict) -> float:
    """Stations of the region: of synthetic data as configured, of others assumed by its share of the globe's nodes."""
    if config["openaq"]["source"] == "nature_run":
        return float(config["nature_run"]["stations"])
    return max(1.0, STATIONS * nodes(config, 0) / _nodes(None, 0))


def network(job: Job, config: dict) -> str:
    """The network that a job runs or trains, with its features and recipe; what it scores; empty for other rules.

    Times of one network say nothing of another, nor of another number of features.
    """
    if job.rule in ("downscale_temporal", "downscale_spatial"):
        return _label(network_settings(config, job.rule.removeprefix("downscale_")))
    if job.rule in ("train_temporal", "train_spatial", "train_fusion"):
        return _label(_settings(job, config))
    if job.rule == "derive_network":
        return job.wildcards["network"]
    if job.rule.startswith("evaluate_"):
        return job.wildcards["method"]
    if job.rule in ("fuse_month", "cross_validate_fusion", "reproduce_geoscf"):
        return _label(fusion_settings(config, fusion_background(config)))
    return ""


def _settings(job: Job, config: dict) -> dict:
    """Settings of the network that a job trains; those of a compared one as its recipe says, as the rules do."""
    if job.rule == "train_fusion":
        return fusion_settings(config, job.wildcards["background"])
    stage, name = job.rule.removeprefix("train_"), job.wildcards["network"]
    section = config[stage]
    if name != network_name(config, stage):
        section = dict.fromkeys(section) | {
            "network": name,
            "training": section["training"] | {"patch": None, "learning_rate": None},
        }
    return network_settings(config | {stage: section}, stage)


def _label(settings: dict) -> str:
    recipe = settings.get("recipe", "corrected")
    words = [settings["network"], *([str(settings["features"])] if settings.get("features") else [])]
    return "-".join([*words, *([recipe] if recipe != "corrected" else [])])


def _networks(config: dict) -> int:
    return 1 + len(config["fusion"]["compare"])
