"""Join the months' scores into tables (rule summarise_evaluation)."""

from deepcams.logs import job_log
from deepcams.validation.evaluation import write_tables

with job_log(snakemake.log[0]):
    for stage in ("temporal", "spatial", "joint"):
        csv, markdown = (path for path in snakemake.output.tables if f"/{stage}." in path)
        write_tables(snakemake.input[stage], csv, markdown)
