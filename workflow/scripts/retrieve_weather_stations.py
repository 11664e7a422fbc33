"""Bring a month of ISD-lite's weather stations into one table (rule retrieve_weather_stations)."""

from contextlib import nullcontext

from deepcams.calendar import Month
from deepcams.files.checksum import write_sidecar
from deepcams.files.workspace import workspace
from deepcams.grid.nodes import Region
from deepcams.logs import job_log
from deepcams.sources.isd import retrieve_month, write_table

with job_log(snakemake.log[0]):
    settings, region = snakemake.params.settings, snakemake.params.region
    kind = "nature_run" if settings["source"] == "nature_run" else "local"  # what was fetched is local by then
    month = Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month))
    box, out, path = Region(**region) if region else None, snakemake.output.table, settings["path"]
    with workspace(out, [settings, region]) if settings["source"] == "isd_lite" else nullcontext() as folder:
        if folder:
            from deepcams.sources.services import isd_lite

            path = isd_lite.fetch_month(month, box, folder, snakemake.config["services"])
        write_table(retrieve_month(kind, month, path=path, region=box), out)
        write_sidecar(out)
