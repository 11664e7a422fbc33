"""Bring a month of station measurements into one table (rule retrieve_openaq)."""

from contextlib import nullcontext

from deepcams.calendar import Month
from deepcams.files.checksum import write_sidecar
from deepcams.files.workspace import workspace
from deepcams.grid.nodes import Region
from deepcams.logs import job_log
from deepcams.pollutants import POLLUTANTS
from deepcams.sources.openaq import link_month, retrieve_month, write_table

with job_log(snakemake.log[0]):
    settings, region = snakemake.params.settings, snakemake.params.region
    month = Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month))
    pollutant, out = POLLUTANTS[snakemake.params.pollutant], snakemake.output.table
    box = Region(**region) if region else None
    source, path, services = settings["source"], settings["path"], snakemake.config["services"]
    is_fetched = source in ("archive", "realtime")
    with workspace(out, [settings, pollutant.name, region]) if is_fetched else nullcontext() as folder:
        if source == "archive":
            from deepcams.sources.services import archive

            path, source = archive.fetch_month(month, pollutant, box, folder, services), "local"
        elif source == "realtime":
            from deepcams.sources.services import realtime

            path, source = realtime.fetch_month(month, pollutant, folder, services), "local"
        if is_fetched or source != "local" or not link_month(month, path, out, box, pollutant):
            write_table(retrieve_month(source, month, path=path, region=box, pollutant=pollutant), out)
        write_sidecar(out)
