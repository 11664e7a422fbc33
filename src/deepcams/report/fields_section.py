"""The report's section on whole fields: is the product complete, how fine does it resolve, does it beat."""

from collections.abc import Mapping
from html import escape

from deepcams.report.beat_words import beat_verdict
from deepcams.report.folder import Validation
from deepcams.report.quantity import text_unit
from deepcams.report.tables import Column, capitalised, concentration_digits, data_table, key_values, listed, number
from deepcams.report.verdicts import subject

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
    items = [_check(name, value) for name, value in checks.items() if not isinstance(value, dict)]
    return "".join([*parts, "<h3>All checks</h3>", key_values(items)])


def _check(name: str, value: object) -> tuple[str, object]:
    """A check's name, with its unit, and its value."""
    words = name.replace("_", " ")
    if name in ("minimum", "maximum", "mean"):
        words = f"{words}{', by area' if name == 'mean' else ''} ({text_unit()})"
    if name.startswith("closure") and isinstance(value, int | float):
        return f"{words} (%)", f"{100 * value:.3g}"
    return words, "–" if value is None else value


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
    """What the effective resolution is, what it was compared with, and the product's, or why there is none."""
    row = (validation.summary.get("spectra") or {}).get("product")
    if row is None:
        return ""
    expected = "the truth has" if validation.summary.get("truth") else (
        "a power law fitted to the scales that CAMS resolves predicts")  # fmt: skip
    found = row.get("effective_resolution")
    says = f"{number(found, 0)} km" if found is not None else (
        "not told: the power never falls below that, or too few scales are there to say")  # fmt: skip
    return (
        f"<p>Effective resolution of {escape(subject(validation.names['product']))}: {says}. It is the shortest "
        f"wavelength down to which the field has at least half of the power that {expected}.</p>"
    )


def _beat(validation: Validation) -> str:
    found = validation.summary.get("beat") or {}
    words = []
    for field, name in {**validation.names, "truth": "truth"}.items():
        row = found.get(field) or {}
        if row.get("ratio") is None:
            continue
        text = f"{name}: {number(row['ratio'], 3)}"
        if says := beat_verdict(row):
            text += f" (interval {number(row['low'], 3)} … {number(row['high'], 3)}: {says})"
        words.append(text)
    if not words:
        return ""
    return (
        "<p>Variance of fine detail at the hours of analyses over that at the hours between; above 1 with a beat, as "
        "interpolation in time leaves it. "
        f"{escape(capitalised('; '.join(words)))}.</p>"
    )
