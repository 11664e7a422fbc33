"""The stations to click: a map of them, their scores, and as many of their series as fit into the page."""

import base64
from html import escape

import numpy as np
import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.report.embedded import data
from deepcams.report.folder import Validation
from deepcams.report.maps import Frame, coasts
from deepcams.report.quantity import label, text_unit
from deepcams.report.tables import SCORES, concentration_digits, country_names, listed, number, score_column

WIDTH = 2000  # units of the map; its coordinates are whole numbers of them
MARGIN = 0.12  # around the stations, of what they span
SMALLEST = 12.0  # degrees that a map spans at least
MISSING = 65535
SIGNIFICANT = 5
PLACE = ["station", "latitude", "longitude"]
# What the map's colours can show, and which way is better.
SHOWN = {"rmse": "low", "r": "high", "mb": "zero", "nmb": "zero", "fac2": "high", "mqi": "low", "mae": "low"}


def explorer(validation: Validation, room: int) -> str:
    """The explorer as HTML with its data; "" where there are no stations. room : bytes that it may take."""
    table = validation.stations
    if table.empty:
        return ""
    table = table.assign(key=table.groupby(PLACE, sort=False).ngroup())  # a station that moved is two
    stations = table.drop_duplicates("key", ignore_index=True)
    frame = station_frame(stations)
    content = {
        "unit": text_unit(),
        "label": label(),
        "names": validation.names,
        "map": _map(frame, stations),
        "stations": {
            name: listed(stations[name], 6) for name in ("station", "name", "country", "latitude", "longitude")
        },
        "countries": {code: name for code, name in country_names().items() if code in set(stations["country"])},
        "columns": _columns(table),
        "scores": _scores(table, len(stations), validation.names),
        "shown": SHOWN,
        "file": f"stations_{validation.title}",
    }
    text = data("explorer", content)
    remark = ""
    if len(text.encode()) > room and len(content["scores"]) > 1:
        first = next(iter(content["scores"]))
        content["scores"] = {first: content["scores"][first]}
        text = data("explorer", content)
        remark = f"Of so many stations only the {first} scores are shown; stations.csv has all. "
    left = room - len(text.encode())
    series, words = _series(validation, len(stations), max(left, 0))
    wide = content["map"]["width"] > 1.7 * content["map"]["height"]
    note = f'<p class="note">{escape(remark + words)}</p>'
    return f'<div id="explorer-view" class="explorer{" wide" * wide}">{_INSIDE}{note}{text}{data("series", series)}'


def station_frame(stations: pd.DataFrame) -> Frame:
    """The map of some stations: the box around them, or the globe if they span much of it."""
    latitude, longitude = stations["latitude"].to_numpy(), stations["longitude"].to_numpy() % 360.0
    ordered = np.sort(longitude)
    gaps = np.diff(np.append(ordered, ordered[0] + 360.0))
    widest = int(gaps.argmax())  # the map begins behind the widest gap, so that it may cross the date line
    west, width = ordered[(widest + 1) % len(ordered)], 360.0 - gaps[widest]
    height = np.ptp(latitude)
    if width > 150 or height > 110:
        return Frame(globe=True)
    across, along = (max(SMALLEST, span * (1 + 2 * MARGIN)) for span in (width, height))
    along = max(along, across / 3)
    middle = np.clip((latitude.max() + latitude.min()) / 2, -90 + along / 2, 90 - along / 2)
    across = max(across, along / max(np.cos(np.radians(middle)), 0.3))
    west = (west + width / 2 - across / 2 + 180.0) % 360.0 - 180.0
    return Frame(False, float(middle + along / 2), float(west), float(middle - along / 2), float(west + across))


