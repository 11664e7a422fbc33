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
        {"spatial": snakemake.input.spatial},
        snakemake.output.scores,
        days=snakemake.output.days,
        region=Region(**snakemake.params.region) if snakemake.params.region else None,
        closure=snakemake.params.closure,
    )
