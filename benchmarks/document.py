"""Put the table of a run of the benchmarks into docs/benchmarks.md: `python -m benchmarks.document [JSON]`."""

import json
import sys
from pathlib import Path

from benchmarks.timing import ROOT, spread

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- table of benchmarks.document -->", "<!-- end of the table -->"
HEAD = ("what", "ours", "peer", "times as fast", "asked", "remarks")


def main() -> None:
    """Replace what is between the two marks of the page."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "results" / "bench" / "bench.json"
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(json.loads(path.read_text()))}\n\n{END}{rest.split(END)[1]}")


def table(found: dict) -> str:
    """What a run found as Markdown, with the machine that it ran on."""
    about = found["about"]
    machine = about["gpu"] or f"{about['cpu']}, {about['cores']} cores ({', '.join(about['instructions'])})"
    lines = [
        f"{machine}; torch {about['torch']} on {about['threads']} threads, numpy {about['numpy']}, Python "
        f"{about['python']}; {about['date']}{', quick' if about['quick'] else ''}.",
        "",
        _line(HEAD),
        _line(["---"] * len(HEAD)),
    ]
    for rows in found["parts"].values():
        for row in rows:
            cells = row["what"], row["ours"], row["peer"] or "", spread(row["ratios"]), row["asked"], row["remark"]
            lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
