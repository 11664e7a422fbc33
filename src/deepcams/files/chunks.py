"""HDF5 chunks made outside the HDF5 library: rounded, byte-shuffled, deflated by igzip, in threads.

The library's own filter pipeline runs on one core with zlib. Handing it finished chunks (`write_direct_chunk`) keeps
the files readable everywhere – deflate and shuffle are in every HDF5 build – and is an order of magnitude faster.
"""

from collections.abc import Iterator
from concurrent.futures import Executor

import numpy as np
from isal import isal_zlib

from deepcams.files.rounding import MANTISSA_BITS, round_mantissa


def encode_chunk(block: np.ndarray, shape: tuple[int, ...], bits: int | None, level: int) -> bytes:
    """One chunk as HDF5 stores it behind the shuffle and deflate filters.

    block : float32, at most `shape`; what is missing at the edges is filled with NaN.  bits: mantissa bits to keep
    (None: all).  level: igzip's 0 … 3.  Returns a zlib stream of the four byte planes, least significant first.
    """
    chunk = np.empty(shape, dtype="<f4")
    if block.shape != shape:
        chunk.fill(np.nan)
    chunk[tuple(slice(size) for size in block.shape)] = block
    if bits is not None:
        round_mantissa(chunk, bits)
    octets = chunk.reshape(-1).view(np.uint8)
    planes = np.empty((4, chunk.size), dtype=np.uint8)
    # Planes made of dropped bits alone are zero (round_mantissa leaves no NaN payload): no need to gather them.
    empty = 0 if bits is None else (MANTISSA_BITS - bits) // 8
    planes[:empty] = 0
    for plane in range(empty, 4):
        planes[plane] = octets[plane::4]
    return isal_zlib.compress(planes, level)


def decode_chunk(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 values of a chunk made by `encode_chunk`, or by HDF5's shuffle and deflate filters.

    Raises ValueError if the stream is damaged (deflate carries an Adler-32 checksum) or of another length.
    """
    size = int(np.prod(shape))
    try:
        octets = isal_zlib.decompress(data, bufsize=4 * size)
    except isal_zlib.error as error:
        raise ValueError(f"damaged deflate stream: {error}") from error
    planes = np.frombuffer(octets, dtype=np.uint8)
    if planes.size != 4 * size:
        raise ValueError(f"{planes.size} bytes in a chunk of {4 * size}")
    chunk = np.empty((size, 4), dtype=np.uint8)
    for plane in range(4):
        chunk[:, plane] = planes[plane * size : (plane + 1) * size]
    return chunk.reshape(-1).view("<f4").reshape(shape)


def offsets(shape: tuple[int, ...], chunk: tuple[int, ...], start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Offsets of the chunks of a (T, H, W) array in file order, beginning at frame `start`."""
    for time in range(start, shape[0], chunk[0]):
        for row in range(0, shape[1], chunk[1]):
            for column in range(0, shape[2], chunk[2]):
                yield time, row, column


def count(shape: tuple[int, ...], chunk: tuple[int, ...]) -> int:
    """How many chunks an array of `shape` has."""
    return int(np.prod([-(-size // step) for size, step in zip(shape, chunk, strict=True)]))


def write_chunks(
    dataset, pool: Executor, start: int, values: np.ndarray, chunk: tuple[int, int, int], bits: int | None, level: int
) -> None:
    """Write `values` (n, H, W) to an h5py dataset from frame `start` on; compressed in `pool`, written in file order.

    One time chunk is in flight at a time, so memory stays bounded however many frames are given.
    """
    for first in range(0, len(values), chunk[0]):
        part = values[first : first + chunk[0]]
        places = list(offsets(part.shape, chunk))
        blocks = (part[:, y : y + chunk[1], x : x + chunk[2]] for _, y, x in places)
        encoded = pool.map(lambda block: encode_chunk(block, chunk, bits, level), blocks)
        for (_, y, x), data in zip(places, encoded, strict=True):
            dataset.id.write_direct_chunk((start + first, y, x), data)


def read_chunks(dataset, pool: Executor, start: int, stop: int) -> np.ndarray:
    """Frames `start` … `stop - 1` of an h5py dataset: (n, H, W) float32, decoded in `pool`.

    Raises ValueError if a chunk is missing or damaged.
    """
    return read_window(dataset, pool, start, stop, slice(0, dataset.shape[1]), slice(0, dataset.shape[2]))


def read_window(dataset, pool: Executor, start: int, stop: int, rows: slice, columns: slice) -> np.ndarray:
    """As `read_chunks`, of a box whose `rows` and `columns` begin on chunks: (n, h, w) float32."""
    chunk = dataset.chunks
    values = np.empty((stop - start, rows.stop - rows.start, columns.stop - columns.start), dtype=np.float32)

    def place(offset: tuple[int, int, int], data: bytes) -> None:
        time, row, column = offset[0], offset[1] - rows.start, offset[2] - columns.start
        block = decode_chunk(data, chunk)
        first, last = max(time, start), min(time + chunk[0], stop)
        target = values[first - start : last - start, row : row + chunk[1], column : column + chunk[2]]
        target[...] = block[first - time : last - time, : target.shape[1], : target.shape[2]]

    for begin in range(start - start % chunk[0], stop, chunk[0]):
        jobs = []
        for _, row, column in offsets((1, *values.shape[1:]), chunk):
            offset = begin, rows.start + row, columns.start + column
            try:
                _, data = dataset.id.read_direct_chunk(offset)
            except (OSError, RuntimeError, ValueError) as error:
                raise ValueError(f"the chunk at {offset} is missing or cannot be read") from error
            jobs.append(pool.submit(place, offset, data))
        for job in jobs:
            job.result()
    return values
