"""The tables of config/README.md, made of schema, config.yaml and trainings: `python -m deepcams.config.document`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from deepcams.config.check import load_schema, require_valid, resolve
from deepcams.config.networks import (
    CLOSURES,
    FUSION_NETWORK,
    FUSION_PATCH,
    FUSION_TRAINING,
    TRAINING,
    TRAINING_KEYS,
    patch_unit,
)
from deepcams.config.words import allowed, kinds
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import write_text

# The README's example of how mistakes are told: what is wrong in an otherwise good configuration.
EXAMPLE = """\
cams: {sorce: ads, last: "2002-12"}
degradation: {operator: blockmean}
recipe: publised
encoding: {mantissa_bits: 40}
region: {north: 50, west: 65.25, south: 5.25, east: 125.25}
spatial: {training: {learning_rate: 1e-3}}
"""
_BEGIN, _END = "<!-- {}: made by python -m deepcams.config.document -->", "<!-- end of {} -->"


def key_tables(schema: dict, defaults: dict) -> str:
    """One Markdown table per group of keys: key, what is allowed, value in config.yaml, meaning."""
    single = {key: part for key, part in schema["properties"].items() if "object" not in kinds(part)}
    parts = ["### Top level\n", *_table(list(_leaves(single, defaults, (), schema)))]
    for key, part in schema["properties"].items():
        if key not in single:
            rows = list(_leaves(part["properties"], defaults[key], (key,), schema))
            if "null" in kinds(part):
                rows.insert(0, (key, "null or the four keys below", _default(defaults[key]), part["description"]))
            parts += [f"\n### {key}\n", f"{part['description']}\n", *_table(rows)]
    return "\n".join(parts)


def training_table() -> str:
    """The Markdown table of how networks are trained where the configuration leaves it open."""
    lines = ["| network | recipe | " + " | ".join(f"`{key}`" for key in TRAINING_KEYS) + " |", "|---" * 6 + "|"]
    for network, recipes in TRAINING.items():
        alike: dict[tuple, list[str]] = {}
        for recipe, training in recipes.items():
            cells = [f"{value:,}" if isinstance(value, int) else str(value) for value in training.values()]
            cells[TRAINING_KEYS.index("patch")] += f" {patch_unit(network, recipe)}"
            alike.setdefault(tuple(cells), []).append(recipe)
        for cells, names in alike.items():
            every = len(alike) == 1 and len(names) in (1, len(CLOSURES))  # a network with one recipe has it in all
            lines.append(f"| {network} | " + " | ".join(["all" if every else ", ".join(names), *cells]) + " |")
    fused = FUSION_TRAINING | {"patch": f"{FUSION_PATCH} nodes of 0.25°"}
    cells = [f"{value:,}" if isinstance(value, int) else str(value) for value in (fused[key] for key in TRAINING_KEYS)]
    lines.append(f"| {FUSION_NETWORK} (fusion) | all | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def example(schema: dict, defaults: dict) -> str:
    """The example configuration and what the check really says to it."""
    config = merged(defaults, yaml.safe_load(EXAMPLE))
    try:
        require_valid(config, schema)
    except DeepcamsError as error:
        return f"```yaml\n{EXAMPLE}```\n\nends, before any job starts, with\n\n```text\n{error}\n```"
    raise AssertionError("the example is right; it must show mistakes")


def documented(text: str, schema: dict, defaults: dict) -> str:
    """The README with its made parts renewed. Raises DeepcamsError if it has lost the marks around them."""
    parts = {"training": training_table(), "keys": key_tables(schema, defaults), "mistakes": example(schema, defaults)}
    for name, part in parts.items():
        begin, end = _BEGIN.format(name), _END.format(name)
        if text.count(begin) != 1 or text.count(end) != 1:
            raise DeepcamsError(f"config/README.md must have the lines {begin} and {end} once each; put them back.")
        head, rest = text.split(begin)
        text = f"{head}{begin}\n\n{part}\n\n{end}{rest.split(end)[1]}"
    return text


def main(folder: str = "config") -> None:
    """Renew README.md in the folder of the configuration files."""
    place = Path(folder)
    schema = load_schema(place / "config.schema.yaml")
    defaults = yaml.safe_load((place / "config.yaml").read_text(encoding="utf-8"))
    readme = place / "README.md"
    write_text(readme, documented(readme.read_text(encoding="utf-8"), schema, defaults))


def _leaves(properties: dict, defaults: dict | None, path: tuple, schema: dict) -> Iterator[tuple[str, str, str, str]]:
    """(dotted key, allowed, default, meaning) of every value below a group of keys, and of the groups within it."""
    for key, part in properties.items():
        full, here = resolve(part, schema), (*path, key)
        if "properties" in full:
            yield ".".join(here), "the keys below", "", full["description"]
            yield from _leaves(full["properties"], defaults[key], here, schema)
        else:
            shown = "" if defaults is None else _default(defaults[key])
            yield ".".join(here), allowed(full), shown, full["description"]


def _table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    cells = [("key", "allowed", "config.yaml", "meaning"), ("---", "---", "---", "---")]
    cells += [(f"`{key}`", allow, default, meaning) for key, allow, default, meaning in rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]


def _default(value: object) -> str:
    if value is None:
        return "`null`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def merged(base: dict, change: dict) -> dict:
    """`change` laid over `base`, key by key, as Snakemake does."""
    result = dict(base)
    for key, value in change.items():
        below = result.get(key)
        result[key] = merged(below if isinstance(below, dict) else {}, value) if isinstance(value, dict) else value
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
