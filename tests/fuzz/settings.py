"""What the person at the keyboard writes, and small files beside large ones: configuration, checksums, memories."""

import json
import shutil
from pathlib import Path

import numpy as np
import yaml

from deepcams.cli.doctor import read_configuration
from deepcams.files.checksum import check_inputs, write_sidecar
from deepcams.sources import fingerprint
from tests.conftest import ROOT
from tests.fuzz.bombs import texts
from tests.fuzz.mutations import damaged, in_json
from tests.fuzz.reader import Reader


def _sidecar(folder: Path) -> list[bytes]:
    (folder / "data").write_bytes(b"data")
    write_sidecar(folder / "data", folder / "data.sha256")
    return [(folder / "data.sha256").read_bytes()]


def _read_sidecar(path: Path, _) -> None:
    (path.parent / "data").write_bytes(b"data")
    shutil.copy(path, path.parent / "data.sha256")
    check_inputs([path.parent / "data", path.parent / "data.sha256"])


def _memory(folder: Path) -> list[bytes]:
    return [json.dumps({str((folder / "2018-02.nc").resolve()): [[4, 2], "a" * 64]}).encode()]


def _read_memory(path: Path, _) -> None:
    (path.parent / "2018-02.nc").write_bytes(b"data")
    fingerprint.CACHE = path
    fingerprint.fingerprint("cams", str(path.parent / "{year}-{month}.nc"), "2018-02")


def _good_settings(_) -> list[bytes]:
    return [(ROOT / "config" / name).read_bytes() for name in ("demo.yaml", "tiny.yaml", "config.yaml")]


def in_yaml(content: bytes, random: np.random.Generator, others: list[bytes]) -> bytes:
    """A whole document of other values."""
    document = json.loads(in_json(json.dumps(yaml.safe_load(content), default=str).encode(), random, others))
    return yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "replace")


def _laughter() -> list[bytes]:
    """Documents of a few hundred bytes that are without end when they are written out, and other odd ones."""
    lists = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    maps = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}" for n in range(1, 60)]
    inside = ["cams:", "  a0: &a0 {x: 1}"] + [f"  a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}" for n in range(1, 60)]
    documents = (
        "\n".join(lists), "\n".join(maps), "\n".join(inside), "region: &r\n  north: *r\n", "cams: &c [*c]\n",
        "[" * 20_000, "a: " + "[" * 3000 + "]" * 3000, "{a: " * 20_000, "? [a, b]\n: 1\n", "1: 2\n",
        "!!python/object/apply:os.system ['x']\n", "a: !!binary x\n", "a: 2018-02-30\n", "a: \x00\n", "- a\n- b\n", "",
        "%YAML 9.9\n---\na: 1\n", "a: 1\n---\nb: 2\n", "cams: {first: 2018-01-01}\n", "a: " + "9" * 5000 + "\n",
        "true: 1\n", "null: 1\n", "cams: {1: 2, null: 3, 2018-01-01: 4}\n", "pollutant: !!set {a}\n",
        "encoding: {mantissa_bits: .inf}\n", "region: .nan\n", "a: !!float x\n", "a: !!int x\n", "a: !!timestamp x\n",
    )  # fmt: skip
    return [document.encode() for document in documents]


READERS = {
    "configuration": Reader(
        _good_settings,
        lambda path, _: read_configuration([str(path)]),
        (damaged, in_yaml, in_yaml),
        _laughter,
        told=("stranger", "The configuration "),
    ),
    "checksum": Reader(_sidecar, _read_sidecar, bombs=texts, told=("data.sha256",)),
    "memory of checksums": Reader(_memory, _read_memory, (damaged, in_json), texts),
}
