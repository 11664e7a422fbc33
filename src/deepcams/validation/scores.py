"""Skill of downscaling in time, in space and in both, on fields whose truth is known.

The truth is hourly and at 0.25°. It is degraded first, on all of the file, and scored after, on the region: what is
outside the region helps as it would in the product. Windows of three hours follow one another, frames 0-3, 3-6, …; the
two frames inside a window are what is scored in time and in both, every frame in space.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from deepcams.degrade.operators import degrade, margin
from deepcams.errors import DeepcamsError
from deepcams.grid.blocks import coarse_around, spread
from deepcams.grid.nodes import FACTOR, Grid, describe, refine, row_weights
from deepcams.grid.pad import pad
from deepcams.validation.methods import WINDOW, Method, Workings, baselines, check_methods
from deepcams.validation.metrics import Moments

LARGEST_SUPPORT = 3  # coarse nodes, of lanczos3; closure makes whole blocks of what is missing


@dataclass
class _Tally:
    """Sums of one method: over all pairs, by area, of each day, and of each frame's own scores."""

    plain: Moments = field(default_factory=Moments)
    weighted: Moments = field(default_factory=Moments)
    frames: list[tuple[float, float, float]] = field(default_factory=list)
    days: dict[str, Moments] = field(default_factory=dict)

    def add(self, estimate: np.ndarray, truth: np.ndarray, weights: np.ndarray, day: str | None) -> None:
        own = Moments().add(estimate, truth)
        if own.count:
            scores = own.scores()
            self.frames.append((scores["r"], scores["rmse"], scores["mae"]))
            if day is not None:
                self.days.setdefault(day, Moments()).merge(own)
        self.plain.merge(own)
        self.weighted.add(estimate, truth, weights)

    def scores(self) -> dict:
        means = np.mean(self.frames, axis=0) if self.frames else np.full(3, math.nan)
        of_frames = dict(zip(("r", "rmse", "mae"), means.tolist(), strict=True))
        return _without_nan({**self.plain.scores(), "weighted": self.weighted.scores(), "mean_of_frames": of_frames})

    def daily(self) -> list[dict]:
        return [
            {"day": day, "n": sums.count, "squared_error": sums.squared_error, "absolute_error": sums.absolute_error}
            for day, sums in sorted(self.days.items())
        ]


