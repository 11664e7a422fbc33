"""What is kept of a training, so that one that was killed goes on as if it had not been."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from deepcams.errors import DeepcamsError, damaged
from deepcams.files.atomic import atomic_path


@dataclass
class Progress:
    """Where a training is.

    step : the last one done.   sums : of every part of the loss since the last row of the history.
    """

    step: int = 0
    best_step: int = 0
    best_score: float = float("inf")
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)


def keep(path: Path | None, key: str, done: Progress, parts: dict[str, Any]) -> None:
    """Write the progress and the state of everything in `parts`, by name, atomically; nothing if there is no path."""
    if path is not None:
        with atomic_path(path) as temporary:
            states = {name: part.state_dict() for name, part in parts.items()}
            torch.save({"key": key, "done": vars(done), **states}, temporary)


def kept(path: Path | None, key: str) -> dict | None:
    """What `keep` wrote, if it was this training: its key. Raises DeepcamsError, naming the file, if it is damaged."""
    if path is None or not path.is_file():
        return None
    try:
        with open(path, "rb") as file:
            found = torch.load(file, map_location="cpu", weights_only=True)
        if found["key"] != key:
            return None
        return {**found, "done": Progress(**found["done"])}
    except FileNotFoundError:  # another process has just ended the same training
        return None
    except Exception as error:  # torch has many, and its words are not for whom this message is for
        raise _damaged(path, error) from error


def restore(path: Path, found: dict, parts: dict[str, Any]) -> None:
    """Put everything in `parts` into the state that was kept. Raises DeepcamsError, naming the file, if that fails."""
    try:
        for name, part in parts.items():
            part.load_state_dict(found[name])
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DeepcamsError:
    return damaged(error, f"{path}, which a stopped training left, is damaged. Delete it and run again.")
