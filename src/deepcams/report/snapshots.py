"""The fields at single times that a report shows, read from the product, from CAMS and from a known truth."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.grid.box import busiest_box
from deepcams.grid.nodes import Grid, locate
from deepcams.report.maps import cut, frame_of
from deepcams.report.sequence import Layer
from deepcams.report.style import NAMES
from deepcams.validation.axes import regular_nodes
from deepcams.validation.fields import FieldFile

Source = str | Path | FieldFile
BOX = 145, 205  # nodes of a sequence's box: 36° × 51° at most, so that motion shows


@dataclass(frozen=True)
class Moment:
    """Fields of one time in one box: the product and CAMS, each with its grid, and the truth on the product's."""

    time: np.datetime64
    product: tuple[np.ndarray, Grid]
    cams: tuple[np.ndarray, Grid] | None
    truth: np.ndarray | None


class Snapshots:
    """Fields of the product and, as far as they are there, of CAMS and of the truth.

    product, coarse, truth : paths of the workflow's files, or files of fields that have been opened.
    names : field → label.  time : where to start, an analysis time if there is CAMS; None: in the middle.
    """

    def __init__(
        self,
        product: Source,
        coarse: Source | None,
        truth: Source | None,
        names: dict[str, str],
        time: str | np.datetime64 | None = None,
    ):
        self._sources = product, coarse, truth
        self._names = names
        self._time = None if time is None else np.datetime64(time, "s")

    def layers(self, count: int, *, at_most: bool = False, box: bool = False) -> tuple[np.ndarray, list[Layer]]:
        """`count` times after one another, and CAMS and the product at these; CAMS first.

        at_most : take fewer where there are not as many.  box : only the part with the most structure.
        Raises DeepcamsError if there are not as many times from the one asked for.
        """
        with ExitStack() as stack:
            product, coarse, _ = self._open(stack)
            first, count = self._start(product, coarse, count, at_most)
            times = product.times[first : first + count]
            grid, regular = _regular(product)
            frames = [regular(frame) for frame in product.read(first, first + count)]
            if box:
                rows, columns, grid = busiest_box(frames[0], grid, *BOX)
                frames = [frame[rows, columns] for frame in frames]
            found = [Layer("product", self._names["product"], grid, frames, np.arange(count))]
            if coarse is not None:
                at = np.searchsorted(coarse.times, times, side="right") - 1
                shown, at = np.unique(at, return_inverse=True)
                fields = [_cut(coarse, int(k), grid) for k in shown]
                found.insert(
                    0,
                    Layer(
                        "cams", self._names.get("cams", NAMES["cams"]), fields[0][1], [field for field, _ in fields], at
                    ),
                )
            return times, found

    def moment(self) -> Moment:
        """All fields of the first time, in the box with the most structure."""
        with ExitStack() as stack:
            product, coarse, known = self._open(stack)
            first, _ = self._start(product, coarse, 1, False)
            time = product.times[first]
            whole, regular = _regular(product)
            field = regular(product.read(first, first + 1)[0])
            rows, columns, grid = busiest_box(field, whole)
            cams = None if coarse is None else _cut(coarse, int(coarse.find(np.array([time]))[0]), grid)
            truth = None
            if known is not None and (t := int(known.find(np.array([time]))[0])) >= 0:
                all_rows, all_columns = locate(whole, known.grid)
                truth = known.read(t, t + 1)[0][all_rows][:, all_columns][rows, columns]
            return Moment(time, (field[rows, columns], grid), cams, truth)

    def _open(self, stack: ExitStack) -> list[FieldFile | None]:
        """The files; those that were opened here are closed with the stack."""
        return [
            source if source is None or isinstance(source, FieldFile) else stack.enter_context(FieldFile(source))
            for source in self._sources
        ]

    def _start(self, product: FieldFile, coarse: FieldFile | None, count: int, at_most: bool) -> tuple[int, int]:
        """Index of the product's first frame to show, and how many follow one another from there."""
        for number in range(min(count, len(product.times)) if at_most else count, 0, -1):
            possible = np.arange(max(len(product.times) - number + 1, 0))
            if coarse is not None:
                step = np.diff(coarse.times).min() if len(coarse.times) > 1 else np.timedelta64(1, "s")
                is_known = product.times[possible + number - 1] < coarse.times[-1] + step
                possible = possible[is_known & (coarse.find(product.times[possible]) >= 0)]
            if self._time is not None:
                possible = possible[product.times[possible] == self._time]
            if len(possible):
                return int(possible[len(possible) // 2]), number
            if not at_most:
                break
        files = f"{product.path}" if coarse is None else f"{product.path} and {coarse.path}"
        when = "" if self._time is None else f" from {self._time} on"
        raise DeepcamsError(
            f"{files} have no {count} times in common{when} that begin with an analysis time; "
            "choose an analysis time (00, 03 … 21 UTC) of that month, or fewer hours."
        )


def _regular(file: FieldFile) -> tuple[Grid, Callable[[np.ndarray], np.ndarray]]:
    """A grid with one step for the file's fields, and how to bring them there: nearest nodes, if they are not on it."""
    grid, rows, columns = regular_nodes(file.axes)
    if grid.shape == file.axes.shape and np.array_equal(rows, np.arange(len(rows))):
        return grid, lambda field: field
    return grid, lambda field: field[rows][:, columns]


def _cut(coarse: FieldFile, index: int, grid: Grid) -> tuple[np.ndarray, Grid]:
    """A frame of CAMS, as far as a map of `grid` shows it."""
    of, regular = _regular(coarse)
    return cut(regular(coarse.frame(index)), of, frame_of(grid))
