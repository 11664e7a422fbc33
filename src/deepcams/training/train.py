"""Make a model file: fit the network if it learns, state it if it does not."""

from collections.abc import Sequence
from pathlib import Path

from deepcams.errors import DeepcamsError
from deepcams.models.catalogue import learns
from deepcams.models.checkpoint import save
from deepcams.training.shards import read_shard


def train(stage: str, settings: dict, indices: Sequence[str | Path], out: str | Path, *, code: str) -> None:
    """Write the model file of `stage` ("temporal" or "spatial").

    settings : network and, if it learns, training (steps, batch_size, patch, learning_rate, seed).
    indices : index files of the training months' shards; none for an interpolation.  code : digest for the record.
    Raises DeepcamsError if a network that learns is given nothing to learn from, or if training diverges.
    """
    network = settings["network"]
    provenance = {"code": code, "shards": [f"{Path(path).parent.name}" for path in indices]}
    weights, history = {}, []
    if learns(stage, network):
        if not indices:
            raise DeepcamsError(f"The {stage} network {network} learns, but there are no training months.")
        from deepcams.training.kernel import fit_kernel

        shards = [read_shard(Path(path).parent) for path in indices]
        provenance |= {"operator": shards[0].operator, "synthetic": shards[0].synthetic}
        weights, history = fit_kernel(shards, settings["training"])
    save(out, stage, network, settings=settings, weights=weights, provenance={**provenance, "history": history})
