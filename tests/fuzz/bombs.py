"""Contents that are hostile as they are: larger than they say, without end, of another kind, or code."""

import gzip
import io
import os
import pickle
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.fuzz.mutations import HTML

EXECUTED = "deepcams-fuzz-executed"  # made in the current folder if code in a file is run


class Code:
    """Makes a folder where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (EXECUTED,)


@cache
def texts() -> list[bytes]:
    """In place of a text, compressed or not."""
    deep = b"[" * 200_000
    record = b'{"parameter": "pm25", "a": ' + deep
    return [HTML, b"", bytes(5000), deep, record, gzip.compress(record), b"{" * 9, b"PK", b"\x1f\x8b"]


@cache
def floods() -> list[bytes]:
    """Two gigabytes of text in a file of two megabytes: one line of nothing, one of numbers."""
    megabytes = (bytes(1 << 20), b"0," * (1 << 19))
    return [gzip.compress(content, 9) * 2000 for content in megabytes]


@cache
def starts() -> list[bytes]:
    """In place of a binary file."""
    kinds = (b"CDF\x01", b"CDF\x02", b"GRIB\0\0\0\x02", b"PK\x03\x04", b"PK\x05\x06", b"\x89HDF\r\n\x1a\n", b"\x1f\x8b")
    return [HTML, b"", b"{}", *kinds, *(it + b"\xff" * 500 for it in kinds), *(it + bytes(500) for it in kinds)]


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _stated(content: bytes, size: int) -> bytes:
    """An archive whose directory states another size of its first member."""
    place = content.index(b"PK\x01\x02") + 24
    return content[:place] + size.to_bytes(4, "little") + content[place + 4 :]


def zip_bombs() -> list[bytes]:
    """Archives of much in little, that lie about it, that would leave the current folder, and that need a password."""
    leaving = {f"../{name}": b"CDF\x01" for name in ("data.nc", "../data.nc")}
    leaving[f"{Path.cwd().parent}/absolute.nc"] = b"CDF\x01"
    large = _zip({"data.nc": bytes(64 << 20)})
    secret = bytearray(_zip({"data.nc": b"x"}, zipfile.ZIP_STORED))
    secret[6] |= 1
    secret[secret.index(b"PK\x01\x02") + 8] |= 1
    return [
        large, _stated(large, 3 << 30), _stated(large, 10), _zip({str(n): b"x" for n in range(2000)}),
        _zip(leaving), _zip({"a/": b""}), _zip({}), bytes(secret), _zip({"data.nc": bytes(1000)}, zipfile.ZIP_LZMA),
        _zip({"data.nc": _zip({"data.nc": b"x"})}),
    ]  # fmt: skip


def _npz(**members: bytes) -> bytes:
    return _zip({f"{name}.npy": content for name, content in members.items()})


def _npy(header: str) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@cache
def npz_bombs() -> list[bytes]:
    """Archives of arrays that are objects, or larger than anything."""
    objects = io.BytesIO()
    np.save(objects, np.array([Code()], dtype=object), allow_pickle=True)
    huge = [
        _npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape},)}}")
        for shape in (2**40, -1, "2**9", "9" * 30)
    ]
    names = "months", "fields", "latitude", "longitude", "w/a"
    return [_npz(**dict.fromkeys(names, content)) for content in (objects.getvalue(), *huge, b"")]


def pickles() -> list[bytes]:
    """Pickles that are code, of memory without end, or that hold themselves."""
    within: list = []
    within.append(within)
    million = b"\x80\x02]" + b"q\x00" + b"(h\x00h\x00e" * 10 + b"."
    return [
        pickle.dumps(Code(), protocol=2),
        pickle.dumps(within),
        million,
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"cos\nsystem\n(S'true'\ntR.",
    ]


def executed() -> bool:
    """Whether code was run; forgets it."""
    if not Path(EXECUTED).exists():
        return False
    os.rmdir(EXECUTED)
    return True
