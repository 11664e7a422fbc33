"""What jobs took: from this checkout's benchmarks where they fit, else from the table that comes with the package."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from statistics import median

from deepcams.plan.graph import Graph, Job
from deepcams.plan.size import network, units

TABLE = "measurements.csv"
COLUMNS = ("rule", "network", "units", "cpu_s", "wall_s", "memory_mb", "bytes", "files", "machine", "source")
HERE = "this checkout"
# Rules whose files grow with the work; those of others, as models, tables and pictures, stay as large as they are.
BULKY = (
    "simulate_nature_run",
    "retrieve_cams",
    "retrieve_geoscf",
    "retrieve_openaq",
    "retrieve_meteorology",
    "retrieve_weather_stations",
    "degrade_geoscf",
    "average_geoscf",
    "downscale_temporal",
    "downscale_spatial",
    "assemble_year",
    "collocate_stations",
    "fuse_month",
    "assemble_fused_year",
)
FAR = 3.0  # how many times as large or small a job of this checkout may be and still speak for another


@dataclass(frozen=True)
class Measurement:
    """Of jobs of a rule and network with so many `units` (`deepcams.plan.size`), each of them.

    cpu_s, wall_s : seconds; in the table wall_s only where the machine had nothing else to do.   memory_mb : the most
    held.   bytes : of all outputs.   files : that are no outputs of their own, as those of the nature run.
    None where it was not measured.
    """

    rule: str
    network: str
    units: float
    cpu_s: float | None
    wall_s: float | None
    memory_mb: float | None
    bytes: float | None
    files: float
    machine: str
    source: str


def table() -> list[Measurement]:
    """The measurements that come with the package."""
    with (files("deepcams.plan") / TABLE).open(encoding="utf-8") as stream:
        return [_measurement(row) for row in csv.DictReader(stream)]


def _measurement(row: dict[str, str]) -> Measurement:
    numbers = {
        name: float(row[name]) if row[name] else None for name in ("units", "cpu_s", "wall_s", "memory_mb", "bytes")
    }
    numbers["files"] = float(row["files"] or 0)
    return Measurement(**(row | numbers))


def of_checkout(graph: Graph, folder: Path, every: bool = False) -> list[Measurement]:
    """What the graph's jobs took that were done here with the settings of today: the median of those of one size.

    A job fits if it is done, or due for nothing but changed code or for what goes before it: its settings are
    today's. With `every`, whatever there is.
    """
    found = defaultdict(list)
    for job in graph.jobs:
        if every or not set(job.reasons) - {"code", "follows"}:
            record = _record(folder, job)
            if record:
                found[job.rule, network(job, graph.config), units(job, graph.config)].append(record)
    return [
        Measurement(*key, *(median(values) for values in zip(*records, strict=True)), "this machine", HERE)
        for key, records in found.items()
    ]


def _record(folder: Path, job: Job) -> tuple[float, ...] | None:
    """CPU and wall seconds, megabytes, bytes and further files of a job that was done; None without a record."""
    if job.benchmark is None:
        return None
    try:
        lines = (folder / job.benchmark).read_text(encoding="utf-8").splitlines()
        record = json.loads(lines[-1])
        took = float(record["cpu_time"]), float(record["s"]), float(record["max_rss"]) * 1.048576
        outputs = [folder / path for path in job.outputs]
        further = [path for manifest in outputs for path in _listed(manifest)]
        size = sum(path.stat().st_size for path in (*outputs, *further))
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None  # one that was cut off or is another's says nothing
    return *took, float(size), float(len(further))


def _listed(manifest: Path) -> Iterator[Path]:
    """The files that a list of checksums names, if it is one of files that are no outputs."""
    if manifest.suffix != ".sha256" or manifest.with_suffix("").exists():
        return
    for line in manifest.read_text(encoding="utf-8").splitlines():
        name = line.split("  ", 1)[-1]
        if (manifest.parent / name).is_file():
            yield manifest.parent / name


@dataclass(frozen=True)
class Cost:
    """What a job is thought to take; None where that is unknown.

    source, stretch : from which measurement, and how many times as large the job is.
    """

    cpu_s: float | None = None
    wall_s: float | None = None
    memory_mb: float | None = None
    bytes: float | None = None
    files: float = 0
    source: str = "unknown"
    stretch: float = 1.0


def cost(job: Job, config: dict, own: Sequence[Measurement], others: Sequence[Measurement]) -> Cost:
    """Scale what was measured to a job.

    Between two measured sizes time is interpolated, above the largest it grows with the size, and below the smallest it
    stays as it is there: much of a short job is its start. Bytes go with the size; memory is the nearest size's.
    """
    size, kind = units(job, config), network(job, config)
    rows = [row for row in own if (row.rule, row.network) == (job.rule, kind) and 1 / FAR <= size / row.units <= FAR]
    rows = rows or [row for row in others if (row.rule, row.network) == (job.rule, kind)]
    if not rows:
        return Cost()
    rows = sorted(rows, key=lambda row: row.units)
    near = _nearest([row for row in rows if row.cpu_s is not None] or rows, size)
    grows = job.rule in BULKY
    heavy = _nearest([row for row in rows if row.bytes is not None] or [near], size)
    cpu_s = scaled([(row.units, row.cpu_s) for row in rows if row.cpu_s is not None], size)
    wall_s = scaled([(row.units, row.wall_s) for row in rows if row.wall_s is not None], size)
    if cpu_s is not None and (near.wall_s is None or wall_s is None):
        wall_s = cpu_s / job.threads
    return Cost(
        cpu_s=cpu_s,
        wall_s=wall_s,
        memory_mb=near.memory_mb,
        bytes=None if heavy.bytes is None else heavy.bytes * (size / heavy.units if grows else 1),
        files=heavy.files,
        source=near.source,
        stretch=size / near.units,
    )


def _nearest(rows: Sequence[Measurement], size: float) -> Measurement:
    return min(rows, key=lambda row: max(row.units / size, size / row.units))


def scaled(points: Sequence[tuple[float, float]], size: float) -> float | None:
    """A value at `size` of points (size, value) in rising order, as `cost` says; None without any."""
    if not points:
        return None
    if size <= points[0][0]:
        return points[0][1]
    for (low, first), (high, second) in pairwise(points):
        if size <= high:
            return first + (second - first) * (size - low) / (high - low)
    return points[-1][1] * size / points[-1][0]
