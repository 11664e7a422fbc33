"""Validating any CF file of hourly or daily fields: what the workflow does for its own product, for one file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import DAY, HOUR, Month, months_between
from deepcams.errors import DeepcamsError
from deepcams.progress import progress
from deepcams.validation.collocation import CollocationSettings, Opener, collocate, write_counts
from deepcams.validation.fields import FieldFile
from deepcams.validation.pairs import write_pairs
from deepcams.validation.quality import control_quality
from deepcams.validation.station_summary import SummarySettings
from deepcams.validation.summary import validate_year


def validate_file(
    folder: str | Path,
    product: str | Path,
    stations: pd.DataFrame,
    *,
    opened: Opener,
    reference: str | Path | None = None,
    opened_reference: Opener | None = None,
    names: Mapping[str, str],
    title: str,
    collocation: CollocationSettings,
    summary: SummarySettings,
) -> dict[str, object]:
    """Pair a file with stations, score the pairs and check the fields.

    folder : gets `pairs` (NetCDF and counts of each month) and `tables` (see `validate_year`).
    product, reference : CF files of one variable each.  stations : the tidy table of all measurements.
    opened, opened_reference : how the files become fields.  names, title : see `validate_year`.
    Returns the summary. Raises DeepcamsError if no measurement lies within the time of the file, or as `collocate`.
    """
    folder, opened_reference = Path(folder), opened_reference or opened
    with opened(product) as file:
        first, last = _span(file)
    time = pd.to_datetime(stations["time"]).to_numpy("datetime64[s]")
    within = (time > first - HOUR) & (time <= last + HOUR)
    if not within.any():
        raise DeepcamsError(
            f"{product} reaches from {first} to {last}, and the measurements from {time.min()} to {time.max()} (UTC): "
            "they have no hour in common."
        )

    def of(path: str | Path) -> FieldFile:
        return (opened if Path(path) == Path(product) else opened_reference)(path)

    pairs, counts = [], []
    # A stamp of 00:00 on the first of a month is of the month before, as its hour is.
    months = months_between(_month(first), _month(last - np.timedelta64(1, "s")))
    for month in progress(months, "Pairing stations", "months"):
        ends = [months[0].start - DAY if month == months[0] else month.start, last + DAY]
        ends[1] = ends[1] if month == months[-1] else month.end
        table = stations[within & (time > ends[0]) & (time <= ends[1])]
        clean, losses = control_quality(table, collocation.quality)
        found, more = collocate(product, reference, clean, collocation, opened=of)
        pairs.append(folder / "pairs" / f"{month}.nc")
        counts.append(folder / "pairs" / f"{month}_counts.csv.gz")
        write_pairs(pairs[-1], found)
        write_counts(counts[-1], pd.concat([losses, more], ignore_index=True))
    return validate_year(
        folder / "tables",
        title=title,
        product_paths=[product],
        coarse_paths=[reference] if reference else [],
        pair_paths=pairs,
        count_paths=counts,
        settings=summary,
        names=names,
        opened=of,
        details={"collocation": collocation.method},
    )


def _span(file: FieldFile) -> tuple[np.datetime64, np.datetime64]:
    if file.bounds is None:
        return file.times[0], file.times[-1]
    return file.bounds[0, 0], file.bounds[-1, 1]


def _month(time: np.datetime64) -> Month:
    return Month.parse(str(time.astype("datetime64[M]")))
