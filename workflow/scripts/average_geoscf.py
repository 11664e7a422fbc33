"""Average a month of GEOS-CF over days (rule average_geoscf)."""

from deepcams.files.checksum import check_inputs
from deepcams.logs import job_log
from deepcams.training.days import write_days

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    write_days(
        snakemake.input.fields[0],
        snakemake.input.meteorology[0] if snakemake.params.variables else None,
        snakemake.output.index,
        variables=snakemake.params.variables,
        day=snakemake.params.day,
    )
