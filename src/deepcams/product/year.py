"""A year's product: its months, joined without decoding a single value."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from deepcams.product.attributes import authorship
from deepcams.product.months import join_files


def assemble_year(
    months: Sequence[str | Path],
    out: str | Path,
    *,
    contiguous: bool = True,
    author: Mapping[str, str | None] | None = None,
) -> None:
    """Join the monthly files of a year, in order of time, into `out` by copying their compressed chunks.

    contiguous : False if the configured months leave gaps; hours never overlap either way. Source files are listed
    together and the closure error is the largest of the months.  author : who made it, and when, as the configuration
    has it.  Raises DeepcamsError, naming the files, if they
    differ in grid, encoding, attributes, networks or settings, overlap, are out of order, or mix synthetic and real.
    """
    join_files(months, out, contiguous=contiguous, stated=authorship(author or {}))
