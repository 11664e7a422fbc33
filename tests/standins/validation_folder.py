"""Folders of a validation as `deepcams.validation.summary` writes them, with invented numbers: for tests."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

SCORES = (
    "n", "mean_observed", "mean_modelled", "sd_observed", "sd_modelled", "r", "rho", "rmse", "crmse", "mae", "mb",
    "nmb", "nme", "fge", "fac2", "ioa", "kge", "mqi",
)  # fmt: skip
COUNTRIES = (("DE", "Europe"), ("FR", "Europe"), ("CN", "Asia"), ("NA", "Africa"), ("US", "North America"))
STEPS = ("measurements read", "units", "sentinels", "stuck runs", "measurements kept", "no field", "compared")
# The smallest PNG there is.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


def write_folder(
    folder: Path,
    *,
    stations: int = 12,
    cams: bool = True,
    globe: bool = False,
    year: int | None = 2018,
    hours: int = 96,
    series: int | None = None,
    station_names: dict[int, str] | None = None,
    truth: Sequence[dict] = (),
    daily_series: bool = False,
    **summary,
) -> Path:
    """Write a folder; returns it. series : how many stations have theirs, None: all.  station_names : by number."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(stations)
    fields = ["product", "cams"] if cams else ["product"]
    if stations:
        places = _places(random, stations, globe, station_names or {})
        _station_tables(folder, random, places, fields)
        _clicks(folder, random, places, fields, hours, stations if series is None else series, daily_series)
    counts = [
        {"step": step, "country": code, "number": int(number * (k + 1))}
        for step, number in zip(STEPS, (5000, 12, 31, 57, 4900, 100, 4800), strict=True)
        for k, (code, _) in enumerate(COUNTRIES)
    ]
    pd.DataFrame(counts).to_csv(folder / "counts.csv", index=False)
    content = {
        "year": year,
        "title": "A file",
        "synthetic": None,
        "first_hour": "2018-07-01T00:00:00",
        "last_hour": "2018-07-31T23:00:00",
        "names": {"product": "product", **({"cams": "CAMS"} if cams else {})},
        "steps": {field: step for field, step in (("product", 0.25), ("cams", 0.75)) if field in fields},
        "grid": {"rows": 721, "columns": 1440, "north": 90.0, "south": -90.0, "west": -180.0, "east": 179.75}
        if globe
        else {"rows": 97, "columns": 121, "north": 60.0, "south": 36.0, "west": -5.0, "east": 25.0},
        "stations": {
            "number": stations,
            "pairs": 700 * stations,
            "settings": {"daily_hours": 19, "monthly_days": 20, "station_pairs": 24, "station_days": 5},
            "tests": {name: {"stations": stations, "better": stations // 2, "worse": stations // 5, "alike": 0}
                      for name in ("hourly", "daily")} if cams and stations else {},
        },
        "bin_edges": [0.1, 1.0, 10.0],
        "truth": list(truth),
        "fields": {
            field: {"hours": 744, "missing_hours": 0, "missing_cells": 0, "infinite_cells": 0, "negative_cells": 0,
                    "minimum": 0.1, "maximum": 912.0, "mean": 9.53, "closure_max_relative_error": 0.0039,
                    "quantiles": {"0.5": 6.2, "0.99": 61.0, "0.999": 140.2, "0.9999": 388.1}}
            for field in fields
        },
        "beat": {field: {"ratio": 1.01, "low": 0.98, "high": 1.04, "days": 31} for field in fields},
        "spectra": {field: {"effective_resolution": 62.0 if field == "product" else 160.0} for field in fields},
        "attributes": {"title": "Hourly PM2.5", "history": "made by a test", "references": "https://doi.org/10.1/x"},
        **summary,
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_slider(path: Path, *, times: int = 7, cams: bool = True) -> Path:
    """A slider whose frames are told apart by what follows the picture: the product one an hour, CAMS one in three."""
    uris = ["data:image/png;base64," + base64.b64encode(PNG + bytes([0, k])).decode() for k in range(times)]
    stamps = np.datetime64("2018-07-01T00:00:00") + np.arange(times) * np.timedelta64(1, "h")
    fields = [{"name": "product", "label": "Product, hourly", "frames": uris, "at": list(range(times))}]
    if cams:
        fields.append(
            {"name": "cams", "label": "CAMS, 3-hourly", "frames": uris[::3], "at": [k // 3 for k in range(times)]}
        )
    content = {"times": [f"{stamp}Z" for stamp in stamps], "colour_bar": uris[0], "fields": fields}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_figure(path: Path) -> Path:
    """A tiny picture."""
    path.write_bytes(PNG)
    return path


def _places(random: np.random.Generator, count: int, globe: bool, names: dict[int, str]) -> pd.DataFrame:
    kind = np.arange(count) % len(COUNTRIES)
    return pd.DataFrame(
        {
            "station": [f"{1000 + k}" for k in range(count)],
            "name": [names.get(k, f"Place {k}") for k in range(count)],
            "country": [COUNTRIES[k][0] for k in kind],
            "continent": [COUNTRIES[k][1] for k in kind],
            "latitude": (random.uniform(-50, 68, count) if globe else random.uniform(38, 58, count)).round(4),
            "longitude": (random.uniform(-170, 175, count) if globe else random.uniform(-4, 24, count)).round(4),
        }
    )


def _scores(random: np.random.Generator, count: int, field: str) -> pd.DataFrame:
    lift = 0.05 if field == "product" else 0.0
    observed = np.random.default_rng(count).uniform(6, 40, count)
    rmse = random.uniform(6, 20, count) - 20 * lift
    values = {
        "n": np.full(count, 700), "mean_observed": observed,
        "mean_modelled": observed * random.uniform(0.6, 1.3, count),
        "sd_observed": observed / 2, "sd_modelled": observed / 3, "r": random.uniform(0.3, 0.85, count) + lift,
        "rho": random.uniform(0.3, 0.8, count) + lift, "rmse": rmse, "crmse": rmse * 0.9, "mae": rmse * 0.7,
        "mb": random.normal(-1, 3, count), "nmb": random.normal(-0.1, 0.3, count),
        "nme": random.uniform(0.2, 0.9, count),
        "fge": random.uniform(0.3, 0.9, count), "fac2": random.uniform(0.5, 0.95, count) + lift / 2,
        "ioa": random.uniform(0.4, 0.8, count), "kge": random.uniform(-0.2, 0.7, count),
        "mqi": random.uniform(0.4, 1.3, count),
    }  # fmt: skip
    return pd.DataFrame(values)[list(SCORES)]


def _groups(resolution: str) -> list[tuple[str, str]]:
    groups = [("all", ""), ("cells", ""), ("stations", "median")]
    if resolution == "hourly":
        groups += [("hours", name) for name in ("analysis", "interpolated", "interpolated_across_assimilation_windows")]
        groups += [("solar hour", f"{hour:02d}") for hour in range(24)]
    groups += [("continent", name) for name in sorted({name for _, name in COUNTRIES})]
    groups += [("country", code) for code, _ in COUNTRIES] + [("season", "JJA"), ("month", "2018-07")]
    return groups


def _station_tables(folder: Path, random: np.random.Generator, places: pd.DataFrame, fields: list[str]) -> None:
    rows, parts = [], []
    for resolution in ("hourly", "daily", "monthly"):
        groups = _groups(resolution)
        for field in fields:
            table = _scores(random, len(groups), field)
            table = table.assign(resolution=resolution, field=field, stations=len(places))
            rows.append(table.assign(by=[by for by, _ in groups], group=[group for _, group in groups]))
            if resolution != "monthly":
                scores = _scores(random, len(places), field)
                parts.append(pd.concat([places, scores], axis=1).assign(resolution=resolution, field=field))
    scores = pd.concat(rows, ignore_index=True)
    scores.loc[scores["group"] == "FR", ["r", "kge"]] = np.nan
    scores[["resolution", "by", "group", "stations", "field", *SCORES]].to_csv(
        folder / "scores.csv", index=False, float_format="%.6g"
    )
    stations = pd.concat(parts).rename_axis("row").sort_values(["row", "resolution"], kind="stable")
    stations[[*places, "resolution", "field", *SCORES]].to_csv(
        folder / "stations.csv", index=False, float_format="%.6g"
    )
    exceeded = [
        {"resolution": resolution, "threshold": threshold, "field": field, "n": 5000, "hits": 100, "misses": 50,
         "false_alarms": 20, "correct_negatives": 4830, "hit_rate": 0.6667, "false_alarm_ratio": 0.1667, "csi": 0.588}
        for resolution in ("hourly", "daily") for threshold in (15, 25, 50) for field in fields
    ]  # fmt: skip
    pd.DataFrame(exceeded).to_csv(folder / "exceedances.csv", index=False)
    if "cams" in fields:
        write_differences(folder)


def write_differences(folder: Path, **verdicts: str) -> None:
    """differences.csv. verdicts : of a metric, in place of "better"."""
    rows = []
    for resolution in ("hourly", "daily"):
        for by, group in (("all", ""), ("continent", "Asia"), ("season", "JJA"), ("stations", "median")):
            for metric, product, cams in (("rmse", 12.0, 14.0), ("mae", 8.0, 9.0), ("bias", 1.0, 1.5), ("r", 0.6, 0.5)):
                verdict = verdicts.get(metric, "better")
                difference = (product - cams) * (-1 if verdict == "worse" else 1)
                half = {"better": 0.4, "worse": 0.4, "alike": 1.5, "unjudged": np.nan}[verdict] * abs(difference)
                rows.append({"resolution": resolution, "by": by, "group": group, "metric": metric,
                             "product": cams + difference, "cams": cams, "difference": difference,
                             "low": difference - half, "high": difference + half, "days": 31,
                             "verdict": verdict})  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "differences.csv", index=False, float_format="%.6g")


def _clicks(
    folder: Path,
    random: np.random.Generator,
    places: pd.DataFrame,
    fields: list[str],
    hours: int,
    series: int,
    daily: bool,
) -> None:
    step = np.timedelta64(1, "D" if daily else "h")
    time = np.datetime64("2018-07-01T00:00:00") + np.arange(hours) * step
    base = 12 + 6 * np.sin(np.arange(hours) / 4) + random.normal(0, 1, (series, hours)).cumsum(axis=1) / 6
    base = np.maximum(base, 0.5).astype(np.float32)
    observed = base * random.lognormal(0, 0.2, base.shape).astype(np.float32)
    observed[:, ::17] = np.nan
    values = {"product": base, "cams": base[:, np.arange(hours) // 3 * 3] * 1.2}
    np.savez(
        folder / "clicks.npz",
        row=np.arange(series, dtype=np.int32),
        time=time.astype("datetime64[s]"),
        observed=observed,
        **{field: values[field].astype(np.float32) for field in fields},
    )


def truth_row(method: str, rmse: float, hours: str = "all") -> dict:
    """A row of the scores against the truth."""
    values = {"n": 10, "r": 0.9, "rmse": rmse, "mae": 1.0, "bias": 0.1}
    return {"method": method, "hours": hours} | values | {f"{key}_area": value for key, value in values.items()}
