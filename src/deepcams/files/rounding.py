"""BitRound: keep only the mantissa bits that mean something, so that deflate can remove the rest."""

import numpy as np

from deepcams.version import VERSION

MANTISSA_BITS = 23  # stored bits of a float32's mantissa
_MAGNITUDE = np.uint32(0x7FFFFFFF)
_INFINITY = np.uint32(0x7F800000)
_QUIET_NAN = np.uint32(0x7FC00000)
_PIECE = 1 << 16  # values at a time, which stay in a core's cache


def round_mantissa(values: np.ndarray, bits: int) -> np.ndarray:
    """Round float32 values to `bits` explicit mantissa bits, to nearest and ties to even (Klöwer et al. 2021).

    values : float32 array, any shape, C-contiguous, **changed in place** and returned. The relative error is at most
    2^-(bits+1). Infinities stay, values that would round to infinity stay, and every NaN becomes the one quiet NaN
    0x7FC00000 (payloads would make equal data differ in their bytes). Raises ValueError unless 1 ≤ bits ≤ 23, or if the
    array is not contiguous.
    """
    if not 1 <= bits <= MANTISSA_BITS:
        raise ValueError(f"mantissa bits must be within 1 … {MANTISSA_BITS}, not {bits}")
    drop = MANTISSA_BITS - bits
    if not drop:
        return values
    half = 1 << (drop - 1)
    kept = np.uint32(0xFFFFFFFF & ~((1 << drop) - 1))
    # Above this magnitude lie infinity, NaN and the few finite values that would round to infinity.
    largest = (_INFINITY & kept) - np.uint32(half + 1)
    words = values.reshape(-1, copy=False).view(np.uint32)
    for start in range(0, words.size, _PIECE):
        piece = words[start : start + _PIECE]
        aside = None
        if piece.max() > largest:  # also where there is a negative number
            aside = (piece & _MAGNITUDE) > largest
            special = piece[aside]
        odd = piece >> np.uint32(drop)
        odd &= np.uint32(1)
        odd += np.uint32(half - 1)
        piece += odd
        piece &= kept
        if aside is not None:
            piece[aside] = np.where((special & _MAGNITUDE) > _INFINITY, _QUIET_NAN, special)
    return values


def software() -> str:
    """Name and version of this software, for metadata."""
    return f"deepcams {VERSION}"


def quantization_container() -> dict[str, str]:
    """Attributes of the CF-1.12 quantization container variable (section 8.4.2)."""
    return {"algorithm": "bitround", "implementation": software()}


def quantization_attributes(bits: int) -> dict[str, object]:
    """Attributes of a quantised variable (CF-1.12, section 8.4.2)."""
    return {"quantization": "quantization", "quantization_nsb": np.int32(bits)}
