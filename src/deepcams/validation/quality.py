"""Quality control of station measurements: named steps, each with the number of rows it removed in each country.

The order of the steps. What a row says by itself comes first, the cheapest and surest first: so that a row counts for
the plainest of its faults. Then rows are compared: repeats go before anything is averaged, or they would weigh twice;
averages are made before series are judged, which want even steps; a stuck run goes before the outliers, because
it hides how a station varies; and twins are chosen among what is left, or a broken monitor would displace a good one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.geography.countries import countries_at, outside_country
from deepcams.pollutants import PM25, Pollutant, station_factor
from deepcams.validation.quality_series import averaged, is_outlier, is_stuck, period_end, too_little

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
READ, KEPT = "measurements read", "measurements kept"
_TEST_STATION = (3.16, 3.88)  # OpenAQ's own (openaq-fetch, issue 170)
_SAME = 0.01  # averaging periods that differ by less of themselves are the same
_DIGITS = 3  # of the degrees of places that are one: some 100 m


@dataclass(frozen=True)
class QualitySettings:
    """What a measurement must be like to be used; None switches a step off.

    minimum, maximum : in the product's units, both allowed; maximum None: the pollutant's `ceiling`.
    sentinels : values that stand for "no measurement": networks' codes for missing data, and the instrument codes
    985 and 905 of one supplier (OpenAQ, openaq-averaging).  reference_grade_only : leave out low-cost sensors.
    country_reach : km that a station may be away from its country.
    coverage : share of a period that shorter measurements must cover to be averaged.
    stuck_hours : so many equal values in consecutive hours are none (days, where days are compared).
    outlier_mad, outlier_days : median absolute deviations and length of the windows; see `quality_series.is_outlier`.
    twins : keep all stations of a place.  station_coverage : share of a month that a station must have measured.
    averaging_hours : the averaging period that is kept, or averaged to: 1, or 24 for fields of days.
    pollutant : what is measured.
    """

    minimum: float = 0.0
    maximum: float | None = None
    sentinels: tuple[float, ...] = (-999.0, -9999.0, -1.0, 985.0, 905.0)
    reference_grade_only: bool = False
    country_reach: float | None = 200.0
    coverage: float = 0.75
    stuck_hours: int | None = 9
    outlier_mad: float | None = 10.0
    outlier_days: float = 15.0
    twins: bool = False
    station_coverage: float = 0.0
    averaging_hours: float = 1.0
    pollutant: Pollutant = PM25


def control_quality(stations: pd.DataFrame, settings: QualitySettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Remove unusable measurements, and average those of short periods.

    stations : rows of the tidy table (columns `COLUMNS`), `value` in `units`, `time` the end of the averaging period.
    Returns the rows kept, by station and time, with `time` as datetime64[s] UTC, `value` float64 in the product's
    `units`, and `country` by the place where the table has none; and the counts: a table of step, country ("" where it
    is not known) and number, in the order of the steps, with "measurements read" first and "measurements kept" last. A
    step without a row to remove has one line, of 0. Each row counts once, in the first step that removes it; of rows
    that are averaged all but one count as "averaged into …". The order of the rows makes no difference. What is
    returned passes again as it is, unless twins or short-lived stations left (the rest is then judged by fewer values)
    or units were converted (which hides what values were rounded to).
    Raises DeepcamsError if columns are missing.
    """
    missing = [column for column in COLUMNS if column not in stations]
    if missing:
        raise DeepcamsError(
            f"The table of stations lacks the columns {', '.join(missing)}; make it anew by the rule that retrieves it."
        )
    rows, countries = _rows(stations, settings)
    before = np.bincount(rows["country"], minlength=len(countries))
    counts = [(READ, before)]
    for step, what_is_left in _steps(settings, countries):
        rows = what_is_left(rows)
        after = np.bincount(rows["country"], minlength=len(countries))
        counts.append((step, before - after))
        before = after
    counts.append((KEPT, before))
    table = stations.iloc[rows.index].assign(
        country=pd.array(countries[rows["country"].to_numpy()], dtype="str"),
        time=rows["time"].to_numpy().astype("datetime64[s]"),
        **{name: rows[name].to_numpy() for name in ("latitude", "longitude", "averaging_hours", "value")},
        units=settings.pollutant.units,
    )
    return table.reset_index(drop=True), _table(counts, countries)


def as_utc(times: pd.Series) -> pd.Series:
    """Times (ISO text, or already dates) as datetime64[s] in UTC without a zone; unreadable ones NaT."""
    if not pd.api.types.is_datetime64_any_dtype(times):
        times = pd.to_datetime(times.astype("string"), utc=True, format="ISO8601", errors="coerce")
    if getattr(times.dt, "tz", None) is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    return times.astype("datetime64[s]")


