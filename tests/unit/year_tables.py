"""Small tables of a year's validation, for tests of figures: as the validation writes them, made here by hand."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.validation.pair_scores import SCORES, scores
from deepcams.validation.station_summary import SEASONS

COARSE = coarse_grid(Region(north=3.0, west=172.5, south=-15.0, east=190.5))  # across the date line
FINE = refine(COARSE)
START = np.datetime64("2018-07-01T00", "s")
HOURS = START + np.arange(12) * np.timedelta64(1, "h")
EDGES = np.round(10 ** np.arange(-1, 3.5001, 0.05), 6)
NAMES = {"product": "product", "cams": "CAMS"}


def rng():
    return np.random.default_rng(0)


def stations(count=6, fields=tuple(NAMES)):
    """stations.csv: the first station has too few pairs for a score."""
    rows = [
        {"station": f"s{k}", "name": f"Place {k}", "country": "NA", "continent": "Oceania", "latitude": -10.0 + k,
         "longitude": 178.0 + k, "resolution": resolution, "field": field, "n": 100 if k else 3,
         "mean_observed": 10.0 + k, "mean_modelled": 7.0 + 2 * k, "sd_observed": 4.0, "sd_modelled": 3.0 + k, "r": 0.6,
         "rmse": 5.0 + k, "crmse": 4.0 + k, "mb": k - 3.0, "mqi": 0.5 + 0.1 * k}
        for k, resolution, field in product(range(count), ("hourly", "daily"), fields)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def group_scores(fields=tuple(NAMES)):
    """scores.csv of all pairs, two continents and the seasons."""
    generator = rng()
    observed = generator.lognormal(2, 0.6, 800)
    rows = []
    for spread, field in zip((0.4, 0.7), fields, strict=False):
        modelled = observed * generator.lognormal(0, spread, 800)
        for by, names in (("all", [""]), ("continent", ["Asia", "Oceania"]), ("season", SEASONS)):
            table = scores(observed, modelled, np.arange(800) % len(names), len(names))
            rows.append(table.assign(by=by, group=list(names), field=field, stations=6))
    table = pd.concat(rows, ignore_index=True).assign(resolution="hourly")
    return table[["resolution", "by", "group", "stations", "field", *SCORES]]


def differences():
    """differences.csv: product better in RMSE, worse in R, without a verdict in MAE; groups differ a little."""
    rows = [
        {"resolution": resolution, "by": by, "group": group, "metric": metric,
         "product": cams + difference + 0.001 * len(by + group),
         "cams": cams, "difference": difference, "low": difference - half, "high": difference + half, "days": 31,
         "verdict": "better"}
        for resolution in ("hourly", "daily")
        for by, group in (("all", ""), ("stations", "median"), ("continent", "Oceania"), ("season", "JJA"))
        for metric, cams, difference, half in (("rmse", 10.0, -1.0, 0.5), ("mae", 5.0, 0.2, 0.5),
                                               ("bias", 2.0, 0.4, 0.1), ("r", 0.6, -0.02, 0.01))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def exceedances(fields=tuple(NAMES)):
    """exceedances.csv: the highest threshold was observed too rarely."""
    rows = [
        {"resolution": resolution, "threshold": threshold, "field": field, "n": 500, "hits": hits, "misses": misses,
         "false_alarms": 30, "correct_negatives": 400, "hit_rate": hits / (hits + misses),
         "false_alarm_ratio": 30 / (30 + hits), "csi": 0.4}
        for resolution, field in product(("hourly", "daily"), fields)
        for threshold, hits, misses in ((15.0, 60, 40), (35.4, 20, 30), (225.4, 1, 2))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def series(days=3, places=("Suva (18.1°S 178.4°E)", "Apia (13.8°S 171.8°W)"), fields=tuple(NAMES)):
    """series.csv."""
    time = pd.date_range("2018-07-01T01:00", periods=24 * days, freq="h")
    generator = rng()
    parts = [
        pd.DataFrame({"place": place, "station": place, "time": time,
                      "observed": generator.lognormal(2, 0.5, len(time)),
                      **{field: generator.lognormal(2, 0.5, len(time)) for field in fields}})
        for place in places
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def diurnal(groups=("all", "Asia", "Oceania"), fields=tuple(NAMES)):
    """diurnal.csv: each group but "all" and "Asia" has too few pairs."""
    rows = [
        {"group": group, "hour": hour, "n": 5 if group == "Oceania" else 50, "observed": 10.0 + hour,
         **{field: 9.0 + hour + k for k, field in enumerate(fields)}}
        for group, hour in product(groups, range(24))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def scatter(fields=tuple(NAMES)):
    """scatter.csv."""
    rows = [
        {"field": field, "observed_bin": i, "modelled_bin": j, "count": 1 + (i + j) % 7}
        for field, i, j in product(fields, range(20, 40), range(22, 38))
    ]
    return pd.DataFrame(rows)


def spectra(fields=("product", "cams", "truth")):
    """spectra.csv."""
    wavelength = np.geomspace(60, 4000, 30)
    return pd.concat([pd.DataFrame({"field": f, "wavelength": wavelength, "power": wavelength**2.5}) for f in fields])


def beat(fields=("product",)):
    """beat.csv: more variance at the analyses."""
    hour = np.arange(24)
    return pd.concat([pd.DataFrame({"field": f, "hour": hour, "variance": 1 + 0.04 * (hour % 3 == 0)}) for f in fields])


TABLES = {
    "scores": group_scores, "stations": stations, "exceedances": exceedances, "differences": differences,
    "series": series, "diurnal": diurnal, "scatter": scatter, "spectra": spectra, "beat": beat,
}  # fmt: skip


def write_fields(folder):
    """Product, truth (hourly) and CAMS (3-hourly) as files of the workflow, and means.npz. Returns their paths."""
    generator = rng()
    paths = {}
    for name, grid, times in (("product", FINE, HOURS), ("truth", FINE, HOURS), ("cams", COARSE, HOURS[::3])):
        values = generator.lognormal(2, 0.5, (len(times), *grid.shape)).astype(np.float32)
        paths[name] = Path(folder) / f"{name}.nc"
        xr.Dataset(
            {"pm25": (("time", "latitude", "longitude"), values)},
            coords={"time": times, "latitude": grid.latitude, "longitude": grid.longitude},
        ).to_netcdf(paths[name], engine="h5netcdf")
    return paths


def write_year(folder, *, cams=True, with_stations=True):
    """The folder of a validation."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = NAMES if cams else {"product": "product"}
    for name, table in TABLES.items():
        if not with_stations or (name == "differences" and not cams):
            (folder / f"{name}.csv").write_text("\n")
        elif name in ("differences", "beat"):
            table().to_csv(folder / f"{name}.csv", index=False)
        else:
            shown = table(fields=tuple(names))
            shown.to_csv(folder / f"{name}.csv", index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    generator = rng()
    means = {"product": generator.lognormal(2, 0.5, FINE.shape), "latitude": FINE.latitude, "longitude": FINE.longitude}
    if cams:
        means |= {"cams": generator.lognormal(2, 0.5, COARSE.shape), "cams_latitude": COARSE.latitude,
                  "cams_longitude": COARSE.longitude}  # fmt: skip
    np.savez(folder / "means.npz", **means)
    summary = {
        "year": 2018, "names": names, "steps": {"product": 0.25, "cams": 0.75}, "truth": [],
        "grid": {"north": 3.0, "south": -15.0, "west": 172.5, "east": 190.5},
        "stations": {"number": 6 * with_stations, "settings": {"station_pairs": 24, "station_days": 5}},
        "bin_edges": EDGES.tolist(), "beat": {"product": {"ratio": 1.04, "low": 1.01, "high": 1.07, "days": 31}},
        "spectra": {"product": {"effective_resolution": 212.0}, "cams": {"effective_resolution": None}},
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder
