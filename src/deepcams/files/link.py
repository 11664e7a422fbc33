"""Taking a file as it is, without a copy."""

import os
from pathlib import Path

from deepcams.files.atomic import explained, owner


def link(existing: str | Path, path: str | Path) -> None:
    """Make `path` a symbolic link to `existing`, atomically. Raises DeepcamsError if the folder cannot be written."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{owner()}.link.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        os.symlink(Path(existing).resolve(), temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)
