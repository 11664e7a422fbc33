"""`deepcams score`: how well interpolations and networks bring back a file's own hours and nodes."""

import argparse
import json

import numpy as np

from deepcams.calendar import HOUR
from deepcams.cli.options import add_region, degradation_parameters, must_exist, network, region
from deepcams.degrade.operators import OPERATORS
from deepcams.errors import DeepcamsError
from deepcams.progress import progress
from deepcams.sources.geoscf import open_geoscf
from deepcams.validation.scores import STAGES, Method, baselines, score

HELP = """\
Score interpolations and networks on a GEOS-CF file of consecutive hours (PM25_RH35_GCC, 0.25°, whole or a box).

temporal   frames 0 and 3, 3 and 6 … are given, the two hours between are estimated, at 0.25°
spatial    every frame is degraded to 0.75° and refined again
joint      degraded frames 0 and 3, 3 and 6 … are given, the hours between are estimated at 0.25°

The file is degraded whole and the region is cut out afterwards. Where a file is not global, a margin at its open edges
is not scored; it is stated. R, RMSE and MAE over all cells and hours, plain and weighted by area."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("file", metavar="FILE.nc", help="consecutive hours in the layout of the GEOS-CF portal")
    parser.add_argument(
        "--model",
        metavar="NETWORK",
        action="append",
        default=[],
        help="score this too: a name or a model's file; for joint give the temporal and then the spatial one",
    )
    add_region(parser, "score only the nodes in this box")
    parser.add_argument(
        "--degradation", choices=OPERATORS, help="how the coarse input is made (default: block_mean; temporal: none)"
    )
    parser.add_argument("--sigma", type=float, help="width of the gaussian degradation, fine cells (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> None:
    """Score and print."""
    source = must_exist(options.file)
    operator = options.degradation or (None if options.stage == "temporal" else "block_mean")
    parameters = degradation_parameters(operator, options.sigma, "--degradation")
    box, methods = region(options.region), [*baselines(options.stage), *_chosen(options)]
    with open_geoscf(source) as file:
        if options.stage != "spatial":
            _require_consecutive(file.times, options.file)
        result = score(
            options.stage,
            progress(file.frames, "score", "hours", len(file.times)),
            file.grid,
            methods=methods,
            operator=operator,
            parameters=parameters,
            region=box,
            times=file.times,
        )
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        _print_table(result)


def _require_consecutive(times: np.ndarray, where: str) -> None:
    """Raise DeepcamsError unless each frame (T,) is an hour after the one before it."""
    gaps = np.flatnonzero(np.diff(times) != HOUR)
    if len(gaps):
        before, after = (str(times[gaps[0] + k])[:16] for k in (0, 1))
        raise DeepcamsError(
            f"{where}: {after} follows {before}, and {len(gaps) - 1} more step(s) are not of one hour. Scoring in time "
            "needs consecutive hours; put the missing ones into the file, or score spatial."
        )


def _chosen(options: argparse.Namespace) -> list[Method]:
    """The networks given with --model, as one method."""
    stages = ("temporal", "spatial") if options.stage == "joint" else (options.stage,)
    if not options.model:
        return []
    if len(options.model) != len(stages):
        needed = "two networks, the temporal and then the spatial one" if len(stages) == 2 else "one network"
        raise DeepcamsError(f"To score {options.stage}, give --model {needed}; {len(options.model)} given.")
    name = "+".join(["model", *options.model])
    return [Method(name, **{stage: network(stage, m) for stage, m in zip(stages, options.model, strict=True)})]


def _print_table(result: dict) -> None:
    region, margin = result["region"], result["margin"]
    print(
        f"{result['stage']}: {result['frames']} fields of {result['nodes'][0]} × {result['nodes'][1]} nodes at "
        f"{result['step']:g}°, {region['south']:g} … {region['north']:g}°N, {region['west']:g} … {region['east']:g}°E"
    )
    if result["degradation"]:
        print("degradation: " + " ".join(str(value) for value in result["degradation"].values()))
    print(f"margin at open edges of the file: {margin['nodes']} nodes ({margin['degrees']:g}°)\n")
    width = max(map(len, result["methods"]))
    print(
        f"{'':{width}}   {'R':>7} {'RMSE':>8} {'MAE':>7}    weighted by area: {'R':>7} {'RMSE':>8} {'MAE':>7}   ug m-3"
    )
    for name, scores in result["methods"].items():
        both = [scores, scores["weighted"]]
        texts = [f"{s['r']:7.4f} {s['rmse']:8.3f} {s['mae']:7.3f}" for s in both]
        print(f"{name:{width}}   {texts[0]}                      {texts[1]}")
