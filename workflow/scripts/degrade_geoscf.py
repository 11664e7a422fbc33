"""Degrade a month of GEOS-CF and lay it out as shards (rule degrade_geoscf)."""

from deepcams.files.checksum import check_inputs
from deepcams.logs import job_log
from deepcams.training.prepare import write_shard

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    write_shard(snakemake.input.fields, snakemake.output.index, snakemake.params.degradation)
