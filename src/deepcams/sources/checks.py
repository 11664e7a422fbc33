"""Checks at the door: what a delivered file really is, whether its numbers can be what they claim to be."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deepcams.errors import DeepcamsError

# Spellings of the two units that the services use or have used; anything else is refused, never guessed.
_UNITS = {
    1e9: ("kg m**-3", "kg m-3", "kg m^-3", "kg/m3", "kg/m^3", "kg/m**3", "kg m-3.", "kg/m³", "kg m⁻³"),
    1.0: ("ug m-3", "ug m**-3", "ug m^-3", "ug/m3", "ug/m^3", "ug/m**3", "ug/m³", "ug m⁻³", "microgram m-3"),
}
_FACTORS = {spelling: factor for factor, spellings in _UNITS.items() for spelling in spellings}

# The median over the cells that hold anything at all lies near 5 µg m-3 in both reanalyses (EAC4 on 2020-01-01: 4.7;
# GEOS-CF, western hemisphere: 1.9); wrong units are off by 10^3 or 10^9.
LOWEST_MEDIAN, HIGHEST_MEDIAN = 0.01, 1000.0  # ug m-3
_NOTHING = 1e-3  # ug m-3; packing turns an exact zero into something like 1e-12
_SAMPLE = 20_000  # values that are enough for a median
_FEW_NODES = 9  # smaller boxes may be constant by chance (packing steps of 0.5 ug m-3 over clean air)


def magic(path: str | Path) -> str:
    """What the first bytes say a file is: hdf5, netcdf3, zip, gzip, grib, html, text, empty or unknown.

    Names are not asked: the services deliver zip archives under .nc and login pages under anything.
    Raises DeepcamsError if the file is not there or cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return kind_of(stream.read(512))
    except FileNotFoundError as error:
        raise DeepcamsError(f"{path} does not exist. Check the path in the configuration.") from error
    except OSError as error:
        raise DeepcamsError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error


def kind_of(head: bytes) -> str:
    """The same for the first bytes themselves."""
    for start, kind in (
        (b"\x89HDF\r\n\x1a\n", "hdf5"),
        (b"CDF\x01", "netcdf3"),
        (b"CDF\x02", "netcdf3"),
        (b"PK", "zip"),
        (b"\x1f\x8b", "gzip"),
        (b"GRIB", "grib"),
    ):
        if head.startswith(start):
            return kind
    if not head:
        return "empty"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "html"
    return "text" if text.startswith((b"{", b"[")) else "unknown"


def refuse_kind(kind: str, where: str) -> DeepcamsError:
    """The error for a file that is not NetCDF, by its `kind`; `where` names it."""
    reasons = {
        "html": "holds an HTML page instead of data, most likely a login or an error page. Open it in a browser to "
        "see what it asks for, then fetch the data again.",
        "grib": "is a GRIB file, which is not read yet. Request NetCDF instead (data_format netcdf_zip), or convert "
        "it, for instance with `grib_to_netcdf`.",
        "text": "holds text instead of data, most likely an error message of the service. Read it, then fetch the "
        "data again.",
        "empty": "is empty. Delete it and fetch the data again.",
        "gzip": "is compressed with gzip where NetCDF is expected. Unpack it with `gunzip`.",
    }
    return DeepcamsError(
        f"{where} {reasons.get(kind, 'is not a NetCDF file, or is damaged. Delete it and fetch the data again.')}"
    )


def unit_factor(units: object, where: str) -> float:
    """What values must be multiplied with to be ug m-3. Raises DeepcamsError for a unit that is not known."""
    if units is None:
        raise DeepcamsError(
            f"{where} has no `units` attribute, so its numbers cannot be trusted. Fetch the file again in its original "
            "form, or set units to 'kg m-3' or 'ug m-3' if you know them."
        )
    spelling = " ".join(str(units).strip().replace("µ", "u").replace("μ", "u").split())
    if spelling not in _FACTORS:
        raise DeepcamsError(
            f"{where} is in units of {str(units)!r}, where a mass concentration is expected ('kg m**-3' or 'ug m-3'). "
            "Check that the file holds PM2.5 near the ground."
        )
    return _FACTORS[spelling]


def typical(frame: np.ndarray) -> float:
    """Median of a frame over cells that hold more than packing noise; 0 where none does, NaN where all is missing.

    frame : (H, W) float32, ug m-3.  At most some 20,000 evenly spread cells are looked at.
    """
    values = frame.ravel()
    values = values[:: max(1, values.size // _SAMPLE)]
    values = values[np.isfinite(values)]
    if values.size == 0:
        return np.nan if not np.isfinite(frame).any() else 0.0
    values = values[values > _NOTHING]
    return float(np.median(values)) if values.size else 0.0


def check_magnitude(medians: np.ndarray, units: object, where: str) -> None:
    """Raise DeepcamsError unless the median of `medians` (of `typical`) is a plausible PM2.5 in ug m-3."""
    medians = np.asarray(medians)[np.isfinite(medians)]
    if medians.size == 0:
        return
    median = float(np.median(medians))
    if not LOWEST_MEDIAN <= median <= HIGHEST_MEDIAN:
        raise DeepcamsError(
            f"{where}: the units cannot be {str(units)!r} as the file says: half of the concentrations would be below "
            f"{median:.3g} ug m-3, where {LOWEST_MEDIAN:g} to {HIGHEST_MEDIAN:g} is possible. Check where the file "
            "comes from and correct its `units` attribute."
        )


def is_constant(frame: np.ndarray) -> bool:
    """Whether all values that a frame holds are the same: failed transfers arrive as zeros, without an error."""
    values = frame[np.isfinite(frame)]
    return values.size >= _FEW_NODES and values.min() == values.max()


def some(items: list, limit: int = 5) -> str:
    """The first few of `items` and how many there are in all, for messages."""
    shown = ", ".join(str(item) for item in items[:limit])
    return shown if len(items) <= limit else f"{shown}, … ({len(items)} in all)"


def time_text(time: np.datetime64) -> str:
    """2018-01-31 21:00."""
    return str(time.astype("datetime64[m]")).replace("T", " ")


def require_same_origin(inputs: Mapping[str, Mapping[str, object]]) -> str | None:
    """Refuse to mix synthetic data with real ones.

    inputs : for each input's name its attributes; synthetic data have one called `synthetic`.
    Returns the sentence that says so, or None if all inputs are real. Raises DeepcamsError naming them otherwise.
    """
    synthetic = {name: attributes["synthetic"] for name, attributes in inputs.items() if attributes.get("synthetic")}
    if not synthetic:
        return None
    real = [name for name in inputs if name not in synthetic]
    if real:
        raise DeepcamsError(
            f"Synthetic and real data must not be mixed: {some(list(synthetic))} come from the nature run, "
            f"{some(real)} do not. Set all of cams.source, geoscf.source and openaq.source to nature_run, or none."
        )
    return str(next(iter(synthetic.values())))
