"""A month of CAMS from 3-hourly to hourly, as a file."""

import json
from pathlib import Path

import numpy as np

from deepcams.calendar import DAY, HOUR, Month
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding, FieldWriter, read_field, read_layout
from deepcams.files.pairs import read_pairs
from deepcams.grid.nodes import from_axes
from deepcams.inference.temporal import check_analyses, hourly_block
from deepcams.inference.workers import frame_workers
from deepcams.models.checkpoint import built, read
from deepcams.pollutants import POLLUTANTS
from deepcams.progress import progress


def downscale_temporal(
    analyses: str | Path,
    model: str | Path,
    month: Month,
    out: str | Path,
    *,
    ends_record: bool,
    precision: str = "float32",
    threads: int = 2,
) -> None:
    """Write the hours of `month` on the grid of `analyses`, lossless.

    analyses : canonical file of the month's CAMS frames and the next day's 00 UTC.  model : a temporal model file.
    ends_record : the record stops with this month; its last two hours may then be missing, else they may not.
    precision : of the network, see `deepcams.models.precision`.
    Raises DeepcamsError if a frame is missing.
    """
    field = read_field(analyses)
    times = field.time.values.astype("datetime64[s]")
    check_analyses(times, str(analyses))
    wanted = month.analyses(with_next=not ends_record)
    if not np.isin(wanted, times).all():
        first = wanted[~np.isin(wanted, times)][0]
        raise DeepcamsError(f"{analyses} does not hold the analysis of {first} UTC. Retrieve the month again.")
    grid = from_axes(field.latitude.values, field.longitude.values)[0]
    found = read(model, "temporal")
    network = built(found, precision)
    hours = month.hours()
    frames = field.values
    pollutant = POLLUTANTS[str(field.name)]
    attributes = {
        "units": pollutant.units,
        "long_name": f"surface {pollutant.label} of CAMS EAC4, interpolated to hours",
        "cell_methods": "time: point",
    }
    if "synthetic" in field.attrs:
        attributes["synthetic"] = field.attrs["synthetic"]
    sources = {
        "cams": _delivered(analyses),
        "networks": {"temporal": f"{found.network}:{sha256(model)[:16]}"},
        "precision": {"temporal": network.precision},
    }
    writer = FieldWriter(
        out,
        times=hours,
        grid=grid,
        encoding=Encoding(),
        variable=pollutant.name,
        attributes=attributes,
        global_attributes={
            "title": f"Hourly 0.75° surface {pollutant.label}: CAMS EAC4 analyses and the hours between them",
            "last_analysis": str(times[-1]),
            "provenance": json.dumps(sources, sort_keys=True),
        },
    )
    day = int(DAY / HOUR)
    with writer, frame_workers(threads) as pool:
        for start in progress(
            range(0, len(hours), day),
            f"downscale {month} in time",
            "hours",
            size=lambda start: len(hours[start : start + day]),
        ):
            wanted = hours[start : start + day]
            writer.write(start, hourly_block(frames, times, wanted, network, grid, pool, threads))


def _delivered(analyses: str | Path) -> dict[str, str]:
    """File name → SHA-256 of what a month of analyses was read from, as it says itself; else of its own file."""
    said = read_layout(analyses).global_attributes.get("source_files")
    if said is None:
        return {Path(analyses).name: sha256(analyses)}
    return {name: digest.removeprefix("sha256:") for name, digest in read_pairs(said).items()}
