"""Bring a month of hourly GEOS-CF into one file in the workflow's conventions (rule retrieve_geoscf)."""

from deepcams.calendar import Month
from deepcams.files.checksum import write_sidecar
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.logs import job_log
from deepcams.sources.geoscf_month import retrieve_month

with job_log(snakemake.log[0]):
    settings, region = snakemake.params.settings, snakemake.params.region
    retrieve_month(
        settings["source"],
        Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month)),
        snakemake.output.fields,
        path=settings["path"],
        collection=settings["collection"],
        grid=refine(coarse_grid(Region(**region), snakemake.params.halo)) if region else None,
        max_missing=settings["max_missing"],
    )
    write_sidecar(snakemake.output.fields)
