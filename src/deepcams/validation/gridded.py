"""Whole fields: checks of the product, its mean, and its scores against the nature run's truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import EARTH, Grid, locate, refine, row_weights
from deepcams.inference.spatial import SpatialNetwork
from deepcams.inference.temporal import TemporalNetwork
from deepcams.progress import progress
from deepcams.validation.axes import Axes, row_areas
from deepcams.validation.beat import Beat
from deepcams.validation.collocation import Opener, is_daily
from deepcams.validation.extremes import Quantiles
from deepcams.validation.fields import FieldFile, require_same_origin, same_nodes
from deepcams.validation.metrics import Moments
from deepcams.validation.spectra import Spectrum, effective_resolution

STEPS = 3  # hours between analyses
SPECTRA_A_DAY = 4  # frames whose spectra are taken; neighbouring hours say the same


@dataclass(frozen=True, eq=False)
class FieldReport:
    """What one pass over all fields of a product tells.

    axes, mean : the axes and the mean field (H, W) float64, NaN where nothing was.  checks : counts, extremes,
    quantiles and the files' own closure attributes.  beat, hours : of hourly instants, see `deepcams.validation.beat`;
    empty for others.  spectrum : see `deepcams.validation.spectra`.  first, last : times of the fields.
    """

    axes: Axes
    mean: np.ndarray
    checks: dict[str, object]
    beat: dict[str, float | int]
    hours: pd.DataFrame
    spectrum: pd.DataFrame
    first: np.datetime64
    last: np.datetime64
    is_daily: bool
    synthetic: str | None
    attributes: dict[str, object]

    def effective_resolution(self, coarse_step: float | None, truth: "FieldReport | None") -> float | None:
        """Kilometres down to which the fields have the power that they should have; None if it cannot be told.

        coarse_step : degrees, of what the fields were made from.  truth : the report of the true fields, if known.
        """
        if coarse_step is None or self.spectrum.empty:
            return None
        wavelength, power = (self.spectrum[name].to_numpy() for name in ("wavelength", "power"))
        known = None
        if truth is not None and np.array_equal(truth.spectrum["wavelength"].to_numpy(), wavelength):
            known = truth.spectrum["power"].to_numpy()
        return effective_resolution(wavelength, power, np.radians(coarse_step) * EARTH, known)


def check_fields(
    paths: Sequence[str | Path], opened: Opener = FieldFile, name: str = "fields", within: Axes | None = None
) -> FieldReport:
    """Read every value of a product once.

    opened : how files become fields.  name : for the progress.  within : take only the nodes in the box of these axes.
    Returns a report whose `checks` are hours (frames), missing_hours (wholly NaN), missing_cells, infinite_cells,
    negative_cells, minimum, maximum, mean (weighted by area), quantiles (by area) and the files' closure attributes,
    the largest of each. Raises DeepcamsError if there is no file, or files are on different grids.
    """
    if not paths:
        raise DeepcamsError("There are no fields to check.")
    with opened(paths[0]) as file:
        rows, columns = _part(file, within)
        axes = Axes(file.axes.latitude[rows], np.unwrap(file.axes.longitude[columns], period=360.0))
        whole, attributes, synthetic = file.axes, file.attributes, file.synthetic
        start, is_hourly, daily = file.times[0], _is_hourly(file), is_daily(file)
    total, count = np.zeros(axes.shape), np.zeros(axes.shape, dtype=np.int64)
    found = {"hours": 0, "missing_hours": 0, "missing_cells": 0, "infinite_cells": 0, "negative_cells": 0}
    lowest, highest = np.inf, -np.inf
    closure: dict[str, float] = {}
    spectrum, quantiles = Spectrum(axes), Quantiles(row_areas(axes))
    beat = Beat(axes) if is_hourly else None
    end = start
    for number, path in enumerate(progress(paths, f"Checking the {name}", "files")):
        with opened(path) as file:  # a month of analyses ends with the first frame of the next
            if not same_nodes(whole, file.axes):
                raise DeepcamsError(f"{path} is on another grid than {paths[0]}; make both with one configuration.")
            for key, value in file.attributes.items():
                if "closure" in key and np.ndim(value) == 0 and isinstance(value, int | float | np.number):
                    closure[key] = max(closure.get(key, -np.inf), float(value))
            for at, frames in file.slabs(int(np.searchsorted(file.times, end, side="right")) if number else 0):
                frames = frames[:, rows] if within is None else frames[:, rows][:, :, columns]
                valid = np.isfinite(frames)
                empty = ~valid.any(axis=(1, 2))
                found["hours"] += len(frames)
                found["missing_hours"] += int(empty.sum())
                found["missing_cells"] += int(np.isnan(frames[~empty]).sum())
                found["infinite_cells"] += int(np.isinf(frames).sum())
                found["negative_cells"] += int((frames < 0).sum())
                if valid.any():
                    lowest = min(lowest, float(frames.min(where=valid, initial=np.inf)))
                    highest = max(highest, float(frames.max(where=valid, initial=-np.inf)))
                total += frames.sum(axis=0, where=valid, dtype=np.float64)
                count += valid.sum(axis=0)
                times = file.times[at : at + len(frames)]
                for frame in frames[:: max(1, len(frames) // SPECTRA_A_DAY)]:
                    spectrum.add(frame)
                for time, frame in zip(times, frames, strict=True):
                    if beat is not None:
                        beat.add(time, frame)
                    quantiles.add(frame)
                end = times[-1]
    mean = np.divide(total, count, out=np.full(axes.shape, np.nan), where=count > 0)
    weights = np.broadcast_to(row_areas(axes)[:, None], axes.shape)[count > 0]
    empty_file = not np.isfinite(lowest)
    checks = found | {
        "minimum": float("nan") if empty_file else lowest,
        "maximum": float("nan") if empty_file else highest,
        "mean": float(np.average(mean[count > 0], weights=weights)) if len(weights) else float("nan"),
        "quantiles": quantiles.result(),
    }
    statistic, hours = beat.result() if beat is not None else ({}, pd.DataFrame())
    return FieldReport(
        axes, mean, checks | closure, statistic, hours, spectrum.result(), start, end, daily, synthetic, attributes
    )


def _part(file: FieldFile, within: Axes | None) -> tuple[slice, np.ndarray]:
    """Rows and columns of a file's fields that lie in the box of other axes; all of them if these are None."""
    if within is None:
        return slice(None), np.arange(file.axes.shape[1])
    for reach in (1e-6, max(file.axes.steps) + 1e-6):  # of a box of less than two of its cells, the nodes around it
        rows, columns = _inside_box(file.axes, within, reach)
        if min(len(rows), len(columns)) >= 2:
            break
    else:
        raise DeepcamsError(f"{file.path} does not cover the region of the product. Name a file that does.")
    return slice(rows[0], rows[-1] + 1), columns


