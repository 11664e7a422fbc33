"""Quality control of station measurements: named steps, each with the number of rows that it removed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.pollutants import PM25, Pollutant, station_factor

COLUMNS = (
    "station",
    "name",
    "country",
    "latitude",
    "longitude",
    "time",
    "averaging_hours",
    "value",
    "units",
    "provider",
    "reference_grade",
)


@dataclass(frozen=True)
class QualitySettings:
    """What a measurement must be like to be used.

    minimum, maximum : in the product's units, both allowed; maximum None: the pollutant's `ceiling`.
    averaging_hours : the averaging period that is kept.
    reference_grade_only : leave out low-cost sensors.  pollutant : what is measured.
    sentinels : values that stand for "no measurement": networks' codes for missing data, and the instrument codes
    985 and 905 of one supplier (OpenAQ, openaq-averaging).
    """

    minimum: float = 0.0
    maximum: float | None = None
    averaging_hours: float = 1.0
    reference_grade_only: bool = False
    sentinels: tuple[float, ...] = (-999.0, -9999.0, -1.0, 985.0, 905.0)
    pollutant: Pollutant = PM25


def control_quality(stations: pd.DataFrame, settings: QualitySettings) -> tuple[pd.DataFrame, dict[str, int]]:
    """Remove unusable measurements.

    stations : rows of the tidy table (columns `COLUMNS`), `value` in `units`, `time` the end of the averaging period.
    Returns the rows kept, with `time` as datetime64[s] UTC and `value` float64 in the product's units, and
    {step: rows removed} in the order of the steps, with "measurements read" first and "measurements kept" last. Each
    row is counted once, in the first step that removes it. Raises DeepcamsError if columns are missing.
    """
    missing = [column for column in COLUMNS if column not in stations]
    if missing:
        raise DeepcamsError(
            f"The table of stations lacks the columns {', '.join(missing)}; make it anew by the rule that retrieves it."
        )
    table = stations.reset_index(drop=True)
    table = table.assign(
        time=as_utc(table["time"]), **{c: pd.to_numeric(table[c], errors="coerce") for c in _NUMBERS}
    ).astype(dict.fromkeys(_NUMBERS, "float64"))
    counts = {"measurements read": len(table)}
    pollutant = settings.pollutant
    factors = table["units"].map({text: station_factor(str(text), pollutant) for text in table["units"].unique()})
    table = table.assign(factor=factors.astype("float64"))
    # Codes above zero are one supplier's for particulate matter; of gases they are ordinary values.
    sentinels = [code for code in settings.sentinels if code < 0 or not pollutant.is_gas]
    highest = pollutant.ceiling if settings.maximum is None else settings.maximum
    for step, bad in (
        ("time not readable", lambda t: t["time"].isna()),
        (f"units not {'known' if pollutant.is_gas else 'µg/m³'}", lambda t: t["factor"].isna()),
        ("no value", lambda t: t["value"].isna()),
        ("code for missing data", lambda t: t["value"].isin(sentinels)),
        ("below the minimum", lambda t: t["value"] * t["factor"] < settings.minimum),
        ("above the maximum", lambda t: t["value"] * t["factor"] > highest),
        ("other averaging period", lambda t: (t["averaging_hours"] - settings.averaging_hours).abs().gt(0.01)
         | t["averaging_hours"].isna()),
        ("not of reference grade", lambda t: settings.reference_grade_only & ~_is_true(t["reference_grade"])),
        ("impossible coordinates", lambda t: _impossible(t["latitude"].to_numpy(), t["longitude"].to_numpy())),
        ("same station and time again", lambda t: t.duplicated(["station", "time"], keep="first")),
    ):  # fmt: skip
        keep = ~np.asarray(bad(table), dtype=bool)
        counts[step] = int((~keep).sum())
        table = table[keep]
    counts["measurements kept"] = len(table)
    table = table.assign(value=table["value"] * table["factor"]).drop(columns="factor")
    return table.reset_index(drop=True), counts


def as_utc(times: pd.Series) -> pd.Series:
    """Times (ISO text, or already dates) as datetime64[s] in UTC without a zone; unreadable ones NaT."""
    if not pd.api.types.is_datetime64_any_dtype(times):
        times = pd.to_datetime(times.astype("string"), utc=True, format="ISO8601", errors="coerce")
    if getattr(times.dt, "tz", None) is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    return times.astype("datetime64[s]")


_NUMBERS = ("value", "latitude", "longitude", "averaging_hours")


def _is_true(flags: pd.Series) -> pd.Series:
    return flags.astype("string").str.strip().str.lower().isin(["true", "1", "1.0"]).fillna(False)


def _impossible(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Off the Earth, at 0°N 0°E, or with one coordinate given for both (all seen in OpenAQ)."""
    with np.errstate(invalid="ignore"):
        on_earth = (np.abs(latitude) <= 90.0) & (longitude >= -180.0) & (longitude <= 360.0)
    return ~on_earth | (latitude == longitude)
