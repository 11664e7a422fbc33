"""Hostile variants of good files: seeded, so that a case is known by its reader and its number.

Some damage bytes as disks and networks do; others keep a container whole (gzip, zip, JSON, NetCDF) and damage what is
in it, so that what lies behind the container's own checks is reached too.
"""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

Random = np.random.Generator
HTML = b"<!DOCTYPE html><html><head><title>Login</title></head><body>Please log in</body></html>"
TEXTS = (
    "", " ", "nan", "inf", "-1", "0", "1e999", "99999999999999999999999", "9" * 5000, "\0", "\x1b[2J\x1b]0;x\x07",
    "\u202e",
    "../../../tmp/x", "/etc/passwd", "<script>alert(1)</script>", "$\\frac{", '"', "'; --", "=cmd()", "a" * 70_000,
    "{year}", "%s%n", "2018-02-30T25:61:00Z", "0000-00-00", "hours since", "months since 0000-00-00", "\ud7ff",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64, 10**30, 1e308, -0.0, 0.1)


def damaged(content: bytes, random: Random, others: list[bytes]) -> bytes:
    """Bytes as a broken disk, a cut transfer, or somebody with a hex editor leaves them; one to three damages."""
    for _ in range(int(random.integers(1, 4))):
        content = _DAMAGES[random.integers(len(_DAMAGES))](content, random, others)
    return content


def _flipped(content: bytes, random: Random, _) -> bytes:
    changed = bytearray(content)
    ends = random.integers(3)  # metadata stand at the begin in most formats, directories at the end
    for _ in range(int(random.integers(1, 17)) if changed else 0):
        size = len(changed) if ends == 0 else min(len(changed), 4096)
        at = int(random.integers(size))
        changed[-1 - at if ends == 2 else at] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _cut(content: bytes, random: Random, _) -> bytes:
    return content[: int(random.integers(len(content) + 1))]


def _part(content: bytes, random: Random) -> tuple[int, int]:
    begin = int(random.integers(len(content) + 1))
    return begin, min(len(content), begin + int(2 ** random.uniform(0, 12)))


def _removed(content: bytes, random: Random, _) -> bytes:
    begin, end = _part(content, random)
    return content[:begin] + content[end:]


def _doubled(content: bytes, random: Random, _) -> bytes:
    begin, end = _part(content, random)
    return content[:end] + content[begin:]


def _swapped(content: bytes, random: Random, _) -> bytes:
    (a, b), (c, d) = sorted((_part(content, random), _part(content, random)))
    c, d = max(b, c), max(b, d)
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _spliced(content: bytes, random: Random, others: list[bytes]) -> bytes:
    other = others[random.integers(len(others))]
    begin, end = _part(other, random)
    at, end_here = _part(content, random)
    return content[:at] + other[begin:end] + content[end_here if random.random() < 0.5 else at :]


def _filled(content: bytes, random: Random, _) -> bytes:
    begin, end = _part(content, random)
    return content[:begin] + bytes([random.choice([0, 255, 65])]) * (end - begin) + content[end:]


def _inflated(content: bytes, random: Random, _) -> bytes:
    """A length, a count or an offset becomes large, in whatever order of bytes."""
    if len(content) < 8:
        return content
    size = int(random.choice([1, 2, 4, 8]))
    at = int(random.integers(min(len(content), 2048) if random.random() < 0.7 else len(content)))
    value = (2 ** (8 * size) - 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 2), 2 ** (4 * size))[random.integers(4)]
    return content[:at] + value.to_bytes(size, "little" if random.random() < 0.5 else "big") + content[at + size :]


def _written(content: bytes, random: Random, _) -> bytes:
    """A word or a number of a text becomes another one."""
    words = [found.span() for found in re.finditer(rb"[\w.+-]+", content[:100_000])]
    if not words:
        return content
    begin, end = words[random.integers(len(words))]
    return content[:begin] + TEXTS[random.integers(len(TEXTS))].encode("utf-8", "replace") + content[end:]


def _page(content: bytes, random: Random, _) -> bytes:
    return HTML + content[: int(random.integers(len(content) + 1))]


_DAMAGES = (_flipped, _flipped, _cut, _removed, _doubled, _swapped, _spliced, _filled, _inflated, _inflated, _written)


def in_gzip(content: bytes, random: Random, others: list[bytes]) -> bytes:
    """What is compressed is damaged, and compressed again."""
    return gzip.compress(damaged(gzip.decompress(content), random, others), 1, mtime=0)