def score(
    stage: str,
    fields: Iterable[np.ndarray],
    grid: Grid,
    *,
    methods: Sequence[Method] | None = None,
    operator: str | None = None,
    parameters: dict[str, float] | None = None,
    region: tuple[float, float, float, float] | None = None,
    coarse: Iterable[np.ndarray] | None = None,
    times: Sequence[np.datetime64] | np.ndarray | None = None,
    every: int = 1,
) -> dict:
    """Score methods of a stage on hourly fields.

    stage : "temporal", "spatial" or "joint".   fields : truth, consecutive hours, (T, H, W) float32 on the 0.25°
    `grid`: an array, a memory map or any iterable of frames; at most four are held at once. A grid that does not begin
    and end on 0.75° nodes is widened to the next ones by repeating its edge before it is degraded.
    methods : by default `baselines(stage)`.
    operator, parameters : the degradation; needed in space and in both. In time, None interpolates and scores at 0.25°,
    an operator degrades first and does both at 0.75°.
    region : north, west, south, east in degrees, edges included, of the nodes scored; None is all of the file.
    coarse : coarse frames to use in place of degrading, one for each of `fields`, on the 0.75° grid that covers `grid`;
    `operator` then only names them and gives the margin.
    times : (T,) datetime64, UTC, the instant of each of `fields`. Networks that look at the sun need it; with it the
    result has "days", the sums of every UTC day, of which intervals are made (`deepcams.validation.bootstrap`).
    every : of the windows, or in space of the frames, each so many-th is scored, from the first on.

    Where the grid is not the full circle, or ends short of a pole, a margin is lost on that side: the coarse nodes
    whose degradation lacks support (at least one, as nodes outside the last coarse one are not interpolated), three
    fine nodes each. Nothing is lost in time at 0.25°, nor at a pole. Beyond an open edge every method continues the
    field in its own way; within its halo (2 coarse nodes for bicubic) that costs it some skill.

    Returns {"stage", "degradation", "region" (of the nodes scored), "nodes" [rows, columns], "step", "frames" (fields
    scored), "margin" (nodes and degrees), "methods": {name: scores}}. Scores are those of `Moments.scores` over all
    pairs; under "weighted" the same weighted by the cells' areas, which is the cosine of latitude but for the poles;
    under "mean_of_frames" r, rmse and mae averaged over frames, as in the paper's tables. None where undefined.
    With `times` also "days": {name: [{"day": "YYYY-MM-DD", "n" pairs, "squared_error" Σ (e - t)², "absolute_error"
    Σ |e - t|}]} over the nodes scored, unweighted, in the order of days, of days that have pairs.
    Raises DeepcamsError for an unknown stage or operator, an empty region, or fewer frames than a window needs.
    """
    methods = baselines(stage) if methods is None else list(methods)
    check_methods(stage, methods)
    if operator is None and (stage != "temporal" or coarse is not None):
        raise DeepcamsError(f"Scoring {stage} downscaling needs a degradation, for instance block_mean.")
    setting = _Setting(stage, grid, operator, parameters or {})
    window = setting.window(region)
    weights = row_weights(setting.grid)[window[0], None]
    tallies = {method.name: _Tally() for method in methods}
    workings = Workings(stage, setting.file if setting.coarse is None else setting.coarse)
    count = 0
    for start, truth, inputs in _cases(stage, fields, coarse, setting, every):
        time = None if times is None else _instant(times, start)
        workings.start(start, inputs, time)
        estimates = {method.name: [e[window] for e in workings.estimates(method)] for method in methods}
        unreached = setting.unreached(inputs)[window]
        for index, frame in enumerate(truth):
            # Every method on the very same nodes: where one has no value, none is scored.
            missing = unreached | np.any([np.isnan(fields[index]) for fields in estimates.values()], axis=0)
            seen = np.where(missing, np.nan, frame[window])
            scored = start + index + (stage != "spatial")  # a window's first frame is given, not scored
            day = None if times is None else str(_instant(times, scored).astype("datetime64[D]"))
            for name, fields in estimates.items():
                tallies[name].add(fields[index], seen, weights, day)
        count += len(truth)
    if not count:
        needed = "one frame" if stage == "spatial" else f"{WINDOW + 1} consecutive hourly frames"
        raise DeepcamsError(f"Scoring {stage} downscaling needs at least {needed}.")
    latitude, longitude = setting.grid.latitude[window[0]], setting.grid.longitude[window[1]]
    west = longitude[0]
    east = west + (longitude[-1] - west) % 360.0
    daily = {} if times is None else {"days": {name: tally.daily() for name, tally in tallies.items()}}
    return {
        "stage": stage,
        "degradation": None if operator is None else {"operator": operator, **(parameters or {})},
        "region": {
            "north": float(latitude[0]),
            "west": float(west),
            "south": float(latitude[-1]),
            "east": float(east),
        },
        "nodes": [len(latitude), len(longitude)],
        "step": setting.grid.step,
        "frames": count,
        "margin": {"nodes": setting.margin, "degrees": setting.margin * setting.grid.step},
        "methods": {name: tally.scores() for name, tally in tallies.items()},
        **daily,
    }


def rows(result: dict) -> list[dict]:
    """A result as flat rows, one for each method, for tables: weighted and per-frame scores get a suffix."""
    table = []
    for name, scores in result["methods"].items():
        flat = {"method": name, "frames": result["frames"]}
        flat |= {key: value for key, value in scores.items() if not isinstance(value, dict)}
        flat |= {f"{key}_weighted": value for key, value in scores["weighted"].items() if key != "n"}
        flat |= {f"{key}_mean_of_frames": value for key, value in scores["mean_of_frames"].items()}
        table.append(flat)
    return table


def daily_rows(result: dict) -> list[dict]:
    """The daily sums of a result that was scored with `times` as flat rows: day, method, n and the two sums."""
    return [
        {"day": entry["day"], "method": name, **{key: value for key, value in entry.items() if key != "day"}}
        for name, days in result["days"].items()
        for entry in days
    ]


