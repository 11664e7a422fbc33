"""Shards on a disk without space: a sentence, not a signal, and nothing left behind."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.training.shards import ShardWriter, read_shard

COARSE = coarse_grid(Region(15, 0, 0, 15))
FINE = refine(COARSE)
TIMES = np.arange(np.datetime64("2018-01-01T00:30:00", "s"), np.datetime64("2018-01-03", "s"), np.timedelta64(1, "h"))
ABOUT = {"operator": "block_mean", "sigma": 1.0}

WRITE = """
import sys
from tests.unit.test_shard_writer import write
from deepcams.errors import DeepcamsError
try:
    write(sys.argv[1])
except DeepcamsError as error:
    sys.exit(str(error))
"""


def write(folder):
    rng = np.random.default_rng(0)
    with ShardWriter(folder, TIMES, FINE, COARSE, ABOUT) as shard:
        for start in range(0, len(TIMES), 24):
            shard.write(start, rng.random((24, *FINE.shape)), rng.random((24, *COARSE.shape)))


def test_what_is_written_is_read_and_takes_its_space_at_once(tmp_path):
    with ShardWriter(tmp_path, TIMES, FINE, COARSE, ABOUT) as shard:
        for path in tmp_path.iterdir():
            assert path.stat().st_blocks * 512 >= path.stat().st_size
        shard.write(0, np.ones((len(TIMES), *FINE.shape)), np.full((len(TIMES), *COARSE.shape), 2.0))
    found = read_shard(tmp_path)
    assert (found.fine[:] == 1).all() and (found.coarse[:] == 2).all()
    assert found.fine.shape == (48, 61, 61) and found.fine.dtype == np.float32


@pytest.mark.parametrize("failing", [1, 2])
def test_no_space_for_either_file_is_a_sentence_and_leaves_none(tmp_path, monkeypatch, failing):
    calls = []

    def allocate(descriptor, offset, length):
        calls.append(length)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    with pytest.raises(DeepcamsError, match="disk is full"):
        write(tmp_path)
    assert len(calls) == failing
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), ShardWriter(tmp_path, TIMES, FINE, COARSE, ABOUT):
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs the superuser")
@pytest.mark.parametrize("size", ["100k", "720k"])  # without room for the fine fields, and for the coarse ones
def test_a_full_disk_is_a_sentence_not_a_signal(tmp_path, pytestconfig, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        process = subprocess.run(
            [sys.executable, "-c", WRITE, disk], capture_output=True, text=True, cwd=pytestconfig.rootpath, check=False
        )
        assert process.returncode == 1, process.returncode
        assert process.stderr.startswith("The disk is full")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)
