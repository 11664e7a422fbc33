"""A folder beside a file that is being made, in which a killed job leaves what it had already got."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import explained, write_text
from deepcams.files.hold import held

_KEY = "key.json"


@contextmanager
def workspace(path: str | Path, key: object) -> Iterator[Path]:
    """Yield the folder `<path>.parts`, with what an interrupted job for the same `key` left there.

    key : what the parts depend on, as plain values; parts of another key are deleted. The folder goes when the block
    ends well, and stays when it does not. Raises DeepcamsError if it cannot be made, or if another process is at work
    in it.
    """
    path = Path(path)
    folder = path.with_name(f"{path.name}.parts")
    wanted = json.dumps(key, sort_keys=True, default=str)
    mark = folder / _KEY
    turn = path.with_name(f".{path.name}.held")
    with held(turn) as ours:
        if not ours:
            raise DeepcamsError(
                f"Another process is making {path} already. Wait for it, or stop it first; if there is none on any "
                f"machine, delete {turn}."
            )
        try:
            if folder.exists() and (not mark.is_file() or mark.read_text(encoding="utf-8") != wanted):
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explained(error, folder) from error
        if not mark.is_file():
            write_text(mark, wanted)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