def in_zip(content: bytes, random: Random, others: list[bytes]) -> bytes:
    """A whole archive with members damaged, doubled, renamed, linked, hidden, or said to be larger than they are."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(item.filename, archive.read(item)) for item in archive.infolist()]
    at = int(random.integers(len(members)))
    name, data = members[at]
    kind = int(random.integers(6))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        if kind == 0:
            members[at] = name, damaged(data, random, others)
        elif kind == 1:
            members.append((name.upper() if random.random() < 0.5 else f"more/{name}", data))
        elif kind == 2:
            names = [
                "../../" + name,
                f"{Path.cwd().parent}/{name}",
                "\x1b[2J",
                "x/",
                "a" * 4000,
            ]  # two leave the folder
            members[at] = str(random.choice(names)), data
        elif kind == 3:  # a symbolic link in place of the file
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            members[at] = link, b"/etc/passwd"
        for item, inside in members:
            archive.writestr(item, inside)
        if kind == 4:
            archive.comment = b"x" * int(random.integers(1, 65_000))
    whole = bytearray(packed.getvalue())
    if kind == 5:  # other sizes and methods in the directory than there are
        place = whole.rfind(b"PK\x01\x02")
        field = place + int(random.choice([8, 10, 16, 20, 24, 28, 42]))
        whole[field : field + 4] = int(random.choice([0, 1, 2**31, 2**32 - 1])).to_bytes(4, "little")
    return bytes(whole)


def in_json(content: bytes, random: Random, _) -> bytes:
    """A whole document with entries of other kinds, missing, doubled, or nested without end."""
    document = json.loads(content)
    for _ in range(int(random.integers(1, 4))):
        document = _changed_node(document, random)
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def odd(random: Random) -> object:
    """Any value that JSON and YAML can hold, where another one was expected."""
    choices = (None, True, [], {}, [[]], {"a": {}}, [None], TEXTS[random.integers(len(TEXTS))])
    number = NUMBERS[random.integers(len(NUMBERS))]
    return number if random.random() < 0.4 else choices[random.integers(len(choices))]


def _changed_node(document: object, random: Random) -> object:
    if not isinstance(document, dict | list) or not document or random.random() < 0.1:
        return odd(random)
    if isinstance(document, list):
        at = int(random.integers(len(document)))
        if random.random() < 0.15:
            return document[:at] + document[at + 1 :]
        return [*document[:at], _changed_node(document[at], random), *document[at + 1 :]]
    key = list(document)[random.integers(len(document))]
    rest = {name: value for name, value in document.items() if name != key}
    if random.random() < 0.15:
        return rest
    if random.random() < 0.1:
        return rest | {TEXTS[random.integers(len(TEXTS))]: document[key]}
    return {name: _changed_node(value, random) if name == key else value for name, value in document.items()}


def in_hdf5(content: bytes, random: Random, _) -> bytes:
    """A whole HDF5 file whose variables, attributes and values are others than expected; one to three changes."""
    packed = io.BytesIO(content)
    with h5py.File(packed, "r+") as file:
        for _ in range(int(random.integers(1, 4))):
            names = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
            name = names[random.integers(len(names))]
            try:
                _CHANGES[random.integers(len(_CHANGES))](file, name, random)
            except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, AttributeError):
                continue  # the library refuses to write some of it, and an earlier change may have made a group of it
    return packed.getvalue()


def _other_attribute(file: h5py.File, name: str, random: Random) -> None:
    item = file[name] if random.random() < 0.9 else file
    known = [key for key in item.attrs if key not in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME")]
    key = str(random.choice([*known, "units", "calendar", "scale_factor", "_FillValue", "standard_name", "bounds"]))
    values = (
        np.array([1.0, 2.0]),
        np.array([], dtype="f8"),
        np.bytes_(b"\xff\xfe"),
        np.float64(np.nan),
        h5py.Empty("f4"),
    )
    value = values[random.integers(len(values))] if random.random() < 0.4 else odd(random)
    item.attrs[key] = value if isinstance(value, str | np.generic | np.ndarray | h5py.Empty) else float(bool(value))
    if isinstance(value, int | float) and abs(value) < 2**63:
        item.attrs[key] = value


def _without_attribute(file: h5py.File, name: str, random: Random) -> None:
    keys = list(file[name].attrs)
    del file[name].attrs[keys[random.integers(len(keys))]]


def _other_values(file: h5py.File, name: str, random: Random) -> None:
    item = file[name]
    value = float(random.choice([np.nan, np.inf, -np.inf, 0.0, 1e300, -1e300, 2.0**62, -(2.0**62), 1e15, 1e6, -1e9]))
    at = tuple(int(random.integers(size)) for size in item.shape) if random.random() < 0.5 else ...
    item[at] = value if item.dtype.kind == "f" else int(np.clip(np.nan_to_num(value), -(2**31), 2**31 - 1))


def _longer(file: h5py.File, name: str, random: Random) -> None:
    """A dimension of many more steps than are stored; chunks that are not there read as fill values."""
    item = file[name]
    sizes = list(item.shape)
    sizes[int(random.integers(len(sizes)))] = int(random.choice([0, 1, 2**16, 2**33, 2**52]))
    item.resize(sizes)


def _another(file: h5py.File, name: str, random: Random) -> None:
    """Another variable in its place: of other type, shape or layout."""
    attributes = {key: value for key, value in file[name].attrs.items() if key == "units"}
    shape, at = file[name].shape, int(random.integers(7))
    del file[name]
    if at == 0:
        made = file.create_dataset(name, (2**20, 2**20, 2**20), "f4", chunks=(1, 64, 64), compression="gzip")
    elif at == 1:
        made = file.create_dataset(name, data=np.array(["text"] * max(1, int(np.prod(shape[:1]))), dtype="S4"))
    elif at == 2:
        made = file.create_dataset(name, shape[::-1], "f8")
    elif at == 3:
        made = file.create_group(name)
    elif at == 4:
        made = file.create_dataset(name, shape, np.dtype([("a", "f4"), ("b", "i2")]))
    elif at == 5:
        made = file.create_dataset(name, shape, h5py.special_dtype(vlen=str))
    else:
        made = file.create_dataset(name, (), "i8")
    for key, value in attributes.items():
        made.attrs[key] = value


def _renamed(file: h5py.File, name: str, random: Random) -> None:
    file.move(name, str(random.choice(["x", "latitude2", "../up", "\x1b[2J", "a" * 300])))


def _linked(file: h5py.File, name: str, random: Random) -> None:
    """A link out of the file, or to itself."""
    del file[name]
    file[name] = h5py.ExternalLink("/etc/passwd", "/x") if random.random() < 0.5 else h5py.SoftLink(f"/{name}")


_CHANGES: tuple[Callable, ...] = (
    _other_attribute, _other_attribute, _without_attribute, _other_values, _other_values, _longer, _another, _renamed,
    _linked,
)  # fmt: skip
