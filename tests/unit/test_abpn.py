"""ABPN: agreement with the published network, its start, attention, edges, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepcams.errors import DeepcamsError
from deepcams.models.abpn import UNUSED_PUBLISHED, Abpn, Attention, Deconv2d, from_published, published_names
from deepcams.models.edges import EDGES, set_edges

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "abpn_v5_dim8_x3.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture
def state(golden):
    return {key[2:]: array for key, array in golden.items() if key.startswith("w/")}


def loaded(weights, features, **switches):
    net = Abpn(features, **switches)
    net.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    return net.eval()


def random_net(features=4, seed=0, **switches):
    torch.manual_seed(seed)
    return Abpn(features, linear_start=False, **switches).double()


def fields(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("dtype", "key", "within"), [("float32", "sr", 1e-5), ("float64", "sr_float64", 1e-12)])
def test_published_weights_give_the_published_result(golden, state, dtype, key, within):
    weights, settings = from_published(state)
    net = loaded(weights, settings["features"], scaled_attention=False).to(getattr(torch, dtype))
    with torch.no_grad():
        found = net(torch.tensor(golden["input"].astype(dtype))).numpy()
    expected = golden[f"out/{key}"]
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=within * np.ptp(expected))


def test_the_size_is_that_of_the_published_network_less_what_it_never_runs():
    with torch.device("meta"):
        net = Abpn()
    used = sum(parameter.numel() for parameter in net.parameters())
    assert used == 1_801_089 - 84_294
    assert used == 1_716_795


def test_every_published_key_is_used_or_known_to_be_unused(state):
    weights, settings = from_published(state)
    assert settings == {"features": 8}
    names = published_names()
    assert set(weights) == set(names) == set(Abpn(8).state_dict())
    assert len(set(names.values())) == len(names)
    left = set(state) - set(names.values())
    assert {key.split(".")[0] for key in left} == set(UNUSED_PUBLISHED)
    assert len(left) == 26
    for name, key in names.items():
        assert weights[name] is state[key]


def test_what_the_published_network_never_runs_may_be_missing(state):
    used = {key: array for key, array in state.items() if key.split(".")[0] not in UNUSED_PUBLISHED}
    assert set(from_published(used)[0]) == set(from_published(state)[0])


def test_keys_that_do_not_fit_are_named(state):
    with pytest.raises(DeepcamsError, match=r"keys that ABPN has not: up11\.conv1\.deconv\.weight"):
        from_published(state | {"up11.conv1.deconv.weight": state["up10.conv1.deconv.weight"]})
    without = {key: array for key, array in state.items() if not key.startswith("SA7.")}
    with pytest.raises(DeepcamsError, match=r"lacks keys of ABPN: SA7\.K\.weight.* and 3 more"):
        from_published(without)
    with pytest.raises(DeepcamsError, match=r"8 features.*: feat2\.conv\.bias is \(7,\) instead of \(8,\)"):
        from_published(state | {"feat2.conv.bias": np.zeros(7, "f4")})
    with pytest.raises(DeepcamsError, match=r"SR_conv3\.weight is no kernel"):
        from_published(state | {"SR_conv3.weight": np.zeros(7, "f4")})


@pytest.mark.parametrize("edges", ["zeros", "replicate"])
def test_it_starts_as_exactly_bicubic_interpolation(edges):
    torch.manual_seed(2)
    net, coarse = Abpn(4), fields(2, 1, 9, 11).float()
    set_edges(net, edges)
    expected = functional.interpolate(coarse, scale_factor=3, mode="bicubic", align_corners=False)
    assert torch.equal(net(coarse), expected)
    assert not torch.allclose(Abpn(4, linear_start=False)(coarse), expected, atol=1e-3)


def test_it_starts_as_bicubic_interpolation_in_mixed_precision_too():
    net, coarse = Abpn(4), fields(1, 1, 9, 11).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = net(coarse)
    assert torch.equal(found, functional.interpolate(coarse, scale_factor=3, mode="bicubic"))


def test_blocks_are_centred_on_the_coarse_nodes():
    coarse = fields(1, 1, 6, 7)
    torch.testing.assert_close(Abpn(4).double()(coarse)[..., 1::3, 1::3], coarse)


def test_only_single_channel_fields_are_taken():
    for shape in [(1, 2, 6, 6), (6, 6), (1, 6, 6)]:
        with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
            Abpn(4)(torch.zeros(shape))
    with pytest.raises(ValueError, match="at least one feature"):
        Abpn(0)


@pytest.mark.parametrize("size", [(1, 2), (5, 8)])
@pytest.mark.parametrize("edges", EDGES)
def test_the_result_is_three_times_as_fine_whatever_the_edges(size, edges):
    net = Abpn(4, linear_start=False)
    set_edges(net, edges)
    found = net(torch.zeros(2, 1, *size))
    assert found.shape == (2, 1, 3 * size[0], 3 * size[1])
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("scaled", [True, False])
def test_attention_is_the_softmax_of_all_pairs_of_nodes(scaled):
    torch.manual_seed(3)
    attention = Attention(6, scaled=scaled).double()
    guide, x = fields(2, 6, 4, 5, seed=4), fields(2, 6, 4, 5, seed=5)
    query, key, value = (
        torch.einsum("oc,bcn->bno", part.weight[:, :, 0, 0], source.flatten(2)) + part.bias
        for part, source in ((attention.query, guide), (attention.key, guide), (attention.value, x))
    )
    logits = torch.einsum("bic,bjc->bij", query, key) / (6**0.5 if scaled else 1)
    share = torch.exp(logits) / torch.exp(logits).sum(dim=2, keepdim=True)
    drawn = torch.einsum("bij,bjc->bci", share, value)
    drawn = torch.einsum("oc,bcn->bon", attention.weigh.weight[:, :, 0, 0], drawn) + attention.weigh.bias[:, None]
    torch.testing.assert_close(attention(guide, x), drawn.reshape(x.shape) + x)


def test_scaling_the_attention_changes_the_result_and_is_the_default():
    coarse = fields(1, 1, 6, 8)
    scaled, unscaled = random_net(scaled_attention=True), random_net(scaled_attention=False)
    assert (scaled(coarse) - unscaled(coarse)).abs().max() > 1e-6
    torch.testing.assert_close(random_net()(coarse), scaled(coarse), rtol=0, atol=0)


def test_attention_never_stores_a_matrix_of_all_pairs():
    # The fused kernels alone are allowed here; they refuse operands that do not lie as they need them.
    net = random_net(features=8)
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]):
        net(fields(1, 1, 6, 6)).sum().backward()


def test_gradients_reach_every_parameter():
    net = random_net()
    (net(fields(2, 1, 6, 7)) - fields(2, 1, 18, 21, seed=6)).square().mean().backward()
    assert not _untouched(net)


def test_the_zero_start_is_left_after_a_few_steps():
    torch.manual_seed(4)
    net = Abpn(4)
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-4)
    for _ in range(4):
        optimiser.zero_grad()
        (net(fields(1, 1, 6, 6).float()) - fields(1, 1, 18, 18, seed=7).float()).square().mean().backward()
        optimiser.step()
    assert not _untouched(net)


def _untouched(net):
    """Parameters without a gradient; the bias of a key is none: a constant added to all logits changes nothing."""
    return [name for name, part in net.named_parameters() if not name.endswith("key.bias") and not part.grad.any()]


def test_it_learns_one_batch_by_heart():
    torch.manual_seed(5)
    net = Abpn(4)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 18), torch.linspace(-1, 1, 18), indexing="ij")
    fine = torch.stack([torch.sin(9 * x + 5 * y) > 0, x**2 + y**2 < 0.5])[:, None].float()
    coarse = functional.avg_pool2d(fine, 3)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        optimiser.zero_grad()
        loss = (net(coarse) - fine).abs().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert max(losses[-10:]) < 0.5 * losses[0]


@pytest.mark.parametrize("columns", [1, 4])
def test_a_globe_turned_gives_the_result_turned_as_far(columns):
    net, coarse = random_net(), fields(1, 1, 5, 9)
    with torch.no_grad():
        set_edges(net, "zeros")
        seamed = net(coarse.roll(columns, -1)) - net(coarse).roll(3 * columns, -1)
        set_edges(net, "periodic")
        seamless = net(coarse.roll(columns, -1)) - net(coarse).roll(3 * columns, -1)
    assert seamed.abs().max() > 1e-3
    assert seamless.abs().max() < 1e-10


def test_a_globe_starts_as_bicubic_interpolation_across_the_seam():
    net, coarse = Abpn(4).double(), fields(1, 1, 5, 9)
    set_edges(net, "periodic")
    thrice = functional.interpolate(coarse.repeat(1, 1, 1, 3), scale_factor=3, mode="bicubic")
    torch.testing.assert_close(net(coarse), thrice[..., 27:54])


def test_a_deconvolution_sees_beyond_the_frame_what_its_edges_say():
    torch.manual_seed(6)
    part = Deconv2d(2, 3, 5, stride=3, padding=1).double()
    wide = fields(1, 2, 9, 11)
    inside = wide[..., 2:-2, 2:-2]
    whole = part(wide)[..., 6:-6, 6:-6]
    torch.testing.assert_close(part(inside)[..., 1:-1, 1:-1], whole[..., 1:-1, 1:-1])
    constant = torch.ones(1, 2, 4, 5, dtype=torch.float64)
    part.edges = "replicate"
    found = part(constant)
    torch.testing.assert_close(found, found[..., 3:6, 3:6].repeat(1, 1, 4, 5))
    part.edges = "zeros"
    assert (part(constant) - found).abs().max() > 1e-3
