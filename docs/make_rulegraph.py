"""Make docs/images/rulegraph.png: the rules of the tiny configuration and what they depend on, as Snakemake sees them.

    python docs/make_rulegraph.py

Needs `dot` (Graphviz), which places the boxes.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images" / "rulegraph.png"
# What a rule is for, by the beginning of its name, with the fill and the line of its box (after Okabe & Ito 2008).
KINDS = {
    "retrieve simulate": ("input", "#fdebd9", "#D55E00"),
    "degrade train derive": ("learning", "#d9eee7", "#009E73"),
    "downscale assemble": ("product", "#d8e9f5", "#0072B2"),
    "evaluate summarise cut collocate validate": ("validation", "#f6e3ee", "#a84c80"),
    "plot write": ("report", "#eceff1", "#5b6773"),
}


def main() -> None:
    """Ask Snakemake for the graph, restyle it, have it drawn."""
    if not shutil.which("dot"):
        sys.exit("This needs Graphviz: apt-get install graphviz, or conda install graphviz.")
    nodes, edges = rule_graph()
    OUT.parent.mkdir(exist_ok=True)
    # pngs of Graphviz carry no date: the same graph gives the same bytes
    subprocess.run(["dot", "-Tpng", f"-o{OUT}"], input=styled(nodes, edges), text=True, check=True)
    print(f"{OUT.relative_to(ROOT)}: {len(nodes)} rules, {len(edges)} dependences")


def rule_graph() -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Rules by their number, and pairs of numbers (before, after), without those that follow from others."""
    # Targets first: --rulegraph and --configfile take the words after them.
    command = [sys.executable, "-m", "snakemake", "all", "--rulegraph", "--configfile", "config/tiny.yaml"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    text = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    nodes = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', text, flags=re.MULTILINE))
    edges = re.findall(r"^\s*(\d+) -> (\d+)$", text, flags=re.MULTILINE)
    return nodes, without_shortcuts([edge for edge in edges if edge[0] != edge[1]])


def without_shortcuts(edges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Edges without which the order of the rules would be another (transitive reduction)."""
    after = {}
    for first, second in edges:
        after.setdefault(first, set()).add(second)

    def reachable(start: str) -> set[str]:
        found, pending = set(), list(after.get(start, ()))
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending += after.get(node, ())
        return found

    return [(a, b) for a, b in edges if not any(b in reachable(c) for c in after[a] - {b})]


def styled(nodes: dict[str, str], edges: list[tuple[str, str]]) -> str:
    """The graph in Graphviz's language, in the colours of the project's figures."""
    lines = [
        "digraph rules {",
        "graph [rankdir=TB, bgcolor=white, margin=0.08, nodesep=0.25, ranksep=0.34, dpi=110, splines=true];",
        'node [shape=box, style="rounded,filled", fontname="DejaVu Sans", fontsize=12, penwidth=1.3,'
        ' margin="0.13,0.07", fontcolor="#27303a"];',
        'edge [color="#8c96a0", penwidth=1.2, arrowsize=0.65];',
    ]
    for number, name in nodes.items():
        fill, line = next(
            ((fill, line) for verbs, (_, fill, line) in KINDS.items() if name.split("_")[0] in verbs.split()),
            ("#27303a", "#27303a"),
        )
        text = ', fontcolor="white"' if name == "all" else ""
        lines.append(f'{number} [label="{name}", fillcolor="{fill}", color="{line}"{text}];')
    lines += [f"{first} -> {second};" for first, second in edges]
    return "\n".join([*lines, "}"])


if __name__ == "__main__":
    main()
