"""What of the light networks' learning pays? The ablations of docs/networks.md, each changing one thing.

    python docs/study_learning.py train FOLDER WEST CASE     (FOLDER as docs/pretrain.py nature makes it; minutes)
    python docs/study_learning.py table FOLDER WEST EUROPE
    python docs/study_learning.py cases

Real fields: block 2 of the western sample of GEOS-CF (90° to 45° west), which is not learnt from, as in
docs/study_real_fields.py; "packed" are block means as the files of CAMS would hold them, rounded to 0.5 ug m-3 after
the lowest fifth was taken away. Nature run: its held-out hours. GEOS-Chem: Europe, time only. One seed each.
"""

import json
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from pretrain import TRAINING, WEST_SHARE, west_shards
from study_real_fields import BLOCK, read_west, score_europe

from deepcams.degrade.operators import degrade
from deepcams.grid.blocks import coarse_around
from deepcams.grid.nodes import refine
from deepcams.models import flow_residual
from deepcams.models.checkpoint import load
from deepcams.models.sun import CHANNELS
from deepcams.training import domain, samples, temporal
from deepcams.training.engine import fit
from deepcams.training.held_out import held_out, mean_concentration
from deepcams.training.shards import read_shard
from deepcams.training.train import train
from deepcams.validation.scores import Method, baselines, score

FOLD, SEED = 2, 1
STEPS = {"temporal": 350, "spatial": 1500}
# stage, settings of the training, what is learnt from, and a patch of the code: what a case changes.
CASES = {
    "space, as shipped": ("spatial", {}, "both", None),
    "block means alone": ("spatial", {"domain": "single"}, "both", None),
    "no near-zero floor, no packing": ("spatial", {}, "both", (domain, "FLOOR", 0.0)),
    "no amplitudes": ("spatial", {}, "both", (domain, "AMPLITUDE", 1.0)),
    "no latitude weights": ("spatial", {"latitude_weights": False}, "both", None),
    "nature run alone": ("spatial", {}, "nature", None),
    "real fields alone": ("spatial", {}, "real", None),
    "time, as shipped": ("temporal", {}, "both", None),
    "0.75° alone": ("temporal", {"resolution": "coarse"}, "both", None),
    "0.25° alone": ("temporal", {"resolution": "fine"}, "both", None),
    "time: no latitude weights": ("temporal", {"latitude_weights": False}, "both", None),
    "time: nature run alone": ("temporal", {}, "nature", None),
    "no sun": ("temporal", {}, "both", "sun"),
    "no motion": ("temporal", {}, "both", "motion"),
    "two frames, nature run": ("temporal", {"resolution": "coarse"}, "nature", None),
    "four frames, nature run": ("temporal", {"resolution": "coarse"}, "nature", "frames"),
}


def _no_sun(time, latitude, longitude) -> np.ndarray:
    return np.zeros((CHANNELS, len(latitude), len(longitude)), np.float32)


