"""Degrade a month of GEOS-CF and lay it out as shards (rule degrade_geoscf)."""

from deepcams.logs import job_log
from deepcams.training.prepare import write_shard

with job_log(snakemake.log[0]):
    write_shard(snakemake.input.fields, snakemake.output.index, snakemake.params.degradation)
