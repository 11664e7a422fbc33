"""Draw a year's figures (rule plot_year)."""

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
        summary_path=files.summary,
        tables={name: files[name] for name in ("stations", "diurnal", "scatter", "series")},
        mean_path=files.means,
        product_path=files.product,
        coarse_path=files.coarse,
        truth_path=files.get("truth"),
        hours=snakemake.params.settings["maps"],
        dpi=snakemake.params.settings["dpi"],
    )
