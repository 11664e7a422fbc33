"""Pieces that several commands share: choosing a network or a degradation, giving a region, checking files."""

import argparse
import difflib
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import require_writable
from deepcams.files.checksum import sha256
from deepcams.models import pretrained
from deepcams.models.catalogue import learns, names
from deepcams.models.checkpoint import load, read, untrained
from deepcams.models.precision import PRECISIONS
from deepcams.pollutants import POLLUTANTS

PRETRAINED = f"""\
pretrained   the light pair that comes with deepcams. What it learnt from, how good it is and what it is not for:
             {pretrained.card()}"""


def add_network(parser: argparse.ArgumentParser, stage: str, purpose: str) -> None:
    """Add the option --temporal or --spatial: the pretrained network, an interpolation by name, or a model file."""
    parser.add_argument(
        f"--{stage}",
        metavar="NETWORK",
        default=pretrained.WORD,
        help=f"{purpose}: {pretrained.WORD} (the default), {', '.join(interpolations(stage))}, or a model's file",
    )


def add_pollutant(parser: argparse.ArgumentParser) -> None:
    """Add the option --pollutant."""
    parser.add_argument(
        "--pollutant",
        choices=POLLUTANTS,
        default="pm25",
        help="what the files hold; gases are given in nmol mol-1 (default: pm25)",
    )


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add the option --precision of networks that have learnt."""
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="of the networks' convolutions; auto, the default: bfloat16 where that is faster and changes no more than "
        "the rounding of the product does, else float32",
    )


def interpolations(stage: str) -> list[str]:
    """The networks of a stage that need no training."""
    return [name for name in names(stage) if not learns(stage, name)]


def network(stage: str, choice: str, precision: str = "float32"):
    """The network an option named: the pretrained one, an interpolation, or the content of a model file."""
    if choice == pretrained.WORD:
        return _shipped(partial(load, precision=precision), stage)
    known = interpolations(stage)
    if choice in known:
        return untrained(stage, choice)
    if Path(choice).is_file():
        return load(choice, stage, precision)
    if choice in names(stage):
        raise DeepcamsError(f"{choice} must be trained first; give its model file.")
    known = [pretrained.WORD, *known]
    close = difflib.get_close_matches(choice, known, n=1)
    raise DeepcamsError(
        f"There is no {stage} network {choice!r}: neither a file of that name nor one of {', '.join(known)}."
        + (f" Did you mean {close[0]}?" if close else "")
    )


def identity(stage: str, choice: str) -> str:
    """A network in a word without spaces: an interpolation's name, or what a model file's digest is."""
    if choice == pretrained.WORD:
        return f"{choice}({_shipped(read, stage).network},sha256:{sha256(pretrained.path(stage))[:16]})"
    return choice if choice in interpolations(stage) else f"file:{sha256(choice)[:16]}"


def _shipped(function: Callable, stage: str):
    """What `function` makes of the model file that comes with the package; if that is damaged, what helps is said."""
    path = pretrained.path(stage)
    try:
        return function(path, stage)
    except DeepcamsError as error:
        raise DeepcamsError(
            f"The {pretrained.WORD} {stage} network, which comes with deepcams, cannot be used: {error} "
            "Installing deepcams anew restores it; interpolations do without it."
        ) from error


def degradation_parameters(operator: str | None, sigma: float | None, option: str) -> dict[str, float]:
    """What `--sigma` adds to an operator, chosen by `option`. Raises DeepcamsError where it would do nothing."""
    if sigma is None:
        return {}
    if operator != "gaussian":
        raise DeepcamsError(f"--sigma is the width of the gaussian; give {option} gaussian with it, or leave it out.")
    return {"sigma": sigma}


def add_region(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option --region N W S E."""
    parser.add_argument(
        "--region",
        nargs=4,
        type=float,
        metavar=("N", "W", "S", "E"),
        help=f"{what}, degrees; across the date line E goes on past 180",
    )


def region(values: list[float] | None) -> tuple[float, float, float, float] | None:
    """The box an option gave: north, west, south, east. Raises DeepcamsError if it cannot be one."""
    if values is None:
        return None
    north, west, south, east = values
    problems = [
        f"{name} {value:g} is not {what}"
        for name, value, most, what in (
            ("north", north, 90, "within -90 … 90"),
            ("west", west, 360, "a longitude"),
            ("south", south, 90, "within -90 … 90"),
            ("east", east, 540, "a longitude"),
        )
        if not (math.isfinite(value) and abs(value) <= most)
    ]
    if not problems and south > north:
        problems.append(f"south {south:g} is above north {north:g}")
    if problems:
        raise DeepcamsError(f"--region N W S E: {'; '.join(problems)}.")
    return north, west, south, east


def must_exist(path: str) -> Path:
    """The path, if it is a file. Raises DeepcamsError if it is not."""
    if not Path(path).is_file():
        raise DeepcamsError(f"There is no file {path}.")
    return Path(path)


def check_output(output: str, source: str) -> None:
    """Raise DeepcamsError if `output` cannot be written, or is the file that is read."""
    require_writable(output)
    if os.path.exists(output) and os.path.samefile(output, source):
        raise DeepcamsError(f"{output} is the input and would be overwritten. Give the output another name.")
