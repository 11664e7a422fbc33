"""Hourly coarse fields to the product: refine, close, round, measure what was written, and write it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from deepcams.config.digest import digest
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.netcdf import Encoding, read_field, read_layout
from deepcams.files.rounding import round_mantissa
from deepcams.grid.blocks import coarsen
from deepcams.grid.nodes import Grid, Region, coarse_grid, from_axes, locate, refine
from deepcams.inference.closure import HALO as CLOSURE_HALO
from deepcams.inference.closure import closure_error
from deepcams.inference.spatial import SpatialNetwork, refine_frames
from deepcams.inference.workers import frame_workers
from deepcams.models.checkpoint import built, read
from deepcams.pollutants import POLLUTANTS
from deepcams.product.attributes import Provenance
from deepcams.product.months import Product, days_of, write_by_days


def downscale_spatial(
    hourly: str | Path,
    model: str | Path,
    out: str | Path,
    *,
    region: Region | None,
    closure: str,
    mantissa_bits: int,
    level: int,
    code: str,
    precision: str = "float32",
    threads: int = 2,
) -> None:
    """Refine a month of hourly 0.75° fields, as `downscale_temporal` wrote it, into a month of the product.

    code : digest of the code, part of what decides whether days that a killed run left behind can be used.
    precision : of the network, see `deepcams.models.precision`.
    Raises DeepcamsError if the fields do not reach as far around the region as network and closure draw on.
    """
    field = read_field(hourly)
    grid = from_axes(field.latitude.values, field.longitude.values)[0]
    found = read(model, "spatial")
    network = built(found, precision)
    network.compile()
    if region is not None:
        require_halo(coarse_grid(region), grid, network, closure)
    hours = field.time.values.astype("datetime64[s]")
    about = read_layout(hourly).global_attributes
    earlier = json.loads(about["provenance"])
    networks = {**earlier["networks"], "spatial": f"{found.network}:{sha256(model)[:16]}"}
    settings = {"closure": closure, "mantissa_bits": mantissa_bits, "region": vars(region) if region else None}
    product = Product(
        grid=refine(coarse_grid(region) if region else grid),
        record=(hours[0], np.datetime64(about["last_analysis"], "s")),
        provenance=Provenance(
            sources=earlier["cams"],
            networks=networks,
            precision={**earlier["precision"], "spatial": network.precision},
            configuration=digest({**settings, "networks": networks}),
            synthetic=field.attrs.get("synthetic"),
        ),
        encoding=Encoding(mantissa_bits=mantissa_bits, level=level),
        pollutant=POLLUTANTS[str(field.name)],
    )

    def coarse_fields(wanted: np.ndarray) -> np.ndarray:
        start = int(np.searchsorted(hours, wanted[0]))
        return field[start : start + len(wanted)].values

    write_product(
        out,
        hours,
        coarse_fields,
        grid,
        network,
        closure,
        product,
        key=digest(
            {
                **settings,
                "level": level,
                "precision": network.precision,
                "code": code,
                "input": sha256(hourly),
                "model": sha256(model),
            }
        ),
        threads=threads,
    )


def write_product(
    out: str | Path,
    hours: np.ndarray,
    coarse_fields: Callable[[np.ndarray], np.ndarray],
    grid: Grid,
    network: SpatialNetwork,
    closure: str,
    product: Product,
    *,
    key: str | None,
    threads: int = 2,
    by_date: bool = True,
) -> None:
    """Write the product's `hours` to `out`, a day at a time.

    coarse_fields : gives the coarse fields (n, H, W) on `grid` of n given hours, ascending from call to call.
    key : digest of everything the numbers depend on, by which a restarted run finds finished days; None: nothing is
    kept for another run.  by_date : whether days are calendar days, as in files that will be joined, or simply 24 hours
    each.
    """
    region = coarsen(product.grid)
    rows, columns = locate(region, grid)

    days = days_of(hours) if by_date else [hours[i : i + 24] for i in range(0, len(hours), 24)]
    with frame_workers(threads, concurrent=network.concurrent) as pool:

        def compute(wanted: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
            coarse = coarse_fields(wanted)
            fine = np.empty((len(coarse), *product.grid.shape), dtype=np.float32)

            def fill(index: int) -> float:
                """Make one fine field; its closure error as it will be written."""
                frame = coarse[index : index + 1]
                fine[index] = refine_frames(frame, grid, region, network, closure)[0]
                if product.encoding.mantissa_bits is not None:
                    round_mantissa(fine[index], product.encoding.mantissa_bits)
                if closure == "none":
                    return 0.0
                return closure_error(fine[index], _checkable(frame[:, rows][:, :, columns], region)[0], region)

            errors = list(pool.map(fill, range(len(coarse))))
            return fine, {} if closure == "none" else {"closure_max_relative_error": max(errors)}

        write_by_days(out, key, days, compute, product, label=f"refine {Path(out).name}", threads=threads)


def require_halo(region: Grid, grid: Grid, network: SpatialNetwork, closure: str) -> None:
    """Raise DeepcamsError if `grid` has too few nodes around `region` for the region to equal the globe's box.

    Nothing is missing beyond a pole, nor east and west of a grid that goes round the globe.
    """
    needed = network.halo + CLOSURE_HALO[closure]
    rows, columns = locate(region, grid)
    sides = {
        "north": rows.start if not grid.has_north_pole else needed,
        "south": grid.shape[0] - rows.stop if not grid.has_south_pole else needed,
        "west": int(columns[0]) if not grid.is_periodic else needed,
        "east": grid.shape[1] - 1 - int(columns[-1]) if not grid.is_periodic else needed,
    }
    side = min(sides, key=sides.__getitem__)
    if sides[side] < needed:
        raise DeepcamsError(
            f"The hourly fields have {sides[side]} coarse nodes {side} of the region where {needed} are needed: "
            f"{network.halo} for the network and {CLOSURE_HALO[closure]} for closure {closure}. Retrieve the analyses "
            "with a larger halo (HALO in deepcams/config/networks.py)."
        )


def _checkable(coarse: np.ndarray, region: Grid) -> np.ndarray:
    """Coarse fields (n, H, W) without the values whose blocks reach beyond the region: those are closed as well, but
    what lies in the file is only part of their block.
    """
    coarse = coarse.copy()
    if not region.is_periodic:
        coarse[:, :, [0, -1]] = np.nan
    if not (region.is_periodic and region.has_north_pole):
        coarse[:, 0] = np.nan
    if not (region.is_periodic and region.has_south_pole):
        coarse[:, -1] = np.nan
    return coarse
