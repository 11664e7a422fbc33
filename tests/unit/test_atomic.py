"""Files are written with the permissions of the process, by any number of threads."""

import os
from concurrent.futures import ThreadPoolExecutor

from deepcams.files.atomic import umask, write_text


def test_files_of_many_threads_have_the_permissions_of_the_process(tmp_path, monkeypatch):
    """The mask belongs to the whole process: changing it to learn it would open what other threads make meanwhile."""
    (tmp_path / "plain").touch()
    asked = []
    monkeypatch.setattr(os, "umask", lambda mask: asked.append(mask) or 0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write_text(tmp_path / f"{n}.txt", "x"), range(200)))
    monkeypatch.undo()
    mode = (tmp_path / "plain").stat().st_mode
    assert {path.stat().st_mode for path in tmp_path.glob("*.txt")} == {mode}
    assert asked == [] and mode & 0o777 == 0o666 & ~umask()
