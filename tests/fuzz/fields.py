"""Files of fields: as services deliver them, as the workflow makes them, as anybody gives them to be validated."""

import shutil
from pathlib import Path

import numpy as np
import xarray as xr

from deepcams.calendar import Month
from deepcams.files.netcdf import Encoding, check_whole, concatenate, read_field, read_frames, read_layout, write_field
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.pollutants import PM25
from deepcams.product.virtual import write_virtual
from deepcams.sources.cams import read_cams
from deepcams.sources.geoscf import read_geoscf
from deepcams.sources.meteorology_file import FIELDS, MonthWriter, cut_month, require_month
from deepcams.sources.station_files import read_stations
from deepcams.training.climatology import read_climatology, write_climatology
from deepcams.training.shards import ShardWriter, read_shard
from deepcams.validation.collocation import CollocationSettings, collocate
from deepcams.validation.fields import FieldFile
from deepcams.validation.pairs import read_pairs, write_pairs
from deepcams.validation.quality import control_quality
from tests.fuzz.bombs import npz_bombs, starts, zip_bombs
from tests.fuzz.mutations import damaged, in_hdf5, in_json, in_zip
from tests.fuzz.reader import Reader
from tests.standins.eac4 import zipped
from tests.unit import test_cams, test_geoscf

MONTH = Month(2018, 2)
SMALL = coarse_grid(Region(30.0, 90.0, 27.75, 93.0))


def _cams(folder: Path) -> list[bytes]:
    times, values = test_cams.analyses(4), test_cams.concentrations(4, SMALL)
    new = [test_cams.write(folder / f"{it}.nc", times, values, layout=it, grid=SMALL) for it in ("era5", "default")]
    return [path.read_bytes() for path in new]


def _cams_netcdf3(folder: Path) -> list[bytes]:
    times, values = test_cams.analyses(4), test_cams.concentrations(4, SMALL)
    return [test_cams.write_packed(folder / "old.nc", times, values, SMALL).read_bytes()]


def _cams_zip(folder: Path) -> list[bytes]:
    return [zipped(content) for content in (*_cams(folder), *_cams_netcdf3(folder))]


def _grib(folder: Path) -> list[bytes]:
    from tests.unit.test_grib import TIMES, grib

    return [grib(TIMES[:3], test_cams.concentrations(3, SMALL), edition=edition, grid=SMALL) for edition in (1, 2)]


def _grib_zip(folder: Path) -> list[bytes]:
    return [zipped(content, "data.grib") for content in _grib(folder)]


def _geoscf(folder: Path) -> list[bytes]:
    grid = refine(SMALL)
    return [test_geoscf.write_hour(folder, 0, values=test_geoscf.concentrations(grid), grid=grid).read_bytes()]


def _product(folder: Path) -> list[bytes]:
    grid = refine(SMALL)
    values = np.stack([test_geoscf.concentrations(grid, number) for number in range(48)])
    times = MONTH.start + np.timedelta64(1, "h") * np.arange(48)
    coordinates = {"time": times, "latitude": grid.latitude, "longitude": grid.longitude}
    about = {"units": "ug m-3", "standard_name": PM25.standard_name, "cell_methods": "time: point"}
    field = xr.DataArray(values, coordinates, ("time", "latitude", "longitude"), name="pm25", attrs=about)
    write_field(folder / "product.nc", field, Encoding(mantissa_bits=7, latitude_chunk=6, longitude_chunk=6))
    return [(folder / "product.nc").read_bytes()]


def _read_product(path: Path, _) -> None:
    layout = read_layout(path)
    check_whole(path, layout)
    read_frames(path, threads=1)
    concatenate([path], path.with_name("joined.nc"))
    read_field(path).close()


def _read_any(path: Path, _) -> None:
    with FieldFile(path, pollutant=PM25) as file:
        for _start, _frames in file.slabs():
            pass
        file.status()


def _meteorology(folder: Path) -> list[bytes]:
    times, grid = MONTH.mid_hours(), refine(SMALL)
    with MonthWriter(folder / "weather.nc", times, grid, {"title": "weather"}, "GEOS-CF") as target:
        for start in range(0, len(times), 24):
            target.write(start, {name: np.full((24, *grid.shape), 0.5, np.float32) for name in FIELDS})
    return [(folder / "weather.nc").read_bytes()]


