"""The workflow's table of station measurements: one row per station, time and sensor; kept as csv.gz."""

import gzip
import zlib
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import Month
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.sources.checks import magic, some

COLUMNS = [
    "station", "name", "country", "latitude", "longitude", "time", "averaging_hours", "parameter", "value", "units",
    "provider", "reference_grade",
]  # fmt: skip
TEXTS = ("station", "name", "country", "parameter", "units", "provider")
NUMBERS = ("latitude", "longitude", "averaging_hours", "value")
_SYNTHETIC = "SYNTHETIC"
_PART = 50_000  # rows that are turned into text at a time


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
    """Write the table as csv.gz, atomically; the same table gives the same bytes. Memory: a part of the table."""
    write_csv((_as_text(table.iloc[at : at + _PART]) for at in range(0, max(len(table), 1), _PART)), path)


def write_csv(parts: Iterable[pd.DataFrame], path: str | Path) -> None:
    """Write parts of one table as csv.gz, atomically and without the time of writing."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as stream,
    ):
        for number, part in enumerate(parts):
            part.to_csv(stream, index=False, header=not number, lineterminator="\n", encoding="utf-8")


def times_as_text(times: pd.Series) -> np.ndarray:
    """Stamps as 2018-01-31T21:00:00Z: (N,) datetime64[s] → (N,) str."""
    return np.char.add(np.datetime_as_string(times.to_numpy("datetime64[s]"), unit="s"), "Z")


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    grade = table["reference_grade"].map({True: "true", False: "false"}).astype(object)
    return table[COLUMNS].assign(time=times_as_text(table["time"]), reference_grade=grade)


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
        if list(text.columns) == [name for name in COLUMNS if name != "parameter"]:
            raise _refused(path, "it does not tell its pollutant, so an older version wrote it")
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


class Collector:
    """A table that grows by stations; a month of the world is not held twice, neither here nor when it is done."""

    def __init__(self):
        self._times, self._grades = array("q"), array("b")
        self._numbers = {name: array("d") for name in NUMBERS}
        self._codes = {name: array("i") for name in TEXTS}
        self._spellings: dict[str, dict[str, int]] = {name: {} for name in TEXTS}

    def add(self, columns: Mapping[str, object]) -> None:
        """Add rows: of all COLUMNS either one value for all rows or one for each.

        `time` is (N,) int64, seconds since 1970 UTC; `reference_grade` is True, False or None.
        """
        count = len(columns["time"])
        self._times.frombytes(np.ascontiguousarray(columns["time"], dtype="int64").tobytes())
        for name, column in self._numbers.items():
            column.frombytes(np.broadcast_to(np.asarray(columns[name], dtype="float64"), count).tobytes())
        for name, column in self._codes.items():
            codes, given = self._spellings[name], columns[name]
            if isinstance(given, str):
                column.frombytes(np.full(count, codes.setdefault(given, len(codes)), dtype="i").tobytes())
            else:
                column.extend(codes.setdefault(text, len(codes)) for text in given)
        given = columns["reference_grade"]
        each = given if isinstance(given, list | np.ndarray) else [given] * count
        self._grades.extend(-1 if grade is None else int(grade) for grade in each)

    def table(self) -> pd.DataFrame:
        """All rows with settled types, by station and time; equal ones keep their order. Nothing stays in here."""
        spellings, codes = list(self._spellings["station"]), _taken(self._codes, "station")
        times = np.frombuffer(self._times, dtype="int64")
        rank = np.empty(len(spellings), dtype="i")
        rank[sorted(range(len(spellings)), key=spellings.__getitem__)] = np.arange(len(spellings))
        order = np.lexsort((times, rank[codes]))  # stable
        columns = {"station": _texts(spellings, codes[order]), "time": times[order].astype("datetime64[s]")}
        del times, codes
        self._times = array("q")
        for name in TEXTS[1:]:
            columns[name] = _texts(list(self._spellings[name]), _taken(self._codes, name)[order])
        for name in NUMBERS:
            columns[name] = _taken(self._numbers, name)[order]
        grades = np.frombuffer(self._grades, dtype=np.int8)[order]
        columns["reference_grade"] = pd.arrays.BooleanArray(grades == 1, grades < 0)
        return pd.DataFrame({name: columns[name] for name in COLUMNS}, copy=False)


def _taken(columns: dict[str, array], name: str) -> np.ndarray:
    column = columns.pop(name)
    return np.frombuffer(column, dtype=column.typecode)


def _texts(spellings: list[str], codes: np.ndarray) -> pd.api.extensions.ExtensionArray:
    texts = np.empty(len(spellings), dtype=object)
    texts[:] = spellings
    return pd.array(texts[codes], dtype="str")


def _refused(path: str | Path, reason: str) -> DeepcamsError:
    return DeepcamsError(f"{path} is no whole table of stations: {reason}. Delete it and run the workflow again.")
