"""Networks that are compiled for long runs, and what happens where they cannot be."""

import shutil
import subprocess
import sys

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
    for _ in range(2):
        np.testing.assert_array_equal(net.refine(FRAMES, GRID), expected)
    assert asked == ([net.module] if is_compiled else [])


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


def test_where_there_is_no_compiler_at_all_the_module_runs(monkeypatch):
    def refuses(module):
        raise RuntimeError("torch.compile is not supported here")

    monkeypatch.setattr(compiled.torch, "compile", refuses)
    module = torch.nn.PReLU()
    x = torch.linspace(-2, 2, 9)
    torch.testing.assert_close(compiled.compiled(module)(x), module(x), rtol=0, atol=0)


COMPILE = """
import logging, torch
from deepcams.models.compiled import compiled
from deepcams.models.precision import numbers

class Layers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.bend, self.last = torch.nn.Conv2d(1, 8, 3), torch.nn.PReLU(), torch.nn.Conv2d(8, 1, 3)

    def forward(self, x):
        return self.last(self.bend(self.first(x)))

logging.basicConfig(level=logging.WARNING)
torch.manual_seed(0)
module = Layers().eval().to(memory_format=torch.channels_last)
x = torch.rand(1, 1, 24, 24)
with torch.inference_mode():
    exact = module(x)
    with numbers("bfloat16", torch.device("cpu")):
        plain, fast = module(x), compiled(module)(x)
print(float((plain - exact).abs().max()), float((fast - exact).abs().max()))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_compiled_convolutions_in_bfloat16_are_the_same_but_for_rounding():
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, check=True)
    assert "cannot be compiled" not in done.stderr
    plain, fast = map(float, done.stdout.split())
    assert 0 < plain < 0.05
    assert 0 < fast <= 2 * plain


def test_a_fault_of_the_network_itself_is_not_taken_for_the_compilers(monkeypatch):
    monkeypatch.setattr(compiled.torch, "compile", lambda module: module)
    run = compiled.compiled(torch.nn.Conv2d(2, 1, 3))
    with pytest.raises(RuntimeError, match="channels"):
        run(torch.zeros(1, 1, 8, 8))
