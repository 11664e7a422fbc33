"""The headline figures of a year: scores beside the reference with their intervals, and the state of the fields."""

import math
from collections.abc import Sequence
from html import escape

from deepcams.report.beat_words import beat_verdict
from deepcams.report.folder import Validation
from deepcams.report.objective import indicator, with_enough
from deepcams.report.quantity import text_unit
from deepcams.report.tables import concentration_digits, number
from deepcams.report.verdicts import Verdict, signed
from deepcams.validation.bootstrap import LEVEL
from deepcams.validation.skill import ALIKE, BETTER, UNJUDGED, WORSE

METRICS = (("r", "r", "R"), ("rmse", "rmse", "RMSE"), ("mb", "bias", "Mean bias"))  # of scores, of differences
WORDS = {BETTER: "better", WORSE: "worse", ALIKE: "cannot be told apart", UNJUDGED: "too few days to judge"}


def headline(validation: Validation) -> str:
    """Tiles as HTML."""
    rows = [_scores(validation, resolution) for resolution in ("hourly", "daily")]
    return "".join(f'<div class="tiles {kind}">{boxes}</div>' for kind, boxes in
                   (*(("scored", row) for row in rows), ("plain", _state(validation))) if boxes)  # fmt: skip


def statements(verdicts: Sequence[Verdict | None]) -> str:
    """Findings in words as HTML."""
    return "".join(f'<p class="verdict {v.kind}">{escape(v.text)}</p>' for v in verdicts if v)


def quality_objective(validation: Validation) -> tuple[str, float, float] | None:
    """FAIRMODE: (resolution, indicator of the stations' MQI, share of stations with at most 1), daily if it can.

    Stations with too few pairs for scores are left out, as in the target diagram.
    """
    table = validation.stations
    if table.empty or "mqi" not in table:
        return None
    table = with_enough(table, validation.summary["stations"].get("settings") or {})
    for resolution in ("daily", "hourly"):
        values = table.loc[(table["resolution"] == resolution) & (table["field"] == "product"), "mqi"].dropna()
        if len(values):
            return resolution, indicator(values.to_numpy()), float((values <= 1).mean())
    return None


def _scores(validation: Validation, resolution: str) -> str:
    own = validation.score(resolution, "product")
    if not own:
        return ""
    reference = validation.score(resolution, "cams") if "cams" in validation.names else {}
    digits = concentration_digits([own["rmse"]])
    boxes = []
    for key, metric, heading in METRICS:
        places, unit = (3, "") if key == "r" else (digits, text_unit())
        parts = [
            f'<span class="what">{heading}, {resolution}{f" <i>({unit})</i>" if unit else ""}</span>'
            f"<b>{number(own.get(key), places)}</b>"
        ]
        if reference:
            name = escape(validation.names["cams"])
            parts.append(f'<span class="beside">{name} {number(reference.get(key), places)}</span>')
            parts.append(_difference(validation, resolution, metric, places))
        boxes.append(f'<div class="tile">{"".join(parts)}</div>')
    return "".join(boxes)


def _difference(validation: Validation, resolution: str, metric: str, digits: int) -> str:
    """The difference with its interval, drawn and in words."""
    table = validation.differences
    if table.empty:
        return ""
    rows = table[(table["resolution"] == resolution) & (table["by"] == "all") & (table["metric"] == metric)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    verdict = row["verdict"]
    drawn, interval = "", ""
    if math.isfinite(row["low"]) and math.isfinite(row["high"]):
        drawn = _bar(row["difference"], row["low"], row["high"])
        interval = f" ({number(row['low'], digits)} … {number(row['high'], digits)})"
    of = "|MB| " if metric == "bias" else ""
    return (
        f'{drawn}<span class="change {escape(verdict)}">{of}<strong>{escape(WORDS.get(verdict, verdict))}</strong> '
        f"{signed(row['difference'], digits)}{interval}</span>"
    )


def _bar(value: float, low: float, high: float) -> str:
    """An interval beside zero, which stands in the middle."""
    reach = 1.15 * max(abs(low), abs(high), abs(value)) or 1.0
    x, left, right = (100 + 100 * point / reach for point in (value, low, high))
    return (
        '<svg class="interval" viewBox="0 0 200 14" role="img" '
        f'aria-label="Interval of {100 * LEVEL:.0f} % beside zero">'
        f'<path d="M100 1V13"/><path class="range" d="M{left:.1f} 7H{right:.1f}M{left:.1f} 4V10M{right:.1f} 4V10"/>'
        f'<circle cx="{x:.1f}" cy="7" r="3.2"/></svg>'
    )


def _state(validation: Validation) -> str:
    """Tiles of one number each."""
    summary = validation.summary
    fields, stations = summary["fields"]["product"], summary["stations"]
    tiles = [(number(fields.get("hours"), -1), "fields")]
    if fields.get("mean") is not None:
        digits = concentration_digits([fields["mean"]])
        tiles.append((number(fields["mean"], digits), f"mean, by area, {text_unit()}"))
    tiles.append((number(stations["number"], -1), "stations compared"))
    for resolution, found in (stations.get("tests") or {}).items():
        if found.get("stations", 0) > 1:
            share, worse = (number(found[key] / found["stations"], -2) for key in ("better", "worse"))
            count = number(found["stations"], -1)
            tiles.append((share, f"of {count} stations better, {resolution}, by their own tests; worse: {worse}"))
    objective = quality_objective(validation)
    if objective:
        resolution, percentile, share = objective
        tiles.append((number(percentile, 2), f"FAIRMODE’s MQI, {resolution}, 90th percentile of stations; "
                                             f"{number(share, -2)} have at most 1"))  # fmt: skip
    closure = [value for name, value in fields.items() if name.startswith("closure") and isinstance(value, int | float)]
    if closure:
        tiles.append((f"{100 * max(closure):.2g}\u202f%", "closure: largest relative error of the coarse means"))
    resolved = ((summary.get("spectra") or {}).get("product") or {}).get("effective_resolution")
    if resolved is not None:
        tiles.append((f"{number(resolved, 0)} km", "effective resolution"))
    beat = (summary.get("beat") or {}).get("product") or {}
    if beat.get("ratio") is not None:
        tiles.append((number(beat["ratio"], 2), _beat(beat, (summary.get("beat") or {}).get("truth") or {})))
    return "".join(f'<div class="tile"><b>{value}</b><span class="what">{escape(what)}</span></div>' for value, what in
                   tiles if value != "–")  # fmt: skip


def _beat(product: dict, truth: dict) -> str:
    says = beat_verdict(product)
    beside = f"; of the truth {number(truth['ratio'], 2)}" if truth.get("ratio") is not None else ""
    return f"{says + ': ' if says else ''}fine detail at analyses over that between{beside}"
