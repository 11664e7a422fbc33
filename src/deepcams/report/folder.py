"""A validation's folder, as the report reads it: the summary and its tables; what is not there is empty."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError

# Columns that stay text: "NA" is Namibia, and "00" an hour.
TEXTS = frozenset(
    ("resolution", "by", "group", "field", "station", "name", "country", "continent", "metric", "verdict", "step",
     "place", "time")
)  # fmt: skip


@dataclass(frozen=True)
class Validation:
    """The files of one validation. summary : its summary.json."""

    folder: Path
    summary: dict

    @property
    def names(self) -> dict[str, str]:
        """Labels of the compared fields, the product first: "product" → "product", and "cams" if there is one."""
        return self.summary["names"]

    @property
    def title(self) -> str:
        """The year, or what the validation calls itself."""
        return str(self.summary.get("year") or self.summary.get("title") or "Validation")

    @property
    def period(self) -> tuple[str, str]:
        """First and last hour: 2018-01-01 00:00, 2018-01-31 23:00 UTC."""
        first, last = (str(self.summary[key]).replace("T", " ")[:16] for key in ("first_hour", "last_hour"))
        return first, f"{last} UTC"

    @cached_property
    def scores(self) -> pd.DataFrame:
        """scores.csv."""
        return self.table("scores")

    @cached_property
    def stations(self) -> pd.DataFrame:
        """stations.csv."""
        return self.table("stations")

    @cached_property
    def differences(self) -> pd.DataFrame:
        """differences.csv; empty without a reference."""
        return self.table("differences")

    def table(self, name: str) -> pd.DataFrame:
        """One CSV table, numbers as float64; empty if there is none."""
        return read_table(self.folder / f"{name}.csv")

    def score(self, resolution: str, field: str, by: str = "all", group: str = "") -> dict[str, float]:
        """A row of scores.csv as numbers by name; empty if there is no such row."""
        table = self.scores
        if table.empty:
            return {}
        rows = table[
            (table["resolution"] == resolution)
            & (table["field"] == field)
            & (table["by"] == by)
            & (table["group"] == group)
        ]
        return {} if rows.empty else rows.iloc[0].drop(list(TEXTS & set(table))).astype(float).to_dict()


def read_validation(folder: str | Path) -> Validation:
    """The validation in a folder. Raises DeepcamsError if there is no readable summary.json."""
    path = Path(folder) / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeepcamsError(f"{path} cannot be read ({error}). Run the validation again.") from error
    return Validation(Path(folder), {"names": {"product": "product"}, **summary})


def read_table(path: str | Path) -> pd.DataFrame:
    """A tidy CSV table: `TEXTS` as text, all else as float64, NaN where a field is empty; empty if there is no file."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame()
    except (ValueError, OSError) as error:
        raise DeepcamsError(f"{path} is not a table that can be read ({error}). Run the validation again.") from error
    numbers = [name for name in table if name not in TEXTS]
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
    return table
