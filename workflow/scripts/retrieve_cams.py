"""Bring a month of CAMS EAC4 into the workflow's conventions (rule retrieve_cams)."""

from contextlib import nullcontext

from deepcams.calendar import Month
from deepcams.files.checksum import write_sidecar
from deepcams.files.netcdf import Encoding, write_field
from deepcams.files.workspace import workspace
from deepcams.grid.nodes import Region, coarse_grid
from deepcams.logs import job_log
from deepcams.pollutants import POLLUTANTS
from deepcams.sources.cams import link_month, retrieve_month

with job_log(snakemake.log[0]):
    settings, region = snakemake.params.settings, snakemake.params.region
    month = Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month))
    pollutant, out = POLLUTANTS[snakemake.params.pollutant], snakemake.output.fields
    grid = coarse_grid(Region(**region), snakemake.params.halo) if region else None
    source, path, ends_record = settings["source"], settings["path"], snakemake.params.ends_record
    with workspace(out, [source, pollutant.name, ends_record]) if source == "ads" else nullcontext() as folder:
        if folder:
            from deepcams.sources.services import ads

            path = ads.fetch_month(month, pollutant, folder, snakemake.config["services"], ends_record=ends_record)
            source = "local"
        field = retrieve_month(source, month, path=path, grid=grid, record_end=ends_record, pollutant=pollutant)
        if folder or not link_month(field, month, path, out):
            # What the month was read from belongs to the file, not to the variable.
            origin = {"source_files": field.attrs.pop("source_files")}
            write_field(out, field, Encoding(), origin)
        write_sidecar(out)
