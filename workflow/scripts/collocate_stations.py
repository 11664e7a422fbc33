"""Pair a month of station measurements with the fields (rule collocate_stations)."""

from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.logs import job_log
from deepcams.pollutants import POLLUTANTS
from deepcams.validation.collocation import CollocationSettings, collocate_month
from deepcams.validation.quality import QualitySettings

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    collocate_month(
        snakemake.input.product,
        snakemake.input.coarse,
        snakemake.input.stations,
        snakemake.output.table,
        snakemake.output.counts,
        CollocationSettings(
            method=snakemake.params.method,
            quality=QualitySettings(**snakemake.params.quality, pollutant=POLLUTANTS[snakemake.params.pollutant]),
        ),
        product_neighbours=snakemake.input.get("previous_product", []),
        coarse_neighbours=snakemake.input.get("previous_coarse", []),
    )
    write_sidecar(snakemake.output.table)
