"""The jobs of a target, those done and those due, and why: what `snakemake -n` knows."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepcams.errors import DeepcamsError

# Why a job is due, in the order in which they are told; what is only forced by what goes before comes last.
REASONS = {
    "missing": "not there yet",
    "unfinished": "left unfinished",
    "settings": "settings",
    "code": "code",
    "input": "input",
    "environment": "environment",
    "forced": "asked for",
    "follows": "follows",
}


@dataclass(frozen=True)
class Job:
    """A job of the graph.

    reasons : keys of REASONS, none if it is done.   memory_mb, gpus : what the rule asks for.
    outputs, others : files it makes; logs and benchmarks among the others.   after : numbers of jobs before it.
    """

    number: int
    rule: str
    wildcards: dict[str, str]
    due: bool
    reasons: tuple[str, ...]
    threads: int
    memory_mb: int
    gpus: int
    outputs: tuple[str, ...]
    others: tuple[str, ...]
    benchmark: str | None
    after: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """The checked configuration as the workflow saw it, and all jobs behind the targets."""

    config: dict
    jobs: tuple[Job, ...]

    @property
    def due(self) -> list[Job]:
        """The jobs that a run would do."""
        return [job for job in self.jobs if job.due]


def build(
    folder: Path,
    targets: Sequence[str],
    configfiles: Sequence[str] = (),
    settings: Sequence[str] = (),
    profile: str | None = None,
    cores: int = 1,
) -> Graph:
    """Ask Snakemake, in the workflow's `folder`, which jobs `targets` have; nothing is run and nobody is asked.

    configfiles, settings, profile : as for `snakemake --configfile`, `--config` and `--workflow-profile`.
    Raises DeepcamsError where there is no workflow or no Snakemake, and with what Snakemake says of a wrong target or
    configuration.
    """
    if not (folder / "Snakefile").is_file() or not (folder / "workflow" / "rules").is_dir():
        raise DeepcamsError(f"{folder} is no checkout of the workflow. Run this in the folder of the Snakefile.")
    absent = next((path for path in configfiles if not (folder / path).is_file()), None)
    if absent is not None:
        raise DeepcamsError(f"{absent} is not there. Name a file of settings that is.")
    arguments = [*targets, "--cores", str(cores)]
    for option, values in (("--configfile", configfiles), ("--config", settings)):
        arguments += [option, *values] if values else []
    if profile:
        arguments += ["--workflow-profile", profile]
    with tempfile.TemporaryDirectory(prefix="deepcams-plan-") as place:
        out = Path(place) / "graph.json"
        process = subprocess.run(
            # By its path: the workflow's own copy of this package is the one that it imports.
            [sys.executable, "-P", str(Path(__file__).with_name("look.py")), str(out), *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        if not out.is_file():
            raise DeepcamsError(complaint(process.stdout, targets))
        found = json.loads(out.read_text(encoding="utf-8"))
    return Graph(found["config"], tuple(_job(entry) for entry in found["jobs"]))


def complaint(said: str, targets: Sequence[str]) -> str:
    """What Snakemake said, as one message for a person."""
    if "No module named 'snakemake'" in said:
        return "Snakemake is not installed here. Install deepcams with its extra `workflow`."
    unknown = re.search(r"No rule to produce (.*?)(?: \(if you use|\.?$)", said, flags=re.MULTILINE)
    if unknown:
        return (
            f"No rule makes {unknown.group(1)}. Name a file of the workflow, as results/2018/pm25_hourly.nc, or a rule."
        )
    missing = re.search(
        r"Missing input files for rule (\w+):.*?affected files:\n((?: +\S.*\n?)+)", said, flags=re.DOTALL
    )
    if missing:
        files = [line.strip() for line in missing.group(2).splitlines()]
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        return f"{files[0]}{more}, which {missing.group(1)} reads, is not there, and no rule makes it."
    lines = [line for line in said.splitlines() if line.strip() and not _is_noise(line)]
    if any(line.startswith("Traceback") for line in lines):
        return f"Snakemake could not plan {' '.join(targets)}: {lines[-1].rstrip('.')}."
    return "\n".join(lines[-30:]) or f"Snakemake could not plan {' '.join(targets)}, and did not say why."


def _is_noise(line: str) -> bool:
    return line.startswith(("Using ", "host: ", "Building DAG", "Assuming unrestricted")) or "is extended by" in line


def _job(entry: dict) -> Job:
    tuples = {name: tuple(entry[name]) for name in ("reasons", "outputs", "others", "after")}
    return Job(**(entry | tuples))
