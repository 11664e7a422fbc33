"""Progress of long work: a bar on a terminal, a line now and then in a log."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(
    items: Iterable[T],
    label: str,
    unit: str,
    total: int | None = None,
    *,
    size: Callable[[T], int] | None = None,
    done: int = 0,
) -> Iterator[T]:
    """Yield `items` while telling on standard error how far `label` has come, its rate and the time left.

    total : units, where `items` cannot be counted.   size : units of an item, for instance the hours of a day;
    None: one.
    done : units that an earlier run has done; they do not count for the rate.
    In a log file, where a bar would be one endless line, at most one line every ten seconds is written.
    """
    on_terminal = sys.stderr.isatty()
    if total is None and isinstance(items, Sized):
        total = done + (len(items) if size is None else sum(map(size, items)))
    with tqdm(
        desc=label,
        unit=f" {unit}",
        total=total,
        initial=done,
        file=sys.stderr if on_terminal else _Lines(),
        mininterval=0.2 if on_terminal else 10.0,
        miniters=1,
    ) as bar:
        for item in items:
            yield item
            bar.update(1 if size is None else size(item))


class _Lines:
    """Turns the carriage returns of a bar into lines."""

    def write(self, text: str) -> None:
        text = text.strip("\r\n ")
        if text:
            sys.stderr.write(text + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
