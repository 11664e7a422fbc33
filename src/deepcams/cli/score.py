"""`deepcams score`: how well interpolations and networks bring back a file's own hours and nodes."""

import argparse
import json
from collections.abc import Iterator

import numpy as np

from deepcams.calendar import HOUR
from deepcams.cli.options import (
    PRETRAINED,
    add_pollutant,
    add_region,
    degradation_parameters,
    identity,
    must_exist,
    network,
    region,
)
from deepcams.degrade.operators import OPERATORS
from deepcams.errors import DeepcamsError
from deepcams.models import pretrained
from deepcams.pollutants import POLLUTANTS
from deepcams.progress import progress
from deepcams.sources.geoscf import open_geoscf
from deepcams.validation.methods import STAGES, Method, baselines
from deepcams.validation.scores import score
from deepcams.validation.skill import MAIN_BASELINES

HELP = f"""\
Score interpolations and networks on a GEOS-CF file of consecutive hours (PM25_RH35_GCC, 0.25°, whole or a box).

temporal   frames 0 and 3, 3 and 6 … are given, the two hours between are estimated, at 0.25°
spatial    every frame is degraded to 0.75° and refined again
joint      degraded frames 0 and 3, 3 and 6 … are given, the hours between are estimated at 0.25°

The file is degraded whole and the region is cut out afterwards. Where a file is not global, a margin at its open edges
is not scored; it is stated. R, RMSE and MAE over all cells and hours, plain and weighted by area; diff. is how far RMSE
and MAE are above or below those of the stage's main baseline.

{PRETRAINED}
             It runs as `deepcams downscale` runs it, with closure in space, and for joint the other way round too."""

EACH = "each"
IN_TURN = ("block_mean", "imresize", "gaussian", "point")  # bicubic is point by another name
NAME_WIDTH = 34  # with it a line has 120 characters


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
    add_pollutant(parser)
    parser.add_argument("--no-pretrained", action="store_true", help="leave out the networks that come with deepcams")
    add_region(parser, "score only the nodes in this box")
    parser.add_argument(
        "--degradation",
        choices=(*OPERATORS, EACH),
        help=f"how the coarse input is made (default: block_mean; temporal: none); {EACH}: one table under each of "
        f"{', '.join(IN_TURN)}, and for temporal under none",
    )
    parser.add_argument("--sigma", type=float, help="width of the gaussian degradation, fine cells (default: 1)")
    parser.add_argument(
        "--json", action="store_true", help=f"print JSON instead of tables; with --degradation {EACH} a list"
    )


def run(options: argparse.Namespace) -> None:
    """Score and print."""
    must_exist(options.file)
    degradations = list(_degradations(options))
    box = region(options.region)
    methods, identities = _methods(options)
    results = [_scored(options, operator, parameters, box, methods) for operator, parameters in degradations]
    results = [result | identities for result in results]
    if options.json:
        print(json.dumps(results if options.degradation == EACH else results[0], indent=1))
    else:
        print("\n\n".join(_table(result) for result in results))


def _degradations(options: argparse.Namespace) -> Iterator[tuple[str | None, dict[str, float]]]:
    """Operators, None for none, and their parameters. Raises DeepcamsError for --sigma where it would do nothing."""
    alone = None if options.stage == "temporal" else "block_mean"
    if options.degradation != EACH:
        operator = options.degradation or alone
        yield operator, degradation_parameters(operator, options.sigma, "--degradation")
        return
    for operator in (None, *IN_TURN) if alone is None else IN_TURN:
        sigma = options.sigma if operator == "gaussian" else None
        yield operator, degradation_parameters(operator, sigma, "--degradation")


def _methods(options: argparse.Namespace) -> tuple[list[Method], dict]:
    """What is scored; and, for the result, which networks the pretrained ones are."""
    stages = ("temporal", "spatial") if options.stage == "joint" else (options.stage,)
    methods, identities = baselines(options.stage), {}
    if not options.no_pretrained:
        networks = {stage: network(stage, pretrained.WORD) for stage in stages}
        methods += _as_the_product(options.stage, networks)
        identities = {"pretrained": {stage: identity(stage, pretrained.WORD) for stage in stages}}
    if options.model:
        if len(options.model) != len(stages):
            needed = "two networks, the temporal and then the spatial one" if len(stages) == 2 else "one network"
            raise DeepcamsError(f"To score {options.stage}, give --model {needed}; {len(options.model)} given.")
        chosen = {stage: network(stage, choice) for stage, choice in zip(stages, options.model, strict=True)}
        methods.append(Method("+".join(["model", *options.model]), **chosen))
    return methods, identities


