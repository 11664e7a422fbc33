"""Write the page of all years (rule write_report)."""

from deepcams.logs import job_log
from deepcams.report.page import write_index

with job_log(snakemake.log[0]):
    write_index(snakemake.output.page, summaries=snakemake.input.summaries)
