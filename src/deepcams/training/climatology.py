"""The mean of a model's days by calendar month: what a field is likely to be where nothing was observed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deepcams.errors import damaged
from deepcams.files.atomic import atomic_path
from deepcams.grid.nodes import Grid, from_axes, locate
from deepcams.training.days import Days, split


def climatology(months: Sequence[Days]) -> dict[int, np.ndarray]:
    """Mean of the days that are learnt from, by calendar month: (H, W) float32, ug m-3, NaN where there is none."""
    sums: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for month in months:
        for number in range(split(month)):
            field = np.asarray(month.fields[month.pollutant][number], dtype=np.float64)
            total, count = sums.setdefault(
                _calendar(month.dates[number]), (np.zeros(field.shape), np.zeros(field.shape))
            )
            valid = np.isfinite(field)
            total += np.where(valid, field, 0)
            count += valid
    return {
        calendar: np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
        for calendar, (total, count) in sorted(sums.items())
    }


def of_season(means: Mapping[int, np.ndarray], time: np.datetime64) -> np.ndarray:
    """The field of a time's calendar month; where it is lacking that of the nearest, of two the one before."""
    month = _calendar(time)
    return means[
        min(means, key=lambda other: (min((other - month) % 12, (month - other) % 12), (other - month) % 12 < 6))
    ]


def write_climatology(path: str | Path, means: Mapping[int, np.ndarray], grid: Grid) -> None:
    """Write the fields by calendar month, and their axes, as one .npz file; the same fields give the same bytes."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(
            stream,
            months=np.array(sorted(means), dtype=np.int64),
            fields=np.stack([means[month] for month in sorted(means)]),
            latitude=grid.latitude,
            longitude=grid.longitude,
        )


def read_climatology(path: str | Path, grid: Grid) -> dict[int, np.ndarray]:
    """The fields on `grid`, by calendar month. Raises DeepcamsError if the file is damaged or of another area."""
    try:
        with open(path, "rb") as stream, np.load(stream) as archive:
            there = from_axes(archive["latitude"], archive["longitude"])[0]
            months, fields = archive["months"].tolist(), archive["fields"]
            if fields.shape != (len(months), *there.shape):
                raise ValueError(f"its fields have the shape {fields.shape}")
    except Exception as error:  # a damaged file can fail in any way
        raise damaged(error, f"{path} is no climatology ({error}). Delete it and run the workflow again.") from error
    rows, columns = locate(grid, there)
    return {month: field[rows][:, columns] for month, field in zip(months, fields, strict=True)}


def _calendar(time: np.datetime64) -> int:
    return int(str(time.astype("datetime64[M]"))[5:7])
