"""Several years as one data set without a copy: references to the chunks of their files, in kerchunk's form.

Chunks of 24 hours end with the day, and so with the year: the years' chunks are the data set's chunks.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepcams.errors import DeepcamsError, damaged
from deepcams.files.atomic import write_text
from deepcams.files.layout import to_hours
from deepcams.product.joined import joined_layout, plain

BEGIN = '{"version"'  # of every file of references


def write_virtual(paths: Sequence[str | Path], out: str | Path) -> int:
    """Write to `out` the references (JSON, version 1, Zarr 2) that make one data set of product files along time.

    paths : in order of time, strictly hourly from the first to the last; they are named in `out` as they are given.
    Returns the number of hours.  Read are the files' metadata alone; they must stay where they are, unchanged.
    Raises DeepcamsError if the files cannot be joined (as `join_files` does), lack chunks, or kerchunk is missing.
    """
    try:
        from kerchunk.hdf import SingleHdf5ToZarr
    except ImportError as error:
        raise DeepcamsError("Virtual data sets need kerchunk: pip install 'deepcams[zarr]'.") from error
    paths = [Path(path) for path in paths]
    for path in paths:
        if "{{" in str(path):
            raise DeepcamsError(f"{path}: '{{{{' begins a template in files of references. Give the file another name.")
    layouts, whole = joined_layout(paths, out)
    refs: dict[str, object] = {}
    start = 0
    for number, (path, layout) in enumerate(zip(paths, layouts, strict=True)):
        try:
            found = SingleHdf5ToZarr(str(path), inline_threshold=0, error="raise").translate()["refs"]
        except Exception as error:  # a damaged file can fail in any way
            raise damaged(error, f"{path} is damaged ({error}). Delete it and make it again.") from error
        own = f"{whole.variable}/"
        for key, value in found.items():
            if isinstance(value, list):
                value = [f"{{{{file{number}}}}}", *value[1:]]
            if key.startswith(own) and not key.startswith(f"{own}."):
                time, row, column = key.removeprefix(own).split(".")
                refs[f"{own}{int(time) + start}.{row}.{column}"] = value
            elif number == 0:
                refs[key] = value
        start += -(-len(layout.times) // layout.chunk[0])
    small = {"time": to_hours(whole.times)}
    small |= {item.name: item.values for item in whole.extra if item.dimensions[:1] == ("time",)}
    for name, values in small.items():
        _put(refs, name, values)
    _reshape(refs, whole.variable, whole.shape, whole.chunk)
    refs[".zattrs"] = json.dumps(plain(whole.global_attributes))
    templates = {f"file{number}": str(path) for number, path in enumerate(paths)}
    write_text(out, json.dumps({"version": 1, "templates": templates, "refs": refs}))
    return len(whole.times)


def _put(refs: dict[str, object], name: str, values: np.ndarray) -> None:
    """Let an array stand in the references as one chunk, in place of a file's chunks."""
    for key in [key for key in refs if key.startswith(f"{name}/") and not key.startswith(f"{name}/.z")]:
        del refs[key]
    _reshape(refs, name, values.shape, values.shape)
    key = ".".join("0" for _ in values.shape)
    refs[f"{name}/{key}"] = "base64:" + base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _reshape(refs: dict[str, object], name: str, shape: tuple[int, ...], chunk: tuple[int, ...]) -> None:
    about = json.loads(refs[f"{name}/.zarray"])
    about.update(shape=list(shape), chunks=list(chunk))
    refs[f"{name}/.zarray"] = json.dumps(about)
