"""Scores of pairs (observed, modelled), whole or by group: what stations, continents or months say of a field.

With o and m the observed and the modelled values of a group, N pairs, an overbar for means, σ for population standard
deviations (by N, as r, crmse and a Taylor diagram need them alike):

n               N, pairs that are finite on both sides
mean_observed, mean_modelled, sd_observed, sd_modelled
r               Pearson's correlation
rho             Spearman's: Pearson's of the ranks within the group, ties sharing their average rank
rmse            √(mean (m - o)²)
crmse           √(mean ((m - m̄) - (o - ō))²), what remains without the mean bias (Taylor 2001, Eq. 2)
mae             mean |m - o|
mb              mean (m - o)
nmb, nme        Σ(m - o) / Σo and Σ|m - o| / Σo
fge             2/N Σ |(m - o) / (m + o)|, fractional gross error as pyaerocom and CAMS define it. Pairs with m + o = 0
                have no fraction and are left out, of N too (pyaerocom gives NaN, or infinity, for the whole group)
fac2            share of the pairs with o > 0 for which o/2 ≤ m ≤ 2o (Chang and Hanna 2004, Eq. 5); pairs with o ≤ 0
                have no ratio and are left out
ioa             1 - Σ(m - o)² / Σ(|m - ō| + |o - ō|)², Willmott's d (1981, Phys. Geogr. 2, Eq. 4)
kge             1 - √((r - 1)² + (σm/σo - 1)² + (m̄/ō - 1)²), Kling-Gupta efficiency (Gupta et al. 2009, Eq. 9)
mqi             rmse / (β RMSU), FAIRMODE's quality indicator of the group as one station, where
                RMSU² = U² ((1 - α²)(ō² + σo²) + α² RV²) (Janssen and Thunis 2022, Guidance v3.3, Eqs. 7 and 37)

Taylor 2001: J. Geophys. Res. 106, 7183; Chang and Hanna 2004: Meteorol. Atmos. Phys. 87, 167; Gupta et al. 2009:
J. Hydrol. 377, 80.

What is undefined is NaN: r, rho, kge and ioa of constant observations (one pair is constant), r, rho and kge of a
constant model, nmb, nme and kge of observations that sum to zero, all of an empty group.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from deepcams.pollutants import Fairmode

SCORES = (
    "n", "mean_observed", "mean_modelled", "sd_observed", "sd_modelled", "r", "rho", "rmse", "crmse", "mae", "mb",
    "nmb", "nme", "fge", "fac2", "ioa", "kge", "mqi",
)  # fmt: skip
CHUNK = 1 << 18  # pairs at once: what the sums need in memory, whatever the number of pairs


def scores(
    observed: np.ndarray,
    modelled: np.ndarray,
    groups: np.ndarray | None = None,
    count: int = 1,
    fairmode: Fairmode | None = None,
    *,
    ranks: bool = True,
) -> pd.DataFrame:
    """Scores of every group, from two passes in float64: the means, then sums around them.

    observed, modelled : (n,) floats of one unit; a pair with NaN or infinity on either side is left out.
    groups : (n,) integers in 0 … count - 1; None: all in group 0.  fairmode : the pollutant's parameters, in the same
    unit; None: no mqi.  ranks : whether to compute rho, which takes longer than all else together; NaN if not.
    Returns a frame with the index 0 … count - 1 and the columns `SCORES`. Raises ValueError if shapes differ or a group
    is out of range.
    """
    o, m, groups = _valid(observed, modelled, groups, count)
    # Each group is shifted by one of its own values. A constant then is exactly zero, and not the rounding of its mean.
    anchor_o, anchor_m = np.zeros(count), np.zeros(count)
    anchor_o[groups], anchor_m[groups] = o, m

    def about_anchors(o: np.ndarray, m: np.ndarray, g: np.ndarray) -> dict[str, np.ndarray]:
        return {"o": o - anchor_o[g], "m": m - anchor_m[g], "error": m - o}

    def about_means(o: np.ndarray, m: np.ndarray, g: np.ndarray) -> dict[str, np.ndarray]:
        error, total = m - o, m + o
        from_o, from_m = o - anchor_o[g] - shift_o[g], m - anchor_m[g] - shift_m[g]
        return {
            "oo": from_o * from_o,
            "mm": from_m * from_m,
            "om": from_o * from_m,
            "squared": error * error,
            "absolute": np.abs(error),
            "centred": (from_m - from_o) ** 2,
            "fraction": np.abs(np.divide(error, total, out=np.zeros_like(error), where=total != 0)),
            "with_fraction": total != 0,
            "within_two": (o > 0) & (m >= 0.5 * o) & (m <= 2 * o),
            "positive": o > 0,
            "potential": (np.abs(m - mean_o[g]) + np.abs(from_o)) ** 2,
        }

    n = np.bincount(groups, minlength=count)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = group_sums(about_anchors, (o, m), groups, count)
        shift_o, shift_m, mb = (first[name] / n for name in ("o", "m", "error"))
        mean_o, mean_m = anchor_o + shift_o, anchor_m + shift_m
        sums = group_sums(about_means, (o, m), groups, count)
        sd_o, sd_m = np.sqrt(sums["oo"] / n), np.sqrt(sums["mm"] / n)
        rmse, mae = np.sqrt(sums["squared"] / n), sums["absolute"] / n
        r = _correlation(sums["om"], sums["oo"], sums["mm"])
        mean = np.where(mean_o != 0, mean_o, np.nan)
        found = {
            "n": n,
            "mean_observed": mean_o,
            "mean_modelled": mean_m,
            "sd_observed": sd_o,
            "sd_modelled": sd_m,
            "r": r,
            "rho": _rank_correlation(o, m, groups, n) if ranks else np.nan,
            "rmse": rmse,
            "crmse": np.sqrt(sums["centred"] / n),
            "mae": mae,
            "mb": mb,
            "nmb": mb / mean,
            "nme": mae / mean,
            "fge": 2 * sums["fraction"] / sums["with_fraction"],
            "fac2": sums["within_two"] / sums["positive"],
            "ioa": np.where(sums["oo"] > 0, 1 - sums["squared"] / sums["potential"], np.nan),
            "kge": 1 - np.sqrt((r - 1) ** 2 + (sd_m / sd_o - 1) ** 2 + (mean_m / mean - 1) ** 2),
            "mqi": np.nan
            if fairmode is None
            else rmse / fairmode.beta / measurement_uncertainty(mean_o, sd_o, fairmode),
        }
    return pd.DataFrame(found, columns=list(SCORES))


def measurement_uncertainty(mean: np.ndarray, sd: np.ndarray, fairmode: Fairmode) -> np.ndarray:
    """FAIRMODE's RMSU, the root mean square uncertainty of observations of this mean and population deviation."""
    alpha, reference = fairmode.alpha, fairmode.reference_value
    squares = (1 - alpha**2) * (mean**2 + sd**2) + (alpha * reference) ** 2
    return fairmode.relative_uncertainty * np.sqrt(squares)


