"""Scores of a whole record from those of its years."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deepcams.validation.pair_scores import SCORES
from deepcams.validation.station_summary import pooled
from deepcams.validation.summary import write_table

ALL = "all years"


def write_record(output: str | Path, folders: Sequence[str | Path]) -> pd.DataFrame:
    """Write the scores of each year and of all years together (Xiao et al. 2022, Fig. 6).

    folders : of the years' validations.  Writes and returns rows with the columns of scores.csv: by "year", group the
    year or "all years". Over all years rank correlation, index of agreement and quality indicator are left open: they
    do not follow from the years'. Where no year has stations the table is empty.
    """
    parts = []
    for folder in folders:
        try:
            table = pd.read_csv(Path(folder) / "scores.csv", keep_default_na=False, na_values={s: [""] for s in SCORES})
        except pd.errors.EmptyDataError:
            continue
        parts.append(table[table["by"] == "all"].assign(by="year", group=Path(folder).name))
    if not parts:
        write_table(output, pd.DataFrame())
        return pd.DataFrame()
    years = pd.concat(parts, ignore_index=True)
    rows = [
        pd.Series({"resolution": resolution, "by": "year", "group": ALL, "stations": group["stations"].max(),
                   "field": field, **pooled(group)})
        for (resolution, field), group in years.groupby(["resolution", "field"], sort=False)
    ]  # fmt: skip
    table = pd.concat([years, pd.DataFrame(rows)], ignore_index=True).astype({"n": "int64", "stations": "int64"})
    table = table.loc[:, ["resolution", "by", "group", "stations", "field", *SCORES]]
    write_table(output, table)
    return table
