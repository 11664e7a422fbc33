"""Score a year's cross-validation of station fusion (rule score_fusion)."""

from pathlib import Path

from deepcams.fusion.year_scores import score_year
from deepcams.logs import job_log

with job_log(snakemake.log[0]):
    score_year(
        Path(snakemake.output[0]).parent,
        snakemake.input.tables,
        snakemake.input.reproduced,
        snakemake.input.counts,
        snakemake.params.facts,
        synthetic=snakemake.params.synthetic,
    )
