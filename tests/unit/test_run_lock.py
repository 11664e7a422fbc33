"""Runs at work are told from killed ones, and no two make the same file."""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

from deepcams.errors import DeepcamsError
from deepcams.files import run_lock
from deepcams.files.run_lock import claim, clear_locks

AT_WORK = """
import sys
from deepcams.files.run_lock import claim
claim(sys.argv[1], ["raw.nc"], sys.argv[2:])
print("claimed", flush=True)
sys.stdin.read()
"""


@contextmanager
def at_work(folder, *outputs):
    """Another process that makes `outputs`; it ends well at the end of the block."""
    command = [sys.executable, "-c", AT_WORK, folder, *outputs]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "claimed\n"
        yield process
    finally:
        process.communicate()


def records(folder):
    return sorted(path.name for path in (folder / "runs").glob("*.json"))


def snakemakes_lock(folder):
    lock = folder / "locks/0.output.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    return lock


def test_a_file_that_a_run_at_work_makes_is_refused_and_others_are_not(tmp_path):
    with at_work(tmp_path, "a.nc", "b.nc") as other:
        lock = snakemakes_lock(tmp_path)
        (run,) = clear_locks(tmp_path)
        assert (run.inputs, run.outputs) == ({"raw.nc"}, {"a.nc", "b.nc"})
        assert not lock.exists()
        with pytest.raises(
            DeepcamsError, match=rf"^b.nc is in use by another run, process {other.pid} on .*; wait for"
        ):
            claim(tmp_path, [], ["b.nc", "c.nc"])
        with pytest.raises(DeepcamsError, match=r"^a.nc and 1 more is in use"):
            claim(tmp_path, [], ["b.nc", "a.nc"])
        with pytest.raises(DeepcamsError, match=r"^raw.nc is in use"):  # which the other reads
            claim(tmp_path, [], ["raw.nc"])
        with pytest.raises(DeepcamsError, match=r"^a.nc is in use"):  # which the other makes
            claim(tmp_path, ["a.nc", "raw.nc"], ["d.nc"])
        with at_work(tmp_path, "c.nc"):
            assert len(records(tmp_path)) == 2
    assert records(tmp_path) == []  # who ends well takes his record away


def test_a_killed_run_stands_in_nobodys_way(tmp_path):
    with at_work(tmp_path, "a.nc") as other:
        other.kill()
        other.wait()
        assert len(records(tmp_path)) == 1
        lock = snakemakes_lock(tmp_path)
        assert clear_locks(tmp_path) == []
        assert not lock.exists()
        assert records(tmp_path) == []
        with at_work(tmp_path, "a.nc"):
            assert len(clear_locks(tmp_path)) == 1


def test_a_run_that_was_killed_and_one_at_work_are_told_apart(tmp_path):
    with at_work(tmp_path, "a.nc") as dead, at_work(tmp_path, "b.nc") as living:
        dead.kill()
        dead.wait()
        (run,) = clear_locks(tmp_path)
        assert f"process {living.pid} on" in run.who


def record_of_a_killed_run(folder, **changes):
    with at_work(folder, "a.nc") as other:
        other.kill()
    (name,) = records(folder)
    record = folder / "runs" / name
    record.write_text(json.dumps(json.loads(record.read_text()) | changes))
    return record


ELSEWHERE = {"host": "elsewhere", "boot": "another"}


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "elsewhere"},  # a container on this system
        {"boot": "another", "instant": 0},  # this machine before it was started anew
    ],
    ids=["container", "reboot"],
)
def test_a_killed_run_whose_locks_would_be_seen_is_forgotten(tmp_path, changes):
    record_of_a_killed_run(tmp_path, **changes)
    assert clear_locks(tmp_path) == []


@pytest.mark.parametrize("changes", [ELSEWHERE, {"boot": "another"}], ids=["other machine", "other machine, same name"])
def test_a_run_of_another_machine_is_left_in_peace_and_its_record_named(tmp_path, changes):
    """Its locks may not be seen through a shared disk."""
    record = record_of_a_killed_run(tmp_path, **changes)
    assert len(clear_locks(tmp_path)) == 1
    with pytest.raises(DeepcamsError, match=rf"if it no longer runs there, delete .*{record.name}\.$"):
        claim(tmp_path, [], ["a.nc"])
    claim(tmp_path, [], ["b.nc"])
    record.unlink()
    assert clear_locks(tmp_path) == []


def test_jobs_that_a_killed_run_sent_elsewhere_are_to_be_cancelled_first(tmp_path):
    record = record_of_a_killed_run(tmp_path, executor="slurm")
    assert len(clear_locks(tmp_path)) == 1
    with pytest.raises(DeepcamsError, match=rf"jobs may go on \(slurm\): cancel them, then delete .*{record.name}\.$"):
        claim(tmp_path, [], ["a.nc"])


def test_a_half_written_record_of_a_killed_run_is_removed(tmp_path):
    (tmp_path / "runs").mkdir()
    for number, content in enumerate(("", '{"host": "a', "[]", "7")):
        (tmp_path / f"runs/{number}.json").write_text(content)
    assert clear_locks(tmp_path) == []
    assert records(tmp_path) == []


def test_ones_own_claim_may_be_made_again(tmp_path):
    line = 'claim(sys.argv[1], ["raw.nc"], sys.argv[2:])'
    twice = AT_WORK.replace(line, f"{line}; {line}")
    subprocess.run([sys.executable, "-c", twice, tmp_path, "a.nc"], stdin=subprocess.DEVNULL, check=True)


def test_without_locks_of_the_system_snakemakes_own_are_left(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "_wait_for", lambda handle: False)
    lock = snakemakes_lock(tmp_path)
    assert clear_locks(tmp_path) == []
    claim(tmp_path, [], ["a.nc"])
    assert lock.exists()
    assert records(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path):
    (tmp_path / "runs").touch()
    with pytest.raises(DeepcamsError, match="runs cannot be written"):
        clear_locks(tmp_path)


def test_who_may_only_read_a_folder_may_plan_in_it(tmp_path, monkeypatch):
    lock = snakemakes_lock(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert clear_locks(tmp_path) == []
    assert lock.exists() and not (tmp_path / "runs").exists()
