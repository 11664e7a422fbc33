"""Folders in which one process works at a time, told by a lock that the system lets go of when the process ends."""

import errno
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

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what a disk says that knows none
_LOCK = ".held"


@contextmanager
def held(folder: str | Path) -> Iterator[bool]:
    """Hold `folder`, which is made, until the block ends; yields False if another process holds it.

    An empty folder goes when the block ends. Where the disk knows no locks, everybody holds it. Raises DeepcamsError if
    the folder cannot be written.
    """
    folder = Path(folder)
    path = folder / _LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        ours = _lock(handle, path)
    except OSError as error:
        raise explained(error, folder) from error
    try:
        yield ours
    finally:
        if ours:  # whoever has opened the file meanwhile finds another, or none, under its name
            with suppress(OSError):
                path.unlink()
        os.close(handle)
        if ours:  # last: network disks keep a deleted file under another name until it is closed
            with suppress(OSError):
                folder.rmdir()


def remove_unless_held(folder: str | Path) -> None:
    """Delete a folder in which no process works any more, as far as that is possible."""
    path = Path(folder) / _LOCK
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        shutil.rmtree(folder, ignore_errors=True)
        return
    except OSError:  # somebody else's
        return
    with suppress(OSError):
        if _lock(handle, path):
            shutil.rmtree(folder, ignore_errors=True)
    os.close(handle)


def _lock(handle: int, path: Path) -> bool:
    """Whether the lock on an open file was free, is ours now, and the file still the one of that name."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return True
        raise
