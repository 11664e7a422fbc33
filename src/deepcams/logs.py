"""What a workflow job writes to its log, and how it ends when something is wrong."""

import ctypes
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepcams.credentials import hide
from deepcams.errors import DeepcamsError

_RUN = "DEEPCAMS_RUN"  # of the environment: number of the process that jobs belong to


@contextmanager
def job_log(path: str) -> Iterator[None]:
    """Send standard output and error of the block, progress included, to the file `path`.

    A DeepcamsError becomes its message alone and exit status 1; anything else leaves its traceback in the log, for it
    is a fault of this program. MemoryError is told in words, since the remedy is the user's. On Linux the job ends with
    the process that started it.
    """
    _end_with_parent()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    sys.stdout, sys.stderr = _Discreet(sys.stdout), _Discreet(sys.stderr)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)
    logging.getLogger("deepcams").setLevel(logging.INFO)
    try:
        yield
    except DeepcamsError as error:
        _stop(f"ERROR: {error}")
    except MemoryError:
        _stop("ERROR: This job ran out of memory. Give it more, for instance with --set-resources RULE:mem_mb=16000.")
    except KeyboardInterrupt:
        _stop("Interrupted. The same command goes on from here.")
    except Exception:
        _stop(f"{traceback.format_exc()}ERROR: This is a fault in deepcams. Please report it with the lines above.")


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies.

    A Snakemake that is killed, by the user or for want of memory, cannot stop its jobs; one that went on would do the
    same work as its successor in the next run. The kernel tells only of deaths to come; a parent that died while this
    process was being set up is missed by the number that `name_run` noted.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    run, _, numbering = os.environ.get(_RUN, "").partition(" ")
    if run and numbering and numbering == _numbering() and not Path(f"/proc/{run}").exists():
        os._exit(1)


def name_run() -> None:
    """Note, for the jobs that this process will start, which one it is."""
    if sys.platform == "linux":
        os.environ[_RUN] = f"{os.getpid()} {_numbering()}"


def _numbering() -> str:
    """What tells whether two processes see the same numbers of processes; on other machines they do not."""
    with suppress(OSError):
        return f"{os.readlink('/proc/self/ns/pid')} {Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
    return ""


class _Discreet:
    """A stream that lets no key or token through, whoever writes it: libraries log addresses and headers."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(hide(text))
        return len(text)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def _stop(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
    # Not sys.exit: its SystemExit would carry a traceback of the wrapping script into Snakemake's own output.
    os._exit(1)
