"""How many measurements each step left out, by country: tables of step, country, number, in the order of the steps."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deepcams.sources.stations import write_csv


def loss(step: str, table: pd.DataFrame) -> pd.DataFrame:
    """Rows step, country, number; one row with 0 where nothing was left out."""
    found = table["country"].astype("str").value_counts().sort_index()
    if found.empty:
        found = pd.Series({"": 0})
    return pd.DataFrame({"step": step, "country": found.index.astype("str"), "number": found.to_numpy("int64")})


def write_counts(path: str | Path, counts: pd.DataFrame) -> None:
    """Write counts (step, country, number) as CSV."""
    write_csv([counts], path)


def read_counts(paths: Sequence[str | Path]) -> pd.DataFrame:
    """The sum of several months' counts, steps in their order."""
    types = {"step": str, "country": str, "number": "int64"}
    return sum_counts([pd.read_csv(path, dtype=types, keep_default_na=False) for path in paths])  # "NA" is Namibia


def sum_counts(parts: Sequence[pd.DataFrame], first: Sequence[str] = ()) -> pd.DataFrame:
    """The sum of tables of step, country, number; steps in their order, but some `first`."""
    if not parts:
        return pd.DataFrame({"step": [], "country": [], "number": []}).astype({"number": "int64"})
    table = pd.concat(parts, ignore_index=True)
    steps = list(dict.fromkeys([*first, *table["step"]]))
    table = table.assign(place=table["step"].map({step: place for place, step in enumerate(steps)}))
    summed = table.groupby(["place", "step", "country"], as_index=False)["number"].sum()
    return summed.drop(columns="place")


def total(counts: pd.DataFrame) -> dict[str, int]:
    """Number of rows of each step over all countries, in the order of the steps."""
    return {step: int(number) for step, number in counts.groupby("step", sort=False)["number"].sum().items()}
