"""The lock file is exact, and a report says what it was made with."""

import json
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.metadata import distributions
from types import SimpleNamespace

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
INSTALLED = {
    canonicalize_name(package.metadata["Name"]): SimpleNamespace(version=package.version, requires=package.requires)
    for package in distributions()
}
OURS = [*PROJECT["dependencies"], *(item for part in PROJECT["optional-dependencies"].values() for item in part)]
# They come with the environment, and no build of ours depends on their versions.
AROUND = {"deepcams", "pip", "setuptools", "wheel"}
as_locked = pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info[:2] != (3, 11),
    reason="the lock is of Python 3.11 on Linux; others need further packages or fewer",
)


@cache
def parsed(text: str) -> tuple[Requirement, Callable[[str], bool]]:
    """A requirement, and whether it holds here with an extra of the package that states it."""
    requirement = Requirement(text)
    return requirement, cache(lambda extra: not requirement.marker or requirement.marker.evaluate({"extra": extra}))


def closure(requirements: list[str], installed: dict, without: str = "") -> dict[str, list[Requirement]]:
    """What is needed, and what that needs, step by step: everything that is asked of each package.

    without : a package that is taken to need nothing.
    """
    due, found = [Requirement(text) for text in requirements], {}
    while due:
        requirement = due.pop()
        name = canonicalize_name(requirement.name)
        if name in AROUND:
            continue
        known = {extra for item in found.get(name, []) for extra in item.extras}
        is_new = name not in found or requirement.extras - known
        found.setdefault(name, []).append(requirement)
        if not is_new or name == without:
            continue
        for text in installed[name].requires or []:
            needed, applies = parsed(text)
            if any(applies(extra) for extra in {"", *known, *requirement.extras}):
                due.append(needed)
    return found


def of_torch_alone(installed: dict) -> set[str]:
    """What a build of PyTorch for GPUs brings and nothing else needs; the lock is of its build for processors.

    Nothing for a build that says of itself that it is for processors.
    """
    if installed["torch"].version.endswith("+cpu"):
        return set()
    return closure(OURS, installed).keys() - closure(OURS, installed, without="torch").keys() - LOCK.keys()


def faults_of_the_lock(installed: dict) -> list[str]:
    """What is needed and not locked, locked and not needed, or needed at another version."""
    found, exempt = closure(OURS, installed), of_torch_alone(installed)
    asked = [item for name in found.keys() - exempt for item in found[name]]
    wrong = [
        f"{item}: {LOCK.get(canonicalize_name(item.name))}"
        for item in asked
        if not item.specifier.contains(LOCK.get(canonicalize_name(item.name), "0.dev0"), prereleases=True)
    ]
    return wrong + sorted(LOCK.keys() ^ (found.keys() - exempt))


def not_as_locked(installed: dict) -> set[tuple[str, str]]:
    """Packages and versions that are locked and not installed, or installed and not locked."""
    versions = {name: package.version.split("+")[0] for name, package in installed.items()}
    return {item for item in versions.items() if item[0] not in AROUND | of_torch_alone(installed)} ^ set(LOCK.items())


def test_every_line_of_the_lock_is_one_exact_version_and_no_package_comes_twice():
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._]+", line) for line in LINES)
    assert len(LOCK) == len(LINES)


@as_locked
def test_the_lock_is_closed_and_holds_nothing_that_nothing_needs():
    """What the project needs, with all its extras, and what that needs, step by step: no more and no less."""
    assert faults_of_the_lock(INSTALLED) == []


@as_locked
def test_what_is_installed_is_what_is_locked():
    assert not_as_locked(INSTALLED) == set()


def package(version, *requires):
    return SimpleNamespace(version=version, requires=list(requires))


@as_locked
def test_only_what_a_build_of_pytorch_for_gpus_brings_may_be_missing_from_the_lock():
    torch = INSTALLED["torch"]
    brings = {"nvidia-libraries": package("13.0", "setuptools"), "triton": package("3.7.0", "nvidia-libraries>=13")}
    needs = [*torch.requires, "triton==3.7.0"]
    with_gpus = INSTALLED | brings | {"torch": package(torch.version.split("+")[0], *needs)}
    assert faults_of_the_lock(with_gpus) == [] and not_as_locked(with_gpus) == set()

    for_processors = with_gpus | {"torch": package("2.13.0+cpu", *needs)}
    assert {"triton", "nvidia-libraries"} <= set(faults_of_the_lock(for_processors))
    needed_elsewhere = with_gpus | {"tqdm": package(INSTALLED["tqdm"].version, "triton")}
    assert {"triton", "nvidia-libraries"} <= set(faults_of_the_lock(needed_elsewhere))
    assert not_as_locked(with_gpus | {"stranger": package("1.0")}) == {("stranger", "1.0")}
    assert not_as_locked(with_gpus | {"tqdm": package("0.1")}) == {("tqdm", "0.1"), ("tqdm", LOCK["tqdm"])}


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
