"""Moments of the test period in a box, for figures as 3 and 4 of Xiao et al. (2022)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.grid.box import busiest_box
from deepcams.grid.cut import Cut
from deepcams.grid.nodes import FACTOR, Grid, Region, coarse_grid, locate, refine
from deepcams.inference.closure import close
from deepcams.inference.spatial import refine_frames
from deepcams.models import spatial_interpolation, temporal_interpolation
from deepcams.models.checkpoint import built, read
from deepcams.training.shards import Shard, read_shard
from deepcams.validation.methods import WINDOW
from deepcams.validation.skill import MAIN_BASELINES


def cut_zoom(
    stage: str,
    indices: Sequence[str | Path],
    model: str | Path,
    out: str | Path,
    *,
    moments: Sequence[str] = (),
    region: Region | None = None,
    halo: int = 0,
    closure: str = "none",
) -> None:
    """Write truth, input, main baseline and network in the box where the truth has most structure, at a few moments.

    stage : "temporal", at 0.25°, or "spatial".  indices : of shards.  moments : "YYYY-MM-DDTHH:MM", each in one of the
    shards and in time between two analyses; those that are not there are left out, and with none left it is the middle
    of the first shard.  region : where the box is looked for; None: all of the shard.  halo : nodes around the box
    that networks see.  closure : after the network for space.  out : .npz as
    `deepcams.report.zoom_figure.read_zoom` wants it.
    Raises DeepcamsError if no field of the first shard is whole.
    """
    shards = [read_shard(Path(index).parent) for index in indices]
    file = read(model, stage)
    network = built(file)
    places = [found for moment in moments if (found := _place(stage, shards, np.datetime64(moment, "s")))]
    places = places or [(shards[0], _middle(stage, shards[0]))]
    cut = _in_time if stage == "temporal" else _in_space
    parts = [cut(shard, index, network, _box(shard, index, region), halo, closure) for shard, index in places]
    name = f"{file.network}+closure" if stage == "spatial" and closure != "none" else file.network
    with atomic_path(out) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(
            stream,
            stage=np.array(stage),
            names=np.array([MAIN_BASELINES[stage], name]),
            **{key: np.stack([part[key] for part in parts]) for key in parts[0]},
        )


def _place(stage: str, shards: Sequence[Shard], moment: np.datetime64) -> tuple[Shard, int] | None:
    """The shard and the frame of a moment; None if there is none, or it is of no use."""
    for shard in shards:
        for index in np.flatnonzero(shard.times[: shard.own] == moment):
            if _is_whole(stage, shard, int(index)):
                return shard, int(index)
    return None


def _middle(stage: str, shard: Shard) -> int:
    """The frame nearest to the middle of the shard that can be shown."""
    middle = shard.own // 2
    for index in sorted(range(shard.own), key=lambda index: abs(index - middle)):
        if _is_whole(stage, shard, index):
            return index
    raise DeepcamsError(f"No field of {shard.times[0].astype('datetime64[M]')} is whole enough for a figure.")


def _is_whole(stage: str, shard: Shard, index: int) -> bool:
    """Whether nothing that a figure needs is missing."""
    if stage == "spatial":
        return bool(np.isfinite(shard.fine[index]).all() and np.isfinite(shard.coarse[index]).all())
    start = index - index % WINDOW
    if start == index or start + WINDOW >= len(shard.times):
        return False
    return all(np.isfinite(shard.fine[frame]).all() for frame in (start, index, start + WINDOW))


def _box(shard: Shard, index: int, region: Region | None) -> Grid:
    """Where the truth has most structure: fine nodes from coarse node to coarse node."""
    grid = shard.fine_grid if region is None else refine(coarse_grid(region))
    rows, columns = locate(grid, shard.fine_grid)
    return busiest_box(np.asarray(shard.fine[index])[rows][:, columns], grid)[2]


def _in_time(shard: Shard, index: int, network, box: Grid, halo: int, closure: str) -> dict[str, np.ndarray]:
    near = Cut(box, shard.fine_grid, halo)
    inside = locate(box, near.grid)
    start = index - index % WINDOW
    ends = [start, start + WINDOW]
    first, last = (near.of(shard.fine[frame]) for frame in ends)
    fraction = ((index - start) / WINDOW,)
    found = {
        "truth": near.of(shard.fine[index]),
        "baseline": temporal_interpolation.linear().between(first, last, fraction)[0],
        "network": network.between(first, last, fraction, near.grid, shard.times[start])[0],
        "input": np.stack([first, last]),
    }
    fields = {key: field[..., inside[0], :][..., inside[1]].astype(np.float32) for key, field in found.items()}
    return {**fields, **_where(shard, index, box), "input_time": shard.times[ends]}


def _in_space(shard: Shard, index: int, network, box: Grid, halo: int, closure: str) -> dict[str, np.ndarray]:
    coarse_box = Grid(box.latitude[::FACTOR], box.longitude[::FACTOR], FACTOR * box.step)
    near = Cut(coarse_box, shard.coarse_grid, halo)
    coarse = near.of(shard.coarse[index])[None]
    rows, columns = locate(box, shard.fine_grid)
    bicubic = close(spatial_interpolation.bicubic().refine(coarse, near.grid), coarse, near.grid, "block_mean")
    inside, inside_coarse = locate(box, refine(near.grid)), locate(coarse_box, near.grid)
    fields = {
        "truth": np.asarray(shard.fine[index])[rows][:, columns],
        "input": coarse[0][inside_coarse[0]][:, inside_coarse[1]],
        "baseline": bicubic[0][inside[0]][:, inside[1]],
        "network": refine_frames(coarse, near.grid, coarse_box, network, closure)[0],
    }
    return {key: field.astype(np.float32) for key, field in fields.items()} | _where(shard, index, box)


def _where(shard: Shard, index: int, box: Grid) -> dict[str, np.ndarray]:
    return {"time": np.array(shard.times[index]), "latitude": box.latitude, "longitude": box.longitude}
