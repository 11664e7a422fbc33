"""Snakemake's command in a process forked from one that has imported it, which takes a second from every planning."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["snakemake.cli"])


def snakemake(arguments: list[str], cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Run `snakemake` with `arguments` as from a shell in `cwd`. All that it says is in the `stdout` returned."""
    with tempfile.NamedTemporaryFile() as output:
        process = _FORKS.Process(target=_run, args=(arguments, cwd, environment, output.name))
        process.start()
        process.join()
        said = Path(output.name).read_text(encoding="utf-8")
    return subprocess.CompletedProcess(arguments, process.exitcode, said)


def _run(arguments: list[str], cwd: Path, environment: dict[str, str], output: str) -> None:
    from snakemake.cli import main

    with open(output, "wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["snakemake", *arguments]
    main()
