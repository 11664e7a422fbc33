"""Kubernetes' interface as far as a run needs it: make a Job, ask for it, remove it. For submit, status and cancel."""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

# Where Kubernetes puts a pod's own credentials.
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
PATIENCE = 20  # seconds for an answer


def request(method, name="", body=None, query=""):
    """Ask for a Job by name, for all that fit a query, or make one from `body`; returns the answer.

    Raises urllib.error.HTTPError if the answer is an error, OSError if there is none. Ends with a sentence outside of
    a pod.
    """
    account = Path(os.environ.get("DEEPCAMS_SERVICE_ACCOUNT", ACCOUNT))
    try:
        address = f"{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
        namespace, token = ((account / part).read_text().strip() for part in ("namespace", "token"))
        trusted = ssl.create_default_context(cafile=account / "ca.crt")
    except (KeyError, OSError) as error:
        sys.exit(
            f"ERROR: This is no pod with a service account ({error}). Start Snakemake as "
            "profiles/kubernetes/coordinator.yaml does."
        )
    call = urllib.request.Request(
        f"https://{address}/apis/batch/v1/namespaces/{namespace}/jobs{name and '/' + name}{query and '?' + query}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(call, timeout=PATIENCE, context=trusted) as answer:
        return json.load(answer)
