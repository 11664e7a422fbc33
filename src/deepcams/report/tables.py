"""Tables of the report: some as HTML, large ones as data that the page's script shows, sorts, filters and saves.

Every text that comes from data is escaped.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape

import numpy as np
import pandas as pd

from deepcams.geography.load import country_table
from deepcams.report.embedded import data
from deepcams.report.quantity import text_unit

UNIT = "the pollutant's"  # stands for its unit
# Scores: heading, unit, whether shown at once, and whether it says the same of every field.
SCORES = {
    "n": ("N", "", True, True),
    "mean_observed": ("observed", UNIT, True, True),
    "mean_modelled": ("mean", UNIT, False, False),
    "sd_observed": ("SD observed", UNIT, False, True),
    "sd_modelled": ("SD", UNIT, False, False),
    "r": ("R", "", True, False),
    "rho": ("ρ", "", False, False),
    "rmse": ("RMSE", UNIT, True, False),
    "crmse": ("CRMSE", UNIT, False, False),
    "mae": ("MAE", UNIT, True, False),
    "mb": ("MB", UNIT, True, False),
    "nmb": ("NMB", "%", True, False),
    "nme": ("NME", "%", False, False),
    "fge": ("FGE", "%", False, False),
    "fac2": ("FAC2", "%", True, False),
    "ioa": ("IOA", "", False, False),
    "kge": ("KGE", "", False, False),
    "mqi": ("MQI", "", False, False),
}
SCORES_IN_WORDS = (
    "R: Pearson’s correlation; ρ: Spearman’s; CRMSE: RMSE without the bias; MB: mean bias, model minus observation; "
    "NMB, NME: bias and error over the observed mean; FGE: fractional gross error; FAC2: share within a factor of two; "
    "IOA: index of agreement; KGE: Kling–Gupta efficiency; MQI: FAIRMODE’s modelling quality indicator, at most 1 "
    "where its quality objective is met."
)


@dataclass(frozen=True)
class Column:
    """A column. digits : after the point; None for text.  sub : second line of its heading, such as a field's name.

    extra : shown only on request.  hidden : only filtered by.  mark : the field whose colour it has.
    """

    label: str
    unit: str = ""
    digits: int | None = None
    sub: str = ""
    extra: bool = False
    hidden: bool = False
    mark: str = ""

    def described(self) -> dict[str, object]:
        """As the page's script takes it, without what is empty."""
        return {
            key: value for key, value in vars(self).items() if value is not None and value is not False and value != ""
        }


def data_table(
    name: str,
    columns: Sequence[Column],
    values: Sequence[Sequence[object]],
    filters: Sequence[tuple[str, int, Sequence[tuple[str, str]]]] = (),
    file: str = "",
) -> str:
    """A table that the page's script shows. values : of each column, as `listed` gives them.

    filters : heading, number of the column, and its (value, label) to choose from.  file : begin of the CSV's name.
    """
    spec = {
        "file": file or name,
        "columns": [column.described() for column in columns],
        "values": list(values),
        "filters": [{"label": label, "column": number, "options": list(map(list, options))}
                    for label, number, options in filters],
    }  # fmt: skip
    return (
        f'<div class="table" data-table="{escape(name)}"><noscript>This table needs JavaScript; the same numbers are '
        f"in the CSV files beside the report.</noscript></div>{data(f'table-{name}', spec)}"
    )


def listed(values: Iterable[object], significant: int = 6) -> list[object]:
    """A column's values as JSON takes them: texts, and numbers of so many digits, None for what is undefined."""
    values = list(values)
    if any(isinstance(value, str) for value in values):
        return [str(value) for value in values]
    return [_compact(float(value), significant) for value in values]


def _compact(value: float, significant: int) -> float | int | None:
    if not math.isfinite(value):
        return None
    if abs(value) >= 10**significant:
        return round(value)
    short = float(f"{value:.{significant}g}")
    return int(short) if short.is_integer() else short


def score_columns(
    table: pd.DataFrame, keys: Sequence[str], names: dict[str, str], scores: Sequence[str] | None = None
) -> tuple[pd.DataFrame, list[Column], list[list[object]]]:
    """Rows of a field each, put side by side: (the keys of each row, columns of scores, their values).

    names : fields and their labels.  scores : which of `SCORES`; None: all that the table has.
    """
    keys = list(keys)
    base = table[keys].drop_duplicates(ignore_index=True)
    rows = pd.MultiIndex.from_frame(base)
    parts = {
        field: table[table["field"] == field].drop_duplicates(keys).set_index(keys).reindex(rows) for field in names
    }
    digits = concentration_digits(table["rmse"]) if "rmse" in table else 2
    columns, values = [], []
    for score in scores or [score for score in SCORES if score in table]:
        _, _, _, shared = SCORES[score]
        for field in [next(iter(names))] if shared else names:
            columns.append(score_column(score, digits, "" if shared else names[field], "" if shared else field))
            values.append(listed(parts[field][score] * (100 if columns[-1].unit == "%" else 1)))
    return base, columns, values


def score_column(score: str, digits: int, sub: str = "", mark: str = "") -> Column:
    """A score's column. digits : of concentrations."""
    label, unit, shown, _ = SCORES[score]
    places = 0 if score == "n" else 1 if unit == "%" else digits if unit == UNIT else 3
    return Column(label, text_unit() if unit == UNIT else unit, places, sub, extra=not shown, mark=mark)


def concentration_digits(errors: Iterable[float]) -> int:
    """Digits after the point that tell errors of this size apart: two from 1 to 100, fewer above, more below."""
    errors = np.asarray(list(errors), float)
    errors = np.abs(errors[np.isfinite(errors)])
    size = float(np.median(errors)) if len(errors) else 10.0
    return sum(size < bound for bound in (1000.0, 100.0, 1.0, 0.1))


@cache
def country_names() -> dict[str, str]:
    """Names of countries by their ISO 3166 codes."""
    return {country.code: country.name for country in country_table() if country.code}


def country_name(code: str) -> str:
    """Germany for DE; the code where it is not known, a dash where there is none."""
    return country_names().get(code, code) or "–"


def score_table(rows: Iterable[dict], columns: Sequence[tuple[str, str, int]], label: str = "method") -> str:
    """Rows of scores. columns : (key, heading, digits); digits -1 for counts, -2 for per cent."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for _, heading, _ in columns)
    body = "".join(
        f'<tr><th scope="row">{breakable(str(row[label]))}</th>'
        + "".join(f"<td>{number(row.get(key), digits)}</td>" for key, _, digits in columns)
        + "</tr>"
        for row in rows
    )
    head = f'<thead><tr><th scope="col">{escape(capitalised(label))}</th>{head}</tr></thead>'
    return wrap(f"{head}<tbody>{body}</tbody>", "methods")


def capitalised(text: str) -> str:
    """Text with a first letter in upper case; all others stay as they are, as those of MERRA-2."""
    return text[:1].upper() + text[1:]


def key_values(items: Iterable[tuple[str, object]]) -> str:
    """A list of names and values."""
    body = "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(_text(value))}</dd>" for key, value in items)
    return f'<dl class="facts">{body}</dl>'


def number(value: object, digits: int) -> str:
    """A score as text, a dash where it is undefined."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
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
