"""Pairs of station measurements and fields: the table that every score at stations starts from.

Kept in memory and on disk as columns sorted by station (CF-1.11, H.6.1: "contiguous ragged array"), so that a month of
the world's stations is some 40 MB and needs no parsing of text.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from deepcams.calendar import HALF_HOUR, HOUR, STATUS_MEANINGS
from deepcams.errors import DeepcamsError, damaged
from deepcams.files.atomic import atomic_path
from deepcams.pollutants import PM25, Pollutant

TEXTS = ("station", "name", "country", "continent")
PLACES = (*TEXTS, "latitude", "longitude", "cell")
FIELDS = ("product", "cams")  # in this order, as far as they are there
_EPOCH = "seconds since 1970-01-01 00:00:00"


@dataclass(frozen=True, eq=False)
class Pairs:
    """Measurements and what the fields say for the same place and time.

    stations : one row per station and place (a station that moved has several), columns `PLACES`; `cell` is the flat
    index of the product's nearest node.  index : (n,) int32, row of `stations`; pairs are sorted by it, then by time.
    time : (n,) datetime64[s] UTC, the end of the averaging period.  observed : (n,) float32, the product's unit.
    modelled : "product", and "cams" where there is a reference → (n,) float32.  status : (n,) int8, flags of
    `deepcams.calendar`.
    """

    stations: pd.DataFrame
    index: np.ndarray
    time: np.ndarray
    observed: np.ndarray
    modelled: dict[str, np.ndarray]
    status: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def frame(self) -> pd.DataFrame:
        """One row per pair: columns of `stations`, time, observed, the fields, status in words; in the same order."""
        of_station = self.stations.loc[:, list(PLACES)].take(self.index).reset_index(drop=True)
        status = np.array(STATUS_MEANINGS.split())[self.status]
        return of_station.assign(time=self.time, observed=self.observed, **self.modelled, status=status)

    def chosen(self, keep: np.ndarray) -> "Pairs":
        """The pairs that `keep` (a mask or indices, in ascending order) selects; the stations stay."""
        modelled = {name: values[keep] for name, values in self.modelled.items()}
        return Pairs(self.stations, self.index[keep], self.time[keep], self.observed[keep], modelled, self.status[keep])


def write_pairs(
    path: str | Path, pairs: Pairs, attributes: dict[str, object] | None = None, pollutant: Pollutant = PM25
) -> None:
    """Write pairs as NetCDF, atomically; the same pairs give the same bytes.

    attributes : global ones, added.  pollutant : what the values are of.
    """
    per_station = {name: ("station", pairs.stations[name].to_numpy(), _NOTES[name]) for name in PLACES}
    counts = np.bincount(pairs.index, minlength=len(pairs.stations)).astype(np.int32)
    columns = {"observed": pairs.observed, **pairs.modelled}
    words = {"observed": "measured at stations", "product": "of the product", "cams": "of the reference field, CAMS"}
    notes = {
        name: {"long_name": f"surface {pollutant.label} {words[name]}", "units": pollutant.units, "coordinates": "time"}
        for name in columns
    }
    data = xr.Dataset(
        {
            **{f"station_{name}" if name == "station" else name: item for name, item in per_station.items()},
            "pairs_of_station": ("station", counts, {"sample_dimension": "pair"}),
            "time": ("pair", pairs.time.astype("int64"), {"standard_name": "time", "units": _EPOCH, "axis": "T"}),
            **{name: ("pair", values, notes[name]) for name, values in columns.items()},
            "status": ("pair", pairs.status, {"flag_values": np.arange(4, dtype=np.int8),
                                              "flag_meanings": STATUS_MEANINGS}),
        },
        attrs={"Conventions": "CF-1.11", "featureType": "timeSeries", **(attributes or {})},
    )  # fmt: skip
    numeric = [name for name, item in data.variables.items() if item.dtype.kind in "if" and item.size]
    packed = {"zlib": True, "complevel": 1, "shuffle": True}
    encoding = {name: {**packed, "_FillValue": None} for name in numeric}
    with atomic_path(path) as temporary:
        data.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)


def read_pairs(path: str | Path) -> Pairs:
    """Read what `write_pairs` wrote. Raises DeepcamsError if the file is damaged or another one."""
    try:
        with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as data:
            data.load()
        stations = pd.DataFrame({name: data["station_station" if name == "station" else name] for name in PLACES})
        index = np.repeat(np.arange(len(stations), dtype=np.int32), data["pairs_of_station"].values)
        time = data["time"].values.astype("datetime64[s]")
        fields = {name: data[name].values for name in FIELDS if name in data}
        return Pairs(_typed(stations), index, time, data["observed"].values, fields, data["status"].values)
    except Exception as error:  # a damaged file can fail in any way
        raise damaged(
            error, f"{path} is no whole table of pairs ({error}). Delete it and run the workflow again."
        ) from error


def join(parts: Iterable[Pairs]) -> Pairs:
    """Pairs of several months as one, station by station.

    A station has the name and country that the last part gives it. Raises DeepcamsError if parts have other fields.
    """
    parts = list(parts)
    if not parts:
        raise DeepcamsError("There are no months of stations to join.")
    names = list(parts[0].modelled)
    if any(list(part.modelled) != names for part in parts):
        raise DeepcamsError("Months with and without a reference field cannot be validated together.")
    keys = ["station", "latitude", "longitude"]
    stations = _typed(pd.concat([part.stations for part in parts], ignore_index=True))
    stations = stations.drop_duplicates(keys, keep="last").sort_values(keys, ignore_index=True)
    rows = pd.MultiIndex.from_frame(stations[keys])
    places = [rows.get_indexer(pd.MultiIndex.from_frame(part.stations[keys])).astype(np.int32) for part in parts]
    index = np.concatenate([place[part.index] for place, part in zip(places, parts, strict=True)])
    time = np.concatenate([part.time for part in parts])
    order = np.lexsort((time, index))

    def of(columns: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(columns)[order]

    return Pairs(
        stations,
        index[order],
        time[order],
        of([part.observed for part in parts]),
        {name: of([part.modelled[name] for part in parts]) for name in names},
        of([part.status for part in parts]),
    )


def days_of(pairs: Pairs) -> np.ndarray:
    """The UTC day in which each measurement's hour lies: (n,) datetime64[D]; a stamp of 00:00 is the day before's."""
    return (pairs.time - np.timedelta64(1, "s")).astype("datetime64[D]")


def daily_means(pairs: Pairs, hours: int) -> Pairs:
    """Means over UTC days with pairs of at least `hours` different hours, per station; the stamp is the day's end."""
    day, hour = days_of(pairs).astype("int64"), (pairs.time - np.timedelta64(1, "s")).astype("datetime64[h]")
    return _means(pairs, day, hours, lambda day: (day + 1).astype("datetime64[D]"), hour.astype("int64"))