def _map(frame: Frame, stations: pd.DataFrame) -> dict[str, object]:
    """Places, coastlines and a net of meridians and parallels in whole units from the upper left corner."""
    if frame.globe:
        x, _ = frame.project(np.array([-180.0 + 1e-9, 180.0 - 1e-9]), np.zeros(2))
        _, y = frame.project(np.zeros(2), np.array([90.0, -90.0]))
        turn = np.linspace(-90, 90, 91)
        edge = np.concatenate([np.column_stack(frame.project(np.full(91, side), turn[:: int(np.sign(side))]))
                               for side in (180.0 - 1e-9, -180.0 + 1e-9)])  # fmt: skip
    else:
        x, y = np.array([frame.west, frame.east]), np.array([frame.north, frame.south])
        edge = np.array([(x[i], y[j]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))])
    scale = WIDTH / (x[1] - x[0])
    down = scale * (1.0 if frame.globe else WIDTH / frame.aspect / scale / (y[0] - y[1]))

    def to_units(points: np.ndarray) -> np.ndarray:
        return np.column_stack([(points[:, 0] - x[0]) * scale, (y[0] - points[:, 1]) * down])

    height = round(float((y[0] - y[1]) * down))
    places = np.rint(to_units(np.column_stack(frame.project(stations["longitude"], stations["latitude"]))))
    lines = [part for line in coasts(frame) for part in _inside(to_units(line), height)]
    return {
        "width": WIDTH,
        "height": height,
        "x": places[:, 0].astype(int).tolist(),
        "y": places[:, 1].astype(int).tolist(),
        "coast": _path(lines),
        "net": _path([to_units(line) for line in _net(frame)]),
        "edge": _path([to_units(edge)]) + "z",
    }


def _inside(line: np.ndarray, height: float) -> list[np.ndarray]:
    """The parts of a line that touch the map."""
    near = (line[:, 0] > -50) & (line[:, 0] < WIDTH + 50) & (line[:, 1] > -50) & (line[:, 1] < height + 50)
    near |= np.append(near[1:], False) | np.append(False, near[:-1])  # the segments that cross its edge
    ends = np.flatnonzero(np.diff(near)) + 1
    return [part for part, kept in zip(np.split(line, ends), near[np.append(0, ends)], strict=True) if kept]


def _net(frame: Frame) -> list[np.ndarray]:
    span = 180.0 if frame.globe else frame.north - frame.south
    step = next((step for step in (1, 2, 5, 10, 20) if span / step <= 8), 30)
    south, north, west, east = frame.south, frame.north, frame.west, frame.east
    along, across = np.linspace(south, north, 61), np.linspace(west + 1e-9, east - 1e-9, 61)
    meridians = np.arange(np.ceil(west / step), np.floor(east / step) + 1) * step
    parallels = np.arange(np.ceil(south / step), np.floor(north / step) + 1) * step
    lines = [(np.full(61, where), along) for where in meridians if not frame.globe or abs(where) < 180]
    lines += [(across, np.full(61, where)) for where in parallels if abs(where) < 90]
    if not frame.globe:  # straight ones
        lines = [(x[[0, -1]], y[[0, -1]]) for x, y in lines]
        return [np.column_stack(line) for line in lines]
    return [np.column_stack(frame.project(x, y)) for x, y in lines]


def _path(lines: list[np.ndarray]) -> str:
    """Lines as an SVG path of whole numbers, without points that fall on their predecessor."""
    parts = []
    for line in lines:
        points = np.rint(line).astype(int)
        steps = np.diff(points, axis=0)
        steps = steps[(steps != 0).any(axis=1)]
        if len(steps):
            parts.append(f"M{points[0, 0]} {points[0, 1]}l{' '.join(f'{dx} {dy}' for dx, dy in steps.tolist())}")
    return "".join(parts).replace(" -", "-")


def _columns(table: pd.DataFrame) -> dict[str, dict[str, object]]:
    """What the script must know of each score: heading, unit, digits; whether it is the same of every field."""
    digits = concentration_digits(table["rmse"])
    described = {}
    for score, (_, _, _, shared) in SCORES.items():
        if score in table and (score in SHOWN or score in ("n", "mean_observed")):
            described[score] = {**score_column(score, digits).described(), "shared": shared}
    return described


