"""Digest of the code that a script really runs: what decides whether its results are stale.

Snakemake looks at a script's time stamp and never at the modules it imports. A rule of this workflow instead carries
`code_digest(script)` among its parameters: the script and every `deepcams` module it imports, directly or not, with
comments, docstrings and formatting left out. Touching a file or rewording a comment changes nothing; changing what a
function does changes the digest of every script that can reach it. Only the standard library is used, because this
runs whenever the workflow is planned.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = "deepcams"
SOURCE = Path(__file__).resolve().parent
# A new version alone makes nothing stale: what changed with it does.
UNCOUNTED = {f"{PACKAGE}.version"}
# Nor does it matter to what a file holds how a service was asked for it.
UNCOUNTED_PACKAGE = f"{PACKAGE}.sources.services."
# What is written for people and type checkers, or by some versions of Python only.
UNCOUNTED_FIELDS = {"kind", "type_comment", "type_params"}
DATA_SUFFIXES = {".npz", ".json", ".csv", ".yaml", ".html", ".css", ".js"}


def code_digest(script: str | Path, modules: tuple[str, ...] = ()) -> str:
    """Return 16 hexadecimal digits that change when the code behind `script` changes.

    `modules` names modules that the script loads by name at run time, such as the configured network.
    Data files in a module's own folder count with the module if its code names them.
    Raises FileNotFoundError if the script, or a `deepcams` module it imports, does not exist, and ValueError for a
    relative import.
    """
    script = Path(script).resolve()
    files = {script: _meaning(script, script.stat().st_mtime_ns)}
    queue = [*_imports(script, script.stat().st_mtime_ns), *modules]
    while queue:
        path = _source_file(queue.pop())
        if path is None or path in files:
            continue
        stamp = path.stat().st_mtime_ns
        files[path] = _meaning(path, stamp)
        queue.extend(_imports(path, stamp))
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda path: (path.name, str(path))):
        digest.update(files[path].encode())
    return digest.hexdigest()[:16]


def outline(node: object) -> object:
    """A syntax tree as nested lists of text, the same on every version of Python that can parse it.

    `ast.dump` is not: fields come and go with the versions, empty or None where they say nothing.
    """
    if isinstance(node, ast.AST):
        fields = [
            [name, outline(_joined(value) if isinstance(node, ast.JoinedStr) else value)]
            for name, value in ast.iter_fields(node)
            if name not in UNCOUNTED_FIELDS and value is not None and value != []
        ]
        return [type(node).__name__, *fields]
    if isinstance(node, list):
        return [outline(item) for item in node]
    return ascii(node)


def _joined(pieces: list[ast.expr]) -> list[ast.expr]:
    """An f-string's pieces without empty texts, and neighbouring texts as one."""
    joined: list[ast.expr] = []
    for piece in pieces:
        if isinstance(piece, ast.Constant) and joined and isinstance(joined[-1], ast.Constant):
            joined[-1] = ast.Constant(joined[-1].value + piece.value)
        elif not (isinstance(piece, ast.Constant) and piece.value == ""):
            joined.append(piece)
    return joined


def imported_modules(script: str | Path) -> set[str]:
    """Names of all `deepcams` modules that `script` imports, directly or through one another."""
    script = Path(script).resolve()
    names: set[str] = set()
    queue = list(_imports(script, script.stat().st_mtime_ns))
    while queue:
        name = queue.pop()
        path = _source_file(name)
        if path is None or name in names:
            continue
        names.add(name)
        queue.extend(_imports(path, path.stat().st_mtime_ns))
    return names


@cache
def _imports(path: Path, stamp: int) -> tuple[str, ...]:
    """Dotted `deepcams` names in the import statements of a file, wherever they stand in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(
                    f"{path}, line {node.lineno}: a relative import, which code digests do not follow. "
                    f"Write it in full, from {PACKAGE} on."
                )
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name == PACKAGE or name.startswith(PACKAGE + "."))


def _source_file(name: str) -> Path | None:
    """The file of module `name`; None for a package (its `__init__` is empty), a name inside a module, or what does not
    count.
    """
    if name in UNCOUNTED or name.rpartition(".")[0] in UNCOUNTED or f"{name}.".startswith(UNCOUNTED_PACKAGE):
        return None
    path = SOURCE.joinpath(*name.split(".")[1:])
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    if path.is_dir() or path.parent.with_suffix(".py").is_file():
        return None
    raise FileNotFoundError(f"Module {name} is imported but {path}.py does not exist")


@cache
def _meaning(path: Path, stamp: int) -> str:
    """What a file says to the interpreter, and the content of the data files beside it that it names."""
    tree = ast.parse(path.read_bytes())
    strings = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = body[1:] or [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.add(node.value)
    data = []
    if path.is_relative_to(SOURCE):
        for candidate in sorted(path.parent.iterdir()):
            if candidate.suffix in DATA_SUFFIXES and candidate.name in strings:
                data.append(f"{candidate.name}={hashlib.sha256(candidate.read_bytes()).hexdigest()}")
    return "\n".join([repr(outline(tree)), *data])
