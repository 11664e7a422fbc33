"""A short name for a slice of the configuration: what tells one setting of a rule from another."""

import hashlib
import json

from deepcams.errors import DeepcamsError

LENGTH = 16  # hexadecimal digits: 64 bits


def digest(config_slice: object) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a configuration, or of a part of one, as canonical JSON.

    The order of keys does not matter, and a number is the same whether it is written 1 or 1.0; everything else does
    matter. Raises DeepcamsError for values that JSON does not know (dates, NaN …).
    """
    try:
        text = json.dumps(_canonical(config_slice), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DeepcamsError(f"This part of the configuration cannot be digested ({error}): {config_slice!r}.") from None
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _canonical(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # YAML gives 1 or 1.0 for the same setting
    return value
