"""Make shards: a month of fine fields beside their degraded companions."""

from pathlib import Path

from deepcams.degrade.operators import degrade
from deepcams.files.netcdf import read_field, read_layout
from deepcams.grid.blocks import coarse_within
from deepcams.grid.nodes import from_axes, refine
from deepcams.progress import progress
from deepcams.training.shards import ShardWriter

FRAMES = 24  # at a time


def write_shard(fields: str | Path, index: str | Path, degradation: dict) -> None:
    """Degrade the frames of a canonical GEOS-CF month and write both as the shard whose index is `index`.

    degradation : operator and sigma (fine cells, for `gaussian`). A missing hour is NaN in both arrays.
    """
    field = read_field(fields)
    outer = from_axes(field.latitude.values, field.longitude.values)[0]
    coarse_grid, rows, columns = coarse_within(outer)
    fine_grid = refine(coarse_grid)
    times = field.time.values.astype("datetime64[s]")
    about = {"operator": degradation["operator"], "sigma": degradation["sigma"], "source": Path(fields).name}
    about |= {key: field.attrs[key] for key in ("cell_methods", "synthetic") if key in field.attrs}
    whole = read_layout(fields).global_attributes
    about |= {key: whole[key] for key in ("collection",) if key in whole}
    parameters = {"sigma": degradation["sigma"]} if degradation["operator"] == "gaussian" else {}
    with ShardWriter(Path(index).parent, times, fine_grid, coarse_grid, about) as shard:
        for start in progress(range(0, len(times), FRAMES), f"degrade {Path(fields).name}", "days"):
            fine = field[start : start + FRAMES, rows, columns].values
            shard.write(start, fine, degrade(fine, fine_grid, degradation["operator"], **parameters))
