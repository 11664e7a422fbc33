"""How planning grows with the number of jobs, what a month leaves on disk, and how fast nodes read and write:

    python -m benchmarks.scale [--quick] [--runs FOLDER]

Planning is `snakemake -n` of ever longer records, and of six pollutants, in an empty folder: seconds, and the peak
memory of the process. Then 18 years are run with scripts that write a word where a result would be, which shows what
Snakemake itself takes for each job, and planned again where everything is done. Rates are from the benchmarks of runs
below FOLDER (results): megabytes that jobs really read and wrote, which Snakemake counts, over the seconds they took.
Prints Markdown for docs/planning.md.
"""

import argparse
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import ROOT, about, median
from deepcams.pollutants import POLLUTANTS

# Name: first and last month of CAMS; whether stations and their fusion go on to its end; whether scores do, too.
RECORDS = {
    "1 year": ("2018-01", "2018-12", False, False),
    "18 years": ("2003-01", "2020-12", False, False),
    "97 years, stations and fusion in 83 of them": ("2003-01", "2099-12", True, False),
    "the same, scores in 74 years of GEOS-CF": ("2003-01", "2099-12", True, True),
}
# Version 2 of GEOS-CF, for what version 1 lacks: PM10, and what comes after 2025.
VERSION_2 = {
    "geoscf": {"collection": "aqc_tavg_1hr_glo_L1440x721_slv", "first": "2025-09", "last": "2026-12"},
    "experiments": {
        "simulation": {
            "train": {"first": "2025-09", "last": "2025-12"},
            "test": {"first": "2026-01", "last": "2026-12"},
        },
        "real": {"train": {"first": "2025-09", "last": "2026-12"}},
    },
}
QUICK = ("1 year", "18 years")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short records alone")
    parser.add_argument("--runs", type=Path, default=ROOT / "results", help="folder of finished runs")
    arguments = parser.parse_args()
    machine = about()
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['date']}\n")
    print("| planned | jobs | CPU | CPU a job | by the clock | peak memory |\n|---|---|---|---|---|---|", flush=True)
    for name in QUICK if arguments.quick else RECORDS:
        _row(name, [planned(*RECORDS[name])])
    if not arguments.quick:
        found = [planned(*RECORDS["18 years"], name) for name in POLLUTANTS]
        _row("18 years, six pollutants one after another", found)
        done, took = after_a_run()
        _row("18 years, where all is done", [done])
        print(f"\nRun with scripts that do nothing: {took:.0f} s, {1000 * took / done[0]:.0f} ms a job.")
    print("\n| rule | jobs | read, MB/s | written, MB/s | busy |\n|---|---|---|---|---|")
    for line in rates(arguments.runs):
        print(line)


def planned(
    first: str, last: str, stations: bool, scores: bool, pollutant: str = "pm25"
) -> tuple[int, float, float, float]:
    """Jobs, seconds of CPU and of the clock, and megabytes, of planning a record of the globe in an empty folder."""
    settings = {"pollutant": pollutant, "cams": {"first": first, "last": last}}
    if pollutant == "pm10" or scores:
        settings |= copy.deepcopy(VERSION_2)
    if stations:
        settings |= {"openaq": {"first": "2017-01", "last": last}, "fusion": {"produce": True}}
    if scores:
        settings["geoscf"]["last"] = settings["experiments"]["simulation"]["test"]["last"] = last
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.yaml"
        file.write_text(json.dumps(settings))
        plan = ("-n", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--configfile", file)
        text, *took = _snakemake(ROOT, *plan)
    jobs = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("total"))
    return jobs, *took


def after_a_run() -> tuple[tuple[int, float, float, float], float]:
    """As `planned`, of 18 years in a folder where everything is done; and the seconds of the run that did it."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("Snakefile", "config", "envs", "profiles", "src", "workflow"):
            copy_of = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy_of(ROOT / name, Path(folder) / name)
        for script in Path(folder, "workflow/scripts").glob("*.py"):
            script.write_text(
                "from pathlib import Path\n\nfor path in snakemake.output:\n    Path(path).write_text('-')\n"
            )
        text, _, took, _ = _snakemake(Path(folder), "--cores", "all", "--no-hooks")
        done = len(set(re.findall(r"^Finished jobid: (\d+)", text, flags=re.MULTILINE)))
        text, *planning = _snakemake(Path(folder), "-n")
        if "Nothing to be done" not in text:
            raise RuntimeError(text[-2000:])
    return (done, *planning), took


def _snakemake(folder: Path, *arguments) -> tuple[str, float, float, float]:
    """What `snakemake all` says; seconds of CPU and of the clock, and megabytes, that it took."""
    command = [sys.executable, "-m", "snakemake", "all", "--quiet", "rules", *arguments]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - start
        said.seek(0)
        text = said.read().decode()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(text[-2000:])
    return text, usage.ru_utime + usage.ru_stime, took, usage.ru_maxrss * 1024 / 1e6


def _row(name: str, found: list[tuple[int, float, float, float]]) -> None:
    jobs, cpu, took = (sum(row[place] for row in found) for place in range(3))
    memory = max(row[3] for row in found)
    print(
        f"| {name} | {jobs:,} | {cpu:.1f} s | {1000 * cpu / jobs:.1f} ms | {took:.0f} s | {memory:.0f} MB |", flush=True
    )


def rates(runs: Path) -> Iterator[str]:
    """Rows of a table: of every rule what its jobs read and wrote a second, as the disk saw it, by the median."""
    found: dict[str, list[dict]] = {}
    for path in sorted(runs.glob("**/benchmarks/**/*.jsonl")):
        rule = path.stem if path.parent.name == "benchmarks" else path.parent.name
        lines = [json.loads(line) for line in path.read_text().splitlines() if line]
        found.setdefault(rule, []).extend(line for line in lines if isinstance(line.get("s"), float) and line["s"] > 1)
    for rule, records in sorted(found.items()):
        if records:
            read, wrote = (median([record[key] / record["s"] for record in records]) for key in ("io_in", "io_out"))
            busy = median([record["cpu_time"] / record["s"] for record in records])
            yield f"| {rule} | {len(records)} | {read:.2f} | {wrote:.1f} | {busy:.0%} |"


if __name__ == "__main__":
    main()
