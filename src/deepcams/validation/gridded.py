"""Whole fields: checks of the product, its mean, and its scores against the nature run's truth."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, locate, refine, row_weights
from deepcams.inference.spatial import SpatialNetwork
from deepcams.inference.temporal import TemporalNetwork
from deepcams.progress import progress
from deepcams.validation.fields import FieldFile, require_same_origin, same_nodes
from deepcams.validation.metrics import Moments

STEPS = 3  # hours between analyses


def check_fields(paths: Sequence[str | Path]) -> tuple[dict[str, float], np.ndarray, Grid]:
    """Read every value of the product once.

    Returns ({hours, missing_hours (wholly NaN), missing_cells, negative_cells, non_finite_cells, minimum, maximum,
    mean (cos-latitude weighted) and the files' own closure attributes}, the mean field (H, W) float64, its grid).
    """
    total = count = grid = None
    found = {"hours": 0, "missing_hours": 0, "missing_cells": 0, "infinite_cells": 0, "negative_cells": 0}
    lowest, highest = np.inf, -np.inf
    closure: dict[str, float] = {}
    for path in progress(paths, "Checking fields", "files"):
        with FieldFile(path) as file:
            if grid is None:
                grid = file.grid
                total, count = np.zeros(grid.shape), np.zeros(grid.shape, dtype=np.int64)
            elif not same_nodes(grid, file.grid):
                raise DeepcamsError(f"{path} is on another grid than {paths[0]}; make both with one configuration.")
            for name, value in file.attributes.items():
                if "closure" in name and np.ndim(value) == 0 and isinstance(value, int | float | np.number):
                    closure[name] = max(closure.get(name, -np.inf), float(value))
            for _, frames in file.slabs():
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
    if grid is None:
        raise DeepcamsError("There are no fields to check.")
    mean = np.divide(total, count, out=np.full(grid.shape, np.nan), where=count > 0)
    weights = np.broadcast_to(row_weights(grid)[:, None], grid.shape)[count > 0]
    average = float(np.average(mean[count > 0], weights=weights)) if len(weights) else float("nan")
    empty_file = not np.isfinite(lowest)
    found |= {
        "minimum": float("nan") if empty_file else lowest,
        "maximum": float("nan") if empty_file else highest,
        "mean": average,
    }
    return found | closure, mean, grid


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