def _as_the_product(stage: str, networks: dict) -> list[Method]:
    """The pretrained networks as `deepcams downscale` runs them.

    Beside it in space without closure, which is wrong where the input is no block mean; in both, space first.
    """
    if stage == "temporal":
        return [Method(pretrained.WORD, **networks)]
    name = f"{pretrained.WORD}+closure"
    method = Method(name, **networks, closure="block_mean")
    if stage == "spatial":
        return [Method(pretrained.WORD, **networks, closure="none"), method]
    return [method, Method(f"{name}, space first", **networks, closure="block_mean", order="space_first")]


def _scored(options: argparse.Namespace, operator: str | None, parameters: dict, box, methods: list[Method]) -> dict:
    """The result of `score`, with differences from the main baseline."""
    with open_geoscf(options.file, pollutant=POLLUTANTS[options.pollutant]) as file:
        if options.stage != "spatial":
            _require_consecutive(file.times, options.file)
        label = f"score {operator or 'none'}" if options.degradation == EACH else "score"
        result = score(
            options.stage,
            progress(file.frames, label, "hours", len(file.times)),
            file.grid,
            methods=methods,
            operator=operator,
            parameters=parameters,
            region=box,
            times=file.times,
        )
    result["units"] = POLLUTANTS[options.pollutant].units
    result["baseline"] = MAIN_BASELINES[options.stage]
    reference = result["methods"][result["baseline"]]
    for scores in result["methods"].values():
        scores["difference_percent"] = _differences(scores, reference)
        scores["weighted"]["difference_percent"] = _differences(scores["weighted"], reference["weighted"])
    return result


def _differences(scores: dict, reference: dict) -> dict[str, float | None]:
    """How far RMSE and MAE are above those of `reference`, per cent; None where that is undefined."""
    return {
        key: 100 * (scores[key] / reference[key] - 1) if scores[key] is not None and reference[key] else None
        for key in ("rmse", "mae")
    }


def _require_consecutive(times: np.ndarray, where: str) -> None:
    """Raise DeepcamsError unless each frame (T,) is an hour after the one before it."""
    gaps = np.flatnonzero(np.diff(times) != HOUR)
    if len(gaps):
        before, after = (str(times[gaps[0] + k])[:16] for k in (0, 1))
        raise DeepcamsError(
            f"{where}: {after} follows {before}, and {len(gaps) - 1} more step(s) are not of one hour. Scoring in time "
            "needs consecutive hours; put the missing ones into the file, or score spatial."
        )


def _table(result: dict) -> str:
    """A result as text: what was scored, and a line a method."""
    area, margin, units = result["region"], result["margin"], result["units"]
    width = min(max(map(len, result["methods"])), NAME_WIDTH)
    heading = f"{'R':>7} {'RMSE':>7} {'diff.':>8} {'MAE':>7} {'diff.':>8}"
    lines = [
        f"{result['stage']}: {result['frames']} fields of {result['nodes'][0]} × {result['nodes'][1]} nodes at "
        f"{result['step']:g}°, {area['south']:g} … {area['north']:g}°N, {area['west']:g} … {area['east']:g}°E",
        "degradation: " + " ".join(str(value) for value in (result["degradation"] or {"operator": "none"}).values()),
        f"margin at open edges of the file: {margin['nodes']} nodes ({margin['degrees']:g}°)",
        f"diff.: from {result['baseline']}",
        "",
        f"{'':{width}}  {f'all cells alike, {units}':^41}  {f'weighted by area, {units}':^41}".rstrip(),
        f"{'':{width}}  {heading}  {heading}",
    ]
    for name, scores in result["methods"].items():
        short = name if len(name) <= width else f"…{name[1 - width :]}"
        lines.append(f"{short:{width}}  {_cells(scores)}  {_cells(scores['weighted'])}")
    return "\n".join(line.rstrip() for line in lines)


def _cells(scores: dict) -> str:
    """R, RMSE, its difference, MAE and its difference: 41 characters."""
    difference = scores["difference_percent"]
    return (
        f"{_number(scores['r'], '.4f'):>7} {_number(scores['rmse'], '.3f'):>7} {_per_cent(difference['rmse']):>8} "
        f"{_number(scores['mae'], '.3f'):>7} {_per_cent(difference['mae']):>8}"
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _per_cent(value: float | None) -> str:
    """Nothing for what is not defined, nor for the baseline itself, whose difference is exactly 0."""
    return "" if not value else f"{value:+.{1 if abs(value) < 1000 else 0}f} %"
