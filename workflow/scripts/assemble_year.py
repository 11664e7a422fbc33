"""Join the months of a year by copying their chunks (rule assemble_year)."""

from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.logs import job_log
from deepcams.product.year import assemble_year

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    assemble_year(snakemake.input.months, snakemake.output.product, author=snakemake.params.author)
    write_sidecar(snakemake.output.product)
