"""The digest of a rule's code changes with what the code does, and with nothing else."""

import ast
import shutil

import pytest

from deepcams import digest
from tests.conftest import ROOT


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package: script → upper → lower, and a module nobody imports."""
    source = tmp_path / "deepcams"
    (source / "part").mkdir(parents=True)
    (source / "part" / "__init__.py").touch()
    (source / "part" / "upper.py").write_text(
        '"""Upper."""\nfrom deepcams.part import lower\n\n\n'
        'def f():\n    """Say f."""\n    return lower.g() + 1  # one\n'
    )
    (source / "part" / "lower.py").write_text("T = 'table.json'\n\n\ndef g():\n    return 2\n")
    (source / "part" / "other.py").write_text("def h():\n    return 3\n")
    (source / "part" / "table.json").write_text("{}")
    script = tmp_path / "script.py"
    script.write_text("from deepcams.part.upper import f\n\nf()\n")
    monkeypatch.setattr(digest, "SOURCE", source)
    return script, source / "part"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    digest._read.cache_clear()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("upper.py", "# one", "# two"),
        ("upper.py", "Say f.", "Say it."),
        ("upper.py", '"""Upper."""', '"""Above."""'),
        ("upper.py", "lower.g() + 1", "lower.g()   +   1"),
        ("other.py", "return 3", "return 4"),
    ],
)
def test_comments_docstrings_layout_and_unrelated_modules_do_not_count(package, name, old, new):
    script, folder = package
    before = digest.code_digest(script)
    edit(folder / name, old, new)
    assert digest.code_digest(script) == before


def forget():
    digest._read.cache_clear()
    digest._known.cache_clear()


def test_what_was_parsed_is_kept_for_the_next_process_by_content(package, tmp_path, monkeypatch):
    script, folder = package
    kept = tmp_path / ".snakemake/code_digests.json"
    plain = digest.code_digest(script)
    assert digest.code_digest(script, kept=kept) == plain
    with monkeypatch.context() as patch:
        patch.setattr(digest, "_understood", None)  # nothing is parsed
        forget()
        assert digest.code_digest(script, kept=kept) == plain
        forget()
        edit(folder / "table.json", "{}", "[]")  # data are not parsed
        assert digest.code_digest(script, kept=kept) != plain
    forget()
    edit(folder / "lower.py", "return 2", "return 3")
    edit(folder / "table.json", "[]", "{}")
    assert digest.code_digest(script, kept=kept) == digest.code_digest(script) != plain


def test_a_kept_file_in_which_a_byte_is_wrong_makes_nothing_stale(package, tmp_path):
    script, _ = package
    kept = tmp_path / "kept.json"
    plain = digest.code_digest(script, kept=kept)
    text = kept.read_text()
    place = text.index('": ["') + 5  # the digest of what a file says
    kept.write_text(text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :])
    forget()
    assert digest.code_digest(script, kept=kept) == plain


@pytest.mark.parametrize("content", ["", "[]", '{"by": "an older version", "files": {}}', '{"by": "", "files": 7}'])
def test_a_kept_file_of_no_use_is_replaced(package, tmp_path, content):
    script, _ = package
    kept = tmp_path / "kept.json"
    kept.write_text(content)
    forget()
    assert digest.code_digest(script, kept=kept) == digest.code_digest(script)
    assert len(kept.read_text()) > 500
    assert [path.name for path in tmp_path.glob("kept.json*")] == ["kept.json"]


def test_where_nothing_can_be_kept_nothing_is(package, tmp_path):
    script, _ = package
    (tmp_path / "file").touch()
    forget()
    assert digest.code_digest(script, kept=tmp_path / "file/kept.json") == digest.code_digest(script)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("upper.py", "+ 1", "+ 2"), ("lower.py", "return 2", "return 3"), ("table.json", "{}", "[]")],
)
def test_code_data_and_indirect_imports_count(package, name, old, new):
    script, folder = package
    before = digest.code_digest(script)
    edit(folder / name, old, new)
    assert digest.code_digest(script) != before


def test_the_script_itself_counts(package):
    script, _ = package
    before = digest.code_digest(script)
    edit(script, "f()", "f(), f()")
    assert digest.code_digest(script) != before


def test_a_module_loaded_by_name_counts_when_named(package):
    script, folder = package
    before = digest.code_digest(script, ("deepcams.part.other",))
    assert before != digest.code_digest(script)
    edit(folder / "other.py", "return 3", "return 4")
    assert digest.code_digest(script, ("deepcams.part.other",)) != before


def test_a_moved_checkout_has_the_same_digests(package, tmp_path, monkeypatch):
    script, _ = package
    before = digest.code_digest(script)
    shutil.copytree(tmp_path / "deepcams", tmp_path / "elsewhere" / "deepcams")
    shutil.copy(script, tmp_path / "elsewhere" / "script.py")
    monkeypatch.setattr(digest, "SOURCE", tmp_path / "elsewhere" / "deepcams")
    assert digest.code_digest(tmp_path / "elsewhere" / "script.py") == before


def test_an_import_that_does_not_exist_is_told(package):
    script, _ = package
    edit(script, "deepcams.part.upper", "deepcams.part.uper")
    with pytest.raises(FileNotFoundError, match=r"deepcams\.part\.uper"):
        digest.code_digest(script)


def test_a_relative_import_is_refused_with_its_place(package):
    """It would be left out of the digest, and a change of the module would go unseen."""
    script, folder = package
    edit(folder / "upper.py", "from deepcams.part import lower", "from . import lower")
    with pytest.raises(ValueError, match=r"upper\.py, line 2.*relative"):
        digest.code_digest(script)


def test_the_version_does_not_count(package):
    """A new release alone is no reason to make eighteen years again."""
    script, folder = package
    version = folder.parent / "version.py"
    version.write_text("VERSION = '1'\n")
    edit(folder / "lower.py", "T =", "from deepcams.version import VERSION\n\nT =")
    before = digest.code_digest(script)
    edit(version, "'1'", "'2'")
    assert digest.code_digest(script) == before


TEXT = '''"""Docstring."""
from deepcams.version import VERSION as Error

def f(a, /, b: int = 2, *rest, c=None, **more) -> dict[str, float]:
    """Say."""
    if (n := len(rest)) > 1_000 and not more:
        raise Error(f"{a!r:>{b}} and {c}" f"{n}" "." u"x")
    return {**more, "a": [x for x in rest if x], "\u00e9": 1e-3, b"b": (..., None, True)}

class A:
    """Say."""
    x = lambda self: f"{self:{self.w}.{self.p}f}"

match f:
    case {"a": [1, *_]} | None:
        pass
'''


def test_the_digest_is_the_same_on_every_version_of_python(tmp_path):
    """A fixed number, which the tests confirm on each version they are run with."""
    script = tmp_path / "script.py"
    script.write_text(TEXT, encoding="utf-8")
    assert digest.code_digest(script) == "ecd6b64030e2e393"


def test_what_versions_of_python_parse_differently_does_not_count():
    """Empty lists of type parameters (3.12), None in place of nothing, empty and split pieces of f-strings (3.12)."""
    old, new = (ast.parse('def f(x):\n    return f"a{x}b"') for _ in range(2))
    function = new.body[0]
    function.type_params = []
    function.type_comment = None
    pieces = function.body[0].value.values
    pieces[0].kind = "u"
    pieces[2:] = [ast.Constant(""), ast.Constant("b"), ast.Constant("")]
    assert digest.outline(new) == digest.outline(old)


@pytest.mark.parametrize(
    ("one", "other"),
    [("x = 1", "x = 1.0"), ("x = None", "x = 'None'"), ("f()", "f(None)"), ("f'{x}a'", "f'a{x}'"), ("[]", "()")],
)
def test_what_means_something_else_has_another_outline(one, other):
    assert digest.outline(ast.parse(one)) != digest.outline(ast.parse(other))


def test_no_computing_script_reaches_the_drawing_code():
    scripts = (ROOT / "workflow" / "scripts").glob("*.py")
    drawing = {path.name for path in scripts if any("report" in m for m in digest.imported_modules(path))}
    assert drawing <= {"plot_fusion.py", "plot_year.py", "plot_zoom.py", "write_report.py", "write_year_report.py"}
