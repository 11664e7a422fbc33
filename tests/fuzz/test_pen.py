"""What ends a reader in the child process is seen, and the next case is read all the same."""

import os
import pickle
import signal

import pytest

from deepcams.errors import DeepcamsError
from tests.fuzz import bombs, pen


def test_every_end_is_told_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(pen, "SECONDS", 0.2)

    def read(case):
        if case == 1:
            raise DeepcamsError("x.nc is damaged. Delete it.")
        if case == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if case == 3:
            while True:
                pass
        if case == 4:
            bytearray(pen.MEMORY + (1 << 30))
        if case == 5:
            raise DeepcamsError(" ")
        if case == 6:
            os._exit(3)

    found = pen.run(range(8), read)
    assert [it.case for it in found] == list(range(8))
    kinds = [pen.ACCEPTED, pen.REFUSED, pen.DIED, pen.HUNG, pen.RAISED, pen.RAISED, pen.DIED, pen.ACCEPTED]
    assert [it.kind for it in found] == kinds
    words = [it.words for it in found]
    assert words[1] == "x.nc is damaged. Delete it." and words[2] == "SIGSEGV" and "MemoryError" in words[4]
    assert "no clear sentence" in words[5] and words[6] == "exit status 3"


@pytest.mark.parametrize("together", [1, 100])
def test_what_one_case_leaves_behind_is_no_fault_of_the_next(together):
    spoilt = []

    def read(case):
        if spoilt and case != 2:
            raise RuntimeError("left behind")
        spoilt.append(case)

    assert [it.kind for it in pen.run(range(4), read, together)] == [pen.ACCEPTED] * 4


def test_code_that_was_run_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not bombs.executed()
    pickle.loads(bombs.pickles()[0])
    assert bombs.executed() and not bombs.executed()
