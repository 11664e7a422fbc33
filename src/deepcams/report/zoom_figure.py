"""The evaluation's zooms: truth, input, baseline and network in a box, with errors (Xiao et al. 2022, Fig. 3, 4)."""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import FACTOR, Grid
from deepcams.report.figures import utc
from deepcams.report.maps import colour_bar, draw_field, frame_of, thin_ticks
from deepcams.report.quantity import unit
from deepcams.report.style import (
    CONCENTRATION,
    DIFFERENCE,
    concentration_scale,
    difference_scale,
    new_figure,
    plain,
    save_png,
    styled,
)
from deepcams.report.tables import number

# Panels, row by row; the truth of "temporal" stands between the frames before and after it.
LAYOUTS = {
    "temporal": [["before", "truth", "baseline", "network"], ["after", "truth", "baseline error", "network error"]],
    "spatial": [["input", "baseline", "network"], ["truth", "baseline error", "network error"]],
}
WIDTH = 10.0  # inches


@dataclass(frozen=True)
class Moment:
    """Fields of one time in one box.

    fields : µg m-3, by name: "truth", "baseline" and "network" (H, W) on `grid`, in time also "before" and "after",
    in space "input" (h, w) on every third node of it.  times : of the truth, and of "before" and "after".
    """

    grid: Grid
    fields: dict[str, np.ndarray]
    times: dict[str, np.datetime64]

    def error(self, name: str) -> np.ndarray:
        """A field other than "input" minus the truth (H, W), float64; NaN where either is missing."""
        return self.fields[name].astype(float) - self.fields["truth"]


@dataclass(frozen=True)
class Zoom:
    """A zoom file. stage : "temporal" or "spatial".  names : of the methods "baseline" and "network"."""

    stage: str
    names: dict[str, str]
    moments: list[Moment]


def draw(npz: str | Path, out: str | Path, dpi: int = 150) -> None:
    """Draw a zoom file (see `read_zoom`) as PNG. Raises DeepcamsError if it is none."""
    save_png(zooms(read_zoom(npz)), out, dpi)


def read_zoom(npz: str | Path) -> Zoom:
    """Read a zoom file as the evaluation of a month in time or in space writes it.

    Keys, for N moments: stage; time (N,); latitude (N, H) falling and longitude (N, W) rising, degrees, evenly spaced
    truth, baseline and network (N, H, W), µg m-3; input, which is (N, 2, H, W) in time, the frames before and
    after, with input_time (N, 2), and (N, h, w) in space, on every third node; names (2,) of baseline and network.
    Raises DeepcamsError saying what is wrong if the file is no such file.
    """
    try:
        # Opened here: numpy would leave a damaged file open.
        with open(npz, "rb") as stream, np.load(stream) as file:
            data = {key: file[key] for key in file.files}
        stage = str(data["stage"])
        _check(stage, data)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = (
            f"it lacks {error.args[0]!r}" if isinstance(error, KeyError) else str(error).partition("\n")[0].rstrip(".")
        )
        raise DeepcamsError(
            f"{npz} is no zoom file of the evaluation: {reason}. Delete it and run the workflow again."
        ) from error
    names = dict(zip(("baseline", "network"), map(str, data["names"]), strict=True))
    return Zoom(stage, names, [_moment(stage, data, k) for k in range(len(data["time"]))])


