"""Which runs of Snakemake are at work in a folder, told from those that were killed.

Snakemake's own lock is a file that a killed run leaves behind, and that any other run takes away when it ends. Here
each run holds an advisory lock (`flock`) on a record of the files that it makes; the system lets go of it when the
process ends, however it ends. Where a disk or a system knows no such locks, Snakemake's is all there is.
"""

import atexit
import errno
import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import explained, owner

try:
    import fcntl
except ImportError:
    fcntl = None

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_held: dict[Path, int] = {}  # records of this process, open until it ends


class Run(NamedTuple):
    """A run that is at work, or may be: its record, and the files that it makes."""

    record: Path
    host: str
    process: int
    since: str
    outputs: frozenset[str]
    certain: bool  # whether its lock is held; if not, it ran on a machine that cannot be asked from here

    def __str__(self):
        told = f"process {self.process} on {self.host}, since {self.since}"
        return told if self.certain else f"{told} (if it no longer runs there, delete {self.record})"


def clear_locks(snakemake_folder: str | Path) -> list[Run]:
    """Remove Snakemake's locks, which `claim` makes needless, and the records of runs that have ended.

    Returns the runs at work. Raises DeepcamsError if the folder cannot be written.
    """
    folder = Path(snakemake_folder)
    with _our_turn(folder) as records:
        if records is None:
            return []
        for lock in folder.glob("locks/*.lock"):
            lock.unlink(missing_ok=True)
        return list(_alive(records))


def claim(snakemake_folder: str | Path, outputs: Iterable[str]) -> None:
    """Note, until this process ends, that it makes `outputs`.

    Raises DeepcamsError if a run at work makes one of them already, or if the folder cannot be written.
    """
    mine = frozenset(map(str, outputs))
    with _our_turn(Path(snakemake_folder)) as records:
        if records is None:
            return
        for run in _alive(records):
            if shared := sorted(mine & run.outputs):
                more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
                made = f"{shared[0]}{more} is being made by another run, {run}"
                raise DeepcamsError(f"{made}. Wait for it, or stop it first.")
        _hold(records / f"{owner()}.json", mine)


@contextmanager
def _our_turn(folder: Path) -> Iterator[Path | None]:
    """The folder of records, while no other process reads or writes there; None where there are no locks."""
    records = folder / "runs"
    try:
        records.mkdir(parents=True, exist_ok=True)
        with (records / "turn").open("a") as turn:
            yield records if _wait_for(turn.fileno()) else None
    except OSError as error:
        raise explained(error, records) from error


def _wait_for(handle: int) -> bool:
    """Lock a file as soon as it is free. False where there are no locks."""
    try:
        if fcntl:
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return False
    return fcntl is not None


def _hold(record: Path, outputs: frozenset[str]) -> None:
    """Write a record and keep it locked. The jobs' own processes do not inherit it."""
    since = datetime.now().isoformat(" ", "seconds")
    content = {"host": socket.gethostname(), "boot": _boot(), "process": os.getpid(), "since": since}
    handle = os.open(record, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    with open(handle, "w", encoding="utf-8", closefd=False) as file:
        json.dump(content | {"outputs": sorted(outputs)}, file)
    if record in _held:
        os.close(_held[record])
    else:
        atexit.register(_let_go, record, os.getpid())
    _held[record] = handle
    fcntl.flock(handle, fcntl.LOCK_EX)


def _let_go(record: Path, process: int) -> None:
    if os.getpid() == process:  # and not a child that ends as its parent would
        record.unlink(missing_ok=True)


def _alive(records: Path) -> Iterator[Run]:
    """The runs at work other than this process. Records of ended ones are removed."""
    for record in sorted(set(records.glob("*.json")) - set(_held)):
        run = _read(record)
        if run:
            yield run
        else:
            record.unlink(missing_ok=True)


def _read(record: Path) -> Run | None:
    """The run of a record, if it is at work, or if that cannot be known."""
    try:
        with record.open("r+", encoding="utf-8") as file:
            content = json.load(file)
            certain = _is_locked(file.fileno())
        here = content["host"] == socket.gethostname() or content["boot"] == _boot() != ""
        host, process, since = (content[key] for key in ("host", "process", "since"))
        run = Run(record, host, process, since, frozenset(content["outputs"]), certain)
    except (ValueError, KeyError, TypeError, FileNotFoundError):  # killed while it was written, or ended just now
        return None
    # Where another machine's disk is shared, its locks may not be seen from here.
    return run if certain or not here else None


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _boot() -> str:
    """The running system, the same for all containers on it; "" where it does not tell."""
    return _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
