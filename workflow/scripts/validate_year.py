"""Score a year of the product (rule validate_year)."""

from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.logs import job_log
from deepcams.models.spatial_interpolation import bicubic
from deepcams.models.temporal_interpolation import linear
from deepcams.validation.summary import SummarySettings, validate_year

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    output = snakemake.output
    validate_year(
        output.summary,
        {name: output[name] for name in ("stations", "diurnal", "scatter", "series")},
        output.means,
        year=int(snakemake.wildcards.year),
        product_paths=[snakemake.input.product],
        coarse_paths=snakemake.input.coarse,
        pair_paths=snakemake.input.pairs,
        count_paths=snakemake.input.counts,
        settings=SummarySettings(),
        truth_paths=snakemake.input.get("truth", []),
        baselines={"CAMS, linear + bicubic": (linear(), bicubic())},
    )
    write_sidecar(output.means)
