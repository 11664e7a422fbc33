"""Whole fields: checks of the product, its mean, and its scores against the nature run's truth."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid, locate, refine, row_weights
from deepcams.progress import progress
from deepcams.validation.fields import FieldFile, require_same_origin, same_nodes

STEPS = 3  # hours between analyses


class TemporalMethod(Protocol):
    """Interpolation in time."""

    def between(self, first: np.ndarray, last: np.ndarray, fractions: tuple[float, ...], periodic: bool) -> np.ndarray:
        """Fields (len(fractions), H, W) between two fields (H, W)."""


class SpatialMethod(Protocol):
    """Interpolation in space."""

    def refine(self, frames: np.ndarray, grid: Grid) -> np.ndarray:
        """Frames (B, H, W) on the fine grid of `grid`."""


class ErrorSums:
    """Running sums of truth and estimate, kept per row, so that scores with and without area weights follow.

    rows : (7, H) float64: count, t, e, t², e², te, |e - t|.
    """

    def __init__(self, height: int):
        self.rows = np.zeros((7, height))

    def add(self, truth: np.ndarray, estimate: np.ndarray, valid: np.ndarray) -> None:
        """Add frames (n, H, W); only cells that are `valid` (bool, same shape) count."""
        t = np.where(valid, truth, 0.0).astype(np.float64)
        e = np.where(valid, estimate, 0.0).astype(np.float64)
        products = [np.einsum("thw,thw->h", a, b) for a, b in ((t, t), (e, e), (t, e))]
        plain = [values.sum(axis=(0, 2)) for values in (valid, t, e)]
        self.rows += [*plain, *products, np.abs(e - t).sum(axis=(0, 2))]

    def scores(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """r, rmse, mae, bias (estimate - truth), rows weighted by `weights` (H,); NaN if undefined."""
        w, t, e, tt, ee, te, absolute = self.rows.sum(axis=1) if weights is None else self.rows @ weights
        if w == 0:
            return dict.fromkeys(("r", "rmse", "mae", "bias"), float("nan"))
        t, e, tt, ee, te = (value / w for value in (t, e, tt, ee, te))
        spread = np.sqrt(max(0.0, tt - t * t) * max(0.0, ee - e * e))
        return {
            "r": float((te - t * e) / spread) if spread > 1e-9 else float("nan"),
            "rmse": float(np.sqrt(max(0.0, tt + ee - 2 * te))),
            "mae": float(absolute / w),
            "bias": float(e - t),
        }


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
    baselines: dict[str, tuple[TemporalMethod, SpatialMethod]],
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
    sums: dict[tuple[str, str], ErrorSums] = {}
    weights = np.zeros(0)
    products = list(product_paths) if len(product_paths) == len(truth_paths) else list(product_paths) * len(truth_paths)
    months = list(zip(products, truth_paths, coarse_paths, strict=True))
    for product_path, truth_path, coarse_path in progress(months, "Scoring against the truth", "months"):
        with FieldFile(product_path) as product, FieldFile(truth_path) as truth, FieldFile(coarse_path) as coarse:
            if require_same_origin(product, truth, coarse) is None:
                raise DeepcamsError(f"{truth.path} is not a nature run; only there the truth is known.")
            rows, columns = locate(product.grid, truth.grid)
            weights = row_weights(product.grid)
            for times, estimates in _intervals(coarse, product.grid, baselines):
                at, of = product.find(times), truth.find(times)
                for k in np.flatnonzero((at >= 0) & (of >= 0)):
                    values = truth.frame(of[k])[None, rows][:, :, columns]
                    fields = {"product": product.frame(at[k])[None]}
                    fields |= {name: frames[k : k + 1] for name, frames in estimates.items()}
                    valid = np.logical_and.reduce([np.isfinite(frame) for frame in (values, *fields.values())])
                    for name, frame in fields.items():
                        part = sums.setdefault((name, _PARTS[min(int(k), 1)]), ErrorSums(len(weights)))
                        part.add(values, frame, valid)
    return [row for hours in ("all", *_PARTS) for row in _rows(sums, names, hours, weights)]


def _rows(
    sums: dict[tuple[str, str], ErrorSums], names: Sequence[str], hours: str, weights: np.ndarray
) -> list[dict[str, object]]:
    result = []
    for name in names:
        total = ErrorSums(len(weights))
        for part in _PARTS if hours == "all" else (hours,):
            if (name, part) in sums:
                total.rows += sums[name, part].rows
        by_area = {f"{key}_area": value for key, value in total.scores(weights).items()}
        result.append({"method": name, "hours": hours, "n": int(total.rows[0].sum())} | total.scores() | by_area)
    return result


_PARTS = ("analysis", "interpolated")


def _intervals(
    coarse: FieldFile, fine: Grid, baselines: dict[str, tuple[TemporalMethod, SpatialMethod]]
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
            between = temporal.between(first, last, fractions, coarse.grid.is_periodic)
            frames = spatial.refine(np.concatenate([first[None], between]), coarse.grid)
            estimates[name] = frames[:, rows, columns]
        yield coarse.times[k] + HOUR * np.arange(STEPS), estimates


def _nearest_rows_and_columns(coarse: Grid, rows: slice, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fine_rows = np.arange(rows.start, rows.stop)
    return (fine_rows + 1) // 3, (columns + 1) // 3 % coarse.shape[1]
