"""Methods of fusion where the truth is known: at stations that are held out, and on fields of a model.

A method estimates cells from known cells: see `deepcams.fusion.competitors.Method`.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from deepcams.fusion.cells import Cells
from deepcams.fusion.competitors import Method
from deepcams.fusion.folds import known as known_stations
from deepcams.fusion.observations import Observations, cells_at
from deepcams.grid.nodes import Grid
from deepcams.progress import progress
from deepcams.validation.metrics import Moments

# Of the table that `cross_validate` makes, before one column a method.
COLUMNS = ("time", "station", "city", "country", "latitude", "longitude", "row", "column", "fold", "observed")
OF_STATIONS = ("station", "city", "country", "latitude", "longitude", "row", "column")
STEP, POOLED, MEAN = "step", "pooled", "mean of steps"  # what a row of `reproduce` is of
SCORES = ("n", "missing", "r2", "rmse", "nme", "mean", "mean_truth")


def cross_validate(
    observations: Observations, methods: Mapping[str, Method], fold_of: np.ndarray, label: str = "cross-validate"
) -> pd.DataFrame:
    """Estimates of every observation from stations of other folds.

    fold_of : (S,) int, of `deepcams.fusion.folds`.   label : what the progress is told as.

    Each method is called once for every time step and fold that has an observation, with the cells of
    `folds.known` stations and the cells of the held-out ones, one a station. Where nothing is known no method is
    called, and all estimates are NaN: rows are kept, `fusion_scores` counts them as missing.
    Returns a row for every station and time step with a value, in their order: `COLUMNS`, then a float64 column a
    method. Raises ValueError if a method's name is one of `COLUMNS`, `fold_of` has another length than there are
    stations, or a method does not answer with one value for each target.
    """
    stations, values = observations.stations, observations.values
    if len(fold_of) != len(stations):
        raise ValueError(f"{len(fold_of)} folds are not one for each of {len(stations)} stations")
    if taken := sorted(set(methods) & set(COLUMNS)):
        raise ValueError(f"a method cannot be named as a column of the table: {', '.join(taken)}")
    row, column = (stations[name].to_numpy(dtype=np.int64) for name in ("row", "column"))
    folds = {int(fold): known_stations(observations, fold_of, fold) for fold in np.unique(fold_of)}
    measured = np.isfinite(values)
    estimates = {name: np.full(values.shape, np.nan) for name in methods}
    for step in progress(range(len(values)), label, "times"):
        for fold, keep in folds.items():
            held = np.flatnonzero(measured[step] & (fold_of == fold))
            known = cells_at(observations, step, keep)
            if not len(held) or not len(known.value):
                continue
            for name, method in methods.items():
                estimates[name][step, held] = _answer(name, method, known, (row[held], column[held]), step)
    step, station = np.nonzero(measured)
    found = {"time": observations.times[step]}
    found |= {name: stations[name].to_numpy()[station] for name in OF_STATIONS}
    found |= {"fold": np.asarray(fold_of)[station], "observed": values[step, station].astype(np.float64)}
    return pd.DataFrame(found | {name: of_all[step, station] for name, of_all in estimates.items()})


def reproduce(
    fields: Iterable[np.ndarray],
    grid: Grid,
    cells_of: Callable[[int], tuple[np.ndarray, np.ndarray]],
    methods: Mapping[str, Method],
    nodes: tuple[np.ndarray, np.ndarray] | None = None,
) -> pd.DataFrame:
    """How well a model's fields are estimated from their own values in a few cells.

    fields : (T, H, W), or one (H, W) after the other.  cells_of : time step → (row, column) of the known cells, such as
    those with a station; cells where the field is NaN are left out.  nodes : (row, column), (m,) each, where estimates
    and fields are compared; None for all.

    Returns rows of (step "step" | "pooled" | "mean of steps" in the column `of`): of, step (-1 but for a step's own),
    method, n (pairs), missing (nodes without an estimate or a field), r2 (squared Pearson), rmse, nme (Σ|p - o| / Σo),
    mean (of the estimates), mean_truth (of the fields). "mean of steps" is the mean of the steps' scores where they
    are defined, and n and missing are sums. Raises ValueError as `cross_validate`.
    """
    if nodes is None:
        nodes = tuple(index.ravel() for index in np.indices(grid.shape))
    pooled, missing = {name: Moments() for name in methods}, dict.fromkeys(methods, 0)
    rows = []
    for step, field in enumerate(fields):
        if field.shape != grid.shape:
            raise ValueError(f"a field of {field.shape} is not on a grid of {grid.shape}")
        row, column = (np.asarray(index, np.int64) for index in cells_of(step))
        value = field[row, column].astype(np.float64)
        there = np.isfinite(value)
        known = Cells(row[there], column[there], value[there])
        truth = field[nodes].astype(np.float64)
        for name, method in methods.items():
            estimate = np.full(len(truth), np.nan)
            if there.any():
                estimate = _answer(name, method, known, nodes, step)
            moments = Moments().add(estimate, truth)
            pooled[name].merge(moments)
            missing[name] += len(truth) - moments.count
            rows.append(_row(STEP, step, name, moments, len(truth) - moments.count))
    steps = pd.DataFrame(rows, columns=["of", "step", "method", *SCORES])
    for name in methods:
        rows.append(_row(POOLED, -1, name, pooled[name], missing[name]))
        means = steps.loc[steps["method"] == name, list(SCORES[2:])].mean()
        counts = {"n": pooled[name].count, "missing": missing[name]}
        rows.append({"of": MEAN, "step": -1, "method": name, **counts, **means})
    return pd.DataFrame(rows, columns=steps.columns)


def _answer(name: str, method: Method, known: Cells, at: tuple[np.ndarray, np.ndarray], step: int) -> np.ndarray:
    found = np.asarray(method(known, at, step))
    if found.shape != at[0].shape:
        raise ValueError(f"{name} answered with {found.shape} for {at[0].shape} cells")
    return found


def _row(of: str, step: int, method: str, moments: Moments, missing: int) -> dict[str, object]:
    scores = moments.scores()
    return {
        "of": of,
        "step": step,
        "method": method,
        "n": scores["n"],
        "missing": missing,
        "r2": scores["r"] ** 2,
        "rmse": scores["rmse"],
        "nme": scores["nme"],
        "mean": scores["mean_estimate"],
        "mean_truth": scores["mean_truth"],
    }
