"""`deepcams doctor`: what a long run will need, on one screen, before it begins."""

import argparse
import shutil
import textwrap
from pathlib import Path

import yaml

from deepcams.config.check import SCHEMA_FILE, load_schema, require_tree, require_valid, restore_types
from deepcams.config.document import merged
from deepcams.credentials import hide
from deepcams.errors import DeepcamsError
from deepcams.sources.services.estimate import ASSUMED, Estimate, estimates
from deepcams.sources.services.reach import MISSING, Finding, examine

HELP = """\
Look, before a long run: which of the configured services answer, which keys were found and whether they are accepted,
licences, the service's record, free disk; how much will be fetched and stored, and how long that takes at least.

Exit status 0: a run can start. 1: something is missing; what to do is said."""

WIDTH, LINES = 100, 40
_SPARE = 1.1  # of the disk space that is needed, for temporary files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_configfile(parser)
    parser.add_argument("--offline", action="store_true", help="contact no service")


def add_configfile(parser: argparse.ArgumentParser) -> None:
    """Add the option --configfile of commands that look at the workflow."""
    parser.add_argument(
        "--configfile",
        nargs="+",
        default=[],
        metavar="FILE.yaml",
        help="configuration laid over config/config.yaml, as `snakemake --configfile` does",
    )


def run(options: argparse.Namespace) -> None:
    """Examine and print. Raises DeepcamsError if something is missing."""
    config = read_configuration(options.configfile)
    findings = examine(config, options.offline)
    parts = estimates(config)
    findings.append(disk(config["results"], sum(part.store for part in parts)))
    names = ", ".join(options.configfile) or "config/config.yaml"
    print(hide("\n".join(screen(config, names, findings, parts))))
    lacking = [finding for finding in findings if finding.state == MISSING]
    if lacking:
        count = "1 point above is" if len(lacking) == 1 else f"{len(lacking)} points above are"
        raise DeepcamsError(f"A run cannot start yet: {count} missing.")


def read_configuration(paths: list[str]) -> dict:
    """The configuration as the workflow sees it: `paths` over config/config.yaml, checked.

    Raises DeepcamsError for files that cannot be read, and for every mistake in them.
    """
    places = [Path.cwd() / SCHEMA_FILE, Path(__file__).resolve().parents[3] / SCHEMA_FILE]
    schema_file = next((place for place in places if place.is_file()), None)
    if schema_file is None:
        raise DeepcamsError(f"{SCHEMA_FILE} is not here. Run this in the workflow's folder.")
    schema, config = load_schema(schema_file), {}
    for path in [schema_file.with_name("config.yaml"), *paths]:
        config = merged(config, _read(Path(path)))
    config = restore_types(config, schema)
    require_valid(config, schema)
    return config


def _read(path: Path) -> dict:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeepcamsError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # no UTF-8, no YAML, 30 February, nesting without end …
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeepcamsError(f"{path} is no YAML ({reason}).") from error
    require_tree(document, str(path))
    if not isinstance(document, dict):
        raise DeepcamsError(f"{path} holds no keys and values.")
    return document


def disk(results: str, needed: float) -> Finding:
    """Is there room for what will be stored and is not there yet?"""
    folder = Path(results).absolute()
    there = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    needed = max(0.0, needed - there)
    existing = next(place for place in (folder, *folder.parents) if place.is_dir())
    free = shutil.disk_usage(existing).free
    words = f"{size(free)} free at {existing}, {size(needed)} to store still"
    if free < _SPARE * needed:
        return Finding(MISSING, "disk", words, f"Free {size(_SPARE * needed - free)}, or set `results` elsewhere.")
    return Finding("ok", "disk", words)


def screen(config: dict, names: str, findings: list[Finding], parts: list[Estimate]) -> list[str]:
    """The lines to show: at most LINES of at most WIDTH columns."""
    where = (
        "the globe"
        if config["region"] is None
        else "region {north:g} {west:g} {south:g} {east:g}".format(**config["region"])
    )
    lines = [
        _cut(f"{names}: {config['pollutant']}, {where}, {config['cams']['first']} to {config['cams']['last']}"),
        "",
    ]
    lines += [_cut(f"{finding.state:8}{finding.name:23}{finding.words}") for finding in findings]
    lines += ["", f"{'':8}{'':17}{'months':>8}{'requests':>13}{'download':>12}{'store':>12}{'at least':>13}"]
    for part in parts:
        lines.append(
            f"{'':8}{part.name:17}{part.months:>8,}{part.requests:>13,}{size(part.download):>12}{size(part.store):>12}"
            f"{duration(part.seconds):>13}"
        )
    total = sum(part.download for part in parts), sum(part.store for part in parts)
    seconds = max(part.seconds for part in parts)  # services are asked side by side
    lines.append(
        f"{'':8}{'together':17}{'':8}{sum(part.requests for part in parts):>13,}{size(total[0]):>12}"
        f"{size(total[1]):>12}{duration(seconds):>13}"
    )
    lines += textwrap.wrap(ASSUMED, WIDTH)
    remedies = [finding.remedy for finding in findings if finding.state == MISSING]
    if not remedies:
        return [*lines, "", "A run can start."]
    lines += ["", "To do:"]
    for number, remedy in enumerate(remedies, 1):
        lines += textwrap.wrap(f"{number}. {remedy}", WIDTH, subsequent_indent="   ")
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], "   … (run it again when these are done)"]


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def size(number: float) -> str:
    """Bytes with a fitting unit: 12 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}" if number < 100 else f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def duration(seconds: float) -> str:
    """Seconds with a fitting unit: 3.4 h."""
    for unit, length, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{seconds / length:.3g} {unit}" if seconds else "-"
    return f"{seconds / 86_400:.3g} days"
