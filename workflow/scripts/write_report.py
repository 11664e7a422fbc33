"""Write the page of all years (rule write_report)."""

from deepcams.logs import job_log
from deepcams.report.page import write_index
from deepcams.report.quantity import show

with job_log(snakemake.log[0]):
    show(snakemake.params.pollutant)
    write_index(snakemake.output.page, summaries=snakemake.input.summaries)
