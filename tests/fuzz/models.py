"""Files of networks: the workflow's own, published checkpoints, and the states of trainings."""

import io
import json
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from deepcams.errors import DeepcamsError
from deepcams.models import abpn, checkpoint, pretrained, xvfi
from deepcams.models.published import convert, read_published
from deepcams.training.state import Progress, keep, kept, restore
from tests.fuzz.bombs import Code, npz_bombs, pickles, starts
from tests.fuzz.mutations import damaged, in_json, in_zip
from tests.fuzz.reader import Reader

_READY = abpn, xvfi  # imported once, not in every child
_STATE = {"SR_conv.weight": torch.ones(3, 3), "final_feat.bias": torch.zeros(3), "module.LR_conv.weight": torch.ones(2)}


def _own(folder: Path) -> list[bytes]:
    return [Path(pretrained.path("spatial")).read_bytes()]


def _header(content: bytes, change) -> bytes:
    """A file of safetensors with its header, JSON, changed, and the length in front of it made right."""
    (length,) = struct.unpack("<Q", content[:8])
    header = change(content[8 : 8 + length])
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def in_header(content: bytes, random: np.random.Generator, others: list[bytes]) -> bytes:
    """The tensors' names, types, shapes and places are others."""
    return _header(content, lambda header: in_json(header, random, others))


def in_about(content: bytes, random: np.random.Generator, others: list[bytes]) -> bytes:
    """What the file says of its network is other."""

    def change(header: bytes) -> bytes:
        document = json.loads(header)
        about = document["__metadata__"][checkpoint.METADATA]
        document["__metadata__"][checkpoint.METADATA] = in_json(about.encode(), random, others).decode()
        return json.dumps(document).encode()

    return _header(content, change)


def _read_own(path: Path, _) -> None:
    checkpoint.read(path)
    checkpoint.load(path, "spatial")


def _own_bombs() -> list[bytes]:
    deep = {"__metadata__": {checkpoint.METADATA: "[" * 200_000}}
    headers = [b"[" * 100_000, b"{}", b"", b"\xff" * 9, json.dumps(deep).encode()]
    lengths = [2**63, 2**64 - 1, 2**31, 0]
    return [
        *starts(),
        *(struct.pack("<Q", len(it)) + it for it in headers),
        *(struct.pack("<Q", it) + b"{}" for it in lengths),
    ]


def _torch_file(content: object, whole: bool = True) -> bytes:
    target = io.BytesIO()
    torch.save(content, target, _use_new_zipfile_serialization=whole)
    return target.getvalue()


def _published(_) -> list[bytes]:
    training = {"state_dict": _STATE, "last_epoch": 3, "best_PSNR": np.float64(41.5)}
    return [_torch_file(_STATE), _torch_file(training), _torch_file(training, whole=False)]


def in_torch(content: bytes, random: np.random.Generator, others: list[bytes]) -> bytes:
    """The archive that torch writes, with a member damaged; of the old form, any bytes."""
    return in_zip(content, random, others) if content[:2] == b"PK" else damaged(content, random, others)


def _torch_bombs() -> list[bytes]:
    """Code, in each place and form; and tensors that say more than there is."""
    code = [_torch_file(it, whole) for it in (Code(), {"state_dict": {"a": Code()}}) for whole in (True, False)]
    large = torch.ones(1).expand(1 << 20, 1 << 20)  # 4 TB that are one number
    wrapped = []
    with zipfile.ZipFile(io.BytesIO(_torch_file(_STATE))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for content in pickles():
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, inside in members.items():
                archive.writestr(name, content if name.endswith("data.pkl") else inside)
        wrapped.append(target.getvalue())
    return [*starts(), *code, _torch_file({"SR_conv": large, "x": torch.ones(1)}), *pickles(), *wrapped]


def _read_published(path: Path, _) -> None:
    weights = read_published(path)
    with suppress(DeepcamsError):  # the good ones are no whole networks
        convert(weights)


def _npz(_) -> list[bytes]:
    target = io.BytesIO()
    np.savez(target, **{f"w/{name}": tensor.numpy() for name, tensor in _STATE.items()})
    return [target.getvalue()]


def _training(folder: Path) -> list[bytes]:
    network = torch.nn.Linear(2, 2)
    done = Progress(3, 2, 0.5, {"a": torch.ones(2)}, [{"step": 1.0}], {"loss": 0.5})
    keep(folder / "training.pt", "key", done, {"network": network, "optimizer": torch.optim.Adam(network.parameters())})
    return [(folder / "training.pt").read_bytes()]


def _read_training(path: Path, _) -> None:
    found = kept(path, "key")
    network = torch.nn.Linear(2, 2)
    if found is not None:
        restore(path, found, {"network": network, "optimizer": torch.optim.Adam(network.parameters())})


READERS = {
    "network": Reader(_own, _read_own, (damaged, in_header, in_about), _own_bombs, "x.safetensors"),
    "published network, torch": Reader(_published, _read_published, (damaged, in_torch), _torch_bombs, "x.pt"),
    "published network, npz": Reader(_npz, _read_published, (damaged, in_zip), npz_bombs, "x.npz"),
    "published network, safetensors": Reader(
        lambda _: [_plain()], _read_published, (damaged, in_header), _own_bombs, "x.safetensors"
    ),
    "training state": Reader(_training, _read_training, (damaged, in_torch), _torch_bombs, "training.pt"),
}


def _plain() -> bytes:
    return save({name: tensor.numpy() for name, tensor in _STATE.items()})
