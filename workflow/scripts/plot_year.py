"""Draw a year's figures (rule plot_year)."""

from pathlib import Path

from deepcams.files.checksum import check_inputs
from deepcams.logs import job_log
from deepcams.report.plot import plot_year
from deepcams.report.quantity import show

with job_log(snakemake.log[0]):
    show(snakemake.params.pollutant)
    check_inputs(snakemake.input)
    files = snakemake.input
    plot_year(
        dict(snakemake.output.items()),
        folder=Path(files.tables[0]).parent,
        product_path=files.product,
        coarse_path=files.coarse,
        truth_path=files.get("truth"),
        hours=snakemake.params.settings["maps"],
        dpi=snakemake.params.settings["dpi"],
    )
