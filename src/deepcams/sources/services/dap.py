"""DAP2, the protocol of OPeNDAP (NASA ESE-RFC-004.1.1): what a data set holds, and parts of its arrays.

The netCDF library speaks it too, but takes a short answer for a whole one and gives what happens to lie in memory for
the rest. Here every byte is counted.
"""

import math
import re
from dataclasses import dataclass, replace

import numpy as np

_TYPES = {"Float32": ">f4", "Float64": ">f8", "Int32": ">i4", "UInt32": ">u4"}  # as XDR sends them
_DECLARATION = re.compile(r"(\w+)\s+([\w.%-]+)((?:\s*\[[^\]]*\])*)\s*;")
_DIMENSION = re.compile(r"\[\s*(?:([\w.]+)\s*=\s*)?(\d+)\s*\]")
_DATA = re.compile(rb"\r?\nData:\r?\n")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{};,]|[^\s{};,"]+')


@dataclass(frozen=True)
class Array:
    """A declared array: its numbers' type as they are sent, its dimensions' names and their lengths."""

    dtype: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]


def arrays(text: str) -> list[tuple[str, Array]]:
    """The arrays that a description (DDS) declares, in the order they are sent. Raises ValueError for other text."""
    if not text.lstrip().startswith(("Dataset", "dataset")):
        raise ValueError("it is no description of a data set")
    found = []
    for kind, name, brackets in _DECLARATION.findall(text):
        if kind not in _TYPES:
            raise ValueError(f"{name} is of the type {kind}")
        sizes = _DIMENSION.findall(brackets)
        found.append((name, Array(_TYPES[kind], tuple(n for n, _ in sizes), tuple(int(size) for _, size in sizes))))
    return [(name, _named(array, found[index + 1 :])) for index, (name, array) in enumerate(found)]


def _named(array: Array, following: list[tuple[str, Array]]) -> Array:
    """The array with names of its dimensions: where it has none itself, the maps of its grid, which follow it."""
    maps = following[: len(array.shape)]
    if all(array.dimensions) or tuple(shape for _, item in maps for shape in item.shape) != array.shape:
        return array
    return replace(array, dimensions=tuple(name for name, _ in maps))


def attributes(text: str) -> dict[str, dict[str, str]]:
    """Attributes (DAS) as text, by variable; of several values the first."""
    found: dict[str, dict[str, str]] = {}
    names: list[str] = []
    words: list[str] = []
    for token in _TOKEN.findall(text):
        if token == "{":
            names.append(words[-1] if words else "")
            words = []
        elif token == "}":
            names = names[:-1]
        elif token == ";":
            if len(words) >= 3 and names:
                found.setdefault(names[-1], {})[words[1]] = words[2].strip('"')
            words = []
        elif token != ",":
            words.append(token)
    return found


def values(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of an answer (DODS) by name; of a name that is sent twice the first.

    Raises ValueError if the answer is none, or has one byte less or more than its description says.
    """
    mark = _DATA.search(content)
    if mark is None:
        said = " ".join(content[:200].decode("ascii", "replace").split())
        raise ValueError(f"there are no data in it, but {said!r}" if said else "it is empty")
    data, place = content[mark.end() :], 0
    found: dict[str, np.ndarray] = {}
    for name, array in arrays(content[: mark.start()].decode("ascii", "replace")):
        count = math.prod(array.shape)
        if array.shape:  # an array is preceded by its length, twice
            if data[place : place + 8] != count.to_bytes(4, "big") * 2:
                raise ValueError(f"{name} has another length than its description says")
            place += 8
        end = place + count * np.dtype(array.dtype).itemsize
        if end > len(data):
            raise ValueError(f"it ends after {len(data)} bytes of data, in the middle of {name}")
        numbers = np.frombuffer(data[place:end], array.dtype).reshape(array.shape)
        found.setdefault(name, numbers.astype(numbers.dtype.newbyteorder("=")))
        place = end
    if place != len(data):
        raise ValueError(f"it has {len(data) - place} bytes more than its description says")
    return found
