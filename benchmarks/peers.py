"""(d) Interpolation without a network: CDO's remapbic and inttime beside `deepcams downscale` with interpolations."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from benchmarks.fields import Inputs
from benchmarks.periods import MONTH, Days
from benchmarks.timing import Row, by_turns, median, ratios
from deepcams.grid.nodes import coarse_globe

GRID = """gridtype = lonlat
xsize = 1440
ysize = 721
xfirst = -180
xinc = 0.25
yfirst = 90
yinc = -0.25
"""
# What is asked of ours; what is compared with it. CDO writes every value as computed, as ours does in the first.
WAYS = {
    "without closure, all 23 bits": (["--closure", "none", "--mantissa-bits", "23"], "zip"),
    "without closure, 7 bits as in the product": (["--closure", "none"], "zip"),
    "with closure, 7 bits: the product": ([], "zip"),
    "with closure, 7 bits; CDO uncompressed": ([], "plain"),
}


def interpolation(inputs: Inputs, folder: Path, quick: bool) -> Iterator[Row]:
    """Whole commands, from a file of analyses to a file of hourly fine fields."""
    if shutil.which("cdo") is None:
        yield Row("interpolation beside CDO", "–", remark="no cdo on this machine (Debian: apt-get install cdo)")
        return
    days = Days(MONTH, 1 if quick else 10)
    analyses, grid = folder / "cams.nc", folder / "grid.txt"
    ours, theirs = folder / "hourly.nc", folder / "cdo.nc"
    write_analyses(analyses, days, inputs)
    grid.write_text(GRID)
    start = str(days.start).replace("T", ",")
    formats = {"zip": ["-f", "nc4", "-z", "zip_1"], "plain": ["-f", "nc4"]}
    for way, (options, kind) in list(WAYS.items())[:: 2 if quick else 1]:
        command = [sys.executable, "-m", "deepcams.cli.main", "downscale", analyses, ours, "--temporal", "linear"]
        command += ["--spatial", "bicubic", *options]
        peer = ["cdo", "-s", "-O", "-P", "2", *formats[kind], f"remapbic,{grid}", f"-inttime,{start},1hour"]
        peer += [analyses, theirs]
        took = by_turns(lambda c=command: _run(c), lambda c=peer: _run(c), 1 if quick else 2)
        agreement = _difference(ours, theirs)
        sizes = [path.stat().st_size / 1e6 for path in (ours, theirs)]
        yield Row(
            f"{days.days} days, linear and bicubic, {way}",
            f"{median(took[0]):.1f} s, {sizes[0]:.0f} MB",
            f"cdo -P 2{'' if kind == 'plain' else ' -z zip_1'}, {median(took[1]):.1f} s, {sizes[1]:.0f} MB",
            ratios(*took),
            "≥ 1",
            f"fields differ by {100 * agreement:.2f} % RMS",
            {"ours_s": took[0], "peer_s": took[1], "megabytes": sizes, "relative_rms": agreement},
        )


def write_analyses(path: Path, days: Days, inputs: Inputs) -> None:
    """Analyses as the Atmosphere Data Store delivers them."""
    grid = coarse_globe()
    field = ("valid_time", "latitude", "longitude"), inputs.analyses(days.days) * np.float32(1e-9)
    times = days.analyses().astype("datetime64[ns]")
    dataset = xr.Dataset(
        {"pm2p5": (*field, {"units": "kg m**-3"})},
        {
            "valid_time": ("valid_time", times, {"standard_name": "time"}),
            "latitude": ("latitude", grid.latitude, {"units": "degrees_north", "standard_name": "latitude"}),
            "longitude": ("longitude", grid.longitude, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )
    dataset.to_netcdf(path, encoding={"valid_time": {"units": "hours since 1900-01-01"}})


def _difference(ours: Path, theirs: Path) -> float:
    """RMS of the difference over that of the field, of an hour between two analyses."""
    with xr.open_dataset(ours) as one, xr.open_dataset(theirs) as other:
        field = one.pm25[1].values.astype(np.float64)
        peer = 1e9 * other.pm2p5[1].values.astype(np.float64)
    valid = np.isfinite(peer) & np.isfinite(field)
    return float(np.sqrt(np.mean((field - peer)[valid] ** 2) / np.mean(field[valid] ** 2)))


def _run(command: list) -> None:
    process = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"{' '.join(str(word) for word in command)}: {process.stderr[-2000:]}")
