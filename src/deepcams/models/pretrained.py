"""The networks that come with the package: a light pair that the project trained. MODEL_CARD.md beside them says on
what, how good they are, and what they are not for.
"""

from importlib.resources import files
from pathlib import Path

from deepcams.errors import DeepcamsError
from deepcams.models.catalogue import names

WORD = "pretrained"  # what names them on the command line, and the folder they are in


def path(stage: str) -> Path:
    """The model file of a stage ("temporal" or "spatial").

    Raises DeepcamsError for another stage, or if the installation lacks the file.
    """
    names(stage)
    found = _folder() / f"{stage}.safetensors"
    if not found.is_file():
        raise DeepcamsError(
            f"This installation of deepcams lacks its {WORD} {stage} network ({found}). "
            "Install deepcams anew, or name another network."
        )
    return found


def card() -> Path:
    """The card of the networks, Markdown; it is not looked for."""
    return _folder() / "MODEL_CARD.md"


def _folder() -> Path:
    return Path(str(files("deepcams") / WORD))
