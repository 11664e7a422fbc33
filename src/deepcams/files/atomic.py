"""Writing files so that a reader, or a job after a crash, never meets half of one."""

import errno
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepcams.errors import DeepcamsError

_LONGEST = 150  # bytes of a name: systems allow 255, and temporary names beside it are longer
# The system tells it only by changing it, for all threads; so it is asked once.
_UMASK = os.umask(0o077)
os.umask(_UMASK)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it to `path`.

    The temporary name is unique, so an orphaned job cannot meddle with its successor, and keeps the suffix of
    `path`, because some writers choose a format by it. If the block raises, the temporary file is removed and
    `path` is left as it was. A killed process cannot tidy up; the next one that writes `path` on the same machine does
    it instead. Raises DeepcamsError for whatever the system says: the disk is full, the folder cannot be written …
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.{owner()}.", suffix=f".part{path.suffix}"
        )
    except OSError as error:
        raise explained(error, path) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~umask())
        flush(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def owner() -> str:
    """This process in a file's name, told apart from those of other machines that share the disk."""
    return f"{re.sub('[^A-Za-z0-9-]', '-', socket.gethostname())[:40]}_{os.getpid()}"


def is_abandoned(name: str) -> bool:
    """Whether `name`, made by `owner`, is of a process of this machine that runs no more."""
    host, _, process = name.rpartition("_")
    return host == owner().rpartition("_")[0] and process.isdecimal() and not _is_running(int(process))


def require_writable(path: str | Path) -> None:
    """Raise DeepcamsError if no file can be written at `path`; to ask before a long computation. Makes no folder."""
    path = Path(path)
    if len(os.fsencode(path.name)) > _LONGEST:
        raise DeepcamsError(f"The name {path.name} is too long: at most {_LONGEST} bytes are left for it. Shorten it.")
    try:
        if path.is_dir():
            raise DeepcamsError(f"{path} is a folder, where a file is to be written. Give the file's name as well.")
        if path.exists() and not path.is_file():
            raise DeepcamsError(f"{path} is a device or the like, which would be replaced by a file. Name a file.")
        parent = path.absolute().parent
        existing = next(folder for folder in (parent, *parent.parents) if os.path.lexists(folder))
        if not existing.is_dir():
            raise DeepcamsError(f"{path} cannot be written: {existing} is not a folder. Choose another place.")
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise explained(error, path) from error


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files for `path` that processes of this machine left behind when they were killed."""
    named = re.compile(rf"\.{re.escape(path.name)}\.([^.]*_\d+)\.[^.]*\.part{re.escape(path.suffix)}")
    for entry in os.listdir(path.parent):
        found = named.fullmatch(entry)
        if found and is_abandoned(found.group(1)):
            (path.parent / entry).unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # somebody else's
    return True


def umask() -> int:
    """The permissions that new files of this process shall not have."""
    return _UMASK


def flush(path: Path) -> None:
    """Wait until a file is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explained(error: OSError, path: Path) -> Exception:
    """What to raise for the system's `error` on writing `path`: in words, where there are words for it."""
    if error.errno == errno.ENOSPC:
        return DeepcamsError(
            f"The disk is full: {path} could not be written. Nothing half-written was left behind; "
            "free some space and run the same command again."
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return DeepcamsError(
            f"No permission to write {path}: {error.strerror}. Check who owns the folder {path.parent}."
        )
    if error.strerror and not isinstance(error, BrokenPipeError):
        # What failed may be another file, one that was read meanwhile.
        name = str(error.filename) if error.filename else ""
        other = "" if not name or Path(name).parent == path.parent else f" ({name})"
        return DeepcamsError(
            f"{path} cannot be written: {error.strerror}{other}. Choose another place, or mend this one."
        )
    return error
