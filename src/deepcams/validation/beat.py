"""Whether a field beats with the analyses: more fine detail in the hours that were analysed than between them.

What is interpolated in time from two analyses is smoother than either, the more so the finer the detail and the faster
it moves. A field that was made so has more variance at 00, 03 … 21 UTC than at the other hours. A true one has not:
what goes round once a day, or a few times, cancels, because the analyses are spread evenly over it.

Fine detail is what the discrete Laplacian of neighbouring nodes leaves. Its variance is taken in boxes of 5°, as a
logarithm: so each box tells by what factor its variance changes within a day, and the median of the boxes (by area) is
taken: no fire or city rules the globe, however it flickers.
"""

import math

import numpy as np
import pandas as pd

from deepcams.calendar import ANALYSIS_STEP, HOUR
from deepcams.validation.axes import Axes, row_areas
from deepcams.validation.bootstrap import block_length, expanded_interval, resampled_sums

BOX = 5.0  # degrees
FEWEST_HOURS = 12  # of a day to be used
ANALYSES = range(0, 24, ANALYSIS_STEP // HOUR)  # UTC


class Beat:
    """Fine-scale variance by hour of the day, from a stream of hourly fields in order of time."""

    def __init__(self, grid: Axes):
        size = max(2, round(BOX / grid.steps[0]))
        self._shape = grid.shape
        self._starts = [np.arange(0, max(length - 2, 0), size) for length in grid.shape]
        self._weights = np.add.reduceat(row_areas(grid)[1:-1], self._starts[0])[:, None]
        self._cells = self._boxes(np.ones([length - 2 for length in grid.shape]))
        self._day: np.datetime64 | None = None
        self._hours: list[int] = []
        self._logarithms: list[np.ndarray] = []
        self._days: list[tuple[float, np.ndarray]] = []  # log ratio; (24,) log variance less the day's mean, or NaN

    def add(self, time: np.datetime64, field: np.ndarray) -> None:
        """Add the field (H, W), floats, of an hour UTC.

        One with nothing but missing values is left out, and so is one of an hour that was added already.
        Raises ValueError if it is not of the grid's shape, or of a day before the last one.
        """
        if np.shape(field) != self._shape:
            raise ValueError(f"a field of {np.shape(field)} is not on the grid of {self._shape}")
        time = np.datetime64(time, "s")
        day = time.astype("datetime64[D]")
        if self._day is not None and day < self._day:
            raise ValueError(f"{time} comes after a field of {self._day}")
        logarithm = self._log_variance(np.asarray(field))
        known = bool(np.isfinite(logarithm).any())
        hour = int((time - day) // HOUR)
        if day != self._day:
            is_next = known and hour == 0 and self._day is not None and day == self._day + 1
            self._finish(logarithm if is_next else None)
            self._day = day
        if known and hour not in self._hours:
            self._hours.append(hour)
            self._logarithms.append(logarithm)

    def result(self) -> tuple[dict[str, float | int], pd.DataFrame]:
        """The test and the table behind it.

        Returns ({ratio: variance at analysis hours over that at the hours between, medians over boxes, geometric means
        over hours and days; low, high: its 95 % interval from a circular block bootstrap of days, NaN for fewer than 6;
        days}, rows hour (0-23), variance (relative to the day's mean, NaN for an hour that never was)). 1 is no beat.
        """
        self._finish()
        ratio, low, high, count = math.nan, math.nan, math.nan, len(self._days)
        of_days = np.array([of_day for of_day, _ in self._days])
        if count:
            ratio = math.exp(of_days.mean())
        block = block_length(count)
        drawn = resampled_sums(of_days[None], block=block)
        if drawn is not None:
            low, high = map(math.exp, expanded_interval(drawn[0] / count, count / block))
        hours = np.array([of_hours for _, of_hours in self._days]).reshape(-1, 24)
        present = np.isfinite(hours)
        number, total = present.sum(axis=0), np.where(present, hours, 0.0).sum(axis=0)
        mean = np.divide(total, number, out=np.full(24, np.nan), where=number > 0)
        table = pd.DataFrame({"hour": np.arange(24), "variance": np.exp(mean)})
        return {"ratio": ratio, "low": low, "high": high, "days": count}, table

    def _finish(self, midnight: np.ndarray | None = None) -> None:
        """Take the day's hours together, over the boxes that are known in all of them.

        midnight : the next day's first hour. Half of it stands for half of this day's own, so that analyses and the
        hours between lie around the same time on average and a trend cancels; None if it is not known.
        """
        hours, analysed = np.array(self._hours, dtype=int), np.isin(self._hours, ANALYSES)
        if len(hours) >= FEWEST_HOURS and analysed.any() and not analysed.all():
            values = np.stack(self._logarithms)
            ends = values[0] if midnight is None or hours[0] != 0 else (values[0] + midnight) / 2
            complete = np.isfinite(values).all(axis=0) & np.isfinite(ends)
            if complete.any():
                values, ends = values[:, complete], ends[complete]
                weights = np.broadcast_to(self._weights, complete.shape)[complete]
                relative = np.full(24, np.nan)
                relative[hours] = _medians(values - values.mean(axis=0), weights)
                values[0] = ends
                contrast = values[analysed].mean(axis=0) - values[~analysed].mean(axis=0)
                self._days.append((float(_medians(contrast[None], weights)[0]), relative))
        self._hours, self._logarithms = [], []

    def _log_variance(self, field: np.ndarray) -> np.ndarray:
        """Logarithm of the mean square of the Laplacian in each box; not finite where it is zero or unknown."""
        inner = field[1:-1, 1:-1]
        detail = 4 * inner - field[:-2, 1:-1] - field[2:, 1:-1] - field[1:-1, :-2] - field[1:-1, 2:]
        detail *= detail
        valid = np.isfinite(detail)
        number = self._cells
        if not valid.all():
            number = self._boxes(valid)
            detail[~valid] = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(self._boxes(detail) / number)

    def _boxes(self, values: np.ndarray) -> np.ndarray:
        rows = np.add.reduceat(values, self._starts[0], axis=0, dtype=np.float64)
        return np.add.reduceat(rows, self._starts[1], axis=1)


def _medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted median of each row of values (K, N): (K,)."""
    order = np.argsort(values, axis=1)
    passed = np.cumsum(weights[order], axis=1)
    middle = np.argmax(passed >= passed[:, -1:] / 2, axis=1)[:, None]
    return np.take_along_axis(values, np.take_along_axis(order, middle, axis=1), axis=1)[:, 0]