def _steps(
    settings: QualitySettings, countries: np.ndarray
) -> list[tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]]:
    """Name of each step, and what takes its rows away (or, where it averages, merges them)."""
    pollutant, period = settings.pollutant, settings.averaging_hours
    # Codes above zero are one supplier's for particulate matter; of gases they are ordinary values.
    sentinels = [code for code in settings.sentinels if code < 0 or not pollutant.is_gas]
    highest = pollutant.ceiling if settings.maximum is None else settings.maximum
    noun = {1.0: "hour", 24.0: "day"}.get(period, "period")

    def without(is_bad: Callable[[pd.DataFrame], np.ndarray], wanted: bool = True):
        return lambda rows: rows[~np.asarray(is_bad(rows), dtype=bool)] if wanted and len(rows) else rows

    return [
        ("time not readable", without(lambda r: r["time"] == _NO_TIME)),
        (f"units not {'known' if pollutant.is_gas else 'µg/m³'}", without(lambda r: r["factor"].isna())),
        ("no value", without(lambda r: r["value"].isna())),
        ("code for missing data", without(lambda r: r["delivered"].isin(sentinels))),
        ("below the minimum", without(lambda r: r["value"] < settings.minimum)),
        ("above the maximum", without(lambda r: r["value"] > highest)),
        ("not of reference grade", without(lambda r: ~r["reference"], settings.reference_grade_only)),
        ("impossible coordinates", without(lambda r: ~_possible(r["latitude"], r["longitude"]))),
        (
            "outside its country",
            without(lambda r: _elsewhere(r, countries, settings.country_reach), settings.country_reach is not None),
        ),
        (
            "other averaging period",
            without(lambda r: ~((r["averaging_hours"] > 0) & (r["averaging_hours"] <= period))),
        ),
        ("same station and time again", without(lambda r: _again(r, period))),
        (f"too little of the {noun}", without(lambda r: too_little(r, period, settings.coverage))),
        (f"averaged into {noun}s", lambda r: averaged(r, period)),
        ("stuck", without(lambda r: is_stuck(r, settings.stuck_hours, period), settings.stuck_hours is not None)),
        (
            "outlier",
            without(
                lambda r: is_outlier(r, settings.outlier_mad, settings.outlier_days, period),
                settings.outlier_mad is not None,
            ),
        ),
        ("co-located twin", without(_twin, not settings.twins)),
        (
            "station with too little of the month",
            without(lambda r: _rare(r, settings.station_coverage, period), settings.station_coverage > 0),
        ),
    ]


_NO_TIME = np.iinfo(np.int64).min  # NaT as a number


def _rows(stations: pd.DataFrame, settings: QualitySettings) -> tuple[pd.DataFrame, np.ndarray]:
    """The table in numbers, by station and time, then period, grade and value; its index counts the table's rows.

    Columns: station (int, in the order of their names' text), country (int; second result: their codes), time (int64
    seconds UTC), latitude, longitude, averaging_hours, delivered (in its units), factor, value (in the product's),
    reference (bool).
    """
    numbers = {
        name: pd.to_numeric(stations[column], errors="coerce").to_numpy(np.float64, copy=True)
        for name, column in (("latitude",) * 2, ("longitude",) * 2, ("averaging_hours",) * 2, ("delivered", "value"))
    }
    close = np.abs(numbers["averaging_hours"] / settings.averaging_hours - 1) <= _SAME
    numbers["averaging_hours"][close] = settings.averaging_hours
    unit, units = pd.factorize(stations["units"], use_na_sentinel=False)
    factors = np.array([station_factor(str(text), settings.pollutant) for text in units], dtype=np.float64)
    factor = factors[unit] if len(units) else np.empty(0)
    country, countries = pd.factorize(_countries(stations["country"], numbers), sort=True)
    rows = pd.DataFrame(
        {
            "station": pd.factorize(stations["station"].astype("str"), sort=True)[0],
            "country": country,
            "time": as_utc(stations["time"]).to_numpy().astype(np.int64),
            **numbers,
            "factor": factor,
            "value": numbers["delivered"] * factor,
            "reference": _is_true(stations["reference_grade"]),
        }
    )
    by = ("longitude", "latitude", "country", "delivered", "factor", "averaging_hours", "time", "station")
    keys = [rows[name].to_numpy() for name in by]
    return rows.iloc[np.lexsort([*keys[:5], ~rows["reference"].to_numpy(), *keys[5:]])], np.asarray(
        countries, dtype=str
    )


