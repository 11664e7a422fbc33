"""Score a month of the simulation experiment, stage "spatial" (rule evaluate_spatial)."""

from deepcams.files.checksum import check_inputs
from deepcams.grid.nodes import Region
from deepcams.logs import job_log
from deepcams.validation.evaluation import evaluate_month

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    evaluate_month(
        "spatial",
        snakemake.input.index,
        {part: path for part, path in snakemake.input.items() if part in ("temporal", "spatial")},
        snakemake.output.scores,
        name=snakemake.wildcards.method,
        days=snakemake.output.days,
        region=Region(**snakemake.params.region) if snakemake.params.region else None,
        halo=snakemake.params.halo,
        every=snakemake.params.every,
        closure=snakemake.params.closure or "none",
        sigma=snakemake.params.sigma,
    )
