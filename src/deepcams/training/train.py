"""Make a model file: teach the network if it learns, state it if it does not."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pandas as pd

from deepcams.config.digest import digest
from deepcams.errors import DeepcamsError
from deepcams.files.atomic import atomic_path
from deepcams.models.catalogue import description, make, trainer_of
from deepcams.models.checkpoint import save
from deepcams.sources.checks import require_same_version
from deepcams.training.launch import is_launched, launched
from deepcams.training.shards import Shard, read_shard


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
    workers: int = 0,
    processes: int = 1,
) -> dict:
    """Write the model file of `stage` ("temporal", "spatial" or "fusion").

    settings : network and, if it learns, sizes, recipe and training (steps, batch_size, patch, learning_rate, seed,
    precision, threads, and if they are not as the recipe says ema, domain, resolution, latitude_weights).
    indices : index files of the training months' shards; none for an interpolation.
    out : the weights that were best on held-out patches.   last : those of the last step.   curves : CSV of the losses
    and the held-out errors (ug m-3).   state : where a killed training is kept to go on from; gone when it is done.
    code : digest for the record of what was learnt; an interpolation's file leaves it out, so that it is the same
    whatever else was edited.   workers : processes that draw examples, for each that trains; 0: it draws them itself.
    processes : that train, each with its share of every batch; under torchrun as many as it has started.
    Returns the figures of the best weights; nothing for an interpolation, or in a process that is not the first.
    Raises DeepcamsError if a network that learns is given nothing to learn from, or if training diverges.
    """
    network = settings["network"]
    trainer = trainer_of(stage, network)
    if trainer is None:
        save(out, stage, network, settings=settings, weights={}, provenance={})
        return {}
    if not indices:
        raise DeepcamsError(f"The {stage} network {network} learns, but there are no training months.")
    # By name: only the digests of networks that learn cover the code that trains them.
    teacher = import_module(trainer)
    paths = {"out": out, "last": last, "curves": curves, "state": state}
    if processes > 1 and not is_launched() and not hasattr(teacher, "solve"):
        job = {"stage": stage, "settings": settings, "indices": [str(path) for path in indices], "code": code}
        job |= {name: None if path is None else str(path) for name, path in paths.items()}
        return launched(processes, {**job, "workers": workers})
    # An interpolation's file needs none of it.
    import torch

    from deepcams.training.engine import fit
    from deepcams.training.ranks import ranks
    from deepcams.training.state import Progress

    folders = [Path(path).parent for path in indices]
    shards = [getattr(teacher, "read", read_shard)(folder) for folder in folders]
    require_same_version({str(folder): shard.about for folder, shard in zip(folders, shards, strict=True)})
    provenance = {
        "code": code,
        "shards": _digests(folders, shards),
        **{
            key: shards[0].about.get(key)
            for key in ("operator", "cell_methods", "collection", "geoscf_version", "pollutant", "synthetic")
        },
    }
    torch.manual_seed(settings.get("training", {}).get("seed", 0))
    module = make(stage, network, settings)
    team = ranks()
    if hasattr(teacher, "solve"):
        row = teacher.solve(module, shards)
        done = Progress(step=1, best_step=1, best=module.state_dict(), history=[row])
    else:
        done = fit(
            teacher.task(module, shards, settings["training"]),
            {**settings["training"], "workers": workers},
            name=f"the {stage} network {network}",
            state=Path(state) if state else None,
            key=digest({"stage": stage, "settings": settings, "provenance": provenance}),
        )
        # Beside the settings, for whoever reads where weights come from; sums depend on processes in their last digits.
        how = {key: settings["training"].get(key) for key in ("domain", "resolution", "steps", "seed")}
        provenance |= {**how, "processes": team.size}
    if team.rank:
        return {}
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


def _digests(folders: Sequence[Path], shards: Sequence[Shard]) -> dict[str, str]:
    """What was learnt from: shard → SHA-256 of its fine fields, or of its days by variable. A month of two regions
    counts twice."""
    digests: dict[str, str] = {}
    for number, (folder, shard) in enumerate(zip(folders, shards, strict=True), start=1):
        name = folder.name if folder.name not in digests else f"{folder.name} ({number})"
        found = shard.about["sha256"]
        digests[name] = found["fine"] if "fine" in found else digest(found)
    return digests
