"""Interpolate a month of CAMS to hours (rule downscale_temporal)."""

from deepcams.calendar import Month
from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.inference.month import downscale_temporal
from deepcams.logs import job_log

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    downscale_temporal(
        snakemake.input.fields,
        snakemake.input.model,
        Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month)),
        snakemake.output.fields,
        ends_record=snakemake.params.ends_record,
        precision=snakemake.params.precision,
        threads=snakemake.threads,
    )
    write_sidecar(snakemake.output.fields)