def _countries(given: pd.Series, numbers: dict[str, np.ndarray]) -> np.ndarray:
    """Codes of the countries of all rows; by the place where none is given, "" where that does not tell."""
    which, spellings = pd.factorize(given)
    country = np.array([*(str(text).strip().upper() for text in spellings), ""], dtype=object)[which]  # the last: none
    latitude, longitude = numbers["latitude"], numbers["longitude"]
    todo = np.flatnonzero((country == "") & _possible(latitude, longitude))
    if todo.size:
        which, first = _groups(latitude[todo], longitude[todo])
        country[todo] = countries_at(latitude[todo[first]], longitude[todo[first]])[which]
    return country


def _is_true(flags: pd.Series) -> np.ndarray:
    if isinstance(flags.dtype, pd.BooleanDtype | np.dtypes.BoolDType):
        return flags.fillna(False).to_numpy(bool)
    return flags.astype("string").str.strip().str.lower().isin(["true", "1", "1.0"]).fillna(False).to_numpy(bool)


def _possible(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Not off the Earth, nor one coordinate given for both as in 0°N 0°E, nor the test station: all seen in OpenAQ."""
    on_earth = (np.abs(latitude) <= 90.0) & (longitude >= -180.0) & (longitude <= 360.0)
    return on_earth & (latitude != longitude) & ~((latitude == _TEST_STATION[0]) & (longitude == _TEST_STATION[1]))


def _elsewhere(rows: pd.DataFrame, countries: np.ndarray, reach: float) -> np.ndarray:
    country, latitude, longitude = (rows[name].to_numpy() for name in ("country", "latitude", "longitude"))
    which, first = _groups(country, latitude, longitude)
    return outside_country(countries[country[first]], latitude[first], longitude[first], reach)[which]


def _again(rows: pd.DataFrame, period: float) -> np.ndarray:
    """Repeats, of which the lowest value stays; and short measurements where the whole period was measured, too."""
    station, time, hours = (rows[name].to_numpy() for name in ("station", "time", "averaging_hours"))
    again = np.zeros(len(rows), bool)
    again[1:] = (station[1:] == station[:-1]) & (time[1:] == time[:-1]) & (hours[1:] == hours[:-1])
    short = hours < period
    if short.any():
        which, _ = _groups(station, np.where(short, period_end(time, hours, period), time))
        again |= short & np.isin(which, which[~short])
    return again


def _twin(rows: pd.DataFrame) -> np.ndarray:
    """All but one of the stations at a place at a time: not the monitor of reference grade, or else not the one with
    the most values in the table, or else not the first by its id."""
    station = rows["station"].to_numpy()
    scale = 10**_DIGITS
    north = np.rint(rows["latitude"].to_numpy() * scale)
    east = np.rint(rows["longitude"].to_numpy() * scale) % (360 * scale)
    place, _ = _groups(north, east)
    members = np.bincount(place[_groups(place, station)[1]])  # stations that were ever there
    shared = np.flatnonzero(members[place] > 1)
    lesser, amount = ~rows["reference"].to_numpy()[shared], np.bincount(station)[station[shared]]
    which, _ = _groups(place[shared], rows["time"].to_numpy()[shared])
    order = np.lexsort((station[shared], -amount, lesser, which))
    twin = np.zeros(len(rows), bool)
    twin[shared[order[1:]]] = which[order[1:]] == which[order[:-1]]
    return twin


def _rare(rows: pd.DataFrame, share: float, period: float) -> np.ndarray:
    """Rows of stations which in a calendar month have measured less than a share of its hours."""
    month = rows["time"].to_numpy().astype("datetime64[s]").astype("datetime64[M]")
    hours = ((month + 1).astype("datetime64[h]") - month.astype("datetime64[h]")).astype(np.int64)
    which, _ = _groups(rows["station"], month.astype(np.int64))
    return np.bincount(which)[which] * period < share * hours


def _groups(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the group of equal values that each row is in (N,), and the first row of each group (M,)."""
    which = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        code, values = pd.factorize(np.asarray(column))
        which, _ = pd.factorize(which * len(values) + code)
    first = np.empty(which.max() + 1 if which.size else 0, np.int64)
    first[which[::-1]] = np.arange(which.size)[::-1]
    return which, first


def _table(counts: list[tuple[str, np.ndarray]], countries: np.ndarray) -> pd.DataFrame:
    lines = [
        (step, str(countries[at]) if number.any() else "", int(number[at]) if number.any() else 0)
        for step, number in counts
        for at in (np.flatnonzero(number) if number.any() else [0])
    ]
    return pd.DataFrame(lines, columns=["step", "country", "number"])
