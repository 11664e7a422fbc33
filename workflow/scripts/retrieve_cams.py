"""Bring a month of CAMS EAC4 into the workflow's conventions (rule retrieve_cams)."""

from deepcams.calendar import Month
from deepcams.files.checksum import write_sidecar
from deepcams.files.netcdf import Encoding, write_field
from deepcams.grid.nodes import Region, coarse_grid
from deepcams.logs import job_log
from deepcams.sources.cams import retrieve_month

with job_log(snakemake.log[0]):
    settings, region = snakemake.params.settings, snakemake.params.region
    field = retrieve_month(
        settings["source"],
        Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month)),
        path=settings["path"],
        grid=coarse_grid(Region(**region), snakemake.params.halo) if region else None,
        record_end=snakemake.params.ends_record,
    )
    # What the month was read from belongs to the file, not to the variable.
    origin = {"source_files": field.attrs.pop("source_files")}
    write_field(snakemake.output.fields, field, Encoding(), origin)
    write_sidecar(snakemake.output.fields)
