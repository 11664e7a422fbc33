"""The lock file is exact, and a report says what it was made with."""

import json
import re
import socket
import subprocess
import sys
import tomllib
from importlib.metadata import distributions

import h5py
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deepcams.report.software_bill import software_bill, write_software_bill
from tests.conftest import ROOT
from tests.standins.advisories import Advisories
from tests.standins.server import Answer, Server

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
LOCK = {canonicalize_name(name): version for name, version in (line.split("==") for line in LINES)}
INSTALLED = {canonicalize_name(package.metadata["Name"]): package for package in distributions()}


def test_every_line_of_the_lock_is_one_exact_version_and_no_package_comes_twice():
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._]+", line) for line in LINES)
    assert len(LOCK) == len(LINES)


def test_the_lock_is_closed_and_holds_nothing_that_nothing_needs():
    """What the project needs, with all its extras, and what that needs, step by step: no more and no less.

    Setuptools and pip come with the environment, and no build of ours depends on their versions.
    """
    ours = [*PROJECT["dependencies"], *(item for part in PROJECT["optional-dependencies"].values() for item in part)]
    due, found = [Requirement(text) for text in ours], {}
    while due:
        requirement = due.pop()
        name = canonicalize_name(requirement.name)
        if name in ("setuptools", "pip") or (name in found and requirement.extras <= found[name]):
            continue
        found[name] = found.get(name, set()) | requirement.extras
        assert name in LOCK, f"{name} is needed and not in requirements.lock"
        assert requirement.specifier.contains(LOCK[name], prereleases=True), f"{requirement} is not {LOCK[name]}"
        for text in INSTALLED[name].requires or []:
            needed = Requirement(text)
            extras = ["", *found[name]]
            if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                due.append(needed)
    assert found.keys() == LOCK.keys()


def test_what_is_installed_is_what_is_locked():
    versions = {name: package.version.split("+")[0] for name, package in INSTALLED.items()}
    for name in ("deepcams", "pip", "setuptools", "wheel"):
        versions.pop(name, None)
    assert versions == LOCK


@pytest.fixture(scope="module")
def bill():
    return software_bill()


def test_the_bill_is_valid_cyclonedx(bill):
    assert bill["specVersion"] == SchemaVersion.V1_6.to_version()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None


def test_the_bill_lists_what_pip_lists(bill):
    process = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    listed = {canonicalize_name(item["name"]): item["version"] for item in json.loads(process.stdout)}
    addressed = {item["name"]: item["version"] for item in bill["components"] if "purl" in item}
    ours = bill["metadata"]["component"]
    assert addressed | {ours["name"]: ours["version"]} == listed
    # A later build of the same version would be another package: its label belongs to the version.
    torch = next(item for item in bill["components"] if item["name"] == "torch")
    assert torch["purl"] == f"pkg:pypi/torch@{torch['version'].replace('+', '%2B')}"


def test_the_bill_says_which_python_and_which_hdf5(bill):
    versions = {item["name"]: item["version"] for item in bill["components"] if "purl" not in item}
    running = ".".join(str(number) for number in sys.version_info[:3])
    assert versions == {"CPython": running, "libhdf5": "{}.{}.{}".format(*h5py.h5.get_libversion())}


def test_the_bill_says_what_needs_what(bill):
    needs = {item["ref"]: item["dependsOn"] for item in bill["dependencies"]}
    assert {"numpy", "torch", "snakemake"} <= set(needs["deepcams"])
    assert {"numpy", "packaging", "pandas"} <= set(needs["xarray"])
    assert "pytest" not in needs["pandas"]  # which its tests need
    references = {"deepcams", *(item["bom-ref"] for item in bill["components"])}
    assert set().union(*needs.values()) | needs.keys() <= references


def test_the_same_environment_gives_the_same_bytes_without_paths_and_times(tmp_path):
    code = f"from deepcams.report.software_bill import write_software_bill as w; w({str(tmp_path / 'other.json')!r})"
    write_software_bill(tmp_path / "bill.json")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={"PYTHONHASHSEED": "7"})
    text = (tmp_path / "bill.json").read_text()
    assert text == (tmp_path / "other.json").read_text()
    assert str(ROOT) not in text and "file:" not in text
    assert "serialNumber" not in text and "timestamp" not in text


def audit(*arguments):
    command = [sys.executable, ROOT / "tools" / "audit.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_an_audit_asks_for_every_package_of_the_lock_and_passes_where_nothing_is_known():
    with Advisories({}) as service:
        process = audit("--osv-url", service.url)
    assert process.returncode == 0, process.stderr
    assert "No known vulnerabilities" in process.stdout
    assert sorted(service.asked) == sorted(LOCK.items())


def test_a_planted_vulnerability_fails_the_audit_and_is_named(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("# As ours.\nnumpy==2.4.6\nNetworkX==3.6.1\n")
    planted = {("networkx", "3.6.1"): "PYSEC-0000-1", ("numpy", "2.4.6"): "PYSEC-0000-2"}
    with Advisories(planted) as service:
        process = audit(lock, "--osv-url", service.url, "--ignore-vuln", "PYSEC-0000-2")
    assert process.returncode == 1, process.stderr
    assert re.search(r"networkx +3\.6\.1 +PYSEC-0000-1 +99 +Planted\.", process.stdout)
    assert "PYSEC-0000-2" not in process.stdout and "ignored 1" in process.stdout  # judged to be harmless


@pytest.mark.parametrize("answers", [False, True], ids=["nobody answers", "an error"])
def test_a_service_that_cannot_be_asked_is_told_in_one_sentence_and_is_no_pass(tmp_path, answers):
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==2.4.6\n")
    if answers:
        with Server(lambda request: Answer(status=503)) as service:
            process = audit(lock, "--osv-url", service.url)
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))  # bound, so that nobody else takes it, and not listening
            process = audit(lock, "--osv-url", f"http://127.0.0.1:{free.getsockname()[1]}/v1/query")
    assert process.returncode == 2
    assert process.stderr.startswith("ERROR: The vulnerabilities of")
    assert process.stderr.count("\n") == 1 and "Traceback" not in process.stderr + process.stdout
