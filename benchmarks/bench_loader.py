"""How many examples a second the loader gives, how many a training consumes, and in how much memory.

    python benchmarks/bench_loader.py [--shards FOLDER ...] [--networks NAME ...]
                                     [--workers N] [--threads N] [--steps N] [--out JSON]

The loader is that of the engine: worker processes draw from memory-mapped shards. It should give at least five times
what the network consumes. Consumption is measured by the engine itself on one batch again and again, at the sizes that
the corrected recipe trains with, so that nothing is drawn meanwhile; on a CPU the paper's networks get batches of two.
Peak memory is that of a process that draws from three global months and from 36, sparse files that take no room.
Prints Markdown tables and writes the same figures as JSON. Without --shards, made-up global fields are drawn from.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from deepcams.config.networks import FEATURES, LEVELS, TRAINING
from deepcams.grid.nodes import coarse_globe, fine_globe
from deepcams.models import catalogue
from deepcams.training import spatial, temporal
from deepcams.training.engine import Task, fit
from deepcams.training.loader import Steps
from deepcams.training.prepare import write_frames
from deepcams.training.shards import Shard, read_shard

GOAL = 5
TASKS = {"temporal": temporal.task, "spatial": spatial.task}
NETWORKS = (("spatial", "pixel_shuffle"), ("temporal", "flow_residual"), ("spatial", "abpn"), ("temporal", "xvfi"))
LIGHT = ("pixel_shuffle", "flow_residual")
HOURS = 744  # of a month
MONTHS = (3, 36)
DRAWN = 1000  # examples of either kind while memory is watched
STATUS = ("VmHWM", "RssAnon", "RssFile")


def main() -> None:
    """Measure what the arguments say."""
    arguments = _arguments()
    if arguments.memory_of:
        print(json.dumps(memory_of(arguments.memory_of)))
        return
    with tempfile.TemporaryDirectory() as folder:
        folders = arguments.shards or made_up_shards(Path(folder))
        shards = [read_shard(each) for each in folders]
        chosen = [(stage, network) for stage, network in NETWORKS if network in arguments.networks]
        speeds = [row for stage, network in chosen for row in speed(stage, network, shards, arguments)]
    memory = [{"months": months, **memory_of_sparse(months)} for months in MONTHS]
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
    about = {"machine": machine, "workers": arguments.workers, "threads": arguments.threads}
    print(f"\n{about['machine']}, {about['workers']} workers, {about['threads']} threads\n")
    print(table(speeds))
    print(f"\nMiB of a process after {2 * DRAWN} examples\n")
    print(table(memory))
    Path(arguments.out).write_text(json.dumps({**about, "speed": speeds, "memory": memory}, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", nargs="+", type=Path, help="folders of shards; made up if not given")
    names = [network for _, network in NETWORKS]
    parser.add_argument("--networks", nargs="+", choices=names, default=names, help="all if not given")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=100, help="batches that the loader draws for each figure")
    parser.add_argument("--out", default="bench_loader.json")
    parser.add_argument("--memory-of", nargs="+", type=Path, help=argparse.SUPPRESS)  # for the measuring process
    return parser.parse_args()


def made_up_shards(folder: Path, months: int = 2, hours: int = 26) -> list[Path]:
    """Smooth global fields that drift eastwards."""
    folders = []
    for month in range(1, months + 1):
        noise = np.random.default_rng(month).standard_normal(fine_globe().shape)
        field = gaussian_filter(noise, 3, mode=("nearest", "wrap"))
        field = (8 * np.exp(field / field.std())).astype(np.float32)
        folders.append(folder / f"2018-{month:02d}")
        times = np.datetime64(f"2018-{month:02d}-01T00:30:00", "s") + np.arange(hours) * np.timedelta64(3600, "s")
        frames = (np.roll(field, hour, axis=1) for hour in range(hours))
        about = {"source": "made up", "own": hours}
        degradation = {"operator": "block_mean", "sigma": 1.0}
        write_frames(frames, times, fine_globe(), folders[-1] / "index.json", degradation, about)
    return folders


def speed(stage: str, network: str, shards: list[Shard], arguments: argparse.Namespace) -> list[dict]:
    """Rows of what the loader gives, domain by domain, beside what the network consumes."""
    usual, small = TRAINING[network]["corrected"], network not in LIGHT and not torch.cuda.is_available()
    settings = {
        **usual,
        "batch_size": 2 if small else usual["batch_size"],
        "seed": 0,
        "precision": "auto",
        "threads": arguments.threads,
        "latitude_weights": True,
    }
    domains = [{"domain": domain} for domain in ("single", "mixed")]
    if stage == "temporal":
        domains = [{**domain, "resolution": each} for domain in domains for each in ("coarse", "fine", "both")]
    rows, consumed = [], None
    for domain in domains:
        task = TASKS[stage](made(stage, network), shards, settings | domain)
        given = loader_speed(task, settings["batch_size"], arguments)
        consumed = consumed or consumption(task, settings, 10 if network in LIGHT else 2)
        rows.append(
            {
                "network": network,
                "patch": settings["patch"],
                "batch": settings["batch_size"],
                **{"domain": domain["domain"], "resolution": domain.get("resolution", "")},
                "loader, examples/s": round(given, 1),
                "network, examples/s": round(consumed, 1),
                "ratio": round(given / consumed, 1),
                "goal met": "yes" if given >= GOAL * consumed else "NO",
            }
        )
        print(rows[-1], file=sys.stderr)
    return rows


def made(stage: str, network: str) -> torch.nn.Module:
    """The network at the size that the recipe trains."""
    sizes = {"features": FEATURES[network]["corrected"]}
    if network in LEVELS:
        sizes["levels"] = LEVELS[network]["corrected"]
    return catalogue.make(stage, network, {"recipe": "corrected", **sizes})


def loader_speed(task: Task, batch: int, arguments: argparse.Namespace) -> float:
    """Examples a second, from the time that every worker has begun to give."""
    begin = 2 * max(1, arguments.workers)
    steps = range(1, begin + arguments.steps + 1)
    examples = iter(Steps(task.draw, steps, range(batch), workers=arguments.workers))
    for _ in range(begin):
        next(examples)
    start = time.perf_counter()
    count = sum(1 for _ in examples)
    return count * batch / (time.perf_counter() - start)


def consumption(task: Task, settings: dict, steps: int) -> float:
    """Examples a second that the engine learns from; the time of its start does not count."""
    batch = task.draw(1, range(settings["batch_size"]))
    same = task._replace(draw=lambda step, indices: batch, validate=lambda network: {"score": 1.0})
    took = []
    for count in (1, 1, 1 + steps):
        start = time.perf_counter()
        fit(same, settings | {"steps": count, "workers": 0}, name="it")
        took.append(time.perf_counter() - start)
    return steps * settings["batch_size"] / (took[2] - took[1])


def memory_of_sparse(months: int) -> dict[str, float]:
    """Peak and present memory, MiB, of a process that draws from months of global fields that are zero throughout."""
    with tempfile.TemporaryDirectory() as folder:
        folders = [sparse_shard(Path(folder) / f"{month:02d}") for month in range(months)]
        result = subprocess.run(
            [sys.executable, __file__, "--memory-of", *folders], capture_output=True, text=True, check=True
        )
    return json.loads(result.stdout)


def sparse_shard(folder: Path) -> Path:
    """A global month whose files are holes."""
    folder.mkdir()
    times = np.datetime64("2018-01-01T00:30:00", "s") + np.arange(HOURS) * np.timedelta64(3600, "s")
    index = {"operator": "block_mean", "sigma": 1.0, "times": [str(time) for time in times], "grids": {}}
    for name, grid in {"fine": fine_globe(), "coarse": coarse_globe()}.items():
        shape = (HOURS, *grid.shape)
        index["grids"][name] = {"north": 90.0, "west": -180.0, "shape": grid.shape, "step": grid.step}
        with open(folder / f"{name}.npy", "wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            file.truncate(file.tell() + 4 * int(np.prod(shape)))
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def memory_of(folders: list[Path]) -> dict[str, float]:
    """This process's memory, MiB, after drawing."""
    shards = [read_shard(folder) for folder in folders]
    for stage, network in NETWORKS[:2]:
        settings = {"patch": 32, "batch_size": 10, "seed": 0, "latitude_weights": True, "resolution": "both"}
        for domain in ("single", "mixed"):
            task = TASKS[stage](made(stage, network), shards, settings | {"domain": domain})
            for step in range(1, DRAWN // 20 + 1):
                task.draw(step, range(10))
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: round(int(lines[name].split()[0]) / 1024, 1) for name in STATUS}


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
