"""`deepcams degrade`: a coarse file out of a fine one, registered to the coarse nodes."""

import argparse
from itertools import islice

import numpy as np

from deepcams.cli.options import add_pollutant, check_output, degradation_parameters, must_exist
from deepcams.degrade.operators import OPERATORS, degrade, margin
from deepcams.files.netcdf import Encoding, FieldWriter
from deepcams.grid.blocks import coarse_within
from deepcams.grid.nodes import refine
from deepcams.pollutants import POLLUTANTS
from deepcams.progress import progress
from deepcams.sources.geoscf import open_geoscf

HELP = """\
Degrade the 0.25° fields of a GEOS-CF file to 0.75°, as training input is made.

block_mean   area-weighted mean of the 3×3 fine nodes around a coarse node (default)
imresize     MATLAB's antialiased bicubic, registered to the nodes
bicubic      without antialiasing, as the code released with the paper: equals point
gaussian     normal weights, --sigma fine cells
point        the fine node that is the coarse node

Where the file is not global, the outermost coarse nodes lack part of their support; how many is stated."""

FRAMES = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("input", metavar="IN.nc", help="GEOS-CF fields, 0.25°, whole or a box")
    parser.add_argument("output", metavar="OUT.nc", help="0.75° fields, ug m-3 (gases: nmol mol-1)")
    add_pollutant(parser)
    parser.add_argument("--operator", choices=OPERATORS, default="block_mean")
    parser.add_argument("--sigma", type=float, help="width of the gaussian, fine cells (default: 1)")


def run(options: argparse.Namespace) -> None:
    """Degrade and write."""
    source = must_exist(options.input)
    check_output(options.output, options.input)
    parameters = degradation_parameters(options.operator, options.sigma, "--operator")
    lost = margin(options.operator, **parameters)
    pollutant = POLLUTANTS[options.pollutant]
    with open_geoscf(source, pollutant=pollutant) as file:
        coarse, rows, columns = coarse_within(file.grid)
        fine, count = refine(coarse), len(file.times)
        attributes = {
            "units": pollutant.units,
            "long_name": f"surface {pollutant.label} of GEOS-CF, degraded by {options.operator}",
            "cell_methods": file.attributes["cell_methods"],
        }
        if "synthetic" in file.attributes:
            attributes["synthetic"] = file.attributes["synthetic"]
        writer = FieldWriter(
            options.output,
            times=file.times,
            grid=coarse,
            encoding=Encoding(),
            variable=pollutant.name,
            attributes=attributes,
            global_attributes={
                "title": f"GEOS-CF surface {pollutant.label} at 0.75 degree, degraded by {options.operator}"
            },
        )
        with writer:
            for start in progress(range(0, count, FRAMES), "degrade", "days"):
                frames = np.stack([frame[rows][:, columns] for frame in islice(file.frames, FRAMES)])
                writer.write(start, degrade(frames, fine, options.operator, **parameters))
    print(f"{options.output}: {count} fields of {coarse.shape[0]} × {coarse.shape[1]} nodes at 0.75°")
    if not coarse.is_global:
        print(f"The file is not global: {lost} coarse node(s) at its open edges lack part of their support.")
