"""Reproduce a month of GEOS-CF from its values where stations are (rule reproduce_geoscf)."""

from pathlib import Path

from deepcams.calendar import Month
from deepcams.files.checksum import check_inputs
from deepcams.fusion.gather import GatherSettings, gather, read_tables, times_of
from deepcams.fusion.month import network_of
from deepcams.fusion.month_scores import reproduce_month
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.logs import job_log
from deepcams.pollutants import POLLUTANTS
from deepcams.training.days import read_days
from deepcams.validation.quality import QualitySettings

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    inputs, params = snakemake.input, snakemake.params
    quality = QualitySettings(**params.quality, pollutant=POLLUTANTS[params.pollutant])
    settings = GatherSettings("daily", params.day, params.min_hours, quality)
    gathered = gather(
        read_tables(inputs.stations),
        list(inputs.get("weather", [])),
        network_of(inputs.models[0]).variables,
        refine(coarse_grid(Region(**params.region) if params.region else None)),
        times_of(Month.parse(Path(inputs.stations[0]).name[:7]), "daily"),
        settings,
        may_be_empty=True,
    )
    reproduce_month(
        snakemake.output[0],
        read_days(Path(inputs.index[0]).parent),
        gathered,
        dict(zip(params.backgrounds, inputs.models, strict=True)),
        inputs.climatology[0],
    )
