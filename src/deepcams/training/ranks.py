"""The processes that train one network together, each with its share of every batch.

`torchrun` starts them and tells each, in its environment, which it is: `deepcams.training.launch` for a person who asks
for several, or a person's own call of it. Without that there is one process, and nothing here does anything.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import torch
from torch import distributed, nn

from deepcams.errors import DeepcamsError

PATIENCE = timedelta(hours=2)  # others wait for the first one's validation; a process that dies is noticed at once


@dataclass(frozen=True)
class Ranks:
    """Which process this is.   rank : among all `size`, 0 being the first.   local : among those of this machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def place(self) -> torch.device:
        """Where this process computes. Raises DeepcamsError if there are fewer GPUs than processes."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        if self.local >= torch.cuda.device_count():
            raise DeepcamsError(
                f"Training was to run in {self.local + 1} or more processes on this machine, which has "
                f"{torch.cuda.device_count()} GPU(s): each process needs one of its own. Lower training.processes "
                "(--processes)."
            )
        return torch.device("cuda", self.local)

    def share(self, batch_size: int) -> range:
        """The indices of a joint batch's examples that are this process's.

        Raises DeepcamsError unless every process gets as many, without which the mean over them would not be the
        batch's.
        """
        if batch_size % self.size:
            self.refuse(
                f"A batch of {batch_size} examples cannot be shared out evenly among {self.size} processes. Make "
                "training.batch_size (--batch-size) a multiple of training.processes (--processes)."
            )
        return range(self.rank, batch_size, self.size)

    @contextmanager
    def joined(self, place: torch.device) -> Iterator[None]:
        """Connected with the others, over the network's loopback or between GPUs."""
        if self.size == 1 or distributed.is_initialized():
            yield
            return
        gpu = place.type == "cuda"
        distributed.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE, device_id=place if gpu else None)
        try:
            yield
        finally:
            distributed.destroy_process_group()

    def require_same(self, number: float, place: torch.device, what: str) -> None:
        """Raise DeepcamsError if this process has another number than the first one."""
        first = self.told(number, place)
        if number != first:
            raise DeepcamsError(
                f"For process {self.rank} {what} is {number}, and for the first one {first}. All processes need the "
                "same files: put them on a disk that every machine shares."
            )

    def refuse(self, message: str) -> NoReturn:
        """End all processes with one message, which all of them have to give.

        Raises DeepcamsError in the first one; the others leave without a word.
        """
        if self.rank:
            raise SystemExit(0)
        raise DeepcamsError(message)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of everybody's values; the same bits for all of them."""
        if self.size > 1:
            distributed.all_reduce(values)
            values /= self.size
        return values

    def told(self, number: float, place: torch.device) -> float:
        """What the first process has for `number`."""
        if self.size == 1:
            return number
        value = torch.tensor([number], dtype=torch.float64, device=place)
        distributed.broadcast(value, src=0)
        return value.item()

    def shared(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are means over all processes."""
        if not distributed.is_initialized():
            return module
        return nn.parallel.DistributedDataParallel(module, forward_sync_buffers=False)


def ranks() -> Ranks:
    """Which process this is, from what torchrun has put into the environment."""
    words = [os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
    return Ranks(*map(int, words)) if all(words) else Ranks()
