"""Random patches of shards: what one update of a network sees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from deepcams.calendar import HALF_HOUR
from deepcams.degrade.operators import margin
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FACTOR, Grid
from deepcams.models.sun import sun
from deepcams.training.shards import Shard

VALIDATION_SHARE = 0.1  # of each month's hours, its last ones
TRIES = 100  # patches drawn for one that is complete


@dataclass(frozen=True)
class Drawing:
    """How examples for time are drawn: the right way by default, else as the published code does.

    hours : shortest and longest interval.  flips : mirror, rotate and reverse at random.  fine : fields at 0.25°.
    """

    hours: tuple[int, int] = (3, 3)
    flips: bool = False
    fine: bool = False


@dataclass(frozen=True)
class Intervals:
    """Examples for time, (B, 1, H, W) float32, ug m-3: two frames with their halo, and one between them without.

    fraction : (B,), where between them.   context : (B, 3, H, W), the sun at the middle of each interval.
    """

    first: torch.Tensor
    last: torch.Tensor
    target: torch.Tensor
    fraction: torch.Tensor
    context: torch.Tensor


@dataclass(frozen=True)
class Refinements:
    """Examples for space, float32, ug m-3: coarse (B, 1, H, W) with its halo, fine (B, 1, 3h, 3w) without."""

    coarse: torch.Tensor
    fine: torch.Tensor


def draw_intervals(
    shards: Sequence[Shard], random: np.random.Generator, count: int, patch: int, halo: int, drawing: Drawing, part: str
) -> Intervals:
    """Draw `count` examples for time.

    patch : nodes of the target in each direction.   part : "training" or "validation" hours.
    Raises DeepcamsError if the fields are smaller than a patch, or hardly any is complete.
    """
    found: list[tuple] = []
    for _ in _tries(count, found, "temporal"):
        shard = shards[random.integers(len(shards))]
        fields, grid = (shard.fine, shard.fine_grid) if drawing.fine else (shard.coarse, shard.coarse_grid)
        lost = 0 if drawing.fine else _lost(shard)
        rows, columns = _corner(grid, random, patch + 2 * halo, lost, "temporal")
        hours = int(random.integers(drawing.hours[0], drawing.hours[1] + 1))
        start = _start(shard, random, hours, part, drawing.hours[1])
        inner = int(random.integers(1, hours))
        frames = np.stack([_cut(fields[start + k], rows, columns) for k in (0, inner, hours)])
        if not np.isfinite(frames).all():
            continue
        time = shard.times[start] + hours * HALF_HOUR
        context = sun(time, grid.latitude[rows], grid.longitude[columns])
        fraction = inner / hours
        if drawing.flips:
            frames, fraction = _flipped(frames, fraction, random)
        found.append((*frames[[0, 2]], _inside(frames[1], halo), fraction, context))
    first, last, target, fraction, context = (np.stack(part) for part in zip(*found, strict=True))
    return Intervals(
        *(torch.from_numpy(field[:, None]) for field in (first, last, target)),
        torch.from_numpy(fraction.astype(np.float32)),
        torch.from_numpy(context),
    )


def draw_refinements(
    shards: Sequence[Shard], random: np.random.Generator, count: int, patch: int, halo: int, part: str, *, flips: bool
) -> Refinements:
    """Draw `count` examples for space; patch : coarse nodes refined. Arguments and errors as in `draw_intervals`."""
    found: list[tuple] = []
    for _ in _tries(count, found, "spatial"):
        shard = shards[random.integers(len(shards))]
        spare = max(1 - halo, 0)  # blocks of the outermost nodes are not whole
        rows, columns = _corner(shard.coarse_grid, random, patch + 2 * halo, max(_lost(shard), spare), "spatial")
        frame = _start(shard, random, 0, part, 0)
        coarse = _cut(shard.coarse[frame], rows, columns)
        fine = _cut(shard.fine[frame], _blocks(_inside(rows, halo)), _blocks(_inside(columns, halo)))
        if not (np.isfinite(coarse).all() and np.isfinite(fine).all()):
            continue
        if flips:
            coarse, fine = _turned((coarse, fine), random)
        found.append((coarse, fine))
    return Refinements(*(torch.from_numpy(np.stack(fields)[:, None]) for fields in zip(*found, strict=True)))


def _tries(count: int, found: list, stage: str) -> Iterator[None]:
    for _ in range(TRIES * count):
        if len(found) == count:
            return
        yield
    if len(found) < count:
        raise DeepcamsError(
            f"The training shards hold hardly any complete patch for the {stage} network: too many hours are missing. "
            "Add months, or lower the patch."
        )


def _lost(shard: Shard) -> int:
    """Coarse nodes at an open edge whose degradation lacks support: no example of anything."""
    return 0 if shard.coarse_grid.is_global else margin(shard.operator, **shard.parameters)


def _corner(
    grid: Grid, random: np.random.Generator, reach: int, lost: int, stage: str
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a random patch; round a circle it may begin anywhere."""
    height, width = grid.shape
    room = height - 2 * lost - reach, width if grid.is_periodic else width - 2 * lost - reach
    if min(room) < 0:
        usable = height - 2 * lost, width if grid.is_periodic else width - 2 * lost
        raise DeepcamsError(
            f"The training fields have {usable[0]} × {usable[1]} nodes that can be used, too few for patches that need "
            f"{reach} with their halo. Lower {stage}.training.patch (--patch), or enlarge the region."
        )
    top = lost + random.integers(room[0] + 1)
    left = random.integers(width) if grid.is_periodic else lost + random.integers(room[1] + 1)
    return np.arange(top, top + reach), np.arange(left, left + reach) % width


def _start(shard: Shard, random: np.random.Generator, hours: int, part: str, longest: int) -> int:
    """A frame from which on `hours` more lie in the same part of the month, which holds an interval of `longest`."""
    split = shard.own - max(longest + 1, round(VALIDATION_SHARE * shard.own))
    first, stop = (0, split) if part == "training" else (split, shard.own)
    if stop - first <= longest:
        raise DeepcamsError(
            f"A training month has {shard.own} hours, too few to learn from and to validate. Use whole months."
        )
    return int(random.integers(first, stop - hours))


def _blocks(nodes: np.ndarray) -> np.ndarray:
    """Fine nodes of the blocks centred on coarse ones."""
    return (FACTOR * nodes[:, None] + np.arange(-1, 2)).ravel()


def _inside(array: np.ndarray, halo: int) -> np.ndarray:
    """Without the halo, in every direction."""
    return array[(slice(halo, -halo),) * array.ndim] if halo else array


def _cut(field: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Rows, which follow one another, and columns of a memory map, which may wrap or begin before the first."""
    band = field[rows[0] : rows[-1] + 1]
    if columns[0] >= 0 and columns[-1] - columns[0] == len(columns) - 1:
        return np.array(band[:, columns[0] : columns[-1] + 1])
    return band[:, columns % field.shape[1]]


def _flipped(frames: np.ndarray, fraction: float, random: np.random.Generator) -> tuple[np.ndarray, float]:
    """Reversed in time, mirrored and rotated at random, as in the published code."""
    if random.random() < 0.5:
        frames, fraction = frames[::-1], 1 - fraction
    (turned,) = _turned((frames,), random)
    return turned, fraction


def _turned(fields: tuple[np.ndarray, ...], random: np.random.Generator) -> list[np.ndarray]:
    mirror, quarters = random.random() < 0.5, int(random.integers(4))
    found = [np.rot90(field[..., ::-1] if mirror else field, quarters, axes=(-2, -1)) for field in fields]
    return [np.ascontiguousarray(field) for field in found]
