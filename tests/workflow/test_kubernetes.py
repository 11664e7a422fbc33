"""The profile for Kubernetes, against a pretended cluster that speaks its language and runs the jobs here."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from deepcams.models.checkpoint import read
from tests.conftest import ROOT
from tests.standins.kubernetes import Cluster
from tests.standins.server import Answer

PROFILE = ROOT / "profiles" / "kubernetes"
WITH_PROFILE = ("--workflow-profile", "profiles/kubernetes")
needs_plugin = pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_cluster_generic") is None,
    reason="needs snakemake-executor-plugin-cluster-generic: pip install deepcams[kubernetes]",
)


@pytest.fixture
def cluster(tmp_path):
    with Cluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
def script(tmp_path):
    """A job script of Snakemake's that does nothing."""
    return job_script(tmp_path / "job.sh")


def job_script(path: Path, command="true", **resources) -> Path:
    properties = {"rule": "train_temporal", "threads": 4, "resources": {"mem_mb": 8000, "runtime": 720} | resources}
    path.write_text(f"#!/bin/sh\n# properties = {json.dumps(properties)}\n{command}\n")
    return path


def call(name, *arguments, cluster=None, cwd=None):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": "/", **(cluster.environment if cluster else {})}
    command = [PROFILE / name, *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)


def until(name, state, cluster):
    """Ask for a Job until it is in a state."""
    for _ in range(100):
        found = call("status", name, cluster=cluster).stdout.strip()
        if found == state:
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} is {found}, not {state}")


