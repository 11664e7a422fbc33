"""The simulation experiment: one job's share of it, a month and either the baselines or one network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.files.atomic import atomic_path
from deepcams.grid.cut import Cut
from deepcams.grid.nodes import Grid, Region, coarse_grid, locate, refine
from deepcams.inference.spatial import SpatialNetwork
from deepcams.inference.temporal import TemporalNetwork
from deepcams.models import pretrained
from deepcams.models.checkpoint import built, read
from deepcams.progress import progress
from deepcams.training.shards import Shard, read_shard
from deepcams.validation.methods import Method, baselines
from deepcams.validation.scores import daily_rows, rows, score

# Coarse nodes around a region that networks for space are given: 6 for them, 4 for closure, 7 for a network for time
# that takes what they made.
HALO_IN_SPACE = 18
OPERATORS = ("block_mean", "imresize", "gaussian", "point")  # bicubic is point by another name
OTHERS_EVERY = 6  # hours between the fields that are degraded by another operator than the configured one
DAY_COLUMNS = ("day", "method", "n", "squared_error", "absolute_error")


def evaluate_month(
    stage: str,
    index: str | Path,
    models: Mapping[str, str | Path],
    out: str | Path,
    *,
    name: str | None = None,
    days: str | Path | None = None,
    region: Region | None = None,
    halo: int = 0,
    closure: str = "none",
    sigma: float = 1.0,
    every: int = 1,
) -> None:
    """Score the baselines, or a network, on a month's shard and write one CSV row a method.

    stage : "temporal", "spatial" or "joint".  models : the network's model files by stage; none: the baselines.
    name : "pretrained" for the networks that come with the package, whatever `models` is; all else is no matter.
    region : what is scored of the shard, which has a halo around it; None: all.  halo : nodes around the region that
    networks for time see, as in the product.  closure : after networks for space.  sigma : of the gaussian operator
    where it is not the shard's.  every : of the intervals between analyses, and in space of the hours, each so many-th
    is scored.  days : where to write the daily sums, CSV rows of step, day (UTC), method, n,
    squared_error, absolute_error, in space also degradation.

    Fields are made from the shard's degraded ones and scored at 0.25°. In time they are interpolated and scored twice:
    at 0.75° on the degraded fields, where networks are trained and used, and at 0.25°, as the paper does; the column
    `step` tells them apart, 0.75° comes first. In space they are also made from fields degraded by each of the other
    operators, four a day; `degradation` tells these apart, the shard's comes first. A pair of networks is scored in
    both orders, time first and, after it, space first. r, rmse and mae are over all pairs of the month; those ending
    in `_mean_of_frames` average the frames' scores, as the paper's tables do.
    """
    shard = read_shard(Path(index).parent)
    month = Path(index).parent.name
    shipped = name == pretrained.WORD
    if shipped:
        models = {part: pretrained.path(part) for part in (("temporal", "spatial") if stage == "joint" else (stage,))}
    methods = _networks(stage, models, closure, shipped) if models else baselines(stage)
    if region is not None:
        methods = _near(methods, region, halo, whole_in_space=not models)
    scores, sums = [], []
    for label, frames, options in _tasks(stage, shard, sigma, every):
        result = score(
            stage,
            progress(shard.fine[frames], f"score {stage} {month}{label}", "hours"),
            shard.fine_grid,
            methods=methods,
            region=(region.north, region.west, region.south, region.east) if region else None,
            times=shard.times[frames],
            **options,
        )
        place = {"step": float(result["step"])}
        if stage == "spatial":
            place["degradation"] = options["operator"]
        scores += [{"month": month, **place, **row} for row in rows(result)]
        sums += [{**place, **row} for row in daily_rows(result)]
    _write(scores, out, "%.6g")
    if days is not None:
        columns = ["step", *(["degradation"] if stage == "spatial" else []), *DAY_COLUMNS]
        _write(sums, days, "%.12g", columns)


def _tasks(stage: str, shard: Shard, sigma: float, every: int) -> Iterator[tuple[str, slice, dict]]:
    """What is scored: a label, frames of the shard, and how they are degraded and thinned out."""
    # In space the next month's first hour would count twice; in time it closes the last interval.
    frames = slice(shard.own if stage == "spatial" else len(shard.times))
    given = {"operator": shard.operator, "parameters": shard.parameters, "coarse": shard.coarse[frames]}
    yield "", frames, {**given, "every": every}
    if stage == "temporal":
        yield " at 0.25°", frames, {"every": every}
    if stage == "spatial":
        for operator in OPERATORS:
            if operator != ("point" if shard.operator == "bicubic" else shard.operator):
                parameters = {"sigma": sigma} if operator == "gaussian" else {}
                options = {"operator": operator, "parameters": parameters, "every": OTHERS_EVERY}
                yield f" after {operator}", frames, options


def _networks(stage: str, models: Mapping[str, str | Path], closure: str, shipped: bool) -> list[Method]:
    """A network, or a pair of them in both orders, as the product runs it."""
    found = {part: read(path, part) for part, path in models.items()}
    networks = {part: built(file) for part, file in found.items()}
    words = {part: pretrained.WORD if shipped else file.network for part, file in found.items()}
    if stage == "temporal":
        return [Method(words["temporal"], **networks)]
    closed = "+closure" if closure != "none" else ""
    if stage == "spatial":
        return [Method(words["spatial"] + closed, **networks, closure=closure)]
    time_first = f"{words['temporal']}+{words['spatial']}{closed}"
    space_first = f"{words['spatial']}{closed}+{words['temporal']}"
    if shipped or time_first == space_first:
        time_first = f"{pretrained.WORD}{closed}" if shipped else time_first
        space_first = f"{time_first}, space first"
    return [
        Method(time_first, **networks, closure=closure),
        Method(space_first, **networks, closure=closure, order="space_first"),
    ]


def _near(methods: list[Method], region: Region, halo: int, *, whole_in_space: bool) -> list[Method]:
    """The methods, run on no more than they need. Each network stays one object, so that its work is shared."""
    around = {"temporal": halo} | ({} if whole_in_space else {"spatial": HALO_IN_SPACE})
    kept: dict[int, NearRegion] = {}

    def near(network, nodes: int):
        return kept.setdefault(id(network), NearRegion(network, region, nodes))

    return [
        replace(
            method,
            **{
                part: near(getattr(method, part), nodes)
                for part, nodes in around.items()
                if getattr(method, part) is not None
            },
        )
        for method in methods
    ]


@dataclass(frozen=True)
class NearRegion:
    """A network that is run on a region and some nodes around it; beyond, where nothing is scored, it gives NaN.

    A shard has a halo for the whole chain, which at 0.25° is three times as many nodes: without this most of the work
    would be done for nothing.   around : nodes, of the grid that it is run on.
    """

    network: TemporalNetwork | SpatialNetwork
    region: Region
    around: int

    @property
    def halo(self) -> int:
        """Nodes that the network looks around a region."""
        return self.network.halo

    def between(self, first, last, fractions, grid, time) -> np.ndarray:
        """As the network for time does."""
        cut = self._cut(grid)
        fields = np.full((len(fractions), *grid.shape), np.nan, dtype=np.float32)
        fields[:, cut.rows, cut.columns] = self.network.between(cut.of(first), cut.of(last), fractions, cut.grid, time)
        return fields

    def refine(self, frames, grid) -> np.ndarray:
        """As the network for space does."""
        cut, fine_grid = self._cut(grid), refine(grid)
        fine = np.full((len(frames), *fine_grid.shape), np.nan, dtype=np.float32)
        rows, columns = locate(refine(cut.grid), fine_grid)
        fine[:, rows, columns] = self.network.refine(cut.of(frames), cut.grid)
        return fine

    def _cut(self, grid: Grid) -> Cut:
        box = coarse_grid(self.region)
        return Cut(box if abs(grid.step - box.step) < 1e-9 else refine(box), grid, self.around)


def _write(entries: list[dict], path: str | Path, form: str, columns: list[str] | None = None) -> None:
    """Rows as CSV; without any (nothing but missing values) those of the heading."""
    with atomic_path(path) as temporary:
        pd.DataFrame(entries, columns=columns).to_csv(temporary, index=False, float_format=form)
