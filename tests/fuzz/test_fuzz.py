"""Hostile files are taken or refused in one sentence: no traceback, no crash, no code, no endless work or memory."""

import zlib
from collections import Counter

import numpy as np
import pytest

from tests.fuzz import bombs, fields, models, pen, services, settings, tables

READERS = fields.READERS | tables.READERS | models.READERS | services.READERS | settings.READERS
SHORT = 4  # cases of each reader in `make test`, beside every fourth bomb


@pytest.mark.parametrize("name", READERS)
def test_hostile_files_are_taken_or_refused_in_a_sentence(name, tmp_path, monkeypatch, request, record_property):
    monkeypatch.chdir(tmp_path)
    reader = READERS[name]
    good = reader.good(tmp_path)
    long = request.config.getoption("--fuzz-cases", default=None)
    number = long or SHORT
    hostile = reader.bombs() + (bombs.floods() if reader.packed else [])
    fixed = [(content, 0) for content in (hostile if long else reader.bombs()[::4])]
    path = tmp_path / reader.name

    def read(case: int) -> None:
        content, which = variant(name, good, fixed, case)
        path.write_bytes(content)
        reader.read(path, which)
        assert not bombs.executed(), "code in the file was run"

    whole = pen.run(range(-len(good), 0), read)
    assert [it.words for it in whole if it.kind != pen.ACCEPTED] == []
    found = pen.run(range(number + len(fixed)), read, reader.together)
    assert not bombs.executed()
    counts = Counter(outcome.kind for outcome in found)
    record_property("fuzz", (name, len(found), counts[pen.ACCEPTED], counts[pen.REFUSED], counts[pen.RAISED],
                             counts[pen.DIED] + counts[pen.HUNG]))  # fmt: skip
    bad = [f"{it.case}: {it.kind}, {it.words}" for it in found if it.kind not in (pen.ACCEPTED, pen.REFUSED)]
    assert not bad, f"{len(bad)} of {len(found)}:\n" + "\n".join(bad)


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
