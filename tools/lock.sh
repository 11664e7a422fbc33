#!/usr/bin/env bash
# Write requirements.lock: every package, at the version that pyproject.toml resolves to in a fresh environment.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
python3 -m venv "$environment"
"$environment/bin/pip" install --disable-pip-version-check --quiet "torch==2.13.0"
"$environment/bin/pip" install --disable-pip-version-check --quiet ".[workflow,slurm,kubernetes,crate,grib,zarr,test]"
{
    echo "# Written by tools/lock.sh from pyproject.toml; do not edit."
    # A local version label such as +cpu names one index's build; the version itself is what is pinned.
    "$environment/bin/pip" freeze --exclude deepcams | sed -E 's/\+[a-z0-9.]+$//'
} > requirements.lock
