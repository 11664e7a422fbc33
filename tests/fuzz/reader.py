"""What a reader of outside files is, to the fuzzer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.fuzz.mutations import damaged

Way = Callable[[bytes, np.random.Generator, list[bytes]], bytes]


@dataclass(frozen=True)
class Reader:
    """What reads one kind of files.

    good : makes good files in a folder; returns their contents.  read : reads `path`, a variant of good file number
    `which`; of a bomb that of number 0.  ways : in which good files are made hostile.  bombs : contents that are
    hostile as they are.  name : of the file.  told : what a refusal may name, if that is not the file's name: another
    file's that `read` puts the content into, or a server's.  packed : whether it may be a text in gzip, which
    can be without end.  together : files that one process may read.
    """

    good: Callable[[Path], list[bytes]]
    read: Callable[[Path, int], object]
    ways: tuple[Way, ...] = (damaged,)
    bombs: Callable[[], list[bytes]] = list
    name: str = "stranger"  # no word of a sentence, so that it is the file that a sentence with it is about
    told: tuple[str, ...] = ()
    packed: bool = False
    together: int = 100