def group_sums(
    terms: Callable[..., dict[str, np.ndarray]], arrays: tuple[np.ndarray, ...], groups: np.ndarray, count: int
) -> dict[str, np.ndarray]:
    """Sums by group, a chunk of pairs at a time: name → (count,) float64.

    terms : takes as many arrays as `arrays` has, float64, and the groups; returns what to sum.
    """
    total: dict[str, np.ndarray] = {}
    for start in range(0, max(len(groups), 1), CHUNK):
        part = slice(start, start + CHUNK)
        for name, term in terms(*(array[part].astype(np.float64) for array in arrays), groups[part]).items():
            found = np.bincount(groups[part], term, minlength=count).astype(np.float64, copy=False)  # integers if empty
            total[name] = total[name] + found if name in total else found
    return total


def _valid(
    observed: np.ndarray, modelled: np.ndarray, groups: np.ndarray | None, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The finite pairs with their groups, none copied where all are finite."""
    o, m = np.asarray(observed), np.asarray(modelled)
    g = np.zeros(o.shape, dtype=np.intp) if groups is None else np.asarray(groups)
    if not o.shape == m.shape == g.shape or o.ndim != 1:
        raise ValueError(f"observed {o.shape}, modelled {m.shape} and groups {g.shape} are not series of one length")
    if len(g) and (g.min() < 0 or g.max() >= count):
        raise ValueError(f"groups lie in {g.min()} … {g.max()}, not all in 0 … {count - 1}")
    valid = np.isfinite(o) & np.isfinite(m)
    if not valid.all():
        o, m, g = o[valid], m[valid], g[valid]
    return o, m, g


def _correlation(products: np.ndarray, squares_o: np.ndarray, squares_m: np.ndarray) -> np.ndarray:
    """Pearson's r from central sums; NaN where either side is constant."""
    spread = np.sqrt(squares_o) * np.sqrt(squares_m)
    return np.clip(np.divide(products, spread, out=np.full_like(spread, np.nan), where=spread > 0), -1.0, 1.0)


def _rank_correlation(o: np.ndarray, m: np.ndarray, groups: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Spearman's rho of every group: (count,).  size : (count,) pairs of each group."""
    # Groups of 16 bits are sorted by their digits, several times faster than wider ones.
    small = groups.astype(np.min_scalar_type(max(len(size) - 1, 0)))
    ranks = tuple(_doubled_ranks(values, small, np.cumsum(size) - size) for values in (o, m))

    def about_middle(rank_o: np.ndarray, rank_m: np.ndarray, g: np.ndarray) -> dict[str, np.ndarray]:
        middle = size[g] + 1
        from_o, from_m = rank_o - middle, rank_m - middle
        return {"om": from_o * from_m, "oo": from_o * from_o, "mm": from_m * from_m}

    sums = group_sums(about_middle, ranks, groups, len(size))
    return _correlation(sums["om"], sums["oo"], sums["mm"])


def _doubled_ranks(values: np.ndarray, groups: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Twice the ranks 1 … within each group, ties sharing their average: (n,) int32, for fewer than 2³⁰ values.

    first : (count,) where each group begins once they are sorted.
    """
    order = np.argsort(values)
    order = order[np.argsort(groups[order], kind="stable")]
    value, group = values[order], groups[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (value[1:] != value[:-1]) | (group[1:] != group[:-1])
    run = np.flatnonzero(begins).astype(np.int32)
    length = np.diff(run, append=np.int32(len(order)))
    doubled = 2 * (run - first.astype(np.int32)[group[run]]) + length + 1
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.repeat(doubled, length)
    return ranks
