"""Digest of the code that a script really runs: what decides whether its results are stale.

Snakemake looks at a script's time stamp and never at the modules it imports. A rule of this workflow instead carries
`code_digest(script)` among its parameters: the script and every `deepcams` module it imports, directly or not, with
comments, docstrings and formatting left out. Touching a file or rewording a comment changes nothing; changing what a
function does changes the digest of every script that can reach it. Only the standard library is used, because this
runs whenever the workflow is planned, and in each of its jobs on a cluster. Nor are 200 files parsed each time, which
takes a second: what they say is kept, by their content.
"""

import ast
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "deepcams"
SOURCE = Path(__file__).resolve().parent
# A new version alone makes nothing stale: what changed with it does.
UNCOUNTED = {f"{PACKAGE}.version"}
# Nor does it matter to what a file holds how a service was asked for it.
UNCOUNTED_PACKAGE = f"{PACKAGE}.sources.services."
# What is written for people and type checkers, by some versions of Python only, or follows from the place (ctx).
UNCOUNTED_FIELDS = {"kind", "type_comment", "type_params", "ctx"}
DATA_SUFFIXES = {".npz", ".json", ".csv", ".yaml", ".html", ".css", ".js"}
MOST_KEPT = 2000  # files, of all the states of the code that were planned with


def code_digest(script: str | Path, modules: tuple[str, ...] = (), kept: str | Path | None = None) -> str:
    """Return 16 hexadecimal digits that change when the code behind `script` changes.

    `modules` names modules that the script loads by name at run time, such as the configured network.
    Data files in a module's own folder count with the module if its code names them.
    `kept` is a file in which the next process finds what this one has parsed; if it cannot be written, it is not.
    Raises FileNotFoundError if the script, or a `deepcams` module it imports, does not exist, and ValueError for a
    relative import.
    """
    kept = Path(kept) if kept else None
    sources = _reached(script, modules, kept)
    _keep(kept)
    digest = hashlib.sha256()
    for path in sorted(sources, key=lambda path: (path.name, str(path))):
        digest.update(sources[path].meaning.encode())
    return digest.hexdigest()[:16]


def imported_modules(script: str | Path) -> set[str]:
    """Names of all `deepcams` modules that `script` imports, directly or through one another."""
    named = {name for source in _reached(script).values() for name in source.imports}
    return {name for name in named if _source_file(name) is not None}


def outline(tree: ast.AST) -> str:
    """A syntax tree as text, the same on every version of Python that can parse it.

    `ast.dump` is not: fields come and go with the versions, empty or None where they say nothing.
    """
    words: list[str] = []
    _write(tree, words.append)
    return " ".join(words)


@dataclass(frozen=True)
class _Source:
    """Digest of what a file says to the interpreter, and the dotted `deepcams` names that it imports."""

    meaning: str
    imports: tuple[str, ...]


def _reached(script: str | Path, modules: tuple[str, ...] = (), kept: Path | None = None) -> dict[Path, _Source]:
    """The files of a script, of modules, and of what they import, directly or through one another."""
    script = Path(script).resolve()
    sources: dict[Path, _Source] = {}
    queue = [script, *map(_source_file, modules)]
    while queue:
        path = queue.pop()
        if path is None or path in sources:
            continue
        sources[path] = _read(path, path.stat().st_mtime_ns, kept)
        queue.extend(map(_source_file, sources[path].imports))
    return sources


def _write(node: ast.AST, put: Callable[[str], None]) -> None:
    """Give the words of a tree's outline to `put`. Every planning writes 200 files: hence no detours here."""
    kind = type(node)
    put(f"({kind.__name__}")
    for name in kind._fields:
        value = getattr(node, name, None)
        if value is None or value == [] or name in UNCOUNTED_FIELDS:
            continue
        put(name)
        if isinstance(value, ast.AST):
            _write(value, put)
        elif isinstance(value, list):
            put("[")
            for item in _joined(value) if kind is ast.JoinedStr else value:
                if isinstance(item, ast.AST):
                    _write(item, put)
                else:
                    put(ascii(item))
            put("]")
        else:
            put(ascii(value))
    put(")")


def _joined(pieces: list[ast.expr]) -> list[ast.expr]:
    """An f-string's pieces without empty texts, and neighbouring texts as one."""
    joined: list[ast.expr] = []
    for piece in pieces:
        if isinstance(piece, ast.Constant) and joined and isinstance(joined[-1], ast.Constant):
            joined[-1] = ast.Constant(joined[-1].value + piece.value)
        elif not (isinstance(piece, ast.Constant) and piece.value == ""):
            joined.append(piece)
    return joined


def _source_file(name: str) -> Path | None:
    """The file of module `name`; None for a package (its `__init__` is empty), a name inside a module, or what does not
    count.
    """
    return _looked_up(name, SOURCE)


@cache
def _looked_up(name: str, source: Path) -> Path | None:
    if name in UNCOUNTED or name.rpartition(".")[0] in UNCOUNTED or f"{name}.".startswith(UNCOUNTED_PACKAGE):
        return None
    path = source.joinpath(*name.split(".")[1:])
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    if path.is_dir() or path.parent.with_suffix(".py").is_file():
        return None
    raise FileNotFoundError(f"Module {name} is imported but {path}.py does not exist")


@cache
def _read(path: Path, stamp: int, kept: Path | None) -> _Source:
    """The source in `path`, and the content of the data files beside it that it names."""
    content = path.read_bytes()
    key = hashlib.sha256(content).hexdigest()
    known = _known(kept)
    if key not in known:
        known[key] = _understood(content, path)
        known[_NEW] = True
    meaning, imports, names = known[key]
    if path.is_relative_to(SOURCE):
        for name in names:
            if (candidate := path.parent / name).is_file():
                meaning += f" {name}={hashlib.sha256(candidate.read_bytes()).hexdigest()}"
    return _Source(meaning, tuple(imports))


def _understood(content: bytes, path: Path) -> tuple[str, list[str], list[str]]:
    """Digest of a source without docstrings, the `deepcams` names it imports, and its words that may be data files."""
    tree = ast.parse(content)
    imports, strings = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(
                    f"{path}, line {node.lineno}: a relative import, which code digests do not follow. "
                    f"Write it in full, from {PACKAGE} on."
                )
            imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.add(node.value)
    ours = [name for name in imports if name == PACKAGE or name.startswith(f"{PACKAGE}.")]
    data = sorted(text for text in strings if Path(text).name == text and Path(text).suffix in DATA_SUFFIXES)
    return hashlib.sha256(outline(tree).encode()).hexdigest(), ours, data


_NEW = "new"  # among what is known: that it is more than what is kept


@cache
def _known(kept: Path | None) -> dict:
    """What was understood of files, by the digest of their content; by this very module, or nothing."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(kept.read_bytes()) if kept else {}
        if content["by"] == _seal(content["files"]):
            return content["files"]
    return {}


def _keep(kept: Path | None) -> None:
    known = _known(kept)
    if not known.pop(_NEW, False) or not kept:
        return
    files = dict(list(known.items())[-MOST_KEPT:])
    with suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(dir=kept.parent, prefix=f"{kept.name}.")
        try:
            with open(handle, "w", encoding="ascii") as file:
                json.dump({"by": _seal(files), "files": files}, file)
            os.chmod(name, 0o644)
            os.replace(name, kept)
        except OSError:
            os.unlink(name)


def _seal(files: dict) -> str:
    """Digest of what is kept and of this module, which understood it: a damaged byte would make much stale."""
    return hashlib.sha256(json.dumps(files).encode() + Path(__file__).read_bytes()).hexdigest()
