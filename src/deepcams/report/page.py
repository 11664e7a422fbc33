"""The report of a year and the page of all years: single HTML files that need nothing else and load nothing."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from deepcams.report import sections, shell
from deepcams.report.captions import captions, has_content
from deepcams.report.explorer import explorer
from deepcams.report.fields_section import fields_section
from deepcams.report.folder import Validation, read_validation
from deepcams.report.fusion_section import fusion_section
from deepcams.report.headline import headline, statements
from deepcams.report.networks import Evaluation, networks_section, read_differences, read_evaluation
from deepcams.report.quantity import label
from deepcams.report.shell import picture, write_page
from deepcams.report.verdicts import evaluation_verdict, station_verdicts, truth_verdict
from deepcams.report.years import years_sections

MAPS = ("mean", "sequence", "zoom")
SCORED = ("scorecard", "scatter", "taylor", "target", "exceedances", "diurnal", "series")


def write_year_report(
    output: str | Path,
    *,
    folder: str | Path,
    figures: Mapping[str, str | Path],
    slider: str | Path | None = None,
    evaluations: Sequence[Evaluation] = (),
    curves: Sequence[tuple[str, str | Path]] = (),
    fusion: str | Path | None = None,
    fusion_figures: Mapping[str, str | Path] | None = None,
    details: Mapping[str, str] | None = None,
    index: str | None = "index.html",
) -> None:
    """Write the report of a year, or of any validated file.

    folder : with the files of a validation (`deepcams.validation.summary`).  figures : name (see `captions`) → PNG;
    what is missing, or was drawn of an empty table, is left out; "animation" → a GIF, which is linked to.
    slider : JSON of `deepcams.report.slider`.
    evaluations : scores of the networks on their test year.  curves : caption and PNG of each network's training.
    fusion, fusion_figures : folder and figures of `fusion_section.fusion_section`; None: nothing was fused.
    details : what was run, by name: networks, degradation, months, settings.  index : link to the page of all years,
    None for no link.
    Raises DeepcamsError if a file cannot be read, or if the page would be larger than 10 MB.
    """
    validation = read_validation(folder)
    summary, details = validation.summary, details or {}
    words = captions(validation)
    tables = [(item, read_evaluation(item), read_differences(item)) for item in evaluations]
    verdicts = [*station_verdicts(validation), truth_verdict(summary)]
    verdicts += [evaluation_verdict(item.title, rows) for item, _, rows in tables if item.judged]
    found = {name: picture(path, words.get(name, ""), name) for name, path in figures.items()
             if name != "animation" and has_content(name, validation)}  # fmt: skip

    def pictures(*names: str) -> str:
        return "".join(found.get(name, "") for name in names)

    contents = {
        "summary": headline(validation) + statements(verdicts) + sections.done(validation, details),
        "maps": sections.slider(slider) + sections.animation(figures.get("animation"), output) + pictures(*MAPS),
        "stations": "",  # last of all, since it takes the room that is left
        "scores": sections.score_tables(validation) + pictures(*SCORED, *(() if summary.get("truth") else ("scores",))),
        "fields": fields_section(validation, found),
        "quality": sections.quality_control(validation),
        "fusion": fusion_section(fusion, fusion_figures),
        "networks": networks_section(tables, found),
        "training": "".join(picture(path, caption, "curves") for caption, path in curves),
        "truth": sections.truth(summary, pictures("scores")),
        "provenance": sections.provenance(summary, details),
    }
    room = shell.LARGEST - shell.ROOM - sum(len(text.encode()) for text in contents.values())
    room -= len(pictures("stations"))
    contents["stations"] = (explorer(validation, room) or NO_STATION) + pictures("stations")
    write_page(
        output,
        title=_title(validation),
        lead=_lead(validation),
        banner=shell.banner(summary.get("synthetic")),
        sections=[(name, HEADINGS[name], content) for name, content in contents.items()],
        extra_link=f'<a href="{escape(index)}">All years</a>' if index else "",
    )


HEADINGS = {
    "summary": "Summary",
    "maps": "Maps",
    "stations": "Stations",
    "scores": "Scores",
    "fields": "Fields",
    "quality": "Quality control",
    "fusion": "Station fusion",
    "networks": "Networks",
    "training": "Training",
    "truth": "Against the truth",
    "provenance": "Provenance",
}
NO_STATION = "<p>No station measurement could be compared with the product.</p>"


def write_index(
    output: str | Path,
    *,
    folders: Sequence[str | Path],
    scatter: str | Path | None = None,
    record: str | Path | None = None,
    links: Mapping[int, str] | None = None,
    software: str | None = None,
) -> None:
    """Write the page of all years.

    folders : with the files of each year's validation.  scatter : PNG of the density scatters of the years.
    record : CSV with the columns of scores.csv, whose `group` is a year or "all years"; None: from the folders.
    links : year → address of its report, by default "{year}.html".  software : address of the software bill beside the
    page; None: there is none.
    """
    years = sorted((read_validation(folder) for folder in folders), key=lambda year: year.title)
    marks = [year.summary["synthetic"] for year in years if year.summary.get("synthetic")]
    write_page(
        output,
        title=f"Hourly 0.25° surface {label()}",
        lead="CAMS EAC4 downscaled from 0.75° and 3 hours to 0.25° and 1 hour, by year.",
        banner=shell.banner(marks[0] if marks else None),
        sections=[*years_sections(years, scatter, record, links or {}), ("software", "Software", _software(software))],
    )


def _software(bill: str | None) -> str:
    if not bill:
        return ""
    link = f'<a href="{escape(bill)}">{escape(bill)}</a>'
    return f"<p>What was installed where this page was written, with versions and licences: {link} (CycloneDX).</p>"


def _title(validation: Validation) -> str:
    if validation.summary.get("year"):
        return f"Hourly 0.25° surface {label()}, {validation.title}"
    return validation.title


def _lead(validation: Validation) -> str:
    what = "CAMS EAC4 downscaled from 0.75° and 3 hours to 0.25° and 1 hour. " if validation.summary.get("year") else ""
    return escape(what) + " to ".join(f'<span class="nowrap">{escape(hour)}</span>' for hour in validation.period)
