"""The command `deepcams`: the workflow's functions for single files."""

import argparse
import sys
from importlib import import_module

from deepcams.errors import DeepcamsError
from deepcams.version import VERSION

# Each module offers HELP, add_arguments(parser) and run(arguments); it is imported only when its command is given.
COMMANDS = {
    "downscale": "CAMS file in, hourly 0.25° file out",
    "degrade": "make a coarse file out of a GEOS-CF file",
    "score": "score interpolations and networks on a GEOS-CF file",
    "train": "train a network on GEOS-CF files or on shards of the workflow",
    "import-checkpoint": "make a model file out of a published checkpoint",
    "to-zarr": "product files in, one Zarr store out",
    "virtual": "read several years as one data set, without a copy",
    "validate": "fields and stations in, scores and a report out",
    "fuse": "station measurements in, fields out",
    "plan": "what a target of the workflow will take: jobs, hours, bytes",
    "doctor": "what a run of the workflow will need, before it begins",
}

DESCRIPTION = """\
Global hourly 0.25° surface PM2.5 from the CAMS EAC4 reanalysis, for single files.
The same functions run in the workflow: `snakemake -n all` shows that."""

EPILOGUE = """\
examples:
  deepcams downscale cams.nc hourly.nc
  deepcams downscale cams.nc hourly.nc --spatial lanczos3 --closure none
  deepcams degrade geoscf.nc coarse.nc --operator gaussian --sigma 1.2
  deepcams score joint geoscf.nc --region 90 -85 -90 -1
  deepcams train spatial model.safetensors geoscf.nc --steps 2000
  deepcams import-checkpoint published.pt model.safetensors
  deepcams to-zarr 2019.nc 2020.nc pm25.zarr
  deepcams virtual 2019.nc 2020.nc --out pm25.json
  deepcams validate hourly.nc stations.csv.gz --out validation
  deepcams fuse stations.csv.gz --model model.safetensors --out fused.nc
  deepcams plan all --configfile config/demo.yaml
  deepcams doctor --configfile config/demo.yaml
  deepcams COMMAND --help"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns the exit status: 0, 1 for a problem told in one message, 2 for wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="deepcams", description=DESCRIPTION, epilog=EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"deepcams {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        module = import_module(f"deepcams.cli.{name.replace('-', '_')}") if name == chosen else None
        command = commands.add_parser(
            name,
            help=summary,
            description=module.HELP if module else summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if module:
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except DeepcamsError as error:
        print(f"deepcams: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("deepcams: stopped; nothing half-written was left behind.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
