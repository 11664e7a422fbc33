"""What is quoted of hostile files: no message steers a terminal, no document is without end."""

import gzip

import numpy as np
import pytest
import yaml

from deepcams.config.check import require_tree
from deepcams.errors import DeepcamsError
from deepcams.files.netcdf import read_field
from deepcams.sources.checks import parsed, unpacked
from deepcams.sources.openaq_files import file_lines


def test_a_message_shows_control_characters_and_keeps_its_lines():
    text = str(DeepcamsError("a \x1b[2J\x07 b\u202e\nline two µg/m³"))
    assert text == "a \\x1b[2J\\x07 b\\u202e\nline two µg/m³"


def test_a_message_shortens_words_without_end_and_leaves_long_paths():
    path = "/".join(["folder"] * 40)
    assert path in str(DeepcamsError(path))
    text = str(DeepcamsError(f"x {'9' * 100_000} y"))
    assert len(text) < 400 and text.startswith("x 999") and text.endswith("999 y") and "…" in text


@pytest.mark.parametrize("leaf", ["[x, x]", "{p: x, q: x}"])
def test_references_without_end_are_refused_at_once(leaf):
    lines = [f"a0: &a0 {leaf}"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    with pytest.raises(DeepcamsError, match=r"c\.yaml has more than 20,000 values"):
        require_tree(yaml.safe_load("\n".join(lines)), "c.yaml")


def test_a_document_that_holds_itself_is_refused_and_a_usual_one_is_not():
    with pytest.raises(DeepcamsError, match="references"):
        require_tree(yaml.safe_load("region: &r\n  north: *r\n"), "c.yaml")
    require_tree({"a": [1, {"b": (2, 3)}], "c": None}, "c.yaml")


def test_nesting_without_end_is_no_document():
    with pytest.raises(ValueError, match="nested too deeply"):
        parsed("[" * 200_000)
    assert parsed(b'{"a": [1]}') == {"a": [1]}


def test_what_a_gzip_file_unpacks_to_is_bounded(monkeypatch):
    monkeypatch.setattr("deepcams.sources.checks.MOST_UNPACKED", 1 << 20)
    exact = np.random.default_rng(0).bytes(1 << 20)
    assert unpacked(gzip.compress(exact, 1)) == exact
    with pytest.raises(ValueError, match="more than 1 MB"):
        unpacked(gzip.compress(exact + b"x", 1))


def test_a_line_without_an_end_is_refused_and_lines_stay_as_they_are(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"a,b\r\n1,2\n\nlast")
    assert list(file_lines(tmp_path / "x.csv")) == ["a,b\r\n", "1,2\n", "\n", "last"]
    (tmp_path / "x.csv").write_bytes(b"a,b\n" + b"1," * (1 << 20))
    with pytest.raises(DeepcamsError, match=r"x\.csv is truncated or damaged after line 1 \(a line without an end\)"):
        list(file_lines(tmp_path / "x.csv"))


def test_a_file_is_not_called_damaged_for_want_of_memory(tmp_path, monkeypatch):
    path = tmp_path / "field.nc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))

    def exhausted(*_arguments, **_settings):
        raise MemoryError

    monkeypatch.setattr("xarray.open_dataset", exhausted)
    with pytest.raises(DeepcamsError, match=r"^\S+/field.nc could not be read: memory ran out. Give more") as caught:
        read_field(path)
    assert "elete" not in str(caught.value)
