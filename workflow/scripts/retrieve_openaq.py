"""Bring a month of station measurements into one table (rule retrieve_openaq)."""

from deepcams.calendar import Month
from deepcams.files.checksum import write_sidecar
from deepcams.grid.nodes import Region
from deepcams.logs import job_log
from deepcams.sources.openaq import retrieve_month, write_table

with job_log(snakemake.log[0]):
    settings, region = snakemake.params.settings, snakemake.params.region
    table = retrieve_month(
        settings["source"],
        Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month)),
        path=settings["path"],
        region=Region(**region) if region else None,
    )
    write_table(table, snakemake.output.table)
    write_sidecar(snakemake.output.table)
