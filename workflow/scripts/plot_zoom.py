"""Draw moments of the test period (rule plot_zoom)."""

from deepcams.logs import job_log
from deepcams.report.quantity import show
from deepcams.report.zoom_figure import draw

with job_log(snakemake.log[0]):
    show(snakemake.params.pollutant)
    draw(snakemake.input.zoom, snakemake.output.picture, snakemake.params.dpi)
