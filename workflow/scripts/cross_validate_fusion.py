"""Estimate the daily means of a month's stations from others (rule cross_validate_fusion)."""

from deepcams.calendar import Month
from deepcams.files.checksum import check_inputs
from deepcams.fusion.gather import GatherSettings, gather, read_tables, times_of
from deepcams.fusion.month import network_of
from deepcams.fusion.month_scores import cross_validate_month, methods_of
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.logs import job_log
from deepcams.pollutants import POLLUTANTS
from deepcams.validation.quality import QualitySettings

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    inputs, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    quality = QualitySettings(**params.quality, pollutant=POLLUTANTS[params.pollutant])
    settings = GatherSettings("daily", params.day, params.min_hours, quality)
    networks = dict(zip(params.backgrounds, inputs.models, strict=True))
    gathered = gather(
        read_tables(inputs.stations),
        list(inputs.get("weather", [])),
        network_of(inputs.models[0]).variables,
        refine(coarse_grid(Region(**params.region) if params.region else None)),
        times_of(Month(int(wildcards.year), int(wildcards.month)), "daily"),
        settings,
        may_be_empty=True,
    )
    paths = {kind: list(inputs.get(kind, [])) for kind in ("product", "climatology") if inputs.get(kind, [])}
    methods, _ = methods_of(gathered, networks, paths, settings)
    cross_validate_month(snakemake.output[0], gathered, methods, params.folds)