def _check(stage: str, data: dict[str, np.ndarray]) -> None:
    """Raise KeyError or ValueError if the arrays are not those of a zoom file."""
    if stage not in LAYOUTS:
        raise ValueError(f"there is no stage {stage!r}")
    count, height, width = data["truth"].shape if data["truth"].ndim == 3 else (0, 0, 0)
    if not count or min(height, width) <= FACTOR:
        raise ValueError(f"its truth has the shape {data['truth'].shape}, not (moments, rows, columns)")
    coarse = (count, (height - 1) // FACTOR + 1, (width - 1) // FACTOR + 1)
    shapes = {"time": (count,), "latitude": (count, height), "longitude": (count, width), "names": (2,),
              "input": (count, 2, height, width) if stage == "temporal" else coarse,
              **dict.fromkeys(("truth", "baseline", "network"), (count, height, width)),
              **({"input_time": (count, 2)} if stage == "temporal" else {})}  # fmt: skip
    for key, shape in shapes.items():
        kind = "U" if key == "names" else "M" if key.endswith("time") else "f"
        if data[key].shape != shape or data[key].dtype.kind != kind:
            raise ValueError(f"its {key} is {data[key].dtype} {data[key].shape}, not {_KINDS[kind]} {shape}")
    for key, sign in (("latitude", -1), ("longitude", 1)):
        steps = sign * np.diff(data[key].astype(float))
        if not (np.all(steps > 0) and np.allclose(steps, steps.flat[0], atol=1e-4)):
            raise ValueError(f"its {key} is not evenly spaced and {'falling' if sign < 0 else 'rising'}")


_KINDS = {"U": "text", "M": "datetime64", "f": "float"}


def _moment(stage: str, data: dict[str, np.ndarray], k: int) -> Moment:
    latitude, longitude = data["latitude"][k].astype(float), data["longitude"][k].astype(float)
    fields = {name: data[name][k] for name in ("truth", "baseline", "network")}
    times = {"truth": data["time"][k]}
    if stage == "spatial":
        fields["input"] = data["input"][k]
    else:
        fields |= dict(zip(("before", "after"), data["input"][k], strict=True))
        times |= dict(zip(("before", "after"), data["input_time"][k], strict=True))
    step = round((latitude[0] - latitude[-1]) / (len(latitude) - 1), 4)
    return Moment(Grid(latitude, longitude, step), fields, times)


@styled
def zooms(zoom: Zoom) -> Figure:
    """A block of panels for each moment. All fields of the figure share one scale, and all errors another.

    In time: the frames before and after, the truth, baseline and network, and below these two their differences from
    the truth. In space the coarse input takes the frames' place. RMSE and MAE over the box stand in the titles.
    """
    layout = LAYOUTS[zoom.stage]
    norm = concentration_scale(*[field for moment in zoom.moments for field in moment.fields.values()])
    errors = [moment.error(name).ravel() for moment in zoom.moments for name in zoom.names]
    limits = difference_scale(np.concatenate(errors))
    frames = [frame_of(moment.grid) for moment in zoom.moments]
    width = (WIDTH - 1.2) / len(layout[0])
    heights = [2 * (width / min(max(frame.aspect, 0.6), 2.4) + 0.55) + 0.4 for frame in frames]
    figure = new_figure(WIDTH, sum(heights))
    blocks = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for block, moment, frame in zip(blocks, zoom.moments, frames, strict=True):
        step = moment.grid.step
        block.suptitle(f"{utc(moment.times['truth'])}, {step:g}°", x=0.01, ha="left", fontsize=10)
        panels = block.subplot_mosaic(layout)
        for name, axes in panels.items():
            axes.set_title(_title(zoom, moment, name), fontsize=8, fontweight="normal")
            method, _, error = name.partition(" ")
            if error:
                image = draw_field(axes, moment.error(method), moment.grid, limits, DIFFERENCE, frame)
            else:
                grid = _coarse(moment.grid) if name == "input" else moment.grid
                image = draw_field(axes, moment.fields[name], grid, norm, CONCENTRATION, frame)
            if method == "network":
                colour_bar(block, image, axes, limits if error else norm)
            thin_ticks(axes, left=name in (layout[0][0], layout[1][0]), bottom=name in layout[1])
    return figure


def _coarse(grid: Grid) -> Grid:
    return Grid(grid.latitude[::FACTOR], grid.longitude[::FACTOR], FACTOR * grid.step)


def _title(zoom: Zoom, moment: Moment, name: str) -> str:
    """The panel's name, and below it its scores against the truth as far as it has any."""
    if name == "truth":
        return "truth"
    if name == "input":
        return f"input, {FACTOR * moment.grid.step:g}°"
    method, _, error = name.partition(" ")
    label = plain(zoom.names[method]) if method in zoom.names else f"{name}, {utc(moment.times[name])[11:]}"
    found = moment.error(method)
    found = found[np.isfinite(found)]
    rmse, mae = (np.sqrt(np.mean(found**2)), np.mean(np.abs(found))) if len(found) else (math.nan, math.nan)
    return f"{label}{' − truth' if error else ''}\nRMSE {number(float(rmse), 2)}, MAE {number(float(mae), 2)} {unit()}"
