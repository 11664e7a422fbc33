"""What long work tells while it runs."""

import re

from deepcams.progress import progress


def test_a_log_says_how_much_is_done_how_fast_and_how_long_it_still_takes(capsys):
    assert list(progress(range(31), "refine 2015-01", "hours", scale=24)) == list(range(31))
    first, *_, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"refine 2015-01: 100%\|#+\| 744/744 \[\d\d:\d\d<\d\d:\d\d, .* hours/s\]", last)
    assert "0/744" in first


def test_work_of_unknown_length_is_counted(capsys):
    assert list(progress((k for k in range(5)), "read", "hours")) == [0, 1, 2, 3, 4]
    assert re.search(r"read: 5 hours \[", capsys.readouterr().err)
