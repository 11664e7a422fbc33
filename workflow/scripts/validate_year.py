"""Score a year of the product (rule validate_year)."""

from pathlib import Path

from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.logs import job_log
from deepcams.models.spatial_interpolation import bicubic
from deepcams.models.temporal_interpolation import linear
from deepcams.pollutants import POLLUTANTS
from deepcams.validation.station_summary import SummarySettings
from deepcams.validation.summary import validate_year

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    folder, year = Path(snakemake.output[0]).parent, snakemake.wildcards.year
    pollutant = POLLUTANTS[snakemake.params.pollutant]
    settings = dict(snakemake.params.settings)
    collocation = settings.pop("collocation")
    validate_year(
        folder,
        title=f"Hourly 0.25° surface {pollutant.label}, {year}",
        year=int(year),
        product_paths=[snakemake.input.product],
        coarse_paths=snakemake.input.coarse,
        pair_paths=snakemake.input.pairs,
        count_paths=snakemake.input.counts,
        settings=SummarySettings(**settings, pollutant=pollutant),
        truth_paths=snakemake.input.get("truth", []),
        baselines={"CAMS, linear + bicubic": (linear(), bicubic())},
        details={"collocation": collocation},
    )
    for name in ("means.npz", "clicks.npz"):
        write_sidecar(folder / name)
