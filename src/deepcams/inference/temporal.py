"""From 3-hourly analyses to hours: analyses pass unchanged, the two hours between them come from a network."""

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Protocol

import numpy as np

from deepcams.calendar import ANALYSIS_STEP, HOUR, is_analysis
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid


class TemporalNetwork(Protocol):
    """What a network for time offers."""

    halo: int  # coarse nodes it looks around a region
    precision: str  # "float32" or "bfloat16": what it computes with

    def between(self, first, last, fractions: tuple[float, ...], grid: Grid, time: np.datetime64) -> np.ndarray:
        """Fields between `first`, at `time`, and `last`, 3 hours later, both (H, W) on `grid`.

        Returns those at `fractions` of the interval: (len(fractions), H, W) float32.
        """


def check_analyses(times: np.ndarray, where: str) -> None:
    """Raise DeepcamsError unless `times` (T,) are consecutive analyses: 3 hours apart, on 00, 03 … 21 UTC."""
    if len(times) < 2:
        raise DeepcamsError(f"{where} holds {len(times)} frame(s); interpolating in time needs at least two.")
    if not is_analysis(times).all():
        raise DeepcamsError(
            f"{where}: analyses are expected at 00, 03 … 21 UTC, found {times[~is_analysis(times)][0]}."
        )
    expected = np.arange(times[0], times[-1] + ANALYSIS_STEP, ANALYSIS_STEP)
    missing = expected[~np.isin(expected, times)]
    if len(missing) or len(times) != len(expected):
        shown = ", ".join(str(t)[:16] for t in missing[:5]) + (" …" if len(missing) > 5 else "")
        raise DeepcamsError(
            f"{where}: {len(missing)} analysis frame(s) are missing or out of order ({shown or 'order'}). "
            "Retrieve the file again; a gap is not filled by inventing fields."
        )


def hourly_fields(
    frames: np.ndarray, times: np.ndarray, hours: np.ndarray, network: TemporalNetwork, grid: Grid
) -> Iterator[np.ndarray]:
    """Yield the field of each of `hours`, in their order.

    frames : (T, H, W) float32 on `grid`, consecutive analyses at `times` (T,).  hours : (N,) instants hh:00, ascending.
    An hour after the last analysis, as the two at the end of the record, is NaN: nothing is extrapolated.
    """
    inner: dict[int, np.ndarray] = {}
    for hour in hours:
        index, step = divmod(int((hour - times[0]) / HOUR), 3)
        if index < 0 or index > len(times) - 1 or (step and index == len(times) - 1):
            yield np.full(frames.shape[1:], np.nan, dtype=np.float32)
        elif step == 0:
            yield frames[index]
        else:
            if index not in inner:
                pair = network.between(frames[index], frames[index + 1], (1 / 3, 2 / 3), grid, times[index])
                inner = {index: np.asarray(pair, dtype=np.float32)}
            yield inner[index][step - 1]


def hourly_block(
    frames: np.ndarray,
    times: np.ndarray,
    hours: np.ndarray,
    network: TemporalNetwork,
    grid: Grid,
    pool: Executor,
    stretches: int,
) -> np.ndarray:
    """The fields of `hours` at once, (N, H, W) float32: as `hourly_fields`, cut into `stretches` that `pool` works on.

    A stretch is of whole intervals: none is computed twice, and a network that carries over what it saw can do so.
    """
    intervals = (hours - times[0]) // ANALYSIS_STEP
    parts = (hours[np.isin(intervals, part)] for part in np.array_split(np.unique(intervals), stretches) if len(part))
    blocks = pool.map(lambda part: np.stack(list(hourly_fields(frames, times, part, network, grid))), parts)
    return np.concatenate(list(blocks))
