"""The examples of every step, drawn ahead by worker processes.

Workers are forked. Whatever a task's `draw` holds is then simply there, in no more memory, and nothing of the program
that trains is run anew, as `spawn` would do with a script that does not guard against it (Snakemake's are such). What
makes forks unsafe are threads that hold locks, so `Steps` forks before the training has started any: no arithmetic, no
group of processes and no GPU before it. A worker itself uses one thread, and touches no GPU.
"""

import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from deepcams.errors import DeepcamsError

AHEAD = 4  # steps that each worker draws ahead


class Steps:
    """The examples of steps, in their order: iterate over it once, within `workers_watched`.

    draw : examples, a dataclass of tensors, from a step and the examples' indices.   workers : processes; 0 draws in
    this one.   pinned : in memory that a GPU can copy from at once.
    """

    def __init__(
        self,
        draw: Callable[[int, Iterable[int]], Any],
        steps: Sequence[int],
        indices: Iterable[int],
        *,
        workers: int = 0,
        pinned: bool = False,
    ):
        workers = min(workers, len(steps))
        handler = signal.getsignal(signal.SIGCHLD)
        with warnings.catch_warnings():
            # Python warns of forks beside threads: a bar's or a test's own hold nothing that is used here. Torch warns
            # of more workers than processors, which is for the person who asks for them to know.
            warnings.simplefilter("ignore")
            loader = DataLoader(
                _Drawn(draw, indices),
                batch_size=None,
                sampler=steps,
                num_workers=workers,
                collate_fn=_same,
                pin_memory=pinned,
                prefetch_factor=AHEAD if workers else None,
                multiprocessing_context=multiprocessing.get_context("fork") if workers else None,
                worker_init_fn=_let_the_trainer_tell if workers else None,
                generator=torch.Generator(),  # else it draws from torch's own, which initial weights come from
            )
            self._items = iter(loader)
        if threading.current_thread() is threading.main_thread():
            # Torch raises at whatever line a worker's death is heard of, and again for each child that ends later. Left
            # out, it finds the dead where it waits for them, within seconds.
            signal.signal(signal.SIGCHLD, handler)

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            if isinstance(item, DeepcamsError):
                raise item
            kind, fields = item
            yield kind(**fields)


@contextmanager
def workers_watched() -> Iterator[None]:
    """Tell the death of a worker as one sentence."""
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        # What it was about to hand over may break off before torch has seen that it is dead.
        broken = isinstance(error, ConnectionError | EOFError)
        if not broken and "DataLoader worker" not in str(error):
            raise
        reason = "it exited unexpectedly" if broken else str(error).splitlines()[0].rstrip(". ")
        raise DeepcamsError(
            f"A process that draws training examples died ({reason}), often for lack of memory or of room in /dev/shm. "
            "Run again, which goes on from the state that is kept; with fewer, if it happens again (training.workers, "
            "--workers; 0 for none)."
        ) from error


class _Drawn(Dataset):
    """Examples by step, as what crosses from process to process whole: (class, tensors by name), or an error."""

    def __init__(self, draw: Callable, indices: Iterable[int]):
        self._draw, self._indices = draw, indices

    def __getitem__(self, step: int) -> tuple | DeepcamsError:
        try:
            examples = self._draw(step, self._indices)
        except DeepcamsError as error:
            return error  # raised, torch would bury its message in a traceback
        return type(examples), dict(vars(examples))


def _let_the_trainer_tell(worker: int) -> None:
    """In a worker: no traceback where the training has ended, or was killed, while it took what was drawn for it."""

    def hook(kind, error, trace):
        if not issubclass(kind, ConnectionError | EOFError):
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook


def _same(item: Any) -> Any:
    return item
