"""The report of a year and the index of all years: single HTML files that need nothing else and load nothing."""

import base64
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import write_text
from deepcams.report.networks import Evaluation, networks_section, read_differences, read_evaluation
from deepcams.report.quantity import label, text_unit
from deepcams.report.tables import key_values, number, score_table
from deepcams.report.verdicts import Verdict, evaluation_verdict, station_verdict, truth_verdict
from deepcams.validation.bootstrap import LEVEL

LARGEST = 10_000_000  # bytes; larger pages make browsers slow
FIELD_NAMES = {"product": "Product", "cams": "CAMS"}
CAPTIONS = {
    "mean": "Mean of CAMS and of the product over the hours of the year, on one logarithmic scale, and their "
    "difference. Colours beyond the ends of a scale are cut off.",
    "sequence": "Above, the analyses of CAMS; below, the product's hours between them.",
    "zoom": "The part of the domain with most structure, at an analysis time.",
    "scores": "Scores by method; the best of each in bold.",
    "differences": "The configured networks against every baseline, over all pairs of the test months, with intervals "
    f"of {100 * LEVEL:.0f} %. Left of zero the network's error is lower.",
    "months": "The same month by month, against each stage's main baseline.",
    "evaluation_temporal_zoom": "In time: the frames before and after, the truth between them, the main baseline and "
    "the configured network, and what both differ by from the truth.",
    "evaluation_spatial_zoom": "In space: the coarse input, the truth, the main baseline and the configured network, "
    "and what both differ by from the truth.",
    "scatter": "Hourly pairs of observation and model, on logarithmic axes, as densities. Dotted: a factor of two.",
    "series": "The station with most pairs.",
    "diurnal": "Mean over all stations by local solar time.",
    "stations": "Stations that could be compared. Grey: too few pairs for scores.",
}
_COUNTS = (
    "<h3>Quality control</h3>"
    '<p class="note">Numbers of measurements; each is counted in the first step that leaves it out.</p>'
)
STATION_COLUMNS = (
    ("n", "N", -1), ("r", "R", 3), ("rmse", "RMSE", 2), ("mae", "MAE", 2), ("bias", "bias", 2), ("nmb", "NMB", -2),
    ("fac2", "FAC2", -2),
)  # fmt: skip
TRUTH_COLUMNS = (
    ("n", "N", -1), ("r", "R", 4), ("rmse", "RMSE", 3), ("mae", "MAE", 3), ("bias", "bias", 3),
    ("r_area", "R, by area", 4), ("rmse_area", "RMSE, by area", 3), ("mae_area", "MAE, by area", 3),
    ("bias_area", "bias, by area", 3),
)  # fmt: skip


def write_year_report(
    output: str | Path,
    *,
    summary_path: str | Path,
    figures: dict[str, str | Path],
    evaluations: Sequence[Evaluation] = (),
    curves: Sequence[tuple[str, str | Path]] = (),
    details: dict[str, str] | None = None,
    index: str | None = "index.html",
) -> None:
    """Write a year's report.

    summary_path : JSON of `validate_year`.  figures : name (see `CAPTIONS`) → PNG, as `plot_year` wrote them.
    evaluations : scores of the networks on their test year.  curves : caption and PNG of each network's training.
    details : what was run, by name: networks, degradation, months, settings.  index : link to the page of all years,
    None for no link.
    Raises DeepcamsError if the page would be larger than 10 MB.
    """
    summary = json.loads(Path(summary_path).read_text(encoding="utf-8"))
    tables = [(item, read_evaluation(item), read_differences(item)) for item in evaluations]
    verdicts = [station_verdict(summary), truth_verdict(summary)]
    verdicts += [evaluation_verdict(item.title, rows) for item, _, rows in tables if item.judged]
    pictures = {name: _picture(path, CAPTIONS.get(name, ""), name) for name, path in figures.items()}
    sections = [
        ("summary", "Summary", _tiles(summary) + _verdicts([v for v in verdicts if v is not None])),
        ("maps", "Maps", "".join(pictures.get(name, "") for name in ("mean", "sequence", "zoom"))),
        ("networks", "Networks", networks_section(tables, pictures)),
        ("training", "Training", "".join(_picture(path, caption, "curves") for caption, path in curves)),
        ("stations", "Stations", _stations(summary, pictures)),
        ("truth", "Against the truth", _truth(summary, pictures)),
        ("checks", "Checks", _checks(summary)),
        ("provenance", "Provenance", _provenance(summary, details or {})),
    ]
    year = summary["year"]
    title = f"Hourly 0.25° surface {label()}, {year}"
    hours = f"{summary['first_hour'].replace('T', ' ')[:16]} to {summary['last_hour'].replace('T', ' ')[:16]} UTC"
    _write(
        output,
        title=title,
        lead=escape(f"CAMS EAC4 downscaled from 0.75° and 3 hours to 0.25° and 1 hour. {hours}."),
        banner=_banner(summary["synthetic"]),
        sections=[section for section in sections if section[2]],
        extra_link=f'<a href="{escape(index)}">All years</a>' if index else "",
    )


