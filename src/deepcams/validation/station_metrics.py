"""Scores of pairs (observed, modelled) from sums that add up over months, so that no year need fit in memory.

r: Pearson's correlation; rmse, mae, bias (modelled - observed): µg m-3; nmb: normalised mean bias, Σ(m-o)/Σo;
fac2: share of the pairs with o > 0 whose m is within a factor of two of o (Chang & Hanna 2004).
"""

import numpy as np
import pandas as pd

SUMS = ("n", "o", "m", "oo", "mm", "om", "absolute", "positive", "within2")
SCORES = ("n", "r", "rmse", "mae", "bias", "nmb", "fac2")
SHIFT = 20.0  # µg m-3, near the mean: keeps the variances exact in float64


def pair_sums(observed: np.ndarray, modelled: np.ndarray, groups: object = None) -> pd.DataFrame:
    """Sums of pairs per group.

    observed, modelled : (n,) floats without NaN, µg m-3.  groups : a key, or a list of keys, for `groupby`; None: all
    in one group "all". Returns a frame indexed by group with the columns `SUMS`.
    """
    o, m = np.asarray(observed, dtype=np.float64), np.asarray(modelled, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        within = (o > 0) & (m >= 0.5 * o) & (m <= 2 * o)
    a, b = o - SHIFT, m - SHIFT
    terms = (np.ones(len(o)), a, b, a * a, b * b, a * b, np.abs(m - o), o > 0, within)
    frame = pd.DataFrame({name: np.asarray(term, dtype=np.float64) for name, term in zip(SUMS, terms, strict=True)})
    if groups is None:
        groups = np.full(len(o), "all")
    keys = groups if isinstance(groups, list) else [groups]
    return frame.groupby([np.asarray(key) for key in keys], sort=True).sum()


def add_sums(one: pd.DataFrame | None, other: pd.DataFrame) -> pd.DataFrame:
    """Sums of both; groups that only one of them has are kept."""
    return other if one is None else one.add(other, fill_value=0.0).loc[:, list(SUMS)]


def scores(sums: pd.DataFrame) -> pd.DataFrame:
    """Scores of each group (columns `SCORES`); NaN where they are undefined, such as r of a constant."""
    n = sums["n"]
    mean_o, mean_m = sums["o"] / n, sums["m"] / n
    var_o = (sums["oo"] / n - mean_o**2).clip(lower=0)
    var_m = (sums["mm"] / n - mean_m**2).clip(lower=0)
    covariance = sums["om"] / n - mean_o * mean_m
    spread = np.sqrt(var_o * var_m)
    bias = mean_m - mean_o
    observed = mean_o + SHIFT
    return pd.DataFrame(
        {
            "n": n.astype(int),
            "r": (covariance / spread.where(spread > 1e-9)).clip(-1, 1),
            "rmse": np.sqrt(((sums["oo"] + sums["mm"] - 2 * sums["om"]) / n).clip(lower=0)),
            "mae": sums["absolute"] / n,
            "bias": bias,
            "nmb": bias / observed.where(observed > 0),
            "fac2": sums["within2"] / sums["positive"].where(sums["positive"] > 0),
        }
    )
