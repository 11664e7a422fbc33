"""Hits and false alarms: whether a field is above a threshold when the stations are."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

COLUMNS = (
    "threshold", "n", "hits", "misses", "false_alarms", "correct_negatives", "hit_rate", "false_alarm_ratio", "csi",
)  # fmt: skip


def exceedances(observed: np.ndarray, modelled: np.ndarray, thresholds: Sequence[float]) -> pd.DataFrame:
    """The contingency table of every threshold, and the scores made of it (Wilks 2019, Sect. 9.2).

    observed, modelled : floats of one shape and unit; a pair with NaN or infinity on either side is left out.
    thresholds : in that unit; a value exceeds one if it is above it, not at it. They are rounded to each series'
    precision first, so that a measurement of 35.4 kept as float32 does not exceed 35.4.
    Returns rows of threshold, n, hits (both above), misses (only observed), false_alarms (only modelled),
    correct_negatives (neither), hit_rate = hits / (hits + misses), false_alarm_ratio = false alarms / (hits + false
    alarms), csi = hits / (hits + misses + false alarms), the critical success index; NaN where nothing is divided by.
    Raises ValueError if the shapes differ.
    """
    o, m = np.asarray(observed), np.asarray(modelled)
    if o.shape != m.shape:
        raise ValueError(f"observed {o.shape} and modelled {m.shape} differ in shape")
    valid = np.isfinite(o) & np.isfinite(m)
    n = int(valid.sum())
    rows = []
    for threshold in thresholds:
        above_o, above_m = valid & (o > o.dtype.type(threshold)), valid & (m > m.dtype.type(threshold))
        hits = int((above_o & above_m).sum())
        misses, false_alarms = int(above_o.sum()) - hits, int(above_m.sum()) - hits
        rows.append(
            {
                "threshold": float(threshold),
                "n": n,
                "hits": hits,
                "misses": misses,
                "false_alarms": false_alarms,
                "correct_negatives": n - hits - misses - false_alarms,
                "hit_rate": _share(hits, hits + misses),
                "false_alarm_ratio": _share(false_alarms, hits + false_alarms),
                "csi": _share(hits, hits + misses + false_alarms),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
