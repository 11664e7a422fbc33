"""Snakemake's records of what was made: a damaged one is told, where Snakemake ends in a traceback or overlooks it."""

import json
import time
from base64 import urlsafe_b64decode
from pathlib import Path

from deepcams.errors import DeepcamsError


def check_records(snakemake_folder: str | Path) -> None:
    """Raise DeepcamsError, naming record and output, if a record in `.snakemake/metadata` cannot be read.

    Without its record an output is never seen to be stale. A record may be half-written if its output is marked as
    incomplete, for then both are made again.
    """
    folder = Path(snakemake_folder)
    for record in (folder / "metadata").rglob("*"):
        if record.is_dir() or record.name.startswith(".nfs") or _is_readable(record):
            continue
        name = record.relative_to(folder / "metadata")
        if (folder / "incomplete" / name).exists():
            continue
        time.sleep(1)  # until a run at work has written it
        if not _is_readable(record):
            raise DeepcamsError(
                f"Snakemake's record {record} is damaged, so nobody knows whether {_output(name)} is up to "
                "date. Delete both and run the same command again."
            )


def _is_readable(record: Path) -> bool:
    """Whether a record is whole. One that has gone meanwhile, or is not for us to read, is not damaged."""
    try:
        content = json.loads(record.read_bytes())
    except ValueError:
        return False
    except OSError:
        return True
    return isinstance(content, dict) and isinstance(content.get("rule"), str) and isinstance(content.get("input"), list)


def _output(name: Path) -> str:
    """The output a record is of: in Base64 its name, in several folders if it is long."""
    try:
        return urlsafe_b64decode("".join(part.removeprefix("@") for part in name.parts)).decode()
    except ValueError:
        return "its output"
