"""The product as a Zarr store, version 3: chunks long in time, for series as well as for maps, in shards.

A shard covers the same nodes as a column of the file's chunks, so each of those is decoded once.
"""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product, zip_longest
from pathlib import Path

import h5py
import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.files import chunks
from deepcams.files.folder import atomic_folder
from deepcams.files.layout import DIMENSIONS, Layout, to_hours
from deepcams.product.joined import joined_layout, plain
from deepcams.progress import progress

DAYS = 5  # of a chunk
COLUMNS = 12  # of a chunk; a chunk has as many nodes in a place as in 36 × 36
SHARD_DAYS = 90  # 107 MB of memory


def write_zarr(
    paths: Sequence[str | Path], out: str | Path, *, overwrite: bool = False, threads: int = 2
) -> tuple[int, int, int]:
    """Write product files, in order of time and strictly hourly, into the Zarr store `out`; returns (T, H, W).

    Values are those of the files, bit for bit; attributes are joined as those of months are. Memory is about 0.6 GB,
    whatever the period.  Raises DeepcamsError if the files cannot be joined, lack chunks or are damaged, if `out` is
    there and not to be overwritten or no Zarr store, or if zarr is missing.
    """
    try:
        import zarr
        from zarr.codecs import BloscCodec
    except ImportError as error:
        raise DeepcamsError("Zarr stores need zarr: pip install 'deepcams[zarr]'.") from error
    paths = [Path(path) for path in paths]
    layouts, whole = joined_layout(paths, out)
    shard, chunk = _shapes(whole)
    with atomic_folder(out, "zarr.json", overwrite=overwrite) as folder:
        group = zarr.create_group(folder, zarr_format=3, attributes=plain(whole.global_attributes))
        _put_small(group, whole)
        target = group.create_array(
            whole.variable,
            shape=whole.shape,
            chunks=chunk,
            shards=shard,
            dtype="float32",
            fill_value=np.float32(np.nan),
            compressors=BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"),
            dimension_names=DIMENSIONS,
            attributes=plain(whole.attributes),
        )
        with ExitStack() as stack:
            files = [stack.enter_context(h5py.File(path, "r", locking="best-effort")) for path in paths]
            pool = stack.enter_context(ThreadPoolExecutor(threads))
            ahead = stack.enter_context(ThreadPoolExecutor(1))  # reads a shard while the one before is written
            boxes = _boxes(whole.shape, shard)
            coming = ahead.submit(_read, paths, layouts, files, pool, *boxes[0])
            for box, following in progress(list(zip_longest(boxes, boxes[1:])), Path(out).name, "shards"):
                values = coming.result()
                if following:
                    coming = ahead.submit(_read, paths, layouts, files, pool, *following)
                target[box] = values
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Consolidated metadata")  # is not in the specification yet
            zarr.consolidate_metadata(folder, zarr_format=3)
    return whole.shape


def _shapes(whole: Layout) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Shapes of shards and of the chunks in them: multiples of each other, even where the grid is smaller."""
    time, rows, columns = whole.chunk
    width = min(COLUMNS, columns)
    return (SHARD_DAYS * time, rows, -(-columns // width) * width), (DAYS * time, rows, width)


def _boxes(shape: tuple[int, int, int], shard: tuple[int, int, int]) -> list[tuple[slice, slice, slice]]:
    """The parts of a field that are shards."""
    axes = [
        [slice(begin, min(begin + step, size)) for begin in range(0, size, step)]
        for size, step in zip(shape, shard, strict=True)
    ]
    return list(product(*axes))


def _put_small(group, whole: Layout) -> None:
    """Axes and small variables, one chunk each."""
    axes = {"time": to_hours(whole.times), "latitude": whole.latitude, "longitude": whole.longitude}
    items = [((name,), name, values, whole.coordinate_attributes[name]) for name, values in axes.items()]
    items += [(item.dimensions, item.name, np.asarray(item.values), item.attributes) for item in whole.extra]
    for dimensions, name, values, attributes in items:
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=values.shape,
            dtype=values.dtype,
            dimension_names=dimensions,
            attributes=plain(attributes),
        )
        array[...] = values


def _read(
    paths: list[Path],
    layouts: list[Layout],
    files: list[h5py.File],
    pool: ThreadPoolExecutor,
    frames: slice,
    rows: slice,
    columns: slice,
) -> np.ndarray:
    """A box of the joined field: (n, h, w) float32."""
    parts = []
    first = 0
    for path, layout, file in zip(paths, layouts, files, strict=True):
        begin, end = max(frames.start - first, 0), min(frames.stop - first, len(layout.times))
        if begin < end:
            try:
                parts.append(chunks.read_window(file[layout.variable], pool, begin, end, rows, columns))
            except (OSError, RuntimeError, ValueError) as error:
                raise DeepcamsError(
                    f"{path} is damaged: a chunk cannot be decoded ({error}). Delete it and make it again."
                ) from error
        first += len(layout.times)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
