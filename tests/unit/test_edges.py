"""What convolutions see beyond the edges of a frame."""

import numpy as np
import pytest
import torch
from torch import nn

from deepcams.models.edges import EDGES, Conv2d, set_edges, surround


def field(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def continued(x, rows, columns, edges):
    """By numpy: columns first, then rows."""
    wide = ((0, 0), (0, 0), (0, 0), (columns, columns))
    tall = ((0, 0), (0, 0), (rows, rows), (0, 0))
    modes = {"zeros": ("constant", "constant"), "replicate": ("edge", "edge"), "periodic": ("wrap", "edge")}
    across, along = modes[edges]
    return torch.from_numpy(np.pad(np.pad(x.numpy(), wide, mode=across), tall, mode=along))


def convolution(edges, size=3, padding=1, stride=1):
    torch.manual_seed(1)
    layer = Conv2d(2, 3, size, stride=stride, padding=padding)
    layer.edges = edges
    return layer


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 0), (0, 3), (0, 0), (3, 6)])
def test_a_frame_is_continued_by_zeros_its_edge_or_the_globe(edges, rows, columns):
    x = field(2, 3, 4, 6)
    assert torch.equal(surround(x, rows, columns, edges), continued(x, rows, columns, edges))


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize(("size", "padding", "stride"), [(3, 1, 1), (4, 1, 2), (5, 1, 3), (1, 0, 1), (3, (1, 2), 1)])
def test_a_convolution_is_one_of_the_continued_frame(edges, size, padding, stride):
    layer, x = convolution(edges, size, padding, stride), field(2, 2, 12, 12)
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    expected = nn.functional.conv2d(continued(x, rows, columns, edges), layer.weight, layer.bias, stride)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_zeros_are_what_torch_itself_does():
    layer, x = convolution("zeros"), field(1, 2, 7, 9)
    theirs = nn.Conv2d(2, 3, 3, padding=1)
    theirs.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x), theirs(x))
    assert Conv2d(2, 3, 3).edges == "zeros"


@pytest.mark.parametrize("shift", [1, 5, 11])
def test_round_the_globe_a_rolled_frame_gives_the_rolled_result(shift):
    layer, x = convolution("periodic"), field(1, 2, 7, 12)
    torch.testing.assert_close(layer(x.roll(shift, -1)), layer(x).roll(shift, -1), rtol=1e-5, atol=1e-5)
    layer.edges = "replicate"
    assert not torch.allclose(layer(x.roll(shift, -1)), layer(x).roll(shift, -1), atol=1e-3)


def test_edges_are_set_in_every_part_of_a_network():
    inner = convolution("zeros")
    plain = nn.Conv2d(3, 3, 3)
    network = nn.Sequential(convolution("zeros"), nn.ModuleList([nn.Sequential(inner, nn.ReLU())]), plain)
    set_edges(network, "periodic")
    assert network[0].edges == inner.edges == "periodic"
    assert not hasattr(plain, "edges")
    assert Conv2d.edges == "zeros"  # of these parts, not of all there are


def test_other_edges_are_refused():
    with pytest.raises(ValueError, match="Unknown edges 'circular'; choose one of zeros, replicate, periodic"):
        surround(field(1, 1, 4, 4), 1, 1, "circular")
    with pytest.raises(ValueError, match="Unknown edges 'wrap'"):
        set_edges(convolution("zeros"), "wrap")


def test_a_globe_is_not_wrapped_more_than_once():
    with pytest.raises(ValueError, match="A frame of 4 columns cannot be continued by 5"):
        surround(field(1, 1, 6, 4), 0, 5, "periodic")
