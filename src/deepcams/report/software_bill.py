"""What a product was made with: a software bill of materials, in CycloneDX's JSON, of the running Python's packages."""

import json
import platform
import re
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import quote

import h5py
from packaging.requirements import InvalidRequirement, Requirement

from deepcams.files.atomic import write_text
from deepcams.version import VERSION

OURS = "deepcams"
SPECIFICATION = "1.6"


@dataclass(frozen=True)
class Package:
    """What an installed package says of itself.

    licence : as CycloneDX has it, empty where none is told.  requires, extras : as in its metadata.
    """

    name: str
    version: str
    licence: tuple[dict, ...]
    requires: tuple[str, ...]
    extras: tuple[str, ...]


def write_software_bill(path: str | Path) -> None:
    """Write the bill of the environment that runs: every installed package, Python, and the HDF5 library in h5py.

    The file has neither serial number nor time nor path, so that the same environment gives the same bytes.
    """
    write_text(path, json.dumps(software_bill(), indent=1, ensure_ascii=False) + "\n")


def software_bill() -> dict:
    """The bill as a CycloneDX document: components by name, and what each needs of the others."""
    packages = installed_packages()
    ours = {"type": "application", "bom-ref": OURS, "name": OURS, "version": VERSION}
    ours["licenses"] = [{"license": {"id": "BSD-3-Clause"}}]
    below = [
        {"type": "platform", "bom-ref": "python", "name": platform.python_implementation(),
         "version": platform.python_version()},
        {"type": "library", "bom-ref": "libhdf5", "name": "libhdf5", "version": h5py.version.hdf5_version},
    ]  # fmt: skip
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {"component": ours},
        "components": below + [_component(package) for package in packages.values() if package.name != OURS],
        "dependencies": [{"ref": name, "dependsOn": _needs(package, packages)} for name, package in packages.items()],
    }


def installed_packages() -> dict[str, Package]:
    """What can be imported, by normalised name in alphabetical order; of two of one name, the one that Python finds."""
    found: dict[str, Package] = {}
    for distribution in distributions():
        metadata = distribution.metadata  # read from disk anew each time
        if metadata and metadata["Name"] and metadata["Version"]:
            name = normalised(metadata["Name"])
            requires, extras = (tuple(metadata.get_all(key) or ()) for key in ("Requires-Dist", "Provides-Extra"))
            licence = _licence(metadata["License-Expression"], metadata["License"])
            found.setdefault(name, Package(name, metadata["Version"], licence, requires, extras))
    return dict(sorted(found.items()))


def normalised(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(expression: str | None, text: str | None) -> tuple[dict, ...]:
    if expression:
        return ({"expression": expression},)
    # Some put the whole text of the licence where its name belongs.
    lines = (text or "").strip().splitlines()
    return ({"license": {"name": lines[0]}},) if len(lines) == 1 and len(lines[0]) <= 100 else ()


def _component(package: Package) -> dict:
    address = f"pkg:pypi/{package.name}@{quote(package.version, safe='')}"
    component = {"type": "library", "bom-ref": package.name, "name": package.name, "version": package.version}
    return component | {"purl": address} | ({"licenses": list(package.licence)} if package.licence else {})


def _needs(package: Package, packages: dict[str, Package]) -> list[str]:
    """Which of `packages` one of them needs. Extras count for ours alone: of others nobody knows which were wanted."""
    needed = set()
    for text in package.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # of an old package, which pip installed all the same
            continue
        extras = ["", *(package.extras if package.name == OURS else ())]
        if not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            needed.add(normalised(requirement.name))
    return sorted(needed & packages.keys())
