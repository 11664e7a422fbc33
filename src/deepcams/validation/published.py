"""What Xiao et al. (2022) print in their Tables 2 and 3, to stand beside scores of our own.

They scored 2020 of GEOS-CF, by month: R, RMSE and MAE of each field, averaged. Their data are ours only where the test
period is 2020 of GEOS-CF.
"""

from importlib.resources import files

import pandas as pd

TABLES = {"temporal": 2, "spatial": 3}
CAVEATS = {
    "temporal": (
        "Its “Linear” is Eq. 9 as printed, which gives each analysis the other's weight; its DeepCAMS scores about as "
        "interpolation with the right weights would, so that a gain over that baseline says little."
    ),
    "spatial": (
        "Much of its RMSE column repeats Table 2 (DeepCAMS in eight months, the baseline in five) and does not fit its "
        "own R; R and MAE are to be trusted, RMSE is not."
    ),
}


def published(stage: str) -> pd.DataFrame | None:
    """The printed table of a stage: month ("2020-01" …, "average"), method, r, rmse, mae (µg m⁻³), twelve months and
    their averages, the baseline ("Linear" or "Bicubic") before "DeepCAMS". None for a stage that it has not scored.
    """
    if stage not in TABLES:
        return None
    path = files("deepcams.validation") / "published_tables.csv"
    with path.open(encoding="utf-8") as stream:
        table = pd.read_csv(stream, dtype={"month": str})
    return table[table["stage"] == stage].drop(columns="stage").reset_index(drop=True)


def printed_beside(stage: str, months: list[str]) -> pd.DataFrame | None:
    """Printed scores for months of ours ("2018-07"), by calendar month, and their average.

    Returns rows month (ours, then "average"), method, r, rmse, mae; the average is the printed one for twelve calendar
    months, else the mean of those shown. None as `published`.
    """
    table = published(stage)
    if table is None:
        return None
    parts = [table[table["month"] == f"2020-{month[-2:]}"].assign(month=month) for month in months]
    if {month[-2:] for month in months} == {f"{number:02d}" for number in range(1, 13)}:
        mean = table[table["month"] == "average"]
    else:
        mean = pd.concat(parts).groupby("method", sort=False, as_index=False)[["r", "rmse", "mae"]].mean()
    return pd.concat([*parts, mean.assign(month="average")], ignore_index=True)
