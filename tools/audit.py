"""Ask osv.dev for known vulnerabilities of everything in requirements.lock (`make audit`).

Ends 0 if there are none, 1 if there are some, 2 if the service could not be asked.

    python tools/audit.py [LOCK] [--osv-url URL] [--ignore-vuln ID ...]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

SERVICE = "https://api.osv.dev/v1/query"


def main() -> int:
    """Ask, and print what was answered."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lock", nargs="?", type=Path, default=Path(__file__).parents[1] / "requirements.lock")
    parser.add_argument("--osv-url", default=SERVICE)
    parser.add_argument("--ignore-vuln", action="append", default=[], metavar="ID", help="known and judged harmless")
    arguments = parser.parse_args()
    # The lock is complete and exact, so nothing is resolved and no index is asked.
    options = ["--requirement", arguments.lock, "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    options += ["--vulnerability-service", "osv", "--osv-url", arguments.osv_url, "--desc", "on"]
    options += [word for name in arguments.ignore_vuln for word in ("--ignore-vuln", name)]
    with tempfile.TemporaryDirectory() as cache:  # yesterday's answer is no answer
        process = subprocess.run(
            [sys.executable, "-m", "pip_audit", *options, "--cache-dir", cache], capture_output=True, text=True
        )
    if process.returncode == 0 or "known vulnerabilit" in process.stderr:
        print(process.stdout + process.stderr, end="")
        return process.returncode
    # It may end with a traceback, of which the last line says what happened.
    reason = (process.stderr.strip().splitlines() or ["no reason given"])[-1][:300]
    print(
        f"ERROR: The vulnerabilities of {arguments.lock} could not be asked for at {arguments.osv_url} ({reason}). "
        "Nothing is known about them; try again where the service can be reached.",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
