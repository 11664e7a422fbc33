"""What judges the runs that were harmed: it ends, and takes nothing for told that is not."""

import pytest

from tests.faults import kills
from tests.faults.damage import names_file
from tests.workflow.conftest import Checkout


class Fails:
    """Stands for a Snakemake that fails at once."""

    text = "boom"

    def __init__(self, *_):
        pass

    def has_ended(self):
        return True

    def wait(self, _):
        return 1

    def end(self):
        pass


def test_a_run_that_fails_of_itself_is_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(kills, "Run", Fails)
    found = kills.kill_again_and_again(Checkout(tmp_path), {}, 50, 1)
    assert found.finished == 1 and found.wrong == ["after 0 kills the run failed: boom"]


def test_a_run_in_which_no_job_ever_begins_is_given_up(tmp_path, monkeypatch):
    class Waits(Fails):
        def has_ended(self):
            return False

        def jobs(self):
            return []

    monkeypatch.setattr(kills, "Run", Waits)
    monkeypatch.setattr(kills, "PATIENCE", 0.1)
    with pytest.raises(AssertionError, match="no job began or ended"):
        kills.kill_again_and_again(Checkout(tmp_path), {}, 50, 3)


@pytest.mark.parametrize(
    ("file", "told"),
    [("a/b.nc", True), ("a/b.nc.sha256", True), ("a/c.nc", False), ("a/c.npy", True), ("shard/c.npy", False)],
)
def test_a_sentence_tells_of_its_file_and_checksum_and_not_of_its_neighbours(file, told):
    assert names_file("ERROR: a/b.nc is damaged.", file) == told
