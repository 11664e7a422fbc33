"""A year's product: its months, joined without decoding a single value."""

from collections.abc import Sequence
from pathlib import Path

from deepcams.product.months import join_files


def assemble_year(months: Sequence[str | Path], out: str | Path, *, contiguous: bool = True) -> None:
    """Join the monthly files of a year, in order of time, into `out` by copying their compressed chunks.

    contiguous : False if the configured months leave gaps; hours never overlap either way. Source files are listed
    together and the closure error is the largest of the months.  Raises DeepcamsError, naming the files, if they
    differ in grid, encoding, attributes, networks or settings, overlap, are out of order, or mix synthetic and real.
    """
    join_files(months, out, contiguous=contiguous)
