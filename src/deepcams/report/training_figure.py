"""The figure of a training: its loss, and its errors on held-out examples beside the baseline's."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from deepcams.errors import DeepcamsError
from deepcams.report.quantity import unit
from deepcams.report.style import OTHER, PRODUCT, message, new_figure, styled

ERRORS = (("rmse", "RMSE"), ("mae", "MAE"))


def read_curves(path: str | Path) -> pd.DataFrame:
    """Curves as `deepcams.training.train` writes them. Raises DeepcamsError naming the file if columns are missing."""
    table = pd.read_csv(path)
    missing = [name for name in ("step", "loss") if name not in table]
    if missing:
        raise DeepcamsError(f"{path} lacks the columns {', '.join(missing)}; delete it and run the workflow again.")
    return table


@styled
def training(curves: pd.DataFrame) -> Figure:
    """Loss, and RMSE and MAE on held-out examples, by step.

    curves : columns step and loss; rmse, mae, baseline_rmse, baseline_mae (ug m-3) and score as far as they are there.
    The step with the lowest score, whose weights are used, is marked.
    """
    if curves.empty:
        return message("The training left no curves.")
    shown = [(key, name) for key, name in ERRORS if key in curves]
    figure = new_figure(9.6, 2.9)
    panels = np.atleast_1d(figure.subplots(1, 1 + len(shown)))
    steps = curves["step"]
    panels[0].plot(steps, curves["loss"], color=PRODUCT, marker=".", markersize=3)
    panels[0].set_title("Loss")
    if (curves["loss"] > 0).all() and curves["loss"].max() > 10 * curves["loss"].min():
        panels[0].set_yscale("log")
    for axes, (key, name) in zip(panels[1:], shown, strict=True):
        axes.plot(steps, curves[key], color=PRODUCT, marker=".", markersize=3, label="network")
        if f"baseline_{key}" in curves:
            axes.plot(steps, curves[f"baseline_{key}"], color=OTHER, linestyle="--", label="baseline")
        axes.set_title(f"{name}, held out ({unit()})")
    best = curves["score"].idxmin() if "score" in curves and curves["score"].notna().any() else None
    for axes in panels:
        if best is not None:
            axes.axvline(steps[best], color="#27303a", linewidth=0.8, linestyle=":", zorder=1, label="weights used")
        axes.set_xlabel("step")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", "\u202f")))
        axes.grid(axis="y")
    if panels[-1].get_legend_handles_labels()[0]:
        panels[-1].legend(loc="best")
    return figure
