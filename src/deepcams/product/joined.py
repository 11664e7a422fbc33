"""Product files along time as one, for forms of them that are not NetCDF."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deepcams.calendar import HOUR
from deepcams.files import joining
from deepcams.files.layout import Layout
from deepcams.files.netcdf import check_whole, read_layout
from deepcams.product.attributes import merge_layouts


def joined_layout(paths: Sequence[Path], out: str | Path) -> tuple[list[Layout], Layout]:
    """The layout of each file, and that of all of them joined into `out`.

    paths : in order of time, strictly hourly from the first to the last.
    Raises DeepcamsError if they cannot be joined, as `join_files` does, or lack chunks.
    """
    layouts = [read_layout(path) for path in paths]
    joining.check_all(paths, layouts, out, HOUR)
    whole = joining.join(layouts, merge_layouts(paths, layouts))
    for path, layout in zip(paths, layouts, strict=True):
        check_whole(path, layout)
    return layouts, whole


def plain(attributes: Mapping[str, object]) -> dict[str, object]:
    """Attributes as JSON has them."""
    return {
        name: value.tolist() if isinstance(value, np.generic | np.ndarray) else value
        for name, value in attributes.items()
    }
