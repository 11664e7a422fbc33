"""`deepcams virtual`: years in, one data set by reference out."""

import argparse
import os

from deepcams.cli.options import check_output, must_exist
from deepcams.errors import DeepcamsError
from deepcams.product.virtual import BEGIN, write_virtual

HELP = """\
Make one data set of several years without copying them: a small file of references (kerchunk's JSON) to their chunks.

Give product files in order of time, without a gap from hour to hour; of each, only metadata are read. The references
name the files as you do: by absolute names they are found from every folder, by others from the folder in which you
read. If files move, change their names under "templates", at the beginning of OUT.json. Read it in Python with

  xarray.open_dataset("OUT.json", engine="kerchunk")

Needs: pip install 'deepcams[zarr]'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("inputs", metavar="YEAR.nc", nargs="+", help="product files, in order of time")
    parser.add_argument("--out", metavar="OUT.json", required=True, help="the references")


def run(options: argparse.Namespace) -> None:
    """Check the files and write the references."""
    for path in options.inputs:
        must_exist(path)
        check_output(options.out, path)
    _check_replaceable(options.out)
    hours = write_virtual(options.inputs, options.out)
    print(f"{options.out}: {hours} hours of {len(options.inputs)} file(s), by reference")


def _check_replaceable(out: str) -> None:
    """Raise DeepcamsError if `out` exists and is no file of references."""
    if not os.path.exists(out):
        return
    with open(out, "rb") as stream:
        if not stream.read(len(BEGIN)) == BEGIN.encode():
            raise DeepcamsError(f"{out} exists and is no file of references. Give another name.")
