"""Random patches of shards: what one update of a network sees.

Every example has random numbers of its own, so that any process can draw any part of a batch. Of a shard that goes
round the globe a patch may begin at any meridian, which is all the augmentation that the corrected recipe has: winds,
days and the grid's cells tell north from south and east from west.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from deepcams.calendar import HALF_HOUR
from deepcams.degrade.operators import margin
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FACTOR, Grid
from deepcams.models.sun import sun
from deepcams.training.domain import MARGIN, Domain, changed, degraded, draw_domain, packed
from deepcams.training.shards import Shard

VALIDATION_SHARE = 0.1  # of each month's hours, its last ones
TRIES = 1000  # patches drawn for one that is complete


@dataclass(frozen=True)
class Drawing:
    """How examples are drawn.

    patch : nodes of an example for time, coarse nodes of one for space, in each direction.   halo : nodes around it.
    hours : shortest and longest interval.   fine : in time, fields at 0.25°.   flips : mirror, rotate and (in time)
    reverse at random, as the published code does.   mixed : degrade each example in a way of its own (see
    `deepcams.training.domain`), else as the shard is.   sun : whether examples for time come with it.
    latitude_weights : whether examples are weighted by area.
    """

    patch: int
    halo: int
    hours: tuple[int, int] = (3, 3)
    fine: bool = False
    flips: bool = False
    mixed: bool = False
    sun: bool = False
    latitude_weights: bool = False

    def __post_init__(self):
        if self.flips and self.latitude_weights:
            raise DeepcamsError(
                "Patches of the published recipe are rotated, so that their rows have no latitude any more. Set "
                "training.latitude_weights to false or null, or the recipe to corrected."
            )


def drawing_of(module, settings: dict) -> Drawing:
    """How examples for a network are drawn, as far as that is the same in time and in space.

    module : with its recipe and halo.   settings : patch, domain ("mixed" or "single") and latitude_weights; where
    these two are not given, mixed and true for the corrected recipe, else single and false.
    """
    corrected, weights = module.recipe == "corrected", settings.get("latitude_weights")
    return Drawing(
        settings["patch"],
        module.halo,
        flips=not corrected,
        mixed=(settings.get("domain") or ("mixed" if corrected else "single")) == "mixed",
        latitude_weights=corrected if weights is None else weights,
    )


@dataclass(frozen=True)
class Intervals:
    """Examples for time, (B, 1, H, W) float32, ug m-3: two frames with their halo, and one between them without.

    fraction : (B,), where between them.   context : (B, 3, H, W), the sun at the middle of each interval; without
    channels where it was not asked for.   weight : (B, 1, h, 1), of the target's rows, 1 on the sphere's average; ones
    if not asked for.
    """

    first: torch.Tensor
    last: torch.Tensor
    target: torch.Tensor
    fraction: torch.Tensor
    context: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True)
class Refinements:
    """Examples for space, float32, ug m-3: coarse (B, 1, H, W) with its halo, fine (B, 1, 3h, 3w) without.

    weight : (B, 1, 3h, 1), as in `Intervals`.
    """

    coarse: torch.Tensor
    fine: torch.Tensor
    weight: torch.Tensor


def generators(seed: int, step: int, indices: Iterable[int]) -> Iterator[np.random.Generator]:
    """The random numbers of each example of a step. Step 0 is that of the held-out examples."""
    return (np.random.default_rng([seed, step, index]) for index in indices)


def draw_intervals(
    shards: Sequence[Shard], randoms: Iterable[np.random.Generator], drawing: Drawing, part: str
) -> Intervals:
    """Draw an example for time from each of the generators.

    part : "training" or "validation" hours. Raises DeepcamsError if the fields are smaller than a patch, or hardly any
    is complete.
    """
    fields = [_complete(_interval, "temporal", shards, random, drawing, part) for random in randoms]
    first, last, target, fraction, context, weight = (_stacked(group) for group in zip(*fields, strict=True))
    return Intervals(first[:, None], last[:, None], target[:, None], fraction, context, weight[:, None])


def draw_refinements(
    shards: Sequence[Shard], randoms: Iterable[np.random.Generator], drawing: Drawing, part: str
) -> Refinements:
    """Draw an example for space from each of the generators. Arguments and errors as in `draw_intervals`."""
    fields = [_complete(_refinement, "spatial", shards, random, drawing, part) for random in randoms]
    return Refinements(*(_stacked(group)[:, None] for group in zip(*fields, strict=True)))


def _stacked(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32, copy=False))


def _complete(
    draw: Callable, stage: str, shards: Sequence[Shard], random: np.random.Generator, drawing: Drawing, part: str
) -> tuple:
    """An example without missing values."""
    for _ in range(TRIES):
        example = draw(shards[random.integers(len(shards))], random, drawing, part)
        if example is not None:
            return example
    raise DeepcamsError(
        f"The training shards hold hardly any complete patch for the {stage} network: too many hours are missing. "
        "Add months, or lower the patch."
    )


def _interval(shard: Shard, random: np.random.Generator, drawing: Drawing, part: str) -> tuple | None:
    """First, last, target, fraction, context and weight; None if a value is missing."""
    grid = shard.fine_grid if drawing.fine else shard.coarse_grid
    rows, columns = _corner(grid, random, drawing, 0 if drawing.fine else _lost(shard, drawing), "temporal")
    hours = int(random.integers(drawing.hours[0], drawing.hours[1] + 1))
    start = _start(shard, random, hours, part, drawing.hours[1])
    if start is None:
        return None
    inner = int(random.integers(1, hours))
    degrading = drawing.mixed and not drawing.fine
    cut = (_around(rows), _around(columns)) if degrading else (rows, columns)
    fields = shard.fine if drawing.fine or degrading else shard.coarse
    frames = _cut(fields, (start, start + inner, start + hours), *cut)
    if not np.isfinite(frames).all():
        return None
    inputs = frames[[0, 2]]
    if drawing.mixed:
        domain = _domain(shard, random)
        frames = changed(frames, domain)
        if degrading:
            frames = degraded(frames, _grid(shard.fine_grid, *cut), domain)
        # Nothing at 0.25° comes out of CAMS's files.
        inputs = packed(frames[[0, 2]], domain) if degrading else frames[[0, 2]]
    fraction = inner / hours
    here = _grid(grid, rows, columns)
    context = (
        sun(shard.times[start] + hours * HALF_HOUR, here.latitude, here.longitude)
        if drawing.sun
        else np.empty((0, *here.shape), np.float32)
    )
    first, last, target = *inputs, _inside(frames[1], drawing.halo)
    if drawing.flips:
        if random.random() < 0.5:
            first, last, fraction = last, first, 1 - fraction
        first, last, target, context = _turned((first, last, target, context), random)
    return first, last, target, fraction, context, _weights(_inside(here.latitude, drawing.halo), drawing)


def _refinement(shard: Shard, random: np.random.Generator, drawing: Drawing, part: str) -> tuple | None:
    """Coarse, fine and weight; None if a value is missing."""
    spare = max(1 - drawing.halo, 0)  # blocks of the outermost nodes are not whole
    rows, columns = _corner(shard.coarse_grid, random, drawing, max(_lost(shard, drawing), spare), "spatial")
    frame = (_start(shard, random, 0, part, 0),)
    if frame == (None,):
        return None
    blocks = _blocks(_inside(rows, drawing.halo)), _blocks(_inside(columns, drawing.halo))
    if drawing.mixed:
        cut = _around(rows), _around(columns)
        (around,) = _cut(shard.fine, frame, *cut)
        if not np.isfinite(around).all():
            return None
        domain = _domain(shard, random)
        around = changed(around, domain)
        coarse = packed(degraded(around, _grid(shard.fine_grid, *cut), domain), domain)
        fine = around[tuple(slice(b.start - c.start, b.stop - c.start) for b, c in zip(blocks, cut, strict=True))]
    else:
        (coarse,), (fine,) = _cut(shard.coarse, frame, rows, columns), _cut(shard.fine, frame, *blocks)
        if not (np.isfinite(coarse).all() and np.isfinite(fine).all()):
            return None
    if drawing.flips:
        coarse, fine = _turned((coarse, fine), random)
    return coarse, fine, _weights(shard.fine_grid.latitude[blocks[0].start : blocks[0].stop], drawing)


def _lost(shard: Shard, drawing: Drawing) -> int:
    """Coarse nodes at an open edge whose degradation lacks support: no example of anything.

    Degraded on their own, patches end at the poles as well, beyond which the field goes on.
    """
    if drawing.mixed:
        return MARGIN
    return 0 if shard.coarse_grid.is_global else margin(shard.operator, **shard.parameters)


def _corner(grid: Grid, random: np.random.Generator, drawing: Drawing, lost: int, stage: str) -> tuple[range, range]:
    """Rows and columns of a random patch with its halo; round a circle it may begin anywhere and go past the end."""
    reach = drawing.patch + 2 * drawing.halo
    height, width = grid.shape
    room = height - 2 * lost - reach, width if grid.is_periodic else width - 2 * lost - reach
    if min(room) < 0:
        usable = height - 2 * lost, width if grid.is_periodic else width - 2 * lost
        raise DeepcamsError(
            f"The training fields have {usable[0]} × {usable[1]} nodes that can be used, too few for patches that need "
            f"{reach} with their halo. Lower {stage}.training.patch (--patch), or enlarge the region."
        )
    top = lost + int(random.integers(room[0] + 1))
    left = int(random.integers(width)) if grid.is_periodic else lost + int(random.integers(room[1] + 1))
    return range(top, top + reach), range(left, left + reach)


def _start(shard: Shard, random: np.random.Generator, hours: int, part: str, longest: int) -> int | None:
    """A frame from which on `hours` more lie in the same part of the month, which holds an interval of `longest`.

    None if the shard has no such part: one whose index says `"held_out": false` is all training.
    """
    if not shard.about.get("held_out", True):
        return int(random.integers(0, shard.own - hours)) if part == "training" else None
    split = shard.own - max(longest + 1, round(VALIDATION_SHARE * shard.own))
    first, stop = (0, split) if part == "training" else (split, shard.own)
    if stop - first <= longest:
        raise DeepcamsError(
            f"A training month has {shard.own} hours, too few to learn from and to validate. Use whole months."
        )
    return int(random.integers(first, stop - hours))


def _blocks(nodes: range) -> range:
    """Fine nodes of the blocks centred on coarse ones."""
    return range(FACTOR * nodes.start - 1, FACTOR * nodes.stop - 1)


def _around(nodes: range) -> range:
    """Fine nodes from which coarse ones can be made: up to the coarse ones `MARGIN` away."""
    return range(FACTOR * (nodes.start - MARGIN), FACTOR * (nodes.stop - 1 + MARGIN) + 1)


def _inside(array, halo: int):
    """Without the halo, in every direction; an array or a range."""
    if not halo:
        return array
    return array[halo:-halo] if isinstance(array, range) else array[(slice(halo, -halo),) * array.ndim]


def _domain(shard: Shard, random: np.random.Generator) -> Domain:
    """The domain of one example; what is known of CAMS's packing is of particulate matter."""
    domain = draw_domain(random)
    return domain if shard.about.get("pollutant", "pm25").startswith("pm") else replace(domain, packing=0.0)