def monthly_means(pairs: Pairs, days: int) -> Pairs:
    """Means of daily means over calendar months with at least `days` of them, per station; the stamp is the end."""
    month = days_of(pairs).astype("datetime64[M]").astype("int64")
    return _means(pairs, month, days, lambda number: (number + 1).astype("datetime64[M]"))


def cell_means(pairs: Pairs) -> Pairs:
    """Several stations of one cell of the product averaged, hour by hour (as Lyu et al. 2022 do).

    Its stations are the cells: the first station of each gives the name.
    """
    cells, of_station = np.unique(pairs.stations["cell"].to_numpy(), return_inverse=True)
    first = pairs.stations.drop_duplicates("cell").sort_values("cell", ignore_index=True)
    index = of_station.astype(np.int32)[pairs.index]
    seconds = pairs.time.astype("int64")
    order = np.lexsort((seconds, index))
    ordered = replace(pairs.chosen(order), stations=first.assign(cell=cells), index=index[order])
    return _means(ordered, ordered.time.astype("int64"), 1, lambda time: time.astype("datetime64[s]"))


def local_solar_hour(pairs: Pairs) -> np.ndarray:
    """Local mean solar hour 0 … 23 of the middle of each hour: (n,) int8."""
    middle = pairs.time - HALF_HOUR
    utc = (middle - middle.astype("datetime64[D]")) / HOUR
    longitude = pairs.stations["longitude"].to_numpy(dtype=np.float64)[pairs.index]
    return (np.floor((utc + longitude / 15.0) % 24.0).astype(np.int8)) % np.int8(24)


def _means(
    pairs: Pairs,
    step: np.ndarray,
    least: int,
    end: Callable[[np.ndarray], np.ndarray],
    part: np.ndarray | None = None,
) -> Pairs:
    """Means over runs of pairs that share station and `step`, if the run has at least `least` pairs.

    end : from steps to stamps.  part : (n,) rising in each run; only pairs of different parts count for `least`.
    """
    if not len(pairs):
        return pairs
    begins = np.r_[True, (np.diff(pairs.index) != 0) | (np.diff(step) != 0)]
    starts = np.flatnonzero(begins)
    count = np.diff(np.r_[starts, len(pairs)])
    parts = count if part is None else np.add.reduceat(begins | np.r_[True, np.diff(part) != 0], starts, dtype=np.int64)
    keep = parts >= least

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.add.reduceat(values, starts, dtype=np.float64)
        return (sums / count)[keep].astype(np.float32)

    return Pairs(
        pairs.stations,
        pairs.index[starts][keep],
        end(step[starts][keep]).astype("datetime64[s]"),
        mean(pairs.observed),
        {name: mean(values) for name, values in pairs.modelled.items()},
        np.minimum.reduceat(pairs.status, starts)[keep],
    )


def _typed(stations: pd.DataFrame) -> pd.DataFrame:
    return stations.astype({**dict.fromkeys(TEXTS, "str"), "latitude": float, "longitude": float, "cell": "int64"})


_NOTES: dict[str, dict[str, str]] = {
    "station": {"cf_role": "timeseries_id"},
    "name": {"long_name": "name of the station"},
    "country": {"long_name": "country code, ISO 3166-1 alpha-2"},
    "continent": {"long_name": "continent"},
    "latitude": {"standard_name": "latitude", "units": "degrees_north"},
    "longitude": {"standard_name": "longitude", "units": "degrees_east"},
    "cell": {"long_name": "flat index of the product's nearest node, rows from north to south"},
}
