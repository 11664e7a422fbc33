"""All benchmarks in one run and one table: `make bench`, or

    python -m benchmarks.run [--quick] [--only PART,PART] [--out JSON]

Every figure stands beside that of a peer, measured by turns on the same machine; what counts is the ratio: how many
times faster ours is, its median and its range. Prints a Markdown table and writes everything as JSON;
`python -m benchmarks.document` puts the table into docs/benchmarks.md.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import chain, files, networks, peers, retrieval, validation
from benchmarks.document import table
from benchmarks.fields import Inputs
from benchmarks.timing import ROOT, Row, about, spread

PARTS: dict[str, Callable] = {
    "published": networks.published,
    "light": networks.light,
    "writing": files.writing,
    "assembly": files.assembly,
    "interpolation": peers.interpolation,
    "month": chain.month,
    "memory": chain.memory,
    "planning": chain.planning,
    "retrieval": retrieval.retrieval,
    "validation": validation.validation,
}
OUT = ROOT / "results" / "bench" / "bench.json"


def main() -> None:
    """Measure what the arguments say."""
    arguments = _arguments()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found = {"about": {**about(), "quick": arguments.quick}, "parts": {}}
    started, inputs = time.perf_counter(), Inputs()
    for number, part in enumerate(arguments.only, 1):
        _say(f"[{number}/{len(arguments.only)}] {part}, after {time.perf_counter() - started:.0f} s")
        folder = Path(tempfile.mkdtemp(prefix=f"{part}-", dir=arguments.out.parent))
        try:
            rows = [_shown(row) for row in PARTS[part](inputs, folder, arguments.quick)]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        found["parts"][part] = [row.record() for row in rows]
        found["about"]["seconds"] = round(time.perf_counter() - started)
        arguments.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(table(found))
    _say(f"{arguments.out}, after {time.perf_counter() - started:.0f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything: does it work?")
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON; scratch files go into its folder")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    for part in parts:
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"there is no part {part!r}; choose of {', '.join(PARTS)}")
    return parts


def _shown(row: Row) -> Row:
    beside = f" | {row.peer} | × {spread(row.ratios)}" if row.peer else ""
    _say(f"    {row.what}: {row.ours}{beside} {row.asked and f'[{row.asked}]'} {row.remark}")
    return row


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
