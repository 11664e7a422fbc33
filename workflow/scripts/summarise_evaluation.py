"""Join the months' scores into tables, and compare the networks with the baselines (rule summarise_evaluation)."""

from deepcams.logs import job_log
from deepcams.validation.evaluation import write_tables
from deepcams.validation.skill import compare_months, markdown_section, write_skill

with job_log(snakemake.log[0]):
    for stage in ("temporal", "spatial", "joint"):
        csv, markdown, skill = (snakemake.output[f"{stage}_{kind}"] for kind in ("csv", "md", "skill"))
        rows = compare_months(stage, snakemake.input[f"{stage}_days"])
        write_skill(rows, skill)
        notes = {step: markdown_section([row for row in rows if row.step == step]) for step in {r.step for r in rows}}
        write_tables(snakemake.input[stage], csv, markdown, notes)
