"""GRIB as the Atmosphere Data Store keeps it, editions 1 and 2, turned into the NetCDF that its converter would make.

So one reader checks both. The decoder, ecCodes, is an optional part of the installation.
"""

from collections.abc import Iterator
from types import ModuleType

import netCDF4
import numpy as np

from deepcams.errors import DeepcamsError
from deepcams.pollutants import PM25, Pollutant

_MISSING = 9.96921e36  # what ecCodes puts where a bitmap says that there is no value
_AXES = (
    "Ni",
    "Nj",
    "latitudeOfFirstGridPointInDegrees",
    "latitudeOfLastGridPointInDegrees",
    "longitudeOfFirstGridPointInDegrees",
    "iDirectionIncrementInDegrees",
    "iScansNegatively",
    "jPointsAreConsecutive",
    "alternativeRowScanning",
)


def holds(content: bytes, where: str, names: tuple[str, ...]) -> bool:
    """Whether the GRIB messages hold one of the variables `names`. Raises DeepcamsError as `to_netcdf` does."""
    codes = _eccodes(where)
    return any(_name(codes, message) in names for message in _messages(codes, content, where))


def to_netcdf(content: bytes, where: str, names: tuple[str, ...], pollutant: Pollutant = PM25) -> bytes:
    """The fields of one variable as a NetCDF file in memory, in the layout of the service's own converter.

    content : GRIB messages one after another, of any number of variables and times.  names : the variable, as ecCodes
    calls it (shortName or cfVarName); the first of them is the variable's name in the result.
    Frames keep their order, their units, and the time they are valid at. Raises DeepcamsError if ecCodes is not
    installed, a message is cut short or damaged, the variable is not there, or its fields are not of one regular
    latitude-longitude grid and one level.
    """
    codes = _eccodes(where)
    frames, times, kinds, others = [], [], set(), set()
    for message in _messages(codes, content, where):
        name = _name(codes, message)
        if name not in names:
            others.add(str(name))
            continue
        try:
            kinds.add(_kind(codes, message))
            times.append(_valid_time(codes, message))
            frames.append(_values(codes, message))
        except (codes.CodesInternalError, ValueError) as error:
            raise _damaged(where, error) from error
        if len(kinds) > 1:
            raise DeepcamsError(
                f"{where} holds {name} on several grids or levels, where one value per time and place is expected. "
                "Select the surface field on its original grid before using the file."
            )
    if not frames:
        raise DeepcamsError(
            f"{where} holds no variable {names[0]}; it holds {', '.join(sorted(others)) or 'nothing'}. "
            f"Fetch {pollutant.label} (CAMS EAC4)."
        )
    _, units, axes = kinds.pop()
    return _written(frames, times, names[0], units, _coordinates(dict(zip(_AXES, axes, strict=True)), where))


def _eccodes(where: str) -> ModuleType:
    try:
        import eccodes
    except (ImportError, RuntimeError) as error:  # RuntimeError: its binary library is not found
        raise DeepcamsError(
            f"{where} is a GRIB file, and ecCodes, which reads it, is not installed. Run `pip install "
            "'deepcams[grib]'`, or request NetCDF (data_format netcdf_zip)."
        ) from error
    return eccodes


def _messages(codes: ModuleType, content: bytes, where: str) -> Iterator[int]:
    """Handles of all messages; each is released when the next one is asked for."""
    place = 0
    while place < len(content):
        try:
            # A message says its own length (octets 5-7 in edition 1, 9-16 in edition 2) and ends with 7777.
            edition = content[place + 7]
            length = int.from_bytes(content[place + 8 : place + 16] if edition == 2 else content[place + 4 : place + 7])
            piece = content[place : place + length]
            if piece[:4] != b"GRIB" or edition not in (1, 2) or len(piece) != length or piece[-4:] != b"7777":
                raise ValueError(f"no whole message at byte {place} of {len(content)}")
            message = codes.codes_new_from_message(piece)
        except (codes.CodesInternalError, ValueError, IndexError) as error:
            raise _damaged(where, error) from error
        try:
            yield message
        finally:
            codes.codes_release(message)
        place += length


def _name(codes: ModuleType, message: int) -> str | None:
    for key in ("shortName", "cfVarName"):
        try:
            name = codes.codes_get_string(message, key)
        except codes.CodesInternalError:
            continue
        if name not in ("unknown", "~"):
            return name
    return None


def _kind(codes: ModuleType, message: int) -> tuple:
    """What all fields of a file must have in common: level, units, grid."""
    grid = codes.codes_get_string(message, "gridType")
    if grid != "regular_ll":
        raise ValueError(f"its grid is {grid}, not regular_ll")
    axes = tuple(codes.codes_get(message, name) for name in _AXES)
    level = codes.codes_get_string(message, "typeOfLevel"), codes.codes_get_long(message, "level")
    return level, codes.codes_get_string(message, "units"), axes


def _valid_time(codes: ModuleType, message: int) -> int:
    """Seconds since 1970."""
    date = f"{codes.codes_get_long(message, 'validityDate'):08d}"
    clock = f"{codes.codes_get_long(message, 'validityTime'):04d}"
    text = f"{date[:4]}-{date[4:6]}-{date[6:]}T{clock[:2]}:{clock[2:]}"
    return int(np.datetime64(text, "s").astype(np.int64))


def _values(codes: ModuleType, message: int) -> np.ndarray:
    """(Nj, Ni) float32, missing values NaN."""
    codes.codes_set(message, "missingValue", _MISSING)
    values = codes.codes_get_values(message).astype(np.float32)
    if codes.codes_get_long(message, "bitmapPresent"):
        values[values == np.float32(_MISSING)] = np.nan
    return values.reshape(codes.codes_get_long(message, "Nj"), codes.codes_get_long(message, "Ni"))


def _coordinates(axes: dict[str, float], where: str) -> tuple[np.ndarray, np.ndarray]:
    if axes["jPointsAreConsecutive"] or axes["alternativeRowScanning"]:
        raise DeepcamsError(f"{where}: its values run along columns or to and fro, which is not read. Fetch NetCDF.")
    first, last, rows = (axes[name] for name in (*_AXES[2:4], "Nj"))
    step = -axes["iDirectionIncrementInDegrees"] if axes["iScansNegatively"] else axes["iDirectionIncrementInDegrees"]
    return np.linspace(first, last, rows), axes["longitudeOfFirstGridPointInDegrees"] + step * np.arange(axes["Ni"])


def _written(
    frames: list[np.ndarray], times: list[int], name: str, units: str, axes: tuple[np.ndarray, np.ndarray]
) -> bytes:
    dataset = netCDF4.Dataset("memory", "w", memory=sum(frame.nbytes for frame in frames))
    for axis, values in zip(("latitude", "longitude"), axes, strict=True):
        dataset.createDimension(axis, len(values))
        dataset.createVariable(axis, "f8", (axis,))[:] = values
    dataset.createDimension("valid_time", len(times))
    time = dataset.createVariable("valid_time", "i8", ("valid_time",))
    time.setncatts({"standard_name": "time", "units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"})
    time[:] = times
    field = dataset.createVariable(name, "f4", ("valid_time", "latitude", "longitude"), fill_value=np.float32(np.nan))
    field.units = units
    for index, frame in enumerate(frames):
        field[index] = frame
    return bytes(dataset.close())


def _damaged(where: str, error: Exception) -> DeepcamsError:
    return DeepcamsError(f"{where} is truncated or damaged ({error}). Delete it and fetch the data again.")
