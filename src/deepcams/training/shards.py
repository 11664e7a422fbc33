"""Training material on disk: one folder a month with fine and coarse fields as plain, memory-mappable arrays."""

import errno
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepcams.errors import DeepcamsError, damaged
from deepcams.files.atomic import atomic_path, write_text
from deepcams.files.checksum import sha256
from deepcams.grid.nodes import Grid


class Frames:
    """The array of a .npy file, mapped anew for every access: what is asked for is a view of a map of its own.

    A map that stays open keeps every page of the file that was ever touched in the process's memory, in time all of
    them; this one goes with the view. Opening takes a few ten microseconds.
    """

    def __init__(self, path: str | Path):
        opened = np.load(path, mmap_mode="r")
        if not opened.flags.c_contiguous:
            raise ValueError(f"{path} is in Fortran order")
        self.shape, self.dtype = opened.shape, opened.dtype
        self._path, self._offset = str(path), opened.offset

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key) -> np.ndarray:
        return np.memmap(self._path, self.dtype, "r", self._offset, self.shape)[key]


@dataclass(frozen=True, eq=False)
class Shard:
    """A month of hourly GEOS-CF and its degraded companion.

    fine : (T, H, W), coarse : (T, h, w) float32 on disk, ug m-3, NaN where missing.  times : (T,) datetime64[s].
    operator, parameters : the degradation.  own : how many of the frames, from the first on, are the month's own; the
    one after them is the next month's first, there to close the last interval.  about : what else the index says:
    source, checksums, and cell_methods, collection and synthetic where they are known.
    """

    fine: Frames | np.ndarray
    coarse: Frames | np.ndarray
    times: np.ndarray
    fine_grid: Grid
    coarse_grid: Grid
    operator: str
    parameters: dict[str, float]
    own: int
    about: dict = field(default_factory=dict)


class ShardWriter:
    """Write a shard frame by frame; a context manager that leaves either the whole shard or none of it."""

    def __init__(self, folder: Path, times: np.ndarray, fine_grid: Grid, coarse_grid: Grid, about: dict):
        self.folder = Path(folder)
        self._times, self._grids, self._about = times, {"fine": fine_grid, "coarse": coarse_grid}, about

    def __enter__(self) -> "ShardWriter":
        self._maps: dict[str, np.ndarray] = {}
        with ExitStack() as stack:
            for name, grid in self._grids.items():
                temporary = stack.enter_context(atomic_path(self.folder / f"{name}.npy"))
                self._maps[name] = new_array(temporary, (len(self._times), *grid.shape))
            self._files = stack.pop_all()
        return self

    def write(self, start: int, fine: np.ndarray, coarse: np.ndarray) -> None:
        """Write frames from `start` on: fine (n, H, W), coarse (n, h, w)."""
        self._maps["fine"][start : start + len(fine)] = fine
        self._maps["coarse"][start : start + len(coarse)] = coarse

    def __exit__(self, kind, error, trace) -> None:
        with ExitStack() as stack:
            stack.push(self._files)
            stack.callback(self._maps.clear)
            for data in self._maps.values():
                data.flush()
            stack.pop_all().__exit__(kind, error, trace)
        if kind is None:
            index = {
                **self._about,
                "times": [str(time) for time in self._times],
                "grids": {name: grid_entry(grid) for name, grid in self._grids.items()},
                "sha256": {name: sha256(self.folder / f"{name}.npy") for name in self._grids},
            }
            write_text(self.folder / "index.json", json.dumps(index, indent=1) + "\n")


def new_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A new .npy file of float32 zeros, mapped for writing, whose space on the disk is taken at once.

    Without that the file would be sparse, and a disk that becomes full would end the process by SIGBUS.
    """
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.flush()
        start, size = file.tell(), 4 * int(np.prod(shape))
        os.truncate(path, start + size)
        try:
            os.posix_fallocate(file.fileno(), start, size)
        except AttributeError:
            pass  # macOS has no such call
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
    return np.load(path, mmap_mode="r+")


def read_shard(folder: str | Path) -> Shard:
    """Open a shard without reading its fields. Raises DeepcamsError naming the folder if it is not whole."""
    folder = Path(folder)
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        arrays = {name: Frames(folder / f"{name}.npy") for name in ("fine", "coarse")}
        grids = {name: grid_of(index["grids"][name]) for name in arrays}
        times = np.array(index["times"], dtype="datetime64[s]").reshape(len(index["times"]))
        operator = str(index["operator"])
        parameters = {"sigma": index["sigma"]} if operator == "gaussian" else {}
    except Exception as error:  # a damaged file can fail in any way
        raise damaged(error, f"{folder} is a damaged shard ({error}). Delete the folder and run again.") from error
    for name, array in arrays.items():
        if not len(times) or array.shape != (len(times), *grids[name].shape):
            raise DeepcamsError(
                f"The shard in {folder} is damaged: {name}.npy has shape {array.shape} where "
                f"{(len(times), *grids[name].shape)} is expected. Delete the folder and run again."
            )
    return Shard(
        **arrays,
        times=times,
        fine_grid=grids["fine"],
        coarse_grid=grids["coarse"],
        operator=operator,
        parameters=parameters,
        own=index.get("own", int((times.astype("datetime64[M]") == times[0].astype("datetime64[M]")).sum())),
        about={key: value for key, value in index.items() if key not in ("times", "grids")},
    )


def grid_entry(grid: Grid) -> dict:
    """A grid as an index says it."""
    return {"north": grid.latitude[0], "west": grid.longitude[0], "shape": grid.shape, "step": grid.step}


def grid_of(entry: dict) -> Grid:
    """The grid that `grid_entry` said."""
    rows, columns = entry["shape"]
    step = entry["step"]
    return Grid(entry["north"] - step * np.arange(rows), entry["west"] + step * np.arange(columns), step)
