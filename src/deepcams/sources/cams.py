"""CAMS EAC4 months as the Atmosphere Data Store delivers them (Inness et al. 2019, doi:10.5194/acp-19-3515-2019).

Four layouts are in circulation: GRIB, that of its converter with and without the settings made for ERA5 (2024 and
later), and the packed netCDF-3 of before. ECMWF: the format "should not be considered stable"; so everything is
checked.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from deepcams.calendar import Month, is_analysis
from deepcams.errors import DeepcamsError
from deepcams.files.checksum import sha256
from deepcams.files.link import link
from deepcams.files.netcdf import Encoding, read_layout
from deepcams.files.pairs import write_pairs
from deepcams.grid.nodes import COARSE_STEP, Grid, from_axes, locate
from deepcams.pollutants import PM25, Pollutant
from deepcams.sources.checks import (
    check_magnitude,
    is_constant,
    magic,
    require_same_origin,
    some,
    time_text,
    typical,
)
from deepcams.sources.delivered import Field, open_field


def read_cams(
    path: str | Path,
    *,
    first: np.datetime64 | None = None,
    last: np.datetime64 | None = None,
    pollutant: Pollutant = PM25,
) -> xr.DataArray:
    """Read a file of the Atmosphere Data Store: NetCDF of any of its layouts, GRIB, or a zip archive around it.

    first, last : read only the frames between, both included; the others are not looked at beyond their times.
    Returns a DataArray of the pollutant's name (time, latitude, longitude) float32, in its units, at least one frame,
    in time order, on the globe or a box of it; missing values NaN. Values below zero are kept: they are noise of GRIB
    packing (PM2.5: step about 0.4 ug m-3), and cutting them off here would bias the mean. A month file of the workflow
    itself is read as well.
    Raises DeepcamsError, naming the file, for everything that is not the 3-hourly pollutant on EAC4's 0.75° nodes.
    """
    names = tuple(dict.fromkeys((*pollutant.cams, pollutant.name)))
    with open_field(path, names, COARSE_STEP, "CAMS EAC4", pollutant) as field:
        _check_times(field)
        order = np.argsort(field.times)
        times = field.times[order]
        wanted = np.ones(len(times), dtype=bool)
        if first is not None:
            wanted &= times >= first
        if last is not None:
            wanted &= times <= last
        order, times = order[wanted], times[wanted]
        values = np.empty((len(times), *field.grid.shape), dtype=np.float32)
        for position, index in enumerate(order):
            values[position] = field.frame(int(index))
        _check_values(values, times, field, pollutant)
        return _array(values, times, field.grid, field.synthetic, pollutant)


def require_frames(array: xr.DataArray, expected: np.ndarray, where: str) -> None:
    """Raise DeepcamsError listing the times of `expected` (T,) that `array` lacks; `where` says where it comes from."""
    missing = np.setdiff1d(np.asarray(expected).astype("datetime64[s]"), _times(array))
    if missing.size:
        raise DeepcamsError(
            f"{where} lacks {missing.size} of {len(expected)} analyses: {some([time_text(t) for t in missing])}. "
            "Fetch the whole month, all eight times of each day (00, 03 … 21 UTC)."
        )


def retrieve_month(
    source: str,
    month: Month,
    *,
    path: str,
    grid: Grid | None = None,
    record_end: bool = False,
    pollutant: Pollutant = PM25,
) -> xr.DataArray:
    """All analyses of a month and the next day's 00 UTC: DataArray (8n + 1, H, W) float32, in the pollutant's units.

    source : local or nature_run; what `services.ads` fetched is local.  path : pattern of the files, with {year} and
    {month} in it.  grid : the coarse box to cut out; None keeps what the file holds.  The last frame comes from the
    next month's file where the month's own file lacks it; it may be missing only if `record_end` says that there is no
    next month (8n frames then).
    Its attribute `source_files` names the files that were read with their SHA-256: "2018-01.nc sha256:…; …".
    Raises DeepcamsError for missing files and frames, and for everything `read_cams` refuses.
    """
    if source not in ("local", "nature_run"):
        raise DeepcamsError(f"cams.source {source!r} does not lie on this disk; allowed here: local, nature_run.")
    file = month_path(path, month)
    if not file.is_file():
        raise DeepcamsError(
            f"There is no CAMS file for {month}: {file} does not exist. Put it there, or correct cams.path "
            f"(now {path})."
        )
    array = _crop(read_cams(file, first=month.start, last=month.end, pollutant=pollutant), grid, file, pollutant)
    require_frames(array, month.analyses(with_next=False), f"{file} ({month})")
    if month.end in _times(array):
        return _signed(array, path, month)
    following = month_path(path, month.next())
    if following.is_file() and following != file:
        extra = read_cams(following, first=month.end, last=month.end, pollutant=pollutant)
        if extra.sizes["time"]:
            require_same_origin({str(file): array.attrs, str(following): extra.attrs})
            array = _append(array, _crop(extra, grid, following, pollutant), following, pollutant)
            return _signed(array, path, month, month.next())
    if record_end:
        return _signed(array, path, month)
    raise DeepcamsError(
        f"{file} ends at {time_text(_times(array)[-1])}, and the analysis of {time_text(month.end)}, which the last "
        f"three hours of {month} need, is not in {following} either. Fetch {month.next()} too, or let cams.last end "
        f"the record with {month}."
    )


def link_month(field: xr.DataArray, month: Month, path: str, out: str | Path) -> bool:
    """Make `out` a link to the month's file if that is already what the workflow would write of `field`.

    field : what `retrieve_month` returned for the same `path`.  True if a link was made; False if the file is another
    layout, grid, encoding or set of frames, and `field` must be written. What is linked was read and checked whole.
    """
    file = month_path(path, month)
    if magic(file) != "hdf5" or file.resolve() == Path(out).resolve():
        return False
    try:
        layout = read_layout(file)
    except DeepcamsError:
        return False
    grid = Grid(field.latitude.values, field.longitude.values, COARSE_STEP)
    same = (
        layout.variable == field.name
        and np.array_equal(layout.times, _times(field))
        and np.array_equal(layout.latitude, grid.latitude)
        and np.array_equal(layout.longitude, grid.longitude)
        and layout.chunk == Encoding().chunk(grid)
        and all(layout.attributes.get(name) == field.attrs[name] for name in ("units", "standard_name", "cell_methods"))
        and layout.global_attributes.get("synthetic") == field.attrs.get("synthetic")
    )
    if same:
        link(file, out)
    return same


def _signed(array: xr.DataArray, path: str, *months: Month) -> xr.DataArray:
    """The array with the attribute `source_files`.

    A file is named from the first folder on that depends on the month, so that no two of a record have one name.
    """
    parts = Path(path).parts
    first = next((index for index, part in enumerate(parts) if "{" in part), len(parts) - 1)
    names = [str(month_path(str(Path(*parts[first:])), month)) for month in months]
    files = [month_path(path, month) for month in months]
    array.attrs["source_files"] = write_pairs(
        {name: f"sha256:{sha256(file)}" for name, file in zip(names, files, strict=True)}
    )
    return array


def month_path(path: str, month: Month) -> Path:
    """The file of a month: `path` with {year} and {month} filled in."""
    return Path(path.format(year=f"{month.year:04d}", month=f"{month.month:02d}"))


# Of the highest plausible median: a few steps of the packing (PM2.5: 2 ug m-3).
CLEAN = 0.002


def _check_times(field: Field) -> None:
    unique, counts = np.unique(field.times, return_counts=True)
    if (counts > 1).any():
        repeated = [time_text(time) for time in unique[counts > 1]]
        raise DeepcamsError(
            f"{field.where}: {some(repeated)} {'is' if len(repeated) == 1 else 'are'} there more than once. "
            "Fetch the file again, or keep one frame of each time."
        )
    odd = unique[~is_analysis(unique)]
    if odd.size:
        raise DeepcamsError(
            f"{field.where}: {some([time_text(time) for time in odd])} UTC "
            f"{'is no analysis time' if odd.size == 1 else 'are no analysis times'} of CAMS EAC4 (00, 03 … 21 UTC). "
            "Fetch the analyses of the reanalysis, not a forecast."
        )


def _check_values(values: np.ndarray, times: np.ndarray, field: Field, pollutant: Pollutant) -> None:
    if len(times) == 0:
        return
    medians = np.array([typical(frame, pollutant) for frame in values])
    if not np.isfinite(medians).any():
        raise DeepcamsError(f"{field.where} holds nothing but missing values. Fetch the file again.")
    constant = np.array([is_constant(frame) for frame in values])
    # The globe is never the same everywhere. A box of clean air is, once packed: it counts as failed only where the
    # frames around it are not clean.
    clean = (
        not field.grid.is_global and not constant.all() and np.median(medians[~constant]) < CLEAN * pollutant.highest
    )
    if constant.any() and not clean:
        shown = some([time_text(time) for time in times[constant]])
        raise DeepcamsError(
            f"{field.where} has the same value everywhere at {shown}; such frames come from failed transfers. "
            "Delete the file and fetch it again."
        )
    check_magnitude(medians, field.units, field.where, pollutant)


def _array(
    values: np.ndarray, times: np.ndarray, grid: Grid, synthetic: str | None, pollutant: Pollutant
) -> xr.DataArray:
    attributes = {
        "standard_name": pollutant.standard_name,
        "long_name": f"{pollutant.label} near the surface, CAMS EAC4",
        "units": pollutant.units,
        "cell_methods": "time: point",
    }
    if synthetic:
        attributes["synthetic"] = synthetic
    return xr.DataArray(
        values,
        coords={"time": times, "latitude": grid.latitude, "longitude": grid.longitude},
        dims=("time", "latitude", "longitude"),
        name=pollutant.name,
        attrs=attributes,
    )


def _crop(array: xr.DataArray, grid: Grid | None, file: Path, pollutant: Pollutant) -> xr.DataArray:
    if grid is None:
        return array
    there, _, _ = from_axes(array.latitude.values, array.longitude.values)
    try:
        rows, columns = locate(grid, there)
    except DeepcamsError as error:
        raise DeepcamsError(
            f"{file} does not cover the region: {error} Fetch a larger area, or choose a smaller region."
        ) from error
    values = array.values[:, rows][:, :, columns]
    return _array(values, _times(array), grid, array.attrs.get("synthetic"), pollutant)


def _append(array: xr.DataArray, extra: xr.DataArray, file: Path, pollutant: Pollutant) -> xr.DataArray:
    if array.shape[1:] != extra.shape[1:] or not (
        np.array_equal(array.latitude, extra.latitude) and np.array_equal(array.longitude, extra.longitude)
    ):
        raise DeepcamsError(f"{file} holds another area than the month before. Fetch both with the same area.")
    grid, _, _ = from_axes(array.latitude.values, array.longitude.values)
    times = np.concatenate([_times(array), _times(extra)])
    values = np.concatenate([array.values, extra.values])
    return _array(values, times, grid, array.attrs.get("synthetic"), pollutant)


def _times(array: xr.DataArray) -> np.ndarray:
    return array.time.values.astype("datetime64[s]")
