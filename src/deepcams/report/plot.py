"""Drawing all figures of a year from the files of its validation."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepcams.calendar import HOUR
from deepcams.errors import DeepcamsError
from deepcams.grid.box import busiest_box
from deepcams.grid.nodes import Grid, locate
from deepcams.report import figures, station_figures
from deepcams.report.maps import frame_of
from deepcams.report.style import save_png
from deepcams.validation.fields import FieldFile
from deepcams.validation.summary import BIN_EDGES

# Only numbers can be missing: "NA" is the country code of Namibia.
_TEXTS = dict.fromkeys(("station", "name", "country", "field", "status"), "str")
_NUMBERS = ("n", "r", "rmse", "mae", "bias", "nmb", "fac2", "observed", "modelled", "product", "cams")
FIGURES = ("mean", "sequence", "zoom", "scores", "scatter", "series", "diurnal", "stations")


def plot_year(
    outputs: dict[str, str | Path],
    *,
    summary_path: str | Path,
    tables: dict[str, str | Path],
    mean_path: str | Path,
    product_path: str | Path,
    coarse_path: str | Path,
    truth_path: str | Path | None = None,
    time: str | np.datetime64 | None = None,
    hours: int = 4,
    dpi: int = 150,
) -> None:
    """Draw a year's figures as PNG files.

    outputs : some or all of `FIGURES` → path.  summary_path, tables, mean_path : as `validate_year` wrote them.
    product_path : a file of the product (the year's or a month's).  coarse_path, truth_path : CAMS (0.75°, 3-hourly)
    and the nature run's truth of one month of it.  time : an analysis time for the snapshots; by default the one in
    the middle of the month.  hours : length of the sequence.  dpi : resolution.
    Raises DeepcamsError for an unknown figure or if no field is there at `time`.
    """
    unknown = set(outputs) - set(FIGURES)
    if unknown:
        raise DeepcamsError(f"There is no figure {', '.join(sorted(unknown))}; choose from {', '.join(FIGURES)}.")
    summary = json.loads(Path(summary_path).read_text(encoding="utf-8"))
    snapshots = _Snapshots(product_path, coarse_path, truth_path, time, hours)
    drawers: dict[str, Callable[[], Figure]] = {
        "mean": lambda: _mean(mean_path),
        "sequence": snapshots.sequence,
        "zoom": snapshots.zoom,
        "scores": lambda: _scores(summary),
        "scatter": lambda: _of_table(tables["scatter"], lambda table: _scatter(table, summary)),
        "series": lambda: _of_table(tables["series"], _series),
        "diurnal": lambda: _of_table(tables["diurnal"], station_figures.diurnal),
        "stations": lambda: _of_table(tables["stations"], lambda table: _stations(table, mean_path, summary)),
    }
    for name, path in outputs.items():
        save_png(drawers[name](), path, dpi)


class _Snapshots:
    """The fields of one interval between two analyses, read when first needed."""

    def __init__(
        self,
        product: str | Path,
        coarse: str | Path,
        truth: str | Path | None,
        time: str | np.datetime64 | None,
        hours: int,
    ):
        self._paths = product, coarse, truth
        self._time = time
        self._last = (hours - 1) * HOUR

    def sequence(self) -> Figure:
        with FieldFile(self._paths[0]) as product, FieldFile(self._paths[1]) as coarse:
            start = self._start(product, coarse)
            times = np.arange(start, start + self._last + HOUR, HOUR)
            at, of = product.find(times), coarse.find(times)
            if (at < 0).any():
                raise DeepcamsError(f"{product.path} has no fields for {times[0]} … {times[-1]}; choose another time.")
            frames = product.read(at[0], at[-1] + 1)
            box = busiest_box(frames[0], product.grid, 145, 205)  # 36° × 51° at most: motion shows
            cams_grid, cut = _cut(coarse, product, box)
            fields = [cut(coarse.frame(k)) if k >= 0 else None for k in of]
            return figures.sequence(times, fields, cams_grid, frames[:, box[0], box[1]], box[2])

    def zoom(self) -> Figure:
        with FieldFile(self._paths[0]) as product, FieldFile(self._paths[1]) as coarse:
            time = self._start(product, coarse)
            k, c = int(product.find(np.array([time]))[0]), int(coarse.find(np.array([time]))[0])
            field = product.read(k, k + 1)[0]
            box = busiest_box(field, product.grid)
            rows, columns, grid = box
            truth = None
            if self._paths[2] is not None:
                with FieldFile(self._paths[2]) as known:
                    t = int(known.find(np.array([time]))[0])
                    if t >= 0:
                        all_rows, all_columns = locate(product.grid, known.grid)
                        truth = known.read(t, t + 1)[0][all_rows][:, all_columns][rows, columns]
            cams_grid, cut = _cut(coarse, product, box)
            return figures.zoom(time, cut(coarse.frame(c)), cams_grid, field[rows, columns], grid, truth)

    def _start(self, product: FieldFile, coarse: FieldFile) -> np.datetime64:
        """The analysis time asked for, or the one in the middle with as many hours after it as are drawn."""
        found = (product.find(coarse.times) >= 0) & (product.find(coarse.times + self._last) >= 0)
        common = coarse.times[found]
        if self._time is not None:
            wanted = np.datetime64(self._time, "s")
            if wanted not in common:
                raise DeepcamsError(
                    f"{product.path} and {coarse.path} have no analysis at {wanted} with {self._last + HOUR} after it; "
                    "choose an analysis time (00, 03 … 21 UTC) of that month."
                )
            return wanted
        if not len(common):
            raise DeepcamsError(f"{product.path} and {coarse.path} have no {self._last + HOUR} in common.")
        return common[len(common) // 2]


def _cut(
    coarse: FieldFile, product: FieldFile, box: tuple[slice, slice, Grid]
) -> tuple[Grid, Callable[[np.ndarray], np.ndarray]]:
    """The coarse nodes of a box of the product, which starts on one, and how to cut a field to them."""
    inner = Grid(box[2].latitude[::3], box[2].longitude[::3], coarse.grid.step)
    if abs(coarse.grid.step - 3 * product.grid.step) > 1e-9:
        raise DeepcamsError(f"The grid of {product.path} is not the refined one of {coarse.path}.")
    rows, columns = locate(inner, coarse.grid)
    return inner, lambda field: field[rows][:, columns]


def _mean(path: str | Path) -> Figure:
    with np.load(path) as data:
        grid = Grid(data["latitude"], data["longitude"], 0.25)
        cams_grid = Grid(data["cams_latitude"], data["cams_longitude"], 0.75)
        return figures.mean_maps(data["product"], grid, data["cams"], cams_grid)


def _scores(summary: dict) -> Figure:
    rows = [row for row in summary["truth"] if row["hours"] == "all"]
    if rows:
        return station_figures.score_bars(rows)
    rows = [
        {**row, "method": "product" if row["field"] == "product" else "CAMS"}
        for row in summary["stations"]["scores"]
        if row["selection"] == "all hours"
    ]
    return station_figures.score_bars(rows) if rows else station_figures.message("There are no scores for this year.")


def _of_table(path: str | Path, draw: Callable[[pd.DataFrame], Figure]) -> Figure:
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values={key: [""] for key in _NUMBERS}, dtype=_TEXTS)
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    if table.empty:
        return station_figures.message("No station has measurements that could be compared in this year.")
    return draw(table)


def _scatter(table: pd.DataFrame, summary: dict) -> Figure:
    size = len(BIN_EDGES) - 1
    counts = {name: np.zeros((size, size), dtype=int) for name in ("cams", "product")}
    for name, part in table.groupby("field"):
        counts[str(name)][part["observed_bin"], part["modelled_bin"]] = part["count"]
    scores = {row["field"]: row for row in summary["stations"]["scores"] if row["selection"] == "all hours"}
    return station_figures.scatter(counts, BIN_EDGES, scores)


def _series(table: pd.DataFrame) -> Figure:
    table = table.assign(time=pd.to_datetime(table["time"]).dt.tz_localize(None))
    return station_figures.series(table)


def _stations(table: pd.DataFrame, mean_path: str | Path, summary: dict) -> Figure:
    with np.load(mean_path) as data:
        frame = frame_of(Grid(data["latitude"], data["longitude"], 0.25))
    return station_figures.station_map(table, frame, summary["stations"]["settings"]["station_pairs"])
