"""Networks that are compiled for long runs, and what happens where they cannot be."""

import numpy as np
import pytest
import torch

from deepcams.grid.nodes import Region, coarse_grid
from deepcams.models import compiled
from deepcams.models.catalogue import make
from deepcams.models.frames import SpatialFrames

GRID = coarse_grid(Region(30.0, 0.0, 12.0, 18.0))
FRAMES = np.random.default_rng(0).gamma(1, 15, (2, *GRID.shape)).astype(np.float32)
ABPN, LIGHT = ("abpn", {"features": 4, "recipe": "corrected"}), ("pixel_shuffle", {"features": 4})


def network(name, settings, precision):
    torch.manual_seed(0)
    module = make("spatial", name, settings)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(0.1 * torch.randn(tensor.shape))
    return SpatialFrames(module, precision)


@pytest.fixture
def asked(monkeypatch):
    """What was compiled; the compiler gives back the module as it is."""
    modules = []
    monkeypatch.setattr(compiled.torch, "compile", lambda module: modules.append(module) or module)
    return modules


@pytest.mark.parametrize(
    ("name", "precision", "is_compiled"),
    [(ABPN, "bfloat16", True), (ABPN, "float32", False), (LIGHT, "bfloat16", False)],
)
def test_what_gains_by_it_is_compiled_when_asked_for_and_only_then(asked, name, precision, is_compiled):
    net = network(*name, precision)
    expected = net.refine(FRAMES, GRID)
    assert not asked
    net.compile()
    assert (asked == [net.module]) is is_compiled
    np.testing.assert_array_equal(net.refine(FRAMES, GRID), expected)


def test_where_the_compiler_fails_the_module_runs_and_it_is_said_once(monkeypatch, caplog):
    calls = []

    def fails(x):
        calls.append(x)
        raise RuntimeError("no C++ compiler was found\nand forty lines more")

    monkeypatch.setattr(compiled.torch, "compile", lambda module: fails)
    net = network(*ABPN, "bfloat16")
    expected = net.refine(FRAMES, GRID)
    net.compile()
    for _ in range(2):
        np.testing.assert_array_equal(net.refine(FRAMES, GRID), expected)
    assert len(calls) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "Abpn runs as it is, for it cannot be compiled here (no C++ compiler was found)"
    ]


def test_a_fault_of_the_network_itself_is_not_taken_for_the_compilers(monkeypatch):
    monkeypatch.setattr(compiled.torch, "compile", lambda module: module)
    run = compiled.compiled(torch.nn.Conv2d(2, 1, 3))
    with pytest.raises(RuntimeError, match="channels"):
        run(torch.zeros(1, 1, 8, 8))
