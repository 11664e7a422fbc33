"""Which runs of Snakemake are at work in a folder, told from those that were killed.

Snakemake's own lock is a file that a killed run leaves behind, and that any other run takes away when it ends. Here
each run holds an advisory lock (`flock`) on a record of the files that it reads and makes; the system lets go of it
when the process ends, however it ends. Where a disk or a system knows no such locks, Snakemake's is all there is.
"""

import atexit
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import explained, owner
from deepcams.files.hold import NO_LOCKS

try:
    import fcntl
except ImportError:
    fcntl = None

LOCAL = "local"  # executors whose jobs end with Snakemake
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_UPTIME = Path("/proc/uptime")
_held: dict[Path, int] = {}  # records of this process, open until it ends


class Run(NamedTuple):
    """A run that is at work, or may be, or whose jobs may be."""

    record: Path
    who: str  # process, machine and time
    advice: str  # what to do if it is in the way
    inputs: frozenset[str]
    outputs: frozenset[str]


def clear_locks(snakemake_folder: str | Path) -> list[Run]:
    """Remove Snakemake's locks, which `claim` makes needless, and the records of runs that have ended.

    Returns the runs that have not, as far as can be known. Does nothing in a folder that is for others to write.
    Raises DeepcamsError if the folder cannot be written for another reason.
    """
    folder = Path(snakemake_folder)
    if folder.exists() and not os.access(folder, os.W_OK):
        return []
    with _our_turn(folder) as records:
        if records is None:
            return []
        for lock in folder.glob("locks/*.lock"):
            lock.unlink(missing_ok=True)
        return list(_going_on(records))


def claim(snakemake_folder: str | Path, inputs: Iterable[str], outputs: Iterable[str], executor: str = LOCAL) -> None:
    """Note, until this process ends, what it reads and makes.

    executor : what runs the jobs; those of others than `LOCAL` may go on when Snakemake is killed.
    Raises DeepcamsError if a run that goes on makes what this one reads or makes, or reads what this one makes, and if
    the folder cannot be written.
    """
    inputs, outputs = (frozenset(map(str, paths)) for paths in (inputs, outputs))
    with _our_turn(Path(snakemake_folder)) as records:
        if records is None:
            return
        for run in _going_on(records):
            shared = sorted(outputs & run.outputs) or sorted(outputs & run.inputs) or sorted(inputs & run.outputs)
            if shared:
                more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
                raise DeepcamsError(f"{shared[0]}{more} is in use by another run, {run.who}; {run.advice}.")
        content = {"executor": executor, "inputs": sorted(inputs), "outputs": sorted(outputs)}
        _hold(records / f"{owner()}.json", content)


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
        if error.errno not in NO_LOCKS:
            raise
        return False
    return fcntl is not None


def _hold(record: Path, content: dict) -> None:
    """Write a record and keep it locked. The jobs' own processes do not inherit it."""
    since = datetime.now().isoformat(" ", "seconds")
    content |= {"host": socket.gethostname(), "boot": _boot(), "process": os.getpid(), "since": since}
    content["instant"] = time.time()
    handle = os.open(record, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    with open(handle, "w", encoding="utf-8", closefd=False) as file:
        json.dump(content, file)
    if record in _held:
        os.close(_held[record])
    else:
        atexit.register(_let_go, record, os.getpid())
    _held[record] = handle
    fcntl.flock(handle, fcntl.LOCK_EX)


def _let_go(record: Path, process: int) -> None:
    if os.getpid() == process:  # and not a child that ends as its parent would
        record.unlink(missing_ok=True)


def _going_on(records: Path) -> Iterator[Run]:
    """The runs other than this process's that have not ended. Records of others are removed."""
    for record in sorted(set(records.glob("*.json")) - set(_held)):
        run = _read(record)
        if run:
            yield run
        else:
            record.unlink(missing_ok=True)


def _read(record: Path) -> Run | None:
    """The run of a record, unless it has ended."""
    try:
        with record.open("r+", encoding="utf-8") as file:
            content = json.load(file)
            at_work = _is_locked(file.fileno())
        if at_work:
            advice = "wait for it, or stop it first"
        elif not _ran_here(content):  # the locks of a machine that shares the disk may not be seen from here
            advice = f"if it no longer runs there, delete {record}"
        elif content["executor"] != LOCAL:
            advice = f"it was killed, but its jobs may go on ({content['executor']}): cancel them, then delete {record}"
        else:
            return None
        who = f"process {content['process']} on {content['host']}, since {content['since']}"
        return Run(record, who, advice, frozenset(content["inputs"]), frozenset(content["outputs"]))
    except (ValueError, KeyError, TypeError, FileNotFoundError):  # killed while it was written, or ended just now
        return None


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _ran_here(content: dict) -> bool:
    """Whether a run's locks would be seen: it ran on this system, in a container on it, or before it was booted."""
    if content["boot"] == _boot() != "":
        return True
    if content["host"] != socket.gethostname() or not _boot():
        return content["host"] == socket.gethostname()
    booted = time.time() - float(_UPTIME.read_text(encoding="ascii").split()[0])
    return content["instant"] < booted


def _boot() -> str:
    """The running system, the same for all containers on it; "" where it does not tell."""
    return _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
