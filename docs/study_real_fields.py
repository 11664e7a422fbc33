"""How good are the light networks on real fields they have not seen? The study of docs/networks.md and the model card.

    python docs/study_real_fields.py score FOLDER WEST [EUROPE]   (models FOLDER/{stage}-{fold}-{seed}.safetensors)
    python docs/study_real_fields.py table FOLDER

The western sample of GEOS-CF (four hours) is cut into four blocks of longitude. For each block networks are trained
without it and 4.5° on either side (docs/pretrain.py train ... --fold), with three seeds, and scored on it, all four
hours; methods that do not learn are scored on the same nodes. The table has medians over blocks and seeds of the
differences from the baseline, per cent. GEOS-Chem over Europe (72 hours of winter, 0.5° × 0.625°) is a second witness
for time.
"""

import json
import sys
from pathlib import Path
from statistics import median

import numpy as np
import xarray as xr

from deepcams.grid.nodes import Grid
from deepcams.models import temporal_interpolation
from deepcams.models.catalogue import build
from deepcams.models.checkpoint import load
from deepcams.sources.geoscf import open_geoscf
from deepcams.training.least_squares import solve
from deepcams.training.shards import read_shard
from deepcams.validation.scores import Method, baselines, score

FOLDS, SEEDS, BLOCK = range(4), (1, 2, 3), 45.0
DEGRADATIONS = {"block_mean": {}, "imresize": {}, "gaussian": {"sigma": 1.0}, "point": {}}
STACK = "bicubic+closure+optical_flow"
EDGE = 4  # nodes of the European domain that its boundary spoils


