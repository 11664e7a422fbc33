"""The sections of a year's report on maps, scores, fields and counts, as HTML."""

import json
import os
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

import pandas as pd

from deepcams.errors import DeepcamsError
from deepcams.report.embedded import data
from deepcams.report.folder import Validation
from deepcams.report.quantity import label, text_unit
from deepcams.report.tables import (
    SCORES_IN_WORDS,
    Column,
    capitalised,
    concentration_digits,
    country_name,
    data_table,
    key_values,
    listed,
    number,
    score_columns,
    score_table,
)
from deepcams.report.verdicts import HEADLINES, subject
from deepcams.validation.bootstrap import LEVEL

TRUTH_COLUMNS = (
    ("n", "N", -1), ("r", "R", 4), ("rmse", "RMSE", 3), ("mae", "MAE", 3), ("bias", "bias", 3),
    ("r_area", "R, by area", 4), ("rmse_area", "RMSE, by area", 3), ("mae_area", "MAE, by area", 3),
    ("bias_area", "bias, by area", 3),
)  # fmt: skip
WITHOUT_UNIT = ("n", "r", "r_area")
OVERALL = {"all": "All pairs", "cells": "Means of the stations of one cell", "stations": "Median of the stations"}
HOURS = {
    "analysis": "An analysis takes part",
    "interpolated": "No analysis takes part",
    "interpolated_across_assimilation_windows": "No analysis takes part, across assimilation windows",
}
HOURS_IN_WORDS = (
    "An analysis takes part in a pair if one of the fields that its hour is the mean of is an analysis. Measurements "
    "with stamps at half hours, as in India, always have one: so the rows differ in their stations too."
)
DIFFERENCE_METRICS = {**HEADLINES, "mae": "MAE", "bias": "|MB|"}
METHODS = {
    "Downscaling in time and space: Xiao et al. (2022)":
        "https://www.sciencedirect.com/science/article/pii/S004896972204846X",
    "Networks for chemical reanalyses: Lyu et al. (2022)": "https://doi.org/10.5194/gmd-15-1583-2022",
    "CAMS EAC4: Inness et al. (2019)": "https://doi.org/10.5194/acp-19-3515-2019",
    "Measurements: OpenAQ": "https://openaq.org",
}  # fmt: skip
CITE_FILE = "Cite deepcams (CITATION.cff), those who made the fields, and the agencies that measured."
CITE = (
    "Cite deepcams (CITATION.cff), Xiao et al. (2022) and Lyu et al. (2022), whose methods it implements, Inness "
    "et al. (2019) for CAMS EAC4, and the agencies that measured. The licence of CAMS asks for the sentence “Generated "
    "using Copernicus Atmosphere Monitoring Service information [year]”."
)
_URI = re.compile(r"data:image/(?:png|webp|jpeg|gif);base64,[A-Za-z0-9+/]+=*")


def done(validation: Validation, details: Mapping[str, str]) -> str:
    """A short list of what was done, from the summary and the settings."""
    summary, names = validation.summary, validation.names
    grid, stations = summary.get("grid") or {}, summary["stations"]
    steps = summary.get("steps") or {}
    resolution = f" at {steps['product']:g}°" if steps.get("product") else ""
    size = f", {grid['rows']} × {grid['columns']} nodes" if grid.get("rows") else ""
    items = [f"{capitalised(subject(names['product']))}{resolution}{size}, {' to '.join(validation.period)}."]
    if "cams" in names:
        coarse = f" at {steps['cams']:g}°" if steps.get("cams") else ""
        items.append(f"{names['cams']}{coarse} is scored beside it, on the same pairs of station and hour; in time it "
                     "is linear between its analyses.")  # fmt: skip
    networks = details.get("networks", "")
    if networks and not networks.startswith("{"):
        items.append(f"Networks: {networks}.")
    if networks:
        items.append("Networks, closure and all other settings are listed under Provenance.")
    counts = _totals(validation)
    if len(counts) > 1:
        first, *removed, last = _through_quality_control(counts)
        kept = f"Quality control kept {_count(last[1])} of {_count(first[1])} measurements"
        acted = [step for step, count in sorted(removed, key=lambda item: -item[1]) if count]
        items.append(f"{kept}; most of the rest was “{acted[0]}”." if acted else f"{kept}.")
    if stations["number"]:
        rule = "A measurement of the hour before its time stamp is compared with the mean of the field over that hour"
        if summary.get("daily"):
            rule = "Measurements are averaged over the days of the fields and compared with these"
        items.append(f"{rule}: {_count(stations.get('pairs') or 0)} pairs, {_count(stations['number'])} station(s). "
                     f"Daily means need {stations['settings'].get('daily_hours', '–')} hours.")  # fmt: skip
    if summary.get("truth"):
        items.append("The input was made from a known hourly field, so that the whole chain is scored against it too.")
    text = f'<h3>What was done</h3><ul class="done">{"".join(f"<li>{escape(item)}</li>" for item in items)}</ul>'
    if not summary.get("year"):  # a file of others', made by other methods
        return text
    sources = " · ".join(f'<a href="{link}">{escape(name)}</a>' for name, link in METHODS.items())
    return f'{text}<p class="note">{sources}</p>'


