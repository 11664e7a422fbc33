"""Maps of stations: what they measured, and how near to it the fields come."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepcams.report.maps import Frame, colour_bar, panels, prepare
from deepcams.report.style import (
    CONCENTRATION,
    DIFFERENCE,
    INK,
    NAMES,
    OTHER,
    concentration_scale,
    difference_scale,
    plain,
    styled,
    thousands,
)

COVERED = 95.0  # per cent of the stations, by the scale of differences: some are far out


@styled
def station_map(
    stations: pd.DataFrame, frame: Frame, least_pairs: int = 24, names: Mapping[str, str] = NAMES
) -> Figure:
    """Stations by what they measured (Xiao et al. 2022, Fig. 1), by the product's bias, and by its change of RMSE.

    stations : rows of station, latitude, longitude, field, n, mean_observed, rmse, mb, of one resolution; without CAMS
    there are two maps.  least_pairs : stations with fewer are grey.
    """
    fields = [name for name in names if (stations["field"] == name).any()]
    of = {name: stations[stations["field"] == name].set_index("station") for name in fields}
    product = of["product"]
    x, y = frame.project(product["longitude"].to_numpy(), product["latitude"].to_numpy())
    enough = product["n"].to_numpy() >= least_pairs
    observed = product["mean_observed"].to_numpy(float)
    bias = product["mb"].to_numpy(float)
    number = thousands(len(product)) + (" station" if len(product) == 1 else " stations")
    shown = [
        (f"Mean observed, {number}", observed, concentration_scale(observed[enough]), CONCENTRATION, ""),
        (
            f"Bias of {plain(names['product'])}",
            bias,
            difference_scale(bias[enough], COVERED),
            DIFFERENCE,
            "modelled − observed",
        ),
    ]
    if "cams" in of:
        change = (product["rmse"] - of["cams"]["rmse"].reindex(product.index)).to_numpy(float)
        text = f"RMSE, {names['product']} − {names['cams']}"
        title = f"Change of RMSE (blue: below {plain(names['cams'])})"
        shown.append((title, change, difference_scale(change[enough], COVERED), DIFFERENCE, plain(text)))
    figure, places = panels(len(shown), frame)
    size = float(np.clip(4000 / max(len(product), 1), 5, 42)) * (1.0 if frame.globe else 0.7)
    for axes, (title, values, norm, cmap, words) in zip(places, shown, strict=True):
        prepare(axes, frame)
        axes.scatter(x[~enough], y[~enough], s=size * 0.7, color=OTHER, linewidths=0, zorder=5)
        # What stands out is drawn last.
        order = np.flatnonzero(enough)[np.argsort(np.abs(values[enough]), kind="stable")]
        dots = axes.scatter(x[order], y[order], s=size, c=values[order], cmap=cmap, norm=norm, zorder=6,
                            edgecolors=INK, linewidths=0.35 if size > 12 else 0.15)  # fmt: skip
        axes.set_title(title, fontsize=10 if frame.globe else 9.5)
        colour_bar(figure, dots, axes, norm, horizontal=not frame.globe, label=words)
    if not enough.all():
        text = f"grey: fewer than {least_pairs} pairs"
        if frame.globe:
            places[0].set_title(text, loc="right", fontsize=8, fontweight="normal")
        else:
            places[0].text(0.015, 0.02, text, transform=places[0].transAxes, fontsize=8, zorder=8,
                           bbox={"facecolor": "#ffffffcc", "edgecolor": "none", "pad": 2})  # fmt: skip
    return figure
