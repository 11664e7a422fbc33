"""Where networks run, and with which numbers.

bfloat16 has the range of float32 and three digits. Matrix units (AMX of recent processors, tensor cores) multiply it
several times faster and add in float32. Only convolutions and attention take it; frames, displacements, interpolation
and what is added to it keep float32. A network says by `bfloat16` whether that changed less than the product's rounding
does where it was measured: in the mean square, on a moment of real CAMS (docs/networks.md, Precision).
"""

from contextlib import AbstractContextManager

import torch
from torch import nn

from deepcams.errors import DeepcamsError

PRECISIONS = ("auto", "float32", "bfloat16")


def device() -> torch.device:
    """Where networks run: the GPU, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precise(wanted: str, module: nn.Module) -> str:
    """The type of a network's convolutions: "float32" or "bfloat16".

    wanted : "float32", "bfloat16", or "auto": bfloat16 where the network allows it and the machine is made for it.
    Raises DeepcamsError for another word.
    """
    if wanted not in PRECISIONS:
        raise DeepcamsError(f"Unknown precision {wanted!r}; choose one of {', '.join(PRECISIONS)}.")
    reduced = module.bfloat16 and has_bfloat16() if wanted == "auto" else wanted == "bfloat16"
    return "bfloat16" if reduced else "float32"


def has_bfloat16() -> bool:
    """Whether this machine multiplies matrices of bfloat16 faster than of float32."""
    if device().type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def numbers(precision: str, place: torch.device) -> AbstractContextManager:
    """Convolve and attend with `precision` in this thread, as long as the context lasts."""
    return torch.autocast(place.type, dtype=torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)
