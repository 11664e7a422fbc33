"""Checks at the door: what a delivered file really is, whether its numbers can be what they claim to be."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from isal import igzip

from deepcams.errors import DeepcamsError
from deepcams.pollutants import AIR, PM25, Pollutant

# Spellings of the units that the services use or have used, and what makes them the unit behind the bar; anything else
# is refused, never guessed.
_UNITS = {
    "ug m-3": {
        1e9: ("kg m**-3", "kg m-3", "kg m^-3", "kg/m3", "kg/m^3", "kg/m**3", "kg m-3.", "kg/m³", "kg m⁻³"),
        1.0: ("ug m-3", "ug m**-3", "ug m^-3", "ug/m3", "ug/m^3", "ug/m**3", "ug/m³", "ug m⁻³", "microgram m-3"),
    },
    "nmol mol-1": {
        1e9: ("mol mol-1", "mol mol**-1", "mol mol^-1", "mol/mol", "mol mol⁻¹"),
        1.0: ("nmol mol-1", "nmol mol**-1", "nmol mol^-1", "nmol/mol", "nmol mol⁻¹", "ppb", "ppbv"),
    },
    "1": {1.0: ("1", "fraction"), 0.01: ("%", "percent")},
    "m s-1": {1.0: ("m s-1", "m s**-1", "m s^-1", "m/s", "m s⁻¹")},
}
_WORDS = {
    "ug m-3": ("a mass concentration", "kg m-3", "ug m-3"),
    "nmol mol-1": ("a mole fraction or mass mixing ratio", "mol mol-1", "kg kg**-1"),
    "1": ("a fraction", "1", "%"),
    "m s-1": ("a speed", "m s-1", "m/s"),
}
_MASS_RATIOS = ("kg kg**-1", "kg kg-1", "kg kg^-1", "kg/kg", "kg kg⁻¹")
# Of the lowest plausible median: packing turns an exact zero into something like 1e-12.
_NOTHING = 0.1
_SAMPLE = 20_000  # values that are enough for a median
MOST_UNPACKED = 512 << 20  # bytes of a compressed text that is held in memory; services' files have some megabytes
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


def parsed(text: str | bytes) -> object:
    """The JSON document in a text. Raises ValueError if it is none, also where it is nested without end."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def unpacked(content: bytes) -> bytes:
    """What a gzip file holds. Raises ValueError for more than `MOST_UNPACKED` bytes, and igzip's and zlib's errors."""
    with igzip.open(io.BytesIO(content)) as stream:
        found = stream.read(MOST_UNPACKED + 1)
    if len(found) > MOST_UNPACKED:
        raise ValueError(f"it unpacks to more than {MOST_UNPACKED >> 20} MB")
    return found


def refuse_kind(kind: str, where: str) -> DeepcamsError:
    """The error for a file that is not NetCDF, by its `kind`; `where` names it."""
    reasons = {
        "html": "holds an HTML page instead of data, most likely a login or an error page. Open it in a browser to "
        "see what it asks for, then fetch the data again.",
        "grib": "is a GRIB file, where NetCDF is expected. Convert it, for instance with `grib_to_netcdf`.",
        "text": "holds text instead of data, most likely an error message of the service. Read it, then fetch the "
        "data again.",
        "empty": "is empty. Delete it and fetch the data again.",
        "gzip": "is compressed with gzip where NetCDF is expected. Unpack it with `gunzip`.",
    }
    return DeepcamsError(
        f"{where} {reasons.get(kind, 'is not a NetCDF file, or is damaged. Delete it and fetch the data again.')}"
    )


def unit_factor(units: object, where: str, pollutant: Pollutant = PM25) -> float:
    """What values must be multiplied with to be in the pollutant's units.

    A gas comes as a mole fraction (mol mol-1, GEOS-CF) or as a mass mixing ratio (kg kg-1, CAMS; of moist air, whose
    molar mass is below dry air's by at most 1.5 %). Raises DeepcamsError for a unit that is not known.
    """
    known = {spelling: factor for factor, spellings in _UNITS[pollutant.units].items() for spelling in spellings}
    if pollutant.is_gas:
        known |= dict.fromkeys(_MASS_RATIOS, 1e9 * AIR / pollutant.molar_mass)
    what, *example = _WORDS[pollutant.units]
    if units is None:
        raise DeepcamsError(
            f"{where} has no `units` attribute, so its numbers cannot be trusted. Fetch the file again in its original "
            f"form, or set units to {example[0]!r} or {example[1]!r} if you know them."
        )
    spelling = " ".join(str(units).strip().replace("µ", "u").replace("μ", "u").split())
    if spelling not in known:
        raise DeepcamsError(
            f"{where} is in units of {str(units)!r}, where {what} is expected ({example[0]!r} or {example[1]!r}). "
            f"Check that the file holds {pollutant.label} near the ground."
        )
    return known[spelling]


def typical(frame: np.ndarray, pollutant: Pollutant = PM25) -> float:
    """Median of a frame over cells that hold more than packing noise; 0 where none does, NaN where all is missing.

    frame : (H, W) float32, in the pollutant's units.  At most some 20,000 evenly spread cells are looked at.
    """
    values = frame.ravel()
    values = values[:: max(1, values.size // _SAMPLE)]
    values = values[np.isfinite(values)]
    if values.size == 0:
        return np.nan if not np.isfinite(frame).any() else 0.0
    values = values[values > _NOTHING * pollutant.lowest]
    return float(np.median(values)) if values.size else 0.0


def check_magnitude(medians: np.ndarray, units: object, where: str, pollutant: Pollutant = PM25) -> None:
    """Raise DeepcamsError unless the median of `medians` (of `typical`) is plausible for the pollutant.

    units : what the file says, for the message; the medians are in the pollutant's own.
    """
    medians = np.asarray(medians)[np.isfinite(medians)]
    if medians.size == 0:
        return
    median = float(np.median(medians))
    if not pollutant.lowest <= median <= pollutant.highest:
        quantity = "mole fractions" if pollutant.is_gas else "concentrations"
        raise DeepcamsError(
            f"{where}: the units cannot be {str(units)!r} as the file says: half of the {quantity} would be below "
            f"{median:.3g} {pollutant.units}, where {pollutant.lowest:g} to {pollutant.highest:g} is possible. Check "
            "where the file comes from and correct its `units` attribute."
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


def require_same_version(inputs: Mapping[str, Mapping[str, object]]) -> str | None:
    """Refuse to mix versions of GEOS-CF, which are different models.

    inputs : for each input's name its attributes; `geoscf_version` is v1 or v2, and absent where it cannot be told.
    Returns the version, None where no input tells. Raises DeepcamsError naming inputs of each version otherwise.
    """
    versions: dict[str, list[str]] = {}
    for name, attributes in inputs.items():
        if attributes.get("geoscf_version"):
            versions.setdefault(str(attributes["geoscf_version"]), []).append(name)
    if len(versions) > 1:
        told = "; ".join(f"{version}: {some(names, 2)}" for version, names in sorted(versions.items()))
        raise DeepcamsError(
            f"Versions of GEOS-CF must not be mixed, they are different models ({told}). Keep to the months of one "
            "version, or train once with each."
        )
    return next(iter(versions), None)