def _read_meteorology(path: Path, _) -> None:
    require_month(path, MONTH, None)
    cut_month(path, MONTH, path.with_name("cut.nc"), None)


def _pairs(folder: Path) -> list[bytes]:
    (folder / "product.nc").write_bytes(_product(folder)[0])
    rows = [
        f"S{n},{29 - n / 4},{91 + n / 4},2018-02-01T{h:02d}:00:00Z,{10 + h}" for n in range(3) for h in range(1, 24)
    ]
    (folder / "s.csv").write_text("\n".join(["station,lat,lon,time,value", *rows]))
    settings = CollocationSettings()
    clean, _ = control_quality(read_stations([folder / "s.csv"]), settings.quality)
    found, _ = collocate(folder / "product.nc", None, clean, settings)
    write_pairs(folder / "pairs.nc", found, pollutant=PM25)
    return [(folder / "pairs.nc").read_bytes()]


def _write_shard(folder: Path) -> Path:
    times, fine = MONTH.start + np.timedelta64(1, "h") * np.arange(4), refine(SMALL)
    with ShardWriter(folder / "shard", times, fine, SMALL, {"operator": "mean", "source": "x"}) as writer:
        writer.write(0, np.ones((4, *fine.shape), np.float32), np.ones((4, *SMALL.shape), np.float32))
    return folder / "shard"


def _shard_index(folder: Path) -> list[bytes]:
    return [(_write_shard(folder) / "index.json").read_bytes()]


def _shard_arrays(folder: Path) -> list[bytes]:
    return [(_write_shard(folder) / "fine.npy").read_bytes()]


def _read_shard(path: Path, name: str) -> None:
    folder = _write_shard(path.parent)
    shutil.copy(path, folder / name)
    np.asarray(read_shard(folder).fine[0])


def _climatology(folder: Path) -> list[bytes]:
    write_climatology(folder / "means.npz", {2: np.ones(SMALL.shape, np.float32)}, SMALL)
    return [(folder / "means.npz").read_bytes()]


HDF5 = (damaged, in_hdf5, in_hdf5)
ALONE = {"together": 1}


READERS = {
    "CAMS, NetCDF-4": Reader(_cams, lambda path, _: read_cams(path), HDF5, starts, **ALONE),
    "CAMS, netCDF-3": Reader(_cams_netcdf3, lambda path, _: read_cams(path), **ALONE),
    "CAMS, zip": Reader(_cams_zip, lambda path, _: read_cams(path), (damaged, in_zip, in_zip), zip_bombs, **ALONE),
    "CAMS, GRIB": Reader(_grib, lambda path, _: read_cams(path), **ALONE),
    "CAMS, GRIB in zip": Reader(_grib_zip, lambda path, _: read_cams(path), (in_zip,), **ALONE),
    "GEOS-CF": Reader(_geoscf, lambda path, _: read_geoscf(path), HDF5, starts, **ALONE),
    "meteorology": Reader(_meteorology, _read_meteorology, HDF5, starts, **ALONE),
    "product": Reader(_product, _read_product, HDF5, starts, told=("stranger", "joined.nc", "like its parts"), **ALONE),
    "product, virtual": Reader(
        _product, lambda path, _: write_virtual([path], path.with_name("v.json")), HDF5, **ALONE
    ),
    "any CF file, NetCDF-4": Reader(_product, _read_any, HDF5, starts, **ALONE),
    "any CF file, netCDF-3": Reader(_cams_netcdf3, _read_any, **ALONE),
    "pairs": Reader(_pairs, lambda path, _: read_pairs(path), HDF5, starts, **ALONE),
    "shard, arrays": Reader(_shard_arrays, lambda path, _: _read_shard(path, "fine.npy"), told=("/shard",)),
    "shard, index": Reader(
        _shard_index, lambda path, _: _read_shard(path, "index.json"), (damaged, in_json), told=("/shard",)
    ),
    "climatology": Reader(_climatology, lambda path, _: read_climatology(path, SMALL), (damaged, in_zip), npz_bombs),
}
