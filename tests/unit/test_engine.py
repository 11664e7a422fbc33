"""The training loop on a task of its own: a line through noisy points."""

import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from deepcams.errors import DeepcamsError
from deepcams.grid.nodes import Region, coarse_grid, refine
from deepcams.models.flow_residual import FlowResidual
from deepcams.models.learned_kernel import LearnedKernel
from deepcams.training import spatial, temporal
from deepcams.training.engine import Task, falling, fit, warm_cosine
from tests.unit.test_samples import HOUR, positions, shard_of

SETTINGS = {"steps": 60, "learning_rate": 0.05, "seed": 5, "precision": "float32", "threads": 1}
TRUE = torch.tensor([[1.5], [-2.0], [0.5]])


@dataclass(frozen=True)
class Points:
    x: torch.Tensor
    y: torch.Tensor


class Killed(BaseException):
    """In place of a signal."""


def line(*, after_validation=lambda: None, loss=None, clips=False, scores=None, draws=None):
    """A task. after_validation : called then.  scores : given out in place of the true ones.  draws : notes of all."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))

    def draw(random):
        x = torch.from_numpy(random.normal(size=(16, 3)).astype(np.float32))
        noise = torch.from_numpy(random.normal(0, 0.1, (16, 1)).astype(np.float32))
        if draws is not None:
            draws.append(x)
        return Points(x, x @ TRUE + noise)

    def squared(network, points):
        distance = nn.functional.mse_loss(network(points.x), points.y)
        return distance, {"twice": 2 * distance.detach()}

    def validate(network):
        assert not network.training
        after_validation()
        score = next(scores) if scores else sum(float(weight.abs().sum()) for weight in network.parameters())
        return {"score": score}

    return Task(module, draw, loss or squared, validate, warm_cosine, clips)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def calls(number, action):
    """A function that does `action` when it is called for the `number`-th time."""
    count = iter(range(1, 10**6))
    return lambda: action() if next(count) == number else None


def stop():
    raise Killed


def test_training_fits_the_points():
    task = line()
    done = fit(task, SETTINGS | {"steps": 300}, name="line")
    assert done.history[-1]["loss"] < 0.05 * done.history[0]["loss"]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    found = []
    for seed in (5, 5, 6):
        task = line()
        done = fit(task, SETTINGS | {"seed": seed}, name="line")
        found.append((weights(task.module), done))
    assert_same(found[0][0], found[1][0])
    assert_same(found[0][1].best, found[1][1].best)
    assert found[0][1].history == found[1][1].history
    assert not torch.equal(found[0][0]["0.weight"], found[2][0]["0.weight"])


def test_every_step_draws_examples_of_its_own():
    draws = []
    fit(line(draws=draws), SETTINGS | {"steps": 10}, name="line")
    assert len({tuple(x.ravel().tolist()) for x in draws}) == 10


def test_there_is_a_row_for_every_twentieth_of_the_steps_and_for_the_last():
    for steps, rows in ((60, list(range(3, 61, 3))), (47, [*range(2, 47, 2), 47]), (4, [1, 2, 3, 4])):
        done = fit(line(), SETTINGS | {"steps": steps}, name="line")
        assert [row["step"] for row in done.history] == rows
        assert done.step == steps


def test_a_row_holds_the_mean_of_every_part_since_the_row_before():
    values = iter(range(1, 48))

    def loss(network, _):
        value = next(values)
        return 0 * network[0].weight.sum() + value, {"part": value**2}

    done = fit(line(loss=loss), SETTINGS | {"steps": 47}, name="line")
    for row in done.history:
        seen = [row["step"]] if row["step"] == 47 else [row["step"] - 1, row["step"]]
        assert row["loss"] == pytest.approx(np.mean(seen))
        assert row["part"] == pytest.approx(np.mean(np.square(seen)))


def test_best_weights_are_those_with_the_lowest_score_and_the_module_ends_with_the_last():
    scores = [3.0, 1.0, 2.0, 1.0, 4.0]
    seen = []
    task = line(scores=iter(scores), after_validation=lambda: seen.append(weights(task.module)))
    done = fit(task, SETTINGS | {"steps": 5}, name="line")
    assert (done.best_step, done.best_score) == (2, 1.0)
    assert_same(done.best, seen[1])
    assert_same(weights(task.module), seen[-1])
    assert [row["score"] for row in done.history] == scores


@pytest.mark.parametrize("at", [1, 4, 20])
def test_a_killed_training_goes_on_to_the_same_bits_as_one_that_was_not(tmp_path, at):
    whole = line()
    expected = fit(whole, SETTINGS, name="line", state=tmp_path / "other.pt", key="k")
    state = tmp_path / "line.pt"
    with pytest.raises(Killed):
        fit(line(after_validation=calls(at, stop)), SETTINGS, name="line", state=state, key="k")
    draws = []
    again = line(draws=draws)
    done = fit(again, SETTINGS, name="line", state=state, key="k")
    assert len(draws) == 60 - 3 * (at - 1)  # it did not begin anew
    assert_same(weights(again.module), weights(whole.module))
    assert_same(done.best, expected.best)
    assert (done.history, done.best_step) == (expected.history, expected.best_step)


def test_a_finished_training_is_not_repeated(tmp_path):
    first = line()
    expected = fit(first, SETTINGS, name="line", state=tmp_path / "line.pt", key="k")
    draws = []
    again = line(draws=draws)
    done = fit(again, SETTINGS, name="line", state=tmp_path / "line.pt", key="k")
    assert draws == []
    assert done.history == expected.history
    assert_same(weights(again.module), weights(first.module))


KILL = """
import os, signal, sys
from pathlib import Path
from deepcams.training.engine import fit
from tests.unit.test_engine import SETTINGS, calls, line
kill = calls(7, lambda: os.kill(os.getpid(), signal.SIGKILL))
fit(line(after_validation=kill), SETTINGS, name="line", state=Path(sys.argv[1]), key="k")
"""


def test_a_process_that_was_killed_is_gone_on_from_to_the_same_bits(tmp_path, pytestconfig):
    state = tmp_path / "line.pt"
    run = subprocess.run(
        [sys.executable, "-c", KILL, state], cwd=pytestconfig.rootpath, capture_output=True, check=False
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert os.listdir(tmp_path) == ["line.pt"]
    draws = []
    whole, again = line(), line(draws=draws)
    expected = fit(whole, SETTINGS, name="line")
    done = fit(again, SETTINGS, name="line", state=state, key="k")
    assert len(draws) == 60 - 6 * 3
    assert_same(weights(again.module), weights(whole.module))
    assert done.history == expected.history


def test_the_state_of_another_training_is_not_used(tmp_path):
    state = tmp_path / "line.pt"
    fit(line(), SETTINGS | {"steps": 30}, name="line", state=state, key="another")
    draws = []
    task, fresh = line(draws=draws), line()
    fit(task, SETTINGS, name="line", state=state, key="this")
    assert len(draws) == 60
    fit(fresh, SETTINGS, name="line")
    assert_same(weights(task.module), weights(fresh.module))


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other tensors", "no dictionary"])
def test_a_damaged_state_is_told_with_its_file(tmp_path, damage):
    state = tmp_path / "line.pt"
    fit(line(), SETTINGS, name="line", state=state, key="k")
    content = state.read_bytes()
    if damage == "cut":
        state.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        state.write_bytes(b"")
    elif damage == "text":
        state.write_text("not a state")
    elif damage == "other tensors":
        kept = torch.load(state)
        kept["weights"]["0.weight"] = torch.zeros(2, 2)
        torch.save(kept, state)
    else:
        torch.save([1, 2], state)
    with pytest.raises(DeepcamsError, match=r"line\.pt.* is damaged\. Delete it and run again"):
        fit(line(), SETTINGS, name="line", state=state, key="k")


def test_a_loss_that_is_not_finite_stops_with_step_rate_and_the_state_that_stays(tmp_path):
    def loss(network, points):
        steps.append(1)
        return network(points.x).sum() * (math.nan if len(steps) == 8 else 1), {}

    steps, state = [], tmp_path / "line.pt"
    with pytest.raises(DeepcamsError, match=r"line diverged at step 8: the loss is nan.*0\.05") as error:
        fit(line(loss=loss), SETTINGS, name="line", state=state, key="k")
    assert f"The state of step 6 is kept in {state}." in str(error.value)
    assert torch.load(state)["done"]["step"] == 6


def test_without_a_state_none_is_promised():
    def loss(network, points):
        return network(points.x).sum() * math.inf, {}

    with pytest.raises(DeepcamsError, match=r"step 1: the loss is -?(inf|nan)\. Lower"):
        fit(line(loss=loss), SETTINGS, name="line")


def test_weights_that_the_last_update_spoilt_are_not_kept(tmp_path):
    state = tmp_path / "line.pt"
    scores = iter([1.0, math.nan])
    with pytest.raises(DeepcamsError, match=r"step 6: the held-out error is nan\. The state of step 3 is kept"):
        fit(line(scores=scores), SETTINGS, name="line", state=state, key="k")
    assert torch.load(state)["done"]["step"] == 3


def test_bfloat16_trains_on_the_cpu_with_nearly_the_losses_of_float32():
    losses, kinds = {}, []

    def loss(network, points):
        found = network(points.x)
        kinds.append(found.dtype)
        return nn.functional.mse_loss(found.float(), points.y), {}

    for precision in ("float32", "bfloat16", "auto"):
        kinds.clear()
        task = line(loss=loss)
        done = fit(task, SETTINGS | {"precision": precision}, name="line")
        losses[precision] = np.array([row["loss"] for row in done.history])
        mixed = precision == "bfloat16" or (precision == "auto" and torch.cuda.is_available())
        assert set(kinds) == {torch.bfloat16 if mixed else torch.float32}
        assert {weight.dtype for weight in task.module.parameters()} == {torch.float32}
    assert not np.array_equal(losses["bfloat16"], losses["float32"])
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.05)


def test_the_corrected_rate_rises_for_a_twentieth_and_falls_like_a_cosine():
    assert warm_cosine(0.0) == pytest.approx(0.0196, abs=1e-4)
    rise = [warm_cosine(share) for share in np.linspace(0, 0.0499, 20)]
    assert (np.diff(rise) > 0).all()
    assert warm_cosine(0.05) == pytest.approx(1)
    assert warm_cosine(0.525) == pytest.approx(0.5)
    assert warm_cosine(1.0) == pytest.approx(0, abs=1e-12)
    assert (np.diff([warm_cosine(share) for share in np.linspace(0.05, 1, 50)]) < 0).all()


def test_a_falling_rate_is_multiplied_at_each_mark():
    rate = falling(0.25, (0.25, 0.5, 0.75))
    assert [rate(share) for share in (0, 0.2499, 0.25, 0.5, 0.7, 0.75, 1)] == [
        1,
        1,
        1 / 4,
        1 / 16,
        1 / 16,
        1 / 64,
        1 / 64,
    ]


def test_the_rate_of_the_schedule_is_the_one_that_is_used():
    done = fit(line(), SETTINGS | {"steps": 40}, name="line")
    expected = [0.05 * warm_cosine((row["step"] - 1) / 40) for row in done.history]
    assert [row["learning_rate"] for row in done.history] == pytest.approx(expected)
    task = line()
    before = weights(task.module)
    fit(task._replace(rate=lambda share: 0.0), SETTINGS, name="line")
    assert_same(before, weights(task.module))


@pytest.mark.parametrize("clips", [True, False])
def test_gradients_are_clipped_only_where_the_task_says_so(clips):
    def loss(network, points):
        return 1e3 * nn.functional.mse_loss(network(points.x), points.y), {}

    task = line(loss=loss, clips=clips)
    fit(task, SETTINGS | {"steps": 1}, name="line")
    norm = math.sqrt(sum(float((weight.grad**2).sum()) for weight in task.module.parameters()))
    assert norm == pytest.approx(1, rel=1e-4) if clips else norm > 10


NETWORKS = {"temporal": (FlowResidual, temporal), "spatial": (LearnedKernel, spatial)}
WIDE = coarse_grid(Region(north=45.0, west=0.0, south=30.0, east=15.0))


def task_of(stage, recipe, batch_size=2):
    """The task of a small network that is told to follow a recipe, and its shard."""
    network, teacher = NETWORKS[stage]
    shard = shard_of(positions(60, refine(WIDE)), WIDE)
    module = network()
    module.recipe = recipe
    return teacher.task(module, [shard], {"batch_size": batch_size, "patch": 2, "seed": 1})


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
def test_only_the_corrected_recipe_clips_and_warms_up(stage):
    task = task_of(stage, "corrected")
    assert task.clips
    assert task.rate is warm_cosine
    # Released code: × 0.25 at epochs 50, 100 and 150 of 199 in time; × 0.1 at 499 and 999 of 1000 in space.
    factor, marks = {"temporal": (0.25, (0.25, 0.5, 0.75)), "spatial": (0.1, (0.499, 0.999))}[stage]
    shares = np.linspace(0, 1, 1001)
    for recipe in ("published", "as_printed"):
        task = task_of(stage, recipe)
        assert not task.clips
        assert [task.rate(share) for share in shares] == pytest.approx(
            [factor ** sum(share >= mark for mark in marks) for share in shares]
        )


@pytest.mark.parametrize("stage", ["temporal", "spatial"])
@pytest.mark.parametrize(("recipe", "orientations"), [("corrected", 1), ("published", 8), ("as_printed", 8)])
def test_only_the_published_recipes_turn_patches_and_vary_intervals(stage, recipe, orientations):
    found = task_of(stage, recipe, batch_size=60).draw(np.random.default_rng(0))
    patches = (found.first if stage == "temporal" else found.coarse)[:, 0].numpy()
    turned = {(patch[1, 0] - patch[0, 0], patch[0, 1] - patch[0, 0]) for patch in patches}
    assert len(turned) == orientations
    if stage == "temporal":
        assert (np.abs(list(turned)).min() == 1) == (recipe != "corrected")  # at fine nodes, else every third
        hours = set(np.abs((found.last - found.first)[:, 0, 0, 0].numpy() / HOUR))
        assert hours == ({3.0} if recipe == "corrected" else set(range(2, 13)))