def read_west(path: Path) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Fields (4, H, W), ug m-3, their times and grid."""
    with open_geoscf(path) as file:
        return np.stack(list(file.frames)), file.times, file.grid


def methods(stage: str, folder: Path, fold: int, seed: int | None) -> list[Method]:
    """What is scored on a block: without a seed what does not depend on one, else the networks of that seed."""
    if seed is None:
        found = baselines(stage)
        if stage == "temporal":
            found.append(Method("motion alone", build("temporal", "flow_residual", None, {"features": 56})))
        if stage == "spatial":
            found.append(Method("least_squares", spatial=least_squares(folder, fold)))
        return found
    models = {name: folder / f"{name}-{fold}-{seed}.safetensors" for name in ("temporal", "spatial")}
    if stage == "temporal":
        return [Method("flow_residual", temporal=load(models["temporal"], "temporal"))]
    space = load(models["spatial"], "spatial")
    if stage == "spatial":
        return [Method("pixel_shuffle", spatial=space), Method("pixel_shuffle+closure", None, space, "block_mean")]
    time, linear = load(models["temporal"], "temporal"), temporal_interpolation.linear()
    return [
        Method("linear+pixel_shuffle+closure", linear, space, "block_mean"),
        Method("the pair, time first", time, space, "none"),
        Method("the pair, space first", time, space, "none", order="space_first"),
        Method("the pair+closure, time first", time, space, "block_mean"),
        Method("the pair+closure, space first", time, space, "block_mean", order="space_first"),
    ]


def least_squares(folder: Path, fold: int):
    """The 7 × 7 kernels that fit the fields outside a block best."""
    from deepcams.models.catalogue import make
    from deepcams.models.frames import SpatialFrames

    module = make("spatial", "least_squares", {})
    parts = sorted(path.parent for path in (folder / "shards").glob(f"geoscf-*-of-{fold}/index.json"))
    solve(module, [read_shard(part) for part in parts])
    return SpatialFrames(module)


def score_all(folder: Path, west: Path, europe: Path | None) -> None:
    """Score every block with every seed that is there; what was scored before is kept."""
    fields, times, grid = read_west(west)
    for fold in FOLDS:
        region = (90.0, -180 + BLOCK * fold, -90.0, -180 + BLOCK * (fold + 1) - grid.step)
        for seed in (None, *SEEDS):
            out = folder / f"scores-{fold}-{seed or 'none'}.json"
            if out.is_file() or (seed and not all((folder / f"{s}-{fold}-{seed}.safetensors").is_file()
                                                  for s in ("temporal", "spatial"))):  # fmt: skip
                continue
            found = []
            for stage in ("temporal", "spatial", "joint"):
                chosen = methods(stage, folder, fold, seed)
                cases = [(name, {"operator": name, "parameters": values}) for name, values in DEGRADATIONS.items()]
                if stage == "joint":
                    cases = cases[:1]
                if stage == "temporal":
                    cases = [("none", {}), cases[0]]
                for name, options in cases:
                    result = score(stage, fields, grid, methods=chosen, region=region, times=times, **options)
                    found += [
                        {"stage": stage, "case": name, "method": method, "rmse": scores["rmse"], "mae": scores["mae"]}
                        for method, scores in result["methods"].items()
                    ]
            if europe is not None:
                found += score_europe(methods("temporal", folder, fold, seed), europe)
            out.write_text(json.dumps(found, indent=1))
            print(out, flush=True)


def score_europe(chosen: list[Method], path: Path) -> list[dict]:
    """Every three-hour interval of the European sample."""
    with xr.open_dataset(path) as data:
        fields = data.PM25.values[:, ::-1].astype(np.float32)
        latitude, longitude, times = data.lat.values[::-1], data.lon.values, data.time.values.astype("datetime64[s]")
    inside = slice(EDGE, -EDGE)
    grid = Grid(
        latitude, longitude, 0.5
    )  # the step is read where a grid is refined or found on the globe; here it is not
    rows = []
    for method in chosen:
        errors = []
        for start in range(0, len(fields) - 3, 3):
            found = method.temporal.between(fields[start], fields[start + 3], (1 / 3, 2 / 3), grid, times[start])
            errors.append((found - fields[start + 1 : start + 3])[:, inside, inside])
        error = np.stack(errors)
        rows.append({"stage": "temporal", "case": "europe", "method": method.name,
                     "rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean())})  # fmt: skip
    return rows


def table(folder: Path) -> None:
    """Medians and ranges over blocks and seeds, as Markdown."""
    found: dict[tuple, dict[str, list[float]]] = {}
    references = {"temporal": "linear", "spatial": "bicubic", "joint": STACK}
    for fold in FOLDS:
        base = json.loads((folder / f"scores-{fold}-none.json").read_text())
        values = {(row["stage"], row["case"], row["method"]): row for row in base}
        for seed in (None, *SEEDS):
            path = folder / f"scores-{fold}-{seed or 'none'}.json"
            for row in json.loads(path.read_text()) if path.is_file() else []:
                names = [references[row["stage"]]] + (["bicubic+closure"] if row["stage"] == "spatial" else [])
                for name in names:
                    reference = values[row["stage"], row["case"], name]
                    entry = found.setdefault((row["stage"], row["case"], name, row["method"]), {"rmse": [], "mae": []})
                    for key, numbers in entry.items():
                        numbers.append(100 * (row[key] / reference[key] - 1))
    for stage, case, name in dict.fromkeys(key[:3] for key in found):
        print(f"\n{stage}, {case}, against {name}\n\n| method | RMSE | MAE | n |\n|---|---|---|---|")
        for key, entry in found.items():
            if key[:3] == (stage, case, name):
                texts = [f"{median(v):+.1f} ({min(v):+.1f} … {max(v):+.1f})" for v in entry.values()]
                print(f"| {key[3]} | {texts[0]} | {texts[1]} | {len(entry['rmse'])} |")


if __name__ == "__main__":
    if len(sys.argv) in (4, 5) and sys.argv[1] == "score":
        score_all(Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) == 5 else None)
    elif len(sys.argv) == 3 and sys.argv[1] == "table":
        table(Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
