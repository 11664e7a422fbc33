"""A forecast on one screen."""

import shutil
import textwrap
from pathlib import Path

from deepcams.plan.forecast import Forecast, RuleForecast
from deepcams.plan.graph import REASONS
from deepcams.plan.measured import HERE

WIDTH, ROWS = 100, 22  # columns; rules with a line of their own


def screen(found: Forecast, title: str, folder: Path) -> list[str]:
    """The lines to show, of at most WIDTH columns: the rules, what they are together, and what it means."""
    lines = [_cut(title), ""]
    if not found.jobs:
        return [*lines, f"Nothing is due: all {found.done:,} jobs are up to date."]
    lines += [
        f"{found.jobs:,} jobs are due, {found.done:,} are done.",
        "",
        f"{'rule':<25}{'jobs':>6}  {'due because':<16}{'CPU':>10}{'memory':>9}{'store':>10}  measured in",
    ]
    shown, rest = _shown(found.rules)
    lines += [_cut(_line(rule)) for rule in shown]
    if rest:
        words = f"{len(rest)} smaller ones"
        jobs, cpu_s, stored = (sum(getattr(rule, name) for rule in rest) for name in ("jobs", "cpu_s", "bytes"))
        lines.append(f"{words:<25}{jobs:>6,}  {'':<16}{duration(cpu_s):>10}{'':>9}{size(stored):>10}  (all: --json)")
    unknown = sum(rule.unknown for rule in found.rules)
    more = "> " if unknown else ""
    lines += [
        f"{'together':<25}{found.jobs:>6,}  {'':<16}{more + duration(found.cpu_s):>10}{'':>9}"
        f"{size(found.final + found.intermediate):>10}",
        "",
    ]
    for name, words in summary(found, folder):
        lines += textwrap.wrap(words, WIDTH, initial_indent=f"{name:<10}", subsequent_indent=" " * 10)
    return lines


def summary(found: Forecast, folder: Path) -> list[tuple[str, str]]:
    """What it means, a point each: a word, and a sentence or two."""
    unknown = [rule for rule in found.rules if rule.unknown]
    points = []
    if unknown:
        names = ", ".join(f"{rule.unknown:,} {rule.rule}" for rule in unknown)
        points.append(("unknown", f"how long {names} takes: never measured, and left out of all times."))
    asking = sum(rule.gpu_jobs for rule in found.rules)
    if asking:
        blind = sum(rule.unknown for rule in found.rules if rule.gpu_jobs)
        words = f"{asking:,} jobs ask for one."
        if found.gpu_jobs:
            words += (
                f" {found.gpu_jobs:,} of them hold theirs for {duration(found.gpu_s)} in all, by {HERE}'s benchmarks."
            )
        if found.gpu_jobs < asking:
            words += f" {asking - found.gpu_jobs:,} were not measured on a GPU: {duration(found.gpu_cpu_s)} of CPU"
            words += f", and {blind:,} jobs unknown." if blind else "."
        points.append(("GPU", words))
    cores = "core" if found.cores == 1 else "cores"
    points.append(
        (
            "time",
            f"about {duration(found.wall_s)} on {found.cores} {cores}"
            f"{' for what is known' if unknown else ''}{', and the downloads' if found.downloads else ''}; "
            f"rules side by side ask for {size(found.memory_mb * 1e6)} of memory at the most.",
        )
    )
    points += _downloads(found)
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(existing).free
    unsized = sum(rule.unsized for rule in found.rules)
    points.append(
        (
            "store",
            f"{size(found.final)} that stay and {size(found.intermediate)} on the way to them"
            f"{f', and {unsized:,} jobs of unknown size' if unsized else ''}, in {found.files:,} new files; "
            f"{size(free)} are free.",
        )
    )
    points.append(
        (
            "measured",
            f"by {HERE}'s own benchmarks where marked so, else as src/deepcams/plan/measurements.csv has it; scaled by "
            "hours, nodes, stations or steps, × says how far. Another processor may differ by a factor of 2, far "
            "scaling by more.",
        )
    )
    return points


def _downloads(found: Forecast) -> list[tuple[str, str]]:
    if not found.downloads:
        return [("download", "nothing.")]
    words, times = [], []
    for part in found.downloads:
        if part.bytes is None or part.requests is None or part.seconds is None:
            words.append(f"{part.name}: {part.months:,} months, how much is unknown")
        else:
            words.append(f"{part.name}: {size(part.bytes)} in {part.requests:,} requests")
            times.append(part.seconds)
    least = f"; at least {duration(max(times))}, as `deepcams doctor` reckons" if times else ""
    return [("download", f"{'; '.join(words)}{least}.")]


def _shown(rules: tuple[RuleForecast, ...]) -> tuple[list[RuleForecast], list[RuleForecast]]:
    """Rules with a line of their own, and those that are too small for one; the unknown is never small."""
    if len(rules) <= ROWS:
        return list(rules), []
    most = max(rule.cpu_s for rule in rules) or 1.0, max(rule.bytes for rule in rules) or 1.0

    def weight(rule: RuleForecast) -> tuple[bool, float]:
        return bool(rule.unknown), max(rule.cpu_s / most[0], rule.bytes / most[1])

    large = sorted(rules, key=weight, reverse=True)[: ROWS - 1]
    return [rule for rule in rules if rule in large], [rule for rule in rules if rule not in large]


def _line(rule: RuleForecast) -> str:
    because = ", ".join(
        REASONS[reason] if number == rule.jobs else f"{number:,} {REASONS[reason]}"
        for reason, number in rule.reasons.items()
    )
    because = because if len(because) <= 15 else f"{because[:14]}…"
    took = "unknown" if rule.unknown == rule.jobs else ("> " if rule.unknown else "") + duration(rule.cpu_s)
    memory = "unknown" if rule.measured_mb is None else f"{size(rule.measured_mb * 1e6)}"
    stored = "unknown" if rule.unsized == rule.jobs else ("> " if rule.unsized else "") + size(rule.bytes)
    stretch = f" ×{rule.stretch:.3g}" if rule.stretch >= 1.5 and rule.source != "unknown" else ""
    source = "-" if rule.source == "unknown" else f"{rule.source}{stretch}"
    return f"{rule.rule:<25}{rule.jobs:>6,}  {because:<16}{took:>10}{memory:>9}{stored:>10}  {source}"


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def size(number: float) -> str:
    """Bytes with a fitting unit: 12 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 995:
            return f"{_two(number)} {unit}"
        number /= 1000
    return f"{_two(number)} TB"


def duration(seconds: float) -> str:
    """Seconds with a fitting unit: 3.4 h. CPU hours stay hours, however many."""
    for unit, length, most in (("s", 1, 120), ("min", 60, 7200)):
        if seconds < most:
            return f"{_two(seconds / length)} {unit}"
    return f"{_two(seconds / 3600)} h"


def _two(number: float) -> str:
    """Two digits, which is more than an estimate knows: 0.12, 3.4, 560, 12,000."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"
