"""Threads that work on frames side by side.

A frame of 0.75° is too small to be shared out among cores operation by operation; whole frames are not. PyTorch and
NumPy leave Python's lock while they compute.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import torch

MOST = 8  # frames at a time, for the memory they take


def cores() -> int:
    """Threads to use where nobody says how many."""
    return torch.get_num_threads()


@contextmanager
def frame_workers(threads: int, *, concurrent: bool = True) -> Iterator[Executor]:
    """A pool that uses `threads` cores: so many frames at a time, but no more than `MOST`, or one if not `concurrent`.

    On a GPU every thread has a stream of its own, so that copies to and fro run beside the computation of other frames.
    """
    count = min(threads, MOST) if concurrent else 1
    own = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(threads // count)
        if torch.cuda.is_available():
            torch.cuda.set_stream(torch.cuda.Stream())

    pool = ThreadPoolExecutor(count, thread_name_prefix="frames", initializer=begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(own)  # what a thread sets, threads to come begin with
