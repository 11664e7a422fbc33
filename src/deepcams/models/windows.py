"""Cutting a line of nodes into windows that overlap, with weights that add up to one."""

from dataclasses import dataclass

import numpy as np

from deepcams.grid.nodes import FACTOR


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a line: coarse nodes, the fine ones of their blocks (indices), and each fine one's weight."""

    coarse: np.ndarray
    fine: np.ndarray
    weight: np.ndarray


def windows(size: int, window: int, overlap: int, *, wraps: bool = False, tapered: bool = True) -> list[Window]:
    """Cover `size` coarse nodes by windows of `window` that share `overlap` nodes or more with each neighbour.

    wraps : the line is a circle, and the windows go round it at even distances.   tapered : windows fade into one
    another across what they share, so that no seam is left; else all count the same where they overlap, and the last
    one is moved back to end with the line, as in the published code (windows of 120 nodes begin at 0, 120 and 121 of
    241 rows). Raises ValueError if windows would share all they have.
    """
    if not 0 <= overlap < window:
        raise ValueError(f"windows of {window} nodes cannot share {overlap}")
    window = min(window, size)
    overlap = min(overlap, window - 1)
    step = window - overlap
    if wraps:
        count = -(-size // step)
        starts = [round(k * size / count) for k in range(count)]
    else:
        last = size - window
        count = 1 + -(-last // step)
        starts = [round(k * last / max(1, count - 1)) if tapered else min(k * step, last) for k in range(count)]
    parts, total = [], np.zeros(FACTOR * size)
    for k, start in enumerate(starts):
        coarse = np.arange(start, start + window) % size
        fine = np.arange(FACTOR * start, FACTOR * (start + window)) % (FACTOR * size)
        # Nothing takes over at the ends of a line.
        height = _heights(window, overlap if tapered else 0, rises=wraps or k > 0, falls=wraps or k < count - 1)
        total[fine] += height
        parts.append((coarse, fine, height))
    return [Window(coarse, fine, height / total[fine]) for coarse, fine, height in parts]


def _heights(window: int, overlap: int, *, rises: bool, falls: bool) -> np.ndarray:
    """From 0 to 1 and back across what a window shares at either end: (3 window,).

    Only across the middle half of that: the outer quarter counts nothing, as a network lacks what is around it there.
    """
    places = np.arange(FACTOR * window) + 0.5
    open_end = np.full_like(places, np.inf)
    inside = np.minimum(places if rises else open_end, places[::-1] if falls else open_end)
    return np.clip(inside / (FACTOR * overlap / 2) - 0.5, 0, 1) if overlap else np.ones_like(places)
