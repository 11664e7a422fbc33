"""The package keeps its layers: each module imports only what stands below it, and package files stay empty."""

import ast

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "src" / "deepcams"
# From the bottom up; what stands in one row does not import its neighbours, except within a package.
LAYERS = [
    {"errors", "progress", "version", "pollutants", "credentials"},
    {"digest", "logs", "grid", "calendar"},
    {"files"},
    {"config", "degrade", "geography"},
    {"sources", "models"},
    {"inference", "training"},
    {"validation", "product"},
    {"fusion"},
    {"report", "plan"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py")


def part(path):
    """The package, or the module, right below `deepcams` that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_import_only_from_layers_below(path):
    own = part(path)
    for name in imports(path):
        if not name.startswith("deepcams."):
            continue
        other = name.split(".")[1]
        assert LEVEL[other] < LEVEL[own] or other == own, (
            f"{path.relative_to(SOURCE)} imports {name}, which does not stand below {own}"
        )


@pytest.mark.parametrize("path", [p for p in MODULES if part(p) == "models"], ids=lambda path: path.name)
def test_models_know_nothing_of_files_and_workflows(path):
    banned = {"xarray", "netCDF4", "h5netcdf", "h5py", "pandas", "snakemake"}
    assert not banned & {name.split(".")[0] for name in imports(path)}


def test_package_files_are_empty_so_that_code_digests_stay_narrow():
    assert not [path for path in SOURCE.rglob("__init__.py") if path.read_text().strip()]


def test_modules_stay_short():
    assert not [f"{p}: {n}" for p in MODULES if (n := len(p.read_text().splitlines())) > 400]
