"""SHA-256 sidecars: how the workflow tells whether a large file has really changed."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import write_text


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_sidecar(path: str | Path, sidecar: str | Path | None = None) -> str:
    """Write `sidecar` (default: `path` + ".sha256") in the format of `sha256sum` and return the digest.

    The sidecar, not the file's time stamp, is what later rules depend on: identical data fetched again
    leaves it identical, and nothing downstream reruns.
    """
    path = Path(path)
    digest = sha256(path)
    write_text(sidecar or f"{path}.sha256", f"{digest}  {path.name}\n")
    return digest


def check_sidecar(path: str | Path, sidecar: str | Path) -> str:
    """Return the digest in `sidecar` after comparing it with `path`; raise DeepcamsError if they disagree."""
    try:
        expected = Path(sidecar).read_text(encoding="utf-8").split()[0]
    except (IndexError, UnicodeDecodeError) as error:
        raise DeepcamsError(
            f"{sidecar} is empty or damaged, so {path} cannot be checked. Delete both and run the workflow again to "
            "make them anew."
        ) from error
    if sha256(path) != expected:
        raise DeepcamsError(
            f"{path} is not the file its checksum {sidecar} was made from: it was changed or damaged. "
            "Delete both and run the workflow again to make them anew."
        )
    return expected


def check_inputs(paths: Iterable[str | Path]) -> None:
    """Compare with its sidecar every file of a job's inputs whose sidecar is among them.

    Rules take large files as they are and depend on the sidecars; so a disk error or a file put in place by hand would
    go unseen, and a copy of compressed chunks would carry it on. What an `index.json` has checksums of are the arrays
    beside it. Raises DeepcamsError naming the first wrong file.
    """
    given = dict.fromkeys(str(path) for path in paths)
    for path in given:
        if f"{path}.sha256" in given:
            check_sidecar(path, f"{path}.sha256")
        elif Path(path).name == "index.json":
            check_index(path)


def check_index(path: str | Path) -> None:
    """Compare the arrays beside an index with its checksums. Raises DeepcamsError, naming the file, if one is wrong."""
    path = Path(path)
    try:
        expected = dict(json.loads(path.read_text(encoding="utf-8"))["sha256"])
        wrong = [name for name, digest in expected.items() if sha256(path.with_name(f"{name}.npy")) != digest]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeepcamsError(f"{path} is damaged ({error}). Delete its folder and run the workflow again.") from error
    if wrong:
        raise DeepcamsError(
            f"{path.with_name(f'{wrong[0]}.npy')} is not the file its checksum in {path} was made from: it was changed "
            "or damaged. Delete the folder and run the workflow again to make it anew."
        )
