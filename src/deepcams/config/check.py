"""Is a configuration usable? Every mistake is found at once and told in words, before any job starts.

The schema (`config/config.schema.yaml`, JSON Schema 2020-12) says what each value may be; `deepcams.config.conditions`
says how they must fit together. A condition is looked at only where the values it reads are right by themselves.
"""

import difflib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend

from deepcams.config.conditions import CONDITIONS
from deepcams.config.words import allowed, is_number, is_whole, kinds, quoted, reads_as_number, short, shown, value_at
from deepcams.errors import DeepcamsError

SCHEMA_FILE = Path("config") / "config.schema.yaml"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times as fast, where it was built in

# JSON Schema takes 8.0 for an integer, and NaN for a number that is within every range; Python's range() does not.
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: is_whole(value)).redefine(
    "number", lambda _, value: is_number(value)
)
_LARGEST = 20_000  # values of a configuration
_Validator = extend(Draft202012Validator, type_checker=_TYPES)


def load_schema(path: str | Path | None = None) -> dict:
    """The schema of configurations, as it stands in `path` (None: in the checkout this package belongs to).

    Raises DeepcamsError if the file is not there or is no schema.
    """
    if path is None:
        places = [Path(__file__).resolve().parents[3] / SCHEMA_FILE, Path.cwd() / SCHEMA_FILE]
        path = next((place for place in places if place.is_file()), places[0])
    return _read_schema(Path(path))


def problems(config: dict, schema: dict | None = None) -> list[str]:
    """All mistakes of a configuration, one sentence each, beginning with the dotted path; empty if there are none.

    config : the whole configuration, as Snakemake merged it.  schema : from `load_schema` (None: the checkout's own).
    """
    schema = load_schema() if schema is None else schema
    if not isinstance(config, dict):
        return [f"the configuration is {shown(config)}; it must consist of keys and values."]
    found: list[tuple[tuple, str]] = []
    for error in _Validator(schema).iter_errors(config):
        found += _in_words(error, schema)
    broken = [path for path, _ in found]
    for paths, condition in CONDITIONS:
        keys = [tuple(path.split(".")) for path in paths]
        if not any(_touch(key, path) for key in keys for path in broken):
            values = [value_at(config, key) for key in keys]
            found += [(keys[0], text) for text in condition(*values)]
    found.sort(key=lambda item: _place(item[0], schema))
    return list(dict.fromkeys(text for _, text in found))  # a wrong kind may break two rules of the schema


def require_valid(config: dict, schema: dict | None = None) -> None:
    """Raise DeepcamsError, naming every mistake on a line of its own, unless the configuration can be used."""
    found = problems(config, schema)
    if found:
        count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
        lines = "\n".join(f"  {text}" for text in found)
        raise DeepcamsError(f"The configuration has {count}:\n{lines}\nconfig/README.md explains every key.")


def require_tree(document: object, where: str) -> None:
    """Raise DeepcamsError, which names `where`, for a document that refers to itself or is endless when written out.

    A few hundred bytes of YAML can name a list of two lists of two lists …: nothing would ever come to its end.
    """
    count, level = 0, [document]
    while level:
        count += len(level)
        if count > _LARGEST:
            raise DeepcamsError(
                f"{where} has more than {_LARGEST:,} values once its references (&name, *name) are written out. Take "
                "them out; a configuration needs a few hundred."
            )
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item, *item.values()]
            elif isinstance(item, list | tuple | set):
                below += item
            if len(below) > _LARGEST:
                break
        level = below


def restore_types(config: dict, schema: dict | None = None) -> dict:
    """A copy in which text that was typed for a number, a boolean or a null is one, where the schema wants one.

    Snakemake hands nested values of `--config` over as text ('encoding={mantissa_bits: 9}' gives "9"), and YAML 1.1
    reads 1e-4 as text. What is not clearly meant stays as it is, for `problems` to report.
    """
    schema = load_schema() if schema is None else schema
    return _restored(config, schema, schema)


def resolve(subschema: dict, schema: dict) -> dict:
    """A part of the schema with its reference into `$defs` filled in; its own keywords win."""
    if "$ref" not in subschema:
        return subschema
    name = subschema["$ref"].removeprefix("#/$defs/")
    return {**schema["$defs"][name], **{key: value for key, value in subschema.items() if key != "$ref"}}


