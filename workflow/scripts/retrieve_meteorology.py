"""Bring a month of GEOS-CF's humidity and wind into one file (rule retrieve_meteorology)."""

from contextlib import nullcontext

from deepcams.calendar import Month
from deepcams.files.checksum import write_sidecar
from deepcams.files.workspace import workspace
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.logs import job_log
from deepcams.sources.meteorology import fetch_month, retrieve_month

with job_log(snakemake.log[0]):
    settings, region = snakemake.params.settings, snakemake.params.region
    kind = "nature_run" if settings["source"] == "nature_run" else "local"  # what was fetched is local by then
    month = Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month))
    out, max_missing = snakemake.output.fields, snakemake.config["geoscf"]["max_missing"]
    grid = refine(coarse_grid(Region(**region), snakemake.params.halo)) if region else None
    path = settings["path"]
    with workspace(out, [settings, region]) if settings["source"] == "portal" else nullcontext() as folder:
        if folder:
            path = fetch_month(month, grid, folder, snakemake.config["services"], max_missing)
        retrieve_month(kind, month, out, path=path, grid=grid, max_missing=max_missing)
        write_sidecar(out)
