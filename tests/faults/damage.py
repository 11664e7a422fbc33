"""Files of a finished run, damaged in seeded ways, and what the jobs make of them that read them next."""

import json
import random
import shutil
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.faults.harness import contents, left_behind
from tests.workflow.conftest import Checkout, error_lines

KINDS = ("removed", "emptied", "cut short", "bit flipped", "web page")
RESULTS = "results/tiny"


class Job(NamedTuple):
    """A job as Snakemake noted it when it was done."""

    rule: str
    inputs: frozenset[str]
    outputs: frozenset[str]


class Case(NamedTuple):
    """A damaged file, and the job that is to read it."""

    kind: str
    file: str
    job: Job


def jobs_of(checkout: Checkout) -> list[Job]:
    """All jobs of a finished run, in a fixed order."""
    inputs, outputs = {}, {}
    for path in _records(checkout):
        record = json.loads(path.read_text())
        name = (record["rule"], *record["log"])
        inputs[name] = frozenset(record["input"])
        outputs.setdefault(name, set()).add(_output_of(path, checkout))
    return [Job(name[0], inputs[name], frozenset(outputs[name])) for name in sorted(inputs)]


def damage(path: Path, kind: str, chance: random.Random) -> None:
    """Damage a file. A new one is put in its place, so that what else is linked to it stays whole."""
    content = bytearray(path.read_bytes())
    path.unlink()
    if kind == "removed":
        return
    if kind == "emptied":
        content = b""
    elif kind == "cut short":
        content = content[: chance.randrange(len(content))]
    elif kind == "bit flipped":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    else:
        content = b"<!DOCTYPE html><title>Sign in</title>"
    path.write_bytes(content)


def draw(jobs: list[Job], guarded: Iterable[str], chance: random.Random, count: int) -> list[Case]:
    """Up to `count` cases that do not concern each other, so that one run of Snakemake shows what becomes of all.

    guarded : the files to choose from.
    """
    guarded, producer = set(guarded), {path: job for job in jobs for path in job.outputs}
    cases: list[Case] = []
    for job in chance.sample(jobs, len(jobs)):
        files = sorted(guarded & job.inputs)
        if not files or len(cases) == count:
            continue
        case = Case(chance.choice(KINDS), chance.choice(files), job)
        if not any(_meet(case, other, producer) or _meet(other, case, producer) for other in cases):
            cases.append(case)
    return cases


def judge(
    checkout: Checkout, finished: Checkout, cases: list[Case], chance: random.Random
) -> tuple[Counter, list[str]]:
    """Damage, delete what the jobs made, run Snakemake, and compare with the undisturbed run.

    Returns how many of each kind ended "equal" or were "told" in one sentence (a few are neither, for they wait for a
    job that told), and all that is wrong.
    """
    expected = contents(finished.path / RESULTS)
    for case in cases:
        damage(checkout.path / case.file, case.kind, chance)
        for path in case.job.outputs:
            (checkout.path / path).unlink(missing_ok=True)
    process = checkout.snakemake(*(sorted(case.job.outputs)[0] for case in cases), "--keep-going")
    said = sorted(set(error_lines(process.stdout)))
    found, wrong = Counter(), []
    made = contents(checkout.path / RESULTS)
    for case in cases:
        names = [path.removeprefix(f"{RESULTS}/") for path in case.job.outputs]
        what = f"{case.file} {case.kind}, read by {case.job.rule}"
        if all(name in made and made[name] == expected[name] for name in names):
            found[case.kind, "equal"] += 1
        elif any(name in made for name in names):
            wrong.append(f"{what}: not as in the undisturbed run")
        elif any(names_file(line, case.file) for line in said):
            found[case.kind, "told"] += 1
        elif not said:
            wrong.append(f"{what}: nothing was told: {process.stdout[-3000:]}")
        else:
            found[case.kind, "not reached"] += 1
    for line in said:
        if not line.endswith(".") or "fault in deepcams" in line:
            wrong.append(f"{[case[:2] for case in cases]}: {line}")
    if "Traceback" in process.stdout:
        wrong.append(f"{[case[:2] for case in cases]}: {process.stdout[-3000:]}")
    if left := [name for name in left_behind(checkout) if "incomplete" not in name]:
        wrong.append(f"left over: {left}")
    return found, wrong


def names_file(line: str, file: str) -> bool:
    """Whether a sentence is about a file: it names it, what it is the checksum of, or the shard that an array is of."""
    return (str(Path(file).parent) if file.endswith(".npy") else file.removesuffix(".sha256")) in line


def mend(checkout: Checkout, finished: Checkout) -> None:
    """Put everything back as the undisturbed run left it, but for what the services delivered."""
    for name in (RESULTS, ".snakemake"):
        for entry in (checkout.path / name).iterdir():
            if entry.name != "nature_run":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        source = finished.path / name
        shutil.copytree(
            source, checkout.path / name, ignore=lambda folder, names: {"nature_run"} & set(names), dirs_exist_ok=True
        )


def _meet(case: Case, other: Case, producer: dict[str, Job]) -> bool:
    """Whether what is done to `case` may be felt by the job of `other`."""
    makes = producer.get(case.file)
    return bool(
        case.file in other.job.inputs | other.job.outputs
        or case.job.outputs & (other.job.inputs | {other.file})
        or (makes and (other.file in makes.inputs | makes.outputs or makes == other.job))
    )


def _records(checkout: Checkout) -> list[Path]:
    return sorted(path for path in (checkout.path / ".snakemake/metadata").rglob("*") if path.is_file())


def _output_of(record: Path, checkout: Checkout) -> str:
    """The output that a record is of: its name is the output's in Base64, in folders where it is long."""
    parts = record.relative_to(checkout.path / ".snakemake/metadata").parts
    return urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode()
