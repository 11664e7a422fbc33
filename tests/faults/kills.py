"""A run of the workflow that is killed again and again, and goes on with the same command until it is done."""

import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.faults.harness import Run, contents, differing, is_passing, left_behind
from tests.workflow.conftest import Checkout

VICTIMS = ("snakemake", "snakemake", "job", "job", "all", "all", "terminated", "ctrl-c")
# Random ones of these are deleted from a finished run, for further kills. Nobody may want the first ones back.
BETWEEN = ("raw", "shards", "models", "temporal", "spatial", "collocated", "validation")
WANTED = ("evaluation", "report", "2019", "2020")
PATIENCE = 600  # seconds


@dataclass
class Kills:
    """What came of the kills: how often each victim was killed, and all that was found wrong."""

    victims: Counter = field(default_factory=Counter)
    while_planning: int = 0
    finished: int = 0
    wrong: list[str] = field(default_factory=list)


def kill_again_and_again(checkout: Checkout, expected: dict[str, str], count: int, seed: int) -> Kills:
    """Kill `count` runs of `all` at random moments, each followed by the plain command again; at last let one finish.

    After each kill every file under its final name must be as in `expected`, the digests of an undisturbed run. When a
    run finishes, everything must be, with nothing left over; then part of it is deleted, if more kills are due. The
    first run that fails of itself is the last: the next would, too, without a kill and without end.
    """
    chance, found = random.Random(seed), Kills()
    while sum(found.victims.values()) < count:
        run = Run(checkout, "all")
        try:
            killed = _kill_once(run, chance, found)
            status = run.wait(600)
            if killed is None:
                _judge_finished(checkout, run, status, expected, found)
                if status:
                    return found
                _delete_some(checkout, chance)
            else:
                _judge_killed(checkout, run, killed, expected, found)
        finally:
            run.end()
    run = Run(checkout, "all")
    _judge_finished(checkout, run, run.wait(900), expected, found)
    if planned := checkout.planned():
        found.wrong.append(f"still to be done after the end: {planned}")
    return found


def _kill_once(run: Run, chance: random.Random, found: Kills) -> str | None:
    """Kill at a random moment: while planning, or a little after some jobs have ended. None if the run was faster."""
    victim, jobs, delay = chance.choice(VICTIMS), chance.choice((0, 0, 0, 1, 1, 2)), chance.uniform(0, 1.5)
    planning = chance.random() < 0.15
    if planning:
        jobs, delay = -1, chance.uniform(0.3, 4)
    limit = time.monotonic() + PATIENCE
    while jobs >= 0 and not run.has_ended():
        assert time.monotonic() < limit, f"no job began or ended in {PATIENCE} s: {run.text[-3000:]}"
        if run.text.count("\nFinished jobid:") >= jobs and (jobs or run.jobs()):
            break
        time.sleep(0.05)
    end = time.monotonic() + delay
    while time.monotonic() < end and not run.has_ended():
        time.sleep(0.01)
    if run.has_ended():
        return None
    at_work = bool(run.jobs())
    killed = run.kill(victim, chance)
    found.victims[killed] += 1
    found.while_planning += not at_work
    print(f"kill {sum(found.victims.values())}: {killed}, {'at work' if at_work else 'no job at work'}", flush=True)
    return killed


def _judge_killed(checkout: Checkout, run: Run, killed: str, expected: dict[str, str], found: Kills) -> None:
    number = sum(found.victims.values())
    final = {name: digest for name, digest in contents(checkout.path / "results/tiny").items() if not is_passing(name)}
    if wrong := differing(final, expected):
        found.wrong.append(f"kill {number} ({killed}): not as in the undisturbed run: {', '.join(wrong)}")
    # A job that is still being imported when Ctrl-C comes shows Python's own words.
    excused = killed == "ctrl-c" and "\nKeyboardInterrupt" in run.text
    for word in ("Traceback", "--unlock", "cannot be locked", "fault in deepcams"):
        if word in run.text and not (excused and word == "Traceback"):
            found.wrong.append(f"kill {number} ({killed}): Snakemake said {word!r}: {run.text[-3000:]}")


def _judge_finished(checkout: Checkout, run: Run, status: int, expected: dict[str, str], found: Kills) -> None:
    found.finished += 1
    where = f"after {sum(found.victims.values())} kills"
    if status:
        found.wrong.append(f"{where} the run failed: {run.text[-3000:]}")
    made = contents(checkout.path / "results/tiny")
    if missing := sorted(name for name in expected.keys() - made.keys() if not is_between(name)):
        found.wrong.append(f"{where} missing: {', '.join(missing)}")
    if wrong := differing(made, expected):
        found.wrong.append(f"{where} not as in the undisturbed run: {', '.join(wrong)}")
    if left := left_behind(checkout):
        found.wrong.append(f"{where} left over: {', '.join(left)}")


def is_between(name: str) -> bool:
    """Whether a file is only on the way to others: deleted, it is made again only when one of them is."""
    return name.split("/")[0] in BETWEEN or name.endswith("_zoom.npz")


def _delete_some(checkout: Checkout, chance: random.Random) -> None:
    for name in [*chance.sample(BETWEEN, 3), *chance.sample(WANTED, 2)]:
        shutil.rmtree(checkout.path / "results/tiny" / name, ignore_errors=True)
