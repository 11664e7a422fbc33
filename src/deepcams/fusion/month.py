"""Fuse a period: a field for each time step of what stations measured, and how far away the nearest of them is."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from deepcams.config.digest import digest
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding, read_layout
from deepcams.fusion.cells import Cells, spread
from deepcams.fusion.distance import distance_to_station
from deepcams.fusion.fused_attributes import INNOVATIONS, OBSERVATIONS, Fusion
from deepcams.fusion.gather import Gathered, GatherSettings, backgrounds
from deepcams.fusion.observations import Observations, cells_at
from deepcams.fusion.product import write_fused
from deepcams.geography.covariates import covariates
from deepcams.grid.nodes import Grid
from deepcams.models.checkpoint import built, read
from deepcams.models.fusion_frames import FusionFrames
from deepcams.pollutants import POLLUTANTS
from deepcams.product.attributes import Provenance
from deepcams.progress import progress
from deepcams.sources.checks import some

BACKGROUNDS = {  # in words, for the files
    "product": "downscaled reanalysis",
    "climatology": "mean of GEOS-CF by calendar month",
}
_log = logging.getLogger(__name__)
BLOCKS = {"daily": 32, "hourly": 24}  # time steps whose backgrounds are in memory together: whole chunks of the file


def network_of(model: str | Path, precision: str = "float32") -> FusionFrames:
    """The network of a model file. Raises DeepcamsError if it is none for fusion."""
    return built(read(model, "fusion"), precision)


def estimate(
    network: FusionFrames,
    static: np.ndarray,
    grid: Grid,
    known: Cells,
    others: Mapping[str, Cells],
    background: np.ndarray | None,
) -> np.ndarray:
    """The field of one time step: (H, W) float32, ug m-3; see `FusionFrames.estimate`."""
    fields = {name: spread(cells, grid.shape) for name, cells in others.items()}
    return network.estimate(spread(known, grid.shape), fields, static, grid, background)


def others_at(others: Mapping[str, Observations], step: int) -> dict[str, Cells]:
    """What was observed beside the pollutant at a time step."""
    return {name: cells_at(observed, step) for name, observed in others.items()}


def fuse(
    out: str | Path,
    gathered: Gathered,
    model: str | Path,
    background_paths: Sequence[str | Path],
    settings: GatherSettings,
    *,
    sources: Sequence[str | Path],
    encoding: Encoding | None = None,
    precision: str = "float32",
    threads: int = 2,
) -> None:
    """Write the fused fields of all times of `gathered` to `out`.

    background_paths : months of the product, or the climatology, as the network was trained for.   sources : the files
    that all of it came from, whose checksums the file states.
    Raises DeepcamsError if the network is for another pollutant or background, or real and synthetic data are mixed.
    """
    found = read(model, "fusion")
    network = built(found, precision)
    pollutant = settings.quality.pollutant
    learnt = found.provenance.get("pollutant", pollutant.name)
    if learnt != pollutant.name:
        raise DeepcamsError(f"{model} has learnt {learnt}, and these stations measure {pollutant.name}.")
    if (network.background == "none") == bool(background_paths):
        needed = (
            "no background" if network.background == "none" else f"a background ({BACKGROUNDS[network.background]})"
        )
        given = "one is given" if background_paths else "none is given"
        raise DeepcamsError(f"{model} works with {needed}, but {given}.")
    if network.background != "none" and gathered.synthetic is not None:
        _require_same_origin(gathered.synthetic, network.background, background_paths, found.provenance)
    static = covariates(network.static, gathered.grid)
    field_of = _fields(network, static, gathered, background_paths, settings)
    cells = [cells_at(gathered.observed, step) for step in range(len(gathered.times))]
    steps = iter(
        progress(range(len(gathered.times)), f"fuse {Path(out).name}", "days" if settings.step == "daily" else "hours")
    )

    empty: list[str] = []

    def values_of(part: slice) -> tuple[np.ndarray, np.ndarray]:
        fields, distances = (np.empty((part.stop - part.start, *gathered.grid.shape), np.float32) for _ in range(2))
        for place in range(len(fields)):
            step = next(steps)
            fields[place] = field_of(step)
            if len(cells[step].row) and not np.isfinite(fields[place]).any():
                empty.append(str(gathered.times[step].astype("datetime64[h]")))
            distances[place] = distance_to_station(gathered.grid, cells[step])
        return fields, distances

    networks = {"fusion": f"{found.network}:{sha256(model)[:16]}"}
    write_fused(
        out,
        gathered.times,
        gathered.grid,
        values_of,
        stations=np.array([len(cell.row) for cell in cells], dtype=np.int32),
        fusion=Fusion(
            settings.step,
            OBSERVATIONS if network.background == "none" else INNOVATIONS,
            BACKGROUNDS.get(network.background),
            settings.day,
        ),
        provenance=Provenance(
            sources=_checksums([*sources, *background_paths]),
            networks=networks,
            configuration=digest({**_plain(settings), "networks": networks}),
            synthetic=_label(gathered, found.provenance.get("synthetic"), network.background, background_paths),
            precision={"fusion": network.precision},
        ),
        pollutant=POLLUTANTS[pollutant.name],
        encoding=encoding,
        threads=threads,
    )
    if empty:
        _log.warning(
            "%s: the background has no field at %d of %d times that have stations, so these are missing: %s.",
            out, len(empty), len(cells), some(empty),
        )  # fmt: skip


def _fields(
    network: FusionFrames, static: np.ndarray, gathered: Gathered, paths: Sequence[str | Path], settings: GatherSettings
) -> Callable[[int], np.ndarray]:
    """What gives the field of a time step, asked in order. Backgrounds come in blocks."""
    size = BLOCKS[settings.step]

    def of_block(block: int) -> np.ndarray | None:
        times = gathered.times[block * size : (block + 1) * size]
        return backgrounds(network.background, times, gathered.grid, paths, settings)

    kept = {0: of_block(0)}  # at once, so that its faults come before any work

    def field_of(step: int) -> np.ndarray:
        block = step // size
        if block not in kept:
            kept.clear()
            kept[block] = of_block(block)
        there = None if kept[block] is None else kept[block][step % size]
        known, others = cells_at(gathered.observed, step), others_at(gathered.others, step)
        return estimate(network, static, gathered.grid, known, others, there)

    return field_of


def _label(gathered: Gathered, learnt_from: str | None, kind: str, paths: Sequence[str | Path]) -> str | None:
    """The sentence of a synthetic run; None for real stations, whatever the network has learnt from.

    Without any station that of the background.
    """
    if gathered.synthetic is None and kind == "product":
        return read_layout(paths[0]).global_attributes.get("synthetic")
    if gathered.synthetic:
        return learnt_from or "Stations of a nature run."
    return None


def _require_same_origin(synthetic: bool, kind: str, paths: Sequence[str | Path], learnt: Mapping[str, object]) -> None:
    """Raise DeepcamsError where stations and background are not both real, or both synthetic.

    A climatology is of what its network has learnt from, and does not say so itself.
    """
    for path in paths:
        about = read_layout(path).global_attributes if kind == "product" else learnt
        if bool(about.get("synthetic")) != synthetic:
            told = ("real", "synthetic") if synthetic else ("synthetic", "real")
            raise DeepcamsError(f"{path} is {told[0]} and the stations are {told[1]}. Such data must not be mixed.")


def _checksums(paths: Sequence[str | Path]) -> dict[str, str]:
    """Digests by the names of files, with their folders' where names are the same; a folder's is of what it holds."""
    files = list(dict.fromkeys(map(Path, paths)))
    names = [file.name for file in files]
    digests = {}
    for file in files:
        name = file.name if names.count(file.name) == 1 else f"{file.absolute().parent.name}/{file.name}"
        if file.is_dir():
            inside = [f"{sha256(path)}  {path.relative_to(file)}" for path in sorted(file.rglob("*")) if path.is_file()]
            digests[name] = hashlib.sha256("\n".join(inside).encode()).hexdigest()
        else:
            digests[name] = sha256(file)
    return digests


def _plain(settings: GatherSettings) -> dict:
    quality = {name: value for name, value in vars(settings.quality).items() if name != "pollutant"}
    return json.loads(json.dumps({**vars(settings), "quality": quality}, default=list))
