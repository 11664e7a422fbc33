"""Make a model file: fit the network if it learns, state it if it does not."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from deepcams.errors import DeepcamsError
from deepcams.models.catalogue import trainer_of
from deepcams.models.checkpoint import save
from deepcams.training.shards import read_shard


def train(stage: str, settings: dict, indices: Sequence[str | Path], out: str | Path, *, code: str) -> None:
    """Write the model file of `stage` ("temporal" or "spatial").

    settings : network and, if it learns, training (steps, batch_size, patch, learning_rate, seed).
    indices : index files of the training months' shards; none for an interpolation.  code : digest for the record of
    what was learnt; an interpolation's file leaves it out, so that it is the same whatever else was edited.
    Raises DeepcamsError if a network that learns is given nothing to learn from, or if training diverges.
    """
    network = settings["network"]
    trainer = trainer_of(stage, network)
    weights, provenance = {}, {}
    if trainer is not None:
        if not indices:
            raise DeepcamsError(f"The {stage} network {network} learns, but there are no training months.")
        folders = [Path(path).parent for path in indices]
        shards = [read_shard(folder) for folder in folders]
        abouts = [json.loads((folder / "index.json").read_text(encoding="utf-8")) for folder in folders]
        # By name: only the digests of networks that learn cover the code that trains them.
        weights, history = import_module(trainer).fit(shards, settings["training"])
        provenance = {
            "code": code,
            "shards": {folder.name: about["sha256"]["fine"] for folder, about in zip(folders, abouts, strict=True)},
            **{key: abouts[0].get(key) for key in ("operator", "cell_methods", "collection", "synthetic")},
            "history": history,
        }
    save(out, stage, network, settings=settings, weights=weights, provenance=provenance)