def _inside_box(axes: Axes, box: Axes, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of nodes that are at most `reach` degrees outside a box."""
    rows = np.flatnonzero((axes.latitude <= box.latitude[0] + reach) & (axes.latitude >= box.latitude[-1] - reach))
    if box.is_periodic:
        return rows, np.arange(axes.shape[1])
    west = box.longitude[0] - reach
    east_of = (axes.longitude - west) % 360.0
    columns = np.flatnonzero(east_of <= box.longitude[-1] + reach - west)
    return rows, columns[np.argsort(east_of[columns])]


def _is_hourly(file: FieldFile) -> bool:
    """Whether the fields are instants, an hour apart."""
    return file.bounds is None and len(file.times) > 1 and bool(np.median(np.diff(file.times)) == HOUR)


def score_against_truth(
    product_paths: Sequence[str | Path],
    truth_paths: Sequence[str | Path],
    coarse_paths: Sequence[str | Path],
    baselines: dict[str, tuple[TemporalNetwork, SpatialNetwork]],
) -> list[dict[str, object]]:
    """Scores of the product, and of CAMS by simpler methods, against the nature run, month by month and pooled.

    product_paths, truth_paths : hourly instants at 0.25°, one file a month, in the same order (the product may also
    be one file of the year).  coarse_paths : 3-hourly instants at 0.75° with the next day's first frame, in the order
    of the truth.  baselines : name → interpolation in time and in space; "nearest node and frame" needs none.
    Hours are compared where the product has a field; all methods are scored on the very same cells and hours.
    Returns rows of method, hours ("all" | "analysis" | "interpolated"), n, r, rmse, mae, bias and the same scores
    weighted by area (r_area, …).
    """
    names = ["product", "CAMS, nearest node and frame", *baselines]
    plain = {(name, part): Moments() for name in names for part in _PARTS}
    by_area = {key: Moments() for key in plain}
    products = list(product_paths) if len(product_paths) == len(truth_paths) else list(product_paths) * len(truth_paths)
    months = list(zip(products, truth_paths, coarse_paths, strict=True))
    for product_path, truth_path, coarse_path in progress(months, "Scoring against the truth", "months"):
        with FieldFile(product_path) as product, FieldFile(truth_path) as truth, FieldFile(coarse_path) as coarse:
            if require_same_origin(product, truth, coarse) is None:
                raise DeepcamsError(f"{truth.path} is not a nature run; only there the truth is known.")
            rows, columns = locate(product.grid, truth.grid)
            weights = row_weights(product.grid)[:, None]
            for times, estimates in _intervals(coarse, product.grid, baselines):
                at, of = product.find(times), truth.find(times)
                for k in np.flatnonzero((at >= 0) & (of >= 0)):
                    values = truth.frame(of[k])[None, rows][:, :, columns]
                    fields = {"product": product.frame(at[k])[None]}
                    fields |= {name: frames[k : k + 1] for name, frames in estimates.items()}
                    valid = np.logical_and.reduce([np.isfinite(frame) for frame in (values, *fields.values())])
                    for name, frame in fields.items():
                        key = name, _PARTS[min(int(k), 1)]
                        estimate = np.where(valid, frame, np.nan)
                        plain[key].add(estimate, values)
                        by_area[key].add(estimate, values, weights)
    return [
        {"method": name, "hours": hours}
        | {key: value for key, value in _pooled(plain, name, hours).items() if key in ("n", *_SCORES)}
        | {f"{key}_area": value for key, value in _pooled(by_area, name, hours).items() if key in _SCORES}
        for hours in ("all", *_PARTS)
        for name in names
    ]


_SCORES = ("r", "rmse", "mae", "bias")


def _pooled(parts: dict[tuple[str, str], Moments], name: str, hours: str) -> dict[str, float | int]:
    """Scores of a method over one kind of hours, or over all of them."""
    total = Moments()
    for part in _PARTS if hours == "all" else (hours,):
        total.merge(parts[name, part])
    return total.scores()


_PARTS = ("analysis", "interpolated")


def _intervals(
    coarse: FieldFile, fine: Grid, baselines: dict[str, tuple[TemporalNetwork, SpatialNetwork]]
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yield per pair of analyses the hours 0, 1, 2 after the first one and every method's fields (3, H, W) there."""
    rows, columns = locate(fine, refine(coarse.grid))
    fractions = tuple(step / STEPS for step in range(1, STEPS))
    nearest = _nearest_rows_and_columns(coarse.grid, rows, columns)
    last = coarse.frame(0)
    for k in range(len(coarse.times) - 1):
        first, last = last, coarse.frame(k + 1)
        if coarse.times[k + 1] - coarse.times[k] != STEPS * HOUR:
            continue
        closest = np.stack([first if step / STEPS < 0.5 else last for step in range(STEPS)])
        estimates = {"CAMS, nearest node and frame": closest[:, nearest[0][:, None], nearest[1]]}
        for name, (temporal, spatial) in baselines.items():
            between = temporal.between(first, last, fractions, coarse.grid, coarse.times[k])
            frames = spatial.refine(np.concatenate([first[None], between]), coarse.grid)
            estimates[name] = frames[:, rows, columns]
        yield coarse.times[k] + HOUR * np.arange(STEPS), estimates


def _nearest_rows_and_columns(coarse: Grid, rows: slice, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fine_rows = np.arange(rows.start, rows.stop)
    return (fine_rows + 1) // 3, (columns + 1) // 3 % coarse.shape[1]
