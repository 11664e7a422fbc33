"""Progress of long work: a bar on a terminal, a line now and then in a log."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], label: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` while telling on standard error how far `label` has come, its rate and the time left.

    In a log file, where a bar would be one endless line, at most one line every ten seconds is written.
    """
    on_terminal = sys.stderr.isatty()
    yield from tqdm(
        items,
        desc=label,
        unit=f" {unit}",
        total=total,
        file=sys.stderr if on_terminal else _Lines(),
        mininterval=0.2 if on_terminal else 10.0,
    )


class _Lines:
    """Turns the carriage returns of a bar into lines."""

    def write(self, text: str) -> None:
        text = text.strip("\r\n ")
        if text:
            sys.stderr.write(text + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
