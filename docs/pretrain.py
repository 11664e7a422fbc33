"""Train the networks that come with the package, and measure them on real fields that they have not seen.

    python docs/pretrain.py nature FOLDER [MONTH ...]          simulate the training months (minutes each)
    python docs/pretrain.py train STAGE FOLDER OUT [--west FILE] [--fold K] [--seed S] [--steps N] [--set KEY=JSON ...]

The material is the nature run, five days of each of six months all round the globe, and the western hemisphere of
GEOS-CF (`geoscf_pm25_west_4h.nc`, four hours of one day; WEST_SHARE of the examples). With --fold the block K of
longitude (0 … 3, 45° each) and 4.5° on either side of it are left out, for docs/study_real_fields.py to score; without
it all is learnt from. src/deepcams/pretrained/MODEL_CARD.md says how the packaged networks were made.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from deepcams.calendar import HALF_HOUR, HOUR
from deepcams.config.networks import FEATURES, NETWORKS
from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Grid
from deepcams.sources.geoscf import open_geoscf
from deepcams.sources.nature_run.simulate import NatureRun, synthetic_label
from deepcams.sources.nature_run.write import hourly
from deepcams.training.prepare import write_frames
from deepcams.training.train import train

MONTHS = ("01", "03", "05", "07", "09", "11")  # of 2018; the month is the nature run's seed as well
FIRST_DAY, DAYS, SPIN_UP = 10, 5, 4
STEP_MINUTES = 15
WEST_SHARE = 0.7  # of the examples: what is real is rare, and what the networks are for
DEGRADATION = {"operator": "block_mean", "sigma": 1.0}
BLOCK, BUFFER = 45.0, 4.5  # degrees of longitude
# Beside what the corrected recipe says.
TRAINING = {
    "temporal": {"steps": 3000, "batch_size": 8, "patch": 32, "learning_rate": 0.001},
    "spatial": {"steps": 6000, "batch_size": 8, "patch": 24, "learning_rate": 0.0015},
}


def simulate(folder: Path, month: str) -> Path:
    """The index file of a global shard of the nature run: five days of hourly means."""
    index = folder / f"nature-{month}" / "index.json"
    if index.is_file():
        return index
    seed = int(month)
    start = np.datetime64(f"2018-{month}-{FIRST_DAY}", "s")
    run = NatureRun(seed, start - SPIN_UP * 24 * HOUR, step_minutes=STEP_MINUTES)
    count = DAYS * 24 + 1

    def frames():
        for number in range(SPIN_UP * 24 + count):
            mean = hourly(run)[1]
            if number >= SPIN_UP * 24:
                yield mean

    times = start + np.arange(count) * HOUR + HALF_HOUR
    about = {"source": f"nature run 2018-{month}", "synthetic": synthetic_label(seed), "own": count - 1}
    write_frames(frames(), times, run.grid, index, DEGRADATION, about)
    return index


def west_shards(folder: Path, file: Path, fold: int | None) -> list[Path]:
    """Index files of the real fields, all of them for training: whole, or what lies beside the block left out."""
    with open_geoscf(file) as opened:
        fields, times, grid = np.stack(list(opened.frames)), opened.times, opened.grid
    parts = {"all": slice(0, len(grid.longitude))}
    if fold is not None:
        west = -180 + BLOCK * fold
        parts = {
            f"west-of-{fold}": slice(0, int(np.searchsorted(grid.longitude, west - BUFFER))),
            f"east-of-{fold}": slice(int(np.searchsorted(grid.longitude, west + BLOCK + BUFFER)), len(grid.longitude)),
        }
    indices = []
    for name, columns in parts.items():
        if columns.stop - columns.start < 200:  # too narrow for a patch with its halo
            continue
        index = folder / f"geoscf-{name}" / "index.json"
        if not index.is_file():
            part = Grid(grid.latitude, grid.longitude[columns], grid.step)
            about = {"source": file.name, "own": len(times), "held_out": False}
            write_frames(iter(fields[:, :, columns]), times, part, index, DEGRADATION, about)
        indices.append(index)
    return indices


def settings_of(stage: str, options: argparse.Namespace) -> dict:
    """The settings of a training."""
    network = NETWORKS["light"][stage]
    training = {**TRAINING[stage], "seed": options.seed, "precision": "float32", "threads": options.threads}
    training |= {"domain": "mixed", "latitude_weights": True, "ema": None}
    training |= {"resolution": "both"} if stage == "temporal" else {}
    if options.steps:
        training["steps"] = options.steps
    training |= {key: json.loads(value) for key, value in (text.split("=", 1) for text in options.set)}
    return {
        "network": network,
        "recipe": "corrected",
        "features": FEATURES[network]["corrected"],
        "training": training,
    }


def main() -> None:
    """Run a command of the two above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    nature = commands.add_parser("nature")
    nature.add_argument("folder", type=Path)
    nature.add_argument("months", nargs="*", default=MONTHS)
    training = commands.add_parser("train")
    training.add_argument("stage", choices=tuple(TRAINING))
    training.add_argument("folder", type=Path)
    training.add_argument("out", type=Path)
    training.add_argument("--west", type=Path)
    training.add_argument("--fold", type=int, choices=range(4))
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--steps", type=int)
    training.add_argument("--threads", type=int, default=1)
    training.add_argument("--set", action="append", default=[], metavar="KEY=JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "nature":
        for month in options.months:
            simulate(options.folder, month)
        return
    synthetic = sorted(options.folder.glob("nature-*/index.json"))
    if not synthetic:
        raise DeepcamsError(f"There is no nature run in {options.folder}; make it first: docs/pretrain.py nature.")
    real = west_shards(options.folder, options.west, options.fold) if options.west else []
    # Shards are drawn from with equal probability: real ones stand as often as their share wants.
    copies = round(WEST_SHARE / (1 - WEST_SHARE) * len(synthetic) / len(real)) if real else 0
    train(
        options.stage,
        settings_of(options.stage, options),
        [*synthetic, *(index for index in real for _ in range(copies))],
        options.out.with_suffix(".best.safetensors"),
        last=options.out,  # held-out hours are synthetic: what does best there need not do best on real fields
        code="docs/pretrain.py",
        curves=options.out.with_suffix(".csv"),
        state=options.out.with_suffix(".training"),
    )


if __name__ == "__main__":
    main()
