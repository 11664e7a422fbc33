"""Compressed chunks from file to file: copied undecoded, at the disk's pace, and read back.

HDF5 writes the chunks, because it keeps their index; they are read past it, ahead and in threads, which it cannot.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import h5py
from isal import isal_zlib

from deepcams.files.chunks import offsets

_AHEAD = 8  # chunks that are read ahead

Offset = tuple[int, int, int]


def copy_chunks(source: h5py.Dataset, target: h5py.Dataset, start: int) -> dict[Offset, int]:
    """Copy all compressed chunks of `source` to `target` from frame `start` on, undecoded.

    source : of a file on disk that nobody writes.  Returns the CRC-32 of each chunk by its offset in `target`.
    Raises KeyError if `source` lacks a chunk and EOFError if its file ends before one.
    """
    index = _index(source)
    places = list(offsets(source.shape, source.chunks))
    for place in places:
        if place not in index:
            raise KeyError(place)
    sums = {}
    with _descriptor(source) as descriptor, ThreadPoolExecutor(2) as pool:
        stored = (index[place] for place in places)
        for place, (data, checksum) in zip(places, _read(pool, descriptor, stored), strict=True):
            into = (start + place[0], *place[1:])
            target.id.write_direct_chunk(into, data, index[place].filter_mask)
            sums[into] = checksum
    return sums


def check_copied(path: Path, variable: str, sums: dict[Offset, int]) -> None:
    """Read back the chunks of a closed file and compare: each where its index says, of the same bytes.

    sums : of all chunks that the file shall have, from `copy_chunks`.  Deflate's Adler-32 sums are among the bytes, so
    what could be decoded in the source can be decoded here.  Read is what the system holds, while the disk takes it in.
    Raises ValueError for a chunk that is missing, one too many, or of other bytes.
    """
    with h5py.File(path, "r", locking="best-effort") as file, ThreadPoolExecutor(3) as pool:
        field = file[variable]
        index = _index(field)
        if index.keys() != sums.keys():
            raise ValueError(f"{len(index)} chunks were found where {len(sums)} were copied")
        with _descriptor(field) as descriptor:
            flushed = pool.submit(os.fsync, descriptor)
            places = sorted(index, key=lambda place: index[place].byte_offset)
            for place, (_, found) in zip(places, _read(pool, descriptor, map(index.get, places)), strict=True):
                if found != sums[place]:
                    raise ValueError(f"the chunk at {place} is not the one that was copied")
            flushed.result()


def _index(dataset: h5py.Dataset) -> dict[Offset, h5py.h5d.StoreInfo]:
    """Where each chunk stands in the file: one walk, where asking for each alone would walk for each."""
    index = {}
    dataset.id.chunk_iter(lambda chunk: index.__setitem__(tuple(chunk.chunk_offset), chunk))
    return index


@contextmanager
def _descriptor(dataset: h5py.Dataset) -> Iterator[int]:
    descriptor = os.open(dataset.file.filename, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(pool: Executor, descriptor: int, chunks: Iterable[h5py.h5d.StoreInfo]) -> Iterator[tuple[memoryview, int]]:
    """Chunks and their CRC-32, in order, read ahead in `pool`; the bytes are valid until the next are asked for."""
    buffers = deque(bytearray() for _ in range(_AHEAD + 1))
    jobs: deque[Future] = deque()
    for chunk in chunks:
        if len(buffers[0]) < chunk.size:
            buffers[0] = bytearray(chunk.size + chunk.size // 4)
        jobs.append(pool.submit(_chunk, descriptor, chunk.byte_offset, memoryview(buffers[0])[: chunk.size]))
        buffers.rotate(-1)
        if len(jobs) == _AHEAD:
            yield jobs.popleft().result()
    while jobs:
        yield jobs.popleft().result()


def _chunk(descriptor: int, offset: int, buffer: memoryview) -> tuple[memoryview, int]:
    found = 0
    while found < len(buffer):  # network disks may give less than was asked for
        more = os.preadv(descriptor, [buffer[found:]], offset + found)
        if not more:
            raise EOFError(f"it ends within the chunk at byte {offset}")
        found += more
    return buffer, isal_zlib.crc32(buffer)
