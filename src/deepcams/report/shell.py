"""The frame of every page: one HTML file with its style, its script and its data, which may load nothing."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from deepcams.errors import DeepcamsError
from deepcams.files.atomic import write_text
from deepcams.report.quantity import text_unit

LARGEST = 10_000_000  # bytes; larger pages make browsers slow
ROOM = 400_000  # of these, for the page's own frame, style and script, and texts


def write_page(
    output: str | Path,
    *,
    title: str,
    lead: str,
    banner: str,
    sections: Sequence[tuple[str, str, str]],
    extra_link: str = "",
) -> None:
    """Write a page. sections : name, heading and HTML of each; empty ones are left out.  extra_link : HTML.

    Raises DeepcamsError if the page would be larger than 10 MB; nothing is written then.
    """
    sections = [section for section in sections if section[2]]
    links = [f'<a href="#{name}">{escape(heading)}</a>' for name, heading, _ in sections]
    style = _resource("page.css")
    script = f'"use strict";(() => {{\n{_resource("explorer.js")}\n{_resource("page.js")}\n}})();'
    page = Template(_resource("page.html")).substitute(
        policy=_policy(script),
        style=style,
        script=script,
        title=escape(title),
        lead=lead,
        banner=banner,
        navigation="".join([*links, extra_link]),
        body="\n".join(
            f'<section id="{name}"><h2>{escape(heading)}</h2>\n{content}</section>'
            for name, heading, content in sections
        ),
        footer=f"Made by deepcams. Concentrations are in {text_unit()}, times in UTC unless stated otherwise. "
        "Sort a table by its headings.",
    )
    size = len(page.encode())
    if size > LARGEST:
        raise DeepcamsError(
            f"The report {output} would have {size / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f} MB; "
            "leave out some of its figures."
        )
    write_text(output, page)


def banner(synthetic: str | None) -> str:
    """What says loudly that data are synthetic; nothing for real ones."""
    if not synthetic:
        return ""
    return (
        '<div class="banner" role="note"><strong>Synthetic data</strong>'
        f"{escape(synthetic[:1].upper() + synthetic[1:].rstrip('.'))}. "
        "Nothing on this page is a measurement or an estimate of real air.</div>"
    )


def picture(path: str | Path, caption: str, name: str) -> str:
    """A PNG as a figure with its caption. Raises DeepcamsError if the file is none."""
    content = Path(path).read_bytes()
    if not content.startswith(b"\x89PNG"):
        raise DeepcamsError(f"{path} is not a PNG file; delete it and run the workflow again.")
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return (
        f'<figure class="picture of-{escape(name)}"><div class="scroll" tabindex="0">'
        f'<img alt="{escape(caption or name)}" loading="lazy" src="{source}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _resource(name: str) -> str:
    return (files("deepcams.report") / name).read_text(encoding="utf-8").strip()


def _policy(script: str) -> str:
    """No network at all, and no script but the page's own: what a hostile text could start is refused as well."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
