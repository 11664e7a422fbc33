"""Does XVFI leave the linear solution, and what makes the difference? The study of docs/networks.md.

    python docs/study_xvfi.py train FOLDER TRAINING_SHARD CASE SEED   (one training of 2,000 steps; minutes)
    python docs/study_xvfi.py report FOLDER TEST_SHARD                (table, and docs/images/xvfi.png)

Shards are folders such as results/demo/shards/2018-06. XVFI has 16 features here. Each case changes one thing of the
corrected recipe, but for `published`, which changes all.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from deepcams.grid.nodes import Region, coarse_grid, locate
from deepcams.models.edges import set_edges
from deepcams.models.frames import TemporalFrames
from deepcams.models.manner import Manner
from deepcams.models.sun import CHANNELS
from deepcams.models.transform import TRANSFORMS
from deepcams.models.xvfi import Xvfi
from deepcams.report.style import CAMS, OTHER, PRODUCT, TRUTH, new_figure, save_png, styled
from deepcams.training import losses, temporal
from deepcams.training.engine import fit
from deepcams.training.samples import Drawing
from deepcams.training.shards import read_shard

FEATURES, STEPS = 16, 2000
# What a case changes: arguments of Xvfi, and how it is trained.
CASES = {
    "corrected": {},
    "without the sun": {"context": 0},
    "random start": {"linear_start": False},
    "scaled by 1/800": {"transform": TRANSFORMS["clipped_800"]},
    "learning rate 1e-4": {"rate": 1e-4},
    "published, 3 h at 0.75°": {"recipe": "published", "drawing": Drawing(flips=True)},
    "published without smoothness": {"recipe": "published", "smoothness": 0.0},
    "published": {"recipe": "published"},
}
SHOWN = {"corrected": PRODUCT, "without the sun": TRUTH, "published": CAMS}
REGION = Region(north=49.5, west=65.25, south=5.25, east=125.25)  # the demo's


def network(case: str) -> Xvfi:
    """XVFI as a case has it, before training."""
    change = CASES[case]
    if change.get("recipe") == "published":
        module = Xvfi(FEATURES, linear_start=False, transform=TRANSFORMS["clipped_800"])
        module.recipe, module.manner = "published", Manner(zero_edges=True)
        return module
    own = {key: value for key, value in change.items() if key in ("context", "linear_start", "transform")}
    module = Xvfi(FEATURES, **{"context": CHANNELS, **own})
    set_edges(module, "replicate")
    return module


def train(folder: Path, shard: str, case: str, seed: int) -> None:
    """Train a case and keep its history and its best weights."""
    torch.manual_seed(seed)
    module, change = network(case), CASES[case]
    published = change.get("recipe") == "published"
    settings = {
        "steps": STEPS,
        "batch_size": 8,
        "patch": 64,
        "learning_rate": change.get("rate", 1e-4 if published else 1e-3),
        "seed": seed,
        "precision": "float32",
        "threads": 1,
    }
    if "drawing" in change:
        temporal.PUBLISHED = change["drawing"]
    losses.SMOOTHNESS = change.get("smoothness", losses.SMOOTHNESS)
    task = temporal.task(module, [read_shard(shard)], settings)
    done = fit(task, settings, name=case)
    name = folder / f"{list(CASES).index(case)}-{seed}"
    torch.save(done.best, name.with_suffix(".pt"))
    name.with_suffix(".json").write_text(json.dumps({"case": case, "seed": seed, "history": done.history}))


def report(folder: Path, shard: str) -> None:
    """Score every training on the test month, print the table, draw the figure."""
    runs = [json.loads(path.read_text()) | {"file": path.with_suffix(".pt")} for path in sorted(folder.glob("*.json"))]
    print("| case | seed | flow | mask | residual | RMSE | MAE | linear |\n|---|---|---|---|---|---|---|---|")
    for run in runs:
        module = network(run["case"])
        module.load_state_dict(torch.load(run["file"], weights_only=True))
        rmse, mae, linear = score(TemporalFrames(module), shard)
        end = run["history"][-1]
        print(
            f"| {run['case']} | {run['seed']} | {end['flow']:.4f} | {end['mask']:.4f} | {end['residual']:.4f} | "
            f"{rmse:.3f} | {mae:.3f} | {linear[0]:.3f}, {linear[1]:.3f} |"
        )
    save_png(draw(runs), Path(__file__).resolve().parent / "images" / "xvfi.png", dpi=130)


def score(network: TemporalFrames, folder: str) -> tuple[float, float, tuple[float, float]]:
    """RMSE and MAE of every seventh interval at 0.75°, and of linear interpolation, ug m-3."""
    shard, fractions = read_shard(folder), (1 / 3, 2 / 3)
    rows, columns = locate(coarse_grid(REGION), shard.coarse_grid)
    errors = {"network": [], "linear": []}
    for start in range(0, shard.own - 3, 21):
        frames = np.array(shard.coarse[start : start + 4])
        first, last = frames[0], frames[3]
        found = network.between(first, last, fractions, shard.coarse_grid, shard.times[start])
        line = np.stack([(1 - t) * first + t * last for t in fractions])
        for name, fields in (("network", found), ("linear", line)):
            errors[name].append((fields - frames[1:3])[:, rows][..., columns])
    rmse = {name: float(np.sqrt(np.mean(np.square(parts)))) for name, parts in errors.items()}
    mae = {name: float(np.mean(np.abs(parts))) for name, parts in errors.items()}
    return rmse["network"], mae["network"], (rmse["linear"], mae["linear"])


@styled
def draw(runs: list[dict]) -> Figure:
    """Score, displacement, mask and residual by step; one line a seed."""
    figure = new_figure(9.6, 5.0)
    panels = figure.subplots(2, 2).ravel()
    columns = (
        ("score", "Held-out error relative to linear"),
        ("flow", "Mean displacement (cells)"),
        ("mask", "Mean |mask − ½|"),
        ("residual", "Mean |residual| (transformed units)"),
    )
    for axes, (key, title) in zip(panels, columns, strict=True):
        for run in runs:
            if run["case"] not in SHOWN:
                continue
            rows = run["history"]
            values = np.array([row[key] for row in rows])
            label = run["case"] if run["seed"] == 1 else None
            axes.plot([row["step"] for row in rows], values, color=SHOWN[run["case"]], linewidth=1.2, label=label)
        if key == "score":
            axes.axhline(1, color=OTHER, linestyle="--", linewidth=1, label="linear")
        else:
            axes.set_yscale("log")
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(axis="y")
    panels[0].legend()
    return figure


if __name__ == "__main__":
    if len(sys.argv) == 6 and sys.argv[1] == "train":
        train(Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]))
    elif len(sys.argv) == 4 and sys.argv[1] == "report":
        report(Path(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(__doc__)
