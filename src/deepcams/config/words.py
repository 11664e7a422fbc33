"""How values of a configuration, and what is allowed in their place, are told to a person."""

import datetime
import math
import re


def is_whole(value: object) -> bool:
    """Whether a value is an integer, written as one."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def reads_as_number(text: str) -> bool:
    """Whether text would be a number, had YAML or Snakemake not taken it for text."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def quoted(text: object) -> str:
    """Text in double quotes."""
    return f'"{text}"'


def shown(value: object) -> str:
    """A value as it was given, with its kind where that may be the mistake; never more than a line."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.date):
        return f"the day {value}"
    if isinstance(value, dict):
        return "a group of keys (" + short(", ".join(map(str, value))) + ")" if value else "an empty group of keys"
    if isinstance(value, list):
        return "a list of " + (f"{len(value)} values" if len(value) != 1 else "one value")
    if isinstance(value, str):
        numeric = " (text, not a number)" if reads_as_number(value) else ""
        # Whoever puts a password into an address is told so without it.
        return quoted(short(re.sub(r"//[^/@]*@", "//…@", value))) + numeric
    return short(str(value))


def allowed(schema: dict) -> str:
    """What a part of the schema allows, in words; empty for groups of keys that have no limits of their own."""
    if "x-allowed" in schema:
        return schema["x-allowed"]
    if "enum" in schema:
        return _choice(["null" if choice is None else str(choice) for choice in schema["enum"]])
    words = []
    for kind in kinds(schema):
        if kind in ("integer", "number"):
            words.append(_range("a whole number" if kind == "integer" else "a number", schema))
        elif kind == "boolean":
            words.append("true or false")
        elif kind == "object":
            words.append("a group of keys (" + ", ".join(schema["properties"]) + ")")
        else:
            words.append({"null": "null", "string": "text", "array": "a list"}[kind])
    return _choice(words)


def kinds(schema: dict) -> list[str]:
    """The kinds of value that a part of the schema names; none if it leaves that open."""
    named = schema.get("type", [])
    return [named] if isinstance(named, str) else named


def value_at(config: dict, path: tuple) -> object:
    """The value at a path of keys."""
    for key in path:
        config = config[key]
    return config


def _range(noun: str, schema: dict) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    if "multipleOf" in schema:
        noun = f"a multiple of {schema['multipleOf']}"
    if above is not None:
        return f"{noun} above {above} and up to {high}"
    return f"{noun} from {low} to {high}" if low is not None else noun


def _choice(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def short(text: str, length: int = 60) -> str:
    """Text on one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 3] + "..."
