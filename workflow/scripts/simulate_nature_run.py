"""Simulate a month of the nature run and write it as the services would (rule simulate_nature_run)."""

import torch

from deepcams.calendar import Month
from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.grid.nodes import Region
from deepcams.logs import job_log
from deepcams.sources.nature_run.write import write_month

with job_log(snakemake.log[0]):
    check_inputs(snakemake.input)
    torch.set_num_threads(snakemake.threads)
    settings, region = snakemake.params.settings, snakemake.params.region
    write_month(
        Month(int(snakemake.wildcards.year), int(snakemake.wildcards.month)),
        snakemake.params.root,
        region=Region(**region) if region else None,
        seed=settings["seed"],
        time_step_minutes=settings["time_step"],
        spin_up_days=settings["spin_up"],
        margin_degrees=settings["margin"],
        stations=settings["stations"],
        restart_in=snakemake.input.get("restart"),
    )
    write_sidecar(snakemake.output.truth)
    write_sidecar(snakemake.output.restart)
