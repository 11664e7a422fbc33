"""The nature run's humidity and wind as a month's file of the workflow (see sources.meteorology_file)."""

from pathlib import Path

import numpy as np

from deepcams.calendar import HALF_HOUR, Month
from deepcams.grid.nodes import Grid
from deepcams.sources.meteorology_file import FIELDS, MonthWriter
from deepcams.sources.nature_run.near_ground import NearGround

MANTISSA_BITS = 7
BLOCK = 24  # hours


class MeteorologyWriter(MonthWriter):
    """Writes hourly means of a month and of the next one's first hour, one after the other."""

    def __init__(self, path: Path, month: Month, grid: Grid, label: str):
        attributes = {
            "Conventions": "CF-1.11",
            "title": f"SYNTHETIC: hourly relative humidity and wind speed of the nature run, {month}",
            "source": f"SYNTHETIC: {label}",
            "synthetic": label,
            "missing_hours": "none",
        }
        times = np.append(month.hours(), month.end) + HALF_HOUR
        super().__init__(path, times, grid, attributes, "SYNTHETIC", MANTISSA_BITS)
        self._block: list[NearGround] = []
        self._written = 0

    def add(self, hour: NearGround) -> None:
        """The next hour."""
        self._block.append(hour)
        stop = self._written + len(self._block)
        if len(self._block) == BLOCK or stop == len(self.times):
            self.write(
                self._written, {name: np.stack([getattr(hour, name) for hour in self._block]) for name in FIELDS}
            )
            self._written, self._block = stop, []
