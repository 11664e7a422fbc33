"""The arrays of a shard are held to the checksums in its index, which Snakemake does not look into."""

import json

import numpy as np
import pytest

from deepcams.errors import DeepcamsError
from deepcams.files.checksum import check_inputs, sha256


@pytest.fixture
def shard(tmp_path):
    """A folder with two arrays and their index."""
    for name in ("fine", "coarse"):
        np.save(tmp_path / f"{name}.npy", np.arange(100.0))
    index = {"sha256": {name: sha256(tmp_path / f"{name}.npy") for name in ("fine", "coarse")}}
    (tmp_path / "index.json").write_text(json.dumps(index))
    return tmp_path


def test_whole_arrays_pass(shard):
    check_inputs([shard / "index.json", shard / "fine.npy"])


def test_an_array_with_one_wrong_bit_is_named(shard):
    content = bytearray((shard / "coarse.npy").read_bytes())
    content[500] ^= 1
    (shard / "coarse.npy").write_bytes(content)
    with pytest.raises(DeepcamsError, match=r"coarse.npy is not the file .*damaged"):
        check_inputs([shard / "index.json"])


@pytest.mark.parametrize("index", ["", "{", "[]", "{}", '{"sha256": 3}', '{"sha256": {"absent": "0"}}'])
def test_an_index_that_cannot_be_read_is_named(shard, index):
    (shard / "index.json").write_text(index)
    with pytest.raises(DeepcamsError, match=r"index.json is damaged"):
        check_inputs([shard / "index.json"])
