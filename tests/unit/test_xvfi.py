"""XVFI: agreement with the published network, its start, its edges, and that it learns."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from deepcams.errors import DeepcamsError
from deepcams.models.edges import EDGES, set_edges
from deepcams.models.transform import TRANSFORMS
from deepcams.models.xvfi import UNUSED_PUBLISHED, Xvfi, from_published, published_names
from deepcams.models.xvfi_parts import enlarge, reduce

FEATURES = 4
NONE = TRANSFORMS["none"]


@pytest.fixture(scope="module")
def golden_files(golden):
    files = {}
    for levels, name in ((1, "xvfi_nf16_s4.npz"), (3, "xvfi_nf16_s4_S3.npz")):
        with np.load(golden / name) as file:
            files[levels] = {key: file[key] for key in file.files}
    return files


@pytest.fixture
def state(golden_files):
    return {key[2:]: array for key, array in golden_files[1].items() if key.startswith("w/")}


def published(state, levels):
    weights, settings = from_published(state)
    net = Xvfi(settings["features"], levels, transform=NONE)
    net.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    return net


def random_net(levels=1, seed=0, features=FEATURES, **settings):
    torch.manual_seed(seed)
    return Xvfi(features, levels, linear_start=False, **settings)


def frames(*shape, seed=1):
    """Two fields of concentrations up to some hundred ug m-3, transformed by asinh."""
    generator = torch.Generator().manual_seed(seed)
    return (4 * torch.rand(shape, generator=generator) + 2 for _ in range(2))


def fraction(*values):
    return torch.tensor(values)


def assert_golden(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=1e-5 * np.ptp(expected))


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize(("key", "time"), [("out/t1", 1 / 3), ("out/t2", 2 / 3)])
def test_published_weights_give_the_published_fields(golden_files, state, levels, key, time):
    first, last = torch.tensor(golden_files[levels]["input"]).unbind(2)
    with torch.no_grad():
        found = published(state, levels).eval()(first, last, fraction(time))
    assert len(found.fields) == len(found.flows) == 1
    assert_golden(found.fields[0], golden_files[levels][key])


@pytest.mark.parametrize("levels", [1, 3])
def test_published_weights_give_the_published_levels_in_training(golden_files, state, levels):
    file = golden_files[levels]
    first, last = torch.tensor(file["input"]).unbind(2)
    found = published(state, levels).train()(first, last, fraction(1 / 3))
    assert len(found.fields) == len(found.flows) == levels + 1
    for level, field in enumerate(found.fields):
        assert_golden(field, file[f"out/train_out_l{level}"])
    assert_golden(found.flows[0], file["out/train_flow_refine_0"])
    assert_golden(found.flows[-1], file["out/train_flow_refine_1"])
    assert_golden(found.mask, file["out/train_occ"])


def test_blending_in_concentration_changes_nothing_for_an_affine_transform(golden_files, state):
    first, last = torch.tensor(golden_files[1]["input"]).unbind(2)
    net = published(state, 1).eval()
    with torch.no_grad():
        expected = net(first, last, fraction(0.4)).fields[0]
        net.transform = TRANSFORMS["clipped_800"]
        assert torch.equal(net(first, last, fraction(0.4)).fields[0], expected)


def test_the_size_is_that_of_the_published_network_less_what_it_never_uses():
    with torch.device("meta"):
        net = Xvfi()
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count + 73_856 == 5_601_554
    assert net.levels == 1 and net.stride == 32


def test_published_names_are_all_tensors_once(state):
    for levels in (1, 5):
        names = published_names(levels)
        assert list(names) == list(Xvfi(FEATURES, levels).state_dict())
        assert len(set(names.values())) == len(names)
        assert set(names.values()) | set(UNUSED_PUBLISHED) <= set(state)
    with pytest.raises(ValueError, match="must be 1 or more, not 0"):
        published_names(0)


def test_every_published_tensor_is_taken_copied_or_unused(state):
    weights, settings = from_published(state)
    assert settings == {"features": 16}
    taken = set(published_names(1).values())
    copies = set(state) - taken - set(UNUSED_PUBLISHED)
    assert len(copies) == 6
    assert all(any(np.array_equal(state[copy], state[name]) for name in taken) for copy in copies)
    assert sum(array.size for array in weights.values()) == sum(state[name].size for name in taken)


def without(state, name):
    return {key: array for key, array in state.items() if key != name}


@pytest.mark.parametrize(
    "name", ["vfinet.conv_flow1.weight", "rec_ext_ds_module.3.bias", UNUSED_PUBLISHED[0], "channel_converter.0.bias"]
)
def test_a_missing_tensor_is_named(state, name):
    with pytest.raises(DeepcamsError, match=f"lacks the tensor {name}"):
        from_published(without(state, name))


def test_an_unknown_tensor_is_named(state):
    with pytest.raises(DeepcamsError, match=r"no tensor vfinet\.conv_flow4\.weight"):
        from_published({**state, "vfinet.conv_flow4.weight": np.zeros(3)})


@pytest.mark.parametrize("name", ["vfinet.conv_flow2.0.weight", "rec_ctx_ds.weight", *UNUSED_PUBLISHED[:2]])
def test_a_misshapen_tensor_is_named_with_both_shapes(state, name):
    with pytest.raises(DeepcamsError, match=r"The tensor .* has shape .*, not .* 16 features") as caught:
        from_published({**state, name: state[name][:-1]})
    assert name in str(caught.value) and str(state[name].shape) in str(caught.value)


def test_a_number_of_features_that_no_network_has_is_named(state):
    name = "channel_converter.0.bias"
    with pytest.raises(DeepcamsError, match=rf"{name} has shape \(15,\)"):
        from_published({**state, name: state[name][:15]})


def test_a_copy_that_differs_is_named(state):
    name = "rec_ext_ds_module.1.weight"
    with pytest.raises(DeepcamsError, match=r"rec_ext_ds_module\.1\.weight and rec_ext_ds\.weight must be the same"):
        from_published({**state, name: state[name] + 1})


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("edges", EDGES)
def test_the_linear_start_is_linear_interpolation_in_concentration(edges, training):
    torch.manual_seed(0)
    net = Xvfi(FEATURES, 1).train(training)
    set_edges(net, edges)
    first, last = frames(3, 1, 32, 64)
    t = fraction(0.0, 0.37, 1.0)
    with torch.no_grad():
        found = net(first, last, t)
    weight = t.reshape(-1, 1, 1, 1).double()
    expected = (1 - weight) * torch.sinh(first.double()) + weight * torch.sinh(last.double())
    torch.testing.assert_close(torch.sinh(found.fields[0].double()), expected, rtol=1e-5, atol=0)
    assert not any(flow.any() for flow in found.flows) and not found.residual.any()
    assert torch.equal(found.mask, torch.full_like(found.mask, 0.5))
    in_transformed_units = (1 - weight) * first + weight * last
    assert (found.fields[0][1] - in_transformed_units[1]).abs().max() > 0.1  # the two differ, so this is a test


def test_the_linear_start_without_a_transform_is_linear_in_the_numbers_themselves():
    net = Xvfi(FEATURES, 1, transform=NONE).eval()
    first, last = frames(1, 1, 32, 32)
    with torch.no_grad():
        found = net(first, last, fraction(0.25)).fields[0]
    torch.testing.assert_close(found, 0.75 * first + 0.25 * last, rtol=1e-6, atol=0)


def test_the_published_start_is_not_linear():
    first, last = frames(1, 1, 32, 32)
    with torch.no_grad():
        found = random_net().eval()(first, last, fraction(0.5))
    assert all(x.abs().max() > 1e-3 for x in (found.flows[0], found.residual, found.mask - 0.5))


def test_the_published_initialisation():
    net = random_net(features=32)
    for name, tensor in net.state_dict().items():
        if name.endswith("bias"):
            assert not tensor.any()
            continue
        out, channels, height, width = tensor.shape
        fan_in, fan_out = channels * height * width, out * height * width
        variance = 2 / fan_in if name.startswith("features.") else 2 / (fan_in + fan_out)
        # Within five standard errors of a normal deviate's standard deviation.
        assert abs(tensor.std().item() / variance**0.5 - 1) < 5 / (2 * tensor.numel()) ** 0.5, name


def test_shapes_in_training_and_evaluation():
    first, last = frames(2, 1, 64, 128)
    net = random_net(levels=2)
    found = net.train()(first, last, fraction(0.2, 0.7))
    assert [tuple(x.shape) for x in found.fields] == [(2, 1, 64, 128), (2, 1, 32, 64), (2, 1, 16, 32)]
    assert [tuple(x.shape) for x in found.flows] == [(2, 4, 16, 32), (2, 4, 8, 16), (2, 4, 4, 8)]
    assert found.mask.shape == found.residual.shape == first.shape
    assert found.mask.min() >= 0 and found.mask.max() <= 1
    alone = net.eval()(first, last, fraction(0.2, 0.7))
    assert len(alone.fields) == len(alone.flows) == 1
    torch.testing.assert_close(alone.fields[0], found.fields[0])
    torch.testing.assert_close(alone.flows[0], found.flows[0])


def test_pairs_of_a_batch_do_not_see_each_other():
    first, last = frames(2, 1, 32, 64)
    net, t = random_net().eval(), fraction(0.2, 0.7)
    with torch.no_grad():
        together = net(first, last, t).fields[0]
        for b in range(2):
            alone = net(first[b : b + 1], last[b : b + 1], t[b : b + 1]).fields[0]
            torch.testing.assert_close(together[b : b + 1], alone, rtol=0, atol=1e-4)


def test_at_the_ends_of_the_interval_the_frame_there_counts_alone_whatever_the_mask():
    first, last = frames(1, 1, 32, 32)
    net = random_net().eval()
    torch.nn.init.zeros_(net.reversed_flow[-1].weight)
    torch.nn.init.zeros_(net.first_flow[-1].weight)
    torch.nn.init.zeros_(net.next_flow[-1].weight)
    with torch.no_grad():
        for t, frame in ((0.0, first), (1.0, last)):
            found = net(first, last, fraction(t))
            torch.testing.assert_close(found.fields[0] - found.residual, frame, rtol=0, atol=2e-5)


@pytest.mark.parametrize("levels", [1, 2])
def test_one_encoding_serves_all_fractions(levels):
    first, last = frames(1, 1, 64, 64)
    net = random_net(levels).eval()
    with torch.no_grad():
        encoded = net.encode(first, last)
        shared = [net.synthesise(encoded, fraction(t)) for t in (1 / 3, 2 / 3)]
        for t, found in zip((1 / 3, 2 / 3), shared, strict=True):
            assert torch.equal(found.fields[0], net(first, last, fraction(t)).fields[0])
    assert not torch.equal(shared[0].fields[0], shared[1].fields[0])


@pytest.mark.parametrize("levels", [1, 2])
def test_frames_must_be_multiples_of_the_stride(levels):
    net = Xvfi(FEATURES, levels)
    assert net.stride == 2**levels * 16
    first, last = frames(1, 1, 64, 64 + net.stride // 2)
    with pytest.raises(ValueError, match=rf"64×{64 + net.stride // 2} do not divide by {net.stride}"):
        net(first, last, fraction(0.5))
    with pytest.raises(ValueError, match="do not divide"):
        net(first.mT, last.mT, fraction(0.5))


def test_disagreeing_shapes_are_refused():
    net = Xvfi(FEATURES)
    first, last = frames(2, 1, 32, 32)
    with pytest.raises(ValueError, match=r"\(2, 1, 32, 32\) is not the last's \(1, 1, 32, 32\)"):
        net(first, last[:1], fraction(0.5, 0.5))
    with pytest.raises(ValueError, match=r"shape \(B, 1, H, W\) but got \(1, 2, 32, 32\)"):
        net(first.mT.reshape(1, 2, 32, 32), last.reshape(1, 2, 32, 32), fraction(0.5))
    with pytest.raises(ValueError, match=r"one fraction for each of 2 pairs but got shape \(1,\)"):
        net(first, last, fraction(0.5))


@pytest.mark.parametrize(("settings", "fault"), [((6, 1), "multiple of 4, not 6"), ((4, 0), "1 or more, not 0")])
def test_impossible_sizes_are_refused(settings, fault):
    with pytest.raises(ValueError, match=fault):
        Xvfi(*settings)


def loss_of(net, first, last, t, truth):
    found = net(first, last, t)
    return sum(
        (field - reduce(truth, level, net.edges)).abs().mean() for level, field in enumerate(found.fields)
    ) / len(found.fields)


def deaf(net):
    """Parameters that no gradient reaches."""
    return [name for name, x in net.named_parameters() if x.grad is None or not x.grad.any()]


@pytest.mark.parametrize("levels", [1, 2])
def test_gradients_reach_every_parameter_from_the_published_start(levels):
    net = random_net(levels, features=8).train()
    first, last = frames(1, 1, 64, 64)
    loss_of(net, first, last, fraction(0.4), first + 1).backward()
    assert deaf(net) == []


def test_gradients_reach_every_parameter_one_step_after_the_linear_start():
    torch.manual_seed(0)
    net = Xvfi(8, 1).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    first, last = frames(1, 1, 64, 64)
    truth, _ = frames(1, 1, 64, 64, seed=2)
    for _ in range(2):
        optimiser.zero_grad()
        loss_of(net, first, last, fraction(0.4), truth).backward()
        optimiser.step()
    assert deaf(net) == []


def test_a_level_learns_by_its_own_field_alone():
    net = random_net(features=8).train()
    first, last = frames(1, 1, 64, 64)
    net(first, last, fraction(0.4)).fields[0].sum().backward()
    assert {name.rsplit(".", 1)[0] for name in deaf(net)} == {
        "features.coarsen",  # features of the lower level alone, and the flow between them
        *(f"first_flow.{number}" for number in (0, 2, 5, 8, 10)),
    }


def blobs(shift, rows=32, columns=64):
    """Two plumes `shift` cells east of where they start."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    field = sum(
        height * torch.exp(-((x - column - shift) ** 2 + (y - row) ** 2) / 18)
        for height, row, column in ((60.0, 12, 20), (30.0, 20, 44))
    )
    return torch.asinh(5 + field)[None, None].float()


