"""`deepcams downscale`: a CAMS file in, the hourly 0.25° product out."""

import argparse
import os
import sys

import numpy as np

from deepcams.calendar import hours_between
from deepcams.cli.options import (
    PRETRAINED,
    add_network,
    add_pollutant,
    add_precision,
    check_output,
    identity,
    must_exist,
    network,
)
from deepcams.config.digest import digest
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding
from deepcams.grid.nodes import describe, from_axes, refine
from deepcams.inference.closure import METHODS
from deepcams.inference.temporal import check_analyses, hourly_block
from deepcams.inference.workers import cores, frame_workers
from deepcams.models import pretrained
from deepcams.pollutants import POLLUTANTS
from deepcams.product.attributes import Provenance
from deepcams.product.downscale import write_product
from deepcams.product.months import Product
from deepcams.sources.cams import read_cams

HELP = f"""\
Downscale surface PM2.5 of CAMS EAC4, from 3-hourly 0.75° to hourly 0.25°: first in time, then in space.

The input is a file as the Atmosphere Data Store delivers it (pm2p5 in kg m**-3, global or a box, NetCDF, GRIB or zip)
with at least two consecutive analyses. The output runs from the first to the last of them, in ug m-3, encoded as the
workflow's product (CF-1.11, ACDD-1.3). Analyses pass through time unchanged; with --closure block_mean the block means
of the fine field are the coarse one. A missing value stays missing; a missing frame is an error.

{PRETRAINED}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("input", metavar="IN.nc", help="CAMS EAC4 analyses")
    parser.add_argument("output", metavar="OUT.nc", help="hourly 0.25° fields")
    add_pollutant(parser)
    add_network(parser, "temporal", "network for time")
    add_network(parser, "spatial", "network for space")
    parser.add_argument("--closure", choices=METHODS, default="block_mean", help="default: block_mean")
    add_precision(parser)
    parser.add_argument(
        "--mantissa-bits", type=_bits, default=7, metavar="BITS", help="precision kept, 1 … 23 (default: 7, 0.4 %%)"
    )


def run(options: argparse.Namespace) -> None:
    """Downscale and write."""
    source = must_exist(options.input)
    check_output(options.output, options.input)
    time_network, space_network = (
        network(stage, getattr(options, stage), options.precision) for stage in ("temporal", "spatial")
    )
    if options.pollutant != "pm25" and pretrained.WORD in (options.temporal, options.spatial):
        label = POLLUTANTS[options.pollutant].label
        print(
            f"The pretrained networks have learnt from PM2.5; how good they are for {label} is not known.",
            file=sys.stderr,
        )
    field = read_cams(source, pollutant=POLLUTANTS[options.pollutant])
    times = field.time.values.astype("datetime64[s]")
    check_analyses(times, options.input)
    grid = from_axes(field.latitude.values, field.longitude.values)[0]
    hours = hours_between(times[0], times[-1])
    settings = {
        "networks": {stage: identity(stage, getattr(options, stage)) for stage in ("temporal", "spatial")},
        "closure": options.closure,
        "mantissa_bits": options.mantissa_bits,
    }
    product = Product(
        grid=refine(grid),
        record=(times[0], times[-1]),
        provenance=Provenance(
            sources={os.path.basename(options.input): sha256(options.input)},
            networks=settings["networks"],
            precision={"temporal": time_network.precision, "spatial": space_network.precision},
            configuration=digest(settings),
            synthetic=field.attrs.get("synthetic"),
        ),
        encoding=Encoding(mantissa_bits=options.mantissa_bits),
        pollutant=POLLUTANTS[options.pollutant],
    )
    threads = cores()
    with frame_workers(threads) as pool:

        def coarse_fields(wanted: np.ndarray) -> np.ndarray:
            first, last = np.searchsorted(times, (wanted[0], wanted[-1]), "right") - 1
            part = slice(first, last + 2)
            return hourly_block(field[part].values, times[part], wanted, time_network, grid, pool, threads)

        write_product(
            options.output,
            hours,
            coarse_fields,
            grid,
            space_network,
            options.closure,
            product,
            key=None,  # single files are short: nothing is kept for another run
            threads=threads,
            by_date=False,
        )
    print(f"{options.output}: {len(hours)} hours, {hours[0]} … {hours[-1]} UTC, {describe(product.grid)}")


def _bits(text: str) -> int:
    """A number of mantissa bits that float32 has."""
    if text.isdecimal() and 1 <= int(text) <= 23:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of bits, 1 … 23")