def _scores(table: pd.DataFrame, count: int, names: dict[str, str]) -> dict[str, dict[str, dict[str, list]]]:
    """resolution → field → score → values in the order of the stations."""
    kept = [score for score in SCORES if score in table and (score in SHOWN or score in ("n", "mean_observed"))]
    found: dict[str, dict[str, dict[str, list]]] = {}
    for resolution in [name for name in ("hourly", "daily") if name in set(table["resolution"])]:
        found[resolution] = {}
        for field in names:
            rows = table[(table["resolution"] == resolution) & (table["field"] == field)]
            rows = rows.drop_duplicates("key").set_index("key").reindex(range(count))
            found[resolution][field] = {
                score: listed(rows[score] * (100 if SCORES[score][1] == "%" else 1), SIGNIFICANT)
                for score in kept
                if field == next(iter(names)) or not SCORES[score][3]
            }
    return found


def _series(validation: Validation, count: int, room: int) -> tuple[dict[str, object], str]:
    """Series by number of the station, packed; and in words which stations have one."""
    path = validation.folder / "clicks.npz"
    if not path.exists():
        return {"times": [], "series": {}}, "Series by station were not kept; click a station for its scores."
    try:
        with np.load(path) as archive:
            content = {name: archive[name] for name in archive.files}
        rows = content["row"]
        hours = content["time"].astype("datetime64[s]").astype(np.int64) / 3600
        values = np.stack([content[name] for name in ("observed", *validation.names)], axis=1)
    except (OSError, ValueError, KeyError) as error:
        raise DeepcamsError(f"{path} cannot be read ({error}). Run the validation again.") from error
    keep = np.flatnonzero((rows >= 0) & (rows < count))
    each = 4 * -(-2 * values[0].size // 3) + 60 if len(values) else 1
    most = max(0, (room - 8 * len(hours)) // each)
    if len(keep) > most:
        keep = keep[np.unique(np.linspace(0, len(keep) - 1, most).astype(int))] if most else keep[:0]
    packed = {str(rows[i]): _packed(values[i]) for i in keep}
    step = "daily means" if len(hours) > 1 and np.median(np.diff(hours)) > 1.5 else "hourly"
    stations = "station has its" if count == 1 else "stations have their"
    words = f"{number(len(packed), -1)} of {number(count, -1)} {stations} series here ({step})"
    if len(keep) < len(rows):
        words += "; those of others were left out to keep the page small"
    return {"times": [round(hour, 3) for hour in hours.tolist()], "series": packed}, words + "."


def _packed(values: np.ndarray) -> list[object]:
    """Series (K, T) as [lowest, step, base64 of little-endian uint16]: lowest + step × number, `MISSING` for none."""
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    step = max((high - low) / (MISSING - 1), 1e-12)
    numbers = np.where(finite, np.rint((np.where(finite, values, low) - low) / step), MISSING).astype("<u2")
    return [float(f"{low:.7g}"), float(f"{step:.7g}"), base64.b64encode(numbers.tobytes()).decode()]


# What the script fills.
_INSIDE = """
<div class="controls">
<label>Colour <select id="explorer-score"></select></label>
<label>Of <select id="explorer-resolution"></select></label>
<label class="grow">Find a station <input id="explorer-search" type="search" autocomplete="off" spellcheck="false"
 placeholder="name, country or number"></label>
</div>
<ul id="explorer-found" class="found" hidden></ul>
<div class="map">
<canvas id="explorer-map" tabindex="0" role="application" aria-label="Map of the stations. Arrow keys go to the
 next station in their direction, plus and minus zoom, zero shows all."></canvas>
<div id="explorer-tip" class="tip" hidden></div>
<div class="zoom"><button type="button" data-zoom="1.6" aria-label="Zoom in">+</button><button type="button"
 data-zoom="0.625" aria-label="Zoom out">−</button><button type="button" data-zoom="0"
 aria-label="Show all">⤢</button></div>
</div>
<div id="explorer-legend" class="legend"></div>
<div id="explorer-card" class="card" aria-live="polite"></div>
</div>
<h3>All stations</h3>
<div class="table" id="explorer-table"></div>
"""
