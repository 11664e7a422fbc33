"""(e) Peak memory, (f) planning, and (g) a month of CAMS from its file to the product, each rule in its own process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from benchmarks import rules
from benchmarks.fields import SEED, Inputs
from benchmarks.networks import published_abpn, published_xvfi
from benchmarks.periods import MONTH, Days
from benchmarks.timing import ROOT, Row, in_process, median, seconds
from deepcams.calendar import Month
from deepcams.files.netcdf import Encoding, write_field
from deepcams.grid.nodes import coarse_globe
from deepcams.models import abpn, xvfi
from deepcams.models.catalogue import description
from deepcams.models.checkpoint import save
from deepcams.sources.nature_run.delivery import write_ads
from deepcams.sources.nature_run.simulate import synthetic_label

LIMIT = 3000  # MB, of the rule for space


def month(inputs: Inputs, folder: Path, quick: bool) -> Iterator[Row]:
    """The light pair: a global month of analyses to final files, through the functions of the rules, one by one."""
    days = 3 if quick else MONTH.days
    pattern = str(folder / "cams-{year}-{month}.nc")
    path = pattern.format(year=MONTH.year, month=f"{MONTH.month:02d}")
    write_ads(Path(path), MONTH.analyses(), inputs.analyses(MONTH.days), coarse_globe(), synthetic_label(SEED))
    raw, temporal, spatial, year = (str(folder / f"{name}.nc") for name in ("raw", "temporal", "spatial", "year"))
    orders = {
        rules.retrieve_cams: {"pattern": pattern, "out": raw},
        rules.downscale_temporal: {"analyses": raw, "out": temporal, "days": days},
        rules.downscale_spatial: {"hourly": temporal, "out": spatial},
        rules.assemble_year: {"parts": [spatial], "out": year},
    }
    steps, memory, hours = {}, {}, 24 * days
    for rule, arguments in orders.items():
        found = in_process(rule, **arguments)
        steps[rule.__name__], memory[rule.__name__] = found["seconds"], found["peak_mb"]
    total = sum(steps.values())
    yield Row(
        f"light pair, CAMS to final files, {f'{days} days after the file of' if quick else ''} a global month",
        f"{hours / total:.2f} hours/s",
        remark=", ".join(f"{rule} {took:.0f} s" for rule, took in steps.items())
        + f"; {18 * 365.25 * 24 / (hours / total) / 3600:.1f} h for 18 years",
        asked="≥ 4 hours/s",
        figures={"hours": hours, "steps_s": steps, "hours_per_s": hours / total},
    )
    for rule, peak in memory.items():
        yield _memory_row(f"{rule}, light pair, the globe", peak)


def memory(inputs: Inputs, folder: Path, quick: bool) -> Iterator[Row]:
    """Peak memory of the paper's networks at global size, and of the rules of runs that are there."""
    raw, hour = folder / "raw.nc", folder / "hour.nc"
    day = Days(MONTH, 1)
    write_canonical(raw, inputs.analyses(1), day)
    for recipe in ("corrected", "published"):
        models = {}
        for stage, network, module, make in (
            ("temporal", "xvfi", xvfi, published_xvfi),
            ("spatial", "abpn", abpn, published_abpn),
        ):
            settings = {"features": 32 if network == "abpn" else 64, "recipe": recipe}
            if network == "xvfi":
                settings["levels"] = 1
            net = make() if recipe == "published" else module.make(settings)
            models[stage] = str(folder / f"{network}-{recipe}.safetensors")
            weights = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
            save(
                models[stage], stage, network, settings={**settings, **description(net)}, weights=weights, provenance={}
            )
        out = str(folder / f"{recipe}.nc")
        found = in_process(rules.downscale_temporal, analyses=str(raw), out=out, days=1, model=models["temporal"])
        yield _memory_row(f"downscale_temporal, XVFI, {recipe} recipe, a global day", found["peak_mb"])
        if quick:
            continue  # half a minute and more
        in_process(rules.first_hour, hourly=out, out=str(hour))
        found = in_process(
            rules.downscale_spatial, hourly=str(hour), out=str(folder / "fine.nc"), model=models["spatial"]
        )
        yield _memory_row(f"downscale_spatial, ABPN, {recipe} recipe, a global frame", found["peak_mb"])
    yield from _rules_that_ran()


def planning(inputs: Inputs, folder: Path, quick: bool) -> Iterator[Row]:
    """How long Snakemake takes to plan the default configuration."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "all", "--directory", str(ROOT)]
    jobs = []

    def plan() -> None:
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if process.returncode:
            raise RuntimeError(process.stdout[-2000:] + process.stderr[-2000:])
        jobs[:] = [line.split()[1] for line in process.stdout.splitlines() if line.startswith("total")]

    took = [seconds(plan) for _ in range(1 if quick else 3)]
    yield Row(
        f"`snakemake -n all`, default configuration{f', {jobs[0]} jobs' if jobs else ''}",
        f"{median(took):.1f} s ({min(took):.1f} … {max(took):.1f})",
        asked="≤ 10 s",
        figures={"ours_s": took},
    )


def write_canonical(path: str | Path, analyses: np.ndarray, period: Month | Days) -> None:
    """Analyses as the rule retrieve_cams leaves them."""
    grid = coarse_globe()
    coordinates = {"time": period.analyses(), "latitude": grid.latitude, "longitude": grid.longitude}
    attributes = {"units": "ug m-3", "synthetic": synthetic_label(SEED)}
    field = xr.DataArray(analyses, coordinates, ("time", "latitude", "longitude"), name="pm25", attrs=attributes)
    write_field(path, field, Encoding())


def _rules_that_ran() -> Iterator[Row]:
    """The most that jobs of each rule took in runs of the workflow below `results`, as Snakemake measured it."""
    peaks: dict[tuple[str, str], float] = {}
    for path in sorted((ROOT / "results").glob("**/benchmarks/*/*.jsonl")):
        for line in path.read_text().splitlines():
            peak = json.loads(line).get("max_rss")
            if isinstance(peak, int | float):
                key = path.parents[2].name, path.parent.name
                peaks[key] = max(peaks.get(key, 0.0), peak * 1.048576)  # Snakemake counts MiB
    for (run, rule), peak in peaks.items():
        yield _memory_row(f"{rule}, in results/{run}", peak)


def _memory_row(what: str, peak: float) -> Row:
    asked = f"< {LIMIT} MB" if what.startswith("downscale_spatial") else ""
    return Row(f"peak memory of {what}", f"{peak:.0f} MB", asked=asked, figures={"peak_mb": peak})