def write_index(output: str | Path, *, summaries: Sequence[str | Path], links: dict[int, str] | None = None) -> None:
    """Write the page of all years.

    summaries : JSON files of `validate_year`.  links : year → address of its report, by default "{year}.html".
    """
    years = sorted((json.loads(Path(path).read_text(encoding="utf-8")) for path in summaries), key=lambda s: s["year"])
    head = ("Year", "Hours", "Stations", "R, CAMS", "R, product", "RMSE, CAMS", "RMSE, product", "bias, product")
    rows = []
    for summary in years:
        year = summary["year"]
        link = escape((links or {}).get(year, f"{year}.html"))
        scores = {row["field"]: row for row in summary["stations"]["scores"] if row["selection"] == "all hours"}
        cams, product = scores.get("cams", {}), scores.get("product", {})
        cells = [
            number(summary["fields"]["product"]["hours"], -1),
            number(summary["stations"]["number"], -1),
            number(cams.get("r"), 3),
            number(product.get("r"), 3),
            number(cams.get("rmse"), 2),
            number(product.get("rmse"), 2),
            number(product.get("bias"), 2),
        ]
        mark = " (synthetic)" if summary["synthetic"] else ""
        rows.append(
            f'<tr><th scope="row"><a href="{link}">{year}</a>{mark}</th>'
            + "".join(f"<td>{c}</td>" for c in cells)
            + "</tr>"
        )
    table = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = f"<table><thead><tr>{table}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    body = f'<div class="scroll" tabindex="0">{body}</div>'
    body += f'<p class="note">Scores of hourly pairs at stations; RMSE and bias in {text_unit()}.</p>'
    findings = [
        f"<h3>{summary['year']}</h3>{_verdicts(found)}"
        for summary in years
        if (found := [v for v in (station_verdict(summary), truth_verdict(summary)) if v is not None])
    ]
    marks = [summary["synthetic"] for summary in years if summary["synthetic"]]
    sections = [("years", "Years", body)]
    if findings:
        sections.append(("findings", "Findings", "".join(findings)))
    _write(
        output,
        title=f"Hourly 0.25° surface {label()}",
        lead="CAMS EAC4 downscaled from 0.75° and 3 hours to 0.25° and 1 hour, by year.",
        banner=_banner(marks[0] if marks else None),
        sections=sections,
        extra_link="",
    )


