"""Drawing all figures of a year, and those of all years, from the files of the validation."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import write_text
from deepcams.grid.nodes import Grid
from deepcams.report import diagrams, figures, scorecard, spectrum_figures, station_figures
from deepcams.report.folder import read_validation
from deepcams.report.maps import frame_of
from deepcams.report.objective import with_enough
from deepcams.report.scatter_figure import NO_PAIRS, Density, density, scatter, together
from deepcams.report.sequence import animate, sequence
from deepcams.report.slider import slider
from deepcams.report.snapshots import Snapshots, Source
from deepcams.report.station_maps import station_map
from deepcams.report.style import message, save_png

FIGURES = (
    "mean", "sequence", "animation", "slider", "zoom", "scores", "scorecard", "scatter", "taylor", "target",
    "exceedances", "series", "diurnal", "stations", "spectra", "beat",
)  # fmt: skip
SUFFIXES = {"animation": ".gif", "slider": ".json"}  # of the others: .png
LONGEST = 24  # hours of the animation and of the slider


def plot_year(
    outputs: Mapping[str, str | Path],
    *,
    folder: str | Path,
    product_path: Source,
    coarse_path: Source | None = None,
    truth_path: Source | None = None,
    time: str | np.datetime64 | None = None,
    hours: int = 4,
    dpi: int = 150,
) -> None:
    """Draw a year's figures as PNG files, its animation as GIF and the maps of the page's time slider as JSON.

    outputs : some or all of `FIGURES` → path.  folder : of the validation: summary.json, the tables, means.npz.
    product_path : the product's fields.  coarse_path, truth_path : CAMS and a known truth, of some time of the
    product's. All three are paths of the workflow's files, or opened `FieldFile`s of any others.
    time : an analysis time for the snapshots; by default the one in the middle.  hours : length of the sequence.
    dpi : resolution. Raises DeepcamsError for an unknown figure or if no field is there at `time`.
    """
    unknown = set(outputs) - set(FIGURES)
    if unknown:
        raise DeepcamsError(f"There is no figure {', '.join(sorted(unknown))}; choose from {', '.join(FIGURES)}.")
    year = _Year(folder)
    shown = Snapshots(product_path, coarse_path, truth_path, year.names, time)
    drawers: dict[str, Callable[[], Figure]] = {
        "mean": year.mean,
        "sequence": lambda: sequence(*shown.layers(hours, box=True)),
        "zoom": lambda: _zoom(shown, year.names),
        "scores": year.score_bars,
        "scorecard": partial(year.draw, "differences", scorecard.scorecard, "There is nothing to compare with."),
        "scatter": year.scatter,
        "taylor": partial(year.draw, "scores", lambda table, names: diagrams.taylor(finest(table), names)),
        "target": partial(year.draw, "stations", year.target),
        "exceedances": partial(year.draw, "exceedances", scorecard.exceedances),
        "series": partial(year.draw, "series", _series),
        "diurnal": partial(year.draw, "diurnal", station_figures.diurnal),
        "stations": partial(year.draw, "stations", year.station_map),
        "spectra": year.spectra,
        "beat": year.beat,
    }
    for name, path in outputs.items():
        if name == "animation":
            animate(*shown.layers(LONGEST, at_most=True), path)
        elif name == "slider":
            write_text(path, slider(*shown.layers(LONGEST, at_most=True)))
        else:
            save_png(drawers[name](), path, dpi)


def plot_years(output: str | Path, folders: Mapping[int | str, str | Path], dpi: int = 150) -> None:
    """Draw the density scatter of several years below each other, and of all together (Xiao et al. 2022, Fig. 6).

    folders : year → folder of its validation, in the order of the rows.
    """
    years = [_Year(folder) for folder in folders.values()]
    rows = [year.density(str(title)) for title, year in zip(folders, years, strict=True)]
    known = [(row, year) for row, year in zip(rows, years, strict=True) if row is not None]
    if not known:
        save_png(message(NO_PAIRS), output, dpi)
        return
    edges = known[0][1].edges
    if any(not np.array_equal(year.edges, edges) for _, year in known):
        raise DeepcamsError("The years' scatter tables have different bins. Validate these years again.")
    rows = [row for row, _ in known]
    if len(rows) > 1:
        rows.append(together(rows))
    save_png(scatter(rows, edges, known[0][1].names), output, dpi)


class _Year:
    """Figures of one validation's files, each file read when a figure needs it."""

    def __init__(self, folder: str | Path):
        self._files = read_validation(folder)
        self.summary, self.names, self.table = self._files.summary, self._files.names, self._files.table
        self.edges = np.array(self.summary.get("bin_edges") or [], dtype=float)

    def draw(
        self, name: str, draw: Callable[[pd.DataFrame, Mapping[str, str]], Figure], otherwise: str = NO_PAIRS
    ) -> Figure:
        """The figure of a table, or `otherwise` in words if it has no rows."""
        table = self.table(name)
        return message(otherwise) if table.empty else draw(table, self.names)

    def mean(self) -> Figure:
        with np.load(self._files.folder / "means.npz") as data:
            product = data["product"], _grid(data["latitude"], data["longitude"])
            cams = None
            if "cams" in data.files:
                cams = data["cams"], _grid(data["cams_latitude"], data["cams_longitude"])
        return figures.mean_maps(product, cams, self.names)

    def score_bars(self) -> Figure:
        """Scores against the truth where there is one, else against stations."""
        rows = [row for row in self.summary.get("truth") or [] if row["hours"] == "all"]
        if rows:
            return station_figures.score_bars(rows)
        overall = self._overall()
        rows = [{**row, "method": self.names[row["field"]]} for row in overall.to_dict("records")]
        return station_figures.score_bars(rows, self.names["product"])

    def scatter(self) -> Figure:
        found = self.density("")
        return message(NO_PAIRS) if found is None else scatter([found], self.edges, self.names)

    def density(self, title: str) -> Density | None:
        table = self.table("scatter")
        return None if table.empty else density(title, table, self._overall(), len(self.edges) - 1)

    def station_map(self, table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
        with np.load(self._files.folder / "means.npz") as data:
            frame = frame_of(_grid(data["latitude"], data["longitude"]))
        table = finest(table)
        least = "station_days" if (table["resolution"] == "daily").all() else "station_pairs"
        return station_map(table, frame, self.summary["stations"]["settings"].get(least, 1), names)

    def target(self, table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
        table = with_enough(table, self.summary["stations"]["settings"])
        return diagrams.target(table[table["resolution"] == "daily"], names)

    def spectra(self) -> Figure:
        known, steps = self.summary.get("spectra") or {}, self.summary["steps"]
        box = self.summary["grid"]
        return self.draw(
            "spectra",
            lambda table, names: spectrum_figures.spectra(table, known, steps, (box["south"], box["north"]), names),
            "There are no spectra.",
        )

    def beat(self) -> Figure:
        known = self.summary.get("beat") or {}
        return self.draw(
            "beat",
            lambda table, names: spectrum_figures.beat(table, known, names),
            "There is no full day of hours to look for a beat of the analyses.",
        )

    def _overall(self) -> pd.DataFrame:
        table = self.table("scores")
        return table if table.empty else finest(table[table["by"] == "all"])


def finest(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of hourly values, or of daily ones where there are no hours."""
    for resolution in ("hourly", "daily"):
        found = table[table["resolution"] == resolution]
        if len(found):
            return found
    return table


def _series(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    return station_figures.series(
        table.assign(time=pd.to_datetime(table["time"], utc=True).dt.tz_localize(None)), names
    )


def _zoom(shown: Snapshots, names: Mapping[str, str]) -> Figure:
    moment = shown.moment()
    return figures.zoom(moment.time, moment.product, moment.cams, moment.truth, names)


def _grid(latitude: np.ndarray, longitude: np.ndarray) -> Grid:
    return Grid(latitude, longitude, round(float(latitude[0] - latitude[-1]) / (len(latitude) - 1), 6))