def slider(path: str | Path | None) -> str:
    """Maps hour by hour, with one range to move through time. Raises DeepcamsError for other files."""
    if path is None:
        return ""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        fields = content["fields"]
        pictures = [uri for item in fields for uri in item["frames"]] + [content["colour_bar"]]
        sound = len(fields) and all(isinstance(uri, str) and _URI.fullmatch(uri) for uri in pictures)
        sound = sound and all(len(item["at"]) == len(content["times"]) for item in fields)
        sound = sound and all(0 <= at < len(item["frames"]) for item in fields for at in item["at"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeepcamsError(f"{path} cannot be read ({error}); delete it and run the workflow again.") from error
    if not sound:
        raise DeepcamsError(f"{path} does not hold pictures for each of its times; delete it and run it again.")
    if not content["times"]:
        return ""
    maps = "".join(
        f'<figure><figcaption>{escape(item["label"])}</figcaption><img alt="{escape(item["label"])}" '
        f'src="{item["frames"][item["at"][0]]}"></figure>'
        for item in fields
    )
    last = len(content["times"]) - 1
    return f"""<div id="slider-view" class="slider">
<div class="controls"><button type="button" id="slider-play" aria-pressed="false">Play</button>
<input id="slider-range" type="range" min="0" max="{last}" value="0" step="1" aria-label="Time">
<output id="slider-time" for="slider-range"></output></div>
<div class="frames">{maps}</div>
<img class="colour-bar" alt="Colours: {escape(label())} in {text_unit()}" src="{content["colour_bar"]}">
</div>{data("slider", content)}"""


def animation(path: str | Path | None, output: str | Path) -> str:
    """A link to an animated picture, which is a file of its own: a page that is mailed comes without it."""
    if path is None:
        return ""
    address = os.path.relpath(path, Path(output).parent).replace(os.sep, "/")
    folder, _, name = address.rpartition("/")
    where = f"in the folder {folder} beside this page" if folder else "beside this page"
    return (
        f'<p class="note">The same as an animation, for slides: <a href="{escape(address)}">{escape(name)}</a> '
        f"{escape(where)}.</p>"
    )


def score_tables(validation: Validation) -> str:
    """Scores, differences from the reference, and exceedances."""
    return scores(validation) + differences(validation) + exceedances(validation)


def scores(validation: Validation) -> str:
    """The table of all scores, to choose from by averaging and grouping."""
    table = validation.scores
    if table.empty:
        return ""
    view = table["by"].where(~table["by"].isin([*OVERALL, "hours"]), "overall")
    group = [_group(by, name) for by, name in zip(table["by"], table["group"], strict=True)]
    table = table.assign(view=view, group=group)
    base, columns, values = score_columns(table, ["resolution", "view", "group", "stations"], validation.names)
    options = [(name, "overall" if name == "overall" else f"by {name}") for name in dict.fromkeys(base["view"])]
    by_hours = [HOURS_IN_WORDS] if (table["by"] == "hours").any() else []
    words = " ".join([SCORES_IN_WORDS, *by_hours, _rules(validation)])
    return "<h3>Scores</h3>" + data_table(
        "scores",
        [Column("averaging", hidden=True), Column("view", hidden=True), Column("Pairs of"), Column("stations", "", 0),
         *columns],
        [listed(base["resolution"]), listed(base["view"]), listed(base["group"]), listed(base["stations"]), *values],
        [("Values", 0, [(name, name) for name in dict.fromkeys(base["resolution"])]), ("Show", 1, options)],
        f"scores_{validation.title}",
    ) + f'<p class="note">{words}</p>'  # fmt: skip


def differences(validation: Validation) -> str:
    """Differences of the product from the reference, with intervals and verdicts."""
    table = validation.differences
    if table.empty:
        return ""
    table = table[table["metric"].isin(DIFFERENCE_METRICS)]
    names = validation.names
    digits = max(2, concentration_digits(table.loc[table["metric"] == "rmse", "product"]) + 1)
    columns = [Column("averaging", hidden=True), Column("of", hidden=True), Column("Group"), Column("Score"),
               Column(names["product"], "", digits, mark="product"), Column(names["cams"], "", digits, mark="cams"),
               Column("difference", "", digits), Column("low", "", digits), Column("high", "", digits),
               Column("days", "", 0), Column("verdict")]  # fmt: skip
    values = [
        listed(table["resolution"]),
        listed(table["by"]),
        listed(_group(by, name) for by, name in zip(table["by"], table["group"], strict=True)),
        listed(table["metric"].map(_with_unit)),
        *(listed(table[key]) for key in ("product", "cams", "difference", "low", "high", "days")),
        listed(table["verdict"]),
    ]
    options = [(name, {"all": "all pairs", "stations": "medians of stations"}.get(name, f"by {name}"))
               for name in dict.fromkeys(table["by"])]  # fmt: skip
    text = data_table(
        "differences", columns, values,
        [("Values", 0, [(name, name) for name in dict.fromkeys(table["resolution"])]), ("Show", 1, options)],
        f"differences_{validation.title}",
    )  # fmt: skip
    return (
        f"<h3>Differences from {escape(names['cams'])}</h3>{text}"
        f'<p class="note">{escape(capitalised(names["product"]))} minus {escape(names["cams"])}, with the interval of '
        f"{100 * LEVEL:.0f} % of paired resampling in blocks of days; of the mean bias its size. "
        "“Better” only where the whole interval lies on the better side of zero.</p>"
    )


def exceedances(validation: Validation) -> str:
    """Hits and false alarms at thresholds."""
    table = validation.table("exceedances")
    if table.empty:
        return ""
    names = validation.names
    columns = [Column("averaging", hidden=True), Column("Above", text_unit(), 1), Column("Field"), Column("N", "", 0),
               Column("hits", "", 0), Column("misses", "", 0), Column("false alarms", "", 0),
               Column("correct negatives", "", 0), Column("hit rate", "%", 1), Column("false alarm ratio", "%", 1),
               Column("CSI", "%", 1)]  # fmt: skip
    counts = ("n", "hits", "misses", "false_alarms", "correct_negatives")
    values = [
        listed(table["resolution"]),
        listed(table["threshold"]),
        listed(names.get(field, field) for field in table["field"]),
        *(listed(table[key], 12) for key in counts),
        *(listed(100 * table[key]) for key in ("hit_rate", "false_alarm_ratio", "csi")),
    ]
    resolutions = [(name, name) for name in dict.fromkeys(table["resolution"])]
    text = data_table("exceedances", columns, values, [("Values", 0, resolutions)], f"exceedances_{validation.title}")
    return (
        f"<h3>Exceedances</h3>{text}"
        '<p class="note">Hit rate: hits over all observed exceedances; false alarm ratio: false alarms over all '
        "modelled ones; CSI: hits over hits, misses and false alarms.</p>"
    )


def quality_control(validation: Validation) -> str:
    """What each step of the quality control and of the collocation left out, and where."""
    table = validation.table("counts")
    if table.empty:
        return ""
    totals = _totals(validation)
    most = max(count for _, count in totals) or 1
    bars = []
    for step, count in totals:
        whole = " whole" if step in ("measurements read", "measurements kept", "pairs") else ""
        share = number(count / totals[0][1], -2) if totals[0][1] else "–"
        width = max(100 * count / most, 0.4 * (count > 0))
        bars.append(
            f'<tr class="step{whole}"><th scope="row">{escape(step)}</th><td class="bar" aria-hidden="true">'
            f'<svg viewBox="0 0 100 8" preserveAspectRatio="none"><rect width="{width:.2f}" height="8"/>'
            f"</svg></td><td>{_count(count)}</td><td>{share}</td></tr>"
        )
    wide = table.pivot_table(index="country", columns="step", values="number", aggfunc="sum", sort=False, fill_value=0)
    wide = wide[[step for step, _ in totals]]
    wide = wide.sort_values(wide.columns[0], ascending=False, kind="stable")
    by_country = data_table(
        "counts",
        [Column("Country"), *(Column(step, "", 0) for step in wide)],
        [[country_name(code) for code in wide.index], *(listed(wide[step], 12) for step in wide)],
        file=f"counts_{validation.title}",
    )
    return (
        '<p class="note">Numbers of measurements; each is counted in the first step that leaves it out.</p>'
        '<div class="scroll" tabindex="0"><table class="counts"><thead><tr><th scope="col">Step</th><th></th>'
        f'<th scope="col">number</th><th scope="col">of those read</th></tr></thead>'
        f"<tbody>{''.join(bars)}</tbody></table></div><details><summary>By country</summary>{by_country}</details>"
    )


def truth(summary: dict, figure: str) -> str:
    """Scores of the whole chain against the known truth."""
    if not summary.get("truth"):
        return ""
    parts = [
        "<p>Here the input was made from a known hourly 0.25° field. These are the scores of the whole chain against "
        "it: the product, and simpler ways to bring the same input to 0.25° and one hour.</p>",
        figure,
    ]
    columns = [(key, heading if key in WITHOUT_UNIT else f"{heading} ({text_unit()})", digits)
               for key, heading, digits in TRUTH_COLUMNS]  # fmt: skip
    for hours in ("all", "analysis", "interpolated"):
        rows = [row for row in summary["truth"] if row["hours"] == hours]
        parts.append(f"<h3>{capitalised(hours)} hours</h3>{score_table(rows, columns)}")
    parts.append('<p class="note">“By area”: cells weighted by their area.</p>')
    return "".join(parts)


def provenance(summary: dict, details: Mapping[str, str]) -> str:
    """Settings, the product's attributes, and how to cite."""
    parts = [f"<h3>Settings</h3>{key_values(details.items())}"] if details else []
    if summary.get("attributes"):
        parts.append(f"<h3>Attributes of the product</h3>{key_values(summary['attributes'].items())}")
    return "".join([*parts, f"<h3>How to cite</h3><p>{CITE if summary.get('year') else CITE_FILE}</p>"])


def _with_unit(metric: str) -> str:
    return DIFFERENCE_METRICS[metric] if metric == "r" else f"{DIFFERENCE_METRICS[metric]} ({text_unit()})"


def _group(by: str, name: str) -> str:
    if by in OVERALL:
        return OVERALL[by]
    if by == "hours":
        return HOURS.get(name, name.replace("_", " "))
    return country_name(name) if by == "country" else name or "–"


def _rules(validation: Validation) -> str:
    settings = validation.summary["stations"].get("settings") or {}
    words = {"daily_hours": "daily means have at least {} hours", "monthly_days": "monthly means {} days",
             "station_pairs": "stations in the median {} pairs"}  # fmt: skip
    rules = [text.format(settings[name]) for name, text in words.items() if name in settings]
    return f"Of values, {', '.join(rules)}." if rules else ""


def _totals(validation: Validation) -> list[tuple[str, int]]:
    """Each step with its number over all countries, in order: (step, number)."""
    table = validation.table("counts")
    if table.empty:
        return []
    totals: pd.Series = table.groupby("step", sort=False)["number"].sum()
    return [(str(step), int(count)) for step, count in totals.items()]


def _through_quality_control(counts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Without what follows "measurements kept": reasons of collocation."""
    names = [name for name, _ in counts]
    return counts[: names.index("measurements kept") + 1] if "measurements kept" in names else counts


def _count(value: float) -> str:
    return number(value, -1)
