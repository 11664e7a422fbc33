"""Bring a month of hourly GEOS-CF into one file in the workflow's conventions (rule retrieve_geoscf)."""

from contextlib import nullcontext

from deepcams.calendar import Month
from deepcams.files.checksum import write_sidecar
from deepcams.files.workspace import workspace
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.logs import job_log
from deepcams.pollutants import POLLUTANTS
from deepcams.sources.geoscf_month import retrieve_month

with job_log(snakemake.log[0]):
    settings, region = snakemake.params.settings, snakemake.params.region
    month = Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month))
    pollutant, out = POLLUTANTS[snakemake.params.pollutant], snakemake.output.fields
    grid = refine(coarse_grid(Region(**region), snakemake.params.halo)) if region else None
    source, path = settings["source"], settings["path"]
    collection, max_missing = settings["collection"], snakemake.config["geoscf"]["max_missing"]
    is_fetched = source in ("portal", "opendap")
    with workspace(out, [settings, pollutant.name, region]) if is_fetched else nullcontext() as folder:
        if folder:
            if source == "portal":
                from deepcams.sources.services.portal import fetch_month
            else:
                from deepcams.sources.services.opendap import fetch_month

            path = fetch_month(
                month,
                collection,
                pollutant,
                grid,
                folder,
                snakemake.config["services"],
                max_missing,
            )
            source = "local"
        retrieve_month(
            source,
            month,
            out,
            path=path,
            collection=collection,
            grid=grid,
            max_missing=max_missing,
            pollutant=pollutant,
        )
        write_sidecar(out)
