"""Snakemake's own records, damaged: one sentence instead of a traceback."""

import json
from base64 import urlsafe_b64encode

import pytest

from deepcams.errors import DeepcamsError
from deepcams.files.records import check_records

OUTPUT = "results/tiny/spatial/2020-01.nc"
RECORD = json.dumps({"rule": "downscale_spatial", "input": [], "params": ["é"]}, ensure_ascii=False).encode()


def recorded(folder, content, output=OUTPUT, kind="metadata"):
    """Write a record as Snakemake does; returns its path."""
    name = urlsafe_b64encode(output.encode()).decode()
    parts = [name[start : start + 254] for start in range(0, len(name), 254)]
    path = folder.joinpath(kind, *(f"@{part}" for part in parts[:-1]), parts[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        RECORD[:-9],
        RECORD.replace("é".encode(), b"\xf2"),
        b"[1]",
        b"\0" * 90,
        RECORD.replace(b'"downscale_spatial"', b"3"),
    ],
)
def test_a_damaged_record_is_named_with_its_output(tmp_path, content):
    recorded(tmp_path, RECORD, "other.nc")
    record = recorded(tmp_path, content)
    with pytest.raises(DeepcamsError) as told:
        check_records(tmp_path)
    assert str(record) in str(told.value)
    assert OUTPUT in str(told.value)
    record.unlink()
    check_records(tmp_path)


def test_the_output_of_a_long_name_is_named(tmp_path):
    recorded(tmp_path, b"{", "results/" + "/".join(["a" * 30] * 9))
    with pytest.raises(DeepcamsError, match=r"whether results/a{30}/a{30}/"):
        check_records(tmp_path)


def test_a_record_that_was_being_written_when_its_run_was_killed_is_in_order(tmp_path):
    recorded(tmp_path, RECORD[:9])
    recorded(tmp_path, b"{}", kind="incomplete")
    check_records(tmp_path)


def test_a_folder_without_records_is_in_order(tmp_path):
    check_records(tmp_path)
