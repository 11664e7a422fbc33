"""Validating any CF file of hourly or daily fields: what the workflow does for its own product, for one file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError
from deepcams.progress import progress
from deepcams.validation.collocation import CollocationSettings, Opener, collocate, is_daily
from deepcams.validation.counts import loss, read_counts, sum_counts, total, write_counts
from deepcams.validation.fields import FieldFile
from deepcams.validation.pairs import write_pairs
from deepcams.validation.quality import KEPT, READ, QualitySettings, as_utc, control_quality
from deepcams.validation.station_summary import SummarySettings
from deepcams.validation.summary import validate_year

OTHER_MONTHS = "of other months than the fields"
OUTSIDE = "outside the time of the fields"


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
    Returns the summary. Raises DeepcamsError if not one measurement could be compared, or as `collocate`.
    """
    folder, opened_reference = Path(folder), opened_reference or opened
    with opened(product) as file:
        borders, span, daily = _borders(file), _span(file), is_daily(file)
    stations = stations.assign(time=as_utc(stations["time"]))
    time = stations["time"].to_numpy("datetime64[s]")
    elsewhere = (time <= borders[0]) | (time > borders[-1])  # not those without a time, which the first month counts

    def of(path: str | Path) -> FieldFile:
        return (opened if Path(path) == Path(product) else opened_reference)(path)

    pairs, counts = [], []
    months = list(pairwise(borders))
    for number, (begin, end) in enumerate(progress(months, "Pairing stations", "months")):
        chosen = (time > begin) & (time <= end)
        if number == 0:
            chosen |= np.isnat(time)
        clean, losses = _controlled(stations[chosen], collocation.quality, daily)
        if number == 0:
            losses = _with_elsewhere(losses, stations[elsewhere])
        # The quality is judged by all hours of the month, whether there are fields or not.
        stamp = clean["time"].to_numpy("datetime64[s]")
        within = (stamp > span[0] - HOUR) & (stamp < span[1] + HOUR)
        found, more = collocate(product, reference, clean[within], collocation, opened=of)
        name = str((begin + (end - begin) // 2).astype("datetime64[M]"))
        pairs.append(folder / "pairs" / f"{name}.nc")
        counts.append(folder / "pairs" / f"{name}_counts.csv.gz")
        write_pairs(pairs[-1], found, pollutant=collocation.quality.pollutant)
        write_counts(counts[-1], pd.concat([losses, loss(OUTSIDE, clean[~within]), more], ignore_index=True))
    _require_pairs(product, counts, time, span)
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


def _borders(file: FieldFile) -> np.ndarray:
    """Times (M + 1,) between which the measurements of each month end, from the file's first month to its last.

    A stamp at a border is of the month before, as its hour is. Of daily fields the borders lie between their days.
    """
    first, last = _span(file)
    last = max(last - np.timedelta64(1, "s"), first)
    months = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 2)
    borders = months.astype("datetime64[s]")
    if is_daily(file):  # a day of the file may begin at any hour
        begins, ends = file.bounds[:, 0], file.bounds[:, 1]
        inner = [begins[begins >= border][0] for border in borders[1:-1]]
        borders = np.array([begins[0], *inner, ends[-1]])
    elif file.bounds is None and first == borders[0]:  # the hour that ends with the first field
        borders[0] -= HOUR
    return borders


def _controlled(table: pd.DataFrame, quality: QualitySettings, daily: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Quality control; for daily fields of daily measurements, too, each judged among its own kind."""
    if not daily:
        return control_quality(table, quality)
    is_day = np.abs(pd.to_numeric(table["averaging_hours"], errors="coerce").to_numpy(np.float64) - 24.0) <= 0.24
    parts = [
        control_quality(table[chosen], replace(quality, averaging_hours=hours))
        for chosen, hours in ((~is_day, 1.0), (is_day, 24.0))
        if chosen.any()
    ]
    if not parts:
        return control_quality(table, quality)
    clean = pd.concat([part for part, _ in parts], ignore_index=True)
    losses = [counts for _, counts in parts]
    steps = [step for counts in losses for step in counts["step"].unique() if step != KEPT]
    return clean, sum_counts(losses, first=steps)


def _with_elsewhere(losses: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The counts of quality control, with measurements of other months, which it has not seen, in front."""
    if table.empty:
        return losses
    return sum_counts([loss(READ, table), loss(OTHER_MONTHS, table), losses], first=(READ, OTHER_MONTHS))


def _require_pairs(
    product: str | Path, counts: Sequence[Path], time: np.ndarray, span: tuple[np.datetime64, np.datetime64]
) -> None:
    """Raise DeepcamsError saying why if there is not one pair."""
    table = pd.Series(total(read_counts(counts)))
    if table["pairs"]:
        return
    known = time[~np.isnat(time)]
    reach = f"from {known.min()} to {known.max()}" if len(known) else "nowhere"
    reasons = table.drop([READ, KEPT, "pairs"], errors="ignore")
    raise DeepcamsError(
        f"Not one of {table[READ]:,} measurements could be compared with {product}: {reasons.idxmax()!r} took "
        f"{reasons.max():,} of them. They reach {reach}, the fields from {span[0]} to {span[1]} (UTC)."
    )
