"""The three lists of dependencies and the files around the package agree."""

import re
import tomllib

import pytest
import yaml

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ITEMS = [*PROJECT["dependencies"], *(item for part in PROJECT["optional-dependencies"].values() for item in part)]
PINS = dict(re.fullmatch(r"([\w.-]+)==([\w.]+)", item).groups() for item in ITEMS)


def test_every_dependency_is_pinned_in_the_lock_file_at_the_same_version():
    lock = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line)
    lock = {name.lower().replace("_", "-"): version for name, version in lock.items()}
    wanted = {name.lower().replace("_", "-"): version for name, version in PINS.items() if "executor" not in name}
    assert {name: lock.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.name)
def test_conda_environments_use_the_pins_of_pyproject(path):
    names = {"pytorch": "torch", "python-isal": "isal"}
    items = yaml.safe_load(path.read_text())["dependencies"]
    for item in items:
        name, _, version = item.partition("=")
        if name == "python":
            continue
        pin = PINS[{n.lower(): n for n in PINS}[names.get(name, name).lower()]]
        assert pin == version or pin.startswith(f"{version}.post"), f"{path.name}: {item} but pyproject has {pin}"


def test_every_rule_names_an_environment_that_exists():
    used = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        used |= set(re.findall(r"\.\./\.\./envs/([\w.]+)", path.read_text()))
    assert used == {path.name for path in (ROOT / "envs").glob("*.yaml")}


def test_the_version_is_the_same_everywhere():
    version = PROJECT["version"]
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
