"""Folders in which one process works at a time, told by a lock that the system lets go of when the process ends."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepcams.files.atomic import explained

try:
    import fcntl
except ImportError:  # a system that has none: nothing is told
    fcntl = None

_LOCK = ".held"


@contextmanager
def held(folder: str | Path) -> Iterator[bool]:
    """Hold `folder`, which is made, until the block ends; yields False if another process holds it.

    An empty folder goes when the block ends. Where the disk knows no locks, everybody holds it. Raises DeepcamsError if
    the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise explained(error, folder) from error
    ours = _lock(handle)
    try:
        yield ours
    finally:
        if ours:
            # Whoever has opened the file meanwhile finds it deleted, and takes it for held.
            with suppress(OSError):
                (folder / _LOCK).unlink()
                folder.rmdir()
        os.close(handle)


def remove_unless_held(folder: str | Path) -> None:
    """Delete a folder in which no process works any more, as far as that is possible."""
    with suppress(OSError):
        handle = os.open(Path(folder) / _LOCK, os.O_RDWR)
        try:
            if not _lock(handle):
                return
        finally:
            os.close(handle)
    shutil.rmtree(folder, ignore_errors=True)


def _lock(handle: int) -> bool:
    """Whether the lock on an open file was free, is ours now, and the file still there."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return os.fstat(handle).st_nlink > 0