def _grid(grid: Grid, rows: range, columns: range) -> Grid:
    """The nodes of a patch; past the end of a circle, or before its beginning, longitudes go on."""
    longitude = grid.longitude[0] + grid.step * np.arange(columns.start, columns.stop)
    return Grid(grid.latitude[rows.start : rows.stop], longitude, grid.step)


def _weights(latitude: np.ndarray, drawing: Drawing) -> np.ndarray:
    """(h, 1), of the areas of the rows' cells, in such a unit that the mean over all latitudes is 1; or ones."""
    weights = area_weights(latitude) if drawing.latitude_weights else np.ones(len(latitude))
    return weights[:, None]


def area_weights(latitude: np.ndarray) -> np.ndarray:
    """(h,), of the areas of the rows' cells, in such a unit that the mean over all latitudes is 1."""
    return np.cos(np.radians(latitude)) * (np.pi / 2)


def _cut(fields: np.ndarray, frames: Sequence[int], rows: range, columns: range) -> np.ndarray:
    """A patch of each of the frames, (n, h, w), in memory; columns may wrap or begin before the first."""
    fields = np.asarray(fields[:])  # opened once for all of them
    width = fields.shape[-1]
    left = columns.start % width
    right = left + len(columns)
    found = np.empty((len(frames), len(rows), len(columns)), np.float32)
    for cut, frame in zip(found, frames, strict=True):
        band = fields[frame, rows.start : rows.stop]
        whole = min(right, width) - left
        cut[:, :whole] = band[:, left : left + whole]
        cut[:, whole:] = band[:, : max(right - width, 0)]
    return found


def _turned(fields: Sequence[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
    """All of them mirrored or not, and rotated by some quarters, alike."""
    mirror, quarters = random.random() < 0.5, int(random.integers(4))
    return [np.rot90(field[..., ::-1] if mirror else field, quarters, axes=(-2, -1)) for field in fields]