@cache
def _read_schema(path: Path) -> dict:
    try:
        schema = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
        Draft202012Validator.check_schema(schema)
    except OSError:
        raise DeepcamsError(
            f"The configuration cannot be checked: {path} is not there. Run the workflow from a whole checkout."
        ) from None
    except (yaml.YAMLError, SchemaError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise DeepcamsError(f"The configuration cannot be checked: {path} is no schema ({reason}).") from None
    return schema


def _in_words(error: ValidationError, root: dict) -> Iterator[tuple[tuple, str]]:
    """One violation of the schema as (path, sentence); several where one object has several unknown keys."""
    path, value, schema = tuple(error.absolute_path), error.instance, error.schema
    if error.validator == "additionalProperties":
        yield from _unknown_keys(path, value, schema)
    elif error.validator == "required":
        # jsonschema raises one error per missing key and names it only in its own message.
        key = next(name for name in schema["required"] if error.message.startswith(repr(name)))
        if key not in _meant(value, schema).values():
            where = (*path, key)
            wanted = allowed(resolve(schema["properties"][key], root))
            yield where, f"{dotted(where)}: missing; add it" + (f" (allowed: {wanted})." if wanted else ".")
    else:
        wanted = allowed(schema)
        if "items" in error.absolute_schema_path:
            wanted = f"{wanted} in the list"
        yield path, f"{dotted(path)}: {shown(value)} given; allowed: {wanted}.{_hint(value, schema)}"


def _unknown_keys(path: tuple, value: dict, schema: dict) -> Iterator[tuple[tuple, str]]:
    for key in value:
        if key not in schema["properties"]:
            where = (*path, key)
            meant = _meant(value, schema).get(key)
            advice = f"did you mean {quoted(meant)}?" if meant else "take it out."
            known = ", ".join(schema["properties"])
            place = f"{dotted(path)} has" if path else "at the top there are"
            yield where, f"{dotted(where)}: this key is not known; {advice} ({place}: {known}.)"


def _meant(value: dict, schema: dict) -> dict[str, str]:
    """Unknown keys of an object and the known key that each comes nearest to."""
    unknown = [key for key in value if key not in schema["properties"]]
    nearest = {key: _nearest(key, schema["properties"]) for key in unknown}
    return {key: match for key, match in nearest.items() if match}


def _hint(value: object, schema: dict) -> str:
    choices = schema.get("enum", [])
    if isinstance(value, str):
        match = _nearest(value, [choice for choice in choices if isinstance(choice, str)])
        if match:
            return f" Did you mean {quoted(match)}?"
    if isinstance(value, str) and {"integer", "number"} & set(kinds(schema)) and reads_as_number(value):
        return f" Write {float(value):g}, without quotes."
    if isinstance(value, float) and value.is_integer() and "integer" in kinds(schema):
        return f" Write {int(value)}."
    if "multipleOf" in schema and is_number(value) and schema["minimum"] <= value <= schema["maximum"]:
        step = schema["multipleOf"]
        return f" The nearest is {round(value / step) * step:g}."
    return ""


def _nearest(word: object, choices: object) -> str | None:
    by_case = {choice.lower(): choice for choice in choices}
    match = difflib.get_close_matches(str(word).lower().replace("-", "_"), by_case, n=1, cutoff=0.6)
    return by_case[match[0]] if match else None


def _place(path: tuple, schema: dict) -> tuple[int, ...]:
    """Where a path stands in the schema, for sorting; unknown keys come before their neighbours."""
    places, part = [], schema
    for key in path:
        known = list(part.get("properties", ()))
        places.append(known.index(key) if key in known else -1)
        part = resolve(part["properties"][key], schema) if key in known else {}
    return tuple(places)


def _touch(one: tuple, other: tuple) -> bool:
    """Whether two paths are the same value, or one lies within the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def dotted(path: tuple) -> str:
    """A path in a configuration as a person writes it: validation.sentinels[2]."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return short(text.removeprefix("."), 120)


def _restored(value: object, subschema: dict, schema: dict) -> object:
    subschema = resolve(subschema, schema)
    if isinstance(value, dict):
        known = subschema.get("properties", {})
        return {key: _restored(item, known.get(key, {}), schema) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item, subschema.get("items", {}), schema) for item in value]
    wanted = kinds(subschema)
    if not isinstance(value, str):
        return value
    if "null" in wanted and value in ("null", "~", ""):
        return None
    if "boolean" in wanted and value.lower() in ("true", "false"):
        return value.lower() == "true"
    for kind, read in (("integer", int), ("number", float)):
        if kind in wanted:
            try:
                return read(value)
            except ValueError:
                return value
    return value
