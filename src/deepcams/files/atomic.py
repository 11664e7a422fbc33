"""Writing files so that a reader, or a job after a crash, never meets half of one."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepcams.errors import DeepcamsError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it to `path`.

    The temporary name is unique, so an orphaned job cannot meddle with its successor, and keeps the suffix of
    `path`, because some writers choose a format by it. If the block raises, the temporary file is removed and
    `path` is left as it was. Raises DeepcamsError when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=f".part{path.suffix}")
    except OSError as error:
        raise _explained(error, path) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        _flush(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def require_space(folder: str | Path, size: int) -> None:
    """Raise DeepcamsError unless the disk that holds `folder` has `size` bytes free."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DeepcamsError(
            f"Not enough disk space in {folder}: {size / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free. "
            "Free some space, or point `results` in the configuration to a larger disk."
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, path: Path) -> Exception:
    if error.errno == errno.ENOSPC:
        return DeepcamsError(
            f"The disk is full: {path} could not be written. Nothing half-written was left behind; "
            "free some space and run the same command again."
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return DeepcamsError(
            f"No permission to write {path}: {error.strerror}. Check who owns the folder {path.parent}."
        )
    return error
