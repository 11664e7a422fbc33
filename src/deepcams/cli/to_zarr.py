"""`deepcams to-zarr`: product files in, a Zarr store out."""

import argparse

from deepcams.cli.options import must_exist
from deepcams.product.zarr_store import write_zarr

HELP = """\
Write product files as one Zarr store, version 3, of sharded chunks that are long in time: a year at one place is read
from a tenth of the bytes that NetCDF's chunks take, a map from five times as many.

Give files in order of time, without a gap from hour to hour. Values are those of the files, bit for bit, and so are the
attributes; of several files they are joined as those of months are. The store appears under its name when it is whole.
Read it in Python with

  xarray.open_zarr("OUT.zarr")

Needs: pip install 'deepcams[zarr]'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("inputs", metavar="IN.nc", nargs="+", help="product files, in order of time")
    parser.add_argument("output", metavar="OUT.zarr", help="the store")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.zarr if it is a Zarr store")


def run(options: argparse.Namespace) -> None:
    """Check the files and write the store."""
    for path in options.inputs:
        must_exist(path)
    hours, rows, columns = write_zarr(options.inputs, options.output, overwrite=options.overwrite)
    print(f"{options.output}: {hours} hours of {rows} × {columns} nodes, from {len(options.inputs)} file(s)")
