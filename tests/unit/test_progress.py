"""What long work tells while it runs."""

import re

from deepcams.progress import progress


def test_a_log_says_how_much_is_done_how_fast_and_how_long_it_still_takes(capsys):
    assert list(progress(range(31), "refine 2015-01", "hours", size=lambda _: 24)) == list(range(31))
    first, *_, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"refine 2015-01: 100%\|#+\| 744/744 \[\d\d:\d\d<\d\d:\d\d, .* hours/s\]", last)
    assert "0/744" in first


def test_work_of_unknown_length_is_counted(capsys):
    assert list(progress((k for k in range(5)), "read", "hours")) == [0, 1, 2, 3, 4]
    assert re.search(r"read: 5 hours \[", capsys.readouterr().err)


def test_what_an_earlier_run_has_done_counts_as_done_and_an_item_for_what_it_holds(capsys):
    days = [range(24), range(24), range(1)]
    assert list(progress(days, "refine", "hours", size=len, done=72)) == days
    first, *_, last = capsys.readouterr().err.splitlines()
    assert "72/121" in first and "121/121" in last
