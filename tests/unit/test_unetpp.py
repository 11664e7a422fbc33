"""UNet++ for regression, beside the same network written out by its definition."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from deepcams.models.unetpp import UNetPlusPlus

TINY = (2, 4, 8, 16, 32)


def network(channels=3, widths=TINY, normalised=False):
    torch.manual_seed(0)
    module = UNetPlusPlus(channels, widths, normalised).double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def by_definition(module, x, levels, normalised):
    """Zhou et al. (2018), Eq. 1: x(i, j) of the nodes before it, made of the weights alone."""
    weights = module.state_dict()

    def block(name, field):
        for place in (0, 3) if normalised else (0, 2):
            field = functional.conv2d(
                field, weights[f"{name}.{place}.weight"], weights.get(f"{name}.{place}.bias"), padding=1
            )
            if normalised:
                width = field.shape[1]
                scale, shift = weights[f"{name}.{place + 1}.weight"], weights[f"{name}.{place + 1}.bias"]
                groups = field.reshape(len(field), min(8, width // 2), -1)
                groups = groups - groups.mean(dim=2, keepdim=True)
                groups = groups / (groups.square().mean(dim=2, keepdim=True) + 1e-5).sqrt()
                field = groups.reshape(field.shape) * scale[:, None, None] + shift[:, None, None]
            field = torch.where(field > 0, field, 0.0 if normalised else 0.1 * field)
        return field

    def larger(field):
        """Twice as many nodes, each three quarters of the node that it is in and a quarter of the next, either way."""
        for axis in (2, 3):
            index = torch.arange(2 * field.shape[axis])
            own, other = index // 2, (index // 2 + 2 * (index % 2) - 1).clamp(0, field.shape[axis] - 1)
            field = 0.75 * field.index_select(axis, own) + 0.25 * field.index_select(axis, other)
        return field

    def node(level, step):
        if step == 0 and level == 0:
            return block("nodes.0_0", x)
        if step == 0:
            above = node(level - 1, 0)
            blocks = above.reshape(*above.shape[:2], above.shape[2] // 2, 2, above.shape[3] // 2, 2)
            return block(f"nodes.{level}_0", blocks.amax(dim=(3, 5)))
        before = [node(level, earlier) for earlier in range(step)]
        return block(f"nodes.{level}_{step}", torch.cat([*before, larger(node(level + 1, step - 1))], dim=1))

    return functional.conv2d(node(0, levels - 1), weights["head.weight"], weights["head.bias"])


@pytest.mark.parametrize("normalised", [False, True])
def test_nodes_are_joined_as_the_definition_says(normalised):
    module = network(normalised=normalised)
    x = torch.randn(2, 3, 32, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, expected = module(x), by_definition(module, x, 5, normalised)
    assert found.shape == (2, 1, 32, 48)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def counted(channels, widths, normalised):
    """Parameters by arithmetic: at node (i, j), two convolutions, the first of j own nodes and one from below."""
    total = widths[0] + 1
    for level, width in enumerate(widths):
        for step in range(len(widths) - level):
            above = channels if level == 0 else widths[level - 1]
            inputs = above if step == 0 else step * width + widths[level + 1]
            total += 9 * width * (inputs + width) + 2 * width * (2 if normalised else 1)
    return total


def test_the_papers_size_has_two_million_three_hundred_thousand_parameters():
    widths = [16, 32, 64, 128, 256]
    exact = {(12, False): 2_291_441, (5, True): 2_292_257}
    for (channels, normalised), count in exact.items():
        module = UNetPlusPlus(channels, widths, normalised)
        assert sum(parameter.numel() for parameter in module.parameters()) == count
        assert counted(channels, widths, normalised) == count
        assert len(module.nodes) == 15


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (16, 16), (21, 50)])
def test_any_size_is_widened_by_its_edge_and_cut_again(size):
    module = network()
    x = torch.randn(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    rows, columns = (torch.arange(-(-edge // 16) * 16).clamp_max(edge - 1) for edge in size)
    with torch.no_grad():
        found, wide = module(x), module(x[:, :, rows][..., columns])
    assert found.shape == (1, 1, *size)
    torch.testing.assert_close(found, wide[..., : size[0], : size[1]], rtol=0, atol=0)


def test_shifted_by_its_multiple_a_field_gives_the_same_shifted():
    module = network(1)
    assert module.multiple == 16
    reach, size = module.reach, 16
    patch = torch.randn(1, 1, 48, size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    fields = torch.zeros(3, 1, 48, 416, dtype=torch.float64)
    for number, shift in enumerate((0, 16, 8)):
        fields[number, ..., 192 + shift : 192 + size + shift] = patch[0]
    with torch.no_grad():
        found = module(fields)[:, 0, :, reach:-reach]  # where the ends of the field are not felt
    torch.testing.assert_close(found[1, :, 16:], found[0, :, :-16], rtol=1e-12, atol=1e-12)
    assert (found[2, :, 8:] - found[0, :, :-8]).abs().max() > 1e-3


@pytest.mark.parametrize("widths", [(2, 4), (2, 4, 8), TINY])
def test_nothing_beyond_the_reach_is_felt_and_what_is_just_within_is(widths):
    module = network(1, widths)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()  # so that nothing cancels
    count, middle = module.multiple, 160
    field = torch.rand(1, 1, 16, 2 * middle, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        before = module(field)
        farthest = 0
        for place in range(middle, middle + count):  # of every place among the poolings
            changed = field.clone()
            changed[0, 0, 8, place] += 1e3
            felt = torch.nonzero((module(changed) != before).any(dim=2)[0, 0])[:, 0]
            assert felt.min() >= place - module.reach
            assert felt.max() <= place + module.reach
            farthest = max(farthest, int(felt.max()) - place, place - int(felt.min()))
    assert module.reach - 1 <= farthest <= module.reach


def test_without_normalisation_a_field_far_away_changes_nothing_and_with_it_everything():
    x = torch.randn(1, 1, 16, 320, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    other = x.clone()
    other[..., 200:] += 3
    for normalised in (False, True):
        module = network(1, normalised=normalised)
        with torch.no_grad():
            change = (module(x) - module(other)).abs()[..., : 200 - module.reach]
        assert change.shape[-1] == 77
        assert ((change > 0).double().mean() > 0.5) if normalised else (change.max() == 0)


@pytest.mark.parametrize("features", [2, 3, 5, 6, 10, 18, 20, 36])
def test_features_of_any_number_can_be_normalised(features):
    """What the configuration allows: a group takes as many features as go up."""
    module = UNetPlusPlus(1, [features, 2 * features], normalised=True)
    assert np.isfinite(module(torch.randn(1, 1, 4, 4)).detach().numpy()).all()


def test_sixteen_features_are_normalised_in_eight_groups_and_more_as_well():
    module = UNetPlusPlus(1, [16, 32, 64], normalised=True)
    groups = [layer.num_groups for layer in module.modules() if isinstance(layer, torch.nn.GroupNorm)]
    assert groups == [8] * 12


def test_features_keep_their_size_through_the_levels():
    """Random weights give a field of the size of what came in, whatever the number of levels."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 64, 64)
    module = UNetPlusPlus(4, (8, 16, 32, 64, 128), normalised=False)
    with torch.no_grad():
        for block in (module.nodes["4_0"], module.nodes["0_4"]):
            seen = []
            handle = block.register_forward_hook(lambda _, __, out, seen=seen: seen.append(out.std().item()))
            module(x)
            handle.remove()
            assert 0.2 < seen[0] < 5
