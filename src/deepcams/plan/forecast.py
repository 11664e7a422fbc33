"""What the due jobs of a graph will take, by rule and together."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deepcams.plan.graph import REASONS, Graph, Job
from deepcams.plan.measured import HERE, Cost, Measurement, cost, of_checkout, table
from deepcams.sources.services.estimate import Estimate, estimates

# Rules whose files are what a user wants; those of all others are on the way to them.
FINAL = (
    "assemble_year",
    "assemble_fused_year",
    "validate_year",
    "summarise_evaluation",
    "score_fusion",
    "plot_year",
    "plot_zoom",
    "plot_fusion",
    "plot_training",
    "write_year_report",
    "write_report",
)
FETCHED = {"retrieve_cams": "CAMS EAC4", "retrieve_geoscf": "GEOS-CF", "retrieve_openaq": "OpenAQ"}
UNCOUNTED = ("retrieve_meteorology", "retrieve_weather_stations")  # whose downloads nobody has estimated
REMOTE = ("ads", "portal", "opendap", "archive", "realtime", "isd_lite")


@dataclass(frozen=True)
class RuleForecast:
    """Of a rule's due jobs, together.

    reasons : why they are due, and how many.   cpu_s, bytes : of the jobs where they are known.
    unknown, unsized : how many have no known time, no known bytes.   asked_mb, measured_mb : memory of one job.
    gpu_jobs : that ask for a GPU.   source : of most of the figures.   stretch : how many times as large as what was
    measured.
    """

    rule: str
    jobs: int
    reasons: dict[str, int]
    cpu_s: float
    bytes: float
    unknown: int
    unsized: int
    asked_mb: float
    measured_mb: float | None
    gpu_jobs: int
    source: str
    stretch: float


@dataclass(frozen=True)
class Download:
    """From a service: what, how many months, requests and bytes (None: unknown), seconds at the least."""

    name: str
    months: int
    requests: int | None
    bytes: float | None
    seconds: float | None


@dataclass(frozen=True)
class Forecast:
    """Of a target.

    jobs, done : due, and up to date.   cpu_s : on processors.   gpu_cpu_s : of it, of jobs that ask for a GPU and
    were measured elsewhere, on processors.   gpu_jobs, gpu_s : how many of them this checkout has measured, and how
    long these hold their GPUs.
    wall_s : on `cores`, of jobs whose time is known.   memory_mb : that rules ask for at once, at the most.
    final, intermediate : bytes.   files : that are made, with logs, benchmarks and Snakemake's own records, without
    those that are there.
    """

    jobs: int
    done: int
    cores: int
    rules: tuple[RuleForecast, ...]
    cpu_s: float
    gpu_cpu_s: float
    gpu_jobs: int
    gpu_s: float
    wall_s: float
    memory_mb: float
    final: float
    intermediate: float
    files: int
    downloads: tuple[Download, ...]

    def document(self) -> dict:
        """All of it, as JSON can hold it."""
        return asdict(self)


def forecast(graph: Graph, folder: Path, cores: int, others: Sequence[Measurement] | None = None) -> Forecast:
    """Put together what the due jobs will take on a machine of so many cores.

    others : measurements for what this checkout has none of; the package's own by default.
    """
    own = of_checkout(graph, folder)
    others = table() if others is None else others
    due = graph.due
    costs = {job.number: cost(job, graph.config, own, others) for job in due}
    depth = ends(due, dict.fromkeys(costs, 1.0))
    by_rule: dict[str, list[Job]] = {}
    for job in due:
        by_rule.setdefault(job.rule, []).append(job)
    order = sorted(by_rule, key=lambda rule: (max(depth[job.number] for job in by_rule[rule]), rule))
    rules = tuple(_rule(rule, by_rule[rule], [costs[job.number] for job in by_rule[rule]]) for rule in order)
    held = [job for job in due if job.gpus and costs[job.number].source == HERE]
    sizes = Counter({False: 0.0, True: 0.0})
    for rule in rules:
        sizes[rule.rule in FINAL] += rule.bytes
    return Forecast(
        jobs=len(due),
        done=len(graph.jobs) - len(due),
        cores=cores,
        rules=rules,
        cpu_s=sum(rule.cpu_s for rule in rules),
        gpu_cpu_s=sum(costs[job.number].cpu_s or 0.0 for job in due if job.gpus and job not in held),
        gpu_jobs=len(held),
        gpu_s=sum((costs[job.number].wall_s or 0.0) * job.gpus for job in held),
        wall_s=wall_seconds(due, costs, cores),
        memory_mb=memory_at_once(due, cores),
        final=sizes[True],
        intermediate=sizes[False],
        files=new_files(due, folder) + round(sum(cost.files for cost in costs.values())),
        downloads=tuple(downloads(due, graph.config)),
    )


def _rule(rule: str, jobs: list[Job], costs: list[Cost]) -> RuleForecast:
    counted = Counter(reason for job in jobs for reason in (set(job.reasons) - {"follows"} or {"follows"}))
    known = [cost for cost in costs if cost.cpu_s is not None]
    held = [cost.memory_mb for cost in costs if cost.memory_mb is not None]
    sources = Counter(cost.source for cost in costs)
    return RuleForecast(
        rule=rule,
        jobs=len(jobs),
        reasons={reason: counted[reason] for reason in REASONS if counted[reason]},
        cpu_s=sum(cost.cpu_s for cost in known),
        bytes=sum(cost.bytes or 0.0 for cost in costs),
        unknown=len(costs) - len(known),
        unsized=sum(cost.bytes is None for cost in costs),
        asked_mb=max(job.memory_mb for job in jobs),
        measured_mb=max(held, default=None),
        gpu_jobs=sum(job.gpus > 0 for job in jobs),
        source=sources.most_common(1)[0][0],
        stretch=max(cost.stretch for cost in costs),
    )


def wall_seconds(due: Sequence[Job], costs: dict[int, Cost], cores: int) -> float:
    """Seconds on so many cores: all cores busy, or the longest chain of jobs that wait for one another.

    A job with more threads than there are cores takes longer by as much. Jobs of unknown time take none here.
    """
    took = {job.number: (costs[job.number].wall_s or 0.0) * max(1.0, job.threads / cores) for job in due}
    busy = sum(took[job.number] * min(job.threads, cores) for job in due) / cores
    return max(busy, max(ends(due, took).values(), default=0.0))


def ends(due: Sequence[Job], took: dict[int, float]) -> dict[int, float]:
    """When each job is done, by its number, if every job starts as soon as those before it are done."""
    there = {job.number: job for job in due}
    found: dict[int, float] = {}
    waiting = list(due)
    while waiting:  # without recursion, which months in a row would exhaust
        job = waiting[-1]
        before = [number for number in job.after if number in there]
        open_ones = [there[number] for number in before if number not in found]
        if open_ones and job.number not in found:
            waiting += open_ones
        else:
            waiting.pop()
            found[job.number] = took[job.number] + max((found[number] for number in before), default=0.0)
    return found


def memory_at_once(due: Sequence[Job], cores: int) -> float:
    """Megabytes that jobs side by side on so many cores ask for at the most, whichever they are."""
    total, left = 0.0, cores
    for job in sorted(due, key=lambda job: -job.memory_mb / min(job.threads, cores)):
        if min(job.threads, cores) <= left:
            total, left = total + job.memory_mb, left - min(job.threads, cores)
        if not left:
            break
    return total


def new_files(due: Sequence[Job], folder: Path) -> int:
    """Files that the jobs make and that are not there yet; Snakemake keeps a record beside every output."""
    made = [path for job in due for path in (*job.outputs, *job.outputs, *job.others)]
    return sum(not os.path.lexists(folder / path) for path in made)


def downloads(due: Sequence[Job], config: dict) -> list[Download]:
    """What the due jobs fetch from services, as `deepcams doctor` estimates it; nothing for data that are here."""
    jobs = Counter(job.rule for job in due)
    whole = {estimate.name.split(" (")[0]: estimate for estimate in estimates(config)}
    found = []
    for rule, name in FETCHED.items():
        if jobs[rule] and config[rule.removeprefix("retrieve_")]["source"] in REMOTE:
            found.append(_download(name, jobs[rule], whole.get(name)))
    for rule in UNCOUNTED:
        if jobs[rule] and config[rule.removeprefix("retrieve_")]["source"] in REMOTE:
            found.append(Download(rule.removeprefix("retrieve_").replace("_", " "), jobs[rule], None, None, None))
    return found


def _download(name: str, months: int, whole: Estimate | None) -> Download:
    if whole is None or not whole.requests:
        return Download(name, months, None, None, None)
    share = months / whole.months
    return Download(name, months, round(whole.requests * share), whole.download * share, whole.seconds * share)
