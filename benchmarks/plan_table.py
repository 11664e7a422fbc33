"""Write the table that `deepcams plan` falls back on, src/deepcams/plan/measurements.csv:

    python -m benchmarks.plan_table . config/tiny.yaml,config/demo.yaml

Each argument pair is a folder of a checkout and the configurations that were run there; several, joined by +, are laid
over one another. CPU seconds, memory and bytes are the medians of a rule's jobs of one size there; their wall times are
left out, because tests run beside others. The rows of the globe are figures of docs/benchmarks.md, docs/networks.md,
docs/fusion.md, docs/planning.md and README.md, written down in PUBLISHED.
"""

import csv
import sys
from pathlib import Path

from benchmarks.timing import ROOT, about
from deepcams.plan.graph import build
from deepcams.plan.measured import COLUMNS, TABLE, of_checkout
from deepcams.sources.services.estimate import GEOSCF_STORED, STATION_DAY, STATION_STORED

OUT = ROOT / "src" / "deepcams" / "plan" / TABLE
XEON = "Intel Xeon with AMX, 2 cores"
GLOBE = 721 * 1440
MONTH = 744 * GLOBE  # hours × nodes of a global month of 31 days
BENCH, NETWORKS, FUSION, PLANNING = "benchmarks.md", "networks.md", "fusion.md", "planning.md"  # below docs

# rule, network, units, seconds of CPU and of the clock, MB, bytes, source. Where only the clock was read, two threads
# are taken to be busy.
PUBLISHED = [
    ("retrieve_cams", "", MONTH, 1.6, 1.6, 319, 48e6, BENCH),
    ("downscale_temporal", "flow_residual-56", MONTH, 55.2, 27.6, 764, 220e6, BENCH),
    ("downscale_spatial", "pixel_shuffle-64", MONTH, 123.9, 61.9, 844, 691.6e6, BENCH),
    ("assemble_year", "", MONTH, 1.7, 1.7, 126, 691.6e6, BENCH),
    ("downscale_temporal", "xvfi-64", MONTH, 114.0, 57.0, 775, 220e6, NETWORKS),  # 0.23 s for each of 248 intervals
    ("downscale_temporal", "xvfi-64-published", MONTH, 153.8, 76.9, 668, 220e6, BENCH),  # 0.31 s
    ("downscale_spatial", "abpn-32", MONTH, 13_392, 6_696, 494, 691.6e6, NETWORKS),  # 9 s an hour
    ("downscale_spatial", "abpn-32-published", MONTH, 41_664, 20_832, 1107, 691.6e6, NETWORKS),  # 28 s an hour
    # 30 hours a second by both, shared out between them.
    ("downscale_temporal", "linear", MONTH, 24.8, 12.4, None, 220e6, "README.md"),
    ("downscale_spatial", "bicubic", MONTH, 24.8, 12.4, None, 691.6e6, "README.md"),
    # 57.9 million station-hours of 36 months at 11.8 s of a core a million.
    ("collocate_stations", "", 57.9e6 / 36, 19.0, 19.7, 3000, None, BENCH),
    # 143 s for the scores at the stations (benchmarks.md), and 0.75 s of checks for each day. No comparison with a
    # truth, which runs of synthetic data have, and real ones have not. The 3 GB are those of scores and collocation.
    ("validate_year", "", 365 * 24 * GLOBE, 417.0, None, 3000, None, PLANNING),
    ("fuse_month", "pointconv_unetpp-16", 31 * GLOBE, 378, 189, None, None, FUSION),  # 6.1 s a day on two cores
    ("train_fusion", "pointconv_unetpp-8", 1500 * 6 * 128**2, 540, 540, None, None, FUSION),  # 0.36 s a step
    # Of real data only the bytes were measured, or assumed.
    ("retrieve_geoscf", "", MONTH, None, None, None, MONTH * GEOSCF_STORED, "retrieval.md"),
    ("retrieve_openaq", "", 744 * 10_000, None, None, None, 31e4 * STATION_DAY * STATION_STORED, "assumed"),
]


def main() -> None:
    """Collect the rows and write them."""
    rows = [dict(zip(COLUMNS, (*row[:7], 0, XEON, row[7]), strict=True)) for row in PUBLISHED]
    machine = f"{about()['cpu']}, {about()['cores']} cores"
    for folder, names in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        for name in names.split(","):
            graph = build(Path(folder), ["all"], name.split("+"))
            for found in of_checkout(graph, Path(folder), every=True):
                source = f"{Path(name.split('+')[0]).stem} run"
                rows.append(vars(found) | {"wall_s": None, "machine": machine, "source": source})
    rows.sort(key=lambda row: (row["rule"], row["network"], row["units"], row["source"]))
    with OUT.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _short(value) for name, value in row.items()} for row in rows)


def _short(value: object) -> object:
    return (
        ""
        if value is None
        else f"{value:.4g}"
        if isinstance(value, float) and value < 1e4
        else (f"{value:.0f}" if isinstance(value, float) else value)
    )


if __name__ == "__main__":
    main()
