"""Draw the figures of a year's fusion (rule plot_fusion)."""

from pathlib import Path

from deepcams.files.checksum import check_inputs
from deepcams.logs import job_log
from deepcams.report.fusion_plot import plot_fusion
from deepcams.report.quantity import show

with job_log(snakemake.log[0]):
    show(snakemake.params.pollutant)
    check_inputs(snakemake.input)
    plot_fusion(
        dict(snakemake.output.items()),
        product=snakemake.input.product[0],
        tables=snakemake.input.tables,
        scores=Path(snakemake.input.scores[0]).parent,
        model=snakemake.input.model[0],
        dpi=snakemake.params.dpi,
    )
