"""Make fields of a month's stations (rule fuse_month)."""

from dataclasses import replace

from deepcams.calendar import Month
from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.fusion.gather import GatherSettings, gather, read_tables, times_of
from deepcams.fusion.month import fuse, network_of
from deepcams.fusion.product import encoding_of
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.logs import job_log
from deepcams.pollutants import POLLUTANTS
from deepcams.validation.counts import write_counts
from deepcams.validation.quality import QualitySettings

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    inputs, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    quality = QualitySettings(**params.quality, pollutant=POLLUTANTS[params.pollutant])
    settings = GatherSettings(wildcards.step, params.day, params.min_hours, quality)
    model, weather = inputs.model[0], list(inputs.get("weather", []))
    gathered = gather(
        read_tables(inputs.stations),
        weather,
        network_of(model).variables,
        refine(coarse_grid(Region(**params.region) if params.region else None)),
        times_of(Month(int(wildcards.year), int(wildcards.month)), wildcards.step),
        settings,
        may_be_empty=True,
    )
    write_counts(snakemake.output.counts, gathered.counts)
    fuse(
        snakemake.output.fields,
        gathered,
        model,
        list(inputs.get("product", inputs.get("climatology", []))),
        settings,
        sources=[*inputs.stations, *weather],
        encoding=replace(
            encoding_of(wildcards.step),
            mantissa_bits=params.encoding["mantissa_bits"],
            level=params.encoding["compression"],
        ),
        precision=params.precision,
        threads=snakemake.threads,
    )
    write_sidecar(snakemake.output.fields)
