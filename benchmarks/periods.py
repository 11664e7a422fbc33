"""The month that is measured with, and shorter stretches of one."""

import numpy as np

from deepcams.calendar import ANALYSIS_STEP, HOUR, Month

MONTH = Month(2018, 7)


class Days:
    """The first days of a month, where the whole would take too long; passes for a `Month`."""

    def __init__(self, month: Month, count: int):
        self.start, self.days, self.name = month.start, count, f"{month}, {count} days"

    def hours(self) -> np.ndarray:
        """Instants hh:00."""
        return self.start + np.arange(24 * self.days) * HOUR

    def analyses(self, with_next: bool = True) -> np.ndarray:
        """Analysis times, and the next day's 00 UTC."""
        return self.start + np.arange(8 * self.days + with_next) * ANALYSIS_STEP

    def __str__(self) -> str:
        return self.name