class _Setting:
    """Grids and margin of a scoring: `grid` is where truth and estimates are compared."""

    def __init__(self, stage: str, file: Grid, operator: str | None, parameters: dict):
        self.stage, self.file, self.operator, self.parameters = stage, file, operator, parameters
        if operator is None:
            self.coarse = self.fine = None
            self.grid, self.margin = file, 0
            return
        self.coarse, self.widening = coarse_around(file)
        self.fine = refine(self.coarse)
        lost = margin(operator, **parameters)
        if stage == "temporal":
            self.grid, self.margin = self.coarse, max(1, lost)
        else:
            self.grid, self.margin = self.fine, FACTOR * max(1, lost)

    def widened(self, frame: np.ndarray) -> np.ndarray:
        """A frame of the file on `fine`."""
        if self.operator is None or not np.any(self.widening):
            return frame
        return np.pad(frame, self.widening, mode="edge")

    def degraded(self, frame: np.ndarray) -> np.ndarray:
        return degrade(frame, self.fine, self.operator, **self.parameters)

    def unreached(self, inputs: list[np.ndarray]) -> np.ndarray:
        """Nodes of `grid` (bool) for which a missing input leaves some method without a value.

        Told by the input alone, so that methods which are scored apart are scored on the same nodes.
        """
        missing = np.isnan(inputs).any(axis=0)
        if self.stage == "temporal" or not missing.any():
            return missing if self.stage == "temporal" else np.zeros(self.grid.shape, dtype=bool)
        reach = min(LARGEST_SUPPORT, missing.shape[0] - 1, missing.shape[1])
        windows = sliding_window_view(pad(missing, self.coarse, reach), (2 * reach + 1,) * 2)
        return spread(windows.any(axis=(2, 3)).astype(np.float32), self.coarse) > 0

    def window(self, region: tuple[float, float, float, float] | None) -> tuple[np.ndarray | slice, np.ndarray]:
        """Rows (a slice) and columns (indices, west to east) to score."""
        (top, bottom), (left, right) = self._open_edges()
        height, width = self.grid.shape
        inside_rows, columns = np.arange(top, height - bottom), np.arange(left, width - right)
        if region is not None:
            north, west, south, east = region
            latitude, longitude = self.grid.latitude[inside_rows], self.grid.longitude[columns]
            inside_rows = inside_rows[(latitude <= north + 1e-6) & (latitude >= south - 1e-6)]
            span = 360.0 if east - west >= 360.0 else (east - west) % 360.0
            from_west = (longitude - west + 1e-6) % 360.0
            chosen = from_west <= span + 2e-6
            columns = columns[chosen][np.argsort(from_west[chosen], kind="stable")]
        if not len(inside_rows) or not len(columns):
            raise DeepcamsError(
                f"Nothing is left to score: the region {'(all of it)' if region is None else region} has no node in "
                f"{describe(self.grid)} inside the margin of {self.margin} nodes at its open edges."
            )
        return slice(int(inside_rows[0]), int(inside_rows[-1]) + 1), columns

    def _open_edges(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Nodes of `grid` lost to the margin: (north, south), (west, east), counted from the file's own edges."""
        if self.operator is None:
            return (0, 0), (0, 0)
        rows, columns = self.widening if self.grid is self.fine else ((0, 0), (0, 0))
        poles = (self.grid.has_north_pole, self.grid.has_south_pole)
        lost_rows = tuple(0 if pole else self.margin + added for pole, added in zip(poles, rows, strict=True))
        lost_columns = tuple(0 if self.grid.is_periodic else self.margin + added for added in columns)
        return lost_rows, lost_columns


def _cases(
    stage: str, fields: Iterable[np.ndarray], coarse: Iterable[np.ndarray] | None, setting: _Setting, every: int
) -> Iterator[tuple[int, list[np.ndarray], list[np.ndarray]]]:
    """Yield (index of the first frame, true frames to score, frames to start from)."""
    size, step = (1, 1) if stage == "spatial" else (WINDOW + 1, WINDOW)
    frames: list[np.ndarray] = []
    coarser = None if coarse is None else iter(coarse)
    given: list[np.ndarray] = []
    for index, frame in enumerate(fields):
        if np.shape(frame) != setting.file.shape:
            raise DeepcamsError(f"A frame of {np.shape(frame)} nodes is not on {describe(setting.file)}.")
        frames.append(setting.widened(np.asarray(frame)))
        if coarser is not None:
            following = next(coarser, None)
            if following is None or np.shape(following) != setting.coarse.shape:
                raise DeepcamsError(f"Each field needs its coarse one on {describe(setting.coarse)}.")
            given.append(np.asarray(following))
        if len(frames) < size:
            continue
        if (index + 1 - size) // step % every == 0:
            yield (index + 1 - size, *_case(stage, frames, given, setting))
        frames, given = ([], []) if stage == "spatial" else (frames[-1:], given[-1:])


def _case(
    stage: str, frames: list[np.ndarray], given: list[np.ndarray], setting: _Setting
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    ends = [0] if stage == "spatial" else [0, WINDOW]
    if setting.operator is None:
        return frames[1:WINDOW], [frames[index] for index in ends]
    inputs = [given[index] if given else setting.degraded(frames[index]) for index in ends]
    if stage == "spatial":
        return frames, inputs
    if stage == "joint":
        return frames[1:WINDOW], inputs
    inner = range(1, WINDOW)
    return [given[index] if given else setting.degraded(frames[index]) for index in inner], inputs


def _instant(times: Sequence[np.datetime64] | np.ndarray, index: int) -> np.datetime64:
    if index >= len(times):
        raise ValueError(f"there are more fields than the {len(times)} times given")
    return np.datetime64(times[index], "s")


def _without_nan(scores: dict) -> dict:
    """JSON knows no NaN."""
    return {
        key: _without_nan(value)
        if isinstance(value, dict)
        else None
        if isinstance(value, float) and math.isnan(value)
        else value
        for key, value in scores.items()
    }
