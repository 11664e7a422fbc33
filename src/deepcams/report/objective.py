"""FAIRMODE's modelling quality objective: which stations count, and the indicator of all of them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

FULFILLED = 0.9  # share of the stations whose indicator is to be at most 1
LEAST = {"hourly": "station_pairs", "daily": "station_days"}  # settings: pairs that a station's scores need


def with_enough(stations: pd.DataFrame, settings: Mapping[str, object]) -> pd.DataFrame:
    """The rows of stations.csv with as many pairs as the scores of a station need.

    settings : of the validation's summary; "station_pairs" for hourly values, "station_days" for daily ones.
    """
    least = stations["resolution"].map({name: settings.get(key, 1) for name, key in LEAST.items()}).fillna(1)
    return stations[stations["n"] >= least.astype(float)]


def indicator(mqi: np.ndarray) -> float:
    """The 90th percentile of the stations' indicators, between the two nearest as FAIRMODE has it; NaN of none.

    Source: Janssen and Thunis (2022), FAIRMODE guidance document on modelling quality objectives, 3.3.
    """
    return float(np.quantile(mqi, FULFILLED, method="interpolated_inverted_cdf")) if len(mqi) else float("nan")
