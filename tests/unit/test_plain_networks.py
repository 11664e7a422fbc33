"""Our engine against the published networks written down plainly: the same numbers, and no farther from the truth."""

import numpy as np
import pytest
import torch

from benchmarks.plain import PlainAbpn, PlainXvfi, interpolate_globe, refine_globe
from deepcams.grid.nodes import coarse_globe
from deepcams.models import abpn, xvfi
from deepcams.models.abpn import Abpn
from deepcams.models.frames import SpatialFrames, TemporalFrames
from deepcams.models.transform import TRANSFORMS
from deepcams.models.xvfi import Xvfi

FRACTIONS = (1 / 3, 2 / 3)
EQUAL = 1e-9  # of the range, in float64
FARTHER = 2.0  # times the plain form's own distance from float64, at most
SEEDS = range(5)


def trained_like(network):
    """The network with biases, so that nothing is zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if name.endswith("bias"):
                tensor.copy_(0.02 * torch.randn(tensor.shape, generator=generator))
    return network.eval()


def abpn_network(seed, start):
    torch.manual_seed(seed)
    net = Abpn(8, linear_start=start == "calm", scaled_attention=False)
    if start == "calm":  # the features of our own start keep their size; here the last layers add something, too
        for last in (net.reconstruct, net.closure):
            torch.nn.init.normal_(last.weight, std=0.05)
        for attention in (net.enter_attention, *net.attentions):
            torch.nn.init.normal_(attention.weigh.weight, std=0.3)
    return trained_like(net)


def xvfi_network(seed, levels):
    torch.manual_seed(seed)
    return trained_like(Xvfi(8, levels, linear_start=False, transform=TRANSFORMS["clipped_800"]))


def smooth(*shape, seed=1):
    """Fields of a few large bumps, 0 … 1."""
    coarse = torch.rand(*shape[:-2], 6, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.interpolate(coarse, size=shape[-2:], mode="bilinear", align_corners=True)


def spatial(net, dtype):
    """Ours and the plain form's field of one frame in a precision."""
    net = net.to(dtype)
    coarse = smooth(1, 1, 24, 30).to(dtype)
    with torch.no_grad():
        return net(coarse).double(), PlainAbpn(net.state_dict())(coarse).double()


def temporal(net, dtype):
    """Ours and the plain form's fields at both hours in a precision."""
    net = net.to(dtype)
    first, last = (smooth(1, 1, 64, 64, seed=seed).to(dtype) for seed in (2, 3))
    plain = PlainXvfi(net.state_dict(), net.levels)
    times = [torch.tensor([fraction], dtype=dtype) for fraction in FRACTIONS]
    with torch.no_grad():
        state = net.encode(first, last)
        ours = [net.synthesise(state, t).fields[0] for t in times]
        theirs = [plain(torch.stack([first, last], dim=2), t) for t in times]
    return torch.cat(ours).double(), torch.cat(theirs).double()


CASES = {
    "abpn": (spatial, lambda seed: abpn_network(seed, "published")),
    "abpn, calm": (spatial, lambda seed: abpn_network(seed, "calm")),
    "xvfi": (temporal, lambda seed: xvfi_network(seed, 1)),
    "xvfi, two levels": (temporal, lambda seed: xvfi_network(seed, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_in_double_precision_both_are_the_same_function(case):
    run, make = CASES[case]
    ours, plain = run(make(seed=1), torch.float64)
    spread = plain.max() - plain.min()
    assert spread > 0.1
    assert (ours - plain).abs().max() < EQUAL * spread


@pytest.mark.parametrize("case", CASES)
def test_in_single_precision_ours_is_no_farther_from_the_truth_than_twice_the_plain_form(case):
    # Over several networks: where the softmax of unscaled logits is close to one-hot, as in ABPN's published start, the
    # last digit decides between two nodes, and one network says nothing.
    run, make = CASES[case]
    ratios = []
    for seed in SEEDS:
        _, truth = run(make(seed), torch.float64)
        ours, plain = ((found - truth).square().mean().sqrt() for found in run(make(seed), torch.float32))
        assert plain > 0
        ratios.append(float(ours / plain))
    assert np.median(ratios) < FARTHER, ratios


@pytest.mark.parametrize(
    ("network", "weights"),
    [
        (PlainAbpn, lambda: abpn_network(1, "published").state_dict()),
        (PlainXvfi, lambda: xvfi_network(1, 1).state_dict()),
    ],
)
def test_the_plain_form_takes_all_weights_and_no_others(network, weights):
    state = weights()
    plain = network(state)
    taken = plain.state_dict()
    assert all(torch.equal(taken[name].flatten(), tensor.flatten()) for name, tensor in state.items())
    with pytest.raises(RuntimeError, match="Missing key"):
        network({name: tensor for name, tensor in state.items() if "dec0" not in name and "merge" not in name})


def globe(seed):
    return (60 * smooth(1, 1, *coarse_globe().shape, seed=seed)[0, 0]).float().numpy()


def test_both_run_a_global_interval_in_the_published_manner_alike():
    torch.manual_seed(5)
    net = trained_like(xvfi.make({"features": 4, "levels": 1, "recipe": "published"}))
    first, last = globe(1), globe(2)
    time = np.datetime64("2018-01-01T00:00:00")
    ours = TemporalFrames(net).between(first, last, FRACTIONS, coarse_globe(), time)
    plain = interpolate_globe(PlainXvfi(net.state_dict()), first, last, FRACTIONS)
    assert plain.shape == ours.shape
    # Poles are one value in ours. A rounding error moves what is fetched or sent across a node here and there.
    difference = (ours - plain)[:, 1:-1]
    assert np.sqrt(np.mean(difference**2)) < 1e-4 * np.ptp(plain)


def test_both_run_a_global_frame_in_the_published_manner_alike(monkeypatch):
    # The windows alone are at stake here: with attention, a globe takes minutes.
    torch.manual_seed(6)
    net = trained_like(abpn.make({"features": 1, "recipe": "published"}))
    plain = PlainAbpn(net.state_dict())
    for network in (net, plain):
        monkeypatch.setattr(network, "forward", lambda x: torch.nn.functional.interpolate(x.cumsum(-1), scale_factor=3))
    frame = globe(3)
    ours = SpatialFrames(net).refine(frame[None], coarse_globe())[0]
    found = refine_globe(plain, frame)
    assert found.shape == (720, 1440)
    np.testing.assert_allclose(ours[1:-1], found[1:], rtol=0, atol=1e-5 * np.ptp(found))
