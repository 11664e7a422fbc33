"""Months, hours and analysis times: who owns which instant, and where the record ends.

All times are UTC, `datetime64[s]`. A CAMS month carries the next day's 00 UTC frame, so that its last interval can be
interpolated without its neighbour; the hour itself belongs to the next month.
"""

import re
from dataclasses import dataclass
from functools import total_ordering

import numpy as np

from deepcams.errors import DeepcamsError

ANALYSIS_STEP = np.timedelta64(3, "h")
HOUR = np.timedelta64(1, "h")
HALF_HOUR = np.timedelta64(30, "m")  # HOUR // 2 is zero: timedelta64 divides in its own unit
DAY = np.timedelta64(24, "h")

# Flags of the product's `time_status` variable.
ANALYSIS, INTERPOLATED, ACROSS_WINDOWS, MISSING = 0, 1, 2, 3
STATUS_MEANINGS = "analysis interpolated interpolated_across_assimilation_windows missing"


@total_ordering
@dataclass(frozen=True)
class Month:
    """A calendar month, written "2015-01"."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Read "YYYY-MM". Raises DeepcamsError for anything else."""
        if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", str(text)):
            raise DeepcamsError(f"{text!r} is not a month; write it as YYYY-MM, for instance 2015-01.")
        year, month = str(text).split("-")
        return cls(int(year), int(month))

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    def __lt__(self, other: "Month") -> bool:
        return (self.year, self.month) < (other.year, other.month)

    def next(self) -> "Month":
        """The month after."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    def previous(self) -> "Month":
        """The month before."""
        return Month(self.year - (self.month == 1), (self.month - 2) % 12 + 1)

    @property
    def start(self) -> np.datetime64:
        """The month's first instant, which also is its first analysis."""
        return np.datetime64(f"{self}-01T00:00:00", "s")

    @property
    def end(self) -> np.datetime64:
        """The next month's first instant."""
        return self.next().start

    @property
    def days(self) -> int:
        """Number of days."""
        return int((self.end - self.start) / DAY)

    def hours(self) -> np.ndarray:
        """Instants hh:00 that belong to the month: (24 × days,)."""
        return np.arange(self.start, self.end, HOUR)

    def mid_hours(self) -> np.ndarray:
        """Centres hh:30 of the hourly means that belong to the month: (24 × days,)."""
        return self.hours() + HALF_HOUR

    def analyses(self, with_next: bool = True) -> np.ndarray:
        """Analysis times 00, 03 … 21 UTC of every day and, `with_next`, the next day's 00: (8 × days + 1,)."""
        stop = self.end + ANALYSIS_STEP if with_next else self.end
        return np.arange(self.start, stop, ANALYSIS_STEP)


def months_between(first: Month, last: Month) -> list[Month]:
    """All months from `first` to `last`, both included."""
    months = []
    while first <= last:
        months.append(first)
        first = first.next()
    return months


def hours_between(first: np.datetime64, last: np.datetime64) -> np.ndarray:
    """Hourly instants from `first` to `last`, both included."""
    return np.arange(first, last + HOUR, HOUR)


def is_analysis(times: np.ndarray) -> np.ndarray:
    """Which instants are 00, 03 … 21 UTC: bool of the shape of `times`."""
    return (times - times.astype("datetime64[D]")) % ANALYSIS_STEP == np.timedelta64(0, "s")


def hour_status(hours: np.ndarray, first: np.datetime64, last: np.datetime64) -> np.ndarray:
    """How each hour of the product came about: (T,) int8, one of the flags above.

    `first`, `last`: the first and the last analysis of the record; hours outside it are missing. EAC4 assimilates in
    12-hour windows that start at 09 and 21 UTC; between 09 and 12 and between 21 and 00 two different windows are
    bridged, and consecutive frames agree less (seen: R 0.87 instead of 0.975).
    """
    hour_of_day = ((hours - hours.astype("datetime64[D]")) / HOUR).astype(int)
    status = np.where(is_analysis(hours), ANALYSIS, INTERPOLATED)
    status[np.isin(hour_of_day, (10, 11, 22, 23))] = ACROSS_WINDOWS
    status[(hours < first) | (hours > last)] = MISSING
    return status.astype(np.int8)


def zone_hours(longitude: np.ndarray) -> np.ndarray:
    """Hours that the clock of each nautical time zone is ahead of UTC: degrees (n,) → (n,) int64 in -12 … 12.

    Of the longitude brought into -180 … 180, so that it does not matter how that is written; 180° itself is -180°.
    """
    wrapped = (np.asarray(longitude, dtype=np.float64) + 180) % 360 - 180
    return np.rint(wrapped / 15).astype(np.int64)
