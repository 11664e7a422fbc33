"""Two processes that do the same work, as happens when a run loses sight of a job: neither harms the other."""

import os
import subprocess
import sys

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.files.hold import held, remove_unless_held
from deepcams.files.workspace import workspace
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.product.attributes import Provenance
from deepcams.product.months import Product, days_of, write_by_days
from deepcams.training.state import kept

GRID = refine(coarse_grid(Region(north=15, west=0, south=0, east=15)))
HOURS = np.arange("2018-01-01", "2018-01-04", np.timedelta64(1, "h"), dtype="datetime64[s]")
PRODUCT = Product(GRID, (HOURS[0], HOURS[-1]), Provenance({"cams.nc": "0" * 64}, {"spatial": "bicubic"}, "0" * 16))


def compute(hours):
    seed = int(hours[0].astype("datetime64[D]").astype(int))
    fields = np.random.default_rng(seed).gamma(2.0, 10.0, size=(len(hours), *GRID.shape)).astype(np.float32)
    return fields, {"closure_error": 0.0}


def write(path, meanwhile=lambda: None, key="key"):
    """Write three days. `meanwhile` is called when the first of them is computed."""

    def slow(hours):
        if hours[0] == HOURS[0]:
            meanwhile()
        return compute(hours)

    write_by_days(path, key, days_of(HOURS), slow, PRODUCT)


@pytest.mark.parametrize("other", ["key", "another key"])
def test_a_month_that_two_processes_make_at_once_is_whole_and_the_same(tmp_path, other):
    """With the same settings, and with those from before and after an edit."""
    alone, out = tmp_path / "alone/month.nc", tmp_path / "month.nc"
    write(alone)
    seen = []

    def meanwhile():
        write(out, key=other)
        seen.append(out.read_bytes())

    write(out, meanwhile)
    assert [out.read_bytes(), *seen] == [alone.read_bytes()] * 2
    assert sorted(os.listdir(tmp_path)) == ["alone", "month.nc"]


def test_who_comes_second_leaves_the_days_of_the_first_where_they_are(tmp_path):
    out = tmp_path / "month.nc"

    def meanwhile():
        folder = tmp_path / ".month.nc.days-key"
        (folder / "2018-01-03.nc").write_text("a day")
        for key in ("key", "another key"):
            write(out, key=key)
        assert (folder / "2018-01-03.nc").read_text() == "a day"
        (folder / "2018-01-03.nc").unlink()

    write(out, meanwhile)
    assert os.listdir(tmp_path) == ["month.nc"]


HOLDS = """
import sys
from deepcams.files.hold import held
with held(sys.argv[1]) as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_held_until_its_process_ends_however_it_ends(tmp_path):
    folder = tmp_path / "days"
    command = [sys.executable, "-c", HOLDS, folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "True\n"
        with held(folder) as ours:
            assert not ours
        remove_unless_held(folder)
        assert folder.is_dir()
        other.kill()
    with held(folder) as ours:
        assert ours
    assert not folder.exists()


def test_a_month_that_is_being_fetched_is_not_fetched_by_another(tmp_path):
    month = tmp_path / "2018-01.nc"
    with workspace(month, "asked") as folder:
        (folder / "part").write_text("half")
        with (
            pytest.raises(DeepcamsError, match=r"Another process is making .*2018-01.nc already"),
            workspace(month, "?"),
        ):
            pass
        assert (folder / "part").read_text() == "half"
    assert os.listdir(tmp_path) == []


def test_a_training_whose_state_another_process_has_just_used_up_begins_anew(tmp_path, monkeypatch):
    state = tmp_path / "training.pt"
    monkeypatch.setattr(type(state), "is_file", lambda path: True)
    assert kept(state, "key") is None


ORPHAN = """
import os, subprocess, sys
from deepcams.logs import job_log, name_run
name_run()
if sys.argv[2] == "dead":
    if os.fork() == 0:
        name_run()  # as the parent of what follows, which does not wait for it
        if os.fork():
            os._exit(0)
        os.setpgid(0, 0)
    else:
        os.wait()
        os._exit(0)
while sys.argv[2] == "dead" and os.path.exists("/proc/" + os.environ["DEEPCAMS_RUN"].split()[0]):
    pass
with job_log(sys.argv[1]):
    print("at work")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs outlive a killed Snakemake")
@pytest.mark.parametrize(("run", "works"), [("alive", True), ("dead", False)])
def test_a_job_whose_run_died_while_it_was_being_set_up_does_nothing(tmp_path, run, works):
    log = tmp_path / "job.log"
    done = subprocess.run([sys.executable, "-c", ORPHAN, log, run], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b""  # closed by the last of the processes
    assert log.exists() == works
