"""The mixed domain: examples degraded in ways of their own. And which domain and resolution the tasks draw."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from deepcams.degrade.operators import degrade
from deepcams.grid.nodes import Grid, Region, coarse_globe, coarse_grid, refine
from deepcams.models.transform import TRANSFORMS
from deepcams.training import samples, spatial, temporal
from deepcams.training.domain import AMPLITUDE, MARGIN, OPERATORS, SIGMA, Domain, changed, draw_domain, packed
from deepcams.training.samples import Drawing, draw_intervals, draw_refinements, generators
from tests.unit.test_samples import REGION as SMALL
from tests.unit.test_samples import Scripted, positions, read, shard_of

REGION = coarse_grid(Region(north=60.0, west=0.0, south=49.5, east=15.0))  # 15 × 21 coarse nodes, areas that differ
CIRCLE = Grid(REGION.latitude, coarse_globe().longitude, 0.75)
WAYS = [
    Domain("block_mean"),
    Domain("imresize"),
    Domain("gaussian", {"sigma": 0.6}),
    Domain("gaussian", {"sigma": 1.4}),
    Domain("point"),
]


def rough(hours, grid, seed=0):
    return np.random.default_rng(seed).gamma(2, 5, (hours, *grid.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def circle():
    return shard_of(rough(12, refine(CIRCLE)), CIRCLE)


@pytest.fixture(scope="module")
def region():
    return shard_of(rough(40, refine(REGION)), REGION)


def in_domain(monkeypatch, domain):
    monkeypatch.setattr(samples, "draw_domain", lambda random: domain)


def columns_from(left, halo, patch):
    return (left + np.arange(patch + 2 * halo)) % 480


@pytest.mark.parametrize("domain", WAYS, ids=str)
@pytest.mark.parametrize("halo", [0, 2])
@pytest.mark.parametrize("left", [0, 1, 238, 473, 476, 479])
def test_coarse_patches_are_cut_from_the_whole_field_degraded(circle, monkeypatch, domain, halo, left):
    """Also across the date line."""
    in_domain(monkeypatch, domain)
    patch = 4
    (script,) = scripts = [Scripted(0, 1, left, 5)]
    found = draw_refinements([circle], scripts, Drawing(patch, halo, mixed=True), "training")
    rows, columns = slice(MARGIN + 1, MARGIN + 1 + patch + 2 * halo), columns_from(left, halo, patch)
    assert script.bounds[1] == (0, 15 - 2 * MARGIN - patch - 2 * halo + 1)
    whole = degrade(np.array(circle.fine[5]), circle.fine_grid, domain.operator, **domain.parameters)
    np.testing.assert_allclose(found.coarse[0, 0].numpy(), whole[rows][:, columns], rtol=1e-5)
    inner = slice(3 * (MARGIN + 1 + halo) - 1, 3 * (MARGIN + 1 + halo + patch) - 1)
    fine_columns = (3 * (left + halo) - 1 + np.arange(3 * patch)) % 1440
    np.testing.assert_array_equal(found.fine[0, 0].numpy(), circle.fine[5][inner][:, fine_columns])


@pytest.mark.parametrize("domain", WAYS, ids=str)
@pytest.mark.parametrize("left", [0, 474, 479])
def test_all_frames_of_an_interval_are_degraded_alike(circle, monkeypatch, domain, left):
    in_domain(monkeypatch, domain)
    scripts = [Scripted(0, 1, left, 0, 2, 1)]
    found = draw_intervals([circle], scripts, Drawing(4, 2, mixed=True), "training")
    rows, columns = slice(MARGIN + 1, MARGIN + 9), columns_from(left, 2, 4)
    whole = degrade(circle.fine[2:6], circle.fine_grid, domain.operator, **domain.parameters)[:, rows][:, :, columns]
    np.testing.assert_allclose(found.first[0, 0].numpy(), whole[0], rtol=1e-5)
    np.testing.assert_allclose(found.last[0, 0].numpy(), whole[3], rtol=1e-5)
    np.testing.assert_allclose(found.target[0, 0].numpy(), whole[2][2:-2, 2:-2], rtol=1e-5)
    assert found.fraction[0] == pytest.approx(2 / 3)


def test_domains_are_as_many_of_each_kind_as_they_should_be():
    domains = [draw_domain(random) for random in generators(0, 1, range(4000))]
    assert sum(OPERATORS.values()) == pytest.approx(1)
    for name, share in OPERATORS.items():
        assert np.mean([domain.operator == name for domain in domains]) == pytest.approx(share, abs=0.03)
    sigmas = [domain.parameters["sigma"] for domain in domains if domain.operator == "gaussian"]
    assert SIGMA[0] <= min(sigmas) < 0.7 and 1.3 < max(sigmas) <= SIGMA[1]
    amplitudes = np.log([domain.amplitude for domain in domains]) / np.log(AMPLITUDE)
    assert -1 <= amplitudes.min() < -0.95 and 0.95 < amplitudes.max() <= 1
    assert abs(np.median(amplitudes)) < 0.1
    floored = [domain for domain in domains if domain.floor]
    assert len(floored) / 4000 == pytest.approx(0.25, abs=0.03)
    assert all((domain.packing > 0) == (domain.floor > 0) for domain in domains)
    assert all(0.37 <= domain.packing <= 0.52 and domain.floor <= 1 for domain in floored)


def test_a_floor_takes_away_up_to_the_own_low_level_and_leaves_nothing_below_zero():
    fields = rough(3, refine(REGION))
    low = np.quantile(fields[:, ::3, ::3], 0.2)
    assert (changed(fields, Domain("point", amplitude=2.0)) == 2 * fields).all()
    for share in (0.3, 1.0):
        found = changed(fields, Domain("point", amplitude=2.0, floor=share))
        np.testing.assert_allclose(found, np.maximum(2 * (fields - share * low), 0), rtol=0.01, atol=0.05)
        assert found.dtype == np.float32
    assert 0.15 < (found == 0).mean() < 0.25
    assert (changed(np.zeros_like(fields), Domain("point", floor=1.0)) == 0).all()


def test_packed_values_are_multiples_of_the_step_next_to_the_true_ones_and_never_below_zero():
    values = np.linspace(-1, 5, 1001, dtype=np.float32).reshape(7, 143)
    assert packed(values, Domain("point")) is values
    found = packed(values, Domain("point", packing=0.4))
    steps = found / 0.4
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert np.abs(found - np.maximum(values, 0)).max() <= 0.2 + 1e-5
    assert found.min() == 0 and (found[values < 0.19] == 0).all()
    assert found.dtype == np.float32


def test_only_what_a_network_sees_is_packed(region, monkeypatch):
    def are_packed(values):
        steps = values.numpy() / 0.5
        return bool((np.abs(steps - np.rint(steps)) < 1e-3).all())

    in_domain(monkeypatch, Domain("block_mean", amplitude=0.5, packing=0.5))
    drawing = Drawing(3, 2, mixed=True)
    found = draw_refinements([region], generators(0, 1, range(5)), drawing, "training")
    assert are_packed(found.coarse) and not are_packed(found.fine)
    found = draw_intervals([region], generators(0, 1, range(5)), drawing, "training")
    assert are_packed(found.first) and are_packed(found.last) and not are_packed(found.target)
    drawing = Drawing(3, 2, mixed=True, fine=True)  # nothing of that resolution comes out of CAMS's files
    found = draw_intervals([region], generators(0, 1, range(5)), drawing, "training")
    assert not (are_packed(found.first) or are_packed(found.last) or are_packed(found.target))


def test_truth_goes_with_the_input_in_amplitude_and_floor(region, monkeypatch):
    """Degrading the truth gives the input: the network is never asked for what was not done to the field."""
    in_domain(monkeypatch, Domain("point", amplitude=1.7, floor=0.9))
    found = draw_refinements([region], generators(0, 1, range(20)), Drawing(3, 2, mixed=True), "training")
    np.testing.assert_allclose(found.fine[..., 1::3, 1::3], found.coarse[..., 2:-2, 2:-2], rtol=1e-6)
    assert (found.fine == 0).any()
    steady = shard_of(np.broadcast_to(region.fine[:1], region.fine.shape), REGION)
    for fine in (False, True):
        drawing = Drawing(3, 2, mixed=True, fine=fine)
        found = draw_intervals([steady], generators(0, 1, range(20)), drawing, "training")
        np.testing.assert_array_equal(found.first[..., 2:-2, 2:-2], found.target)


def test_examples_of_one_batch_have_domains_of_their_own():
    flat = shard_of(np.full((30, *refine(REGION).shape), 8, np.float32), REGION)
    found = draw_refinements([flat], generators(0, 1, range(50)), Drawing(3, 2, mixed=True), "training")
    levels = found.fine[:, 0, 0, 0].numpy()
    assert len(np.unique(levels)) > 40
    assert ((levels >= 4) & (levels <= 16)).mean() > 0.6  # the others have a floor


def test_mixed_patches_keep_away_from_edges_that_spoil_any_operator_and_from_missing_values():
    fine = positions(30, refine(SMALL)).copy()
    fine[:, :, 30:33] = np.nan
    fine[11] = np.nan
    shard = shard_of(fine, SMALL)
    drawing = Drawing(1, 0, mixed=True)
    with pytest.MonkeyPatch.context() as patch:
        in_domain(patch, Domain("point"))
        for found in (
            draw_refinements([shard], generators(0, 1, range(300)), drawing, "training").coarse,
            draw_intervals([shard], generators(0, 1, range(300)), drawing, "training").first,
        ):
            _, rows, columns = read(found.numpy())
            assert (rows.min() // 3, rows.max() // 3) == (MARGIN, 8 - MARGIN)
            # What any operator would draw on is there: two coarse nodes to either side.
            assert set((columns // 3).ravel()) == set(range(2, 8)) | set(range(13, 19))


def module_of(stage, recipe):
    return SimpleNamespace(
        recipe=recipe,
        halo=1,
        context=3 if stage == "temporal" and recipe == "corrected" else 0,
        transform=TRANSFORMS["none"],
    )


def task_of(stage, shard, recipe="corrected", **settings):
    settings = {"batch_size": 6, "patch": 3, "seed": 5, "domain": "single", "latitude_weights": False, **settings}
    if stage == "temporal":
        settings = {"resolution": "coarse", **settings}
    return {"temporal": temporal, "spatial": spatial}[stage].task(module_of(stage, recipe), [shard], settings)


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_a_task_gives_any_part_of_a_steps_examples_also_in_another_process(region, stage):
    settings = {"domain": "mixed", "latitude_weights": True} | ({"resolution": "both"} if stage == "temporal" else {})
    draw = task_of(stage, region, **settings).draw
    other = pickle.loads(pickle.dumps(draw))
    for step in (1, 2, 3, 4):
        whole = vars(draw(step, range(6)))
        for rank in (0, 1):
            part = vars(other(step, range(rank, 6, 2)))
            for name, values in part.items():
                np.testing.assert_array_equal(values, whole[name][rank::2])


def spacing(found):
    """Fine nodes from one row of an example to the next."""
    rows = read(found.first[:, 0].numpy())[1]
    (one,) = set(np.diff(rows, axis=1).ravel())
    return one


def test_time_is_learnt_at_the_resolution_asked_for_or_at_both_in_turn():
    shard = shard_of(positions(30, refine(SMALL)), SMALL)
    spacings = {
        resolution: [spacing(task_of("temporal", shard, resolution=resolution).draw(step, range(2))) for step in steps]
        for resolution, steps in (("coarse", range(9)), ("fine", range(9)), ("both", range(200)))
    }
    assert set(spacings["coarse"]) == {3} and set(spacings["fine"]) == {1}
    assert 0.4 < np.mean(np.array(spacings["both"]) == 3) < 0.6


@pytest.mark.parametrize(("resolution", "expected"), [("coarse", 3), ("fine", 1), ("both", 3)])
def test_held_out_intervals_are_of_the_resolution_of_use(monkeypatch, resolution, expected):
    shard = shard_of(positions(30, refine(SMALL)), SMALL)
    assert spacing(held_out_of(monkeypatch, "temporal", shard, resolution=resolution)) == expected


def held_out_of(monkeypatch, stage, shard, **settings):
    """The first held-out examples of a task."""
    name, module = {"temporal": ("draw_intervals", temporal), "spatial": ("draw_refinements", spatial)}[stage]
    drawn = []
    with monkeypatch.context() as patch:
        function = getattr(samples, name)
        patch.setattr(module, name, lambda *arguments: (drawn.append(function(*arguments)), drawn[-1])[1])
        task_of(stage, shard, **settings)
    assert sum(len(vars(part)["weight"]) for part in drawn) == 64
    return drawn[0]


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_held_out_examples_are_degraded_as_the_shard_is_whatever_the_domain(monkeypatch, region, stage):
    """So that trainings under different domains have scores that can be compared."""
    coarse = np.full((40, *REGION.shape), 3, np.float32)
    shard = shard_of(np.array(region.fine), REGION, coarse=coarse)
    single, mixed = (held_out_of(monkeypatch, stage, shard, domain=domain) for domain in ("single", "mixed"))
    for name, values in vars(single).items():
        np.testing.assert_array_equal(values, vars(mixed)[name])
    assert ((single.first if stage == "temporal" else single.coarse) == 3).all()


def test_the_published_recipe_learns_as_it_did(region):
    draw = task_of("temporal", region, "published", resolution="fine").draw
    found = draw(1, range(6))
    assert found.context.shape == (6, 0, 5, 5)
    assert (found.weight == 1).all()
    np.testing.assert_array_equal(
        found.first,
        draw_intervals(
            [region], generators(5, 1, range(6)), Drawing(3, 1, hours=(2, 12), flips=True, fine=True), "training"
        ).first,
    )
