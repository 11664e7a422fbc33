"""What all benchmarks share: taking turns, ratios with their spread, rows, and measuring in a process of its own."""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TURNS = {True: 1, False: 3}  # repetitions, by whether it shall be quick


@dataclass
class Row:
    """A line of the table.

    ours, peer : what was measured, in words and units; peer None where there is nothing to compare with.
    ratios : how many times faster than the peer, one for each turn.   asked : what the ratio, or the figure, should be.
    figures : numbers for the JSON file.
    """

    what: str
    ours: str
    peer: str | None = None
    ratios: list[float] = field(default_factory=list)
    asked: str = ""
    remark: str = ""
    figures: dict = field(default_factory=dict)

    def record(self) -> dict:
        """Everything, for the JSON file."""
        return asdict(self)


def seconds(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def by_turns(ours: Callable, peer: Callable, turns: int, between: Callable = lambda: None) -> tuple[list, list]:
    """Seconds of both, taken by turns so that a machine that slows down slows down both.

    between : called after each, not timed.
    """
    ours_took, peer_took = [], []
    for _ in range(turns):
        for call, took in ((ours, ours_took), (peer, peer_took)):
            took.append(seconds(call))
            between()
    return ours_took, peer_took


def ratios(ours: list[float], peer: list[float]) -> list[float]:
    """Peer over ours, turn by turn."""
    return [theirs / mine for mine, theirs in zip(ours, peer, strict=True)]


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def spread(values: list[float]) -> str:
    """Median and range in words."""
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else ""
    return f"{median(values):.2f} ({min(values):.2f} … {max(values):.2f})"


def in_process(function: Callable, **arguments) -> dict:
    """Call a module's function in a fresh Python: {"seconds": with imports, "peak_mb": …, "result": …}.

    arguments : what JSON can hold.   Raises RuntimeError with what the process said if it failed.
    """
    order = json.dumps([function.__module__, function.__name__, arguments])
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.timing", order], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    took = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{function.__name__} failed in its process; what it said stands above")
    return {"seconds": took, **json.loads(process.stdout.splitlines()[-1])}


def peak_mb() -> float:
    """Most memory this process has held, MB. Not getrusage's: that counts the parent's at the fork, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def about() -> dict:
    """The machine and the versions that a figure belongs to."""
    import numpy
    import torch

    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    numbers = {
        word
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("flags")
        for word in line.split()
    }
    return {
        "cpu": model[0].split(":")[1].strip() if model else "unknown",
        "instructions": sorted(numbers & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": sys.version.split()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def _main() -> None:
    """The other side of `in_process`."""
    module, function, arguments = json.loads(sys.argv[1])
    result = getattr(importlib.import_module(module), function)(**arguments)
    print(json.dumps({"peak_mb": peak_mb(), "result": result}))


if __name__ == "__main__":
    _main()