def test_it_learns_one_pair_by_heart_and_beats_linear_interpolation():
    torch.manual_seed(0)
    net = Xvfi(8, 1).train()
    first, last, truth = blobs(0), blobs(6), blobs(2)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = loss_of(net, first, last, fraction(1 / 3), truth)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.5 * losses[0]  # the first is linear interpolation's


def rolled(net, first, last, by):
    """Field of rolled frames, and rolled field of the frames."""
    with torch.no_grad():
        field = net(first, last, fraction(0.4)).fields[0]
        again = net(first.roll(by, dims=-1), last.roll(by, dims=-1), fraction(0.4)).fields[0]
    return again, field.roll(by, dims=-1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("levels", [1, 2])
def test_a_globe_rolled_by_the_stride_gives_the_field_rolled_alike(levels, training):
    net = random_net(levels, transform=NONE).train(training).double()
    first, last = (x.double() / 6 for x in frames(1, 1, 64, 3 * net.stride))
    set_edges(net, "periodic")
    again, expected = rolled(net, first, last, net.stride)
    torch.testing.assert_close(again, expected, rtol=0, atol=1e-9)
    with torch.no_grad():
        found = net(first, last, fraction(0.4))
        turned = net(first.roll(net.stride, dims=-1), last.roll(net.stride, dims=-1), fraction(0.4))
    for level, (a, b) in enumerate(zip(turned.fields, found.fields, strict=True)):
        torch.testing.assert_close(a, b.roll(net.stride >> level, dims=-1), rtol=0, atol=1e-9)
    set_edges(net, "zeros")
    again, expected = rolled(net, first, last, net.stride)
    assert (again - expected).abs().max() > 1e-2


def test_the_globe_is_continued_across_the_date_line_when_fields_change_size():
    field = torch.rand(1, 2, 8, 16, generator=torch.Generator().manual_seed(0))
    thrice = torch.cat([field] * 3, dim=-1)
    for factor in (2, 4):
        middle = enlarge(thrice, factor, "zeros")[..., 16 * factor : 32 * factor]
        torch.testing.assert_close(enlarge(field, factor, "periodic"), middle)
    for level in (0, 1, 2):
        width = 16 >> level
        torch.testing.assert_close(
            reduce(field, level, "periodic"), reduce(thrice, level, "zeros")[..., width : 2 * width]
        )


@pytest.mark.parametrize("edges", EDGES)
def test_a_linear_start_stays_linear_in_mixed_precision_and_channels_last(edges):
    torch.manual_seed(0)
    net = Xvfi(FEATURES, 1).eval().to(memory_format=torch.channels_last)
    set_edges(net, edges)
    first, last = frames(1, 1, 32, 64)
    with torch.no_grad():
        expected = net(first, last, fraction(0.4)).fields[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = net(first, last, fraction(0.4)).fields[0]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_displacements_mask_and_residual_keep_full_precision_in_mixed_precision():
    net = random_net(features=8).train()
    first, last = frames(1, 1, 32, 64)
    expected = net(first, last, fraction(0.4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encoded = net.encode(first, last)
        found = net.synthesise(encoded, fraction(0.4))
    assert encoded[0].first_map.dtype == torch.bfloat16  # or nothing is tested here
    parts = [*found.fields, *found.flows, found.mask, found.residual]
    assert {x.dtype for x in parts + [x for level in encoded for x in (level.flow, level.importance)]} == {
        torch.float32
    }
    error = (found.fields[0] - expected.fields[0]).abs().mean()
    assert error < 0.2 * expected.fields[0].std()


def test_weights_survive_being_saved_and_loaded():
    net = random_net(seed=3).eval()
    other = random_net(seed=4).eval()
    first, last = frames(1, 1, 32, 32)
    with torch.no_grad():
        expected = net(first, last, fraction(0.5)).fields[0]
        assert not torch.equal(other(first, last, fraction(0.5)).fields[0], expected)
        other.load_state_dict({name: torch.tensor(x.numpy()) for name, x in deepcopy(net.state_dict()).items()})
        assert torch.equal(other(first, last, fraction(0.5)).fields[0], expected)
