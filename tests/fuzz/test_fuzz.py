"""Hostile files are taken or refused in one sentence that names them.

No traceback, no crash, no code, no endless work or memory, and nothing outside of the folder.
"""

import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import bombs, fields, models, pen, services, settings, tables

READERS = fields.READERS | tables.READERS | models.READERS | services.READERS | settings.READERS
# Share of NetCDF files at which the netCDF library itself may abort ("NClist failure"), which nothing here can prevent.
ABORTED = 0.02
SHORT = 4  # cases of each reader in `make test`, beside every fourth bomb


@pytest.mark.parametrize("name", READERS)
def test_hostile_files_are_taken_or_refused_in_a_sentence(name, tmp_path, monkeypatch, request, record_property):
    # What would leave the folder, by one step or two, stays below tmp_path, and is seen.
    folder = tmp_path / "around/between/within"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    reader = READERS[name]
    good = reader.good(folder)
    long = request.config.getoption("--fuzz-cases", default=None)
    number = long or SHORT
    hostile = reader.bombs() + (bombs.floods() if reader.packed else [])
    fixed = [(content, 0) for content in (hostile if long else reader.bombs()[::4])]
    path, around = folder / reader.name, outside(folder, tmp_path)

    def read(case: int) -> None:
        content, which = variant(name, good, fixed, case)
        path.write_bytes(content)
        reader.read(path, which)
        assert not bombs.executed(), "code in the file was run"

    whole = pen.run(range(-len(good), 0), read)
    assert [it.words for it in whole if it.kind != pen.ACCEPTED] == []
    found = pen.run(range(number + len(fixed)), read, reader.together, reader.told or (reader.name,))
    assert not bombs.executed()
    assert outside(folder, tmp_path) == around, "something was written outside of the folder"
    counts = Counter(outcome.kind for outcome in found)
    record_property("fuzz", (name, len(found), counts[pen.ACCEPTED], counts[pen.REFUSED], counts[pen.RAISED],
                             counts[pen.DIED] + counts[pen.HUNG]))  # fmt: skip
    aborted = [it for it in found if name in fields.READERS and (it.kind, it.words) == (pen.DIED, "SIGABRT")]
    assert len(aborted) <= ABORTED * len(found)
    ended = [it for it in found if it.kind not in (pen.ACCEPTED, pen.REFUSED) and it not in aborted]
    bad = [f"{it.case}: {it.kind}, {it.words}" for it in ended]
    assert not bad, f"{len(bad)} of {len(found)}:\n" + "\n".join(bad)


def outside(folder: Path, top: Path) -> set[Path]:
    """Everything below `top` but what is in the folder."""
    return {path for path in top.rglob("*") if folder not in path.parents}


def variant(name: str, good: list[bytes], fixed: list[tuple[bytes, int]], case: int) -> tuple[bytes, int]:
    """A case's content and the number of the good file that it was: below 0 good ones, then bombs, then variants."""
    if case < 0:
        return good[case], len(good) + case
    if case < len(fixed):
        return fixed[case]
    random = np.random.default_rng([zlib.crc32(name.encode()), case - len(fixed)])
    which = int(random.integers(len(good)))
    ways = READERS[name].ways
    return ways[random.integers(len(ways))](good[which], random, good), which
