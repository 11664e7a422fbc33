"""Tables of the report as HTML. Every text that comes from data is escaped."""

import math
from collections.abc import Iterable, Sequence
from html import escape


def score_table(rows: Iterable[dict], columns: Sequence[tuple[str, str, int]], label: str = "method") -> str:
    """Rows of scores. columns : (key, heading, digits); digits -1 for counts, -2 for per cent."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for _, heading, _ in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(str(row[label]))}</th>'
        + "".join(f"<td>{number(row.get(key), digits)}</td>" for key, _, digits in columns)
        + "</tr>"
        for row in rows
    )
    return wrap(f'<thead><tr><th scope="col"></th>{head}</tr></thead><tbody>{body}</tbody>')


def key_values(items: Iterable[tuple[str, object]]) -> str:
    """Two columns: name and value."""
    body = "".join(
        f'<tr><th scope="row">{escape(str(key))}</th><td class="text">{escape(_text(value))}</td></tr>'
        for key, value in items
    )
    return wrap(f"<tbody>{body}</tbody>")


def number(value: object, digits: int) -> str:
    """A score as text, a dash where it is undefined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if digits == -1:
        return f"{int(value):,}".replace(",", "\u202f")
    if digits == -2:
        return f"{100 * float(value):.1f}\u202f%".replace("-", "−")
    return f"{float(value):.{digits}f}".replace("-", "−")


def wrap(table: str, css: str = "") -> str:
    """A table that scrolls in itself where it is wider than the page. css : its class."""
    kind = f' class="{css}"' if css else ""
    return f'<div class="scroll" tabindex="0"><table{kind}>{table}</table></div>'


def breakable(name: str) -> str:
    """A method's name as HTML that may be broken after its joints, so that columns stay narrow."""
    return escape(name).replace("+", "+<wbr>").replace("_", "_<wbr>")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