def _no_motion(first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    return first.new_zeros(len(first), 2, *first.shape[2:])


@contextmanager
def changed(change):
    """The code as a case has it, for training and for scoring."""
    with ExitStack() as stack:
        if change == "sun":
            for module in ("deepcams.models.frames", "deepcams.training.samples"):
                stack.enter_context(patch(f"{module}.sun", _no_sun))
        elif change == "motion":
            stack.enter_context(patch.object(flow_residual, "motion", _no_motion))
        elif isinstance(change, tuple):
            stack.enter_context(patch.object(*change))
        yield


def name_of(case: str) -> str:
    """A file's name."""
    return "".join(letter if letter.isalnum() else "-" for letter in case)


def teach(folder: Path, west: Path, case: str) -> None:
    """Train a case."""
    stage, change, source, patched = CASES[case]
    settings = {
        "network": {"temporal": "flow_residual", "spatial": "pixel_shuffle"}[stage],
        "recipe": "corrected",
        "features": {"temporal": 56, "spatial": 64}[stage],
        "training": {
            **TRAINING[stage],
            "steps": STEPS[stage],
            "seed": SEED,
            "precision": "float32",
            "threads": 1,
            "ema": None,
            "domain": "mixed",
            "latitude_weights": True,
            **({"resolution": "both"} if stage == "temporal" else {}),
            **change,
        },
    }
    synthetic = sorted(folder.glob("nature-*/index.json"))
    real = west_shards(folder, west, FOLD) if source != "nature" else []
    copies = round(WEST_SHARE / (1 - WEST_SHARE) * len(synthetic) / len(real)) if real else 0
    # Without the nature run its hours are still what is held out: one shard among very many real ones.
    copies, synthetic = (100, synthetic[:1]) if source == "real" else (copies, synthetic)
    out = folder / "ablations" / f"{name_of(case)}.safetensors"
    out.parent.mkdir(exist_ok=True)
    with changed(patched):
        if patched == "frames":
            four_frames(synthetic, settings["training"], out)
        else:
            indices = [*synthetic, *(index for index in real for _ in range(copies))]
            best = out.with_suffix(".best.safetensors")
            train(stage, settings, indices, best, last=out, code="study", curves=out.with_suffix(".csv"))


class FourFrames(flow_residual.FlowResidual):
    """The light network with the analyses before and after its two, as two more channels of the context."""

    context = CHANNELS + 2

    def __init__(self, features: int = 56):
        super().__init__(features)
        self.head = torch.nn.Conv2d(8 + self.context, features, 3)

    def relate(self, first, last, context):
        """As the light network, which checks for the sun alone."""
        with patch.object(flow_residual, "CHANNELS", self.context):
            return super().relate(first, last, context)


def draw_four(shards, drawing, seed, step, indices, part="training"):
    """Examples of 0.75° with four analyses 3 hours apart, the target between the second and the third."""
    found = []
    for random in samples.generators(seed, step, indices):
        shard = shards[random.integers(len(shards))]
        rows, columns = samples._corner(shard.coarse_grid, random, drawing, 0, "temporal")
        start = samples._start(shard, random, 9, part, 9)
        inner = int(random.integers(1, 3))
        before, first, target, last, after = samples._cut(
            shard.coarse, [start + k for k in (0, 3, 3 + inner, 6, 9)], rows, columns
        )
        here = samples._grid(shard.coarse_grid, rows, columns)
        sun = samples.sun(shard.times[start] + 9 * samples.HALF_HOUR, here.latitude, here.longitude)
        context = np.concatenate([sun, np.arcsinh([before, after])]).astype(np.float32)
        weight = samples._weights(samples._inside(here.latitude, drawing.halo), drawing)
        found.append((first[None], last[None], samples._inside(target, drawing.halo)[None], inner / 3, context,
                      weight[None]))  # fmt: skip
    return samples.Intervals(*(samples._stacked(group) for group in zip(*found, strict=True)))


def four_frames(synthetic: list[Path], training: dict, out: Path) -> None:
    """Train the network with four frames; the history alone is kept."""
    torch.manual_seed(SEED)
    module, shards = FourFrames(), [read_shard(index.parent) for index in synthetic]
    drawing = samples.Drawing(training["patch"], module.halo, sun=True, latitude_weights=True)
    examples = held_out(lambda indices: draw_four(shards, drawing, SEED, 0, indices, "validation"))
    scale = mean_concentration([part.target for part in examples])
    task = temporal.Task(
        module,
        partial(draw_four, shards, drawing, SEED),
        loss=lambda network, part: temporal._loss(network, part, module, scale),
        validate=lambda network: temporal._validate(network, examples),
        rate=temporal.warm_cosine,
        clips=True,
    )
    done = fit(task, training, name="four frames")
    pd.DataFrame(done.history).to_csv(out.with_suffix(".csv"), index=False)


def table(folder: Path, west: Path, europe: Path) -> None:
    """Differences from linear or from bicubic interpolation, per cent, as Markdown."""
    fields, times, grid = read_west(west)
    region = (90.0, -180 + BLOCK * FOLD, -90.0, -180 + BLOCK * (FOLD + 1) - grid.step)
    lowest = np.quantile(fields, 0.2)
    floored = np.maximum(fields - np.float32(lowest), 0)
    fine = np.pad(floored, [(0, 0), *coarse_around(grid)[1]], mode="edge")
    grid_fine = refine(coarse_around(grid)[0])
    packed = (np.rint(degrade(fine, grid_fine, "block_mean") / 0.5) * 0.5).astype(np.float32)
    rows = []
    for case, (stage, _, _, patched) in CASES.items():
        model = folder / "ablations" / f"{name_of(case)}.safetensors"
        curves = model.with_suffix(".csv")
        if not curves.is_file():
            continue
        last = pd.read_csv(curves).iloc[-1]
        row = {"case": case, "nature run": (last["rmse"] / last["baseline_rmse"], last["mae"] / last["baseline_mae"])}
        if model.is_file():
            with changed(patched):
                network = load(model, stage)
                method = Method("own", **{stage: network})
                usual = next(m for m in baselines(stage) if m.name == ("linear" if stage == "temporal" else "bicubic"))
                operators = (None, "block_mean") if stage == "temporal" else ("block_mean", "gaussian", "point")
                for operator in operators:
                    options = {} if operator is None else {"operator": operator}
                    found = score(stage, fields, grid, methods=[method, usual], region=region, times=times, **options)
                    row[operator or "0.25°"] = _ratios(found["methods"]["own"], found["methods"][usual.name])
                if stage == "spatial":
                    found = score(stage, floored, grid, methods=[method, usual], region=region, operator="block_mean",
                                  coarse=packed)["methods"]  # fmt: skip
                    row["packed"] = _ratios(found["own"], found[usual.name])
                else:
                    row["Europe"] = _ratios(*score_europe([method, usual], europe))
        rows.append(row)
        print(json.dumps(row), flush=True)
    for stage in ("spatial", "temporal"):
        chosen = [row for row in rows if CASES[row["case"]][0] == stage]
        columns = list(dict.fromkeys(key for row in chosen for key in row if key != "case"))
        print("\n| case | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
        for row in chosen:
            texts = [
                f"{100 * (row[key][0] - 1):+.1f}, {100 * (row[key][1] - 1):+.1f}" if key in row else ""
                for key in columns
            ]
            print(f"| {row['case']} | " + " | ".join(texts) + " |")


def _ratios(own: dict, usual: dict) -> tuple[float, float]:
    return own["rmse"] / usual["rmse"], own["mae"] / usual["mae"]


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "train":
        teach(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    elif len(sys.argv) == 5 and sys.argv[1] == "table":
        table(*map(Path, sys.argv[2:]))
    elif sys.argv[1:] == ["cases"]:
        print("\n".join(CASES))
    else:
        sys.exit(__doc__)
