"""As `atomic`, for formats that are a folder of files."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import explained, flush, is_abandoned, owner, umask


@contextmanager
def atomic_folder(path: str | Path, mark: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success flush its files to disk and rename it to `path`.

    mark : a file that every such folder holds; `overwrite` replaces none without it, so that a slip of the pen deletes
    nothing else. As `atomic_path` otherwise; also raises DeepcamsError if `path` exists and is not to be replaced.
    """
    path = Path(path)
    if path.parent.is_dir():
        _remove_abandoned(path)
    if os.path.lexists(path):
        if path.is_symlink() or not (path / mark).is_file():
            raise DeepcamsError(f"{path} exists and is not what would be written there. Give another name.")
        if not overwrite:
            raise DeepcamsError(f"{path} exists. Give another name, or --overwrite to replace it.")
    old = path.parent / f".{path.name}.{owner()}.old"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(
            tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.{owner()}.", suffix=f".part{path.suffix}")
        )
    except OSError as error:
        raise explained(error, path) from error
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~umask())
        for folder, _, names in os.walk(temporary):
            for name in names:
                flush(Path(folder) / name)
        if overwrite and path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        if not os.path.lexists(path) and old.exists():
            os.replace(old, path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _remove_abandoned(path: Path) -> None:
    """Remove what processes of this machine left behind for `path` when they were killed.

    A folder that was put aside to be replaced, and never was, comes back.
    """
    named = re.compile(rf"\.{re.escape(path.name)}\.([^.]*_\d+)\.([^.]*\.part{re.escape(path.suffix)}|old)")
    for entry in os.listdir(path.parent):
        found = named.fullmatch(entry)
        if not found or not is_abandoned(found.group(1)):
            continue
        if found.group(2) == "old" and not os.path.lexists(path):
            os.replace(path.parent / entry, path)
        else:
            shutil.rmtree(path.parent / entry, ignore_errors=True)
