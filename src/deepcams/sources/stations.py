"""The workflow's table of station measurements: one row per station, time and sensor; kept as csv.gz."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.sources.checks import magic, some

COLUMNS = [
    "station", "name", "country", "latitude", "longitude", "time", "averaging_hours", "value", "units", "provider",
    "reference_grade",
]  # fmt: skip
TEXTS = ("station", "name", "country", "units", "provider")
NUMBERS = ("latitude", "longitude", "averaging_hours", "value")
_SYNTHETIC = "SYNTHETIC"


def is_synthetic(table: pd.DataFrame) -> bool:
    """Whether the stations are those of the nature run, whose names begin with SYNTHETIC.

    Raises DeepcamsError if the table mixes them with real ones.
    """
    names = pd.Series(table["name"].unique())
    synthetic = names.str.startswith(_SYNTHETIC).to_numpy(dtype=bool)
    if synthetic.any() and not synthetic.all():
        raise DeepcamsError(
            f"Synthetic and real stations must not be mixed: {some(list(names[synthetic]), 3)} with "
            f"{some(list(names[~synthetic]), 3)}. Keep the nature run's and OpenAQ's files in different folders."
        )
    return bool(synthetic.any())


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table as csv.gz, atomically; the same table gives the same bytes."""
    text = table[COLUMNS].copy()
    text["time"] = np.char.add(np.datetime_as_string(table["time"].to_numpy("datetime64[s]"), unit="s"), "Z")
    text["reference_grade"] = table["reference_grade"].map({True: "true", False: "false"}).astype(object)
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as stream,
    ):
        text.to_csv(stream, index=False, lineterminator="\n", encoding="utf-8")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read what `write_table` wrote, types included. Raises DeepcamsError if the file is damaged or another one."""
    if magic(path) != "gzip":
        raise _refused(path, "it is not compressed with gzip")
    try:
        text = pd.read_csv(
            path,
            compression="gzip",
            dtype={**dict.fromkeys(TEXTS, str), "time": str, "reference_grade": str},
            keep_default_na=False,  # NA is Namibia
            na_values={name: [""] for name in NUMBERS},
        )
        if list(text.columns) != COLUMNS:
            raise _refused(path, f"its columns are {some(list(text.columns))}")
        times = text["time"].str.removesuffix("Z").to_numpy(dtype=object).astype("datetime64[s]")
        numbers = {name: text[name].astype("float64") for name in NUMBERS}
    except (OSError, EOFError, zlib.error, ValueError, KeyError, AttributeError) as error:  # ParserError: ValueError
        raise _refused(path, str(error)) from error
    grade = text["reference_grade"].map({"true": True, "false": False}).astype("boolean")
    return text.assign(**numbers, time=times, reference_grade=grade)


def in_month(seconds: np.ndarray, month: Month) -> np.ndarray:
    """Which stamps lie in the UTC month, its first 00:00 included: (N,) int64 seconds since 1970 → (N,) bool."""
    start, end = (edge.astype("int64") for edge in (month.start, month.end))
    return (seconds >= start) & (seconds < end)


def finished(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """One table with settled types, by station and time; equal ones keep their order."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return _typed(pd.DataFrame({name: [] for name in COLUMNS}))
    table = _typed(pd.concat([_typed(part) for part in parts], ignore_index=True))
    return table.sort_values(["station", "time"], kind="stable", ignore_index=True)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    times = table["time"].to_numpy()
    if times.dtype.kind != "M":
        times = times.astype("int64").astype("datetime64[s]")
    return table.assign(
        **{name: table[name].astype(str) for name in TEXTS},
        **{name: table[name].astype("float64") for name in NUMBERS},
        time=times,
        reference_grade=table["reference_grade"].astype("boolean"),
    )


def _refused(path: str | Path, reason: str) -> DeepcamsError:
    return DeepcamsError(f"{path} is no whole table of stations: {reason}. Delete it and run the workflow again.")
