"""Pieces that several commands share: choosing a network, giving a region."""

import argparse
from pathlib import Path

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region
from deepcams.models.catalogue import names
from deepcams.models.checkpoint import load, untrained


def add_network(parser: argparse.ArgumentParser, stage: str, default: str, purpose: str) -> None:
    """Add the option --temporal or --spatial: an interpolation by name, or a model file."""
    parser.add_argument(
        f"--{stage}",
        metavar="NETWORK",
        default=default,
        help=f"{purpose}: {', '.join(names(stage))}, or a trained model's file (default: {default})",
    )


def network(stage: str, choice: str):
    """The network an option named: an interpolation, or the content of a model file."""
    if choice in names(stage):
        return untrained(stage, choice)
    if Path(choice).exists():
        return load(choice, stage)
    raise DeepcamsError(
        f"There is no {stage} network {choice!r}: neither a file of that name nor one of {', '.join(names(stage))}."
    )


def add_region(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option --region N W S E."""
    parser.add_argument(
        "--region",
        nargs=4,
        type=float,
        metavar=("N", "W", "S", "E"),
        help=f"{what}, degrees; across the date line E goes on past 180",
    )


def region(values: list[float] | None) -> Region | None:
    """The box an option gave."""
    return Region(*values) if values else None


def must_exist(path: str) -> Path:
    """The path, if it is a file. Raises DeepcamsError if it is not."""
    if not Path(path).is_file():
        raise DeepcamsError(f"There is no file {path}.")
    return Path(path)
