"""Join the fused months of a year (rule assemble_fused_year)."""

from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.fusion.product import assemble_fused_year, verify_fused
from deepcams.logs import job_log

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    assemble_fused_year(
        snakemake.input.months, snakemake.output.product, author=snakemake.params.author, threads=snakemake.threads
    )
    verify_fused(snakemake.output.product, contiguous=False)
    write_sidecar(snakemake.output.product)
