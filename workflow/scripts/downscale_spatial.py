"""Refine a month of hourly fields in space and write the product's month (rule downscale_spatial)."""

from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.grid.nodes import Region
from deepcams.logs import job_log
from deepcams.product.downscale import downscale_spatial
from deepcams.product.verify import verify_product

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    region, encoding = snakemake.params.region, snakemake.params.encoding
    downscale_spatial(
        snakemake.input.fields,
        snakemake.input.model,
        snakemake.output.fields,
        region=Region(**region) if region else None,
        closure=snakemake.params.closure,
        mantissa_bits=encoding["mantissa_bits"],
        level=encoding["compression"],
        code=snakemake.params.code,
        precision=snakemake.params.precision,
        threads=snakemake.threads,
    )
    verify_product(snakemake.output.fields)
    write_sidecar(snakemake.output.fields)
