"""Train the spatial network and write its model file (rule train_spatial)."""

from deepcams.files.checksum import write_sidecar
from deepcams.logs import job_log
from deepcams.training.train import train

with job_log(snakemake.log[0]):
    train(
        "spatial",
        snakemake.params.settings,
        snakemake.input.get("index", []),
        snakemake.output.model,
        code=snakemake.params.code,
    )
    write_sidecar(snakemake.output.model)