def _write(
    output: str | Path, *, title: str, lead: str, banner: str, sections: list[tuple[str, str, str]], extra_link: str
) -> None:
    links = [f'<a href="#{name}">{heading}</a>' for name, heading, _ in sections] if len(sections) > 2 else []
    links += [extra_link] if extra_link else []
    page = Template((files("deepcams.report") / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        lead=lead,
        banner=banner,
        navigation=f"<nav>{''.join(links)}</nav>" if links else "",
        body="\n".join(
            f'<section id="{name}"><h2>{heading}</h2>{content}</section>' for name, heading, content in sections
        ),
        footer=f"Made by deepcams. Concentrations are in {text_unit()}, times in UTC unless stated otherwise.",
    )
    size = len(page.encode())
    if size > LARGEST:
        raise DeepcamsError(
            f"The report {output} would have {size / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f} MB; "
            "leave out some of its figures."
        )
    write_text(output, page)


def _banner(synthetic: str | None) -> str:
    if not synthetic:
        return ""
    return (
        '<div class="banner" role="note"><strong>Synthetic data</strong>'
        f"{escape(synthetic[:1].upper() + synthetic[1:].rstrip('.'))}. "
        "Nothing on this page is a measurement or an estimate of real air.</div>"
    )


def _tiles(summary: dict) -> str:
    scores = {(row["selection"], row["field"]): row for row in summary["stations"]["scores"]}
    fields = summary["fields"]["product"]
    tiles = [
        (number(fields["hours"], -1), "hourly fields"),
        (number(fields["mean"], 1), f"mean of the product, by area, {text_unit()}"),
        (number(summary["stations"]["number"], -1), "stations compared"),
    ]
    if ("all hours", "product") in scores:
        product, cams = scores["all hours", "product"], scores["all hours", "cams"]
        tiles.append((number(product["r"], 3), f"R at stations, hourly (CAMS {number(cams['r'], 3)})"))
        tiles.append((number(product["rmse"], 2), f"RMSE at stations, {text_unit()} (CAMS {number(cams['rmse'], 2)})"))
    truth = {row["method"]: row for row in summary["truth"] if row["hours"] == "all"}
    if "product" in truth:
        tiles.append((number(truth["product"]["rmse_area"], 3), f"RMSE against the truth, by area, {text_unit()}"))
    boxes = "".join(f'<div class="tile"><b>{value}</b><span>{what}</span></div>' for value, what in tiles)
    return f'<div class="tiles">{boxes}</div>'


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    return "".join(f'<p class="verdict {"good" if v.better else "bad"}">{escape(v.text)}</p>' for v in verdicts)


def _picture(path: str | Path, caption: str, name: str) -> str:
    data = Path(path).read_bytes()
    if not data.startswith(b"\x89PNG"):
        raise DeepcamsError(f"{path} is not a PNG file; delete it and run the workflow again.")
    narrow = ' class="narrow"' if name == "diurnal" else ""
    return (
        f'<figure{narrow}><div class="scroll" tabindex="0"><img alt="{escape(caption or name)}" '
        f'src="data:image/png;base64,{base64.b64encode(data).decode()}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _stations(summary: dict, pictures: dict[str, str]) -> str:
    stations = summary["stations"]
    counts = key_values((step, f"{count:,}".replace(",", "\u202f")) for step, count in stations["counts"].items())
    if not stations["number"]:
        return f"<p>No station measurement could be compared with the product.</p>{_COUNTS}{counts}"
    rows = [
        {**row, "label": f"{_label(row['selection'])}: {FIELD_NAMES[row['field']]}"}
        for row in sorted(stations["scores"], key=lambda row: _order(row["selection"]))
    ]
    days = stations["settings"]["daily_hours"]
    return (
        "<p>A measurement of the hour before its time stamp is compared with the mean of the fields at both its ends; "
        "CAMS is linear in time between its analyses. Both are scored on the same pairs. Bias: model minus "
        "observation.</p>"
        + "".join(pictures.get(name, "") for name in ("scatter", "stations", "diurnal", "series"))
        + ("" if summary["truth"] else pictures.get("scores", ""))
        + "<h3>Scores</h3>"
        + score_table(rows, STATION_COLUMNS, "label")
        + f'<p class="note">RMSE, MAE and bias in {text_unit()}. Analysis hours: one end of the hour is an analysis. '
        "Cell means: stations of one 0.25° cell averaged. Daily means: days (UTC) with at least "
        f"{days} pairs. Median of stations: N is the number of stations with at least "
        f"{stations['settings']['station_pairs']} pairs.</p>"
        f"{_COUNTS}{counts}"
    )


def _label(selection: str) -> str:
    return selection.replace("interpolated_across_assimilation_windows", "across assimilation windows,")


def _order(selection: str) -> tuple[int, str]:
    fixed = ("all hours", "analysis hours", "interpolated hours", "interpolated_across_assimilation_windows hours",
             "cell means", "daily means", "median of stations")  # fmt: skip
    return (fixed.index(selection), "") if selection in fixed else (len(fixed), selection)


def _truth(summary: dict, pictures: dict[str, str]) -> str:
    if not summary["truth"]:
        return ""
    parts = [
        "<p>Here the input was made from a known hourly 0.25° field. These are the scores of the whole chain against "
        "it: the product, and simpler ways to bring the same input to 0.25° and one hour.</p>",
        pictures.get("scores", ""),
    ]
    for hours in ("all", "analysis", "interpolated"):
        rows = [row for row in summary["truth"] if row["hours"] == hours]
        parts.append(f"<h3>{hours.capitalize()} hours</h3>{score_table(rows, TRUTH_COLUMNS)}")
    parts.append(f'<p class="note">RMSE, MAE and bias in {text_unit()}; “by area”: cells weighted by their area.</p>')
    return "".join(parts)


def _checks(summary: dict) -> str:
    found = summary["fields"]["product"]
    good = not (found["negative_cells"] or found["missing_cells"] or found["infinite_cells"] or found["missing_hours"])
    text = (
        "Every hour has a field, and no value is missing, infinite or negative."
        if good
        else "The product is not complete: see the counts below."
    )
    items = [(name.replace("_", " "), "–" if value is None else value) for name, value in found.items()]
    return f'<p class="verdict {"good" if good else "bad"}">{text}</p>{key_values(items)}'


def _provenance(summary: dict, details: dict[str, str]) -> str:
    parts = [f"<h3>Settings</h3>{key_values(details.items())}"] if details else []
    return "".join([*parts, f"<h3>Attributes of the product</h3>{key_values(summary['attributes'].items())}"])
