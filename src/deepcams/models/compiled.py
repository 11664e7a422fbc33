"""Networks compiled by TorchInductor, where the machine has what that takes, and as they are where it has not."""

import logging
from collections.abc import Callable

import torch
from torch import nn

LOGGER = logging.getLogger(__name__)


def compiled(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """The module's forward, compiled when it is first called; fields are the same but for rounding.

    Compiling wants a C++ compiler and Python's headers, on a GPU Triton. Where it fails, which is told in one line, the
    module itself runs.
    """
    fast, failed = None, False

    def run(x: torch.Tensor) -> torch.Tensor:
        nonlocal fast, failed
        if failed:
            return module(x)
        try:
            if fast is None:
                fast = torch.compile(module)
            return fast(x)
        except Exception as error:  # whatever a compiler, its headers or a driver may lack
            expected = module(x)  # raises where the fault was not the compiler's
            failed = True
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            LOGGER.warning("%s runs as it is, for it cannot be compiled here (%s)", type(module).__name__, reason)
            return expected

    return run
