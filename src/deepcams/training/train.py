"""Make a model file: teach the network if it learns, state it if it does not."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pandas as pd

from deepcams.config.digest import digest
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.models.catalogue import description, make, trainer_of
from deepcams.models.checkpoint import save
from deepcams.training.shards import read_shard


def train(
    stage: str,
    settings: dict,
    indices: Sequence[str | Path],
    out: str | Path,
    *,
    code: str,
    last: str | Path | None = None,
    curves: str | Path | None = None,
    state: str | Path | None = None,
) -> dict:
    """Write the model file of `stage` ("temporal" or "spatial").

    settings : network and, if it learns, sizes, recipe and training (steps, batch_size, patch, learning_rate, seed,
    precision, threads).   indices : index files of the training months' shards; none for an interpolation.
    out : the weights that were best on held-out patches.   last : those of the last step.   curves : CSV of the losses
    and the held-out errors (ug m-3).   state : where a killed training is kept to go on from; gone when it is done.
    code : digest for the record of what was learnt; an interpolation's file leaves it out, so that it is the same
    whatever else was edited. Returns the figures of the best weights; nothing for an interpolation.
    Raises DeepcamsError if a network that learns is given nothing to learn from, or if training diverges.
    """
    network = settings["network"]
    trainer = trainer_of(stage, network)
    if trainer is None:
        save(out, stage, network, settings=settings, weights={}, provenance={})
        return {}
    if not indices:
        raise DeepcamsError(f"The {stage} network {network} learns, but there are no training months.")
    import torch  # an interpolation's file needs none of it

    from deepcams.training.engine import fit

    folders = [Path(path).parent for path in indices]
    shards = [read_shard(folder) for folder in folders]
    abouts = [json.loads((folder / "index.json").read_text(encoding="utf-8")) for folder in folders]
    provenance = {
        "code": code,
        "shards": _digests(folders, abouts),
        **{key: abouts[0].get(key) for key in ("operator", "cell_methods", "collection", "synthetic")},
    }
    torch.manual_seed(settings["training"]["seed"])
    module = make(stage, network, settings)
    # By name: only the digests of networks that learn cover the code that trains them.
    task = import_module(trainer).task(module, shards, settings["training"])
    done = fit(
        task,
        settings["training"],
        name=f"the {stage} network {network}",
        state=Path(state) if state else None,
        key=digest({"stage": stage, "settings": settings, "provenance": provenance}),
    )
    about = {**settings, **description(module)}
    best = next(row for row in done.history if row["step"] == done.best_step)
    for path, weights, row in ((last, module.state_dict(), done.history[-1]), (out, done.best, best)):
        if path is not None:
            arrays = {name: value.detach().cpu().numpy() for name, value in weights.items()}
            save(path, stage, network, settings=about, weights=arrays, provenance={**provenance, "validation": row})
    if curves is not None:
        with atomic_path(curves) as temporary:
            pd.DataFrame(done.history).to_csv(temporary, index=False, float_format="%.6g")
    if state is not None:
        Path(state).unlink(missing_ok=True)
    return best


def _digests(folders: Sequence[Path], abouts: Sequence[dict]) -> dict[str, str]:
    """What was learnt from: shard → SHA-256 of its fine fields. A month of two regions counts twice."""
    digests: dict[str, str] = {}
    for number, (folder, about) in enumerate(zip(folders, abouts, strict=True), start=1):
        digests[folder.name if folder.name not in digests else f"{folder.name} ({number})"] = about["sha256"]["fine"]
    return digests
