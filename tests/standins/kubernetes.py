"""A stand-in for a cluster with Kubernetes: takes Jobs over HTTPS and runs their commands here, as processes."""

import json
import os
import signal
import ssl
import subprocess
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.standins.server import Answer, Request, Server

TOKEN = "a token"
JOBS = "/apis/batch/v1/namespaces/research/jobs"


class Cluster(AbstractContextManager):
    """Runs Jobs. folder : for its certificate, a pod's account and the jobs' output; the nodes are empty at the end."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.manifests: dict[str, dict] = {}
        self.processes: dict[str, subprocess.Popen] = {}
        self.deleted: list[str] = []
        self.server = Server(self._answer)
        host, port = self.server.url.removeprefix("http://").split(":")
        # What a pod finds in its environment.
        self.environment = {
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            "DEEPCAMS_SERVICE_ACCOUNT": str(folder),
        }
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("namespace", "research"), ("token", TOKEN)):
            (folder / name).write_text(f"{text}\n")
        _write_certificate(folder / "ca.crt", folder / "key.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "key.pem")
        self.server._server.socket = context.wrap_socket(self.server._server.socket, server_side=True)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        for name in list(self.processes):
            self._stop(name)
        self.server.__exit__(*error)

    def _answer(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized")
        folder, _, name = request.path.removeprefix(JOBS).partition("/")
        assert request.path.startswith(JOBS) and not folder, request.path
        if not name and request.method != "POST":
            return self._all(request)
        if request.method == "POST":
            return self._create(json.loads(request.body))
        if name not in self.processes:
            return _status(404, f'jobs.batch "{name}" not found')
        if request.method == "DELETE":
            assert json.loads(request.body) == {"propagationPolicy": "Background"}
            self.deleted.append(name)
            self._stop(name)
            return _status(200, "deleted")
        return Answer(body=json.dumps({"status": self._state(self.processes[name].poll())}).encode())

    def _all(self, request: Request) -> Answer:
        """List, or remove, the Jobs of a label."""
        key, value = request.query["labelSelector"][0].split("=")
        named = [name for name in self.processes if self.manifests[name]["metadata"]["labels"].get(key) == value]
        if request.method == "DELETE":
            assert json.loads(request.body) == {"propagationPolicy": "Foreground"}
            for name in named:
                self.deleted.append(name)
                self._stop(name)
        return Answer(body=json.dumps({"items": [{"metadata": {"name": name}} for name in named]}).encode())

    def _create(self, job: dict) -> Answer:
        name = job["metadata"]["name"]
        if name in self.processes:
            return _status(409, f'jobs.batch "{name}" already exists')
        (container,) = job["spec"]["template"]["spec"]["containers"]
        clean = {key: os.environ[key] for key in ("PATH", "OMP_NUM_THREADS", "OMP_WAIT_POLICY") if key in os.environ}
        with (self.folder / f"{name}.log").open("wb") as output:
            self.processes[name] = subprocess.Popen(
                container["command"], cwd=container["workingDir"], env=clean | {"HOME": str(self.folder)},
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.manifests[name] = job
        return Answer(status=201, body=json.dumps(job).encode())

    @staticmethod
    def _state(code: int | None) -> dict:
        if code is None:
            return {"active": 1}
        kind = "Failed" if code else "Complete"
        return {kind.lower().replace("complete", "succeeded"): 1, "conditions": [{"type": kind, "status": "True"}]}

    def _stop(self, name: str):
        process = self.processes.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _status(code: int, message: str) -> Answer:
    return Answer(status=code, body=json.dumps({"kind": "Status", "code": code, "message": message}).encode())


def _write_certificate(certificate: Path, key: Path):
    """Of an authority of its own for this server's address."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a pretended cluster")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
