"""Make the model file of a network that takes no training (rule derive_network)."""

from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.logs import job_log
from deepcams.training.train import train

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    train(
        snakemake.wildcards.stage,
        snakemake.params.settings,
        snakemake.input.get("index", []),
        snakemake.output.model,
        code=snakemake.params.code,
    )
    write_sidecar(snakemake.output.model)
