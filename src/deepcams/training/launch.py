"""Several processes for one training, without anybody having to call torchrun.

The caller starts an agent, which is torchrun without its pages of words, and the agent starts the processes. All of
them have the caller's pipe as their standard input. Whichever way the caller ends, by SIGKILL too, the pipe closes, on
which every process ends at once; so none is ever left behind.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import write_text

JOB, RESULT, ENDS = "job.json", "result.json", "ends.json"


def is_launched() -> bool:
    """Whether this process is one of several that torchrun started."""
    return "RANK" in os.environ


def launched(processes: int, job: dict) -> dict:
    """`train(**job)` in several processes of this machine; returns what the first one does.

    job : what JSON can hold.   Raises DeepcamsError as `train` does, or if one of the processes was killed.
    """
    with tempfile.TemporaryDirectory(prefix="deepcams-") as name:
        folder = Path(name)
        write_text(folder / JOB, json.dumps(job))
        threads = str(job["settings"]["training"]["threads"])
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        if sys.platform == "linux":
            environment.setdefault("GLOO_SOCKET_IFNAME", "lo")  # needs no name of this machine to be known
        agent = subprocess.Popen(
            [sys.executable, "-m", "deepcams.training.launch", name, str(processes)],
            stdin=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the caller, who ends the others
        )
        try:
            status = agent.wait()
        finally:
            agent.stdin.close()
            agent.wait()
        if status == 0:
            return json.loads((folder / RESULT).read_text(encoding="utf-8"))
        raise _failure(folder, processes)


def _failure(folder: Path, processes: int) -> Exception:
    """What to tell of processes that did not end well: the cause, not what others said of its consequences."""
    told = sorted(folder.glob("*.told"))
    if told:
        return DeepcamsError(told[0].read_text(encoding="utf-8"))
    ends = json.loads((folder / ENDS).read_text(encoding="utf-8")) if (folder / ENDS).is_file() else {}
    by_the_agent = -signal.SIGTERM  # which ends all others after the first
    killed = [
        f"process {rank} by signal {-status}" for rank, status in ends.items() if status < 0 and status != by_the_agent
    ]
    faults = sorted(folder.glob("*.fault"), key=lambda path: path.stat().st_mtime_ns)
    if faults and not killed:
        return RuntimeError(f"A training process failed:\n{faults[0].read_text(encoding='utf-8')}")
    return DeepcamsError(
        f"Of the {processes} processes that train together {', '.join(killed) or 'one'} was ended from outside, often "
        "for lack of memory. Run again, which goes on from the state that is kept; with fewer, if it happens again "
        "(training.processes, --processes)."
    )


def _agent(folder: Path, processes: int) -> int:
    """What `python -m torch.distributed.run` does, told in a file: how each process that failed has ended."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    logging.disable(logging.CRITICAL)
    words = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(processes)]
    try:
        run(parse_args([*words, "--module", "deepcams.training.launch", str(folder)]))
    except ChildFailedError as error:
        ends = {rank: failure.exitcode for rank, failure in error.failures.items()}
        write_text(folder / ENDS, json.dumps(ends))
        return 1
    return 0


def _process(folder: Path) -> int:
    """One of the processes."""
    from deepcams.training.train import train

    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    rank = os.environ["RANK"]
    try:
        result = train(**job)
    except DeepcamsError as error:
        write_text(folder / f"{rank}.told", str(error))
        return 1
    except Exception:
        write_text(folder / f"{rank}.fault", traceback.format_exc())
        return 1
    if rank == "0":
        write_text(folder / RESULT, json.dumps(result))
    return 0


def _end_with_the_caller() -> None:
    os.read(0, 1)  # nothing ever comes, until the pipe ends
    os._exit(1)


def main() -> int:
    """An agent, or under it one of its processes: `python -m deepcams.training.launch FOLDER [PROCESSES]`."""
    folder = Path(sys.argv[1])
    return _process(folder) if is_launched() else _agent(folder, int(sys.argv[2]))


if __name__ == "__main__":
    sys.exit(main())
