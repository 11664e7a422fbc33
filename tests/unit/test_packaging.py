"""The three lists of dependencies and the files around the package agree."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from deepcams.files.rounding import software
from deepcams.version import VERSION
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ITEMS = [*PROJECT["dependencies"], *(item for part in PROJECT["optional-dependencies"].values() for item in part)]
PINS = dict(re.fullmatch(r"([\w.-]+)(?:\[\w+\])?==([\w.]+)", item).groups() for item in ITEMS)


def test_every_dependency_is_pinned_in_the_lock_file_at_the_same_version():
    lock = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line)
    lock = {name.lower().replace("_", "-"): version for name, version in lock.items()}
    wanted = {name.lower().replace("_", "-"): version for name, version in PINS.items()}
    assert {name: lock.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.name)
def test_conda_environments_use_the_pins_of_pyproject(path):
    names = {"pytorch": "torch", "python-isal": "isal"}
    items = yaml.safe_load(path.read_text())["dependencies"]
    from_pip = [item for part in items if isinstance(part, dict) for item in part["pip"]]
    assert bool(from_pip) == ("pip" in items)
    for item in [*(part for part in items if isinstance(part, str)), *from_pip]:
        name, version = re.fullmatch(r"([\w.-]+)=*(.*)", item).groups()
        if name in ("python", "pip"):
            continue
        pin = PINS[{n.lower(): n for n in PINS}[names.get(name, name).lower()]]
        assert pin == version or pin.startswith(f"{version}.post"), f"{path.name}: {item} but pyproject has {pin}"


def test_every_rule_names_an_environment_that_exists():
    used = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        used |= set(re.findall(r"\.\./\.\./envs/([\w.]+)", path.read_text()))
    assert used == {path.name for path in (ROOT / "envs").glob("*.yaml")}


def test_the_version_is_the_same_everywhere():
    assert f"version: {VERSION}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()
    assert importlib.metadata.version("deepcams") == VERSION
    assert software() == f"deepcams {VERSION}"


def test_the_package_knows_its_version_without_being_installed(tmp_path):
    """The workflow runs from a checkout, where there may be no metadata of an installation."""
    shutil.copytree(ROOT / "src" / "deepcams", tmp_path / "deepcams", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import importlib.metadata as m\n"
        "def version(name): raise m.PackageNotFoundError(name)\n"
        "m.version = version\n"
        "from deepcams.files.rounding import software\n"
        "print(software())\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert process.stdout.strip() == f"deepcams {VERSION}", process.stderr