def test_a_job_asks_for_its_cores_memory_and_time_and_for_no_gpu(cluster, script, tmp_path):
    process = call("submit", script, cluster=cluster, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    job = cluster.manifests[process.stdout.strip()]
    template = yaml.safe_load((PROFILE / "job.yaml").read_text())
    pod, given = job["spec"]["template"]["spec"], template["spec"]["template"]["spec"]
    (container,), (plain,) = pod.pop("containers"), given.pop("containers")
    assert container == plain | {
        "command": ["/bin/sh", str(script)],
        "workingDir": str(tmp_path),
        "resources": {"requests": {"cpu": "4", "memory": "8000M"}, "limits": {"memory": "8000M"}},
    }
    assert pod == given | {"activeDeadlineSeconds": 720 * 60}
    assert job["metadata"]["labels"] == {"app": "deepcams", "rule": "train_temporal"}
    assert job["metadata"]["name"].startswith("deepcams-train-temporal-") and len(job["metadata"]["name"]) <= 63
    until(job["metadata"]["name"], "success", cluster)


def test_a_job_of_a_network_asks_for_a_gpu_and_may_go_where_they_are(cluster, tmp_path):
    script = job_script(tmp_path / "job.sh", gpu=1)
    job = cluster.manifests[call("submit", script, cluster=cluster, cwd=tmp_path).stdout.strip()]
    pod = job["spec"]["template"]["spec"]
    held = {"memory": "8000M", "nvidia.com/gpu": "1"}  # Kubernetes wants both to be equal for a GPU
    assert pod["containers"][0]["resources"] == {"requests": {"cpu": "4", **held}, "limits": held}
    assert [item["key"] for item in pod["tolerations"]] == ["nvidia.com/gpu"]


def test_states_are_told_and_a_cancelled_job_is_gone(cluster, tmp_path):
    scripts = {
        "failed": job_script(tmp_path / "failing.sh", "exit 3"),
        "running": job_script(tmp_path / "long.sh", "sleep 3600"),
    }
    names = {}
    for state, script in scripts.items():
        names[state] = call("submit", script, cluster=cluster, cwd=tmp_path).stdout.strip()
        until(names[state], state, cluster)
    running = cluster.processes[names["running"]]
    process = call("cancel", names["running"], "deepcams-never-there", cluster=cluster)
    assert process.returncode == 0, process.stderr
    assert cluster.deleted == [names["running"]]
    assert running.poll() is not None
    until(names["running"], "failed", cluster)  # so Snakemake does not wait for it


def test_a_coordinator_begins_by_removing_what_an_earlier_one_left(cluster, tmp_path):
    script = job_script(tmp_path / "long.sh", "sleep 3600")
    name = call("submit", script, cluster=cluster, cwd=tmp_path).stdout.strip()
    elsewhere = call("submit", script, cluster=cluster, cwd=tmp_path).stdout.strip()
    cluster.manifests[elsewhere]["metadata"]["labels"] = {"app": "another"}
    left, of_another = cluster.processes[name], cluster.processes[elsewhere]
    process = call("cancel", "--all", cluster=cluster)
    assert process.returncode == 0, process.stderr
    assert cluster.deleted == [name]
    assert left.poll() is not None
    assert of_another.poll() is None


def test_a_request_whose_answer_was_lost_makes_one_job(cluster, script, tmp_path):
    cluster.server.fail("/jobs$", lambda answer: Answer(status=504), times=1, method="POST")
    process = call("submit", script, cluster=cluster, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert list(cluster.manifests) == [process.stdout.strip()]
    assert len(cluster.server.asked(method="POST")) == 2


def test_a_cluster_that_does_not_answer_leaves_jobs_as_they_are(cluster, script, tmp_path):
    """Snakemake would give the whole run up over one question that failed."""
    name = call("submit", script, cluster=cluster, cwd=tmp_path).stdout.strip()
    until(name, "success", cluster)
    cluster.server.fail("/jobs/", Answer(status=503), times=1)
    assert call("status", name, cluster=cluster).stdout == "running\n"
    assert call("status", name, cluster=cluster).stdout == "success\n"


@pytest.mark.parametrize(
    ("name", "argument"), [("submit", "job.sh"), ("status", "x"), ("cancel", "x"), ("cancel", "--all")]
)
def test_outside_of_a_pod_and_with_a_wrong_token_one_sentence_says_so(cluster, script, name, argument):
    process = call(name, argument, cwd=script.parent)
    assert process.returncode != 0
    assert process.stderr.startswith("ERROR: This is no pod") and process.stderr.count("\n") == 1
    if name == "submit":
        (cluster.folder / "token").write_text("another token")
        process = call(name, argument, cluster=cluster, cwd=script.parent)
        assert process.stderr == "ERROR: Kubernetes refused a Job (401): Unauthorized\n"
        assert not cluster.manifests


@needs_plugin
def test_the_profile_plans_a_year(checkout):
    year, choice = "results/2015/pm25_hourly.nc", ("--config", "networks=interpolation")
    jobs = checkout.planned(year, *WITH_PROFILE, *choice, configfile=None)
    months = dict.fromkeys(("retrieve_cams", "downscale_temporal", "downscale_spatial"), 12)
    assert Counter(job.split()[0] for job in jobs) == Counter(months | {"derive_network": 2, "assemble_year": 1})


@needs_plugin
def test_a_run_has_its_job_done_on_the_cluster_and_a_second_try_gets_twice_the_memory(checkout, cluster):
    create = cluster._create

    def without_room(job):
        if not cluster.manifests:
            job["spec"]["template"]["spec"]["containers"][0]["command"] = ["/bin/false"]
        return create(job)

    cluster._create = without_room
    model = "results/tiny/models/real/temporal/linear/model.safetensors"
    quick = ("--latency-wait", "1", "--seconds-between-status-checks", "1", "--config", "networks=interpolation")
    process = checkout.snakemake(model, *WITH_PROFILE, *quick, **cluster.environment)
    assert process.returncode == 0, process.stdout
    assert read(checkout.path / model).network == "linear"
    jobs = [job["spec"]["template"]["spec"]["containers"][0] for job in cluster.manifests.values()]
    memory = [int(job["resources"]["limits"]["memory"].removesuffix("M")) for job in jobs]
    assert memory == [memory[0], 2 * memory[0]]


def test_the_profile_agrees_with_the_default_and_both_manifests_with_one_another():
    default, ours = (
        yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text()) for name in ("default", "kubernetes")
    )
    shared = (default.keys() & ours.keys()) - {"resources"}
    assert {"rerun-triggers", "rerun-incomplete"} <= shared
    assert {key: default[key] for key in shared} == {key: ours[key] for key in shared}
    job = yaml.safe_load((PROFILE / "job.yaml").read_text())["spec"]["template"]["spec"]
    parts = list(yaml.safe_load_all((PROFILE / "coordinator.yaml").read_text()))
    coordinator = parts[-1]["spec"]["template"]["spec"]
    assert coordinator["containers"][0]["image"] == job["containers"][0]["image"]
    assert coordinator["volumes"][0] == job["volumes"][0]
    assert coordinator["volumes"][0]["persistentVolumeClaim"]["claimName"] == parts[0]["metadata"]["name"]
    assert coordinator["containers"][0]["volumeMounts"][0] == job["containers"][0]["volumeMounts"][0]
    # It may do what the three programs ask for, and nothing else.
    programs = "".join((PROFILE / name).read_text() for name in ("submit", "status", "cancel"))
    asked = set(re.findall(r'request\("([A-Z]+)", (query|body)?', programs))
    verbs = {("POST", "body"): "create", ("GET", ""): "get", ("GET", "query"): "list",
             ("DELETE", ""): "delete", ("DELETE", "query"): "deletecollection"}  # fmt: skip
    assert {verbs[item] for item in asked} == set(parts[2]["rules"][0]["verbs"])
