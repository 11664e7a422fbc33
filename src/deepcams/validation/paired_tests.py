"""Whether the product scores better than CAMS at the stations, or only seems to.

Three views of the same pairs, both fields always on the very same ones:
- all pairs pooled, whole days resampled in blocks (`paired_differences`);
- the median over stations, stations resampled by boxes, because neighbours see the same air (`paired_medians`);
- each station by itself, a Diebold-Mariano test of its days, over all stations at a false discovery rate
  (`station_tests`).
A verdict is BETTER or WORSE only where the interval of 95 % excludes zero, or the test rejects.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from deepcams.validation.bootstrap import SAMPLES, SEED, block_length, expanded_interval, resampled_sums
from deepcams.validation.pair_scores import group_sums
from deepcams.validation.skill import ALIKE, BETTER, UNJUDGED, WORSE

METRICS = ("rmse", "mae", "bias", "r")
HIGHER_IS_BETTER = ("r",)
DIFFERENCE_COLUMNS = ("group", "metric", "product", "cams", "difference", "low", "high", "days", "verdict")
FEWEST_DAYS = 10  # of a station or of a group, to be judged
FEWEST_BOXES = 10  # to resample
BOX = 5.0  # degrees
FALSE_DISCOVERIES = 0.05
BATCH = 1 << 22  # stations times samples at once


def paired_differences(
    day: np.ndarray,
    observed: np.ndarray,
    product: np.ndarray,
    reference: np.ndarray,
    groups: np.ndarray | None = None,
    count: int = 1,
    *,
    block: int | None = None,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> pd.DataFrame:
    """Differences of pooled scores, with intervals from a circular block bootstrap of days.

    day : (n,) datetime64 or whole numbers of days, the day that each pair is counted to.  observed, product,
    reference : (n,) floats of one unit; where any of them is NaN or infinite the pair is left out for both.
    groups : (n,) integers in 0 … count - 1, such as continents; None: all in group 0.
    block : days drawn together; None: `block_length` of a group's days.

    Only sums per day are resampled, never pairs; both fields on the same days. Days without pairs do not count; fewer
    than 10 are not resampled. The interval is the `expanded_interval` of so many blocks.
    Returns rows of `DIFFERENCE_COLUMNS`, four a group: metric ("rmse" | "mae" | "bias" = |mean bias| | "r"), product
    and cams (the two scores), difference (product - cams), low and high (95 %, NaN if undefined), days and verdict
    (better | worse | alike; unjudged without an interval). A group without pairs has NaN and 0 days.
    """
    valid = np.isfinite(observed) & np.isfinite(product) & np.isfinite(reference)
    days, number = _day_codes(day)
    codes = (days if groups is None else np.asarray(groups, dtype=np.int64) * number + days)[valid]
    o, p, c = (np.asarray(values)[valid] for values in (observed, product, reference))
    # About a value amid the observed ones, so that squares of a small spread on a large mean keep their digits.
    middle = float(np.mean(o, dtype=np.float64)) if len(o) else 0.0

    def terms(o: np.ndarray, p: np.ndarray, c: np.ndarray, _: np.ndarray) -> dict[str, np.ndarray]:
        o, p, c = o - middle, p - middle, c - middle
        found = {"n": np.ones_like(o), "o": o, "oo": o * o}
        for name, m in (("product", p), ("cams", c)):
            error = m - o
            found |= {(name, "m"): m, (name, "mm"): m * m, (name, "om"): o * m}
            found |= {(name, "absolute"): np.abs(error), (name, "squared"): error * error}
        return found

    sums = group_sums(terms, (o, p, c), codes, count * number)
    names = list(sums)
    table = np.stack([sums[name].reshape(count, number) for name in names])
    rows = []
    for group in range(count):
        of_days = table[:, group, table[0, group] > 0]
        length = block or block_length(of_days.shape[1])
        enough = of_days.shape[1] >= FEWEST_DAYS
        drawn = resampled_sums(of_days, block=length, samples=samples, seed=seed) if enough else None
        whole = dict(zip(names, of_days.sum(axis=1), strict=True))
        again = None if drawn is None else dict(zip(names, drawn, strict=True))
        both = [_pooled(whole, name) for name in ("product", "cams")]
        both_again = None if again is None else [_pooled(again, name) for name in ("product", "cams")]
        for metric in METRICS:
            values = [float(scores[metric]) for scores in both]
            differences = None if both_again is None else both_again[0][metric] - both_again[1][metric]
            judged = _judged(metric, *values, differences, of_days.shape[1] / length)
            rows.append({"group": group, "days": of_days.shape[1], **judged})
    return pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))


def paired_medians(
    product: pd.DataFrame, reference: pd.DataFrame, clusters: np.ndarray, *, samples: int = 2000, seed: int = SEED
) -> pd.DataFrame:
    """Differences of medians over stations, with intervals from resampled clusters of stations.

    product, reference : the stations' scores (`deepcams.validation.pair_scores.scores`), row by row the same stations;
    a station is left out of a metric that it has not for both.  clusters : (stations,) integers, such as `boxes`;
    all stations of a cluster are drawn together.
    Returns rows metric, product, cams, difference, low, high, clusters, verdict, as `paired_differences`; "bias" is
    the median of |mean bias|; fewer than 10 clusters are not resampled. Raises ValueError if the tables' rows differ.
    """
    if not (len(product) == len(reference) == len(clusters)):
        raise ValueError(f"{len(product)}, {len(reference)} and {len(clusters)} stations are not the same")
    rows = []
    for metric in METRICS:
        values = [_station_values(table, metric) for table in (product, reference)]
        valid = np.isfinite(values[0]) & np.isfinite(values[1])
        names, cluster = np.unique(np.asarray(clusters)[valid], return_inverse=True)
        values = [one[valid] for one in values]
        medians = [float(np.median(one)) if len(one) else math.nan for one in values]
        differences = None
        if len(names) >= FEWEST_BOXES:
            rng = np.random.default_rng(seed)
            differences = np.concatenate(
                [
                    np.subtract(*(_weighted_medians(one, drawn) for one in values))
                    for drawn in _draws(rng, samples, cluster, len(names))
                ]
            )
        rows.append({**_judged(metric, *medians, differences, len(names)), "clusters": len(names)})
    return pd.DataFrame(rows, columns=["metric", "product", "cams", "difference", "low", "high", "clusters", "verdict"])


def boxes(latitude: np.ndarray, longitude: np.ndarray, size: float = BOX) -> np.ndarray:
    """The box of `size` degrees that each place is in: integers."""
    row = np.floor((np.asarray(latitude, dtype=np.float64) + 90.0) / size).astype(np.int64)
    column = np.floor(np.asarray(longitude, dtype=np.float64) % 360.0 / size).astype(np.int64)
    return row * math.ceil(360.0 / size) + column


def station_tests(
    station: np.ndarray,
    day: np.ndarray,
    observed: np.ndarray,
    product: np.ndarray,
    reference: np.ndarray,
    count: int | None = None,
) -> tuple[dict[str, int], pd.DataFrame]:
    """A Diebold-Mariano test of every station: is the mean of its days' loss differences zero?

    station : (n,) integers in 0 … count - 1.  day, observed, product, reference : as `paired_differences`.

    The loss difference of a day is the mean over its pairs of (product - o)² - (reference - o)² (Diebold and Mariano
    1995, J. Bus. Econ. Stat. 13, 253). The variance of its mean has Bartlett weights up to the lag
    L = ⌊4 (T/100)^(2/9)⌋ of T days (Newey and West 1987, Econometrica 55, 703; 1994, Rev. Econ. Stud. 61, 631); lags
    count days of the calendar, a day without pairs adds nothing to them. The statistic is made smaller as Harvey,
    Leybourne and Newbold (1997, Int. J. Forecast. 13, 281) do for errors that last h = L + 1 days, and is held
    against Student's t with T - 1 degrees of freedom, two-sided. p values are adjusted over all tested stations for a
    false discovery rate (Benjamini and Hochberg 1995), which holds for stations that are positively dependent too.

    Returns ({"stations": number tested, "better", "worse", "alike": of them at 5 %}, the frame 0 … count - 1 of days,
    difference (mean loss difference, unit²), statistic, p, adjusted, verdict). Stations of fewer than 10 days, and
    those whose difference never varies, are "unjudged" with NaN; where both fields err alike every day p is 1.
    """
    valid = np.isfinite(observed) & np.isfinite(product) & np.isfinite(reference)
    days, number = _day_codes(day)
    station = np.asarray(station, dtype=np.int64)
    count = int(station.max(initial=-1)) + 1 if count is None else count

    def terms(o: np.ndarray, p: np.ndarray, c: np.ndarray, _: np.ndarray) -> dict[str, np.ndarray]:
        return {"n": np.ones_like(o), "loss": (p - c) * (p + c - 2 * o)}

    series = tuple(np.asarray(values)[valid] for values in (observed, product, reference))
    sums = group_sums(terms, series, (station * number + days)[valid], count * number)
    n = sums["n"].reshape(count, number)
    loss = np.divide(sums["loss"].reshape(count, number), n, out=np.zeros_like(n), where=n > 0)
    table = _diebold_mariano(loss, n > 0)
    tested = np.isfinite(table["p"].to_numpy())
    adjusted = np.full(count, np.nan)
    if tested.any():
        adjusted[tested] = stats.false_discovery_control(table["p"][tested], method="bh")
    rejected, lower = adjusted <= FALSE_DISCOVERIES, table["difference"].to_numpy() < 0
    verdict = np.where(~tested, UNJUDGED, np.where(~rejected, ALIKE, np.where(lower, BETTER, WORSE)))
    counts = {"stations": int(tested.sum())} | {name: int((verdict == name).sum()) for name in (BETTER, WORSE, ALIKE)}
    return counts, table.assign(adjusted=adjusted, verdict=verdict)


def _diebold_mariano(loss: np.ndarray, present: np.ndarray) -> pd.DataFrame:
    """Per row of daily loss differences (stations, days), 0 where not present: days, difference, statistic, p."""
    days = present.sum(axis=1)
    lags = np.floor(4 * (days / 100) ** (2 / 9)).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = loss.sum(axis=1) / days
        # Zeros for missing days keep the autocovariances those of a series, so that their Bartlett sum is not negative.
        centred = np.where(present, loss - mean[:, None], 0.0)
        variance = (centred**2).sum(axis=1) / days
        constant = np.sqrt(variance) <= 1e-12 * np.abs(loss).max(axis=1, initial=0.0)
        for lag in range(1, int(lags.max(initial=0)) + 1):
            weight = np.clip(1 - lag / (lags + 1), 0.0, None)
            variance += 2 * weight * np.einsum("ij,ij->i", centred[:, lag:], centred[:, :-lag]) / days
        horizon = lags + 1
        correction = (days + 1 - 2 * horizon + horizon * (horizon - 1) / days) / days
        statistic = mean / np.sqrt(variance / days) * np.sqrt(correction)
        statistic = np.where(constant, np.where(mean == 0, 0.0, np.nan), statistic)
        statistic[days < FEWEST_DAYS] = np.nan
        p = 2 * stats.t.sf(np.abs(statistic), days - 1)
    return pd.DataFrame({"days": days, "difference": mean, "statistic": statistic, "p": p})


def _pooled(sums: dict, name: str) -> dict[str, np.ndarray]:
    """The scores of one field from sums over pairs, for as many samples as the sums have."""
    n, o, m = sums["n"], sums["o"], sums[name, "m"]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread_o, spread_m = sums["oo"] - o * o / n, sums[name, "mm"] - m * m / n
        spread = np.sqrt(np.clip(spread_o, 0, None) * np.clip(spread_m, 0, None))
        varies = (spread_o > 1e-12 * sums["oo"]) & (spread_m > 1e-12 * sums[name, "mm"])
        return {
            "rmse": np.sqrt(sums[name, "squared"] / n),
            "mae": sums[name, "absolute"] / n,
            "bias": np.abs(m - o) / n,
            "r": np.where(varies, (sums[name, "om"] - o * m / n) / spread, np.nan),
        }


def _judged(
    metric: str, product: float, reference: float, differences: np.ndarray | None, draws: float
) -> dict[str, object]:
    """One row: the interval of differences resampled by so many independent draws, and what it says."""
    low = high = math.nan
    if differences is not None:
        low, high = expanded_interval(differences, draws)
    verdict = ALIKE
    if math.isnan(low) or math.isnan(high):
        verdict = UNJUDGED
    elif low > 0 or high < 0:
        verdict = BETTER if (low > 0) == (metric in HIGHER_IS_BETTER) else WORSE
    return {
        "metric": metric,
        "product": product,
        "cams": reference,
        "difference": product - reference,
        "low": low,
        "high": high,
        "verdict": verdict,
    }


def _day_codes(day: np.ndarray) -> tuple[np.ndarray, int]:
    """Days counted from the first one, and how many the calendar has from the first to the last."""
    days = np.asarray(day)
    if np.issubdtype(days.dtype, np.datetime64):
        days = days.astype("datetime64[D]")
    days = days.astype(np.int64)
    if not len(days):
        return days, 1
    return days - days.min(), int(days.max() - days.min()) + 1


def _station_values(scores: pd.DataFrame, metric: str) -> np.ndarray:
    values = scores["mb" if metric == "bias" else metric].to_numpy(dtype=np.float64)
    return np.abs(values) if metric == "bias" else values


def _draws(rng: np.random.Generator, samples: int, cluster: np.ndarray, count: int):
    """Yield how often every station is drawn, (samples of a batch, stations) int16, if clusters are."""
    size = max(1, BATCH // max(len(cluster), count))
    for start in range(0, samples, size):
        number = min(size, samples - start)
        chosen = rng.integers(count, size=(number, count))
        chosen += np.arange(number)[:, None] * count
        times = np.bincount(chosen.ravel(), minlength=number * count).reshape(number, count)
        yield times.astype(np.int32)[:, cluster]


def _weighted_medians(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The median of values (N,) each repeated as often as a row of `times` (S, N) says: (S,)."""
    order = np.argsort(values)
    ordered, passed = values[order], np.cumsum(times[:, order], axis=1, dtype=np.int32)
    total = passed[:, -1:]
    lower = np.argmax(2 * passed >= total, axis=1)
    upper = np.argmax(2 * passed > total, axis=1)
    return (ordered[lower] + ordered[upper]) / 2
