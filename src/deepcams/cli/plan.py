"""`deepcams plan`: what a target of the workflow will take, before it is begun."""

import argparse
import json
import os
from pathlib import Path

from deepcams.cli.doctor import add_configfile
from deepcams.credentials import hide
from deepcams.errors import DeepcamsError
from deepcams.plan.forecast import forecast
from deepcams.plan.graph import build
from deepcams.plan.screen import screen

HELP = """\
Say what a target of the workflow will take, in the workflow's folder: the jobs that are due and why; CPU hours, time,
memory; bytes to download and to store, and files. What was measured in this checkout comes first, then a table that
comes with the package; what nobody measured is said to be unknown. No service is asked, no key is needed, nothing is
run."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("targets", metavar="TARGET", nargs="*", default=["all"], help="files or rules (default: all)")
    add_configfile(parser)
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="single settings, likewise")
    parser.add_argument("--workflow-profile", metavar="FOLDER", help="as for snakemake, for instance profiles/slurm")
    parser.add_argument(
        "--cores", type=int, metavar="N", help="that the time and the memory are for (default: those of this machine)"
    )
    parser.add_argument("--json", action="store_true", help="the same as JSON, with what is in no screen")


def run(options: argparse.Namespace) -> None:
    """Plan and print."""
    cores = len(os.sched_getaffinity(0)) if options.cores is None else options.cores
    if cores < 1:
        raise DeepcamsError(f"--cores {cores}: a run needs at least 1.")
    folder = Path.cwd()
    graph = build(folder, options.targets, options.configfile, options.config, options.workflow_profile, cores)
    found = forecast(graph, folder, cores)
    if options.json:
        print(json.dumps(found.document(), indent=1))
        return
    region, record = graph.config["region"], graph.config["cams"]
    where = "the globe" if region is None else "region {north:g} {west:g} {south:g} {east:g}".format(**region)
    names = ", ".join([*(options.configfile or ["config/config.yaml"]), *options.config])
    title = f"{' '.join(options.targets)} of {names}: {graph.config['pollutant']}, {where}, "
    print(hide("\n".join(screen(found, f"{title}{record['first']} to {record['last']}", folder))))
