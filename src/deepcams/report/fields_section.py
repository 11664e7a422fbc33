"""The report's section on whole fields: is the product complete, how fine does it resolve, does it beat."""

from collections.abc import Mapping
from html import escape

from deepcams.report.folder import Validation
from deepcams.report.quantity import text_unit
from deepcams.report.tables import Column, concentration_digits, data_table, key_values, listed, number

_COMPLETE = ("negative_cells", "missing_cells", "infinite_cells", "missing_hours")


def fields_section(validation: Validation, pictures: Mapping[str, str]) -> str:
    """HTML: a statement, extremes, spectra, the beat, and every check."""
    checks = validation.summary["fields"]["product"]
    good = not any(checks.get(name) for name in _COMPLETE)
    text = (
        "Every hour has a field, and no value is missing, infinite or negative."
        if good
        else "The product is not complete: see the counts below."
    )
    parts = [f'<p class="verdict {"good" if good else "bad"}">{text}</p>', _extremes(validation)]
    if "spectra" in pictures or validation.summary.get("spectra"):
        parts += ["<h3>Spectra</h3>", _resolution(validation), pictures.get("spectra", "")]
    if "beat" in pictures or validation.summary.get("beat"):
        parts += ["<h3>Beat of three hours</h3>", _beat(validation), pictures.get("beat", "")]
    items = [
        (name.replace("_", " "), "–" if value is None else value)
        for name, value in checks.items()
        if not isinstance(value, dict)
    ]
    return "".join([*parts, "<h3>All checks</h3>", key_values(items)])


def _extremes(validation: Validation) -> str:
    names = validation.names
    found = {field: (validation.summary["fields"].get(field) or {}).get("quantiles") or {} for field in names}
    levels = sorted({float(level) for quantiles in found.values() for level in quantiles})
    if not levels:
        return ""
    value = {field: {float(level): float("nan") if x is None else float(x) for level, x in quantiles.items()}
             for field, quantiles in found.items()}  # fmt: skip
    columns = [Column("Quantile", "%", 2)]
    values = [listed(100 * level for level in levels)]
    digits = concentration_digits(value["product"].get(level, float("nan")) for level in levels)
    for field, name in names.items():
        columns.append(Column(name, text_unit(), digits, mark=field))
        values.append(listed(value[field].get(level, float("nan")) for level in levels))
    text = data_table("extremes", columns, values, file=f"quantiles_{validation.title}")
    return f'<h3>Extremes</h3>{text}<p class="note">Of all values, each weighted by the area of its cell.</p>'


def _resolution(validation: Validation) -> str:
    found = validation.summary.get("spectra") or {}
    words = [
        f"{name}, {number(found[field]['effective_resolution'], 0)} km"
        for field, name in validation.names.items()
        if (found.get(field) or {}).get("effective_resolution") is not None
    ]
    return f"<p>Effective resolution: {escape('; '.join(words))}.</p>" if words else ""


def _beat(validation: Validation) -> str:
    found = validation.summary.get("beat") or {}
    words = []
    for field, name in validation.names.items():
        row = found.get(field) or {}
        if row.get("ratio") is None:
            continue
        text = f"{name[:1].upper() + name[1:]}: {number(row['ratio'], 3)}"
        if row.get("low") is not None and row.get("high") is not None:
            says = "a beat is found" if row["low"] > 1 else "no beat is found"
            text += f" (interval {number(row['low'], 3)} … {number(row['high'], 3)}: {says})"
        words.append(text)
    if not words:
        return ""
    return (
        "<p>Variance of fine detail at the hours of analyses over that at the hours between; above 1 with a beat, as "
        "interpolation in time leaves it. "
        f"{escape('; '.join(words))}.</p>"
    )
