"""Train the fusion network and write its model file (rule train_fusion)."""

from pathlib import Path

from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.logs import job_log
from deepcams.training.climatology import climatology, write_climatology
from deepcams.training.days import read_days
from deepcams.training.train import train

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    train(
        "fusion",
        snakemake.params.settings,
        snakemake.input.index,
        snakemake.output.model,
        code=snakemake.params.code,
        last=snakemake.output.last,
        curves=snakemake.output.curves,
        # No output of the rule, which Snakemake would remove after a kill.
        state=Path(snakemake.output.model).with_name("training.pt"),
        # No parameters, because nothing that is learnt depends on them.
        workers=snakemake.resources.workers,
        processes=snakemake.resources.processes,
    )
    months = [read_days(Path(path).parent) for path in snakemake.input.index]
    write_climatology(snakemake.output.climatology, climatology(months), months[0].grid)
    write_sidecar(snakemake.output.model)
    write_sidecar(snakemake.output.climatology)
