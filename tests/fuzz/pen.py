"""Readers run in a child process, with bounded memory and processor time, so that what kills them is seen."""

import faulthandler
import json
import os
import re
import resource
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deepcams.errors import DeepcamsError

ACCEPTED, REFUSED, RAISED, DIED, HUNG = "accepted", "refused", "raised", "died", "hung"
MEMORY = 1 << 30  # bytes beyond what the process has when it begins
SECONDS = 10.0  # of processor time for a case: thousands of times what a good file takes
PATIENCE = 120.0  # seconds on the clock, for what waits without working
LONGEST = 4000  # characters of a message


@dataclass(frozen=True)
class Outcome:
    """How a case ended; words : the message, or where and what was raised."""

    case: int
    kind: str
    words: str = ""


def run(
    cases: Iterable[int], read: Callable[[int], object], together: int = 100, names: tuple[str, ...] = ("",)
) -> list[Outcome]:
    """Call `read` with each case; a new child goes on behind a case that ended the last one.

    names : of which a refusal must tell one: the file, or the server.
    together : cases of one child.  A damaged file can leave the NetCDF library unable to read the next one, good as it
    is; so its files get a child each, and what is raised counts only if it is raised in a new child, too.
    """
    left, found = list(cases), []
    while left:
        ends = _child(left[:together], read, names)
        if len(ends) > 1 and ends[-1].kind not in (ACCEPTED, REFUSED):
            ends.pop()
        found += ends
        left = left[len(ends) :]
    return found


def _child(cases: list[int], read: Callable[[int], object], names: tuple[str, ...]) -> list[Outcome]:
    """Outcomes of the cases up to the first that is neither taken nor refused."""
    source, target = os.pipe()
    with warnings.catch_warnings():  # Python 3.12 and later warn of threads, of which libraries have some
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process == 0:
        os.close(source)
        _work(cases, read, names, target)  # never returns
    os.close(target)
    found, text, hung = [], b"", False
    while True:
        ready, _, _ = select.select([source], [], [], PATIENCE)
        piece = os.read(source, 1 << 16) if ready else b""
        if not ready:
            hung = True
            os.kill(process, signal.SIGKILL)
        if not piece:
            break
        text += piece
    os.close(source)
    _, status = os.waitpid(process, 0)
    for line in text.splitlines(keepends=True):
        if line.endswith(b"\n"):
            found.append(Outcome(*json.loads(line)))
    if len(found) < len(cases) and not (found and found[-1].kind == RAISED):
        number = os.waitstatus_to_exitcode(status)
        kind = HUNG if hung or number == -signal.SIGPROF else DIED
        words = signal.Signals(-number).name if number < 0 else f"exit status {number}"
        found.append(Outcome(cases[len(found)], kind, words))
    return found


def _work(cases: list[int], read: Callable[[int], object], names: tuple[str, ...], target: int) -> None:
    try:
        # What libraries print goes nowhere; pytest's own streams are not this process's to write to.
        nothing = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nothing, stream)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_size() + MEMORY, resource.RLIM_INFINITY))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        faulthandler.disable()
        warnings.simplefilter("ignore")
        sys.unraisablehook = lambda _: None
        for case in cases:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            kind, words = _outcome(read, case, names)
            os.write(target, json.dumps([case, kind, words]).encode() + b"\n")
            if kind == RAISED:
                break
    finally:
        os._exit(0)


def _outcome(read: Callable[[int], object], case: int, names: tuple[str, ...]) -> tuple[str, str]:
    try:
        read(case)
    except DeepcamsError as error:
        return (
            (RAISED, f"no clear sentence: {str(error)[:300]!r}")
            if unclear(error, names)
            else (REFUSED, str(error)[:200])
        )
    except BaseException as error:
        place = next((f for f in reversed(traceback.extract_tb(error.__traceback__)) if "deepcams" in f.filename), None)
        where = f"{place.filename.rpartition('deepcams/')[2]}:{place.lineno}" if place else "?"
        return RAISED, f"{where} {type(error).__name__}: {str(error)[:200]}"
    return ACCEPTED, ""


def unclear(error: DeepcamsError, names: tuple[str, ...] = ("",)) -> bool:
    """Whether a message is none for a person: empty, endless, of what it does not say, or to steer the terminal."""
    text = str(error)
    return (
        not text.strip()
        or len(text) > LONGEST
        or not any(name in text for name in names)
        or bool(re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text))
    )


def _size() -> int:
    """Bytes of address space that this process has now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
